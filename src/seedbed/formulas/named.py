"""Formulas by name: to a spec of name and options, and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


class Named:
    """A formula that is copied and pickled by its name and options if it is one of Seedbed's.

    Functions made by a factory cannot be pickled; a user's own formula is pickled as it is.
    """

    name: str

    def __reduce_ex__(self, protocol: Any) -> Any:
        if is_own(self, by_name_of(self)):
            return _unpickled, (type(self).__module__, to_spec(self))
        return super().__reduce_ex__(protocol)


def by_name_of(formula: Named) -> Mapping[str, Any]:
    """Return Seedbed's formulas of the same kind, by name; none for a class of a user's own."""
    table: Mapping[str, Any] = vars(sys.modules[type(formula).__module__]).get("BY_NAME", {})
    return table


def to_spec(formula: Any) -> dict[str, Any]:
    """Return the formula's name and options, and a loss's label smoothing."""
    smoothing = getattr(formula, "smoothing", 0.0)
    spec = {"name": formula.name, **dict(getattr(formula, "options", ()))}
    return spec | {"smoothing": smoothing} if smoothing else spec


def from_spec(spec: Mapping[str, Any], by_name: Mapping[str, Any]) -> Any:
    """Return the formula that a spec describes.

    Raises: KeyError, TypeError or AttributeError for a spec that fits no formula; SettingError.
    """
    options = dict(spec)
    formula, smoothing = by_name[options.pop("name")], options.pop("smoothing", 0.0)
    formula = formula if hasattr(formula, "name") else formula(**options)
    return formula.smoothed(smoothing) if smoothing else formula


def is_own(formula: Any, by_name: Mapping[str, Any]) -> bool:
    """Return whether the formula is Seedbed's, not a user's own with the same name."""
    if formula.name not in by_name:
        return False
    try:
        return _code(from_spec(to_spec(formula), by_name)) is _code(formula)
    except TypeError:
        return False


def _unpickled(module: str, spec: Mapping[str, Any]) -> Any:
    return from_spec(spec, vars(sys.modules[module])["BY_NAME"])


def _code(formula: Any) -> Any:
    """Return the formula's code, which is the same for all that one factory makes."""
    return next(
        getattr(formula, field.name).__code__
        for field in fields(formula)
        if hasattr(getattr(formula, field.name), "__code__")
    )
