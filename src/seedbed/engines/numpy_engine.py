"""The NumPy engine, the reference for the compiled one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

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
from seedbed.engines.plan import Plan, evaluation_rows
from seedbed.engines.state import State, Stop
from seedbed.engines.stopping import MemberStopping
from seedbed.errors import MissingDependencyError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer, Rule
from seedbed.formulas.penalties import shrink
from seedbed.network import Network

BLOCK_SECONDS, MEMBER_SECONDS, PARAMETER_SECONDS = 30e-6, 0.4e-6, 0.25e-9
"""Time of a step: for each block, for each member, and for each parameter and row."""


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

    def is_installed(self) -> bool:
        """Return True: NumPy is always installed."""
        return True

    def missing_error(self) -> Exception:
        """Return an error that is never raised."""
        return MissingDependencyError("numpy", "")

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """Return None."""
        return None

    def seconds(
        self, network: Network, batch: int, steps: float, members: int, blocks: int
    ) -> float:
        """Return the estimated time, from the measurements of ``benchmarks/engine.py``."""
        member = MEMBER_SECONDS + PARAMETER_SECONDS * batch * network.size
        return steps * (BLOCK_SECONDS * blocks + members * member)

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan, ready to run on one thread."""
        return NumpyTraining(plan)

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, N, O)."""
        result = np.empty((len(theta), len(x), network.outputs), dtype=theta.dtype)
        for members, rows, y in outputs(network, theta, x):
            result[members, rows] = y if stage == "outputs" else loss.normalised(y)
        return self.elementwise(loss.predict)(result) if stage == "predictions" else result

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
    """Train a block of members (see ``Plan.blocks``) for ``epochs``.

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

    Shapes: theta (P, D); x (N, I). Needs a few megabytes of memory for any P and N.
    """
    rows = max(1, evaluation_rows(network) // BLOCK_ROWS) * BLOCK_ROWS
    part_members = max(1, 2**18 // (network.size + min(rows, len(x)) * network.row_size))
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), part_members):
            members = slice(first, first + part_members)
            layers = network.views(theta[members])
            if len(x) > BLOCK_ROWS:
                layers = [type(p)(*(each[:, None] for each in p)) for p in layers]
            for start in range(0, len(x), rows):
                part = x[start : start + rows]
                blocks = np.zeros((-(-len(part) // BLOCK_ROWS), BLOCK_ROWS, x.shape[1]), x.dtype)
                blocks.reshape(-1, x.shape[1])[: len(part)] = part
                y, _ = forward(network, layers, blocks if len(x) <= BLOCK_ROWS else blocks[None])
                y = y.reshape(len(y), -1, network.outputs)
                yield members, slice(start, start + rows), y[:, : len(part)]
