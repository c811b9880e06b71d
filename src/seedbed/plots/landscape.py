"""Pictures of what members compute: the loss along a line, and decision regions of many seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_count, checked_index, checked_number, one_line
from seedbed.checks import checked_inputs, checked_targets
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.plots.page import COLOURS, MARKERS, VALUES, chosen, on, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.population import Population
    from seedbed.recipe import Recipe

_POINTS = 121
"""Points of the curve of a loss along a line."""
_NUMBERS = 2**23
"""How many numbers the networks along a line hold at once, about."""
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")


def line(
    population: Population,
    X: Any,
    Y: Any,
    axes: Axes | None = None,
    *,
    member: int = 0,
    direction: Any = None,
    reach: float | None = None,
) -> Axes:
    """Draw the loss along a line through a member's parameters, with its tangent where it stands.

    The line is θ + r·u for r from -reach to reach, u the direction at length 1; the tangent's slope
    is the gradient's share along u, from the backward pass: that it touches the curve is a picture
    of a right gradient. On all rows, without dropout; penalties count.

    direction  (D,), or None for the steepest way down, minus the gradient
    reach      how far, in the parameters' units; None goes on until the tangent is no use any more

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,).
    Returns the axes. Raises: SettingError; ShapeError, DataError for data that do not fit.
    """
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
    r = np.linspace(-reach, reach, _POINTS)
    curve = _along(recipe, theta, u, r, X, Y)
    axes = on(axes)
    axes.plot(r, curve, color=COLOURS[0], lw=1.8, label="loss")
    seen = curve[np.isfinite(curve)]
    room = 0.08 * (np.ptp(seen) or abs(here) or 1.0)
    low, high = seen.min() - room, seen.max() + room
    tangent = here + slope * r
    inside = (tangent >= low) & (tangent <= high)
    axes.plot(
        r[inside], tangent[inside], color=COLOURS[1], ls="--", lw=1.8,
        label=f"tangent, slope {slope:.3g}",
    )  # fmt: skip
    axes.plot([0], [here], "o", color=COLOURS[6], ms=7, label=f"seed {one.seeds[0]}: {here:.4g}")
    axes.set_ylim(low, high)
    penalties = "" if not (np.any(recipe.l1) or np.any(recipe.l2)) else " and penalty"
    axes.set_xlabel(f"way from the member's parameters, {name} (length in θ)")
    axes.set_ylabel(f"loss{penalties} ({recipe.loss.name.replace('_', ' ')})")
    axes.set_title(
        f"Seed {one.seeds[0]} after {one.best_epoch[0]:,} epochs: the loss along a line, and its "
        "tangent",
        fontsize=10,
    )
    axes.legend(frameon=False, fontsize=8)
    return axes


def _direction(given: Any, theta: Array, g: Array) -> tuple[Array, str]:
    """Return the direction (D,), of length 1, and what to call it."""
    u, name = -g, "down the gradient"
    if given is not None:
        u, name = as_array(given, "direction", ShapeError).astype(np.float64), "as given"
        if u.shape != theta.shape:
            raise ShapeError(f"direction has shape {u.shape}; the member needs {theta.shape}")
    length = float(np.linalg.norm(u))
    if not np.isfinite(length):
        raise DataError("the direction or the gradient is not finite: choose another member")
    if length == 0:
        if given is not None:
            raise SettingError("direction is all zeros: give one with a length")
        u, length, name = np.ones(len(u)), len(u) ** 0.5, "along (1, 1, …): the gradient is 0"
    return u / length, name


def _along(recipe: Recipe, theta: Array, u: Array, r: Array, X: Any, Y: Any) -> Array:
    """Return the loss at each θ + r·u, (len(r),): points on the line are members like any."""
    each = recipe.network.size * 3 + len(X) * sum(recipe.network.widths) * 4
    step = max(1, _NUMBERS // each)
    return np.concatenate([
        value_and_grad(recipe, theta + r[start : start + step, None] * u, X, Y)[0]
        for start in range(0, len(r), step)
    ])  # fmt: skip


def _reach(
    recipe: Recipe, theta: Array, u: Array, slope: float, here: float, X: Any, Y: Any
) -> float:
    """Return how far the line goes: to where the tangent is wrong by all that it foretold."""
    longest = 2 * float(np.linalg.norm(theta)) or 1.0
    r = longest * 2.0 ** np.arange(-16, 1)
    off = np.abs(_along(recipe, theta, u, np.r_[r, -r], X, Y) - here - slope * np.r_[r, -r])
    foretold = np.maximum(np.abs(slope) * r, 1e-2 * abs(here))
    useless = np.flatnonzero(~(off.reshape(2, -1) < foretold).all(axis=0))
    return float(1.5 * r[useless[0]] if len(useless) else longest)


def regions(
    population: Population,
    X: Any,
    Y: Any = None,
    axes: Axes | None = None,
    *,
    members: Any = None,
    columns: tuple[int, int] = (0, 1),
    inputs: Sequence[str] | None = None,
    output: int = 0,
    resolution: int = 80,
    across: int | None = None,
) -> Axes:
    """Draw what members predict over two inputs, a small panel for each.

    One output, or two classes: the prediction as a colour, dark to light, with a line at ½ where
    the targets are 0 and 1. More classes: each one's region, by colour and hatching. The points
    are the rows of X; their markers are their classes. A panel's title is its seed and training
    loss.

    members     which ones; None takes the first sixteen
    columns     the two inputs; any others stand at their medians
    inputs      (I,) names of the inputs
    output      which output is drawn, where each is a quantity of its own
    resolution  points a side
    across      panels beside each other; None makes as many as below each other

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,); only for the points.
    Returns the axes, which hold the panels (``axes.child_axes``). Raises: SettingError, ShapeError,
    DataError.
    """
    network, loss = population.network, population.recipe.loss
    x = checked_inputs(X, network, np.float64)
    t = None if Y is None else checked_targets(Y, loss, network.outputs, len(x), np.float64)
    if network.inputs < 2 or np.size(columns) != 2:
        raise SettingError(
            f"regions are drawn over two of the inputs, of which there are {network.inputs}; "
            f"columns is {one_line(columns)}"
        )
    first, second = (checked_index("columns", each, network.inputs) for each in columns)
    if first == second:
        raise SettingError(f"columns are both {first}: give two different inputs")
    names = inputs or [f"x{number + 1}" for number in range(network.inputs)]
    if len(names) != network.inputs:
        raise ShapeError(f"inputs holds {len(names)} names and the network has {network.inputs}")
    output = checked_index("output", output, network.outputs)
    resolution = checked_count("resolution", resolution, 2)
    shown = population[:16] if members is None else population[chosen(population, members)]
    wide, tall = (_span(x[:, each]) for each in (first, second))
    grid = np.tile(np.median(x, axis=0), (resolution * resolution, 1))
    sides = [np.linspace(*span, resolution) for span in (wide, tall)]
    grid[:, first], grid[:, second] = (each.ravel() for each in np.meshgrid(*sides))
    y = shown.predict(grid).reshape(len(shown), resolution, resolution, network.outputs)
    classes = network.outputs if loss.targets == "classes" else 0
    if classes > 2:
        field, label, levels, halved = y, "class", np.empty(0), False
        marks = None if t is None else t.argmax(axis=1)
    else:
        output = 1 if classes else output
        field, told = y[..., output], None if t is None else t[:, output]
        halved = loss.targets in ("probability", "classes") or (
            told is not None and bool(np.isin(told, (0, 1)).all())
        )
        label = "prediction" if not classes else "probability of class 1"
        marks = told if told is not None and np.isin(told, (0, 1)).all() else None
        ends = (0.0, 1.0) if halved else _ends(field)
        levels = np.linspace(*ends, 21)
    axes = on(axes, 8.0, 8.0)
    key = None
    for panel, place in zip(_panels(axes, len(shown), across), range(len(shown)), strict=True):
        lost = bool(shown.diverged[place])
        if not lost:
            drawn = (_fill_classes(panel, sides, field[place]) if classes > 2
                     else _fill(panel, sides, field[place], levels, halved))  # fmt: skip
            key = drawn if key is None else key
        _draw_rows(panel, x[:, [first, second]], marks)
        panel.set(xlim=wide, ylim=tall)
        what = "diverged" if lost else f"{shown.loss[place]:.2g}"
        panel.set_title(f"seed {shown.seeds[place]}: {what}", fontsize=8, pad=2)
    axes.set_xlabel(plain(str(names[first])), labelpad=16)
    axes.set_ylabel(plain(str(names[second])), labelpad=22)
    axes.set_title(f"{len(shown)} seeds: {label}; above each its training loss", fontsize=10,
                   pad=18)  # fmt: skip
    if classes > 2 and key is not None:
        axes.legend(
            handles=_marked(key, marks), loc="upper left", bbox_to_anchor=(1.0, 1.0),
            frameon=False, fontsize=8,
        )  # fmt: skip
    elif key is not None:
        axes.figure.colorbar(key, ax=axes, label=label, shrink=0.6)
        if marks is not None:
            axes.legend(handles=_marked([], marks), loc="upper right", bbox_to_anchor=(1.0, -0.05),
                        frameon=False, fontsize=8, ncols=2)  # fmt: skip
    return axes


def _panels(axes: Any, count: int, across: int | None) -> list[Any]:
    """Return ``count`` small axes inside the given ones, of which only the labels stay."""
    across = int(np.ceil(np.sqrt(count))) if across is None else checked_count("across", across)
    across = min(across, count)
    down = -(-count // across)
    axes.set(xticks=[], yticks=[], frame_on=False)
    panels = []
    for number in range(count):
        row, column = divmod(number, across)
        where = (column / across, 1 - (row + 1) / down, 0.88 / across, 0.8 / down)
        panel = axes.inset_axes(where)
        panel.tick_params(labelsize=6, length=2, pad=1)
        if row < down - 1 and number + across < count:
            panel.set_xticklabels([])
        if column:
            panel.set_yticklabels([])
        panels.append(panel)
    return panels


def _fill_classes(panel: Any, sides: list[Array], y: Array) -> Any:
    """Fill a panel with each class's region, y (resolution, resolution, O); return the legend."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    legend = []
    ordered = np.sort(y, axis=2)
    for number in range(y.shape[2]):
        colour = colormaps[VALUES](number / (y.shape[2] - 1))
        hatch = _HATCHES[number % len(_HATCHES)]
        likeliest = y[..., number] == ordered[..., -1]
        ahead = y[..., number] - np.where(likeliest, ordered[..., -2], ordered[..., -1])
        if likeliest.any():
            panel.contourf(*sides, ahead, [0, 2], colors=[colour], hatches=[hatch], alpha=0.75)
        if likeliest.any() and not likeliest.all():
            panel.contour(*sides, ahead, [0], colors="black", linewidths=0.8)
        legend.append(Patch(facecolor=colour, hatch=hatch, alpha=0.75, label=f"class {number}"))
    return legend


def _fill(panel: Any, sides: list[Array], field: Array, levels: Array, halved: bool) -> Any:
    """Fill a panel with the field (resolution, resolution); return what a colour bar is made of."""
    drawn = panel.contourf(*sides, field, levels, cmap=VALUES, extend="both")
    if halved and np.nanmin(field) < 0.5 < np.nanmax(field):
        panel.contour(*sides, field, [0.5], colors="white", linewidths=2.2)
        panel.contour(*sides, field, [0.5], colors="black", linewidths=1.0)
    return drawn


def _marker(kind: float) -> dict[str, Any]:
    """Return how the rows of a class are marked: by form, and by filling where forms run out."""
    place = int(kind)
    dark = (place % len(MARKERS) + place // len(MARKERS)) % 2 == 0
    return {
        "marker": MARKERS[place % len(MARKERS)], "mew": 0.7, "ls": "none",
        "mfc": "black" if dark else "white", "mec": "white" if dark else "black",
    }  # fmt: skip


def _draw_rows(panel: Any, points: Array, marks: Array | None) -> None:
    kinds = np.zeros(len(points)) if marks is None else marks
    size = 5.0 if len(points) <= 50 else 2.5
    for kind in np.unique(kinds):
        panel.plot(*points[kinds == kind].T, ms=size, **_marker(kind))


def _marked(patches: Any, marks: Array | None) -> list[Any]:
    """Return a legend's handles: the regions' patches, and the rows' markers."""
    from matplotlib.lines import Line2D

    kinds: Any = () if marks is None else np.unique(marks)
    lines = [Line2D([], [], ms=5, label=f"target {kind:g}", **_marker(kind)) for kind in kinds]
    return [*patches, *lines]


def _span(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = 0.15 * (high - low) or 1.0
    return low - room, high + room


def _ends(field: Array) -> tuple[float, float]:
    """Return between which values the colours run: what most of the panels hold."""
    finite = field[np.isfinite(field)]
    low, high = np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)
