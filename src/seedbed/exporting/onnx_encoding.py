"""From a table's columns to the networks' inputs, as ONNX."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from onnx import helper

from seedbed.arrays import Array, Indices
from seedbed.exporting.model import ExportModel
from seedbed.exporting.onnx_graph import TYPES, Graph
from seedbed.exporting.tracing import Kind
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.encoding import Encoding
from seedbed.tables.notation import MISSING_WORDS
from seedbed.tables.numbers import MAX_SQUARABLE

_MISSING, _UNSEEN, _FIRST = 0, 1, 2
"""The rows of a category's table: of a missing text, of one unseen in training, and of the first
category."""


def inputs(model: ExportModel) -> list[Any]:
    """Return the graph's inputs: one for each column, (N,); of a population, x (N, I)."""
    if model.encoding is None:
        return [helper.make_tensor_value_info("x", TYPES[model.kind], ["rows", model.inputs])]
    names = input_names(model.encoding)
    return [
        helper.make_tensor_value_info(
            names[column.name],
            TYPES["string" if isinstance(column, CategoryColumn) else "float64"],
            ["rows"],
            doc_string=described(column),
        )
        for column in model.encoding.columns
    ]


def input_names(encoding: Encoding) -> dict[str, str]:
    """Return the names of the columns' inputs: their own, but ONNX wants one for a nameless one."""
    names = [column.name for column in encoding.columns]
    free = "column"
    while free in names:
        free += "_"
    return {name: name or free for name in names}


def described(column: Any) -> str:
    """Return what a column's values are."""
    if isinstance(column, CategoryColumn):
        unseen = "count as rare" if column.has_rest else "count as missing"
        return f"text without blanks around it; '' where missing; unseen texts {unseen}"
    if isinstance(column, DateColumn):
        return "days since 1970-01-01; NaN where missing"
    return "number; NaN where missing"


def _spellings(word: str) -> list[str]:
    """Return a word for a missing value as people write it; "NaN" and "NaT" are pandas' own."""
    usual = [word, word.upper(), word.capitalize(), word.title()]
    return [*usual, "NaN", "NaT"] if word in ("nan", "nat") else usual


class Lookup(NamedTuple):
    """Category numbers as rows of a table of embeddings.

    row     the name of the rows' numbers, (N,)
    levels  the embedding's level of each of the table's rows
    """

    row: str
    levels: Indices


class Encoder:
    """Adds the nodes from the graph's inputs to those of the networks."""

    def __init__(self, graph: Graph, model: ExportModel) -> None:
        self.graph, self.model, self.kind = graph, model, model.kind
        self.names = {} if model.encoding is None else input_names(model.encoding)
        self.values = self.missing = ""  # of the numbers, (N, C)

    def encoded(self) -> tuple[str, dict[int, Lookup], str]:
        """Return the inputs x (N, I) without category numbers, these by their place among I, and
        the number of unseen texts (N,).
        """
        g, encoding = self.graph, self.model.encoding
        if encoding is None:
            return "x", {}, self._no_texts("x")
        pieces = self._numbers() if self.model.numbers else []
        indices, unseen, place = {}, [], encoding.number_encoder.width
        for column in self.model.categories:
            row = self._looked_up(column)
            if not column.has_rest:
                one = g.constant(np.array(_UNSEEN), "unseen row")
                is_unseen = g.node("Equal", row, one, name=f"{column.name}: is unseen")
                unseen.append(g.cast(is_unseen, "float64", f"{column.name}: unseen"))
            if column.embedded:
                indices[place] = Lookup(row, _levels_of(column))
            else:
                table = g.constant(_inputs_of(column, self.kind), f"{column.name}: inputs by row")
                pieces.append(g.node("Gather", table, row, name=f"{column.name}: inputs"))
            place += column.width
        pieces += self._circles()
        count = (
            self._sum("unseen texts", *unseen)
            if unseen
            else self._no_texts(self.names[encoding.columns[0].name])
        )
        x = g.node("Concat", *pieces, name="inputs", axis=1) if pieces else ""
        return x, indices, count

    def _no_texts(self, given: str) -> str:
        """Return zeros (N,)."""
        g = self.graph
        shape = g.node("Shape", given, name="number of rows", start=0, end=1)
        return g.node(
            "ConstantOfShape", shape, name="unseen texts",
            value=helper.make_tensor("value", TYPES["float64"], [1], [0.0]),
        )  # fmt: skip

    def _numbers(self) -> list[str]:
        """Return the inputs of numbers and days: clipped values, bins, flags; each (N, …)."""
        g, model, encoder = self.graph, self.model, self.model.number_encoder
        a = g.columns([self.names[each.name] for each in model.numbers], "numbers")
        missing = g.node("IsNaN", a, name="is missing")
        infinite = g.node("IsInf", a, name="is infinite")
        center = g.constant(encoder.center[None], "centers")
        a = self.values = g.node("Where", missing, center, a, name="values")
        self.missing = missing
        limit = g.constant(np.array(MAX_SQUARABLE), "largest")
        lowest = g.constant(np.array(-MAX_SQUARABLE), "lowest")
        one, nine = g.constant(np.array(1.0), "1"), g.constant(np.array(9.0), "9")
        z = g.node("Sub", a, center, name="less centers")
        z = g.node("Mul", z, g.constant(encoder.factor[None], "factors"), name="scaled")
        z = g.node("Clip", z, lowest, limit, name="z")
        square = g.node("Mul", z, z, name="z z")
        root = g.node("Div", square, nine, name="z z / 9")
        root = g.node("Add", root, one, name="1 + z z / 9")
        root = g.node("Sqrt", root, name="root")
        z = g.node("Div", z, root, name="clipped smoothly")
        nan = g.constant(np.array(np.nan), "NaN")
        z = g.node("Where", infinite, nan, z, name="clipped numbers")  # as predict refuses them
        pieces = [g.cast(z, self.kind, "clipped inputs")]
        if self.model.bins:
            columns, lows, slopes = map(np.array, zip(*self.model.bins, strict=True))
            own = g.node("Gather", a, g.constant(columns, "bins' columns"), name="binned", axis=1)
            own = g.node("Sub", own, g.constant(lows[None], "bins' lows"), name="less lows")
            own = g.node("Mul", own, g.constant(slopes[None], "bins' slopes"), name="along")
            zero = g.constant(np.array(0.0), "0")
            own = g.node("Clip", own, zero, one, name="bins")
            pieces.append(g.cast(own, self.kind, "bin inputs"))
        if len(encoder.flagged):
            flagged = g.constant(encoder.flagged.astype(np.int64), "flagged columns")
            flags = g.cast(missing, self.kind, "missing as numbers")
            pieces.append(g.node("Gather", flags, flagged, name="missing inputs", axis=1))
        return pieces

    def _looked_up(self, column: CategoryColumn) -> str:
        """Return the rows (N,) that a column's texts have in its table."""
        rows = {
            spelling: _MISSING for word in sorted(MISSING_WORDS) for spelling in _spellings(word)
        }
        rows |= {text: _FIRST + code for text, code in column._codes.items()}
        return self.graph.node(
            "LabelEncoder", self.names[column.name], name=f"{column.name}: row",
            keys_strings=list(rows), values_int64s=list(rows.values()), default_int64=_UNSEEN,
        )  # fmt: skip

    def _circles(self) -> list[str]:
        """Return the inputs of dates' circles, each (N, 2)."""
        g, pieces = self.graph, []
        for place, circle in self.model.circles:
            name = f"{self.model.numbers[place].name}: {circle}"
            at = g.constant(np.array(place), f"column {place}")
            days = g.node("Gather", self.values, at, name=f"{name}: days", axis=1)
            whole = g.node("Floor", days, name=f"{name}: whole days")
            if circle == "time":
                turns = g.node("Sub", days, whole, name=f"{name}: of the day")
            elif circle == "weekday":
                turns = self._weekday(whole, name)
            else:
                turns = self._month(whole, name)
            angle = g.node("Mul", turns, g.constant(np.array(2 * np.pi), "2 pi"),
                           name=f"{name}: angle")  # fmt: skip
            pair = [
                g.node(operator, angle, name=f"{name}: {operator.lower()}")
                for operator in ("Cos", "Sin")
            ]
            own = g.cast(g.columns(pair, f"{name}: pair"), self.kind, f"{name}: unless missing")
            gone = g.node("Gather", self.missing, at, name=f"{name}: is missing", axis=1)
            axis = g.constant(np.array([1]), "axis 1")
            gone = g.node("Unsqueeze", gone, axis, name=f"{name}: is missing, as a column")
            zero = g.constant(np.array(0, self.kind), "zero")
            pieces.append(g.node("Where", gone, zero, own, name=f"{name}: inputs"))
        return pieces

    def _divided(self, x: str, by: int, name: str) -> str:
        """Return the whole part of x / by, for whole numbers x."""
        ratio = self.graph.node("Div", x, self._number(by), name=f"{name}: / {by}")
        return self.graph.node("Floor", ratio, name=f"{name}: by {by}")

    def _number(self, value: float) -> str:
        return self.graph.constant(np.array(float(value)), f"{value:g}")

    def _sum(self, name: str, *terms: str) -> str:
        return self.graph.node("Sum", *terms, name=name)

    def _times(self, x: str, by: float, name: str) -> str:
        return self.graph.node("Mul", x, self._number(by), name=f"{name}: times {by:g}")

    def _weekday(self, day: str, name: str) -> str:
        """Return the weekday's share of the week, 0 on Monday."""
        shifted = self._sum(f"{name}: from Monday", day, self._number(3))
        weeks = self._times(self._divided(shifted, 7, name), -7, name)
        return self.graph.node("Div", self._sum(name, shifted, weeks), self._number(7),
                               name=f"{name}: turns")  # fmt: skip

    def _month(self, day: str, name: str) -> str:
        """Return the month's share of the year, 0 in January: as ``c_runtime`` has it."""
        z = self._sum(f"{name}: z", day, self._number(719_468))
        era = self._times(self._divided(z, 146_097, name), -146_097, name)
        doe = self._sum(f"{name}: day of 400 years", z, era)
        leaps = [
            self._times(self._divided(doe, 1460, name), -1, name),
            self._divided(doe, 36_524, name),
            self._times(self._divided(doe, 146_096, name), -1, name),
        ]
        yoe = self._divided(self._sum(f"{name}: without leaps", doe, *leaps), 365, name)
        years = [
            self._times(yoe, -365, name),
            self._times(self._divided(yoe, 4, name), -1, name),
            self._divided(yoe, 100, name),
        ]
        doy = self._sum(f"{name}: day from March 1", doe, *years)
        scaled = self._sum(f"{name}: 5 d + 2", self._times(doy, 5, name), self._number(2))
        from_march = self._divided(scaled, 153, name)
        month = self._sum(f"{name}: + 2", from_march, self._number(2))
        late = self._times(self._divided(month, 12, name), -12, name)
        return self.graph.node("Div", self._sum(name, month, late), self._number(12),
                               name=f"{name}: turns")  # fmt: skip


def _levels_of(column: CategoryColumn) -> Indices:
    """Return an embedded column's levels, (rows,), for missing, unseen, and each category."""
    count = len(column.categories)
    return np.array([0, 1 + count if column.has_rest else 0, *range(1, 1 + count)])


def _inputs_of(column: CategoryColumn, kind: Kind) -> Array:
    """Return a column's table: the inputs (rows, width) for missing, unseen, and each category."""
    count = len(column.categories)
    made = np.zeros((_FIRST + count, column.width), kind)
    if column.has_rest:
        made[_UNSEEN, count] = 1
    if column.width == 1:
        made[_FIRST:, 0] = [1, -1] if count == 2 else 1
    else:
        made[_FIRST:, :count] = np.eye(count)
    return made
