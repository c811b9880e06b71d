"""Table files: reading them, and writing them with columns added.

A table keeps its columns as the file has them. What a column is taken for, numbers or texts, is
said by whoever asks for it: so the same file reads the same whatever else it is read with.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
"""What stands for a missing value in a text."""

CODE = r"^[+-]?0\d|^[+-]?\d{16,}$"
"""Numbers that are names: a leading zero, or more digits than a float64 holds."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it stands in its file.

    name           of the file, for messages
    frame          the polars frame; a CSV file's values are texts
    typed          whether the file says itself what its columns are (Parquet)
    decimal_comma  whether a comma may stand for the decimal point
    notes          what was passed over in reading
    """

    name: str
    frame: Any
    typed: bool = False
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def check_column(self, name: str, what: str = "column") -> None:
        """Raise TableError, naming the nearest, if there is no column of that name."""
        if name not in self.frame.columns:
            near = nearest(name, self.frame.columns)
            raise TableError(f"{self.name} has no {what} {name!r}{near}")

    def unsuited(self, name: str) -> str | None:
        """Return the kind of a column that is neither numbers nor texts, else None."""
        self.check_column(name)
        polars, kind = _polars(), self.frame[name].dtype
        texts = (polars.String, polars.Boolean, polars.Categorical, polars.Enum, polars.Null)
        return None if isinstance(kind, texts) or kind.is_numeric() else str(kind)

    def is_numeric(self, name: str) -> bool:
        """Return whether every value that a column has is a number, and no code such as 007.

        Texts of a Parquet file are texts, whatever they look like.
        """
        self.check_column(name)
        series = self.frame[name]
        if series.dtype.is_numeric():
            return True
        if self.typed or series.dtype != _polars().String:
            return False
        texts = self._stripped(series)
        numbers = self._parsed(texts)
        return bool(
            texts.null_count() < len(texts)
            and numbers.null_count() == texts.null_count()
            and not texts.str.contains(CODE).any()
        )

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing; the number 1.0 is "1".

        Raises: TableError if there is no such column, or it is neither numbers nor texts.
        """
        self._check_suited(name)
        polars, series = _polars(), self.frame[name]
        if series.dtype.is_numeric():
            return as_texts(self.numbers(name))
        return np.array(self._stripped(series.cast(polars.String)).to_list(), dtype=object)

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing.

        Raises: TableError if there is no such column, or a value is not a finite number.
        """
        self._check_suited(name)
        polars, series = _polars(), self.frame[name]
        if not series.dtype.is_numeric():
            texts = self._stripped(series.cast(polars.String))
            series = self._parsed(texts)
            row = self._first(series.is_null() & texts.is_not_null())
            if row is not None:
                raise TableError(
                    f"column {name!r} of {self.name} holds {texts[row]!r} in row {row + 1}, where "
                    "a number is expected: mend it, or leave it empty if it is missing"
                )
        column = np.array(series.cast(polars.Float64).fill_null(np.nan).to_numpy(), np.float64)
        if np.isinf(column).any():
            row = int(np.argmax(np.isinf(column)))
            raise TableError(
                f"column {name!r} of {self.name} holds {column[row]} in row {row + 1}: it needs "
                "finite numbers; leave the value empty if it is missing"
            )
        return column

    def first_text(self, name: str) -> tuple[int, str, int] | None:
        """Return the row and text of the first value that is no number, and how many there are."""
        series = self.frame[name]
        if self.typed:
            return None
        texts = self._stripped(series)
        strange = self._parsed(texts).is_null() & texts.is_not_null()
        row = self._first(strange)
        return None if row is None else (row, texts[row], int(strange.sum()))

    def _check_suited(self, name: str) -> None:
        kind = self.unsuited(name)
        if kind is not None:
            raise TableError(
                f"column {name!r} of {self.name} holds {kind} values: turn them into numbers or "
                "texts, or leave the column out with --drop"
            )

    def _stripped(self, series: Any) -> Any:
        series = series.str.strip_chars()
        return series.set(series.is_in(list(MISSING)), None)

    def _parsed(self, texts: Any) -> Any:
        if self.decimal_comma:
            texts = texts.str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2")
        return texts.cast(_polars().Float64, strict=False)

    @staticmethod
    def _first(mask: Any) -> int | None:
        return mask.arg_max() if mask.any() else None


def read(path: str | Path) -> Table:
    """Read a CSV file (with a header; commas, semicolons or tabs) or a Parquet file.

    "-" is standard input.

    Raises: TableError if the file is not there, not such a table, ragged or empty;
    MissingDependencyError without polars.
    """
    polars, name, notes = _polars(), str(path), list[str]()
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read {name}: {getattr(error, 'strerror', error)}") from None
    separator, typed = ",", content.startswith(b"PAR1")
    try:
        if typed:
            frame = polars.read_parquet(io.BytesIO(content))
        else:
            content = content.strip(b"\r\n")
            separator = _check_csv(name, content)
            frame = polars.read_csv(
                io.BytesIO(content), separator=separator, infer_schema=False, quote_char='"'
            )
            if frame.width > 1:  # in a single column an empty line is a missing value
                empty = frame.select(polars.all_horizontal(polars.all().is_null())).to_series()
                frame = frame.filter(~empty)
                if empty.any():
                    notes.append(f"{int(empty.sum()):,} empty rows are passed over")
    except polars.exceptions.PolarsError as error:
        raise TableError(f"cannot read {name} as a table: {str(error).splitlines()[0]}") from None
    if not len(frame) or not frame.width:
        raise TableError(f"{name} has no rows: it needs a header and at least one row of values")
    return Table(name, frame, typed, separator == ";", tuple(notes))


def _check_csv(name: str, content: bytes) -> str:
    """Return the separator of a CSV file.

    Raises: TableError unless it is UTF-8 text whose header names each column once, and whose rows
    have as many fields as the header.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{name} is UTF-16 text: save it as CSV UTF-8, or give Parquet")
    if b"\0" in content[:65536]:
        raise TableError(f"{name} is a binary file: give a CSV (UTF-8 text) or Parquet file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise TableError(
            f"{name} is not UTF-8 text: save it as CSV UTF-8, or give Parquet"
        ) from None
    try:
        separator = max(",;\t", key=lambda mark: len(_header(text, mark)))
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header = next(lines, [])
        if not header:
            raise TableError(f"{name} has no rows: it needs a header and rows of values")
        for column, times in Counter(header).items():
            if not column.strip():
                raise TableError(
                    f"column {header.index(column) + 1} of {name} has no name in the header: name "
                    "it, or write the file without it (pandas: to_csv(index=False))"
                )
            if times > 1:
                raise TableError(
                    f"the header of {name} holds {column!r} {times} times: each column needs a "
                    "name of its own"
                )
        for fields in lines:
            if fields and len(fields) != len(header):
                raise TableError(
                    f"line {lines.line_num} of {name} has {len(fields)} fields and the header "
                    f"{len(header)}: mend that line, or quote fields that hold a {separator!r}"
                )
    except csv.Error as error:
        raise TableError(f"cannot read {name} as CSV: {error}") from None
    return separator


def _header(text: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])


def to_bytes(table: Table, columns: Mapping[str, Array], *, parquet: bool = False) -> bytes:
    """Return the table as it was read, with columns added, as a CSV (UTF-8) or Parquet file."""
    content = io.BytesIO()
    frame = table.frame.with_columns(
        _polars().Series(name, values.tolist()) for name, values in columns.items()
    )
    (frame.write_parquet if parquet else frame.write_csv)(content)
    return content.getvalue()


def free_names(table: Table, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return columns under names that the table does not have: with _ behind those it has."""
    free = {}
    for name, values in columns.items():
        while name in table.frame.columns:
            name += "_"
        free[name] = values
    return free


def as_texts(numbers: Array) -> Array:
    """Return numbers as texts, (N,) object, None where missing: 1.0 is "1"."""
    return np.array(
        [
            None if np.isnan(v) else str(int(v)) if v == np.round(v) else repr(float(v))
            for v in numbers
        ],
        dtype=object,
    )


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


def _polars() -> Any:
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
