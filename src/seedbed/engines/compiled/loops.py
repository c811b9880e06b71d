"""Loops of formulas over arrays: what is compiled for each formula, and called by address.

A loop's annotations are its signature; see ``addresses.compile_loop``. Where a loop writes whole
vectors, its arrays have room for the last one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import njit

from seedbed.engines.compiled.bits import bitwise_or, flush
from seedbed.engines.compiled.blocks import transpose_square
from seedbed.engines.compiled.mathematics import NUMPY, for_vectors
from seedbed.engines.compiled.memory import load, load_first, pointer, store, store_first, width
from seedbed.engines.compiled.records import RULE, Floats, Ints
from seedbed.engines.compiled.target import inline
from seedbed.formulas import penalties


def activation(f: Any, df: Any, W: int) -> tuple[Any, Any]:
    """Return ``forward``, a = f(z), and ``backward``, which turns da into dz = da · df(z, a)."""
    f, df = for_vectors(f), for_vectors(df)

    def forward(z: Floats, a: Floats, count: int) -> None:
        for e in range(0, count, W):
            store(a, e, f(load(z, e)))

    def backward(z: Floats, a: Floats, delta: Floats, count: int) -> None:
        for e in range(0, count, W):
            store(delta, e, load(delta, e) * df(load(z, e), load(a, e)))

    return forward, backward


def loss(f: Any, df: Any, W: int) -> tuple[Any, Any]:
    """Return ``value``, which writes losses, and ``slope``, which writes their derivatives too."""
    f, df = for_vectors(f), for_vectors(df)

    def value(y: Floats, t: Floats, share: Floats, losses: Floats, count: int) -> None:
        for e in range(0, count, W):
            store(losses, e, f(load(y, e), load(t, e)) * load(share, e))

    def slope(y: Floats, t: Floats, share: Floats, losses: Floats, dy: Floats, count: int) -> None:
        for e in range(0, count, W):
            store(losses, e, f(load(y, e), load(t, e)) * load(share, e))
            store(dy, e, df(load(y, e), load(t, e)) * load(share, e))

    return value, slope


def formula(function: Any, arguments: int, W: int) -> Any:
    """Return ``compute``: out = function(p), or function(p, q) of two ``arguments``."""
    f = for_vectors(function)
    of_two = f if arguments == 2 else njit(lambda x, y: f(x))

    def compute(p: Floats, q: Floats, out: Floats, count: int) -> None:
        whole, rest = count - count % W, count % W
        for e in range(0, whole, W):
            store(out, e, of_two(load(p, e), load(q, e)))
        if rest > 0:
            y = of_two(load_first(p, whole, rest), load_first(q, whole, rest))
            store_first(out, whole, y, rest)

    return compute


def penalty(W: int) -> Any:
    """Return ``penalize``, which adds the penalty's slope at the weights w to g."""
    penalty_d = for_vectors(penalties.penalty_d)

    def penalize(w: Floats, g: Floats, l1: Floats, l2: Floats, c: int, count: int) -> None:
        whole = count - count % W
        for v in range(0, c, W):
            a, b = load(l1, v), load(l2, v)
            for e in range(v, whole, c):
                store(g, e, load(g, e) + penalty_d(load(w, e), a, b))
        if whole < count:
            rest, a, b = count - whole, load(l1, 0), load(l2, 0)
            changed = load_first(g, whole, rest) + penalty_d(load_first(w, whole, rest), a, b)
            store_first(g, whole, changed, rest)

    return penalize


@lru_cache(maxsize=64)
def _vectors_of(count: int) -> Any:
    """Return a function that loads ``count`` vectors, c numbers apart, as a tuple."""
    if count == 0:
        return njit(lambda numbers, c: ())
    if count == 1:
        return njit(lambda numbers, c: (load(numbers, 0),))
    fewer = _vectors_of(count - 1)
    last = count - 1
    return njit(lambda numbers, c: (*fewer(numbers, c), load(numbers, last * c)))


@inline
def _load_whole(array: Floats, e: int, rest: int) -> Any:
    return load(array, e)


@inline
def _store_whole(array: Floats, e: int, x: Any, rest: int) -> None:
    store(array, e, x)


def _step(rule: Any, slots: int, read: Any, write: Any) -> Any:
    """Return the function that updates one vector of parameters, and their optimizer state.

    No result is subnormal: the moments of a dead unit, or a weight that decays, would shrink until
    rounding holds them there, and arithmetic on such numbers takes a hundred times as long.
    """
    rule, shrink = for_vectors(rule), for_vectors(penalties.shrink)

    @inline
    def step(
        old: Floats, new: Floats, g: Floats, slot_0: Floats, slot_1: Floats, e: int, rest: int,
        number: int, lr: Any, decay: Any, hyperparameters: Any,
    ) -> Any:  # fmt: skip
        w, slope = shrink(read(old, e, rest), lr, decay), read(g, e, rest)
        if slots == 0:
            changed = rule(w, slope, number, lr, *hyperparameters)
        elif slots == 1:
            changed = rule(w, slope, number, lr, read(slot_0, e, rest), *hyperparameters)
            write(slot_0, e, flush(changed[1]), rest)
        else:
            state = (read(slot_0, e, rest), read(slot_1, e, rest))
            changed = rule(w, slope, number, lr, *(state + hyperparameters))
            write(slot_0, e, flush(changed[1]), rest)
            write(slot_1, e, flush(changed[2]), rest)
        write(new, e, flush(changed[0]), rest)
        return changed[0]

    return step


def rule(function: Any, slots: int, others: int, W: int) -> Any:
    """Return ``advance``, which takes an optimizer's step on ``count`` parameters.

    A lane's hyperparameters are c numbers apart; ``others`` of them are the rule's own. The vectors
    at ``nonfinite`` stay 0 while every new parameter is finite.
    """
    step_of_whole = _step(function, slots, _load_whole, _store_whole)
    step_of_rest = _step(function, slots, load_first, store_first)
    own_hyperparameters = _vectors_of(others)

    def advance(
        old: Floats, new: Floats, g: Floats, slot_0: Floats, slot_1: Floats,
        hyperparameters: Floats, decay: Floats, nonfinite: Floats, number: int, factor: float,
        c: int, count: int,
    ) -> None:  # fmt: skip
        whole = count - count % W
        for v in range(0, c, W):
            found = load(nonfinite, v)
            lr, decays = load(hyperparameters, v) * factor, load(decay, v)
            own = own_hyperparameters(pointer(hyperparameters, RULE * c + v), c)
            for e in range(v, whole, c):
                w = step_of_whole(
                    old, new, g, slot_0, slot_1, e, W, number, lr, decays, own
                )  # fmt: skip
                found = bitwise_or(found, w - w)
            if whole < count:  # for a member alone, so that there is but one v
                rest = count - whole
                step_of_rest(
                    old, new, g, slot_0, slot_1, whole, rest, number, lr, decays, own
                )  # fmt: skip
                w = load_first(new, whole, rest)
                found = bitwise_or(found, w - w)
            store(nonfinite, v, found)

    return advance


def log_softmax(y: Floats, out: Floats, B: int, O: int, s: int) -> None:
    """Write y - log Σ e^y over each row's O outputs, as ``losses.log_softmax`` does.

    ``out`` has room for as much again, and for a number for each row.
    """
    if s > 1:
        _log_softmax_lanes(y, out, B, O, s)
    else:
        _log_softmax_alone(y, out, B, O)


@inline
def _log_softmax_lanes(y: Floats, out: Floats, B: int, O: int, s: int) -> None:
    for b in range(B):
        for v in range(0, s, width(y)):
            row, result = pointer(y, b * O * s + v), pointer(out, b * O * s + v)
            top = load(row, 0)
            for o in range(1, O):
                top = NUMPY.maximum(top, load(row, o * s))
            total = NUMPY.zeros_like(top)
            for o in range(O):
                total = total + NUMPY.exp(load(row, o * s) - top)
            total = NUMPY.log(total)
            for o in range(O):
                store(result, o * s, (load(row, o * s) - top) - total)


@inline
def _log_softmax_alone(y: Floats, out: Floats, B: int, O: int) -> None:
    # exp and log run over all rows at once, as rows seldom end where vectors do
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
        store(raised, e, NUMPY.exp(load(out, e)))
    for b in range(B):
        totals[b] = raised[b * O]
        for o in range(1, O):
            totals[b] += raised[b * O + o]
    for b in range(0, B, W):
        store(totals, b, NUMPY.log(load(totals, b)))
    for b in range(B):
        for o in range(O):
            out[b * O + o] -= totals[b]


def transpose(
    source: Floats, source_offsets: Ints, rows: int, target: Floats, target_offsets: Ints,
    columns: int,
) -> None:  # fmt: skip
    """See ``blocks.transpose_square``."""
    transpose_square(source, source_offsets, rows, target, target_offsets, columns)
