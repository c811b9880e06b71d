"""Plots: each function draws on the given Axes, or on new ones, and returns them.

Only ``comparison`` draws a figure of two. All have the style of ``style``. Matplotlib is imported
by the first plot.
"""

from seedbed.plots.comparing import comparison
from seedbed.plots.line import line
from seedbed.plots.networks import network
from seedbed.plots.page import figure
from seedbed.plots.ranking import ranking
from seedbed.plots.regions import regions
from seedbed.plots.styling import style
from seedbed.plots.training import losses, scores

__all__ = [
    "comparison", "figure", "line", "losses", "network", "ranking", "regions", "scores", "style",
]  # fmt: skip
