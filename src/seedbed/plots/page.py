"""What all pictures share: an empty figure, axes to draw on, colours and markers."""

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
"""Told apart by the colour-blind, and by their lightness in print (Okabe, Ito 2008)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
VALUES = "cividis"
"""The map of values to colours: its lightness rises all the way, and it looks the same to all."""


def figure(width: float, height: float) -> Any:
    """Return an empty figure that no window shows.

    Raises: MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot") from None
    if "ipykernel" in sys.modules:  # a notebook shows a Figure once this is loaded
        importlib.import_module("matplotlib_inline.backend_inline")
    return Figure(figsize=(width, height), layout="constrained")


def on(axes: Axes | None, width: float = 6.4, height: float = 4.0) -> Axes:
    """Return the axes to draw on: those given, or the only ones of a new figure.

    Where pyplot is in use, or in a notebook, the figure is one of pyplot's, so that it is shown.
    """
    if axes is not None:
        return axes
    if "matplotlib.pyplot" in sys.modules or "ipykernel" in sys.modules:
        from matplotlib import pyplot

        return pyplot.figure(figsize=(width, height), layout="constrained").subplots()
    return figure(width, height).subplots()


def chosen(population: Population, members: Any) -> list[int]:
    """Return the places of members that are to be drawn: given as one, several, or booleans.

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


def plain(text: str, most: int = 44) -> str:
    """Return the text as matplotlib shows it letter by letter, cut where it is long."""
    lines = [line if len(line) <= most else line[: most - 1] + "…" for line in text.split("\n")]
    return "\n".join(lines).replace("$", r"\$")
