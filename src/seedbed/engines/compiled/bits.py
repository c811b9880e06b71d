"""Operations on the bits of vectors' numbers."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from seedbed.engines.compiled import llvm
from seedbed.engines.compiled.vectors import Vector, elementwise


def _words(kind: ir.VectorType) -> tuple[ir.VectorType, int, int]:
    """Return the integers with the numbers' bits, the bits of a mantissa, and the exponent bias."""
    bits, mantissa_bits = (32, 23) if isinstance(kind.element, ir.FloatType) else (64, 52)
    words = ir.VectorType(ir.IntType(bits), kind.count)
    return words, mantissa_bits, (1 << (bits - 2 - mantissa_bits)) - 1


def _two_to(builder: Any, n: Any) -> Any:
    words, shift, bias = _words(n.type)
    biased = builder.add(builder.fptosi(n, words), llvm.constant(words, bias))
    return builder.bitcast(builder.shl(biased, llvm.constant(words, shift)), n.type)


def _times_two_to(builder: Any, x: Any, shifted: Any) -> Any:
    words, shift, _ = _words(x.type)
    power = builder.shl(builder.bitcast(shifted, words), llvm.constant(words, shift))
    return builder.bitcast(builder.add(builder.bitcast(x, words), power), x.type)


def _exponent(builder: Any, x: Any) -> Any:
    words, shift, bias = _words(x.type)
    biased = builder.lshr(builder.bitcast(x, words), llvm.constant(words, shift))
    return builder.sitofp(builder.sub(biased, llvm.constant(words, bias)), x.type)


def _mantissa(builder: Any, x: Any) -> Any:
    words, shift, bias = _words(x.type)
    low = builder.and_(builder.bitcast(x, words), llvm.constant(words, (1 << shift) - 1))
    return builder.bitcast(builder.or_(low, llvm.constant(words, bias << shift)), x.type)


def _flush(builder: Any, x: Any) -> Any:
    smallest = 2.0**-126 if isinstance(x.type.element, ir.FloatType) else 2.0**-1022
    size = llvm.call_intrinsic(builder, "llvm.fabs", x.type, [x])
    small = builder.fcmp_ordered("<", size, llvm.constant(size.type, smallest))
    return builder.select(small, llvm.constant(size.type, 0.0), x)


def _bitwise_or(builder: Any, x: Any, y: Any) -> Any:
    words, _, _ = _words(x.type)
    return builder.bitcast(
        builder.or_(builder.bitcast(x, words), builder.bitcast(y, words)), x.type
    )


two_to = elementwise(_two_to, 1)
"""2^n, for whole numbers n within the normal exponents."""
times_two_to = elementwise(_times_two_to, 2)
"""x 2^n, where n are the lowest bits of a second vector and the result is normal."""
exponent = elementwise(_exponent, 1)
"""e of x = 2^e m with m in [1, 2), for normal x > 0."""
mantissa = elementwise(_mantissa, 1)
"""m of x = 2^e m with m in [1, 2), for normal x > 0."""
flush = elementwise(_flush, 1)
"""x, with 0 for subnormal numbers."""
bitwise_or = elementwise(_bitwise_or, 2)
"""The bits that are set in x or y: 0 if both are 0, NaN if one is 0 and the other NaN.

It takes three cycles less than a sum."""


@intrinsic
def canonical_nan(context: Any, x: Any) -> Any:
    """Return the number x, with NumPy's nan for any NaN: processors differ in the NaN's sign."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        is_nan = builder.fcmp_unordered("uno", args[0], args[0])
        return builder.select(is_nan, ir.Constant(args[0].type, float("nan")), args[0])

    return x(x), lower


@intrinsic
def is_single(context: Any, x: Vector) -> Any:
    """Return whether the numbers have single precision, a compile-time constant."""
    single = x.dtype is types.float32
    return types.literal(single)(x), lambda *_: ir.Constant(ir.IntType(1), single)


@intrinsic
def any_nonzero(context: Any, x: Vector) -> Any:
    """Return whether any lane is not 0; NaN is not 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        nonzero = builder.fcmp_unordered("!=", args[0], llvm.constant(args[0].type, 0.0))
        bits = builder.bitcast(nonzero, ir.IntType(x.count))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(x), lower
