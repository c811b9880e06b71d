"""The plot of a comparison: scores by seed, and gains with their intervals."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.plots.page import entitle, escaped, figure
from seedbed.plots.styling import MARKERS, palette_of, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seedbed.comparing.comparison import Comparison

_MAX_PAIRS = 12
_FOOTER_WIDTH = 120


@styled
def comparison(found: Comparison) -> Figure:
    """Draw each method's scores by seed, and each pair's gains with their interval.

    Left: a dot per run, a line per seed; failed runs are crosses at the worse edge. Right: a dot
    per seed's gain, a diamond at the typical gain, a bar for its interval.
    """
    pairs = list(found.pairs)[:_MAX_PAIRS]
    names = list(found.methods)
    height = max(3.2, 1.2 + 0.45 * max(len(names), len(pairs)))
    page = figure(10.0, height)
    left, right = page.subplots(1, 2, width_ratios=[1.2, 1])
    _draw_scores(left, found, names)
    _draw_gains(right, found, pairs)
    footer = textwrap.fill(found.footer().strip("()"), _FOOTER_WIDTH)
    page.supxlabel(escaped(footer, _FOOTER_WIDTH), fontsize="small", color=palette_of(left).muted)
    return page


def _draw_scores(axes: Any, found: Comparison, names: list[str]) -> None:
    metric, palette = found.metric, palette_of(axes)
    scale = 100.0 if metric.percent else 1.0
    every = np.concatenate([found.methods[name].scores for name in names]) * scale
    finite = every[np.isfinite(every)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    margin = (high - low or 1.0) * 0.08
    worst = low - margin if metric.higher_is_better else high + margin
    n = max(len(found.methods[name].scores) for name in names)
    for seed in range(n):
        line = [
            (found.methods[name].scores[seed] * scale, row)
            for row, name in enumerate(names)
            if seed < len(found.methods[name].scores)
        ]
        x = [worst if np.isnan(value) else value for value, _ in line]
        axes.plot(x, [row for _, row in line], color=palette.faint, linewidth=0.8, zorder=1)
    for row, name in enumerate(names):
        scores = found.methods[name].scores * scale
        failed = np.isnan(scores)
        colour = palette.colours[row % len(palette.colours)]
        axes.plot(
            scores[~failed], np.full((~failed).sum(), row), MARKERS[row % len(MARKERS)],
            color=colour, markersize=4, alpha=0.7, markeredgewidth=0, zorder=2,
        )  # fmt: skip
        if failed.any():
            count = failed.sum()
            axes.plot(np.full(count, worst), np.full(count, row), "x", color=palette.ink, zorder=3)
            axes.annotate(
                f"{count} failed", (worst, row), xytext=(0, 7), textcoords="offset points",
                fontsize="x-small", ha="center",
            )  # fmt: skip
        median = np.median(np.where(failed, worst, scores))
        axes.plot([median] * 2, [row - 0.3, row + 0.3], color=palette.ink, linewidth=2, zorder=3)
    axes.set_yticks(range(len(names)), [escaped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    better = "higher" if metric.higher_is_better else "lower"
    axes.set_xlabel(f"{metric.name}{', %' if metric.percent else ''} ({better} is better)")
    axes.grid(visible=False, axis="y")
    words = "run, a line per seed" if found.sets is None else "data set, joined by a line"
    entitle(axes, "Scores", f"a dot per {words}, a bar at the median")


def _draw_gains(axes: Any, found: Comparison, pairs: list[Any]) -> None:
    units = found.metric.in_units
    palette = palette_of(axes)
    for row, pair in enumerate(pairs):
        d = pair.differences
        d = units(d[np.isfinite(d)])
        axes.plot(d, np.full(len(d), row) + 0.18, "o", color=palette.muted, markersize=3, alpha=0.7)
        if np.isfinite([pair.low, pair.high]).all():
            axes.plot(
                [units(pair.low), units(pair.high)], [row] * 2, color=palette.ink, linewidth=2
            )
        else:
            low, high = found.metric.format_gain(pair.low), found.metric.format_gain(pair.high)
            axes.annotate(
                f"interval {low} to {high}", (0, row), xytext=(4, 4),
                textcoords="offset points", fontsize="x-small",
            )  # fmt: skip
        if np.isfinite(pair.typical):
            edge = palette.colours[0] if pair.better else palette.ink
            fill = edge if pair.better else palette.surface
            axes.plot(
                units(pair.typical), row, "D", color=edge, markerfacecolor=fill, markersize=7,
                zorder=3,
            )  # fmt: skip
    axes.axvline(0, color=palette.muted, linewidth=0.8)
    if found.rules.delta is not None:
        axes.axvspan(
            units(-found.rules.delta),
            units(found.rules.delta),
            color=palette.faint,
            alpha=0.5,
            zorder=0,
        )
    labels = [
        f"{pair.a} over {pair.b}\n"
        + (f"{pair.leads} is {pair.verdict.value}" if pair.leads else pair.verdict.value)
        for pair in pairs
    ]
    axes.set_yticks(range(len(pairs)), [escaped(label) for label in labels], fontsize="small")
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    confidence = f"{100 * (1 - found.rules.level):.3g} %"
    axes.set_xlabel(f"gain, {found.metric.gain_unit.strip() or found.metric.name}")
    hidden = len(found.pairs) - len(pairs)
    rest = f"; {hidden} more pairs are not shown" if hidden else ""
    axes.grid(visible=False, axis="y")
    unit = "seed" if found.sets is None else "data set"
    entitle(
        axes, "Gains", f"a dot per {unit}, the typical gain and its {confidence} interval{rest}"
    )
