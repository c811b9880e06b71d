"""What one pass over a table finds out: enough to decide what its columns are and to scale them.

Texts are counted exactly, up to ``MAX_DISTINCT`` different ones in a column. Of numbers and dates a
random sample is kept; the least, the largest and whether values are missing are exact. A quantile
from n sampled rows is wrong by about 1/√n in rank.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.errors import TableError
from seedbed.progress import StatusLine
from seedbed.tables.bottom_k import BottomK
from seedbed.tables.csv_frames import imported_polars
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.reading import Table
from seedbed.tables.scans import Scan
from seedbed.tables.sources import Repeats, Source, check_column
from seedbed.tables.values import Column, UnsupportedType, is_missing
from seedbed.tables.weights import no_weight, read_weights

SAMPLE_VALUES, MIN_SAMPLE_ROWS, MAX_SAMPLE_ROWS = 2**22, 2_000, 200_000
"""Values of the sample, and its fewest and most rows."""

MAX_DISTINCT = 100_000
"""Distinct texts of a column that are counted; of more, the sample's are taken."""

MAX_CLASS_VALUES = 1_000
"""Distinct numbers of the target that are counted."""

TEST_VALUES, MIN_TEST_ROWS = 2**23, 10_000
"""The most values of the test rows, which are kept in memory; so many rows there may be."""

EXTREMES = 16
"""Rows with the least and with the largest targets that are kept with the sample."""


@dataclass
class _Numbers:
    """What is exact of a column of numbers or days."""

    low: float = np.inf
    high: float = -np.inf
    missing: int = 0

    def add(self, values: Array) -> None:
        """Take in more values."""
        missing = np.isnan(values)
        self.missing += int(missing.sum())
        if not missing.all():
            known = values[~missing]
            self.low, self.high = min(self.low, known.min()), max(self.high, known.max())


class Summary(Source):
    """The training rows of a scanned table, as a source of which each column gives some values.

    Training rows are those with a known target and a weight above 0 that are no test rows.

    target   the target's name
    weights  the name of the column with the rows' weights, or None
    rows     N, the number of training rows
    sample   n of them as a table, in the table's order
    sample_numbers  their numbers in the table (n,), from 0
    times    how many rows each of them stands for (n,)
    sample_weights  the weights of the rows that each of them stands for (n,)
    drawn    which of them were drawn (n,); the others have extreme targets
    test     the test rows as a table, with the numbers of the rows
    unknown  the number of rows without a target
    max_weight  the largest weight
    seconds  the time that the pass took
    """

    def __init__(
        self, scan: Scan, target: str, *, weights: str | None = None, test_share: float = 0.0,
        seed: int = 0, report: Callable[[int], None] = lambda rows: None,
    ) -> None:  # fmt: skip
        """Read the table.

        seed    what the sample and the test rows depend on
        report  called with the number of rows read

        Raises: TableError for an absent column, infinite numbers, or weights that are no numbers of
        at least 0.
        """
        self.name, self.columns, self.given = scan.name, list(scan.columns), scan.given
        check_column(self, target, "target column")
        if weights is not None:
            check_column(self, weights, "column of weights")
        self.target, self.weighed, self.test_share, self.seed = target, weights, test_share, seed
        self.rows = self.unknown = 0
        self._part_rows = scan.part_rows
        rows = max(MIN_SAMPLE_ROWS, min(MAX_SAMPLE_ROWS, SAMPLE_VALUES // len(self.columns)))
        self._drawn, self._tests = BottomK(min(rows, len(scan))), BottomK(len(scan))
        self._extremes = BottomK(EXTREMES), BottomK(EXTREMES)
        self._numbers: dict[str, _Numbers] = {}
        self._texts: dict[str, Any] = {}  # frames of text, rows, weight, first
        self._classes: dict[float, list[float]] | None = {}  # rows, weight
        self._unsupported: dict[str, UnsupportedType] = {}
        self._overflowed: set[str] = set()
        self._digests: list[bytes] = []
        self.max_weight = 0.0
        began = time.perf_counter()
        for part in scan.parts():
            self._read(part)
            report(part.first_row + len(part))
        self._finish()
        scan.given = self.marks
        self.seconds = time.perf_counter() - began

    # ------------------------------------------------------------------ the pass

    def rows_of(self, part: Table) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], Array]:
        """Return which rows of a part are for training, and which for tests, (m,); and weights."""
        kind, values = part.column(self.target)
        known = ~is_missing(values)
        if kind == "text":
            known &= np.array(
                [text is not None and text.casefold() not in MISSING_WORDS for text in values],
                np.bool_,
            )
        w = np.ones(len(part))
        if self.weighed is not None:
            w = read_weights(part, self.weighed)
        test = np.zeros(len(part), np.bool_)
        if self.test_share:
            key = streams.keys(np.array([self.seed]), "sample", 1)
            test = streams.uniform(key, len(part), part.first_row)[0] < self.test_share
        return known & ~test & (w > 0), known & test, w

    def _read(self, part: Table) -> None:
        polars = imported_polars()
        train, test, w = self.rows_of(part)
        self.rows += int(train.sum())
        self.unknown += int((~train & ~test & (w > 0)).sum())
        self.max_weight = max(self.max_weight, float(w[train].max(initial=0.0)))
        self._digests.append(_digest(part.frame))
        numbers = part.first_row + np.arange(len(part))
        if test.any():
            self._tests.add(part.frame.filter(test), numbers[test], numbers[test])
        key = streams.keys(np.array([self.seed]), "sample", 2)
        keys = streams.bits(key, len(part), part.first_row)[0]
        frame = part.frame.filter(train)
        self._drawn.add(frame, numbers[train], keys[train])
        for place, name in enumerate(self.columns):
            # classes that only test rows have are known, too, and count as none
            rows = train | test if name == self.target else train
            series = part.frame.to_series(place)
            if series.dtype in (polars.String, polars.Boolean, polars.Null):
                self._count(name, series.filter(rows), numbers[rows], train[rows], w[rows])
                continue
            try:
                kind, values = part.column(name)
            except UnsupportedType as error:
                self._unsupported[name] = error
                continue
            self._numbers.setdefault(name, _Numbers()).add(values[train])
            if name == self.target and kind == "number":
                low, high = self._extremes
                low.add(frame, numbers[train], values[train])
                high.add(frame, numbers[train], -values[train])
                self._count_numbers(values[rows], train[rows], w[rows])

    def _count(self, name: str, series: Any, numbers: Indices, counts: Array, w: Array) -> None:
        """Count the texts of a column: rows count 1 or 0.

        Of too many different texts, those are counted that are no plain numbers.
        """
        polars, known = imported_polars(), self._texts.get(name)
        if name in self._texts and known is None:  # too many
            return
        texts = series.cast(polars.String).str.strip_chars()
        texts = texts.set(texts == "", None)
        if name in self._overflowed:
            odd = texts.cast(polars.Float64, strict=False).is_null().to_numpy()
            texts, numbers, counts, w = texts.filter(odd), numbers[odd], counts[odd], w[odd]
        if not len(texts):
            return
        distinct = texts.unique(maintain_order=True)
        places = dict(zip(distinct.to_list(), range(len(distinct)), strict=True))
        code = np.array([places[text] for text in texts.to_list()])
        first = np.unique(code, return_index=True)[1]
        # summed by NumPy, in the rows' order: the same bits whatever the number of threads
        counted = polars.DataFrame({
            "text": distinct, "first": numbers[first],
            "rows": np.bincount(code, counts).astype(np.int64),
            "weight": np.bincount(code, counts * w),
        })  # fmt: skip
        if known is not None:
            sums = polars.col("rows", "weight").sum(), polars.col("first").min()
            together = polars.concat([known, counted])
            counted = together.group_by("text", maintain_order=True).agg(*sums)
            counted = counted.select(known.columns)
        if len(counted) > MAX_DISTINCT and name not in self._overflowed:
            self._overflowed.add(name)
            odd = polars.col("text").cast(polars.Float64, strict=False).is_null()
            counted = counted.filter(odd)
        self._texts[name] = counted if len(counted) <= MAX_DISTINCT else None

    def _count_numbers(self, values: Array, counts: Array, w: Array) -> None:
        """Count the target's numbers, as long as they may be classes."""
        if self._classes is not None and len(values):
            distinct, place = np.unique(values, return_inverse=True)
            if len(distinct) > MAX_CLASS_VALUES:
                self._classes = None
                return
            sums_of = np.bincount(place, counts), np.bincount(place, counts * w)
            for value, rows, weight in zip(distinct.tolist(), *sums_of, strict=True):
                sums = self._classes.setdefault(value, [0.0, 0.0])
                sums[0] += float(rows)
                sums[1] += float(weight)
            if len(self._classes) > MAX_CLASS_VALUES:
                self._classes = None

    def _finish(self) -> None:
        """Put the sample together."""
        polars = imported_polars()
        if self.weighed is not None and not self.max_weight:
            raise no_weight(self.weighed, self.name)
        if not self.rows:
            raise TableError(
                f"target {self.target!r} of {self.name} has no value in any row to train on"
            )
        for kept in (self._drawn, self._tests, *self._extremes):
            kept.prune()
        drawn = self._drawn
        numbers, frame = drawn.numbers[0], drawn.frames[0]
        is_drawn = np.ones(len(numbers), np.bool_)
        if len(numbers) < self.rows:
            for kept in self._extremes:
                if kept.frames:
                    new = ~np.isin(kept.numbers[0], numbers)
                    frame = polars.concat([frame, kept.frames[0].filter(new)])
                    numbers = np.concatenate([numbers, kept.numbers[0][new]])
                    is_drawn = np.concatenate([is_drawn, np.zeros(int(new.sum()), np.bool_)])
            order = np.argsort(numbers, kind="stable")
            frame, numbers, is_drawn = frame[order], numbers[order], is_drawn[order]
        self.sample, self.sample_numbers = self._table(frame, numbers), numbers
        self.drawn = is_drawn
        w = np.ones(len(numbers))
        if self.weighed is not None:
            w = read_weights(self.sample, self.weighed)
        per_row = (self.rows - int((~is_drawn).sum())) / int(is_drawn.sum())
        self.times = np.where(is_drawn, per_row, 1.0)  # how many rows each one stands for
        self.sample_weights = w * self.times
        self.test: Table | None = None
        if self._tests.frames:
            self.test = self._table(self._tests.frames[0], self._tests.numbers[0])
        for name, counted in self._texts.items():
            self._texts[name] = None if counted is None else counted.sort("first")

    def _table(self, frame: Any, numbers: Indices) -> Table:
        """Return rows with their numbers in the file."""
        made = Table(self.name, frame, self.given)
        made.numbers_of_rows = numbers
        return made

    def check_part(self, part: Table) -> None:
        """Refuse a part that was not the same in the first pass: rows are known by their numbers.

        Raises: TableError.
        """
        number = part.first_row // self._part_rows
        if number >= len(self._digests) or self._digests[number] != _digest(part.frame):
            raise TableError(
                f"{self.name} gives its rows in another order, or other rows, when it is read "
                "again: sort it, or write it to a Parquet file first"
            )

    # ------------------------------------------------------------------ as a source

    def __len__(self) -> int:
        return self.rows

    def sampled(self, places: Indices) -> Table:
        """Return some rows of the sample."""
        return self._table(self.sample.frame[places], self.sample_numbers[places])

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all training rows."""
        return len(self.sample) == self.rows

    def column(self, name: str) -> Column:
        """Return some values of a column that together show all that matters; see ``repeats``.

        Raises: TableError for a column of another kind than numbers, texts and dates.
        """
        check_column(self, name)
        if name in self._unsupported:
            raise self._unsupported[name]
        counted = self._texts.get(name)
        if counted is not None and name not in self._overflowed:
            return Column("text", np.array(counted["text"].to_list(), object))
        if name == self.target and self._classes:
            return Column("number", np.array(sorted(self._classes)))
        kind, values = self.sample.column(name)
        if counted is not None:
            values = np.append(values, np.array(counted["text"].to_list(), object))
        if name in self._numbers and not self.is_whole:
            values = np.concatenate([values, self._extra(name)])
        return Column(kind, values)

    def _extra(self, name: str) -> Array:
        """Return values that the sample may lack: the least, the largest, and a missing one."""
        exact = self._numbers[name]
        known = [exact.low, exact.high] if exact.low <= exact.high else []
        return np.array([*known, *([np.nan] if exact.missing else [])])

    def repeats(self, name: str) -> Repeats | None:
        """Return how often each value of ``column`` occurs."""
        counted = self._texts.get(name)
        if counted is not None and name not in self._overflowed:
            rows, weights = counted["rows"].to_numpy(), counted["weight"].to_numpy()
            return Repeats(rows.astype(np.float64), weights)
        if name == self.target and self._classes:
            rows_weights = np.array([self._classes[value] for value in sorted(self._classes)])
            return Repeats(rows_weights[:, 0], rows_weights[:, 1])
        if name not in self._numbers:  # texts of the sample: whether most differ shows in it alone
            ones = np.ones(len(self.sample))
            if counted is not None:  # those that are no numbers, in the sample's proportion
                share = len(self.sample) / self.rows
                odd = np.maximum(1.0, counted["rows"].to_numpy() * share)
                ones = np.append(ones, odd)
            return Repeats(ones, ones)
        extra = np.ones(0 if self.is_whole else len(self._extra(name)))
        return Repeats(
            np.concatenate([self.times, extra]), np.concatenate([self.sample_weights, extra])
        )

    def row_number(self, name: str, place: int) -> int:
        """Return the number in the file, from 1, of the row with a value of ``column``."""
        counted, sampled = self._texts.get(name), len(self.sample_numbers)
        if counted is not None:
            place -= sampled if name in self._overflowed else 0
            if place >= 0:
                return int(counted["first"][place]) + 1
            place += sampled
        return int(self.sample_numbers[min(place, sampled - 1)]) + 1


def _digest(frame: Any) -> bytes:
    """Return a hash of some columns of a frame, in the order of its rows."""
    step = max(1, frame.width // 8)
    hashes = frame[:, ::step].hash_rows().to_numpy()
    return hashlib.blake2b(hashes.tobytes(), digest_size=16).digest()


def summarize(
    scan: Scan, target: str, seed: int, *, weights: str | None = None, test_share: float = 0.0,
    progress: bool | None = None,
) -> Summary:  # fmt: skip
    """Return what a pass over a table finds out; see ``Summary``.

    test_share  of the rows; fewer where they would take more than ``TEST_VALUES``
    progress    whether to show a progress line, as ``train`` takes it
    """
    most = max(MIN_TEST_ROWS, TEST_VALUES // len(scan.columns))
    with StatusLine(progress) as line:
        return Summary(
            scan, target, weights=weights, test_share=min(test_share, most / len(scan)), seed=seed,
            report=partial(report, line, "reading", len(scan)),
        )  # fmt: skip


def report(line: StatusLine, what: str, total: int, rows: int) -> None:
    """Show how many rows were read."""
    if line.is_due:
        line.write(f"{what} the table, {rows:,} of {total:,} rows", rows / total)
