"""Predictions over two inputs of a network, or over two columns of a table."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices, checked_index, one_line
from seedbed.checks import checked_inputs, checked_targets
from seedbed.errors import SettingError, ShapeError
from seedbed.population import Population
from seedbed.tables.columns import read_numbers
from seedbed.tables.dates import DateColumn
from seedbed.tables.model import TableModel
from seedbed.tables.numbers import NumberColumn
from seedbed.tables.sources import ArraySource, check_column

_EPOCH = datetime.datetime(1970, 1, 1)  # dates are as the clock shows them


@dataclass(frozen=True, eq=False)
class Plane:
    """What P members predict over a grid of two inputs.

    names        of the two inputs
    sides        the grid's coordinates, (resolution,) each
    predictions  (P, resolution, resolution, O), in the target's units
    points       (N, 2) the rows' coordinates
    targets      (N, O) the rows' targets, classes as rows of 0 and 1; or None
    outputs      (O,) the outputs' names
    """

    names: tuple[str, str]
    sides: tuple[Array, Array]
    predictions: Array
    points: Array
    targets: Array | None
    outputs: Sequence[str]


def plane_of_inputs(
    population: Population,
    X: Any,
    Y: Any,
    columns: Any,
    resolution: int,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
) -> Plane:
    """Return the predictions over two inputs of a network, the others at a typical value.

    Raises: SettingError, ShapeError, DataError.
    """
    network, loss = population.network, population.recipe.loss
    x = checked_inputs(X, network, np.float64)
    labels, t = population.classes, None
    if Y is not None:
        t = checked_targets(Y, loss, network.outputs, len(x), np.float64, classes=labels)
    if labels is not None and outputs is None:  # one output is the probability of the second
        outputs = [str(label) for label in labels[-network.outputs :]]
    columns = (0, 1) if columns is None else columns
    if network.inputs < 2 or np.size(columns) != 2:
        raise SettingError(
            f"regions are drawn over two of the inputs, of which there are {network.inputs}; "
            f"columns is {one_line(columns)}"
        )
    first, second = (checked_index("columns", each, network.inputs) for each in columns)
    if first == second:
        raise SettingError(f"columns are both {first}: give two different inputs")
    categories = network.layers[0].category_columns
    for each in {first, second}.intersection(categories):
        raise SettingError(
            f"column {each} holds category numbers, which have no values between: give two columns "
            "of numbers"
        )
    names = inputs or [f"x{number + 1}" for number in range(network.inputs)]
    prefix = "class " if loss.targets == "classes" else "output "
    shown = outputs or [f"{prefix}{number}" for number in range(network.outputs)]
    shown = ["prediction"] if outputs is None and network.outputs == 1 else shown
    for what, given, count in (
        ("inputs", names, network.inputs), ("outputs", shown, network.outputs)
    ):  # fmt: skip
        if len(given) != count:
            raise ShapeError(f"{what} holds {len(given)} names and the network has {count}")
    middle = np.median(x, axis=0)
    for each in categories:
        middle[each] = np.bincount(x[:, each].astype(np.intp)).argmax()
    sides, grid = _grid(x[:, first], x[:, second], resolution)
    rows = np.tile(middle, (resolution * resolution, 1))
    rows[:, first], rows[:, second] = grid
    y = population.predict(rows).reshape(len(population), resolution, resolution, -1)
    pair = (str(names[first]), str(names[second]))
    return Plane(pair, sides, y, x[:, [first, second]], t, [str(name) for name in shown])


def plane_of_table(
    model: TableModel, population: Population, X: Any, Y: Any, columns: Any, resolution: int
) -> Plane:
    """Return the predictions over two columns of a table's numbers, the others at a typical value.

    That is the median in training, or the most frequent text in X.

    Raises: SettingError, TableError, DataError, ShapeError.
    """
    source, encoding = model.source(X), model.encoding
    numbers = {each.name: each for each in encoding.columns if isinstance(each, NumberColumn)}
    first, second = _two_columns(model, columns, list(numbers))
    read = np.stack(
        [read_numbers(source, name, numbers[name].notation, numbers[name].odd)
         for name in (first, second)], axis=1,
    )  # fmt: skip
    rows: Indices = np.flatnonzero(~np.isnan(read).any(axis=1))
    t = None
    if Y is not None or all(name in source.columns for name in encoding.target.names):
        found = model.rows(source, Y)
        known = np.isin(found.numbers, rows)
        rows, t = found.numbers[known], found.targets[known]
        if encoding.target.classes:
            t = np.eye(len(encoding.target.classes))[t]
    if not len(rows):
        raise SettingError(
            f"no row of {source.name} has values in {first!r} and {second!r}: give other columns"
        )
    sides, grid = _grid(read[rows, 0], read[rows, 1], resolution)
    varied = dict(zip((first, second), grid, strict=True))
    table = np.empty((resolution * resolution, len(encoding.columns)), dtype=object)
    for place, column in enumerate(encoding.columns):
        if column.name in varied:
            table[:, place] = varied[column.name]
        elif isinstance(column, NumberColumn):
            table[:, place] = column.center
        elif isinstance(column, DateColumn):
            table[:, place] = _EPOCH + datetime.timedelta(column.days.center)
        else:
            table[:, place] = Counter(source.texts(column.name)).most_common(1)[0][0]
    x, _ = encoding.inputs(ArraySource(table, [column.name for column in encoding.columns]))
    y = population.predict(x).astype(np.float64)
    if encoding.target.task == "regression":
        y = encoding.target.in_target_units(y)
    y = y.reshape(len(population), resolution, resolution, -1)
    return Plane((first, second), sides, y, read[rows], t, model.output_names)


def _two_columns(model: TableModel, columns: Any, numbers: Sequence[str]) -> tuple[str, str]:
    """Return the names of two columns of numbers, given by place, by name, or not at all.

    Raises: SettingError, TableError.
    """
    if columns is None:
        columns = tuple(numbers[:2])
    if np.size(columns) != 2 or isinstance(columns, str):
        raise SettingError(
            f"regions are drawn over two columns of numbers, of which there are {len(numbers)}; "
            f"columns is {one_line(columns)}"
        )
    names = []
    for given in columns:
        if not isinstance(given, str):
            given = model.columns[checked_index("columns", given, len(model.columns))]
        check_column(ArraySource(np.empty((0, len(model.columns))), model.columns), given)
        if given not in numbers:
            raise SettingError(
                f"column {given!r} does not hold numbers that the model uses: give two of "
                f"{', '.join(numbers[:8])}"
            )
        names.append(given)
    if names[0] == names[1]:
        raise SettingError(f"columns are both {names[0]!r}: give two different columns")
    return names[0], names[1]


def _grid(
    across: Array, along: Array, resolution: int
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Return the sides of a grid round two columns of points, and its points' coordinates."""
    wide, tall = (np.linspace(*_span(values), resolution) for values in (across, along))
    first, second = np.meshgrid(wide, tall)
    return (wide, tall), (first.ravel(), second.ravel())


def _span(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin
