"""Columns of a layer's inputs that it passes on unchanged."""

from __future__ import annotations

from seedbed.engines.compiled.memory import broadcast, load, pointer, store, width
from seedbed.engines.compiled.records import Floats, Ints, Matrix
from seedbed.engines.compiled.target import inline


@inline
def copy_columns(
    x: Matrix, per_lane: bool, columns: Ints, count: int, a: Floats, O: int, s: int, B: int
) -> None:
    """Write ``count`` columns of x (B, I) to the first columns of a (B, O, s).

    Each lane has its own x if ``per_lane``.
    """
    for b in range(B):
        for q in range(count):
            source = pointer(x.first, b * x.row_stride + columns[q] * x.column_stride)
            place = (b * O + q) * s
            if s == 1:
                a[place] = source[0]
            else:
                for v in range(0, s, width(a)):
                    value = load(source, v) if per_lane else broadcast(source, 0)
                    store(a, place + v, value)
