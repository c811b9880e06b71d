"""Estimator parameters: names to formulas, and values to and from a model file's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seedbed import files
from seedbed.arrays import one_line
from seedbed.errors import SettingError
from seedbed.formulas import activations, losses, optimizers
from seedbed.formulas.named import Named, by_name, from_spec
from seedbed.formulas.optimizers import Optimizer


def as_optimizer(given: Any) -> type[Optimizer]:
    """Return the optimizer's class, given as one or by its name in any case.

    Raises: SettingError.
    """
    if isinstance(given, type) and issubclass(given, Optimizer):
        return given
    if not isinstance(given, str):
        raise SettingError(
            "optimizer must be a name such as 'adamw', or a class such as sb.AdamW, not "
            + one_line(given)
        )
    kind: type[Optimizer] = by_name("optimizer", given, Optimizer)
    return kind


def to_json(value: Any) -> Any:
    """Return a parameter as a JSON value; None for an object that JSON cannot hold.

    Raises: FileError for a user-defined formula.
    """
    if isinstance(value, Named):
        return {"formula": type(value).__name__, **files.formula_to_dict(value)}
    if isinstance(value, type) and value in optimizers.BY_NAME.values():
        return value.__name__  # a name is as good as the class
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray):
        return [to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {"pairs": [[to_json(key), to_json(each)] for key, each in value.items()]}
    return value if isinstance(value, str | int | float | bool | None) else None


def from_json(saved: Any) -> Any:
    """Return the parameter that ``to_json`` turned into ``saved``.

    Raises: KeyError or TypeError for any other value.
    """
    if isinstance(saved, list):
        return [from_json(each) for each in saved]
    if isinstance(saved, dict) and "pairs" in saved:
        return {tuple(key) if isinstance(key, list) else key: each for key, each in saved["pairs"]}
    if isinstance(saved, dict):
        kinds: dict[str, Mapping[str, Any]] = {
            "Activation": activations.BY_NAME, "Loss": losses.BY_NAME
        }  # fmt: skip
        spec = dict(saved)
        return from_spec(spec, kinds[spec.pop("formula")])
    return saved
