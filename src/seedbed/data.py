"""Checks of what training is given (inputs, targets, weights, rows, seeds), and its split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array
from seedbed.engines.work import Data, Indices
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.formulas.losses import Loss
from seedbed.network import Network


def checked_inputs(X: Any, inputs: int, dtype: npt.DTypeLike, name: str = "X") -> Array:
    """Return X as (N, I) of ``dtype``.

    Raises: ShapeError if it has another shape; DataError if it is empty, holds something other
    than numbers, or numbers that are not finite.
    """
    x = _numbers(X, name)
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ShapeError(
            f"{name} has shape {x.shape}; the network has {inputs} inputs, so it needs "
            f"(rows, {inputs})"
            + (f": for a single row give {name}[None, :]" if x.shape == (inputs,) else "")
        )
    return _finite(x, name, dtype)


def checked_targets(
    Y: Any, loss: Loss, outputs: int, rows: int, dtype: npt.DTypeLike, name: str = "Y"
) -> Array:
    """Return Y as (N, O) of ``dtype``: class numbers become one-hot rows.

    Raises: ShapeError if it does not fit the rows or the outputs; DataError for values that the
    loss cannot be taken against.
    """
    t = _numbers(Y, name)
    if t.ndim not in (1, 2) or len(t) != rows:
        raise ShapeError(f"{name} has shape {t.shape}; X has {rows} rows, so it needs {rows} too")
    if loss.targets == "classes" and (t.ndim == 1 or t.shape[1] == 1 < outputs):
        t = _one_hot(_finite(t.reshape(-1), name, np.float64), outputs, name)
    if t.ndim == 1:
        t = t[:, None]
    if t.shape[1] != outputs:
        raise ShapeError(
            f"{name} has shape {t.shape}; the network has {outputs} outputs, so it needs "
            f"({rows}, {outputs})"
        )
    t = _finite(t, name, dtype)
    if loss.targets == "count" and (t < 0).any():
        raise DataError(f"{name} holds {t.min():g}; {loss.name} needs counts of at least 0")
    if loss.targets in ("probability", "classes") and ((t < 0) | (t > 1)).any():
        wrong = t[(t < 0) | (t > 1)][0]
        raise DataError(f"{name} holds {wrong:g}; {loss.name} needs targets from 0 to 1")
    if loss.targets == "classes":
        sums = t.sum(axis=1, dtype=np.float64)
        if (np.abs(sums - 1) > 1e-4).any():
            row = int(np.argmax(np.abs(sums - 1) > 1e-4))
            raise DataError(
                f"row {row} of {name} sums to {sums[row]:g}; {loss.name} needs class numbers, or "
                "rows of probabilities that sum to 1"
            )
    return t


def check_sense(loss: Loss, network: Network, t: Array) -> None:
    """Refuse what can be computed but cannot be meant: see the messages.

    Shapes: t (N, O) as ``checked_targets`` returns it.
    Raises: SettingError or DataError.
    """
    last = network.layers[-1].activation.name
    if loss.targets in ("probability", "classes") and last == "sigmoid":
        raise SettingError(
            f"{loss.name} takes logits and squashes them itself, but the last layer is a sigmoid "
            "too: give the last layer sb.identity"
        )
    if loss.targets == "classes" and network.outputs == 1:
        raise SettingError(
            f"{loss.name} needs an output for each class, and the network has 1: give it 2 or "
            "more, or use binary_cross_entropy"
        )
    one_class = (t.max(axis=0) == 1) & (t.min(axis=0) == 1)
    if loss.targets == "classes" and one_class.any():
        raise DataError(
            f"all {len(t)} rows are of class {int(np.argmax(one_class))}: a classifier needs rows "
            "of at least two classes"
        )
    if loss.targets == "probability" and network.outputs == 1 and t.min() == t.max() in (0, 1):
        raise DataError(
            f"all {len(t)} targets are {t[0, 0]:g}: a classifier needs rows of both classes"
        )


def checked_weights(sample_weight: Any, rows: int, dtype: npt.DTypeLike, name: str) -> Array | None:
    """Return the row weights as (N,) of ``dtype``, or None.

    Raises: ShapeError or DataError if there is not one finite weight >= 0 a row, one of them > 0.
    """
    if sample_weight is None:
        return None
    w = _numbers(sample_weight, name)
    if w.shape != (rows,):
        raise ShapeError(f"{name} has shape {w.shape}; X has {rows} rows, so it needs ({rows},)")
    w = _finite(w, name, dtype)
    if (w < 0).any() or not w.any():
        raise DataError(
            f"{name} holds {w.min():g}; weights must be at least 0, and one of them greater"
        )
    return w


def checked_seeds(seeds: Any) -> npt.NDArray[np.int64]:
    """Return the seeds as (P,): one whole number is one member, a sequence one member each.

    Raises: SettingError for seeds that are not whole numbers from 0 to 2^63 - 1.
    """
    array = np.asarray(list(seeds) if isinstance(seeds, range | set | frozenset) else seeds)
    if array.ndim > 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise SettingError(
            f"seeds must be a whole number or a sequence of them, such as range(8), not {seeds!r}"
        )
    array = np.atleast_1d(array)
    if array.min() < 0 or array.max() > np.iinfo(np.int64).max:
        wrong = array.min() if array.min() < 0 else array.max()
        raise SettingError(f"seed {wrong}: a seed must be a whole number from 0 to 2**63 - 1")
    return array.astype(np.int64)


def checked_rows(rows: Any, members: int, total: int) -> list[Indices] | None:
    """Return each member's row numbers: P arrays, which may differ in length.

    ``rows`` holds a sequence of row numbers for each member, or is a boolean array (P, N).

    Raises: ShapeError or DataError if there is not one non-empty sequence a member, within 0 … N-1.
    """
    if rows is None:
        return None
    given: Sequence[Any] = list(rows)
    if len(given) != members:
        raise ShapeError(
            f"rows holds {len(given)} sequences and there are {members} seeds: give one for each"
        )
    checked: list[Indices] = []
    for member, each in enumerate(given):
        chosen = np.asarray(each)
        if chosen.dtype == np.bool_ and chosen.shape == (total,):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
            raise DataError(
                f"rows[{member}] is {np.asarray(each)!r:.60}; each member needs row numbers, or a "
                f"boolean for each of the {total} rows, with at least one row in it"
            )
        if chosen.min() < 0 or chosen.max() >= total:
            wrong = chosen.min() if chosen.min() < 0 else chosen.max()
            raise DataError(f"rows[{member}] names row {wrong}; X has rows 0 to {total - 1}")
        checked.append(chosen.astype(np.int32 if total < 2**31 else np.int64))
    return checked


def split(data: Data, share: float, seeds: npt.NDArray[np.int64]) -> tuple[Data, Data]:
    """Return the rows to train on and those held out, drawn for each member from its seed.

    At least one row stays on either side. A row that a member sees several times (a bootstrap)
    goes to one side with all its copies.

    Raises: DataError if a member has fewer than two different rows.
    """
    kept, held_out = [], []
    for member, seed in enumerate(seeds):
        mine = np.arange(len(data.x), dtype=np.int32) if data.rows is None else data.rows[member]
        different = np.unique(mine)
        if len(different) < 2:
            raise DataError("1 row cannot be split: give more rows, or leave validation out")
        count = min(max(round(share * len(different)), 1), len(different) - 1)
        order = streams.order(streams.keys(np.array([seed]), "split"), len(different))[0]
        out = np.isin(mine, different[order[:count]])
        kept.append(mine[~out])
        held_out.append(mine[out])
    return (Data(data.x, data.t, data.w, kept), Data(data.x, data.t, data.w, held_out))


def check_weighed(data: Data, name: str) -> None:
    """Refuse rows that all weigh nothing for some member.

    Raises: DataError.
    """
    if data.w is None or data.rows is None:
        return
    for member, rows in enumerate(data.rows):
        if not data.w[rows].any():
            raise DataError(f"all {len(rows)} {name} rows of member {member} have the weight 0")


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


def _numbers(values: Any, name: str) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        hint = ": np.unique(Y, return_inverse=True)[1] turns names into class numbers"
        raise DataError(
            f"{name} holds {array.dtype} values; it needs numbers{hint if name == 'Y' else ''}"
        )
    if array.size == 0:
        raise DataError(f"{name} is empty, shape {array.shape}; it needs at least one row")
    return array


def _finite(array: Array, name: str, dtype: npt.DTypeLike) -> Array:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=dtype)
    wrong = ~np.isfinite(converted)
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        where = f"row {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
        raise DataError(
            f"{name} holds {array[tuple(place)]} in {where} ({int(wrong.sum())} such values): it "
            f"needs finite numbers within {np.dtype(dtype).name}'s range; fill them in, or leave "
            "those rows out"
        )
    return converted
