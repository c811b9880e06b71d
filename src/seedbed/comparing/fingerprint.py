"""What methods and data are, as text and hashes that are the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.comparing.encoded import EncodedTable
from seedbed.comparing.methods import AnyMethod, is_random_state
from seedbed.errors import FileError
from seedbed.files import recipe_to_dict
from seedbed.recipe import Recipe
from seedbed.tables.sources import as_frame


def method_to_dict(method: AnyMethod) -> dict[str, Any]:
    """Return a method as plain dicts, lists, numbers and strings.

    A function is its name and a hash of its code; what it reads from outside is not seen.
    """
    if isinstance(method, Recipe):
        try:
            return {"recipe": recipe_to_dict(method)}
        except FileError:  # formulas of the user's own
            return {"recipe": repr(method), "formulas": _formulas(method)}
    if isinstance(method, partial):
        words = {str(key): repr(value) for key, value in enumerate(method.args)}
        words |= {key: repr(value) for key, value in sorted(method.keywords.items())}
        return method_to_dict(method.func) | {"arguments": words}
    if hasattr(method, "get_params"):
        given = sorted(method.get_params().items())
        return {
            "estimator": f"{type(method).__module__}.{type(method).__qualname__}",
            "parameters": {k: _described(v) for k, v in given if not is_random_state(k)},
        }
    kind = "estimator" if hasattr(method, "fit") else "function"
    if kind == "estimator":
        return {kind: f"{type(method).__module__}.{type(method).__qualname__}"}
    return {kind: getattr(method, "__qualname__", repr(type(method))), "code": _code(method)}


def digest(content: Any) -> str:
    """Return a hash of plain content: 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def data_digest(X: Any, Y: Any) -> str:
    """Return a hash of the rows and targets, as ``compare`` takes them."""
    hashed = hashlib.sha256()
    for part in (X, Y):
        if isinstance(part, EncodedTable):
            arrays: Mapping[str, Any] = {"inputs": part.inputs, "targets": part.values}
        elif isinstance(part, str) or part is None:
            arrays = {repr(part): np.zeros(0)}
        elif not isinstance(part, np.ndarray) and hasattr(part, "columns"):
            frame = as_frame(part)
            arrays = {str(name): frame[name].to_numpy() for name in frame.columns}
        else:
            arrays = {"": np.asarray(part)}
        for name, array in arrays.items():
            hashed.update(f"{name} {array.shape} {array.dtype.kind}\n".encode())
            hashed.update(_bytes(array))
    return hashed.hexdigest()[:16]


def _bytes(array: Array) -> bytes:
    if array.dtype.kind in "fiub":
        return np.ascontiguousarray(array, np.float64).tobytes()
    return "\x1f".join(map(str, array.ravel().tolist())).encode("utf-8", "surrogatepass")


def _described(value: Any) -> str:
    """Return a parameter as text; one that holds an address in its text is its type."""
    if hasattr(value, "get_params"):
        return f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {hashlib.sha256(_bytes(value)).hexdigest()[:16]}"
    text = repr(value)
    return f"{type(value).__qualname__} {_code(value)}" if " at 0x" in text else text


def _formulas(recipe: Recipe) -> list[str]:
    """Return hashes of the code of a recipe's formulas."""
    formulas = [
        recipe.loss,
        *(getattr(layer, "activation", None) for layer in recipe.network.layers),
    ]
    return [_code(getattr(each, "f", None)) for each in formulas if each is not None]


def _code(function: Any) -> str:
    """Return a hash of a function's source, or that of its type; of a lambda, its byte code, too,
    as a line of source may hold several.
    """
    target = function if inspect.isroutine(function) else type(function)
    parts = []
    try:
        parts.append(inspect.getsource(target))
    except (OSError, TypeError):
        parts.append(f"{target.__module__}.{target.__qualname__}")
    code = getattr(function, "__code__", None)
    if code is not None and (code.co_name == "<lambda>" or parts[0].find("\n") < 0):
        parts += [code.co_code.hex(), repr(code.co_names), repr(code.co_consts).split(" at 0x")[0]]
    return digest(parts)
