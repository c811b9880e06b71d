"""The progress that callbacks receive, and a progress line in a terminal or a notebook."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from seedbed import html
from seedbed.arrays import Array, checked_count, one_line
from seedbed.engines.state import STATUS_NAMES, Status
from seedbed.errors import SettingError
from seedbed.population import History

_DELAY_SECONDS = 1.0
_BAR_WIDTH = 16


class Live(NamedTuple):
    """The arrays that training goes on to change; see ``Progress``."""

    theta: Array
    status: Array
    epochs_run: Array
    train_loss: Array
    val_loss: Array | None
    ensemble_val_loss: Array | None


@dataclass(frozen=True, eq=False)
class Progress:
    """A training's progress, as callbacks receive it.

    epoch       completed epochs; at the end, those of the member that trained longest
    epochs      requested epochs
    running     members still in training
    train_loss  (P,) the last recorded training losses; NaN for members that stopped before; of
                rows on disk, within an epoch, the losses on the last shard
    val_loss    (P,) the last recorded validation losses, or None
    seeds       (P,)
    settings    the hyperparameters in which members differ, each (P,)
    share       of all the work, from 0 to 1: of rows on disk, also within an epoch
    first_epoch   the epochs that were completed before this call, as in a checkpoint
    record_every  the history has every n-th epoch
    recipe      the name of the recipe that is tried, of an estimator's; else ""
    is_last     whether training ends here

    ``theta``, ``status``, ``epochs_run`` and ``history`` are copied when a callback first reads
    them, which must be inside the callback.
    """

    epoch: int
    epochs: int
    running: int
    train_loss: Array
    val_loss: Array | None
    seeds: Array
    settings: dict[str, Array] = field(repr=False)
    share: float = 0.0
    first_epoch: int = 0
    record_every: int = 1
    recipe: str = ""
    is_last: bool = False
    _live: list[Live] = field(default_factory=list, repr=False)

    @cached_property
    def theta(self) -> Array:
        """(P, D) the parameters after this epoch.

        Raises: SettingError if it is read for the first time after the callback.
        """
        return self._now("theta").theta.copy()

    @cached_property
    def status(self) -> Array:
        """(P,) as ``Population.status``, and "running".

        Raises: as ``theta``.
        """
        live = self._now("status")
        ended = (live.status == Status.RUNNING) & (live.epochs_run == self.epochs)
        return STATUS_NAMES[np.where(ended, np.uint8(Status.FINISHED), live.status)]

    @cached_property
    def epochs_run(self) -> Array:
        """(P,) completed epochs; for a diverged member, those up to its theta.

        Raises: as ``theta``.
        """
        return self._now("epochs_run").epochs_run.copy()

    @cached_property
    def history(self) -> History:
        """The losses so far, in every recorded epoch.

        Raises: as ``theta``.
        """
        live = self._now("history")
        epochs = np.arange(0, self.epoch, self.record_every)

        def known(losses: Array | None) -> Array | None:
            return None if losses is None else losses[:, : len(epochs)].copy()

        ensemble = live.ensemble_val_loss
        train_loss = live.train_loss[:, : len(epochs)].copy()
        return History(
            epochs, train_loss, known(live.val_loss),
            None if ensemble is None else ensemble[epochs].copy(),
        )  # fmt: skip

    def _now(self, name: str) -> Live:
        if not self._live:
            raise SettingError(
                f"{name} of epoch {self.epoch} is gone, as training went on: read progress.{name} "
                "inside the callback"
            )
        return self._live[0]

    def release(self) -> None:
        """Let go of what training goes on to change."""
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
    """One line with a progress bar, rewritten in place: on standard error, or in a notebook's cell.

    ``wanted`` None shows it after one second, if standard error is a terminal (other than
    ``TERM=dumb``) or the notebook is open in a browser; True shows it always, False never.
    """

    def __init__(self, wanted: bool | None) -> None:
        self.kernel = _notebook_kernel()
        if self.kernel is not None:
            is_watched = _has_reader(self.kernel)
            self.wanted = is_watched if wanted is None else wanted
        else:
            self.wanted = sys.stderr is not None and (_is_terminal() if wanted is None else wanted)
        self.delay = 0.0 if wanted else _DELAY_SECONDS
        self.began = time.perf_counter()
        self.width = 0
        self.display: Any = None

    @property
    def is_due(self) -> bool:
        """Whether the line is wanted and the delay is over."""
        return self.wanted and time.perf_counter() - self.began >= self.delay

    def write(self, text: str, share: float | None = None) -> None:
        """Replace the line by a text, and a bar before it if the share of the work is known."""
        if self.kernel is not None:
            self._show({"text/plain": text, "text/html": html.progress(share, text)})
            return
        line = text if share is None else f"{_bar(share, _BAR_WIDTH)} {share:4.0%}  {text}"
        line = line[: max(shutil.get_terminal_size().columns - 1, 20)]  # a broken line would stay
        self._rewrite(line)

    def clear(self) -> None:
        """Erase the line."""
        if self.display is not None:
            self._show({"text/plain": "", "text/html": ""})
            self.display = None
        if self.width:
            self._rewrite("")
            self._rewrite("")

    def _rewrite(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self.width))
        sys.stderr.flush()
        self.width = len(line)

    def _show(self, content: dict[str, str]) -> None:
        if self.display is None:
            show = importlib.import_module("IPython.display").display
            self.display = show(content, raw=True, display_id=True)
        else:
            self.display.update(content, raw=True)

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
        left = elapsed * (1 / max(progress.share, 1e-9) - 1)
        losses = progress.train_loss if progress.val_loss is None else progress.val_loss
        finite = losses[np.isfinite(losses)]
        kind = "loss" if progress.val_loss is None else "validation loss"
        median = f", {kind} {np.median(finite):.4g} (median)" if finite.size else ""
        self.write(
            f"epoch {progress.epoch:,} of {progress.epochs:,}, {left:.0f} s left{median}, "
            f"{progress.running:,} of {self.members:,} running",
            progress.share,
        )


def _is_terminal() -> bool:
    """Return whether standard error can rewrite a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _bar(share: float, width: int) -> str:
    """Return a bar in the characters that standard error can print."""
    full, empty = "━", "╌"
    try:
        (full + empty).encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        full, empty = "#", "-"
    done = round(width * share)
    return full * done + empty * (width - done)


def _notebook_kernel() -> Any:
    """Return the kernel of the notebook that this runs in, or None."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None)


def _has_reader(kernel: Any) -> bool:
    """Return whether the notebook is open to a reader: programs that run it take no input."""
    try:
        return bool(kernel.get_parent()["content"]["allow_stdin"])
    except (AttributeError, LookupError):  # another kind of kernel, or another thread
        return False
