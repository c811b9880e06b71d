"""Assertions for tests and continuous integration: did a model get worse?"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from seedbed.arrays import checked_number
from seedbed.comparing import evidence, statistics
from seedbed.comparing.comparison import Comparison
from seedbed.comparing.judge import judge
from seedbed.comparing.plan import Plan
from seedbed.comparing.sequential import LOOKS
from seedbed.comparing.verdict import Design, gains, one_sided_bounds
from seedbed.comparing.wording import ends
from seedbed.errors import InterruptWarning, SettingError
from seedbed.metrics import Metric

_NAMES = "candidate", "baseline"
_SETTINGS = "seeds", "split", "test", "task", "first_seed"


class UndecidedError(AssertionError):
    """Raised where the runs do not tell whether the candidate is worse."""


@dataclass(frozen=True, eq=False)
class NotWorse:
    """What was found about a candidate and a baseline.

    status      "fine": the candidate's typical gain is surely above -margin; "worse": it is surely
                below, or the candidate collapses more often than chance explains; "can't tell"
    low, high   bounds of the typical gain: above low with confidence 1 - alpha, below high with
                1 - alpha / 2; a seed on which both failed may hide any gain
    needed      for "can't tell", how many more paired runs would tell if the true gain is what was
                seen; None if no number can be named
    sentence    all this in one sentence
    comparison  the runs
    """

    status: Literal["fine", "worse", "can't tell"]
    low: float
    high: float
    needed: int | None
    sentence: str
    comparison: Comparison


def assert_not_worse(
    candidate: Any,
    baseline: Any,
    X: Any = None,
    Y: Any = None,
    *,
    margin: float,
    higher_is_better: bool | None = None,
    metric: Metric | str | None = None,
    alpha: float = 0.05,
    **settings: Any,
) -> NotWorse:
    """Raise AssertionError unless the candidate is surely not worse than the baseline by a margin.

    candidate, baseline  scores, (n,), on the same seeds in the same order, NaN where a run failed;
                         or methods as for ``compare``, which are trained on X and Y
    margin               the loss that does not matter, in the metric's units (0.01 is one point of
                         accuracy); for a trained comparison choose it before the first run
    higher_is_better     of scores; a metric knows it
    alpha                the maximum chance of passing a candidate that is worse by the margin, and
                         of failing one that is not, half of it for its gain and half for collapses;
                         over all looks
    settings             further arguments of ``compare``, such as seeds, split and task; training
                         stops at the first look that tells

    Returns what was found, if the candidate is fine. Raises: AssertionError if it is worse;
    UndecidedError, which is one, if the runs do not tell; SettingError and DataError.

    >>> import seedbed as sb
    >>> old = [0.91, 0.90, 0.93, 0.92, 0.94, 0.95, 0.91, 0.93]
    >>> new = [0.90, 0.91, 0.93, 0.93, 0.93, 0.96, 0.92, 0.92]
    >>> found = sb.testing.assert_not_worse(new, old, margin=0.02, higher_is_better=True)
    >>> found.status, round(found.low, 3)
    ('fine', -0.005)
    """
    known = ("design", "seeds", "name") if X is None else _SETTINGS
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise SettingError(
            f"assert_not_worse has no setting {unknown[0]} for "
            f"{'scores' if X is None else 'methods'}: the settings are {', '.join(known)}"
        )
    if X is None:
        if higher_is_better is None:
            raise SettingError("scores need higher_is_better=True, or False for errors")
        given = dict(zip(_NAMES, (candidate, baseline), strict=True))
        design = settings.pop("design", "fixed")
        found = judge(
            given, higher_is_better=higher_is_better, design=design, alpha=alpha, **settings
        )
        result = examined(found, *_NAMES, margin)
    else:
        methods = dict(zip(_NAMES, (candidate, baseline), strict=True))
        planned = Plan(methods, metric=metric, baseline="baseline", alpha=alpha, **settings)
        result = trained(planned, X, Y, "candidate", margin)
    if result.status == "fine":
        return result
    kind = AssertionError if result.status == "worse" else UndecidedError
    raise kind(result.sentence)


def trained(plan: Plan, X: Any, Y: Any, candidate: str, margin: float) -> NotWorse:
    """Train a plan of two methods until the runs tell whether the candidate is worse.

    Raises: as ``Plan.run``.
    """
    checked_number("margin", margin, 0)
    course = plan.begin(X, Y)
    if course.metric.percent and margin >= 0.5:
        raise SettingError(
            f"margin {margin:g} is half the range of {course.metric.name} or more: one percentage "
            "point is margin=0.01"
        )
    (pair,) = course.pairs
    other = pair[1] if candidate == pair[0] else pair[0]
    looks = course.looks if course.design != "fixed" else course.looks[-1:]
    with warnings.catch_warnings():
        warnings.simplefilter("error", InterruptWarning)
        for look in looks:
            try:
                found = course.run([look])
            except InterruptWarning:
                raise KeyboardInterrupt from None
            result = examined(found, candidate, other, margin)
            course.decided.clear()  # a decided pair is told apart, but perhaps not at the margin
            if result.status != "can't tell":
                break
    return result


def examined(found: Comparison, candidate: str, baseline: str, margin: float) -> NotWorse:
    """Return whether the candidate's runs are worse than the baseline's by a margin."""
    margin = checked_number("margin", margin, 0)
    metric, rules = found.metric, found.rules
    a, b = found.methods[candidate].scores, found.methods[baseline].scores
    d = gains(a, b, metric.higher_is_better)
    both = np.isnan(a) & np.isnan(b)
    low, _ = one_sided_bounds(np.where(both, -math.inf, d), rules)
    _, high = one_sided_bounds(np.where(both, math.inf, d), replace(rules, alpha=rules.alpha / 2))
    typical = statistics.typical_gain(d)
    pair = found[candidate, baseline]
    pair = pair if pair.a == candidate else pair.swapped
    fell = _falls_more_often(pair.collapsed, rules.design, rules.alpha / 2)
    status: Literal["fine", "worse", "can't tell"] = "can't tell"
    if high < -margin or fell:
        status = "worse"
    elif low > -margin:
        status = "fine"
    unit, n = metric.gain_unit, len(d)
    by = f"{metric.format_gain(margin)}{unit}"
    seen = f"typical gain {metric.format_gain(typical)}{unit}"
    needed = None
    least, most = ends(low, high, metric)
    if status == "fine":
        text = f"{candidate} is not worse than {baseline} by {by} or more"
        seen += f", surely at least {least}"
    elif fell:
        text = f"{candidate} is worse than {baseline} in how often it collapses"
    elif status == "worse":
        text = f"{candidate} is worse than {baseline} by more than {by}"
        seen += f", surely at most {most}"
    else:
        text = f"can't tell whether {candidate} is worse than {baseline} by {by}"
        seen += f" ({least} to {most})"
        needed = _needed(n, typical, low, high, margin)
    fallen = f"{candidate} collapsed in {pair.collapsed[0]} and {baseline} in {pair.collapsed[1]}"
    collapsed = f"{fallen} of them" if any(pair.collapsed) else "none collapsed"
    sentence = f"{text}: {seen}, in {n} paired runs; {collapsed}"
    if needed is not None:
        sentence += f"; about {needed:,} more would tell if the true gain is what was seen"
    return NotWorse(status, low, high, needed, sentence, found)


def _falls_more_often(collapsed: tuple[int, int], design: Design, alpha: float) -> bool:
    """Return whether the candidate collapses more often, at alpha over all looks of a design: by a
    one-sided sign test, at the looks of the adaptive design with its share each; at any time by the
    e-value of a mixture.
    """
    more, fewer = collapsed
    total = more + fewer
    if design == "anytime":
        e = math.exp(evidence.log_beta_e_value(more, fewer, 0.5))
        return more > fewer and e >= 1 / alpha
    chance = sum(math.comb(total, k) for k in range(more, total + 1)) / 2**total
    return more > fewer and chance <= alpha / (len(LOOKS) if design == "adaptive" else 1)


def _needed(n: int, typical: float, low: float, high: float, margin: float) -> int | None:
    """Return how many more runs place the bound on the far side of the margin."""
    distance = abs(typical + margin)
    reach = typical - low if typical > -margin else high - typical
    if not (distance > 0 and math.isfinite(reach) and np.isfinite(typical)):
        return None
    return max(1, math.ceil(n * (reach / distance) ** 2) - n)
