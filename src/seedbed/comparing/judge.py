"""judge(): verdicts on scores that exist already."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_choice, checked_number, one_line
from seedbed.comparing.comparison import SCOPES, Comparison, Method
from seedbed.comparing.saved import not_computed
from seedbed.comparing.statistics import midranks
from seedbed.comparing.suites import (
    LogError,
    Suite,
    gains_by_set,
    is_long,
    log_errors,
    relative_errors,
    suite_of,
)
from seedbed.comparing.verdict import (
    Design,
    Rules,
    Verdict,
    all_pairs,
    gains,
    judge_all,
    judge_gains,
)
from seedbed.errors import DataError, SeedbedWarning, SettingError, TableError
from seedbed.metrics import Metric
from seedbed.tables.sources import as_frame
from seedbed.tables.values import as_floats


def judge(
    scores: Mapping[str, Any] | Any,
    *,
    higher_is_better: bool,
    design: Design | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Any = None,
    name: str = "score",
    columns: Mapping[str, str] | None = None,
) -> Comparison:
    """Judge scores that exist already, from this library or another.

    scores  each method's scores, (n,), all on the same seeds in the same order; NaN where a run
            failed. A data frame has a column for each method, and a row for each seed; or a row for
            each run, and columns of methods, data sets, seeds or folds, and scores. If all are
            Series, their indexes pair them
    design  how n was chosen, which has no default: "fixed" if before the first score was seen,
            "adaptive" if the scores were looked at after 8, 16, 32 and 64 seeds only, "anytime"
            otherwise
    seeds   the seeds, (n,), to show in tables; None counts from 0

    columns the names of a long frame's columns by role, where they are not usual: "method",
            "data set", "run" (one, or a list such as ["repeat", "fold"]), "score"

    With several data sets, each counts once, and the verdict is about data sets like these: a
    pair's gain on a data set is the typical gain of its runs in the logarithm of the error (1 -
    score if higher is better), and delta is on that scale: 0.02 is 2 % of the error.

    For the other arguments see ``compare``. Warns of runs that are listed several times, and of
    differences that follow one another, as those of one training's checkpoints do: such runs are
    fewer than they seem, and verdicts on them are wrong too often.

    Raises: SettingError or DataError for scores that cannot be compared.
    >>> import seedbed as sb
    >>> a, b = [0.91, 0.90, 0.93, 0.92, 0.94, 0.95], [0.90, 0.89, 0.90, 0.88, 0.89, 0.89]
    >>> found = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")
    >>> found["a", "b"].better, found["a", "b"].p
    ('a', 0.03125)
    """
    if design is None:
        raise SettingError(
            "judge needs design=: 'fixed' if the number of seeds was chosen before the first score "
            "was seen, 'adaptive' if the scores were looked at after 8, 16, 32 and 64 seeds only, "
            "'anytime' otherwise"
        )
    baseline = None if baseline is None else str(baseline)
    if not isinstance(scores, Mapping):
        is_lazy = hasattr(type(scores), "collect")  # whose columns cost, and are refused below
        frame = _eager(scores) if not is_lazy and hasattr(scores, "columns") else None
        if frame is not None and is_long(frame, columns):
            suite = suite_of(frame, columns, _checked_scores)
            if len(suite.sets) > 1:
                for (method, _), array in suite.scores.items():
                    _refuse_infinitely_bad(method, array, higher_is_better)
                return _judge_sets(suite, higher_is_better, design, baseline, alpha, delta)
            scores = {method: suite.scores[method, suite.sets[0]] for method in suite.methods}
            name = suite.score if name == "score" else name
        else:
            scores, found = _by_column(scores)
            seeds = found if seeds is None else seeds
    metric = Metric(name, not_computed, higher_is_better)
    arrays = {
        name: _checked_scores(name, value)
        for name, value in _aligned(with_string_names(scores)).items()
    }
    for key, array in arrays.items():
        _refuse_infinitely_bad(key, array, higher_is_better)
    counts = {len(array) for array in arrays.values()}
    if len(counts) > 1:
        each = ", ".join(f"{key} has {len(array)}" for key, array in arrays.items())
        raise DataError(f"methods need scores on the same seeds: {each}")
    rules = checked_rules(list(arrays), baseline, alpha, delta, design)
    (n,) = counts
    seeds = np.arange(n) if seeds is None else as_array(seeds, "seeds", SettingError)
    if seeds.shape != (n,):
        raise DataError(f"each method has {n} scores, and there are {seeds.size} seeds")
    if seeds.dtype.kind not in "iuU":
        raise DataError(f"seeds must be whole numbers or texts, not {one_line(seeds.tolist())}")
    values, counted = np.unique(seeds, return_counts=True)
    if (counted > 1).any():
        raise DataError(
            f"seed {one_line(values[counted > 1][0].item())} is given {counted.max()} times: a run "
            "that is listed twice is one run; leave the repetitions out"
        )
    _warn_of_dependent_runs(arrays)
    return Comparison(
        methods={key: Method(key, array, seeds) for key, array in arrays.items()},
        pairs=judge_all(arrays, all_pairs(list(arrays), baseline), metric, rules),
        metric=metric,
        rules=rules,
        baseline=baseline,
        scope=SCOPES["given"],
    )


def judge_in_order(
    frame: Any,
    metrics: Mapping[str, bool],
    *,
    columns: Mapping[str, str] | None = None,
    **settings: Any,
) -> dict[str, Comparison]:
    """Judge a long table by several metrics, in an order stated beforehand.

    frame     a row for each run, and a column for each metric; see ``judge``
    metrics   the columns in their order, and whether higher is better
    columns   the names of the other columns by role, as for ``judge``
    settings  further arguments of ``judge``: design, baseline, alpha

    A pair is tested by a metric only if each earlier one told it apart, so that the chance of a
    false verdict on it stays within alpha for all metrics together (gatekeeping by a fixed
    sequence). The others are "not tested" by it.

    Returns: a comparison for each metric. Raises: as ``judge``.
    """
    if not metrics:
        raise SettingError("metrics is empty: give columns, such as {'log_loss': False}")
    found: dict[str, Comparison] = {}
    told: set[frozenset[str]] | None = None
    for name, higher_is_better in metrics.items():
        each = judge(
            frame, higher_is_better=higher_is_better, columns={**(columns or {}), "score": name},
            name=name, **settings,
        )  # fmt: skip
        if told is not None:
            each = replace(each, pairs=[
                pair if {pair.a, pair.b} in told else replace(
                    pair, verdict=Verdict.NOT_TESTED, better=None, leads=None, needed=None,
                    needed_range=None,
                )
                for pair in each.pairs
            ])  # fmt: skip
        found[name] = each
        told = {frozenset({pair.a, pair.b}) for pair in each.pairs if pair.leads is not None}
    return found


def _judge_sets(
    suite: Suite, higher_is_better: bool, design: Design, baseline: str | None, alpha: float,
    delta: float | None,
) -> Comparison:  # fmt: skip
    """Judge a suite of data sets, each of which counts once."""
    rules = checked_rules(suite.methods, baseline, alpha, delta, design)
    if design == "adaptive":
        raise SettingError(
            "the adaptive design is for seeds: choose the data sets beforehand, design='fixed', or "
            "judge them at any time, design='anytime'"
        )
    logs = log_errors(suite, higher_is_better)
    pairs = [
        judge_gains(a, b, gains_by_set(suite, logs, a, b), rules)
        for a, b in all_pairs(suite.methods, baseline)
    ]
    numbers = np.arange(len(suite.sets))
    return Comparison(
        methods={
            name: Method(name, errors, numbers, seconds=suite.seconds.get(name))
            for name, errors in relative_errors(suite, logs).items()
        },
        pairs=pairs,
        metric=LogError("relative error", not_computed, higher_is_better=False),
        rules=rules,
        baseline=baseline,
        scope=SCOPES["sets"],
        sets=tuple(suite.sets),
    )


def _eager(frame: Any) -> Any:
    """Return a data frame as a narwhals frame.

    Raises: DataError for a lazy one.
    """
    try:
        return as_frame(frame)
    except TableError as error:
        raise DataError(str(error).replace("X ", "the table of scores ", 1)) from None


MIN_DEPENDENT, MAX_Z = 10, 2.8
"""Dependent runs are looked for among at least so many, and warned of beyond so many standard
errors: of independent runs, one pair in 400."""


def _warn_of_dependent_runs(scores: Mapping[str, Array]) -> None:
    """Warn if the runs are not independent, as far as the scores show it."""
    rows = np.stack(list(scores.values()), axis=1)
    n = len(rows)
    if n < MIN_DEPENDENT:
        return
    _, counts = np.unique(rows, axis=0, return_counts=True)
    if counts.min() == counts.max() > 1 and len(counts) > 3:
        warnings.warn(
            f"each of {len(counts)} runs is listed {counts[0]} times: a repetition is no new run, "
            "so leave it out, or the verdict is wrong too often",
            SeedbedWarning,
            stacklevel=3,
        )
    for first, name in combinations(scores, 2):
        d = gains(scores[first], scores[name], True)
        d = d[~(np.isnan(scores[first]) & np.isnan(scores[name]))]
        n = len(d)
        if n < MIN_DEPENDENT:
            continue
        ranks = midranks(d) - (n + 1) / 2
        spread = float((ranks**2).sum())
        if not spread:
            continue
        correlation = float((ranks[1:] * ranks[:-1]).sum()) / spread
        if (correlation + 1 / n) * math.sqrt(n) > MAX_Z:
            warnings.warn(
                f"the differences of {first} and {name} follow one another (correlation "
                f"{correlation:.2f} from row to row): runs that depend on each other, such as the "
                "checkpoints of one training, are fewer than they seem, and the verdict is wrong "
                "too often; sorted scores are not pairs",
                SeedbedWarning,
                stacklevel=3,
            )
            return


def with_string_names(methods: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the mapping with its keys as one-line strings.

    Raises: SettingError if two keys become the same string.
    """
    named = {" ".join(str(name).split()): value for name, value in dict(methods).items()}
    if len(named) < len(methods):
        raise SettingError(f"two methods have the same name: {one_line(list(methods))}")
    return named


def checked_rules(
    names: Sequence[str], baseline: str | None, alpha: float, delta: float | None, design: Design
) -> Rules:
    """Return the rules of a comparison of these methods.

    Raises: SettingError.
    """
    if len(names) < 2:
        raise SettingError(
            f"a comparison needs at least two methods, not {len(names)}: add another"
        )
    if baseline is not None and str(baseline) not in names:
        raise SettingError(
            f"baseline {one_line(baseline)} is not one of the methods: {', '.join(names)}"
        )
    checked_choice("design", design, ("fixed", "adaptive", "anytime"))
    alpha = checked_number("alpha", alpha, 0.0, 0.5, open_low=True)
    if delta is not None:
        delta = checked_number("delta", delta, 0.0, open_low=True)
    return Rules(alpha, len(all_pairs(names, baseline)), design, delta)


def _aligned(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return scores with pandas Series in the order of the first one's index.

    Raises: DataError if the indexes differ, or repeat a label.
    """
    is_series = [hasattr(value, "index") and hasattr(value, "loc") for value in scores.values()]
    if not is_series or not all(is_series):
        return scores
    names, series = list(scores), list(scores.values())
    first = series[0].index
    for name, each in zip(names, series, strict=True):
        if not each.index.is_unique:
            label = each.index[each.index.duplicated()][0]
            raise DataError(f"the scores of {name} have two rows of {one_line(label)}: keep one")
        if len(each) != len(first) or not each.index.isin(first).all():
            only = each.index.symmetric_difference(first)[:1].tolist()
            raise DataError(
                f"methods need scores on the same seeds: {names[0]} and {name} differ in the row "
                f"{one_line(*only)} of their indexes"
            )
    return {name: each.loc[first].to_numpy() for name, each in zip(names, series, strict=True)}


def _by_column(frame: Any) -> tuple[dict[str, Any], Any]:
    """Return a data frame's columns by name, and its column of seeds, if there is one.

    Raises: DataError for anything else.
    """
    if hasattr(type(frame), "collect"):
        raise DataError("the scores are a lazy frame, which holds no rows yet: give its collect()")
    if not hasattr(frame, "columns"):
        raise DataError(
            f"the scores are {one_line(frame)}: give a dict of each method's scores, or a data "
            "frame with a column for each method"
        )
    names = [str(column) for column in frame.columns]
    if len(set(names)) < len(names):
        raise DataError(f"two methods have the same name: {one_line(names)}")
    found = {
        name: frame[column].to_numpy() for name, column in zip(names, frame.columns, strict=True)
    }
    seeds = [name for name in names if name.lower() == "seed"]
    return found, found.pop(seeds[0]) if seeds else None


def _checked_scores(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    array = as_array(value, f"the scores of {name}", DataError)
    if array.dtype == object:  # a frame's missing values, or decimal numbers
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            array = as_floats(array)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "fiub":
        raise DataError(
            f"the scores of {name} are {one_line(value)}; they must be numbers, one per seed"
        )
    return array.astype(np.float64)


def _refuse_infinitely_bad(name: str, scores: Array, higher_is_better: bool) -> None:
    """Refuse scores that no finished run has.

    Raises: DataError.
    """
    worst = -math.inf if higher_is_better else math.inf
    if (scores == worst).any():
        raise DataError(f"the scores of {name} contain {worst:g}: mark a failed run with NaN")
