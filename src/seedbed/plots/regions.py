"""The plot of decision regions: what many seeds predict over two inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, checked_count, checked_index
from seedbed.plots.page import axes_or_new, escaped, member_places
from seedbed.plots.plane import Plane, plane_of_inputs, plane_of_table
from seedbed.plots.styling import MARKERS, VALUES, fix_ticks, styled
from seedbed.population import Population
from seedbed.tables.model import TableModel, as_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++", "ooo")
MAX_PANELS = 16
"""Members that are drawn unless others are chosen."""


@styled
def regions(
    model: Population | Any,
    X: Any,
    Y: Any = None,
    axes: Axes | None = None,
    *,
    members: Any = None,
    columns: tuple[int | str, int | str] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    output: int = 0,
    resolution: int = 80,
    across: int | None = None,
) -> Axes:
    """Draw members' predictions over two inputs, a small panel per member.

    One output, or two classes: the prediction as a colour, dark to light, with a line at ½ if the
    targets are 0 and 1. More classes: each one's region, by colour and hatching. The points are the
    rows of X, marked by class. A panel's title is its seed and training loss.

    model       a Population, a fitted estimator, or a model file's path
    X, Y        for a population, inputs (N, I) and targets (N, O), (N,) or class numbers (N,); else
                the raw table and its target, as in ``fit``. Y marks the points, and may be None
    members     which ones; None draws the first sixteen
    columns     the two inputs, or columns of numbers of a table, by place or name; None takes the
                first two. The others are set to their medians, or most frequent categories
    inputs      (I,) names of a population's inputs
    outputs     (O,) names of a population's classes
    output      which output is drawn, unless the outputs are classes
    resolution  grid points per side
    across      panels per row; None makes a square

    Returns the axes, which hold the panels (``axes.child_axes``). Raises: SettingError, ShapeError,
    DataError.
    """
    found = as_model(model)
    population = found if isinstance(found, Population) else found.population
    shown = (
        population[:MAX_PANELS]
        if members is None
        else population[member_places(population, members)]
    )
    resolution = checked_count("resolution", resolution, 2)
    output = checked_index("output", output, population.network.outputs)
    if isinstance(found, TableModel):
        plane = plane_of_table(found, shown, X, Y, columns, resolution)
    else:
        plane = plane_of_inputs(shown, X, Y, columns, resolution, inputs, outputs)
    loss, t = population.recipe.loss, plane.targets
    classes = population.network.outputs if loss.targets == "classes" else 0
    if classes > 2:
        field, label, levels, has_boundary = plane.predictions, "class", np.empty(0), False
        marks = None if t is None else t.argmax(axis=1)
    else:
        output = 1 if classes else output
        field = plane.predictions[..., output]
        name = plane.outputs[output]
        label = f"probability of {name}" if classes or loss.targets == "probability" else name
        is_binary = t is not None and bool(np.isin(t[:, output], (0, 1)).all())
        has_boundary = loss.targets in ("probability", "classes") or is_binary
        marks = t[:, output] if t is not None and is_binary else None
        levels = np.linspace(*((0.0, 1.0) if has_boundary else _colour_range(field)), 21)
    across, down = _panel_counts(len(shown), across)
    sides_in = np.clip([2.0 + 1.7 * across, 1.6 + 1.7 * down], [5.2, 4.0], 10.0)
    axes = axes_or_new(axes, *sides_in.tolist())
    legend: Any = None
    panels = _panels(axes, len(shown), across, down)
    for place, panel in enumerate(panels):
        diverged = bool(shown.diverged[place])
        if not diverged:
            one = field[place]
            drawn = (_fill_classes(panel, plane.sides, one) if classes > 2
                     else _fill(panel, plane.sides, one, levels, has_boundary))  # fmt: skip
            legend = drawn if legend is None else legend
        _draw_rows(panel, plane.points, marks)
        panel.set(xlim=plane.sides[0][[0, -1]], ylim=plane.sides[1][[0, -1]])
        result = "diverged" if diverged else f"{shown.loss[place]:.2g}"
        panel.set_title(f"seed {shown.seeds[place]}: {result}", fontsize="small", pad=3)
    axes.set_xlabel(escaped(plane.names[0]), labelpad=18)
    axes.set_ylabel(escaped(plane.names[1]), labelpad=28)
    count = "1 seed" if len(shown) == 1 else f"{len(shown)} seeds"
    title = f"{label[0].upper()}{label[1:]} of {count}, and training loss"
    axes.set_title(escaped(title, 80), pad=4)
    if legend is not None:
        _explain(axes, plane, legend, classes, label, marks, has_boundary)
    return axes


def _explain(
    axes: Any, plane: Plane, legend: Any, classes: int, label: str, marks: Array | None,
    has_boundary: bool,
) -> None:  # fmt: skip
    """Draw the classes' legend, or the colour bar, and what the points' markers mean."""
    if classes > 2:
        _draw_legend(axes, legend, plane.outputs, marks)
        return
    ticks = np.linspace(0, 1, 5) if has_boundary else None
    bar = axes.figure.colorbar(
        legend, ax=axes, label=escaped(label), ticks=ticks, shrink=0.7, pad=0.02
    )
    fix_ticks(bar.ax)
    bar.outline.set_visible(False)
    if marks is not None:
        names = plane.outputs if classes else ["rows with Y = 0", "rows with Y = 1"]
        _draw_legend(axes, [], names, marks)


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


def _fill_classes(panel: Any, sides: Sequence[Array], y: Array) -> list[Any]:
    """Fill a panel with the classes' regions, y (resolution, resolution, O); return patches."""
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
        legend.append(Patch(facecolor=colour, hatch=hatch, alpha=0.75))
    return legend


def _fill(
    panel: Any, sides: Sequence[Array], field: Array, levels: Array, has_boundary: bool
) -> Any:
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


def _draw_legend(axes: Any, patches: list[Any], names: Sequence[str], marks: Array | None) -> None:
    """Draw one entry for each class, under the panels: its region's patch, its rows' marker."""
    from matplotlib.lines import Line2D

    marked = set() if marks is None else {int(kind) for kind in np.unique(marks)}
    kinds = sorted(marked.union(range(len(patches))))
    entries: list[Any] = []
    for kind in kinds:
        patch = patches[kind : kind + 1]
        marker = [Line2D([], [], ms=5, **_marker(kind))] if kind in marked else []
        entries.append((*patch, *marker))
    below = -0.42 * axes.figure.dpi / axes.get_window_extent().height
    axes.legend(
        entries, [escaped(names[kind]) for kind in kinds],
        loc="upper center", bbox_to_anchor=(0.5, below), ncols=min(len(entries), 6),
    )  # fmt: skip


def _colour_range(field: Array) -> tuple[float, float]:
    """Return the range of the colours: the 2 % and 98 % quantiles of the field."""
    finite = field[np.isfinite(field)]
    low, high = np.quantile(finite, [0.02, 0.98]) if finite.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1.0)
