"""Numbers too small for a full mantissa are taken for 0 while a kernel runs.

A dead unit's running means shrink at every step until they are subnormal and stay there: rounding
takes 0.9 times the smallest of them back to itself. Arithmetic on such numbers takes a hundred
times as long. A bit of the processor's control register makes them 0; it is set for the kernel's
own thread, and set back at its end. On processors whose register is not known here nothing changes.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
_ARM = platform.machine().lower() in ("aarch64", "arm64")
_FLUSH = 0x8040 if _X86 else 1 << 24  # results and operands to 0 (FTZ, DAZ); FPCR's FZ
_WORD = ir.IntType(32 if _X86 else 64)
_NOTHING, _BYTE = ir.VoidType(), ir.IntType(8).as_pointer()


def _read(builder: Any) -> Any:
    if _X86:
        place = cgutils.alloca_once(builder, _WORD)
        kind = ir.FunctionType(_NOTHING, [_BYTE])
        store = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr")
        builder.call(store, [builder.bitcast(place, _BYTE)])
        return builder.load(place)
    if _ARM:
        kind = ir.FunctionType(_WORD, [])
        read = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.get.fpcr")
        return builder.call(read, [])
    return ir.Constant(_WORD, 0)


def _write(builder: Any, control: Any) -> None:
    if _X86:
        place = cgutils.alloca_once(builder, _WORD)
        builder.store(control, place)
        kind = ir.FunctionType(_NOTHING, [_BYTE])
        load = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
        builder.call(load, [builder.bitcast(place, _BYTE)])
    elif _ARM:
        kind = ir.FunctionType(_NOTHING, [_WORD])
        write = cgutils.get_or_insert_function(builder.module, kind, "llvm.aarch64.set.fpcr")
        builder.call(write, [control])


@intrinsic
def flush_subnormals(context: Any) -> Any:
    """Take subnormal numbers for 0 from here on; return the control register as it was."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        before = _read(builder)
        _write(builder, builder.or_(before, ir.Constant(_WORD, _FLUSH)))
        return builder.zext(before, ir.IntType(64)) if _WORD.width < 64 else before

    return types.int64(), lower


@intrinsic
def restore(context: Any, control: Any) -> Any:
    """Set the control register to what ``flush_subnormals`` returned."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _write(builder, builder.trunc(args[0], _WORD) if _WORD.width < 64 else args[0])
        return context.get_dummy_value()

    return types.void(types.int64), lower
