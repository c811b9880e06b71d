"""Faults that each block's numbers show, without knowing what f computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedbed.checking.evidence import Evidence, Fault, is_vector, named_factor, reshaped


def by_block(
    evidence: Evidence, wrong: Sequence[int], rows: int | None, outputs: int | None
) -> list[Fault]:
    """Return the faults that explain the wrong blocks; "unknown" for those without one.

    A factor that all matrices share is one fault; a vector's remaining factor is its own.
    """
    kinds: dict[tuple[str, str], list[int]] = {}
    everything = range(len(evidence.names))
    factors = {block: _factor(evidence, block) for block in everything}
    matrices = [block for block in everything if not is_vector(evidence.theta[block])]
    shared = _shared(
        [1.0 if block not in wrong else factors[block] for block in matrices or everything]
    )
    for block in wrong:
        shape_fault = _shape_fault(evidence, block, shared)
        factor = factors[block]
        if shape_fault is not None:
            kinds.setdefault((shape_fault, ""), []).append(block)
            continue
        if factor is None:
            kinds.setdefault(("unknown", ""), []).append(block)
            continue
        remaining = factor / shared
        if matrices and block not in matrices and rows and rows > 1:
            for kind, value in (("bias: mean for sum", 1 / rows), ("bias: sum for mean", rows)):
                if abs(remaining / value - 1) < 1e-3:
                    kinds.setdefault((kind, ""), []).append(block)
                    factor = shared
        if factor != 1:
            kind, detail = named_factor(factor, rows, outputs)
            single = evidence.theta[block].size == 1 and abs(factor / shared - 1) > 1e-3
            if single and kind == "factor":  # any number is a multiple of any other
                kind, detail = "unknown", ""
            kinds.setdefault((kind, detail), []).append(block)
    return [Fault(kind, tuple(blocks), detail=detail) for (kind, detail), blocks in kinds.items()]


def _shared(factors: Sequence[float | None]) -> float:
    """Return the factor that all share; 1 if there is none."""
    known = [factor for factor in factors if factor is not None]
    if len(known) < max(len(factors), 1) or max(known) - min(known) > 1e-3 * abs(known[0]):
        return 1.0
    return known[0]


def _shape_fault(evidence: Evidence, block: int, shared: float) -> str | None:
    """Return the fault that a block's shape or the order of its numbers shows, if any."""
    given, slope = evidence.given[block] / shared, evidence.slopes[block]
    if not np.isfinite(slope).all():
        return None
    fits = given.ndim == 2 and given.shape == slope.T.shape and not is_vector(evidence.theta[block])
    if fits and not evidence.agrees(block, given) and evidence.agrees(block, given.T):
        return "transposed"
    if reshaped(given, slope) is not None:
        return None
    for axis in range(given.ndim):
        total = given.sum(axis=axis)
        if given.size > slope.size == total.size:
            right = total.reshape(slope.shape)
            if evidence.agrees(block, right) or evidence.agrees(block, right / len(given)):
                return "grown by broadcasting"
    if given.size == 1:
        for total in (slope.sum(), slope.mean()):
            if abs(given.item() - total) <= evidence.tolerance * abs(total) + evidence.floor:
                return "bias: over all"
    return "shape"


def _factor(evidence: Evidence, block: int) -> float | None:
    """Return c if f's gradient is c times the derivative, else None."""
    slope = evidence.slopes[block]
    given = reshaped(evidence.given[block].astype(np.float64), slope)
    if given is None or not np.isfinite(given).all():
        return None
    known = np.isfinite(slope)
    square = float(np.vdot(slope[known], slope[known]))
    if not square:
        return None
    factor = float(np.vdot(given[known], slope[known])) / square
    return factor if factor and evidence.agrees(block, given / factor) else None


def decay(evidence: Evidence, wrong: Sequence[int]) -> Fault | None:
    """Return the fault if every wrong block is off by λ θ, with the same λ for all."""
    strengths = []
    for block in wrong:
        theta, slope = evidence.theta[block], evidence.slopes[block]
        given, known = reshaped(evidence.given[block], theta), np.isfinite(slope)
        if given is None or known.sum() < 2:
            return None
        size = float((theta[known] ** 2).sum())
        strength = float(((given - slope)[known] * theta[known]).sum()) / size if size else 0.0
        if not strength or not evidence.agrees(block, given - strength * theta):
            return None
        strengths.append(strength)
    if not strengths or max(strengths) - min(strengths) > 1e-3 * max(map(abs, strengths)):
        return None
    where = "in the loss" if strengths[0] > 0 else "in the gradient"
    return Fault(f"decay missing {where}", tuple(wrong), detail=f"λ {abs(strengths[0]):.3g}")
