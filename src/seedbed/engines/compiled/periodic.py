"""A periodic layer of a group, forward and backward; see ``layers.periodic``.

Where NumPy's engine has v = 2π c x + φ, this one has turns t = v / 2π, whose fractional part is
exact, so that sine and cosine are accurate for any frequency.
"""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.columns import copy_columns
from seedbed.engines.compiled.mathematics import cos_sin_of_turns
from seedbed.engines.compiled.memory import (
    broadcast,
    load,
    load_first,
    pointer,
    store_first,
    width,
)
from seedbed.engines.compiled.products import multiply, transposed
from seedbed.engines.compiled.records import Floats, Matrix, Program, Workspace
from seedbed.engines.compiled.target import inline, noinline
from seedbed.engines.compiled.translation import for_vectors
from seedbed.engines.compiled.vectors import fma
from seedbed.formulas.activations import relu
from seedbed.layers.periodic import TWO_PI, Periodic

FORMULAS = (relu.f, relu.df)
_TURNS = 1 / TWO_PI


def settings(layer: Periodic, inputs: int) -> list[int]:
    """Return the numbers of frequencies and units, whether there are phases, the numbers of other
    and embedded columns, then these columns.
    """
    embedded = range(inputs) if layer.columns is None else layer.columns
    others = [column for column in range(inputs) if column not in embedded]
    counts = [layer.frequencies, layer.units, int(layer.phases), len(others), len(embedded)]
    return [*counts, *others, *embedded]


def scratch(layer: Periodic, inputs: int) -> int:
    """Return the waves' numbers of a row, and those of one column's derivatives."""
    columns = inputs if layer.columns is None else len(layer.columns)
    return 2 * layer.frequencies * (columns + 1)


@noinline
def product(
    program: Program, packed: Any, s: int, per_member: bool, start: Matrix, out: Matrix, a: Matrix,
    b: Matrix, M: int, N: int, K: int,
) -> None:  # fmt: skip
    """``products.multiply``, compiled once for all calls in this file."""
    multiply(program, packed, s, per_member, start, out, a, b, M, N, K)


@inline
def waves(
    c: Floats, p: Floats, phases: bool, x: Floats, per_lane: bool, h: Floats, k: int, s: int
) -> None:
    """Write sin v and cos v, or with phases cos v and sin v, of one row's value x, (2k, s)."""
    W, n = width(h), k * s
    step = max(s, W)
    for v in range(0, step, W):
        value = load(x, v) if per_lane else broadcast(x, 0)
        for e in range(v, n, step):
            turns = load_first(c, e, n - e) * value
            if phases:
                turns = fma(load_first(p, e, n - e), _TURNS, turns)
            cos, sin = cos_sin_of_turns(turns)
            store_first(h, e, cos if phases else sin, n - e)
            store_first(h, n + e, sin if phases else cos, n - e)


@inline
def wave_slopes(dh: Floats, h: Floats, phases: bool, k: int, s: int) -> None:
    """Turn one row's dh (2k or k, s) into dv, (k, s)."""
    n = k * s
    for e in range(0, n, width(h)):
        first, second = load_first(h, e, n - e), load_first(h, n + e, n - e)
        slope = load_first(dh, e, n - e)
        if not phases:
            slope = slope * second - load_first(dh, n + e, n - e) * first
        else:
            slope = -slope * second
        store_first(dh, e, slope, n - e)


def make(W: int) -> tuple[Any, Any]:
    """Return ``forward`` and ``backward``."""
    f, df = for_vectors(relu.f), for_vectors(relu.df)

    def forward(
        program: Program, work: Workspace, layer: int, s: int, theta: Floats, x: Matrix,
        per_lane: bool, B: int,
    ) -> None:  # fmt: skip
        """a = (the other columns, with phases the embedded columns, their embeddings)."""
        O = program.widths[layer + 1]
        settings = pointer(program.settings, program.setting_starts[layer])
        k, units, phases = settings[0], settings[1], settings[2] != 0
        others, F, columns = settings[3], settings[4], pointer(settings, 5)
        a, h = pointer(work.numbers, work.a[layer]), pointer(work.numbers, work.z[layer])
        c = pointer(theta, program.starts[layer] * s)
        p = pointer(c, F * k * s)
        width_, step = k if phases else 2 * k, max(s, W)
        Ws = pointer(p, F * k * s if phases else 0)
        bs = pointer(Ws, F * width_ * units * s)
        unchanged = others + (F if phases else 0)
        copy_columns(x, per_lane, columns, unchanged, a, O, 0, s, B)
        for b in range(B):
            for j in range(F):
                at = b * x.row_stride + columns[others + j] * x.column_stride
                waves(
                    pointer(c, j * k * s), pointer(p, j * k * s), phases, pointer(x.first, at),
                    per_lane, pointer(h, (b * F + j) * 2 * k * s), k, s,
                )  # fmt: skip
        for j in range(F):
            product(
                program, work.packed, s, s > 1, Matrix(pointer(bs, j * units * s), 0, step),
                Matrix(pointer(a, (unchanged + j * units) * s), O * s, step),
                Matrix(pointer(h, j * 2 * k * s), F * 2 * k * s, s),
                Matrix(pointer(Ws, j * width_ * units * s), units * s, step), B, units, width_,
            )  # fmt: skip
        if not phases:
            n = F * units * s
            for b in range(B):
                e = pointer(a, (b * O + unchanged) * s)
                for i in range(0, n, W):
                    store_first(e, i, f(load_first(e, i, n - i)), n - i)

    def backward(
        program: Program, work: Workspace, layer: int, s: int, theta: Floats, x: Matrix,
        per_lane: bool, delta: Floats, below: Floats, B: int, adds: bool,
    ) -> None:  # fmt: skip
        """dz = de · f'(z);  dW = hᵀ dz, db = Σ_rows dz;  dh = dz Wᵀ.

        dv = dh_sin cos v - dh_cos sin v, or -dh sin v;  dφ = Σ_rows dv;
        dc = Σ_rows x 2π dv;  dx = Σ_k c 2π dv, and with phases + da of the embedded columns.
        """
        I, O = program.widths[layer], program.widths[layer + 1]
        settings = pointer(program.settings, program.setting_starts[layer])
        k, units, phases = settings[0], settings[1], settings[2] != 0
        others, F, columns = settings[3], settings[4], pointer(settings, 5)
        a, h = pointer(work.numbers, work.a[layer]), pointer(work.numbers, work.z[layer])
        start = program.starts[layer] * s
        dc, c = pointer(work.g, start), pointer(theta, start)
        width_, step = k if phases else 2 * k, max(s, W)
        dp = pointer(dc, F * k * s)
        parameters = (2 if phases else 1) * F * k * s
        dWs, Ws = pointer(dc, parameters), pointer(c, parameters)
        dbs = pointer(dWs, F * width_ * units * s)
        unchanged = others + (F if phases else 0)
        zeros, ones = Matrix(work.zeros, 0, 0), Matrix(work.ones, 0, 0)
        dh = pointer(h, B * F * 2 * k * s)
        n = F * units * s
        if not phases:
            for b in range(B):
                at = (b * O + unchanged) * s
                e, de = pointer(a, at), pointer(delta, at)
                for i in range(0, n, W):
                    value = load_first(e, i, n - i)
                    store_first(de, i, load_first(de, i, n - i) * df(value, value), n - i)
        for j in range(F):
            first = (unchanged + j * units) * s
            waves_j = Matrix(pointer(h, j * 2 * k * s), F * 2 * k * s, s)
            dz = Matrix(pointer(delta, first), O * s, step)
            dz_rows = Matrix(pointer(delta, first), O * s, s)
            W_j = pointer(Ws, j * width_ * units * s)
            dW = Matrix(pointer(dWs, j * width_ * units * s), units * s, step)
            db = Matrix(pointer(dbs, j * units * s), 0, step)
            product(
                program, work.packed, s, s > 1, dW if adds else zeros, dW, transposed(waves_j), dz,
                width_, units, B,
            )  # fmt: skip
            product(
                program, work.packed, s, False, db if adds else zeros, db, ones, dz, 1, units, B
            )
            product(
                program, work.packed, s, s > 1, zeros, Matrix(dh, width_ * s, step), dz_rows,
                Matrix(W_j, s, units * step), B, width_, units,
            )  # fmt: skip
            for b in range(B):
                row = pointer(h, (b * F + j) * 2 * k * s)
                wave_slopes(pointer(dh, b * width_ * s), row, phases, k, s)
            dv = Matrix(dh, width_ * s, step)
            if phases:
                dphase = Matrix(pointer(dp, j * k * s), 0, step)
                product(
                    program, work.packed, s, False, dphase if adds else zeros, dphase, ones, dv,
                    1, k, B,
                )  # fmt: skip
            for b in range(B):
                row = pointer(dh, b * width_ * s)
                for i in range(0, k * s, W):
                    store_first(row, i, TWO_PI * load_first(row, i, k * s - i), k * s - i)
            column = columns[others + j]
            x_j = Matrix(pointer(x.first, column * x.column_stride), 0, x.row_stride)
            dc_j = Matrix(pointer(dc, j * k * s), 0, step)
            product(
                program, work.packed, s, per_lane, dc_j if adds else zeros, dc_j, x_j, dv, 1, k, B
            )
            if layer > 0:
                da = Matrix(pointer(delta, (others + j) * s), O * s, step)
                product(
                    program, work.packed, s, s > 1, da if phases else zeros,
                    Matrix(pointer(below, column * s), I * s, step), Matrix(dh, width_ * s, s),
                    Matrix(pointer(c, j * k * s), s, step), B, 1, k,
                )  # fmt: skip
        if layer > 0:
            for b in range(B):
                for q in range(others):
                    for lane in range(s):
                        dx = delta[(b * O + q) * s + lane]
                        below[(b * I + columns[q]) * s + lane] = dx

    return forward, backward
