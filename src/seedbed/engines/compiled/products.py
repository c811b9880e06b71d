"""What is done along whole arrays: matrix products, log-softmax, turning a square over."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled import mathematics
from seedbed.engines.compiled.blocks import tile, transpose
from seedbed.engines.compiled.vectors import (
    REGISTERS,
    load,
    part,
    pointer,
    store,
    width,
)

TALL = {1: 8, 2: 6, 4: 4} if REGISTERS == 16 else {1: 8, 2: 8, 3: 8, 4: 6}
"""How many rows are summed at once, by the columns of a strip: enough sums to keep two multipliers
busy, and no more than stay in registers beside what they are made from."""
WIDE, BROAD_ROWS = (2, 4) if REGISTERS == 16 else (3, 2**62)
"""How many columns a strip has (a last one may have fewer), and up to how many rows four that are
left are one strip: with 16 registers they do not all stay there, but few rows are soon done."""


def _strip(columns: int, each: bool, cut: bool) -> Any:
    """Return the function that computes ``columns`` columns of a product, all its rows."""
    tall = TALL[columns]
    most, four, three, two, one = (tile(rows, columns, each, cut) for rows in (tall, 4, 3, 2, 1))

    @part
    def strip(
        start: Any, sm: int, sn: int, out: Any, om: int, on: int, a: Any, am: int, ak: int,
        b: Any, bk: int, bn: int, M: int, K: int, count: int,
    ) -> None:  # fmt: skip
        m = 0
        while m + tall <= M and (tall != 6 or m + 8 != M):  # few rows are slow: 4 + 4, not 6 + 2
            most(
                pointer(start, m * sm), sm, sn, pointer(out, m * om), om, on,
                pointer(a, m * am), am, ak, b, bk, bn, K, count,
            )  # fmt: skip
            m += tall
        while m + 4 <= M:
            four(
                pointer(start, m * sm), sm, sn, pointer(out, m * om), om, on,
                pointer(a, m * am), am, ak, b, bk, bn, K, count,
            )  # fmt: skip
            m += 4
        start, out, a = pointer(start, m * sm), pointer(out, m * om), pointer(a, m * am)
        if m + 3 == M:
            three(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, K, count)
        elif m + 2 == M:
            two(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, K, count)
        elif m + 1 == M:
            one(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, K, count)

    return strip


def product(each: bool) -> Any:
    """Return the function that computes a matrix product; ``each`` as in ``blocks.tile``."""
    one, two, wide, four = (_strip(columns, each, False) for columns in (1, 2, WIDE, 4))
    cut = _strip(1, False, True)

    def multiply(
        start: Any, sm: int, sn: int, out: Any, om: int, on: int, a: Any, am: int, ak: int,
        b: Any, bk: int, bn: int, M: int, N: int, K: int, rest: int,
    ) -> None:  # fmt: skip
        while N >= 4 and M <= 2:  # enough sums to keep two multipliers busy
            four(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, 0)
            start, out, b = pointer(start, 4 * sn), pointer(out, 4 * on), pointer(b, 4 * bn)
            N -= 4
        while N >= WIDE and (N != 4 or M > BROAD_ROWS):
            wide(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, 0)
            start, out = pointer(start, WIDE * sn), pointer(out, WIDE * on)
            b = pointer(b, WIDE * bn)
            N -= WIDE
        if N == 4:
            four(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, 0)
        elif WIDE > 2 and N == 2:
            two(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, 0)
        elif N == 1:
            one(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, 0)
        if not each and rest > 0:
            start, out, b = pointer(start, N * sn), pointer(out, N * on), pointer(b, N * bn)
            cut(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, M, K, rest)

    return multiply


def log_softmax(y: Any, out: Any, B: int, O: int, s: int) -> None:
    """Write y - log Σ e^y over each row's O outputs, as ``losses.log_softmax`` does.

    ``out`` has room for as much again, and for a number a row.
    """
    if s > 1:
        _log_softmax_lanes(y, out, B, O, s)
    else:
        _log_softmax_alone(y, out, B, O)


@part
def _log_softmax_lanes(y: Any, out: Any, B: int, O: int, s: int) -> None:
    for b in range(B):
        for v in range(0, s, width(y)):
            row, seen = pointer(y, b * O * s + v), pointer(out, b * O * s + v)
            top = load(row, 0)
            for o in range(1, O):
                top = mathematics.maximum(top, load(row, o * s))
            total = mathematics.zeros_like(top)
            for o in range(O):
                total = total + mathematics.exp(load(row, o * s) - top)
            total = mathematics.log(total)
            for o in range(O):
                store(seen, o * s, (load(row, o * s) - top) - total)


@part
def _log_softmax_alone(y: Any, out: Any, B: int, O: int) -> None:
    # functions are taken over all rows at once, whose ends need not be those of vectors
    W, n = width(y), B * O
    raised = pointer(out, n + W)
    totals = pointer(raised, n + W)
    for b in range(B):
        top = y[b * O]
        for o in range(1, O):
            other = y[b * O + o]
            top = top if top > other or top != top else other
        for o in range(O):
            out[b * O + o] = y[b * O + o] - top
    for e in range(0, n, W):
        store(raised, e, mathematics.exp(load(out, e)))
    for b in range(B):
        totals[b] = raised[b * O]
        for o in range(1, O):
            totals[b] += raised[b * O + o]
    for b in range(0, B, W):
        store(totals, b, mathematics.log(load(totals, b)))
    for b in range(B):
        for o in range(O):
            out[b * O + o] -= totals[b]


def turn(source: Any, froms: Any, rows: int, target: Any, tos: Any, columns: int) -> None:
    """Turn a square over; see ``blocks.transpose``."""
    transpose(source, froms, rows, target, tos, columns)
