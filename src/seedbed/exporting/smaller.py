"""Fewer members for a smaller exported model: which, and what they cost.

Members are chosen by the losses that training recorded on the rows that each of them held out, so
that test rows stay what they are: rows that nothing was chosen by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.errors import SettingError
from seedbed.metrics import Metric, Score, TargetKind, summary
from seedbed.population import Population
from seedbed.tables.model import TableModel


class HeldOut(NamedTuple):
    """Losses on rows that training held out, of each member on its own.

    members   all members' mean: what to expect of one member
    ensemble  of the mean prediction, for which only members that hold a row out predict it, so that
              all members on new rows may do better; None where training did not record it
    chosen    the chosen members' mean: biased to the low side, as they were chosen by it, and as
              members may hold out different rows
    """

    members: float
    ensemble: float | None
    chosen: float


def held_out_losses(population: Population) -> Array | None:
    """Return each member's loss on its held-out rows, (P,); None without one.

    It is that of the epoch whose parameters the member has; if that was not recorded, of the last
    recorded one before it.
    """
    history = population.history
    if history.val_loss is None or not len(history.epochs):
        return None
    at = np.searchsorted(history.epochs, population.best_epoch - 1, side="right") - 1
    found = np.take_along_axis(history.val_loss, np.maximum(at, 0)[:, None], axis=1)[:, 0]
    return found if np.isfinite(found[~population.diverged]).all() else None


def by_loss(population: Population) -> Indices:
    """Return the members that did not diverge, (k,), those of low held-out losses first.

    Without held-out rows they are in the order of training: chosen by nothing.

    Raises: SettingError if no member is left.
    """
    fitted = np.flatnonzero(~population.diverged)
    if not len(fitted):
        raise SettingError(f"all {len(population)} members diverged: there is none to export")
    losses = held_out_losses(population)
    return fitted if losses is None else fitted[np.argsort(losses[fitted], kind="stable")]


def held_out(population: Population, chosen: Indices) -> HeldOut | None:
    """Return what the chosen members cost on held-out rows; None if training held out none."""
    losses = held_out_losses(population)
    if losses is None:
        return None
    curve = population.history.ensemble_val_loss
    best = None if curve is None or not np.isfinite(curve).any() else float(np.nanmin(curve))
    return HeldOut(
        members=float(losses[~population.diverged].mean()),
        ensemble=best,
        chosen=float(losses[chosen].mean()),
    )


def taken(model: Population | TableModel, members: Indices) -> Population | TableModel:
    """Return a model of some of the members, (k,)."""
    if isinstance(model, Population):
        return model[members]
    return replace(model, population=model.population[members])


def fitting(sizes: Callable[[int], int], most: int, limit: int) -> int:
    """Return the most members, up to ``most``, whose file has at most ``limit`` bytes.

    Raises: SettingError if one member takes more.
    """
    if sizes(1) > limit:
        raise SettingError(
            f"one member takes {sizes(1) / 1024:,.1f} kB and max_kb is {limit / 1024:g}: raise it, "
            "or train a smaller network"
        )
    low, high = 1, most  # low fits; high + 1 does not, or is too many
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sizes(middle) <= limit else (low, middle - 1)
    return low


class Cost(NamedTuple):
    """A metric on rows: of the chosen members' mean prediction, and of all members'."""

    metric: Metric
    chosen: float
    whole: float


def costs(model: Population | TableModel, chosen: Indices, rows: Any) -> list[Cost]:
    """Return the scores of some members (k,) and of all on rows.

    rows  a table that holds the target

    Raises: SettingError for a population, which has no table; TableError, DataError.
    """
    if isinstance(model, Population):
        raise SettingError("rows are a table's, and a population has none: score it in Python")
    given, target = model.rows(rows), model.encoding.target
    kind: TargetKind = "classes" if target.classes else "labels" if target.labels else "numbers"
    numbers = kind == "numbers"
    t = target.in_target_units(given.targets) if numbers else given.targets

    def by_metric(of: Population) -> list[Score]:
        p = of.predict_mean(given.inputs).astype(np.float64)
        return summary(t, target.in_target_units(p) if numbers else p, kind)

    pairs = zip(by_metric(model.population[chosen]), by_metric(model.population), strict=True)
    return [Cost(some.metric, some.value, whole.value) for some, whole in pairs]
