"""Table files: reading them into columns, and writing them with columns added.

A table is read into columns of two kinds: numbers, float64 with NaN where missing, and texts,
object arrays of str with None where missing.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import files
from seedbed.arrays import Array
from seedbed.errors import MissingDependencyError, TableError

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?")
"""What stands for a missing value in a CSV file."""

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Table:
    """A table as it was read.

    path     where it came from, for messages
    frame    the polars frame as it stands in the file
    columns  by name: numbers (N,) float64, or texts (N,) object
    """

    path: Path
    frame: Any
    columns: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.frame)

    def column(self, name: str, what: str = "column") -> Array:
        """Return a column.

        Raises: TableError that names the nearest column if there is none of that name.
        """
        if name not in self.columns:
            raise TableError(f"{self.path} has no {what} {name!r}{nearest(name, self.columns)}")
        return self.columns[name]

    def take(self, rows: Rows) -> Table:
        """Return some of the rows, as a table."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return Table(self.path, self.frame[rows], columns)


def read(path: str | Path) -> Table:
    """Read a CSV file (with a header; commas, semicolons or tabs) or a Parquet file.

    Rows with nothing in them are passed over.

    Raises: TableError if the file is not there, not such a table, ragged or empty;
    MissingDependencyError without polars.
    """
    polars = _polars()
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(65536)
        if start.startswith(b"PAR1"):
            frame = polars.read_parquet(path)
        else:
            separator = _check_csv(path, start)
            frame = polars.read_csv(
                path, separator=separator, infer_schema=False, null_values=list(MISSING)
            )
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror or error}") from None
    except polars.exceptions.PolarsError as error:
        raise TableError(f"cannot read {path} as a table: {str(error).splitlines()[0]}") from None
    if frame.width:
        frame = frame.filter(~polars.all_horizontal(polars.all().is_null()))
    if not len(frame):
        raise TableError(f"{path} has no rows: it needs a header and at least one row of values")
    return Table(path, frame, {name: _column(path, frame[name]) for name in frame.columns})


def _check_csv(path: Path, start: bytes) -> str:
    """Return the separator of a CSV file.

    Raises: TableError unless it is UTF-8 text whose header names each column once, and whose rows
    have as many fields as the header.
    """
    if b"\0" in start:
        raise TableError(f"{path} is a binary file: give a CSV (UTF-8 text) or Parquet file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = _separator(file.readline())
            file.seek(0)
            lines = csv.reader(file, delimiter=separator)
            header = next(lines, [])
            if not header:
                raise TableError(f"{path} has no rows: it needs a header and rows of values")
            for name in header:
                if header.count(name) > 1 or not name.strip():
                    raise TableError(
                        f"the header of {path} holds {name!r} {header.count(name)} times: each "
                        "column needs a name of its own"
                    )
            for fields in lines:
                if fields and len(fields) != len(header):
                    raise TableError(
                        f"line {lines.line_num} of {path} has {len(fields)} fields and the header "
                        f"{len(header)}: mend that line, or quote fields that hold a "
                        f"{separator!r}"
                    )
    except UnicodeDecodeError:
        raise TableError(
            f"{path} is not UTF-8 text: save it as CSV UTF-8, or give Parquet"
        ) from None
    except csv.Error as error:
        raise TableError(f"cannot read {path} as CSV: {error}") from None
    return separator


def _separator(header: str) -> str:
    return max(",;\t", key=header.count)


def _column(path: Path, series: Any) -> Array:
    """Return a polars column as numbers or texts.

    Raises: TableError for a number that is infinite, or a kind that is neither.
    """
    polars = _polars()
    if series.dtype == polars.Boolean or isinstance(series.dtype, polars.Categorical | polars.Enum):
        series = series.cast(polars.String)
    if series.dtype == polars.String:
        series = series.str.strip_chars()
        series = series.set(series == "", None)
        numbers = series.cast(polars.Float64, strict=False)
        if numbers.null_count() > series.null_count() or series.null_count() == len(series):
            return np.array(series.to_list(), dtype=object)
        series = numbers
    elif not (series.dtype.is_numeric() or series.dtype == polars.Null):
        raise TableError(
            f"column {series.name!r} of {path} holds {series.dtype} values: turn them into "
            "numbers or texts first"
        )
    column = np.array(series.cast(polars.Float64).fill_null(np.nan).to_numpy(), dtype=np.float64)
    if np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise TableError(
            f"column {series.name!r} of {path} holds {column[row]} in row {row + 1}: it needs "
            "finite numbers; leave the value empty if it is missing"
        )
    return column


def write(path: Path, table: Table, columns: Mapping[str, Array]) -> None:
    """Write the table as it was read, with columns added: Parquet by its ending, else CSV.

    Raises: FileError if it cannot be written.
    """
    content = io.BytesIO()
    frame = with_columns(table, columns)
    if path.suffix.lower() in (".parquet", ".pq"):
        frame.write_parquet(content)
    else:
        frame.write_csv(content)
    files.write_whole(path, content.getvalue())


def with_columns(table: Table, columns: Mapping[str, Array]) -> Any:
    """Return the polars frame with columns added, under names that are not taken."""
    polars = _polars()
    frame = table.frame
    for name, values in columns.items():
        free = name
        while free in frame.columns:
            free += "_"
        frame = frame.with_columns(polars.Series(free, values.tolist()))
    return frame


def nearest(name: str, names: Iterable[str]) -> str:
    """Return the end of a message: the name most like the one that is not there, or all of them."""
    by_fold = {known.casefold(): known for known in names}
    near = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.5)
    return (
        f"; did you mean {by_fold[near[0]]!r}?"
        if near
        else f"; it has {listed([*by_fold.values()])}"
    )


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names one behind the other, the first few if there are many."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown + (f", … ({len(names)} in all)" if len(names) > most else "")


def _polars() -> Any:
    try:
        import polars
    except ModuleNotFoundError:
        raise MissingDependencyError("polars", "cli") from None
    return polars
