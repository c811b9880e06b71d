"""Vectors in and out of memory, and pointers to arrays.

Arrays are flat. An index is where the first number lies; nothing checks it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from seedbed.engines.compiled import llvm
from seedbed.engines.compiled.target import WIDTH
from seedbed.engines.compiled.vectors import Vector


@intrinsic
def pointer(context: Any, array: Any, index: Any) -> Any:
    """Return a pointer to number ``index`` of the array."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return llvm.address(context, builder, sig.args[0], *args)

    return types.CPointer(array.dtype)(array, types.intp), lower


def _access(emit: Any, operands: int) -> Any:
    """Return the function f(array, index, …) that ``emit(builder, address, kind, …)`` writes.

    It returns a vector, or nothing for a vector as the first of the other operands.
    """

    def typed(array: Any, index: Any, *others: Any) -> Any:
        vector = Vector(array.dtype)
        stores = bool(others) and isinstance(others[0], Vector)

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            address = llvm.address(context, builder, sig.args[0], *args[:2])
            result = emit(builder, address, llvm.vector_type(vector), *args[2:])
            return context.get_dummy_value() if stores else result

        counts = [kind if isinstance(kind, Vector) else types.intp for kind in others]
        return (types.void if stores else vector)(array, types.intp, *counts), lower

    if operands == 0:
        return intrinsic(lambda context, array, index: typed(array, index))
    if operands == 1:
        return intrinsic(lambda context, array, index, x: typed(array, index, x))
    return intrinsic(lambda context, array, index, x, count: typed(array, index, x, count))


load = _access(lambda builder, address, kind: llvm.load(builder, address, kind), 0)
"""The numbers from ``index`` on as a vector."""
broadcast = _access(lambda b, address, kind: llvm.splat(b, b.load(address), kind.count), 0)
"""A vector with number ``index`` in each lane."""
store = _access(lambda builder, address, kind, x: llvm.store(builder, address, x), 1)
"""Write the vector x to the array from ``index`` on."""
load_first = _access(
    lambda b, address, kind, count: llvm.load_masked(
        b, address, llvm.mask_first(b, count, kind.count), kind
    ),
    1,
)
"""The first ``count`` numbers from ``index`` on, and 0 in the lanes after them, without reading."""
store_first = _access(
    lambda b, address, kind, x, count: llvm.store_masked(
        b, address, llvm.mask_first(b, count, kind.count), x
    ),
    2,
)
"""Write the first ``count`` numbers of x to the array from ``index`` on."""


@intrinsic
def width(context: Any, array: Any) -> Any:
    """Return how many of the array's numbers a vector holds, a compile-time constant."""
    count = WIDTH[array.dtype]
    return types.intp(array), lambda *_: ir.Constant(llvm.INT, count)


@intrinsic
def vector_offsets(context: Any, array: Any) -> Any:
    """Return an array on the stack of an offset for each lane of the array's vectors."""
    count = WIDTH[array.dtype]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, llvm.INT, count)

    return types.CPointer(types.intp)(array), lower


@intrinsic
def bare(context: Any, record: Any) -> Any:
    """Return the named tuple with pointers in place of its arrays.

    Numba counts references to arrays; in steps this small, counting would take longer than the
    arithmetic.
    """
    return _with_pointers(record, located=False)


@intrinsic
def locate(context: Any, workspace: Any) -> Any:
    """Return the workspace with pointers in place of its arrays and of its offsets."""
    return _with_pointers(workspace, located=True)


def _with_pointers(record: Any, located: bool) -> Any:
    def field(kind: Any) -> Any:
        if isinstance(kind, types.Array):
            return types.CPointer(kind.dtype)
        if isinstance(kind, types.BaseNamedTuple):
            return _with_pointers(kind, located)[0].return_type
        offset = located and isinstance(kind, types.Integer)
        return types.CPointer(record.types[0].dtype) if offset else kind

    result = types.NamedTuple([field(kind) for kind in record.types], record.instance_class)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = cgutils.unpack_tuple(builder, args[0], len(record.types))
        zero, fields = ir.Constant(llvm.INT, 0), []
        for before, after, value in zip(record.types, result.types, values, strict=True):
            if isinstance(before, types.Array):
                fields.append(llvm.address(context, builder, before, value, zero))
            elif isinstance(before, types.BaseNamedTuple):
                inner, emit = _with_pointers(before, located)
                fields.append(emit(context, builder, inner, [value]))
            elif before != after:
                fields.append(llvm.address(context, builder, record.types[0], values[0], value))
            else:
                fields.append(value)
        return context.make_tuple(builder, result, fields)

    return result(record), lower
