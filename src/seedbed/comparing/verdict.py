"""What may be said of two methods from their scores on the same seeds, and in which words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Literal

import numpy as np

from seedbed.arrays import Array
from seedbed.comparing import statistics
from seedbed.metrics import Metric

Design = Literal["fixed", "adaptive", "anytime"]
SLIGHT = 0.75
"""A method that wins a smaller share of the pairs is better, but only slightly."""
MOST_NEEDED = 10_000


class Verdict(StrEnum):
    """What is said of a pair; never that there is no difference."""

    BETTER = "better"
    SLIGHTLY_BETTER = "slightly better"
    TOO_CLOSE = "too close to matter"
    CANNOT_TELL = "can't tell yet"
    CANNOT_JUDGE = "cannot be judged"

    @property
    def is_in(self) -> bool:
        """Whether more seeds would change nothing."""
        return self in (Verdict.BETTER, Verdict.SLIGHTLY_BETTER, Verdict.TOO_CLOSE)


@dataclass(frozen=True)
class Rules:
    """What a comparison was asked to hold to, before its first score.

    alpha        the chance of any false "better" among all pairs
    comparisons  how many pairs there are: m
    design       "fixed": so many seeds, one look; "adaptive": at most four looks, planned;
                 "anytime": looked at as often as one likes
    delta        gains within ± delta do not matter to whoever asks; None where none was named
    looks        after how many pairs the adaptive design looks
    """

    alpha: float
    comparisons: int
    design: Design
    delta: float | None = None
    looks: tuple[int, ...] = statistics.LOOKS

    @property
    def fewest(self) -> int:
        """The least number of pairs at which any verdict is possible."""
        any_time = self.design == "anytime"
        return statistics.fewest_pairs(self.alpha, self.comparisons, any_time=any_time)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods on n seeds. Gains are a's over b's: positive where a is better.

    a, b             their names
    differences      (n,) gain of each seed; ±∞ where one of the two failed, 0 where both did
    wins, losses, ties  in how many seeds a was better, b was, neither was
    failed           in how many seeds a failed, b failed
    failed_both      in how many both did: those count as ties, but never as a sign of closeness
    typical, low, high  the Hodges-Lehmann gain and its interval
    mean             the mean gain of the seeds in which both finished; NaN if there are none
    share, share_low, share_high  P(a better than b), ties counted half, and its interval
    confidence       of both intervals, at the least
    p, p_adjusted    of the signed-rank test by the design; adjusted for all pairs
    verdict, better  what may be said, and the better method's name, or None
    needed           how many more paired runs would tell, with a chance of 80 %, if it goes on like
                     this; None where a verdict is in, or nothing points either way
    """

    a: str
    b: str
    differences: Array
    wins: int
    losses: int
    ties: int
    failed: tuple[int, int]
    failed_both: int
    typical: float
    low: float
    high: float
    mean: float
    share: float
    share_low: float
    share_high: float
    confidence: float
    p: float
    p_adjusted: float
    verdict: Verdict
    better: str | None
    needed: int | None

    @property
    def n(self) -> int:
        """How many seeds both were trained from."""
        return len(self.differences)

    def sentence(self, metric: Metric, rules: Rules) -> str:
        """Return what may be said, in one plain sentence."""
        return _sentence(self, metric, rules)


def gains(a: Array, b: Array, higher_is_better: bool) -> Array:
    """Return a's gains over b, (n,): one that failed (NaN) scores worst, two that did are a tie.

    Gains that differ by no more than the rounding of their scores are made equal, so that ties are
    ties: 0.9 - 0.8 and 0.8 - 0.7 are.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        d = a - b if higher_is_better else b - a
    lost_a, lost_b = np.isnan(a), np.isnan(b)
    d[lost_a & ~lost_b], d[lost_b & ~lost_a], d[lost_a & lost_b] = -math.inf, math.inf, 0.0
    known = np.flatnonzero(np.isfinite(d))
    if not known.size:
        return d
    order = known[np.argsort(np.abs(d[known]), kind="stable")]
    sizes = np.abs(d[order])
    both = ~(lost_a | lost_b)
    near = 2.0**-40 * max(np.abs(a[both]).max(initial=0.0), np.abs(b[both]).max(initial=0.0))
    first = np.diff(sizes, prepend=-math.inf) > near
    alike = sizes[first][np.cumsum(first) - 1]
    d[order] = np.sign(d[order]) * np.where(alike <= near, 0.0, alike)
    return d


def judge_all(
    scores: Mapping[str, Array],
    pairs: Sequence[tuple[str, str]],
    metric: Metric,
    rules: Rules,
    settled: Mapping[tuple[str, str], Pair] | None = None,
) -> list[Pair]:
    """Return what may be said of each pair, from each method's scores by seed, NaN where failed.

    ``settled`` pairs are as they were when their verdict came in.
    """
    settled = settled or {}
    judged = [
        settled.get(pair) or _judged(*pair, scores[pair[0]], scores[pair[1]], metric, rules)
        for pair in pairs
    ]
    if rules.design == "fixed":
        adjusted = statistics.holm([pair.p for pair in judged])
    else:
        adjusted = [min(1.0, rules.comparisons * pair.p) for pair in judged]
    return [
        _with_verdict(replace(pair, p_adjusted=p), rules)
        for pair, p in zip(judged, adjusted, strict=True)
    ]


def all_pairs(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """Return the pairs to judge: each other method against the baseline, or all against all."""
    if baseline is not None:
        return [(name, baseline) for name in names if name != baseline]
    return list(combinations(names, 2))


def _judged(a: str, b: str, scores_a: Array, scores_b: Array, metric: Metric, rules: Rules) -> Pair:
    n = min(len(scores_a), len(scores_b))
    d = gains(scores_a[:n], scores_b[:n], metric.higher_is_better)
    if rules.design == "adaptive":  # what came after the look that decided is not looked at
        looks = statistics.look_at(d, rules.alpha / rules.comparisons, rules.looks)
        n = looks[-1].n if looks else n
        d = d[:n]
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    ties = n - wins - losses
    p, level = _tested(d, rules)
    low, high = _interval(d, rules.alpha, rules)
    share_low, share_high = 0.0, 1.0
    if level > 0:
        share_low, share_high = statistics.share_interval(
            wins, wins + ties, n, level, any_time=rules.design == "anytime"
        )
    both = np.isfinite(d) & ~(np.isnan(scores_a[:n]) & np.isnan(scores_b[:n]))
    return Pair(
        a=a,
        b=b,
        differences=d,
        wins=wins,
        losses=losses,
        ties=ties,
        failed=(int(np.isnan(scores_a[:n]).sum()), int(np.isnan(scores_b[:n]).sum())),
        failed_both=int((np.isnan(scores_a[:n]) & np.isnan(scores_b[:n])).sum()),
        typical=statistics.typical_gain(d),
        low=low,
        high=high,
        mean=float(d[both].mean()) if both.any() else math.nan,
        share=(wins + ties / 2) / n,
        share_low=share_low,
        share_high=share_high,
        confidence=1 - rules.alpha,
        p=p,
        p_adjusted=p,
        verdict=Verdict.CANNOT_TELL,
        better=None,
        needed=None,
    )


def _tested(d: Array, rules: Rules) -> tuple[float, float]:
    """Return p by the design, before it is adjusted, and the level that intervals are made at."""
    if rules.design == "anytime":
        return min(1.0, 1 / statistics.evidence(d)), rules.alpha
    if rules.design == "fixed":
        return statistics.signed_rank_p(d), rules.alpha
    looks = statistics.look_at(d, rules.alpha / rules.comparisons, rules.looks)
    return (looks[-1].p if looks else 1.0), _level(d, rules.alpha, rules)


def _level(d: Array, alpha: float, rules: Rules) -> float:
    """Return the level at which the last look's interval holds at ``alpha`` over all looks."""
    looks = statistics.look_at(d, alpha, rules.looks, stop=False)
    return looks[-1].level if looks else 0.0


def _interval(d: Array, alpha: float, rules: Rules) -> tuple[float, float]:
    """Return the interval of the gain that goes with the design's test."""
    if rules.design == "anytime":
        return statistics.median_interval(d, alpha)
    level = alpha if rules.design == "fixed" else _level(d, alpha, rules)
    return statistics.gain_interval(d, level)


def _with_verdict(pair: Pair, rules: Rules) -> Pair:
    verdict, better, needed = Verdict.CANNOT_TELL, None, None
    if pair.n < rules.fewest:
        verdict, needed = Verdict.CANNOT_JUDGE, rules.fewest - pair.n
    elif _is_close(pair, rules):
        verdict = Verdict.TOO_CLOSE
    elif pair.p_adjusted <= rules.alpha:
        share = max(pair.share, 1 - pair.share)
        verdict = Verdict.BETTER if share >= SLIGHT else Verdict.SLIGHTLY_BETTER
        leans = pair.wins - pair.losses  # the test at any time goes by signs alone
        if rules.design != "anytime":
            leans = statistics.signed_ranks(pair.differences).sum()
        better = pair.a if leans > 0 else pair.b
    else:
        needed = _needed(pair, rules)
    return replace(pair, verdict=verdict, better=better, needed=needed)


def _needed(pair: Pair, rules: Rules) -> int | None:
    """Return how many more runs would tell, if they go on like this; None if nothing points on."""
    alpha = rules.alpha / rules.comparisons
    if rules.design == "anytime":
        total = statistics.pairs_needed_any_time(
            pair.wins, pair.losses, pair.ties, alpha, MOST_NEEDED
        )
    else:
        total = statistics.pairs_needed(pair.differences, alpha)
    if total is None or total > MOST_NEEDED:
        return None
    # where as many should have told already, it was bad luck, or the next look has to be waited for
    following = [look for look in rules.looks if look > pair.n]
    if rules.design == "adaptive" and following:
        return max(total, following[0]) - pair.n
    return max(total - pair.n, math.ceil(pair.n / 4))


def _is_close(pair: Pair, rules: Rules) -> bool:
    """Return whether two one-sided tests say that the gain lies within ± delta."""
    if rules.delta is None or pair.failed_both:
        return False
    alpha = min(0.5, 2 * rules.alpha / rules.comparisons)
    low, high = _interval(pair.differences, alpha, rules)
    return -rules.delta < low and high < rules.delta


def _sentence(pair: Pair, metric: Metric, rules: Rules) -> str:
    a, b = (pair.b, pair.a) if pair.better == pair.b else (pair.a, pair.b)
    turned = a != pair.a
    wins = pair.losses if turned else pair.wins
    typical, low, high = pair.typical, pair.low, pair.high
    if turned:
        typical, low, high = -typical, -high, -low
    unit = metric.gain_unit
    interval = (
        f"{100 * pair.confidence:g} % CI {metric.format_gain(low)} to {metric.format_gain(high)}"
        if math.isfinite(low) or math.isfinite(high)
        else f"{100 * pair.confidence:g} % CI unbounded"
    )
    gain = f"typical gain {metric.format_gain(typical)}{unit} ({interval})"
    p = f"adjusted p = {_shown_p(pair.p_adjusted)}"
    won = f"won {wins}{f' and tied {pair.ties}' if pair.ties else ''} of {pair.n} paired runs"
    failed = ""
    if any(pair.failed):
        failed = (
            f"; {pair.a} failed in {pair.failed[0]} and {pair.b} in {pair.failed[1]} of {pair.n}"
        )
    if pair.verdict is Verdict.BETTER:
        said = f"{a} is better than {b}: {won}; {gain}; {p}"
    elif pair.verdict is Verdict.SLIGHTLY_BETTER:
        said = f"{a} is better than {b}, but only slightly: {won}; {gain}; {p}"
    elif pair.verdict is Verdict.TOO_CLOSE:
        assert rules.delta is not None
        said = (
            f"{a} and {b} are too close to matter: within "
            f"±{metric.format_gain(rules.delta)}{unit}, {gain}, after {pair.n} paired runs"
        )
    elif pair.verdict is Verdict.CANNOT_JUDGE:
        said = (
            f"{a} against {b} cannot be judged: fewer than {rules.fewest} pairs "
            f"({pair.n}; at least {pair.needed} more)"
        )
    else:
        if pair.failed_both == pair.n:
            more = f"both failed in all {pair.n} paired runs"
        elif pair.ties == pair.n:
            more = f"all {pair.n} paired runs are ties: another metric may tell them apart"
        elif pair.needed is None:
            more = f"the {pair.n} paired runs so far point neither way"
        else:
            runs = "run is" if pair.needed == 1 else "runs are"
            more = f"about {pair.needed:,} more paired {runs} needed"
        said = (
            f"{a} against {b}, can't tell yet: {more}; so far {a} won {wins} and lost "
            f"{pair.losses} of {pair.n}; {gain}; {p}"
        )
    return said + failed


def _shown_p(p: float) -> str:
    return "1" if p > 0.995 else f"{p:.2g}"
