"""Columns to a network's inputs and targets: numbers standardised, categories one-hot.

An ``Encoding`` is fitted on the rows to train on and then serves any table with those columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array
from seedbed.errors import SettingError, TableError
from seedbed.tables.reading import Rows, Table, listed

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


@dataclass(frozen=True)
class CategoryColumn:
    """A column of 0 and 1 for each category; all 0 where missing."""

    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """What is predicted: one of ``classes``, or, where there are none, mean + scale · output."""

    name: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Encoding:
    """How a table becomes a network's inputs and targets, fitted on the rows to train on."""

    columns: tuple[NumberColumn | CategoryColumn, ...]
    target: Target

    @property
    def width(self) -> int:
        """I, the number of inputs that the columns make."""
        return sum(
            1 + column.flagged if isinstance(column, NumberColumn) else len(column.categories)
            for column in self.columns
        )

    def inputs(
        self, table: Table, unseen: Literal["error", "missing"] = "error"
    ) -> tuple[Array, list[str]]:
        """Return the inputs, (N, I) float64, and notes on what was missing or unseen.

        ``unseen`` says whether a category that was not there in training is an error or counts as
        missing.

        Raises: TableError if a column is not there or of another kind than in training.
        """
        X, notes, start = np.zeros((len(table), self.width)), [], 0
        for column in self.columns:
            values = table.column(column.name)
            missing = _is_missing(values)
            if isinstance(column, NumberColumn):
                if values.dtype == object and not missing.all():
                    raise TableError(_not_a_number(table.path, column.name, values))
                numbers = values.astype(np.float64)
                X[:, start] = np.where(missing, 0.0, (numbers - column.mean) / column.scale)
                if column.flagged:
                    X[:, start + 1] = missing
                start += 1 + column.flagged
            else:
                texts = _as_texts(values)
                code = _codes(texts, column.categories)
                strange = (code < 0) & ~missing
                if strange.any() and unseen == "error":
                    row = int(np.argmax(strange))
                    raise TableError(
                        f"column {column.name!r} of {table.path} holds {texts[row]!r} in row "
                        f"{row + 1}, which was not there in training "
                        f"({listed(column.categories)}): mend it, or take such values as "
                        "missing with --unseen missing"
                    )
                if strange.any():
                    notes.append(
                        f"{column.name}: {_count(strange.sum(), 'value')} not seen in training, "
                        "taken as missing"
                    )
                known = np.flatnonzero(code >= 0)
                X[known, start + code[known]] = 1
                start += len(column.categories)
            if missing.any():
                taken = "the mean" if isinstance(column, NumberColumn) else "no category"
                notes.append(
                    f"{column.name}: {_count(missing.sum(), 'missing value')}, taken as {taken}"
                )
        return X, notes

    def targets(self, table: Table) -> Array:
        """Return class numbers (N,) or standardised numbers (N,), NaN where missing.

        Raises: TableError if a class was not there in training, or a number is not one.
        """
        values = table.column(self.target.name)
        missing = _is_missing(values)
        if self.target.classes:
            texts = _as_texts(values)
            code = _codes(texts, self.target.classes).astype(np.float64)
            strange = (code < 0) & ~missing
            if strange.any():
                raise TableError(
                    f"target {self.target.name!r} of {table.path} holds "
                    f"{texts[int(np.argmax(strange))]!r}, which was not there in training "
                    f"({listed(self.target.classes)})"
                )
            return np.where(missing, np.nan, code)
        if values.dtype == object and not missing.all():
            raise TableError(_not_a_number(table.path, self.target.name, values))
        return np.asarray((values.astype(np.float64) - self.target.mean) / self.target.scale)

    def to_words(self) -> dict[str, Any]:
        """Return the encoding as JSON's words, numbers, lists and dicts."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "target": asdict(self.target),
        }

    @classmethod
    def from_words(cls, words: Mapping[str, Any]) -> Encoding:
        """Return the encoding that ``to_words`` described.

        Raises: TableError for anything else.
        """
        try:
            columns = tuple(
                CategoryColumn(column["name"], tuple(column["categories"]))
                if "categories" in column
                else NumberColumn(**column)
                for column in words["columns"]
            )
            target = dict(words["target"])
            return cls(columns, Target(**{**target, "classes": tuple(target["classes"])}))
        except (KeyError, TypeError, ValueError) as error:
            raise TableError(f"the model file's table encoding is broken ({error!r})") from None


def fit(
    table: Table, train: Rows, target: Target, drop: Iterable[str] = ()
) -> tuple[Encoding, list[str]]:
    """Return the encoding of all columns but the target, and notes on what was left out.

    Means, scales and categories come from the rows ``train`` alone.

    Raises: TableError if a column to drop is not there, or none is left.
    """
    for name in drop:
        table.column(name)
    columns: list[NumberColumn | CategoryColumn] = []
    notes = []
    for name, every in table.columns.items():
        values = every[train]
        if name == target.name or name in drop:
            continue
        present = values[~_is_missing(values)]
        different = sorted(set(present.tolist()))
        flagged = len(present) < len(values)
        if len(different) < 2 and not (different and flagged):
            same = "the same value in every row" if different else "no value in any row"
            notes.append(f"{name} is left out: it has {same}")
        elif values.dtype == object:
            if len(different) > MOST_CATEGORIES or len(different) > max(20, len(present) / 2):
                notes.append(
                    f"{name} is left out: {len(different):,} different texts in "
                    f"{len(present):,} rows, such as {different[0]!r}, make no categories"
                )
            else:
                columns.append(CategoryColumn(name, tuple(different)))
        else:
            mean, scale = float(present.mean()), float(present.std()) or 1.0
            columns.append(NumberColumn(name, mean, scale, flagged))
    if not columns:
        raise TableError(f"{table.path} has no column left to learn from: {'; '.join(notes)}")
    return Encoding(tuple(columns), target), notes


def find_target(table: Table, name: str, task: Task | None) -> tuple[Target, Rows]:
    """Return what is to be predicted and the rows where it is known.

    Where ``task`` is None, texts and up to ``MOST_CLASSES`` different whole numbers are classes,
    and other numbers quantities.

    Raises: TableError if the column is not there, has one value only, or does not fit the task.
    """
    values = table.column(name, "target column")
    rows = np.flatnonzero(~_is_missing(values))
    if not len(rows):
        raise TableError(f"target {name!r} of {table.path} has no value in any row")
    known = values[rows]
    different = sorted(set(known.tolist()))
    if len(different) < 2:
        (only,) = _as_texts(np.array(different, dtype=values.dtype))
        raise TableError(
            f"target {name!r} of {table.path} is {only!r} in all {len(rows)} rows: there is "
            "nothing to learn; give rows with at least two different values"
        )
    if task is None:
        few_whole = (
            len(different) <= MOST_CLASSES and all(v == round(v) for v in different)
            if (values.dtype != object)
            else True
        )
        task = "classification" if few_whole else "regression"
    if task not in get_args(Task):
        raise SettingError(f"task must be one of {get_args(Task)}, not {task!r}")
    if task == "regression":
        if values.dtype == object:
            raise TableError(_not_a_number(table.path, name, values))
        return Target(name, mean=float(known.mean()), scale=float(known.std())), rows
    if len(different) > max(2, len(rows) / 2):
        raise TableError(
            f"target {name!r} of {table.path} has {len(different):,} different values in "
            f"{len(rows):,} rows, too many for classes: name another target"
            + ("" if values.dtype == object else ", or --task regression")
        )
    return Target(name, tuple(_as_texts(np.array(different, dtype=values.dtype)))), rows


def split_rows(
    rows: Rows, share: float, seed: int, classes: Array | None = None
) -> tuple[Rows, Rows]:
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
    if share and (held_out.all() or not held_out.any()):
        raise TableError(
            f"{len(rows)} rows cannot be split with {share:g} of them held out: give more rows, "
            "or another share with --test"
        )
    return rows[~held_out], rows[held_out]


def _is_missing(values: Array) -> npt.NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is None for value in values], dtype=np.bool_)
    return np.isnan(values)


def _as_texts(values: Array) -> Array:
    """Return classes and categories as texts: 1.0 is "1"."""
    if values.dtype == object:
        return values
    texts = [str(int(v)) if v == np.round(v) else repr(float(v)) for v in np.nan_to_num(values)]
    return np.array(texts, dtype=object)


def _codes(texts: Array, categories: Sequence[str]) -> Rows:
    """Return each text's place among the categories, -1 where it is none of them."""
    place = {category: number for number, category in enumerate(categories)}
    return np.array([place.get(text, -1) for text in texts], dtype=np.intp)


def _not_a_number(path: Path, name: str, texts: Array) -> str:
    for row, text in enumerate(texts):
        try:
            float(text if text is not None else "nan")
        except ValueError:
            return (
                f"column {name!r} of {path} holds {text!r} in row {row + 1}, where a number is "
                "expected: mend it, or leave it empty if it is missing"
            )
    return f"column {name!r} of {path} holds texts where numbers are expected"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
