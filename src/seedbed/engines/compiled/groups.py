"""What is done with groups of members: training, evaluation, outputs. See ``steps``."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled.records import (
    HISTORY,
    Addresses,
    Floats,
    Ints,
    Members,
    Method,
    Room,
    Rows,
    Shape,
    Standing,
)
from seedbed.engines.compiled.rounding import restore, standard_arithmetic
from seedbed.engines.compiled.rows import choose_rows, draw_masks, fetch
from seedbed.engines.compiled.steps import add_up, backward, forward, seen, total, update
from seedbed.engines.compiled.units import apply, turn
from seedbed.engines.compiled.vectors import (
    any_nonzero,
    apart,
    bare,
    kernel,
    load,
    one_nan,
    pointer,
    store,
    width,
)
from seedbed.engines.state import Status

NEAR = 1024
"""Up to how many parameters those of a member alone are worked on in a thread's own room."""
_STOPPED, _DIVERGED = int(Status.STOPPED), int(Status.DIVERGED)


@apart
def bring(
    address: int, s: int, source: Floats, size: int, group: Ints, target: Any, froms: Ints,
    tos: Ints,
) -> None:  # fmt: skip
    """Write the rows (size,) of the group's members side by side to ``target``, (size, s)."""
    W = width(target)
    for lane in range(s):
        froms[lane], tos[lane] = group[lane] * size, lane * s
    for d in range(0, size, W):
        for v in range(0, s, W):
            turn(
                address, pointer(source, d), pointer(froms, v), W,
                pointer(target, d * s + v), tos, min(W, size - d),
            )  # fmt: skip


@apart
def give_back(
    address: int, s: int, source: Any, size: int, group: Ints, count: int, target: Floats,
    froms: Ints, tos: Ints,
) -> None:  # fmt: skip
    """Write the first ``count`` lanes back to their members' rows."""
    W = width(source)
    for lane in range(s):
        froms[lane], tos[lane] = lane * s, group[lane] * size
    for d in range(0, size, W):
        for v in range(0, count, W):
            turn(
                address, pointer(source, d * s + v), froms, min(W, size - d),
                pointer(target, d), pointer(tos, v), min(W, count - v),
            )  # fmt: skip


@apart
def evaluate(
    shape: Shape, units: Addresses, rows: Rows, room: Room, space: Floats, s: int, group: Ints,
    theta: Any, chosen: Ints, to: int, froms: Ints, tos: Ints,
) -> None:  # fmt: skip
    """Write each lane's mean loss over all its rows to ``to``, (s,)."""
    O, n = shape.widths[shape.layers], rows.n
    own = rows.has_own
    for start in range(0, n, rows.piece):
        B = min(rows.piece, n - start)
        fetch(shape, units, rows, room, space, s, group, not own, chosen, start, B, n, froms, tos)
        x, each = pointer(space, room.x), s > 1
        if not own:
            x, each = pointer(rows.x, start * shape.widths[0]), False
        forward(shape, units, room, space, s, theta, x, each, B, False)
        y = seen(units, room, space, s, shape.layers - 1, B, O)
        t, share, out = (
            pointer(space, room.t), pointer(space, room.share), pointer(space, room.each)
        )  # fmt: skip
        apply(units.value, y, t, share, out, out, B * O * s)
        add_up(units, room, space, s, B, O, start > 0)
    for v in range(0, s, width(space)):
        store(space, to + v, total(room, space, s, O, v))


@kernel
def train(
    shape: Shape, units: Addresses, method: Method, members: Members, standing: Standing,
    rows: Rows, held: Rows, groups: Ints, counts: Ints, first: int, last: int, factors: Floats,
    room: Room, space: Floats, chosen: Ints, held_chosen: Ints, tagged: Any,
    sorted_: Any, starts: Ints, froms: Ints, tos: Ints, stop: Ints,
) -> None:  # fmt: skip
    """Carry groups of members through epochs ``first`` to ``last`` - 1.

    groups  (G, s) member numbers, of which the first counts[g] are meant
    factors (steps,) the schedule's, or (1,) where it is constant
    chosen, held_chosen  room for row numbers; tagged, sorted_, starts for drawing orders
    stop    stop[0] is not 0 when training is to end: members go back to their epoch's start
    """
    control = standard_arithmetic()
    shape, units, room, members = bare(shape), bare(units), bare(room), bare(members)
    standing, rows, held = bare(standing), bare(rows), bare(held)
    space, chosen, held_chosen = pointer(space, 0), pointer(chosen, 0), pointer(held_chosen, 0)
    tagged, sorted_, starts = pointer(tagged, 0), pointer(sorted_, 0), pointer(starts, 0)
    froms, tos, stop = pointer(froms, 0), pointer(tos, 0), pointer(stop, 0)
    W, s, size = width(space), groups.shape[1], shape.size
    O, c, piece = shape.widths[shape.layers], max(s, W), rows.piece
    own, shuffled = rows.has_own, rows.steps > 1
    at_hand = not (own or shuffled)
    # the same rows at every step need be fetched once, if no others come in between
    fixed = rows.steps == 1 and piece >= rows.n and not method.validated
    live, frozen = np.empty(s, np.bool_), np.empty(s, np.bool_)
    for g in range(len(counts)):
        group, count = pointer(groups, g * s), counts[g]
        live[:], frozen[:] = False, False
        live[:count] = True
        for row in range(members.kinds):
            for lane in range(c):
                place = row * members.members + group[lane if s > 1 else 0]
                space[room.numbers + row * c + lane] = members.numbers[place]
        if s > 1:
            now = pointer(space, room.theta)
            before = pointer(space, room.theta + size * s)
            earlier = pointer(space, room.theta + 2 * size * s)
            slot_0 = pointer(space, room.slots)
            slot_1 = pointer(space, room.slots + size * s)
            bring(units.turn, s, standing.theta, size, group, now, froms, tos)
            bring(units.turn, s, standing.before, size, group, before, froms, tos)
            if method.slots > 0:
                bring(units.turn, s, standing.slot_0, size, group, slot_0, froms, tos)
            if method.slots > 1:
                bring(units.turn, s, standing.slot_1, size, group, slot_1, froms, tos)
            home, home_before, home_0, home_1 = now, before, slot_0, slot_1
        else:
            begin = group[0] * size
            home, home_before = pointer(standing.theta, begin), pointer(standing.before, begin)
            home_0 = pointer(standing.slot_0, begin if method.slots > 0 else 0)
            home_1 = pointer(standing.slot_1, begin if method.slots > 1 else 0)
            now, before, slot_0, slot_1 = home, home_before, home_0, home_1
            earlier = pointer(space, room.theta)
            if size <= NEAR:  # another thread may write to the same cache lines
                now, before = pointer(earlier, size), pointer(earlier, 2 * size)
                slot_0, slot_1 = pointer(space, room.slots), pointer(space, room.slots + size)
                for d in range(size):
                    now[d], before[d] = home[d], home_before[d]
                if method.slots > 0:
                    for d in range(size):
                        slot_0[d] = home_0[d]
                if method.slots > 1:
                    for d in range(size):
                        slot_1[d] = home_1[d]
        if own and not shuffled:
            choose_rows(rows, members, group, s, g * s, 0, False, chosen, tagged, sorted_, starts)
        if method.validated and held.has_own:
            choose_rows(
                held,
                members,
                group,
                s,
                g * s,
                0,
                False,
                held_chosen,
                tagged,
                sorted_,
                starts,
            )
        fetched, interrupted, done = False, False, first
        column, pending = -(-first // method.record_every), 0
        for epoch in range(first, last):
            # the states of this epoch's start and the one before are kept without a copy: the
            # epoch's first step writes to the buffer of the oldest
            earlier, before, now = before, now, earlier
            for v in range(0, c, W):
                store(space, room.loss + v, load(space, room.zeros))
            if shuffled:
                choose_rows(
                    rows,
                    members,
                    group,
                    s,
                    g * s,
                    epoch,
                    True,
                    chosen,
                    tagged,
                    sorted_,
                    starts,
                )
            for number in range(rows.steps):
                if stop[0] != 0:
                    interrupted = True
                    break
                old = before if number == 0 else now
                begin = number * rows.batch
                end = min(begin + rows.batch, rows.n)
                for start in range(begin, end, piece):
                    B = min(piece, end - start)
                    if not fetched:
                        fetch(
                            shape, units, rows, room, space, s, group, at_hand, chosen, start, B,
                            end - begin, froms, tos,
                        )  # fmt: skip
                        fetched = fixed
                    x, each = pointer(space, room.x), s > 1
                    if at_hand:
                        x, each = pointer(rows.x, start * shape.widths[0]), False
                    if method.drops:
                        draw_masks(shape, members, room, space, s, group, epoch, start, B)
                    forward(shape, units, room, space, s, old, x, each, B, method.drops)
                    y = seen(units, room, space, s, shape.layers - 1, B, O)
                    apply(
                        units.slope, y, pointer(space, room.t), pointer(space, room.share),
                        pointer(space, room.each), pointer(space, room.delta), B * O * s,
                    )  # fmt: skip
                    add_up(units, room, space, s, B, O, start > begin)
                    backward(
                        shape, units, room, space, s, old, x, each, B, method.drops,
                        start > begin,
                    )  # fmt: skip
                weight = (end - begin) / rows.n
                for v in range(0, c, W):
                    loss = load(space, room.loss + v) + total(room, space, s, O, v) * weight
                    store(space, room.loss + v, loss)
                step = epoch * rows.steps + number
                factor = factors[(step - first * rows.steps) if method.changing else 0]
                update(
                    shape, units, method, room, space, s, old, now, slot_0, slot_1, step + 1,
                    factor,
                )  # fmt: skip
            if interrupted:
                earlier, before, now = now, earlier, before
                break
            done = epoch + 1
            if method.validated:
                evaluate(
                    shape, units, held, room, space, s, group, now, held_chosen, room.held_loss,
                    froms, tos,
                )  # fmt: skip
            unlike = load(space, room.zeros)
            for v in range(0, c, W):
                loss = load(space, room.loss + v)
                unlike = unlike + load(space, room.apart + v) + (loss - loss)
                if method.validated:
                    loss = load(space, room.held_loss + v)
                    unlike = unlike + (loss - loss)
            sound = not any_nonzero(unlike)
            if not sound:
                record(method, standing, room, space, c, group, count, column, pending, live)
                column, pending = column + pending, 0
                freeze(
                    method, standing, room, space, s, group, size, epoch, now, before, earlier,
                    live, frozen,
                )  # fmt: skip
            if epoch % method.record_every == 0:
                for v in range(0, c, W):
                    to = room.history + pending * c + v
                    store(space, to, load(space, room.loss + v))
                    if method.validated:
                        store(space, to + HISTORY * c, load(space, room.held_loss + v))
                pending += 1
            if pending == HISTORY or (pending > 0 and method.patience > 0):
                record(method, standing, room, space, c, group, count, column, pending, live)
                column, pending = column + pending, 0
            if method.patience > 0:
                for lane in range(count):
                    if live[lane]:
                        keep_best(
                            method, standing, room, space, s, group, lane, size, epoch, now, live
                        )
            if (method.patience > 0 or not sound) and not live.any():
                break
        record(method, standing, room, space, c, group, count, column, pending, live)
        for lane in range(count):
            if live[lane]:
                standing.epochs_run[group[lane]] = done
        if s > 1:
            if frozen.any():  # those are where they belong
                for lane in range(count):
                    if not frozen[lane]:
                        for d in range(size):
                            standing.theta[group[lane] * size + d] = now[d * s + lane]
            else:
                give_back(units.turn, s, now, size, group, count, standing.theta, froms, tos)
            give_back(units.turn, s, before, size, group, count, standing.before, froms, tos)
            if method.slots > 0:
                give_back(units.turn, s, slot_0, size, group, count, standing.slot_0, froms, tos)
            if method.slots > 1:
                give_back(units.turn, s, slot_1, size, group, count, standing.slot_1, froms, tos)
        elif last > first:  # the buffers have changed places
            good = earlier if frozen[0] else now  # see ``freeze``
            for d in range(size):
                theta, theta_before = good[d], before[d]
                home[d], home_before[d] = theta, theta_before
            if size <= NEAR:
                if method.slots > 0:
                    for d in range(size):
                        home_0[d] = slot_0[d]
                if method.slots > 1:
                    for d in range(size):
                        home_1[d] = slot_1[d]
        if interrupted:
            break
    restore(control)


@apart
def record(
    method: Method, standing: Standing, room: Room, space: Floats, c: int, group: Ints,
    count: int, column: int, pending: int, live: Any,
) -> None:  # fmt: skip
    """Write the ``pending`` epochs' losses in ``room.history`` to the live members' histories.

    Losses wait there until they fill a cache line of each member's history: writing one number
    to each of many members after every epoch takes a tiny network's step a fifth longer.
    """
    for lane in range(count):
        if live[lane]:
            begin = group[lane] * method.recorded + column
            for j in range(pending):
                standing.train_loss[begin + j] = space[room.history + j * c + lane]
            if method.validated:
                for j in range(pending):
                    loss = space[room.history + (HISTORY + j) * c + lane]
                    standing.val_loss[begin + j] = loss


@apart
def freeze(
    method: Method, standing: Standing, room: Room, space: Floats, s: int, group: Ints, size: int,
    epoch: int, now: Any, before: Any, earlier: Any, live: Any, frozen: Any,
) -> None:  # fmt: skip
    """Keep the last good state of every member that diverged; see ``numpy_engine._Watch``.

    With lanes it goes to where the member's theta lies; for a member alone, to ``earlier``.
    """
    for lane in range(s):
        if not live[lane]:
            continue
        member = group[lane]
        began_well = np.isfinite(space[room.loss + lane])
        well = began_well
        if method.validated:
            well &= np.isfinite(space[room.held_loss + lane])
        for d in range(size):
            well &= np.isfinite(now[d * s + lane])
        if well:
            continue
        for d in range(size):
            good = before[d * s + lane] if began_well else earlier[d * s + lane]
            if s > 1:
                standing.theta[member * size + d] = good
            else:
                earlier[d] = good
        standing.status[member] = _DIVERGED
        standing.epochs_run[member] = epoch if began_well else max(epoch - 1, 0)
        live[lane], frozen[lane] = False, True


@apart
def keep_best(
    method: Method, standing: Standing, room: Room, space: Floats, s: int, group: Ints, lane: int,
    size: int, epoch: int, now: Any, live: Any,
) -> None:  # fmt: skip
    """Keep a lane's theta if it is the best so far; stop the member if it waited long enough."""
    member, loss = group[lane], space[room.held_loss + lane]
    if loss < standing.best_loss[member]:
        for d in range(size):
            standing.best[member * size + d] = now[d * s + lane]
        standing.best_loss[member] = loss
        standing.best_epoch[member] = epoch + 1
    if epoch + 1 - standing.best_epoch[member] >= method.patience:
        standing.status[member] = _STOPPED
        standing.epochs_run[member] = epoch + 1
        live[lane] = False


@kernel
def losses(
    shape: Shape, units: Addresses, members: Members, theta: Floats, rows: Rows, groups: Ints,
    counts: Ints, room: Room, space: Floats, chosen: Ints, tagged: Any, sorted_: Any,
    starts: Ints, froms: Ints, tos: Ints, result: Floats,
) -> None:  # fmt: skip
    """Write the mean loss over all rows of each group's members to ``result``, (P,)."""
    control = standard_arithmetic()
    shape, units, room = bare(shape), bare(units), bare(room)
    members, rows = bare(members), bare(rows)
    space, chosen, tagged = pointer(space, 0), pointer(chosen, 0), pointer(tagged, 0)
    sorted_, starts = pointer(sorted_, 0), pointer(starts, 0)
    froms, tos = pointer(froms, 0), pointer(tos, 0)
    s, size = groups.shape[1], shape.size
    for g in range(len(counts)):
        group, count = pointer(groups, g * s), counts[g]
        if s > 1:
            now = pointer(space, room.theta)
            bring(units.turn, s, theta, size, group, now, froms, tos)
        else:
            now = pointer(theta, group[0] * size)
        if rows.has_own:
            choose_rows(rows, members, group, s, g * s, 0, False, chosen, tagged, sorted_, starts)
        evaluate(shape, units, rows, room, space, s, group, now, chosen, room.held_loss, froms, tos)
        for lane in range(count):
            result[group[lane]] = space[room.held_loss + lane]
    restore(control)


@kernel
def outputs(
    shape: Shape, units: Addresses, theta: Floats, x: Floats, piece: int, groups: Ints,
    counts: Ints, room: Room, space: Floats, froms: Ints, tos: Ints, result: Floats,
) -> None:  # fmt: skip
    """Write the networks' outputs for all rows of x (N · I,) to ``result``, (P · N · O,)."""
    control = standard_arithmetic()
    shape, units, room = bare(shape), bare(units), bare(room)
    space, froms, tos = pointer(space, 0), pointer(froms, 0), pointer(tos, 0)
    s, size = groups.shape[1], shape.size
    I, O = shape.widths[0], shape.widths[shape.layers]
    n, last = len(x) // I, shape.layers - 1
    for g in range(len(counts)):
        group, count = pointer(groups, g * s), counts[g]
        if s > 1:
            now = pointer(space, room.theta)
            bring(units.turn, s, theta, size, group, now, froms, tos)
        else:
            now = pointer(theta, group[0] * size)
        for start in range(0, n, piece):
            B = min(piece, n - start)
            forward(shape, units, room, space, s, now, pointer(x, start * I), False, B, False)
            y = seen(units, room, space, s, last, B, O)
            for lane in range(count):
                place = (group[lane] * n + start) * O
                for e in range(B * O):
                    result[place + e] = one_nan(y[e * s + lane])
    restore(control)


@kernel
def compute(address: int, p: Floats, q: Floats, out: Floats) -> None:
    """Write a formula of p, or of p and q, elementwise, to ``out``; see ``units.formula``."""
    control = standard_arithmetic()
    first, second, to = pointer(p, 0), pointer(q, 0), pointer(out, 0)
    apply(address, first, second, second, second, to, len(out))
    for e in range(len(out)):
        out[e] = one_nan(out[e])
    restore(control)


@kernel
def few_outputs(
    program: Ints, L: int, normalised: bool, predict: int, theta: Floats, x: Floats,
    space: Floats, result: Floats,
) -> None:  # fmt: skip
    """Write each member's outputs for a few rows, x (B · I,), to ``result``, (P · B · O,).

    Like ``outputs``, with as few arguments as can be: for one row, taking them is most of the
    work. ``program`` is what ``engine.Few`` writes; ``normalised`` asks for log-probabilities,
    and ``predict`` is the address of what turns outputs into predictions, or 0.
    """
    control = standard_arithmetic()
    size, rows, space = program[7 * L + 3], len(x), pointer(space, 0)
    widths, weights = pointer(program, 0), pointer(program, L + 1)
    biases, forwards = pointer(program, 2 * L + 1), pointer(program, 3 * L + 1)
    z, a, h = (
        pointer(program, 4 * L + 1), pointer(program, 5 * L + 1), pointer(program, 6 * L + 1)
    )  # fmt: skip
    product, log_softmax = program[7 * L + 1], program[7 * L + 2]
    shape = Shape(widths, weights, biases, L, size)
    units = Addresses(forwards, forwards, 0, 0, 0, 0, 0, product, 0, log_softmax, normalised)
    room = Room(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, z, a, h, z, 0, 0, 0, 0, 0, 0)
    B, O = rows // widths[0], widths[L]
    for p in range(len(theta) // size):
        forward(
            shape, units, room, space, 1, pointer(theta, p * size), pointer(x, 0), False, B, False
        )
        y = seen(units, room, space, 1, L - 1, B, O)
        if predict != 0:
            apply(predict, y, y, y, y, y, B * O)
        for e in range(B * O):
            result[p * B * O + e] = one_nan(y[e])
    restore(control)
