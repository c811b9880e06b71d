"""What stays the same during a training: the plan that an engine carries out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.batches import Data
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.formulas.schedules import Schedule
from seedbed.network import Network

BLOCK_BYTES = 2**22


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


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """All that stays as it is while P members are trained."""

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
    def estimated_steps(self) -> int:
        """How many steps all epochs have, for a member with the mean number of rows."""
        rows = int(self.counts[:, 0].mean())
        return self.epochs * -(-rows // self.largest_batch)

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
        numbers = 8 * self.network.size + 3 * seen * self.network.row_size
        if self.optimizer.needs == "jacobian":
            numbers += 2 * batch * self.network.outputs * self.network.size
        held = numbers * self.train.x.itemsize
        if batch < train_rows or self.train.rows is not None:
            held += 32 * train_rows  # an epoch's order, and the random words it is made of
        return max(1, BLOCK_BYTES // held)


def evaluation_rows(network: Network) -> int:
    """Return how many rows are evaluated at a time: as many as keep the activations small."""
    return max(32, 2**15 // network.row_size)
