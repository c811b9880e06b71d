"""Sums of products of neighbouring numbers, for lanes and for a member alone."""

from __future__ import annotations

from seedbed.engines.compiled.memory import load, load_first, store, width
from seedbed.engines.compiled.records import Floats, Workspace
from seedbed.engines.compiled.target import inline
from seedbed.engines.compiled.vectors import fma


@inline
def sum_products(work: Workspace, s: int, x: Floats, y: Floats, numbers: int) -> None:
    """Write Σ x y to ``partial``, (s,): product d goes to sum d mod 16, then the sums are added."""
    W = width(work.partial)
    vectors = 16 * s // W
    for j in range(vectors):
        store(work.partial, j * W, load(work.zeros, 0))
    j = 0
    for e in range(0, numbers, W):
        count = numbers - e
        a, b = load_first(x, e, count), load_first(y, e, count)
        store(work.partial, j * W, fma(a, b, load(work.partial, j * W)))
        j = j + 1 if j + 1 < vectors else 0
    for lane in range(s):
        total = work.partial[lane]
        for j in range(1, 16):
            total += work.partial[j * s + lane]
        work.partial[lane] = total
