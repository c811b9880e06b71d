"""Trainings side by side: held-out rows end the worst early and choose the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seedbed import reproducible
from seedbed.engines.state import Stop
from seedbed.progress import Callback, Progress, TrainingProgress
from seedbed.recipe import Recipe
from seedbed.runs import Run

Stages = Sequence[tuple[float, int]]
"""After which shares of the epochs runs end, and how many go on: at last one."""

STAGES: Stages = ((2 / 15, 2), (1 / 5, 1))
"""The second cycle of ``coslog4`` is half over, then over. Later decisions chose no better."""

MIN_RACE_EPOCHS = 40
"""Where time is limited, fewer recipes are tried rather than each for fewer epochs than this."""


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried.

    epochs         completed; 0 if the time was over before its turn
    held_out_loss  of the ensemble on the held-out rows, the best of the epochs; NaN without them
    chosen         whether the model is this one
    """

    name: str
    recipe: Recipe
    epochs: int
    held_out_loss: float
    chosen: bool


def race(
    runs: Sequence[Run], stop: Stop, callbacks: Sequence[Callback] = (), stages: Stages = STAGES,
    before: Callable[[int], None] = lambda number: None, deadline: float = math.inf,
    decided: list[list[int]] | None = None,
) -> int:  # fmt: skip
    """Train the runs in stages, and return the index of the best, which was trained to the end.

    The runs monitor the ensemble on the same held-out rows. Those go on whose mean loss is lowest;
    the first run keeps its place against gains of less than one standard error over the rows
    (Breiman et al. 1984), so that a small table is not decided by chance.

    before    called with the index of the run that is advanced next
    deadline  time of ``time.perf_counter`` at which training ends; see ``Run.advance``
    decided   which runs went on after each stage: of a race that resumes from a checkpoint; later
              decisions are added
    """
    decided = [] if decided is None else decided
    known = [list(each) for each in decided]

    def advance(number: int, share: float) -> None:
        if number > 0 and runs[number].epoch == 0 and time.perf_counter() > deadline:
            return
        before(number)
        until = math.ceil(share * runs[number].plan.epochs)
        runs[number].advance(until, stop, callbacks, deadline)

    alive = list(range(len(runs)))
    for share, places in stages:
        if len(alive) <= places:
            continue
        if known:  # the losses that decided it have changed since
            alive = known.pop(0)
            continue
        for number in alive:
            advance(number, share)
        alive.sort(key=lambda number: -advantage(runs[number], runs[0]))  # stable: ties stay
        alive = alive[:places]
        if not stop.is_set():
            decided.append([*alive])
    advance(alive[0], 1.0)
    return alive[0]


def epochs_in_time(
    costs: Sequence[float], epochs: int, seconds: float, stages: Stages = STAGES
) -> tuple[list[int], int]:
    """Return which runs of a race to try in some seconds, and for how many epochs.

    costs   seconds of an epoch of each run
    epochs  wanted

    The first run is always tried, for at least one epoch. Of the others the slowest are left out
    while there is time for fewer than ``MIN_RACE_EPOCHS``.
    """
    tried = sorted(range(len(costs)), key=lambda number: (number > 0, costs[number]))
    while True:
        affordable = int(seconds / race_cost([costs[number] for number in tried], stages))
        if affordable >= min(epochs, MIN_RACE_EPOCHS) or len(tried) == 1:
            return sorted(tried), max(1, min(epochs, affordable))
        tried.pop()


def race_cost(costs: Sequence[float], stages: Stages = STAGES) -> float:
    """Return the most seconds that a race takes per epoch of its length."""
    total, slowest = 0.0, sorted(costs, reverse=True)
    shares, places = [0.0], [len(costs)]
    for share, count in stages:
        if count < places[-1]:
            shares.append(share)
            places.append(count)
    for (start, end), count in zip(pairwise([*shares, 1.0]), places, strict=True):
        total += (end - start) * sum(slowest[:count])
    return total


def advantage(run: Run, first: Run) -> float:
    """Return the gain in the held-out rows' mean loss over the first run, less its standard error.

    It is 0 for the first run, -inf for one without a finite loss, and inf if only the first has
    none.
    """
    if run is first:
        return 0.0
    assert run.ensemble is not None
    assert first.ensemble is not None
    gains = first.ensemble.best_losses - run.ensemble.best_losses
    known = np.isfinite(gains)
    if not known.any():
        return math.inf if np.isfinite(run.ensemble.best_losses).any() else -math.inf
    gains, w = gains[known], run.ensemble.w[known]
    mean = float(reproducible.weighted_mean(gains, w))
    variance = float(reproducible.weighted_mean((gains - mean) ** 2, w))
    count = float(reproducible.total(w) ** 2 / reproducible.total(w * w))
    return mean - math.sqrt(variance / count)


class RaceProgress(TrainingProgress):
    """The status line of several trainings: which one goes on, and the best so far.

    names  of the runs
    """

    def __init__(self, wanted: bool | None, names: Sequence[str], runs: Sequence[Run]) -> None:
        super().__init__(wanted, len(runs[0].plan.seeds))
        self.names, self.runs, self.current = names, runs, 0

    def begin(self, number: int) -> None:
        """Say that this run goes on."""
        self.current = number

    def show(self, progress: Progress) -> None:
        """Write the line."""
        if len(self.runs) == 1:
            super().show(progress)
        elif self.is_due:
            name, best = self.names[self.current], self._best()
            self.write(
                f"{name} ({self.current + 1} of {len(self.runs)}), epoch {progress.epoch:,} of "
                f"{progress.epochs:,}{best}"
            )

    def _best(self) -> str:
        """Return the lowest held-out loss so far and whose it is."""
        losses = [math.inf if r.ensemble is None else r.ensemble.best_loss for r in self.runs]
        loss = min(losses)
        if not math.isfinite(loss):
            return ""
        return f", best held-out loss {loss:.4g} ({self.names[losses.index(loss)]})"
