"""Columns to a network's inputs and targets: numbers scaled and binned, categories one-hot.

An ``Encoding`` is fitted on the rows to train on and then serves any table with those columns.

A number x becomes the smooth clip z / √(1 + (z/3)²) of z = (x - median) / (interquartile range),
which lies between -3 and 3 whatever x is, and a piecewise-linear code: with knots k_0 < k_1 < … at
the column's quantiles, one input (x - k_i) / (k_{i+1} - k_i) for each stretch, held to [0, 1].
Neither can be thrown by an outlier or a heavy tail.

Sources: Holzmüller, Grinsztajn, Steinwart 2024 (the scaling and the clip); Gorishniy, Rubachev,
Babenko 2022 (the code).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from seedbed import streams
from seedbed.arrays import Array, Indices
from seedbed.errors import FileError, SettingError, TableError
from seedbed.population import Population
from seedbed.tables.sources import Source, as_texts, check_column, is_missing, listed

MOST_CATEGORIES = 255
"""A text column of more is left out: it is a name or a free text rather than a category."""

MOST_CLASSES = 20
"""A target of whole numbers with more different ones is taken for a quantity."""

STRETCHES, MOST_INPUTS = 8, 256
"""Into how many stretches a column of numbers is cut, where all of them make so few inputs."""

_FAR, _FARTHEST = 1e150, 4e307
"""Up to where squares and differences are finite: larger numbers are taken as these."""

_BOOLEANS = {
    text: truth
    for truth, number in (("false", "0"), ("true", "1"))
    for text in (truth, truth.title(), truth.upper(), number)
}

_AT_ONCE = 2**18
"""How many inputs are computed at a time."""

Task = Literal["classification", "regression"]
Kind = Literal["text", "integer", "float", "boolean"]
Unseen = Literal["error", "missing"]


@dataclass(frozen=True)
class NumberColumn:
    """A smooth clip of (x - center) / scale, the stretches between ``knots``, a flag if missing.

    A missing number is taken as the center, and, if ``flagged``, told by an input of 1.
    """

    name: str
    center: float
    scale: float
    flagged: bool
    knots: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """How many inputs the column makes."""
        return 1 + max(0, len(self.knots) - 1) + self.flagged


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
        if set(self.categories) <= {"false", "true"}:  # as files of all kinds write them
            texts = np.array([_BOOLEANS.get(text, text) for text in texts], dtype=object)
        code = _codes(texts, self.categories)
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
        code = _codes(texts, self.classes)
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
        return np.asarray((values - np.array(self.mean)) / np.array(self.scale))

    def restored(self, outputs: Array) -> Array:
        """Return what the network gives, (…, O), in the quantities' units, float64."""
        return np.asarray(np.array(self.mean) + np.array(self.scale) * outputs)

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

    A value is held to within ten times the distance from the median that all but 1 in 50 of the
    values (and all but one) keep. Mean and scale are those of the values so held.

    Raises: TableError if one holds numbers too large.
    """
    w = np.ones(len(values)) if weights is None else weights
    found = []
    for name, y in zip(names, values.T, strict=True):
        if np.abs(y).max() > _FAR:
            raise TableError(
                f"target {name!r} of {table} holds numbers as large as {np.abs(y).max():g}, too "
                "large to train on: give them in a larger unit"
            )
        (middle,) = _quantiles(y, w, [0.5])
        far = np.abs(y - middle)
        reach = _reach(far, w) or 1.0
        held = np.clip(y, middle - reach, middle + reach)
        mean = float(np.average(held, weights=w))
        unit = float(np.abs(held - mean).max()) or 1.0  # taken out: no square underflows
        scale = unit * float(np.sqrt(np.average(((held - mean) / unit) ** 2, weights=w))) or 1.0
        found.append((mean, scale, float(middle - reach), float(middle + reach)))
    means, scales, lows, highs = zip(*found, strict=True)
    return Target(tuple(names), mean=means, scale=scales, low=lows, high=highs)


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


class Numbers:
    """The inputs of C columns of numbers, all at once: clipped (C), stretches (K), flags."""

    def __init__(self, columns: Sequence[NumberColumn]) -> None:
        self.names = [column.name for column in columns]
        self.center = np.array([column.center for column in columns])
        self.factor = 1 / np.array([column.scale for column in columns])
        cut = [(c, column.knots) for c, column in enumerate(columns) if column.knots]
        self.of = np.array([c for c, knots in cut for _ in knots[1:]], dtype=np.intp)
        self.low = np.array([low for _, knots in cut for low in knots[:-1]])
        self.slope = 1 / np.array([b - a for _, k in cut for a, b in _steps(k)] or [1.0])
        self.flagged = np.array([c for c, column in enumerate(columns) if column.flagged], np.intp)
        self.width = len(self.names) + len(self.of) + len(self.flagged)

    def encode(self, A: Array, X: Array) -> None:
        """Write the inputs of A (N, C), NaN where missing, into X (N, width)."""
        step = max(1, _AT_ONCE // max(1, self.width))
        for start in range(0, len(A), step):
            self._encode(A[start : start + step], X[start : start + step])

    def _encode(self, A: Array, X: Array) -> None:
        count, cut = len(self.names), len(self.names) + len(self.of)
        missing = A != A  # quicker than isnan for a few
        some = bool(missing.any())
        if some:
            A = np.where(missing, self.center, A)
        with np.errstate(over="ignore"):  # what is too far to tell how far ends at 3, or at 1
            z = np.minimum(np.maximum((A - self.center) * self.factor, -_FAR), _FAR)
            X[:, :count] = z / np.sqrt(1 + z * z / 9)
            if cut > count:
                along = (A[:, self.of] - self.low) * self.slope
                X[:, count:cut] = np.minimum(np.maximum(along, 0), 1)
        if some and len(self.flagged):
            X[:, cut:] = missing[:, self.flagged]


def _steps(knots: Sequence[float]) -> Iterator[tuple[float, float]]:
    return pairwise(knots)


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
    count = max(float(weights.sum()), len(present))
    if len(different) > MOST_CATEGORIES or len(different) > max(20, count / 2):
        note = f"{len(different):,} different texts in {len(present):,} rows make no categories"
        return None, note + source.stray(name)
    return CategoryColumn(name, tuple(different)), ""


def number_column(
    name: str, values: Array, weights: Array, flagged: bool, stretches: int
) -> NumberColumn:
    """Return the encoding of numbers (n,), none of them missing, with weights (n,)."""
    values = np.clip(values, -_FARTHEST, _FARTHEST)
    first, center, third = _quantiles(values, weights, [0.25, 0.5, 0.75])
    far, scale = np.abs(values - center), third - first
    others = far > 0 if scale == 0 else np.ones(len(values), np.bool_)
    if not others.any():
        return NumberColumn(name, float(center), 1.0, flagged)
    if scale == 0:  # most are equal: the others say how far apart values are
        scale = _quantiles(far[others], weights[others], [0.5])[0] / 2
    scale = max(scale, np.finfo(np.float64).tiny * 2**52)
    knots: Array = np.empty(0)
    if stretches > 1:
        reach = _reach(far[others], weights[others])
        held = np.clip(values[others], center - reach, center + reach)
        shares = np.linspace(0, 1, stretches + 1)
        knots = np.unique([center, *_quantiles(held, weights[others], shares)])
        apart = np.diff(knots) > scale * 1e-9  # nearer ones would be one jump
        knots = knots[np.concatenate([[True], apart])]
    cut = tuple(knots.tolist()) if len(knots) > 2 else ()
    return NumberColumn(name, float(center), float(scale), flagged, cut)


def _reach(far: Array, weights: Array) -> float:
    """Return ten times the distance that all but 1 in 50 (and all but one) of ``far`` keep, (n,).

    Where that is 0, the greatest distance.
    """
    count = max(float(weights.sum()), len(weights))
    (usual,) = _quantiles(far, weights, [1 - max(0.02, 1.5 / count)])
    return 10 * float(usual) or float(far.max())


def _quantiles(values: Array, weights: Array, shares: Any) -> Array:
    """Return quantiles of weighted values, (n,): the least values that such shares reach."""
    shares = np.asarray(shares)
    if (weights == weights[0]).all():
        place = np.ceil(shares * len(values)).astype(np.intp) - 1
        return np.asarray(np.sort(values)[np.maximum(place, 0)])
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    place = np.searchsorted(reached, shares * reached[-1])
    return np.asarray(values[order][np.minimum(place, len(values) - 1)])


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
    if len(numbers) in (1, 2) or any(b <= a for a, b in _steps(numbers)):
        raise ValueError("knots do not rise")
    return numbers


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} where true or false is expected")
    return value
