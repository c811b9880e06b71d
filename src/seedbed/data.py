"""Checks of what training is given (inputs, targets, weights, rows), and its split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices, as_array, one_line
from seedbed.engines.work import Data, Rows
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.formulas.losses import Loss
from seedbed.network import Network


def checked_inputs(X: Any, inputs: int, dtype: npt.DTypeLike, name: str = "X") -> Array:
    """Return X as (N, I) of ``dtype``.

    Raises: ShapeError if it has another shape; DataError if it is empty, holds something other
    than numbers, or numbers that are not finite.
    """
    if type(X) is np.ndarray and X.dtype == dtype and X.ndim == 2 and X.shape[1] == inputs:
        squares = np.vdot(X, X)  # finite only where all of X is: the quick way for a few rows
        if X.size and math.isfinite(squares) and X.flags.c_contiguous:
            return X
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
        raise ShapeError(
            f"{name} has shape {t.shape}; X has {rows} rows and the network {outputs} outputs, so "
            f"it needs ({rows}, {outputs})" + (f" or ({rows},)" if outputs == 1 else "")
        )
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
        sums = reproducible.total(t.astype(np.float64))
        if (np.abs(sums - 1) > 1e-4).any():
            row = int(np.argmax(np.abs(sums - 1) > 1e-4))
            raise DataError(
                f"row {row} of {name} sums to {sums[row]:g}; {loss.name} needs class numbers, or "
                "rows of probabilities that sum to 1"
            )
        t = (t / sums[:, None]).astype(t.dtype)  # the slope softmax(y) - t holds for sums of 1
    return t


def check_outputs(loss: Loss, network: Network) -> None:
    """Refuse a last layer that can be computed with the loss but cannot be meant.

    Raises: SettingError.
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


def check_classes(loss: Loss, t: Array) -> None:
    """Refuse targets (N, O) that are all of one class: there is nothing to learn.

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
    """Return the row weights over the greatest of them as (N,) of ``dtype``, or None.

    Raises: ShapeError or DataError if there is not one finite weight >= 0 a row, one of them > 0.
    """
    if sample_weight is None:
        return None
    w = _numbers(sample_weight, name)
    if w.shape != (rows,):
        raise ShapeError(f"{name} has shape {w.shape}; X has {rows} rows, so it needs ({rows},)")
    w = _finite(w, name, np.float64)
    if (w < 0).any() or not w.any():
        raise DataError(
            f"{name} holds {w.min():g} at the least and {w.max():g} at the most; weights must be "
            "at least 0, and one of them greater"
        )
    return (w / w.max()).astype(dtype)  # only their ratios count, and so their sums stay finite


@dataclass(frozen=True, eq=False, repr=False)
class GivenRows:
    """The rows that were given for each member; see ``work.Rows``."""

    rows: Sequence[Indices]

    @cached_property
    def count(self) -> npt.NDArray[np.int64]:
        """How many rows each member sees, (P,)."""
        return np.array([len(rows) for rows in self.rows], dtype=np.int64)

    def of(self, members: Indices) -> Indices:
        """Return the members' row numbers, (p, n)."""
        return np.stack([self.rows[member] for member in members])


class Split:
    """Which rows each member holds out, drawn from its seed.

    bits   (P, N / 8) a bit a row: held out or not
    given  the members' own rows, if they have any
    """

    def __init__(
        self, total: int, share: float, seeds: npt.NDArray[np.int64], given: Rows | None
    ) -> None:
        self.total, self.given = total, given
        self.bits = np.empty((len(seeds), -(-total // 8)), dtype=np.uint8)
        self.count = np.empty((len(seeds), 2), dtype=np.int64)
        for member in range(len(seeds)):
            mine = self.mine(member)
            different = np.arange(total) if given is None else np.unique(mine)
            if len(different) < 2:
                raise DataError("1 row cannot be split: give more rows, or leave validation out")
            count = min(max(round(share * len(different)), 1), len(different) - 1)
            order = streams.order(streams.keys(seeds[member : member + 1], "split"), len(different))
            out = np.zeros(total, dtype=np.bool_)
            out[different[order[0, :count]]] = True
            self.bits[member] = np.packbits(out)
            self.count[member, 1] = out.sum() if given is None else out[mine].sum()
            self.count[member, 0] = len(mine) - self.count[member, 1]

    def mine(self, member: int) -> Indices:
        """Return a member's rows, (n,), before the split."""
        if self.given is None:
            return np.arange(self.total, dtype=np.int32)
        return self.given.of(np.array([member]))[0]


@dataclass(frozen=True, eq=False, repr=False)
class SplitRows:
    """One side of a split; see ``work.Rows``."""

    split: Split
    held_out: bool

    @property
    def given(self) -> Rows | None:
        """The rows that were split, where each member has its own."""
        return self.split.given

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """How many rows each member sees, (P,)."""
        return self.split.count[:, int(self.held_out)]

    def of(self, members: Indices) -> Indices:
        """Return the members' row numbers, (p, n)."""
        return np.stack([self._side(int(member)) for member in members])

    def _side(self, member: int) -> Indices:
        bits = np.unpackbits(self.split.bits[member], count=self.split.total)
        if self.split.given is None:
            return np.flatnonzero(bits == self.held_out).astype(np.int32)
        mine = self.split.mine(member)
        return mine[bits[mine] == self.held_out]


def checked_rows(rows: Any, members: int, total: int, what: str = "rows") -> GivenRows | None:
    """Return each member's row numbers, which may differ in how many they are.

    ``rows`` holds a sequence of row numbers for each member, or is a boolean array (P, N).

    Raises: ShapeError or DataError if there is not one non-empty sequence a member, within 0 … N-1.
    """
    if rows is None:
        return None
    if not isinstance(rows, Iterable):
        raise ShapeError(
            f"{what} is {one_line(rows)}: give a sequence of row numbers for each member"
        )
    given: Sequence[Any] = list(rows)
    if len(given) != members:
        raise ShapeError(
            f"{what} holds {len(given)} sequences and there are {members} seeds: give one for each"
        )
    checked: list[Indices] = []
    for member, each in enumerate(given):
        name = f"{what}[{member}]"
        chosen = as_array(list(each) if isinstance(each, range) else each, name, DataError)
        if chosen.dtype == np.bool_ and chosen.shape == (total,):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
            raise DataError(
                f"{name} is {one_line(each)}; each member needs row numbers, or a boolean for "
                f"each of the {total} rows, with at least one row in it"
            )
        if chosen.min() < 0 or chosen.max() >= total:
            wrong = chosen.min() if chosen.min() < 0 else chosen.max()
            raise DataError(f"{name} names row {wrong}; X has rows 0 to {total - 1}")
        checked.append(chosen.astype(np.int32 if total < 2**31 else np.int64))
    return GivenRows(checked)


def split(data: Data, share: float, seeds: npt.NDArray[np.int64]) -> tuple[Data, Data]:
    """Return the rows to train on and those held out, drawn for each member from its seed.

    At least one row stays on either side. A row that a member sees several times (a bootstrap)
    goes to one side with all its copies.

    Raises: DataError if a member has fewer than two different rows.
    """
    drawn = Split(len(data.x), share, seeds, data.rows)
    kept, held_out = (SplitRows(drawn, side) for side in (False, True))
    return Data(data.x, data.t, data.w, kept), Data(data.x, data.t, data.w, held_out)


def set_apart(data: Data, held_out: Any, members: int) -> tuple[Data, Data]:
    """Return each member's rows to train on, which are all but ``held_out``, and those.

    Raises: ShapeError or DataError as ``checked_rows``, or if a member has none left to train on.
    """
    total = len(data.x)
    apart = checked_rows(held_out, members, total, "held_out")
    assert apart is not None
    kept = []
    for member, out in enumerate(apart.rows):
        mine = np.arange(total) if data.rows is None else data.rows.of(np.array([member]))[0]
        mine = mine[~np.isin(mine, out)]
        if not len(mine):
            raise DataError(f"held_out[{member}] leaves no row to train on: hold fewer out")
        kept.append(mine.astype(out.dtype))
    return Data(data.x, data.t, data.w, GivenRows(kept)), Data(data.x, data.t, data.w, apart)


def check_weighed(data: Data, name: str) -> None:
    """Refuse rows that all weigh nothing for some member.

    Raises: DataError.
    """
    if data.w is None or data.rows is None:
        return
    for member, count in enumerate(data.rows.count):
        if not data.w[data.rows.of(np.array([member]))].any():
            raise DataError(f"all {count} {name} rows of member {member} have the weight 0")


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
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise DataError(f"{name} has masked values: fill them in, or leave those rows out")
    array = as_array(values, name, DataError)
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
