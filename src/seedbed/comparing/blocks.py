"""Blocks of a comparison's runs: some methods, trained from some seeds and scored."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array, Indices, checked_count, checked_flag, one_line
from seedbed.comparing import fitting
from seedbed.comparing.methods import AnyMethod
from seedbed.comparing.problem import Problem
from seedbed.comparing.rows import Splits
from seedbed.engines.select import fastest
from seedbed.errors import (
    DataError,
    FormulaError,
    MethodError,
)
from seedbed.executors import LANES
from seedbed.metrics import Metric
from seedbed.planning import make_plan
from seedbed.population import Population
from seedbed.recipe import Recipe
from seedbed.training import train_plan

_MAX_PREDICTIONS = 2**22
"""The maximum number of predictions in memory at a time."""


_MEASURED_SECONDS = 0.2
"""The time of one measurement of a recipe's speed."""


class Block(NamedTuple):
    """Methods to be run from the same seeds: recipes of one structure, or one other method."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]


class Outcome(NamedTuple):
    """What one run gave.

    score     NaN if the run failed
    status    as ``Population.status``, and the epochs trained; None for other methods than recipes
    seconds   of training, without compilation; of a function with its predictions
    unscored  whether the metric returned NaN
    """

    name: str
    seed: int
    score: float
    status: str | None
    epochs: int | None
    seconds: float
    unscored: bool


class Runner:
    """Trains methods on one problem's rows and scores them, block by block.

    It can be sent to another process. No result depends on how runs are divided into blocks.

    methods  by name, checked
    splits   the train and test rows of each seed
    planned  the expected number of seeds, by which "auto" picks one engine for all runs
    """

    def __init__(
        self, methods: Mapping[str, AnyMethod], problem: Problem, metric: Metric, splits: Splits,
        planned: int, progress: bool | None, threads: int | None,
    ) -> None:  # fmt: skip
        self.problem, self.metric, self.splits = problem, metric, splits
        self.progress = progress if progress is None else checked_flag("progress", progress)
        self.threads = threads if threads is None else checked_count("threads", threads)
        self.others = {name: each for name, each in methods.items() if not isinstance(each, Recipe)}
        given = {name: each for name, each in methods.items() if isinstance(each, Recipe)}
        self.requested_engines = {name: recipe.engine for name, recipe in given.items()}
        self.recipes = {
            name: self._with_engine(recipe, planned * len(given)) for name, recipe in given.items()
        }
        self.warm: dict[Hashable, float] = {}

    def _with_engine(self, recipe: Recipe, runs: int) -> Recipe:
        """Return the recipe with the engine that "auto" picks for all runs."""
        if recipe.engine != "auto":
            return recipe
        rows = len(self.splits.of(0)[0])
        batch = min(recipe.batch_size or rows, rows)
        member_steps = recipe.epochs * -(-rows // batch) * runs
        engine, _ = fastest(recipe.network, recipe.optimizer, batch, member_steps, plan=None)
        return replace(recipe, engine=engine.name)

    def elsewhere(self) -> Runner:
        """Return the runner for other processes, of which each has a core."""
        runner = copy.copy(self)
        runner.progress, runner.threads = False, self.threads or 1
        runner.warm = {}  # they compile, too
        return runner

    def run(self, block: Block) -> list[Outcome] | None:
        """Return the block's outcomes, method by method; None if Ctrl-C ended it.

        Raises: MethodError that names the method and the seed; DataError for a metric that returns
        no number.
        """
        if block.names[0] in self.others:
            return [self._run(name, seed) for name in block.names for seed in block.seeds]
        try:
            return self._train(block.names, block.seeds)
        except FormulaError:
            if "auto" not in [self.requested_engines[name] for name in block.names]:
                raise
            for name in block.names:  # "auto" runs formulas that do not compile on NumPy
                self.recipes[name] = replace(self.recipes[name], engine="numpy")
            return self._train(block.names, block.seeds)

    # ---------------------------------------------------------------- estimators and functions

    def _run(self, name: str, seed: int) -> Outcome:
        """Run one estimator or function.

        Raises: MethodError that names the method and the seed, from what the method raised.
        """
        train, test = self.splits.of(seed)
        try:
            p, seconds = fitting.run(
                self.others[name], self.problem, self.metric, seed, train, test
            )
        except MethodError as error:
            raise MethodError(f"{name} cannot be scored on seed {seed}: {error}") from None
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            kind = type(error).__name__
            raise MethodError(
                f"{name} raised {kind} on seed {seed}{f': {first}' if first else ''}"
            ) from error
        score, unscored = math.nan, False
        if np.isfinite(p).all():
            score, unscored = self._score(self.problem.t[test], p, f"seed {seed}")
        return Outcome(name, seed, score, None, None, seconds, unscored)

    # ---------------------------------------------------------------- recipes

    def _train(self, names: Sequence[str], seeds: Sequence[int]) -> list[Outcome] | None:
        splits = [self.splits.of(seed) for seed in seeds]
        recipe = Recipe.merge([self.recipes[name] for name in names], len(seeds))
        self._warm_up(names[0])
        began = time.perf_counter()
        every = max(1, recipe.epochs // 100)
        rows = [train for train, _ in splits] * len(names)
        population = self._trained(recipe, [*seeds] * len(names), rows, every)
        if (population.status == "interrupted").any():
            return None
        seconds = time.perf_counter() - began
        share = seconds / max(1, int(population.epochs.sum()))
        scores = self._score_members(population, [test for _, test in splits] * len(names))
        return [
            Outcome(
                names[member // len(seeds)], seed, score, str(population.status[member]),
                int(population.epochs[member]), share * int(population.epochs[member]), unscored,
            )
            for member, (seed, (score, unscored)) in enumerate(
                zip([*seeds] * len(names), scores, strict=True)
            )
        ]  # fmt: skip

    def seconds_of(self, name: str) -> float:
        """Return the estimated seconds of one run; 0 where nothing is known before it."""
        if name in self.others:
            return 0.0
        try:
            return self._warm_up(name) * self.recipes[name].epochs
        except FormulaError:  # ``run`` answers it
            return 0.0

    def epoch_seconds(self, name: str) -> float:
        """Return the seconds of an epoch of one of several members, the shortest of three times."""
        epochs = max(1, round(_MEASURED_SECONDS / LANES / max(self._warm_up(name), 1e-9)))
        times = [self._timed(self.recipes[name], epochs) for _ in range(3)]
        return min(times) / epochs

    def _warm_up(self, name: str) -> float:
        """Train members for one epoch, so that no method's time includes compilation.

        Returns the seconds of an epoch of one of several members.
        """
        recipe = self.recipes[name]
        if recipe.structure not in self.warm:
            for _ in range(1 if recipe.engine == "numpy" else 2):  # the first may compile
                self.warm[recipe.structure] = self._timed(recipe, 1)
        return self.warm[recipe.structure]

    def _timed(self, recipe: Recipe, epochs: int) -> float:
        """Train some members on one core, and return the seconds of each."""
        began = time.perf_counter()
        population = self._trained(
            replace(recipe, epochs=epochs, patience=None), range(LANES),
            [self.splits.of(0)[0]] * LANES, epochs, measured=True,
        )  # fmt: skip
        if (population.status == "interrupted").any():
            raise KeyboardInterrupt
        return (time.perf_counter() - began) / LANES

    def _trained(
        self, recipe: Recipe, seeds: Sequence[int], rows: Sequence[Indices], every: int,
        measured: bool = False,
    ) -> Population:  # fmt: skip
        """Train members on their own rows; the table of scores reports what they came to.

        measured  whether this is for the time that it takes on one core
        """
        plan = make_plan(
            recipe, self.problem.inputs, self.problem.targets, seeds, None, None, rows, every
        )
        if measured:
            return train_plan(recipe, plan, threads=1, progress=False)
        return train_plan(recipe, plan, threads=self.threads, progress=self.progress)

    def _score_members(
        self, population: Population, tests: Sequence[Indices]
    ) -> list[tuple[float, bool]]:
        """Return each member's score, and whether the metric returned NaN."""
        X, t = self.problem.inputs, self.problem.t
        assert X is not None
        step = _MAX_PREDICTIONS // (len(X) * population.network.outputs)
        scores: list[tuple[float, bool]] = []
        for start in range(0, len(population), max(1, step)):
            members = range(start, min(start + max(1, step), len(population)))
            part = population[members.start : members.stop]
            # many small members at once on all rows; a large one on its test rows only
            if step > 1:
                predictions = part.predict(X)
                each = [predictions[m - start][tests[m]] for m in members]
            else:
                each = [part.predict(X[tests[m]])[0] for m in members]
            for member, p in zip(members, each, strict=True):
                failed = bool(population.diverged[member]) or not np.isfinite(p).all()
                where = f"seed {population.seeds[member]}"
                if not failed and self.problem.target is not None:
                    p = self.problem.target.in_target_units(p.astype(np.float64))
                scores.append(
                    (math.nan, False) if failed else self._score(t[tests[member]], p, where)
                )
        return scores

    def _score(self, t: Array, p: Array, where: str) -> tuple[float, bool]:
        if self.problem.kind == "classes" and p.shape[1] == 1:
            p = np.concatenate([1 - p, p], axis=1)
        value = self.metric.f(t, p)
        try:
            score = float(value)
        except (TypeError, ValueError):
            raise DataError(
                f"the metric {self.metric.name} returned {one_line(value)} for {where}; it must "
                "return a number"
            ) from None
        worst = -math.inf if self.metric.higher_is_better else math.inf
        # infinitely bad is a failure
        return math.nan if score == worst else score, math.isnan(score)
