"""Evidence: a gradient and the derivative that it should be; Fault: what explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array


@dataclass(frozen=True)
class Fault:
    """One mistake: its kind, the blocks it affects, its layer, and a detail such as "5 times"."""

    kind: str
    blocks: tuple[int, ...]
    place: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """A gradient and the derivative that it should be.

    names, theta   of the blocks
    given          f's gradient, each block in the shape that f returned
    slopes         the loss's derivative, NaN where it was not computed
    errors         its estimated error
    tolerance      of a block that agrees, relative to its largest number
    floor          what counts as 0, given the loss and its largest derivative
    """

    names: Sequence[str]
    theta: Sequence[Array]
    given: Sequence[Array]
    slopes: Sequence[Array]
    errors: Sequence[Array]
    tolerance: float
    floor: float

    def agrees(self, block: int, candidate: Array | None = None) -> bool:
        """Return whether a block's gradient, or a candidate for it, is the derivative."""
        given = self.given[block] if candidate is None else candidate
        slope = self.slopes[block]
        array = reshaped(given, slope)
        if array is None:
            return False
        known = np.isfinite(slope)
        if not np.isfinite(array[known]).all():
            return False
        return bool((np.abs(array - slope)[known] <= self._allowed(block, array)[known]).all())

    def _allowed(self, block: int, array: Array) -> Array:
        """Return the allowed distance of a candidate from the derivative, in its shape."""
        slope, known = self.slopes[block], np.isfinite(self.slopes[block])
        largest = max(np.abs(slope[known]).max(initial=0), np.abs(array[known]).max(initial=0))
        return np.asarray(10 * self.errors[block] + self.tolerance * largest + self.floor)

    def is_conclusive(self, block: int) -> bool:
        """Return whether the derivative is precise enough to tell right from wrong."""
        slope, known = self.slopes[block], np.isfinite(self.slopes[block])
        array = reshaped(self.given[block], slope)
        largest = np.abs(slope[known]).max(initial=0)
        if array is not None:
            largest = max(largest, np.abs(array[known]).max(initial=0))
        error = 10 * np.median(self.errors[block][known]) if known.any() else 0.0
        return bool(error <= 0.2 * largest or largest <= self.floor)

    def equals(self, block: int, candidate: Array) -> bool:
        """Return whether f's gradient of a block is the candidate, to the same tolerance."""
        array = reshaped(self.given[block], candidate)
        if array is None or not np.isfinite(candidate).all():
            return False
        largest = max(np.abs(candidate).max(initial=0), np.abs(array).max(initial=0), 1e-300)
        return bool(np.abs(array - candidate).max(initial=0) <= 10 * self.tolerance * largest)


def is_vector(array: Array) -> bool:
    """Return whether an array has at most one axis longer than 1, as a bias has."""
    return array.size == max(array.shape, default=1)


def reshaped(array: Array, like: Array) -> Array | None:
    """Return the array in another's shape; None if they differ by more than axes of length 1."""
    fits = [n for n in array.shape if n > 1] == [n for n in like.shape if n > 1]
    return array.reshape(like.shape) if fits else None


def update_shape(theta: Array, gradient: Array) -> tuple[int, ...] | None:
    """Return the shape of θ - lr·dθ; None if these shapes don't broadcast."""
    try:
        return np.broadcast_shapes(theta.shape, gradient.shape)
    except ValueError:
        return None


@dataclass(frozen=True)
class Factor:
    """A common wrong factor of a gradient: the kind of mistake, its value and how it arises."""

    kind: str
    value: float
    detail: str = ""


def factors_of(n: int, o: int, widths: Sequence[tuple[str, int]] = ()) -> list[Factor]:
    """Return common wrong factors for n rows and o outputs, the likeliest first.

    widths  (name, count) of other axes by which a gradient may be divided instead of the rows
    """
    values = {
        "sign": -1, "twice": 2, "half": 0.5, "1/n missing": n, "1/n twice": 1 / n,
        "1/outputs missing": o, "1/outputs twice": 1 / o, "1/(n outputs) missing": n * o,
        "1/(n outputs) twice": 1 / (n * o),
    }  # fmt: skip
    factors = [Factor(kind, float(value)) for kind, value in values.items() if value != 1]
    swapped = [(f"{count} {name}", f"{n} {{rows}}", n / count) for name, count in widths]
    swapped.append((f"{n} {{rows}}", f"{o} outputs", o / n))
    for wrong, right, value in swapped:
        if value != 1 and not any(abs(each.value / value - 1) < 1e-9 for each in factors):
            detail = f"by {wrong} where the loss divides by {right}"
            factors.append(Factor("averaged over another axis", value, detail))
    return factors


FACTOR_KINDS = ("factor", *(each.kind for each in factors_of(3, 5)))


def named_factor(factor: float, factors: Sequence[Factor], n: int, o: int) -> tuple[str, str]:
    """Return a factor's kind, and a detail that names the other kinds that it may be."""
    same = [each for each in factors if abs(factor / each.value - 1) < 1e-3]
    if not same:
        return "factor", f"{factor:.6g} times what it should be"
    kind = same[0].kind
    others = [each.kind for each in same if each.kind not in (kind, "1/(n outputs) missing")]
    detail = f"{factor:.6g} times" if kind not in ("sign", "twice", "half") else ""
    if same[0].detail:
        detail = same[0].detail
    if others:
        detail += f"{'; ' if detail else ''}with {n} {{rows}} and {o} outputs it may also be "
        detail += " or ".join(dict.fromkeys(others))
    return kind, detail
