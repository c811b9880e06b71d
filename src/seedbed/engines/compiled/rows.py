"""Which rows a group sees, in what order, and how they are brought to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed import streams
from seedbed.engines.compiled.records import Addresses, Floats, Ints, Members, Room, Rows, Shape
from seedbed.engines.compiled.units import DROPOUT, for_scalars, turn
from seedbed.engines.compiled.vectors import apart, part, pointer, width

_enter, _word, _unit = (
    for_scalars(function) for function in (streams.extend_key, streams.word, streams.to_uniform)
)


@part
def bucket_of(word: Any, width: int) -> Any:
    """Return the highest ``width`` bits of 64."""
    return np.intp(word >> np.uint64(64 - width)) if width > 0 else 0


@apart
def draw_order(key: Any, n: int, tagged: Any, sorted_: Any, starts: Ints) -> None:
    """Write ``streams.order``'s permutation of n rows to ``sorted_``: buckets, then insertion."""
    width = 0
    while (1 << width) < n:
        width += 1
    low = np.uint64((1 << width) - 1)
    for bucket in range((1 << width) + 1):
        starts[bucket] = 0
    for row in range(n):
        tagged[row] = (_word(key, np.uint64(row)) & ~low) | np.uint64(row)
        starts[bucket_of(tagged[row], width) + 1] += 1
    for bucket in range(1 << width):
        starts[bucket + 1] += starts[bucket]
    for row in range(n):
        bucket = bucket_of(tagged[row], width)
        sorted_[starts[bucket]] = tagged[row]
        starts[bucket] += 1
    for row in range(1, n):
        word, place = sorted_[row], row
        while place > 0 and sorted_[place - 1] > word:
            sorted_[place] = sorted_[place - 1]
            place -= 1
        sorted_[place] = word
    for row in range(n):
        sorted_[row] &= low


@apart
def choose_rows(
    rows: Rows, members: Members, group: Ints, s: int, first: int, epoch: int, shuffled: bool,
    chosen: Ints, tagged: Any, sorted_: Any, starts: Ints,
) -> None:  # fmt: skip
    """Write the rows that the lanes see in an epoch, in their order, to ``chosen``, (s · n,).

    ``first`` is the place of the group's first member among those that ``rows.own`` is of.
    """
    n = rows.n
    for lane in range(s):
        member = group[lane]
        if shuffled:
            key = _enter(members.order_keys[member], np.uint64(epoch))
            draw_order(key, n, tagged, sorted_, starts)
        for i in range(n):
            row = np.intp(sorted_[i]) if shuffled else i
            chosen[lane * n + i] = rows.own[(first + lane) * n + row] if rows.has_own else row


@part
def fetch(
    shape: Shape, units: Addresses, rows: Rows, room: Room, space: Floats, s: int, group: Ints,
    at_hand: bool, chosen: Ints, start: int, B: int, batch: int, froms: Ints, tos: Ints,
) -> None:  # fmt: skip
    """Bring B rows from ``start`` on: x (where not ``at_hand``), t and each output's share."""
    W = width(space)
    I, O, n = shape.widths[0], shape.widths[shape.layers], rows.n
    if not at_hand and s > 1:
        for j in range(W):
            tos[j] = j * s
    for b in range(B):
        if at_hand:
            for o in range(O):
                t = rows.t[(start + b) * O + o]
                for lane in range(s):
                    space[room.t + (b * O + o) * s + lane] = t
        elif s > 1:
            for lane in range(s):
                froms[lane] = chosen[lane * n + start + b] * I
            for i in range(0, I, W):
                for v in range(0, s, W):
                    turn(
                        units.turn, pointer(rows.x, i), pointer(froms, v), W,
                        pointer(space, room.x + (b * I + i) * s + v), tos, min(W, I - i),
                    )  # fmt: skip
            for lane in range(s):
                froms[lane] = chosen[lane * n + start + b] * O
            for o in range(0, O, W):
                for v in range(0, s, W):
                    turn(
                        units.turn, pointer(rows.t, o), pointer(froms, v), W,
                        pointer(space, room.t + (b * O + o) * s + v), tos, min(W, O - o),
                    )  # fmt: skip
        else:
            row = chosen[start + b]
            for i in range(I):
                space[room.x + b * I + i] = rows.x[row * I + i]
            for o in range(O):
                space[room.t + b * O + o] = rows.t[row * O + o]
    outputs = O if rows.averaged else 1
    for b in range(B):
        for lane in range(s):
            share = 1 / (batch * outputs)
            if rows.weighed:
                row = start + b if at_hand else chosen[lane * n + start + b]
                mean = rows.mean_weight[group[lane]]
                share = rows.w[row] / (mean * batch * outputs)
            for o in range(O):
                space[room.share + (b * O + o) * s + lane] = share


@apart
def draw_masks(
    shape: Shape, members: Members, room: Room, space: Floats, s: int, group: Ints,
    epoch: int, start: int, B: int,
) -> None:  # fmt: skip
    """Write the dropout masks of B rows, as ``numpy_engine.dropout_masks`` does."""
    for k in range(shape.layers - 1):
        O = shape.widths[k + 1]
        for lane in range(s):
            member = group[lane]
            rate = members.numbers[DROPOUT * members.members + member]
            key = _enter(members.dropout_keys[member], np.uint64(epoch))
            key = _enter(key, np.uint64(k))
            one = space[room.ones]
            scale = one / (one - rate)
            for e in range(B * O):
                kept = _unit(_word(key, np.uint64(start * O + e))) >= rate
                space[room.masks[k] + e * s + lane] = scale if kept else 0.0
