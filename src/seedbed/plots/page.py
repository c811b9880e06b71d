"""Shared by all plots: an empty figure, axes to draw on, colours and markers."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import one_line
from seedbed.errors import MissingDependencyError, SettingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from seedbed.population import Population

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Distinct for the colour-blind, and by their lightness in print (Okabe, Ito 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
VALUES = "cividis"
"""The colour map of values: its lightness increases throughout, for the colour-blind too."""


def figure(width: float, height: float) -> Any:
    """Return an empty figure without a window.

    Raises: MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot") from None
    if "ipykernel" in sys.modules:  # with it imported, a notebook shows a Figure
        importlib.import_module("matplotlib_inline.backend_inline")
    return Figure(figsize=(width, height), layout="constrained")


def axes_or_new(axes: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """Return the given axes, or those of a new figure.

    If pyplot is in use, or in a notebook, the figure is pyplot's, so that it is shown.
    """
    if axes is not None:
        return axes
    if "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules:
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained").subplots()
    return figure(width, height).subplots()


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
