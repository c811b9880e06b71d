"""How LLVM optimises and compiles functions, in place of Numba's way.

Numba optimises every function alone, and compiles it, before it becomes part of its callers. Here a
function that only compiled code calls is linked into its callers as it is, and LLVM optimises a
kernel once it is complete: the engine compiles in half the time. Loops are not unrolled: most
products of small networks have few terms, and kernels with short loops are smaller and faster.
"""

from __future__ import annotations

from typing import Any

from llvmlite.binding import newpassmanagers
from numba.core import config
from numba.core.codegen import CPUCodeLibrary, JITCodeLibrary
from numba.core.compiler import Compiler


class _Kernel(JITCodeLibrary):
    """A function that Python calls, or an address names, as machine code."""

    def _optimize_final_module(self) -> None:
        options = newpassmanagers.create_pipeline_tuning_options(speed_level=max(1, config.OPT))
        options.loop_unrolling = False
        # no pass that prunes reference counts, as Numba has: kernels take pointers (memory.bare)
        builder = newpassmanagers.create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


class _Part(CPUCodeLibrary):
    """A function that becomes part of its callers, as LLVM's IR alone."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0: there is no machine code."""
        return 0

    @property
    def codegen(self) -> _Part:
        """Return what sets the function's environment: this object, which has nothing to set."""
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing: an environment consists of Python objects, and these functions have none."""


class _Callee(_Part):
    """A function of which the kernel keeps one copy, as LLVM's IR alone."""

    def add_ir_module(self, ir_module: Any) -> None:
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)


def _compiler(library_class: type[CPUCodeLibrary]) -> type[Compiler]:
    """Return Numba's compiler, into a library of the given class."""

    class IntoLibrary(Compiler):
        def __init__(
            self, typing: Any, target: Any, library: Any, args: Any, *settings: Any
        ) -> None:
            if library is None:
                library = library_class(target.codegen(), "seedbed")
                library.enable_object_caching()
            super().__init__(typing, target, library, args, *settings)

    return IntoLibrary


CompileKernel, CompilePart, CompileCallee = map(_compiler, (_Kernel, _Part, _Callee))
