"""The tables that an encoding reads, column by column: data frames and arrays.

``reading.Table`` and ``csv_text.TextRows`` are sources, too, so that one encoding serves files,
frames and arrays: each gives a column as numbers, texts or dates, and ``columns`` decides what the
texts are.
"""

from __future__ import annotations

import difflib
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError
from seedbed.tables.notation import NO_MARKS, Marks, Notation, certain_decimal
from seedbed.tables.values import (
    Column,
    UnsupportedType,
    as_floats,
    checked_finite,
    days_of_dates,
    finite_matrix,
    numbers_as_texts,
    object_column,
    unmasked,
)

SMALL_TABLE = 200_000
"""Values of a data frame up to which it is converted at once."""
FEW_ROWS = 4
"""Rows up to which each is converted alone."""

SAMPLE = 2000
"""Distinct values of a column that are looked at for the table's decimal mark."""

MARKED = r"[0-9.,][.,]|[.,][0-9]"
"""A decimal mark or thousands separator beside a digit."""

_MARKED = re.compile(MARKED)


class Repeats(NamedTuple):
    """How often the values of a column occur, where each is given once, or some are.

    rows     (n,) the number of rows that each value stands for; a fraction in a sample
    weights  (n,) the sum of those rows' weights
    """

    rows: Array
    weights: Array


class Source(ABC):
    """A table of N rows.

    name       for messages
    columns    the columns' names, without blanks around them
    given      what the caller says of how texts write numbers
    separator  of a CSV file
    other_decimal  a decimal mark that texts may use in a column that training had as typed numbers
    first_row  the first row's number in the file, from 0, for messages
    """

    name: str
    columns: list[str]
    given: Marks = NO_MARKS
    separator: str = ""
    other_decimal: str = ""
    first_row: int = 0

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def column(self, name: str) -> Column:
        """Return a column.

        Raises: TableError for a value that is no number, text or date, or infinite.
        """

    def repeats(self, name: str) -> Repeats | None:
        """Return how often each value of ``column`` occurs; None if it gives every row's value."""
        return None

    def row_number(self, name: str, place: int) -> int:
        """Return the number in the file, from 1, of the row with a value of ``column``."""
        return self.first_row + place + 1

    def plain_numbers(self, name: str) -> tuple[Array, Notation] | None:
        """Return a column of texts that ``notation.infer`` would read as numbers without a unit.

        This is a fast path for large files; None says nothing. Returns numbers (N,) float64, NaN
        where missing, and their notation, whose decimal mark is a point if any value has one.
        """
        return None

    def texts(self, name: str) -> Array:
        """Return a column as texts without blanks around them, (N,) object, None where missing.

        The number 1.0 is "1".

        Raises: TableError for dates, and as ``column``.
        """
        kind, values = self.column(name)
        if kind == "date":
            raise TableError(
                f"column {name!r} of {self.name} holds dates, where texts are expected, as in "
                "training"
            )
        return numbers_as_texts(values) if kind == "number" else values

    def numbers(self, names: Sequence[str]) -> Array | None:
        """Return columns that are all typed as numbers, (N, C) float64; None if one is not."""
        return None

    @cached_property
    def marks(self) -> Marks:
        """What is known of the table's marks: what the caller said, or its columns show.

        In a file that commas separate, a point is the decimal mark unless columns show otherwise.
        """
        if self.given != NO_MARKS:
            return self.given
        decimals = {certain_decimal(self.marked_texts(name)) for name in self.columns} - {""}
        if len(decimals) == 1:
            return Marks(decimals.pop())
        return Marks("." if self.separator == "," and not decimals else "")

    def marked_texts(self, name: str) -> list[str]:
        """Return up to ``SAMPLE`` distinct texts of a column that hold digits and a mark."""
        try:
            kind, values = self.column(name)
        except TableError:  # of a kind that is left out
            return []
        if kind != "text":
            return []
        return list(
            islice(
                (text for text in dict.fromkeys(values) if text and _MARKED.search(text)), SAMPLE
            )
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """The columns' places."""
        return {name: place for place, name in enumerate(self.columns)}


class FrameSource(Source):
    """A data frame of any library that narwhals supports: pandas, polars, …

    The native frames of pandas are converted in a few steps, whatever the number of columns.
    """

    def __init__(self, frame: Any, columns: Sequence[str] = (), name: str = "X") -> None:
        self.frame, self.name = frame, name
        self.native = frame.to_native()
        self.is_pandas = type(self.native).__module__.split(".")[0] == "pandas"
        if not columns:  # tolist, as pandas takes long to iterate over names
            names = self.native.columns.tolist() if self.is_pandas else frame.columns
            columns = named_columns(map(str, names), name)
        self.columns = list(columns)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def _kinds(self) -> list[str]:
        """The pandas dtypes' kinds."""
        return [getattr(dtype, "kind", "O") for dtype in self.native.dtypes.to_numpy()]

    @cached_property
    def _objects(self) -> Array | None:
        """All values of a small pandas frame, (N, C) object."""
        if not self.is_pandas or len(self) * len(self.columns) > SMALL_TABLE:
            return None
        if not 0 < len(self) <= FEW_ROWS:
            return np.asarray(self.native.to_numpy(dtype=object))
        rows = [self.native.iloc[row].to_numpy(dtype=object) for row in range(len(self))]
        return np.stack(rows)  # a frame with a block for each column is slow to put together

    @cached_property
    def _numeric(self) -> tuple[dict[str, int], Array]:
        """The columns that are typed as numbers: places, and (N, C) float64."""
        places = self._numeric_places
        names = {self.columns[place]: number for number, place in enumerate(places)}
        if not places:
            return names, np.empty((len(self), 0))
        if not self.is_pandas:
            narwhals = _narwhals()
            floats = narwhals.nth(places).cast(narwhals.Float64)
            values = np.asarray(self.frame.select(floats).to_numpy(), np.float64)
        elif len(places) == len(self.columns):
            values = self.native.to_numpy(dtype=np.float64, na_value=np.nan)
        elif self._objects is not None:
            values = as_floats(self._objects[:, places])
        else:
            values = self.native.iloc[:, places].to_numpy(dtype=np.float64, na_value=np.nan)
        return names, values

    @cached_property
    def _series(self) -> list[Any]:
        """The columns of a frame of another library than pandas."""
        return list(self.frame.iter_columns())

    @cached_property
    def _numeric_places(self) -> list[int]:
        if self.is_pandas:
            return [place for place, kind in enumerate(self._kinds) if kind in "iuf"]
        kinds = self.frame.schema.values()
        return [place for place, kind in enumerate(kinds) if kind.is_numeric()]

    def numbers(self, names: Sequence[str]) -> Array | None:
        """Return columns that are all typed as numbers, (N, C) float64; None if one is not."""
        places, values = self._numeric
        if not all(name in places for name in names):
            return None
        chosen = [places[name] for name in names]
        A = values if chosen == list(range(values.shape[1])) else values[:, chosen]
        return finite_matrix(A, names, self.name)

    def column(self, name: str) -> Column:
        """Return a column.

        Raises: TableError for a value that is no number, text or date, or infinite.
        """
        if self.is_pandas:
            return self._pandas_column(name)
        places, values = self._numeric
        if name in places:
            return Column("number", checked_finite(values[:, places[name]], name, self.name))
        narwhals, series = _narwhals(), self._series[self.index[name]]
        kind = series.dtype
        if kind == narwhals.Time:
            return object_column(series.to_list(), name, self.name)
        if isinstance(kind, narwhals.Datetime | narwhals.Date):
            if isinstance(kind, narwhals.Datetime):
                series = series.dt.replace_time_zone(None)
            dates = np.array(series.to_list(), dtype="datetime64[us]")
            return Column("date", days_of_dates(dates))
        texts = (narwhals.String, narwhals.Boolean, narwhals.Categorical, narwhals.Enum)
        if not isinstance(kind, (*texts, narwhals.Object, narwhals.Unknown)):
            raise UnsupportedType(name, self.name, str(kind).partition("(")[0].lower())
        return object_column(series.to_list(), name, self.name)

    def texts(self, name: str) -> Array:
        """Return a column as texts without blanks around them, (N,) object, None where missing.

        Raises: as ``Source.texts``.
        """
        if self._objects is not None:
            values = self._objects[:, self.index[name]].tolist()
            if all(type(value) is str for value in values):  # what a prediction mostly finds
                return np.array([value.strip() or None for value in values], dtype=object)
        return super().texts(name)

    def _pandas_column(self, name: str) -> Column:
        place = self.index[name]
        kind = self._kinds[place]
        if kind in "iuf":
            places, values = self._numeric
            return Column("number", checked_finite(values[:, places[name]], name, self.name))
        if kind == "M" and self._objects is None:
            series = self.native.iloc[:, place]
            series = series.dt.tz_localize(None) if series.dt.tz is not None else series
            return Column("date", days_of_dates(series.to_numpy("datetime64[us]")))
        if kind == "m":
            raise UnsupportedType(name, self.name, "duration")
        if self._objects is not None:
            return object_column(self._objects[:, place].tolist(), name, self.name)
        return object_column(self.native.iloc[:, place].tolist(), name, self.name)


class ArraySource(Source):
    """A 2-D array of numbers, texts or dates, or of objects that are any of them."""

    def __init__(self, values: Array, columns: Sequence[str] = (), name: str = "X") -> None:
        if isinstance(values, np.ma.MaskedArray):
            values = unmasked(values)
        self.values, self.name = values, name
        self.columns = list(columns) or [f"x{number}" for number in range(values.shape[1])]

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, names: Sequence[str]) -> Array | None:
        """Return columns that are all typed as numbers, (N, C) float64; None if one is not."""
        if self.values.dtype.kind not in "fiub":
            return None
        A = self.values[:, [self.index[name] for name in names]].astype(np.float64)
        return finite_matrix(A, names, self.name)

    def column(self, name: str) -> Column:
        """Return a column.

        Raises: TableError for a value that is no number, text or date, or infinite.
        """
        values = np.asarray(self.values[:, self.index[name]])
        kind = values.dtype.kind
        if kind in "fiu":
            return Column("number", checked_finite(values.astype(np.float64), name, self.name))
        if kind == "M":
            return Column("date", days_of_dates(values))
        if kind in "mc":
            raise UnsupportedType(name, self.name, str(values.dtype))
        return object_column(values.tolist(), name, self.name)


def as_frame(table: Any) -> Any:
    """Return a data frame as a narwhals frame, and None for anything else.

    Raises: TableError if two columns have the same name, or the frame is lazy.
    """
    if isinstance(table, np.ndarray | list | tuple):
        return None
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


def named_columns(names: Iterable[str], table: str) -> list[str]:
    """Return column names without blanks around them.

    Raises: TableError if two are then the same.
    """
    stripped = [name.strip() for name in names]
    name, times = Counter(stripped).most_common(1)[0] if stripped else ("", 0)
    if times > 1:
        raise TableError(
            f"{table} has {times} columns named {name!r}: each needs a name of its own"
        )
    return stripped


def check_column(source: Source, name: str, what: str = "column") -> None:
    """Raise TableError, suggesting the closest name, if there is no such column."""
    if name not in source.index:
        raise TableError(f"{source.name} has no {what} {name!r}{suggestion(name, source.columns)}")


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


def _narwhals() -> Any:
    try:
        import narwhals
    except ModuleNotFoundError:
        raise MissingDependencyError("narwhals", "sklearn") from None
    return narwhals
