"""Test rows that an exported model carries, with the bits that it must give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import Array
from seedbed.population import Population
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.encoding import Encoding
from seedbed.tables.model import TableModel
from seedbed.tables.sources import ArraySource, Source

COUNT = 20
"""Test rows of a model."""

UNSEEN = "not seen in training"


class Rows(NamedTuple):
    """Rows as an exported model takes them, and what it must return.

    rows      a tuple for each row: of numbers and days as floats, NaN where missing, and of texts,
              None where missing; for a population, its inputs (I,)
    expected  (N, O): probabilities of classes, or predictions, float64
    spread    (N, O): the members' standard deviations
    """

    rows: Sequence[tuple[Any, ...]]
    expected: Array
    spread: Array


def made_rows(model: Population | TableModel, count: int = COUNT) -> Rows:
    """Return rows that reach all of a model's columns, and its predictions for them."""
    key = streams.keys(np.zeros(1, np.int64), "test", 1, count)
    if isinstance(model, Population):
        x = streams.normal(key, 2 * count * model.network.inputs)[0]
        x = x[: count * model.network.inputs].reshape(count, -1).astype(model.theta.dtype)
        first: Any = model.network.layers[0]
        for column, levels in zip(
            first.category_columns, getattr(first, "categories", ()), strict=False
        ):
            x[:, column] = np.arange(count) % levels
        expected, spread = predictions(model, x)
        return Rows([tuple(row) for row in x.tolist()], expected, spread)
    drawn = streams.normal(key, 2 * count * (len(model.encoding.columns) + 1))[0]
    columns = []
    for place, column in enumerate(model.encoding.columns):
        z = drawn[place * count : (place + 1) * count]
        if isinstance(column, CategoryColumn):
            known = [*column.categories, None, UNSEEN]
            columns.append([known[(row + place) % len(known)] for row in range(count)])
        else:
            of = column.days if isinstance(column, DateColumn) else column
            values = of.center + of.scale * z
            if isinstance(column, DateColumn):
                values = np.round(values, 3)
            values[place % count] = np.nan
            columns.append(values.tolist())
    rows = list(zip(*columns, strict=True))
    return predicted_rows(model, rows)


def predicted_rows(model: TableModel, rows: Sequence[tuple[Any, ...]]) -> Rows:
    """Return rows with a table model's predictions for them."""
    x, _ = model.encoding.inputs(source_of(model.encoding, rows), unseen="missing")
    return Rows(rows, *predictions(model, x))


def source_of(encoding: Encoding, rows: Sequence[tuple[Any, ...]]) -> Source:
    """Return rows as a table with an encoding's columns."""
    values = np.empty((len(rows), len(encoding.columns)), object)
    for place, column in enumerate(encoding.columns):
        own = [row[place] for row in rows]
        if isinstance(column, DateColumn):
            days = np.array(own, np.float64)
            micros = np.where(np.isnan(days), 0, np.round(days * 86_400e6)).astype(np.int64)
            dates = micros.astype("datetime64[us]")
            own = [None if missing else date for missing, date in
                   zip(np.isnan(days), dates, strict=True)]  # fmt: skip
        values[:, place] = own
    return ArraySource(values, [column.name for column in encoding.columns], "test rows")


def row_values(encoding: Encoding, source: Source) -> list[tuple[Any, ...]]:
    """Return a table's rows as an exported model takes them."""
    columns = [
        source.texts(column.name).tolist()
        if isinstance(column, CategoryColumn)
        else encoding.read(source, column).tolist()
        for column in encoding.columns
    ]
    return list(zip(*columns, strict=True))


def predictions(model: Population | TableModel, x: Array) -> tuple[Array, Array]:
    """Return what the estimators predict for inputs (N, I), and the members' spread, (N, O)."""
    population = model if isinstance(model, Population) else model.population
    recipe = replace(population.recipe, engine="compiled")  # whose bits are those of an export
    population = replace(population, recipe=recipe)
    mean = population.predict_mean(x).astype(np.float64)
    each = population.predict(x)[~population.diverged].astype(np.float64)
    target = None if isinstance(model, Population) else model.encoding.target
    if target is not None and target.task == "regression":
        mean, each = target.in_target_units(mean), target.in_target_units(each)
    spread = reproducible.std(each, 0)
    if target is not None and target.classes:
        mean = mean / reproducible.total(mean, keepdims=True)
    return mean, spread
