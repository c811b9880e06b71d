"""A periodic layer of a group, forward and backward; see ``layers.periodic``.

Where NumPy's engine has v = 2π c x + φ, this one has turns t = v / 2π, whose fractional part is
exact, so that sine and cosine are accurate for any frequency.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from seedbed.engines.compiled.columns import copy_columns
from seedbed.engines.compiled.mathematics import cos_sin_of_turns, for_vectors
from seedbed.engines.compiled.memory import (
    broadcast,
    load,
    load_first,
    pointer,
    store_first,
    width,
)
from seedbed.engines.compiled.products import multiply, transposed
from seedbed.engines.compiled.records import Floats, Ints, Matrix, Program, Workspace
from seedbed.engines.compiled.target import inline, noinline
from seedbed.engines.compiled.vectors import fma
from seedbed.formulas.activations import relu
from seedbed.layers.periodic import TWO_PI, Periodic

FORMULAS = (relu.f, relu.df, TWO_PI)
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


class Shape(NamedTuple):
    """The layer's sizes, and where things are in its inputs and outputs."""

    k: int  # frequencies of a column
    units: int
    phases: bool
    waves: int  # k or 2k, the rows of a column's W
    embedded: int  # F
    others: int  # the other columns
    unchanged: int  # the outputs before the embeddings
    columns: Ints  # the other columns, then the embedded ones


class Parameters(NamedTuple):
    """The layer's parameters, or their gradients."""

    c: Floats  # (F, k, s)
    p: Floats  # (F, k, s) with phases, else nothing
    W: Floats  # (F, waves, units, s)
    b: Floats  # (F, units, s)


@inline
def shape_of(program: Program, layer: int) -> Any:
    """Return the layer's shape from its ``settings``."""
    numbers = pointer(program.settings, program.setting_starts[layer])
    k, units, phases, others, F = numbers[0], numbers[1], numbers[2] != 0, numbers[3], numbers[4]
    waves, unchanged = (k, others + F) if phases else (2 * k, others)
    return Shape(k, units, phases, waves, F, others, unchanged, pointer(numbers, 5))


@inline
def parameters_of(program: Program, layer: int, shape: Shape, s: int, numbers: Floats) -> Any:
    """Return the layer's parameters in an array (D, s) of parameters or their gradient."""
    cells = shape.embedded * shape.k * s
    c = pointer(numbers, program.starts[layer] * s)
    W = pointer(c, 2 * cells if shape.phases else cells)
    b = pointer(W, shape.embedded * shape.waves * shape.units * s)
    return Parameters(c, pointer(c, cells), W, b)


@noinline
def product(
    program: Program, packed: Any, s: int, per_member: bool, start: Matrix, out: Matrix, a: Matrix,
    b: Matrix, M: int, N: int, K: int,
) -> None:  # fmt: skip
    """``products.multiply``, compiled once for all calls in this file."""
    multiply(program, packed, s, per_member, start, out, a, b, M, N, K)


@inline
def write_waves(
    shape: Shape, c: Floats, p: Floats, x: Floats, per_lane: bool, h: Floats, s: int
) -> None:
    """Write sin v and cos v, or with phases cos v and sin v, of one row's value x, (2k, s)."""
    W, n, phases = width(h), shape.k * s, shape.phases
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
def wave_slopes(shape: Shape, dh: Floats, h: Floats, s: int) -> None:
    """Turn one row's dh (waves, s) into dv, (k, s).

    dv = dh_sin cos v - dh_cos sin v, or -dh sin v
    """
    n = shape.k * s
    for e in range(0, n, width(h)):
        first, second = load_first(h, e, n - e), load_first(h, n + e, n - e)
        slope = load_first(dh, e, n - e)
        if not shape.phases:
            slope = slope * second - load_first(dh, n + e, n - e) * first
        else:
            slope = -slope * second
        store_first(dh, e, slope, n - e)


@inline
def column_backward(
    program: Program, work: Workspace, layer: int, s: int, shape: Shape, theta: Parameters,
    g: Parameters, x: Matrix, per_lane: bool, delta: Floats, below: Floats, j: int, B: int,
    adds: bool,
) -> None:  # fmt: skip
    """Write the gradients of embedded column j from dz, at ``delta``, and dx below.

    dW = hᵀ dz, db = Σ_rows dz;  dh = dz Wᵀ;  dφ = Σ_rows dv, dc = Σ_rows x 2π dv;
    dx = Σ_k c 2π dv, and with phases + da of the column itself
    """
    k, units, waves, F = shape.k, shape.units, shape.waves, shape.embedded
    I, O = program.widths[layer], program.widths[layer + 1]
    packed, c, lanes = work.packed, max(s, width(delta)), s > 1
    zeros, ones = Matrix(work.zeros, 0, 0), Matrix(work.ones, 0, 0)
    h = pointer(work.numbers, work.z[layer])
    h_j = Matrix(pointer(h, j * 2 * k * s), F * 2 * k * s, s)
    dh = pointer(h, B * F * 2 * k * s)  # behind all waves
    first = pointer(delta, (shape.unchanged + j * units) * s)
    dz, dz_rows = Matrix(first, O * s, c), Matrix(first, O * s, s)
    W = Matrix(pointer(theta.W, j * waves * units * s), s, units * c)  # transposed
    dW = Matrix(pointer(g.W, j * waves * units * s), units * s, c)
    db = Matrix(pointer(g.b, j * units * s), 0, c)
    product(
        program, packed, s, lanes, dW if adds else zeros, dW, transposed(h_j), dz, waves, units, B
    )
    product(program, packed, s, False, db if adds else zeros, db, ones, dz, 1, units, B)
    product(program, packed, s, lanes, zeros, Matrix(dh, waves * s, c), dz_rows, W, B, waves, units)
    for b in range(B):
        wave_slopes(shape, pointer(dh, b * waves * s), pointer(h_j.first, b * h_j.row_stride), s)
    dv, n = Matrix(dh, waves * s, c), k * s
    if shape.phases:
        dp = Matrix(pointer(g.p, j * n), 0, c)
        product(program, packed, s, False, dp if adds else zeros, dp, ones, dv, 1, k, B)
    for b in range(B):
        row = pointer(dh, b * waves * s)
        for e in range(0, n, width(row)):
            store_first(row, e, TWO_PI * load_first(row, e, n - e), n - e)
    column = shape.columns[shape.others + j]
    x_j = Matrix(pointer(x.first, column * x.column_stride), 0, x.row_stride)
    dc = Matrix(pointer(g.c, j * n), 0, c)
    product(program, packed, s, per_lane, dc if adds else zeros, dc, x_j, dv, 1, k, B)
    if layer > 0:
        da = Matrix(pointer(delta, (shape.others + j) * s), O * s, c)
        dx, dv_rows = Matrix(pointer(below, column * s), I * s, c), Matrix(dh, waves * s, s)
        c_j = Matrix(pointer(theta.c, j * n), s, c)
        product(program, packed, s, lanes, da if shape.phases else zeros, dx, dv_rows, c_j, B, 1, k)


def make(W: int) -> tuple[Any, Any]:
    """Return ``forward`` and ``backward``."""
    f, df = for_vectors(relu.f), for_vectors(relu.df)

    def forward(
        program: Program, work: Workspace, layer: int, s: int, theta: Floats, x: Matrix,
        per_lane: bool, B: int,
    ) -> None:  # fmt: skip
        """a = (the other columns, with phases the embedded columns, their embeddings)."""
        shape = shape_of(program, layer)
        own = parameters_of(program, layer, shape, s, theta)
        k, units, waves, F = shape.k, shape.units, shape.waves, shape.embedded
        O, c = program.widths[layer + 1], max(s, W)
        a, h = pointer(work.numbers, work.a[layer]), pointer(work.numbers, work.z[layer])
        copy_columns(x, per_lane, shape.columns, shape.unchanged, a, O, s, B)
        for b in range(B):
            for j in range(F):
                place = b * x.row_stride + shape.columns[shape.others + j] * x.column_stride
                write_waves(
                    shape, pointer(own.c, j * k * s), pointer(own.p, j * k * s),
                    pointer(x.first, place), per_lane, pointer(h, (b * F + j) * 2 * k * s), s,
                )  # fmt: skip
        for j in range(F):
            product(
                program, work.packed, s, s > 1, Matrix(pointer(own.b, j * units * s), 0, c),
                Matrix(pointer(a, (shape.unchanged + j * units) * s), O * s, c),
                Matrix(pointer(h, j * 2 * k * s), F * 2 * k * s, s),
                Matrix(pointer(own.W, j * waves * units * s), units * s, c), B, units, waves,
            )  # fmt: skip
        if not shape.phases:
            n = F * units * s
            for b in range(B):
                z = pointer(a, (b * O + shape.unchanged) * s)
                for e in range(0, n, W):
                    store_first(z, e, f(load_first(z, e, n - e)), n - e)

    def backward(
        program: Program, work: Workspace, layer: int, s: int, theta: Floats, x: Matrix,
        per_lane: bool, delta: Floats, below: Floats, B: int, adds: bool,
    ) -> None:  # fmt: skip
        """dz = da · f'(z) of the embeddings; then column by column."""
        shape = shape_of(program, layer)
        own = parameters_of(program, layer, shape, s, theta)
        g = parameters_of(program, layer, shape, s, work.g)
        I, O = program.widths[layer], program.widths[layer + 1]
        if not shape.phases:
            n = shape.embedded * shape.units * s
            for b in range(B):
                place = (b * O + shape.unchanged) * s
                a, da = pointer(work.numbers, work.a[layer] + place), pointer(delta, place)
                for e in range(0, n, W):
                    value = load_first(a, e, n - e)
                    slope = df(value, value)  # a tells z's sign
                    store_first(da, e, load_first(da, e, n - e) * slope, n - e)
        for j in range(shape.embedded):
            column_backward(
                program, work, layer, s, shape, own, g, x, per_lane, delta, below, j, B, adds
            )
        if layer > 0:
            for b in range(B):
                for q in range(shape.others):
                    for lane in range(s):
                        dx = delta[(b * O + q) * s + lane]
                        below[(b * I + shape.columns[q]) * s + lane] = dx

    return forward, backward
