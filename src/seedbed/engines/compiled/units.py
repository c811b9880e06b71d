"""Formulas, compiled: each from its own lines in ``formulas/``, as a loop over arrays.

A formula is compiled as it stands, with vectors for arrays: only what it finds under the names of
its module is exchanged, ``np`` for ``mathematics`` and other formulas for their compiled selves.
Compiled formulas are reached by their address, so that the engine itself is compiled once for all
of them. All are kept on disk; see ``cache``.
"""

from __future__ import annotations

import dis
import math
import types as python
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from seedbed.engines.compiled import cache, mathematics, products
from seedbed.engines.compiled.vectors import (
    WIDTH,
    either,
    flush,
    load,
    load_first,
    part,
    pointer,
    store,
    store_first,
)
from seedbed.errors import FormulaError
from seedbed.formulas import penalties
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss

LR, DECAY, L1, L2, DROPOUT, CLIP, RULE = range(7)
"""Where each number stands among a member's: those of the optimizer's rule come last."""
_INT = ir.IntType(64)


def numba_type(dtype: np.dtype[Any]) -> Any:
    """Return Numba's name for float32 or float64."""
    return types.float32 if dtype == np.float32 else types.float64


# ---------------------------------------------------------------- calling


def _call(builder: Any, address: Any, arguments: list[Any]) -> None:
    """Call as Numba's own functions are called: before the rest, room for a result and an error."""
    unused = cgutils.alloca_once(builder, ir.IntType(8).as_pointer())
    arguments = [unused, unused, *arguments]
    kind = ir.FunctionType(ir.IntType(32), [argument.type for argument in arguments])
    builder.call(builder.inttoptr(address, kind.as_pointer()), arguments)


@intrinsic
def apply(context: Any, address: Any, p: Any, q: Any, r: Any, s: Any, u: Any, count: Any) -> Any:
    """Call an elementwise formula on five arrays of ``count`` numbers each."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    return types.void(types.intp, p, q, r, s, u, types.intp), lower


@intrinsic
def take_step(
    context: Any, address: Any, old: Any, new: Any, g: Any, slot_0: Any, slot_1: Any,
    numbers: Any, decay: Any, apart: Any, step: Any, factor: Any, c: Any, count: Any,
) -> Any:  # fmt: skip
    """Call an optimizer's rule on ``count`` parameters.

    Each of a lane's numbers lies c behind the one before. The vectors at ``apart`` stay 0 while
    every new parameter is finite.
    """
    number = old.dtype

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    kinds = (old, new, g, slot_0, slot_1, numbers, decay, apart)
    return types.void(types.intp, *kinds, types.intp, number, types.intp, types.intp), lower


@intrinsic
def penalize(
    context: Any, address: Any, w: Any, g: Any, l1: Any, l2: Any, c: Any, count: Any
) -> Any:
    """Add the penalty's slope at ``count`` weights to g; l1 and l2 are c numbers each."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    return types.void(types.intp, w, g, l1, l2, types.intp, types.intp), lower


@intrinsic
def multiply(
    context: Any, address: Any, start: Any, sm: Any, sn: Any, out: Any, om: Any, on: Any, a: Any,
    am: Any, ak: Any, b: Any, bk: Any, bn: Any, M: Any, N: Any, K: Any, rest: Any,
) -> Any:  # fmt: skip
    """Call a matrix product; see ``products``."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    strides = (types.intp, types.intp)
    matrices = (start, *strides, out, *strides, a, *strides, b, *strides)
    return types.void(types.intp, *matrices, *([types.intp] * 4)), lower


@intrinsic
def turn(
    context: Any, address: Any, source: Any, froms: Any, rows: Any, target: Any, tos: Any,
    columns: Any,
) -> Any:  # fmt: skip
    """Call ``products.turn``."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    count = types.intp
    return types.void(count, source, froms, count, target, tos, count), lower


@intrinsic
def normalise(context: Any, address: Any, y: Any, out: Any, B: Any, O: Any, s: Any) -> Any:
    """Call ``products.log_softmax``."""

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _call(builder, args[0], list(args[1:]))
        return context.get_dummy_value()

    return types.void(types.intp, y, out, *([types.intp] * 3)), lower


# ---------------------------------------------------------------- formulas for vectors


_NUMPY: Any = python.ModuleType("numpy")
"""What ``np`` is exchanged for: ``mathematics``' public names, and no others."""
for _name in mathematics.__all__:
    setattr(_NUMPY, _name, getattr(mathematics, _name))


def for_vectors(function: Callable[..., Any]) -> Any:
    """Return ``function`` compiled for vectors, with all the functions that it calls."""
    return _translated(function, _NUMPY, {})


def for_scalars(function: Callable[..., Any]) -> Any:
    """Return ``function`` compiled for scalars, with all the functions that it calls."""
    return _translated(function, np, {})


def _translated(function: Callable[..., Any], numpy: Any, done: dict[Any, Any]) -> Any:
    if function in done:
        return done[function]
    if not isinstance(function, python.FunctionType):
        raise FormulaError(f"{function!r} is no Python function")
    done[function] = None

    def exchanged(name: str, value: Any) -> Any:
        if value is np:
            return numpy
        if isinstance(value, python.FunctionType):
            compiled = _translated(value, numpy, done)
            if compiled is None:
                raise FormulaError(f"{name} calls itself")
            return compiled
        if value is numpy.abs:
            return value
        # what a digest can tell apart, so that code kept on disk is never that of other values;
        # whole numbers of formulas become fractions, as compiled ones wrap, and round down
        if value is math or isinstance(value, bool | float | np.float32 | np.float64):
            return value
        if isinstance(value, int | np.integer):
            return float(value) if fractions else value
        raise FormulaError(f"it uses {name}, which is no number, no function and not NumPy")

    code, fractions = function.__code__, numpy is not np
    _check_code(code, function.__globals__, numpy)
    found = {
        n: function.__globals__[n] for n in cache.globals_of(code) if n in function.__globals__
    }
    if "abs" in code.co_names and "abs" not in found:
        found["abs"] = numpy.abs
    closure = tuple(
        python.CellType(exchanged(name, cell.cell_contents))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True)
    )
    defaults = tuple(exchanged("a default", value) for value in function.__defaults__ or ())
    copy = python.FunctionType(
        _with_fractions(code) if fractions else code,
        {"__name__": __name__} | {name: exchanged(name, value) for name, value in found.items()},
        function.__name__,
        defaults or None,
        closure,
    )
    done[function] = part(copy)
    return done[function]


def _with_fractions(code: python.CodeType) -> python.CodeType:
    """Return the code with floats in place of its whole numbers."""
    constants = [float(each) if type(each) is int else each for each in code.co_consts]
    steps = bytearray(code.co_code)
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_SMALL_INT":  # Python 3.14 keeps these in the instruction
            if len(constants) > 255:
                raise FormulaError("it has more than 255 constants")
            steps[step.offset : step.offset + 2] = dis.opmap["LOAD_CONST"], len(constants)
            constants.append(float(step.argval))
    return code.replace(co_code=bytes(steps), co_consts=tuple(constants))


def _check_code(code: python.CodeType, module: dict[str, Any], numpy: Any) -> None:
    """Refuse what compiles but does not mean the same, and name what is not there.

    Raises: FormulaError.
    """
    steps = {step.opname for step in dis.get_instructions(code)}
    if "RAISE_VARARGS" in steps:
        raise FormulaError("it raises errors")
    if "IMPORT_NAME" in steps:
        raise FormulaError("it imports")
    if code.co_kwonlyargcount:
        raise FormulaError("it has arguments that are given by name alone")
    if numpy is np or np not in [module.get(name) for name in cache.globals_of(code)]:
        return
    others = vars(math) if math in module.values() else module
    for name in code.co_names:
        if hasattr(np, name) and not hasattr(numpy, name) and name not in others:
            raise FormulaError(f"it uses np.{name}")


# ---------------------------------------------------------------- loops over arrays


def _loop_of_activation(f: Any, df: Any, W: int) -> tuple[Any, Any]:
    f, df = for_vectors(f), for_vectors(df)

    def forward(z: Any, a: Any, r: Any, s: Any, u: Any, count: int) -> None:
        for e in range(0, count, W):
            store(a, e, f(load(z, e)))

    def backward(z: Any, a: Any, da: Any, s: Any, u: Any, count: int) -> None:
        for e in range(0, count, W):
            store(da, e, load(da, e) * df(load(z, e), load(a, e)))

    return forward, backward


def _loop_of_loss(f: Any, df: Any, W: int) -> tuple[Any, Any]:
    f, df = for_vectors(f), for_vectors(df)

    def value(y: Any, t: Any, share: Any, each: Any, u: Any, count: int) -> None:
        for e in range(0, count, W):
            store(each, e, f(load(y, e), load(t, e)) * load(share, e))

    def slope(y: Any, t: Any, share: Any, each: Any, dy: Any, count: int) -> None:
        for e in range(0, count, W):
            store(each, e, f(load(y, e), load(t, e)) * load(share, e))
            store(dy, e, df(load(y, e), load(t, e)) * load(share, e))

    return value, slope


def _loop_of_formula(formula: Any, arguments: int, W: int) -> Any:
    f = for_vectors(formula)

    def compute(p: Any, q: Any, r: Any, s: Any, out: Any, count: int) -> None:
        whole = count - count % W
        for e in range(0, whole, W):
            if arguments == 1:
                store(out, e, f(load(p, e)))
            else:
                store(out, e, f(load(p, e), load(q, e)))
        if whole < count:
            rest = count - whole
            x = load_first(p, whole, rest)
            if arguments == 1:
                store_first(out, whole, f(x), rest)
            else:
                store_first(out, whole, f(x, load_first(q, whole, rest)), rest)

    return compute


def _loop_of_penalty(W: int) -> Any:
    penalty_d = for_vectors(penalties.penalty_d)

    def penalty(w: Any, g: Any, l1: Any, l2: Any, c: int, count: int) -> None:
        whole = count - count % W
        for v in range(0, c, W):
            a, b = load(l1, v), load(l2, v)
            for e in range(v, whole, c):
                store(g, e, load(g, e) + penalty_d(load(w, e), a, b))
        if whole < count:
            rest, a, b = count - whole, load(l1, 0), load(l2, 0)
            changed = load_first(g, whole, rest) + penalty_d(load_first(w, whole, rest), a, b)
            store_first(g, whole, changed, rest)

    return penalty


@lru_cache(maxsize=64)
def _vectors_of(count: int) -> Any:
    """Return a function that loads ``count`` vectors, c numbers apart, as a tuple."""
    if count == 0:
        return njit(lambda numbers, c: ())
    if count == 1:
        return njit(lambda numbers, c: (load(numbers, 0),))
    fewer = _vectors_of(count - 1)
    last = count - 1
    return njit(lambda numbers, c: (*fewer(numbers, c), load(numbers, last * c)))


def _loop_of_rule(rule: Any, slots: int, others: int, W: int, first: int) -> Any:
    step_of, shrink = for_vectors(rule), for_vectors(penalties.shrink)
    numbers_of = _vectors_of(others)
    # What training goes on with is never subnormal: a dead unit's running means, or a weight that
    # decays, would shrink until rounding holds them there, and arithmetic on such numbers takes a
    # hundred times as long.

    def advance(
        old: Any, new: Any, g: Any, slot_0: Any, slot_1: Any, numbers: Any, decay: Any,
        apart: Any, step: int, factor: float, c: int, count: int,
    ) -> None:  # fmt: skip
        whole = count - count % W
        for v in range(0, c, W):
            found = load(apart, v)
            lr, decays = load(numbers, v) * factor, load(decay, v)
            others = numbers_of(pointer(numbers, first * c + v), c)
            for e in range(v, whole, c):
                w = shrink(load(old, e), lr, decays)
                if slots == 0:
                    changed = step_of(w, load(g, e), step, lr, *others)
                elif slots == 1:
                    changed = step_of(w, load(g, e), step, lr, load(slot_0, e), *others)
                    store(slot_0, e, flush(changed[1]))
                else:
                    state = (load(slot_0, e), load(slot_1, e))
                    changed = step_of(w, load(g, e), step, lr, *(state + others))
                    store(slot_0, e, flush(changed[1]))
                    store(slot_1, e, flush(changed[2]))
                store(new, e, flush(changed[0]))
                found = either(found, changed[0] - changed[0])
            if whole < count:  # for a member alone, so that there is but one v
                e, rest = whole, count - whole
                w, slope = shrink(load_first(old, e, rest), lr, decays), load_first(g, e, rest)
                if slots == 0:
                    changed = step_of(w, slope, step, lr, *others)
                elif slots == 1:
                    changed = step_of(w, slope, step, lr, load_first(slot_0, e, rest), *others)
                    store_first(slot_0, e, flush(changed[1]), rest)
                else:
                    state = (load_first(slot_0, e, rest), load_first(slot_1, e, rest))
                    changed = step_of(w, slope, step, lr, *(state + others))
                    store_first(slot_0, e, flush(changed[1]), rest)
                    store_first(slot_1, e, flush(changed[2]), rest)
                store_first(new, e, flush(changed[0]), rest)
                found = either(found, load_first(new, e, rest) - load_first(new, e, rest))
            store(apart, v, found)

    return advance


# ---------------------------------------------------------------- addresses


class _Kept(CFunc):
    """A compiled function that is kept on disk under ``stamp``."""

    def __init__(self, function: Any, sig: Any, stamp: str) -> None:
        super().__init__(function, sig, {}, {"error_model": "numpy"})
        self._cache = cache.Kept(function, stamp)
        self.compile()
        self.native = self._wrapper_name.removeprefix("cfunc.")


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Turn what Numba says of a formula that it cannot compile into one line."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((line for line in said if "Unknown attribute" in line or "No impl" in line), "")
        why = str(error) if isinstance(error, FormulaError) else why
        raise FormulaError(
            f"the compiled engine cannot compile {what}{': ' + why if why else ''}: write it with "
            "arithmetic and the functions in seedbed.engines.compiled.mathematics, or use "
            "engine='numpy'"
        ) from error


_alive: list[_Kept] = []  # code lives as long as what compiled it


def _address(function: Any, dtype: np.dtype[Any], stamp: str, *kinds: Any) -> int:
    if not kinds:
        kinds = (*([types.CPointer(numba_type(dtype))] * 5), types.intp)
    kept = _Kept(function, (kinds, types.void), stamp)
    _alive.append(kept)
    return int(kept._library.get_pointer_to_function(kept.native))


_built: dict[tuple[Any, ...], tuple[int, ...]] = {}


def _addresses(
    what: str,
    dtype: np.dtype[Any],
    parts: tuple[Any, ...],
    loops: Callable[[int], Any],
    *kinds: Any,
) -> tuple[int, ...]:
    """Return the addresses of the loops, compiled where these very formulas were not yet.

    They are known by their digest, not by the functions: what a function uses may have changed.
    """
    with _named(what):
        stamp = cache.digest(*parts)
        if (stamp, dtype) not in _built:
            made = loops(WIDTH[numba_type(dtype)])
            _built[stamp, dtype] = tuple(_address(loop, dtype, stamp, *kinds) for loop in made)
    return _built[stamp, dtype]


def activation(unit: Activation, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of ``forward(z, a)`` and ``backward(z, a, da)``."""
    return _addresses(
        f"the activation {unit.name}",
        dtype,
        ("activation", unit.f, unit.df),
        lambda W: _loop_of_activation(unit.f, unit.df, W),
    )


def loss(unit: Loss, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of ``value(y, t, share, each)`` and ``slope(…, each, dy)``."""
    return _addresses(
        f"the loss {unit.name}",
        dtype,
        ("loss", unit.f, unit.df),
        lambda W: _loop_of_loss(unit.f, unit.df, W),
    )


def formula(function: Any, arguments: int, dtype: np.dtype[Any]) -> int:
    """Return the address of ``compute(p, q, r, s, out)``, out = function(p) or function(p, q).

    It is 0 where the function cannot be compiled.
    """
    try:
        (address,) = _addresses(
            f"the function {getattr(function, '__name__', function)}",
            dtype,
            ("formula", function, arguments),
            lambda W: (_loop_of_formula(function, arguments, W),),
        )
    except FormulaError:
        return 0
    return address


def rule(function: Any, slots: int, others: int, dtype: np.dtype[Any]) -> int:
    """Return the address of an optimizer's step; see ``take_step``."""
    number = numba_type(dtype)
    kinds = (*([types.CPointer(number)] * 8), types.intp, number, types.intp, types.intp)
    (address,) = _addresses(
        f"the optimizer's rule {getattr(function, '__name__', function)}",
        dtype,
        ("rule", function, penalties.shrink, slots, others),
        lambda W: (_loop_of_rule(function, slots, others, W, RULE),),
        *kinds,
    )
    return address


@lru_cache(maxsize=2)
def penalty(dtype: np.dtype[Any]) -> int:
    """Return the address of ``penalty(w, g, l1, l2)``, which adds the penalty's slope to g."""
    array, stamp = types.CPointer(numba_type(dtype)), cache.digest(penalties.penalty_d)
    loop = _loop_of_penalty(WIDTH[numba_type(dtype)])
    return _address(loop, dtype, stamp, *([array] * 4), types.intp, types.intp)


@lru_cache(maxsize=4)
def product(each: bool, dtype: np.dtype[Any]) -> int:
    """Return the address of a matrix product; see ``multiply``."""
    matrix = (types.CPointer(numba_type(dtype)), types.intp, types.intp)
    stamp = cache.digest("product", each)
    return _address(products.product(each), dtype, stamp, *(matrix * 4), *([types.intp] * 4))


@lru_cache(maxsize=2)
def turn_over(dtype: np.dtype[Any]) -> int:
    """Return the address of ``products.turn``."""
    array, places = types.CPointer(numba_type(dtype)), types.CPointer(types.intp)
    kinds = (array, places, types.intp, array, places, types.intp)
    return _address(products.turn, dtype, cache.digest("turn"), *kinds)


@lru_cache(maxsize=2)
def log_softmax(dtype: np.dtype[Any]) -> int:
    """Return the address of ``products.log_softmax``."""
    array = types.CPointer(numba_type(dtype))
    kinds = (array, array, *([types.intp] * 3))
    return _address(products.log_softmax, dtype, cache.digest("log_softmax"), *kinds)
