"""compare(): trains every method from the same seeds until it is known which is better."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from seedbed.arrays import checked_count, one_line
from seedbed.comparing.comparison import SCOPES, Comparison, checked_rules
from seedbed.comparing.runs import Runs, Split, checked_methods, checked_metric
from seedbed.comparing.verdict import Design, Pair, Rules, all_pairs, judge_all
from seedbed.errors import InterruptWarning, SettingError
from seedbed.interrupts import interruptible
from seedbed.metrics import Metric
from seedbed.progress import StatusLine
from seedbed.recipe import Recipe
from seedbed.streams import checked_seeds

AT_A_TIME, AT_MOST = 8, 256
"""By how many seeds the form that may be looked at any time goes on, and where it ends."""


def compare(
    methods: Mapping[str, Recipe],
    X: Any,
    Y: Any,
    *,
    metric: Metric | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Literal["adaptive", "anytime"] | Sequence[int] | Any = "adaptive",
    split: Split | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    first_seed: int = 0,
    progress: bool | None = None,
    callbacks: Sequence[Callable[[Comparison], object]] = (),
    threads: int | None = None,
) -> Comparison:
    """Train every method from the same seeds, and say which is better, or that it can't be told.

    methods     recipes by name; of each hyperparameter one number
    X, Y        all rows, (N, I) and (N, O), (N,) or class numbers, as ``train`` takes them
    metric      what scores predictions; None is accuracy for classes and labels, else RMSE
    baseline    the method to hold the others against; None judges all pairs
    alpha       the chance of a false "better" among all pairs, at most
    delta       gains within ± delta, in the metric's own units, do not matter to you; to be named
                before the first score is seen
    seeds       "adaptive" looks after 8, 16, 32 and 64 seeds, and goes on only with pairs whose
                verdict is not in; "anytime" looks after every 8, up to 256, and may be ended at
                will; or the very seeds, such as range(30): then there is one look at the end
    split       "resampled": each seed draws the rows that its runs are scored on, so that the
                verdict holds on this data set; "fixed": all seeds are scored on the same rows; or
                (train rows, test rows) of your own
    test        the share of the rows to score on, where they are drawn; of classes, each in that
                share
    first_seed  where "adaptive" and "anytime" begin to count
    progress    whether to show a line on standard error; None shows it on long work on a terminal
    callbacks   called after every look with what there is so far; one that returns something true
                ends the comparison
    threads     as for ``train``

    Methods that differ in numbers alone are trained as one population, others each as its own.
    The same seed means the same initial weights (where shapes allow), row order, held-out rows and
    split, so runs are compared in pairs. A run that diverged scores worst, and is never dropped.

    Ctrl-C ends it early with what may be said so far: of fixed seeds that is less, as a test that
    was planned for all of them no longer holds.

    Raises: SettingError, ShapeError or DataError.
    >>> import dataclasses, seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> recipe = sb.xor.recipe(400)
    >>> slow = dataclasses.replace(recipe, optimizer=sb.SGD(lr=0.01))
    >>> rows = ([0, 1, 2], [3])
    >>> found = sb.compare({"fast": recipe, "slow": slow}, X, Y, seeds=range(8), split=rows)
    >>> found["fast", "slow"].n
    8
    """
    recipes = checked_methods(methods)
    design, looks = _designed(seeds, first_seed)
    baseline = None if baseline is None else str(baseline)
    rules = checked_rules(list(recipes), baseline, alpha, delta, design)
    if design == "adaptive":
        rules = replace(rules, looks=tuple(looks))
    metric = checked_metric(metric, next(iter(recipes.values())))
    if metric.percent and delta is not None and delta >= 0.5:
        raise SettingError(
            f"delta {delta:g} is more than half of all {metric.name} there is: of a share, one "
            "point is delta=0.01"
        )
    most = min(looks[-1], Rules(alpha, 1, "adaptive").looks[-1])
    runs = Runs(recipes, X, Y, metric, split, test, progress, threads, most)
    if isinstance(seeds, str):
        wanted = [first_seed + number for number in range(looks[-1])]
    else:
        wanted = checked_seeds(seeds).tolist()
        if len(set(wanted)) < len(wanted):
            raise SettingError(f"seeds names one twice: {one_line(wanted)}")
    scope = SCOPES["resampled" if runs.given is None else "fixed"]
    pairs = all_pairs(list(recipes), baseline)
    settled: dict[tuple[str, str], Pair] = {}

    def found(rules: Rules, interrupted: bool = False) -> Comparison:
        methods = runs.found()
        scores = {name: method.scores for name, method in methods.items()}
        judged = judge_all(scores, pairs, metric, rules, settled)
        return Comparison(methods, judged, metric, rules, baseline, scope, runs.counts, interrupted)

    done, so_far = 0, None
    with interruptible() as stop, StatusLine(progress) as line:
        for look in looks:
            open_pairs = [pair for pair in pairs if pair not in settled]
            names = {name for pair in open_pairs for name in pair}
            complete = runs.extend(names, wanted[done:look], stop)
            ended = not complete or (stop.is_set() and look < looks[-1])
            if ended and not all(runs.scores.values()):
                raise KeyboardInterrupt
            if ended:
                break
            done = look
            if design == "fixed" and look < looks[-1]:
                continue
            so_far = found(rules)
            for pair, judged in zip(pairs, so_far.pairs, strict=True):
                if design != "fixed" and judged.verdict.is_in:
                    settled.setdefault(pair, judged)
            if line.is_due:
                line.write(_standing(so_far, done, looks[-1]))
            asked = [callback(so_far) for callback in callbacks]
            if len(settled) == len(pairs):
                break
            if any(asked) and look < looks[-1]:
                ended = True
                break
    if not ended:
        assert so_far is not None
        return so_far
    if design == "fixed":
        rules = replace(rules, design="anytime")
    seen = max(len(scores) for scores in runs.scores.values())
    warnings.warn(
        f"stopped after {seen} of {looks[-1]} seeds: this is what may be said so far",
        InterruptWarning,
        stacklevel=2,
    )
    return found(rules, interrupted=True)


def _designed(seeds: Any, first_seed: int) -> tuple[Design, list[int]]:
    """Return the design, and after how many seeds training pauses."""
    checked_count("first_seed", first_seed, minimum=0)
    if isinstance(seeds, str):
        if seeds == "adaptive":
            return "adaptive", list(Rules(0.05, 1, "adaptive").looks)
        if seeds == "anytime":
            return "anytime", list(range(AT_A_TIME, AT_MOST + 1, AT_A_TIME))
        raise SettingError(
            f"seeds must be 'adaptive', 'anytime' or the seeds, such as range(30), not {seeds!r}"
        )
    if np.ndim(seeds) == 0 and not isinstance(seeds, range | set | frozenset):
        raise SettingError(
            f"seeds={one_line(seeds)} would be one seed: give several, such as range(30)"
        )
    count = len(checked_seeds(seeds))
    pauses = [AT_A_TIME * 2**k for k in range(40) if AT_A_TIME * 2**k < count]
    return "fixed", [*pauses, count]


def _standing(so_far: Comparison, done: int, most: int) -> str:
    verdicts = [pair.verdict.is_in for pair in so_far.pairs]
    return f"{done} of at most {most} seeds: {sum(verdicts)} of {len(verdicts)} verdicts are in"
