"""Verdicts on pairs of methods, from their scores on the same seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.comparing import evidence, statistics
from seedbed.comparing.sequential import LATER_LOOKS, LOOKS, sequential_test
from seedbed.comparing.statistics import Need
from seedbed.metrics import Metric

Design = Literal["fixed", "adaptive", "anytime"]
CLEAR_SHARE = 0.6
"""A better method may be so only slightly, unless the share of runs that it wins is surely larger
than this: by its interval of confidence 1 - alpha, as for one pair and one look."""
FAR = 8
"""A run collapsed if it is more than this many times as far below both methods' medians as a best
run is above its own: of the two methods, the one with the larger distance."""
MAX_PAIRS_NEEDED = 10_000
"""Estimates of the pairs needed above this are not shown."""


class Verdict(StrEnum):
    """The verdict on a pair. None of them claims that there is no difference."""

    BETTER = "better"
    SLIGHTLY_BETTER = "better, perhaps only slightly"
    MIXED = "better in one sense only"
    TOO_CLOSE = "too close to matter"
    CANNOT_TELL = "can't tell yet"
    CANNOT_JUDGE = "cannot be judged"
    NOT_TESTED = "not tested"

    @property
    def is_final(self) -> bool:
        """Whether the comparison stops running this pair."""
        return self not in (Verdict.CANNOT_TELL, Verdict.CANNOT_JUDGE, Verdict.NOT_TESTED)


@dataclass(frozen=True)
class Rules:
    """A comparison's rules, fixed before its first score.

    alpha        the maximum chance of any false verdict among all pairs: one that says better,
                 perhaps only slightly better or better in one sense only, where the differences of
                 the two methods' scores are symmetric about 0, as those of equal methods are
    comparisons  the number of pairs, m; each is tested at alpha / m (Bonferroni)
    design       "fixed": a fixed number of seeds, one look; "adaptive": planned looks; "anytime":
                 any number of looks
    delta        gains within ± delta do not matter; None if not given
    """

    alpha: float
    comparisons: int
    design: Design
    delta: float | None = None

    @property
    def level(self) -> float:
        """The level at which each pair is tested."""
        return self.alpha / self.comparisons

    @property
    def min_pairs(self) -> int:
        """The smallest number of pairs at which a verdict is possible."""
        kind = evidence if self.design == "anytime" else statistics
        return kind.min_pairs(self.level)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods on n seeds. Gains are a's over b's: positive where a is better.

    a, b             the methods' names
    differences      (n,) gain on each seed; ±∞ where one method failed, 0 where both did
    wins, losses, ties  the number of seeds on which a was better, b was, neither was
    failed           the number of seeds on which a failed, b failed
    failed_both      those on which both did: ties, but no evidence that the methods are close
    collapsed        the number of seeds on which a collapsed, b collapsed, failures included: their
                     scores are far below both methods' medians (``FAR``)
    typical, low, high  the Hodges-Lehmann gain and the interval of the test that decided: it
                     contains 0 exactly if the test does not reject
    mean             the mean gain over the seeds on which both finished; NaN if there are none
    share, share_low, share_high  P(a better than b), ties counted half, and its interval
    confidence       the coverage of both intervals, for all pairs together; that of two one-sided
                     tests if the verdict is "too close to matter"
    p, p_adjusted    of the design's test; times the number of pairs
    verdict, better  the verdict, and the better method's name or None
    leads            whom the test favours, where it rejects: also "in one sense only"
    needed           for ``CANNOT_TELL``, how many more paired runs give a power of 80 % if the true
                     gain is what was seen; for ``CANNOT_JUDGE``, how many are lacking; else None
    needed_range     the same if the gain is larger and smaller by 1.28 standard errors; None as the
                     second for no limit
    """

    a: str
    b: str
    differences: Array
    wins: int
    losses: int
    ties: int
    failed: tuple[int, int]
    failed_both: int
    collapsed: tuple[int, int]
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
    verdict: Verdict = Verdict.CANNOT_TELL
    better: str | None = None
    leads: str | None = None
    needed: int | None = None
    needed_range: tuple[int, int | None] | None = None

    @property
    def n(self) -> int:
        """How many seeds both were trained from."""
        return len(self.differences)

    @property
    def swapped(self) -> Pair:
        """The same with b's gains over a."""
        return replace(
            self, a=self.b, b=self.a, differences=-self.differences, wins=self.losses,
            losses=self.wins, failed=self.failed[::-1], collapsed=self.collapsed[::-1],
            typical=0.0 - self.typical, low=0.0 - self.high, high=0.0 - self.low,
            mean=0.0 - self.mean, share=1 - self.share, share_low=1 - self.share_high,
            share_high=1 - self.share_low,
        )  # fmt: skip

    @property
    def senses(self) -> tuple[int, int, int, int]:
        """Whom the typical gain, the mean gain, the share of wins and the collapses favour: 1 for
        a, -1 for b, 0 for neither.

        The mean is that of the runs that both finished. Collapses favour a method if the other has
        more than chance explains: by a one-sided sign test, p <= 1/4, such as 2 to 0.
        """
        fewer, more = sorted(self.collapsed)
        chance = sum(math.comb(fewer + more, k) for k in range(fewer + 1)) / 2 ** (fewer + more)
        collapses = _sign(self.collapsed[1] - self.collapsed[0]) if chance <= 1 / 4 else 0
        mean = collapses if math.isnan(self.mean) else _sign(self.mean)
        return _sign(self.typical), mean, _sign(self.wins - self.losses), collapses


def gains(a: Array, b: Array, higher_is_better: bool) -> Array:
    """Return a's gains over b, (n,): a failed run (NaN) scores worst; two failed runs tie.

    Gains that differ only by rounding, such as 0.9 - 0.8 and 0.8 - 0.7, are made equal. A gain's
    rounding is that of its own two scores, so that one huge score erases no other gain.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        d = a - b if higher_is_better else b - a
    failed_a, failed_b = np.isnan(a), np.isnan(b)
    d[np.isnan(d)] = 0.0  # both failed, or both are infinitely good
    d[failed_a & ~failed_b] = -math.inf
    d[failed_b & ~failed_a] = math.inf
    known = np.flatnonzero(np.isfinite(a) & np.isfinite(b) & np.isfinite(d))
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


def collapses(a: Array, b: Array, higher_is_better: bool) -> tuple[int, int]:
    """Return how many of two methods' runs collapsed: failed, or far below both methods' medians.

    Far is ``FAR`` times the distance from a median up to the best run, the larger one of the two
    methods', or where both are 0, to the nearest other score.
    """
    sign = 1.0 if higher_is_better else -1.0
    known = [np.sort(sign * each[~np.isnan(each)]) for each in (a, b)]
    middles = [each[len(each) // 2] for each in known if each.size]
    if not middles:
        return len(a), len(b)
    distances = np.concatenate([
        _distances(each, each[len(each) // 2]) for each in known if each.size
    ])  # fmt: skip
    distance = distances.max()
    if not distance > 0:
        distance = min(np.abs(distances[distances < 0]), default=math.inf)
    counts = [len(a), len(b)]
    for number, each in enumerate(known):
        fine = _distances(each, min(middles)) >= -FAR * distance
        counts[number] -= int(fine.sum())
    return counts[0], counts[1]


def _distances(scores: Array, middle: float) -> Array:
    """Return how far scores are above a median; an infinite one is 0 above itself."""
    with np.errstate(invalid="ignore"):
        return np.where(scores == middle, 0.0, scores - middle)


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
    return [
        decided.get((a, b)) or _judge(a, b, scores[a], scores[b], metric, rules) for a, b in pairs
    ]


def all_pairs(names: Sequence[str], baseline: str | None) -> list[tuple[str, str]]:
    """Return the pairs to judge: each method against the baseline, or all pairs."""
    if baseline is not None:
        return [(name, baseline) for name in names if name != baseline]
    return list(combinations(names, 2))


class Gains(NamedTuple):
    """A pair's gains by seed or data set, (n,), who failed there, and how many runs collapsed."""

    d: Array
    failed_a: Array
    failed_b: Array
    collapsed: tuple[int, int]


def judge_gains(a: str, b: str, found: Gains, rules: Rules) -> Pair:
    """Return a pair with its verdict, from its gains on all seeds that count."""
    d, failed_a, failed_b, collapsed = found
    n = len(d)
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    ties = n - wins - losses
    p, test, level = _test(d, rules)
    low, high = -math.inf, math.inf
    if level and not (failed_a & failed_b).all():
        low, high = statistics.gain_interval(d, level, test)
    share_low, share_high = 0.0, 1.0
    if level > 0:
        kind = evidence if rules.design == "anytime" else statistics
        share_low, share_high = kind.share_interval(wins, wins + ties, n, level)
    finished = np.isfinite(d) & ~(failed_a & failed_b)
    pair = Pair(
        a=a,
        b=b,
        differences=d,
        wins=wins,
        losses=losses,
        ties=ties,
        failed=(int(failed_a.sum()), int(failed_b.sum())),
        failed_both=int((failed_a & failed_b).sum()),
        collapsed=collapsed,
        typical=statistics.typical_gain(d),
        low=low,
        high=high,
        mean=float(d[finished].mean()) if finished.any() else math.nan,
        share=(wins + ties / 2) / n,
        share_low=share_low,
        share_high=share_high,
        confidence=1 - rules.level,
        p=p,
        p_adjusted=min(1.0, rules.comparisons * p),
    )
    return _decided(pair, rules)


def _judge(a: str, b: str, scores_a: Array, scores_b: Array, metric: Metric, rules: Rules) -> Pair:
    higher = metric.higher_is_better
    n = min(len(scores_a), len(scores_b))
    if rules.design == "adaptive":  # runs after the deciding look are ignored
        looks = sequential_test(gains(scores_a[:n], scores_b[:n], higher), rules.level)
        n = looks[-1].n if looks else n
    one, other = scores_a[:n], scores_b[:n]
    found = Gains(
        gains(one, other, higher), np.isnan(one), np.isnan(other), collapses(one, other, higher)
    )
    return judge_gains(a, b, found, rules)


def _test(d: Array, rules: Rules) -> tuple[float, Callable[[Array], float], float]:
    """Return the design's p, the test of one look, and the level at which that test decides."""
    if rules.design == "anytime":
        return evidence.p_value(d), evidence.p_value, rules.level
    if rules.design == "fixed":
        return statistics.signed_rank_p(d), statistics.signed_rank_p, rules.level
    looks = sequential_test(d, rules.level)
    if not looks:
        return 1.0, statistics.signed_rank_p, 0.0
    return looks[-1].p, statistics.signed_rank_p, looks[-1].level


def _decided(pair: Pair, rules: Rules) -> Pair:
    """Return the pair with its verdict."""
    if pair.n < rules.min_pairs:
        needed = rules.min_pairs - pair.n
        return replace(pair, verdict=Verdict.CANNOT_JUDGE, needed=needed)
    close = _interval_if_close(pair, rules)
    if close is not None:
        low, high = close
        return replace(
            pair, verdict=Verdict.TOO_CLOSE, low=low, high=high, confidence=1 - 2 * rules.level
        )
    if pair.p_adjusted > rules.alpha:
        more, reach = _needed(pair, rules)
        return replace(pair, needed=more, needed_range=reach)
    lead = _sign(float(statistics.signed_ranks(pair.differences).sum()))
    leads = pair.a if lead > 0 else pair.b
    typical, mean, wins, collapses = (lead * sense for sense in pair.senses)
    # the typical gain is 0 where most runs tie
    if mean <= 0 or wins <= 0 or typical < 0 or collapses < 0:
        return replace(pair, verdict=Verdict.MIXED, leads=leads)
    won = pair.wins if lead > 0 else pair.losses
    surely, _ = statistics.share_interval(won, won + pair.ties, pair.n, rules.alpha)
    verdict = Verdict.BETTER if surely > CLEAR_SHARE else Verdict.SLIGHTLY_BETTER
    return replace(pair, verdict=verdict, better=leads, leads=leads)


def _needed(pair: Pair, rules: Rules) -> tuple[int | None, tuple[int, int | None] | None]:
    """Return how many more pairs are needed, and the range; None if nothing can be said."""
    n = pair.n
    room = 0.0 if rules.delta is None else rules.delta - abs(pair.typical)
    if room > 0 and math.isfinite(pair.high - pair.low):  # more likely too close than better
        total = math.ceil(n * ((pair.high - pair.low) / 2 / room) ** 2)
        return (max(total, n + 1) - n if total <= MAX_PAIRS_NEEDED else None), None
    need: Need | None
    if rules.design == "anytime":
        need = evidence.pairs_needed_at_any_time(pair.differences, rules.level)
    else:
        need = statistics.pairs_needed(pair.differences, rules.level)
    if need is None or need.pairs > MAX_PAIRS_NEEDED:
        return None, None
    # what was needed is there already: the next look, or a quarter more
    least = n + math.ceil(n / 4)
    if rules.design == "adaptive":
        least = next((look for look in (*LOOKS, *LATER_LOOKS) if look > n), least)

    def more(total: int) -> int:
        return max(total, least) - n

    return more(need.pairs), (more(need.low), None if need.high is None else more(need.high))


def _interval_if_close(pair: Pair, rules: Rules) -> tuple[float, float] | None:
    """Return the interval by which two one-sided tests place the gain within ± delta, or None."""
    if rules.delta is None or pair.failed_both:
        return None
    low, high = one_sided_bounds(pair.differences, rules)
    return (low, high) if -rules.delta < low and high < rules.delta else None


def one_sided_bounds(d: Array, rules: Rules) -> tuple[float, float]:
    """Return the bounds below and above which the gain surely is, each at the level of one pair."""
    level = min(0.5, 2 * rules.level)
    test = evidence.p_value if rules.design == "anytime" else statistics.signed_rank_p
    if rules.design == "adaptive":
        looks = sequential_test(d, level, stop=False)
        level = looks[-1].level if looks else 0.0
    return statistics.gain_interval(d, level, test) if level else (-math.inf, math.inf)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
