"""Faults of a backward pass, once it is known which network f computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from seedbed.arrays import Array
from seedbed.checking.evidence import (
    FACTOR_KINDS,
    Evidence,
    Factor,
    Fault,
    factors_of,
    is_vector,
    named_factor,
    reshaped,
)
from seedbed.checking.faulty_passes import BackwardPass, Layer, Model, backward_passes, right_deltas

Inputs = tuple[str, str, Array]
"""The kind of mistake and its detail, both empty if right, and a layer's inputs (N, I)."""


def by_network(evidence: Evidence, model: Model, wrong: Sequence[int]) -> list[Fault] | None:
    """Return the fewest faults that together give f's gradient; None if no usual ones do."""
    inputs = _inputs(model)
    best: list[Fault] | None = None
    for unpenalized, penalty in _penalties(evidence, model):

        def fits(number: int, delta: Array, evidence: Evidence = unpenalized) -> bool:
            # whatever else is wrong, a weight's gradient is a multiple of the right one
            layer = model.layers[number]
            return any(
                _is_multiple(evidence, layer.W_block, layer.dW(x, delta))
                for _, _, x in inputs[number]
            )

        for backward in backward_passes(model, fits):
            if best is not None and len(backward.faults) + len(penalty) >= len(best):
                break  # passes are sorted by their number of faults
            faults = _remaining_faults(unpenalized, model, inputs, backward.deltas)
            if faults is None:
                continue
            together = [*_pass_faults(model, backward, wrong), *faults, *penalty]
            if best is None or len(together) < len(best):
                best = together
    return best or _one_row(_without_penalty(evidence, model, model.decay), model)


def _one_row(evidence: Evidence, model: Model) -> list[Fault] | None:
    """Return the fault if f's gradient is a multiple of the last or the first row's."""
    if len(model.X) == 1:
        return None
    inputs, deltas = model.forward()[0], right_deltas(model)
    for row, name in ((len(model.X) - 1, "the last"), (0, "the first")):
        pairs = []
        for layer, x, delta in zip(model.layers, inputs, deltas, strict=True):
            only = slice(row, row + 1)
            pairs.append((layer.W_block, layer.dW(x[only], delta[only])))
            if layer.b_block is not None:
                pairs.append((layer.b_block, delta[row]))
        last = max(pairs, key=lambda pair: float(np.abs(pair[1]).max()))
        given = reshaped(evidence.given[last[0]], last[1])
        if given is None or not last[1].any():
            continue
        factor = float(np.vdot(given, last[1]) / np.vdot(last[1], last[1]))
        if factor and all(evidence.equals(block, factor * each) for block, each in pairs):
            return [
                Fault("one row only", tuple(block for block, _ in pairs), detail=f"{name} {{row}}")
            ]
    return None


def _inputs(model: Model) -> list[list[Inputs]]:
    """Return each layer's inputs, and those of the same width that may be mistaken for them."""
    rights, zs, _ = model.forward()
    found = []
    for number, right in enumerate(rights):
        candidates: list[Inputs] = [("", "", right)]
        if number:
            detail = f"layer {number}'s z"
            candidates.append(("inputs before the activation", detail, zs[number - 1]))
        for other, x in enumerate([*rights, model.forward()[2][-1]]):
            if other != number and x.shape == right.shape:
                detail = f"layer {other}'s a" if other else "X"
                candidates.append(("inputs of another layer", detail, x))
        found.append(candidates)
    return found


def _pass_faults(model: Model, backward: BackwardPass, wrong: Sequence[int]) -> Iterator[Fault]:
    """Yield a pass's faults with the blocks they affect: those of their layer and before."""
    for fault in backward.faults:
        affected = {
            block
            for each in model.layers[: fault.layer + 1]
            for block in (each.W_block, each.b_block)
            if block is not None and block in wrong
        }
        yield Fault(fault.kind, tuple(sorted(affected)), fault.place, fault.detail)


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
    evidence: Evidence,
    model: Model,
    inputs: Sequence[Sequence[Inputs]],
    deltas: Sequence[Array],
) -> list[Fault] | None:
    """Return the other faults with which these δ give f's gradient; None if no usual ones do."""
    n, o = deltas[-1].shape
    factors = _factors(model)
    everywhere = tuple(range(len(evidence.names)))
    best: list[Fault] | None = None
    for overall in (None, *factors):  # one factor for all blocks
        value = 1.0 if overall is None else overall.value
        faults = _block_faults(evidence, model, inputs, deltas, value)
        if faults is None:
            continue
        if overall is not None:
            kind, detail = named_factor(value, factors, n, o)
            faults = [Fault(kind, everywhere, detail=detail), *faults]
        if best is None or _cost(faults) < _cost(best):
            best = faults
    return best


def _factors(model: Model, layer: Layer | None = None) -> list[Factor]:
    """Return the usual factors; a layer's own ones include its widths."""
    n, o = model.T.shape
    widths = [("inputs", model.X.shape[1]), ("outputs", o)]
    if layer is not None:
        shape = layer.W.shape[::-1] if layer.transposed else layer.W.shape
        widths = [("inputs of the layer", shape[0]), ("units of the layer", shape[1])]
    return factors_of(n, o, widths)


def _cost(faults: Sequence[Fault]) -> float:
    """Return the number of faults; among equals, fewer factors cost less."""
    return len(faults) + 0.1 * sum(fault.kind in FACTOR_KINDS for fault in faults)


def _block_faults(
    evidence: Evidence,
    model: Model,
    inputs: Sequence[Sequence[Inputs]],
    deltas: Sequence[Array],
    factor: float,
) -> list[Fault] | None:
    """Return the faults of single blocks, besides a factor for all; None if no usual ones fit."""
    found: dict[tuple[str, str], list[int]] = {}
    for layer, entering, delta in zip(model.layers, inputs, deltas, strict=True):
        factors = _factors(model, layer)
        for block, candidates in (
            (layer.W_block, _weight_gradients(layer, entering, delta, factors)),
            (layer.b_block, _bias_gradients(delta, factors)),
        ):
            if block is None:
                continue
            for fault, candidate in candidates:
                gradient = factor * candidate
                if (
                    block == layer.W_block
                    and not fault[0]
                    and _is_transposed(evidence, block, gradient)
                ):
                    found.setdefault(("transposed", ""), []).append(block)
                    break
                if evidence.equals(block, gradient):
                    if fault[0]:
                        found.setdefault(fault, []).append(block)
                    break
            else:
                return None
    faults = []
    for kind in dict.fromkeys(kind for kind, _ in found):
        same = [(detail, blocks) for (other, detail), blocks in found.items() if other == kind]
        details = "; ".join(detail for detail, _ in same if detail)
        faults.append(
            Fault(kind, tuple(sorted({i for _, each in same for i in each})), "", details)
        )
    return faults


Candidate = tuple[tuple[str, str], Array]
"""A block's gradient with one fault: the fault's kind and detail, both empty if none."""


def _weight_gradients(
    layer: Layer, entering: Sequence[Inputs], delta: Array, factors: Sequence[Factor]
) -> Iterator[Candidate]:
    right = layer.dW(entering[0][2], delta)
    yield ("", ""), right
    yield from _scaled(right, delta, factors)
    for kind, detail, x in entering[1:]:
        yield (kind, detail), layer.dW(x, delta)


def _scaled(right: Array, delta: Array, factors: Sequence[Factor]) -> Iterator[Candidate]:
    for each in factors:
        yield named_factor(each.value, factors, *delta.shape), each.value * right


def _bias_gradients(delta: Array, factors: Sequence[Factor]) -> Iterator[Candidate]:
    n, o = delta.shape
    right = delta.sum(axis=0)
    yield ("", ""), right
    if n > 1:
        yield ("bias: mean for sum", ""), delta.mean(axis=0)
        yield ("bias: sum for mean", ""), n * right
    if o > 1:
        for total in (delta.mean(), delta.sum(), delta.mean() * o):
            yield ("bias: over all", ""), np.full(o, total)
            yield ("bias: over all", ""), np.asarray(total)
    if n > 1:
        for each in (delta.mean(axis=1), delta.sum(axis=1), n * delta.sum(axis=1)):
            yield ("bias: wrong axis", ""), each
    yield ("grown by broadcasting", ""), delta
    yield ("grown by broadcasting", ""), delta.T
    yield from _scaled(right, delta, factors)


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
