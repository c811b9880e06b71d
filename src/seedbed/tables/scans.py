"""Tables that are read in parts, as they may be larger than memory.

They are Parquet files, folders of them, polars' LazyFrames and PyArrow's data sets.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

from seedbed import memory
from seedbed.arrays import checked_flag
from seedbed.errors import MissingDependencyError, SeedbedError, SettingError, TableError
from seedbed.tables.csv_frames import imported_polars
from seedbed.tables.notation import NO_MARKS, Marks
from seedbed.tables.reading import Table, errors_of_polars, read
from seedbed.tables.sources import named_columns

PART_VALUES = 2**21
"""Values of a part; a part has at least ``MIN_PART_ROWS`` rows."""
MIN_PART_ROWS = 256

SMALL_FILE_SHARE = 1 / 100
"""The share of the free memory up to which a Parquet file is read without a look at its size in
memory."""

BYTES_PER_VALUE = 100
"""About the memory that ``fit`` takes for each value of a table in memory, with all encodings."""


class Scan:
    """A table of N rows that is read in parts, as often as needed.

    name     for messages
    columns  the columns' names, without blanks around them
    given    what the caller says of how texts write numbers
    """

    def __init__(
        self, name: str, columns: list[str], rows: int, batches: Callable[[int], Iterator[Any]],
        marks: Marks = NO_MARKS,
    ) -> None:  # fmt: skip
        """Take what returns the table's rows as polars frames of about so many rows."""
        self.name, self.columns, self.given = name, named_columns(columns, name), marks
        self.rows, self._batches = rows, batches
        if not rows or not columns:
            raise TableError(f"{name} has no rows: it needs at least one row of values")

    def __len__(self) -> int:
        return self.rows

    @property
    def part_rows(self) -> int:
        """The number of rows of a part; the last has what is left."""
        return max(MIN_PART_ROWS, PART_VALUES // len(self.columns))

    @property
    def is_large(self) -> bool:
        """Whether training on it in memory would take more than half of what is free."""
        return BYTES_PER_VALUE * self.rows * len(self.columns) > memory.free() / 2

    def read(self) -> Table:
        """Return the whole table.

        Raises: TableError.
        """
        parts = [part.frame for part in self.parts()]
        return self._part(self._joined(parts), 0)

    def _joined(self, frames: list[Any]) -> Any:
        """Return frames as one.

        Raises: TableError if they differ in their columns' types.
        """
        with _errors(self.name):
            return imported_polars().concat(frames, how="vertical_relaxed")

    def parts(self) -> Iterator[Table]:
        """Yield the table's rows in order.

        Raises: TableError if the table cannot be read, or has other rows than before.
        """
        waiting, rows, first = list[Any](), 0, 0
        for frame in self._read():
            waiting.append(frame)
            rows += len(frame)
            if rows >= self.part_rows:
                together = self._joined(waiting)
                for start in range(0, rows - self.part_rows + 1, self.part_rows):
                    yield self._part(together[start : start + self.part_rows], first)
                    first += self.part_rows
                waiting = [together[len(together) - rows % self.part_rows :]]
                rows %= self.part_rows
        if rows:
            yield self._part(self._joined(waiting), first)
        if first + rows != self.rows:
            raise TableError(
                f"{self.name} had {self.rows:,} rows and now has {first + rows:,}: train while "
                "nothing writes to it"
            )

    def _part(self, frame: Any, first: int) -> Table:
        part = Table(self.name, frame, self.given)
        part.first_row = first
        return part

    def _read(self) -> Iterator[Any]:
        """Yield frames of any number of rows, in order."""
        polars, batches = imported_polars(), None
        texts = polars.selectors.by_dtype(polars.Categorical, polars.Enum)
        while True:
            with _errors(self.name):
                batches = self._batches(self.part_rows) if batches is None else batches
                frame = next(batches, None)
                if frame is None:
                    return
                frame = frame.with_columns(texts.cast(polars.String))  # each has its own categories
            if len(frame):
                yield frame


def large_scan(X: Any, from_disk: bool | None = None, **given: Any) -> Scan | None:
    """Return a table that is to be trained on from disk; None for one that is to be read.

    from_disk  whether to; None if it may take more than half of the free memory
    given      for ``open_scan``

    Raises: SettingError if it cannot; TableError as ``open_scan``.
    """
    if from_disk is not None:
        from_disk = checked_flag("from_disk", from_disk)
    if not is_scannable(X):
        is_special = str(X) == "-" or "::" in str(X)
        if from_disk and (is_special or Path(X).exists()):
            raise SettingError(
                f"{X} is no Parquet file, and others cannot be trained on from disk: convert it, "
                "as polars.scan_csv(…).sink_parquet(…) does"
            )
        return None
    if from_disk is False:
        return None
    is_file = isinstance(X, str | PathLike) and Path(X).is_file()
    if from_disk is None and is_file and Path(X).stat().st_size < SMALL_FILE_SHARE * memory.free():
        return None
    scan = open_scan(X, **given)
    return scan if from_disk or (scan is not None and scan.is_large) else None


def in_memory(X: Any, marks: Marks = NO_MARKS) -> Table:
    """Return a file, LazyFrame or data set as a table in memory.

    Raises: TableError.
    """
    if isinstance(X, str | PathLike) and not Path(X).is_dir():
        return read(str(X), marks)
    scan = open_scan(X, marks=marks)
    assert scan is not None
    return scan.read()


def open_scan(X: Any, name: str = "X", marks: Marks = NO_MARKS) -> Scan | None:
    """Return a table as one to read in parts; None for a table of another kind.

    Raises: TableError if it cannot be read; MissingDependencyError without PyArrow, for files.
    """
    if isinstance(X, str | PathLike):
        return _of_files(Path(X), marks) if is_parquet(X) else None
    if is_lazy_frame(X):
        polars = imported_polars()
        with _errors(name):
            columns = X.collect_schema().names()
            rows = X.select(polars.len()).collect().item()
        if not hasattr(X, "collect_batches"):
            raise MissingDependencyError("polars>=1.34", "disk")
        return Scan(name, columns, rows, lambda n: iter(X.collect_batches(chunk_size=n)), marks)
    if is_dataset(X):
        return _of_dataset(X, name, marks)
    return None


def is_scannable(X: Any) -> bool:
    """Return whether ``open_scan`` takes a table."""
    if isinstance(X, str | PathLike):
        return is_parquet(X)
    return is_lazy_frame(X) or is_dataset(X)


def is_parquet(path: Any) -> bool:
    """Return whether a path is a Parquet file or a folder."""
    try:
        path = Path(path)
        if path.is_dir():
            return True
        if not path.is_file():  # a pipe would lose its first bytes
            return False
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except (OSError, ValueError):
        return False


def is_lazy_frame(X: Any) -> bool:
    """Return whether an object is polars' LazyFrame."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(X, polars.LazyFrame)


def is_dataset(X: Any) -> bool:
    """Return whether an object is PyArrow's Dataset."""
    datasets = sys.modules.get("pyarrow.dataset")
    return datasets is not None and isinstance(X, datasets.Dataset)


def _of_files(path: Path, marks: Marks) -> Scan:
    """Return Parquet files as a scan that decodes one batch at a time."""
    datasets, polars = imported_datasets(), imported_polars()
    from pyarrow.parquet import ParquetFile

    def batches(rows: int) -> Iterator[Any]:
        # a dataset's own scan reads ahead, several row groups where they wait to be used
        for fragment in dataset.get_fragments():
            keys = datasets.get_partition_keys(fragment.partition_expression)
            named = [polars.lit(value).alias(name) for name, value in keys.items()]
            stored = [name for name in names if name not in keys]
            with ParquetFile(
                fragment.path, memory_map=False, pre_buffer=False, buffer_size=2**16
            ) as file:
                for batch in file.iter_batches(rows, columns=stored):
                    yield polars.from_arrow(batch).with_columns(named).select(names)

    with _errors(str(path)):
        dataset = datasets.dataset(path, format="parquet", partitioning="hive")
        names = dataset.schema.names
        for fragment in dataset.get_fragments() if path.is_dir() else ():
            _check_schema(fragment, dataset.schema)
        return Scan(str(path), names, dataset.count_rows(), batches, marks)


def _check_schema(fragment: Any, schema: Any) -> None:
    """Refuse a file of a folder that has other columns than the first, or of other kinds.

    Raises: TableError.
    """
    own = fragment.physical_schema
    keys = imported_datasets().get_partition_keys(fragment.partition_expression)
    expected = {name: _kind(schema.field(name).type) for name in schema.names if name not in keys}
    found = {name: _kind(own.field(name).type) for name in own.names}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise TableError(
                f"column {name!r} is {found.get(name, 'absent')} in {fragment.path} and "
                f"{expected.get(name, 'absent')} in the folder's other files: give files with the "
                "same columns"
            )


def _kind(kind: Any) -> str:
    """Return the kind of an Arrow type: all numbers are one, and all texts."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "a number"
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "a text"
    return f"of type {kind}"


def _of_dataset(dataset: Any, name: str, marks: Marks) -> Scan:
    datasets, polars, options = imported_datasets(), imported_polars(), dict[str, Any]()
    if isinstance(getattr(dataset, "format", None), datasets.ParquetFileFormat):
        # by default all columns of a row group are held at once
        options["fragment_scan_options"] = datasets.ParquetFragmentScanOptions(
            pre_buffer=False, use_buffered_stream=True
        )

    def batches(rows: int) -> Iterator[Any]:
        found = dataset.to_batches(
            batch_size=rows, batch_readahead=1, fragment_readahead=1, **options
        )
        return map(polars.from_arrow, found)

    with _errors(name):
        return Scan(name, dataset.schema.names, dataset.count_rows(), batches, marks)


def imported_datasets() -> Any:
    """Return PyArrow's datasets.

    Raises: MissingDependencyError without PyArrow.
    """
    try:
        import pyarrow.dataset
    except ModuleNotFoundError:
        raise MissingDependencyError("pyarrow", "disk") from None
    return pyarrow.dataset


@contextlib.contextmanager
def _errors(name: str) -> Iterator[None]:
    """Raise TableError for what polars and PyArrow raise over a table."""
    try:
        with errors_of_polars(name):
            yield
    except (SeedbedError, MemoryError):
        raise
    except Exception as error:  # also what a LazyFrame's own functions raise
        line = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise TableError(f"cannot read {name}: {line}") from None
