"""The tables that an encoding reads, column by column: data frames and arrays.

``reading.Table`` is a third ``Source``, so that one encoding serves files, frames and arrays.
"""

from __future__ import annotations

import decimal
import difflib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices, one_line
from seedbed.errors import MissingDependencyError, TableError, ValueTypeError

_NUMBER_TYPES = (bool, int, float, np.bool_, np.integer, np.floating, decimal.Decimal)


class Source(ABC):
    """A table of N rows, whose columns are numbers or texts.

    name       for messages
    first_row  the first row's number in the file, from 0, for messages
    """

    name: str
    columns: list[str]
    first_row: int = 0

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def unsupported_type(self, name: str) -> str | None:
        """Return the type of a column that is neither numbers nor texts, else None."""

    @abstractmethod
    def is_numeric(self, name: str) -> bool:
        """Return whether a column is numbers."""

    @abstractmethod
    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing.

        Raises: TableError if a value is not a finite number.
        """

    @abstractmethod
    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing; the number 1.0 is "1"."""

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""
        return np.stack([self.numbers(name) for name in names], axis=1)

    def non_numeric_note(self, name: str) -> str:
        """Return a note on the few texts in a column that is otherwise numbers, or ""."""
        return ""


class FrameSource(Source):
    """A data frame of any library that narwhals supports: pandas, polars, …"""

    def __init__(self, frame: Any, columns: Sequence[str] = (), name: str = "X") -> None:
        self.frame, self.name = frame, name
        self.columns = list(columns) or [str(column) for column in frame.columns]
        self._indices = {column: index for index, column in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.frame)

    def unsupported_type(self, name: str) -> str | None:
        """Return the type of a column that is neither numbers nor texts, else None."""
        narwhals, kind = _narwhals(), self._series(name).dtype
        texts = (narwhals.String, narwhals.Boolean, narwhals.Categorical, narwhals.Enum)
        if isinstance(kind, texts) or kind.is_numeric():
            return None
        if kind in _object_types():
            return self._object_column(name).unsupported_type(name)
        return str(kind)

    def is_numeric(self, name: str) -> bool:
        """Return whether a column is numbers."""
        series = self._series(name)
        if series.dtype.is_numeric():
            return True
        return series.dtype in _object_types() and self._object_column(name).is_numeric(name)

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing."""
        series = self._series(name)
        if series.dtype in _object_types():
            return self._object_column(name).numbers(name)
        if not (series.dtype.is_numeric() or series.dtype == _narwhals().Boolean):
            raise TableError(
                f"column {name!r} of {self.name} holds {series.dtype} values where numbers are "
                "expected, as in training: turn them into numbers"
            )
        values = series.cast(_narwhals().Float64).fill_null(float("nan")).to_numpy()
        return checked_finite(np.array(values, np.float64), name, self.name)

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing."""
        series = self._series(name)
        if series.dtype in _object_types():
            return self._object_column(name).texts(name)
        if series.dtype.is_numeric():
            return numbers_as_texts(self.numbers(name))
        return _objects_as_texts(series.to_list())

    def _series(self, name: str) -> Any:
        return self.frame[:, self._indices[name]]

    def _object_column(self, name: str) -> ArraySource:
        values = np.empty((len(self), 1), dtype=object)
        for row, value in enumerate(self._series(name).to_list()):
            values[row, 0] = value  # one by one: NumPy would turn lists of one length into an axis
        return ArraySource(values, [name], self.name)


class ArraySource(Source):
    """A 2-D array of numbers, of texts, or of objects that are either."""

    def __init__(self, values: Array, columns: Sequence[str] = (), name: str = "X") -> None:
        self.values, self.name = values, name
        self.columns = list(columns) or [f"x{number}" for number in range(values.shape[1])]
        self._indices = {column: index for index, column in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.values)

    def unsupported_type(self, name: str) -> str | None:
        """Return the type of a column that is neither numbers nor texts, else None.

        Raises: ValueTypeError for a value that is neither.
        """
        if self.values.dtype.kind in "mMc":
            return str(self.values.dtype)
        if self.values.dtype == object:
            for row, value in enumerate(self._column(name)):
                if not isinstance(value, (*_NUMBER_TYPES, str)) and not _is_missing(value):
                    if hasattr(value, "isoformat") or hasattr(value, "strftime"):
                        return "date"
                    raise ValueTypeError(
                        f"column {name!r} of {self.name} holds {one_line(value)} in row {row + 1}:"
                        " an argument must be a string or a real number, or missing (None, NaN)"
                    )
        return None

    def is_numeric(self, name: str) -> bool:
        """Return whether a column is numbers."""
        if self.values.dtype == object:
            present = [value for value in self._column(name) if not _is_missing(value)]
            booleans = all(isinstance(value, bool | np.bool_) for value in present)
            return all(isinstance(value, _NUMBER_TYPES) for value in present) and not (
                booleans and present  # booleans are categories, as in a frame
            )
        return self.values.dtype.kind in "fiub"

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing."""
        column = self._column(name)
        if column.dtype.kind not in "fiub":
            for row, value in enumerate(column.tolist()):
                if not isinstance(value, _NUMBER_TYPES) and not _is_missing(value):
                    raise TableError(
                        f"column {name!r} of {self.name} holds {one_line(value)} in row {row + 1}, "
                        "where numbers are expected, as in training: mend it, or use None if it is "
                        "missing"
                    )
        if column.dtype == object:
            values = [np.nan if _is_missing(value) else value for value in column]
            try:
                column = np.array([float(value) for value in values])
            except OverflowError:
                raise TableError(
                    f"column {name!r} of {self.name} holds a whole number too large for a float64: "
                    "give it in a larger unit"
                ) from None
        return checked_finite(column.astype(np.float64), name, self.name)

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing."""
        if self.values.dtype.kind in "fiub":
            return numbers_as_texts(self.numbers(name))
        return _objects_as_texts(self._column(name).tolist())

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""
        if self.values.dtype.kind not in "fiub":
            return super().matrix(names)
        A = self.values[:, [self._indices[name] for name in names]].astype(np.float64)
        infinite = np.isinf(A).any(axis=0)
        if infinite.any():
            first = int(np.argmax(infinite))
            checked_finite(A[:, first], names[first], self.name)
        return A

    def _column(self, name: str) -> Array:
        return np.asarray(self.values[:, self._indices[name]])


def as_frame(table: Any) -> Any:
    """Return a data frame as a narwhals frame, and None for anything else.

    Raises: TableError if two columns have the same name, or the frame is lazy.
    """
    narwhals = _narwhals()
    try:
        frame = narwhals.from_native(table, pass_through=True)
    except narwhals.exceptions.DuplicateError:
        (name, times) = Counter(str(name) for name in table.columns).most_common(1)[0]
        raise TableError(
            f"X has {times} columns named {name!r}: each needs a name of its own"
        ) from None
    if isinstance(frame, narwhals.LazyFrame):
        raise TableError("X is a lazy frame, which holds no rows yet: give X.collect()")
    return frame if isinstance(frame, narwhals.DataFrame) else None


def check_column(source: Source, name: str, what: str = "column") -> None:
    """Raise TableError, suggesting the closest name, if there is no such column."""
    if name not in source.columns:
        raise TableError(f"{source.name} has no {what} {name!r}{suggestion(name, source.columns)}")


def checked_finite(column: Array, name: str, table: str, first_row: int = 0) -> Array:
    """Return the column if none of its values is infinite.

    Raises: TableError.
    """
    if np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise TableError(
            f"column {name!r} of {table} holds {column[row]} in row {first_row + row + 1}: "
            "it needs finite numbers; leave the value empty if it is missing"
        )
    return column


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


def _objects_as_texts(values: Sequence[Any]) -> Array:
    """Return values of mixed types as texts, None where missing."""
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if not _is_missing(value):
            texts[row] = value if isinstance(value, str) else as_text(value)
    return texts


def as_text(value: Any) -> str:
    """Return a value as a CSV file would have it: true, false, 1, 1.5."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, int | float | np.number):
        return str(int(value)) if np.isfinite(value) and value == int(value) else repr(float(value))
    return str(value)


def _is_missing(value: Any) -> bool:
    """Return whether an object marks a missing value: None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def suggestion(name: str, names: Iterable[str]) -> str:
    """Return the end of a message on an unknown name: the closest name, or all of them."""
    by_fold = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {by_fold[close[0]]!r}?"
    return f"; it has {join_names([*by_fold.values()])}"


def join_names(names: Sequence[str], limit: int = 8) -> str:
    """Return the names joined by commas, the first ``limit`` if there are more."""
    shown = ", ".join(re.sub(r"\s+", " ", name) for name in names[:limit])
    return shown + (f", … ({len(names)} in all)" if len(names) > limit else "")


def _object_types() -> tuple[Any, ...]:
    narwhals = _narwhals()
    return (narwhals.Object, narwhals.Unknown)


def _narwhals() -> Any:
    try:
        import narwhals
    except ModuleNotFoundError:
        raise MissingDependencyError("narwhals", "sklearn") from None
    return narwhals
