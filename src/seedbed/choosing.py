"""train_best(): tries recipes side by side, within a time if one is given."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from seedbed.arrays import Array
from seedbed.checkpoints import Checkpoint
from seedbed.engines.blas import one_blas_thread
from seedbed.engines.shards import Shards
from seedbed.engines.state import Stop
from seedbed.interrupts import interruptible
from seedbed.planning import make_plan
from seedbed.population import Population
from seedbed.progress import Callback
from seedbed.race import STAGES, RaceProgress, Stages, Trial, epochs_in_time, race
from seedbed.recipe import Recipe
from seedbed.runs import Run
from seedbed.training import warn_of_members

PLANNED = 0.9
"""The share of the time left that epochs are planned for, as estimates err."""

SAMPLE_ROWS = 256
"""Rows of the sample by which an epoch's time is estimated."""


class Entry(NamedTuple):
    """A recipe to try, and what it trains on.

    name        for people
    x           (N, I) inputs, or training rows on disk
    validation  (X, T, weights), or None with ``held_out``
    """

    name: str
    recipe: Recipe
    x: Array | Shards
    validation: tuple[Any, ...] | None = None


def train_best(
    entries: Sequence[Callable[[], Entry]],
    T: Array | None,
    *,
    seeds: Any,
    held_out: Any = None,
    sample_weight: Array | None = None,
    start: Array | None = None,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    threads: int | None = None,
    stages: Stages = STAGES,
    deadline: float = math.inf,
    checkpoint: Checkpoint | None = None,
) -> tuple[Population, list[Trial]]:
    """Train recipes side by side; return the best one's population and what was tried, in order.

    entries   make the recipes, the default first (see ``race``); several monitor the ensemble
    T         (N, O) or (N,), as ``train`` takes them; None if all rows are on disk
    stages    see ``race``
    deadline  time of ``time.perf_counter`` by which to end: the first entries are tried, and for
              fewer epochs, if all take longer; at least one epoch of the first
    checkpoint  keeps the runs, or None

    The other arguments are those of ``train``; callbacks are called for each recipe in turn.
    Raises: as ``train``.
    """
    names: list[str] = []
    runs: list[Run] = []
    costs: list[float] = []
    with one_blas_thread(), interruptible() as stop:
        for make in entries:
            if runs and deadline < math.inf:  # another one, which takes as long as the first?
                kept, _ = _affordable(runs[0], [*costs, costs[0]], deadline, stages)
                if len(kept) == len(costs):
                    break
            name, recipe, x, validation = make()
            plan = make_plan(recipe, x, T, seeds, validation, sample_weight, None, 1, held_out)
            run = Run(recipe, plan, threads, start, quiet=progress is False, trainings=len(entries))
            names.append(name)
            runs.append(run)
            if deadline < math.inf:
                costs.append(_epoch_seconds(run, threads))
        if deadline < math.inf:
            kept, epochs = _affordable(runs[0], costs, deadline, stages)
            names = [names[number] for number in kept]
            runs = [_shortened(runs[number], epochs, threads) for number in kept]
            deadline -= costs[0]  # for the final losses, and a look at the members
        for label, run in zip(names, runs, strict=True):
            run.name = label
        decided: list[list[int]] = []
        if checkpoint is not None:
            checkpoint.follow(runs, decided)
            callbacks = [*callbacks, checkpoint]
        stop.began = any(run.passes for run in runs)
        with RaceProgress(progress, names, runs) as line:
            best = race(runs, stop, [*callbacks, line.show], stages, line.begin, deadline, decided)
        runs[best].close(callbacks)
        if checkpoint is not None:
            checkpoint.save()
        population = runs[best].finish()
    trials = [
        Trial(
            name,
            replace(run.recipe, engine=run.engine.name),
            run.epoch,
            math.nan if run.ensemble is None else run.ensemble.best_loss,
            run is runs[best],
        )
        for name, run in zip(names, runs, strict=True)
    ]
    warn_of_members(population)
    return population, trials


def _affordable(
    first: Run, costs: Sequence[float], deadline: float, stages: Stages
) -> tuple[list[int], int]:
    """Return which runs to try until the deadline, and for how many epochs."""
    left = PLANNED * (deadline - time.perf_counter() - costs[0])
    return epochs_in_time(costs, first.plan.epochs, left, stages)


def _epoch_seconds(run: Run, threads: int | None) -> float:
    """Return the estimated time of an epoch of a run, from one on a sample of its rows."""
    plan = run.plan
    rows = min(len(plan.train.x), SAMPLE_ROWS)
    sample = replace(plan.train, x=plan.train.x[:rows], t=plan.train.t[:rows], w=None, rows=None)
    settings: dict[str, Any] = {"epochs": 2, "patience": None}
    recipe = replace(
        run.recipe, monitor="members", validation=None, engine=run.engine.name, **settings
    )
    plan = replace(plan, train=sample, validation=None, shards=None, **settings)
    short = Run(recipe, plan, threads, run.state.theta, quiet=True)  # drawing others takes time
    with one_blas_thread():
        short.advance(1, Stop())  # which loads the engine
        began = time.perf_counter()
        short.advance(2, Stop())
    trained, validated = run.plan.counts.mean(axis=0)
    trained *= run.plan.passes_per_epoch
    return (time.perf_counter() - began) * float(trained + validated / 3) / rows


def _shortened(run: Run, epochs: int, threads: int | None) -> Run:
    """Return a run that has not begun for fewer epochs."""
    if epochs == run.plan.epochs:
        return run
    patience = run.recipe.patience
    fewer: dict[str, Any] = {
        "epochs": epochs, "patience": None if patience is None else min(patience, epochs)
    }  # fmt: skip
    recipe = replace(run.recipe, engine=run.engine.name, **fewer)
    return Run(recipe, replace(run.plan, **fewer), threads, run.state.theta, quiet=True)
