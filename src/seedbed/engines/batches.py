"""The rows that training sees, and how they become batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices
from seedbed.formulas.losses import Loss


class Rows(Protocol):
    """Which rows each member sees, where not all see all."""

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """How many rows each member sees, (P,)."""

    def of(self, members: Indices) -> Indices:
        """Return the row numbers (p, n) of members that see equally many."""


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Rows to train on or to validate with.

    x     (N, I) inputs
    t     (N, O) targets, label smoothing applied
    w     (N,) row weights, or None where all weigh the same
    rows  each member's own rows; None where all members see all N
    """

    x: Array
    t: Array
    w: Array | None = None
    rows: Rows | None = None


class Batch(NamedTuple):
    """Rows that make one step, or one piece of an evaluation. Q is 1 where members share them."""

    x: Array
    """(Q, B, I)"""
    t: Array
    """(Q, B, O)"""
    share: Array
    """(Q, B, O): what each output's loss counts for: 1/B, or w / (B w̄) with w̄ the mean of all
    the member's row weights; over O too where outputs are averaged"""
    weight: float
    """the share of the rows that the batch holds"""
    start: int
    """how many of the epoch's rows came before"""


class Batches:
    """The rows of ``members`` in batches: in each member's own order, or as they stand.

    All members must see the same number of rows. Their rows are shuffled anew for each epoch from
    their ``seeds``, unless one batch holds them all or ``seeds`` is None.
    """

    def __init__(
        self,
        data: Data,
        members: Indices,
        loss: Loss,
        batch_size: int | None,
        seeds: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.data, self.loss, self.seeds = data, loss, seeds
        self.rows = None if data.rows is None else data.rows.of(members)
        self.n = len(data.x) if self.rows is None else self.rows.shape[1]
        self.batch_size = min(batch_size or self.n, self.n)
        self.mean_weight = None
        if data.w is not None:
            weights = data.w[None] if self.rows is None else data.w[self.rows]
            self.mean_weight = reproducible.mean(weights, keepdims=True).astype(data.w.dtype)
        self._equal_shares: dict[int, Array] = {}
        self._whole = self._batch(self.rows, 0, self.n) if self.batch_size == self.n else None

    @property
    def steps(self) -> int:
        """How many batches an epoch has."""
        return -(-self.n // self.batch_size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch ``number``."""
        if self._whole is not None:
            yield self._whole
            return
        rows = self.rows
        if self.seeds is not None:
            order = streams.order(streams.keys(self.seeds, "order", number), self.n)
            rows = order if rows is None else np.take_along_axis(rows, order, axis=1)
        for start in range(0, self.n, self.batch_size):
            yield self._batch(rows, start, min(start + self.batch_size, self.n))

    def _batch(self, rows: Indices | None, start: int, stop: int) -> Batch:
        x, t, w = self.data.x, self.data.t, self.data.w
        if rows is None:
            x, t = x[None, start:stop], t[None, start:stop]
            w = None if w is None else w[None, start:stop]
        else:
            chosen = rows[:, start:stop]
            x, t = x.take(chosen, axis=0), t.take(chosen, axis=0)
            w = None if w is None else w.take(chosen)
        count = stop - start
        if w is None or self.mean_weight is None:
            share = self._equal_share(count)
        else:
            # over the mean weight of all rows, not of the batch: so that the batches' gradients
            # add up to the whole's, and a batch that weighs nothing moves nothing
            share = self._over_outputs(w / (self.mean_weight * count))
        return Batch(x, t, share, count / self.n, start)

    def _equal_share(self, count: int) -> Array:
        if count not in self._equal_shares:
            share = np.full((1, count), 1 / count, dtype=self.data.x.dtype)
            self._equal_shares[count] = self._over_outputs(share)
        return self._equal_shares[count]

    def _over_outputs(self, share: Array) -> Array:
        outputs = self.data.t.shape[1]
        return np.repeat((share / self.loss.terms(outputs))[..., None], outputs, axis=-1)


def whole_batch(x: Array, t: Array, w: Array | None, loss: Loss) -> Batch:
    """Return all rows as one batch that all members share, label smoothing applied to t."""
    (batch,) = Batches(Data(x, loss.smooth(t), w), np.arange(1), loss, None).epoch()
    return batch
