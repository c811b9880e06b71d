"""The plot of a comparison: scores by seed, and gains with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.plots.page import COLOURS, MARKERS, escaped, figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seedbed.comparing.comparison import Comparison

_MAX_PAIRS = 12


def comparison(found: Comparison) -> Figure:
    """Draw each method's scores by seed, and each pair's gains with their interval.

    Left: a dot per run, a line per seed; failed runs are crosses at the worse edge. Right: a dot
    per seed's gain, a diamond at the typical gain, a bar for its interval.
    """
    pairs = list(found.pairs)[:_MAX_PAIRS]
    names = list(found.methods)
    height = max(3.2, 1.2 + 0.45 * max(len(names), len(pairs)))
    page = figure(11.0, height)
    left, right = page.subplots(1, 2, width_ratios=[1.2, 1])
    _draw_scores(left, found, names)
    _draw_gains(right, found, pairs)
    page.suptitle(found.footer().strip("()"), fontsize=8, y=-0.02)
    return page


def _draw_scores(axes: Any, found: Comparison, names: list[str]) -> None:
    metric = found.metric
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
        axes.plot(x, [row for _, row in line], color="0.75", linewidth=0.6, zorder=1)
    for row, name in enumerate(names):
        scores = found.methods[name].scores * scale
        failed = np.isnan(scores)
        colour = COLOURS[row % len(COLOURS)]
        axes.plot(
            scores[~failed], np.full((~failed).sum(), row), MARKERS[row % len(MARKERS)],
            color=colour, markersize=4, alpha=0.7, markeredgewidth=0, zorder=2,
        )  # fmt: skip
        if failed.any():
            count = failed.sum()
            axes.plot(np.full(count, worst), np.full(count, row), "x", color="black", zorder=3)
            axes.annotate(
                f"{count} failed", (worst, row), xytext=(0, 7), textcoords="offset points",
                fontsize=7, ha="center",
            )  # fmt: skip
        median = np.median(np.where(failed, worst, scores))
        axes.plot([median] * 2, [row - 0.3, row + 0.3], color="black", linewidth=2, zorder=3)
    axes.set_yticks(range(len(names)), [escaped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    better = "higher" if metric.higher_is_better else "lower"
    axes.set_xlabel(f"{metric.name}{', %' if metric.percent else ''} ({better} is better)")
    axes.set_title("Scores: a dot per run, a line per seed, a bar at the median", fontsize=9)


def _draw_gains(axes: Any, found: Comparison, pairs: list[Any]) -> None:
    scale = 100.0 if found.metric.percent else 1.0
    for row, pair in enumerate(pairs):
        d = pair.differences * scale
        d = d[np.isfinite(d)]
        axes.plot(d, np.full(len(d), row) + 0.18, "o", color="0.6", markersize=3)
        if np.isfinite([pair.low, pair.high]).all():
            axes.plot([pair.low * scale, pair.high * scale], [row] * 2, color="black", linewidth=2)
        else:
            low, high = found.metric.format_gain(pair.low), found.metric.format_gain(pair.high)
            axes.annotate(
                f"interval {low} to {high}", (0, row), xytext=(4, 4),
                textcoords="offset points", fontsize=7,
            )  # fmt: skip
        if np.isfinite(pair.typical):
            axes.plot(
                pair.typical * scale, row, "D", color=COLOURS[0 if pair.better else -1],
                markerfacecolor=COLOURS[0] if pair.better else "white", markersize=7, zorder=3,
            )  # fmt: skip
    axes.axvline(0, color="0.4", linewidth=0.8)
    if found.rules.delta is not None:
        axes.axvspan(-found.rules.delta * scale, found.rules.delta * scale, color="0.93", zorder=0)
    labels = [
        f"{pair.a} over {pair.b}\n"
        + (f"{pair.better} is {pair.verdict.value}" if pair.better else pair.verdict.value)
        for pair in pairs
    ]
    axes.set_yticks(range(len(pairs)), [escaped(label) for label in labels], fontsize=8)
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    confidence = f"{100 * (1 - found.rules.alpha):g} %"
    axes.set_xlabel(f"gain, {found.metric.gain_unit.strip() or found.metric.name}")
    hidden = len(found.pairs) - len(pairs)
    rest = f"; {hidden} more pairs are not shown" if hidden else ""
    axes.set_title(f"Gains, the typical gain and its {confidence} interval{rest}", fontsize=9)
