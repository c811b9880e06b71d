"""Estimator parameters: names to formulas, and values to and from a model file's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seedbed import files
from seedbed.arrays import one_line
from seedbed.errors import SettingError
from seedbed.formulas import activations, losses, optimizers
from seedbed.formulas.named import Named, from_spec
from seedbed.formulas.optimizers import Optimizer


def as_formula(what: str, given: Any, by_name: Mapping[str, Any]) -> Any:
    """Return ``given`` if it is a formula, else the formula of that name with its default numbers.

    Raises: SettingError for anything else, or a formula that has no default.
    """
    if isinstance(given, Named):
        return given
    if not isinstance(given, str) or given not in by_name:
        raise SettingError(
            f"{what} must be one of {', '.join(by_name)}, or such as sb.{next(iter(by_name))}, "
            f"not {one_line(given)}"
        )
    found = by_name[given]
    try:
        return found if isinstance(found, Named) else found()
    except TypeError:
        raise SettingError(
            f"{what} {given!r} needs a number: give such as sb.{given}(0.5)"
        ) from None


def as_optimizer(given: Any) -> type[Optimizer]:
    """Return the optimizer's class, given as one or by its name in any case.

    Raises: SettingError.
    """
    if isinstance(given, type) and issubclass(given, Optimizer):
        return given
    by_name = {name.lower(): kind for name, kind in optimizers.BY_NAME.items()}
    if not isinstance(given, str) or given.lower() not in by_name:
        raise SettingError(
            f"optimizer must be one of {', '.join(by_name)}, or a class such as sb.AdamW, not "
            f"{one_line(given)}"
        )
    return by_name[given.lower()]


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
