"""Tests, intervals and sample sizes for paired differences d, (n,).

All use ranks and signs, because a few collapsed seeds ruin a mean. A difference is infinite where
one method failed. Tests are two-sided, and exact if d and -d are equally likely.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from seedbed.arrays import Array

POWER = 0.8
"""The power that ``pairs_needed`` plans for."""


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

    Its generating function is Π (1 + x^2r) / 2, which holds with ties too.
    """
    doubled = np.rint(2 * np.abs(ranks)).astype(np.int64)
    p = np.zeros(int(doubled.sum()) + 1)
    p[0], reach = 1.0, 0
    for step in doubled[doubled > 0].tolist():
        p[step : reach + step + 1] += p[: reach + 1].copy()
        p[: reach + step + 1] *= 0.5
        reach += step
    return p


def signed_rank_p(d: Array) -> float:
    """Return p = P(|Σ ε r| >= |T|), T = Σ sign(d) r, over all signs ε = ±1; 1 if all are ties.

    Source: Wilcoxon 1945, conditional on |d|, with Pratt's zeros.
    """
    ranks = signed_ranks(d)
    p = rank_sum_distribution(ranks)
    total = len(p) - 1
    extreme = round(abs(2 * ranks.sum()))
    low = (total - extreme) // 2  # Σ ε 2r = 2 · (sum of +) - total
    return min(1.0, 2 * float(p[: low + 1].sum())) if extreme else 1.0


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
    """Return the median of the Walsh averages.

    Source: Hodges, Lehmann 1963.
    """
    averages = walsh_averages(d)
    low, high = averages[(len(averages) - 1) // 2], averages[len(averages) // 2]
    return 0.0 if low == -high else float(low + high) / 2


def gain_interval(d: Array, alpha: float) -> tuple[float, float]:
    """Return the interval of shifts of d that the signed-rank test does not reject at ``alpha``.

    Its ends are two Walsh averages. It is infinite if n is too small to reject any shift.

    Source: Tukey 1949; Hollander, Wolfe, chapter 3.
    """
    averages, n = walsh_averages(d), len(d)
    below = np.cumsum(rank_sum_distribution(np.arange(1, n + 1)))[::2]  # P(sum of + <= 0, 1, 2, …)
    cut = int(np.searchsorted(below, alpha / 2, side="right"))  # sums 0 … cut-1 are rejected
    if cut == 0:
        return -math.inf, math.inf
    return float(averages[cut - 1]), float(averages[len(averages) - cut])


def median_interval(d: Array, alpha: float) -> tuple[float, float]:
    """Return the anytime-valid interval of d's median; see ``e_value``."""
    ordered, n = np.sort(d), len(d)
    excluded = 0
    while 2 * excluded < n and _log_e_value(excluded, n - excluded, 0.5) >= -math.log(alpha):
        excluded += 1
    if excluded == 0:
        return -math.inf, math.inf
    return float(ordered[excluded - 1]), float(ordered[n - excluded])


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
    return np.array([math.log(math.comb(n, k)) for k in range(n + 1)])


def _bisect(f: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Return the root of a decreasing f."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=1024)  # a bisection, and half of a verdict's time
def share_interval(
    low: int, high: int, n: int, alpha: float, *, any_time: bool = False
) -> tuple[float, float]:
    """Return the interval of a probability that was observed in ``low`` to ``high`` of n runs.

    Exact for a sample size fixed beforehand (Clopper, Pearson 1934), from the binomial's tails
    below ``low`` and above ``high``; anytime-valid with ``any_time``.
    """
    if any_time:
        bound = -math.log(alpha)
        lower = _bisect(lambda q: _log_e_value(low, n - low, q) - bound, 0.0, low / n)
        upper = 1 - _bisect(lambda q: _log_e_value(n - high, high, q) - bound, 0.0, 1 - high / n)
        return (0.0 if low == 0 else lower), (1.0 if high == n else upper)
    lower = _bisect(lambda q: _binomial_cdf(low - 1, n, q) - (1 - alpha / 2)) if low else 0.0
    upper = _bisect(lambda q: _binomial_cdf(high, n, q) - alpha / 2) if high < n else 1.0
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

    return math.sqrt(degrees) * math.tan(_bisect(excess, 0.0, math.pi / 2))


# ---------------------------------------------------------------- many comparisons


def holm(p: Sequence[float]) -> list[float]:
    """Return the adjusted p-values: max over k <= j of (m - k + 1) p_(k).

    Source: Holm 1979.
    """
    order, adjusted, running = np.argsort(p, kind="stable"), [0.0] * len(p), 0.0
    for place, which in enumerate(order.tolist()):
        running = max(running, min(1.0, (len(p) - place) * p[which]))
        adjusted[which] = running
    return adjusted


# ---------------------------------------------------------------- sample sizes


def min_pairs(alpha: float, comparisons: int = 1, *, any_time: bool = False) -> int:
    """Return the smallest n at which a verdict is possible: 1 + log2(m / α), rounded up.

    With ``any_time``, the smallest n at which n wins reach an e-value of m / α.
    """
    if not any_time:
        return math.ceil(1 + math.log2(comparisons / alpha) - 1e-9)
    n = 1
    while _log_e_value(n, 0, 0.5) < math.log(comparisons / alpha):
        n += 1
    return n


def pairs_needed_any_time(
    wins: int, losses: int, ties: int, alpha: float, max_pairs: int
) -> int | None:
    """Return the pairs at which the e-value would reach 1 / α if these shares continue."""
    n = wins + losses + ties
    total = n
    while total <= max_pairs:
        total = math.ceil(total * 1.05) + 1
        won, lost = (round(count / n * total) for count in (wins, losses))
        if _log_e_value(won, lost, 0.5) >= -math.log(alpha):
            return total
    return None


def pairs_needed(d: Array, alpha: float) -> int | None:
    """Return how many pairs give a power of 80 % if the trend of d continues.

    N = (z_{1-α/2} + z_{0.8})² / (3 (p' - ½)²), p' the share of positive Walsh averages, ties
    counted half. None if p' is ½.

    Source: Noether 1987.
    """
    averages = walsh_averages(d)
    share = float((averages > 0).mean() + (averages == 0).mean() / 2)
    if abs(share - 0.5) < 1e-3:
        return None
    from statistics import NormalDist  # slow to load, and rarely needed

    z = NormalDist().inv_cdf
    return math.ceil((z(1 - alpha / 2) + z(POWER)) ** 2 / (3 * (share - 0.5) ** 2))


# ---------------------------------------------------------------- anytime-valid evidence


def _log_e_value(wins: int, losses: int, q: float) -> float:
    """Return log of B(W + 1, L + 1) / (q^W (1 - q)^L)."""
    if (q <= 0 and wins) or (q >= 1 and losses):
        return math.inf
    beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    odds = (wins * math.log(q) if wins else 0.0) + (losses * math.log1p(-q) if losses else 0.0)
    return beta - odds


def e_value(d: Array) -> float:
    """Return the e-value 2^n B(W + 1, L + 1) of W wins and L losses, n = W + L; ties do not count.

    Without a difference, the chance that it ever reaches 1/α is at most α. So the comparison may
    be checked and stopped at any time.

    Source: Robbins 1970, a uniform mixture over P(A > B); Ville 1939.
    """
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    return math.exp(min(_log_e_value(wins, losses, 0.5), 700.0))
