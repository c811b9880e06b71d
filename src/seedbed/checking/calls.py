"""What a few calls of f at one theta show: state that it keeps, and arrays that it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.evidence import Evidence, Fault
from seedbed.checking.functions import Function

REPEAT_TOLERANCE = 1e-6
"""Losses and gradients at the same theta may differ by this much, relative."""


class Restored:
    """f with the same data in every call, although f may change them in place.

    changed  the names of the data that a call has changed
    """

    def __init__(self, f: Callable[..., Any], **data: Any) -> None:
        self.f = f
        self.changed: list[str] = []
        self.data = {
            name: (array, array.copy())
            for name, array in data.items()
            if isinstance(array, np.ndarray) and array.flags.writeable
        }

    def __call__(self, theta: Any) -> Any:
        """Return f's result, and restore the data."""
        try:
            return self.f(theta)
        finally:
            for name, (array, copy) in self.data.items():
                if not np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"):
                    array[...] = copy
                    if name not in self.changed:
                        self.changed.append(name)


def differ(first: Sequence[Array], second: Sequence[Array]) -> bool:
    """Return whether two gradients differ."""
    return any(
        x.shape != y.shape or np.abs(x - y).max() > REPEAT_TOLERANCE * max(np.abs(x).max(), 1e-300)
        for x, y in zip(first, second, strict=True)
    )


def repeat_fault(first: list[Array], second: list[Array], third: list[Array]) -> str | None:
    """Return the kind of mistake if three calls at the same theta give different gradients."""
    if not differ(second, third):
        return "stale" if differ(first, second) else None
    if any(x.shape != y.shape for x, y in zip(first, third, strict=True)):
        return "not deterministic"
    before, after = (
        np.concatenate([(b - a).ravel() for a, b in zip(*pair, strict=True)])
        for pair in ((first, second), (second, third))
    )  # each call adds the same, or with momentum a share of what the previous one added
    share = float(before @ after) / max(float(before @ before), 1e-300)
    grows = (
        share > 0 and not differ([share * before], [after]) and (before.size > 1 or share > 0.99)
    )
    return "accumulated" if grows else "not deterministic"


def cancellation(function: Function, evidence: Evidence, wrong: Sequence[int]) -> Fault | None:
    """Return the fault if the wrong blocks are wrong by rounding.

    Their gradient is right in float64, or it changes as much over the smallest steps of theta as
    over larger ones, by as much as it is wrong.
    """
    finer = function.in_float64()
    if finer is not function:
        given = finer(finer.theta)[1]
        if all(evidence.agrees(block, given[block]) for block in wrong):
            return Fault("cancellation", tuple(wrong))
    random = np.random.default_rng(0)
    noise = []
    for step in (1e3, 1e1):
        changes = np.zeros(len(wrong))
        for _ in range(4):
            theta = [
                block * (1 + step * function.eps * random.uniform(-1, 1, block.shape))
                for block in function.theta
            ]
            try:
                given = function(theta)[1]
            except Exception:  # f may be undefined there
                return None
            for number, block in enumerate(wrong):
                if given[block].shape != evidence.given[block].shape:
                    return None
                change = np.abs(given[block] - evidence.given[block]).max()
                changes[number] = max(changes[number], change)
        noise.append(changes)
    for number, block in enumerate(wrong):
        given_block, slope = evidence.given[block], evidence.slopes[block]
        known = np.isfinite(slope)
        if given_block.shape != slope.shape or not known.any():
            return None
        distance = np.abs(given_block - slope)[known].max()
        if not (0.1 * noise[0][number] < noise[1][number] and distance < 5 * noise[1][number]):
            return None
    return Fault("cancellation", tuple(wrong))
