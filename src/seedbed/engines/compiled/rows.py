"""Which rows a group sees, in what order, and how they are gathered."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed import streams
from seedbed.engines.compiled import records
from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.mathematics import for_scalars
from seedbed.engines.compiled.memory import broadcast, pointer, store, width
from seedbed.engines.compiled.records import Floats, Group, Members, Program, Rows, Workspace
from seedbed.engines.compiled.target import inline, noinline

_enter, _word, _unit = (
    for_scalars(function) for function in (streams.extend_key, streams.word, streams.to_uniform)
)


@inline
def bucket_of(word: Any, bits: int) -> Any:
    """Return the highest ``bits`` of a word's 64."""
    return np.intp(word >> np.uint64(64 - bits)) if bits > 0 else 0


@noinline
def draw_order(key: Any, n: int, tagged: Any, ordered: Any, starts: Any) -> None:
    """Write ``streams.order``'s permutation of n rows to ``ordered``.

    A bucket sort of each row's random word, finished by insertion.
    """
    bits = 0
    while (1 << bits) < n:
        bits += 1
    low = np.uint64((1 << bits) - 1)
    for bucket in range((1 << bits) + 1):
        starts[bucket] = 0
    for row in range(n):
        tagged[row] = (_word(key, np.uint64(row)) & ~low) | np.uint64(row)
        starts[bucket_of(tagged[row], bits) + 1] += 1
    for bucket in range(1 << bits):
        starts[bucket + 1] += starts[bucket]
    for row in range(n):
        bucket = bucket_of(tagged[row], bits)
        ordered[starts[bucket]] = tagged[row]
        starts[bucket] += 1
    for row in range(1, n):
        word, place = ordered[row], row
        while place > 0 and ordered[place - 1] > word:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = word
    for row in range(n):
        ordered[row] &= low


@inline
def own_rows(rows: Rows, group: Group) -> None:
    """Write each lane's own rows, in their own order, to ``rows.order``."""
    for i in range(group.lanes * rows.n):
        rows.order[i] = rows.own[group.first * rows.n + i]


@noinline
def shuffle_rows(rows: Rows, members: Members, group: Group, epoch: int, work: Workspace) -> None:
    """Write the rows that each lane sees in an epoch, in its random order, to ``rows.order``."""
    n = rows.n
    for lane in range(group.lanes):
        key = _enter(members.order_keys[group.members[lane]], np.uint64(epoch))
        draw_order(key, n, work.tagged, work.ordered, work.starts)
        for i in range(n):
            row = np.intp(work.ordered[i])
            own = rows.own[(group.first + lane) * n + row] if rows.has_own else row
            rows.order[lane * n + i] = own


@inline
def inputs(program: Program, rows: Rows, s: int, start: int, work: Workspace) -> Any:
    """Return the rows of x from ``start`` on, and whether each lane has its own."""
    I = program.widths[0]
    if rows.in_place or s == 1:
        first = pointer(rows.x, start * I) if rows.in_place else work.x
        return records.Matrix(first, I, 1), False
    return records.Matrix(work.x, I * s, s), True


@inline
def gather(
    program: Program, source: Floats, size: int, target: Floats, s: int, work: Workspace
) -> None:
    """Write ``size`` numbers from each lane's source offset on side by side to ``target``."""
    W = width(target)
    for i in range(0, size, W):
        for v in range(0, s, W):
            call(
                program.transpose,
                (
                    pointer(source, i), pointer(work.source_offsets, v), W,
                    pointer(target, i * s + v), work.target_offsets, min(W, size - i),
                ),
            )  # fmt: skip


@inline
def fetch(
    program: Program, rows: Rows, group: Group, start: int, B: int, batch: int, work: Workspace
) -> None:
    """Gather B rows from ``start`` on: x, unless ``in_place``, t, and each output's share."""
    s, n = group.lanes, rows.n
    I, O = program.widths[0], program.widths[program.layers]
    if not rows.in_place and s > 1:
        for j in range(width(work.x)):
            work.target_offsets[j] = j * s
    for b in range(B):
        if rows.in_place:
            for o in range(O):
                t = broadcast(rows.t, (start + b) * O + o)
                for v in range(0, s, width(work.t)):
                    store(work.t, (b * O + o) * s + v, t)
        elif s > 1:
            for lane in range(s):
                work.source_offsets[lane] = rows.order[lane * n + start + b] * I
            gather(program, rows.x, I, pointer(work.x, b * I * s), s, work)
            for lane in range(s):
                work.source_offsets[lane] = rows.order[lane * n + start + b] * O
            gather(program, rows.t, O, pointer(work.t, b * O * s), s, work)
        else:
            row = rows.order[start + b]
            for i in range(I):
                work.x[b * I + i] = rows.x[row * I + i]
            for o in range(O):
                work.t[b * O + o] = rows.t[row * O + o]
    outputs = O if rows.averaged else 1
    if not rows.weighed:
        work.share[0] = 1 / (batch * outputs)
        share = broadcast(work.share, 0)
        for e in range(0, B * O * s, width(work.share)):
            store(work.share, e, share)
        return
    for b in range(B):
        for lane in range(s):
            row = start + b if rows.in_place else rows.order[lane * n + start + b]
            mean = rows.mean_weight[group.members[lane]]
            for o in range(O):
                work.share[(b * O + o) * s + lane] = rows.w[row] / (mean * batch * outputs)


@noinline
def draw_masks(
    program: Program, members: Members, group: Group, epoch: int, start: int, B: int,
    work: Workspace,
) -> None:  # fmt: skip
    """Write the dropout masks of B rows, as ``objective.dropout_masks`` does."""
    s, one = group.lanes, work.ones[0]
    for k in range(program.layers - 1):
        if program.drops[k] == 0:
            continue
        O, mask = program.widths[k + 1], pointer(work.numbers, work.masks[k])
        for lane in range(s):
            member = group.members[lane]
            rate = members.hyperparameters[records.DROPOUT * members.members + member]
            key = _enter(members.dropout_keys[member], np.uint64(epoch))
            key = _enter(key, np.uint64(k))
            scale = one / (one - rate)
            for e in range(B * O):
                kept = _unit(_word(key, np.uint64(start * O + e))) >= rate
                mask[e * s + lane] = scale if kept else 0.0
