"""Tests, intervals and sample sizes for paired differences d, (n,).

All use ranks and signs, because a few collapsed seeds ruin a mean. A difference is infinite where
one method failed. The null hypothesis of each test is that d is symmetric about 0: given |d|, the
signs are fair coins. Tests are two-sided. Intervals hold the shifts that the test itself does not
reject.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array

POWER = 0.8
"""The power that ``pairs_needed`` plans for."""
EXACT_PAIRS, EXACT_TIED_PAIRS = 128, 300
"""Up to this many pairs that differ, p is exact: in general, and where |d| has few values."""
FEW_VALUES = 30
LISTED_PAIRS = 300
"""Up to this many pairs, an interval's ends are searched among all Walsh averages."""
BISECTIONS = 34
"""Steps that find an end for more pairs: to 6e-11 of the differences' range."""


# ---------------------------------------------------------------- ranks


def midranks(values: Array) -> Array:
    """Return ranks 1 … n, (n,); ties share their mean rank."""
    ordered = np.sort(values)
    first = np.searchsorted(ordered, values, side="left")
    last = np.searchsorted(ordered, values, side="right")
    return (first + last + 1) / 2


def signed_ranks(d: Array) -> Array:
    """Return the midranks of |d| with d's signs, (n,): zeros are ranked, then get sign 0.

    Source: Pratt 1959.
    """
    return np.sign(d) * midranks(np.abs(d))


def rank_sum_distribution(ranks: Array) -> Array:
    """Return the null distribution of Σ 2 r over the positive signs: P(sum = 0, 1, 2, …).

    Its generating function is Π (1 + x^2r) / 2, which holds with ties too. The result, (1 + Σ 2r,),
    is read-only and kept for later calls: an interval tests many shifts, and without ties the ranks
    are 1 … n at each of them.
    """
    doubled = np.sort(np.rint(2 * np.abs(ranks)).astype(np.int64))
    return _sum_distribution(doubled[doubled > 0].tobytes())


@lru_cache(maxsize=16)
def _sum_distribution(ranks: bytes) -> Array:
    """Return the distribution for doubled ranks > 0, sorted, as the bytes of an int64 array."""
    doubled = np.frombuffer(ranks, np.int64)
    p = np.zeros(int(doubled.sum()) + 1)
    p[0], reach = 1.0, 0
    for step in doubled.tolist():
        p[step : reach + step + 1] += p[: reach + 1].copy()
        p[: reach + step + 1] *= 0.5
        reach += step
    p.flags.writeable = False
    return p


def signed_rank_p(d: Array) -> float:
    """Return p = P(|Σ ε r| >= |Σ sign(d) r|) over all signs ε = ±1; 1 if all are ties.

    Exact up to ``EXACT_PAIRS`` differences that are not 0; for more, within 1 % of the exact value.
    Where |d| has fewer than ``FEW_VALUES`` values, as the scores on few rows have, it is exact up
    to ``EXACT_TIED_PAIRS`` of them, and within 15 % for more.

    Source: Wilcoxon 1945, conditional on |d|, with Pratt's zeros.
    """
    ranks = signed_ranks(d)
    extreme = round(abs(2 * ranks.sum()))
    if not extreme:
        return 1.0
    count = np.count_nonzero(ranks)
    if count > EXACT_PAIRS:
        steps = np.rint(2 * np.abs(ranks[ranks != 0]))
        if count > EXACT_TIED_PAIRS or len(np.unique(steps)) >= FEW_VALUES:
            return min(1.0, 2 * _saddlepoint_tail(steps, extreme))
    p = rank_sum_distribution(ranks)
    low = (len(p) - 1 - extreme) // 2  # Σ ε 2r = 2 · (sum of +) - total
    return min(1.0, 2 * float(p[: low + 1].sum()))


def _saddlepoint_tail(steps: Array, at: int) -> float:
    """Return P(Σ ε s >= at) for whole steps s > 0, (n,), and at > 0.

    The sum's values are 2 g apart, g the steps' greatest common divisor. So the tail begins at
    at - g, and the approximation is that for lattices.

    Source: Lugannani, Rice 1980; the second continuity correction of Daniels 1987.
    """
    unit = float(np.gcd.reduce(steps.astype(np.int64)))
    edge = at - unit
    sigma = math.sqrt(float((steps**2).sum()))
    if edge < 0.05 * sigma:  # where the approximation divides 0 by 0
        return 0.5 * math.erfc(edge / sigma / math.sqrt(2))

    tilt = edge / sigma**2
    for _ in range(100):  # Newton's steps from the left of the root: none goes beyond it
        slopes = np.tanh(steps * tilt)
        missing = edge - float((steps * slopes).sum())
        if missing <= 1e-12 * edge:
            break
        tilt += missing / float((steps**2 * (1 - slopes**2)).sum())
    scaled = steps * tilt
    cumulant = float((scaled + np.log1p(np.exp(-2 * scaled)) - math.log(2)).sum())
    curvature = float((steps**2 / np.cosh(np.minimum(scaled, 300)) ** 2).sum())
    w = math.sqrt(2 * (tilt * edge - cumulant))
    u = math.sinh(unit * tilt) / unit * math.sqrt(curvature)
    density = math.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    return 0.5 * math.erfc(w / math.sqrt(2)) + density * (1 / u - 1 / w)


# ---------------------------------------------------------------- estimates and intervals


def walsh_averages(d: Array) -> Array:
    """Return all (d_i + d_j) / 2, i <= j, sorted, (n (n + 1) / 2,); that of ∞ and -∞ is 0."""
    i, j = np.triu_indices(len(d))
    with np.errstate(invalid="ignore"):
        averages = (d[i] + d[j]) / 2
    averages[np.isnan(averages)] = 0.0
    averages.sort()
    return averages


def typical_gain(d: Array) -> float:
    """Return the median of the Walsh averages, or of many d the root of Σ sign(d - θ) r in θ.

    Source: Hodges, Lehmann 1963.
    """
    if len(d) <= LISTED_PAIRS:
        averages = walsh_averages(d)
        low, high = averages[(len(averages) - 1) // 2], averages[len(averages) // 2]
        return 0.0 if low == -high else float(low + high) / 2
    finite = d[np.isfinite(d)]
    if not finite.size:
        return float(np.sign((d > 0).sum() - (d < 0).sum()) * math.inf) if d.any() else 0.0
    ends = float(finite.min()) - 1, float(finite.max()) + 1

    def lean(shift: float) -> float:
        return float(signed_ranks(d - shift).sum())

    if lean(ends[1]) > 0 or lean(ends[0]) < 0:
        return math.inf if lean(ends[1]) > 0 else -math.inf
    above = bisect(lean, *ends, BISECTIONS)
    below = -bisect(lambda shift: -lean(-shift), -ends[1], -ends[0], BISECTIONS)
    return (above + below) / 2


def gain_interval(
    d: Array, alpha: float, p: Callable[[Array], float] = signed_rank_p
) -> tuple[float, float]:
    """Return the ends of the shifts θ for which the test's ``p`` of d - θ is above ``alpha``.

    It contains 0 exactly if the test does not reject d. Where the accepted shifts end at 0, as ties
    allow, and 0 is rejected, that end is the next number to 0.

    Source: Tukey 1949; Hollander, Wolfe, chapter 3; with ties, the test at each shift.
    """
    low = _lower_end(d, alpha, p)
    high = 0.0 - _lower_end(-d, alpha, p)
    low, high = min(low, high), max(low, high)
    accepts = p(d) > alpha
    if accepts:
        return min(low, 0.0), max(high, 0.0)
    if low <= 0 <= high:  # which side is on the accepted side of 0?
        tiny = math.ulp(0.0)
        if typical_gain(d) > 0 or signed_ranks(d).sum() > 0:
            return tiny, max(high, tiny)
        return min(low, -tiny), -tiny
    return low, high


def _lower_end(d: Array, alpha: float, p: Callable[[Array], float]) -> float:
    """Return the infimum of the shifts that are not rejected, found from the middle down."""
    finite = d[np.isfinite(d)]
    if not finite.size:
        return -math.inf

    def accepts(shift: float) -> bool:
        return p(d - shift) > alpha

    middle = typical_gain(d)
    if len(d) > LISTED_PAIRS:
        start, outside = float(finite.min()), float(finite.min() - 1 - np.ptp(finite))
        if accepts(outside):
            return -math.inf
        inside = middle if math.isfinite(middle) else float(finite.max() + 1)
        return bisect(lambda s: -1.0 if accepts(s) else 1.0, start - 1, inside, BISECTIONS)
    averages = np.unique(walsh_averages(d))
    averages = averages[np.isfinite(averages)]
    last = int(np.searchsorted(averages, middle, side="right"))
    if not last:
        return -math.inf
    # p changes at averages only: test one shift below each, and one above the middle
    below = [averages[0] - 1 - abs(averages[0]), *(averages[:-1] + averages[1:]) / 2]
    points = np.array([*below, averages[-1] + 1 + abs(averages[-1])])
    if accepts(float(points[0])):
        return -math.inf
    rejected, accepted = 0, last + 1  # one beyond the last point that is tested
    while accepted - rejected > 1:
        at = (rejected + accepted) // 2
        if accepts(float(points[at])):
            accepted = at
        else:
            rejected = at
    return float(averages[min(accepted, last) - 1])


def _binomial_cdf(k: int, n: int, q: float) -> float:
    """Return P(X <= k) for X ~ Binomial(n, q)."""
    if k >= n:
        return 1.0
    if q in (0.0, 1.0):
        return 1.0 - q
    i = np.arange(k + 1)
    logs = _log_choose(n)[: k + 1] + i * math.log(q) + (n - i) * math.log1p(-q)
    return float(np.exp(logs).sum())


@lru_cache(maxsize=256)
def _log_choose(n: int) -> Array:
    if n <= 1000:
        return np.array([math.log(math.comb(n, k)) for k in range(n + 1)])
    logs = np.array([math.lgamma(k + 1) for k in range(n + 1)])
    return np.asarray(logs[-1] - logs - logs[::-1])


def bisect(
    f: Callable[[float], float], low: float = 0.0, high: float = 1.0, steps: int = 200
) -> float:
    """Return the root of a decreasing f, to the last bit or after some steps."""
    for _ in range(steps):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=1024)  # a bisection, and half of a verdict's time
def share_interval(low: int, high: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the interval of a probability that was observed in ``low`` to ``high`` of n runs.

    Exact for a sample size fixed beforehand, from the binomial's tails below ``low`` and above
    ``high``.

    Source: Clopper, Pearson 1934.
    """
    lower = bisect(lambda q: _binomial_cdf(low - 1, n, q) - (1 - alpha / 2)) if low else 0.0
    upper = bisect(lambda q: _binomial_cdf(high, n, q) - alpha / 2) if high < n else 1.0
    return lower, upper


def corrected_interval(
    d: Array, alpha: float, train_rows: int, test_rows: int
) -> tuple[float, float]:
    """Return an interval of the mean difference on new data like this, from resampled splits.

    d̄ ± t s √(1/n + test/train), t with n - 1 degrees of freedom: the splits share rows, so more
    splits are not more data.

    Source: Nadeau, Bengio 2003.
    """
    n = len(d)
    if n < 2 or not np.isfinite(d).all():
        return -math.inf, math.inf
    spread = float(d.std(ddof=1)) * math.sqrt(1 / n + test_rows / train_rows)
    reach = student_t_quantile(1 - alpha / 2, n - 1) * spread
    return float(d.mean()) - reach, float(d.mean()) + reach


def student_t_quantile(p: float, degrees: int) -> float:
    """Return the p-quantile of Student's t, p > ½.

    The distribution function is a finite sum in θ = atan(t / √ν) (Abramowitz, Stegun 26.7.3-4);
    its root is found by bisection.
    """

    def excess(theta: float) -> float:
        cos2, term, total = math.cos(theta) ** 2, 1.0, 0.0
        start = 2 if degrees % 2 else 1
        for k in range(start, degrees, 2):
            total += term
            term *= cos2 * k / (k + 1)
        if degrees % 2:
            inside = (theta + math.sin(theta) * math.cos(theta) * total) * 2 / math.pi
        else:
            inside = math.sin(theta) * total
        return (2 * p - 1) - inside

    return math.sqrt(degrees) * math.tan(bisect(excess, 0.0, math.pi / 2))


# ---------------------------------------------------------------- sample sizes


def min_pairs(level: float) -> int:
    """Return the smallest n at which a verdict is possible: 1 + log2(1 / level), rounded up."""
    return math.ceil(1 - math.log2(level) - 1e-9)


class Need(NamedTuple):
    """How many pairs in all give a power of 80 % if the true gain is what was seen.

    low, high  the same, if it is larger or smaller by 1.28 standard errors; None for no limit
    """

    pairs: int
    low: int
    high: int | None


def pairs_needed(d: Array, alpha: float) -> Need | None:
    """Return how many pairs are needed; None if the differences lean to neither side.

    N = (z_{1-α/2} + z_{0.8})² / (3 (p' - ½)²), p' the share of positive Walsh averages, ties
    counted half.

    Source: Noether 1987.
    """
    n = len(d)
    share = 0.5 + float(signed_ranks(d).sum()) / (n * (n + 1))
    lean = abs(share - 0.5)
    if lean < 1e-3:
        return None
    ordered = np.sort(d)
    positive = (  # for each i, the share of j with d_i + d_j > 0
        2 * n - np.searchsorted(ordered, -d, "left") - np.searchsorted(ordered, -d, "right")
    ) / (2 * n)
    error = 1.28 * 2 * float(positive.std()) / math.sqrt(n)
    from statistics import NormalDist  # slow to load, and rarely needed

    z = NormalDist().inv_cdf
    factor = (z(1 - alpha / 2) + z(POWER)) ** 2 / 3

    def pairs(lean: float) -> int:
        return math.ceil(factor / lean**2)

    return Need(
        pairs(lean), pairs(min(0.5, lean + error)), pairs(lean - error) if lean > error else None
    )
