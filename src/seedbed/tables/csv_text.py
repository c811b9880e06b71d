"""CSV text: its records as they arrive, and tables of a few rows without polars."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence

from seedbed.errors import TableError
from seedbed.tables.sources import Column, Source, named_columns, texts_of

BLOCK_BYTES = 2**16
"""Bytes read at a time."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r(?!\Z)|\n)")


class CsvReader:
    """A CSV file's header and records.

    name           of the file, for messages
    separator      comma, semicolon or tab: the one that gives the header most columns
    header         the columns' names
    other_decimal  a second decimal mark: the comma, where semicolons separate
    """

    def __init__(self, read: Callable[[int], bytes], name: str) -> None:
        """Read the header; ``read(n)`` returns up to n bytes as they arrive, and b"" at the end.

        Raises: TableError if the file is not UTF-8 text, or a column has no name of its own.
        """
        self.name, self._ready = name, 0
        self._lines = self._split(read)
        first = next((line for line in self._lines if line.strip("\r\n")), "")
        self.separator = max(",;\t", key=lambda mark: len(_fields(first, mark)))
        self.other_decimal = "," if self.separator == ";" else ""
        self._skipped = 0
        self._records = csv.reader(self._with_first(first), delimiter=self.separator)
        try:
            self.header = next(self._records, [])
        except csv.Error as error:
            raise TableError(f"cannot read {name} as CSV: {error}") from None
        _check_header(name, self.header)
        self.header = named_columns(self.header, f"the header of {name}")

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
    """Rows of a CSV file as texts; what ``reading.Table`` is for whole files."""

    def __init__(self, reader: CsvReader, rows: Sequence[Sequence[str]], first_row: int) -> None:
        self.name, self.columns, self.first_row = reader.name, reader.header, first_row
        self.other_decimal, self.rows = reader.other_decimal, rows

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Column:
        """Return a column, as texts."""
        place = self.index[name]
        return Column("text", texts_of(row[place] for row in self.rows))


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
    for place, column in enumerate(header, 1):
        if not column.strip():
            raise TableError(
                f"column {place} of {name} has no name in the header: name it, or write the file "
                "without it (pandas: to_csv(index=False))"
            )
