"""The figure on which plots are drawn: its axes have the style from the start."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from seedbed.plots.styling import fix_ticks, styled_context


class Sheet(Figure):
    """A figure with axes in the style of the plots, however they are added."""

    def add_subplot(self, *args: Any, **kwargs: Any) -> Any:
        """Add axes as a Figure does."""
        with styled_context():
            axes = super().add_subplot(*args, **kwargs)
            fix_ticks(axes)
        return axes
