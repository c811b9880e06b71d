"""The progress that callbacks receive, and a status line for long work in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Self

import numpy as np

from seedbed.arrays import Array, checked_count, one_line
from seedbed.errors import SettingError

_DELAY_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Progress:
    """A training's progress, as callbacks receive it.

    epoch       completed epochs; at the end, those of the member that trained longest
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
    _live: list[Array] = field(default_factory=list, repr=False)

    @cached_property
    def theta(self) -> Array:
        """(P, D) the parameters after this epoch; a copy, made when a callback first reads it.

        Raises: SettingError if it is read for the first time after the callback.
        """
        if not self._live:
            raise SettingError(
                f"theta of epoch {self.epoch} is gone, as training went on: read progress.theta "
                "inside the callback"
            )
        return self._live[0].copy()

    def release(self) -> None:
        """Let go of the parameters that training goes on to change."""
        self._live.clear()


Callback = Callable[[Progress], object]


@dataclass(frozen=True, eq=False)
class Every:
    """A callback that is called after certain epochs; see ``every``."""

    epochs: int
    function: Callback

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", checked_count("every's epochs", self.epochs))
        if not callable(self.function):
            raise SettingError(f"every needs a function, not {one_line(self.function)}")

    def __call__(self, progress: Progress) -> object:
        """Call the function."""
        return self.function(progress)

    def next(self, epoch: int) -> int:
        """Return the first epoch after ``epoch`` that it is called after."""
        return (epoch // self.epochs + 1) * self.epochs


def every(epochs: int, function: Callback) -> Callback:
    """Return a callback that is called after every so many epochs, and after the last one.

    Training calls other callbacks by the clock. Neither changes a bit of the result.

    >>> import seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> frames = []
    >>> keep = sb.every(40, lambda progress: frames.append((progress.epoch, progress.theta)))
    >>> population = sb.train(sb.xor.recipe(epochs=100), X, Y, seeds=range(3), callbacks=[keep])
    >>> [(epoch, theta.shape) for epoch, theta in frames]
    [(40, (3, 21)), (80, (3, 21)), (100, (3, 21))]
    """
    return Every(epochs, function)


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
        left = elapsed * (progress.epochs - progress.epoch) / max(progress.epoch, 1)
        losses = progress.train_loss if progress.val_loss is None else progress.val_loss
        finite = losses[np.isfinite(losses)]
        kind = "loss" if progress.val_loss is None else "validation loss"
        median = f", {kind} {np.median(finite):.4g} (median)" if finite.size else ""
        self.write(
            f"epoch {progress.epoch:,} of {progress.epochs:,}, {progress.running:,} of "
            f"{self.members:,} members running{median}, {left:.0f} s left"
        )
