"""The objective: each member's mean loss with its penalties, and the derivatives by theta.

The chain rule in two short loops, for all members at once. Every array has the members first:
theta (P, D), activations (P, B, units). ``np.matmul`` takes each member's product on its own, so a
member's numbers do not depend on the other members. dX is the derivative of a member's loss by X,
and has X's shape. A layer's own formulas are in ``layers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, as_array, checked_count
from seedbed.checks import checked_inputs, checked_targets, checked_weights
from seedbed.engines.batches import Batch, whole_batch
from seedbed.engines.plan import Hyperparameters
from seedbed.errors import DataError, ShapeError
from seedbed.formulas.losses import Loss
from seedbed.formulas.penalties import penalty, penalty_d
from seedbed.layers.base import Pass
from seedbed.network import Network

if TYPE_CHECKING:
    from seedbed.recipe import Recipe

PIECE = 2**15
"""How many numbers the optimizer takes at once: its temporaries then stay in the nearest caches."""
Masks = Sequence[Array | None]
"""Dropout's mask of each hidden layer, (P, B, units); None for a layer without dropout."""


def forward(
    network: Network, layers: Sequence[Any], x: Array, masks: Masks = ()
) -> tuple[Array, list[Pass]]:
    """Return the network's outputs (P, B, O) and each layer's pass.

        a' = layer(a)           for each layer; a = x before the first
        a' <- a' · mask         for each hidden layer, where dropout is on

    Shapes: x (P, B, I), or (1, B, I) where members share it; layers as from ``Network.views``.
    """
    passes, a = list[Pass](), x
    for number, (layer, p) in enumerate(zip(network.layers, layers, strict=True)):
        passes.append(layer.forward(p, a))
        a = passes[-1].a
        if number < len(masks) and (mask := masks[number]) is not None:
            a = a * mask
    return a, passes


def backward(
    network: Network,
    layers: Sequence[Any],
    passes: Sequence[Pass],
    masks: Masks,
    dy: Array,
    dlayers: Sequence[Any],
    slopes: list[tuple[Array, Array]] | None = None,
) -> None:
    """Write the gradient by every parameter into ``dlayers``, from dy, (P, B, O).

    ``slopes`` is filled with each layer's da and dz (P, B, O), the last one's first, if given.

        da <- da · mask                      where dropout was on
        dz, dθ, da = layer's derivatives     for each layer, the last one first; da = dy at the last
    """
    da = dy
    for number in reversed(range(len(layers))):
        if number < len(masks) and (mask := masks[number]) is not None:
            da = da * mask
        layer = network.layers[number]
        dz, below = layer.backward(
            layers[number], passes[number], da, dlayers[number], below=number > 0
        )
        if slopes is not None:
            slopes.append((da, dz))
        da = below


def dropout_masks(
    network: Network, seeds: Array, epoch: int, batch: Batch, rate: Array
) -> list[Array | None]:
    """Return the masks of the hidden layers, (P, B, units) each."""
    masks, rows = list[Array | None](), batch.x.shape[1]
    for number, layer in enumerate(network.layers[:-1]):
        if not layer.dropped:
            masks.append(None)
            continue
        key, units = streams.keys(seeds, "dropout", epoch, number), network.widths[number + 1]
        mask = streams.keep_mask(key, rows * units, batch.start * units, rate, batch.x.dtype)
        masks.append(mask.reshape(len(seeds), rows, units))
    return masks


def evaluate(
    network: Network, loss: Loss, layers: Sequence[Any], batches: Iterable[Batch]
) -> Array:
    """Return each member's mean loss over ``batches``, (P,), without dropout or penalties."""
    total: Array | float = 0.0
    for batch in batches:
        y, _ = forward(network, layers, batch.x)
        total = total + loss.mean(loss.normalised(y), batch.t, batch.share) * batch.weight
    return np.asarray(total)


class Trace:
    """What one pass forward and back computed, for explanations and diagnosis.

    passes  of the layers, the first one's first
    y, dy   the outputs and the loss's derivative by them, (P, B, O)
    slopes  da and dz of the layers, (P, B, O) each, the last one's first
    bare    (P, D) the gradient of the loss alone, without the penalties'
    """

    passes: list[Pass]
    y: Array
    dy: Array
    bare: Array

    def __init__(self) -> None:
        self.slopes: list[tuple[Array, Array]] = []


class Objective:
    """The objective of a block of members at theta, and its derivatives, in reused buffers.

    theta   (P, D), whose views are taken once: it must be changed in place
    g       (P, D) the gradient by theta
    pieces  slices of D, for work on each parameter by itself
    """

    def __init__(
        self, network: Network, loss: Loss, numbers: Hyperparameters, theta: Array
    ) -> None:
        self.network, self.loss, self.numbers, self.theta = network, loss, numbers, theta
        self.layers = network.views(theta)
        self.g = np.empty_like(theta)
        self.dlayers = network.views(self.g)
        self.penalized = bool(numbers.l1.any() or numbers.l2.any())
        self.decays = bool(numbers.weight_decay.any())
        width = max(1, PIECE // len(theta))
        self.pieces = [slice(start, start + width) for start in range(0, network.size, width)]

    def gradient(self, batch: Batch, masks: Masks = (), trace: Trace | None = None) -> Array:
        """Return each member's mean loss on the batch, (P,), and write the gradient into g.

        The gradient is that of loss and penalty together; the loss is without the penalty. A
        ``trace`` is filled with what was computed on the way.
        """
        loss = self.loss
        y, passes = forward(self.network, self.layers, batch.x, masks)
        seen = loss.normalised(y)
        value, dy = loss.mean(seen, batch.t, batch.share), loss.df(seen, batch.t) * batch.share
        slopes = None if trace is None else trace.slopes
        backward(self.network, self.layers, passes, masks, dy, self.dlayers, slopes)
        if trace is not None:
            trace.passes, trace.y, trace.dy, trace.bare = passes, y, dy, self.g.copy()
        if self.penalized:
            l1, l2 = self.numbers.l1, self.numbers.l2
            for piece in self.pieces:
                slope = penalty_d(self.theta[:, piece], l1, l2)
                self.g[:, piece] += np.where(self.network.is_weight[piece], slope, 0)
        return value

    def penalty(self) -> Array:
        """Return the penalty at theta, (P,)."""
        weights = self.theta[:, self.network.is_weight]
        return np.asarray(penalty(weights, self.numbers.l1, self.numbers.l2).sum(axis=1))

    def residuals(self, batch: Batch, masks: Masks = ()) -> tuple[Array, Array]:
        """Return residuals r (P, B O) with loss = Σ r², and their Jacobian dr/dtheta (P, B O, D).

        The loss must be a square, which the recipe checks; penalties have no residuals. One
        backward pass for each output, in which every row is a member of its own.
        """
        residual = self.loss.residual
        assert residual is not None
        rows = [p if p is None else p[:, :, None] for p in masks]
        layers = [type(p)(*(each[:, None] for each in p)) for p in self.layers]
        y, passes = forward(self.network, layers, batch.x[:, :, None], rows)
        P, B, _, O = y.shape
        scale = np.sqrt(batch.share)
        jacobian = np.empty((P, B, O, self.network.size), dtype=self.theta.dtype)
        for o in range(O):
            own = np.empty((P * B, self.network.size), dtype=self.theta.dtype)
            dlayers = [
                type(p)(*(each.reshape(P, B, *each.shape[1:]) for each in p))
                for p in self.network.views(own)
            ]
            dy = np.zeros_like(y)
            dy[..., o] = scale[:, :, None, o]
            backward(self.network, layers, passes, rows, dy, dlayers)
            jacobian[:, :, o] = own.reshape(P, B, -1)
        r = residual(y[:, :, 0], batch.t) * scale
        return r.reshape(P, -1), jacobian.reshape(P, B * O, -1)


def clip_factor(g: Array, norm: Array) -> Array:
    """Return min(1, norm / ‖g‖), (P, 1), the norm over all of a member's parameters.

    Source: Pascanu, Mikolov, Bengio 2013, algorithm 1.
    """
    return np.asarray(norm / np.maximum(length(g), norm))


def length(g: Array) -> Array:
    """Return ‖g‖, (P, 1), over all of a member's parameters."""
    result = np.sqrt(np.vecdot(g, g))
    large = np.isinf(result)
    if large.any():  # the squares overflowed: take the longest part out first
        longest = np.abs(g[large]).max(axis=1)
        scaled = g[large] / longest[:, None]
        result[large] = longest * np.sqrt(np.vecdot(scaled, scaled))
    return np.asarray(result[:, None])


def value_and_grad(
    recipe: Recipe,
    theta: Array,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    seeds: Any = None,
    epoch: int = 0,
) -> tuple[Array, Array]:
    """Return a recipe's objective at theta on all rows, (P,), and its gradient by theta, (P, D).

    The objective is what training minimises: the mean loss and the penalties. Dropout is on where
    ``seeds`` are given: its masks are those of that epoch's first batch.

    Shapes: theta (P, D); X (N, I); Y (N, O), (N,) or class numbers (N,). Computed in theta's own
    dtype, which may be complex.
    Raises: ShapeError, DataError.
    """
    network, loss = recipe.network, recipe.loss
    theta = as_array(theta, "theta", ShapeError).copy()
    if theta.dtype.kind not in "fc":
        raise DataError(f"theta holds {theta.dtype} values; it needs floating point numbers")
    real = theta.real.dtype
    numbers = recipe.hyperparameters(len(theta), real)
    objective = Objective(network, loss, numbers, theta)
    x = checked_inputs(X, network, real)
    t = checked_targets(Y, loss, network.outputs, len(x), real)
    w = checked_weights(sample_weight, len(x), real, "sample_weight")
    batch = whole_batch(x, t, w, loss)
    masks: Masks = ()
    if seeds is not None:
        seeds = streams.checked_seeds(seeds)
        if len(seeds) != len(theta):
            raise ShapeError(f"theta has {len(theta)} rows and there are {len(seeds)} seeds")
        epoch = checked_count("epoch", epoch, 0)
        masks = dropout_masks(network, seeds, epoch, batch, numbers.dropout)
    with np.errstate(all="ignore"):
        return objective.gradient(batch, masks) + objective.penalty(), objective.g
