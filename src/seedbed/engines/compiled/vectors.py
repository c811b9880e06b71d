"""Vectors: a type that holds as many numbers as a register, and its arithmetic.

Numba has scalars and arrays, and leaves it to LLVM to guess which loops become vector instructions;
a guess may change a result's last bits with an array's length. Here a vector is a type: ``load``
reads one, arithmetic acts on its lanes, ``store`` writes it. Nothing is reordered, and nothing is
fused except by ``fma``, so each lane computes what the same steps give alone.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from seedbed.engines.compiled import llvm
from seedbed.engines.compiled.target import WIDTH


class Vector(types.Type):
    """As many numbers of ``dtype`` as a register holds."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.count = WIDTH[dtype]
        super().__init__(f"vector({dtype})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, llvm.vector_type(vector))


class Mask(Vector):
    """A comparison's result: 1 where it holds, else 0.

    Like NumPy's booleans, two masks add up to "or" and multiply to "and"; a mask and a number
    compute as numbers.
    """

    def __init__(self, dtype: types.Float) -> None:
        super().__init__(dtype)
        self.name = f"mask({dtype})"


@register_model(Mask)
class _MaskModel(_VectorModel):
    pass


def _as_vector(context: Any, builder: Any, value: Any, kind: Any, vector: Vector) -> Any:
    if isinstance(kind, Vector):
        return value
    number = context.cast(builder, value, kind, vector.dtype)
    return llvm.splat(builder, number, vector.count)


def _arithmetic(
    op: Any, emit: Callable[[Any, Any, Any], Any], masks: Any = Vector, numbers: Any = Vector
) -> None:
    """Define ``op`` for two vectors, or for a vector and a number on either side.

    The result is of type ``masks`` for two masks, else of type ``numbers``; None means that it is
    not defined.
    """

    class Typing(AbstractTemplate):
        key = op

        def generic(self, args: Any, kws: Any) -> Any:
            vectors = [a for a in args if isinstance(a, Vector)]
            fits = all(isinstance(a, Vector | types.Number) for a in args)
            if len(args) != 2 or not fits or len({vector.dtype for vector in vectors}) != 1:
                return None
            kind = masks if all(isinstance(a, Mask) for a in args) else numbers
            return None if kind is None else signature(kind(vectors[0].dtype), *args)

    infer_global(op)(Typing)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        both = [
            _as_vector(context, builder, value, kind, sig.return_type)
            for value, kind in zip(args, sig.args, strict=True)
        ]
        return emit(builder, *both)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(op, *kinds)(lower)


def _comparison(sign: str) -> Callable[[Any, Any, Any], Any]:
    def emit(builder: Any, x: Any, y: Any) -> Any:
        compare = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
        return builder.uitofp(compare(sign, x, y), x.type)

    return emit


def _or(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


_arithmetic(operator.add, lambda builder, x, y: builder.fadd(x, y), masks=Mask)
lower_builtin(operator.add, Mask, Mask)(lambda context, builder, sig, args: _or(builder, *args))
_arithmetic(operator.sub, lambda builder, x, y: builder.fsub(x, y), masks=None)
_arithmetic(operator.mul, lambda builder, x, y: builder.fmul(x, y), masks=Mask)
_arithmetic(operator.truediv, lambda builder, x, y: builder.fdiv(x, y))
_arithmetic(operator.and_, lambda builder, x, y: builder.fmul(x, y), masks=Mask, numbers=None)
_arithmetic(operator.or_, _or, masks=Mask, numbers=None)
for _op, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _arithmetic(_op, _comparison(_sign), masks=Mask, numbers=Mask)


@infer_global(operator.neg)
class _Negation(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if type(args[0]) is Vector else None


@lower_builtin(operator.neg, Vector)
def _negate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fsub(llvm.constant(args[0].type, -0.0), args[0])


def elementwise(emit: Callable[..., Any], operands: int) -> Any:
    """Return a function of vectors and numbers, at least one of them a vector, to a vector."""

    def typed(*kinds: Any) -> Any:
        vectors = [kind for kind in kinds if isinstance(kind, Vector)]
        if not vectors:
            return None

        def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            values = [
                _as_vector(context, builder, value, kind, sig.return_type)
                for value, kind in zip(args, sig.args, strict=True)
            ]
            return emit(builder, *values)

        return Vector(vectors[0].dtype)(*kinds), lower

    if operands == 1:
        return intrinsic(lambda context, x: typed(x))
    if operands == 2:
        return intrinsic(lambda context, x, y: typed(x, y))
    return intrinsic(lambda context, x, y, z: typed(x, y, z))


def _where(builder: Any, mask: Any, x: Any, y: Any) -> Any:
    chosen = builder.fcmp_unordered("!=", mask, llvm.constant(mask.type, 0.0))
    return builder.select(chosen, x, y)


def _larger(sign: str) -> Callable[..., Any]:
    def emit(builder: Any, x: Any, y: Any) -> Any:
        # NaN wins, as in NumPy
        better = builder.fcmp_ordered(sign, x, y)
        is_nan = builder.fcmp_unordered("uno", x, x)
        return builder.select(builder.or_(better, is_nan), x, y)

    return emit


fma = elementwise(lambda b, x, y, z: llvm.call_intrinsic(b, "llvm.fma", x.type, [x, y, z]), 3)
"""x y + z, rounded once."""
where = elementwise(_where, 3)
"""x where the mask is not 0, else y."""
maximum = elementwise(_larger(">"), 2)
minimum = elementwise(_larger("<"), 2)
sqrt = elementwise(lambda b, x: llvm.call_intrinsic(b, "llvm.sqrt", x.type, [x]), 1)
absolute = elementwise(lambda b, x: llvm.call_intrinsic(b, "llvm.fabs", x.type, [x]), 1)
copysign = elementwise(lambda b, x, y: llvm.call_intrinsic(b, "llvm.copysign", x.type, [x, y]), 2)
full_like = elementwise(lambda b, like, x: x, 2)
"""A vector of the number x."""
