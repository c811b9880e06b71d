"""Faults of a backward pass, once it is known which network f computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.evidence import Evidence, Fault, factors_of, is_vector, named_factor, reshaped
from seedbed.checking.faulty_passes import BackwardPass, Model, backward_passes


def by_network(evidence: Evidence, model: Model, wrong: Sequence[int]) -> list[Fault] | None:
    """Return the fewest faults that together give f's gradient; None if no usual ones do."""
    inputs, passes = model.forward()[0], list(backward_passes(model))
    best: list[Fault] | None = None
    for unpenalized, penalty in _penalties(evidence, model):
        for backward in passes:
            if best is not None and len(backward.faults) + len(penalty) >= len(best):
                break  # passes are sorted by their number of faults
            faults = _remaining_faults(unpenalized, model, inputs, backward.deltas)
            if faults is None:
                continue
            together = [*_pass_faults(model, backward, wrong), *faults, *penalty]
            if best is None or len(together) < len(best):
                best = together
    return best


def _pass_faults(model: Model, backward: BackwardPass, wrong: Sequence[int]) -> Iterator[Fault]:
    """Yield a pass's faults with the blocks they affect: those of their layer and before."""
    for kind, place, layer in backward.faults:
        affected = {
            block
            for each in model.layers[: layer + 1]
            for block in (each.W_block, each.b_block)
            if block is not None and block in wrong
        }
        yield Fault(kind, tuple(sorted(affected)), place)


def _penalties(evidence: Evidence, model: Model) -> Iterator[tuple[Evidence, list[Fault]]]:
    """Yield the evidence without a penalty, for each strength that it may have in f's gradient.

    The loss's own strength (``Model.decay``) is right; none, or another, is a fault.
    """
    if not model.decay:
        yield evidence, []
        return
    yield _without_penalty(evidence, model, model.decay), []
    weights = tuple(layer.W_block for layer in model.layers)
    missing = Fault("decay missing in the gradient", weights, detail=f"λ {model.decay:.3g}")
    yield _without_penalty(evidence, model, 0.0), [missing]
    for factor in (2.0, 0.5, float(len(model.X)), 1 / len(model.X), -1.0):
        detail = f"λ {model.decay:.3g} in the loss, {factor * model.decay:.3g} in the gradient"
        other = Fault("decay of another strength", weights, detail=detail)
        yield _without_penalty(evidence, model, factor * model.decay), [other]


def _without_penalty(evidence: Evidence, model: Model, strength: float) -> Evidence:
    """Return the evidence without λ W in f's gradient and in the derivative."""
    given, slopes = list(evidence.given), list(evidence.slopes)
    for layer in model.layers:
        theta = evidence.theta[layer.W_block]
        gradient = reshaped(np.asarray(given[layer.W_block], dtype=np.float64), theta)
        if gradient is not None:
            given[layer.W_block] = gradient - strength * theta
        slopes[layer.W_block] = slopes[layer.W_block] - model.decay * theta
    return replace(evidence, given=given, slopes=slopes)


def _remaining_faults(
    evidence: Evidence, model: Model, inputs: Sequence[Array], deltas: Sequence[Array]
) -> list[Fault] | None:
    """Return the other faults with which these δ give f's gradient; None if no usual ones do."""
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        # whatever else is wrong, a weight's gradient is a multiple of the right one
        if not _is_multiple(evidence, layer.W_block, layer.dW(x, delta)):
            return None
    n, o = deltas[-1].shape
    factors = factors_of(n, o)
    everywhere = tuple(range(len(evidence.names)))
    best: list[Fault] | None = None
    for kind, factor in (("", 1.0), *factors.items()):  # one factor for all blocks
        by_kind = _block_faults(evidence, model, inputs, deltas, factor)
        if by_kind is None:
            continue
        faults = [
            Fault(
                each, blocks, detail=named_factor(factors[each], n, o)[1] if each in factors else ""
            )
            for each, blocks in (([(kind, everywhere)] if kind else []) + [*by_kind.items()])
        ]
        if best is None or _cost(faults, factors) < _cost(best, factors):
            best = faults
    return best


def _cost(faults: Sequence[Fault], factors: Mapping[str, float]) -> float:
    """Return the number of faults; among equals, fewer factors cost less."""
    return len(faults) + 0.1 * sum(fault.kind in factors for fault in faults)


def _block_faults(
    evidence: Evidence,
    model: Model,
    inputs: Sequence[Array],
    deltas: Sequence[Array],
    factor: float,
) -> dict[str, tuple[int, ...]] | None:
    """Return the blocks of each fault, besides a factor for all; None if no usual ones fit."""
    found: dict[str, list[int]] = {}
    factors = factors_of(*deltas[-1].shape)
    for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
        for block, candidates in (
            (layer.W_block, _scaled(layer.dW(x, delta), factors)),
            (layer.b_block, _bias_gradients(delta, factors)),
        ):
            if block is None:
                continue
            for kind, candidate in candidates:
                gradient = factor * candidate
                if (
                    block == layer.W_block
                    and not kind
                    and _is_transposed(evidence, block, gradient)
                ):
                    found.setdefault("transposed", []).append(block)
                    break
                if evidence.equals(block, gradient):
                    if kind:
                        found.setdefault(kind, []).append(block)
                    break
            else:
                return None
    return {kind: tuple(blocks) for kind, blocks in found.items()}


def _scaled(right: Array, factors: Mapping[str, float]) -> list[tuple[str, Array]]:
    return [(kind, factor * right) for kind, factor in ({"": 1.0} | {**factors}).items()]


def _bias_gradients(delta: Array, factors: Mapping[str, float]) -> Iterator[tuple[str, Array]]:
    n, o = delta.shape
    right = delta.sum(axis=0)
    yield "", right
    if n > 1:
        yield "bias: mean for sum", delta.mean(axis=0)
        yield "bias: sum for mean", n * right
    if o > 1:
        for total in (delta.mean(), delta.sum(), delta.mean() * o):
            yield "bias: over all", np.full(o, total)
            yield "bias: over all", np.asarray(total)
    if n > 1:
        for each in (delta.mean(axis=1), delta.sum(axis=1), n * delta.sum(axis=1)):
            yield "bias: wrong axis", each
    yield "grown by broadcasting", delta
    yield "grown by broadcasting", delta.T
    yield from _scaled(right, factors)[1:]


def _is_multiple(evidence: Evidence, block: int, right: Array) -> bool:
    """Return whether f's gradient is a multiple of ``right`` or of its transpose."""
    square = float(np.vdot(right, right))
    for each in (right, right.T):
        given = reshaped(evidence.given[block], each)
        if given is None:
            continue
        factor = float(np.vdot(given, each)) / square if square else 0.0
        if evidence.equals(block, factor * each):
            return True
    return False


def _is_transposed(evidence: Evidence, block: int, right: Array) -> bool:
    """Return whether f's gradient of a matrix is the right one's transpose."""
    if is_vector(evidence.theta[block]) or evidence.equals(block, right):
        return False
    return evidence.equals(block, right.T)
