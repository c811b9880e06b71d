"""The training of groups of members, epoch by epoch."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.evaluation import evaluate
from seedbed.engines.compiled.groups import RUNNING, load_group, load_lanes, store_group
from seedbed.engines.compiled.memory import bare, load, locate, pointer, store, width
from seedbed.engines.compiled.records import (
    HISTORY,
    Floats,
    Group,
    Groups,
    Ints,
    Members,
    Program,
    Rows,
    Span,
    StateArrays,
    StepFlags,
    Workspace,
)
from seedbed.engines.compiled.rounding import restore, standard_arithmetic
from seedbed.engines.compiled.rows import choose_rows, draw_masks, fetch, inputs
from seedbed.engines.compiled.steps import (
    backward,
    forward,
    loss_inputs,
    sum_losses,
    total_loss,
    update,
)
from seedbed.engines.compiled.stopping import (
    all_finite,
    any_running,
    freeze,
    keep_best,
    keep_losses,
    record,
)
from seedbed.engines.compiled.target import expand, kernel


@kernel
def train(
    program: Program, flags: StepFlags, members: Members, state: StateArrays, rows: Rows,
    validation: Rows, groups: Groups, span: Span, work: Workspace, stop: Ints,
) -> None:  # fmt: skip
    """Carry groups of members through the epochs of ``span``.

    Training ends when stop[0] is not 0: members go back to their epoch's start.
    """
    control = standard_arithmetic()
    s = groups.members.shape[1]
    program, members, state, span = bare(program), bare(members), bare(state), bare(span)
    rows, validation, work = bare(rows), bare(validation), locate(work)
    stop = pointer(stop, 0)
    for g in range(len(groups.counts)):
        group = Group(pointer(groups.members, g * s), s, groups.counts[g], g * s)
        if not train_group(
            program, flags, members, state, rows, validation, group, span, work, stop
        ):
            break
    restore(control)


@expand
def train_group(
    program: Program, flags: StepFlags, members: Members, state: StateArrays, rows: Rows,
    validation: Rows, group: Group, span: Span, work: Workspace, stop: Ints,
) -> bool:  # fmt: skip
    """Train one group; return whether it reached the end of ``span``, or stopped by itself."""
    c = max(group.lanes, width(work.numbers))
    load_lanes(work, members, group)
    theta, before, earlier, slots = load_group(program, flags, state, work, group)
    if rows.has_own and rows.steps == 1:
        choose_rows(rows, members, group, 0, False, work)
    if flags.validated and validation.has_own:
        choose_rows(validation, members, group, 0, False, work)
    interrupted, done = False, span.first
    column, pending = -(-span.first // flags.record_every), 0
    for epoch in range(span.first, span.last):
        # theta at this epoch's start and at the last one's are kept without a copy: the epoch's
        # first step writes to the buffer of the oldest
        earlier, before, theta = before, theta, earlier
        if not run_epoch(
            program, flags, members, rows, group, span, epoch, before, theta, slots, work, stop
        ):
            earlier, before, theta = theta, earlier, before
            interrupted = True
            break
        done = epoch + 1
        if flags.validated:
            evaluate(program, validation, work, group, theta, work.val_loss)
        finite = all_finite(flags, work, c)
        if not finite:
            record(flags, state, work, group, column, pending)
            column, pending = column + pending, 0
            freeze(program, flags, state, work, group, epoch, theta, before, earlier)
        if epoch % flags.record_every == 0:
            keep_losses(flags, work, c, pending)
            pending += 1
        if pending == HISTORY or (pending > 0 and flags.patience > 0):
            record(flags, state, work, group, column, pending)
            column, pending = column + pending, 0
        if flags.patience > 0:
            keep_best(program, flags, state, work, group, epoch, theta)
        if (flags.patience > 0 or not finite) and not any_running(work, group.lanes):
            break
    record(flags, state, work, group, column, pending)
    for lane in range(group.count):
        if work.lane_status[lane] == RUNNING:
            state.epochs_run[group.members[lane]] = done
    store_group(program, flags, state, work, group, theta, before, earlier, slots)
    return not interrupted


@expand
def run_epoch(
    program: Program, flags: StepFlags, members: Members, rows: Rows, group: Group, span: Span,
    epoch: int, before: Floats, theta: Floats, slots: Any, work: Workspace, stop: Ints,
) -> bool:  # fmt: skip
    """Take an epoch's steps, from ``before`` to ``theta``; return whether it reached its end."""
    W, s, O = width(theta), group.lanes, program.widths[program.layers]
    c = max(s, W)
    # the same rows at every step need be fetched once, if no others come in between
    same = rows.steps == 1 and rows.piece >= rows.n and not flags.validated
    fetched = same and epoch > span.first
    for v in range(0, c, W):
        store(work.train_loss, v, load(work.zeros, 0))
    if rows.steps > 1:
        choose_rows(rows, members, group, epoch, True, work)
    for number in range(rows.steps):
        if stop[0] != 0:
            return False
        old = before if number == 0 else theta
        begin = number * rows.batch
        end = min(begin + rows.batch, rows.n)
        compute_gradient(
            program, flags, members, rows, group, epoch, fetched, old, begin, end, work
        )
        weight = (end - begin) / rows.n
        for v in range(0, c, W):
            loss = load(work.train_loss, v) + total_loss(work, s, O, v) * weight
            store(work.train_loss, v, loss)
        step = epoch * rows.steps + number
        factor = span.factors[(step - span.first * rows.steps) if flags.changing else 0]
        update(program, flags, work, s, old, theta, slots, step + 1, factor)
    return True


@expand
def compute_gradient(
    program: Program, flags: StepFlags, members: Members, rows: Rows, group: Group, epoch: int,
    fetched: bool, theta: Floats, begin: int, end: int, work: Workspace,
) -> None:  # fmt: skip
    """Write the loss and the gradient of the rows from ``begin`` to ``end``, piece by piece."""
    s, O = group.lanes, program.widths[program.layers]
    for start in range(begin, end, rows.piece):
        B, adds = min(rows.piece, end - start), start > begin
        if not fetched:
            fetch(program, rows, work, group, start, B, end - begin)
        x, per_lane = inputs(program, rows, work, s, start)
        if flags.drops:
            draw_masks(program, members, work, group, epoch, start, B)
        forward(program, work, s, theta, x, per_lane, B, flags.drops)
        y = loss_inputs(program, work, s, B)
        call(program.slope, (y, work.t, work.share, work.losses, work.delta, B * O * s))
        sum_losses(program, work, s, B, adds)
        backward(program, work, s, theta, x, per_lane, B, flags.drops, adds)
