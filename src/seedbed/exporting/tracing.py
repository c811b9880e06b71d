"""Formulas as lists of elementary operations, for languages that are not Python.

A formula is called once, with numbers that record what is done with them. So its own lines are the
one source of every translation, and those of ``engines.mathematics`` are that of exp, log and tanh.
"""

from __future__ import annotations

import operator
import types as python
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from seedbed.engines import arithmetic, mathematics
from seedbed.engines.arithmetic import Numbers
from seedbed.engines.translation import translate
from seedbed.errors import FormulaError

Kind = Literal["float32", "float64"]

FUNCTIONS = ("exp", "expm1", "log", "log1p", "sign", "tanh")
"""The functions of ``mathematics`` that may stay single steps."""


class Step(NamedTuple):
    """An elementary operation: its name, and its operands: earlier values, or constants.

    Names: add, sub, mul, div, neg, abs, sqrt, max, min, fma; lt, le, gt, ge, eq, ne, and, or, which
    give 1 or 0; where; copysign, two_to, times_two_to, exponent and mantissa, as in
    ``engines.arithmetic``; and ``FUNCTIONS``, in a formula whose functions stay whole.
    """

    name: str
    operands: tuple[int | float, ...]


class Trace(NamedTuple):
    """A formula as steps.

    arguments  the number of arguments, which are values 0, 1, …; step k makes value arguments + k
    results    what the formula returns: values, or constants
    kind       of all numbers
    """

    arguments: int
    steps: list[Step]
    results: tuple[int | float, ...]
    kind: Kind

    @property
    def is_identity(self) -> bool:
        """Whether the result is the one argument."""
        return self.results == (0,) and isinstance(self.results[0], int)


class Traced:
    """A number that records what is done with it: the counterpart of ``arithmetic.Numbers``."""

    __slots__ = ("number", "recorder")
    __array_ufunc__ = None

    def __init__(self, recorder: _Recorder, number: int | float) -> None:
        self.recorder, self.number = recorder, number

    def __add__(self, x: Any) -> Traced:
        return self.recorder.step("add", self, x)

    def __radd__(self, x: Any) -> Traced:
        return self.recorder.step("add", self, x)

    def __sub__(self, x: Any) -> Traced:
        return self.recorder.step("sub", self, x)

    def __rsub__(self, x: Any) -> Traced:
        return self.recorder.step("sub", x, self)

    def __mul__(self, x: Any) -> Traced:
        return self.recorder.step("mul", self, x)

    def __rmul__(self, x: Any) -> Traced:
        return self.recorder.step("mul", self, x)

    def __truediv__(self, x: Any) -> Traced:
        return self.recorder.step("div", self, x)

    def __rtruediv__(self, x: Any) -> Traced:
        return self.recorder.step("div", x, self)

    def __neg__(self) -> Traced:
        return self.recorder.step("neg", self)

    def __pow__(self, k: Any) -> Traced:
        return self.recorder.functions["power"](self, k)

    def __lt__(self, x: Any) -> Traced:
        return self.recorder.mask("lt", self, x)

    def __le__(self, x: Any) -> Traced:
        return self.recorder.mask("le", self, x)

    def __gt__(self, x: Any) -> Traced:
        return self.recorder.mask("gt", self, x)

    def __ge__(self, x: Any) -> Traced:
        return self.recorder.mask("ge", self, x)

    def __eq__(self, x: object) -> Traced:  # type: ignore[override]
        return self.recorder.mask("eq", self, x)

    def __ne__(self, x: object) -> Traced:  # type: ignore[override]
        return self.recorder.mask("ne", self, x)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("a formula cannot branch on its arguments")


class TracedMask(Traced):
    """A comparison's result. Two of them add up to "or" and multiply to "and"."""

    __slots__ = ()

    def __add__(self, x: Any) -> Traced:
        return (
            self.recorder.mask("or", self, x) if isinstance(x, TracedMask) else super().__add__(x)
        )

    def __mul__(self, x: Any) -> Traced:
        return (
            self.recorder.mask("and", self, x) if isinstance(x, TracedMask) else super().__mul__(x)
        )

    def __or__(self, x: TracedMask) -> Traced:
        return self.recorder.mask("or", self, x)

    def __and__(self, x: TracedMask) -> Traced:
        return self.recorder.mask("and", self, x)


class _Recorder:
    """Records the steps of one formula; equal steps are recorded once."""

    def __init__(self, arguments: int, kind: Kind, functions: dict[str, Any]) -> None:
        self.arguments, self.kind, self.functions = arguments, kind, functions
        self.dtype = np.dtype(kind).type
        self.steps: list[Step] = []
        self.known: dict[tuple[Any, ...], int] = {}

    def step(self, name: str, *operands: Any) -> Traced:
        return Traced(self, self._record(name, operands))

    def mask(self, name: str, *operands: Any) -> TracedMask:
        return TracedMask(self, self._record(name, operands))

    def _record(self, name: str, operands: tuple[Any, ...]) -> int | float:
        numbers = tuple(self.operand(each) for each in operands)
        if name == "where" and isinstance(numbers[0], float):
            return numbers[1] if numbers[0] else numbers[2]
        constants = [each for each in numbers if isinstance(each, float)]
        if len(constants) == len(numbers):
            return self._computed(name, constants)
        key = name, *((type(each), repr(each)) for each in numbers)
        if key not in self.known:
            self.known[key] = self.arguments + len(self.steps)
            self.steps.append(Step(name, numbers))
        return self.known[key]

    def _computed(self, name: str, constants: list[float]) -> float:
        """Return the result of an operation on constants, as the compiled engine has it."""
        given = [Numbers(np.array([each], self.dtype)) for each in constants]
        with np.errstate(all="ignore"):
            return float(_OF_NUMBERS[name](*given).array[0])

    def operand(self, x: Any) -> int | float:
        """Return a value's number, or a constant rounded to the kind, as a float."""
        if isinstance(x, Traced):
            return x.number
        if isinstance(x, bool | int | float | np.number | np.bool_):
            return float(self.dtype(x))
        raise FormulaError(f"it computes with {type(x).__name__}, which is no number")


def trace(
    function: Callable[..., Any], arguments: int = 1, kind: Kind = "float32", *, whole: bool = False
) -> Trace:
    """Return a formula's steps; of what returns a tuple, several results.

    whole  whether exp, log, tanh, … stay single steps, for a language that has them

    Raises: FormulaError for what is not elementwise arithmetic.
    """
    functions, numpy = _WHOLE if whole else _ELEMENTARY
    recorder = _Recorder(arguments, kind, functions)
    given = [Traced(recorder, number) for number in range(arguments)]
    if function.__module__ != mathematics.__name__:
        function = translate(function, numpy, lambda same: same, {numpy.abs: numpy.abs})
    else:
        function = functions[function.__name__]
    try:
        found = function(*given)
        found = found if isinstance(found, tuple) else (found,)
        results = tuple(recorder.operand(each) for each in found)
    except (AttributeError, TypeError) as error:
        raise FormulaError(f"{function!r} is not elementwise arithmetic: {error}") from error
    return _pruned(Trace(arguments, recorder.steps, results, kind))


def _pruned(of: Trace) -> Trace:
    """Return a formula without the steps that its results don't need."""
    needed = {each for each in of.results if isinstance(each, int)}
    for place in reversed(range(len(of.steps))):
        if of.arguments + place in needed:
            needed |= {each for each in of.steps[place].operands if isinstance(each, int)}
    new = {number: number for number in range(of.arguments)}
    steps: list[Step] = []

    def renumbered(operands: tuple[int | float, ...]) -> tuple[int | float, ...]:
        return tuple(new[each] if isinstance(each, int) else each for each in operands)

    for place, step in enumerate(of.steps):
        if of.arguments + place in needed:
            new[of.arguments + place] = of.arguments + len(steps)
            steps.append(Step(step.name, renumbered(step.operands)))
    return Trace(of.arguments, steps, renumbered(of.results), of.kind)


# ---------------------------------------------------------------- functions of traced numbers


def _recorder_of(*operands: Any) -> _Recorder:
    for each in operands:
        if isinstance(each, Traced):
            return each.recorder
    raise FormulaError("it calls a function of plain numbers: write the result as a number")


def _operation(name: str) -> Callable[..., Traced]:
    return lambda *operands: _recorder_of(*operands).step(name, *operands)


def _full_like(like: Traced, x: Any) -> Traced:
    return Traced(like.recorder, like.recorder.operand(x))


def _is_single(x: Traced) -> bool:
    return x.recorder.kind == "float32"


_OF_NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "lt": operator.lt, "le": operator.le, "gt": operator.gt,
    "ge": operator.ge, "eq": operator.eq, "ne": operator.ne, "and": operator.mul,
    "or": arithmetic.maximum, "abs": arithmetic.absolute, "max": arithmetic.maximum,
    "min": arithmetic.minimum,
    **{name: getattr(mathematics, name) for name in (*FUNCTIONS, "fma", "sqrt", "copysign",
                                                     "two_to", "times_two_to", "exponent",
                                                     "mantissa")},
}  # fmt: skip
"""What steps compute of ``Numbers``."""

_ARITHMETIC: dict[str, Any] = {
    **{name: _operation(name) for name in ("fma", "where", "sqrt", "copysign", "two_to",
                                           "times_two_to", "exponent", "mantissa")},
    "absolute": _operation("abs"),
    "maximum": _operation("max"),
    "minimum": _operation("min"),
    "full_like": _full_like,
    "is_single": _is_single,
}  # fmt: skip


def _rebound(**others: Any) -> tuple[dict[str, Any], Any]:
    """Return the functions of ``mathematics`` with operations that record, and an ``np`` of them.

    others  functions in place of some of them
    """
    names: dict[str, Any] = {**vars(mathematics), **_ARITHMETIC}
    names["abs"] = _ARITHMETIC["absolute"]
    for name, function in vars(mathematics).items():
        if isinstance(function, python.FunctionType) and function.__module__ == (
            mathematics.__name__
        ):
            names[name] = python.FunctionType(function.__code__, names, name)
    names |= others
    numpy: Any = python.ModuleType("numpy")
    for name in mathematics.__all__:
        setattr(numpy, name, names[name])
    return names, numpy


_ELEMENTARY = _rebound()
_WHOLE = _rebound(**{name: _operation(name) for name in FUNCTIONS})
