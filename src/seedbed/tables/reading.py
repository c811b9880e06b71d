"""Table files: reading them, and writing them with columns added.

A table keeps its columns as the file has them. What a column is taken for, numbers or texts, is
said by whoever asks for it: so the same file reads the same whatever else it is read with.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError, reason
from seedbed.tables.sources import as_texts, check_column, finite, stacked

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
"""What stands for a missing value in a text."""

CODE = r"^[+-]?0\d|^[+-]?\d{16,}$"
"""Numbers that are names: a leading zero, or more digits than a float64 holds."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table as it stands in its file.

    name           of the file, for messages
    frame          the polars frame; a CSV file's values are texts
    typed          whether the file says itself what its columns are (Parquet)
    decimal_comma  whether a comma may stand for the decimal point
    """

    name: str
    frame: Any
    typed: bool = False
    decimal_comma: bool = False

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: slice) -> Table:
        """Return some of the rows, as a table."""
        return replace(self, frame=self.frame[rows])

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self.frame.columns)

    def unsuited(self, name: str) -> str | None:
        """Return the kind of a column that is neither numbers nor texts, else None."""
        check_column(self, name)
        polars, kind = _polars(), self.frame[name].dtype
        texts = (polars.String, polars.Boolean, polars.Categorical, polars.Enum, polars.Null)
        return None if isinstance(kind, texts) or kind.is_numeric() else str(kind)

    def is_numeric(self, name: str) -> bool:
        """Return whether every value that a column has is a number, and no code such as 007.

        Texts of a Parquet file are texts, whatever they look like.
        """
        check_column(self, name)
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
        return finite(column, name, self.name)

    def matrix(self, names: Sequence[str]) -> Array:
        """Return columns as numbers, (N, C) float64, NaN where missing."""
        return stacked(self, names)

    def stray(self, name: str) -> str:
        """Return words on the few values that keep a column from being numbers, or none."""
        series = self.frame[name]
        if self.typed:
            return ""
        texts = self._stripped(series)
        strange = self._parsed(texts).is_null() & texts.is_not_null()
        row, count = self._first(strange), int(strange.sum())
        if row is None or count >= len(self) / 2:
            return ""
        return (
            f"; all but {count:,} value{'' if count == 1 else 's'} are numbers, the first of them "
            f"{texts[row]!r} in row {row + 1}: mend or empty those to have numbers"
        )

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
    polars, name = _polars(), str(path)
    try:
        if name == "-":
            content = sys.stdin.buffer.read() if sys.stdin is not None else b""
        else:
            content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read {name}: {reason(error)}: give a table's path") from None
    separator, typed = ",", content.startswith(b"PAR1")
    try:
        if typed:
            frame = polars.read_parquet(io.BytesIO(content))
        else:
            separator, columns = _parse_csv(name, content)
            frame = polars.DataFrame(columns, schema=dict.fromkeys(columns, polars.String))
    except polars.exceptions.PolarsError as error:
        raise TableError(f"cannot read {name} as a table: {str(error).splitlines()[0]}") from None
    if not len(frame) or not frame.width:
        raise TableError(f"{name} has no rows: it needs a header and at least one row of values")
    return Table(name, frame, typed, separator == ";")


def _parse_csv(name: str, content: bytes) -> tuple[str, dict[str, list[str | None]]]:
    """Return the separator of a CSV file, and its columns; an empty field is None.

    Empty lines are passed over, but in a table of one column they are empty fields.

    Raises: TableError unless it is UTF-8 text whose header names each column once, and whose rows
    have as many fields as the header.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{name} is UTF-16 text: save it as CSV UTF-8, or give Parquet")
    if b"\0" in content[:65536]:
        raise TableError(f"{name} is a binary file: give a CSV (UTF-8 text) or Parquet file")
    try:
        text = content.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise TableError(
            f"{name} is not UTF-8 text: save it as CSV UTF-8, or give Parquet"
        ) from None
    rows = []
    try:
        separator = max(",;\t", key=lambda mark: len(_header(text, mark)))
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header = next(lines, [])
        _check_header(name, header)
        for fields in lines:
            if len(fields) == len(header):
                rows.append(fields)
            elif len(header) == 1 and not fields:
                rows.append([""])
            elif fields:
                raise TableError(
                    f"line {lines.line_num} of {name} has {len(fields)} fields and the header "
                    f"{len(header)}: mend that line, or quote fields that hold a {separator!r}"
                )
    except csv.Error as error:
        raise TableError(f"cannot read {name} as CSV: {error}") from None
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return separator, {
        column: [value or None for value in values]
        for column, values in zip(header, columns, strict=True)
    }


def _check_header(name: str, header: Sequence[str]) -> None:
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


def _header(text: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])


def to_bytes(table: Table, columns: Mapping[str, Array], *, parquet: bool = False) -> bytes:
    """Return the table as it was read, with columns added, as a CSV (UTF-8) or Parquet file.

    Raises: TableError if a column holds what a CSV file cannot.
    """
    polars, content = _polars(), io.BytesIO()
    frame = table.frame.with_columns(
        polars.Series(name, values.tolist()) for name, values in columns.items()
    )
    try:
        (frame.write_parquet if parquet else frame.write_csv)(content)
    except polars.exceptions.PolarsError as error:
        raise TableError(
            f"the columns of {table.name} cannot be written as CSV "
            f"({str(error).splitlines()[0]}): give --out a name that ends in .parquet"
        ) from None
    return content.getvalue()


def free_names(table: Table, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return columns under names that the table does not have: with _ behind those it has."""
    free: dict[str, Array] = {}
    for name, values in columns.items():
        taken = {*table.frame.columns, *free, *columns} - {name}
        while name in taken or name in table.frame.columns:
            name += "_"
        free[name] = values
    return free


def _polars() -> Any:
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
