"""The right backward pass of a network, and passes with common faults.

A backward pass computes δ at the outputs, propagates it from layer to layer, and takes a product
for each layer's weights and a sum for its biases. Each step has a few common faults, and a pass
with some of them gives recognisable gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array
from seedbed.formulas import losses
from seedbed.formulas.activations import Activation, identity, relu, sigmoid, tanh
from seedbed.formulas.losses import Loss

_TOLERANCE = 1e-7
"""δ that differ by less, relative to the largest, are the same candidate."""
_MAX_PASSES = 50
"""Candidates kept for each layer, those with the fewest faults."""


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
class PassFault:
    """A fault of a backward pass.

    place   in words
    layer   the last layer whose gradient it changes
    detail  what is used instead
    """

    kind: str
    place: str
    layer: int
    detail: str = ""


@dataclass(frozen=True)
class BackwardPass:
    """The δ that a backward pass gives each layer, and its faults.

    da  the derivative by the activations of the first of these layers, before σ′; None if that is
        not part of the pass
    """

    faults: tuple[PassFault, ...]
    deltas: tuple[Array, ...]
    da: Array | None = None


def right_deltas(model: Model) -> list[Array]:
    """Return the right δ (N, O) of each layer, from the first to the last."""
    _, zs, outputs = model.forward()
    deltas = [model.dy(model.loss) * model.layers[-1].activation.df(zs[-1], outputs[-1])]
    for number in reversed(range(len(model.layers) - 1)):
        da = _masked(model, number, deltas[0] @ _back(model, number))
        deltas.insert(0, da * model.layers[number].activation.df(zs[number], outputs[number]))
    return deltas


def backward_passes(model: Model, fits: Callable[[int, Array], bool]) -> list[BackwardPass]:
    """Return backward passes by their number of faults, the right one first.

    fits  whether f's gradient of a layer may come from a δ; others are not followed further down
    """
    _, zs, outputs = model.forward()
    last = len(model.layers) - 1
    passes = [
        BackwardPass(() if fault is None else (PassFault(*fault, last),), (delta,), da)
        for fault, delta, da in _output_deltas(model, zs, outputs)
        if fits(last, delta)
    ]
    for number in reversed(range(last)):
        longer = []
        for above in passes:
            tried: list[Array] = []
            for fault, da, delta in _propagated(model, number, above, zs, outputs):
                if any(_equal(delta, other) for other in tried):
                    continue
                tried.append(delta)
                if fits(number, delta):
                    faults = above.faults + (() if fault is None else (fault,))
                    longer.append(BackwardPass(faults, (delta, *above.deltas), da))
        passes = sorted(longer, key=lambda each: len(each.faults))[:_MAX_PASSES]
    return sorted(passes, key=lambda each: len(each.faults))


def _output_deltas(
    model: Model, zs: list[Array], outputs: list[Array]
) -> Iterator[tuple[tuple[str, str] | None, Array, Array | None]]:
    """Yield each fault at the outputs, its δ and the derivative by the activations.

    The right one, None, is first.
    """
    z, a, act = zs[-1], outputs[-1], model.layers[-1].activation
    dy = model.dy(model.loss)
    right = dy * act.df(z, a)
    by_probability = _by_probability(model, z)
    da = dy if act != identity else by_probability
    yielded = [right]
    yield None, right, da
    candidates: list[tuple[tuple[str, str], Array]] = [
        (("slope of the activation", "the output"), dy * act.df(a, act.f(a))),
        (("slope missing", "the output"), dy),
    ]
    if act in (sigmoid, tanh):
        candidates.append((("slope with z for a", "the output"), dy * act.df(z, z)))
    if act == relu:
        candidates.append((("mask of dA", "the output"), dy * (dy > 0)))
    for wrong in (sigmoid, tanh, relu) if act != identity else ():
        if wrong != act:
            kind = ("slope of another activation", "the output")
            candidates += [(kind, dy * wrong.df(z, value)) for value in (a, wrong.f(z))]
    if by_probability is not None:
        candidates += _softmax_faults(model, z, by_probability)
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
            yield fault, delta, da


def _by_probability(model: Model, z: Array) -> Array | None:
    """Return the loss's derivative by the predicted probabilities; None if it predicts none."""
    loss = model.loss
    if model.layers[-1].activation != identity or loss.targets not in ("probability", "classes"):
        return None
    p = loss.predict(loss.normalised(z))
    share = model.factor / model.terms(loss)
    with np.errstate(all="ignore"):
        if loss is SOFTMAX_SQUARES:
            return 2 * share * (p - model.T)
        return share * (
            -model.T / p if loss.targets == "classes" else (p - model.T) / (p * (1 - p))
        )


def _softmax_faults(
    model: Model, z: Array, by_probability: Array
) -> Iterator[tuple[tuple[str, str], Array]]:
    """Yield the faults of the step from probabilities to outputs, and their δ."""
    if model.loss.targets != "classes":
        yield ("slope missing", "the output"), by_probability
        return
    p = model.loss.predict(model.loss.normalised(z))
    yield ("softmax Jacobian missing", ""), by_probability
    yield ("softmax Jacobian's diagonal", ""), by_probability * p * (1 - p)
    error = model.dy(model.loss)
    yield ("softmax Jacobian twice", ""), p * (error - (error * p).sum(axis=1, keepdims=True))
    yield ("softmax Jacobian twice", ""), error * p * (1 - p)


def _propagated(
    model: Model, number: int, above: BackwardPass, zs: list[Array], outputs: list[Array]
) -> Iterator[tuple[PassFault | None, Array | None, Array]]:
    """Yield each fault with which δ may reach a hidden layer, its da and its δ; first the right."""
    act, z, a = model.layers[number].activation, zs[number], outputs[number]
    slope, W, delta = act.df(z, a), _back(model, number), above.deltas[0]
    place = f"hidden layer {number + 1}"
    over = "the output" if number + 2 == len(zs) else f"hidden layer {number + 2}"

    def fault(kind: str, where: str = place, detail: str = "") -> PassFault:
        return PassFault(kind, where, number, detail)

    da = _masked(model, number, delta @ W)
    yield None, da, da * slope
    yield fault("slope of the activation"), da, da * act.df(a, act.f(a))
    yield fault("slope missing"), da, da
    if act in (sigmoid, tanh):
        yield fault("slope with z for a"), da, da * act.df(z, z)
    if number < len(model.masks):
        unmasked = delta @ W
        yield fault("mask missing"), unmasked, unmasked * slope
    if W.shape[0] == W.shape[1]:
        other = _masked(model, number, delta @ W.T)
        yield fault("weights transposed"), other, other * slope
    if above.da is not None:
        other = _masked(model, number, above.da @ W)
        yield fault("slope not passed back", over), other, other * slope
    if delta.shape[1] in (1, z.shape[1]):
        other = _masked(model, number, np.broadcast_to(delta, z.shape))
        yield fault("weights missing"), other, other * slope
    if act == relu:
        yield fault("mask of dA"), da, da * (da > 0)
    for other_number, other_z in enumerate(zs):
        if other_number != number and other_z.shape[1] in (1, z.shape[1]):
            unit = model.layers[other_number].activation
            name = "the output" if other_number + 1 == len(zs) else f"layer {other_number + 1}"
            for each in (act, unit):
                wrong = da * each.df(other_z, each.f(other_z))
                yield fault("slope of another layer", detail=f"{name}'s z"), da, wrong
    for unit in (sigmoid, tanh, relu):
        if unit != act:
            for value in (a, unit.f(z)):
                detail = f"{unit.name}'s, but the layer is {act.name}"
                wrong = da * unit.df(z, value)
                yield fault("slope of another activation", detail=detail), da, wrong


def _back(model: Model, number: int) -> Array:
    """Return the matrix (O, I) through which δ of the next layer reaches a layer."""
    above = model.layers[number + 1]
    return above.W if above.transposed else above.W.T


def _masked(model: Model, number: int, da: Array) -> Array:
    return da * model.masks[number] if number < len(model.masks) else da


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool(
        np.abs(a - b).max() <= _TOLERANCE * max(np.abs(a).max(), np.abs(b).max(), 1e-300)
    )
