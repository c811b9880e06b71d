"""The training of groups of members, epoch by epoch."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled import steps, stopping
from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.evaluation import evaluate
from seedbed.engines.compiled.groups import RUNNING, group_of, load_group, load_lanes, store_group
from seedbed.engines.compiled.memory import bare, load, locate, pointer, store, width
from seedbed.engines.compiled.records import HISTORY, Floats, Group, Groups, Training, Workspace
from seedbed.engines.compiled.rounding import restore, standard_arithmetic
from seedbed.engines.compiled.rows import draw_masks, fetch, inputs, own_rows, shuffle_rows
from seedbed.engines.compiled.target import inline, kernel


@kernel
def train(training: Training, groups: Groups, work: Workspace, stop: Any) -> None:
    """Carry groups of members through the epochs of ``training.span``.

    Training ends when stop[0] is not 0: members go back to their epoch's start.
    """
    control = standard_arithmetic()
    training, work, stop = bare(training), locate(work), pointer(stop, 0)
    for g in range(len(groups.counts)):
        if not train_group(training, group_of(groups, g), work, stop):
            break
    restore(control)


@inline
def train_group(training: Training, group: Group, work: Workspace, stop: Any) -> bool:
    """Train one group; return whether it reached the end of the span, or stopped by itself."""
    program, flags, state, span = training.program, training.flags, training.state, training.span
    rows, validation = training.rows, training.validation
    c = max(group.lanes, width(work.numbers))
    load_lanes(training.members, group, work)
    theta, before, earlier, slots = load_group(program, flags, state, group, work)
    if rows.has_own and rows.steps == 1:
        own_rows(rows, group)
    if flags.validated and validation.has_own:
        own_rows(validation, group)
    interrupted, done = False, span.first
    column, pending = -(-span.first // flags.record_every), 0
    for epoch in range(span.first, span.last):
        # theta at this epoch's start and at the last one's are kept without a copy: the epoch's
        # first step writes to the buffer of the oldest
        earlier, before, theta = before, theta, earlier
        if not run_epoch(training, group, epoch, before, theta, slots, work, stop):
            earlier, before, theta = theta, earlier, before
            interrupted = True
            break
        done = epoch + 1
        if flags.validated:
            evaluate(program, validation, group, theta, work.val_loss, work)
        finite = stopping.all_finite(flags, work, c)
        if not finite:
            stopping.record(flags, state, group, column, pending, work)
            column, pending = column + pending, 0
            stopping.freeze(program, flags, state, group, epoch, theta, before, earlier, work)
        if epoch % flags.record_every == 0:
            stopping.keep_losses(flags, work, c, pending)
            pending += 1
        if pending == HISTORY or (pending > 0 and flags.patience > 0):
            stopping.record(flags, state, group, column, pending, work)
            column, pending = column + pending, 0
        if flags.patience > 0:
            stopping.keep_best(program, flags, state, group, epoch, theta, work)
        if (flags.patience > 0 or not finite) and not stopping.any_running(work, group.lanes):
            break
    stopping.record(flags, state, group, column, pending, work)
    for lane in range(group.count):
        if work.lane_status[lane] == RUNNING:
            state.epochs_run[group.members[lane]] = done
    store_group(program, flags, state, group, theta, before, earlier, slots, work)
    return not interrupted


@inline
def run_epoch(
    training: Training, group: Group, epoch: int, before: Floats, theta: Floats, slots: Any,
    work: Workspace, stop: Any,
) -> bool:  # fmt: skip
    """Take an epoch's steps, from ``before`` to ``theta``; return whether it reached its end."""
    program, flags, rows, span = training.program, training.flags, training.rows, training.span
    W, s, O = width(theta), group.lanes, program.widths[program.layers]
    c = max(s, W)
    # the same rows at every step need be fetched once, if no others come in between
    same = rows.steps == 1 and rows.piece >= rows.n and not flags.validated
    fetched = same and epoch > span.first
    for v in range(0, c, W):
        store(work.train_loss, v, load(work.zeros, 0))
    if rows.steps > 1:
        shuffle_rows(rows, training.members, group, epoch, work)
    for number in range(rows.steps):
        if stop[0] != 0:
            return False
        old = before if number == 0 else theta
        begin = number * rows.batch
        end = min(begin + rows.batch, rows.n)
        compute_gradient(training, group, epoch, fetched, old, begin, end, work)
        weight = (end - begin) / rows.n
        for v in range(0, c, W):
            loss = load(work.train_loss, v) + steps.total_loss(work, s, O, v) * weight
            store(work.train_loss, v, loss)
        step = epoch * rows.steps + number
        factor = span.factors[(step - span.first * rows.steps) if flags.changing else 0]
        steps.update(program, flags, work, s, old, theta, slots, step + 1, factor)
    return True


@inline
def compute_gradient(
    training: Training, group: Group, epoch: int, fetched: bool, theta: Floats, begin: int,
    end: int, work: Workspace,
) -> None:  # fmt: skip
    """Write the loss and the gradient of the rows from ``begin`` to ``end``, piece by piece."""
    program, rows, drops = training.program, training.rows, training.flags.drops
    s, O = group.lanes, program.widths[program.layers]
    for start in range(begin, end, rows.piece):
        B, adds = min(rows.piece, end - start), start > begin
        if not fetched:
            fetch(program, rows, group, start, B, end - begin, work)
        x, per_lane = inputs(program, rows, s, start, work)
        if drops:
            draw_masks(program, training.members, group, epoch, start, B, work)
        steps.forward(program, work, s, theta, x, per_lane, B, drops)
        y = steps.loss_inputs(program, work, s, B)
        call(program.slope, (y, work.t, work.share, work.losses, work.delta, B * O * s))
        steps.sum_losses(program, work, s, B, adds)
        steps.backward(program, work, s, theta, x, per_lane, B, drops, adds)
