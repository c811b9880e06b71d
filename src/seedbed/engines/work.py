"""What an engine is given (Plan) and what it changes (State), and how rows become batches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices
from seedbed.errors import SettingError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.formulas.schedules import Schedule
from seedbed.network import Network


class Status(IntEnum):
    """How a member's training stands."""

    RUNNING = 0
    FINISHED = 1
    STOPPED = 2
    """Its validation loss had not improved for ``patience`` epochs."""
    DIVERGED = 3
    """Its loss or a parameter was not finite: frozen as it last stood with a finite loss."""
    INTERRUPTED = 4


@dataclass(frozen=True, eq=False, repr=False)
class Hyperparameters:
    """The numeric hyperparameters of P members: each (1, 1), or (P, 1) where members differ.

    ``clip_norm`` is None where nothing is clipped; ``optimizer`` is what the rule takes last.
    """

    lr: Array
    weight_decay: Array
    l1: Array
    l2: Array
    dropout: Array
    clip_norm: Array | None
    optimizer: tuple[Array, ...]

    def take(self, members: Indices) -> Hyperparameters:
        """Return the numbers of ``members`` alone."""

        def of(number: Array) -> Array:
            return number if len(number) == 1 else number[members]

        return Hyperparameters(
            of(self.lr),
            of(self.weight_decay),
            of(self.l1),
            of(self.l2),
            of(self.dropout),
            None if self.clip_norm is None else of(self.clip_norm),
            tuple(of(number) for number in self.optimizer),
        )


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
        each = share if self.loss.targets == "classes" else share / outputs
        return np.repeat(each[..., None], outputs, axis=-1)


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """All that stays as it is while P members are trained."""

    network: Network
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    numbers: Hyperparameters
    seeds: npt.NDArray[np.int64]
    train: Data
    validation: Data | None
    epochs: int
    batch_size: int | None
    patience: int | None
    record_every: int

    def blocks(self, members: Indices) -> Iterator[Indices]:
        """Yield ``members`` in blocks that are worked on at once.

        A block's members see equally many rows, and what it holds at a time stays within a few
        megabytes: about what a core's cache holds. A member's numbers do not depend on it.
        """
        for alike in self.alike(members):
            step = self._together(*self.counts[alike[0]].tolist())
            for start in range(0, len(alike), step):
                yield alike[start : start + step]

    def alike(self, members: Indices) -> Iterator[Indices]:
        """Yield ``members`` by how many rows they see."""
        counts = self.counts[members]
        if len(members) and (counts == counts[0]).all():
            yield members
            return
        for rows in np.unique(counts, axis=0):
            yield members[(counts == rows).all(axis=1)]

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows each member trains on and is validated with, (P, 2)."""
        counts = np.zeros((len(self.seeds), 2), dtype=np.int64)
        for column, data in enumerate((self.train, self.validation)):
            if data is not None:
                counts[:, column] = len(data.x) if data.rows is None else data.rows.count
        return counts

    @cached_property
    def block_count(self) -> int:
        """How many blocks the members make."""
        return sum(1 for _ in self.blocks(np.arange(len(self.seeds))))

    @property
    def largest_batch(self) -> int:
        """The most rows that a step takes."""
        rows = int(self.counts[:, 0].max())
        return min(self.batch_size or rows, rows)

    @property
    def most_rows(self) -> int:
        """The most rows that are looked at in one go: a batch's, or a member's validation rows."""
        return max(self.largest_batch, int(self.counts[:, 1].max()))

    def _together(self, train_rows: int, validation_rows: int) -> int:
        batch = min(self.batch_size or train_rows, train_rows)
        seen = max(2 * batch, min(validation_rows, evaluation_rows(self.network)))
        numbers = 8 * self.network.size + 3 * seen * sum(self.network.widths)
        held = numbers * self.train.x.itemsize
        if batch < train_rows or self.train.rows is not None:
            held += 32 * train_rows  # an epoch's order, and the random words it is made of
        return max(1, BLOCK_BYTES // held)


BLOCK_BYTES = 2**22


def evaluation_rows(network: Network) -> int:
    """Return how many rows are evaluated at a time: as many as keep the activations small."""
    return max(32, 2**15 // sum(network.widths))


@dataclass(eq=False, repr=False)
class State:
    """What training changes. Its arrays have a row a member.

    theta       (P, D) parameters
    slots       the optimizer's state, each (P, D)
    before      (P, D) theta at the start of the last epoch carried out
    status      (P,) a Status each
    epochs_run  (P,) epochs completed; for a diverged member, those that led to the frozen theta
    best        (P, D) the parameters with the lowest validation loss so far, where it is kept
    best_loss   (P,) that loss
    best_epoch  (P,) the number of epochs after which it was measured
    train_loss, val_loss    (P, recorded epochs), NaN where not trained so far
    """

    theta: Array
    slots: list[Array]
    before: Array
    status: npt.NDArray[np.uint8]
    epochs_run: npt.NDArray[np.int64]
    best: Array | None
    best_loss: Array
    best_epoch: npt.NDArray[np.int64]
    train_loss: Array
    val_loss: Array | None

    @classmethod
    def at_start(cls, plan: Plan, theta: Array) -> State:
        """Return the state before the first step, which takes theta over."""
        count, recorded = len(theta), -(-plan.epochs // plan.record_every)

        def losses() -> Array:
            try:
                return np.full((count, recorded), np.nan, dtype=theta.dtype)
            except (MemoryError, ValueError):
                raise SettingError(
                    f"a history of {count:,} members and {recorded:,} epochs does not fit into "
                    "memory: keep fewer of them with record_every"
                ) from None

        return cls(
            theta=theta,
            slots=plan.optimizer.init(theta, plan.numbers.lr),
            before=theta.copy(),
            status=np.zeros(count, dtype=np.uint8),
            epochs_run=np.zeros(count, dtype=np.int64),
            best=None if plan.patience is None else theta.copy(),
            best_loss=np.full(count, np.inf, dtype=theta.dtype),
            best_epoch=np.zeros(count, dtype=np.int64),
            train_loss=losses(),
            val_loss=None if plan.validation is None else losses(),
        )

    @property
    def running(self) -> Indices:
        """The members whose training goes on."""
        return np.flatnonzero(self.status == Status.RUNNING)


class Stop:
    """Whether training is to end: for Python and for compiled code, which looks at ``flag``."""

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.int64)

    def set(self) -> None:
        """Say that it is to end."""
        self.flag[0] = 1

    def is_set(self) -> bool:
        """Return whether it is."""
        return bool(self.flag[0])


class _Blas:
    """How many threads BLAS had before any training, and how deep each thread is in trainings."""

    lock = threading.Lock()
    users = 0
    limits: Any = None
    here = threading.local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread while a training runs: members are the parallel axis.

    Only where threadpoolctl is installed; elsewhere the last bits of wide layers' products may
    depend on how many threads BLAS uses. Each thread sets and restores the number for itself, as
    OpenBLAS may keep it by thread.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        yield
        return
    depth = getattr(_Blas.here, "depth", 0)
    with _Blas.lock:
        if depth == 0:
            limits = threadpool_limits(limits=1, user_api="blas")
            if _Blas.users == 0:
                _Blas.limits = limits
        _Blas.users += 1
    _Blas.here.depth = depth + 1
    try:
        yield
    finally:
        _Blas.here.depth = depth
        with _Blas.lock:
            _Blas.users -= 1
            if depth == 0:
                _Blas.limits.restore_original_limits()
