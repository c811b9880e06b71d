"""What code and arrays are, as text and hashes that are the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import FileError
from seedbed.files import recipe_to_dict
from seedbed.layers.base import formulas_of
from seedbed.recipe import Recipe


def recipe_to_plain(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain dicts, lists, numbers and strings; formulas of the user's own as
    hashes of their code.
    """
    try:
        return {"recipe": recipe_to_dict(recipe)}
    except FileError:
        return {"recipe": repr(recipe), "formulas": _formulas(recipe)}


def digest(content: Any) -> str:
    """Return a hash of plain content: 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def bytes_of(array: Array) -> bytes | memoryview:
    """Return an array's content, as a view of it where that is contiguous."""
    if array.dtype.kind in "fiub":
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return "\x1f".join(map(str, array.ravel().tolist())).encode("utf-8", "surrogatepass")


def described(value: Any, depth: int = 4) -> str:
    """Return a value as text that is the same in every process."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {hashlib.sha256(bytes_of(value)).hexdigest()[:16]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(described(each, depth - 1) for each in value)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[described(each, depth - 1) for each in value]}"
    if isinstance(value, Mapping):
        return f"dict {sorted((repr(k), described(v, depth - 1)) for k, v in value.items())}"
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{getattr(value, '__qualname__', '')} {code_of(value)}"
    if hasattr(value, "get_params"):
        return type_name(value)
    text = repr(value)
    if " at 0x" in text and depth > 0 and hasattr(value, "__dict__"):
        return f"{type_name(value)} {described(vars(value), depth - 1)}"
    return type_name(value) if " at 0x" in text else text


def type_name(value: Any) -> str:
    """Return the full name of a value's type."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _formulas(recipe: Recipe) -> list[str]:
    """Return hashes of the code of a recipe's formulas, layers and optimizer."""
    layers = recipe.network.layers
    units = [recipe.loss, recipe.schedule, *(f for layer in layers for f in formulas_of(layer))]
    found = [
        f"{name} {code_of(value) if callable(value) else described(value)}"
        for unit in units
        for name, value in sorted(vars(unit).items())
    ]
    kinds = [type(recipe.optimizer), *map(type, layers), *map(type, units)]
    return [*found, *map(code_of, kinds)]


def code_of(function: Any) -> str:
    """Return a hash of a function's source, defaults and enclosed values, or of its type's source;
    of a lambda, its byte code, too, as a line of source may hold several.
    """
    target = (
        function if inspect.isroutine(function) or isinstance(function, type) else type(function)
    )
    try:
        parts = [inspect.getsource(target)]
    except (OSError, TypeError):
        parts = [f"{target.__module__}.{target.__qualname__}"]
    code = getattr(function, "__code__", None)
    if code is not None:
        if code.co_name == "<lambda>" or "\n" not in parts[0]:
            constants = [c for c in code.co_consts if not inspect.iscode(c)]
            parts += [code.co_code.hex(), repr(code.co_names), described(constants)]
        parts += [described(function.__defaults__), described(function.__kwdefaults__ or {})]
        parts += [described(_content(cell)) for cell in function.__closure__ or ()]
    elif not inspect.isroutine(function) and not isinstance(function, type):
        parts.append(described(getattr(function, "__dict__", {})))
    return digest(parts)


def _content(cell: Any) -> Any:
    """Return what a cell holds; None if it is empty as yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
