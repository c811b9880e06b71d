"""Verdicts on pairs of methods, from their scores on the same seeds."""

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
from seedbed.comparing.sequential import LOOKS, sequential_test
from seedbed.metrics import Metric

Design = Literal["fixed", "adaptive", "anytime"]
MIN_CLEAR_SHARE = 0.75
"""A better method that wins less than this share of the pairs is only slightly better."""
MAX_PAIRS_NEEDED = 10_000
"""Estimates of the pairs needed above this are not shown."""


class Verdict(StrEnum):
    """The verdict on a pair. None of them claims that there is no difference."""

    BETTER = "better"
    SLIGHTLY_BETTER = "slightly better"
    TOO_CLOSE = "too close to matter"
    CANNOT_TELL = "can't tell yet"
    CANNOT_JUDGE = "cannot be judged"

    @property
    def is_final(self) -> bool:
        """Whether the comparison stops running this pair."""
        return self in (Verdict.BETTER, Verdict.SLIGHTLY_BETTER, Verdict.TOO_CLOSE)


@dataclass(frozen=True)
class Rules:
    """A comparison's rules, fixed before its first score.

    alpha        the maximum chance of any false "better" among all pairs
    comparisons  the number of pairs, m
    design       "fixed": a fixed number of seeds, one look; "adaptive": at most four planned looks;
                 "anytime": any number of looks
    delta        gains within ± delta do not matter; None if not given
    looks        the numbers of pairs after which the adaptive design tests
    """

    alpha: float
    comparisons: int
    design: Design
    delta: float | None = None
    looks: tuple[int, ...] = LOOKS

    @property
    def min_pairs(self) -> int:
        """The smallest number of pairs at which a verdict is possible."""
        any_time = self.design == "anytime"
        return statistics.min_pairs(self.alpha, self.comparisons, any_time=any_time)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods on n seeds. Gains are a's over b's: positive where a is better.

    a, b             the methods' names
    differences      (n,) gain on each seed; ±∞ where one method failed, 0 where both did
    wins, losses, ties  the number of seeds on which a was better, b was, neither was
    failed           the number of seeds on which a failed, b failed
    failed_both      those on which both did: ties, but no evidence that the methods are close
    typical, low, high  the Hodges-Lehmann gain and its interval
    mean             the mean gain over the seeds on which both finished; NaN if there are none
    share, share_low, share_high  P(a better than b), ties counted half, and its interval
    confidence       the minimum coverage of both intervals
    p, p_adjusted    of the design's test; adjusted for all pairs
    verdict, better  the verdict, and the better method's name or None
    needed           how many more paired runs give a power of 80 % if the trend continues; None if
                     the verdict is final or there is no trend
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
        """Return the verdict and its evidence in one sentence."""
        a, b = (self.b, self.a) if self.better == self.b else (self.a, self.b)
        swapped = a != self.a
        wins = self.losses if swapped else self.wins
        typical, low, high = self.typical, self.low, self.high
        if swapped:
            typical, low, high = -typical, -high, -low
        unit = metric.gain_unit
        interval = (
            f"{metric.format_gain(low)} to {metric.format_gain(high)}"
            if math.isfinite(low) or math.isfinite(high)
            else "unbounded"
        )
        confidence = f"{100 * self.confidence:g} % CI"
        gain = f"typical gain {metric.format_gain(typical)}{unit} ({confidence} {interval})"
        p = f"adjusted p = {_format_p(self.p_adjusted)}"
        n = self.n
        won = f"won {wins}{f' and tied {self.ties}' if self.ties else ''} of {n} paired runs"
        if self.verdict is Verdict.BETTER:
            text = f"{a} is better than {b}: {won}; {gain}; {p}"
        elif self.verdict is Verdict.SLIGHTLY_BETTER:
            text = f"{a} is better than {b}, but only slightly: {won}; {gain}; {p}"
        elif self.verdict is Verdict.TOO_CLOSE:
            assert rules.delta is not None
            delta = metric.format_gain(rules.delta)
            text = (
                f"{a} and {b} are too close to matter: within ±{delta}{unit}, "
                f"{gain}, after {n} paired runs"
            )
        elif self.verdict is Verdict.CANNOT_JUDGE:
            text = f"{a} against {b} cannot be judged: {n} pairs; at least {rules.min_pairs} needed"
        else:
            if self.failed_both == n:
                why = f"both failed in all {n} paired runs"
            elif self.ties == n:
                why = f"all {n} paired runs are ties (another metric may separate them)"
            elif self.needed is None:
                why = f"the {n} paired runs so far favour neither"
            else:
                runs = "run is" if self.needed == 1 else "runs are"
                why = f"about {self.needed:,} more paired {runs} needed"
            text = (
                f"{a} against {b}, can't tell yet: {why}; so far {a} won {wins} and lost "
                f"{self.losses} of {n}; {gain}; {p}"
            )
        if any(self.failed):
            failed_a, failed_b = self.failed
            text += f"; {self.a} failed in {failed_a} and {self.b} in {failed_b} of {n}"
        return text


def gains(a: Array, b: Array, higher_is_better: bool) -> Array:
    """Return a's gains over b, (n,): a failed run (NaN) scores worst; two failed runs tie.

    Gains that differ only by rounding, such as 0.9 - 0.8 and 0.8 - 0.7, are made equal. A gain's
    rounding is that of its own two scores, so that one huge score erases no other gain.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        d = a - b if higher_is_better else b - a
    failed_a, failed_b = np.isnan(a), np.isnan(b)
    d[failed_a & ~failed_b], d[failed_b & ~failed_a], d[failed_a & failed_b] = (
        -math.inf,
        math.inf,
        0,
    )
    known = np.flatnonzero(np.isfinite(d))
    if not known.size:
        return d
    rounding = 2.0**-40 * np.maximum(np.abs(a), np.abs(b))
    d[known[np.abs(d[known]) <= rounding[known]]] = 0.0
    order = known[np.argsort(np.abs(d[known]), kind="stable")]
    sizes, errors = np.abs(d[order]), rounding[order]
    first = np.ones(len(order), dtype=np.bool_)
    # a gain with a large rounding is no bridge between two that differ by more than their own
    first[1:] = np.diff(sizes) > np.minimum(errors[1:], errors[:-1])
    sizes = sizes[first][np.cumsum(first) - 1]
    d[order] = np.sign(d[order]) * sizes
    return d


def judge_all(
    scores: Mapping[str, Array],
    pairs: Sequence[tuple[str, str]],
    metric: Metric,
    rules: Rules,
    decided: Mapping[tuple[str, str], Pair] | None = None,
) -> list[Pair]:
    """Return each pair with its verdict, from each method's scores by seed, NaN where it failed.

    ``decided`` pairs keep the runs of the look that decided them.
    """
    decided = decided or {}
    judged = [
        decided.get(pair) or _judge(*pair, scores[pair[0]], scores[pair[1]], metric, rules)
        for pair in pairs
    ]
    if rules.design == "fixed":
        adjusted = statistics.holm([pair.p for pair in judged])
    else:
        adjusted = [min(1.0, rules.comparisons * pair.p) for pair in judged]
    return [
        _decide(replace(pair, p_adjusted=p), rules)
        for pair, p in zip(judged, adjusted, strict=True)
    ]


def all_pairs(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """Return the pairs to judge: each method against the baseline, or all pairs."""
    if baseline is not None:
        return [(name, baseline) for name in names if name != baseline]
    return list(combinations(names, 2))


def _judge(a: str, b: str, scores_a: Array, scores_b: Array, metric: Metric, rules: Rules) -> Pair:
    n = min(len(scores_a), len(scores_b))
    d = gains(scores_a[:n], scores_b[:n], metric.higher_is_better)
    if rules.design == "adaptive":  # runs after the deciding look are ignored
        looks = sequential_test(d, rules.alpha / rules.comparisons, rules.looks)
        n = looks[-1].n if looks else n
        d = d[:n]
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    ties = n - wins - losses
    p, level = _p_and_level(d, rules)
    low, high = _interval(d, rules.alpha, rules)
    share_low, share_high = 0.0, 1.0
    if level > 0:
        share_low, share_high = statistics.share_interval(
            wins, wins + ties, n, level, any_time=rules.design == "anytime"
        )
    failed_a, failed_b = np.isnan(scores_a[:n]), np.isnan(scores_b[:n])
    finished = np.isfinite(d) & ~(failed_a & failed_b)
    return Pair(
        a=a,
        b=b,
        differences=d,
        wins=wins,
        losses=losses,
        ties=ties,
        failed=(int(failed_a.sum()), int(failed_b.sum())),
        failed_both=int((failed_a & failed_b).sum()),
        typical=statistics.typical_gain(d),
        low=low,
        high=high,
        mean=float(d[finished].mean()) if finished.any() else math.nan,
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


def _p_and_level(d: Array, rules: Rules) -> tuple[float, float]:
    """Return the design's unadjusted p, and the level of its intervals."""
    if rules.design == "anytime":
        return min(1.0, 1 / statistics.e_value(d)), rules.alpha
    if rules.design == "fixed":
        return statistics.signed_rank_p(d), rules.alpha
    looks = sequential_test(d, rules.alpha / rules.comparisons, rules.looks)
    return (looks[-1].p if looks else 1.0), _level(d, rules.alpha, rules)


def _level(d: Array, alpha: float, rules: Rules) -> float:
    """Return the last look's level when all looks together have ``alpha``."""
    looks = sequential_test(d, alpha, rules.looks, stop=False)
    return looks[-1].level if looks else 0.0


def _interval(d: Array, alpha: float, rules: Rules) -> tuple[float, float]:
    """Return the gain's interval by the design's test."""
    if rules.design == "anytime":
        return statistics.median_interval(d, alpha)
    level = alpha if rules.design == "fixed" else _level(d, alpha, rules)
    return statistics.gain_interval(d, level)


def _decide(pair: Pair, rules: Rules) -> Pair:
    verdict, better, needed = Verdict.CANNOT_TELL, None, None
    if pair.n < rules.min_pairs:
        verdict, needed = Verdict.CANNOT_JUDGE, rules.min_pairs - pair.n
    elif _is_close(pair, rules):
        verdict = Verdict.TOO_CLOSE
    elif pair.p_adjusted <= rules.alpha:
        share = max(pair.share, 1 - pair.share)
        verdict = Verdict.BETTER if share >= MIN_CLEAR_SHARE else Verdict.SLIGHTLY_BETTER
        direction = pair.wins - pair.losses  # the anytime test uses signs alone
        if rules.design != "anytime":
            direction = statistics.signed_ranks(pair.differences).sum()
        better = pair.a if direction > 0 else pair.b
    else:
        needed = _needed(pair, rules)
    return replace(pair, verdict=verdict, better=better, needed=needed)


def _needed(pair: Pair, rules: Rules) -> int | None:
    """Return how many more pairs are needed if the trend continues; None if there is no trend."""
    alpha = rules.alpha / rules.comparisons
    if rules.design == "anytime":
        total = statistics.pairs_needed_any_time(
            pair.wins, pair.losses, pair.ties, alpha, MAX_PAIRS_NEEDED
        )
    else:
        total = statistics.pairs_needed(pair.differences, alpha)
    if total is None or total > MAX_PAIRS_NEEDED:
        return None
    # the estimate may be reached already: then it takes until the next look, or a quarter more
    next_looks = [look for look in rules.looks if look > pair.n]
    if rules.design == "adaptive" and next_looks:
        return max(total, next_looks[0]) - pair.n
    return max(total - pair.n, math.ceil(pair.n / 4))


def _is_close(pair: Pair, rules: Rules) -> bool:
    """Return whether two one-sided tests place the gain within ± delta."""
    if rules.delta is None or pair.failed_both:
        return False
    alpha = min(0.5, 2 * rules.alpha / rules.comparisons)
    low, high = _interval(pair.differences, alpha, rules)
    return -rules.delta < low and high < rules.delta


def _format_p(p: float) -> str:
    return "1" if p > 0.995 else f"{p:.2g}"
