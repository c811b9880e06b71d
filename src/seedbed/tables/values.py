"""Values of a table's columns: numbers, texts and dates from Python objects and arrays."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices, is_missing_value, one_line
from seedbed.errors import TableError, ValueTypeError

Kind = Literal["number", "text", "date"]
_NUMBER_TYPES = (bool, int, float, np.bool_, np.integer, np.floating, decimal.Decimal)
_DATE_TYPES = (datetime.date, datetime.time, np.datetime64)
SECONDS_PER_DAY = 86_400


class UnsupportedType(TableError):  # noqa: N818  # a TableError that fit() turns into a note
    """A column's values are neither numbers, nor texts, nor dates."""

    def __init__(self, name: str, table: str, kind: str) -> None:
        self.kind = kind
        super().__init__(
            f"column {name!r} of {table} holds {kind} values: turn them into numbers or texts, or "
            "leave the column out"
        )


class Column(NamedTuple):
    """A column's values.

    kind    "number", "text" or "date"
    values  (N,) float64, numbers or days since 1970-01-01 as the clock shows them, NaN where
            missing; or texts without blanks around them, object, None where missing
    """

    kind: Kind
    values: Array


def object_column(values: Sequence[Any], name: str, table: str) -> Column:
    """Return a column of Python objects: numbers, or dates, or else texts.

    Booleans and pandas' Intervals are texts, as they are categories; a number or a date among texts
    is written as ``as_text`` does.

    Raises: TableError for a value that is none of these, or infinite.
    """
    present = [value for value in values if not is_missing_value(value)]
    types = {type(value) for value in present}
    if types and all(issubclass(kind, _NUMBER_TYPES) for kind in types):
        if all(issubclass(kind, bool | np.bool_) for kind in types):
            return Column("text", texts_of(values))
        try:
            numbers = [np.nan if is_missing_value(value) else float(value) for value in values]
        except OverflowError:
            raise TableError(
                f"column {name!r} of {table} holds a whole number too large for a float64: give it "
                "in a larger unit"
            ) from None
        return Column("number", checked_finite(np.array(numbers), name, table))
    if types and all(issubclass(kind, _DATE_TYPES) or _is_date(kind) for kind in types):
        return Column("date", dates_of_objects(values, name, table))
    for row, value in enumerate(values):
        known = isinstance(value, (*_NUMBER_TYPES, *_DATE_TYPES, str)) or is_missing_value(value)
        if not known and not _is_date(type(value)) and type(value).__name__ != "Interval":
            raise ValueTypeError(
                f"column {name!r} of {table} holds {one_line(value)} in row {row + 1}: an argument "
                "must be a string or a real number, a date, or missing (None, NaN)"
            )
    return Column("text", texts_of(values))


def _is_date(kind: type) -> bool:
    """Return whether another library's type is a date, such as pandas' Period."""
    return hasattr(kind, "isoformat") or hasattr(kind, "to_timestamp")


def texts_of(values: Iterable[Any]) -> Array:
    """Return values as texts without blanks around them, (N,) object, None where missing."""
    texts = [
        None
        if is_missing_value(value)
        else value.strip()
        if isinstance(value, str)
        else as_text(value)
        for value in values
    ]
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    result[result == ""] = None
    return result


def checked_finite(column: Array, name: str, table: str, first_row: int = 0) -> Array:
    """Return the column if none of its values is infinite.

    Raises: TableError.
    """
    infinite = np.isinf(column)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise TableError(
            f"column {name!r} of {table} holds {column[row]} in row {first_row + row + 1}: it needs"
            " finite numbers; leave the value empty if it is missing"
        )
    return column


def finite_matrix(A: Array, names: Sequence[str], table: str, first_row: int = 0) -> Array:
    """Return columns (N, C) if none of their values is infinite.

    Raises: TableError.
    """
    infinite = np.isinf(A)
    if infinite.any():
        first = int(np.argmax(infinite.any(axis=0)))
        checked_finite(A[:, first], names[first], table, first_row)
    return A


def is_missing(values: Array) -> npt.NDArray[np.bool_]:
    """Return which values of a column are missing, (N,): NaN among numbers, None among texts."""
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=np.bool_)
    return np.isnan(values)


def category_codes(texts: Array, categories: Sequence[str]) -> Indices:
    """Return each text's index in the categories, -1 where it is not one of them."""
    codes = {category: number for number, category in enumerate(categories)}
    return np.array([codes.get(text, -1) for text in texts], dtype=np.intp)


def numbers_as_texts(numbers: Array) -> Array:
    """Return numbers as texts, (N,) object, None where missing: 1.0 is "1"."""
    return np.array(
        [None if np.isnan(value) else as_text(value) for value in numbers], dtype=object
    )


def as_text(value: Any) -> str:
    """Return a value as a CSV file would have it: true, false, 1, 1.5."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, int | float | np.number):
        return str(int(value)) if np.isfinite(value) and value == int(value) else repr(float(value))
    return str(value)


def unmasked(values: Any) -> Array:
    """Return a masked array as an array in which masked values are missing; others unchanged."""
    mask = np.ma.getmask(values)
    if not np.any(mask):
        return np.asarray(values)
    data = np.ma.getdata(values)
    if data.dtype.kind == "M":
        return np.where(mask, np.datetime64("NaT"), data)
    if data.dtype.kind in "fiu":
        return np.where(mask, np.nan, data.astype(np.float64))
    objects = data.astype(object)
    objects[mask] = None
    return objects


def as_floats(A: Array) -> Array:
    """Return objects that are numbers or missing as float64."""
    try:
        return A.astype(np.float64)
    except (TypeError, ValueError):  # pandas' NA
        flat = [np.nan if is_missing_value(value) else float(value) for value in A.ravel()]
        return np.array(flat).reshape(A.shape)


def days_of_dates(dates: Array) -> Array:
    """Return datetime64 as days since 1970-01-01, float64, NaN where missing."""
    micros = dates.astype("datetime64[us]")
    days = micros.astype(np.int64) / (SECONDS_PER_DAY * 1e6)
    return np.where(np.isnat(micros), np.nan, days)


def dates_of_objects(values: Sequence[Any], name: str, table: str) -> Array:
    """Return dates, times of day and pandas' Timestamps and Periods as days, (N,).

    Raises: TableError.
    """
    found = []
    for row, value in enumerate(values):
        if is_missing_value(value):
            found.append(np.datetime64("NaT", "us"))
            continue
        if hasattr(value, "to_timestamp"):  # a pandas Period
            value = value.to_timestamp()
        if isinstance(value, datetime.time):
            value = datetime.datetime.combine(datetime.date(1970, 1, 1), value)
        if getattr(value, "tzinfo", None) is not None:
            value = value.replace(tzinfo=None)  # as the clock shows it
        try:
            found.append(np.datetime64(value).astype("datetime64[us]"))
        except (ValueError, TypeError):
            raise TableError(
                f"column {name!r} of {table} holds {one_line(value)} in row {row + 1}: it is no "
                "date that can be read; give it as a text such as 2026-01-31"
            ) from None
    return days_of_dates(np.array(found, dtype="datetime64[us]"))
