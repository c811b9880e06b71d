"""What a comparison's methods and data are, as text and hashes that stay the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from seedbed.arrays import as_array
from seedbed.comparing.encoded import EncodedTable
from seedbed.comparing.methods import AnyMethod, is_random_state
from seedbed.errors import DataError
from seedbed.fingerprints import bytes_of, code_of, described, recipe_to_plain, type_name
from seedbed.metrics import BY_NAME, Metric
from seedbed.recipe import Recipe
from seedbed.tables.sources import as_frame


def method_to_dict(method: AnyMethod) -> dict[str, Any]:
    """Return a method as plain dicts, lists, numbers and strings.

    A function is its name and a hash of its code, its defaults and what it encloses; what it reads
    from its module is not seen.
    """
    if isinstance(method, Recipe):
        return recipe_to_plain(method)
    if isinstance(method, partial):
        words = {str(key): described(value) for key, value in enumerate(method.args)}
        words |= {key: described(value) for key, value in sorted(method.keywords.items())}
        return method_to_dict(method.func) | {"arguments": words}
    if hasattr(method, "fit"):
        parameters = method.get_params() if hasattr(method, "get_params") else vars(method)
        return {
            "estimator": type_name(method),
            "parameters": {
                key: described(value)
                for key, value in sorted(parameters.items())
                if not is_random_state(key)
            },
        }
    return {"function": getattr(method, "__qualname__", type_name(method)), "code": code_of(method)}


def metric_to_plain(metric: Any) -> Any:
    """Return a metric by its name, with a hash of its code if it is not one of Seedbed's."""
    if not isinstance(metric, Metric) or BY_NAME.get(metric.name) is metric:
        return metric.name if isinstance(metric, Metric) else metric
    return [metric.name, bool(metric.higher_is_better), code_of(metric.f)]


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
            hashed.update(bytes_of(array))
    return hashed.hexdigest()[:16]
