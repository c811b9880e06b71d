"""Inputs and targets that are far from mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding

_MAX_SCALE, _MIN_SCALE = 10.0, 0.01
"""An input or target is unscaled if its |mean| or standard deviation is above the first. So is an
input whose largest magnitude, or a target whose standard deviation, is below the second."""


_CHUNK_ROWS = 4096
"""Rows that are converted to float64 at a time: all of a large table's would take much memory."""


def inputs(X: Array, categories: Sequence[int] = ()) -> Iterator[Finding]:
    """Look at each column of X, (N, I), that is not constant and does not hold categories."""
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    mean, spread = _moments(X)
    largest, varies = np.maximum(np.abs(low), np.abs(high)), high > low
    varies[list(categories)] = False
    large = varies & ((spread > _MAX_SCALE) | (np.abs(mean) > _MAX_SCALE))
    small = varies & (largest < _MIN_SCALE)
    wrong = np.flatnonzero(large | small)
    if len(wrong):
        factor = np.where(large, np.maximum(spread, np.abs(mean)), 1 / np.where(small, largest, 1))
        worst = wrong[np.argmax(factor[wrong])]
        yield Finding(
            "unscaled inputs",
            f"{len(wrong)} of {X.shape[1]} inputs are far from mean 0 and standard deviation 1 "
            f"(input {worst}: {mean[worst]:.3g} and {spread[worst]:.3g}): standardise them, "
            "or the largest input dominates the others",
        )


def _moments(X: Array) -> tuple[Array, Array]:
    """Return the means and the standard deviations of columns, (I,) float64."""
    chunks = [slice(start, start + _CHUNK_ROWS) for start in range(0, len(X), _CHUNK_ROWS)]
    mean = sum(X[chunk].sum(axis=0, dtype=np.float64) for chunk in chunks) / len(X)
    squares = sum(((X[chunk] - mean) ** 2).sum(axis=0) for chunk in chunks)
    return mean, np.sqrt(squares / len(X))


def targets(T: Array) -> Iterator[Finding]:
    """Look at each target column, (N, O)."""
    mean, spread = np.abs(T.mean(axis=0)), T.std(axis=0)
    small = (spread < _MIN_SCALE) & (T.max(axis=0) > T.min(axis=0))
    large = (mean > _MAX_SCALE) | (spread > _MAX_SCALE)
    if not (small | large).any():
        return
    factor = np.where(large, np.maximum(mean, spread), np.where(small, 1 / (spread + 1e-300), 0))
    worst = int(np.argmax(factor))
    which = "the target" if T.shape[1] == 1 else f"the target of output {worst}"
    yield Finding(
        "unscaled target",
        f"{which} has mean {T[:, worst].mean():.3g} and standard deviation {spread[worst]:.3g} as "
        "the network sees it, far from 0 and 1: standardise the target",
    )
