"""Members stuck apart from the rest, and why the first of them is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.curves import apart_by, late_share
from seedbed.diagnosis.finding import Finding, of_all
from seedbed.diagnosis.passes import Seen, last
from seedbed.population import Population

_LEAST = 4
"""Members among which some can be apart."""
_MISSED, _NEAR = 0.15, 0.05
"""Who is stuck has missed more than the first share of all that the best members gained; nine in
ten of the others less than the second."""
_OTHERS = 64
"""Members that one is compared with, at most."""
_SAME = 0.02
"""Two rows are the same to a layer where they are this much nearer than its rows are apart."""


def members(population: Population, seen: Seen, explained: set[int]) -> Iterator[Finding]:
    """Look for members whose loss came to rest well above that of the others.

    ``explained`` are those of whom something else has been found.
    """
    stuck = _apart(population)
    stuck[list(explained)] = False
    count = int(stuck.sum())
    if not count:
        return
    losses, fitted = population.loss, ~population.diverged
    order = np.flatnonzero(stuck)[np.argsort(losses[stuck], kind="stable")]
    example = int(order[(count - 1) // 2])
    others = fitted & ~stuck
    apart = apart_by(population, stuck)
    reason = _reason(population, seen, example, others)
    because = f"they are those with {apart}" if apart else (
        f"seed {population.seeds[example]}, for one, {reason}")  # fmt: skip
    remedy = "leave those values out"
    if not apart:
        remedy = (
            "more hidden units, or weights drawn to the layer's size (glorot, he), make it rarer"
        )
    yield Finding(
        "stuck members",
        f"{of_all(count, len(population))} {'is' if count == 1 else 'are'} stuck at a loss of "
        f"{np.median(losses[stuck]):.3g}, "
        f"where the others reach {np.median(losses[others]):.3g}: {because}; {remedy}",
        tuple(np.flatnonzero(stuck).tolist()),
    )


def _apart(population: Population) -> Array:
    """Return which members are stuck, (P,).

    All that was gained is from the members' first losses to that which the best tenth reach. Stuck
    are those that missed much of it and have come to rest, where nearly all others have it all.
    """
    losses, curves = population.loss, population.history.train_loss
    none, there = np.zeros(len(losses), dtype=np.bool_), np.isfinite(losses)
    if there.sum() < _LEAST or curves.shape[1] < _LEAST:
        return none
    good, begun = float(np.quantile(losses[there], 0.1)), float(np.median(curves[there, 0]))
    gained = begun - good
    if gained < 0.1 * abs(begun):
        return none
    missed = losses - good
    above = there & (missed > _MISSED * max(gained, abs(good)))
    others = missed[there & ~above]
    if not len(others) or np.quantile(others, 0.9) > _NEAR * gained:
        return none
    late = curves[:, -max(2, curves.shape[1] // 4)]
    with np.errstate(invalid="ignore"):
        rests = np.abs(late - losses) < 0.1 * (losses - good)
        whole = np.isfinite(curves).all(axis=1)
        rests[whole] &= late_share(curves[whole]) < 0.1
    stuck = above & (rests | ~np.isfinite(late))
    return stuck if stuck.sum() < 0.9 * there.sum() else none


def _reason(population: Population, seen: Seen, member: int, others: Array) -> str:
    """Return why a member is stuck, as far as one pass shows it."""
    for number, layer in enumerate(population.network.layers[:-1], 1):
        share, usual = seen.idle[member, number - 1], np.median(seen.idle[others, number - 1])
        if share > max(0.5, 2 * usual):
            return (
                f"has {share:.0%} of the units of hidden layer {number} idle, where "
                f"{layer.activation.name} gives them no slope; the others have {usual:.0%}"
            )
    chosen = np.r_[member, np.flatnonzero(others)[:_OTHERS]]
    a = last(population, seen, chosen)
    alike = _alike(seen.t, a, population.recipe.loss.targets == "classes")
    if alike is not None:
        first, second, told = alike
        return (
            f"gives rows {first} and {second} the same in its last hidden layer, so it cannot tell "
            f"them apart, though their targets differ ({told})"
        )
    mine, theirs = _rank(a[0]), float(np.median([_rank(each) for each in a[1:]]))
    if mine <= 0.5 * theirs:
        return (
            f"uses {mine} direction{'' if mine == 1 else 's'} of its last hidden layer where the "
            f"others use {theirs:.0f}: its units repeat each other"
        )
    missed = population.loss[member] - np.median(population.loss[others])
    theta = population.theta[member].astype(np.float64)
    if 0.1 * np.linalg.norm(theta) * seen.length[member] < _NEAR * missed:
        return (
            f"stands on a flat place: its gradient's length is {seen.length[member]:.2g}, too "
            "little to lead it away"
        )
    return "shows no reason in one pass"


def _alike(t: Array, a: Array, classes: bool) -> tuple[int, int, str] | None:
    """Return two rows of different targets that are the same to a member and not to the others.

    Shapes: t (B, O); a (M, B, units), the member's activations first.
    """
    if len(t) > 32:
        return None
    for first, second in combinations(range(len(t)), 2):
        if np.allclose(t[first], t[second]):
            continue
        distances = np.linalg.norm(a[:, first] - a[:, second], axis=1)
        if distances[0] < _SAME * np.median(distances[1:]):
            told = [
                f"{row.argmax()}" if classes else ", ".join(f"{value:g}" for value in row)
                for row in (t[first], t[second])
            ]
            return first, second, " and ".join(f"({x})" if "," in x else x for x in told)
    return None


def _rank(a: Array) -> int:
    """Return how many directions a layer's activations (B, units) take up, bar a hundredth."""
    if not np.isfinite(a).all():
        return 0
    lengths = np.linalg.svd(a - a.mean(axis=0), compute_uv=False)
    return int((lengths > 0.01 * lengths[0]).sum()) if lengths[0] > 0 else 0
