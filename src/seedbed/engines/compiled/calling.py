"""Calls of compiled functions by their address.

The engine reaches formulas this way, so it is compiled once for all of them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic


@intrinsic
def call(context: Any, address: Any, arguments: Any) -> Any:
    """Call the compiled function at ``address`` with a tuple of arguments; it returns nothing."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        packer = context.get_arg_packer([types.unliteral(kind) for kind in arguments.types])
        values = packer.as_arguments(builder, cgutils.unpack_tuple(builder, args[1]))
        # Numba's functions first take pointers for a result and an error
        unused = cgutils.alloca_once(builder, ir.IntType(8).as_pointer())
        given = [unused, unused, *values]
        kind = ir.FunctionType(ir.IntType(32), [value.type for value in given])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.intp, arguments), lower
