"""What may be said of paired differences d, (n,): tests, intervals, and how many pairs are needed.

Everything rests on ranks and signs, as means fail where networks do: when a few seeds collapse. A
difference may be infinite (one of the two failed). All tests are two-sided, and exact under the
hypothesis that each difference is as likely to be d as -d.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array

LOOKS = (8, 16, 32, 64)
"""After how many pairs the adaptive design looks."""
FLIPS = 9_999
"""The least number of sign flips that a look's critical value is taken from."""
SMALL = 0.01
"""Below this level, flips would have to be many more."""
POWER = 0.8
"""The chance of a verdict that ``pairs_needed`` plans for."""


# ---------------------------------------------------------------- ranks


def midranks(values: Array) -> Array:
    """Return ranks 1 … n, (n,); equal values share the mean of theirs."""
    ordered = np.sort(values)
    first = np.searchsorted(ordered, values, side="left")
    last = np.searchsorted(ordered, values, side="right")
    return (first + last + 1) / 2


def signed_ranks(d: Array) -> Array:
    """Return the midranks of |d| with d's signs, (n,): zeros are ranked, and then count nothing.

    Source: Pratt 1959.
    """
    return np.sign(d) * midranks(np.abs(d))


def _sums(ranks: Array) -> Array:
    """Return the distribution of Σ 2 r over those whose sign is +: P(sum = 0, 1, 2, …).

    It is the product of (1 + x^2r) / 2 over the ranks, so ties are no hindrance.
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
    """Return p = P(|Σ ε r| >= |T|), T = Σ sign(d) r, over all signs ε = ±1; 1 where all are ties.

    Source: Wilcoxon 1945, conditional on |d|, with Pratt's zeros.
    """
    ranks = signed_ranks(d)
    p = _sums(ranks)
    total = len(p) - 1
    extreme = round(abs(2 * ranks.sum()))
    low = (total - extreme) // 2  # Σ ε 2r = 2 · (sum of +) - total
    return min(1.0, 2 * float(p[: low + 1].sum())) if extreme else 1.0


# ---------------------------------------------------------------- estimates and intervals


def walsh_averages(d: Array) -> Array:
    """Return all (d_i + d_j) / 2, i <= j, sorted, (n (n + 1) / 2,); ∞ and -∞ make 0."""
    i, j = np.triu_indices(len(d))
    with np.errstate(invalid="ignore"):
        averages = (d[i] + d[j]) / 2
    averages[np.isnan(averages)] = 0.0
    averages.sort()
    return averages


def typical_gain(d: Array) -> float:
    """Return the median of the pairwise averages.

    Source: Hodges, Lehmann 1963.
    """
    averages = walsh_averages(d)
    low, high = averages[(len(averages) - 1) // 2], averages[len(averages) // 2]
    return 0.0 if low == -high else float(low + high) / 2


def gain_interval(d: Array, alpha: float) -> tuple[float, float]:
    """Return the shifts of d that the signed-rank test does not reject at ``alpha``.

    Its ends are two of the pairwise averages; where no sample of this size could reject any shift,
    it is infinite.

    Source: Tukey 1949; Hollander, Wolfe, chapter 3.
    """
    averages, n = walsh_averages(d), len(d)
    below = np.cumsum(_sums(np.arange(1, n + 1)))[::2]  # P(sum of + <= 0, 1, 2, …)
    cut = int(np.searchsorted(below, alpha / 2, side="right"))  # sums 0 … cut-1 are rejected
    if cut == 0:
        return -math.inf, math.inf
    return float(averages[cut - 1]), float(averages[len(averages) - cut])


def median_interval(d: Array, alpha: float) -> tuple[float, float]:
    """Return the interval of d's median that holds at any time; see ``evidence``."""
    ordered, n = np.sort(d), len(d)
    excluded = 0
    while 2 * excluded < n and _log_evidence(excluded, n - excluded, 0.5) >= -math.log(alpha):
        excluded += 1
    if excluded == 0:
        return -math.inf, math.inf
    return float(ordered[excluded - 1]), float(ordered[n - excluded])


def _tail(k: int, n: int, q: float) -> float:
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


def _root(f: Callable[[float], float], low: float = 0.0, high: float = 1.0) -> float:
    """Return where f, which falls from above 0 to below it, is 0, by halving."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if f(middle) > 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def share_interval(
    least: int, most: int, n: int, alpha: float, *, any_time: bool = False
) -> tuple[float, float]:
    """Return the interval of a share of which between ``least`` and ``most`` of n were seen.

    Exact for a number of pairs fixed beforehand (Clopper, Pearson 1934), from the binomial's tails
    below ``least`` and above ``most``; with ``any_time`` it holds at all times at once.
    """
    if any_time:
        bound = -math.log(alpha)
        lower = _root(lambda q: _log_evidence(least, n - least, q) - bound, 0.0, least / n)
        upper = 1 - _root(lambda q: _log_evidence(n - most, most, q) - bound, 0.0, 1 - most / n)
        return (0.0 if least == 0 else lower), (1.0 if most == n else upper)
    lower = _root(lambda q: _tail(least - 1, n, q) - (1 - alpha / 2)) if least else 0.0
    upper = _root(lambda q: _tail(most, n, q) - alpha / 2) if most < n else 1.0
    return lower, upper


def corrected_interval(
    d: Array, alpha: float, train_rows: int, test_rows: int
) -> tuple[float, float]:
    """Return an interval of the mean difference on new data like this, from resampled splits.

    d̄ ± t s √(1/n + test/train), t at n - 1 degrees of freedom: splits of one data set share rows,
    and more of them do not make more data.

    Source: Nadeau, Bengio 2003.
    """
    n = len(d)
    if n < 2 or not np.isfinite(d).all():
        return -math.inf, math.inf
    spread = float(d.std(ddof=1)) * math.sqrt(1 / n + test_rows / train_rows)
    reach = student_quantile(1 - alpha / 2, n - 1) * spread
    return float(d.mean()) - reach, float(d.mean()) + reach


def student_quantile(p: float, degrees: int) -> float:
    """Return the p-quantile of Student's t with a whole number of degrees of freedom, p > ½.

    The distribution is a finite sum in the angle θ = atan(t / √ν) (Abramowitz, Stegun 26.7.3-4),
    so the quantile is found by halving θ.
    """

    def left(theta: float) -> float:
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

    return math.sqrt(degrees) * math.tan(_root(left, 0.0, math.pi / 2))


# ---------------------------------------------------------------- many comparisons


def holm(p: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for being several: max over k <= j of (m - k + 1) p_(k).

    Source: Holm 1979.
    """
    order, adjusted, running = np.argsort(p, kind="stable"), [0.0] * len(p), 0.0
    for place, which in enumerate(order.tolist()):
        running = max(running, min(1.0, (len(p) - place) * p[which]))
        adjusted[which] = running
    return adjusted


# ---------------------------------------------------------------- how many pairs


def fewest_pairs(alpha: float, comparisons: int = 1, *, any_time: bool = False) -> int:
    """Return the least n at which any verdict is possible: 1 + log2(m / α), rounded up.

    With ``any_time``, the least n of which as many wins are evidence enough.
    """
    if not any_time:
        return math.ceil(1 + math.log2(comparisons / alpha) - 1e-9)
    n = 1
    while _log_evidence(n, 0, 0.5) < math.log(comparisons / alpha):
        n += 1
    return n


def pairs_needed_any_time(wins: int, losses: int, ties: int, alpha: float, most: int) -> int | None:
    """Return at how many pairs there would be evidence enough, if all go on in these shares."""
    n = wins + losses + ties
    total = n
    while total <= most:
        total = math.ceil(total * 1.05) + 1
        won, lost = (round(count / n * total) for count in (wins, losses))
        if _log_evidence(won, lost, 0.5) >= -math.log(alpha):
            return total
    return None


def pairs_needed(d: Array, alpha: float) -> int | None:
    """Return how many pairs would decide it with a chance of 80 %, if it goes on as in d.

    N = (z_{1-α/2} + z_{0.8})² / (3 (p' - ½)²), p' the share of positive pairwise averages, ties
    counted half. None where the pairs so far point nowhere.

    Source: Noether 1987.
    """
    averages = walsh_averages(d)
    share = float((averages > 0).mean() + (averages == 0).mean() / 2)
    if abs(share - 0.5) < 1e-3:
        return None
    from statistics import NormalDist  # slow to load, and seldom needed

    z = NormalDist().inv_cdf
    return math.ceil((z(1 - alpha / 2) + z(POWER)) ** 2 / (3 * (share - 0.5) ** 2))


# ---------------------------------------------------------------- looks at planned times


@dataclass(frozen=True)
class Look:
    """What one look at the pairs so far says.

    n         pairs seen
    crossed   whether |T| reached this look's critical value, for the first time
    p         the level at which this look would just have crossed: the chance, were there no
              difference, of crossing earlier or of a |T| as large here, over the share of the
              level that may be spent by now
    level     that of an exact signed-rank test of these n pairs alone which rejects wherever this
              look does, and so of the interval that goes with it
    """

    n: int
    crossed: bool
    p: float
    level: float


def spent(alpha: float, share: float) -> float:
    """Return how much of ``alpha`` may be spent by the time a share of the seeds has been seen.

    α ln(1 + (e - 1) t): as Pocock's limits spend it.

    Source: Lan, DeMets 1983.
    """
    return alpha * math.log1p((math.e - 1) * share)


def look_at(
    d: Array, alpha: float, looks: Sequence[int] = LOOKS, *, stop: bool = True
) -> list[Look]:
    """Return the looks that d, (n,), has come to; if ``stop``, up to the first that crossed.

    Each critical value is the least that |T| reaches no more often than has been budgeted, over
    joint sign flips of the very |d| and leaving out flips that crossed at an earlier look. The
    signs that came about count as one flip among the others. For levels so small that flips would
    be too many, each look's share of the level is held by itself, by the exact test.
    """
    return _looks(np.asarray(d, dtype=np.float64).tobytes(), alpha, tuple(looks), stop)


@lru_cache(maxsize=1024)
def _looks(content: bytes, alpha: float, looks: tuple[int, ...], stop: bool) -> list[Look]:
    d = np.frombuffer(content)
    if alpha < SMALL:
        return _looks_one_by_one(d, alpha, looks, stop)
    paths = max(FLIPS, math.ceil(200 / alpha))
    signs = _signs(paths, looks[-1])
    running = np.ones(paths + 1, dtype=np.bool_)  # the last one is what came about
    done: list[Look] = []
    for n in looks:
        if n > len(d):
            break
        ranks = signed_ranks(d[:n])
        own = round(abs(2 * ranks.sum()))
        sums = np.empty(paths + 1, dtype=np.int64)
        sums[:-1] = np.rint(np.abs(signs[:, :n] @ (2 * np.abs(ranks)).astype(np.float32)))
        sums[-1] = own
        allowed = math.floor(spent(alpha, n / looks[-1]) * (paths + 1) + 1e-9)
        before = int((~running).sum())
        critical = _critical(sums[running], allowed - before)
        reached = before + int((sums[running] >= own).sum()) if own else paths + 1
        p = min(1.0, reached / (paths + 1) / spent(1.0, n / looks[-1]))
        crossed = own >= critical
        done.append(Look(n, crossed, p, _level(ranks, critical)))
        if crossed and stop:
            break
        running &= sums < critical
    return done


def _looks_one_by_one(d: Array, alpha: float, looks: tuple[int, ...], stop: bool) -> list[Look]:
    done: list[Look] = []
    before = 0.0
    for n in looks:
        if n > len(d):
            break
        share = spent(1.0, n / looks[-1]) - before
        before += share
        p = min(1.0, signed_rank_p(d[:n]) / share)
        done.append(Look(n, p <= alpha, p, alpha * share))
        if p <= alpha and stop:
            break
    return done


def _critical(sums: npt.NDArray[np.int64], allowed: int) -> float:
    """Return the least value that at most ``allowed`` of the sums reach; 0 is never enough."""
    if allowed <= 0:
        return math.inf
    ordered = np.sort(sums)[::-1]
    if allowed >= len(ordered):
        return 1.0
    return max(1.0, float(ordered[allowed]) + 1.0)


def _level(ranks: Array, critical: float) -> float:
    p = _sums(ranks)
    if critical >= len(p):
        return 0.0
    return min(1.0, 2 * float(p[: (len(p) - 1 - int(critical)) // 2 + 1].sum()) * (1 + 1e-9))


@lru_cache(maxsize=4)
def _signs(paths: int, most: int) -> npt.NDArray[np.float32]:
    """Return ±1, (paths, most), the same every time: a stream of its own."""
    words = -(-most // 64)
    drawn = streams.bits(streams.keys(np.zeros(1, np.int64), "signs"), paths * words)
    as_bytes = drawn.astype("<u8").view(np.uint8).reshape(paths, 8 * words)
    flips = np.unpackbits(as_bytes, axis=1, count=most)
    return flips.astype(np.float32) * 2 - 1


# ---------------------------------------------------------------- looks at any time


def _log_evidence(wins: int, losses: int, q: float) -> float:
    """Return log of B(W + 1, L + 1) / (q^W (1 - q)^L)."""
    if (q <= 0 and wins) or (q >= 1 and losses):
        return math.inf
    beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    odds = (wins * math.log(q) if wins else 0.0) + (losses * math.log1p(-q) if losses else 0.0)
    return beta - odds


def evidence(d: Array) -> float:
    """Return the e-value 2^n B(W + 1, L + 1) of W wins and L losses, n = W + L; ties say nothing.

    Were there no difference, it would ever reach 1/α with a chance of at most α: so one may look
    at any time, and stop at will.

    Source: Robbins 1970, a uniform mixture over P(A > B); Ville 1939.
    """
    wins, losses = int((d > 0).sum()), int((d < 0).sum())
    return math.exp(min(_log_evidence(wins, losses, 0.5), 700.0))
