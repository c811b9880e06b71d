"""compare(): trains methods from the same seeds until their verdicts are final."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from seedbed.arrays import checked_count, one_line
from seedbed.comparing.comparison import SCOPES, Comparison
from seedbed.comparing.judge import checked_rules
from seedbed.comparing.methods import AnyMethod, checked_methods
from seedbed.comparing.problem import problem_of
from seedbed.comparing.rows import SplitKind
from seedbed.comparing.runs import Runs, checked_metric
from seedbed.comparing.sequential import LOOKS
from seedbed.comparing.verdict import Design, Pair, all_pairs, judge_all
from seedbed.errors import InterruptWarning, SettingError
from seedbed.interrupts import interruptible
from seedbed.metrics import Metric
from seedbed.progress import StatusLine
from seedbed.streams import checked_seeds
from seedbed.tables.targets import Task

ANYTIME_STEP, ANYTIME_MAX = 8, 256
"""The seeds between the anytime design's looks, and its maximum."""


def compare(
    methods: Mapping[str, AnyMethod],
    X: Any,
    Y: Any,
    *,
    metric: Metric | str | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Literal["adaptive", "anytime"] | Sequence[int] | Any = "adaptive",
    split: SplitKind | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    task: Task | None = None,
    first_seed: int = 0,
    progress: bool | None = None,
    callbacks: Sequence[Callable[[Comparison], object]] = (),
    threads: int | None = None,
) -> Comparison:
    """Train every method from the same seeds, and judge which is better.

    methods     by name, each a recipe with one value for each hyperparameter; an estimator with fit
                and predict; or a function of X_train, Y_train, X_test and the seed that returns
                predictions: numbers (n,) or (n, O), classes (n,), or probabilities (n, K) in the
                order of the sorted classes
    X           all rows: an array, or a data frame with numbers, texts and missing values
    Y           the targets: (N,) numbers or classes, (N, O); or the name of a frame's column
    metric      the metric of the scores, or its name, such as "auc"; None is accuracy for classes
                and labels, else RMSE
    baseline    the method to compare the others with; None judges all pairs
    alpha       the maximum chance of any false verdict among all pairs, see ``Rules``
    delta       gains within ± delta, in the metric's units, do not matter; choose it before you
                see a score
    seeds       "adaptive" tests after 8, 16, 32 and 64 seeds, and continues only with open pairs;
                "anytime" tests after every 8 seeds, up to 256, and may be stopped at any time; a
                sequence such as range(30) is tested once, at the end
    split       "resampled": each seed draws its own test rows, so the verdict holds for this data
                set; "fixed": all seeds share the test rows; or (train rows, test rows)
    test        the share of the rows to draw for testing, stratified by class
    task        "classification" or "regression"; None is what the methods are for, else inferred
                from Y: texts and up to 20 distinct whole numbers are classes
    first_seed  the first seed of "adaptive" and "anytime"
    progress    whether to show a progress line; None shows it on long work in a terminal
    callbacks   called after every look with the comparison so far; a true result stops it
    threads     as for ``train``

    The same seed gives the same initial weights (if the shapes match), row order, hold-out and
    split, so runs are compared in pairs. The rows are those of ``splits``. Recipes that
    differ only in numbers are trained as one population. An estimator is cloned for each seed, and
    each ``random_state`` in it is set to the seed.

    Estimators and functions get the table's rows as they are. Recipes get a frame's columns
    encoded, as ``seedbed compare`` does: numbers scaled and binned, categories one-hot. The
    encoding and a quantity's scale come from all rows, test rows included, because the number of
    inputs must not depend on the seed; of the target, it sees only the scale. Scores are in the
    target's units. A frame of numbers alone, one for each of the networks' inputs, is not encoded.

    A diverged run, or one that predicts NaN, scores worst, and is never dropped.

    Ctrl-C returns the verdicts on the runs so far. Fixed seeds are then judged by the anytime
    test, which is weaker, because the planned test needs all seeds.

    Raises: SettingError, ShapeError or DataError; MethodError if a method raises, or its
    predictions cannot be scored.
    >>> import dataclasses, seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> recipe = sb.xor.recipe(400)
    >>> slow = dataclasses.replace(recipe, optimizer=sb.SGD(lr=0.01))
    >>> rows = ([0, 1, 2], [3])
    >>> found = sb.compare({"fast": recipe, "slow": slow}, X, Y, seeds=range(8), split=rows)
    >>> found["fast", "slow"].n
    8
    """
    methods = checked_methods(methods)
    design, looks = _design_and_looks(seeds, first_seed)
    baseline = None if baseline is None else str(baseline)
    rules = checked_rules(list(methods), baseline, alpha, delta, design)
    problem = problem_of(methods, X, Y, task)
    metric = checked_metric(metric, problem.kind)
    if metric.percent and delta is not None and delta >= 0.5:
        raise SettingError(
            f"delta {delta:g} is half the range of {metric.name} or more: one percentage point is "
            "delta=0.01"
        )
    max_seeds = looks[-1]
    planned = min(max_seeds, LOOKS[-1])
    runs = Runs(methods, problem, metric, split, test, progress, threads, planned)
    if isinstance(seeds, str):
        all_seeds = list(range(first_seed, first_seed + max_seeds))
    else:
        all_seeds = checked_seeds(seeds).tolist()
        if len(set(all_seeds)) < max_seeds:
            raise SettingError(f"seeds contains duplicates: {one_line(all_seeds)}")
    scope = SCOPES["resampled" if runs.splits.fixed is None else "fixed"]
    pairs = all_pairs(list(methods), baseline)
    decided: dict[tuple[str, str], Pair] = {}

    def judged(interrupted: bool = False) -> Comparison:
        results = runs.results()
        scores = {name: method.scores for name, method in results.items()}
        verdicts = judge_all(scores, pairs, metric, rules, decided)
        return Comparison(
            results, verdicts, metric, rules, baseline, scope, runs.row_counts, interrupted,
            problem.notes,
        )  # fmt: skip

    done, so_far = 0, None
    with interruptible() as stop, StatusLine(progress) as line:
        for look in looks:
            open_pairs = [pair for pair in pairs if pair not in decided]
            names = {name for pair in open_pairs for name in pair}
            complete = runs.extend(names, all_seeds[done:look], stop)
            stopped = not complete or (stop.is_set() and look < max_seeds)
            if stopped and not all(runs.scores.values()):
                raise KeyboardInterrupt
            if stopped:
                break
            done = look
            if design == "fixed" and look < max_seeds:
                continue
            so_far = judged()
            for pair, result in zip(pairs, so_far.pairs, strict=True):
                if design != "fixed" and result.verdict.is_final:
                    decided.setdefault(pair, result)
            if line.is_due:
                line.write(_status(so_far, done, max_seeds), done / max_seeds)
            stop_requests = [callback(so_far) for callback in callbacks]
            if len(decided) == len(pairs):
                break
            if any(stop_requests) and look < max_seeds:
                stopped = True
                break
    if not stopped:
        assert so_far is not None
        return so_far
    if design == "fixed":
        rules = replace(rules, design="anytime")
    seen = max(len(scores) for scores in runs.scores.values())
    warnings.warn(
        f"stopped after {seen} of {max_seeds} seeds: the verdicts use the runs so far",
        InterruptWarning,
        stacklevel=2,
    )
    return judged(interrupted=True)


def _design_and_looks(seeds: Any, first_seed: int) -> tuple[Design, list[int]]:
    """Return the design, and the numbers of seeds after which training pauses."""
    checked_count("first_seed", first_seed, minimum=0)
    if isinstance(seeds, str):
        if seeds == "adaptive":
            return "adaptive", list(LOOKS)
        if seeds == "anytime":
            return "anytime", list(range(ANYTIME_STEP, ANYTIME_MAX + 1, ANYTIME_STEP))
        raise SettingError(
            f"seeds must be 'adaptive', 'anytime' or a sequence such as range(30), not {seeds!r}"
        )
    if np.ndim(seeds) == 0 and not isinstance(seeds, range | set | frozenset):
        raise SettingError(
            f"seeds={one_line(seeds)} is a single seed: give several, such as "
            f"seeds=range({seeds if type(seeds) is int and seeds > 1 else 30})"
        )
    count = len(checked_seeds(seeds))
    pauses = [ANYTIME_STEP * 2**k for k in range(40) if ANYTIME_STEP * 2**k < count]
    return "fixed", [*pauses, count]


def _status(so_far: Comparison, done: int, max_seeds: int) -> str:
    final = [pair.verdict.is_final for pair in so_far.pairs]
    return f"{done} of at most {max_seeds} seeds: {sum(final)} of {len(final)} verdicts are final"
