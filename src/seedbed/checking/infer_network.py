"""Which network f computes: the one whose gradient is the loss's derivative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.naming import Evidence
from seedbed.checking.suspects import SOFTMAX_SQUARES, Layer, Model, right
from seedbed.formulas import activations, losses
from seedbed.formulas.losses import Loss

Place = tuple[int, int | None, bool]
"""Where a layer's W is among the blocks, and its b, and whether W is (out, in)."""
_HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish",
           "softplus", "softsign", "identity")  # fmt: skip
_USUAL = ("sigmoid", "tanh", "relu", "identity")
_OUTPUT = ("identity", "sigmoid", "tanh", "relu", "softplus")
_MOST, _LEAST = 2e9, 1e5
"""Numbers that are computed at most in looking for a network, about, and what a network costs
however small it is: a few seconds."""


def recognise(
    evidence: Evidence, X: Array, T: Array, value: float, masks: Sequence[Array], eps: float
) -> Model | None:
    """Return the network that the blocks make, whose loss on X (N, I), T (N, O) f computes.

    Weights chain from I to O, all (in, out) or all (out, in), a bias behind its weights;
    activations and loss are Seedbed's. It is the simplest whose loss has f's value, up to a usual
    factor, and whose gradient is the derivative; else one whose gradient and a penalty's together
    are c dL + λ W, whatever c and λ. None where there is none.
    """
    left = _MOST
    for places in _chains(evidence.theta, X.shape[1], T.shape[1]):
        others = []
        for model in _models(places, evidence.theta, X, T, masks):
            left -= _LEAST + len(X) * sum(layer.W.size for layer in model.layers)
            if left < 0:
                return None
            with np.errstate(all="ignore"):
                own = model.value()
                factor = _usual(model, own, value, eps)
                if factor is not None:
                    scaled = replace(model, factor=factor)
                    if _is_right(evidence, scaled):
                        return scaled
            if np.isfinite(own):
                others.append(model)
        for model in others:
            left -= 4 * (_LEAST + len(X) * sum(layer.W.size for layer in model.layers))
            if left < 0:
                return None
            with np.errstate(all="ignore"):
                fitted = _fitted(evidence, model)
            if fitted is not None:
                return fitted
    return None


def _usual(model: Model, own: float, value: float, eps: float) -> float | None:
    """Return by which of the usual factors a model's mean loss is f's; None if by none."""
    if not np.isfinite(own) or own == 0:
        return None
    n, o = model.T.shape
    for factor in (1, 0.5, n, n / 2, o, o / 2, n * o, n * o / 2, 1 / o, 0.5 / o):
        if abs(own * factor - value) <= max(1e-9, 10 * eps) * max(abs(value), 1e-300):
            return factor
    return None


def _gradient(model: Model) -> list[tuple[int, Array]]:
    """Return each block and the model's gradient by it."""
    found = []
    for layer, x, delta in zip(model.layers, model.forward()[0], right(model), strict=True):
        found.append((layer.W_block, layer.dW(x, delta)))
        if layer.b_block is not None:
            found.append((layer.b_block, delta.sum(axis=0)))
    return found


def _is_right(evidence: Evidence, model: Model) -> bool:
    return all(
        evidence.agrees(block, gradient.reshape(evidence.theta[block].shape))
        for block, gradient in _gradient(model)
    )


def _fitted(evidence: Evidence, model: Model) -> Model | None:
    """Return the model with the c and λ for which c dL + λ W is the derivative, if any are."""
    weights = {layer.W_block for layer in model.layers}
    rows, targets = [], []
    gradient = [(b, g.reshape(evidence.theta[b].shape)) for b, g in _gradient(model)]
    for block, g in gradient:
        known = np.isfinite(evidence.slopes[block])
        theta = evidence.theta[block][known] * (block in weights)
        rows.append(np.column_stack([g[known], theta]))
        targets.append(evidence.slopes[block][known])
    A, b = np.concatenate(rows), np.concatenate(targets)
    if not np.isfinite(A).all():
        return None
    (c, strength), *_ = np.linalg.lstsq(A, b, rcond=None)
    small = 1e-9 * np.abs(b).max(initial=0)
    if not c or np.abs(c * A[:, 0]).max() <= small:
        return None
    if np.abs(strength * A[:, 1]).max() <= small:
        strength = 0.0
    for block, g in gradient:
        theta = evidence.theta[block] * (block in weights)
        if not evidence.agrees(block, c * g + strength * theta):
            return None
    return replace(model, factor=float(c), decay=float(strength))


def _models(
    places: Sequence[Place], theta: Sequence[Array], X: Array, T: Array, masks: Sequence[Array]
) -> Iterator[Model]:
    """Yield the networks that blocks in their places may make, the simplest first."""
    hidden = len(places) - 1
    widths = [_width(theta[w], turned) for w, _, turned in places[:-1]]
    if any(mask.shape[1] != width for mask, width in zip(masks, widths, strict=False)):
        return
    uniform = [(name,) * hidden for name in _HIDDEN]
    mixed = product(_HIDDEN if hidden < 3 else _USUAL, repeat=hidden) if hidden < 5 else ()
    for kinds in dict.fromkeys([*uniform, *mixed]):
        for last in _OUTPUT:
            layers = [
                Layer(
                    _matrix(theta[w]), None if b is None else theta[b], w, b,
                    activations.by_name(name), turned,
                )
                for (w, b, turned), name in zip(places, (*kinds, last), strict=True)
            ]  # fmt: skip
            for loss in _losses(T, last):
                yield Model(layers, loss, X, T, masks=masks)


def _width(block: Array, turned: bool) -> int:
    return 1 if block.ndim == 1 else block.shape[0 if turned else 1]


def _matrix(block: Array) -> Array:
    return block if block.ndim == 2 else block.reshape(-1, 1)


def _losses(T: Array, last: str) -> Iterator[Loss]:
    yield losses.squared_error
    distribution = T.shape[1] > 1 and np.allclose(T.sum(axis=1), 1) and (T >= 0).all()
    if distribution and last == "identity":
        yield losses.cross_entropy
        yield SOFTMAX_SQUARES
    if ((T >= 0) & (T <= 1)).all():
        yield losses.binary_cross_entropy
    yield losses.absolute_error
    yield losses.huber()
    if (T >= 0).all():
        yield losses.poisson


def _chains(theta: Sequence[Array], inputs: int, outputs: int) -> Iterator[list[Place]]:
    """Yield ways in which blocks make layers: each W's place, its b's and whether W is (out, in).

    A block of one long axis may be a bias, or the weights of a single unit.
    """
    vectors = [i for i, block in enumerate(theta) if block.size == max(block.shape, default=1)]

    def walk(
        width: int, free: tuple[int, ...], done: list[Place], turned: bool
    ) -> Iterator[list[Place]]:
        if width == outputs and done and not free:
            yield done
        for w in free:
            shape = theta[w].shape[::-1] if turned else theta[w].shape
            if len(shape) < 2:
                shape = (theta[w].size, 1)
            if len(shape) != 2 or shape[0] != width:
                continue
            rest = tuple(i for i in free if i != w)
            fitting = [i for i in rest if i in vectors and theta[i].size == shape[1]]
            fitting.sort(key=lambda i: theta[i].ndim > 1)
            for b in [*fitting[:3], None]:
                yield from walk(
                    shape[1],
                    tuple(i for i in rest if i != b),
                    [*done, (w, b, turned and theta[w].ndim == 2)],
                    turned,
                )
            if w not in vectors:
                break  # of matrices of one shape, the first comes first

    everything = tuple(range(len(theta)))
    for turned in (False, True):
        yield from walk(inputs, everything, [], turned)
