"""Helpers that emit LLVM instructions for the engine's intrinsics."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

INT = ir.IntType(64)
_NAMES = {ir.FloatType: "f32", ir.DoubleType: "f64"}


def vector_type(vector: Any) -> ir.VectorType:
    """Return the LLVM type of a ``vectors.Vector``."""
    number = ir.FloatType() if vector.dtype is types.float32 else ir.DoubleType()
    return ir.VectorType(number, vector.count)


def constant(kind: ir.VectorType, number: float) -> ir.Constant:
    """Return a vector with the same number in each lane."""
    return ir.Constant(kind, [number] * kind.count)


def splat(builder: Any, number: Any, count: int) -> Any:
    """Return a vector with the scalar ``number`` in each of ``count`` lanes."""
    kind = ir.VectorType(number.type, count)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    )


def call_intrinsic(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Call an LLVM intrinsic on vectors, such as llvm.fma."""
    kind = arguments[0].type
    return _call(builder, f"{name}.v{kind.count}{_NAMES[type(kind.element)]}", result, arguments)


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    whole = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, whole, name), arguments)


def address(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Return the address of number ``index`` of an array, or from a pointer."""
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
    return builder.gep(value, [index])


def load(builder: Any, address: Any, kind: ir.VectorType) -> Any:
    """Return the vector at ``address``."""
    read = builder.load(builder.bitcast(address, kind.as_pointer()))
    read.align = 4  # vectors may begin at any number
    return read


def store(builder: Any, address: Any, value: Any) -> None:
    """Write a vector to ``address``."""
    written = builder.store(value, builder.bitcast(address, value.type.as_pointer()))
    written.align = 4


def mask_first(builder: Any, count: Any, lanes: int) -> Any:
    """Return the mask of the first ``count`` lanes."""
    numbers = ir.Constant(ir.VectorType(INT, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, splat(builder, count, lanes))


def load_masked(builder: Any, address: Any, mask: Any, kind: ir.VectorType) -> Any:
    """Return the vector at ``address``, with 0 where the mask is not set; nothing is read there."""
    address = builder.bitcast(address, kind.as_pointer())
    arguments = [address, ir.Constant(ir.IntType(32), 4), mask, constant(kind, 0.0)]
    name = f"llvm.masked.load.v{kind.count}{_NAMES[type(kind.element)]}.p0"
    return _call(builder, name, kind, arguments)


def store_masked(builder: Any, address: Any, mask: Any, value: Any) -> None:
    """Write a vector's lanes where the mask is set."""
    kind = value.type
    address = builder.bitcast(address, kind.as_pointer())
    arguments = [value, address, ir.Constant(ir.IntType(32), 4), mask]
    name = f"llvm.masked.store.v{kind.count}{_NAMES[type(kind.element)]}.p0"
    _call(builder, name, ir.VoidType(), arguments)
