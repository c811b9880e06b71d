"""The rows of a comparison, as each kind of method takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from seedbed import checks
from seedbed.arrays import Array, Indices, as_array, checked_choice, is_missing_value, one_line
from seedbed.comparing.encoded import EncodedTable, encode_columns
from seedbed.comparing.methods import AnyMethod, kind_and_count, task_of
from seedbed.comparing.rows import Splits
from seedbed.errors import DataError, ShapeError
from seedbed.formulas.losses import binary_cross_entropy, squared_error
from seedbed.metrics import TargetKind
from seedbed.recipe import Recipe
from seedbed.tables.sources import ArraySource, FrameSource, Source, as_frame, check_column
from seedbed.tables.targets import Target, Task, find_target
from seedbed.tables.values import as_text, unmasked


@dataclass(frozen=True, eq=False)
class Problem:
    """N rows whose target is known, and what is to be predicted.

    kind     "classes", "labels" or "numbers"
    t        the metric's targets: (N,) class numbers, or (N, O)
    labels   (K,) what estimators and functions predict for each class number, sorted, or None
    numbers  (N,) the rows' numbers in the given table of ``total`` rows
    X        the table as given: an array, or a narwhals frame; None if there is only ``inputs``
    inputs   (N, I) the networks' inputs, and ``targets`` their targets; None without recipes
    target   the scale of standardised quantities; None if the networks see them as they are
    notes    on how a table was encoded
    """

    kind: TargetKind
    t: Array
    labels: Array | None
    numbers: Indices
    total: int
    X: Any
    inputs: Array | None = None
    targets: Array | None = None
    target: Target | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.t)

    def splits(self, split: Any, test: float) -> Splits:
        """Return the train and test rows of each seed, counted from 0 to N - 1.

        split  as for ``compare``; or ``Splits`` of these rows

        Raises: SettingError, ShapeError or DataError for an invalid split.
        """
        if isinstance(split, Splits):
            return split
        classes = self.t if self.kind == "classes" else None
        if len(self) < self.total and isinstance(split, tuple | list):
            position = np.full(self.total, -1)
            position[self.numbers] = np.arange(len(self))
            train, test_rows = Splits(self.total, None, split, test).of(0)
            split = tuple(p[p >= 0] for p in (position[train], position[test_rows]))
        return Splits(len(self), classes, split, test)

    def X_of(self, rows: Indices) -> Any:
        """Return rows of the table, in the type that was given."""
        rows = self.numbers[rows]
        return self.X[rows] if isinstance(self.X, np.ndarray) else self.X[rows.tolist()].to_native()

    def Y_of(self, rows: Indices) -> Array:
        """Return the rows' targets as estimators take them, (n,) or (n, O)."""
        if self.labels is not None:
            return np.asarray(self.labels[self.t[rows]])
        return self.t[rows, 0] if self.t.shape[1] == 1 else self.t[rows]


def problem_of(
    methods: Mapping[str, AnyMethod], X: Any, Y: Any, task: Task | None = None
) -> Problem:
    """Return the rows of a comparison of these methods.

    X     an array, a data frame of any library that narwhals supports, or an ``EncodedTable``
    Y     the targets, (N,) or (N, O); or the name of a frame's column
    task  "classification" or "regression"; None takes the methods', else infers it from Y

    A frame, or an array of texts, is encoded for recipes over all rows, and rows without a target
    are left out. A frame of numbers alone is used as it is, as ``train`` does, if the networks have
    one input for each column.

    Raises: SettingError, ShapeError, DataError.
    """
    task = task_of(methods, checked_task(task))
    recipes = {name: each for name, each in methods.items() if isinstance(each, Recipe)}
    if isinstance(X, EncodedTable):
        return _with_networks(_of_encoded(X), recipes, X)
    X, Y = _without_target(X, Y)
    is_table = not isinstance(X, np.ndarray) or X.dtype.kind in "OUS"
    y, name = _target_values(Y)
    if y.ndim == 0:
        raise DataError(f"Y is {one_line(Y)}: give a target for each row, or the name of a column")
    if len(y) != len(X) or y.ndim > 2:
        raise ShapeError(
            f"Y has shape {y.shape}; X has {len(X)} rows: give one target for each row"
        )
    known = _known_rows(y, drop=is_table)
    y = y[known]
    numbers = _as_numbers(X, recipes) if is_table else X
    is_table = numbers is None
    kind = _kind(recipes, task, y, name)
    t, labels = _metric_targets(kind, y, recipes, is_table)
    problem = Problem(kind, t, labels, known, len(X), X)
    if not recipes:
        return problem
    if not is_table:
        for recipe in recipes.values():
            x = checks.checked_inputs(numbers, recipe.network, "float64")[known]
        given = t if kind == "classes" and y.dtype.kind not in "fiub" else y
        return _with_networks(problem, recipes, None, x, given)
    names = (name,) if t.ndim == 1 or t.shape[1] == 1 else tuple(
        f"{name}{number}" for number in range(t.shape[1])
    )  # fmt: skip
    target = Target(names, labels=kind == "labels")
    if labels is not None:
        target = Target(names, tuple(as_text(label) for label in labels.tolist()))
    table = encode_columns(
        _source(X), known, target, t,
        standardise=all(recipe.loss.targets == "number" for recipe in recipes.values()),
    )  # fmt: skip
    return _with_networks(problem, recipes, table)


def checked_task(task: Any) -> Task | None:
    """Return the task.

    Raises: SettingError for another.
    """
    if task is None:
        return None
    return cast("Task", checked_choice("task", task, ("classification", "regression")))


def _with_networks(
    problem: Problem,
    recipes: Mapping[str, Recipe],
    table: EncodedTable | None,
    inputs: Array | None = None,
    targets: Array | None = None,
) -> Problem:
    """Return the problem with the networks' inputs and targets, checked against each recipe."""
    target: Target | None = None
    notes: tuple[str, ...] = ()
    if table is not None:
        inputs, targets, notes = table.inputs, table.targets, tuple(table.notes)
        target = table.encoding.target if problem.kind == "numbers" else None
    assert inputs is not None
    assert targets is not None
    for name, recipe in recipes.items():
        if recipe.network.inputs != inputs.shape[1]:
            raise ShapeError(
                f"the network of {name} has {recipe.network.inputs} inputs, and X is encoded to "
                f"{inputs.shape[1]}: use sb.Network({inputs.shape[1]}, …)"
                + (
                    ", or X.to_numpy() to use its numbers as they are"
                    if table is not None and table.encoding.is_numeric
                    else ""
                )
            )
        checks.check_outputs(recipe.loss, recipe.network)
        inputs = checks.checked_inputs(inputs, recipe.network, "float64")
        checks.checked_targets(
            targets, recipe.loss, recipe.network.outputs, len(inputs), np.float64
        )
    return Problem(
        problem.kind, problem.t, problem.labels, problem.numbers, problem.total, problem.X,
        inputs, targets, target, notes,
    )  # fmt: skip


def _of_encoded(table: EncodedTable) -> Problem:
    target = table.encoding.target
    kind: TargetKind = "classes" if target.classes else "labels" if target.labels else "numbers"
    labels = np.array(target.classes) if target.classes else None
    return Problem(kind, table.values, labels, np.arange(len(table.rows)), len(table.rows), None)


# ---------------------------------------------------------------- X


def _without_target(X: Any, Y: Any) -> tuple[Any, Any]:
    """Return X as an array or a narwhals frame, and Y, which may name a column of the frame."""
    frame = as_frame(X) if hasattr(X, "columns") else None
    if isinstance(Y, str):
        if frame is None:
            raise DataError(
                f"Y is {Y!r}, which would be a column of a data frame, and X is "
                f"{type(X).__name__}: give the targets themselves"
            )
        check_column(FrameSource(frame), Y, "target column")
        return frame.drop(Y), frame[Y]
    if frame is not None:
        return frame, Y
    if isinstance(X, np.ma.MaskedArray):
        X = unmasked(X)
    values = as_array(X, "X", DataError)
    if values.ndim == 0:
        raise ShapeError(f"X is {one_line(X)}: give an array (rows, inputs) or a data frame")
    if values.dtype.kind in "US" and not isinstance(X, np.ndarray):
        values = np.asarray(X, dtype=object)  # numbers among texts stay numbers
    return values, Y


def _as_numbers(X: Any, recipes: Mapping[str, Recipe]) -> Array | None:
    """Return a table's columns as numbers, (N, I), if each is an input of every network."""
    source = _source(X)
    inputs = {recipe.network.inputs for recipe in recipes.values()}
    values = source.numbers(source.columns) if inputs == {len(source.columns)} else None
    return None if values is None or np.isnan(values).any() else values


def _source(X: Any) -> Source:
    return ArraySource(X) if isinstance(X, np.ndarray) else FrameSource(X)


# ---------------------------------------------------------------- Y


def _target_values(Y: Any) -> tuple[Array, str]:
    """Return the targets, (N,) or (N, O), and their name."""
    name = getattr(Y, "name", None)
    if hasattr(Y, "to_numpy"):  # a series or a frame
        Y = Y.to_numpy()
    if isinstance(Y, np.ma.MaskedArray):
        Y = unmasked(Y)
    y = as_array(Y, "Y", DataError)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype == object and y.size:
        present = [value for value in y.ravel().tolist() if not is_missing_value(value)]
        if present and all(isinstance(value, bool | np.bool_) for value in present):
            y = y.astype(np.bool_) if len(present) == y.size else y
        elif present and all(isinstance(value, int | float | np.number) for value in present):
            shape = y.shape
            y = np.array([np.nan if is_missing_value(v) else v for v in y.ravel().tolist()])
            y = y.reshape(shape)
    return y, name if isinstance(name, str) else "Y"


def _known_rows(y: Array, *, drop: bool) -> Indices:
    """Return the rows whose target is known.

    Raises: DataError if there are others, unless ``drop``.
    """
    if y.dtype.kind == "f":
        missing = np.isnan(y)
    elif y.dtype == object:
        missing = np.array([is_missing_value(value) for value in y.ravel()], np.bool_).reshape(
            y.shape
        )
    else:
        missing = np.zeros(y.shape, np.bool_)
    unknown = np.asarray(missing.reshape(len(y), -1).any(axis=1))
    if unknown.any() and not drop:
        row, count = int(np.argmax(unknown)), int(unknown.sum())
        raise DataError(
            f"Y holds {one_line(y[[row]].tolist()[0])} in row {row} ({count} such rows): leave "
            "those rows out"
        )
    known = np.flatnonzero(~unknown)
    if not len(known):
        raise DataError("Y has no value in any row: give rows with their target")
    return known


def _kind(recipes: Mapping[str, Recipe], task: Task | None, y: Array, name: str) -> TargetKind:
    for recipe in recipes.values():
        return kind_and_count(recipe)[0]
    if y.ndim == 2:
        binary = y.dtype.kind in "fiub" and bool(((y == 0) | (y == 1)).all())
        return "labels" if task == "classification" or (task is None and binary) else "numbers"
    if task is None:
        column = y if y.dtype.kind in "fiub" else y.astype(object)
        task = find_target(ArraySource(column[:, None], [name], "Y"), name, None)[0].task
    return "classes" if task == "classification" else "numbers"


def _metric_targets(
    kind: TargetKind, y: Array, recipes: Mapping[str, Recipe], is_table: bool
) -> tuple[Array, Array | None]:
    """Return the metric's targets, and the label of each class number."""
    if kind == "classes" and y.ndim == 1 and (is_table or not recipes or y.dtype.kind in "OUS"):
        return _class_numbers(y, recipes)
    loss = squared_error if kind == "numbers" else binary_cross_entropy
    outputs = y.shape[1] if y.ndim == 2 else 1
    t = y
    for recipe in recipes.values():  # each loss has its own checks
        loss, outputs = recipe.loss, recipe.network.outputs
        t = checks.checked_targets(y, loss, outputs, len(y), np.float64)
    if not recipes:
        t = checks.checked_targets(y, loss, outputs, len(y), np.float64)
    if kind != "classes":
        return t, None
    if ((t != 0) & (t != 1)).any():
        raise DataError(
            "Y holds probabilities between 0 and 1, which cannot be scored: give class numbers"
        )
    numbers = t[:, 0].astype(np.int64) if t.shape[1] == 1 else t.argmax(axis=1)
    return numbers, np.arange(max(2, t.shape[1]))


def _class_numbers(y: Array, recipes: Mapping[str, Recipe]) -> tuple[npt.NDArray[np.int64], Array]:
    try:
        labels, numbers = np.unique(y, return_inverse=True)
    except TypeError:
        kinds = ", ".join(sorted({type(value).__name__ for value in y.tolist()}))
        raise DataError(f"Y holds values of several kinds ({kinds}): give one kind") from None
    if len(labels) < 2:
        raise DataError(
            f"all {len(y)} rows are of class {labels.tolist()[0]!r}: give rows of at least two "
            "classes"
        )
    for name, recipe in recipes.items():
        count = kind_and_count(recipe)[1]
        if count != len(labels):
            raise DataError(
                f"Y holds {len(labels)} classes, and {name} predicts {count}: give its network "
                f"{len(labels)} outputs"
            )
    return numbers.astype(np.int64), labels
