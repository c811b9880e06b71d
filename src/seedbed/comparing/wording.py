"""A pair's verdict in one sentence: the effect, the verdict, the evidence."""

from __future__ import annotations

import math

from seedbed.comparing.sequential import LOOKS
from seedbed.comparing.verdict import Pair, Rules, Verdict
from seedbed.metrics import Metric

EQUAL_TIME = 1.25
"""Training times within this factor are about equal: a shared machine varies as much."""


def sentence(
    pair: Pair, metric: Metric, rules: Rules, where: str = "", unit: str = "paired runs",
    time: float | None = None,
) -> str:  # fmt: skip
    """Return what was found about a pair in one sentence.

    where  what the verdict holds for, such as "on this data set"
    unit   what a pair has n of: "paired runs" or "data sets"
    time   a's training time over b's, or None

    >>> import seedbed as sb
    >>> a, b = [0.91, 0.90, 0.93, 0.92, 0.94, 0.95], [0.90, 0.89, 0.90, 0.88, 0.89, 0.89]
    >>> found = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")
    >>> for part in found.sentences[0].replace(":", ";").replace(",", ";").split("; "):
    ...     print(part)
    On the given scores
    the typical gain of a over b is 0.035 (95 % CI 0.01 to 0.06)
    the mean gain 0.0333
    better
    perhaps only slightly
    won 6 of 6 paired runs
    none collapsed
    adjusted p = 0.031
    """
    if pair.verdict is Verdict.CANNOT_JUDGE:
        return (
            f"{pair.a} against {pair.b} cannot be judged: {pair.n} pairs; at least "
            f"{rules.min_pairs} needed"
        )
    if pair.leads == pair.b or (pair.leads is None and pair.typical < 0):
        pair, time = pair.swapped, time and 1 / time
    parts = [
        f"{_effect(pair, metric)}: {_verdict(pair, metric, rules)}",
        f"won {pair.wins}{f' and tied {pair.ties}' if pair.ties else ''} of {pair.n} {unit}",
    ]
    runs = unit == "paired runs"
    said = pair.verdict is Verdict.MIXED and any(pair.collapsed)
    if not said and (runs or any(pair.failed)):
        parts.append(_collapses(pair))
    if pair.leads is not None and time is not None:
        equal = 1 / EQUAL_TIME < time < EQUAL_TIME
        parts.append(f"takes {'about as long' if equal else f'{time:.2g} times as long'}")
    if pair.leads is not None and _stopped_early(pair, rules):
        parts.append("found at an early look, where gains look larger than they are")
    if pair.verdict not in (Verdict.TOO_CLOSE, Verdict.NOT_TESTED):
        parts.append(f"adjusted p = {format_p(pair.p_adjusted)}")
    if pair.verdict is Verdict.CANNOT_TELL:
        parts.append(_needed(pair, metric, rules, unit))
    text = "; ".join(part for part in parts if part)
    return f"{where[0].upper()}{where[1:]}, {text}" if where else text[0].upper() + text[1:]


def _effect(pair: Pair, metric: Metric) -> str:
    """Return the typical gain with its interval, and the mean gain."""
    unit = metric.gain_unit
    low, high = pair.low, pair.high
    interval = "unbounded"
    if math.isfinite(low) or math.isfinite(high):
        interval = " to ".join(ends(low, high, metric))
        if math.ulp(0.0) in (abs(low), abs(high)):
            interval += ", 0 excluded"
    if math.isnan(pair.mean):
        mean = "no run finished for both"
    else:
        mean = f"the mean gain {metric.format_gain(pair.mean)}"
        if any(pair.failed):
            finished = pair.n - pair.failed[0] - pair.failed[1] + pair.failed_both
            mean += f" where both finished ({finished})"
    return (
        f"the typical gain of {pair.a} over {pair.b} is {metric.format_gain(pair.typical)}{unit} "
        f"({100 * pair.confidence:.3g} % CI {interval}), {mean}"
    )


def ends(low: float, high: float, metric: Metric) -> tuple[str, str]:
    """Return an interval's ends as text; one next to 0, see ``gain_interval``, as 0."""
    tiny = math.ulp(0.0)
    low, high = (0.0 if abs(end) == tiny else end for end in (low, high))
    return metric.format_gain(low), metric.format_gain(high)


def _verdict(pair: Pair, metric: Metric, rules: Rules) -> str:
    """Return the verdict on the first method."""
    if pair.verdict is Verdict.TOO_CLOSE:
        assert rules.delta is not None
        delta = f"{metric.format_gain(rules.delta)}{metric.gain_unit}"
        return f"too close to matter, within ±{delta}"
    if pair.verdict is Verdict.NOT_TESTED:
        return "not tested, as an earlier metric does not tell them apart"
    if pair.verdict is not Verdict.MIXED:
        return pair.verdict.value
    _, mean, wins, collapses = pair.senses
    if wins > 0:
        text = "worse on average" if mean < 0 else "not on average"
        if mean > 0 and collapses < 0:
            text = "it collapses more often"
        text = f"usually better, but {text}"
        return f"{text}: {_collapses(pair)}" if any(pair.collapsed) else text
    if mean > 0:
        return "better on average, but " + ("wins less often" if wins < 0 else "wins as often")
    return "better by its typical gain alone, not on average and not in most runs"


def _collapses(pair: Pair) -> str:
    """Return how many runs of each collapsed, and how many of these failed."""
    if not any(pair.collapsed):
        return "none collapsed"
    each = [
        f"{name} {word} in {count}{f' ({failed} failed)' if failed else ''}"
        for name, word, count, failed in zip(
            (pair.a, pair.b), ("collapsed", ""), pair.collapsed, pair.failed, strict=True
        )
    ]
    return f"{each[0]} and {' '.join(each[1].split())} of {pair.n}"


def _needed(pair: Pair, metric: Metric, rules: Rules, unit: str) -> str:
    """Return what would decide."""
    n = pair.n
    if pair.failed_both == n:
        return f"both failed in all {n}"
    if pair.ties == n:
        return f"all {n} are ties (another metric may separate them)"
    if pair.needed is None:
        return f"the gains are too close to 0 to estimate how many more {unit} would decide"
    count = f"about {pair.needed:,} more {unit if pair.needed > 1 else unit[:-1]}"
    if rules.delta is not None and abs(pair.typical) < rules.delta:
        delta = f"{metric.format_gain(rules.delta)}{metric.gain_unit}"
        return f"if the true gain is what was seen, {count} would show it within ±{delta}"
    low, high = pair.needed_range or (pair.needed, None)
    reach = f"{low:,} to {'any number' if high is None else f'{high:,}'}"
    return f"if the true gain is what was seen, {count} ({reach}) would decide"


def _stopped_early(pair: Pair, rules: Rules) -> bool:
    """Return whether the verdict was found at a look before the last."""
    return rules.design == "anytime" or (rules.design == "adaptive" and pair.n < LOOKS[-1])


def format_p(p: float) -> str:
    """Return a p-value as text."""
    return "1" if p > 0.995 else f"{p:.2g}"
