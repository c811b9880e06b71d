"""What callbacks are told, and a progress line for long work on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from seedbed.arrays import Array

_SHORT_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Progress:
    """What a callback is told.

    epoch       epochs completed
    epochs      epochs asked for
    running     members whose training goes on
    train_loss  (P,) the training losses last recorded; NaN for members that ended before
    val_loss    (P,) the same of the held-out rows, or None
    """

    epoch: int
    epochs: int
    running: int
    train_loss: Array
    val_loss: Array | None


Callback = Callable[[Progress], object]


class StatusLine:
    """Writes one line on standard error, over and over, once the work has taken a second.

    ``wanted`` None shows it where standard error is a terminal; True always, False never.
    """

    def __init__(self, wanted: bool | None) -> None:
        there = sys.stderr is not None
        self.wanted = there and (sys.stderr.isatty() if wanted is None else wanted)
        self.wait = 0.0 if wanted else _SHORT_SECONDS
        self.began = time.perf_counter()
        self.width = 0

    @property
    def is_due(self) -> bool:
        """Whether it is wanted, and the work has taken long enough."""
        return self.wanted and time.perf_counter() - self.began >= self.wait

    def write(self, line: str) -> None:
        """Write the line in place of the last one."""
        sys.stderr.write("\r" + line.ljust(self.width))
        sys.stderr.flush()
        self.width = len(line)

    def clear(self) -> None:
        """Wipe the line out, so that what is printed next begins on a clean one."""
        if self.width:
            self.write("")
            sys.stderr.write("\r")
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.clear()


class TrainingProgress(StatusLine):
    """The line of one training."""

    def __init__(self, wanted: bool | None, epochs: int, members: int) -> None:
        super().__init__(wanted)
        self.members = members

    def show(self, progress: Progress) -> None:
        """Write the line anew."""
        if not self.is_due:
            return
        took = time.perf_counter() - self.began
        left = took * (progress.epochs - progress.epoch) / progress.epoch
        losses = progress.train_loss if progress.val_loss is None else progress.val_loss
        finite = losses[np.isfinite(losses)]
        kind = "loss" if progress.val_loss is None else "validation loss"
        middle = f", {kind} {np.median(finite):.4g} (median)" if finite.size else ""
        self.write(
            f"epoch {progress.epoch:,} of {progress.epochs:,}, {progress.running:,} of "
            f"{self.members:,} members running{middle}, {left:.0f} s left"
        )
