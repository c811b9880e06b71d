"""Which mistake explains a wrong gradient: signatures that are tried one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.suspects import Model, Suspicion, passes


@dataclass(frozen=True)
class Fault:
    """One mistake: its kind, its blocks, where in the network it is, and a number of its own.

    detail  such as "5 times"; "" where there is none
    """

    kind: str
    blocks: tuple[int, ...]
    place: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Evidence:
    """A gradient, what it should be, and what is known of where it comes from.

    names, theta   of the blocks
    given          f's gradient, each block of the shape that f gave it
    slopes         the loss's derivative, NaN where it was not looked at
    errors         how far off that may be
    tolerance      of a block that agrees, relative to its largest number
    floor          what counts as nothing, beside the loss and its largest derivative
    """

    names: Sequence[str]
    theta: Sequence[Array]
    given: Sequence[Array]
    slopes: Sequence[Array]
    errors: Sequence[Array]
    tolerance: float
    floor: float

    def agrees(self, block: int, candidate: Array | None = None) -> bool:
        """Return whether the derivative is a block's gradient, or a candidate for it."""
        given = self.given[block] if candidate is None else candidate
        slope = self.slopes[block]
        found = as_shaped(given, slope)
        if found is None:
            return False
        known = np.isfinite(slope)
        if not np.isfinite(found[known]).all():
            return False
        return bool((np.abs(found - slope)[known] <= self.allowed(block, found)[known]).all())

    def allowed(self, block: int, found: Array) -> Array:
        """Return by how much a candidate may be off the derivative, in its shape."""
        slope, known = self.slopes[block], np.isfinite(self.slopes[block])
        largest = max(np.abs(slope[known]).max(initial=0), np.abs(found[known]).max(initial=0))
        return np.asarray(10 * self.errors[block] + self.tolerance * largest + self.floor)

    def can_tell(self, block: int) -> bool:
        """Return whether the derivative is known well enough to tell a right gradient from none."""
        slope, known = self.slopes[block], np.isfinite(self.slopes[block])
        found = as_shaped(self.given[block], slope)
        largest = np.abs(slope[known]).max(initial=0)
        if found is not None:
            largest = max(largest, np.abs(found[known]).max(initial=0))
        coarse = 10 * np.median(self.errors[block][known]) if known.any() else 0.0
        return bool(coarse <= 0.2 * largest or largest <= self.floor)

    def is_like(self, block: int, candidate: Array) -> bool:
        """Return whether f's gradient of a block is a candidate, to the same tolerance."""
        found = as_shaped(self.given[block], candidate)
        if found is None or not np.isfinite(candidate).all():
            return False
        largest = max(np.abs(candidate).max(initial=0), np.abs(found).max(initial=0), 1e-300)
        return bool(np.abs(found - candidate).max(initial=0) <= 10 * self.tolerance * largest)

    def is_vector(self, block: int) -> bool:
        """Return whether a block has one long axis at most, as a bias has."""
        theta = self.theta[block]
        return theta.size == max(theta.shape, default=1)


def as_shaped(array: Array, like: Array) -> Array | None:
    """Return the array in the shape of another, from which axes of one may set it apart."""
    if array.shape == like.shape:
        return array
    alike = array.size == like.size and _long(array) == _long(like)
    return array.reshape(like.shape) if alike else None


def _long(array: Array) -> list[int]:
    """Return the lengths of the axes but those of one."""
    return [length for length in array.shape if length > 1]


def _factors(n: int, o: int) -> list[tuple[str, float]]:
    """Return what a gradient of n rows and o outputs may be multiplied with by mistake."""
    given = [
        ("sign", -1), ("twice", 2), ("half", 0.5), ("1/n missing", n), ("1/n twice", 1 / n),
        ("1/outputs missing", o), ("1/outputs twice", 1 / o), ("1/(n outputs) missing", n * o),
        ("1/(n outputs) twice", 1 / (n * o)),
    ]  # fmt: skip
    return [(kind, float(factor)) for kind, factor in given if factor != 1]


FACTORS = ("factor", *dict(_factors(3, 5)))
"""Kinds that are a factor, known or not."""


def _of_factor(factor: float, n: int | None, o: int | None) -> tuple[str, str]:
    """Return the kind of mistake that a factor is, and in words what else it may be."""
    kinds = [
        kind for kind, value in _factors(n or 1, o or 1) if abs(factor / value - 1) < 1e-3
    ]  # fmt: skip
    if not kinds:
        return "factor", f"{factor:.6g} times what it should be"
    others = [
        kind for kind in dict.fromkeys(kinds) if kind not in (kinds[0], "1/(n outputs) missing")
    ]
    told = f"{factor:.6g} times" if kinds[0] not in ("sign", "twice", "half") else ""
    if others:
        told += f"{'; ' if told else ''}with {n} rows and {o} outputs it may as well be "
        told += " or ".join(others)
    return kinds[0], told


# ---------------------------------------------------------------- without knowing what f computes


def by_numbers(
    evidence: Evidence, wrong: Sequence[int], rows: int | None, outputs: int | None
) -> list[Fault]:
    """Return the mistakes that the blocks' numbers alone give away; "unknown" where none do.

    A factor that all matrices share is one mistake, and what is left of a vector's is its own.
    """
    kinds: dict[tuple[str, str], list[int]] = {}
    everything = range(len(evidence.names))
    factors = {block: _factor(evidence, block) for block in everything}
    matrices = [block for block in everything if not evidence.is_vector(block)]
    shared = _shared(
        [1.0 if block not in wrong else factors[block] for block in matrices or everything]
    )
    for block in wrong:
        shaped = _of_shape(evidence, block, shared)
        factor = factors[block]
        if shaped is not None:
            kinds.setdefault((shaped, ""), []).append(block)
            continue
        if factor is None:
            kinds.setdefault(("unknown", ""), []).append(block)
            continue
        left = factor / shared
        if matrices and block not in matrices and rows and rows > 1:
            for kind, value in (("bias: mean for sum", 1 / rows), ("bias: sum for mean", rows)):
                if abs(left / value - 1) < 1e-3:
                    kinds.setdefault((kind, ""), []).append(block)
                    factor = shared
        if factor != 1:
            kind, told = _of_factor(factor, rows, outputs)
            single = evidence.theta[block].size == 1 and abs(factor / shared - 1) > 1e-3
            if single and kind == "factor":  # any number is a multiple of any other
                kind, told = "unknown", ""
            kinds.setdefault((kind, told), []).append(block)
    return [Fault(kind, tuple(blocks), detail=told) for (kind, told), blocks in kinds.items()]


def _shared(factors: Sequence[float | None]) -> float:
    """Return the factor that all have, 1 if there is none."""
    known = [factor for factor in factors if factor is not None]
    if len(known) < max(len(factors), 1) or max(known) - min(known) > 1e-3 * abs(known[0]):
        return 1.0
    return known[0]


def _of_shape(evidence: Evidence, block: int, shared: float) -> str | None:
    """Return the mistake that a block's shape or order of numbers gives away, if one does."""
    given, slope = evidence.given[block] / shared, evidence.slopes[block]
    if not np.isfinite(slope).all():
        return None
    turns = given.ndim == 2 and given.shape == slope.T.shape and not evidence.is_vector(block)
    if turns and not evidence.agrees(block, given) and evidence.agrees(block, given.T):
        return "transposed"
    if as_shaped(given, slope) is not None:
        return None
    for axis in range(given.ndim):
        summed = given.sum(axis=axis)
        if given.size > slope.size == summed.size:
            right = summed.reshape(slope.shape)
            if evidence.agrees(block, right) or evidence.agrees(block, right / len(given)):
                return "grown by broadcasting"
    if given.size == 1:
        for whole in (slope.sum(), slope.mean()):
            if abs(given.item() - whole) <= evidence.tolerance * abs(whole) + evidence.floor:
                return "bias: over all"
    return "shape"


def _factor(evidence: Evidence, block: int) -> float | None:
    """Return c where f's gradient is c times the derivative; None where there is none."""
    slope = evidence.slopes[block]
    given = as_shaped(evidence.given[block].astype(np.float64), slope)
    if given is None or not np.isfinite(given).all():
        return None
    known = np.isfinite(slope)
    square = float(np.vdot(slope[known], slope[known]))
    if not square:
        return None
    factor = float(np.vdot(given[known], slope[known])) / square
    return factor if factor and evidence.agrees(block, given / factor) else None


def decay(evidence: Evidence, wrong: Sequence[int]) -> Fault | None:
    """Return the mistake if all that the wrong blocks are off by is λ θ, the same λ for all."""
    found = []
    for block in wrong:
        theta, slope = evidence.theta[block], evidence.slopes[block]
        given, known = as_shaped(evidence.given[block], theta), np.isfinite(slope)
        if given is None or known.sum() < 2:
            return None
        size = float((theta[known] ** 2).sum())
        strength = float(((given - slope)[known] * theta[known]).sum()) / size if size else 0.0
        if not strength or not evidence.agrees(block, given - strength * theta):
            return None
        found.append(strength)
    if not found or max(found) - min(found) > 1e-3 * max(map(abs, found)):
        return None
    where = "in the loss" if found[0] > 0 else "in the gradient"
    return Fault(f"decay missing {where}", tuple(wrong), detail=f"λ {abs(found[0]):.3g}")


# ---------------------------------------------------------------- knowing what f computes


def _weights(right: Array, factors: Sequence[tuple[str, float]]) -> Iterator[tuple[str, Array]]:
    """Yield what an author may have taken for a weight's gradient: the right one first."""
    yield "", right
    for kind, factor in factors:
        yield kind, right * factor


def _biases(delta: Array, factors: Sequence[tuple[str, float]]) -> Iterator[tuple[str, Array]]:
    n, o = delta.shape
    right = delta.sum(axis=0)
    yield "", right
    if n > 1:
        yield "bias: mean for sum", delta.mean(axis=0)
        yield "bias: sum for mean", n * right
    if o > 1:
        for whole in (delta.mean(), delta.sum(), delta.mean() * o):
            yield "bias: over all", np.full(o, whole)
            yield "bias: over all", np.asarray(whole)
    if n > 1:
        for each in (delta.mean(axis=1), delta.sum(axis=1), n * delta.sum(axis=1)):
            yield "bias: wrong axis", each
    yield "grown by broadcasting", delta
    yield "grown by broadcasting", delta.T
    for kind, factor in factors:
        yield kind, right * factor


def by_model(evidence: Evidence, model: Model, wrong: Sequence[int]) -> list[Fault] | None:
    """Return the fewest faults that together give f's gradient.

    None if no passes with usual faults give it.
    """
    inputs, suspicions = model.forward()[0], list(passes(model))
    best: list[Fault] | None = None
    for bare, penalty in _penalties(evidence, model):
        for suspicion in suspicions:
            if best is not None and len(suspicion.faults) + len(penalty) >= len(best):
                break  # they come with more and more faults
            faults = _explained(bare, model, inputs, suspicion.deltas)
            if faults is None:
                continue
            whole = [*_placed(model, suspicion, wrong), *faults, *penalty]
            if best is None or len(whole) < len(best):
                best = whole
    return best


def _placed(model: Model, suspicion: Suspicion, wrong: Sequence[int]) -> Iterator[Fault]:
    """Yield a pass's faults with the blocks that they reach: those of their layer and before."""
    for kind, place, layer in suspicion.faults:
        reached = {
            block
            for each in model.layers[: layer + 1]
            for block in (each.W_block, each.b_block)
            if block is not None and block in wrong
        }
        yield Fault(kind, tuple(sorted(reached)), place)


def _penalties(evidence: Evidence, model: Model) -> Iterator[tuple[Evidence, list[Fault]]]:
    """Yield the evidence without a penalty, for each strength that f's gradient may have it in.

    The loss's own strength (``Model.decay``) is right; none, or another, is a fault.
    """
    if not model.decay:
        yield evidence, []
        return
    yield _less(evidence, model, model.decay), []
    weights = tuple(layer.W_block for layer in model.layers)
    missing = Fault("decay missing in the gradient", weights, detail=f"λ {model.decay:.3g}")
    yield _less(evidence, model, 0.0), [missing]
    for factor in (2.0, 0.5, float(len(model.X)), 1 / len(model.X), -1.0):
        told = f"λ {model.decay:.3g} in the loss, {factor * model.decay:.3g} in the gradient"
        other = Fault("decay of another strength", weights, detail=told)
        yield _less(evidence, model, factor * model.decay), [other]


def _less(evidence: Evidence, model: Model, strength: float) -> Evidence:
    """Return the evidence without λ W in f's gradient and in the derivative."""
    given, slopes = list(evidence.given), list(evidence.slopes)
    for layer in model.layers:
        theta = evidence.theta[layer.W_block]
        shaped = as_shaped(np.asarray(given[layer.W_block], dtype=np.float64), theta)
        if shaped is not None:
            given[layer.W_block] = shaped - strength * theta
        slopes[layer.W_block] = slopes[layer.W_block] - model.decay * theta
    return replace(evidence, given=given, slopes=slopes)


def _explained(
    evidence: Evidence, model: Model, inputs: Sequence[Array], deltas: Sequence[Array]
) -> list[Fault] | None:
    """Return what else must be wrong for these δ to give f's gradient; None if nothing usual."""
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        # whatever else is wrong, a weight's gradient is a multiple of the right one
        if not _is_multiple(evidence, layer.W_block, layer.dW(x, delta)):
            return None
    n, o = deltas[-1].shape
    factors = dict(_factors(n, o))
    everywhere = tuple(range(len(evidence.names)))
    best: list[Fault] | None = None
    for kind, factor in (("", 1.0), *factors.items()):  # one factor for all, and what is left
        found = _block_by_block(evidence, model, inputs, deltas, factor)
        if found is None:
            continue
        whole = [
            Fault(
                each, blocks, detail=_of_factor(factors[each], n, o)[1] if each in factors else ""
            )
            for each, blocks in (([(kind, everywhere)] if kind else []) + [*found.items()])
        ]
        if best is None or _cost(whole, factors) < _cost(best, factors):
            best = whole
    return best


def _cost(faults: Sequence[Fault], factors: Mapping[str, float]) -> float:
    """Return how many faults there are; of as many, those with fewer factors come first."""
    return len(faults) + 0.1 * sum(fault.kind in factors for fault in faults)


def _block_by_block(
    evidence: Evidence,
    model: Model,
    inputs: Sequence[Array],
    deltas: Sequence[Array],
    factor: float,
) -> dict[str, tuple[int, ...]] | None:
    """Return what is wrong with which block, beside a factor for all; None if nothing usual."""
    found: dict[str, list[int]] = {}
    factors = _factors(*deltas[-1].shape)
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        for block, candidates in (
            (layer.W_block, _weights(layer.dW(x, delta), factors)),
            (layer.b_block, _biases(delta, factors)),
        ):
            if block is None:
                continue
            for kind, candidate in candidates:
                right = factor * candidate
                if block == layer.W_block and not kind and _is_turned(evidence, block, right):
                    found.setdefault("transposed", []).append(block)
                    break
                if evidence.is_like(block, right):
                    if kind:
                        found.setdefault(kind, []).append(block)
                    break
            else:
                return None
    return {kind: tuple(blocks) for kind, blocks in found.items()}


def _is_multiple(evidence: Evidence, block: int, right: Array) -> bool:
    """Return whether f's gradient is a multiple of ``right``, or of its transpose."""
    square = float(np.vdot(right, right))
    for each in (right, right.T):
        found = as_shaped(evidence.given[block], each)
        if found is None:
            continue
        factor = float(np.vdot(found, each)) / square if square else 0.0
        if evidence.is_like(block, factor * each):
            return True
    return False


def _is_turned(evidence: Evidence, block: int, right: Array) -> bool:
    """Return whether f's gradient of a matrix is the right one's transpose."""
    if evidence.is_vector(block) or evidence.is_like(block, right):
        return False
    return evidence.is_like(block, right.T)
