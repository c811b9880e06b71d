"""The plot of many methods: how far each is behind the best, and which are not told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seedbed.comparing.report import ranked, tied_sets
from seedbed.errors import SettingError
from seedbed.plots.page import axes_or_new, entitle, escaped
from seedbed.plots.styling import palette_of, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.comparing.comparison import Comparison


@styled
def ranking(found: Comparison, ax: Axes | None = None) -> Axes:
    """Draw how far each method is behind the best, and join those that are not told apart.

    A row for each method, the best first: a diamond at the best method's typical gain over it, and
    a bar for its interval. A line at the right joins each largest set of neighbours of which no two
    are told apart, as in a critical-difference diagram, but from the pairs' own verdicts.

    Raises: SettingError for a comparison with a baseline, whose other pairs are not judged.
    """
    if found.baseline is not None:
        raise SettingError(
            "a ranking needs verdicts on all pairs: compare without a baseline, or draw "
            "plots.comparison"
        )
    names = ranked(found)
    axes = axes_or_new(ax, 7.0, 1.2 + 0.4 * len(names))
    palette, units = palette_of(axes), found.metric.in_units
    ends = [0.0]
    for row, name in enumerate(names[1:], start=1):
        pair = found[names[0], name]
        pair = pair if pair.a == names[0] else pair.swapped
        low, middle, high = (float(units(gain)) for gain in (pair.low, pair.typical, pair.high))
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [row] * 2, color=palette.ink, linewidth=2)
            ends += [low, high]
        if np.isfinite(middle):
            told = pair.leads is not None
            colour = palette.colours[0] if told else palette.ink
            axes.plot(
                middle, row, "D", color=colour, markersize=7, zorder=3,
                markerfacecolor=colour if told else palette.surface,
            )  # fmt: skip
            ends.append(middle)
        else:
            axes.annotate("failed", (0, row), xytext=(4, 4), textcoords="offset points")
    axes.plot(0, 0, "D", color=palette.colours[0], markersize=7, zorder=3)
    axes.axvline(0, color=palette.muted, linewidth=0.8)
    reach = max(ends) - min(ends) or 1.0
    for number, tied in enumerate(tied_sets(found)):
        x = max(ends) + reach * (0.06 + 0.04 * number)
        rows = names.index(tied[0]), names.index(tied[-1])
        axes.plot(
            [x, x], [rows[0] - 0.15, rows[1] + 0.15], color=palette.colours[1], linewidth=3,
            solid_capstyle="round", gid="tied",
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [escaped(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    unit = found.metric.gain_unit.strip() or found.metric.name
    axes.set_xlabel(f"behind {escaped(names[0])}, {unit}")
    confidence = f"{100 * (1 - found.rules.level):.3g} %"
    entitle(
        axes, "Ranking", f"typical gain of the best and its {confidence} interval; lines join "
        "methods that are not told apart",
    )  # fmt: skip
    return axes
