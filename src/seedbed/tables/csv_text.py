"""CSV text: its records as they arrive, and tables of a few rows without polars."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import TableError
from seedbed.tables.sources import Source, check_column, checked_finite

MISSING_VALUES = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "?")
"""Texts that mark a missing value."""

BLOCK_BYTES = 2**16
"""Bytes read at a time."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r(?!\Z)|\n)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)", re.ASCII)


class CsvReader:
    """A CSV file's header and records.

    name           of the file, for messages
    separator      comma, semicolon or tab: the one that gives the header most columns
    header         the columns' names
    decimal_comma  whether a comma may be the decimal point: where semicolons separate
    """

    def __init__(self, read: Callable[[int], bytes], name: str) -> None:
        """Read the header; ``read(n)`` returns up to n bytes as they arrive, and b"" at the end.

        Raises: TableError if the file is not UTF-8 text, or a column has no name of its own.
        """
        self.name, self._ready = name, 0
        self._lines = self._split(read)
        first = next((line for line in self._lines if line.strip("\r\n")), "")
        self.separator = max(",;\t", key=lambda mark: len(_fields(first, mark)))
        self.decimal_comma = self.separator == ";"
        self._skipped = 0
        self._records = csv.reader(self._with_first(first), delimiter=self.separator)
        try:
            self.header = next(self._records, [])
        except csv.Error as error:
            raise TableError(f"cannot read {name} as CSV: {error}") from None
        _check_header(name, self.header)

    def __iter__(self) -> Iterator[list[list[str]]]:
        """Yield lists of records, each as soon as no complete line is left to read.

        Empty lines are skipped; in a table of one column they are empty fields, but not at the end.

        Raises: TableError if a record has not as many fields as the header.
        """
        rows: list[list[str]] = []
        width, empty = len(self.header), 0
        try:
            for fields in self._records:
                if len(fields) == width:
                    rows += [[""]] * empty
                    empty = 0
                    rows.append(fields)
                elif not fields:
                    empty += width == 1
                else:
                    raise TableError(
                        f"line {self._records.line_num} of {self.name} has {len(fields)} fields "
                        f"and the header {width}: mend that line, or quote fields that hold a "
                        f"{self.separator!r}"
                    )
                if not self._ready and rows:
                    yield rows
                    rows = []
        except csv.Error as error:
            raise TableError(f"cannot read {self.name} as CSV: {error}") from None
        if rows:
            yield rows

    def _with_first(self, first: str) -> Iterator[str]:
        yield first
        yield from self._lines

    def _split(self, read: Callable[[int], bytes]) -> Iterator[str]:
        """Yield the lines with their ends, and keep in ``_ready`` how many more are complete."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        rest, first = "", True
        while True:
            block = read(BLOCK_BYTES)
            if first:
                _check_text(self.name, block)
                first = False
            try:
                text = rest + decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                raise TableError(
                    f"{self.name} is not UTF-8 text: save it as CSV UTF-8, or give Parquet"
                ) from None
            lines = _LINE.findall(text)
            rest = text[sum(map(len, lines)) :]
            for number, line in enumerate(lines, 1):
                self._ready = len(lines) - number
                yield line
            if not block:
                if rest:
                    yield rest
                return


class TextRows(Source):
    """Rows of a CSV file as texts; what ``reading.Table`` is for whole files.

    first_row  the number of the first row in the file, from 0, for messages
    """

    def __init__(self, reader: CsvReader, rows: Sequence[Sequence[str]], first_row: int) -> None:
        self.name, self.columns, self.first_row = reader.name, reader.header, first_row
        self.decimal_comma, self.rows = reader.decimal_comma, rows
        self._indices = {name: index for index, name in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.rows)

    def unsupported_type(self, name: str) -> str | None:
        """Return None: all columns are texts."""
        check_column(self, name)
        return None

    def is_numeric(self, name: str) -> bool:
        """Return whether all values of a column that are not missing are numbers."""
        texts = [text for text in self.texts(name) if text is not None]
        return bool(texts) and all(map(self._is_number, texts))

    def texts(self, name: str) -> Array:
        """Return a column as texts, (N,) object, None where missing."""
        check_column(self, name)
        index = self._indices[name]
        stripped = [row[index].strip() for row in self.rows]
        return np.array(
            [None if text in MISSING_VALUES else text for text in stripped], dtype=object
        )

    def numbers(self, name: str) -> Array:
        """Return a column as numbers, (N,) float64, NaN where missing.

        Raises: TableError if a value is not a finite number.
        """
        values = np.full(len(self.rows), np.nan)
        for row, text in enumerate(self.texts(name)):
            if text is None:
                continue
            if not self._is_number(text):
                raise TableError(
                    f"column {name!r} of {self.name} holds {text!r} in row "
                    f"{self.first_row + row + 1}, where a number is expected: mend it, or leave it "
                    "empty if it is missing"
                )
            values[row] = float(self._with_point(text))
        return checked_finite(values, name, self.name, self.first_row)

    def _is_number(self, text: str) -> bool:
        text = self._with_point(text)
        return bool(_NUMBER.fullmatch(text) or _INFINITE.fullmatch(text))

    def _with_point(self, text: str) -> str:
        match = _DECIMAL_COMMA.fullmatch(text) if self.decimal_comma else None
        return f"{match[1]}.{match[2]}" if match else text


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=separator), [])


def _check_text(name: str, content: bytes) -> None:
    """Refuse what is not text, by its first bytes.

    Raises: TableError.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TableError(f"{name} is UTF-16 text: save it as CSV UTF-8, or give Parquet")
    if b"\0" in content:
        raise TableError(f"{name} is a binary file: give a CSV (UTF-8 text) or Parquet file")


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
