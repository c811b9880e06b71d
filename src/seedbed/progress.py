"""The progress that callbacks receive, and a status line for long work in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np

from seedbed.arrays import Array

_DELAY_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Progress:
    """A training's progress, as callbacks receive it.

    epoch       completed epochs
    epochs      requested epochs
    running     members still in training
    train_loss  (P,) the last recorded training losses; NaN for members that stopped before
    val_loss    (P,) the last recorded validation losses, or None
    """

    epoch: int
    epochs: int
    running: int
    train_loss: Array
    val_loss: Array | None


Callback = Callable[[Progress], object]


class StatusLine:
    """One line on standard error, rewritten in place; with ``wanted`` None, after one second.

    ``wanted`` None shows it if standard error is a terminal; True always, False never.
    """

    def __init__(self, wanted: bool | None) -> None:
        is_open = sys.stderr is not None
        self.wanted = is_open and (sys.stderr.isatty() if wanted is None else wanted)
        self.delay = 0.0 if wanted else _DELAY_SECONDS
        self.began = time.perf_counter()
        self.width = 0

    @property
    def is_due(self) -> bool:
        """Whether the line is wanted and the delay is over."""
        return self.wanted and time.perf_counter() - self.began >= self.delay

    def write(self, line: str) -> None:
        """Replace the line."""
        sys.stderr.write("\r" + line.ljust(self.width))
        sys.stderr.flush()
        self.width = len(line)

    def clear(self) -> None:
        """Erase the line."""
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
    """The status line of one training."""

    def __init__(self, wanted: bool | None, members: int) -> None:
        super().__init__(wanted)
        self.members = members

    def show(self, progress: Progress) -> None:
        """Write the line."""
        if not self.is_due:
            return
        elapsed = time.perf_counter() - self.began
        left = elapsed * (progress.epochs - progress.epoch) / progress.epoch
        losses = progress.train_loss if progress.val_loss is None else progress.val_loss
        finite = losses[np.isfinite(losses)]
        kind = "loss" if progress.val_loss is None else "validation loss"
        median = f", {kind} {np.median(finite):.4g} (median)" if finite.size else ""
        self.write(
            f"epoch {progress.epoch:,} of {progress.epochs:,}, {progress.running:,} of "
            f"{self.members:,} members running{median}, {left:.0f} s left"
        )
