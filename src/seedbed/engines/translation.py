"""Formulas with other functions under their module's names, such as another ``np``."""

from __future__ import annotations

import dis
import math
import types as python
from collections.abc import Callable
from typing import Any

import numpy as np

from seedbed.errors import FormulaError
from seedbed.formulas.source import closure_values, module_values


def translate(function: Callable[..., Any], numpy: Any, compile_: Any, done: dict[Any, Any]) -> Any:
    """Return ``function`` with ``numpy`` for np, after ``compile_``; its callees likewise.

    If ``numpy`` is not NumPy, whole numbers become fractions: compiled ones wrap, and round down.
    ``done`` holds the functions translated so far, with None for those being translated.

    Raises: FormulaError for code that cannot be compiled, or would compute something else.
    """
    if function in done:
        return done[function]
    if not isinstance(function, python.FunctionType):
        raise FormulaError(f"{function!r} is no Python function")
    done[function] = None

    def exchanged(name: str, value: Any) -> Any:
        if value is np:
            return numpy
        if isinstance(value, python.FunctionType):
            compiled = translate(value, numpy, compile_, done)
            if compiled is None:
                raise FormulaError(f"{name} calls itself")
            return compiled
        # values that a digest tells apart: code on disk is never that of another value
        if value is numpy.abs or value is math:
            return value
        if isinstance(value, bool | float | np.float32 | np.float64):
            return value
        if isinstance(value, int | np.integer):
            return float(value) if fractions else value
        raise FormulaError(f"it uses {name}, which is no number, no function and not NumPy")

    code, fractions = function.__code__, numpy is not np
    _check_code(function, numpy)
    found = module_values(function)
    if "abs" in code.co_names and "abs" not in found:
        found["abs"] = numpy.abs
    closure = tuple(
        python.CellType(exchanged(name, value)) for name, value in closure_values(function).items()
    )
    defaults = tuple(exchanged("a default", value) for value in function.__defaults__ or ())
    copy = python.FunctionType(
        _with_fractions(code) if fractions else code,
        {"__name__": __name__} | {name: exchanged(name, value) for name, value in found.items()},
        function.__name__,
        defaults or None,
        closure,
    )
    done[function] = compile_(copy)
    return done[function]


def _with_fractions(code: python.CodeType) -> python.CodeType:
    """Return the code with floats in place of its whole numbers."""
    constants = [float(value) if type(value) is int else value for value in code.co_consts]
    instructions = bytearray(code.co_code)
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_SMALL_INT":  # Python 3.14 keeps these in the instruction
            if len(constants) > 255:
                raise FormulaError("it has more than 255 constants")
            changed = dis.opmap["LOAD_CONST"], len(constants)
            instructions[step.offset : step.offset + 2] = changed
            constants.append(float(step.argval))
    return code.replace(co_code=bytes(instructions), co_consts=tuple(constants))


def _check_code(function: python.FunctionType, numpy: Any) -> None:
    """Refuse code that compiles but computes something else, and name missing functions.

    Raises: FormulaError.
    """
    code, module = function.__code__, function.__globals__
    steps = {step.opname for step in dis.get_instructions(code)}
    if "RAISE_VARARGS" in steps:
        raise FormulaError("it raises errors")
    if "IMPORT_NAME" in steps:
        raise FormulaError("it imports")
    if code.co_kwonlyargcount:
        raise FormulaError("it has keyword-only arguments")
    if numpy is np or not any(value is np for value in module_values(function).values()):
        return
    is_math = any(value is math for value in module.values())  # == compares arrays elementwise
    others = vars(math) if is_math else module
    for name in code.co_names:
        if hasattr(np, name) and not hasattr(numpy, name) and name not in others:
            raise FormulaError(f"it uses np.{name}")
