"""Which mistake explains a wrong gradient: signatures that are tried one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.suspects import Model, passes


@dataclass(frozen=True)
class Evidence:
    """A gradient, what it should be, and what is known of where it comes from.

    names, theta   of the blocks
    given          f's gradient, each block of the shape that f gave it
    slopes         the loss's derivative, NaN where it was not looked at
    errors         how far off that may be
    tolerance      of a block that agrees, relative to its largest number
    """

    names: Sequence[str]
    theta: Sequence[Array]
    given: Sequence[Array]
    slopes: Sequence[Array]
    errors: Sequence[Array]
    tolerance: float

    def agrees(self, block: int, candidate: Array | None = None) -> bool:
        """Return whether the derivative is a block's gradient, or a candidate for it."""
        return self.off(block, candidate) <= 1

    def off(self, block: int, candidate: Array | None = None) -> float:
        """Return how far the two are apart, in units of what is tolerated."""
        given = self.given[block] if candidate is None else candidate
        slope, error = self.slopes[block], self.errors[block]
        found = _as_shaped(given, slope)
        if found is None:
            return np.inf
        known = np.isfinite(slope)
        if not np.isfinite(found[known]).all():
            return np.inf
        largest = max(np.abs(slope[known]).max(initial=0), np.abs(found[known]).max(initial=0))
        allowed = 10 * error[known] + self.tolerance * largest + 1e-12
        return float((np.abs(found - slope)[known] / allowed).max(initial=0))

    def is_like(self, block: int, candidate: Array) -> bool:
        """Return whether f's gradient of a block is a candidate, to the same tolerance."""
        found = _as_shaped(self.given[block], candidate)
        if found is None or not np.isfinite(candidate).all():
            return False
        largest = max(np.abs(candidate).max(initial=0), np.abs(found).max(initial=0), 1e-300)
        return bool(np.abs(found - candidate).max(initial=0) <= 10 * self.tolerance * largest)


def _as_shaped(array: Array, like: Array) -> Array | None:
    """Return the array in the shape of another, from which axes of one may set it apart."""
    if array.shape == like.shape:
        return array
    alike = array.size == like.size and sorted(_long(array)) == sorted(_long(like))
    return array.reshape(like.shape) if alike else None


def _long(array: Array) -> list[int]:
    """Return the lengths of the axes but those of one."""
    return [length for length in array.shape if length > 1]


# ---------------------------------------------------------------- without knowing what f computes


def by_numbers(evidence: Evidence, block: int, rows: int | None, outputs: int | None) -> str | None:
    """Return the kind of mistake that a block's numbers alone give away, if one does."""
    given, slope = evidence.given[block], evidence.slopes[block]
    if not np.isfinite(slope).all():
        return None
    if given.shape != slope.shape and sorted(_long(given)) != sorted(_long(slope)):
        for axis in range(given.ndim):
            summed = given.sum(axis=axis)
            if summed.size == slope.size and evidence.agrees(block, summed.reshape(slope.shape)):
                return "grown by broadcasting"
        return None
    if given.ndim == 2 and given.shape == slope.T.shape and evidence.agrees(block, given.T):
        return "transposed"
    factor = _factor(evidence, block)
    return None if factor is None else _of_factor(factor, rows, outputs) or "factor"


def _factor(evidence: Evidence, block: int) -> float | None:
    """Return c where f's gradient is c times the derivative; None where there is none."""
    slope = evidence.slopes[block]
    given = _as_shaped(evidence.given[block].astype(np.float64), slope)
    if given is None or not np.isfinite(given).all() or not (np.vdot(slope, slope) > 0):
        return None
    factor = float(np.vdot(given, slope) / np.vdot(slope, slope))
    return factor if factor and evidence.agrees(block, given / factor) else None


def _of_factor(factor: float, rows: int | None, outputs: int | None) -> str | None:
    """Return the kind of mistake that a factor is."""
    known = _factors(rows or 1, outputs or 1)
    if rows and outputs:
        known += [("1/n missing", float(rows * outputs)), ("1/n twice", 1 / (rows * outputs))]
    return next((kind for kind, value in known if abs(factor / value - 1) < 1e-3), None)


def decay(evidence: Evidence, wrong: Sequence[int]) -> str | None:
    """Return which of loss and gradient lacks λ θ, if that is what all wrong blocks are off by."""
    found = []
    for block in wrong:
        given, theta = evidence.given[block], evidence.theta[block]
        if given.shape != theta.shape or not np.isfinite(evidence.slopes[block]).all():
            return None
        size = float((theta * theta).sum())
        strength = float(((given - evidence.slopes[block]) * theta).sum()) / size if size else 0.0
        if theta.size < 2 or not strength or not evidence.agrees(block, given - strength * theta):
            return None
        found.append(strength)
    if not found or max(found) - min(found) > 1e-3 * max(map(abs, found)):
        return None
    return "decay missing in the loss" if found[0] > 0 else "decay missing in the gradient"


# ---------------------------------------------------------------- knowing what f computes


def _weights(inputs: Array, delta: Array) -> Iterator[tuple[str, Array]]:
    """Yield what an author may have taken for a weight's gradient: the right one first."""
    right = inputs.T @ delta
    n, o = delta.shape
    yield "", right
    for kind, factor in _factors(n, o):
        yield kind, right * factor


def _biases(delta: Array) -> Iterator[tuple[str, Array]]:
    n, o = delta.shape
    right = delta.sum(axis=0)
    yield "", right
    if n > 1:
        yield "bias: mean for sum", delta.mean(axis=0)
        yield "bias: sum for mean", n * right
    if o > 1:
        yield "bias: mean over all", np.full(o, delta.mean())
    if n > 1 and n == o:
        yield "bias: wrong axis", delta.mean(axis=1)
        yield "bias: wrong axis", delta.sum(axis=1)
        yield "bias: wrong axis", n * delta.sum(axis=1)
    yield "grown by broadcasting", delta
    for kind, factor in _factors(n, o):
        yield kind, right * factor


def by_model(
    evidence: Evidence, model: Model, wrong: Sequence[int]
) -> list[tuple[str, str, tuple[int, ...]]] | None:
    """Return the fewest faults that together give f's gradient, each with its place and blocks.

    None if the model's own gradient is not the loss's, or no passes with usual faults give f's.
    """
    inputs = model.forward()[0]
    best: list[tuple[str, str, tuple[int, ...]]] | None = None
    for number, suspicion in enumerate(passes(model)):
        if number == 0 and not _is_right(evidence, model, inputs, suspicion.deltas):
            return None
        if best is not None and len(suspicion.faults) >= len(best):
            break  # they come with more and more faults
        faults = _explained(evidence, model, inputs, suspicion.deltas)
        if faults is None:
            continue
        whole = [(kind, place, tuple(wrong)) for kind, place in suspicion.faults] + faults
        if best is None or len(whole) < len(best):
            best = whole
    return best


def _is_right(
    evidence: Evidence, model: Model, inputs: Sequence[Array], deltas: Sequence[Array]
) -> bool:
    return all(evidence.agrees(block, right) for block, right in _right(model, inputs, deltas))


def _right(
    model: Model, inputs: Sequence[Array], deltas: Sequence[Array]
) -> Iterator[tuple[int, Array]]:
    """Yield each block and the gradient that these δ give it, if all else is right."""
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        dW = x.T @ delta
        yield layer.W_block, dW.T if layer.turned else dW
        if layer.b_block is not None:
            yield layer.b_block, delta.sum(axis=0)


def _factors(n: int, o: int) -> list[tuple[str, float]]:
    """Return what a gradient of n rows and o outputs may be multiplied with by mistake."""
    given = [
        ("sign", -1), ("twice", 2), ("half", 0.5), ("1/n missing", n), ("1/n twice", 1 / n),
        ("1/outputs missing", o), ("1/outputs twice", 1 / o),
    ]  # fmt: skip
    return [(kind, float(factor)) for kind, factor in given if factor != 1]


def _explained(
    evidence: Evidence, model: Model, inputs: Sequence[Array], deltas: Sequence[Array]
) -> list[tuple[str, str, tuple[int, ...]]] | None:
    """Return what else must be wrong for these δ to give f's gradient; None if nothing usual."""
    n, o = deltas[-1].shape
    best: list[tuple[str, str, tuple[int, ...]]] | None = None
    for kind, factor in (("", 1.0), *_factors(n, o)):  # one factor for all, and what is left
        whole = [(kind, "", tuple(range(len(evidence.names))))] if kind else []
        if best is not None and len(whole) >= len(best):
            break
        found = _block_by_block(evidence, model, inputs, deltas, factor)
        if found is not None and (best is None or len(whole) + len(found) < len(best)):
            best = whole + [(each, "", tuple(blocks)) for each, blocks in found.items()]
    return best


def _block_by_block(
    evidence: Evidence,
    model: Model,
    inputs: Sequence[Array],
    deltas: Sequence[Array],
    factor: float,
) -> dict[str, list[int]] | None:
    """Return what is wrong with which block, beside a factor for all; None if nothing usual."""
    found: dict[str, list[int]] = {}
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        for block, candidates in (
            (layer.W_block, _weights(x, delta)),
            (layer.b_block, _biases(delta)),
        ):
            if block is None:
                continue
            for kind, candidate in candidates:
                turned = layer.turned and block == layer.W_block
                if evidence.is_like(block, factor * (candidate.T if turned else candidate)):
                    if kind:
                        found.setdefault(kind, []).append(block)
                    break
            else:
                return None
    return found
