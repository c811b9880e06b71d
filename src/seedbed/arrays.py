"""Array types for signatures, and checks of numbers."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from seedbed.errors import SeedbedError, SettingError

Array: TypeAlias = npt.NDArray[Any]
"""Floating point, unless a docstring says otherwise."""

Indices: TypeAlias = npt.NDArray[np.integer]
"""Row or member numbers."""

Numbers: TypeAlias = float | Sequence[float] | Array
"""A numeric hyperparameter: one value for all members, or one value a member, (P,)."""


def one_line(value: object, max_length: int = 60) -> str:
    """Return the value's repr on one line, cut to ``max_length`` characters, for messages."""
    text = " ".join(repr(value).split())
    return text if len(text) <= max_length else text[: max_length - 1] + "…"


def as_array(value: Any, name: str, error: type[SeedbedError]) -> Array:
    """Return the value as an array.

    Raises: ``error`` if NumPy cannot make an array of it.
    """
    try:
        return np.asarray(value)
    except (ValueError, TypeError, OverflowError):
        raise error(f"{name} must be numbers in a regular array, not {one_line(value)}") from None


def checked_numbers(
    name: str,
    value: Numbers,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float | tuple[float, ...]:
    """Return ``value`` as one float or a tuple of floats, each in the interval from low to high.

    Raises: SettingError that names a value that is not finite or out of the interval.
    """
    array = as_array(value, name, SettingError)
    if array.dtype.kind not in "fiu" or array.ndim > 1 or array.size == 0:
        raise SettingError(
            f"{name} must be a number, or one number per member, not {one_line(value)}"
        )
    floats = array.astype(np.float64)
    inside = (floats > low if open_low else floats >= low) & (
        floats < high if open_high else floats <= high
    )
    wrong = ~(np.isfinite(floats) & inside)
    if wrong.any():
        first = float(floats[wrong].flat[0]) if floats.ndim else float(floats)
        raise SettingError(
            f"invalid {name}: {first}; expected a finite number"
            f"{_interval(low, high, open_low, open_high)}"
        )
    return float(floats) if floats.ndim == 0 else tuple(floats.tolist())


def checked_number(
    name: str,
    value: float,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return ``value`` as one float in the interval, the same for all members.

    Raises: SettingError that names the value if it is an array, not finite or out of the interval.
    """
    array = as_array(value, name, SettingError)
    if array.ndim or array.dtype.kind not in "fiu":
        raise SettingError(f"{name} must be one number, not {one_line(value)}")
    number = checked_numbers(name, value, low, high, open_low=open_low, open_high=open_high)
    assert isinstance(number, float)
    return number


def _interval(low: float, high: float, open_low: bool, open_high: bool) -> str:
    bounds = []
    if low > -math.inf:
        bounds.append(f"{'greater than' if open_low else 'at least'} {low:g}")
    if high < math.inf:
        bounds.append(f"{'less than' if open_high else 'at most'} {high:g}")
    return " " + " and ".join(bounds) if bounds else ""


def checked_count(name: str, value: int, minimum: int = 1) -> int:
    """Return ``value`` if it is a whole number of at least ``minimum``.

    Raises: SettingError that names the value otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < minimum:
        raise SettingError(
            f"{name} must be a whole number of at least {minimum}, not {one_line(value)}"
        )
    return int(value)


def checked_counts(name: str, values: Any, minimum: int = 1) -> tuple[int, ...]:
    """Return ``values``, a sequence of whole numbers of at least ``minimum``, as a tuple.

    Raises: SettingError that names the first other value.
    """
    if not isinstance(values, Iterable):
        raise SettingError(f"{name} must be a list of whole numbers, not {one_line(values)}")
    return tuple(checked_count(name, value, minimum) for value in values)


def checked_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of some texts.

    Raises: SettingError that names the value otherwise.
    """
    if not isinstance(value, str) or value not in choices:
        words = [repr(choice) for choice in choices]
        listed = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
        raise SettingError(f"{name} must be {listed}, not {one_line(value)}")
    return value


def checked_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False.

    Raises: SettingError that names the value otherwise.
    """
    if not isinstance(value, bool | np.bool_):
        raise SettingError(f"{name} must be True or False, not {one_line(value)}")
    return bool(value)


def checked_functions(name: str, values: Any) -> list[Any]:
    """Return ``values``, a sequence of functions, as a list.

    Raises: SettingError otherwise.
    """
    is_sequence = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not is_sequence or not all(map(callable, values)):
        raise SettingError(f"{name} must be a list of functions, not {one_line(values)}")
    return list(values)


def checked_path(path: Any, name: str = "the path") -> Path:
    """Return a file's path.

    Raises: SettingError for what is no path.
    """
    if not isinstance(path, str | PathLike) or isinstance(os.fspath(path), bytes) or path == "":
        raise SettingError(
            f"{name} must be a text or a Path, such as 'model.safetensors', not {one_line(path)}"
        )
    return Path(path)


def checked_index(name: str, value: int, count: int) -> int:
    """Return ``value`` if it is an index from 0 to count - 1.

    Raises: SettingError that names the value otherwise.
    """
    if checked_count(name, value, 0) >= count:
        expected = f"from 0 to {count - 1}" if count > 1 else "0"
        raise SettingError(f"{name} must be {expected}, not {value}")
    return int(value)


def is_missing_value(value: Any) -> bool:
    """Return whether an object marks a missing value: None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, float | np.floating):
        return bool(value != value)
    return isinstance(value, np.datetime64) and bool(np.isnat(value))
