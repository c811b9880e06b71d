"""Blocks of vectors: a tile of a matrix product, and a square of numbers turned over."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from seedbed.engines.compiled.vectors import (
    Vector,
    _data,
    _first,
    _llvm,
    _llvm_function,
    _load,
    _load_first,
    _splat,
    _store,
    _store_first,
)

_INT = ir.IntType(64)


def tile(rows: int, columns: int, each: bool, part: bool = False) -> Any:
    """Return the function that computes ``rows`` · ``columns`` vectors of a matrix product.

        out(m, n) = start(m, n) + Σ_k a(m, k) b(k, n)        k ascending, one fma each

    It is called with, for each of the four, a pointer and how many numbers lie between neighbours
    along its two axes, then K, and how many numbers of a vector there are where ``part``:

        f(start, sm, sn, out, om, on, a, am, ak, b, bk, bn, K, count)

    a(m, k) is a vector where ``each`` (every lane has its own), else one number for all lanes.
    """

    @intrinsic
    def compute(
        context: Any,
        start: Any,
        sm: Any,
        sn: Any,
        out: Any,
        om: Any,
        on: Any,
        a: Any,
        am: Any,
        ak: Any,
        b: Any,
        bk: Any,
        bn: Any,
        K: Any,
        count: Any,
    ) -> Any:
        vector = Vector(out.dtype)
        strides = (types.intp, types.intp)
        sig = types.void(
            *(start, *strides, out, *strides, a, *strides, b, *strides), types.intp, types.intp
        )

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            start, sm, sn, out, om, on, a, am, ak, b, bk, bn, K, count = args
            kind, entry = _llvm(vector), builder.block
            mask = _first(builder, count, vector) if part else None

            # Each address is one step from its neighbour's. LLVM would hoist products of strides
            # out of the surrounding loops, those of all tiles at once.
            def row_of(base: Any, stride: Any, count: int) -> list[Any]:
                found = [base]
                for _ in range(1, count):
                    found.append(builder.gep(found[-1], [stride]))
                return found

            def all_of(base: Any, down: Any, along: Any) -> dict[tuple[int, int], Any]:
                starts = row_of(base, down, rows)
                return {
                    (m, n): address
                    for m, start in enumerate(starts)
                    for n, address in enumerate(row_of(start, along, columns))
                }

            def read(address: Any) -> Any:
                if mask is None:
                    return _load(builder, address, kind)
                return _load_first(builder, address, mask, kind)

            places = [(m, n) for m in range(rows) for n in range(columns)]
            first = {place: read(at) for place, at in all_of(start, sm, sn).items()}
            a_rows, b_columns = row_of(a, am, rows), row_of(b, bn, columns)
            loop, done = builder.append_basic_block(), builder.append_basic_block()
            zero, one = ir.Constant(_INT, 0), ir.Constant(_INT, 1)
            builder.cbranch(builder.icmp_signed(">", K, zero), loop, done)

            builder.position_at_end(loop)
            k = builder.phi(_INT)
            sums = {place: builder.phi(kind) for place in places}
            bs = [read(builder.gep(column, [builder.mul(k, bk)])) for column in b_columns]
            new = {}
            for m, row in enumerate(a_rows):
                address = builder.gep(row, [builder.mul(k, ak)])
                if each:
                    am_k = _load(builder, address, kind)
                else:
                    am_k = _splat(builder, builder.load(address), vector.count)
                for n in range(columns):
                    terms = [am_k, bs[n], sums[m, n]]
                    new[m, n] = _llvm_function(builder, "llvm.fma", kind, terms)
            following = builder.add(k, one)
            for phi, before, after in (
                (k, zero, following),
                *((sums[place], first[place], new[place]) for place in places),
            ):
                phi.add_incoming(before, entry)
                phi.add_incoming(after, loop)
            builder.cbranch(builder.icmp_signed("<", following, K), loop, done)

            builder.position_at_end(done)
            results = {}
            for place in places:
                results[place] = builder.phi(kind)
                results[place].add_incoming(first[place], entry)
                results[place].add_incoming(new[place], loop)
            for place, address in all_of(out, om, on).items():
                if mask is None:
                    _store(builder, address, results[place])
                else:
                    _store_first(builder, address, mask, results[place])
            return context.get_dummy_value()

        return sig, lower

    return compute


@intrinsic
def transpose(
    context: Any, source: Any, froms: Any, rows: Any, target: Any, tos: Any, columns: Any
) -> Any:
    """Turn a square over: number j of source row i becomes number i of target row j.

    source row i begins at source[froms[i]], target row j at target[tos[j]]; both are lists of as
    many places as a vector holds. ``rows`` rows of ``columns`` numbers are read; nothing beyond
    is read or written.
    """
    vector = Vector(target.dtype)
    count = types.intp

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, froms, rows, target, tos, columns = args
        kind, width = _llvm(vector), vector.count
        row_mask, column_mask = _first(builder, rows, vector), _first(builder, columns, vector)
        none = ir.Constant(row_mask.type, [0] * width)

        def place(starts: Any, starts_kind: Any, number: int) -> Any:
            index = ir.Constant(_INT, number)
            return builder.load(_data(context, builder, starts_kind, starts, index))

        def wanted(number: int, limit: Any, mask: Any) -> Any:
            inside = builder.icmp_signed("<", ir.Constant(_INT, number), limit)
            return builder.select(inside, mask, none)

        square = []
        for i in range(width):
            start = place(froms, sig.args[1], i)
            address = builder.gep(source, [start])
            square.append(_load_first(builder, address, wanted(i, rows, column_mask), kind))
        step = width // 2
        while step:  # swap ever smaller corners (Eklundh 1972)
            low = [p if not p & step else width + p - step for p in range(width)]
            high = [p + step if not p & step else width + p for p in range(width)]
            for i in range(width):
                if not i & step:
                    pair = square[i], square[i + step]
                    for where, order in ((i, low), (i + step, high)):
                        choice = ir.Constant(ir.VectorType(ir.IntType(32), width), order)
                        square[where] = builder.shuffle_vector(*pair, choice)
            step //= 2
        for j in range(width):
            address = builder.gep(target, [place(tos, sig.args[4], j)])
            _store_first(builder, address, wanted(j, columns, row_mask), square[j])
        return context.get_dummy_value()

    return types.void(source, froms, count, target, tos, count), lower
