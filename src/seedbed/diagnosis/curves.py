"""What the losses tell, epoch by epoch: members that diverged, rates too high or too low."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, of_all
from seedbed.diagnosis.passes import LEAST_EPOCHS
from seedbed.population import Population

_STILL, _STILL_TRAINING = 0.1, 0.15
"""More than this share of all that was gained, in the last half of the epochs: still falling. A
training loss always falls a little."""
_FLIPS, _AMPLITUDE, _DROPPED = 0.4, 0.05, 0.25
"""The loss zigzags where more than the first share of its changes turn around, and the typical one
is more than the second of what was gained and of where the loss stands; more than the third where
dropout is on, which makes the loss jump at any rate."""
_WORSE = 0.2
"""A loss is worse than a constant's where it is above it by more than this share."""
_DECAY = 0.1
"""Decoupled weight decay of more than this may hold the loss up, as penalties do."""
_FEW, _SOME = 0.1, 0.25
"""Fewer of the members than the first share do not make a finding of their curves; than the second,
none of being still on their way."""


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


def rates(population: Population, constant: float, begun: Array) -> Iterator[Finding]:
    """Look for learning rates that are too high, else too low for the epochs.

    Too high: the training loss zigzags in the last half of the epochs, ends above where it began,
    or jumped up and is still above that of a constant. Too low: it hardly moved from there. Still
    falling: the last half of the epochs brought much of what was gained. The ensemble's validation
    loss, where it was watched, speaks for all members in that; else each has its own, or its
    training loss.

    begun  (P,) the loss of what the seeds draw
    """
    numbers = population.recipe.hyperparameters(len(population), np.float64)
    penalized, drops = (
        np.broadcast_to(each[:, 0] > 0, len(population))
        for each in (numbers.l1 + numbers.l2 + (numbers.weight_decay > _DECAY), numbers.dropout)
    )
    troubles = np.zeros((4, len(population)), dtype=np.bool_)
    curves, swing = population.history.train_loss, np.where(drops, _DROPPED, _AMPLITUDE)
    lengths = np.isfinite(curves).sum(axis=1)
    lengths[population.diverged] = 0
    for length in np.unique(lengths[lengths >= LEAST_EPOCHS]):  # members that stopped together
        these = np.flatnonzero(lengths == length)
        troubles[:, these] = _troubles(curves[these, :length], constant, begun[these], swing[these])
    troubles[1:, penalized | drops] = False  # which may hold the loss up
    zigzags, rises, worse, unmoved = troubles
    high, least = np.asarray(zigzags | rises | worse), _FEW * len(population)
    above = f"stays above {constant:.3g}, that of predicting the mean"
    if high.sum() > least:
        chosen, happens = max(
            (zigzags, "zigzags"),
            (rises, "ends above where it began"),
            (worse, above),
            key=lambda each: each[0].sum(),
        )
        yield Finding(
            "rate too high",
            f"the training loss of {of_all(int(high.sum()), len(population))} {happens} (seed "
            f"{population.seeds[np.flatnonzero(chosen)[0]]}, for one){_settings(population, high)}"
            ": the learning rate is too high; lower it, or let a schedule do so",
            _places(high),
        )
    low = np.asarray(unmoved & ~high)
    if low.sum() > least:
        yield Finding(
            "rate too low",
            f"the training loss of {of_all(int(low.sum()), len(population))} hardly moved and "
            f"{above}{_settings(population, low)}: raise the learning rate",
            _places(low),
        )
    yield from _still_falling(population, ~(high | low))


def _still_falling(population: Population, others: Array) -> Iterator[Finding]:
    history = population.history
    curves, what, least = history.train_loss, "training loss", _STILL_TRAINING
    told = "; train for more epochs, or at a higher learning rate, and hold rows out to see whether"
    told += " that helps"
    if history.val_loss is not None:
        curves, what, least = history.val_loss, "validation loss", _STILL
        told = "; train for more epochs, or at a higher learning rate"
    if history.ensemble_val_loss is not None:
        curves = np.broadcast_to(history.ensemble_val_loss, curves.shape)
    whole = (population.status == "finished") & (population.epochs == population.recipe.epochs)
    whole &= np.isfinite(curves).all(axis=1) & others
    shares = np.zeros(len(population))
    if curves.shape[1] >= 4:
        shares[whole] = late_share(curves[whole])
    falling = shares > least
    some = 1 if history.ensemble_val_loss is not None else max(1, _SOME * len(population))
    if falling.sum() >= some:
        of = "" if falling.all() else f" of {of_all(int(falling.sum()), len(population))}"
        yield Finding(
            "still falling",
            f"the {what}{of} was still falling after {population.recipe.epochs} epochs: "
            f"{np.median(shares[falling]):.0%} of all that was gained came in the last half of "
            f"them{_settings(population, falling)}{told}",
            _places(falling),
        )


def _troubles(curves: Array, constant: float, begun: Array, share: Array) -> Array:
    """Return whether training losses (M, E) zigzag, end above their beginning, are worse than a
    constant after they jumped, or are so and hardly moved.

    ``share`` (M,) is how much a zigzag must be of what was gained; returns (4, M).
    """
    first, least = curves[:, 0], curves.min(axis=1)
    late = curves[:, curves.shape[1] // 2 :]
    change, stands = np.diff(late), np.median(late, axis=1)
    turned = (change[:, 1:] * change[:, :-1] < 0).mean(axis=1) > _FLIPS
    gained = np.minimum(first, constant) - least
    wide = np.abs(change).mean(axis=1) > share * np.maximum(gained, np.abs(stands))
    rises = stands > first + _AMPLITUDE * np.abs(first)
    above = stands > constant + _WORSE * abs(constant)
    jumped = (np.diff(curves) > _WORSE * np.abs(curves[:, :-1])).any(axis=1)
    jumped |= first > 5 * np.maximum(np.abs(begun), abs(constant))  # within the first epoch
    unmoved = np.ptp(curves, axis=1) < 0.01 * np.abs(first)
    return np.array([turned & wide, rises, above & jumped, above & unmoved])


def late_share(curves: Array) -> Array:
    """Return how much of all that losses (M, E) lost they lost in their last half, (M,).

    It is 0 where a loss rose again, or hardly fell.
    """
    least, half = curves.min(axis=1), curves.shape[1] // 2
    begun, gained = curves[:, :half].min(axis=1), curves[:, 0] - least
    falls = (gained > 0.01 * np.abs(curves[:, 0])) | ((np.diff(curves) < 0).mean(axis=1) > 0.95)
    falls &= (gained > 0) & (curves.argmin(axis=1) >= 0.9 * (curves.shape[1] - 1))
    return np.where(falls, (begun - least) / np.where(falls, gained, 1), 0.0)


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
