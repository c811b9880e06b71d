"""Reads a formula's own code: what it uses from outside, and the statements of its source."""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any


@lru_cache(maxsize=1024)
def globals_of(code: CodeType) -> tuple[str, ...]:
    """Return the names that the code looks up in its module or among the builtins, sorted."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    return tuple(sorted(names))


def module_values(function: FunctionType) -> dict[str, Any]:
    """Return what a formula uses of its module, by name."""
    module = function.__globals__
    return {name: module[name] for name in globals_of(function.__code__) if name in module}


def closure_values(function: FunctionType) -> dict[str, Any]:
    """Return what a formula uses of the function that made it, such as a factory's arguments."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def statements(function: FunctionType) -> tuple[list[ast.stmt], ast.expr]:
    """Return a formula's statements and the expression that it returns.

    Raises: OSError without source; ValueError if the source is not one definition that ends in
    ``return``, or one lambda.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    if function.__name__ == "<lambda>":
        parameters = list(inspect.signature(function).parameters)
        lambdas = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Lambda) and [a.arg for a in node.args.args] == parameters
        ]
        if len(lambdas) != 1:
            raise ValueError("several lambdas on one line")
        return [], lambdas[0].body
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise ValueError("not a function's source")
    body = definition.body[ast.get_docstring(definition) is not None :]
    if not body or not isinstance(body[-1], ast.Return) or body[-1].value is None:
        raise ValueError("it does not end in returning a value")
    return body[:-1], body[-1].value
