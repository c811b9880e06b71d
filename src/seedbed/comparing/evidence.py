"""The anytime design: e-values of bets, which hold at any number of pairs.

Differences d, (n,), are as in ``statistics``, with the same null hypothesis.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from functools import lru_cache

import numpy as np

from seedbed.arrays import Array
from seedbed.comparing.statistics import Need, bisect, pairs_needed

_REPEATED = 512
"""Pairs up to which an e-value is followed; beyond them it is extrapolated."""


def log_beta_e_value(wins: int, losses: int, q: float) -> float:
    """Return log of B(W + 1, L + 1) / (q^W (1 - q)^L), an e-value against P(win) = q."""
    if (q <= 0 and wins) or (q >= 1 and losses):
        return math.inf
    beta = math.lgamma(wins + 1) + math.lgamma(losses + 1) - math.lgamma(wins + losses + 2)
    odds = (wins * math.log(q) if wins else 0.0) + (losses * math.log1p(-q) if losses else 0.0)
    return beta - odds


@lru_cache(maxsize=1)
def _bets() -> tuple[Array, Array]:
    """Return the bets λ in (-1, 1) and their weights, which sum to 1."""
    bets, weights = np.polynomial.legendre.leggauss(64)
    return bets, weights / weights.sum()


def log_e_values(d: Array) -> Array:
    """Return the logarithm of the e-value after each of the differences, (n,).

    e_n = ∫ ∏ (1 + λ sign(d_i) u_i) dλ / 2 over λ in (-1, 1), where u_i is the rank of |d_i| among
    |d_1| … |d_i| over i: bets on the signs, larger where the difference is, as the signed-rank test
    weighs them. The signs are fair coins if d is symmetric about 0, and then the chance that e ever
    reaches 1/α is at most α. So the comparison may be checked and stopped at any time.

    Source: Robbins 1970 and Ville 1939 for the mixture; Ramdas et al. 2020 for symmetry.
    """
    return _log_mixture(np.cumsum(_log_bets(d), axis=0))


def e_value(d: Array) -> float:
    """Return the e-value of all the differences; see ``log_e_values``."""
    return math.exp(min(float(_log_mixture(_log_bets(d).sum(axis=0))), 700.0))


def _log_bets(d: Array) -> Array:
    """Return the logarithm of what each difference turns each bet into, (n, bets)."""
    seen: list[float] = []
    ranks = np.empty(len(d))
    for number, size in enumerate(np.abs(d).tolist()):
        left, right = bisect_left(seen, size), bisect_right(seen, size)
        seen.insert(right, size)
        ranks[number] = (left + right + 2) / 2 / (number + 1)
    return np.asarray(np.log1p(np.outer(np.sign(d) * ranks, _bets()[0])))


def _log_mixture(logs: Array) -> Array:
    """Return the logarithm of the weighted mean of exp(logs) over the last axis."""
    most = logs.max(axis=-1)
    return np.asarray(most + np.log(np.exp(logs - most[..., None]) @ _bets()[1]))


def p_value(d: Array) -> float:
    """Return 1 over the e-value, at most 1."""
    return min(1.0, 1 / e_value(d))


def pairs_needed_at_any_time(d: Array, alpha: float) -> Need | None:
    """Return at how many pairs the e-value would reach 1/α if these differences repeat.

    Its logarithm grows in proportion to the pairs in the end. The range is that of
    ``pairs_needed``, in proportion.
    """
    need = pairs_needed(d, alpha)
    if need is None:
        return None
    logs = log_e_values(np.tile(d, max(4, -(-_REPEATED // len(d)))))
    wanted = -math.log(alpha)
    if logs[-1] >= wanted:
        total = int(np.argmax(logs >= wanted)) + 1
    else:
        half = len(logs) // 2
        growth = float(logs[-1] - logs[half - 1]) / (len(logs) - half)
        if growth <= 0:
            return None
        total = len(logs) + math.ceil((wanted - float(logs[-1])) / growth)
    high = None if need.high is None else math.ceil(total * need.high / need.pairs)
    return Need(total, math.ceil(total * need.low / need.pairs), high)


def min_pairs(level: float) -> int:
    """Return the smallest n at which a verdict is possible: n growing gains reach 1 / level."""
    n = 1
    while e_value(np.arange(1.0, n + 1)) < 1 / level:
        n += 1
    return n


@lru_cache(maxsize=1024)
def share_interval(low: int, high: int, n: int, alpha: float) -> tuple[float, float]:
    """Return the interval of a probability that was observed in ``low`` to ``high`` of n runs."""

    def end(wins: int) -> float:
        bound = -math.log(alpha)
        return bisect(lambda q: log_beta_e_value(wins, n - wins, q) - bound, 0.0, wins / n)

    return (0.0 if low == 0 else end(low)), (1.0 if high == n else 1 - end(n - high))
