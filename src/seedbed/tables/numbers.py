"""Number columns to network inputs, robust against outliers.

A number x becomes a smooth clip, z / √(1 + (z/3)²) with z = (x - median) / (interquartile range),
which lies between -3 and 3, and a piecewise-linear encoding: with knots k_0 < k_1 < … at the
column's quantiles, each bin gives the input (x - k_i) / (k_{i+1} - k_i), clipped to [0, 1]. If more
than half of the values are equal, the scale comes from the others.

Sources: Holzmüller, Grinsztajn, Steinwart 2024 (scaling and clip); Gorishniy, Rubachev, Babenko
2022 (encoding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.reproducible import total
from seedbed.tables.notation import PLAIN, Notation

MAX_SQUARABLE, MAX_MAGNITUDE = 1e150, 4e307
"""Values are clipped to these, so that squares and differences stay finite."""

CHUNK_INPUTS = 2**18
"""Number of inputs computed at a time."""


@dataclass(frozen=True)
class NumberColumn:
    """A smooth clip of (x - center) / scale, bins between ``knots``, a flag for missing values.

    A missing number is replaced by the center; if ``flagged``, an input of 1 marks it.

    notation  how texts write the column's numbers
    odd       words in place of numbers, which are taken as missing
    """

    name: str
    center: float
    scale: float
    flagged: bool
    knots: tuple[float, ...] = ()
    notation: Notation = PLAIN
    odd: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Number of inputs that the column makes."""
        return 1 + max(0, len(self.knots) - 1) + self.flagged


class NumberEncoder:
    """Encodes C number columns at once; the inputs are C clipped values, then bins, then flags."""

    def __init__(self, columns: Sequence[NumberColumn]) -> None:
        self.names = [column.name for column in columns]
        binned_names = [
            f"{column.name} {low:.4g} to {high:.4g}"
            for column in columns
            for low, high in pairwise(column.knots)
        ]
        bins = [(c, k) for c in columns for k in range(max(0, len(c.knots) - 1))]
        self.input_keys: list[tuple[Any, ...]] = [
            *(("number", column.name) for column in columns),
            *(("bin", column.name, number) for column, number in bins),
            *(("missing", column.name) for column in columns if column.flagged),
        ]
        flags = [f"{column.name} is missing" for column in columns if column.flagged]
        self.input_names = [*self.names, *binned_names, *flags]
        self.center = np.array([column.center for column in columns])
        self.factor = 1 / np.array([column.scale for column in columns])
        binned = [(c, column.knots) for c, column in enumerate(columns) if column.knots]
        self.bin_columns = np.array([c for c, knots in binned for _ in knots[1:]], dtype=np.intp)
        self.low = np.array([low for _, knots in binned for low in knots[:-1]])
        self.slope = 1 / np.array([b - a for _, k in binned for a, b in pairwise(k)] or [1.0])
        self.flagged = np.array([c for c, column in enumerate(columns) if column.flagged], np.intp)
        self.width = len(self.names) + len(self.bin_columns) + len(self.flagged)

    def encode(self, A: Array, X: Array) -> None:
        """Write the inputs of A (N, C), NaN where missing, into X (N, width)."""
        step = max(1, CHUNK_INPUTS // max(1, self.width))
        for start in range(0, len(A), step):
            self._encode(A[start : start + step], X[start : start + step])

    def _encode(self, A: Array, X: Array) -> None:
        clips, bins = len(self.names), len(self.names) + len(self.bin_columns)
        missing = A != A  # faster than isnan for few values
        any_missing = bool(missing.any())
        if any_missing:
            A = np.where(missing, self.center, A)
        with np.errstate(over="ignore"):  # an overflow is clipped to 3, or to 1
            z = np.minimum(
                np.maximum((A - self.center) * self.factor, -MAX_SQUARABLE), MAX_SQUARABLE
            )
            X[:, :clips] = z / np.sqrt(1 + z * z / 9)
            if bins > clips:
                along = (A[:, self.bin_columns] - self.low) * self.slope
                X[:, clips:bins] = np.minimum(np.maximum(along, 0), 1)
            X[:, :bins] += 0.0  # -0.0 becomes 0.0: duplicate rows are found by their bytes
        X[:, bins:] = missing[:, self.flagged] if any_missing else 0


def fit_number_column(
    name: str, values: Array, weights: Array, flagged: bool, bins: int
) -> NumberColumn:
    """Return the encoding of numbers (n,), none missing, with weights (n,) and at most ``bins``."""
    values = np.clip(values, -MAX_MAGNITUDE, MAX_MAGNITUDE) + 0.0  # a sort may mix -0.0 and 0.0
    first, center, third = quantiles(values, weights, [0.25, 0.5, 0.75])
    distances, scale = np.abs(values - center), third - first
    used = distances > 0 if scale == 0 else np.ones(len(values), np.bool_)
    if not used.any():
        return NumberColumn(name, float(center), 1.0, flagged)
    if scale == 0:  # more than half of the values are equal: the others give the scale
        scale = quantiles(distances[used], weights[used], [0.5])[0] / 2
    scale = max(scale, np.finfo(np.float64).tiny * 2**52)
    knots: Array = np.empty(0)
    if bins > 1:
        limit = outlier_distance(distances[used], weights[used])
        clipped = np.clip(values[used], center - limit, center + limit)
        shares = np.arange(bins + 1) / bins
        knots = np.unique([center, *quantiles(clipped, weights[used], shares)])
        wide = np.diff(knots) > scale * 1e-9  # narrower bins would be steps
        knots = knots[np.concatenate([[True], wide])]
    kept = tuple(knots.tolist()) if len(knots) > 2 else ()
    return NumberColumn(name, float(center), float(scale), flagged, kept)


def outlier_distance(distances: Array, weights: Array) -> float:
    """Return ten times the 98 % quantile of distances (n,); below 75 of them, ten times the second
    largest.

    If the quantile is 0, return the largest distance.
    """
    count = max(float(total(weights)), len(weights))
    (usual,) = quantiles(distances, weights, [1 - max(0.02, 1.5 / count)])
    return 10 * float(usual) or float(distances.max())


def quantiles(values: Array, weights: Array, shares: Any) -> Array:
    """Return quantiles (shares,) of weighted values (n,).

    A quantile is the smallest value up to which the values have at least that share of the weight.
    """
    shares = np.asarray(shares)
    if (weights == weights[0]).all():
        index = np.ceil(shares * len(values)).astype(np.intp) - 1
        return np.asarray(np.sort(values)[np.maximum(index, 0)])
    order = np.argsort(values, kind="stable")  # the same order of equal values on every machine
    reached = np.cumsum(weights[order])
    index = np.searchsorted(reached, shares * reached[-1])
    return np.asarray(values[order][np.minimum(index, len(values) - 1)])
