"""Formulas read from their source, rewritten in the symbols that are shown."""

from __future__ import annotations

import ast
import builtins
import inspect
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from seedbed.formulas.source import closure_values, module_values, statements

_MAX_DEPTH = 8
"""How deep helpers may call helpers; this stops recursion."""
_LOCAL = object()
"""Marks a name that the function itself defines, or one of NumPy's, which keeps its spelling."""


class SourceUnavailable(Exception):  # noqa: N818  # a reason, caught here, not an error shown
    """The source is missing, or is not a plain sequence of formulas."""


class SymbolicFormula(NamedTuple):
    """What a function computes, as Python that needs only ``np`` and the shown symbols."""

    lines: dict[str, str]
    """intermediate values in order: symbol and formula"""
    results: list[str]
    """the formula of each value that it returns"""


def symbolic(
    function: Callable[..., Any],
    symbols: Sequence[str],
    known: Mapping[str, str | None],
    *,
    suffix: str = "",
    own: Collection[str] = (),
    wanted: Sequence[str] = (),
) -> SymbolicFormula:
    """Return a function's source with ``symbols`` substituted for its parameters, in order.

    Variables of the source get a symbol; helpers are inlined; a factory's arguments and a module's
    constants are replaced by their values.

    known   symbols in use, with their formulas; None for those without one
    suffix  appended to the symbol of a variable that depends on one of the symbols in ``own``
    wanted  symbols of the returned values, for those that are variables in the source

    Raises: SourceUnavailable.
    """
    reader = _Reader(known, suffix, own)
    try:
        results = reader.call(function, [_name(symbol) for symbol in symbols], {}, wanted)
        return SymbolicFormula(reader.lines, [ast.unparse(result) for result in results])
    except (OSError, TypeError, ValueError, SyntaxError, AttributeError) as error:
        raise SourceUnavailable(str(error)) from error


def uses_parameter(function: Callable[..., Any], place: int) -> bool:
    """Return whether a function uses its parameter at that place; True if its source is unknown."""
    try:
        names = list(inspect.signature(function).parameters)
        formula = symbolic(function, names, {})
    except (TypeError, ValueError, SourceUnavailable):
        return True
    trees = [ast.parse(text) for text in (*formula.lines.values(), *formula.results)]
    return any(
        isinstance(node, ast.Name) and node.id == names[place]
        for tree in trees
        for node in ast.walk(tree)
    )


def name_of(function: Callable[..., Any], default: str) -> str:
    """Return the function's name; ``default`` if it has none."""
    name = str(getattr(function, "__name__", default))
    return default if name == "<lambda>" else name


def as_factor(formula: str) -> str:
    """Return the formula as a factor of a product, in parentheses if it needs them."""
    node = ast.parse(formula, mode="eval").body
    return formula if isinstance(node, ast.Name | ast.Call) else f"({formula})"


class _Reader:
    """Rewrites one function's source in symbols, with the helpers that it calls."""

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
        """Return what the function returns for these arguments, and add its lines."""
        if _is_numpys(function):
            named = [ast.keyword(name, value) for name, value in keywords.items()]
            return [ast.Call(_of_numpy(function.__name__), list(args), named)]
        if not isinstance(function, FunctionType) or self.depth == _MAX_DEPTH:
            raise SourceUnavailable(f"the source of {function!r} cannot be followed")
        self.depth += 1
        bound = inspect.signature(function).bind(*args, **keywords)
        bound.apply_defaults()
        names = {
            name: value if isinstance(value, ast.expr) else _number(value)
            for name, value in bound.arguments.items()
        }
        body, returned = statements(function)
        results = returned.elts if isinstance(returned, ast.Tuple) else [returned]
        result_symbols = {
            each.id: symbol
            for each, symbol in zip(results, wanted, strict=False)
            if isinstance(each, ast.Name) and symbol
        }
        outside = vars(builtins) | module_values(function) | closure_values(function)
        substitute = _Substitution(self, outside, names)
        assignments = [_assignment(statement) for statement in body]
        remaining = Counter(target for target, _ in assignments)
        for target, value in assignments:
            formula = substitute.visit(value)
            remaining[target] -= 1
            # the last assignment of a variable keeps its name; earlier ones get an underscore
            is_last = remaining[target] == 0
            symbol = result_symbols.get(target, target) if is_last else f"{target}_"
            names[target] = self.line(symbol, formula)
        formulas = [substitute.visit(each) for each in results]
        self.depth -= 1
        return formulas

    def line(self, name: str, formula: ast.expr) -> ast.expr:
        """Give a formula a symbol and return it; a formula already shown keeps its symbol."""
        if isinstance(formula, ast.Name | ast.Constant):
            return formula
        text = ast.unparse(formula)
        names = {node.id for node in ast.walk(formula) if isinstance(node, ast.Name)}
        depends = not self.own.isdisjoint(names)
        bare = name.rstrip("_")
        symbol = f"{bare}{self.suffix}{name[len(bare) :]}" if depends else name
        while symbol in self.known and self.known[symbol] != text:
            symbol += "_"
        if symbol not in self.known:
            self.lines[symbol] = self.known[symbol] = text
        if depends:
            self.own.add(symbol)
        return _name(symbol)


class _Substitution(ast.NodeTransformer):
    """Replaces names by symbols, values and helpers' formulas.

    outside  what names mean that the function does not define
    names    the formulas of its parameters and variables
    """

    def __init__(
        self, reader: _Reader, outside: Mapping[str, Any], names: Mapping[str, ast.expr]
    ) -> None:
        self.reader, self.outside, self.names = reader, outside, names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.names[node.id] if node.id in self.names else _spelled(self.looked_up(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.value_of(node)
        if value is _LOCAL:
            return ast.Attribute(self.visit(node.value), node.attr, ast.Load())
        return _spelled(value)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        args = [self.visit(each) for each in node.args]
        keywords = {each.arg or "**": self.visit(each.value) for each in node.keywords}
        if "**" in keywords or any(isinstance(each, ast.Starred) for each in args):
            raise SourceUnavailable("it unpacks arguments")
        helper = self.value_of(node.func)
        if isinstance(helper, FunctionType) and not _is_numpys(helper):
            (result,) = self.reader.call(helper, args, keywords)
            return result
        named = [ast.keyword(name, value) for name, value in keywords.items()]
        return ast.Call(self.visit(node.func), args, named)

    def looked_up(self, name: str) -> Any:
        if name not in self.outside:
            raise SourceUnavailable(f"{name} is not defined")
        return self.outside[name]

    def value_of(self, node: ast.expr) -> Any:
        """Return the value of a name from outside, with its attributes; else ``_LOCAL``."""
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id in self.names:
            return _LOCAL
        value = self.looked_up(node.id)
        if value is np and path:
            return _LOCAL
        for attribute in reversed(path):
            value = getattr(value, attribute)
        return value

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Lambda | ast.NamedExpr | ast.comprehension | ast.Await | ast.Yield):
            raise SourceUnavailable("it defines names inside an expression")
        return super().generic_visit(node)


def _assignment(statement: ast.stmt) -> tuple[str, ast.expr]:
    """Return the variable and the expression of an assignment."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Name):
            return target.id, value
    raise SourceUnavailable("it has statements other than assignments to one variable")


def _spelled(value: Any) -> ast.expr:
    """Return the expression for a value from outside the function."""
    if value is np:
        return _name("np")
    if _is_numpys(value):
        return _of_numpy(value.__name__)
    name = getattr(value, "__name__", "")
    if name and getattr(builtins, name, None) is value:
        return _name(name)
    return _number(value)


def _is_numpys(value: Any) -> bool:
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
        raise SourceUnavailable(f"{value!r} is not a number")
    plain: int | float = value.item() if isinstance(value, np.generic) else value
    if math.isnan(plain):
        return _of_numpy("nan")
    size = _of_numpy("inf") if math.isinf(plain) else ast.Constant(abs(plain))
    return ast.UnaryOp(ast.USub(), size) if math.copysign(1, plain) < 0 else size


def _name(symbol: str) -> ast.Name:
    return ast.Name(symbol, ast.Load())


def _of_numpy(name: str) -> ast.Attribute:
    return ast.Attribute(_name("np"), name, ast.Load())
