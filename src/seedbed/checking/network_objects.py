"""Reads a network object, one with parameters, forward and backward, as f(theta).

Spellings are tried in the order of the tuples below. Arguments are recognised by their names:
``backward(self, X, Y)``, ``backward(self, dout)`` and ``backward(self, Y, y_hat, lr)`` all work.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.checking.calls import Restored
from seedbed.checking.network_parameters import Slot, own_gradient, slots
from seedbed.errors import DataError, SettingError
from seedbed.recipe import Recipe

FORWARD = ("forward", "feedforward", "feed_forward", "forward_pass", "forward_prop",
           "forward_propagation", "predict")  # fmt: skip
BACKWARD = ("backward", "backprop", "back_prop", "backpropagate", "backpropagation",
            "backward_pass", "backward_prop", "backward_propagation",
            "compute_gradients")  # fmt: skip
LOSS = ("loss", "compute_loss", "calculate_loss", "calc_loss", "get_loss", "cost", "compute_cost",
        "loss_fn", "loss_function", "loss_layer", "loss_func", "criterion",
        "objective")  # fmt: skip
LOSS_SLOPE = ("loss_grad", "loss_gradient", "loss_derivative", "loss_prime", "dloss", "d_loss",
              "cost_derivative", "cost_prime")  # fmt: skip
GRADIENTS = ("grads", "gradients", "grad", "gradient", "dparams", "d_params")
_RATES = ("lr", "learning_rate", "eta", "alpha")
_RATE = 2.0**-10
"""The learning rate of a backward(…, lr) that only updates: the change over it is the gradient."""
_ROLES = {
    "X": "x inputs input data features a0 x_batch xs batch input_data x_train images",
    "Y": "y t target targets label labels y_true ytrue y_batch ys truth expected y_train",
    "output": "y_hat yhat y_pred ypred pred preds prediction predictions out output outputs o a al "
    "probs p scores logits yh a2 a3 a4",
    "slope": "dout d_out grad grad_output output_gradient output_grad dy d da dal dl dloss d_loss "
    "loss_grad gradient upstream delta g dscores dvalues error",
    "rate": "lr learning_rate eta alpha rate step_size",
    "cache": "cache caches memory",
}
"""What an argument is, by its name in lower case."""
ROLES = {name: role for role, names in _ROLES.items() for name in names.split()}


def is_network(f: Any) -> bool:
    """Return whether f is a network object and not a function or a recipe."""
    if inspect.isroutine(f) or isinstance(f, Recipe | type):
        return False
    return any(callable(getattr(f, name, None)) for name in (*FORWARD, *BACKWARD)) or (
        hasattr(f, "params") and callable(getattr(f, "loss", None))
    )


class NetworkObject:
    """f(theta) of a network object: writes theta into a copy, and calls forward, loss, backward.

    theta  the parameters by name, as arrays

    Raises: SettingError that says what was looked for if a spelling is not understood.
    """

    def __init__(self, net: Any, X: Any, Y: Any) -> None:
        if X is None or Y is None:
            raise SettingError("a network object is checked on data: check_gradient(net, X, Y)")
        self.given, self.X, self.Y = net, X, Y
        self.kind = type(net).__name__
        self.updates = False
        self._take()
        ways = [way for way in slots(self.net) if way]
        if not ways:
            raise SettingError(
                f"{self.kind} has no parameters: looked for parameters, params, weights and "
                "biases, layers with W and b, or arrays W1, b1, …"
            )
        for self.rate in (0.0, _RATE):
            for self.way in range(len(ways)):
                self.theta = {slot.name: slot.read() for slot in self._slots()}
                understood = self._understands()
                self._take()  # without what it has kept of these calls
                if understood:
                    return
        raise SettingError(
            f"{self.kind}'s gradient is not found after backward: looked at what it returns, at "
            f"{', '.join(GRADIENTS[:2])}, and at dW, W_grad, grad_W beside each W"
        )

    def fresh(self) -> NetworkObject:
        """Return the same with a network that has kept nothing of earlier calls."""
        other = copy.copy(self)
        other._take()
        return other

    def _take(self) -> None:
        """Take a copy of the network, with parameters in float64: differences need its digits."""
        try:
            held = [slot.value() for way in slots(self.given) for slot in way]
            coarse = [a for a in held if isinstance(a, np.ndarray) and a.dtype in ("f2", "f4")]
            self.net = copy.deepcopy(self.given, {id(a): a.astype(np.float64) for a in coarse})
        except Exception:  # it may hold anything, such as a file or a lock
            self.net = self.given
        self.backward = _first(self.net, BACKWARD)

    def _understands(self) -> bool:
        """Return whether these parameters' gradient can be read."""
        start = {name: np.array(value) for name, value in self.theta.items()}
        first = Restored(self._pass, X=self.X, Y=self.Y)
        try:
            _, gradient = first(dict(start))
            if self.rate and gradient is not None:
                self.rate, rate = 2.0**-24, self.rate
                finer = first(dict(start))[1]
                self.rate = rate
                assert finer is not None
                largest = max(np.abs(each).max() for each in finer.values())
                self.updates = any(
                    np.abs(gradient[name] - finer[name]).max() > 1e-5 * largest for name in start
                )  # layers below use the weights after their update
            return gradient is not None and (self.rate > 0 or any(map(np.any, gradient.values())))
        finally:
            self._write(start)

    def __call__(self, theta: dict[str, Array]) -> tuple[Any, Any]:
        """Return the loss and the gradient by name; what the call updates is updated in theta."""
        loss, gradient = self._pass(theta)
        if gradient is None:
            raise DataError(f"{self.kind}'s gradient is no longer found after backward")
        return loss, gradient

    def _pass(self, theta: dict[str, Array]) -> tuple[Any, dict[str, Any] | None]:
        before = {name: np.array(value) for name, value in theta.items()}
        self._write(theta)
        for name in ("zero_grad", "zero_grads", "reset_grads", "zero_gradients"):
            reset = getattr(self.net, name, None)
            if callable(reset):
                reset()
        known: dict[str, Any] = {"X": self.X, "Y": self.Y, "rate": self.rate}
        loss, returned = self._loss(known)
        if returned is None and self.backward is not None:
            if "slope" not in known and "slope" in _roles(self.backward).values():
                known["slope"] = self._loss_slope(known)
            with self._small_rate():
                returned = _call(self.backward, known, self.kind)
            if isinstance(returned, tuple) and len(returned) == 2 and _is_number(returned[0]):
                loss = returned[0] if loss is None else loss
                returned = returned[1]
            elif loss is None and _is_number(returned):
                loss = returned
        elif returned is None:
            raise SettingError(
                f"{self.kind} has no backward pass: looked for {', '.join(BACKWARD[:4])}, …, or a "
                "loss that returns (loss, gradients)"
            )
        loss = self._loss_attribute() if loss is None else loss
        after = {slot.name: slot.read() for slot in self._slots()}
        changed = [name for name in before if not np.array_equal(after[name], before[name])]
        gradient = None if self.rate else self._gradient(returned)
        if gradient is None and changed and self.rate:
            gradient = {name: (before[name] - after[name]) / self.rate for name in before}
        if self.updates or not self.rate:
            for name in changed:
                theta[name] = after[name]
        return loss, gradient

    def _slots(self) -> list[Slot]:
        return next(islice((way for way in slots(self.net) if way), self.way, None))

    def _write(self, theta: Mapping[str, Any]) -> None:
        for slot in self._slots():
            slot.write(theta[slot.name])

    def _loss(self, known: dict[str, Any]) -> tuple[Any, Any]:
        """Call forward and the loss; return the loss and, if the loss returns it, the gradient."""
        forward = _first(self.net, FORWARD)
        if forward is not None:
            output = _call(forward, known, self.kind)
            if isinstance(output, tuple) and len(output) == 2:
                output, known["cache"] = output
                if _is_number(known["cache"]):  # forward(X, Y) returned (output, loss)
                    known["output"], output = output, known["cache"]
            if _is_number(output):
                return output, None
            known["output"] = output
        for name in LOSS:
            loss = getattr(self.net, name, None)
            if loss is not None and not callable(loss) and hasattr(loss, "forward"):
                value = _call(loss.forward, known, self.kind)
                slope = getattr(loss, "backward", None)
                if slope is not None:
                    known["slope"] = _call(slope, known, self.kind)
                return value, None
            if callable(loss):
                value = _call(loss, known, self.kind)
                for each in ("backward", "gradient", "derivative", "prime"):
                    slope = getattr(loss, each, None)
                    if callable(slope) and "slope" not in known:
                        known["slope"] = _call(slope, known, self.kind)
                if isinstance(value, tuple) and len(value) == 2:
                    if isinstance(value[1], np.ndarray):
                        known["slope"] = value[1]
                        return value[0], None
                    return value
                return value, None
        return None, None

    def _loss_attribute(self) -> Any:
        for name in LOSS:
            value = getattr(self.net, name, None)
            if isinstance(value, float | int | np.number | np.ndarray) and np.size(value) == 1:
                return value
        raise SettingError(
            f"{self.kind}'s loss is not found: looked for {', '.join(LOSS[:2])}, cost, criterion "
            "(methods, or numbers after the pass), and at what forward and backward return"
        )

    def _loss_slope(self, known: dict[str, Any]) -> Any:
        slope = _first(self.net, LOSS_SLOPE)
        if slope is None:
            name = next(iter(inspect.signature(self.backward).parameters))  # type: ignore[arg-type]
            raise SettingError(
                f"{self.kind}.backward takes {name}, the loss's derivative by the output: looked "
                f"for {', '.join(LOSS_SLOPE[:3])}, and a loss with backward"
            )
        return _call(slope, known, self.kind)

    @contextmanager
    def _small_rate(self) -> Iterator[None]:
        """Set the network's own learning rate, if a backward that only updates is tried."""
        own = next((n for n in _RATES if isinstance(getattr(self.net, n, None), float)), None)
        if own is None or not self.rate:
            yield
            return
        before = getattr(self.net, own)
        setattr(self.net, own, self.rate)
        try:
            yield
        finally:
            setattr(self.net, own, before)

    def _gradient(self, returned: Any) -> dict[str, Any] | None:
        """Return the gradient by name: what backward returned, or what it stored."""
        stored = [getattr(self.net, name, None) for name in GRADIENTS]
        stored = [
            each() if inspect.ismethod(each) and not _roles(each) else each for each in stored
        ]
        current = self._slots()
        for found in (returned, *stored):
            gradient = _matched(found, current)
            if gradient is not None:
                return gradient
        gradient = {slot.name: own_gradient(slot, self.net) for slot in current}
        return None if any(each is None for each in gradient.values()) else gradient


def _matched(found: Any, parameters: list[Slot]) -> dict[str, Any] | None:
    """Return a dict or sequence of gradients by the parameters' names, if it fits them."""
    if isinstance(found, Mapping):
        by_name = {str(key).lower(): value for key, value in found.items()}
        gradient = {}
        for slot in parameters:
            keys = (slot.name, f"d{slot.name}", f"d_{slot.name}", f"grad_{slot.name}")
            value = next((by_name[key.lower()] for key in keys if key.lower() in by_name), None)
            if value is None:
                return _matched(list(found.values()), parameters)
            gradient[slot.name] = value
        return gradient
    if isinstance(found, list | tuple):
        flat = list(_flattened(found))
        if len(found) == 2 and not _fit(flat, parameters):  # (biases, weights)
            turned = list(_flattened(found[::-1]))
            flat = turned if _fit(turned, parameters) else flat
        if len(flat) == len(parameters):
            return {slot.name: value for slot, value in zip(parameters, flat, strict=True)}
    if isinstance(found, np.ndarray) and len(parameters) == 1 and found.dtype != object:
        return {parameters[0].name: found}
    return None


def _fit(gradients: list[Any], parameters: list[Slot]) -> bool:
    return [np.shape(each) for each in gradients] == [slot.read().shape for slot in parameters]


def _flattened(found: Any) -> Iterator[Any]:
    for each in found:
        if isinstance(each, list | tuple):
            yield from _flattened(each)
        elif isinstance(each, Mapping):
            yield from _flattened(each.values())
        else:
            yield each


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int | np.number) or (
        isinstance(value, np.ndarray) and value.ndim == 0
    )


def _first(net: Any, names: tuple[str, ...]) -> Callable[..., Any] | None:
    return next((getattr(net, each) for each in names if callable(getattr(net, each, None))), None)


def _roles(method: Callable[..., Any]) -> dict[str, str | None]:
    """Return the role of each argument that a method needs or that it may take as data."""
    plain = getattr(method, "__func__", method)
    try:
        return _roles_of(plain, plain is not method)
    except TypeError:  # a callable object that has no hash
        return _roles_of.__wrapped__(plain, plain is not method)


@lru_cache
def _roles_of(function: Callable[..., Any], is_bound: bool) -> dict[str, str | None]:
    try:
        parameters = list(inspect.signature(function).parameters.values())[is_bound:]
    except (TypeError, ValueError):
        return {}
    roles: dict[str, str | None] = {}
    for each in parameters:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        role = ROLES.get(each.name.lower().strip("_"))
        if each.default is each.empty or role in ("X", "Y", "output", "rate"):
            roles[each.name] = role
    named = list(roles)
    if len(named) == 2 and list(roles.values()) == ["Y", "Y"]:  # loss(y, t)
        roles[named[0]] = "output"
    return roles


def _call(method: Callable[..., Any], known: Mapping[str, Any], kind: str) -> Any:
    """Call a method with the data that its arguments' names ask for."""
    roles = _roles(method)
    unknown = [name for name, role in roles.items() if role is None]
    name = getattr(method, "__name__", type(method).__name__)
    if len(roles) == 1 and name in FORWARD:
        return method(known["X"])
    if len(unknown) == len(roles) == 2 and "output" in known:
        return method(known["output"], known["Y"])
    missing = [each for each in roles if roles[each] not in known]
    if missing:
        raise SettingError(
            f"{kind}.{name}'s argument {one_line(missing[0])} is not understood: name it X, Y, "
            "y_hat (the output), dout (the loss's derivative by it) or lr"
        )
    return method(**{each: known[role] for each, role in roles.items() if role is not None})
