"""Trains methods from the same seeds and scores them on the same test rows."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seedbed import checks, metrics, streams
from seedbed.arrays import Array, Indices, as_array, checked_number, one_line
from seedbed.comparing.comparison import Method
from seedbed.comparing.judge import with_string_names
from seedbed.engines.select import fastest
from seedbed.engines.state import Stop
from seedbed.errors import (
    DataError,
    DivergenceWarning,
    FormulaError,
    InterruptWarning,
    SettingError,
    ShapeError,
)
from seedbed.metrics import Metric, TargetKind
from seedbed.population import Population
from seedbed.recipe import Recipe
from seedbed.training import train

SplitKind = Literal["resampled", "fixed"]
_MAX_PREDICTIONS = 2**22
"""The maximum number of predictions in memory at a time."""


def task_of(recipe: Recipe) -> tuple[TargetKind, int]:
    """Return the recipe's task, and its number of classes, labels or numbers."""
    kind, outputs = recipe.loss.targets, recipe.network.outputs
    if kind == "classes":
        return "classes", outputs
    if kind == "probability":
        return ("classes", 2) if outputs == 1 else ("labels", outputs)
    return "numbers", outputs


def checked_methods(methods: Any) -> dict[str, Recipe]:
    """Return the methods by name, all with the same task.

    Raises: SettingError.
    """
    if not isinstance(methods, Mapping) or not all(
        isinstance(recipe, Recipe) for recipe in methods.values()
    ):
        raise SettingError(
            "methods must be a dict of recipes by name, such as {'a': sb.Recipe(…), 'b': …}, "
            f"not {one_line(methods)}"
        )
    checked: dict[str, Recipe] = with_string_names(methods)
    seen: dict[tuple[object, ...], str] = {}
    for name, recipe in checked.items():
        if recipe.settings:
            raise SettingError(
                f"{name} sets {', '.join(recipe.settings)} per member: give each setting as "
                "its own method"
            )
        if recipe.identity in seen:
            raise SettingError(
                f"{seen[recipe.identity]} and {name} are the same recipe: every run would be a tie"
            )
        seen[recipe.identity] = name
    check_tasks(checked)
    return checked


def check_tasks(methods: Mapping[str, Recipe]) -> None:
    """Refuse methods with different tasks, or whose members are not scored one by one.

    Raises: SettingError.
    """
    for name, recipe in methods.items():
        if recipe.monitor == "ensemble":
            raise SettingError(
                f"{name} monitors the ensemble, and a comparison scores members one by one: leave "
                "monitor='ensemble' out"
            )
    tasks = {name: task_of(recipe) for name, recipe in methods.items()}
    for name, task in tasks.items():
        first = next(iter(tasks))
        if task != tasks[first]:
            raise SettingError(
                f"{first} predicts {_describe_task(*tasks[first])} and {name} "
                f"{_describe_task(*task)}: the methods must have the same targets"
            )


def _describe_task(task: TargetKind, count: int) -> str:
    return f"{count} {task if count > 1 or task != 'numbers' else 'number'}"


def checked_metric(metric: Any, recipe: Recipe) -> Metric:
    """Return the metric, or the default for the recipe's task.

    Raises: SettingError for a metric that cannot score the task.
    """
    task, _ = task_of(recipe)
    if metric is None:
        return metrics.rmse if task == "numbers" else metrics.accuracy
    if not isinstance(metric, Metric):
        hint = ""
        if callable(metric):
            hint = ": wrap a function in sb.Metric(name, function, higher_is_better=…)"
        raise SettingError(
            f"metric must be a Metric such as sb.metrics.accuracy, not {one_line(metric)}{hint}"
        )
    if task not in metric.targets:
        fit = [
            name for name, each in metrics.BY_NAME.items()
            if isinstance(each, Metric) and task in each.targets
        ]  # fmt: skip
        raise SettingError(
            f"{metric.name} scores {' and '.join(metric.targets)}, and the methods predict {task}: "
            f"use {', '.join(fit)}"
        )
    return metric


class Runs:
    """The runs and scores of several methods on one data set.

    recipes  by name, checked
    split    "resampled": each seed draws its test rows; "fixed": all seeds share them; or
             (train rows, test rows)
    test     the share of the rows to draw for testing
    planned  the expected number of seeds, by which "auto" picks one engine for all runs
    """

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        X: Any,
        Y: Any,
        metric: Metric,
        split: SplitKind | tuple[Any, Any] | list[Any],
        test: float,
        progress: bool | None,
        threads: int | None,
        planned: int = 64,
    ) -> None:
        self.recipes, self.metric = dict(recipes), metric
        self.progress, self.threads = progress, threads
        first = next(iter(recipes.values()))
        for recipe in recipes.values():
            checks.check_outputs(recipe.loss, recipe.network)
            self.X = checks.checked_inputs(X, recipe.network, "float64")
            t = checks.checked_targets(
                Y, recipe.loss, recipe.network.outputs, len(self.X), np.float64
            )
        self.Y, self.task = np.asarray(Y), task_of(first)[0]
        self.t = self._metric_targets(t)
        self.fixed_split = None
        if isinstance(split, tuple | list):
            self.fixed_split = _checked_split(split, len(self.X))
            checks.check_classes(first.loss, t[self.fixed_split[0]])
        elif split not in ("resampled", "fixed"):
            raise SettingError(
                "split must be 'resampled', 'fixed' or (train rows, test rows), not "
                + one_line(split)
            )
        self.test = checked_number("test", test, 0.0, 1.0, open_low=True, open_high=True)
        if split == "fixed":
            self.fixed_split = self._draw_split(0)
        train, held_out = self.rows(0)
        self.row_counts = len(train), len(held_out)
        self.requested_engines = {name: recipe.engine for name, recipe in recipes.items()}
        for name, recipe in recipes.items():
            self.recipes[name] = self._with_engine(recipe, planned)
        self.groups: dict[Hashable, list[str]] = {}
        for name, recipe in self.recipes.items():
            self.groups.setdefault(recipe.structure, []).append(name)
        self.seeds: dict[str, list[int]] = {name: [] for name in recipes}
        self.scores: dict[str, list[float]] = {name: [] for name in recipes}
        self.status: dict[str, list[str]] = {name: [] for name in recipes}
        self.epochs: dict[str, list[int]] = {name: [] for name in recipes}
        self.seconds = dict.fromkeys(recipes, 0.0)

    def _with_engine(self, recipe: Recipe, planned: int) -> Recipe:
        """Return the recipe with the engine that "auto" picks for all of its runs."""
        if recipe.engine != "auto":
            return recipe
        rows = self.row_counts[0]
        batch = min(recipe.batch_size or rows, rows)
        member_steps = recipe.epochs * -(-rows // batch) * planned * len(self.recipes)
        engine, _ = fastest(recipe.network, recipe.optimizer, batch, member_steps, plan=None)
        return replace(recipe, engine=engine.name)

    def rows(self, seed: int) -> tuple[Indices, Indices]:
        """Return the seed's train rows and test rows."""
        return self.fixed_split or self._draw_split(seed)

    def extend(self, names: Iterable[str], seeds: Sequence[int], stop: Stop) -> bool:
        """Train these methods from more seeds; return False if training was interrupted."""
        groups = [[name for name in group if name in set(names)] for group in self.groups.values()]
        for group in filter(None, groups):
            if stop.is_set() or not self._extend(group, seeds):
                return False
        return True

    def results(self) -> dict[str, Method]:
        """Return each method's runs so far."""
        return {
            name: Method(
                name,
                np.array(self.scores[name]),
                np.array(self.seeds[name], dtype=np.int64),
                np.array(self.status[name]),
                np.array(self.epochs[name], dtype=np.int64),
                self.seconds[name] / max(1, len(self.seeds[name])),
            )
            for name in self.recipes
        }

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
        began = time.perf_counter()
        with warnings.catch_warnings():  # the table reports them
            warnings.simplefilter("ignore", DivergenceWarning)
            warnings.simplefilter("ignore", InterruptWarning)
            population = train(
                recipe,
                self.X,
                self.Y,
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

    def _score_members(self, population: Population, tests: Sequence[Indices]) -> list[float]:
        step = _MAX_PREDICTIONS // (len(self.X) * population.network.outputs)
        scores: list[float] = []
        for start in range(0, len(population), max(1, step)):
            members = range(start, min(start + max(1, step), len(population)))
            part = population[members.start : members.stop]
            # many small members at once on all rows; a large one on its test rows only
            if step > 1:
                predictions = part.predict(self.X)
                each = [predictions[m - start][tests[m]] for m in members]
            else:
                each = [part.predict(self.X[tests[m]])[0] for m in members]
            for member, p in zip(members, each, strict=True):
                failed = bool(population.diverged[member]) or not np.isfinite(p).all()
                where = f"seed {population.seeds[member]}"
                scores.append(math.nan if failed else self._score(self.t[tests[member]], p, where))
        return scores

    def _score(self, t: Array, p: Array, where: str) -> float:
        if self.task == "classes" and p.shape[1] == 1:
            p = np.concatenate([1 - p, p], axis=1)
        value = self.metric.f(t, p)
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if math.isnan(score):
            raise DataError(
                f"the metric {self.metric.name} returned {one_line(value)} for {where}; it must "
                "return a number"
            )
        return score if math.isfinite(score) else math.nan  # an infinite score is a failure

    def _metric_targets(self, t: Array) -> Array:
        if self.task != "classes":
            return t
        if ((t != 0) & (t != 1)).any():
            raise DataError(
                "Y holds probabilities between 0 and 1, which cannot be scored: give class numbers"
            )
        return t[:, 0].astype(np.int64) if t.shape[1] == 1 else t.argmax(axis=1)

    def _draw_split(self, seed: int) -> tuple[Indices, Indices]:
        """Return the seed's split, stratified by class."""
        n = len(self.X)
        order = streams.order(streams.keys(np.array([seed], np.int64), "test"), n)[0]
        if self.task == "classes":
            classes = self.t[order]
            parts = [order[classes == number] for number in np.unique(classes)]
            held = [
                part[: min(max(round(self.test * len(part)), 1), len(part) - 1)] for part in parts
            ]
            test = np.concatenate(held)
        else:
            test = order[: min(max(round(self.test * n), 1), n - 1)]
        out = np.zeros(n, dtype=np.bool_)
        out[test] = True
        if not out.any() or out.all():
            raise DataError(
                f"{n} rows cannot be split with test={self.test:g}: give more rows or another share"
            )
        return np.flatnonzero(~out), np.flatnonzero(out)


def _checked_split(split: Sequence[Any], rows: int) -> tuple[Indices, Indices]:
    if len(split) != 2:
        raise SettingError(f"split must be (train rows, test rows); it has length {len(split)}")
    chosen: list[npt.NDArray[np.integer]] = []
    for name, given in zip(("train", "test"), split, strict=True):
        array = as_array(list(given) if isinstance(given, range) else given, name, DataError)
        if array.dtype == np.bool_:
            if array.shape != (rows,):
                raise ShapeError(
                    f"the {name} rows are booleans of shape {array.shape}; X has {rows} rows"
                )
            array = np.flatnonzero(array)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
            raise DataError(f"the {name} rows are {one_line(given)}; they must be row numbers")
        if array.min() < 0 or array.max() >= rows:
            wrong = array.min() if array.min() < 0 else array.max()
            raise DataError(f"the {name} rows contain {wrong}; X has rows 0 to {rows - 1}")
        chosen.append(array)
    both = np.intersect1d(chosen[0], chosen[1])
    if both.size:
        raise DataError(
            f"row {both[0]} is both a train row and a test row ({both.size} such rows): remove it "
            "from one"
        )
    return chosen[0], chosen[1]
