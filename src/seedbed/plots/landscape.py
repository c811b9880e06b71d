"""Plots of what members compute: the loss along a line, and decision regions of many seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, as_array, checked_count, checked_index, checked_number, one_line
from seedbed.checks import checked_inputs, checked_targets
from seedbed.engines.objective import value_and_grad
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.plots.page import axes_or_new, entitle, escaped, member_places
from seedbed.plots.styling import MARKERS, VALUES, fix_ticks, palette_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.population import Population
    from seedbed.recipe import Recipe

_LINE_POINTS = 121
_CHUNK_SIZE = 2**23
"""Approximate count of numbers that the networks along a line hold at a time."""
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")


@styled
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
    """Draw the loss along a line through a member's parameters, with its tangent there.

    The line is θ + r·u for r from -reach to reach and the direction u of norm 1. The tangent's
    slope is g·u, with the gradient g of the backward pass: if g is right, the tangent touches the
    curve. The loss is on all rows, with penalties and without dropout.

    direction  (D,), or None for steepest descent, minus the gradient
    reach      in the parameters' units; None goes beyond the point where the tangent's error equals
               the change that it predicts

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


@styled
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
    """Draw members' predictions over two inputs, a small panel per member.

    One output, or two classes: the prediction as a colour, dark to light, with a line at ½ if the
    targets are 0 and 1. More classes: each one's region, by colour and hatching. The points are the
    rows of X, marked by class. A panel's title is its seed and training loss.

    members     which ones; None draws the first sixteen
    columns     the two inputs; the others are set to their medians, or most frequent categories
    inputs      (I,) names of the inputs
    output      which output is drawn, unless the outputs are classes
    resolution  grid points per side
    across      panels per row; None makes a square

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,), which only mark the points.
    Returns the axes, which hold the panels (``axes.child_axes``). Raises: SettingError, ShapeError,
    DataError.
    """
    network, loss = population.network, population.recipe.loss
    x = checked_inputs(X, network, np.float64)
    t: Array | None = None
    if Y is not None:
        labels = population.classes
        t = checked_targets(Y, loss, network.outputs, len(x), np.float64, classes=labels)
    if network.inputs < 2 or np.size(columns) != 2:
        raise SettingError(
            f"regions are drawn over two of the inputs, of which there are {network.inputs}; "
            f"columns is {one_line(columns)}"
        )
    first, second = (checked_index("columns", each, network.inputs) for each in columns)
    if first == second:
        raise SettingError(f"columns are both {first}: give two different inputs")
    categories = network.layers[0].category_columns
    for each in {first, second}.intersection(categories):
        raise SettingError(
            f"column {each} holds category numbers, which have no values between: give two columns "
            "of numbers"
        )
    names = inputs or [f"x{number + 1}" for number in range(network.inputs)]
    if len(names) != network.inputs:
        raise ShapeError(f"inputs holds {len(names)} names and the network has {network.inputs}")
    output = checked_index("output", output, network.outputs)
    resolution = checked_count("resolution", resolution, 2)
    shown = population[:16] if members is None else population[member_places(population, members)]
    wide, tall = (_span(x[:, each]) for each in (first, second))
    middle = np.median(x, axis=0)
    for each in categories:
        middle[each] = np.bincount(x[:, each].astype(np.intp)).argmax()
    grid = np.tile(middle, (resolution * resolution, 1))
    sides = [np.linspace(*span, resolution) for span in (wide, tall)]
    grid[:, first], grid[:, second] = (each.ravel() for each in np.meshgrid(*sides))
    y = shown.predict(grid).reshape(len(shown), resolution, resolution, network.outputs)
    classes = network.outputs if loss.targets == "classes" else 0
    if classes > 2:
        field, label, levels, has_boundary = y, "class", np.empty(0), False
        marks = None if t is None else t.argmax(axis=1)
    else:
        output = 1 if classes else output
        field, label = y[..., output], "probability of class 1" if classes else "prediction"
        is_binary = t is not None and bool(np.isin(t[:, output], (0, 1)).all())
        has_boundary = loss.targets in ("probability", "classes") or is_binary
        marks = t[:, output] if t is not None and is_binary else None
        levels = np.linspace(*((0.0, 1.0) if has_boundary else _colour_range(field)), 21)
    across, down = _panel_counts(len(shown), across)
    sides_in = np.clip([2.0 + 1.7 * across, 1.6 + 1.7 * down], [5.2, 4.0], 10.0)
    axes = axes_or_new(axes, *sides_in.tolist())
    legend = None
    panels = _panels(axes, len(shown), across, down)
    for panel, place in zip(panels, range(len(shown)), strict=True):
        diverged = bool(shown.diverged[place])
        if not diverged:
            drawn = (_fill_classes(panel, sides, field[place]) if classes > 2
                     else _fill(panel, sides, field[place], levels, has_boundary))  # fmt: skip
            legend = drawn if legend is None else legend
        _draw_rows(panel, x[:, [first, second]], marks)
        panel.set(xlim=wide, ylim=tall)
        result = "diverged" if diverged else f"{shown.loss[place]:.2g}"
        panel.set_title(f"seed {shown.seeds[place]}: {result}", fontsize="small", pad=3)
    axes.set_xlabel(escaped(str(names[first])), labelpad=18)
    axes.set_ylabel(escaped(str(names[second])), labelpad=28)
    count = "1 seed" if len(shown) == 1 else f"{len(shown)} seeds"
    axes.set_title(f"{label.capitalize()} of {count}, and training loss", pad=4)
    if classes > 2 and legend is not None:
        _draw_legend(axes, legend, "class {:g}", marks)
    elif legend is not None:
        ticks = np.linspace(0, 1, 5) if has_boundary else None
        bar = axes.figure.colorbar(legend, ax=axes, label=label, ticks=ticks, shrink=0.7, pad=0.02)
        fix_ticks(bar.ax)
        bar.outline.set_visible(False)
        if marks is not None:
            _draw_legend(axes, [], "class {:g}" if classes else "rows with Y = {:g}", marks)
    return axes


def _panel_counts(count: int, across: int | None) -> tuple[int, int]:
    """Return the panels per row, and the rows."""
    across = int(np.ceil(np.sqrt(count))) if across is None else checked_count("across", across)
    across = min(across, count)
    return across, -(-count // across)


def _panels(axes: Any, count: int, across: int, down: int) -> list[Any]:
    """Return ``count`` small axes inside the given ones, which keep only their labels."""
    axes.set(xticks=[], yticks=[], frame_on=False)
    axes.grid(visible=False)
    inches = axes.get_window_extent().size / axes.figure.dpi
    beside, above = np.minimum(np.array([0.12, 0.26]) / inches, [0.15 / across, 0.3 / down])
    width, height = (1 + beside) / across - beside, 1 / down - above
    panels = []
    for number in range(count):
        row, column = divmod(number, across)
        left, bottom = column * (width + beside), 1 - (row + 1) * (height + above)
        panel = axes.inset_axes((left, bottom, width, height))
        panel.grid(visible=False)
        panel.spines[:].set_visible(True)
        fix_ticks(panel)
        panel.tick_params(labelsize="x-small", length=2, pad=2)
        panel.locator_params(nbins=4)
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


def _fill(panel: Any, sides: list[Array], field: Array, levels: Array, has_boundary: bool) -> Any:
    """Fill a panel with the field (resolution, resolution); return what a colour bar needs."""
    is_within = np.nanmin(field) >= levels[0] and np.nanmax(field) <= levels[-1]
    extend: Any = "neither" if is_within else "both"
    drawn = panel.contourf(*sides, field, levels, cmap=VALUES, extend=extend)
    if has_boundary and np.nanmin(field) < 0.5 < np.nanmax(field):
        panel.contour(*sides, field, [0.5], colors="white", linewidths=2.2)
        panel.contour(*sides, field, [0.5], colors="black", linewidths=1.0)
    return drawn


def _marker(kind: float) -> dict[str, Any]:
    """Return a class's marker: its shape, and its filling once the shapes run out."""
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


def _draw_legend(axes: Any, patches: list[Any], name: str, marks: Array | None) -> None:
    """Draw one entry for each class, under the panels: its region's patch, its rows' marker."""
    from matplotlib.lines import Line2D

    kinds = set() if marks is None else set(np.unique(marks))
    entries: list[Any] = []
    for kind in sorted(kinds.union(range(len(patches)))):
        patch = patches[int(kind) : int(kind) + 1]
        marker = [Line2D([], [], ms=5, **_marker(kind))] if kind in kinds else []
        entries.append((*patch, *marker))
    below = -0.42 * axes.figure.dpi / axes.get_window_extent().height
    axes.legend(
        entries, [name.format(kind) for kind in sorted(kinds.union(range(len(patches))))],
        loc="upper center", bbox_to_anchor=(0.5, below), ncols=min(len(entries), 6),
    )  # fmt: skip


def _span(values: Array) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.15 * (high - low) or 1.0
    return low - margin, high + margin


def _colour_range(field: Array) -> tuple[float, float]:
    """Return the range of the colours: the 2 % and 98 % quantiles of the field."""
    finite = field[np.isfinite(field)]
    low, high = np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)
