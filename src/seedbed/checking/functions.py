"""Calls a user's loss and gradient with NumPy arrays, and computes the loss's derivative."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.errors import DataError, SettingError

_MIN_CONFIRMED = 100
"""After differences confirm this many complex steps of a block in a row, the others are trusted."""
_COMPLEX_STEP = 1e-30
"""A complex step subtracts no near numbers, so a step this small has no truncation error."""


class Function:
    """f(theta) -> (loss, gradient), for arrays of NumPy, PyTorch or JAX.

    names   of the blocks of parameters: a dict's keys, or theta[0], theta[1], … of a sequence
    theta   the blocks as float64 arrays
    eps     the rounding error of f's arithmetic
    updated  the numbers of the blocks that f has changed during a call

    Raises: SettingError or DataError for an invalid theta or result.
    """

    def __init__(self, f: Callable[..., Any], theta: Any) -> None:
        if not callable(f):
            raise SettingError(f"f must be a function of theta, not {one_line(f)}")
        _check_arguments(f)
        self.f, self.given = f, theta
        if isinstance(theta, Mapping):
            self.names, blocks = [str(name) for name in theta], list(theta.values())
        elif isinstance(theta, list | tuple):
            self.names, blocks = [f"theta[{i}]" for i in range(len(theta))], list(theta)
        else:
            self.names, blocks = ["theta"], [theta]
        if not blocks:
            raise DataError("theta is empty: give the arrays that f takes")
        self.blocks = blocks
        self.updated: set[int] = set()
        self.theta = [
            _parameters(block, name) for block, name in zip(blocks, self.names, strict=True)
        ]
        self.eps = max(_eps_of(np.asarray(_to_numpy(block)).dtype) for block in blocks)
        self.is_numpy = all(isinstance(block, np.ndarray | np.generic) for block in blocks)

    def in_float64(self) -> Function:
        """Return the function with NumPy parameters in float64, if f accepts them.

        A loss in float32 is too coarse for differences.
        """
        if not self.is_numpy or self.eps < 1e-10:
            return self
        finer = Function(self.f, self._like_theta([b.astype(np.float64) for b in self.blocks]))
        try:
            result = finer.result(finer.theta)
        except Exception:  # f may raise anything on another dtype than its own
            return self
        return finer if np.asarray(result[0]).dtype.itemsize >= 8 else self

    def result(self, theta: Sequence[Array], watch: bool = False) -> Any:
        """Return f's result, a pair; note the blocks that it changes if ``watch``."""
        blocks = [_convert(array, block) for array, block in zip(theta, self.blocks, strict=True)]
        argument = self._like_theta(blocks)
        before = [_numeric(block) for block in blocks] if watch else []
        result = self.f(argument)
        self._note_updates(argument, before)
        if not isinstance(result, list | tuple) or len(result) != 2:
            raise DataError(f"f must return (loss, gradient), not {one_line(result)}")
        return result

    def _note_updates(self, argument: Any, before: Sequence[Array]) -> None:
        """Note the blocks of f's argument that are not what they were before the call."""
        if isinstance(argument, Mapping):
            after = [argument.get(name) for name in self.given]
        else:
            after = list(argument) if isinstance(self.given, list | tuple) else [argument]
        for number, (block, old) in enumerate(zip(after, before, strict=False)):
            if block is not None and not np.array_equal(_numeric(block), old):
                self.updated.add(number)

    def _like_theta(self, blocks: Sequence[Any]) -> Any:
        """Return the blocks as a dict, a sequence or one array, as theta was given."""
        if isinstance(self.given, Mapping):
            return dict(zip(self.given, blocks, strict=True))
        if isinstance(self.given, list | tuple):
            kind = type(self.given)
            return kind(*blocks) if hasattr(kind, "_fields") else kind(blocks)
        return blocks[0]

    def __call__(self, theta: Sequence[Array]) -> tuple[Any, list[Array]]:
        """Return the loss, a number, and the gradient's blocks in the shapes that f returned."""
        result = self.result(theta, watch=True)
        return self._loss(result), self._gradient(result[1])

    def _loss(self, result: Any) -> Any:
        loss = _numeric(result[0])
        if loss.size != 1 or loss.dtype.kind not in "fiuc":
            raise DataError(f"f's loss must be one number, not {one_line(result[0])}")
        return loss.reshape(()).item()

    def _gradient(self, gradient: Any) -> list[Array]:
        if isinstance(self.given, Mapping):
            if not isinstance(gradient, Mapping) or set(gradient) != set(self.given):
                names = list(gradient) if isinstance(gradient, Mapping) else gradient
                raise DataError(
                    f"f's gradient must be a dict with theta's keys, {one_line(self.names)}, not "
                    f"{one_line(names)}"
                )
            blocks = [gradient[name] for name in self.given]
        elif isinstance(self.given, list | tuple):
            if not isinstance(gradient, list | tuple) or len(gradient) != len(self.names):
                raise DataError(
                    f"f's gradient must be a sequence of {len(self.names)} arrays, like theta, not "
                    f"{one_line(gradient)}"
                )
            blocks = list(gradient)
        else:
            blocks = [gradient]
        return [
            _gradient_block(block, name) for block, name in zip(blocks, self.names, strict=True)
        ]

    def loss(self, theta: Sequence[Array]) -> Any:
        """Return the loss alone."""
        return self._loss(self.result(theta))


def _check_arguments(f: Callable[..., Any]) -> None:
    """Refuse a function that cannot be called with theta alone.

    Raises: SettingError.
    """
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # a builtin: the first call shows whether it can
        return
    try:
        signature.bind(None)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise SettingError(
            f"f is called with theta alone, and takes ({names}): wrap it, such as "
            "lambda theta: f(theta, X, Y)"
        ) from None


def _eps_of(dtype: Any) -> float:
    """Return the rounding error of arithmetic on numbers of a dtype."""
    return float(np.finfo(dtype).eps) if dtype.kind == "f" else float(np.finfo(float).eps)


def _to_numpy(value: Any) -> Any:
    """Return the value without PyTorch's gradient and device, as something that NumPy accepts."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    return (value if "bfloat16" not in str(value.dtype) else value.float()).numpy()


def _numeric(block: Any) -> Array:
    """Return the block as an array, an empty one if it is not numbers."""
    try:
        return np.array(_to_numpy(block))
    except (TypeError, ValueError):
        return np.empty(0)


def _gradient_block(block: Any, name: str) -> Array:
    """Return a block of f's gradient.

    Raises: DataError if it is not an array of numbers.
    """
    if block is None:
        raise DataError(f"f's gradient of {name} is None: f's loss does not depend on it")
    array = _numeric(block)
    if array.dtype.kind == "c" and np.abs(array.imag).max(initial=0) < 1e-20:
        array = array.real  # f may keep a complex step's trace from call to call
    if array.dtype.kind not in "fiu" or array.size == 0:
        raise DataError(
            f"f's gradient of {name} must be an array of real numbers, not {one_line(block)}"
        )
    return array


def _parameters(block: Any, name: str) -> Array:
    array = _numeric(block)
    if array.dtype.kind not in "fiu" or array.size == 0:
        hint = "; name each array: a dict with one level" if isinstance(block, Mapping) else ""
        raise DataError(f"{name} must be an array of numbers, not {one_line(block)}{hint}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds numbers that are not finite: check at another point")
    return array.astype(np.float64)


def _convert(array: Array, block: Any) -> Any:
    """Return the array with the block's library and dtype; complex numbers stay complex."""
    library = type(block).__module__.split(".")[0]
    if library == "torch":
        import torch  # already imported by the caller

        tensor = torch.tensor(array, dtype=block.dtype, device=block.device)
        return tensor.requires_grad_(block.requires_grad)
    if library in ("jax", "jaxlib"):
        import jax.numpy as jnp

        return jnp.asarray(array, dtype=block.dtype)
    dtype = np.asarray(block).dtype
    real = dtype if dtype.kind == "f" else np.dtype(np.float64)
    made = array.astype(np.result_type(real, np.complex64) if array.dtype.kind == "c" else real)
    return float(made) if isinstance(block, float | int) else made


def derivative(
    function: Function,
    other_theta: Sequence[Array],
    given: Sequence[Array],
    max_parameters: int,
    random: np.random.Generator,
) -> tuple[list[Array], list[Array], str]:
    """Return the loss's derivative by each block, its error, and the name of the method.

    The method is complex steps where f accepts them (NumPy's analytic functions), else central
    differences. A complex step is silently wrong where f takes a real part or an absolute value, so
    differences confirm some of each block's, and those that contradict f's gradient, ``given``. At
    a kink, such as relu's, any value between the slopes of its two sides is right. A block with
    more than ``max_parameters`` gets a random sample of that size; the rest are NaN.

    The scale of f's arithmetic is estimated from its loss at ``other_theta``, too: at a minimum the
    loss may be almost 0. If both losses are float32 numbers, f is taken to compute in float32
    (``function.eps``).

    Sources: Squire, Trapp 1998 (complex steps); central differences with h = ε^(1/3) and h/2, whose
    difference estimates their error.
    Raises: DataError if the loss is not finite at theta.
    """
    theta = [block.copy() for block in function.theta]
    centre = float(np.real(function.loss(theta)))
    if not np.isfinite(centre):
        raise DataError(f"f's loss is {centre} at theta: check at a point where it is finite")
    try:
        other = float(np.real(function.loss(other_theta)))
    except Exception:  # f may raise anything where it is undefined
        other = np.nan
    scale = max(abs(centre), abs(other) if np.isfinite(other) else 0.0)
    if np.isfinite(other) and all(float(np.float32(loss)) == loss for loss in (centre, other)):
        function.eps = max(function.eps, float(np.finfo(np.float32).eps))
    slopes = [np.full(block.shape, np.nan) for block in theta]
    errors = [np.full(block.shape, np.nan) for block in theta]
    analytic = function.is_numpy and function.eps < 1e-10
    for number, (block, claimed) in enumerate(zip(theta, given, strict=True)):
        places = random.permutation(block.size)[:max_parameters]
        if claimed.size == block.size:  # the largest first: there a wrong complex step shows
            places = places[np.argsort(-np.abs(claimed.ravel()[places]), kind="stable")]
        unconfirmed, near = _MIN_CONFIRMED, 1e-3 * float(np.abs(claimed).max())
        for done, place in enumerate(places):
            index = np.unravel_index(place, block.shape)
            parameter = _Parameter(function, theta, number, index, centre, scale)
            exact = parameter.complex_step() if analytic else None
            analytic = analytic and exact is not None
            claim = claimed.flat[place] if claimed.size == block.size else np.nan
            agrees = exact is not None and abs(claim - exact) <= 1e-6 * abs(exact)
            if exact is not None and (unconfirmed <= 0 or (agrees and done >= _MIN_CONFIRMED)):
                value, error = exact, parameter.complex_error(exact)
            else:
                value, error = parameter.confirmed(exact, near)
                # one complex step that is not confirmed starts the count again
                unconfirmed = unconfirmed - 1 if value == exact else _MIN_CONFIRMED
                if exact is not None and abs(exact - value) > 0.1 * abs(value):
                    near = 0.0
            slopes[number][index], errors[number][index] = value, error
    return slopes, errors, "complex steps" if analytic else "central differences"


@dataclass(frozen=True)
class _Parameter:
    """One parameter, by which the loss is differentiated.

    theta          of all blocks; changed and restored
    number, index  the parameter's block, and its place there
    centre, scale  the loss at theta, and the scale of f's arithmetic
    """

    function: Function
    theta: list[Array]
    number: int
    index: Any
    centre: float
    scale: float

    def confirmed(self, exact: float | None, near: float) -> tuple[float, float]:
        """Return the derivative and its estimated error.

        It is the complex step (``exact``) if differences agree with it, or come within ``near``:
        their noise may exceed a loss near 0. Otherwise it is the difference with the smallest
        error, of up to three step sizes; a step over which f does not change is ignored.
        """
        first = best = self.difference()
        noisy = False
        for shrink in (1.0, 1e-2, 1e-4):
            if shrink < 1:
                shorter = self.difference(shrink)
                # what looks like a kink, and more so with a shorter step, is noise
                noisy = noisy or (not first[2] and not shorter[2] and shorter[1] > 10 * first[1])
                # a loss that does not change over so short a step says nothing
                if shorter[0] and shorter[2] and (not best[2] or shorter[1] < best[1]):
                    best = shorter
            value, error, is_smooth = best
            distance = np.inf if exact is None else abs(exact - value)
            if exact is not None and (
                (distance <= near and (is_smooth or noisy))
                or (is_smooth and distance <= 10 * error)
            ):
                return exact, self.complex_error(exact)
            if exact is None and is_smooth and error <= 1e-3 * abs(value):
                break
        value, error, is_smooth = best
        return (value, error) if is_smooth else first[:2]

    def complex_error(self, exact: float) -> float:
        """Return the estimated error of a complex step."""
        return 1e-10 * abs(exact) + 1e-14 * self.scale

    def difference(self, shrink: float = 1.0) -> tuple[float, float, bool]:
        """Return the central difference, its estimated error, and whether f is smooth there."""
        block = self.theta[self.number]
        here, eps = block[self.index], self.function.eps
        width = shrink * eps ** (1 / 3) * max(1.0, abs(here))
        slopes, gaps = [], []
        for h in (width, width / 2):
            ends = []
            for value in (here + h, here - h):
                block[self.index] = value
                ends.append(float(np.real(self.function.loss(self.theta))))
            slopes.append((ends[0] - ends[1]) / (2 * h))
            gaps.append(abs(ends[0] - 2 * self.centre + ends[1]) / h)  # between one-sided slopes
        block[self.index] = here
        wide, narrow = slopes
        rounding = eps * max(self.scale, 1e-300) / width
        if gaps[1] > 0.75 * gaps[0] and gaps[1] > 100 * rounding:  # a smooth f's gap halves with h
            error = 0.055 * gaps[1]  # ten times the error is allowed: either side's slope is right
            return narrow, error, False
        return (4 * narrow - wide) / 3, abs(narrow - wide) + 4 * rounding, True

    def complex_step(self) -> float | None:
        """Return the derivative by a complex step; None if f takes no complex numbers."""
        moved = list(self.theta)
        moved[self.number] = moved[self.number].astype(np.complex128)
        moved[self.number][self.index] += 1j * _COMPLEX_STEP
        try:
            with np.errstate(all="ignore"):
                loss = self.function.loss(moved)
        except Exception:  # f may raise anything on complex numbers
            return None
        return loss.imag / _COMPLEX_STEP if isinstance(loss, complex) else None
