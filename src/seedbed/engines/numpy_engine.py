"""The NumPy engine: the chain rule on one page, for all members at once.

Every array has the members first: theta (P, D), activations (P, B, units). ``np.matmul`` takes the
product for each member on its own, so a member's numbers do not depend on who stands beside it.
dX is the derivative of a member's loss by X, and has X's shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seedbed import streams
from seedbed.arrays import Array
from seedbed.engines.work import (
    Batch,
    Batches,
    Indices,
    Numbers,
    Plan,
    State,
    Status,
    evaluation_rows,
)
from seedbed.formulas.losses import Loss, log_softmax
from seedbed.formulas.optimizers import shrink
from seedbed.network import Network, Parameters


class Pass(NamedTuple):
    """What one layer leaves behind on the way forward."""

    inputs: Array
    """(P, B, I): the activations of the layer before, dropout applied"""
    z: Array
    """(P, B, O): pre-activations"""
    a: Array
    """(P, B, O): activations, before dropout"""


def forward(
    network: Network,
    layers: Sequence[Parameters],
    x: Array,
    masks: Sequence[Array] = (),
) -> tuple[Array, list[Pass]]:
    """Return the network's outputs (P, B, O) and each layer's pass.

        z = a W + b,  a' = f(z)          for each layer; a = x before the first
        a' <- a' · mask                  for each hidden layer, where dropout is on

    Shapes: x (P, B, I), or (1, B, I) where members share it; masks (P, B, units) each.
    """
    passes, a = [], x
    for number, (layer, (W, b)) in enumerate(zip(network.layers, layers, strict=True)):
        inputs = a
        z = np.matmul(inputs, W)
        z += b
        a = layer.activation.f(z)
        passes.append(Pass(inputs, z, a))
        if number < len(masks):
            a = a * masks[number]
    return a, passes


def backward(
    network: Network,
    layers: Sequence[Parameters],
    passes: Sequence[Pass],
    masks: Sequence[Array],
    dy: Array,
    dlayers: Sequence[Parameters],
) -> None:
    """Write the gradient by every W and b into ``dlayers``, from dy, (P, B, O).

    dz = da · f'(z)                  for each layer, the last one first; da = dy at the last
    dW = aᵀ dz,  db = Σ_rows dz      with a the layer's inputs
    da = dz Wᵀ                       for the layer before it
    da <- da · mask                  where dropout was on
    """
    da = dy
    ones = np.ones((1, 1, dy.shape[1]), dtype=dy.dtype)
    for number in reversed(range(len(layers))):
        inputs, z, a = passes[number]
        if number < len(masks):
            da = da * masks[number]
        dz = da * network.layers[number].activation.df(z, a)
        np.matmul(inputs.swapaxes(1, 2), dz, out=dlayers[number].W)
        np.matmul(ones, dz, out=dlayers[number].b)  # Σ over rows, at a matrix product's speed
        if number > 0:
            da = np.matmul(dz, layers[number].W.swapaxes(1, 2))


def loss_and_slope(loss: Loss, y: Array, t: Array, share: Array) -> tuple[Array, Array]:
    """Return each member's mean loss (P,) and its derivative by the outputs, (P, B, O).

    Shapes: y (P, B, O); t and share (Q, B, O) with Q = P or 1, share as in ``work.Batch``.
    """
    if loss.targets == "classes":
        y = log_softmax(y)
    return mean_loss(loss, y, t, share), loss.df(y, t) * share


def mean_loss(loss: Loss, y: Array, t: Array, share: Array) -> Array:
    """Return Σ l · share, (P,); y is normalised already where the loss asks for it."""
    each = loss.f(y, t)
    return np.asarray(np.vecdot(share.reshape(len(share), -1), each.reshape(len(each), -1)))


def penalty(theta: Array, is_weight: Array, numbers: Numbers) -> tuple[Array, Array]:
    """Return l1 Σ|w| + ½ l2 Σw² over each member's weights, (P,), and its gradient, (P, D)."""
    w = np.where(is_weight, theta, 0)
    size = np.maximum(w, -w)
    value = (numbers.l1 * size + 0.5 * numbers.l2 * (w * w)).sum(axis=1)
    return value, numbers.l1 * np.sign(w) + numbers.l2 * w


def clip(g: Array, norm: Array) -> Array:
    """g <- g min(1, norm / ‖g‖), the norm over all of a member's parameters.

    Source: Pascanu, Mikolov, Bengio 2013, algorithm 1.
    """
    length = np.sqrt(np.vecdot(g, g))[:, None]
    return g * (norm / np.maximum(length, norm))


def dropout_masks(
    network: Network, seeds: Array, epoch: int, batch: Batch, rate: Array
) -> list[Array]:
    """Return the masks of the hidden layers, (P, B, units) each; none where the rate is 0."""
    if not rate.any():
        return []
    masks, rows = [], batch.x.shape[1]
    for number, layer in enumerate(network.layers[:-1]):
        key = streams.keys(seeds, "dropout", epoch, number)
        count, start = rows * layer.units, batch.start * layer.units
        mask = streams.keep_mask(key, count, start, rate, batch.x.dtype)
        masks.append(mask.reshape(len(seeds), rows, layer.units))
    return masks


class Gradient:
    """The gradient of a block of members: buffers that every step uses again.

    theta  (P, D), whose views are taken once: it must be changed in place
    """

    def __init__(self, network: Network, loss: Loss, numbers: Numbers, theta: Array) -> None:
        self.network, self.loss, self.numbers, self.theta = network, loss, numbers, theta
        self.layers = network.views(theta)
        self.g = np.empty_like(theta)
        self.dlayers = network.views(self.g)
        self.penalized = bool(numbers.l1.any() or numbers.l2.any())

    def at(self, batch: Batch, masks: Sequence[Array]) -> tuple[Array, Array]:
        """Return each member's mean loss on the batch, (P,), and the gradient, (P, D).

        The gradient is that of loss and penalty together; the loss is without the penalty.
        """
        y, passes = forward(self.network, self.layers, batch.x, masks)
        loss, dy = loss_and_slope(self.loss, y, batch.t, batch.share)
        backward(self.network, self.layers, passes, masks, dy, self.dlayers)
        g = self.g
        if self.penalized:
            g = g + penalty(self.theta, self.network.is_weight, self.numbers)[1]
        return loss, g


def evaluate(
    network: Network, loss: Loss, layers: Sequence[Parameters], batches: Iterable[Batch]
) -> Array:
    """Return each member's mean loss over ``batches``, (P,), without dropout or penalties."""
    total: Array | float = 0.0
    for batch in batches:
        y, _ = forward(network, layers, batch.x)
        if loss.targets == "classes":
            y = log_softmax(y)
        total = total + mean_loss(loss, y, batch.t, batch.share) * batch.weight
    return np.asarray(total)


def run(plan: Plan, state: State, members: Indices, epochs: range) -> None:
    """Carry a block of members (see ``Plan.blocks``) through ``epochs``.

    Each epoch: a step for every batch, the validation loss, then what came of it (``_Watch``).
    """
    network, numbers = plan.network, plan.numbers.take(members)
    seeds, rule = plan.seeds[members], plan.optimizer.rule
    theta, slots = state.theta[members], [slot[members] for slot in state.slots]
    gradient = Gradient(network, plan.loss, numbers, theta)
    batches = Batches(plan.train, members, plan.loss, plan.batch_size, seeds)
    held_out = None
    if plan.validation is not None:
        held_out = Batches(plan.validation, members, plan.loss, evaluation_rows(network))
    decays = bool(numbers.weight_decay.any())
    watch = _Watch(plan, state, members)
    before = np.empty_like(theta)
    with np.errstate(all="ignore"):  # what overflows shows as a loss that is not finite
        for epoch in epochs:
            before[...] = theta
            losses: Array | float = 0.0
            for number, batch in enumerate(batches.epoch(epoch)):
                step = epoch * batches.steps + number
                lr = numbers.lr * theta.dtype.type(
                    plan.schedule(step / (plan.epochs * batches.steps))
                )
                masks = dropout_masks(network, seeds, epoch, batch, numbers.dropout)
                loss, g = gradient.at(batch, masks)
                losses = losses + loss * batch.weight
                if numbers.clip_norm is not None:
                    g = clip(g, numbers.clip_norm)
                if decays:
                    np.copyto(
                        theta, shrink(theta, lr, numbers.weight_decay), where=network.is_weight
                    )
                theta[...], *slots = rule(theta, g, step + 1, lr, *slots, *numbers.optimizer)
            held_out_loss = None
            if held_out is not None:
                held_out_loss = evaluate(network, plan.loss, gradient.layers, held_out.epoch())
            if not watch.after(epoch, theta, before, np.asarray(losses), held_out_loss):
                break
    watch.close(theta, slots)


class _Watch:
    """What comes of an epoch, for a block of members: history, divergence, the best epoch."""

    def __init__(self, plan: Plan, state: State, members: Indices) -> None:
        self.plan, self.state, self.members = plan, state, members
        self.live = np.ones(len(members), dtype=np.bool_)
        self.epochs_run = 0

    def after(
        self, epoch: int, theta: Array, before: Array, train_loss: Array, val_loss: Array | None
    ) -> bool:
        """Take the epoch down; return whether any member goes on."""
        plan, state = self.plan, self.state
        finite = np.isfinite(train_loss)
        if val_loss is not None:
            finite &= np.isfinite(val_loss)
        if not (finite.all() and np.isfinite(theta).all()):
            finite &= np.isfinite(theta).all(axis=1)
            self._leave(self.live & ~finite, before, Status.DIVERGED, epoch)
        if epoch % plan.record_every == 0:
            live = self.members[self.live]
            column = epoch // plan.record_every
            state.train_loss[live, column] = train_loss[self.live]
            if state.val_loss is not None and val_loss is not None:
                state.val_loss[live, column] = val_loss[self.live]
        if state.best is not None and val_loss is not None and plan.patience is not None:
            better = self.live & (val_loss < state.best_loss[self.members])
            chosen = self.members[better]
            state.best[chosen] = theta[better]
            state.best_loss[chosen] = val_loss[better]
            state.best_epoch[chosen] = epoch + 1
            waited = epoch + 1 - state.best_epoch[self.members]
            self._leave(self.live & (waited >= plan.patience), theta, Status.STOPPED, epoch + 1)
        self.epochs_run = epoch + 1
        return bool(self.live.any())

    def _leave(self, leaving: Array, theta: Array, status: Status, epochs_run: int) -> None:
        members = self.members[leaving]
        self.state.theta[members] = theta[leaving]
        self.state.status[members] = status
        self.state.epochs_run[members] = epochs_run
        self.live &= ~leaving

    def close(self, theta: Array, slots: Sequence[Array]) -> None:
        """Put what goes on back into the state."""
        state, members = self.state, self.members[self.live]
        state.theta[members] = theta[self.live]
        for kept, slot in zip(state.slots, slots, strict=True):
            kept[members] = slot[self.live]
        state.epochs_run[members] = self.epochs_run


def outputs(network: Network, theta: Array, x: Array) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the network's outputs piece by piece: (members, rows, (p, b, O)).

    Shapes: theta (P, D); x (N, I). Memory stays within a few megabytes whatever P and N are.
    """
    rows = evaluation_rows(network)
    together = max(1, 2**18 // (network.size + min(rows, len(x)) * sum(network.widths)))
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), together):
            members = slice(first, first + together)
            layers = network.views(theta[members])
            for start in range(0, len(x), rows):
                piece = slice(start, start + rows)
                yield members, piece, forward(network, layers, x[None, piece])[0]
