"""What an encoding reads: columns of numbers and of texts, by name.

A file (``reading.Table``), a data frame and an array are sources alike, so that one encoding
serves them all.
"""

from __future__ import annotations

import decimal
import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices, one_line
from seedbed.errors import MissingDependencyError, TableError, ValueTypeError


class Source(Protocol):
    """A table of N rows, whose columns are numbers or texts."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns' names."""

    def __len__(self) -> int: ...

    def unsuited(self, name: str) -> str | None:
        """Return the kind of a column that is neither numbers nor texts, else None."""

    def is_numeric(self, name: str) -> bool:
        """Return whether a column is numbers."""

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing.

        Raises: TableError if a value is not a finite number.
        """

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing; the number 1.0 is "1"."""

    def stray(self, name: str) -> str:
        """Return words on the few values that keep a column from being numbers, or none."""


class Frame:
    """A data frame of any library that narwhals knows: pandas, polars, …"""

    def __init__(self, frame: Any, columns: Sequence[str] = (), name: str = "X") -> None:
        self.frame, self.name = frame, name
        self.columns = list(columns) or [str(column) for column in frame.columns]
        self._places = {column: place for place, column in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.frame)

    def unsuited(self, name: str) -> str | None:
        """Return the kind of a column that is neither numbers nor texts, else None."""
        narwhals, kind = _narwhals(), self._series(name).dtype
        texts = (narwhals.String, narwhals.Boolean, narwhals.Categorical, narwhals.Enum)
        if isinstance(kind, texts) or kind.is_numeric():
            return None
        if kind in (narwhals.Object, narwhals.Unknown):
            return self._grid(name).unsuited(name)
        return str(kind)

    def is_numeric(self, name: str) -> bool:
        """Return whether a column is numbers."""
        series = self._series(name)
        if series.dtype.is_numeric():
            return True
        return series.dtype in _loose() and self._grid(name).is_numeric(name)

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing."""
        series = self._series(name)
        if series.dtype in _loose():
            return self._grid(name).numbers(name)
        if not (series.dtype.is_numeric() or series.dtype == _narwhals().Boolean):
            raise TableError(
                f"column {name!r} of {self.name} holds {series.dtype} values where numbers are "
                "expected, as in training: turn them into numbers"
            )
        values = series.cast(_narwhals().Float64).fill_null(float("nan")).to_numpy()
        return finite(np.array(values, np.float64), name, self.name)

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""
        return stacked(self, names)

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing."""
        series = self._series(name)
        if series.dtype in _loose():
            return self._grid(name).texts(name)
        if series.dtype.is_numeric():
            return as_texts(self.numbers(name))
        return _told(series.to_list())

    def stray(self, name: str) -> str:
        """Return words on the few values that keep a column from being numbers: none."""
        return ""

    def _series(self, name: str) -> Any:
        return self.frame[:, self._places[name]]

    def _grid(self, name: str) -> Grid:
        values = np.empty((len(self), 1), dtype=object)
        for row, value in enumerate(self._series(name).to_list()):
            values[row, 0] = value  # one by one, as lists of one length would become an axis
        return Grid(values, [name], self.name)


class Grid:
    """A 2-D array: of numbers, of texts, or of objects that are either, column by column."""

    def __init__(self, values: Array, columns: Sequence[str] = (), name: str = "X") -> None:
        self.values, self.name = values, name
        self.columns = list(columns) or [f"x{number}" for number in range(values.shape[1])]
        self._places = {column: place for place, column in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.values)

    def unsuited(self, name: str) -> str | None:
        """Return the kind of a column that is neither numbers nor texts, else None.

        Raises: ValueTypeError for a value that is neither.
        """
        if self.values.dtype.kind in "mMc":
            return str(self.values.dtype)
        if self.values.dtype == object:
            for row, value in enumerate(self._column(name)):
                if not isinstance(value, _VALUES) and not _is_missing(value):
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
            return all(isinstance(value, _NUMBERS) for value in present) and not (
                booleans and present  # a category, as booleans of a frame are
            )
        return self.values.dtype.kind in "fiub"

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing."""
        column = self._column(name)
        strange = (
            []
            if column.dtype.kind in "fiub"
            else [
                (row, value)
                for row, value in enumerate(column.tolist())
                if not isinstance(value, _NUMBERS) and not _is_missing(value)
            ]
        )
        if strange:
            row, value = strange[0]
            raise TableError(
                f"column {name!r} of {self.name} holds {one_line(value)} in row {row + 1}, where "
                "numbers are expected, as in training: mend it, or use None if it is missing"
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
        return finite(column.astype(np.float64), name, self.name)

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""
        if self.values.dtype.kind not in "fiub":
            return stacked(self, names)
        A = self.values[:, [self._places[name] for name in names]].astype(np.float64)
        infinite = np.isinf(A).any(axis=0)
        if infinite.any():
            place = int(np.argmax(infinite))
            finite(A[:, place], names[place], self.name)
        return A

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing."""
        if self.values.dtype.kind in "fiub":
            return as_texts(self.numbers(name))
        return _told(self._column(name).tolist())

    def stray(self, name: str) -> str:
        """Return words on the few values that keep a column from being numbers: none."""
        return ""

    def _column(self, name: str) -> Array:
        return np.asarray(self.values[:, self._places[name]])


def as_frame(table: Any) -> Any:
    """Return what narwhals makes of a data frame; None of what is none.

    Raises: TableError if two columns have one name.
    """
    narwhals = _narwhals()
    try:
        frame = narwhals.from_native(table, pass_through=True)
    except narwhals.exceptions.DuplicateError:
        (twice, times) = Counter(str(name) for name in table.columns).most_common(1)[0]
        raise TableError(
            f"X has {times} columns named {twice!r}: each needs a name of its own"
        ) from None
    if isinstance(frame, narwhals.LazyFrame):
        raise TableError("X is a lazy frame, which holds no rows yet: give X.collect()")
    return frame if isinstance(frame, narwhals.DataFrame) else None


_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating, decimal.Decimal)
_VALUES = (*_NUMBERS, str)


def stacked(source: Source, names: Sequence[str]) -> Array:
    """Return columns as numbers, (N, C) float64, NaN where missing, one read after the other."""
    return np.stack([source.numbers(name) for name in names], axis=1)


def check_column(source: Source, name: str, what: str = "column") -> None:
    """Raise TableError, naming the nearest, if there is no column of that name."""
    if name not in source.columns:
        raise TableError(f"{source.name} has no {what} {name!r}{nearest(name, source.columns)}")


def finite(column: Array, name: str, table: str) -> Array:
    """Return the column if none of its values is infinite.

    Raises: TableError.
    """
    if np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise TableError(
            f"column {name!r} of {table} holds {column[row]} in row {row + 1}: it needs finite "
            "numbers; leave the value empty if it is missing"
        )
    return column


def is_missing(values: Array) -> npt.NDArray[np.bool_]:
    """Return which values of a column are missing, (N,): NaN among numbers, None among texts."""
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=np.bool_)
    return np.isnan(values)


def codes(texts: Array, categories: Sequence[str]) -> Indices:
    """Return each text's place among the categories, -1 where it is none of them."""
    place = {category: number for number, category in enumerate(categories)}
    return np.array([place.get(text, -1) for text in texts], dtype=np.intp)


def as_texts(numbers: Array) -> Array:
    """Return numbers as texts, (N,) object, None where missing: 1.0 is "1"."""
    return np.array(
        [None if np.isnan(value) else as_text(value) for value in numbers], dtype=object
    )


def _told(values: Sequence[Any]) -> Array:
    """Return values of mixed kinds as texts, None where missing."""
    texts = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        if not _is_missing(value):
            texts[row] = value if isinstance(value, str) else as_text(value)
    return texts


def as_text(value: Any) -> str:
    """Return a value as a file would have it: true, false, 1, 1.5."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, int | float | np.number):
        return str(int(value)) if np.isfinite(value) and value == int(value) else repr(float(value))
    return str(value)


def _is_missing(value: Any) -> bool:
    """Return whether an object stands for no value: None, NaN, pandas' NA and NaT."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message: the name most like the one that is not there, or all of them."""
    by_fold = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {by_fold[near[0]]!r}?"
    return f"; it has {listed([*by_fold.values()])}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names one behind the other, the first few if there are many."""
    shown = ", ".join(re.sub(r"\s+", " ", name) for name in names[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")


def _loose() -> tuple[Any, ...]:
    narwhals = _narwhals()
    return (narwhals.Object, narwhals.Unknown)


def _narwhals() -> Any:
    try:
        import narwhals
    except ModuleNotFoundError:
        raise MissingDependencyError("narwhals", "sklearn") from None
    return narwhals
