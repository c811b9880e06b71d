"""Columns to a network's inputs: numbers scaled and cut, categories one-hot; and back to words.

An ``Encoding`` is fitted on the rows to train on and then serves any table with those columns.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.errors import FileError, TableError
from seedbed.population import Population
from seedbed.reproducible import total
from seedbed.tables.numbers import NumberColumn, Numbers, number_column
from seedbed.tables.sources import Source, check_column, codes, is_missing, listed
from seedbed.tables.targets import Kind, Target, quantities

MOST_CATEGORIES = 255
"""A text column of more is left out: it is a name or a free text rather than a category."""

STRETCHES, MOST_INPUTS = 8, 256
"""Into how many stretches a column of numbers is cut, where all of them make so few inputs."""

_BOOLEANS = {
    text: truth
    for truth, number in (("false", "0"), ("true", "1"))
    for text in (truth, truth.title(), truth.upper(), number)
}

Unseen = Literal["error", "missing"]


@dataclass(frozen=True)
class CategoryColumn:
    """An input of 0 or 1 for each category, all 0 where missing; of two, one of 1, -1 or 0."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many inputs the column makes."""
        return 1 if len(self.categories) == 2 else len(self.categories)

    def encode(self, source: Source, X: Array, unseen: Unseen) -> list[str]:
        """Write the column's inputs into X, (N, width), and return notes on what was missing."""
        texts = source.texts(self.name)
        missing = is_missing(texts)
        categories: Sequence[str] = self.categories
        truths = [_BOOLEANS.get(category) for category in categories]
        if None not in truths and len({*truths}) == len(truths):  # however they are written
            categories = [str(truth) for truth in truths]
            texts = np.array([_BOOLEANS.get(text, text) for text in texts], dtype=object)
        code = codes(texts, categories)
        strange = (code < 0) & ~missing
        notes = _missing_note(self.name, missing, "no category")
        if strange.any() and unseen == "error":
            row = int(np.argmax(strange))
            raise TableError(
                f"column {self.name!r} of {source.name} holds {texts[row]!r} in row {row + 1}, "
                f"which was not there in training ({listed(self.categories)}): mend it, or take "
                "such values as missing with --unseen missing"
            )
        if strange.any():
            seen = _count(strange.sum(), "value")
            notes.append(f"{self.name}: {seen} not seen in training, taken as missing")
        known = np.flatnonzero(code >= 0)
        if self.width == 1:
            X[known, 0] = 1 - 2 * code[known] if len(self.categories) == 2 else 1
        else:
            X[known, code[known]] = 1
        return notes


@dataclass(frozen=True)
class Encoding:
    """How a table becomes a network's inputs and targets, fitted on the rows to train on.

    The inputs stand in this order: each column of numbers clipped, their stretches, their flags of
    missing values, then the categories.
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    target: Target

    @cached_property
    def width(self) -> int:
        """I, the number of inputs that the columns make."""
        return sum(column.width for column in self.columns)

    @property
    def outputs(self) -> int:
        """O, the number of outputs that the target needs."""
        return self.target.outputs

    @cached_property
    def numbers(self) -> Numbers:
        """What makes inputs of the columns of numbers."""
        return Numbers([column for column in self.columns if isinstance(column, NumberColumn)])

    @property
    def is_numeric(self) -> bool:
        """Whether all columns are numbers."""
        return len(self.numbers.names) == len(self.columns)

    def inputs(self, source: Source, unseen: Unseen = "error") -> tuple[Array, list[str]]:
        """Return the inputs, (N, I) float32, and notes on what was missing or unseen.

        ``unseen`` says whether a category that was not there in training is an error or counts as
        missing.

        Raises: TableError if a column is not there or of another kind than in training.
        """
        for column in self.columns:
            check_column(source, column.name)
            kind = source.unsuited(column.name)
            if kind is not None:
                raise TableError(
                    f"column {column.name!r} of {source.name} holds {kind} values, which it did "
                    "not in training: turn them into numbers or texts"
                )
        X, notes = np.zeros((len(source), self.width), np.float32), []
        if self.numbers.names:
            A = source.matrix(self.numbers.names)
            for name, missing in zip(self.numbers.names, np.isnan(A).T, strict=True):
                notes += _missing_note(name, missing, "the median")
            self.numbers.encode(A, X[:, : self.numbers.width])
        start = self.numbers.width
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                notes += column.encode(source, X[:, start : start + column.width], unseen)
                start += column.width
        return X, notes

    def to_words(self) -> dict[str, Any]:
        """Return the encoding as JSON's words, numbers, lists and dicts."""
        target = asdict(self.target)
        for name in ("low", "high"):
            target[name] = [limit if math.isfinite(limit) else None for limit in target[name]]
        return {"columns": [asdict(column) for column in self.columns], "target": target}

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
                _finite(given["center"]),
                _finite(given["scale"], positive=True),
                _yes_or_no(given["flagged"]),
                _rising(given["knots"]),
            )
            for given in words["columns"]
        )
        given = words["target"]
        if given["kind"] not in get_args(Kind):
            raise ValueError(f"{given['kind']!r:.40} is no kind of class")
        target = Target(
            _different(given["names"]),
            _different(given["classes"]),
            given["kind"],
            _yes_or_no(given["labels"]),
            tuple(_finite(mean) for mean in given["mean"]),
            tuple(_finite(scale, positive=True) for scale in given["scale"]),
            tuple(-math.inf if low is None else _finite(low) for low in given["low"]),
            tuple(math.inf if high is None else _finite(high) for high in given["high"]),
        )
        sizes = {len(target.mean), len(target.scale), len(target.low), len(target.high)}
        if not target.names or (target.task == "regression" and sizes != {len(target.names)}):
            raise ValueError("the target's numbers are not one for each column")
        if len({column.name for column in columns}) != len(columns):
            raise ValueError("a column is named twice")
        return cls(columns, target)


def fit(
    source: Source,
    train: Indices,
    target: Target,
    drop: Collection[str] = (),
    weights: Array | None = None,
    *,
    apart: bool = False,
) -> tuple[Encoding, list[str]]:
    """Return the encoding of all columns but the target, and notes on what was left out.

    Where the target stands ``apart``, it is none of the columns, whatever they are called.

    Medians, ranges, quantiles and categories come from the rows ``train`` alone, (n,), with
    ``weights`` (n,): a row of weight 2 counts as two. So do a quantity's mean and scale, where the
    target does not stand apart.

    Raises: TableError if a column to drop is not there, or none is left.
    """
    for name in drop:
        check_column(source, name)
    w = np.ones(len(train)) if weights is None else weights
    columns: list[NumberColumn | CategoryColumn] = []
    notes = []
    without = {*drop, *(() if apart else target.names)}
    names = [name for name in source.columns if name not in without]
    stretches = min(STRETCHES, MOST_INPUTS // max(1, len(names)))
    for name in names:
        column, note = _fitted(source, name, train, w, stretches)
        if column is not None:
            columns.append(column)
        if note:
            notes.append(f"{name} is left out: {note}")
    if not columns:
        reasons = "; ".join(notes) or "it holds the target alone"
        raise TableError(f"{source.name} has no column to learn from: {reasons}")
    if target.task == "regression" and not apart:
        values = source.numbers(target.name)[train]
        if values.min() == values.max():
            raise TableError(
                f"target {target.name!r} of {source.name} is {values[0]:g} in all rows to train "
                "on: there is nothing to learn; give more rows"
            )
        target = quantities(target.names, values[:, None], w, source.name)
    return Encoding(tuple(columns), target), notes


def _fitted(
    source: Source, name: str, train: Indices, weights: Array, stretches: int
) -> tuple[NumberColumn | CategoryColumn | None, str]:
    """Return how a column is encoded, or None and why it is not."""
    kind = source.unsuited(name)
    if kind is not None:
        return None, f"it holds {kind} values, neither numbers nor texts"
    numeric = source.is_numeric(name)
    values = source.numbers(name)[train] if numeric else source.texts(name)[train]
    missing = is_missing(values)
    present, weights, flagged = values[~missing], weights[~missing], bool(missing.any())
    ends = (present.min(), present.max()) if numeric and len(present) else ()
    different = sorted(set(ends if numeric else present.tolist()))
    if len(different) < 2 and not (different and flagged):
        return None, "it has " + (
            "the same value in every row" if different else "no value in any row"
        )
    if numeric:
        return number_column(name, present, weights, flagged, stretches), ""
    count = max(float(total(weights)), len(present))
    if len(different) > MOST_CATEGORIES or len(different) > max(20, count / 2):
        note = f"{len(different):,} different texts in {len(present):,} rows make no categories"
        return None, note + source.stray(name)
    return CategoryColumn(name, tuple(different)), ""


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
    if positive and not (value > 0 and math.isfinite(1 / value)):
        raise ValueError(f"{value!r:.40} where a number greater than 0 is expected")
    return float(value)


def checked_encoding(words: Any, population: Population, path: object) -> Encoding:
    """Return the encoding that a model file describes.

    Raises: FileError if it is broken, or does not fit the network.
    """
    try:
        encoding = Encoding.from_words(words)
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise FileError(f"the table encoding in {path} is broken ({error}): train again") from None
    network, loss = population.network, population.recipe.loss
    target = encoding.target
    meant = {"classes": bool(target.classes), "probability": target.labels}.get(
        loss.targets, target.task == "regression"
    )
    fits = (network.inputs, network.outputs) == (encoding.width, encoding.outputs)
    if not (fits and meant) or population.diverged.all():
        raise FileError(f"the table encoding in {path} does not fit its network: train again")
    return encoding


def _rising(values: Any) -> tuple[float, ...]:
    numbers = tuple(_finite(value) for value in values)
    if len(numbers) in (1, 2) or any(b <= a for a, b in pairwise(numbers)):
        raise ValueError("knots do not rise")
    return numbers


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} where true or false is expected")
    return value
