"""The rows that ``seedbed train`` trains on and scores on: of a table in memory, or on disk."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple

from seedbed.arrays import Array
from seedbed.cli.options import marks_of
from seedbed.errors import TableError
from seedbed.tables.reading import Table
from seedbed.tables.scans import Scan, in_memory, large_scan
from seedbed.tables.sources import check_column
from seedbed.tables.summary import summarize
from seedbed.tables.targets import find_target, split_rows


class Scored(NamedTuple):
    """What scores are computed from, and what is said of the rows.

    X, Y     the test rows' inputs (n, I) and encoded targets (n,)
    Y_train  targets of training rows, for the baseline
    train    the number of training rows
    unknown  rows without a target
    """

    X: Array
    Y: Array
    Y_train: Array
    train: int
    unknown: int
    notes: list[str]
    held_out: str


class TableRows:
    """The rows of a table in memory: ``train`` and ``test`` are their numbers."""

    def __init__(self, options: Namespace, table: Table) -> None:
        self.table = table
        self.target, self.known = find_target(table, options.target, options.task)
        classes = self.target.encode(table)[self.known] if self.target.classes else None
        self.train, self.test = split_rows(self.known, options.test, options.seed, classes)

    def fit(self, estimator: Any, drop: Sequence[str], *kept: Any) -> None:
        """Train an estimator."""
        estimator.fit_table(self.table, self.target, self.train, drop, *kept)

    def scored(self, estimator: Any) -> Scored:
        """Return what the scores are computed from."""
        encoding, table = estimator.encoding_, self.table
        X, counts = encoding.inputs(table, unseen="missing")
        Y = encoding.target.encode(table)
        return Scored(
            X[self.test], Y[self.test], Y[self.train], len(self.train),
            len(table) - len(self.known), [*table.notes, *estimator.notes_, *counts.lines()],
            "each member holds out a quarter for early stopping",
        )  # fmt: skip


class ScanRows:
    """The rows of a table on disk."""

    def __init__(self, options: Namespace, scan: Scan) -> None:
        self.scan = scan
        self.table = summarize(scan, options.target, options.seed, test_share=options.test)
        self.target, _ = find_target(self.table, options.target, options.task)
        if self.table.test is None:
            raise TableError(
                f"a share of {options.test:g} of the {len(scan):,} rows of {scan.name} gives no "
                "test row: give more rows, or another share with --test"
            )

    def fit(self, estimator: Any, drop: Sequence[str], *kept: Any) -> None:
        """Train an estimator."""
        estimator.fit_scan(self.scan, self.table, self.target, drop, *kept)

    def scored(self, estimator: Any) -> Scored:
        """Return what the scores are computed from; the baseline is the sample's."""
        encoding, made = estimator.encoding_, estimator.from_disk_
        assert self.table.test is not None
        X, counts = encoding.inputs(self.table.test, unseen="missing")
        counts.add(made.counts)
        return Scored(
            X, encoding.target.encode(self.table.test), encoding.target.encode(self.table.sample),
            made.rows, self.table.unknown, [*estimator.notes_, *counts.lines()],
            f"each member holds out {made.held_out:,} for early stopping; trained from disk in "
            f"{made.shards:,} part{'' if made.shards == 1 else 's'}",
        )  # fmt: skip


def rows_of(options: Namespace) -> TableRows | ScanRows:
    """Return the rows to train on and to score on.

    Raises: TableError, SettingError.
    """
    marks = marks_of(options)
    scan = large_scan(options.file, options.from_disk or None, marks=marks)
    rows = (
        TableRows(options, in_memory(options.file, marks))
        if scan is None
        else ScanRows(options, scan)
    )
    for name in options.drop:
        check_column(rows.table, name)
    return rows
