"""Tiles of a matrix product, and transposed squares, written for whole registers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from seedbed.engines.compiled import llvm
from seedbed.engines.compiled.vectors import Vector


def tile(rows: int, columns: int, per_member: bool, masked: bool = False) -> Any:
    """Return the function ``f(start, out, a, b, K, count)`` that computes ``rows`` by ``columns``
    vectors of a matrix product.

        out(m, n) = start(m, n) + Σ_k a(m, k) b(k, n)        k ascending, one fma each

    The four are ``records.Matrix``. a(m, k) is a vector if ``per_member`` (every lane has its own),
    else one number for all lanes. If ``masked``, only the first ``count`` lanes are computed.
    """

    @intrinsic
    def compute(context: Any, start: Any, out: Any, a: Any, b: Any, K: Any, count: Any) -> Any:
        vector = Vector(out.types[0].dtype)

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            *matrices, K, count = args
            (start, sm, sn), (out, om, on), (a, am, ak), (b, bk, bn) = (
                cgutils.unpack_tuple(builder, matrix, 3) for matrix in matrices
            )
            kind, entry = llvm.vector_type(vector), builder.block
            mask = llvm.mask_first(builder, count, vector.count) if masked else None

            # Each address is one step from its neighbour's. LLVM would hoist products of strides
            # out of the surrounding loops, those of all tiles at once.
            def line(base: Any, stride: Any, count: int) -> list[Any]:
                addresses = [base]
                for _ in range(1, count):
                    addresses.append(builder.gep(addresses[-1], [stride]))
                return addresses

            def grid(base: Any, row_stride: Any, column_stride: Any) -> dict[tuple[int, int], Any]:
                return {
                    (m, n): address
                    for m, row in enumerate(line(base, row_stride, rows))
                    for n, address in enumerate(line(row, column_stride, columns))
                }

            def read(address: Any) -> Any:
                if mask is None:
                    return llvm.load(builder, address, kind)
                return llvm.load_masked(builder, address, mask, kind)

            first = {place: read(address) for place, address in grid(start, sm, sn).items()}
            a_rows, b_columns = line(a, am, rows), line(b, bn, columns)
            loop, done = builder.append_basic_block(), builder.append_basic_block()
            zero, one = ir.Constant(llvm.INT, 0), ir.Constant(llvm.INT, 1)
            builder.cbranch(builder.icmp_signed(">", K, zero), loop, done)

            builder.position_at_end(loop)
            k = builder.phi(llvm.INT)
            sums = {place: builder.phi(kind) for place in first}
            b_k = [read(builder.gep(column, [builder.mul(k, bk)])) for column in b_columns]
            new = {}
            for m, row in enumerate(a_rows):
                address = builder.gep(row, [builder.mul(k, ak)])
                if per_member:
                    a_k = llvm.load(builder, address, kind)
                else:
                    a_k = llvm.splat(builder, builder.load(address), vector.count)
                for n in range(columns):
                    terms = [a_k, b_k[n], sums[m, n]]
                    new[m, n] = llvm.call_intrinsic(builder, "llvm.fma", kind, terms)
            following = builder.add(k, one)
            for phi, before, after in (
                (k, zero, following),
                *((sums[place], first[place], new[place]) for place in first),
            ):
                phi.add_incoming(before, entry)
                phi.add_incoming(after, loop)
            builder.cbranch(builder.icmp_signed("<", following, K), loop, done)

            builder.position_at_end(done)
            results = {}
            for place in first:
                results[place] = builder.phi(kind)
                results[place].add_incoming(first[place], entry)
                results[place].add_incoming(new[place], loop)
            for place, address in grid(out, om, on).items():
                if mask is None:
                    llvm.store(builder, address, results[place])
                else:
                    llvm.store_masked(builder, address, mask, results[place])
            return context.get_dummy_value()

        return types.void(start, out, a, b, types.intp, types.intp), lower

    return compute


@intrinsic
def transpose_square(
    context: Any, source: Any, source_offsets: Any, rows: Any, target: Any, target_offsets: Any,
    columns: Any,
) -> Any:  # fmt: skip
    """Transpose a square: number j of source row i becomes number i of target row j.

    Source row i begins at source[source_offsets[i]], target row j at target[target_offsets[j]];
    both have an offset for each lane of a vector. ``rows`` rows of ``columns`` numbers are read;
    nothing beyond them is read or written.
    """
    vector = Vector(target.dtype)
    count = types.intp

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, source_offsets, rows, target, target_offsets, columns = args
        kind, width = llvm.vector_type(vector), vector.count
        row_mask, column_mask = (llvm.mask_first(builder, n, width) for n in (rows, columns))
        none = ir.Constant(row_mask.type, [0] * width)

        def offset(offsets: Any, kind: Any, number: int) -> Any:
            index = ir.Constant(llvm.INT, number)
            return builder.load(llvm.address(context, builder, kind, offsets, index))

        def mask_if(number: int, limit: Any, mask: Any) -> Any:
            inside = builder.icmp_signed("<", ir.Constant(llvm.INT, number), limit)
            return builder.select(inside, mask, none)

        square = []
        for i in range(width):
            address = builder.gep(source, [offset(source_offsets, sig.args[1], i)])
            mask = mask_if(i, rows, column_mask)
            square.append(llvm.load_masked(builder, address, mask, kind))
        step = width // 2
        while step:  # swap ever smaller corners (Eklundh 1972)
            low = [p if not p & step else width + p - step for p in range(width)]
            high = [p + step if not p & step else width + p for p in range(width)]
            for i in range(width):
                if not i & step:
                    pair = square[i], square[i + step]
                    for row, order in ((i, low), (i + step, high)):
                        choice = ir.Constant(ir.VectorType(ir.IntType(32), width), order)
                        square[row] = builder.shuffle_vector(*pair, choice)
            step //= 2
        for j in range(width):
            address = builder.gep(target, [offset(target_offsets, sig.args[4], j)])
            llvm.store_masked(builder, address, mask_if(j, columns, row_mask), square[j])
        return context.get_dummy_value()

    kinds = (source, source_offsets, count, target, target_offsets, count)
    return types.void(*kinds), lower
