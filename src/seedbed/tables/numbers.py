"""Columns of numbers to inputs, by rules that single values far off cannot throw.

A number x becomes the smooth clip z / √(1 + (z/3)²) of z = (x - median) / (interquartile range),
which lies between -3 and 3 whatever x is, and a piecewise-linear code: with knots k_0 < k_1 < … at
the column's quantiles, one input (x - k_i) / (k_{i+1} - k_i) for each stretch, held to [0, 1].
Where more than half of the values are equal, the others say how far apart values are.

Sources: Holzmüller, Grinsztajn, Steinwart 2024 (the scaling and the clip); Gorishniy, Rubachev,
Babenko 2022 (the code).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.reproducible import total

FAR, _FARTHEST = 1e150, 4e307
"""Up to where squares and differences are finite: larger numbers are taken as these."""

_AT_ONCE = 2**18
"""How many inputs are computed at a time."""


@dataclass(frozen=True)
class NumberColumn:
    """A smooth clip of (x - center) / scale, the stretches between ``knots``, a flag if missing.

    A missing number is taken as the center, and, if ``flagged``, told by an input of 1.
    """

    name: str
    center: float
    scale: float
    flagged: bool
    knots: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """How many inputs the column makes."""
        return 1 + max(0, len(self.knots) - 1) + self.flagged


class Numbers:
    """The inputs of C columns of numbers, all at once: clipped (C), stretches (K), flags."""

    def __init__(self, columns: Sequence[NumberColumn]) -> None:
        self.names = [column.name for column in columns]
        self.center = np.array([column.center for column in columns])
        self.factor = 1 / np.array([column.scale for column in columns])
        cut = [(c, column.knots) for c, column in enumerate(columns) if column.knots]
        self.of = np.array([c for c, knots in cut for _ in knots[1:]], dtype=np.intp)
        self.low = np.array([low for _, knots in cut for low in knots[:-1]])
        self.slope = 1 / np.array([b - a for _, k in cut for a, b in pairwise(k)] or [1.0])
        self.flagged = np.array([c for c, column in enumerate(columns) if column.flagged], np.intp)
        self.width = len(self.names) + len(self.of) + len(self.flagged)

    def encode(self, A: Array, X: Array) -> None:
        """Write the inputs of A (N, C), NaN where missing, into X (N, width)."""
        step = max(1, _AT_ONCE // max(1, self.width))
        for start in range(0, len(A), step):
            self._encode(A[start : start + step], X[start : start + step])

    def _encode(self, A: Array, X: Array) -> None:
        count, cut = len(self.names), len(self.names) + len(self.of)
        missing = A != A  # quicker than isnan for a few
        some = bool(missing.any())
        if some:
            A = np.where(missing, self.center, A)
        with np.errstate(over="ignore"):  # what is too far to tell how far ends at 3, or at 1
            z = np.minimum(np.maximum((A - self.center) * self.factor, -FAR), FAR)
            X[:, :count] = z / np.sqrt(1 + z * z / 9)
            if cut > count:
                along = (A[:, self.of] - self.low) * self.slope
                X[:, count:cut] = np.minimum(np.maximum(along, 0), 1)
            X[:, :cut] += 0.0  # -0.0 becomes 0.0: equal rows are found by their bytes
        X[:, cut:] = missing[:, self.flagged] if some else 0


def number_column(
    name: str, values: Array, weights: Array, flagged: bool, stretches: int
) -> NumberColumn:
    """Return the encoding of numbers (n,), none of them missing, with weights (n,)."""
    values = np.clip(values, -_FARTHEST, _FARTHEST) + 0.0  # one zero: a sort may mix two
    first, center, third = quantiles(values, weights, [0.25, 0.5, 0.75])
    far, scale = np.abs(values - center), third - first
    others = far > 0 if scale == 0 else np.ones(len(values), np.bool_)
    if not others.any():
        return NumberColumn(name, float(center), 1.0, flagged)
    if scale == 0:  # most are equal: the others say how far apart values are
        scale = quantiles(far[others], weights[others], [0.5])[0] / 2
    scale = max(scale, np.finfo(np.float64).tiny * 2**52)
    knots: Array = np.empty(0)
    if stretches > 1:
        reach = reach_of(far[others], weights[others])
        held = np.clip(values[others], center - reach, center + reach)
        shares = np.arange(stretches + 1) / stretches
        knots = np.unique([center, *quantiles(held, weights[others], shares)])
        apart = np.diff(knots) > scale * 1e-9  # nearer ones would be one jump
        knots = knots[np.concatenate([[True], apart])]
    cut = tuple(knots.tolist()) if len(knots) > 2 else ()
    return NumberColumn(name, float(center), float(scale), flagged, cut)


def reach_of(far: Array, weights: Array) -> float:
    """Return ten times the distance that all but 1 in 50 (and all but one) of ``far`` keep, (n,).

    Where that is 0, the greatest distance.
    """
    count = max(float(total(weights)), len(weights))
    (usual,) = quantiles(far, weights, [1 - max(0.02, 1.5 / count)])
    return 10 * float(usual) or float(far.max())


def quantiles(values: Array, weights: Array, shares: Any) -> Array:
    """Return quantiles of weighted values, (n,): the least values that such shares reach."""
    shares = np.asarray(shares)
    if (weights == weights[0]).all():
        place = np.ceil(shares * len(values)).astype(np.intp) - 1
        return np.asarray(np.sort(values)[np.maximum(place, 0)])
    order = np.argsort(values, kind="stable")  # equal values in one order on every machine
    reached = np.cumsum(weights[order])
    place = np.searchsorted(reached, shares * reached[-1])
    return np.asarray(values[order][np.minimum(place, len(values) - 1)])
