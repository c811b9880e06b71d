"""Read table files, and write them with columns added.

A table keeps its columns as the file has them, until the caller asks for one.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.errors import MissingDependencyError, TableError, reason
from seedbed.tables.csv_frames import BLOCK_VALUES, imported_polars, parse_csv
from seedbed.tables.notation import MISSING_WORDS, NO_MARKS, Marks, Notation
from seedbed.tables.sources import (
    MARKED,
    SAMPLE,
    Source,
    check_column,
    named_columns,
    suggestion,
)
from seedbed.tables.values import (
    SECONDS_PER_DAY,
    Column,
    UnsupportedType,
    as_text,
    checked_finite,
    days_of_dates,
    finite_matrix,
)

_UNUSUAL = r"^[+-]?0[0-9]|^[+-]?[0-9]{16}|[^-+0-9.eE]|^[+-]?[eE.]*$|[eE]$"
"""Codes such as 007, and what polars may take for a number and others don't."""
_CERTAIN_POINT = (
    r"^[+-]?(?:[0-9]*\.[0-9]{0,2}|[0-9]*\.[0-9]{4,}|[0-9]{4,}\.[0-9]*|0?\.[0-9]*)$|[eE]"
)
SQLITE = b"SQLite format 3"
"""The first bytes of an SQLite database."""

BINARY = (b"PAR1", b"PK\x03\x04", SQLITE)
"""The first bytes of files that are no text."""

JSON = (".jsonl", ".ndjson", ".json")
"""The ends of names of files that hold JSON: lines, or a list of objects."""


class Table(Source):
    """The content of a table file.

    frame    the polars frame; a CSV file's values are texts
    notes    on how the file was read
    numbers_of_rows  in the file, from 0, if they are not one after the other
    """

    numbers_of_rows: Indices | None = None

    def __init__(
        self,
        name: str,
        frame: Any,
        marks: Marks = NO_MARKS,
        separator: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.frame, self.notes = name, frame, list(notes)
        self.columns = named_columns(frame.columns, name)
        self.given = marks
        self.separator, self.other_decimal = separator, "," if separator == ";" else ""
        self._plain: dict[str, tuple[Array, Notation] | None] = {}  # of a block of columns

    def __len__(self) -> int:
        return len(self.frame)

    def filtered(self, chosen: Array) -> Table:
        """Return the rows that are chosen (N,)."""
        part = Table(self.name, self.frame.filter(chosen), self.given, self.separator)
        part.numbers_of_rows = self.first_row + np.flatnonzero(chosen)
        return part

    def row_number(self, name: str, place: int) -> int:
        """Return the number in the file, from 1, of the row with a value of ``column``."""
        if self.numbers_of_rows is not None:
            return int(self.numbers_of_rows[place]) + 1
        return super().row_number(name, place)

    def marked_texts(self, name: str) -> list[str]:
        """Return up to ``SAMPLE`` distinct texts of a column that hold digits and a mark."""
        polars, series = imported_polars(), self.frame.to_series(self.index[name])
        if series.dtype != polars.String:
            return []
        texts = series.clear()
        for rows in (series.head(10 * SAMPLE), series):  # the first mostly hold enough
            if len(texts) < SAMPLE:
                marked = rows.filter(rows.str.contains(MARKED))
                texts = marked.str.strip_chars().unique(maintain_order=True).head(SAMPLE)
        return list(texts.to_list())

    def column(self, name: str) -> Column:
        """Return a column.

        Raises: TableError for a value that is no number, text or date, or infinite.
        """
        check_column(self, name)
        polars, series = imported_polars(), self.frame.to_series(self.index[name])
        kind = series.dtype
        if kind.is_numeric():
            return Column("number", self._floats(series, name))
        if kind in (polars.Date, polars.Datetime, polars.Time):
            if kind == polars.Time:
                days = series.cast(polars.Int64).to_numpy() / (SECONDS_PER_DAY * 1e9)
                return Column("date", np.where(series.is_null().to_numpy(), np.nan, days))
            micros = series.cast(polars.Datetime("us")).dt.replace_time_zone(None)
            return Column("date", days_of_dates(micros.to_numpy()))
        if not isinstance(
            kind, polars.String | polars.Boolean | polars.Categorical | polars.Enum | polars.Null
        ):
            raise UnsupportedType(name, self.name, str(kind))
        return Column("text", np.array(self._stripped(series).to_list(), dtype=object))

    def numbers(self, names: Sequence[str]) -> Array | None:
        """Return columns that are all typed as numbers, (N, C) float64; None if one is not."""
        polars, places = imported_polars(), [self.index[name] for name in names]
        kinds = self.frame.dtypes
        if not all(kinds[place].is_numeric() for place in places):
            return None
        found = self.frame[:, places].select(polars.all().cast(polars.Float64).fill_null(np.nan))
        A = np.ascontiguousarray(found.to_numpy(), np.float64)
        return finite_matrix(A, names, self.name, self.first_row)

    def plain_numbers(self, name: str) -> tuple[Array, Notation] | None:
        """Return a column of texts that ``notation.infer`` would read as numbers without a unit."""
        if name not in self._plain:
            step, place = max(1, BLOCK_VALUES // max(1, len(self))), self.index[name]
            first = place - place % step
            self._plain = self._plain_block(self.columns[first : first + step], first)
        return self._plain[name]

    def _plain_block(
        self, names: Sequence[str], first: int
    ) -> dict[str, tuple[Array, Notation] | None]:
        """Return ``plain_numbers`` of columns beside each other, from the place ``first`` on.

        Together, as each call of polars takes some time, whatever the number of rows.
        """
        polars = imported_polars()
        frame = self.frame[:, first : first + len(names)]
        frame.columns = names
        found: dict[str, tuple[Array, Notation] | None] = dict.fromkeys(names)
        texts = frame.select(polars.selectors.string().str.strip_chars()).select(
            polars.when(polars.all() != "").then(polars.all())
        )
        if not texts.width:
            return found
        numbers = texts.select(polars.all().cast(polars.Float64, strict=False))
        numbers.columns = [f"{name}\n" for name in texts.columns]  # no column's name ends so

        def facts(name: str) -> Any:
            """Return expressions on a column's texts and numbers, as one struct."""
            text, number = polars.col(name), polars.col(f"{name}\n")
            first = text.head(SAMPLE)
            odd = text.filter(number.is_null() & text.is_not_null() | number.is_nan())
            return polars.struct(
                words=odd.str.to_lowercase().is_in(words).all(),
                unusual=text.str.contains(_UNUSUAL).any(),
                known=number.is_not_null().any(),
                infinite=number.is_infinite().any(),  # 1e400; the error is to show the text
                point=first.str.contains(".", literal=True).any(),
                certain=first.str.contains(_CERTAIN_POINT).any(),
            ).alias(name)

        words = polars.lit(polars.Series(sorted(MISSING_WORDS)).implode())
        both = texts.hstack(numbers)
        for name, known in both.select(map(facts, texts.columns)).row(0, named=True).items():
            values = numbers[f"{name}\n"]
            if not known["known"] or not known["words"] or known["unusual"] or known["infinite"]:
                continue
            # the first rows mostly show it
            has_point = known["point"] or texts[name].str.contains(".", literal=True).any()
            if has_point and not (
                known["certain"] or texts[name].str.contains(_CERTAIN_POINT).any()
            ):
                continue
            decimal = "." if has_point else self.marks.decimal or "."
            found[name] = values.fill_null(np.nan).to_numpy(), Notation(decimal)
        return found

    def texts(self, name: str) -> Array:
        """Return a column as texts without blanks around them, as the file has them."""
        series = self.frame.to_series(self.index[name])
        if series.dtype != imported_polars().String:
            return super().texts(name)
        return np.array(self._stripped(series).to_list(), dtype=object)

    @staticmethod
    def _stripped(series: Any) -> Any:
        texts = series.cast(imported_polars().String).str.strip_chars()
        return texts.set(texts == "", None)

    def _floats(self, series: Any, name: str) -> Array:
        values = series.cast(imported_polars().Float64).fill_null(np.nan).to_numpy()
        return checked_finite(np.array(values, np.float64), name, self.name, self.first_row)

    def exact_texts(self, name: str) -> list[str | None]:
        """Return a column's values as a CSV file would have them, None where missing.

        Raises: TableError for lists and other values that CSV cannot hold.
        """
        series = self.frame.to_series(self.index[name])
        if series.dtype.is_nested() or series.dtype in (
            imported_polars().Object,
            imported_polars().Binary,
        ):
            raise TableError(
                f"the column {name!r} of {self.name} holds {series.dtype} values, which cannot be "
                "written as CSV: give --out a name that ends in .parquet"
            )
        return list(series.cast(imported_polars().String).to_list())


def read(path: str | Path, marks: Marks = NO_MARKS) -> Table:
    """Read a table file; "-" is stdin.

    CSV with a header (see ``csv_text.CsvReader``; .gz is unpacked), Parquet, Excel's .xlsx, JSON
    (.jsonl, .ndjson, .json: lines, or a list of objects), or a table of an SQLite database:
    ``file.db::table``.

    Raises: TableError if the file is absent, of another format, ragged or empty;
    MissingDependencyError without polars, or without what it reads Excel files with.
    """
    name = shown_name(path)
    file, mark, inner = str(path).partition("::")
    if mark and not Path(path).exists():
        return _filled(_read_sqlite(file, inner, name, marks))
    with opened(path) as stream:
        try:
            content = stream.read()
        except (OSError, EOFError) as error:
            raise _cannot_read(path, error) from None
    return parse(name, content, marks)


def is_text(path: str | Path) -> bool:
    """Return whether a path's name does not say that ``read`` takes it for something but CSV."""
    name = str(path)
    is_database = "::" in name and not Path(path).exists()
    return not (is_database or name.lower().endswith(JSON))


def _read_sqlite(file: str, table: str, name: str, marks: Marks) -> Table:
    """Return a table of an SQLite database.

    Raises: TableError.
    """
    import sqlite3

    if not Path(file).is_file():
        raise TableError(f"cannot read {file}: No such file: give a database's path before ::")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            ).fetchall()
            names = [each for (each,) in found]
            if table not in names:
                raise TableError(f"{file} has no table {table!r}{suggestion(table, names)}")
            quoted = table.replace('"', '""')
            cursor = connection.execute(f'SELECT * FROM "{quoted}"')  # quoted
            columns = [description[0] for description in cursor.description]
            rows = cursor.fetchall()
    except sqlite3.Error as error:
        raise TableError(f"cannot read {file} as an SQLite database: {error}") from None
    polars = imported_polars()
    values = zip(*rows, strict=True) if rows else [()] * len(columns)
    frame = {
        column: _typed_series(polars, column, list(each))
        for column, each in zip(columns, values, strict=True)
    }
    return Table(name, polars.DataFrame(frame), marks)


def _typed_series(polars: Any, name: str, values: list[Any]) -> Any:
    """Return values as a series of numbers, or of texts if they are of several types."""
    if all(value is None or isinstance(value, int | float) for value in values):
        return polars.Series(name, values, strict=False)
    return polars.Series(name, [None if value is None else as_text(value) for value in values])


def _filled(table: Table) -> Table:
    if not len(table) or not table.columns:
        raise TableError(
            f"{table.name} has no rows: it needs a header and at least one row of values"
        )
    return table


def shown_name(path: str | Path) -> str:
    """Return a file's name for messages."""
    return "standard input" if str(path) == "-" else str(path)


def opened(path: str | Path) -> io.BufferedReader:
    """Return a file as a stream of bytes; "-" is stdin. A gzipped file is unpacked.

    Raises: TableError if it cannot be read.
    """
    if str(path) == "-":
        stdin: Any = io.BytesIO() if sys.stdin is None else sys.stdin.buffer
        return stdin if isinstance(stdin, io.BufferedReader) else io.BufferedReader(stdin)
    try:
        stream = Path(path).open("rb")  # noqa: SIM115  # the caller closes it
        if stream.peek(2)[:2] == b"\x1f\x8b":
            stream.close()
            return io.BufferedReader(gzip.open(path, "rb"))
    except (OSError, ValueError) as error:
        raise _cannot_read(path, error) from None
    return stream


def _cannot_read(path: str | Path, error: Exception) -> TableError:
    return TableError(f"cannot read {path}: {reason(error)}: give a table's path")


def parse(name: str, content: bytes, marks: Marks = NO_MARKS) -> Table:
    """Return the table of a file's content; ``name`` is for messages.

    Raises: as ``read``.
    """
    if content.startswith(SQLITE):
        raise TableError(f"{name} is an SQLite database: name a table of it, as in {name}::table")
    polars, is_json = imported_polars(), name.lower().endswith(JSON)
    if not (content.startswith(BINARY) or is_json):
        frame, separator, notes = parse_csv(name, content)
        return _filled(Table(name, frame, marks, separator, notes))
    with errors_of_polars(name):
        if content.startswith(b"PAR1"):
            table = Table(name, polars.read_parquet(io.BytesIO(content)), marks)
        elif content.startswith(b"PK\x03\x04"):
            table = Table(name, _read_excel(polars, content), marks)
        else:
            is_list = content.lstrip()[:1] == b"["
            read_json = polars.read_json if is_list else polars.read_ndjson
            table = Table(name, read_json(io.BytesIO(content)), marks)
    return _filled(table)


@contextlib.contextmanager
def errors_of_polars(name: str) -> Iterator[None]:
    """Raise TableError for what polars raises over a damaged file.

    Where polars panics, it raises a BaseException, and writes pages to standard error, which are
    left out.
    """
    polars, panicked = imported_polars(), False
    with tempfile.TemporaryFile() as written:
        try:
            errors = os.dup(2)
        except OSError:  # it is closed
            errors = None
        try:
            if errors is not None:
                os.dup2(written.fileno(), 2)
            yield
        except polars.exceptions.PolarsError as error:
            raise TableError(
                f"cannot read {name} as a table: {(str(error).splitlines() or [''])[0]}"
            ) from None
        except BaseException as error:
            if type(error).__name__ != "PanicException":
                raise
            panicked = True
            raise TableError(
                f"cannot read {name} as a table: it is damaged: write it again"
            ) from None
        finally:
            if errors is not None:
                os.dup2(errors, 2)
                os.close(errors)
                written.seek(0)
                if not panicked:
                    os.write(2, written.read())


def _read_excel(polars: Any, content: bytes) -> Any:
    """Return the first sheet of an Excel file as a frame.

    Raises: MissingDependencyError without fastexcel.
    """
    try:
        import fastexcel  # noqa: F401
    except ModuleNotFoundError:
        raise MissingDependencyError("fastexcel", "excel") from None
    return polars.read_excel(io.BytesIO(content), engine="calamine")


def parquet_bytes(table: Table, columns: Mapping[str, Array]) -> bytes:
    """Return a Parquet file of the table as read, with columns added."""
    polars, content = imported_polars(), io.BytesIO()
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
