"""Numbers of data frames, and class numbers of labels such as texts."""

from __future__ import annotations

import decimal
import sys
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array, is_missing_value, one_line
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.formulas.losses import Loss


def as_numbers(values: Any, name: str) -> Any:
    """Return a data frame as (N, C) float64 and a series as (N,); anything else unchanged.

    Frames are those of the libraries that narwhals supports.

    Raises: DataError that names the column and what it holds, unless all are numbers or booleans
    without missing values.
    """
    table = _narwhals_table(values, name)
    if table is None:
        return values
    if not hasattr(table, "columns"):
        return _numbers(table, name)
    if not table.columns:
        raise DataError(f"{name} is a data frame without columns; it needs at least one")
    parts = [_numbers(table[:, at], f"column {label!r} of {name}")
             for at, label in enumerate(table.columns)]  # fmt: skip
    return np.stack(parts, axis=1)


def _numbers(series: Any, where: str) -> Array:
    """Return a narwhals series as (N,) float64."""
    narwhals = sys.modules["narwhals"]
    kind = series.dtype
    if kind in (narwhals.Object, narwhals.Unknown):
        present = [value for value in series.to_list() if not is_missing_value(value)]
        kinds = bool | int | float | np.number | np.bool_ | decimal.Decimal
        strange = [value for value in present if not isinstance(value, kinds)]
        if strange:
            raise _not_numbers(where, type(strange[0]).__name__, strange[0])
        missing = np.array([is_missing_value(value) for value in series.to_list()])
        column = np.zeros(len(missing))
        try:
            column[~missing] = present
        except OverflowError:
            raise DataError(
                f"{where} holds a whole number too large for a float64: give it in a larger unit"
            ) from None
    elif kind.is_numeric() or kind == narwhals.Boolean:
        column = np.array(series.cast(narwhals.Float64).to_numpy(), dtype=np.float64)
        missing = series.is_null().to_numpy() | np.isnan(column)
    else:
        values = series.drop_nulls()
        raise _not_numbers(
            where, str(kind).partition("(")[0], values.to_list()[0] if len(values) else None
        )
    if missing.any():
        raise DataError(
            f"{where} has {int(missing.sum())} missing values, the first in row "
            f"{int(np.argmax(missing))}: fill them in, leave those rows out, or use the estimators "
            "in seedbed.estimators, which take missing values"
        )
    return column


def _not_numbers(where: str, kind: str, value: object) -> DataError:
    return DataError(
        f"{where} holds {kind} values such as {one_line(value)}, and a network takes numbers: "
        "encode them, or use the estimators in seedbed.estimators, which take texts and categories"
    )


def label_classes(Y: Any, loss: Loss, outputs: int) -> Array | None:
    """Return the classes of labels for a loss of classes, sorted, (K,); None for other targets.

    Raises: SettingError if the network has not an output for each class, or one for two classes
    with binary cross-entropy; DataError for labels that are missing or have no order.
    """
    labels = as_labels(Y, "Y") if loss.targets in ("classes", "probability") else None
    if labels is None:
        return None
    try:
        classes = np.unique(labels)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise DataError(f"Y holds labels of several kinds ({kinds}): give one kind") from None
    if len(classes) == 1:
        raise DataError(
            f"all {len(labels)} rows are of class {classes.tolist()[0]!r}: a classifier needs rows "
            "of at least two classes"
        )
    known = ", ".join(map(repr, classes[:5].tolist())) + (", …" if len(classes) > 5 else "")
    if loss.targets == "probability" and outputs > 1:
        raise SettingError(
            f"{loss.name} with {outputs} outputs takes columns of 0 and 1, and Y holds labels "
            f"({known}): use cross_entropy, with an output for each"
        )
    if loss.targets == "probability" and len(classes) > 2:
        raise SettingError(
            f"{loss.name} with one output takes two classes, and Y holds {len(classes)} ({known}): "
            f"use cross_entropy and {len(classes)} outputs"
        )
    if loss.targets == "classes" and len(classes) != outputs:
        raise SettingError(
            f"Y holds {len(classes)} classes ({known}), and the network has {outputs} outputs: "
            f"give the last layer {len(classes)} units"
        )
    return classes


def class_numbers(Y: Any, classes: Array | None, loss: Loss, name: str) -> Any:
    """Return labels as their numbers in ``classes``, (N,); targets that are no labels unchanged.

    Raises: DataError for a label that is not one of the classes, or for labels without classes.
    """
    labels = as_labels(Y, name)
    if labels is None:
        return Y
    first = one_line(labels.tolist()[0])
    if loss.targets not in ("classes", "probability"):
        raise DataError(
            f"{name} holds {first}, and {loss.name} needs numbers: for classes, use cross_entropy "
            "with an output for each"
        )
    if classes is None:
        raise DataError(
            f"{name} holds {first}, and the classes of the training are numbers: give 0, 1, …"
        )
    numbers = {label: number for number, label in enumerate(classes.tolist())}
    unknown = [label for label in labels.tolist() if label not in numbers]
    if unknown:
        known = ", ".join(map(repr, classes[:5].tolist())) + (", …" if len(classes) > 5 else "")
        raise DataError(
            f"{name} holds {one_line(unknown[0])}, which is no class of training: {known}"
        )
    return np.array([numbers[label] for label in labels.tolist()])


def as_labels(Y: Any, name: str) -> Array | None:
    """Return targets that are labels, such as texts, as (N,); None for numbers.

    Raises: ShapeError for several columns of them; DataError for missing ones.
    """
    if isinstance(Y, np.ndarray) and Y.dtype.kind in "fiub":
        return None
    table = _narwhals_table(Y, name)
    if table is not None:
        if hasattr(table, "columns"):
            if len(table.columns) != 1:
                return None
            table = table[:, 0]
        if table.dtype.is_numeric() or table.dtype == sys.modules["narwhals"].Boolean:
            return None
        values = np.empty(len(table), dtype=object)
        values[:] = table.to_list()
    else:
        values = as_array(Y, name, DataError)
        if values.dtype.kind == "U" and not isinstance(Y, np.ndarray):
            values = np.asarray(Y, dtype=object)  # as texts, a NaN would be the class "nan"
    if values.dtype.kind in "fiubc" or not values.size:
        return None
    if values.ndim != 1 and list(values.shape[1:]) != [1]:
        raise ShapeError(f"{name} has shape {values.shape}; labels need one column, (rows,)")
    values = values.reshape(-1)
    missing = np.array([is_missing_value(value) for value in values.tolist()])
    if missing.any():
        raise DataError(
            f"{name} has {int(missing.sum())} missing labels, the first in row "
            f"{int(np.argmax(missing))}: leave those rows out"
        )
    if values.dtype.kind in "OT" and all(isinstance(value, str) for value in values.tolist()):
        return np.array(values.tolist(), dtype=np.str_)
    if values.dtype == object:
        numbers = all(isinstance(v, bool | int | float | np.number) for v in values.tolist())
        return None if numbers else values
    return values


def _narwhals_table(values: Any, name: str) -> Any:
    """Return a frame or series of another library as narwhals', and None for anything else."""
    kind = type(values)  # as a lazy frame's own columns take time
    if kind is np.ndarray or not (hasattr(kind, "columns") or hasattr(kind, "to_numpy")):
        return None
    try:
        import narwhals
    except ModuleNotFoundError:  # NumPy takes frames of numbers as they are
        return None
    try:
        table = narwhals.from_native(values, pass_through=True, allow_series=True)
    except narwhals.exceptions.DuplicateError:  # NumPy needs no names
        return None
    if isinstance(table, narwhals.LazyFrame):
        raise DataError(f"{name} is a lazy frame, which holds no rows yet: give {name}.collect()")
    return table if isinstance(table, narwhals.DataFrame | narwhals.Series) else None
