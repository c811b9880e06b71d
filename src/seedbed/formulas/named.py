"""Formulas by name: how a unit is written down in words and numbers, and found again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


class Named:
    """A unit that is copied and pickled by its name and numbers, where it is Seedbed's own.

    Functions made by a factory cannot be pickled; a unit of the user's own is pickled as it is.
    """

    name: str

    def __reduce_ex__(self, protocol: Any) -> Any:
        if is_own(self, by_name_of(self)):
            return _found, (type(self).__module__, to_spec(self))
        return super().__reduce_ex__(protocol)


def by_name_of(unit: Named) -> Mapping[str, Any]:
    """Return the table of its kind, by name."""
    table: Mapping[str, Any] = vars(sys.modules[type(unit).__module__])["BY_NAME"]
    return table


def to_spec(unit: Any) -> dict[str, Any]:
    """Return the unit's name and numbers, a loss's label smoothing among them."""
    smoothing = getattr(unit, "smoothing", 0.0)
    words = {"name": unit.name, **dict(getattr(unit, "options", ()))}
    return words | {"smoothing": smoothing} if smoothing else words


def from_spec(words: Mapping[str, Any], by_name: Mapping[str, Any]) -> Any:
    """Return the unit of that name, made with those numbers.

    Raises: KeyError, TypeError or AttributeError for words that describe none; SettingError.
    """
    options = dict(words)
    unit, smoothing = by_name[options.pop("name")], options.pop("smoothing", 0.0)
    unit = unit if hasattr(unit, "name") else unit(**options)
    return unit.smoothed(smoothing) if smoothing else unit


def is_own(unit: Any, by_name: Mapping[str, Any]) -> bool:
    """Return whether the unit is the one of that name: none of the user's own, called the same."""
    if unit.name not in by_name:
        return False
    try:
        return _code(from_spec(to_spec(unit), by_name)) is _code(unit)
    except TypeError:
        return False


def _found(module: str, words: Mapping[str, Any]) -> Any:
    return from_spec(words, vars(sys.modules[module])["BY_NAME"])


def _code(unit: Any) -> Any:
    """Return the formula's code, which all units that one factory makes share."""
    return next(
        getattr(unit, field.name).__code__
        for field in fields(unit)
        if hasattr(getattr(unit, field.name), "__code__")
    )
