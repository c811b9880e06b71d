"""What methods and data are, as text and hashes that are the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array
from seedbed.comparing.encoded import EncodedTable
from seedbed.comparing.methods import AnyMethod, is_random_state
from seedbed.errors import DataError, FileError
from seedbed.files import recipe_to_dict
from seedbed.metrics import BY_NAME, Metric
from seedbed.recipe import Recipe
from seedbed.tables.sources import as_frame


def method_to_dict(method: AnyMethod) -> dict[str, Any]:
    """Return a method as plain dicts, lists, numbers and strings.

    A function is its name and a hash of its code, its defaults and what it encloses; what it reads
    from its module is not seen.
    """
    if isinstance(method, Recipe):
        try:
            return {"recipe": recipe_to_dict(method)}
        except FileError:  # formulas of the user's own
            return {"recipe": repr(method), "formulas": _formulas(method)}
    if isinstance(method, partial):
        words = {str(key): _described(value) for key, value in enumerate(method.args)}
        words |= {key: _described(value) for key, value in sorted(method.keywords.items())}
        return method_to_dict(method.func) | {"arguments": words}
    if hasattr(method, "fit"):
        parameters = method.get_params() if hasattr(method, "get_params") else vars(method)
        return {
            "estimator": _type_name(method),
            "parameters": {
                key: _described(value)
                for key, value in sorted(parameters.items())
                if not is_random_state(key)
            },
        }
    return {"function": getattr(method, "__qualname__", _type_name(method)), "code": _code(method)}


def metric_to_plain(metric: Any) -> Any:
    """Return a metric by its name, with a hash of its code if it is not one of Seedbed's."""
    if not isinstance(metric, Metric) or BY_NAME.get(metric.name) is metric:
        return metric.name if isinstance(metric, Metric) else metric
    return [metric.name, bool(metric.higher_is_better), _code(metric.f)]


def digest(content: Any) -> str:
    """Return a hash of plain content: 16 hexadecimal digits."""
    text = json.dumps(content, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def data_digest(X: Any, Y: Any) -> str:
    """Return a hash of the rows and targets, as ``compare`` takes them."""
    hashed = hashlib.sha256()
    for name, part in (("X", X), ("Y", Y)):
        if isinstance(part, EncodedTable):
            arrays: Mapping[str, Any] = {"inputs": part.inputs, "targets": part.values}
        elif isinstance(part, str) or part is None:
            arrays = {repr(part): np.zeros(0)}
        elif not isinstance(part, np.ndarray) and hasattr(part, "columns"):
            frame = as_frame(part)
            arrays = {str(each): frame[each].to_numpy() for each in frame.columns}
        else:
            arrays = {"": as_array(part, name, DataError)}
        for column, array in arrays.items():
            hashed.update(f"{column} {array.shape} {array.dtype.str}\n".encode())
            hashed.update(_bytes(array))
    return hashed.hexdigest()[:16]


def _bytes(array: Array) -> bytes | memoryview:
    """Return an array's content, as a view of it where that is contiguous."""
    if array.dtype.kind in "fiub":
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    return "\x1f".join(map(str, array.ravel().tolist())).encode("utf-8", "surrogatepass")


def _described(value: Any, depth: int = 4) -> str:
    """Return a value as text that is the same in every process."""
    if isinstance(value, np.ndarray):
        return f"array {value.shape} {hashlib.sha256(_bytes(value)).hexdigest()[:16]}"
    if isinstance(value, set | frozenset):
        return f"set {sorted(_described(each, depth - 1) for each in value)}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[_described(each, depth - 1) for each in value]}"
    if isinstance(value, Mapping):
        return f"dict {sorted((repr(k), _described(v, depth - 1)) for k, v in value.items())}"
    if inspect.isroutine(value) or isinstance(value, type):
        return f"{getattr(value, '__qualname__', '')} {_code(value)}"
    if hasattr(value, "get_params"):
        return _type_name(value)
    text = repr(value)
    if " at 0x" in text and depth > 0 and hasattr(value, "__dict__"):
        return f"{_type_name(value)} {_described(vars(value), depth - 1)}"
    return _type_name(value) if " at 0x" in text else text


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _formulas(recipe: Recipe) -> list[str]:
    """Return hashes of the code of a recipe's formulas."""
    formulas = [
        recipe.loss,
        *(getattr(layer, "activation", None) for layer in recipe.network.layers),
    ]
    return [_code(getattr(each, "f", None)) for each in formulas if each is not None]


def _code(function: Any) -> str:
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
            parts += [code.co_code.hex(), repr(code.co_names), _described(constants)]
        parts += [_described(function.__defaults__), _described(function.__kwdefaults__ or {})]
        parts += [_described(_content(cell)) for cell in function.__closure__ or ()]
    elif not inspect.isroutine(function) and not isinstance(function, type):
        parts.append(_described(getattr(function, "__dict__", {})))
    return digest(parts)


def _content(cell: Any) -> Any:
    """Return what a cell holds; None if it is empty as yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None
