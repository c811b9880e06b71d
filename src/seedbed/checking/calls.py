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

    Their gradient is right in float64, or it scatters over small steps by as much as it is wrong.
    """
    finer = function.in_float64()
    if finer is not function:
        given = finer(finer.theta)[1]
        if all(evidence.agrees(block, given[block]) for block in wrong):
            return Fault("cancellation", tuple(wrong))
    scatter = _scatter(function, evidence, wrong)
    for block in wrong:
        given_block, slope = evidence.given[block], evidence.slopes[block]
        if given_block.shape != slope.shape or scatter is None:
            return None
        distance = np.abs(given_block - slope)[np.isfinite(slope)].max(initial=0)
        if distance > 5 * scatter[block]:
            return None
    return Fault("cancellation", tuple(wrong))


def _scatter(
    function: Function, evidence: Evidence, wrong: Sequence[int]
) -> dict[int, float] | None:
    """Return by how much each block's gradient leaves a straight line over small steps.

    A smooth gradient does so by the square of the step; None if f is undefined there.
    """
    random = np.random.default_rng(0)
    scatter = dict.fromkeys(wrong, 0.0)
    for step in (1e-4, 1e-6, 100 * function.eps):
        bends: dict[int, list[float]] = {block: [] for block in wrong}
        for _ in range(5):
            moves = [step * block * random.uniform(-1, 1, block.shape) for block in function.theta]
            try:
                ends = [
                    function(
                        [x + sign * move for x, move in zip(function.theta, moves, strict=True)]
                    )[1]
                    for sign in (1, -1)
                ]
            except Exception:  # f may be undefined there
                return None
            for block in wrong:
                if any(end[block].shape != evidence.given[block].shape for end in ends):
                    return None
                bend = ends[0][block] - 2 * evidence.given[block] + ends[1][block]
                bends[block].append(float(np.abs(bend).max()))
        for block in wrong:  # the median: one step may cross a kink
            scatter[block] = max(scatter[block], float(np.median(bends[block])))
    return scatter
