"""Read table files, and write them with columns added.

A table keeps its columns as the file has them; the caller asks for a column as numbers or as texts.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError, reason
from seedbed.tables.sources import Source, check_column, checked_finite, numbers_as_texts

MISSING_VALUES = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
"""Texts that mark a missing value."""

CODE_PATTERN = r"^[+-]?0\d|^[+-]?\d{16,}$"
"""Digits that are a code, not a number: a leading zero, or more digits than a float64 holds."""


class Table(Source):
    """The content of a table file.

    name           of the file, for messages
    frame          the polars frame; a CSV file's values are texts
    typed          whether the file declares its column types (Parquet)
    decimal_comma  whether a comma may be the decimal point
    """

    def __init__(
        self, name: str, frame: Any, typed: bool = False, decimal_comma: bool = False
    ) -> None:
        self.name, self.frame, self.typed, self.decimal_comma = name, frame, typed, decimal_comma
        self.columns = list(frame.columns)

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: slice) -> Table:
        """Return some of the rows, as a table."""
        return Table(self.name, self.frame[rows], self.typed, self.decimal_comma)

    def unsupported_type(self, name: str) -> str | None:
        """Return the type of a column that is neither numbers nor texts, else None."""
        check_column(self, name)
        polars, kind = _polars(), self.frame[name].dtype
        texts = (polars.String, polars.Boolean, polars.Categorical, polars.Enum, polars.Null)
        return None if isinstance(kind, texts) or kind.is_numeric() else str(kind)

    def is_numeric(self, name: str) -> bool:
        """Return whether all values of a column are numbers, and none is a code such as 007.

        Texts of a Parquet file are always texts.
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
            and not texts.str.contains(CODE_PATTERN).any()
        )

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing; the number 1.0 is "1".

        Raises: TableError if there is no such column, or it is neither numbers nor texts.
        """
        self._check_supported(name)
        polars, series = _polars(), self.frame[name]
        if series.dtype.is_numeric():
            return numbers_as_texts(self.numbers(name))
        return np.array(self._stripped(series.cast(polars.String)).to_list(), dtype=object)

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing.

        Raises: TableError if there is no such column, or a value is not a finite number.
        """
        self._check_supported(name)
        polars, series = _polars(), self.frame[name]
        if not series.dtype.is_numeric():
            texts = self._stripped(series.cast(polars.String))
            series = self._parsed(texts)
            row = self._first_row(series.is_null() & texts.is_not_null())
            if row is not None:
                raise TableError(
                    f"column {name!r} of {self.name} holds {texts[row]!r} in row {row + 1}, where "
                    "a number is expected: mend it, or leave it empty if it is missing"
                )
        column = np.array(series.cast(polars.Float64).fill_null(np.nan).to_numpy(), np.float64)
        return checked_finite(column, name, self.name)

    def non_numeric_note(self, name: str) -> str:
        """Return a note on the few texts in a column that is otherwise numbers, or ""."""
        series = self.frame[name]
        if self.typed:
            return ""
        texts = self._stripped(series)
        unparsed = self._parsed(texts).is_null() & texts.is_not_null()
        row, count = self._first_row(unparsed), int(unparsed.sum())
        if row is None or count >= len(self) / 2:
            return ""
        return (
            f"; all but {count:,} value{'' if count == 1 else 's'} are numbers, the first of them "
            f"{texts[row]!r} in row {row + 1}: mend or empty those to have numbers"
        )

    def _check_supported(self, name: str) -> None:
        kind = self.unsupported_type(name)
        if kind is not None:
            raise TableError(
                f"column {name!r} of {self.name} holds {kind} values: turn them into numbers or "
                "texts, or leave the column out with --drop"
            )

    def _stripped(self, series: Any) -> Any:
        series = series.str.strip_chars()
        return series.set(series.is_in(list(MISSING_VALUES)), None)

    def _parsed(self, texts: Any) -> Any:
        if self.decimal_comma:
            texts = texts.str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2")
        return texts.cast(_polars().Float64, strict=False)

    @staticmethod
    def _first_row(mask: Any) -> int | None:
        return mask.arg_max() if mask.any() else None


def read(path: str | Path) -> Table:
    """Read a CSV file (with a header; commas, semicolons or tabs) or a Parquet file; "-" is stdin.

    Raises: TableError if the file is absent, of another format, ragged or empty;
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
    """Return a CSV file's separator and columns; an empty field is None.

    Empty lines are skipped, except in a one-column table, where they are empty fields.

    Raises: TableError unless the file is UTF-8 text, the header names each column once, and each
    row has as many fields as the header.
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
    """Return a CSV (UTF-8) or Parquet file of the table as read, with columns added.

    Raises: TableError if CSV cannot hold a column's values.
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


def rename_clashes(table: Table, columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the columns with _ appended to names that the table has already."""
    renamed: dict[str, Array] = {}
    for name, values in columns.items():
        taken = {*table.columns, *renamed, *columns} - {name}
        while name in taken or name in table.columns:
            name += "_"
        renamed[name] = values
    return renamed


def _polars() -> Any:
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
