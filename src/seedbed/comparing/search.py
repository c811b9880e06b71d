"""search(): many settings, few seeds each at first; and fresh seeds to confirm the winner."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import Array, checked_count, checked_number, one_line
from seedbed.comparing.compare import compare
from seedbed.comparing.comparison import Comparison, frame_of
from seedbed.comparing.runs import Runs, Split, check_tasks, checked_methods, checked_metric
from seedbed.comparing.statistics import midranks
from seedbed.errors import InterruptWarning, SettingError
from seedbed.interrupts import interruptible
from seedbed.metrics import Metric
from seedbed.progress import StatusLine
from seedbed.recipe import Recipe

FIRST_SEEDS = 2
"""From how many seeds each setting of a random search is trained at first."""


@dataclass(frozen=True)
class Uniform:
    """Numbers from ``low`` to ``high``; with ``log``, their logarithms are drawn evenly."""

    low: float
    high: float
    log: bool = False

    def at(self, u: float) -> float:
        """Return the number at the share u of the way, 0 < u < 1."""
        if self.log:
            low = reproducible.log(self.low)
            return float(reproducible.exp(low + u * (reproducible.log(self.high) - low)))
        return self.low + u * (self.high - self.low)


def uniform(low: float, high: float) -> Uniform:
    """Draw numbers evenly from ``low`` to ``high``."""
    return _checked(Uniform(float(low), float(high)), -math.inf)


def log_uniform(low: float, high: float) -> Uniform:
    """Draw numbers from ``low`` to ``high``, evenly by their logarithm: for rates and penalties."""
    return _checked(Uniform(float(low), float(high), log=True), 0.0)


def _checked(drawn: Uniform, least: float) -> Uniform:
    checked_number("low", drawn.low, least, open_low=drawn.log)
    checked_number("high", drawn.high, drawn.low, open_low=True)
    return drawn


class Space:
    """The settings that a search may take: a recipe, and the choices for some of its fields.

    recipe   what stays as it is; the baseline too, unless ``search`` is given another
    choices  by field of the recipe or of its optimizer: a list of values, or ``uniform`` or
             ``log_uniform`` numbers

    >>> import seedbed as sb
    >>> space = sb.Space(sb.xor.recipe(100), lr=sb.log_uniform(0.1, 10.0), epochs=[50, 100])
    >>> [name for name, _ in space.settings(2, seed=0)]
    ['lr=3.5506 epochs=50', 'lr=2.0282 epochs=100']

    Raises: SettingError for a field that is not there, and for no choice.
    """

    def __init__(self, recipe: Recipe, **choices: Any) -> None:
        if not isinstance(recipe, Recipe):
            raise SettingError(f"a space begins with a sb.Recipe, not {one_line(recipe)}")
        if not choices:
            raise SettingError(
                "the space has nothing in it: give choices, such as lr=[0.001, 0.01] or "
                "lr=sb.log_uniform(1e-4, 1e-1)"
            )
        own = [field.name for field in fields(recipe)]
        others = [field.name for field in fields(recipe.optimizer)]
        self.choices: dict[str, Uniform | list[Any]] = {}
        for name, choice in choices.items():
            if name not in own and name not in others:
                raise SettingError(
                    f"{name} is no field of the recipe ({', '.join(own)}) nor of its "
                    f"{type(recipe.optimizer).__name__} ({', '.join(others)})"
                )
            if isinstance(choice, Uniform):
                self.choices[name] = choice
                continue
            if isinstance(choice, str) or not isinstance(choice, Iterable):
                raise SettingError(
                    f"the choices for {name} must be a list, sb.uniform or sb.log_uniform, not "
                    + one_line(choice)
                )
            self.choices[name] = list(choice)
            if not self.choices[name]:
                raise SettingError(f"there are no choices for {name}")
        self.recipe = recipe

    @property
    def size(self) -> int | None:
        """How many settings there are; None where numbers are drawn."""
        lists = self._lists()
        return None if lists is None else math.prod(map(len, lists))

    def _lists(self) -> list[list[Any]] | None:
        lists = [choice for choice in self.choices.values() if isinstance(choice, list)]
        return lists if len(lists) == len(self.choices) else None

    def settings(self, most: int, seed: int = 0) -> list[tuple[str, Recipe]]:
        """Return the settings with their names: all, where they are at most ``most``, or as many
        drawn from the seed's stream.
        """
        lists = self._lists()
        if lists is not None and math.prod(map(len, lists)) <= most:
            return _told_apart([self._setting(values) for values in product(*lists)])
        found: dict[Hashable, tuple[str, Recipe]] = {}
        kinds = len(self.choices)
        key = streams.keys(np.array([seed], np.int64), "search")
        for number in range(4 * most):
            u = streams.uniform(key, kinds, number * kinds)[0]
            values = [
                choice.at(float(share))
                if isinstance(choice, Uniform)
                else choice[int(share * len(choice))]
                for share, choice in zip(u, self.choices.values(), strict=True)
            ]
            name, recipe = self._setting(values)
            found.setdefault(recipe.identity, (name, recipe))
            if len(found) == most:
                break
        return _told_apart(list(found.values()))

    def _setting(self, values: Sequence[Any]) -> tuple[str, Recipe]:
        given = dict(zip(self.choices, values, strict=True))
        name = " ".join(f"{key}={_shown(value)}" for key, value in given.items())
        recipe = self.recipe
        own = {field.name for field in fields(recipe)}
        recipe = replace(recipe, **{key: value for key, value in given.items() if key in own})
        others = {key: value for key, value in given.items() if key not in own}
        unknown = [key for key in others if key not in vars(recipe.optimizer)]
        if unknown:
            raise SettingError(
                f"{unknown[0]} is none of {type(recipe.optimizer).__name__}'s: search optimizers "
                "apart from their own numbers, or give all of them as optimizer=[…]"
            )
        return name, replace(recipe, optimizer=replace(recipe.optimizer, **others))


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    options = ", ".join(f"{name}={number}" for name, number in getattr(value, "options", ()))
    return str(getattr(value, "name", value)) + (f"({options})" if options else "")


def _told_apart(settings: list[tuple[str, Recipe]]) -> list[tuple[str, Recipe]]:
    """Return the settings without copies, each with a name of its own."""
    seen: set[Hashable] = set()
    named: dict[str, Recipe] = {}
    for name, recipe in settings:
        if recipe.identity in seen:
            continue
        seen.add(recipe.identity)
        again = sum(other.split(" #")[0] == name for other in named)
        named[f"{name} #{again + 1}" if again else name] = recipe
    return list(named.items())


@dataclass(frozen=True, eq=False)
class Trial:
    """One setting's part in a search: its runs, and how far it came.

    scores     (n,) by seed, NaN where it failed
    rounds     how many rounds it took part in
    mean_rank  among the settings of its last round, over that round's seeds; 1 is best
    """

    name: str
    recipe: Recipe
    scores: Array
    rounds: int
    mean_rank: float


@dataclass(frozen=True, eq=False, repr=False)
class Search:
    """What a search found. What may be said of the winner is ``confirmation``, and nothing else:
    the score that made it win is the luckiest of many.

    trials        every setting, the last left first
    winner        the name of the last one left
    recipe        its recipe
    confirmation  the winner against the baseline, from fresh seeds; None where the winner is the
                  baseline itself, or the search was cut short
    size          how many settings the space has; None where numbers are drawn
    runs          how many runs the search took, and how many the confirmation
    interrupted   whether it was cut short
    """

    trials: Sequence[Trial]
    winner: str
    recipe: Recipe
    confirmation: Comparison | None
    size: int | None
    runs: tuple[int, int]
    interrupted: bool

    def to_frame(self) -> Any:
        """Return a data frame of the search's runs: setting, seed's number, score, rounds.

        The scores chose the winner, and so flatter it.
        """
        columns: dict[str, list[Any]] = {"setting": [], "run": [], "score": [], "rounds": []}
        for trial in self.trials:
            n = len(trial.scores)
            columns["setting"] += [trial.name] * n
            columns["run"] += range(n)
            columns["score"] += [None if math.isnan(s) else s for s in trial.scores.tolist()]
            columns["rounds"] += [trial.rounds] * n
        return frame_of(columns)

    def __str__(self) -> str:
        count = f"{len(self.trials)}"
        if self.size is not None and self.size > len(self.trials):
            count += f" of {self.size:,}"
        lines = [f"{count} settings in {self.runs[0]:,} runs; last left: {self.winner}"]
        if self.confirmation is None:
            lines.append(
                "the search was cut short, so nothing is confirmed"
                if self.interrupted
                else "that is the baseline itself: nothing in the space did better"
            )
        else:
            lines += ["", f"From fresh seeds:\n\n{self.confirmation}"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Search of {len(self.trials)} settings: {self.winner}>"

    def _repr_html_(self) -> str:
        import html

        said, _, _ = str(self).partition("\n\n")
        shown = "" if self.confirmation is None else self.confirmation._repr_html_()
        return f"<p>{html.escape(said)}</p>{shown}"


def search(
    space: Space | Mapping[str, Recipe],
    X: Any,
    Y: Any,
    *,
    budget: int,
    baseline: Recipe | None = None,
    metric: Metric | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    split: Split | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    seed: int = 0,
    progress: bool | None = None,
    threads: int | None = None,
) -> Search:
    """Look for a better setting, and confirm it from fresh seeds against the baseline.

    space     a Space, or recipes by name
    budget    how many runs (a setting from a seed) the search may take; the confirmation takes up
              to 128 more
    baseline  what to hold the winner against; None is the space's own recipe
    seed      where seeds begin to count, and what random settings are drawn from

    The others as ``compare``, which see.

    Successive halving: all settings are trained from the same few seeds, the better half goes on to
    as many seeds again, and so on. Settings are ranked within each seed, a failed run last, and go
    on by their mean rank: so neither a lucky split nor one collapse decides. The confirmation knows
    nothing of the search's seeds, so its verdict is as good as that of any two methods.

    Raises: SettingError, ShapeError or DataError.
    Source: Jamieson, Talwalkar 2016, on seeds in place of epochs.
    """
    budget = checked_count("budget", budget)
    seed = checked_count("seed", seed, minimum=0)
    if isinstance(space, Space):
        baseline = space.recipe if baseline is None else baseline
        count = space.size if space.size is not None else budget
        settings = dict(space.settings(min(count, _most_settings(budget)), seed))
    else:
        settings = dict(space) if isinstance(space, Mapping) else space
        if isinstance(settings, dict) and not settings:
            raise SettingError("the space has nothing in it: give recipes by name, or a sb.Space")
        if baseline is None:
            raise SettingError("recipes by name need a baseline=sb.Recipe(…) to hold them against")
    recipes = checked_methods(settings)
    if not isinstance(baseline, Recipe):
        raise SettingError(f"baseline must be a sb.Recipe, not {one_line(baseline)}")
    check_tasks({"the baseline": baseline, **recipes})
    metric = checked_metric(metric, baseline)
    first = _first_seeds(len(recipes), budget)
    each = max(1, budget // len(recipes))
    runs = Runs(recipes, X, Y, metric, split, test, progress, threads, each)
    names, rounds, used = list(recipes), dict.fromkeys(recipes, 0), 0
    ranks = dict.fromkeys(recipes, math.nan)
    interrupted = False
    with interruptible() as stop, StatusLine(progress) as line:
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
                line.write(f"{len(names)} of {len(recipes)} settings left after {used} seeds")
            if stop.is_set():
                interrupted = True
                break
    if interrupted and used == 0:
        raise KeyboardInterrupt
    trials = [
        Trial(name, recipes[name], np.array(runs.scores[name]), rounds[name], ranks[name])
        for name in sorted(recipes, key=lambda name: (-rounds[name], ranks[name]))
    ]
    winner = trials[0]
    taken = sum(len(scores) for scores in runs.scores.values())
    confirmation = None
    if interrupted:
        warnings.warn(
            "the search was cut short: nothing is confirmed", InterruptWarning, stacklevel=2
        )
    elif winner.recipe.identity != baseline.identity:
        name = winner.name if winner.name != "baseline" else "the winner"
        try:
            confirmation = compare(
                {name: winner.recipe, "baseline": baseline}, X, Y, metric=metric,
                baseline="baseline", alpha=alpha, delta=delta, split=split, test=test,
                first_seed=seed + used, progress=progress, threads=threads,
            )  # fmt: skip
        except KeyboardInterrupt:  # the search itself is not lost
            interrupted = True
    confirmed = 0
    if confirmation is not None:
        confirmed = sum(len(method.seeds) for method in confirmation.methods.values())
    size = space.size if isinstance(space, Space) else len(recipes)
    return Search(
        trials, winner.name, winner.recipe, confirmation, size, (taken, confirmed), interrupted
    )


def _cost(settings: int, first: int) -> int:
    """Return how many runs the halving of so many settings takes."""
    cost, seeds, left = settings * first, first, math.ceil(settings / 2)
    while left > 1:
        cost += left * seeds
        seeds, left = 2 * seeds, math.ceil(left / 2)
    return cost


def _most_settings(budget: int) -> int:
    """Return how many settings can be looked at."""
    most = max(2, budget // FIRST_SEEDS)
    while most > 2 and _cost(most, FIRST_SEEDS) > budget:
        most -= 1
    return most


def _first_seeds(settings: int, budget: int) -> int:
    """Return from how many seeds to begin.

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
    """Return the settings with their mean rank over all seeds so far, the best first."""
    scores = np.array([runs.scores[name] for name in names])
    costs = -scores if metric.higher_is_better else scores
    costs[np.isnan(scores)] = math.inf
    ranks = np.mean([midranks(column) for column in costs.T], axis=0)
    order = np.argsort(ranks, kind="stable")
    return [(names[place], float(ranks[place])) for place in order.tolist()]
