"""Faults that each block's numbers show, without knowing what f computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.data import Data
from seedbed.checking.evidence import (
    Evidence,
    Fault,
    factors_of,
    is_vector,
    named_factor,
    reshaped,
    update_shape,
)


def by_block(evidence: Evidence, wrong: Sequence[int], data: Data | None) -> list[Fault]:
    """Return the faults that explain the wrong blocks; "unknown" for those without one.

    A factor that all matrices share is one fault; a vector's remaining factor is its own.
    """
    if data is None:
        rows, outputs, widths = 1, 1, []
    else:
        (rows, inputs), outputs = data.X.shape, data.T.shape[1]
        widths = [("inputs", inputs), ("outputs", outputs)]
    factors = factors_of(rows, outputs, widths)
    kinds: dict[tuple[str, str], list[int]] = {}
    everything = range(len(evidence.names))
    multiples = {block: _factor(evidence, block) for block in everything}
    matrices = [block for block in everything if not is_vector(evidence.theta[block])]
    shared = _shared(
        [1.0 if block not in wrong else multiples[block] for block in matrices or everything]
    )
    for block in wrong:
        fault = "zero" if not evidence.given[block].any() else None
        fault = fault or _shape_fault(evidence, block, shared, rows)
        if fault is not None:
            kinds.setdefault((fault, ""), []).append(block)
            continue
        factor = multiples[block]
        if factor is None:
            kind = _row_fault(evidence, block, data) or "unknown"
            kinds.setdefault((kind, ""), []).append(block)
            continue
        remaining = factor / shared
        if matrices and block not in matrices and rows > 1:
            for kind, value in (("bias: mean for sum", 1 / rows), ("bias: sum for mean", rows)):
                if abs(remaining / value - 1) < 1e-3:
                    kinds.setdefault((kind, ""), []).append(block)
                    factor = shared
        if factor != 1:
            kind, detail = named_factor(factor, factors, rows, outputs)
            single = evidence.theta[block].size == 1 and abs(factor / shared - 1) > 1e-3
            if single and kind in ("factor", "averaged over another axis"):
                kind, detail = "unknown", ""  # any number is a multiple of any other
            kinds.setdefault((kind, detail), []).append(block)
    axis, grown = (("bias: wrong axis", ""), ("grown by broadcasting", ""))
    if axis in kinds:  # of one unit, a sum over it is δ itself
        alone = [block for block in kinds.get(grown, []) if evidence.theta[block].size == 1]
        kinds[axis] = sorted(kinds[axis] + alone)
        kinds[grown] = [block for block in kinds.get(grown, []) if block not in alone]
    return [
        Fault(kind, tuple(blocks), detail=detail)
        for (kind, detail), blocks in kinds.items()
        if blocks
    ]


def by_shape(evidence: Evidence, faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults of blocks whose update would change their shape.

    Blocks whose shape another fault explains are left out.
    """
    shapes = ("transposed", "grown by broadcasting", "bias: wrong axis", "bias: over all", "shape",
              "blocks in another order")  # fmt: skip
    explained = {block for fault in faults if fault.kind in shapes for block in fault.blocks}
    is_transposed = any(fault.kind == "transposed" for fault in faults)
    found: dict[str, list[int]] = {}
    details: dict[str, str] = {}
    for block, (theta, given) in enumerate(zip(evidence.theta, evidence.given, strict=True)):
        updated = update_shape(theta, given)
        if updated == theta.shape or block in explained:
            continue
        if is_transposed and given.shape == theta.shape[::-1]:  # a vector like the matrices
            continue
        lost = given.ndim < theta.ndim and reshaped(given, theta) is not None
        kind = "keepdims lost" if lost else "shape"
        found.setdefault(kind, []).append(block)
        becomes = "cannot be subtracted" if updated is None else f"θ - lr·dθ has shape {updated}"
        details.setdefault(kind, f"{given.shape} for {theta.shape}, so {becomes}")
    return [Fault(kind, tuple(blocks), detail=details[kind]) for kind, blocks in found.items()]


def in_another_order(evidence: Evidence, wrong: Sequence[int]) -> Fault | None:
    """Return the fault if each wrong block's gradient is that of another wrong block."""
    free = list(wrong)
    for block in wrong:
        given = evidence.given[block].astype(np.float64)
        others = [other for other in free if other != block and evidence.agrees(other, given)]
        if not others:
            return None
        free.remove(others[0])
    return Fault("blocks in another order", tuple(wrong))


def _row_fault(evidence: Evidence, block: int, data: Data | None) -> str | None:
    """Return the fault of a table of vectors, such as an embedding's, if any."""
    slope = evidence.slopes[block]
    given = reshaped(evidence.given[block].astype(np.float64), slope)
    if given is None or slope.ndim != 2 or not np.isfinite(slope).all() or len(slope) < 2:
        return None
    allowed = 10 * evidence.errors[block].sum(axis=0) + evidence.tolerance * np.abs(slope).sum()
    total = slope.sum(axis=0)
    if data is not None and not _are_indices(data.X):
        return None
    if (np.abs(total) > 10 * allowed).any() and (
        np.abs(given.sum(axis=0) - total) <= allowed
    ).all():
        return "embedding: wrong row"
    if data is not None:
        counts = np.bincount(data.X.astype(int).ravel(), minlength=len(slope))
        if len(counts) == len(slope):
            room = 10 * evidence.errors[block] + evidence.tolerance * np.abs(slope).max()
            differs = (np.abs(given - slope) > room + evidence.floor).any(axis=1)
            if differs.any() and (counts[differs] > 1).all():
                return "embedding: repeated rows"
    return None


def _are_indices(X: Array) -> bool:
    return bool((X >= 0).all() and (np.round(X) == X).all())


def _shared(factors: Sequence[float | None]) -> float:
    """Return the factor that all share; 1 if there is none."""
    known = [factor for factor in factors if factor is not None]
    if len(known) < max(len(factors), 1) or max(known) - min(known) > 1e-3 * abs(known[0]):
        return 1.0
    return known[0]


def _shape_fault(evidence: Evidence, block: int, shared: float, rows: int) -> str | None:
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
    if is_vector(evidence.theta[block]) and given.size == rows == max(given.shape, default=1) > 1:
        for total in (slope.sum(), slope.sum() / rows):
            if abs(given.sum() - total) <= 10 * evidence.tolerance * np.abs(given).sum():
                return "bias: wrong axis"
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
