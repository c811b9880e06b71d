"""Matrix products, from tiles; and the choice of the product's form."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.blocks import tile
from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.memory import load, load_first, pointer, store, vector_offsets, width
from seedbed.engines.compiled.records import Floats, Matrix, Program
from seedbed.engines.compiled.target import REGISTERS, inline, noinline
from seedbed.engines.compiled.vectors import fma

TILE_ROWS = {1: 8, 2: 6, 4: 4} if REGISTERS == 16 else {1: 8, 2: 8, 3: 8, 4: 6}
"""The rows of a tile, by its columns: enough sums to keep two multipliers busy, and few enough to
stay in registers together with their factors."""
STRIP_COLUMNS = 2 if REGISTERS == 16 else 3
"""The columns of a strip; the last one may have fewer."""
MAX_ROWS_OF_4_COLUMNS = 4 if REGISTERS == 16 else 2**62
"""The most rows for which a remainder of four columns is one strip: 16 registers don't hold them,
which matters little for few rows."""
MIN_PACKED_ROWS, MIN_PACKED_DEPTH, MIN_PACKED_STRIDE = 64, 64, 400
"""B is packed if M, K and its row stride reach these."""
PACK_DEPTH, PACK_NUMBERS = 240, 2**15
"""The rows of a packed strip, so that it stays in the L1 cache, and about the numbers of all packed
strips, so that they stay in the L2 cache."""


@inline
def at(matrix: Matrix, first: Any) -> Any:
    """Return the matrix that begins at ``first``."""
    return Matrix(first, matrix.row_stride, matrix.column_stride)


@inline
def shift(matrix: Matrix, rows: int, columns: int) -> Any:
    """Return the part of a matrix from a row and a column on."""
    offset = rows * matrix.row_stride + columns * matrix.column_stride
    return Matrix(pointer(matrix.first, offset), matrix.row_stride, matrix.column_stride)


@inline
def transposed(matrix: Matrix) -> Any:
    """Return the matrix with rows for columns."""
    return Matrix(matrix.first, matrix.column_stride, matrix.row_stride)


def _strip(columns: int, per_member: bool, masked: bool) -> Any:
    """Return the function that computes ``columns`` columns of a product, all its rows."""
    tile_rows = TILE_ROWS[columns]
    most, four, three, two, one = (
        tile(rows, columns, per_member, masked) for rows in (tile_rows, 4, 3, 2, 1)
    )

    @inline
    def strip(start: Any, out: Any, a: Any, b: Any, M: int, K: int, count: int) -> None:
        m = 0
        while m + tile_rows <= M and (tile_rows != 6 or m + 8 != M):  # 4 + 4, not 6 + 2
            most(shift(start, m, 0), shift(out, m, 0), shift(a, m, 0), b, K, count)
            m += tile_rows
        while m + 4 <= M:
            four(shift(start, m, 0), shift(out, m, 0), shift(a, m, 0), b, K, count)
            m += 4
        start, out, a = shift(start, m, 0), shift(out, m, 0), shift(a, m, 0)
        if m + 3 == M:
            three(start, out, a, b, K, count)
        elif m + 2 == M:
            two(start, out, a, b, K, count)
        elif m + 1 == M:
            one(start, out, a, b, K, count)

    return strip


def product(per_member: bool) -> Any:
    """Return the function that computes a matrix product; ``per_member`` as in ``blocks.tile``.

    N counts whole vectors; ``rest`` numbers of a last one follow if the left side is shared.
    """
    one, two, strip, four = (_strip(n, per_member, False) for n in (1, 2, STRIP_COLUMNS, 4))
    masked = _strip(1, False, True)

    def compute(
        start: Matrix, out: Matrix, a: Matrix, b: Matrix, M: int, N: int, K: int, rest: int
    ) -> None:
        # in these loops records would carry strides that never change, for 20 % more time
        p, q, r = start.first, out.first, b.first
        while N >= 4 and M <= 2:  # enough sums to keep two multipliers busy
            four(at(start, p), at(out, q), a, at(b, r), M, K, 0)
            p, q = pointer(p, 4 * start.column_stride), pointer(q, 4 * out.column_stride)
            r = pointer(r, 4 * b.column_stride)
            N -= 4
        while N >= STRIP_COLUMNS and (N != 4 or M > MAX_ROWS_OF_4_COLUMNS):
            strip(at(start, p), at(out, q), a, at(b, r), M, K, 0)
            p = pointer(p, STRIP_COLUMNS * start.column_stride)
            q = pointer(q, STRIP_COLUMNS * out.column_stride)
            r = pointer(r, STRIP_COLUMNS * b.column_stride)
            N -= STRIP_COLUMNS
        start, out, b = at(start, p), at(out, q), at(b, r)
        if N == 4:
            four(start, out, a, b, M, K, 0)
        elif STRIP_COLUMNS > 2 and N == 2:
            two(start, out, a, b, M, K, 0)
        elif N == 1:
            one(start, out, a, b, M, K, 0)
        if not per_member and rest > 0:
            masked(shift(start, 0, N), shift(out, 0, N), a, shift(b, 0, N), M, K, rest)

    return compute


@inline
def multiply(
    program: Program, packed: Any, s: int, per_member: bool, start: Matrix, out: Matrix, a: Matrix,
    b: Matrix, M: int, N: int, K: int,
) -> None:  # fmt: skip
    """out(m, n) = start(m, n) + Σ_k a(m, k) b(k, n), k ascending: the one product of the engine.

    N counts numbers. Column n of b, out and start is c numbers: its s lanes, or, for a member
    alone, a vector of neighbouring columns, of which the last may be cut. A ``start`` with strides
    of 0 is the same for all rows or columns.
    """
    W = width(out.first)
    if per_member:
        if K == 1 and N > 4:  # a tile's overhead would exceed its work
            outer_product(s, start, out, a, b, M, N)
            return
        for v in range(0, s, W):
            call(
                program.product_per_member,
                (
                    at(start, pointer(start.first, v)), at(out, pointer(out.first, v)),
                    at(a, pointer(a.first, v)), at(b, pointer(b.first, v)),
                    M, N, K, 0,
                ),
            )  # fmt: skip
        return
    far = M >= MIN_PACKED_ROWS and K >= MIN_PACKED_DEPTH and b.row_stride >= MIN_PACKED_STRIDE
    if s == 1 and (far or b.column_stride > W):
        packed_product(program, packed, start, out, a, b, M, N, K)
        return
    # the left side is shared, so vectors of lanes are columns like others
    start = Matrix(start.first, start.row_stride, W if start.column_stride != 0 else 0)
    out, b = Matrix(out.first, out.row_stride, W), Matrix(b.first, b.row_stride, W)
    call(program.product_shared, (start, out, a, b, M, N * s // W, K, N * s % W))


@inline
def outer_product(s: int, start: Matrix, out: Matrix, a: Matrix, b: Matrix, M: int, N: int) -> None:
    """out(m, n) = start(m, n) + a(m) b(n), for lanes."""
    W = width(out.first)
    for v in range(0, s, W):
        for m in range(M):
            factor = load(a.first, m * a.row_stride + v)
            for n in range(N):
                before = load(start.first, m * start.row_stride + n * start.column_stride + v)
                after = fma(factor, load(b.first, n * b.column_stride + v), before)
                store(out.first, m * out.row_stride + n * s + v, after)


@noinline
def packed_product(
    program: Program, packed: Any, start: Matrix, out: Matrix, a: Matrix, b: Matrix,
    M: int, N: int, K: int,
) -> None:  # fmt: skip
    """``multiply`` for a member alone, with b packed block by block."""
    W = width(out.first)
    strip = STRIP_COLUMNS * W
    block_columns = PACK_NUMBERS // (PACK_DEPTH * strip) * strip
    for k in range(0, K, PACK_DEPTH):
        depth = min(PACK_DEPTH, K - k)
        for first in range(0, N, block_columns):
            numbers = min(block_columns, N - first)
            block = shift(b, k, first // W)
            if b.column_stride > W:
                pack_transposed(program, block, numbers, depth, strip, packed)
            else:
                pack(block, numbers, depth, strip, packed)
            for n in range(first, first + numbers, strip):
                count = min(strip, first + numbers - n)
                part = Matrix(pointer(packed, (n - first) * depth), strip, W)
                call(
                    program.product_shared,
                    (
                        shift(start, 0, n // W), shift(out, 0, n // W), shift(a, 0, k), part,
                        M, count // W, depth, count % W,
                    ),
                )  # fmt: skip
        start = out


@inline
def pack(b: Matrix, N: int, K: int, strip: int, packed: Floats) -> None:
    """Copy K rows of N numbers, each row's ``strip`` right behind that of the row before."""
    W = width(packed)
    for k in range(K):
        for n in range(0, N, W):
            target = n // strip * strip * K + k * strip + n % strip
            store(packed, target, load_first(b.first, k * b.row_stride + n, N - n))


@inline
def pack_transposed(
    program: Program, b: Matrix, N: int, K: int, strip: int, packed: Floats
) -> None:
    """``pack`` for N rows of K numbers, which are transposed on the way."""
    W = width(packed)
    stride = b.column_stride // W
    source_offsets, target_offsets = vector_offsets(packed), vector_offsets(packed)
    for j in range(W):
        source_offsets[j], target_offsets[j] = j * stride, j * strip
    for n in range(0, N, W):
        for k in range(0, K, W):
            target = pointer(packed, n // strip * strip * K + k * strip + n % strip)
            source, rows, columns = pointer(b.first, n * stride + k), min(W, N - n), min(W, K - k)
            call(program.transpose, (source, source_offsets, rows, target, target_offsets, columns))
