"""CSV text: its records as they arrive, and tables of a few rows without polars."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from seedbed.errors import TableError
from seedbed.tables.notation import PLAIN
from seedbed.tables.sources import Source, named_columns
from seedbed.tables.values import Column, texts_of

BLOCK_BYTES = 2**16
"""Bytes read at a time."""

SEPARATORS = "\t;|,"
"""Of separators that fit equally well, the one that is rarer in texts comes first."""

SAMPLE_RECORDS = 50
"""Records that are compared with the header to find the separator."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r(?!\Z)|\n)")


class CsvReader:
    """A CSV file's header and records.

    name           of the file, for messages
    separator      that a first line such as ``sep=;`` names; or the one under which most records
                   have as many fields as the header, and the header most columns
    names_separator  whether it does
    header         the columns' names, without blanks around them
    trailing       whether records end with a separator
    other_decimal  a second decimal mark: the comma, where semicolons separate
    notes          on what was taken for granted: the encoding

    A trailing separator, as spreadsheets write it, makes no column.
    """

    def __init__(
        self, read: Callable[[int], bytes], name: str, known: Collection[str] = ()
    ) -> None:
        """Read the header.

        read   returns up to n bytes as they arrive, and b"" at the end
        known  names of columns that the header should hold

        Raises: TableError if the file is not text, or a column has no name of its own.
        """
        self.name, self._lines, self._skipped = name, _Lines(read, name), -1
        first = self._next_line()
        said = re.fullmatch(r"sep=(.)[\r\n]*", first, re.IGNORECASE)
        if said:
            first = self._next_line()
        self.separator = (
            said[1] if said else find_separator([first, *self._lines.waiting[::-1]], known)
        )
        self._check_is_csv(first)
        self.names_separator = bool(said)
        self.other_decimal = "," if self.separator == ";" else ""
        self._record: list[str] = []  # the lines of the record being read
        self._records = csv.reader(self._recorded(first), delimiter=self.separator)
        try:
            header = next(self._records, [])
        except csv.Error as error:
            raise TableError(f"cannot read {name} as CSV: {error}") from None
        self._check_closed()
        if not header:
            raise TableError(f"{name} has no rows: it needs a header and rows of values")
        self.trailing = len(header) > 1 and not header[-1].strip()
        self.header = self._named(header[:-1] if self.trailing else header)

    def _next_line(self) -> str:
        """Return the next line that is not empty, "" at the end; count those before it."""
        for line in self._lines:
            self._skipped += 1
            if line.strip("\r\n"):
                return line
        return ""

    @property
    def line(self) -> int:
        """The number in the file of the last line read, from 1."""
        return self._skipped + self._records.line_num

    @property
    def notes(self) -> list[str]:
        """What was taken for granted."""
        return self._lines.notes

    def __iter__(self) -> Iterator[list[list[str]]]:
        """Yield lists of records, each as soon as no complete line is left to read.

        Empty lines are skipped; in a table of one column they are empty fields, but not at the end.

        Raises: TableError if a record has not as many fields as the header.
        """
        rows: list[list[str]] = []
        width, empty = len(self.header), 0
        self._record = []
        try:
            for fields in self._records:
                if len(fields) != width:
                    fields = self._fitted(fields)
                if fields:
                    rows += [[""]] * empty
                    empty = 0
                    rows.append(fields)
                else:
                    empty += width == 1
                if not self._lines.ready:
                    self._check_closed()
                    if rows:
                        yield rows
                        rows = []
                self._record = []
        except csv.Error as error:
            raise TableError(f"cannot read {self.name} as CSV: {error}") from None
        if rows:
            yield rows

    def _fitted(self, fields: list[str]) -> list[str]:
        """Return a record without empty fields beyond the header's.

        Raises: TableError if it then has not as many fields.
        """
        width = len(self.header)
        if not fields or (len(fields) > width and not any(fields[width:])):
            return fields[:width]
        self._check_closed()
        if self.trailing and len(fields) == width + 1:
            raise _no_name(width + 1, self.name)
        raise TableError(
            f"line {self.line} of {self.name} has {len(fields)} fields and the header "
            f"{width}: mend that line, or quote fields that hold a {self.separator!r}"
        )

    def _check_closed(self) -> None:
        """Refuse a record whose last quote is never closed.

        Raises: TableError that names the line where it opens.
        """
        first, opened = self.line - len(self._record) + 1, 0
        is_open = False
        for number, line in enumerate(self._record, first):
            if line.count('"') % 2:
                is_open, opened = not is_open, number
        line = self._record[-1] if self._record else ""
        edge = re.escape(self.separator)
        at_end = re.search(rf'(?:^|{edge})\s*"(?:[^"]|"")*$', line)
        if is_open and (len(self._record) > 1 or at_end):
            raise TableError(
                f"a quote opens in line {opened} of {self.name} and never closes: close it, or "
                'write it twice ("") inside a quoted field'
            )

    def _check_is_csv(self, first: str) -> None:
        """Refuse JSON, web pages and columns that spaces separate, by the first lines.

        Raises: TableError.
        """
        lines = [first, *self._lines.waiting[::-1]][:SAMPLE_RECORDS]
        start = "".join(lines).lstrip()
        if re.match(r'\[\s*[{\[]|\{\s*"', start):
            raise TableError(
                f"{self.name} is JSON: give it a name that ends in .json, or in .jsonl if it holds "
                "lines"
            )
        if re.match(r"<(?:!doctype|html|\?xml|table)\b", start, re.IGNORECASE):
            raise TableError(f"{self.name} is a web page or XML: save the table itself as CSV")
        rows = [words for line in lines if (words := line.split())]
        aligned = len(rows) > 1 and len(rows[0]) > 1 and len({*map(len, rows)}) == 1
        plain = not any(mark in first for mark in '"' + SEPARATORS)
        if plain and aligned and all(any(map(_is_number, words)) for words in rows[1:]):
            raise TableError(
                f"{self.name} seems to be separated by spaces: separate the columns with commas, "
                "or quote the fields if it is one column"
            )

    def _recorded(self, first: str) -> Iterator[str]:
        """Yield the lines, and keep those of the record being read."""
        self._record.append(first)
        yield first
        for line in self._lines:
            self._record.append(line)
            yield line

    def _named(self, header: list[str]) -> list[str]:
        for place, column in enumerate(header, 1):
            if not column.strip():
                raise _no_name(place, self.name)
        return named_columns(header, f"the header of {self.name}")


def find_separator(lines: Sequence[str], known: Collection[str] = ()) -> str:
    """Return the separator of a file's first lines; a comma if the header has one column."""

    def fit(mark: str) -> tuple[int, float, int]:
        reader = csv.reader(lines, delimiter=mark)
        try:
            records = [fields for _, fields in zip(range(SAMPLE_RECORDS), reader, strict=False)]
        except csv.Error:
            return 0, 0.0, 0
        width = len(records[0]) if records else 0
        if width < 2:
            return 0, 0.0, 0
        body = [fields for fields in records[1:] if fields]
        agreeing = sum(len(fields) >= width and not any(fields[width:]) for fields in body)
        names = sum(name.strip() in known for name in records[0])
        return names, round(agreeing / len(body), 2) if body else 1.0, width

    best = max(SEPARATORS, key=fit)
    return best if fit(best)[2] else ","


def as_utf8(content: bytes, name: str) -> tuple[bytes, list[str]]:
    """Return a file's text as UTF-8, and notes on its encoding.

    Raises: TableError if it is no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with contextlib.suppress(UnicodeDecodeError):
        if _encoding_of(content[:BLOCK_BYTES], name) == "utf-8-sig":
            for start in range(0, len(content), 2**20):
                decoder.decode(content[start : start + 2**20])
            decoder.decode(b"", final=True)
            return content, []
    with io.BytesIO(content) as stream:
        lines = _Lines(stream.read, name)
        return b"".join(text.encode() for text in lines.decoded()), lines.notes


class _Lines:
    """A file's lines with their ends, decoded as they arrive.

    waiting  complete lines that were read and not yet given, the last one first
    notes    on the encoding
    """

    def __init__(self, read: Callable[[int], bytes], name: str) -> None:
        self.waiting: list[str] = []
        self.notes: list[str] = []
        self._read, self._name, self.encoding = read, name, ""
        self._iterator = self._split()

    @property
    def ready(self) -> bool:
        """Whether the next line needs no reading."""
        return bool(self.waiting)

    def __iter__(self) -> Iterator[str]:
        return self._iterator

    def _split(self) -> Iterator[str]:
        pending: list[str] = []  # the pieces of a line whose end has not been read
        for text in self.decoded():
            pending.append(text)
            if text and "\n" not in text and "\r" not in text:  # in the middle of a long line
                continue
            joined = "".join(pending)
            end = max(joined.rfind("\n"), joined.rfind("\r")) + 1
            lines = _LINE.findall(joined, 0, min(end + 1, len(joined))) if end else []
            rest = joined[sum(map(len, lines)) :]
            pending = [rest]
            if not text and rest:
                lines.append(rest)
            self.waiting = lines[::-1]
            while self.waiting:
                yield self.waiting.pop()

    def decoded(self) -> Iterator[str]:
        """Yield the text block by block, and "" at the end."""
        block = self._read(BLOCK_BYTES)
        encoding = self.encoding = _encoding_of(block, self._name)
        decoder = codecs.getincrementaldecoder(encoding)()
        while True:
            state = decoder.getstate()
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError:
                if encoding != "utf-8-sig":
                    raise TableError(
                        f"{self._name} is not {encoding} text: save it as CSV UTF-8"
                    ) from None
                encoding = "cp1252"
                self.notes.append(f"{self._name} is not UTF-8, and is read as Windows-1252")
                decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
                text = decoder.decode(state[0] + block)
            if text or not block:
                yield text
            if not block:
                return
            block = self._read(BLOCK_BYTES)


def _is_number(text: str) -> bool:
    return PLAIN.parse(text) is not None


def _encoding_of(block: bytes, name: str) -> str:
    """Return a text's encoding by its first bytes.

    Raises: TableError for a binary file.
    """
    if block.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in block:
        raise TableError(f"{name} is a binary file: give a CSV (UTF-8 text) or Parquet file")
    return "utf-8-sig"


def _no_name(place: int, name: str) -> TableError:
    return TableError(
        f"column {place} of {name} has no name in the header: name it, or write the file without "
        "it (pandas: to_csv(index=False))"
    )


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
