"""Trains methods from the same seeds, side by side, and scores them on the same rows."""

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
from seedbed.comparing.comparison import Method, by_name
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

Split = Literal["resampled", "fixed"]
_AT_ONCE = 2**22
"""How many predictions are held at a time."""


def task_of(recipe: Recipe) -> tuple[TargetKind, int]:
    """Return what the recipe's network is trained to say, and of how many things."""
    kind, outputs = recipe.loss.targets, recipe.network.outputs
    if kind == "classes":
        return "classes", outputs
    if kind == "probability":
        return ("classes", 2) if outputs == 1 else ("labels", outputs)
    return "numbers", outputs


def checked_methods(methods: Any) -> dict[str, Recipe]:
    """Return the methods by name, all of one task.

    Raises: SettingError.
    """
    if not isinstance(methods, Mapping) or not all(
        isinstance(recipe, Recipe) for recipe in methods.values()
    ):
        raise SettingError(
            "methods must be a dict of names and recipes, such as {'a': sb.Recipe(…), 'b': …}, "
            f"not {one_line(methods)}"
        )
    checked: dict[str, Recipe] = by_name(methods)
    seen: dict[tuple[object, ...], str] = {}
    for name, recipe in checked.items():
        if recipe.settings:
            raise SettingError(
                f"{name} gives {', '.join(recipe.settings)} one a member: give each setting as a "
                "method of its own"
            )
        if recipe.identity in seen:
            raise SettingError(
                f"{seen[recipe.identity]} and {name} are one and the same recipe: every run would "
                "be a tie"
            )
        seen[recipe.identity] = name
    check_tasks(checked)
    return checked


def check_tasks(methods: Mapping[str, Recipe]) -> None:
    """Refuse methods that predict different things, or whose members are not scored one by one.

    Raises: SettingError.
    """
    for name, recipe in methods.items():
        if recipe.monitor == "ensemble":
            raise SettingError(
                f"{name} stops its members together, by their ensemble, and a comparison scores "
                "members one by one: leave monitor='ensemble' out"
            )
    tasks = {name: task_of(recipe) for name, recipe in methods.items()}
    for name, task in tasks.items():
        first = next(iter(tasks))
        if task != tasks[first]:
            raise SettingError(
                f"{first} predicts {_words(*tasks[first])} and {name} {_words(*task)}: methods "
                "that are compared must have the same targets"
            )


def _words(task: TargetKind, count: int) -> str:
    return f"{count} {task if count > 1 or task != 'numbers' else 'number'}"


def checked_metric(metric: Any, recipe: Recipe) -> Metric:
    """Return the metric, or the one that suits the recipe's task.

    Raises: SettingError for one that cannot score it.
    """
    task, _ = task_of(recipe)
    if metric is None:
        return metrics.rmse if task == "numbers" else metrics.accuracy
    if not isinstance(metric, Metric):
        hint = ""
        if callable(metric):
            hint = (
                ": wrap a function of your own in sb.Metric(name, function, higher_is_better=…), "
                "so that it is known which way is better"
            )
        raise SettingError(
            f"metric must be such as sb.metrics.accuracy, not {one_line(metric)}{hint}"
        )
    if task not in metric.targets:
        fit = [
            unit.name for unit in metrics.BY_NAME.values()
            if isinstance(unit, Metric) and task in unit.targets
        ]  # fmt: skip
        raise SettingError(
            f"{metric.name} scores {' and '.join(metric.targets)}, and the methods predict {task}: "
            f"use {', '.join(fit)}"
        )
    return metric


class Runs:
    """The runs of several methods on one data set, scored as they come.

    methods  recipes by name, checked
    split    "resampled": each seed draws the rows that it is scored on; "fixed": all are scored on
             the same; or (train rows, test rows)
    test     the share of the rows to score on, where they are drawn
    planned  about how many seeds there will be: what "auto" chooses an engine by, once for all
    """

    def __init__(
        self,
        methods: Mapping[str, Recipe],
        X: Any,
        Y: Any,
        metric: Metric,
        split: Split | tuple[Any, Any] | list[Any],
        test: float,
        progress: bool | None,
        threads: int | None,
        planned: int = 64,
    ) -> None:
        self.methods, self.metric = dict(methods), metric
        self.progress, self.threads = progress, threads
        first = next(iter(methods.values()))
        for recipe in methods.values():
            checks.check_outputs(recipe.loss, recipe.network)
            self.X = checks.checked_inputs(X, recipe.network, "float64")
            t = checks.checked_targets(
                Y, recipe.loss, recipe.network.outputs, len(self.X), np.float64
            )
        self.Y, self.task = np.asarray(Y), task_of(first)[0]
        self.t = self._seen_by_metric(t)
        self.given = None
        if isinstance(split, tuple | list):
            self.given = _given_split(split, len(self.X))
            checks.check_classes(first.loss, t[self.given[0]])
        elif split not in ("resampled", "fixed"):
            raise SettingError(
                "split must be 'resampled', 'fixed' or (train rows, test rows), not "
                + one_line(split)
            )
        self.test = checked_number("test", test, 0.0, 1.0, open_low=True, open_high=True)
        if split == "fixed":
            self.given = self._drawn(0)
        train, held_out = self.rows(0)
        self.counts = len(train), len(held_out)
        self.given_engines = {name: recipe.engine for name, recipe in methods.items()}
        for name, recipe in methods.items():
            self.methods[name] = self._with_engine(recipe, planned)
        self.groups: dict[Hashable, list[str]] = {}
        for name, recipe in self.methods.items():
            self.groups.setdefault(recipe.structure, []).append(name)
        self.seeds: dict[str, list[int]] = {name: [] for name in methods}
        self.scores: dict[str, list[float]] = {name: [] for name in methods}
        self.status: dict[str, list[str]] = {name: [] for name in methods}
        self.epochs: dict[str, list[int]] = {name: [] for name in methods}
        self.seconds = dict.fromkeys(methods, 0.0)

    def _with_engine(self, recipe: Recipe, planned: int) -> Recipe:
        """Return the recipe with the engine that "auto" means for all of its runs."""
        if recipe.engine != "auto":
            return recipe
        rows = self.counts[0]
        batch = min(recipe.batch_size or rows, rows)
        steps = recipe.epochs * -(-rows // batch) * planned * len(self.methods)
        engine, _ = fastest(recipe.network, recipe.optimizer, batch, steps, members=1, blocks=0)
        return replace(recipe, engine=engine.name)

    def rows(self, seed: int) -> tuple[Indices, Indices]:
        """Return the rows that a seed trains on, and those that it is scored on."""
        return self.given or self._drawn(seed)

    def extend(self, names: Iterable[str], seeds: Sequence[int], stop: Stop) -> bool:
        """Train the methods named from more seeds; return whether it came to its end."""
        wanted = [[name for name in group if name in set(names)] for group in self.groups.values()]
        for group in filter(None, wanted):
            if stop.is_set() or not self._extend(group, seeds):
                return False
        return True

    def found(self) -> dict[str, Method]:
        """Return what there is, by method."""
        return {
            name: Method(
                name,
                np.array(self.scores[name]),
                np.array(self.seeds[name], dtype=np.int64),
                np.array(self.status[name]),
                np.array(self.epochs[name], dtype=np.int64),
                self.seconds[name] / max(1, len(self.seeds[name])),
            )
            for name in self.methods
        }

    def _extend(self, names: list[str], seeds: Sequence[int]) -> bool:
        try:
            return self._trained(names, seeds)
        except FormulaError:
            if "auto" not in [self.given_engines[name] for name in names]:
                raise
            for name in names:  # "auto" leaves to NumPy what cannot be compiled
                self.methods[name] = replace(self.methods[name], engine="numpy")
            return self._trained(names, seeds)

    def _trained(self, names: list[str], seeds: Sequence[int]) -> bool:
        splits = [self.rows(seed) for seed in seeds]
        recipe = Recipe.together([self.methods[name] for name in names], len(seeds))
        began = time.perf_counter()
        with warnings.catch_warnings():  # said in the table instead
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
        scores = self._scored(population, [test for _, test in splits] * len(names))
        for number, name in enumerate(names):
            its = slice(number * len(seeds), (number + 1) * len(seeds))
            self.seeds[name] += seeds
            self.scores[name] += scores[its]
            self.status[name] += population.status[its].tolist()
            self.epochs[name] += population.epochs[its].tolist()
            self.seconds[name] += share * int(population.epochs[its].sum())
        return True

    def _scored(self, population: Population, tests: Sequence[Indices]) -> list[float]:
        step = _AT_ONCE // (len(self.X) * population.network.outputs)
        scores: list[float] = []
        for start in range(0, len(population), max(1, step)):
            members = range(start, min(start + max(1, step), len(population)))
            part = population[members.start : members.stop]
            # many small members at once, on all rows; a large one on those that are scored alone
            if step > 1:
                whole = part.predict(self.X)
                each = [whole[m - start][tests[m]] for m in members]
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
                f"the metric {self.metric.name} gave {one_line(value)} for {where}, where it needs "
                "a number"
            )
        return score if math.isfinite(score) else math.nan  # beyond all bounds: it failed

    def _seen_by_metric(self, t: Array) -> Array:
        if self.task != "classes":
            return t
        if ((t != 0) & (t != 1)).any():
            raise DataError(
                "Y holds probabilities between 0 and 1; classes can be scored only where each row "
                "is of one: give class numbers"
            )
        return t[:, 0].astype(np.int64) if t.shape[1] == 1 else t.argmax(axis=1)

    def _drawn(self, seed: int) -> tuple[Indices, Indices]:
        """Return a split drawn from the seed; of classes, each in the same share."""
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
                f"{n} rows cannot be split with {self.test:g} of them to score on: give more rows, "
                "or another share with test="
            )
        return np.flatnonzero(~out), np.flatnonzero(out)


def _given_split(split: Sequence[Any], rows: int) -> tuple[Indices, Indices]:
    if len(split) != 2:
        raise SettingError(f"split must be (train rows, test rows), not {len(split)} of them")
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
            raise DataError(f"the {name} rows name row {wrong}; X has rows 0 to {rows - 1}")
        chosen.append(array)
    both = np.intersect1d(chosen[0], chosen[1])
    if both.size:
        raise DataError(
            f"row {both[0]} is among the train rows and the test rows ({both.size} are): scores on "
            "rows that were trained on say nothing"
        )
    return chosen[0], chosen[1]
