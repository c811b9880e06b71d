"""Which rows each member trains on, and which it holds out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Indices, as_array, one_line
from seedbed.engines.batches import Data, Rows
from seedbed.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False, repr=False)
class GivenRows:
    """The caller's own rows for each member; implements ``batches.Rows``."""

    rows: Sequence[Indices]

    @cached_property
    def count(self) -> npt.NDArray[np.int64]:
        """How many rows each member sees, (P,)."""
        return np.array([len(rows) for rows in self.rows], dtype=np.int64)

    def of(self, members: Indices) -> Indices:
        """Return the members' row numbers, (p, n)."""
        return np.stack([self.rows[member] for member in members])


class HoldOut:
    """The rows that each member holds out, drawn from its seed.

    packed  (P, N / 8) one bit per row: 1 if it is held out
    count   (P, 2) how many rows each member trains on, and how many it holds out
    given   the members' own rows, or None if all members see all rows
    """

    def __init__(
        self, total: int, share: float, seeds: npt.NDArray[np.int64], given: Rows | None
    ) -> None:
        self.total, self.given = total, given
        self.packed = np.empty((len(seeds), -(-total // 8)), dtype=np.uint8)
        self.count = np.empty((len(seeds), 2), dtype=np.int64)
        for member in range(len(seeds)):
            rows = self.rows_of(member)
            distinct = np.arange(total) if given is None else np.unique(rows)
            if len(distinct) < 2:
                raise DataError("1 row cannot be split: give more rows, or leave validation out")
            count = min(max(round(share * len(distinct)), 1), len(distinct) - 1)
            order = streams.order(streams.keys(seeds[member : member + 1], "split"), len(distinct))
            out = np.zeros(total, dtype=np.bool_)
            out[distinct[order[0, :count]]] = True
            self.packed[member] = np.packbits(out)
            self.count[member, 1] = out.sum() if given is None else out[rows].sum()
            self.count[member, 0] = len(rows) - self.count[member, 1]

    def rows_of(self, member: int) -> Indices:
        """Return all of a member's rows, (n,), trained on or held out."""
        if self.given is None:
            return np.arange(self.total, dtype=np.int32)
        return self.given.of(np.array([member]))[0]


@dataclass(frozen=True, eq=False, repr=False)
class SplitRows:
    """One side of a hold-out split; implements ``batches.Rows``."""

    split: HoldOut
    held_out: bool

    @property
    def given(self) -> Rows | None:
        """The rows before the split, where each member has its own."""
        return self.split.given

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """How many rows each member sees, (P,)."""
        return self.split.count[:, int(self.held_out)]

    def of(self, members: Indices) -> Indices:
        """Return the members' row numbers, (p, n)."""
        return np.stack([self._rows_of(int(member)) for member in members])

    def _rows_of(self, member: int) -> Indices:
        bits = np.unpackbits(self.split.packed[member], count=self.split.total)
        if self.split.given is None:
            return np.flatnonzero(bits == self.held_out).astype(np.int32)
        rows = self.split.rows_of(member)
        return rows[bits[rows] == self.held_out]


def checked_rows(rows: Any, members: int, total: int, what: str = "rows") -> GivenRows | None:
    """Return each member's row numbers; their counts may differ.

    ``rows`` holds a sequence of row numbers for each member, or is a boolean array (P, N).

    Raises: ShapeError or DataError unless each member has a non-empty sequence within 0 … N - 1.
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
    """Return training and held-out data, drawn for each member from its seed.

    Each side keeps at least one row. Copies of a row (in a bootstrap) stay on one side.

    Raises: DataError if a member has fewer than two distinct rows.
    """
    drawn = HoldOut(len(data.x), share, seeds, data.rows)
    train, held_out = (SplitRows(drawn, side) for side in (False, True))
    return Data(data.x, data.t, data.w, train), Data(data.x, data.t, data.w, held_out)


def hold_out(data: Data, held_out: Any, members: int) -> tuple[Data, Data]:
    """Return training and held-out data, where ``held_out`` gives each member's held-out rows.

    Raises: ShapeError or DataError as ``checked_rows``, or if a member has no row to train on.
    """
    total = len(data.x)
    given = checked_rows(held_out, members, total, "held_out")
    assert given is not None
    train = []
    for member, out in enumerate(given.rows):
        rows = np.arange(total) if data.rows is None else data.rows.of(np.array([member]))[0]
        rows = rows[~np.isin(rows, out)]
        if not len(rows):
            raise DataError(f"held_out[{member}] leaves no row to train on: hold fewer out")
        train.append(rows.astype(out.dtype))
    return Data(data.x, data.t, data.w, GivenRows(train)), Data(data.x, data.t, data.w, given)


def check_row_weights(data: Data, name: str) -> None:
    """Refuse data in which all of some member's rows have weight 0.

    Raises: DataError.
    """
    if data.w is None or data.rows is None:
        return
    for member, count in enumerate(data.rows.count):
        if not data.w[data.rows.of(np.array([member]))].any():
            raise DataError(f"all {count} {name} rows of member {member} have the weight 0")
