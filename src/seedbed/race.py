"""Trainings side by side: held-out rows end the worst early and choose the best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seedbed import reproducible
from seedbed.engines.state import Stop
from seedbed.progress import Callback
from seedbed.recipe import Recipe
from seedbed.runs import Run

STAGES = ((1 / 5, 2), (7 / 15, 1))
"""After which shares of the epochs runs end, and how many go on. A cycle of ``coslog4`` ends there,
so that the members are at rest."""


@dataclass(frozen=True)
class Trial:
    """A recipe that was tried.

    epochs         completed
    held_out_loss  of the ensemble on the held-out rows, the best of the epochs; NaN without them
    chosen         whether the model is this one
    """

    name: str
    recipe: Recipe
    epochs: int
    held_out_loss: float
    chosen: bool


def race(runs: Sequence[Run], stop: Stop, callbacks: Sequence[Callback] = ()) -> int:
    """Train the runs in stages, and return the index of the one that was trained to the end.

    The runs monitor the ensemble on the same held-out rows. Those go on whose mean loss is lowest;
    the first run keeps its place against gains of less than one standard error over the rows
    (Breiman et al. 1984), so that a small table is not decided by chance.
    """
    alive = list(range(len(runs)))
    for share, places in STAGES:
        if len(alive) <= places:
            continue
        for number in alive:
            runs[number].advance(math.ceil(share * runs[number].plan.epochs), stop, callbacks)
        alive.sort(key=lambda number: -advantage(runs[number], runs[0]))  # stable: ties stay
        alive = alive[:places]
    best = alive[0]
    runs[best].advance(runs[best].plan.epochs, stop, callbacks)
    return best


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
