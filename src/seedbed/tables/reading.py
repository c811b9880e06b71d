"""Read table files, and write them with columns added.

A table keeps its columns as the file has them; the caller asks for a column as numbers or as texts.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError, reason
from seedbed.tables.csv_text import MISSING_VALUES, CsvReader
from seedbed.tables.sources import Source, check_column, checked_finite, numbers_as_texts

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

    def exact_texts(self, name: str) -> list[str | None]:
        """Return a column's values as a CSV file would have them, None where missing.

        Raises: TableError for lists and other values that CSV cannot hold.
        """
        series = self.frame[name]
        if series.dtype.is_nested() or series.dtype in (_polars().Object, _polars().Binary):
            raise TableError(
                f"the column {name!r} of {self.name} holds {series.dtype} values, which cannot be "
                "written as CSV: give --out a name that ends in .parquet"
            )
        return list(series.cast(_polars().String).to_list())

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
    with opened(path) as stream:
        try:
            content = stream.read()
        except OSError as error:
            raise _cannot_read(path, error) from None
    return parse(shown_name(path), content)


def shown_name(path: str | Path) -> str:
    """Return a file's name for messages."""
    return "standard input" if str(path) == "-" else str(path)


def opened(path: str | Path) -> io.BufferedReader:
    """Return a file as a stream of bytes; "-" is stdin.

    Raises: TableError if it cannot be read.
    """
    if str(path) == "-":
        stdin: Any = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
        return stdin if isinstance(stdin, io.BufferedReader) else io.BufferedReader(stdin)
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from None


def _cannot_read(path: str | Path, error: Exception) -> TableError:
    return TableError(f"cannot read {path}: {reason(error)}: give a table's path")


def parse(name: str, content: bytes) -> Table:
    """Return the table of a file's content; ``name`` is for messages.

    Raises: as ``read``.
    """
    polars = _polars()
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

    Raises: TableError.
    """
    reader = CsvReader(io.BytesIO(content).read, name)
    rows = [fields for records in reader for fields in records]
    columns = zip(*rows, strict=True) if rows else [()] * len(reader.header)
    return reader.separator, {
        column: [value or None for value in values]
        for column, values in zip(reader.header, columns, strict=True)
    }


def parquet_bytes(table: Table, columns: Mapping[str, Array]) -> bytes:
    """Return a Parquet file of the table as read, with columns added."""
    polars, content = _polars(), io.BytesIO()
    frame = table.frame.with_columns(
        polars.Series(name, values.tolist()) for name, values in columns.items()
    )
    frame.write_parquet(content)
    return content.getvalue()


def rename_clashes(taken: Sequence[str], columns: Mapping[str, Array]) -> dict[str, Array]:
    """Return the columns with _ appended to names that a table has already."""
    renamed: dict[str, Array] = {}
    for name, values in columns.items():
        others = {*taken, *renamed, *columns} - {name}
        while name in others or name in taken:
            name += "_"
        renamed[name] = values
    return renamed


def _polars() -> Any:
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
