"""Members whose loss stopped falling well above the others', and why."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.curves import distinguishing_setting, late_share
from seedbed.diagnosis.finding import Finding, count_of_members, places_of
from seedbed.diagnosis.gradient_flow import Measured, last_hidden
from seedbed.engines import objective
from seedbed.engines.batches import whole_batch
from seedbed.population import Population

_MIN_MEMBERS = _MIN_EPOCHS = 4
"""With fewer members or epochs none is called stuck."""
_STUCK_GAP, _OTHERS_GAP = 0.15, 0.05
"""A stuck member missed more than the first share of the best members' improvement; nine in ten of
the others missed less than the second."""
_MAX_COMPARED = 64
"""Other members that a stuck one is compared with."""
_MAX_RELATIVE_DISTANCE = 0.02
"""A member confuses two rows if their activations are closer than this share of the others'."""
_MAX_CONFUSABLE_ROWS = 32
"""With more rows, pairs of rows are not compared."""


def find(population: Population, measured: Measured, explained: set[int]) -> Iterator[Finding]:
    """Find members whose loss stopped falling well above the others'.

    ``explained`` are the members that have another finding.
    """
    stuck = _stuck(population)
    stuck[list(explained)] = False
    if stuck.any():
        stuck &= _above_on_equal_rows(population, measured, stuck)
    count = int(stuck.sum())
    if not count:
        return
    losses, fitted = population.loss, ~population.diverged
    order = np.flatnonzero(stuck)[np.argsort(losses[stuck], kind="stable")]
    example = int(order[(count - 1) // 2])
    others = fitted & ~stuck
    setting = distinguishing_setting(population, stuck)
    if setting:
        reason, remedy = f"they are the members with {setting}", "avoid those values"
    else:
        reason = (
            f"for example seed {population.seeds[example]} "
            f"{_reason(population, measured, example, others)}"
        )
        remedy = (
            "more hidden units, or weights scaled to the layer's size (glorot, he), make it rarer"
        )
    yield Finding(
        "stuck members",
        f"{count_of_members(count, len(population))} {'is' if count == 1 else 'are'} stuck at a "
        f"loss of {np.median(losses[stuck]):.3g}, "
        f"where the others reach {np.median(losses[others]):.3g}: {reason}; {remedy}",
        places_of(stuck),
    )


def _stuck(population: Population) -> Array:
    """Return which members are stuck, (P,).

    The improvement is from the members' first losses to the best tenth's. A stuck member missed
    much of it and no longer improves, while nearly all others reached it.
    """
    losses, curves = population.loss, population.history.train_loss
    none, finite = np.zeros(len(losses), dtype=np.bool_), np.isfinite(losses)
    if finite.sum() < _MIN_MEMBERS or curves.shape[1] < _MIN_EPOCHS:
        return none
    good, first = float(np.quantile(losses[finite], 0.1)), float(np.median(curves[finite, 0]))
    improvement = first - good
    if improvement < 0.1 * abs(first):
        return none
    gap = losses - good
    above = finite & (gap > _STUCK_GAP * max(improvement, abs(good)))
    others = gap[finite & ~above]
    if not len(others) or np.quantile(others, 0.9) > _OTHERS_GAP * improvement:
        return none
    late = curves[:, -max(2, curves.shape[1] // 4)]
    with np.errstate(invalid="ignore"):
        at_rest = np.abs(late - losses) < 0.1 * gap
        complete = np.isfinite(curves).all(axis=1)
        at_rest[complete] &= late_share(curves[complete]) < 0.1
    stuck = above & (at_rest | ~np.isfinite(late))
    return stuck if stuck.sum() < 0.9 * finite.sum() else none


def _above_on_equal_rows(population: Population, measured: Measured, stuck: Array) -> Array:
    """Return which members (P,) keep half of their gap to the others on the same rows.

    Members that hold out other rows have other training losses, above all where a few rows are
    outliers.
    """
    network, loss = population.network, population.recipe.loss
    others = np.flatnonzero(~population.diverged & ~stuck)[:_MAX_COMPARED]
    compared = np.r_[np.flatnonzero(stuck), others]
    batch = [whole_batch(measured.x, measured.t, None, loss)]
    own = np.full(len(population), np.nan)
    for start in range(0, len(compared), _MAX_COMPARED):
        members = compared[start : start + _MAX_COMPARED]
        theta = network.views(population.theta[members].astype(np.float64))
        own[members] = objective.evaluate(network, loss, theta, batch)
    gap, own_gap = (each - np.median(each[others]) for each in (population.loss, own))
    return (gap > 0) & (own_gap >= 0.5 * gap)


def _reason(population: Population, measured: Measured, member: int, others: Array) -> str:
    """Return why a member is stuck, as far as one pass shows it."""
    for number, layer in enumerate(population.network.layers[:-1], 1):
        idle = measured.idle[:, number - 1]
        share, usual = idle[member], np.median(idle[others])
        if share > max(0.5, 2 * usual):
            return (
                f"has {share:.0%} of the units of hidden layer {number} idle, where "
                f"{layer.activation.name} has no slope; the others have {usual:.0%}"
            )
    compared = np.r_[member, np.flatnonzero(others)[:_MAX_COMPARED]]
    a = last_hidden(population, measured, compared)
    confused = _confused_rows(measured.t, a, population.recipe.loss.targets == "classes")
    if confused is not None:
        first, second, targets = confused
        return (
            f"gives rows {first} and {second} the same activations in its last hidden layer, so "
            f"it cannot distinguish them, though their targets differ ({targets})"
        )
    rank, typical = _rank(a[0]), float(np.median([_rank(each) for each in a[1:]]))
    if rank <= 0.5 * typical:
        return (
            f"uses {rank} direction{'' if rank == 1 else 's'} of its last hidden layer where the "
            f"others use {typical:.0f}: its units repeat each other"
        )
    gap = population.loss[member] - np.median(population.loss[others])
    theta = population.theta[member].astype(np.float64)
    if 0.1 * np.linalg.norm(theta) * measured.gradient_norm[member] < _OTHERS_GAP * gap:
        return (
            f"is on a plateau: its gradient's norm is {measured.gradient_norm[member]:.2g}, too "
            "small to leave it"
        )
    return "shows no reason in one pass"


def _confused_rows(t: Array, a: Array, classes: bool) -> tuple[int, int, str] | None:
    """Return two rows that are the same to a member and not to the others, and their targets.

    Shapes: t (B, O); a (M, B, units), the member's activations first.
    """
    if len(t) > _MAX_CONFUSABLE_ROWS:
        return None
    for first, second in combinations(range(len(t)), 2):
        if np.allclose(t[first], t[second]):
            continue
        distances = np.linalg.norm(a[:, first] - a[:, second], axis=1)
        if distances[0] < _MAX_RELATIVE_DISTANCE * np.median(distances[1:]):
            targets = [
                f"{row.argmax()}" if classes else ", ".join(f"{value:g}" for value in row)
                for row in (t[first], t[second])
            ]
            return first, second, " and ".join(f"({x})" if "," in x else x for x in targets)
    return None


def _rank(a: Array) -> int:
    """Return the numerical rank of a layer's activations (B, units): singular values above 1 %."""
    if not np.isfinite(a).all():
        return 0
    values = np.linalg.svd(a - a.mean(axis=0), compute_uv=False)
    return int((values > 0.01 * values[0]).sum()) if values[0] > 0 else 0
