"""Infers which network f computes: the one whose gradient is the loss's derivative."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice, product

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.evidence import Evidence, is_vector
from seedbed.checking.faulty_passes import SOFTMAX_SQUARES, Layer, Model, right_deltas
from seedbed.formulas import activations, losses
from seedbed.formulas.activations import identity, relu, sigmoid, softplus, tanh
from seedbed.formulas.losses import Loss

LayerBlocks = tuple[int, int | None, bool]
"""The block of a layer's W, the block of its b, and whether W is (out, in)."""
_COMMON = (sigmoid, tanh, relu, identity)
"""Activations that networks of three or more hidden layers may mix."""
_OUTPUT = (identity, sigmoid, tanh, relu, softplus)
_OTHERS = [unit for unit in map(activations.by_name, activations.BY_NAME) if unit not in _COMMON]
_HIDDEN = (sigmoid, tanh, relu, *_OTHERS, identity)
"""Activations of hidden layers, the likeliest first."""
_MAX_CHAINS = 200
"""Ways to make layers of the blocks that are considered."""
_MAX_WORK, _WORK_PER_MODEL = 2e9, 1e5
"""Limit on the numbers that a search computes (a few seconds), and the minimum per model."""


def infer_network(
    evidence: Evidence, X: Array, T: Array, value: float, masks: Sequence[Array], eps: float,
    columns: bool = False,
) -> Model | None:  # fmt: skip
    """Return the network that the blocks make, whose loss on X (N, I), T (N, O) f computes.

    Weights chain from I to O, all (in, out) or all (out, in), each with a bias of its width or
    none; activations and loss are Seedbed's. Where both orders fit, ``columns`` puts (out, in)
    first. The result is the simplest network whose loss is f's
    value, up to a usual factor, and whose gradient dL is the derivative. Without one it is the
    first for which some c dL + λ W is the derivative, or None.
    """
    work = _MAX_WORK
    for blocks in likely_chains(evidence.theta, [(X.shape[1], T.shape[1])], columns):
        others = []
        for model in _models(blocks, evidence.theta, X, T, masks):
            work -= _WORK_PER_MODEL + len(X) * sum(layer.W.size for layer in model.layers)
            if work < 0:
                return None
            with np.errstate(all="ignore"):
                loss = model.value()
                factor = _usual_factor(model, loss, value, eps)
                if factor is not None:
                    scaled = replace(model, factor=factor)
                    if _is_right(evidence, scaled):
                        return scaled
            if np.isfinite(loss):
                others.append(model)
        for model in others:
            work -= 4 * (_WORK_PER_MODEL + len(X) * sum(layer.W.size for layer in model.layers))
            if work < 0:
                return None
            with np.errstate(all="ignore"):
                fitted = _fitted(evidence, model)
            if fitted is not None:
                return fitted
    return None


def likely_chains(
    theta: Sequence[Array], ends: Sequence[tuple[int, int]], columns: bool
) -> list[list[LayerBlocks]]:
    """Return the ways in which the blocks make layers from I to O, the likeliest first."""
    possible = [chain for i, o in ends for chain in islice(chains(theta, i, o), _MAX_CHAINS)]
    return sorted(possible, key=lambda chain: _oddity(chain, theta, columns))


def _oddity(chain: Sequence[LayerBlocks], theta: Sequence[Array], columns: bool) -> float:
    """Return how unusual the shapes of a chain's weights and biases are."""
    odd = 0.5 * (any(transposed for _, _, transposed in chain) != columns)
    for w, b, transposed in chain:
        odd += theta[w].ndim != 2
        if b is None:
            odd += 1
        elif theta[b].ndim == 2 and theta[b].size > 1:
            odd += theta[b].shape[0 if transposed else 1] == 1
    return odd


def _usual_factor(model: Model, loss: float, value: float, eps: float) -> float | None:
    """Return the usual factor that turns a model's mean loss into f's; None if there is none."""
    if not np.isfinite(loss) or loss == 0:
        return None
    n, o = model.T.shape
    for factor in (1, 0.5, n, n / 2, o, o / 2, n * o, n * o / 2, 1 / o, 0.5 / o):
        if abs(loss * factor - value) <= max(1e-9, 10 * eps) * max(abs(value), 1e-300):
            return factor
    return None


def _gradient(evidence: Evidence, model: Model) -> Iterator[tuple[int, Array]]:
    """Yield each block and the model's gradient by it, in theta's shape."""
    for layer, x, delta in zip(model.layers, model.forward()[0], right_deltas(model), strict=True):
        yield layer.W_block, layer.dW(x, delta).reshape(evidence.theta[layer.W_block].shape)
        if layer.b_block is not None:
            yield layer.b_block, delta.sum(axis=0).reshape(evidence.theta[layer.b_block].shape)


def _is_right(evidence: Evidence, model: Model) -> bool:
    return all(evidence.agrees(block, g) for block, g in _gradient(evidence, model))


def _fitted(evidence: Evidence, model: Model) -> Model | None:
    """Return the model with the c and λ for which c dL + λ W is the derivative, if any."""
    weights = {layer.W_block for layer in model.layers}
    rows, targets = [], []
    gradient = list(_gradient(evidence, model))
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
    blocks: Sequence[LayerBlocks], theta: Sequence[Array], X: Array, T: Array,
    masks: Sequence[Array],
) -> Iterator[Model]:  # fmt: skip
    """Yield the networks that blocks in this order may make, the simplest first."""
    hidden = len(blocks) - 1
    widths = [_width(theta[w], transposed) for w, _, transposed in blocks[:-1]]
    if any(mask.shape[1] != width for mask, width in zip(masks, widths, strict=False)):
        return
    uniform = [(unit,) * hidden for unit in _HIDDEN]
    mixed = product(_HIDDEN if hidden < 3 else _COMMON, repeat=hidden) if hidden < 5 else ()
    for units in dict.fromkeys([*uniform, *mixed]):
        for last in _OUTPUT:
            layers = [
                Layer(
                    theta[w] if theta[w].ndim == 2 else theta[w].reshape(-1, 1),
                    None if b is None else theta[b], w, b, unit, transposed,
                )
                for (w, b, transposed), unit in zip(blocks, (*units, last), strict=True)
            ]  # fmt: skip
            for loss in _losses(T, last == identity):
                yield Model(layers, loss, X, T, masks=masks)


def _width(block: Array, transposed: bool) -> int:
    return 1 if block.ndim == 1 else block.shape[0 if transposed else 1]


def _losses(T: Array, from_logits: bool) -> Iterator[Loss]:
    yield losses.squared_error
    distribution = T.shape[1] > 1 and np.allclose(T.sum(axis=1), 1) and (T >= 0).all()
    if distribution and from_logits:
        yield losses.cross_entropy
        yield SOFTMAX_SQUARES
    if ((T >= 0) & (T <= 1)).all():
        yield losses.binary_cross_entropy
    yield losses.absolute_error
    yield losses.huber()
    if (T >= 0).all():
        yield losses.poisson


def chains(theta: Sequence[Array], inputs: int, outputs: int) -> Iterator[list[LayerBlocks]]:
    """Yield the ways in which the blocks make layers.

    A vector may be a bias, or the weights of a single unit.
    """
    vectors = [i for i, block in enumerate(theta) if is_vector(block)]

    def extend(
        width: int, free: tuple[int, ...], chain: list[LayerBlocks], transposed: bool
    ) -> Iterator[list[LayerBlocks]]:
        if width == outputs and chain and not free:
            yield chain
        for w in free:
            shape = theta[w].shape[::-1] if transposed else theta[w].shape
            if len(shape) < 2:
                shape = (theta[w].size, 1)
            if len(shape) != 2 or shape[0] != width:
                continue
            rest = tuple(i for i in free if i != w)
            biases = [i for i in rest if i in vectors and theta[i].size == shape[1]]
            biases.sort(key=lambda i: theta[i].ndim > 1)
            for b in [*biases[:3], None]:
                yield from extend(
                    shape[1],
                    tuple(i for i in rest if i != b),
                    [*chain, (w, b, transposed and theta[w].ndim == 2)],
                    transposed,
                )
            if w not in vectors:
                break  # matrices of one shape are taken in order

    everything = tuple(range(len(theta)))
    for transposed in (False, True):
        yield from extend(inputs, everything, [], transposed)
