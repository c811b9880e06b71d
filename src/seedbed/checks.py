"""Checks of training data: inputs, targets and row weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import frames, reproducible
from seedbed.arrays import Array, as_array
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.formulas.activations import sigmoid
from seedbed.formulas.losses import Loss
from seedbed.network import Network


def checked_inputs(X: Any, network: Network, dtype: npt.DTypeLike, name: str = "X") -> Array:
    """Return X as (N, I) of ``dtype``, with values that the network's first layer can take.

    Raises: ShapeError for another shape; DataError if X is empty, not numeric or not finite.
    """
    inputs = network.inputs
    if type(X) is np.ndarray and X.dtype == dtype and X.ndim == 2 and X.shape[1] == inputs:
        squares = np.vdot(X, X)  # finite only if all of X is: the fast path for few rows
        if X.size and math.isfinite(squares) and X.flags.c_contiguous:
            network.check(X, name)
            return X
    x = _as_numeric(X, name)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ShapeError(
            f"{name} has shape {x.shape}; the network has {inputs} inputs, so it needs "
            f"(rows, {inputs})"
            + (f": for a single row give {name}[None, :]" if x.shape == (inputs,) else "")
        )
    x = _as_finite(x, name, dtype)
    network.check(x, name)
    return x


def checked_targets(
    Y: Any,
    loss: Loss,
    outputs: int,
    rows: int,
    dtype: npt.DTypeLike,
    name: str = "Y",
    classes: Array | None = None,
) -> Array:
    """Return Y as (N, O) of ``dtype``: class numbers and labels become one-hot rows.

    ``classes`` are the labels that Y may hold, as ``frames.label_classes`` returns them.

    Raises: ShapeError if Y does not fit the rows or the outputs; DataError for values that the loss
    does not accept.
    """
    t = _as_numeric(frames.class_numbers(Y, classes, loss, name), name)
    if t.ndim not in (1, 2) or len(t) != rows:
        raise ShapeError(
            f"{name} has shape {t.shape}; X has {rows} rows and the network {outputs} outputs, so "
            f"it needs ({rows}, {outputs})" + (f" or ({rows},)" if outputs == 1 else "")
        )
    if loss.targets == "classes" and (t.ndim == 1 or t.shape[1] == 1 < outputs):
        t = _one_hot(_as_finite(t.reshape(-1), name, np.float64), outputs, name)
    if t.ndim == 1:
        t = t[:, None]
    if t.shape[1] != outputs:
        raise ShapeError(
            f"{name} has shape {t.shape}; the network has {outputs} outputs, so it needs "
            f"({rows}, {outputs})"
        )
    t = _as_finite(t, name, dtype)
    if loss.targets == "count" and (t < 0).any():
        raise DataError(f"{name} holds {t.min():g}; {loss.name} needs counts of at least 0")
    if loss.targets in ("probability", "classes") and ((t < 0) | (t > 1)).any():
        wrong = t[(t < 0) | (t > 1)][0]
        raise DataError(f"{name} holds {wrong:g}; {loss.name} needs targets from 0 to 1")
    if loss.targets == "classes":
        sums = reproducible.total(t.astype(np.float64))
        if (np.abs(sums - 1) > 1e-4).any():
            row = int(np.argmax(np.abs(sums - 1) > 1e-4))
            raise DataError(
                f"row {row} of {name} sums to {sums[row]:g}; {loss.name} needs class numbers, or "
                "rows of probabilities that sum to 1"
            )
        t = (t / sums[:, None]).astype(t.dtype)  # the derivative softmax(y) - t assumes a sum of 1
    return t


def check_outputs(loss: Loss, network: Network) -> None:
    """Refuse a last layer that is invalid with the loss, though training would run.

    Raises: SettingError.
    """
    if loss.targets in ("probability", "classes") and network.layers[-1].activation == sigmoid:
        raise SettingError(
            f"{loss.name} takes logits and squashes them itself, but the last layer is a sigmoid "
            "too: give the last layer sb.identity"
        )
    if loss.targets == "classes" and network.outputs == 1:
        raise SettingError(
            f"{loss.name} needs an output for each class, and the network has 1: give it 2 or "
            "more, or use binary_cross_entropy"
        )


def check_classes(loss: Loss, t: Array) -> None:
    """Refuse targets (N, O) that all belong to one class.

    Raises: DataError.
    """
    one_class = t.min(axis=0) == 1
    if loss.targets == "classes" and one_class.any():
        raise DataError(
            f"all {len(t)} rows are of class {int(np.argmax(one_class))}: a classifier needs rows "
            "of at least two classes"
        )
    if loss.targets == "probability" and t.shape[1] == 1 and t.min() == t.max() in (0, 1):
        raise DataError(
            f"all {len(t)} targets are {t[0, 0]:g}: a classifier needs rows of both classes"
        )


def checked_weights(sample_weight: Any, rows: int, dtype: npt.DTypeLike, name: str) -> Array | None:
    """Return the row weights, divided by the largest, as (N,) of ``dtype``; None stays None.

    Raises: ShapeError or DataError unless each row has a finite weight >= 0, and one is > 0.
    """
    if sample_weight is None:
        return None
    w = _as_numeric(sample_weight, name)
    if w.shape != (rows,):
        raise ShapeError(f"{name} has shape {w.shape}; X has {rows} rows, so it needs ({rows},)")
    w = _as_finite(w, name, np.float64)
    if (w < 0).any() or not w.any():
        raise DataError(
            f"{name} ranges from {w.min():g} to {w.max():g}; weights must be at least 0, and "
            "one of them greater"
        )
    return (w / w.max()).astype(dtype)  # only ratios matter; scaled, their sum is finite


def _one_hot(classes: Array, outputs: int, name: str) -> Array:
    if (classes != np.round(classes)).any():
        wrong = classes[classes != np.round(classes)][0]
        raise DataError(f"{name} holds {wrong:g}; class numbers must be whole: 0, 1, 2, …")
    if classes.min() < 0 or classes.max() >= outputs:
        wrong = classes.min() if classes.min() < 0 else classes.max()
        raise DataError(
            f"{name} holds class {wrong:g}; the network has {outputs} outputs, so classes go from "
            f"0 to {outputs - 1}"
        )
    return np.eye(outputs)[classes.astype(np.int64)]


def _as_numeric(values: Any, name: str) -> Array:
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise DataError(f"{name} has masked values: fill them in, or leave those rows out")
    array = as_array(frames.as_numbers(values, name), name, DataError)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{name} holds {array.dtype} values; it needs numbers")
    if array.size == 0:
        raise DataError(f"{name} is empty, shape {array.shape}; it needs at least one row")
    return array


def _as_finite(array: Array, name: str, dtype: npt.DTypeLike) -> Array:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=dtype)
    wrong = ~np.isfinite(converted)
    if wrong.any():
        index = np.argwhere(wrong)[0].tolist()
        where = f"row {index[0]}" + (f", column {index[1]}" if len(index) > 1 else "")
        raise DataError(
            f"{name} holds {array[tuple(index)]} in {where} ({int(wrong.sum())} such values): it "
            f"needs finite numbers within {np.dtype(dtype).name}'s range; fill them in, or leave "
            "those rows out"
        )
    return converted
