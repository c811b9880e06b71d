"""IEEE 754 arithmetic while a kernel runs, whatever the process has set.

A bit of the processor's control register flushes subnormal numbers to 0. Processors differ in which
numbers those are (x86 judges after rounding, Arm before), and any library compiled with -ffast-math
may set the bit for the thread that loads it. So a kernel sets its thread's register to the default,
and restores it at its end. The registers of other processors are left alone.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
_ARM = platform.machine().lower() in ("aarch64", "arm64")
_WORD = ir.IntType(32 if _X86 else 64)
_STANDARD = ir.Constant(_WORD, 0x1F80 if _X86 else 0)
"""Round to nearest, keep subnormals, raise no signal."""
_VOID, _BYTES = ir.VoidType(), ir.IntType(8).as_pointer()


def _call(builder: Any, name: str, result: Any, *arguments: Any) -> Any:
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def _read(builder: Any) -> Any:
    if _X86:
        place = cgutils.alloca_once(builder, _WORD)
        _call(builder, "llvm.x86.sse.stmxcsr", _VOID, builder.bitcast(place, _BYTES))
        return builder.load(place)
    if _ARM:
        return _call(builder, "llvm.aarch64.get.fpcr", _WORD)
    return ir.Constant(_WORD, 0)


def _write(builder: Any, control: Any) -> None:
    if _X86:
        place = cgutils.alloca_once(builder, _WORD)
        builder.store(control, place)
        _call(builder, "llvm.x86.sse.ldmxcsr", _VOID, builder.bitcast(place, _BYTES))
    elif _ARM:
        _call(builder, "llvm.aarch64.set.fpcr", _VOID, control)


@intrinsic
def standard_arithmetic(context: Any) -> Any:
    """Set the control register to its default; return its old value."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        before = _read(builder)
        _write(builder, _STANDARD)
        return builder.zext(before, ir.IntType(64)) if _WORD.width < 64 else before

    return types.int64(), lower


@intrinsic
def restore(context: Any, control: Any) -> Any:
    """Set the control register to the value that ``standard_arithmetic`` returned."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _write(builder, builder.trunc(args[0], _WORD) if _WORD.width < 64 else args[0])
        return context.get_dummy_value()

    return types.void(types.int64), lower
