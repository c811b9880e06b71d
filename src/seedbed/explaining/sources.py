"""Formulas as their source has them, in the symbols that are shown."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
import textwrap
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

_DEPTH = 8
"""How deep helpers may call helpers: one that calls itself is not followed for ever."""


_OWN = object()
"""Stands for what a function says itself, which is not looked up outside it."""


class UntoldError(Exception):
    """The source is not there, or is no plain sequence of formulas."""


class Told(NamedTuple):
    """What a function computes, in Python that needs ``np`` and the symbols shown alone."""

    lines: dict[str, str]
    """what is computed on the way, in order: symbol and formula"""
    results: list[str]
    """what it returns: a formula, or one for each where it returns several"""


def told(
    function: Callable[..., Any],
    symbols: Sequence[str],
    known: Mapping[str, str | None],
    *,
    suffix: str = "",
    own: Collection[str] = (),
    wanted: Sequence[str] = (),
) -> Told:
    """Return a function's source with ``symbols`` put in for its parameters, in order.

    What the source assigns gets a symbol; helpers stand in their place, and a factory's numbers and
    a module's constants as their values.

    known   symbols that are taken, with their formulas; None where they have none
    suffix  is put behind the symbol of what depends on one of the symbols in ``own``
    wanted  the symbols of what is returned, where it has a name in the source

    Raises: UntoldError where the source cannot be told so.
    """
    reading = _Reading(known, suffix, own)
    try:
        results = reading.call(function, [_name(symbol) for symbol in symbols], {}, wanted)
        return Told(reading.lines, [_text(result) for result in results])
    except (OSError, TypeError, ValueError, SyntaxError, AttributeError) as error:
        raise UntoldError(str(error)) from error


def uses(function: Callable[..., Any], place: int) -> bool:
    """Return whether a function needs its parameter at that place, as far as its source tells."""
    try:
        names = list(inspect.signature(function).parameters)
        found = told(function, names, {})
    except (TypeError, ValueError, UntoldError):
        return True
    trees = [ast.parse(text) for text in (*found.lines.values(), *found.results)]
    return any(
        isinstance(node, ast.Name) and node.id == names[place]
        for tree in trees
        for node in ast.walk(tree)
    )


def name_of(function: Callable[..., Any], otherwise: str) -> str:
    """Return what a function is called; ``otherwise`` where it has no name of its own."""
    name = str(getattr(function, "__name__", otherwise))
    return otherwise if name == "<lambda>" else name


def closed(formula: str) -> str:
    """Return the formula as one factor of a product: in parentheses where it needs them."""
    node = ast.parse(formula, mode="eval").body
    return formula if isinstance(node, ast.Name | ast.Call) else f"({formula})"


class _Reading:
    """One function's source on its way into symbols, with the helpers that it calls."""

    def __init__(self, known: Mapping[str, str | None], suffix: str, own: Collection[str]) -> None:
        self.known, self.suffix, self.own = dict(known), suffix, set(own)
        self.lines: dict[str, str] = {}
        self.depth = 0

    def call(
        self,
        function: Callable[..., Any],
        args: Sequence[ast.expr],
        keywords: Mapping[str, ast.expr],
        wanted: Sequence[str] = (),
    ) -> list[ast.expr]:
        """Return what the function returns for these arguments; lines are added on the way."""
        if _numpy_name(function):
            words = [ast.keyword(name, value) for name, value in keywords.items()]
            return [ast.Call(_of_numpy(function.__name__), list(args), words)]
        if not isinstance(function, FunctionType) or self.depth == _DEPTH:
            raise UntoldError(f"{function!r} has no source that can be followed")
        self.depth += 1
        bound = inspect.signature(function).bind(*args, **keywords)
        bound.apply_defaults()
        names = {
            name: value if isinstance(value, ast.expr) else _number(value)
            for name, value in bound.arguments.items()
        }
        statements, returned = _body(function)
        last = returned.elts if isinstance(returned, ast.Tuple) else [returned]
        kept = {
            each.id: symbol
            for each, symbol in zip(last, wanted, strict=False)
            if isinstance(each, ast.Name) and symbol
        }
        targets = [_target(statement) for statement in statements]
        left = Counter(target for target, _ in targets)
        for target, value in targets:
            formula = _Renamer(self, function, names).visit(value)
            left[target] -= 1
            # what is written over later makes room for the last, which is the one that counts
            symbol = kept.get(target, target) if left[target] == 0 else f"{target}_"
            names[target] = self.line(symbol, formula)
        result = [_Renamer(self, function, names).visit(each) for each in last]
        self.depth -= 1
        return result

    def line(self, name: str, formula: ast.expr) -> ast.expr:
        """Give a formula a symbol, and return that; one shown already with it is used again."""
        if isinstance(formula, ast.Name | ast.Constant):
            return formula
        text = _text(formula)
        used = {node.id for node in ast.walk(formula) if isinstance(node, ast.Name)}
        depends = not self.own.isdisjoint(used)
        bare = name.rstrip("_")
        symbol = f"{bare}{self.suffix}{name[len(bare) :]}" if depends else name
        while symbol in self.known and self.known[symbol] != text:
            symbol += "_"
        if symbol not in self.known:
            self.lines[symbol] = self.known[symbol] = text
        if depends:
            self.own.add(symbol)
        return _name(symbol)


class _Renamer(ast.NodeTransformer):
    """Puts symbols, values and helpers into one expression of a function."""

    def __init__(
        self, reading: _Reading, function: FunctionType, names: Mapping[str, ast.expr]
    ) -> None:
        self.reading, self.function, self.names = reading, function, names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.names:
            return self.names[node.id]
        return self.spelled(_outer(self.function, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.meaning(node)
        if value is _OWN:
            return ast.Attribute(self.visit(node.value), node.attr, ast.Load())
        return self.spelled(value)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        args = [self.visit(each) for each in node.args]
        keywords = {each.arg or "**": self.visit(each.value) for each in node.keywords}
        if "**" in keywords or any(isinstance(each, ast.Starred) for each in args):
            raise UntoldError("arguments in bulk")
        helper = self.meaning(node.func)
        if isinstance(helper, FunctionType) and not _numpy_name(helper):
            (result,) = self.reading.call(helper, args, keywords)
            return result
        words = [ast.keyword(name, value) for name, value in keywords.items()]
        return ast.Call(self.visit(node.func), args, words)

    def meaning(self, node: ast.expr) -> Any:
        """Return what a name from outside the function means, with its attributes; else _OWN.

        NumPy's own words stay as they are written.
        """
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.names:
            return _OWN
        value = _outer(self.function, node.id)
        if value is np and path:
            return _OWN
        for attribute in reversed(path):
            value = getattr(value, attribute)
        return value

    def spelled(self, value: Any) -> ast.expr:
        """Return what stands for a value from outside the function."""
        if value is np:
            return _name("np")
        if _numpy_name(value):
            return _of_numpy(value.__name__)
        name = getattr(value, "__name__", "")
        if name and getattr(builtins, name, None) is value:
            return _name(name)
        return _number(value)

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.comprehension | ast.Await | ast.Yield):
            raise UntoldError("names of its own inside a formula")
        return super().generic_visit(node)


def _body(function: FunctionType) -> tuple[list[ast.stmt], ast.expr]:
    """Return a function's statements, and the expression that it returns at the end."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    if function.__name__ == "<lambda>":
        parameters = list(inspect.signature(function).parameters)
        found = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Lambda) and [a.arg for a in node.args.args] == parameters
        ]
        if len(found) != 1:
            raise UntoldError("several functions without a name on its lines")
        return [], found[0].body
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise UntoldError("no function's source")
    statements = definition.body[ast.get_docstring(definition) is not None :]
    if not statements or not isinstance(statements[-1], ast.Return):
        raise UntoldError("it does not end in return")
    if statements[-1].value is None:
        raise UntoldError("it returns nothing")
    return statements[:-1], statements[-1].value


def _target(statement: ast.stmt) -> tuple[str, ast.expr]:
    """Return the name and the expression of a statement, which must give one name a value."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name):
            return target.id, value
    raise UntoldError("more than names and their formulas")


def _outer(function: FunctionType, name: str) -> Any:
    """Return what a name means that the function does not give a value itself."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if name in cells:
        return cells[name].cell_contents
    for names in (function.__globals__, vars(builtins)):
        if name in names:
            return names[name]
    raise UntoldError(f"{name} is not there")


def _numpy_name(value: Any) -> bool:
    """Return whether ``np.<its name>`` is the value."""
    name = getattr(value, "__name__", None)
    return (
        isinstance(name, str)
        and not isinstance(value, ModuleType)
        and getattr(builtins, name, None) is not value
        and getattr(np, name, None) is value
    )


def _number(value: Any) -> ast.expr:
    if not isinstance(value, int | float | np.floating | np.integer):
        raise UntoldError(f"{value!r} is no number")
    plain: int | float = value.item() if isinstance(value, np.generic) else value
    if math.isnan(plain):
        return _of_numpy("nan")
    size = _of_numpy("inf") if math.isinf(plain) else ast.Constant(abs(plain))
    return ast.UnaryOp(ast.USub(), size) if math.copysign(1, plain) < 0 else size


def _name(symbol: str) -> ast.Name:
    return ast.Name(symbol, ast.Load())


def _of_numpy(name: str) -> ast.Attribute:
    return ast.Attribute(_name("np"), name, ast.Load())


def _text(formula: ast.expr) -> str:
    return ast.unparse(formula)
