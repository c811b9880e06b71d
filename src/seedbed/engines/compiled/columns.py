"""Columns of a layer's inputs, to and from its outputs."""

from __future__ import annotations

from seedbed.engines.compiled.memory import broadcast, load, pointer, store, width
from seedbed.engines.compiled.records import Floats, Ints, Matrix
from seedbed.engines.compiled.target import inline


@inline
def copy_columns(
    x: Matrix, per_lane: bool, columns: Ints, count: int, target: Floats, O: int, first: int,
    s: int, B: int,
) -> None:  # fmt: skip
    """Write ``count`` columns of x (B, I) to the columns of ``target`` (B, O, s) from ``first`` on.

    Each lane has its own x if ``per_lane``.
    """
    for b in range(B):
        for q in range(count):
            source = pointer(x.first, b * x.row_stride + columns[q] * x.column_stride)
            place = (b * O + first + q) * s
            if s == 1:
                target[place] = source[0]
            else:
                for v in range(0, s, width(target)):
                    value = load(source, v) if per_lane else broadcast(source, 0)
                    store(target, place + v, value)
