"""Table columns to network inputs: numbers scaled and binned, dates, categories one-hot or
embedded.

An ``Encoding`` is fitted on the training rows and then encodes any table with the same columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from seedbed import memory
from seedbed.arrays import Array, Indices
from seedbed.errors import TableError
from seedbed.tables.columns import (
    CategoryColumn,
    Unseen,
    fit_column,
    read_column,
    read_days,
    read_numbers,
    read_texts,
)
from seedbed.tables.dates import DateColumn, encode_circles
from seedbed.tables.notes import Counts, Note
from seedbed.tables.numbers import NumberColumn, NumberEncoder, fit_number_column
from seedbed.tables.sources import Source, check_column
from seedbed.tables.targets import Target, fit_quantities
from seedbed.tables.values import UnsupportedType

MAX_BINS, FULL_BIN_COLUMNS = 8, 32
"""The most bins of a number column, and the columns up to which each may have as many as asked."""


@dataclass(frozen=True)
class Encoding:
    """The map from a table to network inputs and targets, fitted on the training rows.

    Order of the inputs: the clipped numbers and days, their bins, their missing-value flags, then
    the categories and the circles of dates.
    """

    columns: tuple[NumberColumn | DateColumn | CategoryColumn, ...]
    target: Target

    @cached_property
    def width(self) -> int:
        """I, the number of network inputs."""
        return sum(column.width for column in self.columns)

    @property
    def outputs(self) -> int:
        """O, the number of network outputs."""
        return self.target.outputs

    @property
    def numbers(self) -> int:
        """The number of first inputs that are clipped numbers and days."""
        return len(self.number_encoder.names)

    @cached_property
    def embedded(self) -> dict[int, int]:
        """The inputs that are category numbers, and how many each has."""
        place, found = self.number_encoder.width, {}
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                if column.embedded:
                    found[place] = column.levels
                place += column.width
        return found

    @cached_property
    def number_encoder(self) -> NumberEncoder:
        """The encoder of the number columns and of the days of dates."""
        return NumberEncoder([
            column.days if isinstance(column, DateColumn) else column
            for column in self.columns
            if not isinstance(column, CategoryColumn)
        ])  # fmt: skip

    @cached_property
    def input_names(self) -> list[str]:
        """The inputs' names, (I,): the column, a bin's range, "is missing", a category, …."""
        names = self.number_encoder.input_names
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                names = names + column.input_names
        return names + [name for date in self._dates for name in date.input_names]

    @cached_property
    def input_keys(self) -> list[tuple[Any, ...]]:
        """What each input is, (I,): a kind, its column and what else tells it apart."""
        categories = [column for column in self.columns if isinstance(column, CategoryColumn)]
        return [
            *self.number_encoder.input_keys,
            *(key for column in categories for key in column.input_keys),
            *(key for date in self._dates for key in date.input_keys),
        ]

    @staticmethod
    def read(source: Source, column: NumberColumn | DateColumn) -> Array:
        """Return a column's numbers, or days, (N,), NaN where missing."""
        if isinstance(column, DateColumn):
            return read_days(source, column)
        return read_numbers(source, column.name, column.notation, column.odd)

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all columns are numbers."""
        return all(isinstance(column, NumberColumn) for column in self.columns)

    def inputs(self, source: Source, unseen: Unseen = "error") -> tuple[Array, Counts]:
        """Return the inputs, (N, I) float32, and the counts of missing and unseen values.

        A category that is not in the training data is an error, or missing, as ``unseen`` says.

        Raises: TableError if a column is absent or of another kind than in training.
        """
        for column in self.columns:
            if column.name not in source.index:
                check_column(source, column.name)
        memory.check_fits(
            4 * len(source) * self.width,
            f"the encoding of {len(source):,} rows as {self.width:,} inputs",
            "give fewer rows at a time, or leave columns of many categories out",
        )
        X = np.zeros((len(source), self.width), np.float32)
        counts = Counts()
        encoder = self.number_encoder
        if encoder.names:
            A = self._numbers(source)
            missing = np.isnan(A).sum(axis=0)
            for place in np.flatnonzero(missing):
                counts.add_missing(encoder.names[place], int(missing[place]), "the median")
            encoder.encode(A, X[:, : encoder.width])
        start = encoder.width
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                end = start + column.width
                column.encode(source, X[:, start:end], unseen, counts)
                start = end
        if self._dates:
            encode_circles(self._dates, A[:, ~self._is_number], X[:, start:])
        return X, counts

    def width_with_bins(self, bins: int) -> int:
        """Return the most inputs that ``with_bins`` makes."""
        now, most = 0, most_bins(bins, len(self.columns))
        for column in self.columns:
            if not isinstance(column, CategoryColumn):
                number = column.days if isinstance(column, DateColumn) else column
                now += max(0, len(number.knots) - 1)
        limit = self.numbers * (most if most > 1 else 0)
        return self.width - now + (now if bins == MAX_BINS else limit)

    def with_bins(
        self, source: Source, rows: Indices, weights: Array | None, bins: int
    ) -> Encoding:
        """Return the encoding with other bins for numbers and days, fitted on the same rows.

        Shapes: rows (n,) numbers of the table's rows; weights (n,) or None. As for ``fit_column``.
        """
        w = np.ones(len(rows)) if weights is None else weights
        places = {name: place for place, name in enumerate(self.number_encoder.names)}
        repeats = {name: source.repeats(name) for name in places}
        A = self._numbers(source)[rows] if None in repeats.values() else None
        most = most_bins(bins, len(self.columns))

        def values_of(column: NumberColumn | DateColumn) -> tuple[Array, Array]:
            given = repeats[column.name]
            if given is not None:
                return self.read(source, column), given.weights
            assert A is not None
            return A[:, places[column.name]], w

        def fitted(column: NumberColumn, values: Array, w: Array) -> NumberColumn:
            known = ~np.isnan(values)
            new = fit_number_column(column.name, values[known], w[known], column.flagged, most)
            return replace(column, knots=new.knots)

        columns = [
            fitted(column, *values_of(column))
            if isinstance(column, NumberColumn)
            else replace(column, days=fitted(column.days, *values_of(column)))
            if isinstance(column, DateColumn)
            else column
            for column in self.columns
        ]
        return replace(self, columns=tuple(columns))

    def sets_apart(self, source: Source, rows: Indices, chosen: Array) -> Array:
        """Return which chosen rows have a value that sets them apart from the others, (n,).

        That is a number beyond the others' range by more than the range, or a category of its own.

        Shapes: rows (n,) numbers of the table's rows; chosen (n,) booleans.
        """
        apart = np.zeros(len(rows), dtype=np.bool_)
        if self.number_encoder.names:
            A = self._numbers(source)[rows]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # columns without a value
                low, high = np.nanmin(A[~chosen], axis=0), np.nanmax(A[~chosen], axis=0)
            width = high - low
            apart |= ((high + width < A) | (low - width > A)).any(axis=1)
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                texts = read_texts(source, column.name, column.categories)[rows]
                common = set(texts[~chosen])
                apart |= np.array([text not in common for text in texts])
        return apart & chosen

    def _numbers(self, source: Source) -> Array:
        """Return the number columns and the days of dates, (N, C) float64, NaN where missing."""
        names = self._number_names
        A = source.numbers(names) if names else np.empty((len(source), 0))
        if A is None:
            A = np.empty((len(source), len(self._number_names)))
            for place, column in enumerate(self._number_columns):
                A[:, place] = self.read(source, column)
        if len(self._number_names) == len(self.number_encoder.names):
            return A
        merged = np.empty((len(source), len(self.number_encoder.names)))
        merged[:, self._is_number] = A
        merged[:, ~self._is_number] = np.stack([read_days(source, d) for d in self._dates], axis=1)
        return merged

    @cached_property
    def _number_columns(self) -> list[NumberColumn]:
        return [column for column in self.columns if isinstance(column, NumberColumn)]

    @cached_property
    def _number_names(self) -> list[str]:
        return [column.name for column in self._number_columns]

    @cached_property
    def _dates(self) -> list[DateColumn]:
        return [column for column in self.columns if isinstance(column, DateColumn)]

    @cached_property
    def _is_number(self) -> Array:
        """Which of the encoder's columns are numbers, not days."""
        encoded = [column for column in self.columns if not isinstance(column, CategoryColumn)]
        return np.array([isinstance(column, NumberColumn) for column in encoded])


def fit(
    source: Source,
    train: Indices,
    target: Target,
    drop: Collection[str] = (),
    weights: Array | None = None,
    *,
    separate_target: bool = False,
    embeds: bool = False,
) -> tuple[Encoding, list[Note]]:
    """Return the encoding of all columns but the target, and notes on columns left out.

    A ``separate_target`` is fitted already, and stands outside the table: a column with its name is
    an input like any other. ``embeds`` has columns of many categories embedded: the network's first
    layer must be an ``Embedding`` of them.

    Medians, ranges, quantiles, categories and the target's scale come from the rows ``train`` (n,)
    alone, with ``weights`` (n,): a row of weight 2 counts as two.

    Raises: TableError if a column to drop is absent, or no column is left.
    """
    for name in drop:
        check_column(source, name)
    w = np.ones(len(train)) if weights is None else weights
    columns: list[NumberColumn | DateColumn | CategoryColumn] = []
    notes: list[Note] = []
    excluded = {*drop, *(() if separate_target else target.names)}
    names = [name for name in source.columns if name not in excluded]
    bins = most_bins(MAX_BINS, len(names))
    for name in names:
        try:
            column, note = fit_column(read_column(source, name), name, train, w, bins, embeds)
        except UnsupportedType as error:
            line = f"{name} is left out: it holds {error.kind} values: no numbers, texts or dates"
            column, note = None, Note("left out", name, line)
        if column is not None:
            columns.append(column)
        if note is not None:
            notes.append(note)
    if not columns:
        reasons = "; ".join(note.line for note in notes) or "it holds the target alone"
        raise TableError(f"{source.name} has no column to learn from: {reasons}")
    encoding = Encoding(tuple(columns), target)
    if target.task == "regression" and not separate_target:
        values = target.numbers(source)[train]
        if values.min() == values.max():
            raise TableError(
                f"target {target.name!r} of {source.name} is {values[0]:g} in all rows to train "
                "on: there is nothing to learn; give more rows"
            )
        encoding, more = with_quantities(encoding, source, train, values[:, None], w)
        notes += more
    return encoding, notes


def most_bins(bins: int, columns: int) -> int:
    """Return how many bins each of a table's columns may have, fewer if there are many columns."""
    return min(bins, FULL_BIN_COLUMNS * bins // max(1, columns))


def with_quantities(
    encoding: Encoding,
    source: Source,
    rows: Indices,
    values: Array,
    weights: Array | None = None,
    *,
    keep_outliers: bool = False,
    how_to_keep: str = "",
) -> tuple[Encoding, list[Note]]:
    """Return the encoding with its target fitted on quantities, and notes on clipped outliers.

    An outlier in a row that an input sets apart, too, is kept.

    Shapes: rows (n,) numbers of the table's rows; values (n, O); weights (n,) or None.
    """
    before = encoding.target
    names, table = before.names, source.name
    target = fit_quantities(names, values, weights, table, keep_outliers)
    outliers = target.outliers(values)
    unusual = np.asarray(outliers.any(axis=1))
    apart = encoding.sets_apart(source, rows, unusual) if unusual.any() else unusual
    if apart.any():
        target = fit_quantities(names, values, weights, table, apart)
        outliers = target.outliers(values)
    notes = []
    for place, name in enumerate(names):
        count = int(outliers[:, place].sum())
        if count:
            line = (
                f"{name} holds {count:,} outlier{'' if count == 1 else 's'}, clipped to between "
                f"{target.low[place]:.6g} and {target.high[place]:.6g} for training: mend what is "
                f"wrong{how_to_keep}"
            )
            notes.append(Note("outliers", name, line))
    return replace(encoding, target=replace(target, notation=before.notation)), notes
