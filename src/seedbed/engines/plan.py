"""The constant inputs of a training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.batches import Data
from seedbed.engines.shards import Shards
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.formulas.schedules import Schedule
from seedbed.network import Network


@dataclass(frozen=True, eq=False, repr=False)
class Hyperparameters:
    """The numeric hyperparameters of P members: each (1, 1), or (P, 1) where members differ.

    ``clip_norm`` is None without clipping; ``optimizer`` has the optimizer's own, in the order of
    its rule's last arguments.
    """

    lr: Array
    weight_decay: Array
    l1: Array
    l2: Array
    dropout: Array
    clip_norm: Array | None
    optimizer: tuple[Array, ...]

    def take(self, members: Indices) -> Hyperparameters:
        """Return the hyperparameters of ``members``."""

        def take(value: Array) -> Array:
            return value if len(value) == 1 else value[members]

        return Hyperparameters(
            take(self.lr),
            take(self.weight_decay),
            take(self.l1),
            take(self.l2),
            take(self.dropout),
            None if self.clip_norm is None else take(self.clip_norm),
            tuple(take(value) for value in self.optimizer),
        )


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The data and settings with which P members are trained.

    shards  the training rows on disk, of which ``train`` is a shard; None if all are in memory
    """

    network: Network
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    hyperparameters: Hyperparameters
    seeds: npt.NDArray[np.int64]
    train: Data
    validation: Data | None
    epochs: int
    batch_size: int | None
    patience: int | None
    record_every: int
    shards: Shards | None = None

    @property
    def passes_per_epoch(self) -> int:
        """The number of shards, each of which an engine passes over as if it were an epoch."""
        return 1 if self.shards is None else self.shards.count

    @property
    def passes(self) -> int:
        """The number of passes in all epochs."""
        return self.epochs * self.passes_per_epoch

    def by_row_counts(self, members: Indices) -> Iterator[Indices]:
        """Yield ``members`` grouped by their numbers of training and validation rows."""
        counts = self.counts[members]
        if len(members) and (counts == counts[0]).all():
            yield members
            return
        for pair in np.unique(counts, axis=0):
            yield members[(counts == pair).all(axis=1)]

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Each member's numbers of training and validation rows, (P, 2)."""
        counts = np.zeros((len(self.seeds), 2), dtype=np.int64)
        for column, data in enumerate((self.train, self.validation)):
            if data is not None:
                counts[:, column] = len(data.x) if data.rows is None else data.rows.count
        return counts

    @property
    def estimated_steps(self) -> int:
        """The number of steps in all epochs, for a member with the mean number of rows."""
        rows = int(self.counts[:, 0].mean())
        return self.epochs * -(-rows // self.largest_batch)

    @property
    def largest_batch(self) -> int:
        """The maximum number of rows in a step."""
        rows = int(self.counts[:, 0].max())
        return min(self.batch_size or rows, rows)

    @property
    def max_rows(self) -> int:
        """The maximum number of rows in a batch or in a member's validation data."""
        return max(self.largest_batch, int(self.counts[:, 1].max()))
