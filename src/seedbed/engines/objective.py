"""The objective: each member's mean loss plus penalties, and its derivatives by theta.

Forward and backward are loops over the layers, for all members at once. The first axis of every
array is the members: theta (P, D), activations (P, B, units). ``np.matmul`` computes one product
per member, so members do not affect each other. dX, of X's shape, is the derivative of a member's
loss by X. The layers' formulas are in ``layers``.
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
from seedbed.formulas.penalties import penalty, penalty_d, penalty_residual, penalty_residual_d
from seedbed.frames import label_classes
from seedbed.layers.base import Pass
from seedbed.network import Network

if TYPE_CHECKING:
    from seedbed.recipe import Recipe

CHUNK_SIZE = 2**15
"""Numbers that the optimizer updates at a time, so that its temporaries stay in cache."""
Masks = Sequence[Array | None]
"""The dropout mask of each hidden layer, (P, B, units); None for a layer without dropout."""


def forward(
    network: Network, layers: Sequence[Any], x: Array, masks: Masks = ()
) -> tuple[Array, list[Pass]]:
    """Return the network's outputs (P, B, O) and each layer's pass.

        a' = layer(a)           for each layer; a = x before the first
        a' <- a' · mask         for each hidden layer with dropout

    Shapes: x (P, B, I), or (1, B, I) if members share it; layers as from ``Network.views``.
    """
    passes: list[Pass] = []
    a = x
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
    """Write the gradients by all parameters into ``dlayers``, from dy (P, B, O).

        da <- da · mask                      for each hidden layer with dropout
        dz, dθ, da = layer's derivatives     for each layer, last to first; da = dy at the last

    Each layer's da and dz (P, B, O) are appended to ``slopes``, last layer first.
    """
    da = dy
    for number in reversed(range(len(layers))):
        if number < len(masks) and (mask := masks[number]) is not None:
            da = da * mask
        layer = network.layers[number]
        dz, dx = layer.backward(
            layers[number], passes[number], da, dlayers[number], needs_dx=number > 0
        )
        if slopes is not None:
            slopes.append((da, dz))
        da = dx


def dropout_masks(
    network: Network, seeds: Array, epoch: int, batch: Batch, rate: Array
) -> list[Array | None]:
    """Return the masks of the hidden layers, (P, B, units) each."""
    masks: list[Array | None] = []
    rows = batch.x.shape[1]
    for number, layer in enumerate(network.layers[:-1]):
        if not layer.takes_dropout:
            masks.append(None)
            continue
        key, units = streams.keys(seeds, "dropout", epoch, number), network.widths[number + 1]
        mask = streams.keep_mask(key, rows * units, batch.start * units, rate, batch.x.dtype)
        masks.append(mask.reshape(len(seeds), rows, units))
    return masks


def evaluate(
    network: Network, loss: Loss, layers: Sequence[Any], batches: Iterable[Batch]
) -> Array:
    """Return each member's mean loss over ``batches``, (P,), without dropout and penalties."""
    total: Array | float = 0.0
    for batch in batches:
        y, _ = forward(network, layers, batch.x)
        total = total + loss.mean(loss.normalised(y), batch.t, batch.share) * batch.weight
    return np.asarray(total)


class Trace:
    """Intermediate results of a forward and backward pass, for explanations and diagnosis.

    passes  the layers' passes, first layer first
    y, dy   outputs, and the loss's derivative by them, (P, B, O)
    slopes  the layers' da and dz, (P, B, O) each, last layer first
    dloss   (P, D) the gradient of the loss without penalties
    """

    passes: list[Pass]
    y: Array
    dy: Array
    dloss: Array

    def __init__(self) -> None:
        self.slopes: list[tuple[Array, Array]] = []


class Objective:
    """The objective of a block of members at theta, and its derivatives, in reused buffers.

    theta   (P, D); change it in place only, as the layers' views are taken once
    g       (P, D) the gradient by theta
    chunks  slices of D for elementwise work
    """

    def __init__(
        self, network: Network, loss: Loss, hyperparameters: Hyperparameters, theta: Array
    ) -> None:
        self.network, self.loss, self.theta = network, loss, theta
        self.hyperparameters = hyperparameters
        self.layers = network.views(theta)
        self.g = np.empty_like(theta)
        self.dlayers = network.views(self.g)
        self.penalized = bool(hyperparameters.l1.any() or hyperparameters.l2.any())
        self.decays = bool(hyperparameters.weight_decay.any())
        width = max(1, CHUNK_SIZE // len(theta))
        self.chunks = [slice(start, start + width) for start in range(0, network.size, width)]

    def gradient(self, batch: Batch, masks: Masks = (), trace: Trace | None = None) -> Array:
        """Return each member's mean loss on the batch, (P,), and write the gradient into g.

        The gradient includes the penalties; the loss does not. Intermediate results are stored in
        ``trace``.
        """
        loss = self.loss
        y, passes = forward(self.network, self.layers, batch.x, masks)
        n = loss.normalised(y)
        value, dy = loss.mean(n, batch.t, batch.share), loss.df(n, batch.t) * batch.share
        slopes = None if trace is None else trace.slopes
        backward(self.network, self.layers, passes, masks, dy, self.dlayers, slopes)
        if trace is not None:
            trace.passes, trace.y, trace.dy, trace.dloss = passes, y, dy, self.g.copy()
        if self.penalized:
            l1, l2 = self.hyperparameters.l1, self.hyperparameters.l2
            for chunk in self.chunks:
                slope = penalty_d(self.theta[:, chunk], l1, l2)
                self.g[:, chunk] += np.where(self.network.is_weight[chunk], slope, 0)
        return value

    def penalty(self) -> Array:
        """Return the penalty at theta, (P,)."""
        weights = self.theta[:, self.network.is_weight]
        l1, l2 = self.hyperparameters.l1, self.hyperparameters.l2
        return np.asarray(penalty(weights, l1, l2).sum(axis=1))

    def residuals(self, batch: Batch, masks: Masks = ()) -> tuple[Array, Array]:
        """Return residuals r (P, M) with objective = Σ r², and their Jacobian dr/dtheta (P, M, D).

        M is B O, and with an l2 penalty one more for each weight. The loss must be a square and l1
        be 0, which the recipe checks. One backward pass for each output, with each row as a batch
        of its own.
        """
        residual = self.loss.residual
        assert residual is not None
        row_masks = [mask if mask is None else mask[:, :, None] for mask in masks]
        layers = [type(p)(*(each[:, None] for each in p)) for p in self.layers]
        y, passes = forward(self.network, layers, batch.x[:, :, None], row_masks)
        P, B, _, O = y.shape
        scale = np.sqrt(batch.share)
        jacobian = np.empty((P, B, O, self.network.size), dtype=self.theta.dtype)
        for o in range(O):
            dtheta = np.empty((P * B, self.network.size), dtype=self.theta.dtype)
            dlayers = [
                type(p)(*(each.reshape(P, B, *each.shape[1:]) for each in p))
                for p in self.network.views(dtheta)
            ]
            dy = np.zeros_like(y)
            dy[..., o] = scale[:, :, None, o]
            backward(self.network, layers, passes, row_masks, dy, dlayers)
            jacobian[:, :, o] = dtheta.reshape(P, B, -1)
        r = residual(y[:, :, 0], batch.t) * scale
        r, J = r.reshape(P, -1), jacobian.reshape(P, B * O, -1)
        if not self.penalized:
            return r, J
        weights = np.flatnonzero(self.network.is_weight)
        w, l2 = self.theta[:, weights], self.hyperparameters.l2
        diagonal = np.zeros((P, len(weights), self.network.size), dtype=self.theta.dtype)
        diagonal[:, np.arange(len(weights)), weights] = penalty_residual_d(w, l2)
        r = np.concatenate([r, penalty_residual(w, l2)], axis=1)
        return r, np.concatenate([J, diagonal], axis=1)


def clip_factor(g: Array, norm: Array) -> Array:
    """Return min(1, norm / ‖g‖), (P, 1), with the norm over all of a member's parameters.

    Source: Pascanu, Mikolov, Bengio 2013, algorithm 1.
    """
    return np.asarray(norm / np.maximum(gradient_norm(g), norm))


def gradient_norm(g: Array) -> Array:
    """Return ‖g‖, (P, 1), over all of a member's parameters."""
    result = np.sqrt(np.vecdot(g, g))
    large = np.isinf(result)
    if large.any():  # the squares overflowed: scale by the largest component first
        largest = np.abs(g[large]).max(axis=1)
        scaled = g[large] / largest[:, None]
        result[large] = largest * np.sqrt(np.vecdot(scaled, scaled))
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

    The objective, which training minimises, is the mean loss plus the penalties. ``seeds`` turn
    dropout on, with the masks of the first batch of ``epoch``.

    Shapes: theta (P, D); X (N, I); Y (N, O), (N,) or class numbers (N,). Computed in theta's dtype,
    which may be complex.
    Raises: ShapeError, DataError.
    """
    network, loss = recipe.network, recipe.loss
    theta = as_array(theta, "theta", ShapeError).copy()
    if theta.dtype.kind not in "fc":
        raise DataError(f"theta holds {theta.dtype} values; it needs floating point numbers")
    real = theta.real.dtype
    hyperparameters = recipe.hyperparameters(len(theta), real)
    objective = Objective(network, loss, hyperparameters, theta)
    x = checked_inputs(X, network, real)
    classes = label_classes(Y, loss, network.outputs)
    t = checked_targets(Y, loss, network.outputs, len(x), real, classes=classes)
    w = checked_weights(sample_weight, len(x), real, "sample_weight")
    batch = whole_batch(x, t, w, loss)
    masks: Masks = ()
    if seeds is not None:
        seeds = streams.checked_seeds(seeds)
        if len(seeds) != len(theta):
            raise ShapeError(f"theta has {len(theta)} rows and there are {len(seeds)} seeds")
        epoch = checked_count("epoch", epoch, 0)
        masks = dropout_masks(network, seeds, epoch, batch, hyperparameters.dropout)
    with np.errstate(all="ignore"):
        return objective.gradient(batch, masks) + objective.penalty(), objective.g
