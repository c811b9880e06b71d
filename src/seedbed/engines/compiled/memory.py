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


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """Return the numbers from ``index`` on as a vector."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = llvm.address(context, builder, sig.args[0], *args)
        return llvm.load(builder, address, llvm.vector_type(vector))

    return vector(array, types.intp), lower


@intrinsic
def broadcast(context: Any, array: Any, index: Any) -> Any:
    """Return a vector with number ``index`` in each lane."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = builder.load(llvm.address(context, builder, sig.args[0], *args))
        return llvm.splat(builder, number, vector.count)

    return vector(array, types.intp), lower


@intrinsic
def store(context: Any, array: Any, index: Any, x: Vector) -> Any:
    """Write the vector to the array from ``index`` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        llvm.store(builder, llvm.address(context, builder, sig.args[0], *args[:2]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, x), lower


@intrinsic
def load_first(context: Any, array: Any, index: Any, count: Any) -> Any:
    """Return the first ``count`` numbers from ``index`` on, and 0 in the lanes after them.

    The numbers after them are not read.
    """
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = llvm.address(context, builder, sig.args[0], *args[:2])
        mask = llvm.mask_first(builder, args[2], vector.count)
        return llvm.load_masked(builder, address, mask, llvm.vector_type(vector))

    return vector(array, types.intp, types.intp), lower


@intrinsic
def store_first(context: Any, array: Any, index: Any, x: Vector, count: Any) -> Any:
    """Write the vector's first ``count`` numbers to the array from ``index`` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = llvm.address(context, builder, sig.args[0], *args[:2])
        llvm.store_masked(builder, address, llvm.mask_first(builder, args[3], x.count), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, x, types.intp), lower


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
