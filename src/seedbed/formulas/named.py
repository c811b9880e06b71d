"""Formulas by name: to a spec of name and options, and back."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from seedbed.arrays import one_line
from seedbed.errors import SettingError

T = TypeVar("T")


class OrName(Generic[T]):
    """The type of a field that is a T, and may be given by its name."""

    if TYPE_CHECKING:

        def __get__(self, owner: Any, kind: Any) -> T: ...
        def __set__(self, owner: Any, given: T | str) -> None: ...


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


def as_formula(what: str, given: Any, kind: type[T]) -> T:
    """Return a formula of ``kind``, given as one or by its name; options keep their defaults.

    ``what`` is its name in messages.

    Raises: SettingError for an unknown name, one whose options have no defaults, or anything else.
    """
    if isinstance(given, kind):
        return given
    if not isinstance(given, str):
        raise refusal(what, given, kind)
    found = by_name(what, given, kind)
    try:
        formula: T = found if isinstance(found, kind) else found()
    except TypeError:
        raise SettingError(
            f"{what} {given!r} needs a number: give such as sb.{found.__name__}(0.5)"
        ) from None
    return formula


def by_name(what: str, name: str, kind: type[Any]) -> Any:
    """Return a formula of ``kind``, or its factory or class, by its name or an alias.

    Case, spaces and punctuation do not matter.

    Raises: SettingError for an unknown name.
    """
    module = sys.modules[kind.__module__]
    known = module.BY_NAME
    aliases, notes = getattr(module, "ALIASES", {}), getattr(module, "NOTES", {})
    spelled = {_folded(alias): target for alias, target in aliases.items()}
    spelled |= {_folded(own): own for own in known}
    folded = _folded(name)
    if folded in spelled:
        return known[spelled[folded]]
    close = difflib.get_close_matches(folded, spelled, n=1)
    note = f"; did you mean {spelled[close[0]]!r}?" if close else ""
    raise SettingError(
        f"{what} must be one of {', '.join(known)}, not {one_line(name)}"
        + (f": {notes[folded]}" if folded in notes else note)
    )


def refusal(what: str, given: Any, kind: type[Any]) -> SettingError:
    """Return the error for what is neither a name nor a formula of ``kind``."""
    known = sys.modules[kind.__module__].BY_NAME
    first, formula = next(iter(known.items()))
    uncalled = any(given is each for each in known.values())
    hint = f"; call it first: {given.__name__}(…)" if uncalled else ""
    return SettingError(
        f"{what} must be one of {', '.join(known)}, or an object like sb.{first}"
        f"{'' if isinstance(formula, kind) else '()'}, not {one_line(given)}{hint}"
    )


def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


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
