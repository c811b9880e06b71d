"""The NumPy engine: a training in plain NumPy, the reference for the compiled one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.engines.base import Stage, Training, in_numpy
from seedbed.engines.batches import Batches
from seedbed.engines.objective import Objective, clip_factor, dropout_masks, evaluate, forward
from seedbed.engines.plan import Plan, evaluation_rows
from seedbed.engines.state import State, Stop
from seedbed.engines.stopping import MemberStopping
from seedbed.errors import MissingDependencyError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer, Rule
from seedbed.formulas.penalties import shrink
from seedbed.network import Network

MEMBER_SECONDS, PRODUCT_SECONDS, STEP_SECONDS = 0.4e-6, 0.25e-9, 30e-6


def update(
    objective: Objective,
    rule: Rule,
    state: Sequence[Array],
    step: int,
    factor: float,
    residuals: Sequence[Array] = (),
) -> None:
    """Take one step in place from ``objective.g``: clip it, decay the weights, then the rule.

    rule       the optimizer's
    state      its state, (P, D) each
    step       1, 2, …
    factor     the schedule's, on the learning rate
    residuals  r and J, for an optimizer that needs the Jacobian (``Objective.residuals``)
    """
    theta, g, numbers = objective.theta, objective.g, objective.numbers
    lr = numbers.lr * theta.dtype.type(factor)
    if numbers.clip_norm is not None:
        g *= clip_factor(g, numbers.clip_norm)
    for piece in [slice(None)] if residuals else objective.pieces:
        w = theta[:, piece]
        if objective.decays:
            is_weight = objective.network.is_weight[piece]
            w = np.where(is_weight, shrink(w, lr, numbers.weight_decay), w)
        own = [array[:, piece] for array in state]
        theta[:, piece], *changed = rule(
            w, g[:, piece], step, lr, *residuals, *own, *numbers.optimizer
        )
        for array, new in zip(own, changed, strict=True):
            array[...] = new


class NumpyEngine:
    """The NumPy engine; see ``engines.base.Engine``. It supports every plan."""

    name = "numpy"

    def is_there(self) -> bool:
        """Return True: NumPy is always installed."""
        return True

    def missing(self) -> Exception:
        """Return what is never raised."""
        return MissingDependencyError("numpy", "")

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """Return None."""
        return None

    def seconds(
        self, network: Network, batch: int, steps: float, members: int, blocks: int
    ) -> float:
        """Return the estimated time, from what ``benchmarks/engine.py`` measured.

        A step costs some 30 µs for a block of members, 0.4 µs for each member, and ¼ ns for each
        parameter and row.
        """
        member = MEMBER_SECONDS + PRODUCT_SECONDS * batch * network.size
        return steps * (STEP_SECONDS * blocks + members * member)

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan's training, on one thread."""
        return NumpyTraining(plan)

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, N, O)."""
        result = np.empty((len(theta), len(x), network.outputs), dtype=theta.dtype)
        for members, rows, y in outputs(network, theta, x):
            result[members, rows] = y if stage == "outputs" else loss.normalised(y)
        return self.elementwise(loss.predict)(result) if stage == "predictions" else result

    def elementwise(self, formula: Callable[..., Array]) -> Callable[..., Array]:
        """Return the formula."""
        return in_numpy(formula)

    def small_batch_predictor(
        self, network: Network, loss: Loss, theta: Array
    ) -> Callable[[Array, Stage], Array] | None:
        """Return None: ``outputs`` is as fast."""
        return None


class NumpyTraining:
    """One training on this engine; see ``engines.base.Training``."""

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

    Each epoch: a step for every batch, the validation loss, then ``MemberStopping``.
    Before every step it looks at ``stop``; where that is set, members go back to the epoch's start.
    """
    network, numbers, seeds = plan.network, plan.hyperparameters.take(members), plan.seeds[members]
    where = _as_slice(members)
    theta, slots = state.theta[where], [slot[where] for slot in state.optimizer_state]
    objective = Objective(network, plan.loss, numbers, theta)
    batches = Batches(plan.train, members, plan.loss, plan.batch_size, seeds)
    held_out = None
    if plan.validation is not None:
        held_out = Batches(plan.validation, members, plan.loss, evaluation_rows(network))
    stopping = MemberStopping(plan, state, members, epochs.start)
    optimizer, masks = plan.optimizer, list[Array | None]()
    residuals: Sequence[Array] = ()
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
                if numbers.dropout.any():
                    masks = dropout_masks(network, seeds, epoch, batch, numbers.dropout)
                losses = losses + objective.gradient(batch, masks) * batch.weight
                if optimizer.needs == "jacobian":
                    residuals = objective.residuals(batch, masks)
                factor = plan.schedule(step / (plan.epochs * batches.steps))
                update(objective, optimizer.rule, slots, step + 1, factor, residuals)
            else:
                held_out_loss = None
                if held_out is not None:
                    held_out_loss = evaluate(network, plan.loss, objective.layers, held_out.epoch())
                losses = np.asarray(losses)
                if stopping.after(epoch, theta, before, earlier, losses, held_out_loss):
                    continue
            break
    if not isinstance(where, slice):
        state.theta[where] = theta
        state.before[where] = before
        for kept, slot in zip(state.optimizer_state, slots, strict=True):
            kept[where] = slot
    stopping.close()


def _as_slice(members: Indices) -> Indices | slice:
    """Return consecutive members as a slice, with which arrays are worked on where they lie."""
    first, last = int(members[0]), int(members[-1])
    return slice(first, last + 1) if last - first + 1 == len(members) else members


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
    together = max(1, 2**18 // (network.size + min(rows, len(x)) * network.row_size))
    with np.errstate(all="ignore"):
        for first in range(0, len(theta), together):
            members = slice(first, first + together)
            layers = network.views(theta[members])
            if len(x) > BLOCK_ROWS:
                layers = [type(p)(*(each[:, None] for each in p)) for p in layers]
            for start in range(0, len(x), rows):
                piece = x[start : start + rows]
                blocks = np.zeros((-(-len(piece) // BLOCK_ROWS), BLOCK_ROWS, x.shape[1]), x.dtype)
                blocks.reshape(-1, x.shape[1])[: len(piece)] = piece
                y, _ = forward(network, layers, blocks if len(x) <= BLOCK_ROWS else blocks[None])
                whole = y.reshape(len(y), -1, network.outputs)
                yield members, slice(start, start + rows), whole[:, : len(piece)]
