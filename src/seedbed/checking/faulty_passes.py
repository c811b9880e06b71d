"""The right backward pass of a network, and passes with common faults.

A backward pass computes δ at the outputs, propagates it from layer to layer, and takes a product
for each layer's weights and a sum for its biases. Each step has a few common faults, and a pass
with some of them gives recognisable gradients.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from seedbed.arrays import Array
from seedbed.formulas import losses
from seedbed.formulas.activations import Activation, identity, sigmoid
from seedbed.formulas.losses import Loss

_TOLERANCE = 1e-7
"""δ that differ by less, relative to the largest, are the same candidate."""


def _softmax_squares(y: Array, t: Array) -> Array:
    p = np.exp(y)
    return (p - t) * (p - t)


def _softmax_squares_d(y: Array, t: Array) -> Array:
    p = np.exp(y)
    g = 2 * (p - t)
    return p * (g - (g * p).sum(axis=-1, keepdims=True))


SOFTMAX_SQUARES = Loss(
    "squared_error of softmax", _softmax_squares, _softmax_squares_d, np.exp, targets="classes"
)
"""l = (softmax y - t)²; y as log-probabilities, the derivative by the network's own output."""


@dataclass(frozen=True)
class Layer:
    """One layer of f's network.

    W        (I, O), or (O, I) if ``transposed``
    b        of O numbers, or None
    W_block  the number of W's block in theta; b_block likewise
    """

    W: Array
    b: Array | None
    W_block: int
    b_block: int | None
    activation: Activation
    transposed: bool = False

    def dW(self, inputs: Array, delta: Array) -> Array:
        """Return the derivative by W, in its shape, for inputs (N, I) and δ (N, O)."""
        dW = inputs.T @ delta
        return np.asarray(dW.T if self.transposed else dW)


@dataclass(frozen=True)
class Model:
    """The network, loss and data from which f computes its loss.

    factor  f's loss as a multiple of the mean loss (see ``formulas.losses``)
    masks   dropout's factors of the hidden activations, (N, units) each
    decay   λ of a penalty ½ λ ΣW² in f's loss
    """

    layers: Sequence[Layer]
    loss: Loss
    X: Array
    T: Array
    factor: float = 1.0
    masks: Sequence[Array] = ()
    decay: float = 0.0

    def forward(self) -> tuple[list[Array], list[Array], list[Array]]:
        """Return each layer's inputs (N, I), pre-activations and activations (N, O)."""
        inputs, zs, outputs = [], [], []
        a = self.X
        for number, layer in enumerate(self.layers):
            inputs.append(a)
            z = a @ (layer.W.T if layer.transposed else layer.W)
            z = z if layer.b is None else z + layer.b.reshape(1, -1)
            zs.append(z)
            a = layer.activation.f(z)
            outputs.append(a)
            if number < len(self.masks):
                a = a * self.masks[number]
        return inputs, zs, outputs

    def value(self) -> float:
        """Return the loss."""
        y = self.loss.normalised(self.forward()[2][-1])
        return self.factor * float(self.loss.f(y, self.T).sum()) / self.terms(self.loss)

    def terms(self, loss: Loss) -> int:
        """Return the number of terms of the loss's mean: rows, times outputs unless classes."""
        return len(self.X) * loss.terms(self.T.shape[1])

    def dy(self, loss: Loss) -> Array:
        """Return the derivative of a loss's mean by the outputs, (N, O)."""
        y = loss.normalised(self.forward()[2][-1])
        return self.factor * loss.df(y, self.T) / self.terms(loss)


@dataclass(frozen=True)
class BackwardPass:
    """The δ that a backward pass gives each layer, and its faults."""

    faults: tuple[tuple[str, str, int], ...]
    """(kind, place in words, last layer whose gradient the fault changes) of each fault"""
    deltas: Sequence[Array]


def right_deltas(model: Model) -> list[Array]:
    """Return the right δ (N, O) of each layer, from the first to the last."""
    _, zs, outputs = model.forward()
    deltas = [model.dy(model.loss) * model.layers[-1].activation.df(zs[-1], outputs[-1])]
    for number in reversed(range(len(model.layers) - 1)):
        deltas.insert(0, _propagate(model, number, deltas[0], zs[number], outputs[number], ""))
    return deltas


def backward_passes(model: Model) -> Iterator[BackwardPass]:
    """Yield backward passes by their number of faults, the right one first."""
    _, zs, outputs = model.forward()
    last = len(model.layers) - 1
    hidden_kinds = [list(_hidden_faults(model, number)) for number in reversed(range(last))]
    passes = []
    for fault, first in _output_deltas(model, zs, outputs):
        for kinds in product(*hidden_kinds):
            deltas, faults = [first], [] if fault is None else [(*fault, last)]
            for number, kind in zip(reversed(range(last)), kinds, strict=True):
                delta = _propagate(model, number, deltas[0], zs[number], outputs[number], kind)
                deltas.insert(0, delta)
                faults += [(kind, f"hidden layer {number + 1}", number)] if kind else []
            passes.append(BackwardPass(tuple(faults), deltas))
    yield from sorted(passes, key=lambda each: len(each.faults))


def _output_deltas(
    model: Model, zs: list[Array], outputs: list[Array]
) -> Iterator[tuple[tuple[str, str] | None, Array]]:
    """Yield each fault at the outputs and its δ; first None and the right one."""
    z, a, act = zs[-1], outputs[-1], model.layers[-1].activation
    dy = model.dy(model.loss)
    yielded = [dy * act.df(z, a)]
    yield None, yielded[0]
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
        if other.targets in ("probability", "classes") and act == sigmoid:
            # outputs that are probabilities already: δ = (a - t), without σ'
            share = model.factor / model.terms(other)
            candidates.append(((f"another loss: {name}", "the output"), share * (a - model.T)))
            continue
        candidates.append(((f"another loss: {name}", "the output"), slope * act.df(z, a)))
    if act == identity and model.loss.predict is not losses.squared_error.predict:
        # the error of the probabilities, times σ' although the derivative by z includes it
        p = model.loss.predict(model.loss.normalised(z))
        error = (p - model.T) * p * (1 - p) * model.factor
        n, o = model.T.shape
        shares, slopes = (1 / n, 2 / n, 1 / (n * o), 2 / (n * o)), [error]
        if model.loss.targets == "classes":
            slopes.append(
                0.5 * model.factor * SOFTMAX_SQUARES.df(model.loss.normalised(z), model.T)
            )
        squares = ("another loss: squared_error", "the output")
        candidates += [(squares, share * each) for each in slopes for share in shares]
    for fault, delta in candidates:
        if np.isfinite(delta).all() and not any(_equal(delta, other) for other in yielded):
            yielded.append(delta)
            yield fault, delta


def _hidden_faults(model: Model, number: int) -> Iterator[str]:
    """Yield the faults with which δ may be propagated to a hidden layer; "" is right."""
    yield ""
    yield "slope of the activation"
    yield "slope missing"
    above = model.layers[number + 1].W
    if above.shape[0] == above.shape[1]:
        yield "weights transposed"
    if number < len(model.masks):
        yield "mask missing"


def _propagate(model: Model, number: int, delta: Array, z: Array, a: Array, kind: str) -> Array:
    above, act = model.layers[number + 1], model.layers[number].activation
    W = above.W if above.transposed else above.W.T
    da = delta @ (W.T if kind == "weights transposed" else W)
    if number < len(model.masks) and kind != "mask missing":
        da = da * model.masks[number]
    if kind == "slope missing":
        return da
    if kind == "slope of the activation":
        return np.asarray(da * act.df(a, act.f(a)))
    return np.asarray(da * act.df(z, a))


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(
        np.abs(a - b).max() <= _TOLERANCE * max(np.abs(a).max(), np.abs(b).max(), 1e-300)
    )
