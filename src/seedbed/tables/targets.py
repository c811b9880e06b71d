"""The target of a table: its classes or quantities, and the rows in which it is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.errors import SettingError, TableError
from seedbed.reproducible import total, weighted_mean
from seedbed.tables.columns import BOOLEANS, read_column, read_numbers, read_texts
from seedbed.tables.notation import PLAIN, Notation
from seedbed.tables.numbers import MAX_SQUARABLE, outlier_distance, quantiles
from seedbed.tables.sources import Source, check_column, join_names
from seedbed.tables.values import category_codes, days_of_dates, is_missing, numbers_as_texts

MIN_OUTLIER_ROWS = 30
"""Rows from which a quantity can be called an outlier."""

MAX_CLASSES = 20
"""A target of whole numbers with more distinct values counts as a quantity."""

Task = Literal["classification", "regression"]
ClassType = Literal["text", "integer", "float", "boolean", "date"]


@dataclass(frozen=True)
class Target:
    """What is predicted: one of ``classes``, or quantities, each mean + scale · output.

    names      the columns; several are several quantities or, if ``labels``, independent labels
    kind       the type of the classes, which are stored as texts
    low, high  of quantities, in target units: training values are clipped to them
    notation   how texts write quantities and whole-number classes
    """

    names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    kind: ClassType = "text"
    labels: bool = False
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    low: tuple[float, ...] = (-math.inf,)
    high: tuple[float, ...] = (math.inf,)
    notation: Notation = PLAIN

    @property
    def name(self) -> str:
        """The name of the first column, mostly the only one."""
        return self.names[0]

    @property
    def task(self) -> Task:
        """Whether the target is classes or quantities."""
        return "classification" if self.classes or self.labels else "regression"

    @property
    def outputs(self) -> int:
        """O, the number of network outputs."""
        return len(self.classes) or len(self.names)

    def encode(self, source: Source) -> Array:
        """Return class numbers or standardised quantities, (N,) float64, NaN where missing.

        Raises: TableError for a class that is not in the training data, or a text among numbers.
        """
        if not self.classes:
            return self.standardised(self.numbers(source)[:, None])[:, 0]
        if self.kind == "date":
            texts = self._dates_as_classes(source)
        elif self.kind in ("integer", "float"):
            texts = numbers_as_texts(self.numbers(source))
        else:
            texts = read_texts(source, self.name, self.classes)
        if self.kind == "boolean":  # in any spelling
            texts = np.array([BOOLEANS.get(text, text) for text in texts], dtype=object)
        code = category_codes(texts, self.classes)
        missing = is_missing(texts)
        unseen = (code < 0) & ~missing
        if unseen.any():
            row = int(np.argmax(unseen))
            raise TableError(
                f"target {self.name!r} of {source.name} holds {texts[row]!r} in row "
                f"{source.row_number(self.name, row)}, "
                f"which is not in the training data ({join_names(self.classes)})"
            )
        return np.where(missing, np.nan, code)

    def _dates_as_classes(self, source: Source) -> Array:
        """Return the target's column, typed as dates, as classes; a date of no class as it is."""
        kind, days = source.column(self.name)
        if kind != "date":
            return source.texts(self.name)
        names = dict(zip(days_of_dates(self.labels_of(np.arange(len(self.classes)))),
                         self.classes, strict=True))  # fmt: skip
        return np.array(
            [None if np.isnan(day) else names.get(day, f"day {day:g}") for day in days], object
        )

    def numbers(self, source: Source) -> Array:
        """Return the target's column as numbers, (N,) float64, NaN where missing.

        Raises: TableError for a text that is no number.
        """
        check_column(source, self.name, "target column")
        return read_numbers(source, self.name, self.notation, what="target")

    def labels_of(self, encoded: Array) -> Array:
        """Return class numbers (N,) as classes, or standardised quantities in target units, (N,).

        A quantity is rounded as ``standardised`` and ``in_target_units`` round it.
        """
        if not self.classes:
            return self.in_target_units(encoded[:, None])[:, 0]
        parsers: dict[str, Callable[[str], Any]] = {
            "integer": int, "float": float, "boolean": "true".__eq__, "text": str,
            "date": np.datetime64,
        }  # fmt: skip
        values = [parsers[self.kind](text) for text in self.classes]
        large = self.kind == "integer" and max(values) > np.iinfo(np.int64).max
        classes = np.array(values, np.uint64 if large else None)
        return np.asarray(classes[encoded.astype(np.intp)])

    def standardised(self, values: Array) -> Array:
        """Return quantities (N, O) in target units as standardised network outputs."""
        return np.asarray((values - np.array(self.mean)) / np.array(self.scale)) + 0.0

    def in_target_units(self, outputs: Array) -> Array:
        """Return network outputs (…, O) in target units, float64."""
        return np.asarray(np.array(self.mean) + np.array(self.scale) * outputs)

    def outliers(self, values: Array) -> Array:
        """Return which quantities, (N, O) in target units, are clipped for training."""
        return np.asarray((values < np.array(self.low)) | (values > np.array(self.high)))

    def clip_outliers(self, encoded: Array) -> Array:
        """Return encoded targets, (N,) or (N, O), with outliers among quantities clipped.

        Unclipped, an outlier would outweigh all other rows in the loss.
        """
        if self.task == "classification":
            return encoded
        low, high = (self.standardised(np.array(limit)) for limit in (self.low, self.high))
        return np.clip(encoded, low, high) if encoded.ndim > 1 else np.clip(encoded, *low, *high)


def fit_quantities(
    names: Sequence[str],
    values: Array,
    weights: Array | None,
    table: str,
    keep: Array | bool = False,
) -> Target:
    """Return the target of quantities, fitted on values (N, O) with row weights (N,) or None.

    From ``MIN_OUTLIER_ROWS`` rows, up to two outliers, or one row in a thousand, are clipped to
    ``outlier_distance`` from the median. If more values lie further, they are no outliers, and none
    is clipped. Mean and scale are those of the clipped values.

    keep  rows (N,) whose values are no outliers, or True for all rows

    Raises: TableError if a value is too large.
    """
    w = np.ones(len(values)) if weights is None else weights
    fitted = []
    for name, y in zip(names, values.T, strict=True):
        if np.abs(y).max() > MAX_SQUARABLE:
            raise TableError(
                f"target {name!r} of {table} holds numbers as large as {np.abs(y).max():g}, too "
                "large to train on: give them in a larger unit"
            )
        y = y + 0.0  # a sort may mix -0.0 and 0.0
        (median,) = quantiles(y, w, [0.5])
        distances = np.abs(y - median)
        limit = outlier_distance(distances, w) or 1.0
        count = max(float(total(w)), len(w))
        share = total(w[distances > limit]) / total(w)
        kept = distances[np.broadcast_to(keep, len(y))]
        limit = max(limit, kept.max(initial=0.0))
        few = len(y) < MIN_OUTLIER_ROWS
        if few or share > max(2.5 / count, 0.001) or (len(kept) and (distances <= limit).all()):
            limit = math.inf
        low, high = median - limit, median + limit
        clipped = np.clip(y, low, high)
        mean = float(weighted_mean(clipped, w))
        largest = float(np.abs(clipped - mean).max()) or 1.0  # divided out: no square underflows
        scale = largest * float(np.sqrt(weighted_mean(((clipped - mean) / largest) ** 2, w)))
        scale = scale or 1e-6 * abs(mean) or 1.0  # a constant target is predicted exactly
        fitted.append((mean, scale, float(low), float(high)))
    means, scales, lows, highs = zip(*fitted, strict=True)
    return Target(tuple(names), mean=means, scale=scales, low=lows, high=highs)


def find_target(source: Source, name: str, task: Task | None) -> tuple[Target, Indices]:
    """Return the target and the rows in which it is known: places in the source's column.

    If ``task`` is None, texts and up to ``MAX_CLASSES`` distinct whole numbers are classes, and
    other numbers are quantities.

    Raises: SettingError for another task; TableError if the column is absent, has only one value or
    does not fit the task.
    """
    if task is not None and task not in get_args(Task):
        raise SettingError(f"task must be one of {get_args(Task)}, not {task!r}")
    check_column(source, name, "target column")
    read = read_column(source, name)
    if read.kind == "date":
        raise TableError(
            f"target {name!r} of {source.name} holds dates: predict a number, such as the days "
            "until then"
        )
    if read.odd:
        raise TableError(
            f"target {name!r} of {source.name}: {read.note.partition(' is taken')[0]}: mend it, or "
            "empty it to leave its row out"
        )
    numeric, values = read.kind == "number", read.values
    if task == "regression" and not numeric:
        read_numbers(source, name, PLAIN, what="target")  # names the first text
    if not numeric:
        values = read_texts(source, name, ())
    known = np.flatnonzero(~is_missing(values))
    if not len(known):
        raise TableError(f"target {name!r} of {source.name} has no value in any row")
    present, rows = values[known], len(known)
    if read.repeats is not None:
        rows = round(float(total(read.repeats.rows[known])))
    distinct = np.unique(present).tolist() if numeric else sorted(set(present.tolist()))
    if len(distinct) < 2:
        (only,) = _class_names(distinct)
        raise TableError(
            f"target {name!r} of {source.name} is {only!r} in "
            f"{'all ' + format(rows, ',') + ' rows' if rows > 1 else 'its only row'}: there is "
            "nothing to learn; give rows with at least two different values"
        )
    if task is None:
        is_quantity = numeric and (
            len(distinct) > MAX_CLASSES or any(value != round(value) for value in distinct)
        )
        task = "regression" if is_quantity else "classification"
    if task == "regression":
        return Target((name,), notation=read.notation), known
    if len(distinct) > max(2, rows / 2):
        raise TableError(
            f"target {name!r} of {source.name} has {len(distinct):,} different values in "
            f"{rows:,} rows, too many for classes: name another target"
            + (", or --task regression" if numeric else "")
            + (f" ({read.note})" if read.note and not numeric else "")
        )
    kind: ClassType = "integer" if numeric else "text"
    if {str(text).casefold() for text in distinct} == {"false", "true"}:
        kind, distinct = "boolean", ["false", "true"]
    return Target((name,), _class_names(distinct), kind, notation=read.notation), known


def split_rows(
    rows: Indices, share: float, seed: int, classes: Array | None = None
) -> tuple[Indices, Indices]:
    """Return training and test rows, drawn from the seed.

    Shapes: rows (N,); classes (N,) numbers, or None. With classes, each class is split in the same
    share and keeps a row to train on.

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


def _class_names(values: list[Any]) -> tuple[str, ...]:
    texts = numbers_as_texts(np.array(values)) if isinstance(values[0], float) else values
    return tuple(str(text) for text in texts)
