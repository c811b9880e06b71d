"""CSV files as polars frames of texts: by polars, where every reader makes the same of them."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from seedbed.errors import MissingDependencyError
from seedbed.tables.csv_text import CsvReader, as_utf8

LARGE_FILE = 2**22
"""Bytes from which polars parses a CSV file."""

BLOCK_VALUES = 2**21
"""Values that are looked at together; at least a column's."""


def parse_csv(name: str, content: bytes) -> tuple[Any, str, list[str]]:
    """Return a CSV file's content as a polars frame of texts, its separator, and notes.

    Raises: TableError.
    """
    with io.BytesIO(content) as stream:  # closed, as the reader would keep the content alive
        reader = CsvReader(stream.read, name)
        if len(content) > LARGE_FILE:
            parsed = _parse_large_csv(name, content, reader)
            if parsed is not None:
                return parsed[0], reader.separator, parsed[1]
        polars, parts, rows = imported_polars(), [], list[list[str]]()
        for records in reader:
            rows += records
            if len(rows) * len(reader.header) > BLOCK_VALUES:
                parts.append(_frame_of(rows, reader.header))
                rows = []
        parts.append(_frame_of(rows, reader.header))
    return polars.concat(parts), reader.separator, reader.notes


def _frame_of(rows: Sequence[Sequence[str]], header: Sequence[str]) -> Any:
    """Return a frame of texts; an empty one is missing."""
    polars = imported_polars()
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return polars.DataFrame(
        {
            column: [value or None for value in values]
            for column, values in zip(header, columns, strict=True)
        },
        schema=dict.fromkeys(header, polars.String),
    )


def _parse_large_csv(name: str, content: bytes, reader: CsvReader) -> tuple[Any, list[str]] | None:
    """Return the frame of a CSV file and notes, by polars; None if it may read it in another way.

    reader  of the file, which has read its header
    """
    polars, width = imported_polars(), len(reader.header) + reader.trailing
    content, notes = as_utf8(content, name)
    if content.count(b"\r") != content.count(b"\r\n"):  # which ends lines, too
        return None
    content = _without_empty_lines(content, width)
    if reader.names_separator:
        content = content.partition(b"\n")[2]
    if not _is_regular(content, reader.separator, width):
        return None
    try:
        frame = polars.read_csv(content, separator=reader.separator, infer_schema=False)
    except polars.exceptions.PolarsError:  # which the reader explains
        return None
    if frame.width != width:
        return None
    if reader.trailing:
        if frame.to_series(width - 1).null_count() < len(frame):
            return None
        frame = frame[:, : width - 1]
    frame.columns = reader.header
    if b'""' in content:  # an empty field in quotes is missing, too
        frame = frame.select(polars.when(polars.all() != "").then(polars.all()))
    return frame, notes


_EMPTY_LINES = re.compile(rb'("(?:[^"]|"")*")|(\r?\n)(?:\r?\n)+')


def _without_empty_lines(content: bytes, width: int) -> bytes:
    """Return CSV text without empty lines, but those in quotes, and those of a single column."""
    bom = codecs.BOM_UTF8
    if content.startswith((b"\n", b"\r", bom + b"\n", bom + b"\r")):
        content = content.removeprefix(bom).lstrip(b"\r\n")
    if width > 1 and content.endswith((b"\n\n", b"\n\r\n")):  # the usual place
        content = content.rstrip(b"\r\n")
    if width == 1 or not (b"\n\n" in content or b"\n\r\n" in content):
        return content
    if b'"' in content:
        return _EMPTY_LINES.sub(lambda found: found[1] or found[2], content)
    for end in (b"\r\n", b"\n"):
        while b"\n" + end in content:
            content = content.replace(b"\n" + end, b"\n")
    return content


def _is_regular(content: bytes, separator: str, width: int) -> bool:
    """Return whether every reader makes the same of a CSV file.

    That is if it has no empty lines, as many fields in each line as in the header, and quotes only
    round whole fields.
    """
    if width == 1 and (b"\n\n" in content or b"\n\r" in content):
        return False
    quote, mark, end = ord('"'), ord(separator), ord("\n")
    edges = np.isin(np.arange(256), [quote, mark, end, ord("\r")])
    has_quotes = b'"' in content
    last: Any = end
    inside: Any = np.uint8(0)
    fields = 0
    for start in range(0, len(content), 2**22):
        block = np.frombuffer(content, np.uint8, min(2**22, len(content) - start), start)
        marks, ends = block == mark, block == end
        if has_quotes:
            quotes = block == quote
            odd = np.bitwise_xor.accumulate(quotes.view(np.uint8)) ^ inside
            before, odd_before = np.r_[last, block[:-1]], np.r_[inside, odd[:-1]]
            opened = quotes & (odd == 1) & ~edges[before]
            closed = (before == quote) & (odd_before == 0) & ~edges[block]
            if opened.any() or closed.any():
                return False
            last, inside = block[-1], odd[-1]
            marks, ends = marks & (odd == 0), ends & (odd == 0)
        at = np.searchsorted(np.flatnonzero(marks), np.flatnonzero(ends))
        counts = np.diff(at, prepend=0)
        if len(counts):
            counts[0] += fields
            fields = 0
        if (counts != width - 1).any():
            return False
        fields += int(marks.sum()) - (int(at[-1]) if len(at) else 0)
    return not inside and (content.endswith(b"\n") or fields == width - 1)


def imported_polars() -> Any:
    """Return polars.

    Raises: MissingDependencyError without it.
    """
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
