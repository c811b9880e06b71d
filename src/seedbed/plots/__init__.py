"""Pictures: each function draws on the Axes it is given, or on new ones, and returns them.

``comparison`` alone draws a page of two. Matplotlib is loaded by the first picture.
"""

from seedbed.plots.comparing import comparison
from seedbed.plots.landscape import line, regions
from seedbed.plots.networks import network
from seedbed.plots.page import figure
from seedbed.plots.training import losses, scores

__all__ = ["comparison", "figure", "line", "losses", "network", "regions", "scores"]
