"""The style of all plots: sizes, spacing and grid, and colours for light and dark backgrounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from seedbed.arrays import one_line
from seedbed.errors import MissingDependencyError, SettingError

P = ParamSpec("P")
R = TypeVar("R")

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
VALUES = "cividis"
"""The colour map of values: its lightness increases throughout, for the colour-blind too."""


@dataclass(frozen=True)
class Palette:
    """Colours for one background.

    colours  for what is told apart by colour; the colour-blind can distinguish them
    ink      text and the strongest lines
    muted    lines of less weight
    faint    the grid, and lines behind the data
    surface  the background
    """

    colours: tuple[str, ...]
    ink: str
    muted: str
    faint: str
    surface: str


LIGHT = Palette(
    # Okabe and Ito (2008)
    ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
    ink="#1f2328", muted="#6a7380", faint="#d8dde3", surface="#ffffff",
)  # fmt: skip
DARK = Palette(
    # found by search: the least distance of two colours, for each kind of colour blindness, is
    # as large as Okabe and Ito's, and each has a contrast above 5 to the surface
    ("#56B4E9", "#E7793D", "#2BF182", "#DD9FA6", "#F0DF4A", "#8F84FF", "#F0F3F6"),
    ink="#e8ebef", muted="#98a1ad", faint="#3a4049", surface="#16181d",
)  # fmt: skip
PALETTES = {"light": LIGHT, "dark": DARK}


def style(theme: str = "light") -> dict[str, Any]:
    """Return the plots' style as matplotlib's rcParams.

    Plots use it by themselves, and change no global rcParams: where yours differ from matplotlib's
    defaults, yours are used, and a dark ``figure.facecolor`` or Axes gets the colours for dark
    backgrounds. ``plt.style.use(plots.style("dark"))`` makes every picture of a session dark, and
    ``with plt.style.context(plots.style("dark")):`` those below it.

    Raises: SettingError for another theme; MissingDependencyError without matplotlib.
    """
    if theme not in PALETTES:
        raise SettingError(f"theme must be 'light' or 'dark', not {one_line(theme)}")
    try:
        from cycler import cycler  # a dependency of matplotlib
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot") from None
    palette = PALETTES[theme]
    return {
        "figure.facecolor": palette.surface,
        "axes.facecolor": palette.surface,
        "axes.edgecolor": palette.muted,
        "axes.labelcolor": palette.ink,
        "axes.titlecolor": palette.ink,
        "text.color": palette.ink,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "xtick.labelcolor": palette.ink,
        "ytick.labelcolor": palette.ink,
        "legend.labelcolor": palette.ink,
        "axes.prop_cycle": cycler(color=palette.colours),
        "axes.titlesize": "medium",
        "axes.titlepad": 8.0,
        "axes.labelsize": "small",
        "axes.labelpad": 5.0,
        "xtick.labelsize": "small",
        "ytick.labelsize": "small",
        "legend.fontsize": "small",
        "legend.title_fontsize": "small",
        "legend.frameon": False,
        "legend.handlelength": 1.8,
        "figure.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "xtick.major.size": 3.0,
        "ytick.major.size": 3.0,
        "xtick.minor.size": 1.5,
        "ytick.minor.size": 1.5,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": palette.faint,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.8,
        "hatch.linewidth": 0.6,
        "figure.constrained_layout.w_pad": 0.08,
        "figure.constrained_layout.h_pad": 0.08,
    }


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function draw in the style, with the user's own rcParams before it."""

    @wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        with styled_context():
            return draw(*args, **kwargs)

    return in_style


@contextmanager
def styled_context() -> Iterator[None]:
    """Set the style wherever the user has left matplotlib's defaults, and restore these at exit.

    Other rcParams keep what they are set to meanwhile, as by a backend that is loaded.

    Raises: MissingDependencyError without matplotlib.
    """
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise MissingDependencyError("matplotlib", "plot") from None
    given: Any = matplotlib.rcParams
    default: Any = matplotlib.rcParamsDefault
    theme = "dark" if _is_dark(given["figure.facecolor"]) else "light"
    own_grid = given["axes.grid"] != default["axes.grid"]
    missing: Any = {
        key: value
        for key, value in style(theme).items()
        if (not own_grid if key.startswith("grid.") else given[key] == default[key])
    }
    before = {key: given[key] for key in missing}
    given.update(missing)
    try:
        yield
    finally:
        given.update(before)


def palette_of(axes: Any) -> Palette:
    """Return the palette for the background of the axes."""
    behind = axes.figure.get_facecolor()
    return DARK if _is_dark(axes.get_facecolor(), behind) else LIGHT


def fix_ticks(axes: Any) -> None:
    """Give the axes' ticks and grid the rcParams in force, as they are made only when drawn."""
    import matplotlib

    given: Any = matplotlib.rcParams
    for axis in ("x", "y"):
        label = given[f"{axis}tick.labelcolor"]
        for which in ("major", "minor"):
            axes.tick_params(
                axis, which=which, color=given[f"{axis}tick.color"],
                labelcolor=given[f"{axis}tick.color"] if label == "inherit" else label,
                labelsize=given[f"{axis}tick.labelsize"],
                size=given[f"{axis}tick.{which}.size"], grid_color=given["grid.color"],
                grid_linewidth=given["grid.linewidth"], grid_alpha=given["grid.alpha"],
                grid_linestyle=given["grid.linestyle"],
            )  # fmt: skip


def _is_dark(colour: Any, behind: Any = "white") -> bool:
    """Return whether a background, over another one, is nearer to black by its luminance."""
    from matplotlib.colors import to_rgba

    *front, alpha = to_rgba(colour)
    *back, opaque = to_rgba(behind)
    mixed = [
        alpha * one + (1 - alpha) * (opaque * other + 1 - opaque)
        for one, other in zip(front, back, strict=True)
    ]
    return 0.2126 * mixed[0] + 0.7152 * mixed[1] + 0.0722 * mixed[2] < 0.45
