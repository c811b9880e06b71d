"""The backward passes that a network's author may have written: the right one and usual faults.

A backward pass is δ at the outputs, carried back from layer to layer, and in each layer a product
for the weights and a sum for the biases. Each of these steps has a few faults that are seen in the
wild; a pass with some of them gives gradients that can be recognised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from seedbed.arrays import Array
from seedbed.formulas import activations, losses
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss

_CLOSE = 1e-7


@dataclass(frozen=True)
class Layer:
    """One layer as f has it.

    W           (I, O), or (O, I) where ``turned``
    b           of O numbers, or None
    W_block     which block of theta W is; b_block likewise
    activation  of the layer
    """

    W: Array
    b: Array | None
    W_block: int
    b_block: int | None
    activation: Activation
    turned: bool = False


@dataclass(frozen=True)
class Model:
    """What f computes, as far as its loss tells: layers, loss, data.

    factor  what the mean loss (see ``formulas.losses``) is multiplied with to be f's
    masks   (N, units) each, that hidden activations are multiplied with, if dropout is on
    """

    layers: Sequence[Layer]
    loss: Loss
    X: Array
    T: Array
    factor: float = 1.0
    masks: Sequence[Array] = ()

    def forward(self) -> tuple[list[Array], list[Array], list[Array]]:
        """Return each layer's inputs (N, I), pre-activations and activations (N, O)."""
        inputs, zs, outputs = [], [], []
        a = self.X
        for number, layer in enumerate(self.layers):
            inputs.append(a)
            z = a @ (layer.W.T if layer.turned else layer.W)
            z = z if layer.b is None else z + layer.b.reshape(1, -1)
            zs.append(z)
            a = layer.activation.f(z)
            outputs.append(a)
            if number < len(self.masks):
                a = a * self.masks[number]
        return inputs, zs, outputs

    def value(self) -> float:
        """Return the loss."""
        y = self.loss.seen(self.forward()[2][-1])
        return self.factor * float(self.loss.f(y, self.T).sum()) / self.shared(self.loss)

    def shared(self, loss: Loss) -> int:
        """Return how many terms the loss's mean is over: rows, and outputs unless classes."""
        return len(self.X) * (1 if loss.targets == "classes" else self.T.shape[1])

    def dy(self, loss: Loss) -> Array:
        """Return the derivative of a loss's mean by the outputs, (N, O)."""
        y = loss.seen(self.forward()[2][-1])
        return self.factor * loss.df(y, self.T) / self.shared(loss)


@dataclass(frozen=True)
class Suspicion:
    """A backward pass: what is wrong with it, in words, and the δ that it gives each layer."""

    faults: tuple[tuple[str, str], ...]
    """each a kind and where it is"""
    deltas: Sequence[Array]


def passes(model: Model) -> Iterator[Suspicion]:
    """Yield backward passes, the right one first, then those with more and more faults."""
    _, zs, outputs = model.forward()
    last = len(model.layers) - 1
    hidden_kinds = [list(_carried(model, number)) for number in reversed(range(last))]
    found = []
    for fault, first in _output_deltas(model, zs, outputs):
        for kinds in product(*hidden_kinds):
            deltas, faults = [first], [] if fault is None else [fault]
            for number, kind in zip(reversed(range(last)), kinds, strict=True):
                delta = _carry(model, number, deltas[0], zs[number], outputs[number], kind)
                deltas.insert(0, delta)
                faults += [(kind, f"hidden layer {number + 1}")] if kind else []
            found.append(Suspicion(tuple(faults), deltas))
    yield from sorted(found, key=lambda each: len(each.faults))


def _output_deltas(
    model: Model, zs: list[Array], outputs: list[Array]
) -> Iterator[tuple[tuple[str, str] | None, Array]]:
    """Yield δ at the outputs, with what is wrong with it: first the right one."""
    z, a, act = zs[-1], outputs[-1], model.layers[-1].activation
    dy = model.dy(model.loss)
    seen = [dy * act.df(z, a)]
    yield None, seen[0]
    candidates: list[tuple[tuple[str, str], Array]] = [
        (("slope of the activation", "the output"), dy * act.df(a, act.f(a))),
        (("slope missing", "the output"), dy),
    ]
    for name, unit in losses.BY_NAME.items():
        other = unit if isinstance(unit, Loss) else None
        if other is None or name == model.loss.name:
            continue
        if (other.targets == "classes") != (model.loss.targets == "classes") and (
            model.T.shape[1] == 1
        ):
            continue
        with np.errstate(all="ignore"):
            slope = model.dy(other)
        if name in ("binary_cross_entropy", "cross_entropy") and act.name == "sigmoid":
            # of probabilities that are squashed already: δ = (a - t), without σ'
            share = model.factor / model.shared(other)
            candidates.append(((f"another loss: {name}", "the output"), share * (a - model.T)))
            continue
        candidates.append(((f"another loss: {name}", "the output"), slope * act.df(z, a)))
    for fault, delta in candidates:
        if np.isfinite(delta).all() and not any(_same(delta, other) for other in seen):
            seen.append(delta)
            yield fault, delta


def _carried(model: Model, number: int) -> Iterator[str]:
    """Yield how δ may be carried back to a hidden layer: "" is right."""
    yield ""
    yield "slope of the activation"
    yield "slope missing"
    above = model.layers[number + 1].W
    if above.shape[0] == above.shape[1]:
        yield "weights transposed"
    if number < len(model.masks):
        yield "mask missing"


def _carry(model: Model, number: int, delta: Array, z: Array, a: Array, kind: str) -> Array:
    above, act = model.layers[number + 1], model.layers[number].activation
    W = above.W if above.turned else above.W.T
    da = delta @ (W.T if kind == "weights transposed" else W)
    if number < len(model.masks) and kind != "mask missing":
        da = da * model.masks[number]
    if kind == "slope missing":
        return da
    if kind == "slope of the activation":
        return np.asarray(da * act.df(a, act.f(a)))
    return np.asarray(da * act.df(z, a))


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(
        np.abs(a - b).max() <= _CLOSE * max(np.abs(a).max(), np.abs(b).max(), 1e-300)
    )


# ---------------------------------------------------------------- what f computes


def recognise(
    theta: Sequence[Array],
    X: Array,
    T: Array,
    value: float,
    masks: Sequence[Array] = (),
    eps: float = 2.0**-52,
) -> Model | None:
    """Return the network that these blocks make, whose loss on X (N, I), T (N, O) is ``value``.

    Weights chain from I to O, each (in, out) or (out, in), a bias behind its weights; activations
    and loss are those of Seedbed's that give the value to a few ``eps``, the simplest first. None
    where none does.
    """
    for shape in _chains(theta, X.shape[1], T.shape[1]):
        hidden_choices = [_HIDDEN] * (len(shape) - 1)
        uniform = [[name] * len(hidden_choices) for name in _HIDDEN]
        mixed = [] if len(shape) > 3 else [list(each) for each in product(*hidden_choices)]
        tried: set[tuple[str, ...]] = set()
        for hidden in [*uniform, *mixed]:
            for last in _OUTPUT:
                chosen = (*hidden, last)
                if chosen in tried:
                    continue
                tried.add(chosen)
                layers = [
                    Layer(
                        theta[w], None if b is None else theta[b], w, b, _activation(name), turned
                    )
                    for (w, b, turned), name in zip(shape, chosen, strict=True)
                ]
                for loss in _losses(T):
                    model = _scaled(Model(layers, loss, X, T, masks=masks), value, eps)
                    if model is not None:
                        return model
    return None


_HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish",
           "softplus", "softsign", "identity")  # fmt: skip
_OUTPUT = ("identity", "sigmoid", "tanh", "relu", "softplus")


def _activation(name: str) -> Activation:
    unit = activations.BY_NAME[name]
    return unit if isinstance(unit, Activation) else unit()


def _losses(T: Array) -> Iterator[Loss]:
    yield losses.squared_error
    distribution = T.shape[1] > 1 and np.allclose(T.sum(axis=1), 1) and (T >= 0).all()
    if distribution:
        yield losses.cross_entropy
    if ((T >= 0) & (T <= 1)).all():
        yield losses.binary_cross_entropy
    yield losses.absolute_error
    yield losses.huber()
    if (T >= 0).all():
        yield losses.poisson


def _scaled(model: Model, value: float, eps: float) -> Model | None:
    """Return the model with the factor that makes its loss f's, if one of the usual ones does."""
    with np.errstate(all="ignore"):
        own = model.value()
    if not np.isfinite(own) or own == 0:
        return None
    rows, outputs = model.T.shape
    for factor in (1, 0.5, rows, rows / 2, outputs, outputs / 2, rows * outputs,
                   rows * outputs / 2, 1 / outputs):  # fmt: skip
        if abs(own * factor - value) <= max(1e-9, 10 * eps) * max(abs(value), 1e-12):
            return Model(model.layers, model.loss, model.X, model.T, factor, model.masks)
    return None


Place = tuple[int, int | None, bool]


def _chains(theta: Sequence[Array], inputs: int, outputs: int) -> Iterator[list[Place]]:
    """Yield ways in which blocks make layers: each W's place, its b's and whether W is turned."""
    weights = [i for i, block in enumerate(theta) if block.ndim == 2 and min(block.shape) >= 1]
    vectors = [i for i, block in enumerate(theta) if block.ndim <= 1 or 1 in block.shape[:1]]

    def walk(
        width: int,
        left: tuple[int, ...],
        free: tuple[int, ...],
        done: list[tuple[int, int | None, bool]],
    ) -> Iterator[list[tuple[int, int | None, bool]]]:
        if width == outputs and done and not free and not left:
            yield done
        for w in left:
            for turned in (False, True):
                shape = theta[w].shape[::-1] if turned else theta[w].shape
                if shape[0] != width or (turned and shape[0] == shape[1]):
                    continue
                rest = tuple(i for i in left if i != w)
                fitting = [i for i in free if i != w and theta[i].size == shape[1]]
                for b in [*fitting[:1], None]:
                    others = tuple(i for i in free if i not in (w, b))
                    left_over = tuple(i for i in rest if i != b)
                    yield from walk(shape[1], left_over, others, [*done, (w, b, turned)])
                break

    yield from walk(inputs, tuple(weights), tuple(vectors), [])
