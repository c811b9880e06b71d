"""Columns to a network's inputs and targets: numbers standardised, categories one-hot.

An ``Encoding`` is fitted on the rows to train on and then serves any table with those columns.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.errors import SettingError, TableError
from seedbed.tables.reading import Table, as_texts, is_missing, listed

MOST_CATEGORIES = 255
"""A text column of more is left out: it is a name or a free text rather than a category."""

MOST_CLASSES = 20
"""A target of whole numbers with more different ones is taken for a quantity."""

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class NumberColumn:
    """(x - mean) / scale, 0 where missing; and, if ``flagged``, a column of 1 where missing."""

    name: str
    mean: float
    scale: float
    flagged: bool

    @property
    def width(self) -> int:
        """How many inputs the column makes."""
        return 1 + self.flagged

    def encode(self, table: Table, X: Array, unseen: str) -> list[str]:
        """Write the column's inputs into X, (N, width), and return notes on what was missing."""
        numbers = table.numbers(self.name)
        missing = is_missing(numbers)
        with np.errstate(over="ignore"):
            X[:, 0] = np.where(missing, 0.0, (numbers - self.mean) / self.scale)
        if not np.isfinite(X).all():
            row = int(np.argmin(np.isfinite(X[:, 0])))
            raise TableError(
                f"column {self.name!r} of {table.name} holds {numbers[row]:g} in row {row + 1}, "
                f"too far from what was trained on ({self.mean:g} on average): mend it, or leave "
                "it empty if it is missing"
            )
        if self.flagged:
            X[:, 1] = missing
        return _missing_note(self.name, missing, "the mean")


@dataclass(frozen=True)
class CategoryColumn:
    """A column of 0 and 1 for each category; all 0 where missing."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many inputs the column makes."""
        return len(self.categories)

    def encode(self, table: Table, X: Array, unseen: str) -> list[str]:
        """Write the column's inputs into X, (N, width), and return notes on what was missing."""
        texts = table.texts(self.name)
        missing = is_missing(texts)
        code = _codes(texts, self.categories)
        strange = (code < 0) & ~missing
        notes = _missing_note(self.name, missing, "no category")
        if strange.any() and unseen == "error":
            row = int(np.argmax(strange))
            raise TableError(
                f"column {self.name!r} of {table.name} holds {texts[row]!r} in row {row + 1}, "
                f"which was not there in training ({listed(self.categories)}): mend it, or take "
                "such values as missing with --unseen missing"
            )
        if strange.any():
            seen = _count(strange.sum(), "value")
            notes.append(f"{self.name}: {seen} not seen in training, taken as missing")
        known = np.flatnonzero(code >= 0)
        X[known, code[known]] = 1
        return notes


@dataclass(frozen=True)
class Target:
    """What is predicted: one of ``classes``, or, where there are none, mean + scale · output.

    ``numeric`` classes are whole numbers, whose texts are written as numbers are.
    """

    name: str
    classes: tuple[str, ...] = ()
    numeric: bool = False
    mean: float = 0.0
    scale: float = 1.0

    @property
    def task(self) -> Task:
        """Whether it is a class or a quantity."""
        return "classification" if self.classes else "regression"

    def encode(self, table: Table) -> Array:
        """Return class numbers or standardised numbers, (N,) float64, NaN where missing.

        Raises: TableError if a class was not there in training, or a number is not one.
        """
        if not self.classes:
            return np.asarray((table.numbers(self.name) - self.mean) / self.scale)
        texts = as_texts(table.numbers(self.name)) if self.numeric else table.texts(self.name)
        code = _codes(texts, self.classes)
        missing = is_missing(texts)
        strange = (code < 0) & ~missing
        if strange.any():
            row = int(np.argmax(strange))
            raise TableError(
                f"target {self.name!r} of {table.name} holds {texts[row]!r} in row {row + 1}, "
                f"which was not there in training ({listed(self.classes)})"
            )
        return np.where(missing, np.nan, code)


@dataclass(frozen=True)
class Encoding:
    """How a table becomes a network's inputs and targets, fitted on the rows to train on."""

    columns: tuple[NumberColumn | CategoryColumn, ...]
    target: Target

    @property
    def width(self) -> int:
        """I, the number of inputs that the columns make."""
        return sum(column.width for column in self.columns)

    @property
    def outputs(self) -> int:
        """O, the number of outputs that the target needs."""
        return len(self.target.classes) or 1

    def inputs(
        self, table: Table, unseen: Literal["error", "missing"] = "error"
    ) -> tuple[Array, list[str]]:
        """Return the inputs, (N, I) float32, and notes on what was missing or unseen.

        ``unseen`` says whether a category that was not there in training is an error or counts as
        missing.

        Raises: TableError if a column is not there or of another kind than in training.
        """
        for column in self.columns:
            table.check_column(column.name)
        X, notes, start = np.zeros((len(table), self.width), np.float32), [], 0
        for column in self.columns:
            notes += column.encode(table, X[:, start : start + column.width], unseen)
            start += column.width
        return X, notes

    def to_words(self) -> dict[str, Any]:
        """Return the encoding as JSON's words, numbers, lists and dicts."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "target": asdict(self.target),
        }

    @classmethod
    def from_words(cls, words: Any) -> Encoding:
        """Return the encoding that ``to_words`` described.

        Raises: KeyError, TypeError or ValueError for anything else.
        """
        columns = tuple(
            CategoryColumn(_text(given["name"]), _different(given["categories"]))
            if "categories" in given
            else NumberColumn(
                _text(given["name"]),
                _finite(given["mean"]),
                _finite(given["scale"], positive=True),
                _yes_or_no(given["flagged"]),
            )
            for given in words["columns"]
        )
        given = words["target"]
        target = Target(
            _text(given["name"]),
            _different(given["classes"]),
            _yes_or_no(given["numeric"]),
            _finite(given["mean"]),
            _finite(given["scale"], positive=True),
        )
        if len({column.name for column in columns} | {target.name}) != len(columns) + 1:
            raise ValueError("a column is named twice")
        return cls(columns, target)


def fit(
    table: Table, train: Indices, target: Target, drop: Collection[str] = ()
) -> tuple[Encoding, list[str]]:
    """Return the encoding of all columns but the target, and notes on what was left out.

    Means, scales and categories, the target's among them, come from the rows ``train`` alone.

    Raises: TableError if a column to drop is not there, none is left, or the target is constant.
    """
    for name in drop:
        table.check_column(name)
    columns: list[NumberColumn | CategoryColumn] = []
    notes = []
    for name in table.frame.columns:
        if name != target.name and name not in drop:
            column, note = _fitted(table, name, train)
            if column is not None:
                columns.append(column)
            if note:
                notes.append(f"{name} is left out: {note}")
    if not columns:
        reasons = "; ".join(notes) or "it holds the target alone"
        raise TableError(f"{table.name} has no column to learn from: {reasons}")
    if not target.classes:
        values = table.numbers(target.name)[train]
        mean, scale = _moments(table, target.name, values)
        if values.min() == values.max():
            raise TableError(
                f"target {target.name!r} of {table.name} is {values[0]:g} in all rows to train "
                "on: there is nothing to learn; give more rows"
            )
        target = replace(target, mean=mean, scale=scale)
    return Encoding(tuple(columns), target), notes


def _fitted(
    table: Table, name: str, train: Indices
) -> tuple[NumberColumn | CategoryColumn | None, str]:
    """Return how a column is encoded, or None and why it is not."""
    kind = table.unsuited(name)
    if kind is not None:
        return None, f"it holds {kind} values, neither numbers nor texts"
    numeric = table.is_numeric(name)
    values = table.numbers(name)[train] if numeric else table.texts(name)[train]
    present = values[~is_missing(values)]
    flagged = len(present) < len(values)
    different = sorted(set(present.tolist()))
    if len(different) < 2 and not (different and flagged):
        return None, "it has " + (
            "the same value in every row" if different else "no value in any row"
        )
    if numeric:
        mean, scale = _moments(table, name, present)
        constant = different[0] == different[-1]
        return NumberColumn(name, mean, 1.0 if constant else scale, flagged), ""
    if len(different) > MOST_CATEGORIES or len(different) > max(20, len(present) / 2):
        note = f"{len(different):,} different texts in {len(present):,} rows make no categories"
        strange = table.first_text(name)
        if strange is not None and strange[2] < len(table) / 2:
            row, text, count = strange
            note += (
                f"; all but {_count(count, 'value')} are numbers, the first of them {text!r} in "
                f"row {row + 1}: mend or empty those to have numbers"
            )
        return None, note
    return CategoryColumn(name, tuple(different)), ""


def _moments(table: Table, name: str, values: Array) -> tuple[float, float]:
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(values.mean())
        far = float(np.abs(values - mean).max()) or 1.0  # taken out, so that no square underflows
        scale = far * float(np.sqrt((((values - mean) / far) ** 2).mean()))
    if not (math.isfinite(mean) and math.isfinite(scale)):
        raise TableError(
            f"column {name!r} of {table.name} holds numbers as large as "
            f"{np.abs(values).max():g}, too large to standardise: give them in a larger unit"
        )
    return mean, scale


def find_target(table: Table, name: str, task: Task | None) -> tuple[Target, Indices]:
    """Return what is to be predicted and the rows where it is known.

    Where ``task`` is None, texts and up to ``MOST_CLASSES`` different whole numbers are classes,
    and other numbers quantities.

    Raises: TableError if the column is not there, has one value only, or does not fit the task.
    """
    if task is not None and task not in get_args(Task):
        raise SettingError(f"task must be one of {get_args(Task)}, not {task!r}")
    table.check_column(name, "target column")
    numeric = table.is_numeric(name) or task == "regression"
    values = table.numbers(name) if numeric else table.texts(name)
    known = np.flatnonzero(~is_missing(values))
    if not len(known):
        raise TableError(f"target {name!r} of {table.name} has no value in any row")
    different = sorted(set(values[known].tolist()))
    if len(different) < 2:
        (only,) = _labels(different)
        raise TableError(
            f"target {name!r} of {table.name} is {only!r} in all {len(known)} rows: there is "
            "nothing to learn; give rows with at least two different values"
        )
    if task is None:
        quantity = numeric and (
            len(different) > MOST_CLASSES or any(value != round(value) for value in different)
        )
        task = "regression" if quantity else "classification"
    if task == "regression":
        return Target(name), known
    if len(different) > max(2, len(known) / 2):
        raise TableError(
            f"target {name!r} of {table.name} has {len(different):,} different values in "
            f"{len(known):,} rows, too many for classes: name another target"
            + (", or --task regression" if numeric else "")
        )
    return Target(name, _labels(different), numeric), known


def split_rows(
    rows: Indices, share: float, seed: int, classes: Array | None = None
) -> tuple[Indices, Indices]:
    """Return the rows to train on and those to test with, drawn from the seed.

    Shapes: rows (N,); classes (N,) numbers: each class is then split in the same share, and keeps
    a row to train on.

    Raises: TableError if either side would be empty.
    """
    order = streams.order(streams.keys(np.array([seed]), "split", 1), len(rows))[0]
    if classes is None:
        test = order[: round(share * len(rows))]
    else:
        parts = [order[classes[order] == number] for number in np.unique(classes)]
        test = np.concatenate(
            [part[: min(round(share * len(part)), len(part) - 1)] for part in parts]
        )
    held_out = np.zeros(len(rows), dtype=np.bool_)
    held_out[test] = True
    if held_out.all() or not held_out.any():
        raise TableError(
            f"{len(rows)} rows cannot be split with {share:g} of them held out: give more rows, "
            "or another share with --test"
        )
    return rows[~held_out], rows[held_out]


def _labels(values: list[Any]) -> tuple[str, ...]:
    texts = as_texts(np.array(values)) if isinstance(values[0], float) else values
    return tuple(str(text) for text in texts)


def _codes(texts: Array, categories: Sequence[str]) -> Indices:
    """Return each text's place among the categories, -1 where it is none of them."""
    place = {category: number for number, category in enumerate(categories)}
    return np.array([place.get(text, -1) for text in texts], dtype=np.intp)


def _missing_note(name: str, missing: Array, taken: str) -> list[str]:
    if not missing.any():
        return []
    return [f"{name}: {_count(missing.sum(), 'missing value')}, taken as {taken}"]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where a text is expected")
    return value


def _different(values: Any) -> tuple[str, ...]:
    texts = tuple(_text(value) for value in values)
    if len(set(texts)) != len(texts):
        raise ValueError("a category stands twice")
    return texts


def _finite(value: Any, *, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} where a finite number is expected")
    if positive and value <= 0:
        raise ValueError(f"{value!r:.40} where a number greater than 0 is expected")
    return float(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} where true or false is expected")
    return value
