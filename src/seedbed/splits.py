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
    """The rows that were given for each member; see ``batches.Rows``."""

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
    """One side of a split; see ``batches.Rows``."""

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
