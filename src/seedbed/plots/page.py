"""Shared by all plots: an empty figure, axes to draw on, members to draw, names."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import one_line
from seedbed.errors import SettingError
from seedbed.plots.styling import palette_of, styled_context

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.population import Population


def figure(width: float, height: float) -> Any:
    """Return an empty figure without a window, of inches; its axes have the plots' style.

    Raises: MissingDependencyError without matplotlib.
    """
    made = _figure(width, height, shown=False)
    if "ipykernel" in sys.modules:  # with it imported, a notebook shows a Figure
        importlib.import_module("matplotlib_inline.backend_inline")
    return made


def axes_or_new(axes: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """Return the given axes, or those of a new figure.

    If pyplot is in use, or in a notebook, the figure is pyplot's, so that it is shown.
    """
    if axes is not None:
        return axes
    shown = "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules
    return _figure(width, height, shown).subplots()


def _figure(width: float, height: float, shown: bool) -> Any:
    with styled_context():
        from seedbed.plots.sheet import Sheet

        if not shown:
            return Sheet(figsize=(width, height), layout="constrained")
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained", FigureClass=Sheet)


def entitle(axes: Any, title: str, subtitle: str) -> None:
    """Set the title, and under it a smaller line."""
    axes.set_title(title, pad=20)
    axes.annotate(
        subtitle, (0.5, 1), xytext=(0, 5), xycoords="axes fraction", textcoords="offset points",
        ha="center", va="bottom", fontsize="small", color=palette_of(axes).muted,
        annotation_clip=False,
    )  # fmt: skip


def member_places(population: Population, members: Any) -> list[int]:
    """Return the places of the members to draw, given as one place, several, or booleans.

    Raises: SettingError.
    """
    try:
        places = np.atleast_1d(np.arange(len(population))[members])
    except (IndexError, TypeError):
        places = np.empty(0)
    if places.ndim != 1 or not len(places):
        raise SettingError(
            f"members {one_line(members)}: expected places from 0 to {len(population) - 1}, such "
            "as [0, 3], or booleans"
        )
    return [int(place) for place in places]


def escaped(text: str, max_length: int = 44) -> str:
    """Return the text with long lines cut and matplotlib's markup escaped."""
    lines = [
        line if len(line) <= max_length else line[: max_length - 1] + "…"
        for line in text.split("\n")
    ]
    return "\n".join(lines).replace("$", r"\$")
