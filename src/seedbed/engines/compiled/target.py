"""The processor that Numba compiles for, and how functions are compiled."""

from __future__ import annotations

import platform
from typing import Any

import llvmlite.binding
import numpy as np
from numba import njit
from numba.core import types
from numba.core.registry import cpu_target

from seedbed.engines.compiled.libraries import CompileCallee, CompileKernel, CompilePart

_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define <16 x float> @probe(<16 x float> %x) {
  %y = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %x, <16 x float> %x)
  ret <16 x float> %y
}
"""


def _registers() -> tuple[int, bool]:
    """Return the bytes of the registers that LLVM computes in, and whether there is an FMA
    instruction.

    LLVM compiles a probe for Numba's target, so NUMBA_CPU_NAME and NUMBA_CPU_FEATURES apply.
    """
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    target = llvmlite.binding.Target.from_default_triple()
    machine = target.create_target_machine(cpu=name, features=features)
    lines = machine.emit_assembly(llvmlite.binding.parse_assembly(_PROBE)).splitlines()
    fused = " ".join(line for line in lines if "vfmadd" in line or "fmla" in line)
    return 64 if "zmm" in fused else 32 if "ymm" in fused else 16, bool(fused)


VECTOR_BYTES, HAS_FMA = _registers()
WIDTH = {types.float32: VECTOR_BYTES // 4, types.float64: VECTOR_BYTES // 8}
"""Numbers per vector."""
_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
REGISTERS = 16 if _X86 and VECTOR_BYTES < 64 else 32
"""The number of vector registers."""

_INTERNAL: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
inline = njit(pipeline_class=CompilePart, forceinline=True, **_INTERNAL)
"""For functions that only compiled code calls, and that become part of it."""
_callee = njit(pipeline_class=CompileCallee, forceinline=False, **_INTERNAL)  # else inherited


def noinline(function: Any) -> Any:
    """Compile a function that compiled code calls seldom, once for constants and variables."""
    compiled = _callee(function)
    template = compiled.get_call_template

    def template_of_variables(args: Any, kws: Any) -> Any:
        return template(tuple(map(types.unliteral, args)), kws)

    compiled.get_call_template = template_of_variables
    return compiled


_KERNEL: dict[str, Any] = {
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
    "pipeline_class": CompileKernel,
}
kernel = njit(nogil=True, **_KERNEL)
"""For functions that Python calls; they release the GIL."""
low_latency = njit(**_KERNEL)
"""For functions that end sooner than another thread could take the GIL; they keep it."""


def numba_type(dtype: np.dtype[Any]) -> Any:
    """Return Numba's type for float32 or float64."""
    return types.float32 if dtype == np.float32 else types.float64
