"""Training data, and its batches."""

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
    """Each member's own rows."""

    @property
    def count(self) -> npt.NDArray[np.int64]:
        """The number of each member's rows, (P,)."""

    def of(self, members: Indices) -> Indices:
        """Return the row numbers (p, n) of members with the same number of rows."""


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Training or validation data.

    x     (N, I) inputs
    t     (N, O) targets, with label smoothing applied
    w     (N,) row weights; None if all are equal
    rows  each member's own rows; None if all members use all N
    """

    x: Array
    t: Array
    w: Array | None = None
    rows: Rows | None = None


class Batch(NamedTuple):
    """The rows of one step or of a part of an evaluation. Q is P, or 1 if members share them."""

    x: Array
    """(Q, B, I)"""
    t: Array
    """(Q, B, O)"""
    share: Array
    """(Q, B, O) weight of each output's loss: 1/B, or w / (B w̄) with w̄ the mean of all the
    member's row weights; divided by O if the loss averages over outputs"""
    weight: float
    """the batch's share of the epoch's rows"""
    start: int
    """the number of rows in the epoch's earlier batches"""


class Batches:
    """The batches of ``members``, which must have the same number of rows.

    Rows are shuffled in every epoch, by each member's seed in ``seeds``. They keep their order if
    ``seeds`` is None or one batch holds all rows.
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
        self._full_batch = self._batch(self.rows, 0, self.n) if self.batch_size == self.n else None

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        return -(-self.n // self.batch_size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """Yield the batches of epoch ``number``."""
        if self._full_batch is not None:
            yield self._full_batch
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
            batch_rows = rows[:, start:stop]
            x, t = x.take(batch_rows, axis=0), t.take(batch_rows, axis=0)
            w = None if w is None else w.take(batch_rows)
        count = stop - start
        if w is None or self.mean_weight is None:
            share = self._equal_share(count)
        else:
            # divide by the mean weight of all rows, not of the batch, so that the batches'
            # gradients average to that of all rows; a batch of zero weight has zero gradient
            share = self._per_output(w / (self.mean_weight * count))
        return Batch(x, t, share, count / self.n, start)

    def _equal_share(self, count: int) -> Array:
        if count not in self._equal_shares:
            share = np.full((1, count), 1 / count, dtype=self.data.x.dtype)
            self._equal_shares[count] = self._per_output(share)
        return self._equal_shares[count]

    def _per_output(self, share: Array) -> Array:
        outputs = self.data.t.shape[1]
        return np.repeat((share / self.loss.terms(outputs))[..., None], outputs, axis=-1)


def whole_batch(x: Array, t: Array, w: Array | None, loss: Loss) -> Batch:
    """Return all rows as one batch that all members share, with label smoothing applied to t."""
    (batch,) = Batches(Data(x, loss.smooth(t), w), np.arange(1), loss, None).epoch()
    return batch
