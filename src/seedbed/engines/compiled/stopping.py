"""Divergence, the best epoch, patience and the histories of a group; see ``engines.stopping``."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines import stopping
from seedbed.engines.compiled.bits import any_nonzero
from seedbed.engines.compiled.groups import DIVERGED, RUNNING, STOPPED
from seedbed.engines.compiled.memory import load, store, width
from seedbed.engines.compiled.records import HISTORY, Floats, Group, Program, Workspace
from seedbed.engines.compiled.target import inline, noinline

is_better, is_patience_over = inline(stopping.is_better), inline(stopping.is_patience_over)
epochs_before_divergence = inline(stopping.epochs_before_divergence)


@inline
def all_finite(flags: Any, work: Workspace, c: int) -> Any:
    """Return whether every lane's losses and parameters are finite."""
    W = width(work.numbers)
    found = load(work.zeros, 0)
    for v in range(0, c, W):
        loss = load(work.train_loss, v)
        found = found + load(work.nonfinite, v) + (loss - loss)
        if flags.validated:
            loss = load(work.val_loss, v)
            found = found + (loss - loss)
    return not any_nonzero(found)


@inline
def any_running(work: Workspace, s: int) -> Any:
    """Return whether any lane still trains."""
    running = False
    for lane in range(s):
        running |= work.lane_status[lane] == RUNNING
    return running


@inline
def keep_losses(flags: Any, work: Workspace, c: int, pending: int) -> None:
    """Keep an epoch's losses until ``record`` writes them."""
    for v in range(0, c, width(work.numbers)):
        store(work.history, pending * c + v, load(work.train_loss, v))
        if flags.validated:
            store(work.history, (HISTORY + pending) * c + v, load(work.val_loss, v))


@noinline
def record(
    flags: Any, state: Any, group: Group, column: int, pending: int, work: Workspace
) -> None:
    """Write the losses of ``pending`` epochs to the running members' histories.

    They wait until they fill a cache line of each history: writing one number for each of many
    members after every epoch makes a tiny network's step a fifth slower.
    """
    c = max(group.lanes, width(work.numbers))
    for lane in range(group.count):
        if work.lane_status[lane] == RUNNING:
            begin = group.members[lane] * flags.recorded + column
            for j in range(pending):
                state.train_loss[begin + j] = work.history[j * c + lane]
            if flags.validated:
                for j in range(pending):
                    state.val_loss[begin + j] = work.history[(HISTORY + j) * c + lane]


@noinline
def freeze(
    program: Program, flags: Any, state: Any, group: Group, epoch: int, theta: Floats,
    before: Floats, earlier: Floats, work: Workspace,
) -> None:  # fmt: skip
    """Keep the last good theta of every member that diverged.

    It is ``before`` if the epoch's training loss is finite, else ``earlier``. A member of several
    lanes goes to its row of the state, a member alone to ``earlier``.
    """
    s, size = group.lanes, program.size
    for lane in range(s):
        if work.lane_status[lane] != RUNNING:
            continue
        member = group.members[lane]
        loss_finite = np.isfinite(work.train_loss[lane])
        finite = loss_finite
        if flags.validated:
            finite &= np.isfinite(work.val_loss[lane])
        for d in range(size):
            finite &= np.isfinite(theta[d * s + lane])
        if finite:
            continue
        for d in range(size):
            good = before[d * s + lane] if loss_finite else earlier[d * s + lane]
            if s > 1:
                state.theta[member * size + d] = good
            else:
                earlier[d] = good
        state.status[member] = DIVERGED
        state.epochs_run[member] = epochs_before_divergence(epoch, loss_finite)
        work.lane_status[lane] = DIVERGED


@noinline
def keep_best(
    program: Program, flags: Any, state: Any, group: Group, epoch: int, theta: Floats,
    work: Workspace,
) -> None:  # fmt: skip
    """Keep every running lane's theta if it is the best so far; stop lanes out of patience."""
    s, size = group.lanes, program.size
    for lane in range(group.count):
        if work.lane_status[lane] != RUNNING:
            continue
        member, loss = group.members[lane], work.val_loss[lane]
        if is_better(loss, state.best_loss[member]):
            for d in range(size):
                state.best[member * size + d] = theta[d * s + lane]
            state.best_loss[member] = loss
            state.best_epoch[member] = epoch + 1
        if is_patience_over(epoch + 1, state.best_epoch[member], flags.patience):
            state.status[member] = STOPPED
            state.epochs_run[member] = epoch + 1
            work.lane_status[lane] = STOPPED
