"""The plot of the loss along a line through a member's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_index, checked_number
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.plots.page import axes_or_new, entitle
from seedbed.plots.styling import palette_of, styled
from seedbed.tables.model import resolved

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.population import Population
    from seedbed.recipe import Recipe

_LINE_POINTS = 121
_CHUNK_SIZE = 2**23
"""Approximate count of numbers that the networks along a line hold at a time."""


@styled
def line(
    model: Population | Any,
    X: Any,
    Y: Any = None,
    axes: Axes | None = None,
    *,
    member: int = 0,
    direction: Any = None,
    reach: float | None = None,
) -> Axes:
    """Draw the loss along a line through a member's parameters, with its tangent there.

    The line is θ + r·u for r from -reach to reach and the direction u of norm 1. The tangent's
    slope is g·u, with the gradient g of the backward pass: if g is right, the tangent touches the
    curve. The loss is on all rows, with penalties and without dropout.

    model      a Population, a fitted estimator, or a model file's path
    X, Y       for a population, inputs (N, I) and targets (N, O), (N,) or class numbers (N,); else
               the raw table and its target, as in ``fit``; Y None takes X's target column
    direction  (D,), or None for steepest descent, minus the gradient
    reach      in the parameters' units; None goes beyond the point where the tangent's error equals
               the change that it predicts

    Returns the axes. Raises: SettingError; ShapeError, DataError for data that do not fit.
    """
    given = resolved(model, X, Y)
    population, X, Y = given.population, given.X, given.Y
    member = checked_index("member", member, len(population))
    one = population[member]
    recipe, theta = one.recipe, one.theta[0].astype(np.float64)
    value, gradient = value_and_grad(recipe, theta[None], X, Y)
    here, g = float(value[0]), gradient[0]
    u, name = _direction(direction, theta, g)
    slope = float(g @ u)
    if reach is None:
        reach = _reach(recipe, theta, u, slope, here, X, Y)
    reach = checked_number("reach", reach, 0, open_low=True)
    r = np.linspace(-reach, reach, _LINE_POINTS)
    curve = _losses_along(recipe, theta, u, r, X, Y)
    axes = axes_or_new(axes)
    palette = palette_of(axes)
    axes.plot(r, curve, color=palette.colours[0], label="loss")
    finite = curve[np.isfinite(curve)]
    margin = 0.08 * (np.ptp(finite) or abs(here) or 1.0)
    low, high = finite.min() - margin, finite.max() + margin
    tangent = here + slope * r
    inside = (tangent >= low) & (tangent <= high)
    axes.plot(
        r[inside], tangent[inside], color=palette.colours[1], ls="--",
        label=f"tangent, slope {slope:.3g}",
    )  # fmt: skip
    axes.plot([0], [here], "o", color=palette.ink, ms=7, label=f"seed {one.seeds[0]}: {here:.4g}")
    axes.set_ylim(low, high)
    penalties = "" if not (np.any(recipe.l1) or np.any(recipe.l2)) else " and penalty"
    axes.set_xlabel(f"distance in θ, {name}")
    axes.set_ylabel(f"loss{penalties} ({recipe.loss.name.replace('_', ' ')})")
    epochs = int(one.best_epoch[0])
    entitle(
        axes, f"Seed {one.seeds[0]} after {epochs:,} epoch{'' if epochs == 1 else 's'}",
        "the loss along a line through its parameters, and the tangent there",
    )  # fmt: skip
    axes.legend()
    return axes


def _direction(given: Any, theta: Array, g: Array) -> tuple[Array, str]:
    """Return the direction (D,), of norm 1, and its name."""
    u, name = -g, "down the gradient"
    if given is not None:
        u, name = as_array(given, "direction", ShapeError).astype(np.float64), "as given"
        if u.shape != theta.shape:
            raise ShapeError(f"direction has shape {u.shape}; the member needs {theta.shape}")
    norm = float(np.linalg.norm(u))
    if not np.isfinite(norm):
        raise DataError("the direction or the gradient is not finite: choose another member")
    if norm == 0:
        if given is not None:
            raise SettingError("direction is all zeros: give another one")
        u, norm, name = np.ones(len(u)), len(u) ** 0.5, "along (1, 1, …): the gradient is 0"
    return u / norm, name


def _losses_along(recipe: Recipe, theta: Array, u: Array, r: Array, X: Any, Y: Any) -> Array:
    """Return the loss at each θ + r·u, (len(r),); each point is computed as a member."""
    member_size = recipe.network.size * 3 + len(X) * recipe.network.row_size * 4
    step = max(1, _CHUNK_SIZE // member_size)
    return np.concatenate([
        value_and_grad(recipe, theta + r[start : start + step, None] * u, X, Y)[0]
        for start in range(0, len(r), step)
    ])  # fmt: skip


def _reach(
    recipe: Recipe, theta: Array, u: Array, slope: float, here: float, X: Any, Y: Any
) -> float:
    """Return a reach beyond the point where the tangent's error equals its predicted change."""
    longest = 2 * float(np.linalg.norm(theta)) or 1.0
    r = longest * 2.0 ** np.arange(-16, 1)
    both = np.r_[r, -r]
    error = np.abs(_losses_along(recipe, theta, u, both, X, Y) - here - slope * both)
    predicted = np.maximum(np.abs(slope) * r, 1e-2 * abs(here))
    wrong = np.flatnonzero(~(error.reshape(2, -1) < predicted).all(axis=0))
    return float(1.5 * r[wrong[0]] if len(wrong) else longest)
