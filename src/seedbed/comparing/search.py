"""search(): successive halving over seeds, and a confirmation of the winner on rows of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from seedbed import html
from seedbed.arrays import Array, checked_count
from seedbed.comparing import saved
from seedbed.comparing.comparison import Comparison, to_frame
from seedbed.comparing.fingerprint import data_digest, method_to_dict, metric_to_plain
from seedbed.comparing.methods import AnyMethod, check_recipe, checked_methods, identity, kind_of
from seedbed.comparing.plan import Plan
from seedbed.comparing.problem import problem_of
from seedbed.comparing.rows import SplitKind
from seedbed.comparing.run_log import RunLog, with_digest
from seedbed.comparing.runs import Runs, checked_metric
from seedbed.comparing.space import Space
from seedbed.comparing.statistics import midranks
from seedbed.errors import InterruptWarning, SettingError
from seedbed.interrupts import interruptible
from seedbed.metrics import Metric
from seedbed.progress import StatusLine
from seedbed.tables.targets import Task

FIRST_SEEDS = 2
"""The seeds per setting in the first round of a random search."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One setting's runs in a search.

    scores     (n,) by seed, NaN where the run failed
    rounds     how many rounds the setting took part in
    mean_rank  in its last round, over all its seeds; 1 is best
    """

    name: str
    method: AnyMethod
    scores: Array
    rounds: int
    mean_rank: float


@dataclass(frozen=True, eq=False, repr=False)
class Search:
    """The result of a search. Only ``confirmation`` is evidence about the winner: its scores in the
    search are the luckiest of many.

    trials        every setting, the winner first
    winner        the winner's name
    method        the winner: a recipe, an estimator or a function; None if the search was loaded
    confirmation  the winner against the baseline, from fresh seeds and on rows that the search did
                  not see; None if the winner is the baseline
                  or the search was interrupted
    size          how many settings the space has; None if numbers are drawn
    runs          how many runs the search took, and how many the confirmation
    interrupted   whether the search was interrupted
    """

    trials: Sequence[Trial]
    winner: str
    method: AnyMethod
    confirmation: Comparison | None
    size: int | None
    runs: tuple[int, int]
    interrupted: bool

    def save(self, path: str | PathLike[str]) -> None:
        """Write the search to a file: all scores, and the confirmation, as JSON.

        Raises: FileError if it cannot be written.
        """
        content = {
            "trials": [
                {
                    "name": trial.name,
                    "method": method_to_dict(trial.method) if trial.method is not None else None,
                    "scores": saved.scores_to_list(trial.scores),
                    "rounds": trial.rounds,
                    "mean_rank": None if math.isnan(trial.mean_rank) else trial.mean_rank,
                }
                for trial in self.trials
            ],
            "winner": self.winner,
            "confirmation": self.confirmation and self.confirmation.to_saved(),
            "size": self.size,
            "runs": self.runs,
            "interrupted": self.interrupted,
        }
        saved.write(path, "search", content)

    @staticmethod
    def load(path: str | PathLike[str]) -> Search:
        """Return a search from its file, without its methods.

        Raises: FileError if the file cannot be read, or is damaged.
        """
        content = saved.read(path, "search")
        with saved.undamaged(path, "search"):
            trials = [
                Trial(
                    each["name"], None, saved.scores_from_list(each["scores"]), each["rounds"],
                    math.nan if each["mean_rank"] is None else float(each["mean_rank"]),
                )
                for each in content["trials"]
            ]  # fmt: skip
            confirmation = content["confirmation"]
            return Search(
                trials, content["winner"], None,
                None if confirmation is None else Comparison.from_saved(confirmation),
                content["size"], tuple(content["runs"]), content["interrupted"],
            )  # fmt: skip

    def to_frame(self) -> Any:
        """Return a data frame of the search's runs: setting, run, score, rounds.

        The winner was chosen by these scores, so they are biased in its favour.
        """
        columns: dict[str, list[Any]] = {"setting": [], "run": [], "score": [], "rounds": []}
        for trial in self.trials:
            n = len(trial.scores)
            columns["setting"] += [trial.name] * n
            columns["run"] += range(n)
            columns["score"] += [None if math.isnan(s) else s for s in trial.scores.tolist()]
            columns["rounds"] += [trial.rounds] * n
        return to_frame(columns)

    def __str__(self) -> str:
        count = f"{len(self.trials)}"
        if self.size is not None and self.size > len(self.trials):
            count += f" of {self.size:,}"
        lines = [f"{count} settings in {self.runs[0]:,} runs; winner: {self.winner}"]
        if self.confirmation is None:
            lines.append(
                "the search was interrupted, so nothing is confirmed"
                if self.interrupted
                else "the winner is the baseline: no setting did better"
            )
        else:
            lines += ["", f"From fresh seeds, on fresh rows:\n\n{self.confirmation}"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Search of {len(self.trials)} settings: {self.winner}>"

    def _repr_html_(self) -> str:
        summary, _, _ = str(self).partition("\n\n")
        parts = [] if self.confirmation is None else self.confirmation._html()
        return html.block(html.paragraph(summary), *parts)


def search(
    space: Space | Mapping[str, AnyMethod],
    X: Any,
    Y: Any,
    *,
    budget: int,
    baseline: AnyMethod | None = None,
    metric: Metric | str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    split: SplitKind | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    task: Task | None = None,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    executor: Any = None,
) -> Search:
    """Search for a better setting, and compare it with the baseline on rows of their own.

    space     a Space, or methods by name
    budget    the maximum number of runs (one setting from one seed) of the search; the confirmation
              takes up to 128 more
    baseline  the method to compare the winner with; None is the space's
    seed      the first seed, which also draws the random settings

    For methods and the other arguments see ``compare``; a checkpoint keeps the confirmation's runs,
    too.

    Successive halving: all settings are trained from the same few seeds, the better half from as
    many seeds again, and so on. Settings are ranked within each seed, failed runs last, and
    selected by their mean rank, so no single lucky or collapsed run decides. The confirmation uses
    none of the search's seeds, and is tested on rows that the search did not see: a share ``test``
    of all, or the given test rows. So its verdict is as valid as that of any two methods.

    Raises: SettingError, ShapeError, DataError or MethodError.
    Source: Jamieson, Talwalkar 2016, with seeds in place of epochs.
    """
    budget = checked_count("budget", budget)
    seed = checked_count("seed", seed, minimum=0)
    if isinstance(space, Space):
        baseline = space.method if baseline is None else baseline
        count = space.size if space.size is not None else budget
        settings = dict(space.settings(min(count, _max_settings(budget)), seed))
    else:
        settings = dict(space) if isinstance(space, Mapping) else space
        if isinstance(settings, dict) and not settings:
            raise SettingError("the space is empty: give methods by name, or a sb.Space")
        if baseline is None:
            raise SettingError("methods by name need baseline=, the method to improve on")
    methods = checked_methods(settings)
    if kind_of(baseline, "baseline") == "recipe":
        check_recipe("the baseline", baseline)
    problem = problem_of({"the baseline": baseline, **methods}, X, Y, task)
    metric = checked_metric(metric, problem.kind)
    first = _first_round_seeds(len(methods), budget)
    planned = max(1, budget // len(methods))
    choosing, confirming = problem.splits(split, test).apart(seed)
    log = None
    if checkpoint is not None:
        described = {
            "search": {name: method_to_dict(each) for name, each in methods.items()},
            "baseline": method_to_dict(baseline), "budget": budget,
            "metric": metric_to_plain(metric), "alpha": alpha, "delta": delta,
            "split": problem.splits(split, test).to_plain(), "test": test, "task": task,
            "seed": seed, "data": data_digest(X, Y),
        }  # fmt: skip
        log = RunLog(checkpoint, with_digest(described, "split"))
    runs = Runs(
        methods, problem, metric, choosing, test, progress, threads, planned,
        log=None if log is None else log.part("search"), executor=executor,
    )  # fmt: skip
    names, rounds, used = list(methods), dict.fromkeys(methods, 0), 0
    ranks = dict.fromkeys(methods, math.nan)
    interrupted = False
    with runs.logging(), interruptible() as stop, StatusLine(progress) as line:
        while len(names) > 1:
            more = first if used == 0 else used
            new = list(range(seed + used, seed + used + more))
            if not runs.extend(names, new, stop):
                interrupted = True
                break
            used += more
            order = _ranked(names, runs, metric)
            for name, rank in order:
                ranks[name], rounds[name] = rank, rounds[name] + 1
            names = [name for name, _ in order[: math.ceil(len(order) / 2)]]
            if line.is_due:
                line.write(f"{len(names)} of {len(methods)} settings left after {used} seeds")
            if stop.is_set():
                interrupted = True
                break
    if interrupted and used == 0:
        raise KeyboardInterrupt
    trials = [
        Trial(name, methods[name], np.array(runs.scores[name]), rounds[name], ranks[name])
        for name in sorted(methods, key=lambda name: (-rounds[name], ranks[name]))
    ]
    winner = trials[0]
    taken = sum(len(scores) for scores in runs.scores.values())
    confirmation = None
    if interrupted:
        warnings.warn(
            "the search was interrupted: nothing is confirmed", InterruptWarning, stacklevel=2
        )
    elif identity(winner.method) != identity(baseline):
        name = winner.name if winner.name != "baseline" else "the winner"
        try:
            planned_before = Plan(
                {name: winner.method, "baseline": baseline}, metric=metric, baseline="baseline",
                alpha=alpha, delta=delta, split=confirming, test=test, task=task,
                first_seed=seed + used,
            )  # fmt: skip
            confirmation = planned_before.run(
                X, Y, progress=progress, threads=threads, executor=executor,
                checkpoint=None if log is None else log.part("confirmation"),
            )  # fmt: skip
        except KeyboardInterrupt:  # return the search itself
            interrupted = True
    confirmed = 0
    if confirmation is not None:
        confirmed = sum(len(method.seeds) for method in confirmation.methods.values())
    size = space.size if isinstance(space, Space) else len(methods)
    return Search(
        trials, winner.name, winner.method, confirmation, size, (taken, confirmed), interrupted
    )


def _cost(settings: int, first: int) -> int:
    """Return how many runs successive halving takes."""
    cost, seeds, left = settings * first, first, math.ceil(settings / 2)
    while left > 1:
        cost += left * seeds
        seeds, left = 2 * seeds, math.ceil(left / 2)
    return cost


def _max_settings(budget: int) -> int:
    """Return how many settings the budget allows."""
    count = max(2, budget // FIRST_SEEDS)
    while count > 2 and _cost(count, FIRST_SEEDS) > budget:
        count -= 1
    return count


def _first_round_seeds(settings: int, budget: int) -> int:
    """Return the seeds per setting in the first round.

    Raises: SettingError if the budget is too small.
    """
    if _cost(settings, 1) > budget:
        raise SettingError(
            f"a budget of {budget} runs is too small for {settings} settings: at least "
            f"{_cost(settings, 1)} are needed"
        )
    first = 1
    while _cost(settings, first + 1) <= budget:
        first += 1
    return first


def _ranked(names: Sequence[str], runs: Runs, metric: Metric) -> list[tuple[str, float]]:
    """Return the settings with their mean rank over all seeds so far, best first."""
    scores = np.array([runs.scores[name] for name in names])
    costs = -scores if metric.higher_is_better else scores
    costs[np.isnan(scores)] = math.inf
    ranks = np.mean([midranks(column) for column in costs.T], axis=0)
    order = np.argsort(ranks, kind="stable")
    return [(names[i], float(ranks[i])) for i in order.tolist()]
