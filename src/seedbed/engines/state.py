"""The state of a training, and the flag that ends it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.plan import Plan
from seedbed.errors import SettingError


class Status(IntEnum):
    """The status of a member's training."""

    RUNNING = 0
    FINISHED = 1
    STOPPED = 2
    """Its validation loss had not improved for ``patience`` epochs, or its time was over."""
    DIVERGED = 3
    """Its loss or a parameter was not finite: frozen at its last parameters with a finite loss."""
    INTERRUPTED = 4


STATUS_NAMES = np.array([status.name.lower() for status in Status])
"""The names in ``Population.status`` and in messages, by Status."""


@dataclass(eq=False, repr=False)
class State:
    """The arrays that training changes.

    theta            (P, D) parameters
    optimizer_state  the optimizer's arrays, (P, D) each
    before           (P, D) theta at the start of the last epoch run
    status           (P,) each member's Status
    epochs_run       (P,) completed epochs; for a diverged member, those up to its frozen theta
    best             (P, D) parameters with the lowest validation loss so far; None without patience
    best_loss        (P,) that loss
    best_epoch       (P,) completed epochs at that loss
    train_loss, val_loss  (P, recorded epochs), NaN for epochs not run

    Where a plan has shards, ``before``, ``epochs_run`` and ``train_loss`` are of passes over a
    shard in place of epochs.
    """

    theta: Array
    optimizer_state: list[Array]
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
        """Return the state before the first step; it keeps theta without a copy."""
        count = len(theta)

        def losses(epochs: int) -> Array:
            recorded = -(-epochs // plan.record_every)
            try:
                return np.full((count, recorded), np.nan, dtype=theta.dtype)
            except (MemoryError, ValueError):
                raise SettingError(
                    f"a history of {count:,} × {recorded:,} losses (members × epochs) does not fit "
                    "into memory: keep fewer of them with record_every"
                ) from None

        return cls(
            theta=theta,
            optimizer_state=plan.optimizer.init(theta, plan.hyperparameters.lr),
            before=theta.copy(),
            status=np.zeros(count, dtype=np.uint8),
            epochs_run=np.zeros(count, dtype=np.int64),
            best=None if plan.patience is None else theta.copy(),
            best_loss=np.full(count, np.inf, dtype=theta.dtype),
            best_epoch=np.zeros(count, dtype=np.int64),
            train_loss=losses(plan.passes),
            val_loss=None if plan.validation is None else losses(plan.epochs),
        )

    def copy(self) -> State:
        """Return the state with arrays of its own."""
        arrays = {
            name: value.copy()
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        slots = [slot.copy() for slot in self.optimizer_state]
        return replace(self, optimizer_state=slots, **arrays)

    @property
    def running(self) -> Indices:
        """The members still in training."""
        return np.flatnonzero(self.status == Status.RUNNING)


class Stop:
    """A request to end training; compiled code reads ``flag``.

    ``began`` tells whether there is a result to keep: before, a request to end raises.
    """

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.int64)
        self.began = False

    def set(self) -> None:
        """Request the end."""
        self.flag[0] = 1

    def is_set(self) -> bool:
        """Return whether the end is requested."""
        return bool(self.flag[0])
