"""Losses and outputs of groups of members, and formulas of arrays."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.bits import canonical_nan
from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.groups import group_of, theta_of
from seedbed.engines.compiled.memory import bare, locate, pointer, store, width
from seedbed.engines.compiled.records import Floats, Group, Groups, Matrix, Program, Rows, Workspace
from seedbed.engines.compiled.rounding import restore, standard_arithmetic
from seedbed.engines.compiled.rows import fetch, inputs, own_rows
from seedbed.engines.compiled.steps import forward, loss_inputs, sum_losses, total_loss
from seedbed.engines.compiled.target import kernel, low_latency, noinline


@noinline
def evaluate(
    program: Program, rows: Rows, group: Group, theta: Floats, result: Floats, work: Workspace
) -> None:
    """Write each lane's mean loss over all its rows to ``result``, (s,)."""
    O, s, n = program.widths[program.layers], group.lanes, rows.n
    for start in range(0, n, rows.piece):
        B = min(rows.piece, n - start)
        fetch(program, rows, group, start, B, n, work)
        x, per_lane = inputs(program, rows, s, start, work)
        forward(program, work, s, theta, x, per_lane, B, False)
        y = loss_inputs(program, work, s, B)
        call(program.loss, (y, work.t, work.share, work.losses, B * O * s))
        sum_losses(program, work, s, B, start > 0)
    for v in range(0, s, width(theta)):
        store(result, v, total_loss(work, s, O, v))


@kernel
def losses(
    program: Program, theta: Floats, rows: Rows, groups: Groups, work: Workspace, result: Floats
) -> None:
    """Write the mean loss over all rows of each group's members to ``result``, (P,)."""
    control = standard_arithmetic()
    program, rows, work = bare(program), bare(rows), locate(work)
    for g in range(len(groups.counts)):
        group = group_of(groups, g)
        own = theta_of(program, group, pointer(theta, 0), work)
        if rows.has_own:
            own_rows(rows, group)
        evaluate(program, rows, group, own, work.val_loss, work)
        for lane in range(group.count):
            result[group.members[lane]] = work.val_loss[lane]
    restore(control)


@kernel
def outputs(
    program: Program, theta: Floats, x: Floats, piece: int, groups: Groups, work: Workspace,
    result: Floats,
) -> None:  # fmt: skip
    """Write the networks' outputs for all rows of x (N · I,) to ``result``, (P · N · O,).

    Each group may have inputs of its own, x (P · N · I,), if its members are alone.
    """
    control = standard_arithmetic()
    program, work = bare(program), locate(work)
    I, O = program.widths[0], program.widths[program.layers]
    n = len(result) * program.size // (len(theta) * O)
    has_own = len(x) > n * I
    for g in range(len(groups.counts)):
        group = group_of(groups, g)
        own = theta_of(program, group, pointer(theta, 0), work)
        first = group.members[0] * n * I if has_own else 0
        for start in range(0, n, piece):
            B = min(piece, n - start)
            rows = Matrix(pointer(x, first + start * I), I, 1)
            forward(program, work, group.lanes, own, rows, False, B, False)
            y = loss_inputs(program, work, group.lanes, B)
            for lane in range(group.count):
                place = (group.members[lane] * n + start) * O
                for e in range(B * O):
                    result[place + e] = canonical_nan(y[e * group.lanes + lane])
    restore(control)


@low_latency
def small_outputs(
    layout: Any, L: int, normalised: bool, predict: int, theta: Floats, x: Floats,
    numbers: Floats, result: Floats,
) -> None:  # fmt: skip
    """Write each member's outputs for a few rows, x (B · I,), to ``result``, (P · B · O,).

    Like ``outputs``, with as few arguments as possible: for one row, taking them is most of the
    work. ``prediction.SmallBatchPredictor`` writes ``layout``; ``normalised`` asks for
    log-probabilities, and ``predict`` is the address of the outputs' map to predictions, or 0.
    """
    control = standard_arithmetic()
    product, log_softmax, size, ones, scales = layout[0], layout[1], layout[2], layout[3], layout[4]
    widths, dense, starts = pointer(layout, 5), pointer(layout, L + 6), pointer(layout, 2 * L + 6)
    forwards, setting_starts = pointer(layout, 3 * L + 6), pointer(layout, 4 * L + 6)
    z, a, h = pointer(layout, 5 * L + 6), pointer(layout, 6 * L + 6), pointer(layout, 7 * L + 6)
    scaled, settings = pointer(layout, 8 * L + 6), pointer(layout, 9 * L + 6)
    program = Program(
        widths, dense, starts, starts, settings, setting_starts, starts, starts, 0, L, size,
        forwards, forwards, 0, 0, 0, 0, 0, product, 0, log_softmax, normalised,
    )  # fmt: skip
    work = locate(
        Workspace(
            pointer(numbers, 0), 0, ones, scales, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            z, a, h, z, scaled, z, z, z, z, z, z,
        )
    )  # fmt: skip
    B, O = len(x) // widths[0], widths[L]
    rows = Matrix(pointer(x, 0), widths[0], 1)
    for p in range(len(theta) // size):
        forward(program, work, 1, pointer(theta, p * size), rows, False, B, False)
        y = loss_inputs(program, work, 1, B)
        if predict != 0:
            call(predict, (y, y, y, B * O))
        for e in range(B * O):
            result[p * B * O + e] = canonical_nan(y[e])
    restore(control)


@low_latency
def compute(address: int, p: Floats, q: Floats, out: Floats) -> None:
    """Write a formula of p, or of p and q, elementwise, to ``out``; see ``loops.formula``."""
    control = standard_arithmetic()
    call(address, (pointer(p, 0), pointer(q, 0), pointer(out, 0), len(out)))
    for e in range(len(out)):
        out[e] = canonical_nan(out[e])
    restore(control)
