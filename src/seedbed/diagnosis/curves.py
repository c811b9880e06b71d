"""Faults that show in the loss curves: divergence, and learning rates too high or too low."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, count_of_members, places_of
from seedbed.diagnosis.gradient_flow import MIN_CURVE_EPOCHS
from seedbed.population import Population

_MAX_LATE_VAL, _MAX_LATE_TRAIN = 0.1, 0.15
"""A validation or training loss is still falling if more than this share of its improvement came in
the last half of the epochs. A training loss always falls a little."""
_MIN_TURNS = 0.4
"""A loss zigzags if more than this share of its changes reverse the one before …"""
_MIN_SWING, _MIN_SWING_DROPOUT = 0.05, 0.25
"""… and the mean change exceeds this share of the improvement and of the loss itself; dropout alone
makes the loss jump."""
_WORSE_THAN_CONSTANT = 0.2
"""A loss is worse than a constant prediction's if it exceeds it by more than this share."""
_MAX_DECAY = 0.1
"""More decoupled weight decay than this may hold the loss up, as penalties do."""
_MIN_MEMBERS, _MIN_MEMBERS_FALLING = 0.1, 0.25
"""Share of the members that makes a finding of their curves, and of curves still falling."""


def diverged(population: Population) -> Iterator[Finding]:
    """Count the members that diverged."""
    count = int(population.diverged.sum())
    if count:
        yield Finding(
            "diverged",
            f"{count} of {len(population)} members diverged and predict nothing: lower the "
            "learning rate, or set clip_norm",
            places_of(population.diverged),
        )


def learning_rates(population: Population, constant: float, initial: Array) -> Iterator[Finding]:
    """Look for learning rates that are too high, or too low for the number of epochs.

    Too high: in the last half of the epochs the training loss zigzags, is above its first value, or
    has jumped and is still above that of a constant prediction. Too low: it is above that of a
    constant prediction and hardly moved. Still falling: much of a loss's improvement came in the
    last half of the epochs. That loss is the ensemble's validation loss if it was monitored, else
    each member's validation loss, or without one its training loss.

    constant  the loss of predicting the mean
    initial   (P,) the losses before training
    """
    hyperparameters = population.recipe.hyperparameters(len(population), np.float64)
    decays = hyperparameters.weight_decay > _MAX_DECAY
    penalized, drops = (
        np.broadcast_to(each[:, 0] > 0, len(population))
        for each in (hyperparameters.l1 + hyperparameters.l2 + decays, hyperparameters.dropout)
    )
    faults = np.zeros((4, len(population)), dtype=np.bool_)
    curves, swing = population.history.train_loss, np.where(drops, _MIN_SWING_DROPOUT, _MIN_SWING)
    lengths = np.isfinite(curves).sum(axis=1)
    lengths[population.diverged] = 0
    for length in np.unique(lengths[lengths >= MIN_CURVE_EPOCHS]):  # members that stopped together
        these = np.flatnonzero(lengths == length)
        faults[:, these] = _faults(curves[these, :length], constant, initial[these], swing[these])
    faults[1:, penalized | drops] = False  # penalties and dropout hold the loss up
    zigzags, rises, worse, unmoved = faults
    high, least = np.asarray(zigzags | rises | worse), _MIN_MEMBERS * len(population)
    above = f"stays above {constant:.3g}, that of predicting the mean"
    if high.sum() > least:
        example, verb = max(
            (zigzags, "zigzags"),
            (rises, "ends above where it began"),
            (worse, above),
            key=lambda each: each[0].sum(),
        )
        yield Finding(
            "rate too high",
            f"the training loss of {count_of_members(int(high.sum()), len(population))} {verb} "
            f"(for example seed {population.seeds[np.flatnonzero(example)[0]]})"
            f"{_shared_setting(population, high)}: the learning rate is too high; lower it, or use "
            "a schedule that does",
            places_of(high),
        )
    low = np.asarray(unmoved & ~high)
    if low.sum() > least:
        yield Finding(
            "rate too low",
            f"the training loss of {count_of_members(int(low.sum()), len(population))} hardly "
            f"moved and {above}{_shared_setting(population, low)}: raise the learning rate",
            places_of(low),
        )
    yield from _still_falling(population, ~(high | low))


def _still_falling(population: Population, others: Array) -> Iterator[Finding]:
    history = population.history
    curves, which, limit = history.train_loss, "training loss", _MAX_LATE_TRAIN
    remedy = "train for more epochs, or at a higher learning rate"
    if history.val_loss is None:
        remedy += ", and hold rows out to see whether that helps"
    else:
        curves, which, limit = history.val_loss, "validation loss", _MAX_LATE_VAL
    if history.ensemble_val_loss is not None:
        curves = np.broadcast_to(history.ensemble_val_loss, curves.shape)
    complete = (population.status == "finished") & (population.epochs == population.recipe.epochs)
    complete &= np.isfinite(curves).all(axis=1) & others
    shares = np.zeros(len(population))
    if curves.shape[1] >= 4:
        shares[complete] = late_share(curves[complete])
    falling = shares > limit
    least = 1 if history.ensemble_val_loss is not None else max(
        1, _MIN_MEMBERS_FALLING * len(population))  # fmt: skip
    if falling.sum() >= least:
        count = count_of_members(int(falling.sum()), len(population))
        yield Finding(
            "still falling",
            f"the {which}{'' if falling.all() else f' of {count}'} was still falling after "
            f"{population.recipe.epochs} epochs: {np.median(shares[falling]):.0%} of its "
            f"improvement came in the last half of them{_shared_setting(population, falling)}; "
            f"{remedy}",
            places_of(falling),
        )


def _faults(curves: Array, constant: float, initial: Array, swing: Array) -> Array:
    """Return which training losses (M, E) have which fault, (4, M).

    In this order: it zigzags by more than ``swing`` (M,); it ends above its first value; it is
    worse than a constant prediction's after a jump; it is worse and hardly moved.
    """
    first, least = curves[:, 0], curves.min(axis=1)
    late = curves[:, curves.shape[1] // 2 :]
    change, level = np.diff(late), np.median(late, axis=1)
    turns = (change[:, 1:] * change[:, :-1] < 0).mean(axis=1) > _MIN_TURNS
    improvement = np.minimum(first, constant) - least
    wide = np.abs(change).mean(axis=1) > swing * np.maximum(improvement, np.abs(level))
    rises = level > first + _MIN_SWING * np.abs(first)
    above = level > constant + _WORSE_THAN_CONSTANT * abs(constant)
    jumped = (np.diff(curves) > _WORSE_THAN_CONSTANT * np.abs(curves[:, :-1])).any(axis=1)
    jumped |= first > 5 * np.maximum(np.abs(initial), abs(constant))  # within the first epoch
    unmoved = np.ptp(curves, axis=1) < 0.01 * np.abs(first)
    return np.array([turns & wide, rises, above & jumped, above & unmoved])


def late_share(curves: Array) -> Array:
    """Return the share of the improvement of losses (M, E) that came in the last half, (M,).

    It is 0 for a loss that rose again or hardly fell.
    """
    least, half = curves.min(axis=1), curves.shape[1] // 2
    before, improvement = curves[:, :half].min(axis=1), curves[:, 0] - least
    falls = (improvement > 0.01 * np.abs(curves[:, 0])) | (
        (np.diff(curves) < 0).mean(axis=1) > 0.95
    )
    falls &= (improvement > 0) & (curves.argmin(axis=1) >= 0.9 * (curves.shape[1] - 1))
    return np.where(falls, (before - least) / np.where(falls, improvement, 1), 0.0)


def _shared_setting(population: Population, members: Array) -> str:
    setting = distinguishing_setting(population, members)
    return f", the members with {setting}" if setting else ""


def distinguishing_setting(population: Population, members: Array) -> str | None:
    """Return the range of a hyperparameter that these members have and no other, in words."""
    if members.all() or not members.any():
        return None
    for name, values in population.settings.items():
        own, others = values[members], values[~members & ~population.diverged]
        if len(others) and own.min() > others.max():
            return f"{name} of {own.min():g} or more"
        if len(others) and own.max() < others.min():
            return f"{name} of {own.max():g} or less"
    return None
