"""Parameters as words: names turned into formulas, and what a model file holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seedbed.arrays import one_line
from seedbed.errors import FileError, SettingError
from seedbed.formulas import activations, losses
from seedbed.formulas.named import Named, by_name_of, from_spec, is_own, to_spec


def unit(what: str, given: Any, by_name: Mapping[str, Any]) -> Any:
    """Return the formula given, or that of the name given; those that take a number their default.

    Raises: SettingError for anything else.
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


def to_word(value: Any) -> Any:
    """Return a parameter as JSON has it; None for an object that it has no words for.

    Raises: FileError for a formula of the user's own.
    """
    if isinstance(value, Named):
        if not is_own(value, by_name_of(value)):
            raise FileError(
                f"{value.name!r} is not one of Seedbed's own formulas, and a model file holds no "
                "code: pickle the estimator, or keep population_.theta in a file"
            )
        return {"formula": type(value).__name__, **to_spec(value)}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray):
        return [to_word(each) for each in value]
    if isinstance(value, Mapping):
        return {"pairs": [[to_word(key), to_word(each)] for key, each in value.items()]}
    return value if isinstance(value, str | int | float | bool | None) else None


def from_word(word: Any) -> Any:
    """Return the parameter that ``to_word`` described.

    Raises: KeyError or TypeError for what it did not write.
    """
    if isinstance(word, list):
        return [from_word(each) for each in word]
    if isinstance(word, dict) and "pairs" in word:
        return {tuple(key) if isinstance(key, list) else key: each for key, each in word["pairs"]}
    if isinstance(word, dict):
        kinds: dict[str, Mapping[str, Any]] = {
            "Activation": activations.BY_NAME, "Loss": losses.BY_NAME
        }  # fmt: skip
        words = dict(word)
        return from_spec(words, kinds[words.pop("formula")])
    return word
