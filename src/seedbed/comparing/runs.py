"""The runs of a comparison or a search: which are needed, where they run, and their outcomes."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from seedbed import metrics
from seedbed.arrays import one_line
from seedbed.comparing.blocks import Block, Outcome, Runner
from seedbed.comparing.comparison import Method
from seedbed.comparing.methods import AnyMethod
from seedbed.comparing.problem import Problem
from seedbed.comparing.rows import SplitKind, Splits
from seedbed.comparing.run_log import Part
from seedbed.engines.state import Stop
from seedbed.errors import DataError, SettingError
from seedbed.executors import LANES, Remote
from seedbed.metrics import Metric, TargetKind
from seedbed.progress import StatusLine

BLOCK_SECONDS = 2.0
"""The estimated time of a block of runs, where they are divided: the most that a crash costs."""


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
    log       where finished runs are kept and found again, or None
    executor  what runs blocks elsewhere, or None; see ``executors``
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
        log: Part | None = None,
        executor: Any = None,
    ) -> None:
        self.metric, self.progress, self.log = metric, progress, log
        self.remote = Remote(executor)
        self.splits = problem.splits(split, test)
        self.rows = self.splits.of
        train, held_out = self.rows(0)
        self.row_counts = len(train), len(held_out)
        self.runner = Runner(methods, problem, metric, self.splits, planned, progress, threads)
        self.groups: dict[Hashable, list[str]] = {}
        for name, recipe in self.runner.recipes.items():
            self.groups.setdefault(recipe.structure, []).append(name)
        self.outcomes: dict[str, list[Outcome]] = {name: [] for name in methods}

    def logging(self) -> AbstractContextManager[None]:
        """Return the context in which runs are kept in the log, if there is one."""
        return nullcontext() if self.log is None else self.log.open()

    @property
    def scores(self) -> dict[str, list[float]]:
        """Each method's scores by seed."""
        return {name: [each.score for each in found] for name, found in self.outcomes.items()}

    def resume(self, methods: Mapping[str, Method]) -> None:
        """Take the runs of earlier methods of the same names."""
        for name, method in methods.items():
            runs = len(method.seeds)
            status = [None] * runs if method.status is None else method.status.tolist()
            epochs = [None] * runs if method.epochs is None else method.epochs.tolist()
            self.outcomes[name] = [
                Outcome(name, *each, method.seconds or 0.0, False)
                for each in zip(
                    method.seeds.tolist(), method.scores.tolist(), status, epochs, strict=True
                )
            ]

    def drop_after(self, name: str, count: int) -> None:
        """Keep a method's first runs only."""
        del self.outcomes[name][count:]

    def notes(self) -> list[str]:
        """Return what a reader of the scores must know."""
        unscored = sum(each.unscored for found in self.outcomes.values() for each in found)
        if not unscored:
            return []
        runs = "1 run counts" if unscored == 1 else f"{unscored} runs count"
        return [f"{self.metric.name}: {runs} as failed, as the metric returned NaN"]

    def extend(self, names: Iterable[str], seeds: Sequence[int], stop: Stop) -> bool:
        """Run these methods from more seeds; return False if that was interrupted.

        Runs that the log holds are taken from it.

        Raises: MethodError, DataError.
        """
        names = set(names)
        names = [name for name in self.outcomes if name in names]
        wanted = [(name, seed) for name in names for seed in seeds]
        known = {key: found for key in wanted if self.log and (found := self.log.get(*key))}
        stop.began = stop.began or any(self.outcomes.values())
        try:
            self._run([key for key in wanted if key not in known], known, stop)
        except KeyboardInterrupt:
            if not stop.began:
                raise
        for name in names:
            for seed in seeds:
                if (name, seed) not in known:
                    break
                self.outcomes[name].append(known[name, seed])
        everything = [each for found in self.outcomes.values() for each in found]
        if everything and all(each.unscored for each in everything):
            raise DataError(
                f"the metric {self.metric.name} returned NaN for all {len(everything)} runs; it "
                "must return numbers"
            )
        return len(known) == len(wanted)

    def _run(
        self, missing: Sequence[tuple[str, int]], known: dict[tuple[str, int], Outcome], stop: Stop
    ) -> None:
        """Run what is missing, and add it to what is known, until a request to stop."""
        blocks = list(self._blocks(missing))
        runner = self.runner if self.remote.executor is None else self.runner.elsewhere()
        found = self.remote.map(runner.run, blocks)
        with StatusLine(self.progress) as line:
            for number, block in enumerate(blocks):
                outcomes = None if stop.is_set() else next(found)
                if outcomes is None:
                    return
                known |= {(each.name, each.seed): each for each in outcomes}
                stop.began = True
                if self.log is not None:
                    self.log.add(outcomes)
                if line.is_due:
                    last = f"{', '.join(block.names)}, seed {block.seeds[-1]}"
                    line.write(f"block {number + 1} of {len(blocks)}: {last}")

    def _blocks(self, runs: Sequence[tuple[str, int]]) -> Iterator[Block]:
        """Divide runs into blocks: recipes of one structure together, other methods run by run.

        All seeds of a structure are one block, which is fastest, unless there is a log or an
        executor.
        """
        missing: dict[int, list[str]] = {}
        for name, seed in runs:
            missing.setdefault(seed, []).append(name)
        for group in self.groups.values():
            by_names: dict[tuple[str, ...], list[int]] = {}
            for seed, names in missing.items():
                here = tuple(name for name in group if name in names)
                if here:
                    by_names.setdefault(here, []).append(seed)
            for here, seeds in by_names.items():
                step = len(seeds)
                if self.log is not None or self.remote.executor is not None:
                    step = max(1, min(step, int(BLOCK_SECONDS / self._seconds(here))))
                    step = step // LANES * LANES or step
                for start in range(0, len(seeds), step):
                    yield Block(here, tuple(seeds[start : start + step]))
        for seed, names in missing.items():  # seed by seed: an interruption leaves pairs of runs
            yield from (Block((name,), (seed,)) for name in names if name in self.runner.others)

    def _seconds(self, names: Sequence[str]) -> float:
        """Return the seconds that these methods take for a seed, measured or estimated."""
        total = 1e-9
        for name in names:
            done = self.outcomes[name]
            times = [each.seconds for each in done]
            total += sum(times) / len(times) if times else self.runner.seconds_of(name)
        return total

    def results(self) -> dict[str, Method]:
        """Return each method's runs so far."""
        return {name: self._result(name, found) for name, found in self.outcomes.items()}

    def _result(self, name: str, found: Sequence[Outcome]) -> Method:
        is_recipe = name in self.runner.recipes
        return Method(
            name,
            np.array([each.score for each in found], dtype=np.float64),
            np.array([each.seed for each in found], dtype=np.int64),
            np.array([each.status for each in found], dtype=np.str_) if is_recipe else None,
            np.array([each.epochs for each in found], dtype=np.int64) if is_recipe else None,
            sum(each.seconds for each in found) / max(1, len(found)),
        )
