"""Table columns to network inputs: numbers scaled and binned, categories one-hot.

An ``Encoding`` is fitted on the training rows and then encodes any table with the same columns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.errors import FileError, TableError
from seedbed.population import Population
from seedbed.reproducible import total
from seedbed.tables.numbers import NumberColumn, NumberEncoder, fit_number_column
from seedbed.tables.sources import Source, category_codes, check_column, is_missing, join_names
from seedbed.tables.targets import ClassType, Target, fit_quantities

MAX_CATEGORIES = 255
"""Text columns with more distinct values are left out: they hold names or free text."""

MAX_BINS, MAX_BIN_INPUTS = 8, 256
"""Limits on the bins of one number column, and on the bin inputs of all columns together."""

_BOOLEANS = {
    text: boolean
    for boolean, number in (("false", "0"), ("true", "1"))
    for text in (boolean, boolean.title(), boolean.upper(), number)
}

Unseen = Literal["error", "missing"]

Notes: TypeAlias = "Counter[tuple[str, str, str]]"
"""How many values of a column, missing or not seen in training, are taken as what."""


@dataclass(frozen=True)
class CategoryColumn:
    """One-hot inputs, all 0 where missing; two categories share one input of 1, -1 or 0."""

    name: str
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """Number of inputs that the column makes."""
        return 1 if len(self.categories) == 2 else len(self.categories)

    @property
    def input_names(self) -> list[str]:
        """The inputs' names, (width,): such as "colour = red"; of two categories, the first."""
        return [f"{self.name} = {category}" for category in self.categories[: self.width]]

    def encode(self, source: Source, X: Array, unseen: Unseen) -> Notes:
        """Write the column's inputs into X (N, width) and count its missing values."""
        texts = source.texts(self.name)
        missing = is_missing(texts)
        categories: Sequence[str] = self.categories
        booleans = [_BOOLEANS.get(category) for category in categories]
        if None not in booleans and len({*booleans}) == len(booleans):  # in any spelling
            categories = [str(boolean) for boolean in booleans]
            texts = np.array([_BOOLEANS.get(text, text) for text in texts], dtype=object)
        code = category_codes(texts, categories)
        new = (code < 0) & ~missing
        notes: Notes = Counter({(self.name, "missing value", "no category"): int(missing.sum())})
        if new.any() and unseen == "error":
            row = int(np.argmax(new))
            raise TableError(
                f"column {self.name!r} of {source.name} holds {texts[row]!r} in row "
                f"{source.first_row + row + 1}, "
                f"which is not in the training data ({join_names(self.categories)}): mend it, or "
                "take such values as missing with --unseen missing"
            )
        notes[self.name, "value", "missing"] = int(new.sum())
        known = np.flatnonzero(code >= 0)
        if self.width == 1:
            X[known, 0] = 1 - 2 * code[known] if len(self.categories) == 2 else 1
        else:
            X[known, code[known]] = 1
        return notes


@dataclass(frozen=True)
class Encoding:
    """The map from a table to network inputs and targets, fitted on the training rows.

    Order of the inputs: the clipped number columns, their bins, their missing-value flags, then
    the categories.
    """

    columns: tuple[NumberColumn | CategoryColumn, ...]
    target: Target

    @cached_property
    def width(self) -> int:
        """I, the number of network inputs."""
        return sum(column.width for column in self.columns)

    @property
    def outputs(self) -> int:
        """O, the number of network outputs."""
        return self.target.outputs

    @cached_property
    def number_encoder(self) -> NumberEncoder:
        """The encoder of the number columns."""
        return NumberEncoder(
            [column for column in self.columns if isinstance(column, NumberColumn)]
        )

    @cached_property
    def input_names(self) -> list[str]:
        """The inputs' names, (I,): the column, a bin's range, "is missing", or a category."""
        names = self.number_encoder.input_names
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                names = names + column.input_names
        return names

    @property
    def is_numeric(self) -> bool:
        """Whether all columns are numbers."""
        return len(self.number_encoder.names) == len(self.columns)

    def inputs(self, source: Source, unseen: Unseen = "error") -> tuple[Array, Notes]:
        """Return the inputs, (N, I) float32, and the numbers of missing and unseen values.

        A category that is not in the training data is an error, or missing, as ``unseen`` says.

        Raises: TableError if a column is absent or of another type than in training.
        """
        for column in self.columns:
            check_column(source, column.name)
            kind = source.unsupported_type(column.name)
            if kind is not None:
                raise TableError(
                    f"column {column.name!r} of {source.name} holds {kind} values, unlike in "
                    "training: turn them into numbers or texts"
                )
        X = np.zeros((len(source), self.width), np.float32)
        notes: Notes = Counter()
        if self.number_encoder.names:
            A = source.matrix(self.number_encoder.names)
            for name, missing in zip(self.number_encoder.names, np.isnan(A).T, strict=True):
                notes[name, "missing value", "the median"] = int(missing.sum())
            self.number_encoder.encode(A, X[:, : self.number_encoder.width])
        start = self.number_encoder.width
        for column in self.columns:
            if isinstance(column, CategoryColumn):
                notes.update(column.encode(source, X[:, start : start + column.width], unseen))
                start += column.width
        return X, notes

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as a dict that JSON can hold."""
        target = asdict(self.target)
        for name in ("low", "high"):
            target[name] = [limit if math.isfinite(limit) else None for limit in target[name]]
        return {"columns": [asdict(column) for column in self.columns], "target": target}

    @classmethod
    def from_dict(cls, saved: Any) -> Encoding:
        """Return the encoding that ``to_dict`` turned into ``saved``.

        Raises: KeyError, TypeError or ValueError for any other value.
        """
        columns = tuple(
            CategoryColumn(_checked_text(given["name"]), _distinct_texts(given["categories"]))
            if "categories" in given
            else NumberColumn(
                _checked_text(given["name"]),
                _finite_number(given["center"]),
                _finite_number(given["scale"], positive=True),
                _boolean(given["flagged"]),
                _increasing(given["knots"]),
            )
            for given in saved["columns"]
        )
        given = saved["target"]
        if given["kind"] not in get_args(ClassType):
            raise ValueError(f"{given['kind']!r:.40} is not a type of classes")
        target = Target(
            _distinct_texts(given["names"]),
            _distinct_texts(given["classes"]),
            given["kind"],
            _boolean(given["labels"]),
            tuple(_finite_number(mean) for mean in given["mean"]),
            tuple(_finite_number(scale, positive=True) for scale in given["scale"]),
            tuple(-math.inf if low is None else _finite_number(low) for low in given["low"]),
            tuple(math.inf if high is None else _finite_number(high) for high in given["high"]),
        )
        sizes = {len(target.mean), len(target.scale), len(target.low), len(target.high)}
        if not target.names or (target.task == "regression" and sizes != {len(target.names)}):
            raise ValueError("the target's scales do not match its columns")
        if len({column.name for column in columns}) != len(columns):
            raise ValueError("a column name is repeated")
        return cls(columns, target)


def fit(
    source: Source,
    train: Indices,
    target: Target,
    drop: Collection[str] = (),
    weights: Array | None = None,
    *,
    separate_target: bool = False,
) -> tuple[Encoding, list[str]]:
    """Return the encoding of all columns but the target, and notes on columns left out.

    A ``separate_target`` is fitted already, and stands outside the table: a column with its name is
    an input like any other.

    Medians, ranges, quantiles, categories and the target's scale come from the rows ``train`` (n,)
    alone, with ``weights`` (n,): a row of weight 2 counts as two.

    Raises: TableError if a column to drop is absent, or no column is left.
    """
    for name in drop:
        check_column(source, name)
    w = np.ones(len(train)) if weights is None else weights
    columns: list[NumberColumn | CategoryColumn] = []
    notes = []
    excluded = {*drop, *(() if separate_target else target.names)}
    names = [name for name in source.columns if name not in excluded]
    bins = min(MAX_BINS, MAX_BIN_INPUTS // max(1, len(names)))
    for name in names:
        column, note = _fit_column(source, name, train, w, bins)
        if column is not None:
            columns.append(column)
        if note:
            notes.append(f"{name} is left out: {note}")
    if not columns:
        reasons = "; ".join(notes) or "it holds the target alone"
        raise TableError(f"{source.name} has no column to learn from: {reasons}")
    if target.task == "regression" and not separate_target:
        values = source.numbers(target.name)[train]
        if values.min() == values.max():
            raise TableError(
                f"target {target.name!r} of {source.name} is {values[0]:g} in all rows to train "
                "on: there is nothing to learn; give more rows"
            )
        target = fit_quantities(target.names, values[:, None], w, source.name)
    return Encoding(tuple(columns), target), notes


def _fit_column(
    source: Source, name: str, train: Indices, weights: Array, bins: int
) -> tuple[NumberColumn | CategoryColumn | None, str]:
    """Return a column's encoding, or None and the reason to leave it out."""
    kind = source.unsupported_type(name)
    if kind is not None:
        return None, f"it holds {kind} values, neither numbers nor texts"
    numeric = source.is_numeric(name)
    values = source.numbers(name)[train] if numeric else source.texts(name)[train]
    missing = is_missing(values)
    present, weights, flagged = values[~missing], weights[~missing], bool(missing.any())
    extremes = (present.min(), present.max()) if numeric and len(present) else ()
    distinct = sorted(set(extremes if numeric else present.tolist()))
    if len(distinct) < 2 and not (distinct and flagged):
        reason = "the same value in every row" if distinct else "no value in any row"
        return None, f"it has {reason}"
    if numeric:
        return fit_number_column(name, present, weights, flagged, bins), ""
    count = max(float(total(weights)), len(present))
    if len(distinct) > MAX_CATEGORIES or len(distinct) > max(20, count / 2):
        note = f"{len(distinct):,} different texts in {len(present):,} rows make no categories"
        return None, note + source.non_numeric_note(name)
    return CategoryColumn(name, tuple(distinct)), ""


def note_lines(notes: Notes) -> list[str]:
    """Return the notes as lines, those of each column together."""
    return [
        f"{name}: {count:,} {what}{'' if count == 1 else 's'}"
        f"{' not seen in training' if what == 'value' else ''}, taken as {replacement}"
        for (name, what, replacement), count in notes.items()
        if count
    ]


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where a text is expected")
    return value


def _distinct_texts(values: Any) -> tuple[str, ...]:
    texts = tuple(_checked_text(value) for value in values)
    if len(set(texts)) != len(texts):
        raise ValueError("a category or column is repeated")
    return texts


def _finite_number(value: Any, *, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} where a finite number is expected")
    if positive and not (value > 0 and math.isfinite(1 / value)):
        raise ValueError(f"{value!r:.40} where a number greater than 0 is expected")
    return float(value)


def checked_encoding(saved: Any, population: Population, path: object) -> Encoding:
    """Return the encoding that a model file holds.

    Raises: FileError if it is broken or does not fit the network.
    """
    try:
        encoding = Encoding.from_dict(saved)
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise FileError(f"the table encoding in {path} is broken ({error}): train again") from None
    network, loss = population.network, population.recipe.loss
    target = encoding.target
    suits_loss = {"classes": bool(target.classes), "probability": target.labels}.get(
        loss.targets, target.task == "regression"
    )
    fits = (network.inputs, network.outputs) == (encoding.width, encoding.outputs)
    if not (fits and suits_loss) or population.diverged.all():
        raise FileError(f"the table encoding in {path} does not fit its network: train again")
    return encoding


def _increasing(values: Any) -> tuple[float, ...]:
    numbers = tuple(_finite_number(value) for value in values)
    if len(numbers) in (1, 2) or any(b <= a for a, b in pairwise(numbers)):
        raise ValueError("knots do not increase")
    return numbers


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} where true or false is expected")
    return value
