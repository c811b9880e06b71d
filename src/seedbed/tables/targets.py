"""What is predicted: a column of classes or of quantities, and which rows it is known in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.errors import SettingError, TableError
from seedbed.reproducible import average, total
from seedbed.tables.numbers import FAR, quantiles, reach_of
from seedbed.tables.sources import Source, as_texts, check_column, codes, is_missing, listed

MOST_CLASSES = 20
"""A target of whole numbers with more different ones is taken for a quantity."""

Task = Literal["classification", "regression"]
Kind = Literal["text", "integer", "float", "boolean"]


@dataclass(frozen=True)
class Target:
    """What is predicted: one of ``classes``, or quantities, each mean + scale · output.

    names    the columns; several of them are several quantities, or, where ``labels`` is true,
             labels of which each is there or not on its own
    kind     what the classes' texts stand for
    low, high   of quantities, in their units: values to train on are held between the two
    """

    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    kind: Kind = "text"
    labels: bool = False
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    low: tuple[float, ...] = (-math.inf,)
    high: tuple[float, ...] = (math.inf,)

    @property
    def name(self) -> str:
        """The one column's name."""
        return self.names[0]

    @property
    def task(self) -> Task:
        """Whether it is a class or a quantity."""
        return "classification" if self.classes or self.labels else "regression"

    @property
    def outputs(self) -> int:
        """O, the number of outputs that it needs."""
        return len(self.classes) or len(self.names)

    def encode(self, source: Source) -> Array:
        """Return class numbers or standardised numbers, (N,) float64, NaN where missing.

        Raises: TableError if a class was not there in training, or a number is not one.
        """
        if not self.classes:
            return self.standardised(source.numbers(self.name)[:, None])[:, 0]
        numeric = self.kind == "integer"
        texts = as_texts(source.numbers(self.name)) if numeric else source.texts(self.name)
        code = codes(texts, self.classes)
        missing = is_missing(texts)
        strange = (code < 0) & ~missing
        if strange.any():
            row = int(np.argmax(strange))
            raise TableError(
                f"target {self.name!r} of {source.name} holds {texts[row]!r} in row {row + 1}, "
                f"which was not there in training ({listed(self.classes)})"
            )
        return np.where(missing, np.nan, code)

    def standardised(self, values: Array) -> Array:
        """Return quantities, (N, O) in their units, as the network is to give them."""
        return np.asarray((values - np.array(self.mean)) / np.array(self.scale)) + 0.0

    def restored(self, outputs: Array) -> Array:
        """Return what the network gives, (…, O), in the quantities' units, float64."""
        return np.asarray(np.array(self.mean) + np.array(self.scale) * outputs)

    def far_off(self, values: Array) -> int:
        """Return how many quantities, (N, O) in their units, are held nearer to train on."""
        return int(((values < np.array(self.low)) | (values > np.array(self.high))).sum())

    def to_train_on(self, encoded: Array) -> Array:
        """Return encoded targets, (N,) or (N, O), as they are best trained on.

        A quantity far off all the others is brought nearer: it would count for more than they do.
        """
        if self.task == "classification":
            return encoded
        low, high = (self.standardised(np.array(limit)) for limit in (self.low, self.high))
        return np.clip(encoded, low, high) if encoded.ndim > 1 else np.clip(encoded, *low, *high)


def quantities(names: Sequence[str], values: Array, weights: Array | None, table: str) -> Target:
    """Return the target of quantities, fitted on values (N, O) with row weights (N,) or None.

    Single values far off, one or two or one in a thousand of them, are held to within ten times the
    distance from the median that all but 1 in 50 keep. Where more values lie further they belong
    to the rest, and none is held. Mean and scale are those of the values so held.

    Raises: TableError if one holds numbers too large.
    """
    w = np.ones(len(values)) if weights is None else weights
    found = []
    for name, y in zip(names, values.T, strict=True):
        if np.abs(y).max() > FAR:
            raise TableError(
                f"target {name!r} of {table} holds numbers as large as {np.abs(y).max():g}, too "
                "large to train on: give them in a larger unit"
            )
        y = y + 0.0  # one zero: a sort may mix two
        (middle,) = quantiles(y, w, [0.5])
        far = np.abs(y - middle)
        reach = reach_of(far, w) or 1.0
        count = max(float(total(w)), len(w))
        if total(w[far > reach]) / total(w) > max(2.5 / count, 0.001):
            reach = math.inf
        held = np.clip(y, middle - reach, middle + reach)
        mean = float(average(held, w))
        unit = float(np.abs(held - mean).max()) or 1.0  # taken out: no square underflows
        scale = unit * float(np.sqrt(average(((held - mean) / unit) ** 2, w)))
        scale = scale or 1e-6 * abs(mean) or 1.0  # a constant is predicted as it is
        found.append((mean, scale, float(middle - reach), float(middle + reach)))
    means, scales, lows, highs = zip(*found, strict=True)
    return Target(tuple(names), mean=means, scale=scales, low=lows, high=highs)


def find_target(source: Source, name: str, task: Task | None) -> tuple[Target, Indices]:
    """Return what is to be predicted and the rows where it is known.

    Where ``task`` is None, texts and up to ``MOST_CLASSES`` different whole numbers are classes,
    and other numbers quantities.

    Raises: TableError if the column is not there, has one value only, or does not fit the task.
    """
    if task is not None and task not in get_args(Task):
        raise SettingError(f"task must be one of {get_args(Task)}, not {task!r}")
    check_column(source, name, "target column")
    numeric = source.is_numeric(name) or task == "regression"
    values = source.numbers(name) if numeric else source.texts(name)
    known = np.flatnonzero(~is_missing(values))
    if not len(known):
        raise TableError(f"target {name!r} of {source.name} has no value in any row")
    different = sorted(set(values[known].tolist()))
    if len(different) < 2:
        (only,) = _labels(different)
        raise TableError(
            f"target {name!r} of {source.name} is {only!r} in all {len(known)} rows: there is "
            "nothing to learn; give rows with at least two different values"
        )
    if task is None:
        quantity = numeric and (
            len(different) > MOST_CLASSES or any(value != round(value) for value in different)
        )
        task = "regression" if quantity else "classification"
    if task == "regression":
        return Target((name,)), known
    if len(different) > max(2, len(known) / 2):
        raise TableError(
            f"target {name!r} of {source.name} has {len(different):,} different values in "
            f"{len(known):,} rows, too many for classes: name another target"
            + (", or --task regression" if numeric else "")
        )
    return Target((name,), _labels(different), "integer" if numeric else "text"), known


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
