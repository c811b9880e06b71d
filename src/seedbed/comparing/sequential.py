"""The adaptive design: a group-sequential signed-rank test with an alpha-spending function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array
from seedbed.comparing.statistics import rank_sum_distribution, signed_rank_p, signed_ranks

LOOKS = (8, 16, 32, 64)
"""The numbers of pairs after which the adaptive design tests."""
LATER_LOOKS = (128, 256, 512, 1024)
"""Where it tests again if the comparison is extended."""
KEPT = 0.15
"""The share of alpha that the first looks leave to the later ones."""
MIN_FLIPS, FLIPS_AT_LEVEL = 9_999, 50
"""A look's critical value is estimated from at least so many sign flips, and at least from so many
over alpha. The observed signs are one of them, so that the level holds with any number."""
MIN_FLIP_LEVEL = 0.001
"""Below this level sign flips would be too many, and each look uses the exact test instead."""
MAX_FLIP_LOOK = 64
"""Beyond this many pairs, too."""


@dataclass(frozen=True)
class Look:
    """The test's result at one look.

    n         pairs seen
    crossed   whether |T| reached the critical value, for the first time
    p         the smallest alpha at which this look would have crossed: the null chance of crossing
              earlier or of a |T| as large here, over the share of alpha spent by now
    level     at which the exact signed-rank test on these n pairs rejects when this look does; also
              the level of its interval
    """

    n: int
    crossed: bool
    p: float
    level: float


def alpha_spent(n: int) -> float:
    """Return the share of alpha that is spent when n pairs have been seen.

    (1 - k) ln(1 + (e - 1) n / 64) up to 64 pairs, which approximates Pocock's limits, k the share
    kept for later looks. Each of these spends half of what is left, so that a comparison may be
    extended again and again and all looks together spend at most alpha.

    Source: Lan, DeMets 1983.
    """
    if n <= LOOKS[-1]:
        return (1 - KEPT) * math.log1p((math.e - 1) * n / LOOKS[-1])
    later = math.ceil(math.log2(n / LOOKS[-1]) - 1e-9)
    return 1 - KEPT / 2**later


def sequential_test(d: Array, alpha: float, *, stop: bool = True) -> list[Look]:
    """Return the looks that d, (n,), has reached; with ``stop``, up to the first that crossed.

    Critical values come from joint sign flips of |d|, the observed signs among them: a look's is
    the smallest c for which the share of flips that crossed earlier, or have |T| >= c at this look,
    is at most the alpha spent so far. Levels under ``MIN_FLIP_LEVEL``, and looks after
    ``MAX_FLIP_LOOK`` pairs, use the exact test with that look's own share of alpha.
    """
    return _looks(np.asarray(d, dtype=np.float64).tobytes(), alpha, stop)


@lru_cache(maxsize=1024)
def _looks(content: bytes, alpha: float, stop: bool) -> list[Look]:
    d = np.frombuffer(content)
    reached = [look for look in (*LOOKS, *LATER_LOOKS) if look <= len(d)]
    done: list[Look] = []
    if alpha >= MIN_FLIP_LEVEL:
        done = _flipped_looks(d, alpha, [look for look in reached if look <= MAX_FLIP_LOOK], stop)
    for n in reached[len(done) :]:
        if done and done[-1].crossed and stop:
            break
        share = alpha_spent(n) - (alpha_spent(reached[len(done) - 1]) if done else 0.0)
        p = min(1.0, signed_rank_p(d[:n]) / share)
        done.append(Look(n, p <= alpha, p, alpha * share))
    return done


def _flipped_looks(d: Array, alpha: float, looks: Sequence[int], stop: bool) -> list[Look]:
    paths = max(MIN_FLIPS, math.ceil(FLIPS_AT_LEVEL / alpha))
    running = np.ones(paths + 1, dtype=np.bool_)  # the last path is the observed one
    done: list[Look] = []
    for n in looks:
        ranks = signed_ranks(d[:n])
        observed = round(abs(2 * ranks.sum()))
        sums = np.empty(paths + 1, dtype=np.int64)
        sums[:-1] = np.rint(np.abs(_flipped(2 * np.abs(ranks), paths)))
        sums[-1] = observed
        allowed = math.floor(alpha * alpha_spent(n) * (paths + 1) + 1e-9)
        before = int((~running).sum())
        critical = _critical(sums[running], allowed - before)
        reached = before + int((sums[running] >= observed).sum()) if observed else paths + 1
        p = min(1.0, reached / (paths + 1) / alpha_spent(n))
        crossed = observed >= critical
        done.append(Look(n, crossed, p, _level(ranks, critical)))
        if crossed and stop:
            break
        running &= sums < critical
    return done


def _flipped(ranks: Array, paths: int) -> npt.NDArray[np.float32]:
    """Return Σ ε r for each path's signs, (paths,)."""
    signs, small = _signs(paths, MAX_FLIP_LOOK), ranks.astype(np.float32)
    return np.concatenate([
        signs[start : start + MIN_FLIPS, : len(ranks)].astype(np.float32) @ small
        for start in range(0, paths, MIN_FLIPS)
    ])  # fmt: skip


def _critical(sums: npt.NDArray[np.int64], allowed: int) -> float:
    """Return the smallest value > 0 that at most ``allowed`` of the sums reach."""
    if allowed <= 0:
        return math.inf
    ordered = np.sort(sums)[::-1]
    if allowed >= len(ordered):
        return 1.0
    return max(1.0, float(ordered[allowed]) + 1.0)


def _level(ranks: Array, critical: float) -> float:
    """Return the exact test's level at this critical value."""
    p = rank_sum_distribution(ranks)
    if critical >= len(p):
        return 0.0
    return min(1.0, 2 * float(p[: (len(p) - 1 - int(critical)) // 2 + 1].sum()) * (1 + 1e-9))


@lru_cache(maxsize=4)
def _signs(paths: int, count: int) -> npt.NDArray[np.int8]:
    """Return ±1, (paths, count), from a fixed stream."""
    words = -(-count // 64)
    drawn = streams.bits(streams.keys(np.zeros(1, np.int64), "signs"), paths * words)
    as_bytes = drawn.astype("<u8").view(np.uint8).reshape(paths, 8 * words)
    return np.unpackbits(as_bytes, axis=1, count=count).astype(np.int8) * 2 - 1
