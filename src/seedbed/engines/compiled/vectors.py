"""Vectors: a type that holds as many numbers as one register does, and what can be done with it.

Numba knows scalars and arrays; what of it becomes a vector instruction is left to LLVM's guess, and
a guess may change a result's last bits with the length of an array. Here a vector is a type of its
own: ``load`` brings one in, arithmetic is done on all its numbers at once, ``store`` takes it out.
Nothing is reordered, and nothing fused but where ``fma`` says so: so each number is what the same
steps give it alone.

Arrays are given flat, with the place of the first number as an index that is not checked.
"""

from __future__ import annotations

import operator
import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.registry import cpu_target
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define <16 x float> @probe(<16 x float> %x) {
  %y = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %x, <16 x float> %x)
  ret <16 x float> %y
}
"""


def _registers() -> tuple[int, bool]:
    """Return how wide the registers are that LLVM multiplies and adds in, in bytes, and whether
    the processor has an instruction for both at once.

    LLVM is asked, for the target that Numba compiles for, so that NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES count here too.
    """
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    target = llvmlite.binding.Target.from_default_triple()
    machine = target.create_target_machine(cpu=name, features=features)
    lines = machine.emit_assembly(llvmlite.binding.parse_assembly(_PROBE)).splitlines()
    fused = " ".join(line for line in lines if "vfmadd" in line or "fmla" in line)
    return 64 if "zmm" in fused else 32 if "ymm" in fused else 16, bool(fused)


BYTES, HAS_FMA = _registers()
"""How wide a register is; whether multiplying and adding at once is one instruction."""
WIDTH = {types.float32: BYTES // 4, types.float64: BYTES // 8}
"""How many numbers one register holds."""
_X86 = platform.machine().lower() in ("x86_64", "amd64", "i686")
REGISTERS = 16 if _X86 and BYTES < 64 else 32
"""How many there are."""

INNER: dict[str, Any] = {
    "error_model": "numpy",
    "forceinline": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""Numba's options for what only compiled code calls, and is to become part of it."""
APART: dict[str, Any] = INNER | {"forceinline": False}
"""The same for functions that are called seldom."""
part, apart = njit(**INNER), njit(**APART)
kernel = njit(error_model="numpy", nogil=True, no_cfunc_wrapper=True)
"""For what Python calls, with the GIL released."""
at_once = njit(error_model="numpy", no_cfunc_wrapper=True)
"""For what is done sooner than another thread could take over."""

_INT = ir.IntType(64)


class Vector(types.Type):
    """As many numbers of ``dtype`` as a register holds."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.count = WIDTH[dtype]
        super().__init__(f"vector({dtype})")

    @property
    def word(self) -> types.Integer:
        """The integer that has as many bits as one of the numbers."""
        return types.Integer.from_bitwidth(self.dtype.bitwidth, signed=True)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, _llvm(vector))


class Mask(Vector):
    """What a comparison gives: 1 where it holds, else 0. As NumPy's booleans, two of them add up
    to "or" and multiply to "and"; with numbers they count as numbers.
    """

    def __init__(self, dtype: types.Float) -> None:
        super().__init__(dtype)
        self.name = f"mask({dtype})"


@register_model(Mask)
class _MaskModel(_VectorModel):
    pass


def _llvm(vector: Vector) -> ir.VectorType:
    number = ir.FloatType() if vector.dtype is types.float32 else ir.DoubleType()
    return ir.VectorType(number, vector.count)


def _constant(kind: ir.VectorType, number: float) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _splat(builder: Any, number: Any, count: int) -> Any:
    """Return a vector of ``count`` times the scalar ``number``."""
    kind = ir.VectorType(number.type, count)
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
    )


def _as_vector(context: Any, builder: Any, value: Any, kind: Any, vector: Vector) -> Any:
    if isinstance(kind, Vector):
        return value
    number = context.cast(builder, value, kind, vector.dtype)
    return _splat(builder, number, vector.count)


def _llvm_function(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Call one of LLVM's own functions on vectors, such as llvm.fma."""
    kind = arguments[0].type
    number = {ir.FloatType: "f32", ir.DoubleType: "f64"}[type(kind.element)]
    whole = ir.FunctionType(result, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(
        builder.module, whole, f"{name}.v{kind.count}{number}"
    )
    return builder.call(function, arguments)


def _data(context: Any, builder: Any, kind: Any, value: Any, index: Any) -> Any:
    """Return the address of number ``index`` of an array, or from a pointer."""
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
    return builder.gep(value, [index])


def _load(builder: Any, address: Any, kind: ir.VectorType) -> Any:
    read = builder.load(builder.bitcast(address, kind.as_pointer()))
    read.align = 4  # numbers may begin anywhere
    return read


def _store(builder: Any, address: Any, value: Any) -> None:
    written = builder.store(value, builder.bitcast(address, value.type.as_pointer()))
    written.align = 4


# ---------------------------------------------------------------- arithmetic, elementwise


def _arithmetic(
    op: Any, emit: Callable[[Any, Any, Any], Any], masks: Any = Vector, numbers: Any = Vector
) -> None:
    """Define ``op`` for two vectors, or for a vector and a number on either side.

    It makes a vector of the kind ``numbers``, or of two masks one of the kind ``masks``; None is
    where there is no such thing.
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
        held = compare(sign, x, y)
        return builder.uitofp(held, x.type)

    return emit


def _either(builder: Any, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _sum(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return _either(builder, *args)


_arithmetic(operator.add, lambda builder, x, y: builder.fadd(x, y), masks=Mask)
lower_builtin(operator.add, Mask, Mask)(_sum)
_arithmetic(operator.sub, lambda builder, x, y: builder.fsub(x, y), masks=None)
_arithmetic(operator.mul, lambda builder, x, y: builder.fmul(x, y), masks=Mask)
_arithmetic(operator.truediv, lambda builder, x, y: builder.fdiv(x, y))
_arithmetic(operator.and_, lambda builder, x, y: builder.fmul(x, y), masks=Mask, numbers=None)
_arithmetic(operator.or_, _either, masks=Mask, numbers=None)
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
    return builder.fsub(_constant(args[0].type, -0.0), args[0])


def _elementwise(emit: Callable[..., Any], operands: int) -> Any:
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
    chosen = builder.fcmp_unordered("!=", mask, _constant(mask.type, 0.0))
    return builder.select(chosen, x, y)


def _larger(sign: str) -> Callable[..., Any]:
    def emit(builder: Any, x: Any, y: Any) -> Any:
        # one that is not a number wins, as in NumPy
        better = builder.fcmp_ordered(sign, x, y)
        lost = builder.fcmp_unordered("uno", x, x)
        return builder.select(builder.or_(better, lost), x, y)

    return emit


fma = _elementwise(lambda b, x, y, z: _llvm_function(b, "llvm.fma", x.type, [x, y, z]), 3)
"""x y + z, rounded once."""
where = _elementwise(_where, 3)
"""x where the mask is not 0, else y."""
maximum = _elementwise(_larger(">"), 2)
minimum = _elementwise(_larger("<"), 2)
sqrt = _elementwise(lambda b, x: _llvm_function(b, "llvm.sqrt", x.type, [x]), 1)
absolute = _elementwise(lambda b, x: _llvm_function(b, "llvm.fabs", x.type, [x]), 1)
copysign = _elementwise(lambda b, x, y: _llvm_function(b, "llvm.copysign", x.type, [x, y]), 2)
full_like = _elementwise(lambda b, like, x: x, 2)
"""A vector of the number x."""


# ---------------------------------------------------------------- the bits of a number


def _words(vector: Vector) -> ir.VectorType:
    return ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.count)


def _mantissa_bits(vector: Vector) -> int:
    return 23 if vector.dtype is types.float32 else 52


@intrinsic
def two_to(context: Any, n: Vector) -> Any:
    """Return 2 to the n, for whole numbers n within the normal exponents."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, shift = _words(n), _mantissa_bits(n)
        bias = (1 << (n.dtype.bitwidth - 2 - shift)) - 1
        exponent = builder.add(builder.fptosi(args[0], words), _constant(words, bias))
        return builder.bitcast(builder.shl(exponent, _constant(words, shift)), args[0].type)

    return n(n), lower


@intrinsic
def times_two_to(context: Any, x: Vector, shifted: Vector) -> Any:
    """Return x 2^n, where n are the lowest bits of ``shifted`` and the result is normal."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, shift = _words(x), _constant(_words(x), _mantissa_bits(x))
        power = builder.shl(builder.bitcast(args[1], words), shift)
        scaled = builder.add(builder.bitcast(args[0], words), power)
        return builder.bitcast(scaled, args[0].type)

    return x(x, shifted), lower


@intrinsic
def exponent(context: Any, x: Vector) -> Any:
    """Return e of x = 2^e m with m in [1, 2), for normal x > 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, shift = _words(x), _mantissa_bits(x)
        bias = (1 << (x.dtype.bitwidth - 2 - shift)) - 1
        bits = builder.lshr(builder.bitcast(args[0], words), _constant(words, shift))
        return builder.sitofp(builder.sub(bits, _constant(words, bias)), args[0].type)

    return x(x), lower


@intrinsic
def mantissa(context: Any, x: Vector) -> Any:
    """Return m of x = 2^e m with m in [1, 2), for normal x > 0."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words, shift = _words(x), _mantissa_bits(x)
        bias = (1 << (x.dtype.bitwidth - 2 - shift)) - 1
        low = builder.and_(builder.bitcast(args[0], words), _constant(words, (1 << shift) - 1))
        return builder.bitcast(builder.or_(low, _constant(words, bias << shift)), args[0].type)

    return x(x), lower


@intrinsic
def either(context: Any, x: Vector, y: Vector) -> Any:
    """Return the bits that are set in x or in y: not a number where one of them is 0 and the other
    is not a number, 0 where both are; ready three cycles sooner than a sum.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.or_(*(builder.bitcast(each, _words(x)) for each in args))
        return builder.bitcast(bits, args[0].type)

    return x(x, y), lower


@intrinsic
def is_single(context: Any, x: Vector) -> Any:
    """Return whether the numbers are of single precision: known while compiling."""
    single = x.dtype is types.float32
    return types.literal(single)(x), lambda *_: ir.Constant(ir.IntType(1), single)


@intrinsic
def flush(context: Any, x: Vector) -> Any:
    """Return 0 for numbers below the smallest normal one, and x elsewhere."""
    smallest = 2.0**-126 if x.dtype is types.float32 else 2.0**-1022

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        size = _llvm_function(builder, "llvm.fabs", args[0].type, [args[0]])
        small = builder.fcmp_ordered("<", size, _constant(size.type, smallest))
        return builder.select(small, _constant(size.type, 0.0), args[0])

    return x(x), lower


@intrinsic
def one_nan(context: Any, x: Any) -> Any:
    """Return a number as it is, but what is not a number as the one NaN that NumPy calls nan.

    Processors differ in the sign of the NaN that they make.
    """

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lost = builder.fcmp_unordered("uno", args[0], args[0])
        return builder.select(lost, ir.Constant(args[0].type, float("nan")), args[0])

    return x(x), lower


@intrinsic
def any_nonzero(context: Any, x: Vector) -> Any:
    """Return whether any of the numbers is not 0, or not a number."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        found = builder.fcmp_unordered("!=", args[0], _constant(args[0].type, 0.0))
        bits = builder.bitcast(found, ir.IntType(x.count))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(x), lower


# ---------------------------------------------------------------- in and out


@intrinsic
def pointer(context: Any, array: Any, index: Any) -> Any:
    """Return where number ``index`` of the array lies."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _data(context, builder, sig.args[0], args[0], args[1])

    return types.CPointer(array.dtype)(array, types.intp), lower


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """Return the numbers from ``index`` on as a vector."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(builder, _data(context, builder, sig.args[0], *args), _llvm(vector))

    return vector(array, types.intp), lower


@intrinsic
def spread(context: Any, array: Any, index: Any) -> Any:
    """Return a vector of number ``index`` alone."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        number = builder.load(_data(context, builder, sig.args[0], *args))
        return _splat(builder, number, vector.count)

    return vector(array, types.intp), lower


@intrinsic
def store(context: Any, array: Any, index: Any, x: Vector) -> Any:
    """Write the vector to the places from ``index`` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _store(builder, _data(context, builder, sig.args[0], args[0], args[1]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, x), lower


def _first(builder: Any, count: Any, vector: Vector) -> Any:
    """Return the mask of the first ``count`` places."""
    places = ir.Constant(ir.VectorType(_INT, vector.count), list(range(vector.count)))
    return builder.icmp_signed("<", places, _splat(builder, count, vector.count))


def _load_first(builder: Any, address: Any, mask: Any, kind: ir.VectorType) -> Any:
    address = builder.bitcast(address, kind.as_pointer())
    arguments = [address, ir.Constant(ir.IntType(32), 4), mask, _constant(kind, 0.0)]
    return _masked(builder, "load", kind, kind, arguments)


def _store_first(builder: Any, address: Any, mask: Any, value: Any) -> None:
    address = builder.bitcast(address, value.type.as_pointer())
    arguments = [value, address, ir.Constant(ir.IntType(32), 4), mask]
    _masked(builder, "store", value.type, ir.VoidType(), arguments)


def _masked(builder: Any, what: str, kind: Any, result: Any, arguments: list[Any]) -> Any:
    number = {ir.FloatType: "f32", ir.DoubleType: "f64"}[type(kind.element)]
    whole = ir.FunctionType(result, [argument.type for argument in arguments])
    name = f"llvm.masked.{what}.v{kind.count}{number}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, whole, name), arguments)


@intrinsic
def load_first(context: Any, array: Any, index: Any, count: Any) -> Any:
    """Return the first ``count`` numbers from ``index`` on, and 0 after them; none are read."""
    vector = Vector(array.dtype)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _data(context, builder, sig.args[0], args[0], args[1])
        mask = _first(builder, args[2], vector)
        return _load_first(builder, address, mask, _llvm(vector))

    return vector(array, types.intp, types.intp), lower


@intrinsic
def store_first(context: Any, array: Any, index: Any, x: Vector, count: Any) -> Any:
    """Write the vector's first ``count`` numbers to the places from ``index`` on."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = _data(context, builder, sig.args[0], args[0], args[1])
        _store_first(builder, address, _first(builder, args[3], x), args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, x, types.intp), lower


@intrinsic
def width(context: Any, array: Any) -> Any:
    """Return how many of the array's numbers a vector holds: known while compiling."""
    count = WIDTH[array.dtype]
    return types.intp(array), lambda *_: ir.Constant(_INT, count)


@intrinsic
def places(context: Any, array: Any) -> Any:
    """Return room for as many indices as a vector of the array's numbers has, on the stack."""
    count = WIDTH[array.dtype]

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, _INT, count)

    return types.CPointer(types.intp)(array), lower


@intrinsic
def bare(context: Any, record: Any) -> Any:
    """Return the named tuple with pointers in place of its arrays."""
    kinds = [types.CPointer(k.dtype) if isinstance(k, types.Array) else k for k in record.types]
    result = types.NamedTuple(kinds, record.instance_class)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        fields = []
        for kind, value in zip(
            record.types, cgutils.unpack_tuple(builder, args[0], len(kinds)), strict=True
        ):
            array = isinstance(kind, types.Array)
            fields.append(
                context.make_array(kind)(context, builder, value).data if array else value
            )
        return context.make_tuple(builder, result, fields)

    return result(record), lower
