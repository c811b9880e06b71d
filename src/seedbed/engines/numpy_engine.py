"""The NumPy engine: the chain rule on one page, for all members at once.

Every array has the members first: theta (P, D), activations (P, B, units). ``np.matmul`` takes the
product for each member on its own, so a member's numbers do not depend on who stands beside it.
dX is the derivative of a member's loss by X, and has X's shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.engines.batches import Batch, Batches
from seedbed.engines.plan import Hyperparameters, Plan, evaluation_rows
from seedbed.engines.state import State, Status, Stop
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Rule
from seedbed.formulas.penalties import penalty, penalty_d, shrink
from seedbed.network import Network, Parameters

PIECE = 2**15
"""How many numbers the optimizer takes at once: its temporaries then stay in the nearest caches."""


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
    slopes: list[tuple[Array, Array]] | None = None,
) -> None:
    """Write the gradient by every W and b into ``dlayers``, from dy, (P, B, O).

    ``slopes`` is filled with each layer's da and dz (P, B, O), the last one's first, if given.

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
        if slopes is not None:
            slopes.append((da, dz))
        np.matmul(inputs.swapaxes(1, 2), dz, out=dlayers[number].W)
        np.matmul(ones, dz, out=dlayers[number].b)  # Σ over rows, at a matrix product's speed
        if number > 0:
            da = np.matmul(dz, layers[number].W.swapaxes(1, 2))


def loss_and_slope(loss: Loss, y: Array, t: Array, share: Array) -> tuple[Array, Array]:
    """Return each member's mean loss (P,) and its derivative by the outputs, (P, B, O).

    Shapes: y (P, B, O); t and share (Q, B, O) with Q = P or 1, share as in ``batches.Batch``.
    """
    y = loss.normalised(y)
    return mean_loss(loss, y, t, share), loss.df(y, t) * share


def mean_loss(loss: Loss, y: Array, t: Array, share: Array) -> Array:
    """Return Σ l · share, (P,), for y as the loss sees it (``Loss.normalised``)."""
    each = loss.f(y, t)
    return np.asarray(np.vecdot(share.reshape(len(share), -1), each.reshape(len(each), -1)))


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


def dropout_masks(
    network: Network, seeds: Array, epoch: int, batch: Batch, rate: Array
) -> list[Array]:
    """Return the masks of the hidden layers, (P, B, units) each."""
    masks, rows = [], batch.x.shape[1]
    for number, layer in enumerate(network.layers[:-1]):
        key = streams.keys(seeds, "dropout", epoch, number)
        count, start = rows * layer.units, batch.start * layer.units
        mask = streams.keep_mask(key, count, start, rate, batch.x.dtype)
        masks.append(mask.reshape(len(seeds), rows, layer.units))
    return masks


class Trace:
    """What one pass forward and back computed, for whoever wants to see it.

    passes  of the layers, the first one's first
    y, dy   the outputs and the loss's derivative by them, (P, B, O)
    slopes  da and dz of the layers, (P, B, O) each, the last one's first
    bare    (P, D) the gradient of the loss alone, before any penalty's is added
    """

    passes: list[Pass]
    y: Array
    dy: Array
    bare: Array

    def __init__(self) -> None:
        self.slopes: list[tuple[Array, Array]] = []


class Gradient:
    """The gradient of a block of members: buffers that every step uses again.

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

    def at(self, batch: Batch, masks: Sequence[Array], trace: Trace | None = None) -> Array:
        """Return each member's mean loss on the batch, (P,), and write the gradient into g.

        The gradient is that of loss and penalty together; the loss is without the penalty. A
        ``trace`` is filled with what was computed on the way.
        """
        y, passes = forward(self.network, self.layers, batch.x, masks)
        loss, dy = loss_and_slope(self.loss, y, batch.t, batch.share)
        slopes = None if trace is None else trace.slopes
        backward(self.network, self.layers, passes, masks, dy, self.dlayers, slopes)
        if trace is not None:
            trace.passes, trace.y, trace.dy, trace.bare = passes, y, dy, self.g.copy()
        if self.penalized:
            l1, l2 = self.numbers.l1, self.numbers.l2
            for piece in self.pieces:
                slope = penalty_d(self.theta[:, piece], l1, l2)
                self.g[:, piece] += np.where(self.network.is_weight[piece], slope, 0)
        return loss

    def penalty(self) -> Array:
        """Return the penalty at theta, (P,)."""
        weights = self.theta[:, self.network.is_weight]
        return np.asarray(penalty(weights, self.numbers.l1, self.numbers.l2).sum(axis=1))


def update(
    gradient: Gradient, rule: Rule, slots: Sequence[Array], step: int, factor: float
) -> None:
    """Take one step in place from ``gradient.g``: clip it, decay the weights, then the rule.

    rule    the optimizer's
    slots   its state, (P, D) each
    step    1, 2, …
    factor  the schedule's, on the learning rate
    """
    theta, g, numbers = gradient.theta, gradient.g, gradient.numbers
    lr = numbers.lr * theta.dtype.type(factor)
    if numbers.clip_norm is not None:
        g *= clip_factor(g, numbers.clip_norm)
    for piece in gradient.pieces:
        w = theta[:, piece]
        if gradient.decays:
            is_weight = gradient.network.is_weight[piece]
            w = np.where(is_weight, shrink(w, lr, numbers.weight_decay), w)
        state = [slot[:, piece] for slot in slots]
        theta[:, piece], *changed = rule(w, g[:, piece], step, lr, *state, *numbers.optimizer)
        for slot, new in zip(state, changed, strict=True):
            slot[...] = new


def evaluate(
    network: Network, loss: Loss, layers: Sequence[Parameters], batches: Iterable[Batch]
) -> Array:
    """Return each member's mean loss over ``batches``, (P,), without dropout or penalties."""
    total: Array | float = 0.0
    for batch in batches:
        y, _ = forward(network, layers, batch.x)
        total = total + mean_loss(loss, loss.normalised(y), batch.t, batch.share) * batch.weight
    return np.asarray(total)


class Engine:
    """One training on this engine; see ``choice.Engine``."""

    name: Literal["numpy"] = "numpy"

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Carry all running members through ``epochs``, a block after the other."""
        for block in self.plan.blocks(state.running):
            run(self.plan, state, block, epochs, stop)
            if stop.is_set():
                return

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""
        plan, result = self.plan, np.empty(len(theta), dtype=theta.dtype)
        rows = evaluation_rows(plan.network)
        with np.errstate(all="ignore"):
            for block in plan.blocks(members):
                batches = Batches(plan.train, block, plan.loss, rows).epoch()
                layers = plan.network.views(theta[block])
                result[block] = evaluate(plan.network, plan.loss, layers, batches)
        return result[members]


def run(plan: Plan, state: State, members: Indices, epochs: range, stop: Stop) -> None:
    """Carry a block of members (see ``Plan.blocks``) through ``epochs``.

    Each epoch: a step for every batch, the validation loss, then what came of it (``_Watch``).
    Before every step it looks at ``stop``; where that is set, members go back to the epoch's start.
    """
    network, numbers, seeds = plan.network, plan.hyperparameters.take(members), plan.seeds[members]
    where = _as_slice(members)
    theta, slots = state.theta[where], [slot[where] for slot in state.optimizer_state]
    gradient = Gradient(network, plan.loss, numbers, theta)
    batches = Batches(plan.train, members, plan.loss, plan.batch_size, seeds)
    held_out = None
    if plan.validation is not None:
        held_out = Batches(plan.validation, members, plan.loss, evaluation_rows(network))
    watch = _Watch(plan, state, members, epochs.start)
    rule, drops, masks = plan.optimizer.rule, bool(numbers.dropout.any()), list[Array]()
    before = state.before[where]
    earlier = np.empty_like(theta)
    with np.errstate(all="ignore"):  # what overflows shows as a loss that is not finite
        for epoch in epochs:
            earlier[...] = before
            before[...] = theta
            losses: Array | float = 0.0
            for number, batch in enumerate(batches.epoch(epoch)):
                if stop.is_set():
                    theta[...] = before
                    before[...] = earlier
                    break
                step = epoch * batches.steps + number
                if drops:
                    masks = dropout_masks(network, seeds, epoch, batch, numbers.dropout)
                losses = losses + gradient.at(batch, masks) * batch.weight
                factor = plan.schedule(step / (plan.epochs * batches.steps))
                update(gradient, rule, slots, step + 1, factor)
            else:
                held_out_loss = None
                if held_out is not None:
                    held_out_loss = evaluate(network, plan.loss, gradient.layers, held_out.epoch())
                losses = np.asarray(losses)
                if watch.after(epoch, theta, before, earlier, losses, held_out_loss):
                    continue
            break
    if not isinstance(where, slice):
        state.theta[where] = theta
        state.before[where] = before
        for kept, slot in zip(state.optimizer_state, slots, strict=True):
            kept[where] = slot
    watch.close()


def _as_slice(members: Indices) -> Indices | slice:
    """Return consecutive members as a slice, with which arrays are worked on where they lie."""
    first, last = int(members[0]), int(members[-1])
    return slice(first, last + 1) if last - first + 1 == len(members) else members


class _Watch:
    """What comes of an epoch, for a block of members: history, divergence, the best epoch.

    A member that leaves is worked on to the block's end like the others; what it had is kept.
    """

    def __init__(self, plan: Plan, state: State, members: Indices, epochs_run: int) -> None:
        self.plan, self.state, self.members = plan, state, members
        self.live = np.ones(len(members), dtype=np.bool_)
        self.epochs_run = epochs_run
        self.frozen: list[tuple[Indices, Array]] = []

    def after(
        self,
        epoch: int,
        theta: Array,
        before: Array,
        earlier: Array,
        train_loss: Array,
        val_loss: Array | None,
    ) -> bool:
        """Take the epoch down; return whether any member goes on.

        A training loss is taken before the step that it leads to. So where it is not finite, the
        epoch began badly, and the last good state is that before it; where a parameter or the
        validation loss is not finite, it is the state that this epoch began with.
        """
        plan, state = self.plan, self.state
        sound = np.isfinite(train_loss)
        finite = sound & (True if val_loss is None else np.isfinite(val_loss))
        if not (finite.all() and np.isfinite(theta).all()):
            for diverged, good, epochs_run in (
                (self.live & ~sound, earlier, max(epoch - 1, 0)),
                (
                    self.live & sound & ~(finite & np.isfinite(theta).all(axis=1)),
                    before,
                    epoch,
                ),
            ):
                self.frozen.append((self.members[diverged], good[diverged]))
                self._leave(diverged, Status.DIVERGED, epochs_run)
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
            self._leave(self.live & (waited >= plan.patience), Status.STOPPED, epoch + 1)
        self.epochs_run = epoch + 1
        return bool(self.live.any())

    def _leave(self, leaving: Array, status: Status, epochs_run: int) -> None:
        members = self.members[leaving]
        self.state.status[members] = status
        self.state.epochs_run[members] = epochs_run
        self.live &= ~leaving

    def close(self) -> None:
        """Freeze those that diverged as they stood before, and count the others' epochs."""
        self.state.epochs_run[self.members[self.live]] = self.epochs_run
        for members, theta in self.frozen:
            self.state.theta[members] = theta


BLOCK_ROWS = 8
"""How many rows of a prediction make one product. A row's place in a large product decides which of
BLAS's kernels computes it, and so its last bits. In products of this height every row comes out the
same on OpenBLAS's x86 kernels, each of which ``.ci/run`` runs ``test_rows.py`` on."""


def outputs(network: Network, theta: Array, x: Array) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the network's outputs piece by piece: (members, rows, (p, b, O)).

    Every product has ``BLOCK_ROWS`` rows, the last one padded with zeros, so that a row's
    outputs do not depend on the other rows.

    Shapes: theta (P, D); x (N, I). Memory stays within a few megabytes whatever P and N are.
    """
    rows = max(1, evaluation_rows(network) // BLOCK_ROWS) * BLOCK_ROWS
    together = max(1, 2**18 // (network.size + min(rows, len(x)) * sum(network.widths)))
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), together):
            members = slice(first, first + together)
            layers = network.views(theta[members])
            if len(x) > BLOCK_ROWS:
                layers = [Parameters(W[:, None], b[:, None]) for W, b in layers]
            for start in range(0, len(x), rows):
                piece = x[start : start + rows]
                blocks = np.zeros((-(-len(piece) // BLOCK_ROWS), BLOCK_ROWS, x.shape[1]), x.dtype)
                blocks.reshape(-1, x.shape[1])[: len(piece)] = piece
                y, _ = forward(network, layers, blocks if len(x) <= BLOCK_ROWS else blocks[None])
                whole = y.reshape(len(y), -1, network.outputs)
                yield members, slice(start, start + rows), whole[:, : len(piece)]
