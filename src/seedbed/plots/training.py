"""Plots of a training: losses by epoch, and the spread of scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, as_array, one_line
from seedbed.errors import DataError
from seedbed.plots.page import axes_or_new, entitle, escaped, member_places
from seedbed.plots.styling import MARKERS, palette_of, styled
from seedbed.population import Population
from seedbed.tables.model import as_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 60
"""Scores in the same bin are stacked."""


@styled
def losses(model: Population | Any, axes: Axes | None = None, *, members: Any = ()) -> Axes:
    """Draw bands of the members' losses by epoch: median, quartiles and range, on a log scale.

    Solid bands are the training loss, hatched ones the validation loss. A stopped member keeps its
    last loss in the bands. Diverged members are not in the bands: a cross at the upper edge marks
    the epoch. Each of ``members`` gets a line for its training loss. ``model`` is a Population, a
    fitted estimator, or a model file's path.
    Returns the axes. Raises: SettingError for members out of range.
    """
    found = as_model(model)
    population = found if isinstance(found, Population) else found.population
    lines = member_places(population, members) if np.size(members) else []
    axes = axes_or_new(axes)
    palette = palette_of(axes)
    history = population.history
    shown = ~population.diverged if not population.diverged.all() else slice(None)
    kinds = [("training", history.train_loss[shown], palette.colours[0], "", "-")]
    if history.val_loss is not None:
        kinds.append(("validation", history.val_loss[shown], palette.colours[1], "////", "--"))
    epochs = history.epochs + 1
    smallest: list[float] = []
    for name, curves, colour, hatch, line in kinds:
        recorded = np.isfinite(curves).any(axis=0)
        if not recorded.any():
            continue
        at, carried = epochs[recorded].astype(np.float64), _carried_forward(curves[:, recorded])
        if len(epochs) == 1:
            axes.set_xlim(at[0] - 1, at[0] + 1)
            at = at + 0.1 * len(smallest)  # side by side
        low, first, middle, third, high = np.nanquantile(carried, [0, 0.25, 0.5, 0.75, 1], axis=0)
        smallest.append(float(np.nanmin(carried)))
        if len(at) == 1:  # bands of one epoch would be invisible
            for (bottom, top), lw, size in (((low, high), 1, 6), ((first, third), 5, 0)):
                reach = np.array([middle - bottom, top - middle])
                axes.errorbar(at, middle, reach, color=colour, lw=lw, capsize=size)
        axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        axes.fill_between(
            at, first, third, facecolor=colour, alpha=0.35, hatch=hatch, edgecolor=colour, lw=0
        )
        axes.plot(
            at, middle, color=colour, ls=line, marker="o" if len(at) == 1 else "",
            label=f"{name}, median",
        )  # fmt: skip
    if history.ensemble_val_loss is not None:
        axes.plot(
            epochs, history.ensemble_val_loss, color=palette.ink, ls=":",
            label="ensemble, validation",
        )  # fmt: skip
    for number, member in enumerate(lines):
        axes.plot(
            epochs, history.train_loss[member], color=palette.ink, lw=0.9,
            ls=("-", "--", "-.", ":")[number % 4], label=f"seed {population.seeds[member]}",
        )  # fmt: skip
    diverged = population.epochs[population.diverged]
    if len(diverged):
        axes.plot(
            diverged + 1, np.ones(len(diverged)), "X", color=palette.ink, ms=7, clip_on=False,
            transform=axes.get_xaxis_transform(), label=f"diverged ({len(diverged)})",
        )  # fmt: skip
    if not smallest:
        axes.annotate("no epoch was recorded", (0.5, 0.5), xycoords="axes fraction", ha="center")
    elif min(smallest) > 0:
        axes.set_yscale("log")
    _count_on_x(axes)
    name = population.recipe.loss.name.replace("_", " ")
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"loss ({name})")
    count = len(population)
    stopped = ""
    if (population.status == "stopped").any():
        stopped = "; stopped members keep their last loss"
    bands = "" if count == 1 else "median, quartiles and range"
    entitle(
        axes, f"Loss of {count:,} member{'' if count == 1 else 's'}",
        (bands + stopped).removeprefix("; "),
    )  # fmt: skip
    if smallest or len(diverged):
        axes.legend()
    return axes


def _carried_forward(curves: Array) -> Array:
    """Return losses (M, E), a missing one replaced by the same member's last one before it."""
    places = np.where(np.isfinite(curves), np.arange(curves.shape[1]), -1)
    lasts = np.maximum.accumulate(places, axis=1)
    carried = np.take_along_axis(curves, np.maximum(lasts, 0), axis=1)
    return np.asarray(np.where(lasts < 0, np.nan, carried))


def _count_on_x(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


@styled
def scores(
    values: Any,
    axes: Axes | None = None,
    *,
    label: str = "score",
    marks: Mapping[str, float] | None = None,
    log: bool = False,
) -> Axes:
    """Draw a stacked dot per score, and under them median, quartiles and range.

    values  (P,) the scores, or a dict of such arrays by group; scores that are not finite count as
            failed and in no quartile
    label   of the axis, with the unit
    marks   reference values by name, such as {"ensemble": 0.93}
    log     whether the axis is logarithmic if the scores span a decade, as losses may

    Returns the axes. Raises: DataError if no score is finite, or one is not positive under log.
    """
    groups = values if isinstance(values, Mapping) else {"": values}
    rows = {}
    for name, each in groups.items():
        array = as_array(each, "scores", DataError)
        if array.dtype.kind not in "fiub":
            raise DataError(f"scores holds {one_line(each)}: give numbers")
        rows[str(name)] = array.astype(np.float64).ravel()
    finite = [each[np.isfinite(each)] for each in rows.values()]
    if not sum(map(len, finite)):
        raise DataError("scores holds no finite number: give at least one")
    every = np.concatenate([*finite, np.array(list((marks or {}).values()), dtype=np.float64)])
    every = every[np.isfinite(every)]
    if log and every.min() <= 0:
        raise DataError(f"scores holds {every.min():g}, which a logarithmic axis cannot show")
    axes = axes_or_new(axes, 6.4, 1.8 + 0.9 * len(rows))
    palette = palette_of(axes)
    log = log and every.max() > 10 * every.min()  # less than a decade needs no logarithm
    low, high = (np.log10(every) if log else every).min(), (np.log10(every) if log else every).max()
    width = (high - low or 1.0) / _BINS
    for row, (shown, each) in enumerate(zip(finite, rows.values(), strict=True)):
        if not len(shown):
            axes.annotate(f"all {len(each)} failed", (0.5, row), ha="center", va="center",
                          xycoords=("axes fraction", "data"), fontsize="small")  # fmt: skip
            continue
        places = np.floor(((np.log10(shown) if log else shown) - low) / width)
        order = np.argsort(places, kind="stable")
        firsts = np.searchsorted(places[order], places[order])
        heights = np.empty(len(shown))
        heights[order] = np.arange(len(shown)) - firsts
        step = min(0.07, 0.55 / max(heights.max(), 1))
        axes.plot(
            shown, row - 0.1 - step * heights, MARKERS[row % len(MARKERS)], ms=4, mew=0, alpha=0.6,
            color=palette.colours[row % len(palette.colours)],
        )  # fmt: skip
        smallest, first, middle, third, largest = np.quantile(shown, [0, 0.25, 0.5, 0.75, 1])
        under = row + 0.12
        axes.plot([smallest, largest], [under] * 2, color=palette.muted, lw=1)
        axes.plot([first, third], [under] * 2, color=palette.muted, lw=6, solid_capstyle="butt")
        axes.plot([middle] * 2, [under - 0.09, under + 0.09], color=palette.ink, lw=2.5)
    for number, (name, value) in enumerate((marks or {}).items()):
        axes.axvline(value, color=palette.ink, ls=("--", ":", "-.")[number % 3], lw=1.5,
                     label=f"{escaped(name)} {value:.4g}")  # fmt: skip
    if marks:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if log:
        from matplotlib.ticker import NullFormatter

        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    names = [
        escaped(name + (f"\n{len(each) - len(shown)} failed" if len(shown) < len(each) else ""))
        for (name, each), shown in zip(rows.items(), finite, strict=True)
    ]
    axes.set_yticks(range(len(rows)) if any(names) else [], names if any(names) else [])
    axes.set_ylim(len(rows) - 0.65, -0.85)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(escaped(label, 90))
    count = sum(len(each) for each in rows.values())
    entitle(axes, f"{count:,} scores", "one dot each, over median, quartiles and range")
    return axes
