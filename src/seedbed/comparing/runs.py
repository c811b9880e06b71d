"""Trains methods from the same seeds and scores them on the same test rows."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seedbed import metrics
from seedbed.arrays import Array, Indices, one_line
from seedbed.comparing import fitting
from seedbed.comparing.comparison import Method
from seedbed.comparing.methods import AnyMethod
from seedbed.comparing.problem import Problem
from seedbed.comparing.rows import SplitKind, Splits
from seedbed.engines.select import fastest
from seedbed.engines.state import Stop
from seedbed.errors import (
    DataError,
    DivergenceWarning,
    FormulaError,
    InterruptWarning,
    MethodError,
    SettingError,
)
from seedbed.metrics import Metric, TargetKind
from seedbed.population import Population
from seedbed.progress import StatusLine
from seedbed.recipe import Recipe
from seedbed.training import train

_MAX_PREDICTIONS = 2**22
"""The maximum number of predictions in memory at a time."""


def checked_metric(metric: Any, kind: TargetKind) -> Metric:
    """Return the metric, given as one or by its name; None is the default for such targets.

    Raises: SettingError for a metric that cannot score them.
    """
    metric = as_metric(metric)
    if metric is None:
        return metrics.rmse if kind == "numbers" else metrics.accuracy
    if kind not in metric.targets:
        fit = [
            name for name, each in metrics.BY_NAME.items()
            if isinstance(each, Metric) and kind in each.targets
        ]  # fmt: skip
        raise SettingError(
            f"{metric.name} scores {' and '.join(metric.targets)}, and the methods predict {kind}: "
            f"use {', '.join(fit)}"
        )
    return metric


def as_metric(metric: Any) -> Metric | None:
    """Return the metric, given as one or by its name; None stays.

    Raises: SettingError for anything else.
    """
    if isinstance(metric, str):
        return metrics.by_name(metric)
    if metric is None or isinstance(metric, Metric):
        return metric
    hint = ""
    if callable(metric):
        hint = ": wrap a function in sb.Metric(name, function, higher_is_better=…)"
    raise SettingError(
        f"metric must be a Metric such as sb.metrics.accuracy, or its name, not {one_line(metric)}"
        + hint
    )


class Runs:
    """The runs and scores of several methods on one problem.

    methods  by name, checked
    split    "resampled": each seed draws its test rows; "fixed": all seeds share them; or
             (train rows, test rows); or ``Splits``
    test     the share of the rows to draw for testing
    planned  the expected number of seeds, by which "auto" picks one engine for all runs
    """

    def __init__(
        self,
        methods: Mapping[str, AnyMethod],
        problem: Problem,
        metric: Metric,
        split: SplitKind | tuple[Any, Any] | list[Any] | Splits,
        test: float,
        progress: bool | None,
        threads: int | None,
        planned: int = 64,
    ) -> None:
        self.problem, self.metric = problem, metric
        self.progress, self.threads = progress, threads
        self.splits = problem.splits(split, test)
        self.rows = self.splits.of
        train, held_out = self.rows(0)
        self.row_counts = len(train), len(held_out)
        self.others = {name: each for name, each in methods.items() if not isinstance(each, Recipe)}
        given = {name: each for name, each in methods.items() if isinstance(each, Recipe)}
        self.requested_engines = {name: recipe.engine for name, recipe in given.items()}
        self.recipes = {
            name: self._with_engine(recipe, planned * len(given)) for name, recipe in given.items()
        }
        self.groups: dict[Hashable, list[str]] = {}
        for name, recipe in self.recipes.items():
            self.groups.setdefault(recipe.structure, []).append(name)
        self.seeds: dict[str, list[int]] = {name: [] for name in methods}
        self.scores: dict[str, list[float]] = {name: [] for name in methods}
        self.status: dict[str, list[str]] = {name: [] for name in self.recipes}
        self.epochs: dict[str, list[int]] = {name: [] for name in self.recipes}
        self.seconds = dict.fromkeys(methods, 0.0)
        self.warm: set[Hashable] = set()
        self.unscored = 0

    def resume(self, methods: Mapping[str, Method]) -> None:
        """Take the runs of earlier methods of the same names."""
        for name, method in methods.items():
            self.seeds[name] = method.seeds.tolist()
            self.scores[name] = method.scores.tolist()
            self.seconds[name] = (method.seconds or 0.0) * len(method.seeds)
            if name in self.recipes and method.status is not None and method.epochs is not None:
                self.status[name] = method.status.tolist()
                self.epochs[name] = method.epochs.tolist()

    def drop_after(self, name: str, count: int) -> None:
        """Keep a method's first runs only."""
        lists: list[Any] = [self.seeds, self.scores, self.status, self.epochs]
        for by_name in lists:
            if name in by_name:
                del by_name[name][count:]

    def notes(self) -> list[str]:
        """Return what a reader of the scores must know."""
        if not self.unscored:
            return []
        runs = "1 run counts" if self.unscored == 1 else f"{self.unscored} runs count"
        return [f"{self.metric.name}: {runs} as failed, as the metric returned NaN"]

    def _with_engine(self, recipe: Recipe, runs: int) -> Recipe:
        """Return the recipe with the engine that "auto" picks for all runs."""
        if recipe.engine != "auto":
            return recipe
        rows = self.row_counts[0]
        batch = min(recipe.batch_size or rows, rows)
        member_steps = recipe.epochs * -(-rows // batch) * runs
        engine, _ = fastest(recipe.network, recipe.optimizer, batch, member_steps, plan=None)
        return replace(recipe, engine=engine.name)

    def extend(self, names: Iterable[str], seeds: Sequence[int], stop: Stop) -> bool:
        """Run these methods from more seeds; return False if that was interrupted."""
        names = set(names)
        groups = [[name for name in group if name in names] for group in self.groups.values()]
        for group in filter(None, groups):
            if stop.is_set() or not self._extend(group, seeds):
                return False
        complete = self._run_others([name for name in self.others if name in names], seeds, stop)
        scores = [score for each in self.scores.values() for score in each]
        if self.unscored and self.unscored == len(scores):
            raise DataError(
                f"the metric {self.metric.name} returned NaN for all {len(scores)} runs; it must "
                "return numbers"
            )
        return complete

    def results(self) -> dict[str, Method]:
        """Return each method's runs so far."""
        return {
            name: Method(
                name,
                np.array(self.scores[name]),
                np.array(self.seeds[name], dtype=np.int64),
                np.array(self.status[name]) if name in self.status else None,
                np.array(self.epochs[name], dtype=np.int64) if name in self.epochs else None,
                self.seconds[name] / max(1, len(self.seeds[name])),
            )
            for name in self.scores
        }

    # ---------------------------------------------------------------- estimators and functions

    def _run_others(self, names: Sequence[str], seeds: Sequence[int], stop: Stop) -> bool:
        """Run the methods seed by seed, so that an interruption leaves pairs of runs."""
        runs = [(seed, name) for seed in seeds for name in names]
        with StatusLine(self.progress) as line:
            for number, (seed, name) in enumerate(runs):
                if stop.is_set():
                    return False
                if line.is_due:
                    line.write(f"run {number + 1} of {len(runs)}: {name}, seed {seed}")
                score, seconds = self._run(name, seed)
                self.seeds[name].append(seed)
                self.scores[name].append(score)
                self.seconds[name] += seconds
        return True

    def _run(self, name: str, seed: int) -> tuple[float, float]:
        """Return the score of a run, NaN if it failed, and its seconds.

        Raises: MethodError that names the method and the seed, from what the method raised.
        """
        train, test = self.rows(seed)
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
        if not np.isfinite(p).all():
            return math.nan, seconds
        return self._score(self.problem.t[test], p, f"seed {seed}"), seconds

    # ---------------------------------------------------------------- recipes

    def _extend(self, names: list[str], seeds: Sequence[int]) -> bool:
        try:
            return self._train(names, seeds)
        except FormulaError:
            if "auto" not in [self.requested_engines[name] for name in names]:
                raise
            for name in names:  # "auto" runs formulas that do not compile on NumPy
                self.recipes[name] = replace(self.recipes[name], engine="numpy")
            return self._train(names, seeds)

    def _train(self, names: list[str], seeds: Sequence[int]) -> bool:
        splits = [self.rows(seed) for seed in seeds]
        recipe = Recipe.merge([self.recipes[name] for name in names], len(seeds))
        self._warm_up(names[0], splits[0][0], seeds[0])
        began = time.perf_counter()
        with warnings.catch_warnings():  # the table reports them
            warnings.simplefilter("ignore", DivergenceWarning)
            warnings.simplefilter("ignore", InterruptWarning)
            population = train(
                recipe,
                self.problem.inputs,
                self.problem.targets,
                seeds=[*seeds] * len(names),
                rows=[train for train, _ in splits] * len(names),
                record_every=max(1, recipe.epochs // 100),
                progress=self.progress,
                threads=self.threads,
            )
        if (population.status == "interrupted").any():
            return False
        seconds = time.perf_counter() - began
        share = seconds / max(1, int(population.epochs.sum()))
        scores = self._score_members(population, [test for _, test in splits] * len(names))
        for number, name in enumerate(names):
            members = slice(number * len(seeds), (number + 1) * len(seeds))
            self.seeds[name] += seeds
            self.scores[name] += scores[members]
            self.status[name] += population.status[members].tolist()
            self.epochs[name] += population.epochs[members].tolist()
            self.seconds[name] += share * int(population.epochs[members].sum())
        return True

    def _warm_up(self, name: str, rows: Indices, seed: int) -> None:
        """Train one member for one epoch, so that no method's time includes compilation."""
        recipe = self.recipes[name]
        if recipe.engine == "numpy" or recipe.structure in self.warm:
            return
        self.warm.add(recipe.structure)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(
                replace(recipe, epochs=1), self.problem.inputs, self.problem.targets, seeds=seed,
                rows=[rows], progress=False, threads=1,
            )  # fmt: skip

    def _score_members(self, population: Population, tests: Sequence[Indices]) -> list[float]:
        X, t = self.problem.inputs, self.problem.t
        assert X is not None
        step = _MAX_PREDICTIONS // (len(X) * population.network.outputs)
        scores: list[float] = []
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
                scores.append(math.nan if failed else self._score(t[tests[member]], p, where))
        return scores

    def _score(self, t: Array, p: Array, where: str) -> float:
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
        if math.isnan(score):
            self.unscored += 1
        worst = -math.inf if self.metric.higher_is_better else math.inf
        return math.nan if score == worst else score  # infinitely bad is a failure
