"""The NumPy engine, the reference for the compiled one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.base import Stage, Training, without_warnings
from seedbed.engines.batches import Batches
from seedbed.engines.objective import (
    Masks,
    Objective,
    clip_factor,
    dropout_masks,
    evaluate,
    forward,
)
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop
from seedbed.engines.stopping import MemberStopping
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer, Rule
from seedbed.formulas.penalties import shrink
from seedbed.network import Network

BLOCK_BYTES = 2**22
"""Memory of a block of members, about the size of a core's cache."""
BLOCK_SECONDS, MEMBER_SECONDS, PARAMETER_SECONDS = 30e-6, 0.4e-6, 0.15e-9
"""Time of a step: for each block, for each member, and for each parameter and row."""
UNIT_SECONDS, DROPOUT_SECONDS = 4e-9, 12e-9
"""Time of a step for each unit and row: its activation, and what dropout draws."""


def update(
    objective: Objective,
    rule: Rule,
    state: Sequence[Array],
    step: int,
    factor: float,
    residuals: Sequence[Array] = (),
) -> None:
    """Update theta and the optimizer's state in place: clip g, decay the weights, apply the rule.

    rule       the optimizer's rule
    state      the optimizer's arrays, (P, D) each
    step       1, 2, …
    factor     the schedule's factor on the learning rate
    residuals  r and J (``Objective.residuals``), if the optimizer needs the Jacobian
    """
    theta, g, hyperparameters = objective.theta, objective.g, objective.hyperparameters
    lr = hyperparameters.lr * theta.dtype.type(factor)
    if hyperparameters.clip_norm is not None:
        g *= clip_factor(g, hyperparameters.clip_norm)
    for chunk in [slice(None)] if residuals else objective.chunks:
        w = theta[:, chunk]
        if objective.decays:
            is_weight = objective.network.is_weight[chunk]
            w = np.where(is_weight, shrink(w, lr, hyperparameters.weight_decay), w)
        slots = [array[:, chunk] for array in state]
        theta[:, chunk], *new_slots = rule(
            w, g[:, chunk], step, lr, *residuals, *slots, *hyperparameters.optimizer
        )
        for slot, new in zip(slots, new_slots, strict=True):
            slot[...] = new


class NumpyEngine:
    """The NumPy engine; see ``engines.base.Engine``. It supports every plan."""

    name = "numpy"

    def missing(self) -> None:
        """Return None: NumPy is always installed."""

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """Return None."""
        return None

    def seconds(
        self, network: Network, batch: int, member_steps: float, plan: Plan | None
    ) -> float:
        """Return the estimated time, from the measurements of ``benchmarks/engine.py``."""
        block_steps = 0
        if plan is not None:
            blocks = sum(1 for _ in member_blocks(plan, np.arange(len(plan.seeds))))
            block_steps = plan.estimated_steps * blocks
        drops = plan is not None and bool(np.any(plan.hyperparameters.dropout))
        unit = UNIT_SECONDS + (DROPOUT_SECONDS if drops else 0.0)
        row = PARAMETER_SECONDS * network.size + unit * sum(network.widths[1:])
        member = MEMBER_SECONDS + batch * row
        return BLOCK_SECONDS * block_steps + member * member_steps

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan, ready to run on one thread."""
        return NumpyTraining(plan)

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, N, O)."""
        result = np.empty((len(theta), x.shape[-2], network.outputs), dtype=theta.dtype)
        for members, rows, y in outputs(network, theta, x):
            result[members, rows] = y if stage == "outputs" else loss.normalised(y)
        return self.elementwise(loss.predict)(result) if stage == "predictions" else result

    def predictor(
        self, network: Network, loss: Loss, dtype: npt.DTypeLike
    ) -> Callable[[Array, Array, Stage], Array]:
        """Return ``outputs`` of theta, x and stage."""
        return partial(self.outputs, network, loss)

    def elementwise(self, formula: Callable[..., Array]) -> Callable[..., Array]:
        """Return the formula."""
        return without_warnings(formula)

    def small_batch_predictor(
        self, network: Network, loss: Loss, theta: Array
    ) -> Callable[[Array, Stage], Array] | None:
        """Return None: there is no faster way than ``outputs``."""
        return None


class NumpyTraining:
    """One training on this engine; see ``engines.base.Training``."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Train all running members for ``epochs``, one block after the other."""
        for block in member_blocks(self.plan, state.running):
            run(self.plan, state, block, epochs, stop)
            if stop.is_set():
                return

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""
        plan, result = self.plan, np.empty(len(theta), dtype=theta.dtype)
        rows = evaluation_rows(plan.network)
        with np.errstate(all="ignore"):
            for block in member_blocks(plan, members):
                batches = Batches(plan.train, block, plan.loss, rows).epoch()
                layers = plan.network.views(theta[block])
                result[block] = evaluate(plan.network, plan.loss, layers, batches)
        return result[members]


def member_blocks(plan: Plan, members: Indices) -> Iterator[Indices]:
    """Yield ``members`` in blocks that are computed in one array.

    A block's members have the same number of rows and need about ``BLOCK_BYTES``. Results do not
    depend on the blocks.
    """
    for group in plan.by_row_counts(members):
        size = _block_members(plan, *plan.counts[group[0]].tolist())
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _block_members(plan: Plan, train_rows: int, validation_rows: int) -> int:
    """Return the number of members in a block."""
    network = plan.network
    batch = min(plan.batch_size or train_rows, train_rows)
    seen = max(2 * batch, min(validation_rows, evaluation_rows(network)))
    numbers = 8 * network.size + 3 * seen * network.row_size
    if plan.optimizer.needs == "jacobian":
        residuals = batch * network.outputs
        if plan.hyperparameters.l2.any():
            residuals += network.size
        numbers += 2 * residuals * network.size
    member_bytes = numbers * plan.train.x.itemsize
    if batch < train_rows or plan.train.rows is not None:
        member_bytes += 32 * train_rows  # an epoch's row order and its random numbers
    return max(1, BLOCK_BYTES // member_bytes)


def evaluation_rows(network: Network) -> int:
    """Return how many rows are evaluated at a time: as many as keep the activations small."""
    return max(32, 2**15 // network.row_size)


def run(plan: Plan, state: State, members: Indices, epochs: range, stop: Stop) -> None:
    """Train a block of members (see ``member_blocks``) for ``epochs``.

    Each epoch takes a step for each batch, computes the validation loss and calls
    ``MemberStopping``. When ``stop`` is set, members go back to the start of the epoch.
    """
    network, seeds = plan.network, plan.seeds[members]
    hyperparameters = plan.hyperparameters.take(members)
    index = _as_slice(members)
    theta, slots = state.theta[index], [slot[index] for slot in state.optimizer_state]
    objective = Objective(network, plan.loss, hyperparameters, theta)
    batches = Batches(plan.train, members, plan.loss, plan.batch_size, seeds)
    held_out = None
    if plan.validation is not None:
        held_out = Batches(plan.validation, members, plan.loss, evaluation_rows(network))
    stopping = MemberStopping(plan, state, members, epochs.start)
    optimizer, rule = plan.optimizer, plan.optimizer.rule
    drops = bool(hyperparameters.dropout.any())
    masks: Masks = ()
    residuals: Sequence[Array] = ()
    before = state.before[index]
    earlier = np.empty_like(theta)
    with np.errstate(all="ignore"):  # an overflow makes the loss non-finite
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
                    masks = dropout_masks(network, seeds, epoch, batch, hyperparameters.dropout)
                losses = losses + objective.gradient(batch, masks) * batch.weight
                if optimizer.needs == "jacobian":
                    residuals = objective.residuals(batch, masks)
                factor = plan.schedule(step / (plan.epochs * batches.steps))
                update(objective, rule, slots, step + 1, factor, residuals)
            else:
                val_loss = None
                if held_out is not None:
                    val_loss = evaluate(network, plan.loss, objective.layers, held_out.epoch())
                losses = np.asarray(losses)
                if stopping.after(epoch, theta, before, earlier, losses, val_loss):
                    continue
            break
    if not isinstance(index, slice):
        state.theta[index] = theta
        state.before[index] = before
        for array, slot in zip(state.optimizer_state, slots, strict=True):
            array[index] = slot
    stopping.close()


def _as_slice(members: Indices) -> Indices | slice:
    """Return consecutive members as a slice, so that indexing makes views instead of copies."""
    first, last = int(members[0]), int(members[-1])
    return slice(first, last + 1) if last - first + 1 == len(members) else members


BLOCK_ROWS = 8
"""Rows in each product of a prediction. In a large product, a row's position decides which BLAS
kernel computes it, and so its last bits; in products of this height it does not, on any of
OpenBLAS's x86 kernels: ``.ci/run`` runs ``test_rows.py`` on each."""


def outputs(network: Network, theta: Array, x: Array) -> Iterator[tuple[slice, slice, Array]]:
    """Yield the network's outputs in parts: (members, rows, (p, b, O)).

    Every product has ``BLOCK_ROWS`` rows, the last one padded with zeros, so that a row's outputs
    do not depend on the other rows.

    Shapes: theta (P, D); x (N, I), or (P, N, I). Needs a few megabytes of memory for any P and N.
    """
    rows, count = max(1, evaluation_rows(network) // BLOCK_ROWS) * BLOCK_ROWS, x.shape[-2]
    part_members = max(1, 2**18 // (network.size + min(rows, count) * network.row_size))
    single = count <= BLOCK_ROWS  # one product a member, without an axis of blocks
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), part_members):
            members = slice(first, first + part_members)
            layers = network.views(theta[members])
            if not single:
                layers = [type(p)(*(each[:, None] for each in p)) for p in layers]
            inputs = x[members] if x.ndim == 3 else x[None]
            for start in range(0, count, rows):
                part = inputs[:, start : start + rows]
                n = part.shape[1]
                shape = len(part), -(-n // BLOCK_ROWS), BLOCK_ROWS, x.shape[-1]
                blocks = np.zeros(shape, x.dtype)
                blocks.reshape(len(part), -1, x.shape[-1])[:, :n] = part
                y, _ = forward(network, layers, blocks[:, 0] if single else blocks)
                y = y.reshape(len(y), -1, network.outputs)
                yield members, slice(start, start + rows), y[:, :n]
