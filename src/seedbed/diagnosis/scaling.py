"""Inputs and targets that are far from mean 0 and standard deviation 1."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding

_FAR, _NEAR = 10.0, 0.01
"""Values further from 0 on average, or more spread out, are unscaled; so are those less so."""


def inputs(X: Array) -> Iterator[Finding]:
    """Look at each column of X, (N, I); one that is the same everywhere is let be."""
    middle, spread, largest = np.abs(X.mean(axis=0)), X.std(axis=0), np.abs(X).max(axis=0)
    varies = X.max(axis=0) > X.min(axis=0)
    large = varies & ((spread > _FAR) | (middle > _FAR))
    small = varies & (largest < _NEAR)
    wrong = np.flatnonzero(large | small)
    if len(wrong):
        off = np.where(large, np.maximum(spread, middle), 1 / np.where(small, largest, 1))
        worst = wrong[np.argmax(off[wrong])]
        yield Finding(
            "unscaled inputs",
            f"{len(wrong)} of {X.shape[1]} inputs are far from mean 0 and standard deviation 1 "
            f"(input {worst}: {X[:, worst].mean():.3g} and {spread[worst]:.3g}): standardise them, "
            "or the network sees little but the largest",
        )


def targets(T: Array) -> Iterator[Finding]:
    """Look at each quantity that the network is to give, (N, O)."""
    middle, spread = np.abs(T.mean(axis=0)), T.std(axis=0)
    small = (spread < _NEAR) & (T.max(axis=0) > T.min(axis=0))
    large = (middle > _FAR) | (spread > _FAR)
    if not (small | large).any():
        return
    off = np.where(large, np.maximum(middle, spread), np.where(small, 1 / (spread + 1e-300), 0))
    worst = int(np.argmax(off))
    which = "the target" if T.shape[1] == 1 else f"the target of output {worst}"
    yield Finding(
        "unscaled target",
        f"{which} has mean {T[:, worst].mean():.3g} and standard deviation {spread[worst]:.3g} in "
        "the units that the network is trained in, and about 0 and 1 suit it: standardise the "
        "target",
    )
