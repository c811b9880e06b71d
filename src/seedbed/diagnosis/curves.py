"""What the losses tell, epoch by epoch: members that diverged, rates too high or too low."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, of_all
from seedbed.population import Population

_STILL = 0.1
"""More than this share of all that was gained, in the last half of the epochs: still falling."""
_FLIPS, _AMPLITUDE, _DROPPED = 0.4, 0.05, 0.25
"""The loss zigzags where more than the first share of its changes turn around, and the typical one
is more than the second of what was gained and of where the loss stands; more than the third where
dropout is on, which makes the loss jump at any rate."""
_WORSE = 0.2
"""A loss is worse than a constant's where it is above it by more than this share."""
_FEW = 0.1
"""Fewer of the members than this do not make a finding of their curves."""


def diverged(population: Population) -> Iterator[Finding]:
    """Count the members that diverged."""
    count = int(population.diverged.sum())
    if count:
        yield Finding(
            "diverged",
            f"{count} of {len(population)} members diverged and predict nothing: lower the "
            "learning rate, or set clip_norm",
            _places(population.diverged),
        )


def rates(population: Population, constant: float) -> Iterator[Finding]:
    """Look for learning rates that are too high, else too low for the epochs.

    Too high: the training loss zigzags in the last half of the epochs, or ends above where it
    began, or above that of a constant, without falling any more. Too low: it is still falling. The
    ensemble's validation loss, where it was watched, speaks for all members in that; else each has
    its own, or its training loss.
    """
    shares, what = _late_shares(population)
    falling = shares > _STILL
    numbers = population.recipe.numbers(len(population), np.float64)
    penalized, drops = (
        np.broadcast_to(each[:, 0] > 0, len(population))
        for each in (numbers.l1 + numbers.l2, numbers.dropout)
    )
    troubles = np.zeros((3, len(population)), dtype=np.bool_)
    for member in np.flatnonzero(~population.diverged):
        curve = population.history.train_loss[member]
        swing = _DROPPED if drops[member] else _AMPLITUDE
        troubles[:, member] = _troubles(curve[np.isfinite(curve)], constant, swing)
    troubles[1:, penalized | drops] = False  # which may hold the loss up
    troubles[2, falling] = False
    zigzags, rises, worse = troubles
    wrong = np.asarray(troubles.any(axis=0))
    if wrong.sum() > _FEW * len(population):
        chosen, happens = max(
            (zigzags, "zigzags"),
            (rises, "ends above where it began"),
            (worse, f"stays above {constant:.3g}, that of predicting the mean"),
            key=lambda each: each[0].sum(),
        )
        yield Finding(
            "rate too high",
            f"the training loss of {of_all(int(wrong.sum()), len(population))} {happens} (seed "
            f"{population.seeds[np.flatnonzero(chosen)[0]]}, for one){_settings(population, wrong)}"
            ": the learning rate is too high; lower it, or let a schedule do so",
            _places(wrong),
        )
    falling &= ~wrong
    alone = population.history.ensemble_val_loss is None
    if falling.sum() > (_FEW * len(population) if alone else 0):
        of = "" if falling.all() else f" of {of_all(int(falling.sum()), len(population))}"
        yield Finding(
            "still falling",
            f"the {what}{of} was still falling after {population.recipe.epochs} epochs: "
            f"{np.median(shares[falling]):.0%} of all that was gained came in the last half of "
            f"them{_settings(population, falling)}; train for more epochs (max_iter), or at a "
            "higher learning rate",
            _places(falling),
        )


def _troubles(curve: Array, constant: float, share: float) -> tuple[bool, bool, bool]:
    """Return whether a training loss (E,) zigzags, ends above its beginning, or a constant's."""
    if len(curve) < 8:
        return False, False, False
    known = constant if constant > 1e-9 * abs(curve[0]) else np.inf  # else nothing is to learn
    late = curve[len(curve) // 2 :]
    change, stands = np.diff(late), float(np.median(late))
    turned = (change[1:] * change[:-1] < 0).mean() > _FLIPS
    gained = min(curve[0], known) - curve.min()
    return (
        bool(turned and np.abs(change).mean() > share * max(gained, abs(stands))),
        bool(stands > curve[0] + _AMPLITUDE * abs(curve[0])),
        bool(stands > (1 + _WORSE) * known),
    )


def _late_shares(population: Population) -> tuple[Array, str]:
    """Return how much of all that each loss lost it lost in its last half, and which loss it is."""
    history = population.history
    curves, what = history.train_loss, "training loss"
    if history.val_loss is not None:
        curves, what = history.val_loss, "validation loss"
    if history.ensemble_val_loss is not None:
        curves = np.broadcast_to(history.ensemble_val_loss, curves.shape)
    whole = (population.status == "finished") & (population.epochs == population.recipe.epochs)
    return np.array([
        _late_share(curve) if ended else 0.0 for curve, ended in zip(curves, whole, strict=True)
    ]), what  # fmt: skip


def _late_share(curve: Array) -> float:
    """Return how much of all that a loss lost it lost in its last half; 0 where it rose again."""
    if len(curve) < 4 or not np.isfinite(curve).all():
        return 0.0
    least, begun = curve.min(), curve[: len(curve) // 2].min()
    gained = curve[0] - least
    if gained <= 0.01 * abs(curve[0]) or curve.argmin() < 0.9 * (len(curve) - 1):
        return 0.0
    return float((begun - least) / gained)


def _settings(population: Population, wrong: Array) -> str:
    """Return what sets the members apart that are ``wrong``, if one hyperparameter does."""
    apart = apart_by(population, wrong)
    return f", which are those with {apart}" if apart else ""


def apart_by(population: Population, chosen: Array) -> str | None:
    """Return the hyperparameter's values that the chosen members have and no other, in words."""
    if chosen.all() or not chosen.any():
        return None
    for name, values in population.settings.items():
        theirs, others = values[chosen], values[~chosen & ~population.diverged]
        if len(others) and theirs.min() > others.max():
            return f"{name} of {theirs.min():g} or more"
        if len(others) and theirs.max() < others.min():
            return f"{name} of {theirs.max():g} or less"
    return None


def _places(chosen: Array) -> tuple[int, ...]:
    return tuple(np.flatnonzero(chosen).tolist())
