"""The plot of a network: units as circles, weights as lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seedbed.arrays import Array, checked_index
from seedbed.errors import SettingError, ShapeError
from seedbed.layers.dense import Dense
from seedbed.plots.page import axes_or_new, entitle, escaped
from seedbed.plots.styling import Palette, palette_of, styled
from seedbed.population import Population
from seedbed.tables.model import TableModel, as_model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_UNITS = 16
"""A wider layer shows one unit fewer, and the number of the others."""
_MAX_WIDTH, _MIN_WIDTH = 5.0, 0.3


@styled
def network(
    model: Population | Any,
    axes: Axes | None = None,
    *,
    member: int = 0,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Axes:
    """Draw a member's network: each weight is a line as wide as the weight is large.

    Positive weights are solid blue lines, negative ones dashed orange; a scaled input's weights are
    drawn times its scale. A ring around a unit is its bias, half as wide as a weight's line, in the
    sign's colour and with the sign in the middle. The largest weight or bias of the network has the
    widest line. A layer with more than 16 units shows its first 15.

    model            a Population, a fitted estimator, or a model file's path
    inputs, outputs  names of the input and output units; None takes a table's columns and classes

    Returns the axes.
    Raises: SettingError for a member out of range or layers that are not dense; ShapeError for the
    wrong number of names.
    """
    found = as_model(model)
    population = found if isinstance(found, Population) else found.population
    if isinstance(found, TableModel):
        inputs = found.input_names if inputs is None else inputs
        outputs = found.output_names if outputs is None else outputs
    shape = population.network
    member = checked_index("member", member, len(population))
    for what, names, count in (("inputs", inputs, shape.inputs),
                               ("outputs", outputs, shape.outputs)):  # fmt: skip
        if names is not None and len(names) != count:
            raise ShapeError(f"{what} holds {len(names)} names and the network has {count} {what}")
    if not all(isinstance(layer, Dense) for layer in shape.layers):
        raise SettingError(
            f"only dense layers can be drawn, and this network is {shape}: draw plots.losses or "
            "plots.line, which take every layer"
        )
    views = shape.views(population.theta[member : member + 1])
    layers = [
        (layer.scaled_weights(p)[0], p.b[0, 0])
        for layer, p in zip(shape.layers, views, strict=True)
        if isinstance(layer, Dense)
    ]
    largest = max(max(np.abs(W).max(), np.abs(b).max()) for W, b in layers) or 1.0
    places = [_places(width) for width in shape.widths]
    axes = axes_or_new(axes, 2.4 + 2.0 * len(layers), 1.6 + 0.45 * max(map(len, places)))
    palette = palette_of(axes)
    for number, (W, b) in enumerate(layers):
        _draw_lines(axes, number, W, places[number], places[number + 1], largest, palette)
        _draw_units(axes, number + 1, places[number + 1], b, largest, palette)
    _draw_units(axes, 0, places[0], None, largest, palette)
    names_in = inputs or [f"x{number + 1}" for number in range(shape.inputs)]
    names_out = outputs or [f"y{number + 1}" for number in range(shape.outputs)]
    for x, names, where, side in ((0, names_in, places[0], -1),
                                  (len(layers), names_out, places[-1], 1)):  # fmt: skip
        for y, name in zip(where, names, strict=False):
            axes.annotate(
                escaped(str(name), 20), (x, y), xytext=(13 * side, 0), textcoords="offset points",
                ha="right" if side < 0 else "left", va="center", fontsize="small",
            )  # fmt: skip
    bottom = max(max(where) for where in places) + 0.9
    for x, (width, where) in enumerate(zip(shape.widths, places, strict=True)):
        kind = "inputs" if x == 0 else shape.layers[x - 1].activation.name
        rest = f"\n{width - len(where):,} more not drawn" if width > len(where) else ""
        axes.text(x, bottom, f"{width:,} {kind}{rest}", ha="center", va="top", fontsize="small")
    wide = any(width > _MAX_UNITS for width in shape.widths)
    _draw_legend(axes, largest, -0.04 if wide else 0.02, palette)
    axes.set_xlim(-0.45, len(layers) + 0.45)
    axes.set_ylim(bottom + 0.9, min(min(where) for where in places) - 0.7)
    axes.set_axis_off()
    entitle(axes, f"The network of seed {population.seeds[member]}", "a line's width is its weight")
    return axes


def _places(width: int) -> Array:
    """Return the heights of a layer's drawn units, (units drawn,), centred at 0."""
    drawn = width if width <= _MAX_UNITS else _MAX_UNITS - 1
    return np.arange(drawn) - (drawn - 1) / 2


def _style(value: float, largest: float, palette: Palette) -> dict[str, Any]:
    """Return a number's line style: its size as width, its sign as colour and dashes."""
    lw = max(_MIN_WIDTH, _MAX_WIDTH * abs(value) / largest)
    positive, negative = palette.colours[:2]
    if value >= 0:
        return {"color": positive, "lw": lw, "ls": "-"}
    return {"color": negative, "lw": lw, "ls": (0, (max(1.2, 4 / lw), max(0.6, 1.5 / lw)))}


def _draw_lines(
    axes: Any, number: int, W: Array, left: Array, right: Array, largest: float, palette: Palette
) -> None:
    pairs = [(i, o) for i in range(len(left)) for o in range(len(right))]
    for i, o in sorted(pairs, key=lambda pair: abs(W[pair])):  # the widest on top
        style = _style(float(W[i, o]), largest, palette)
        axes.plot([number, number + 1], [left[i], right[o]], zorder=1, alpha=0.85,
                  dash_capstyle="butt", **style)  # fmt: skip


def _draw_units(
    axes: Any, x: int, places: Array, b: Array | None, largest: float, palette: Palette
) -> None:
    axes.plot(np.full(len(places), x), places, "o", ms=13, mfc=palette.surface, mec=palette.ink,
              mew=0.8, zorder=2)  # fmt: skip
    for y, bias in zip(places, b if b is not None else (), strict=False):
        style = _style(float(bias), largest, palette)
        angle = np.linspace(0, 2 * np.pi, 60)
        path = np.column_stack([np.cos(angle), np.sin(angle)])
        axes.plot([x], [y], marker=path, ms=10, mfc="none", mec=style["color"], mew=style["lw"] / 2,
                  zorder=3)  # fmt: skip
        sign = "+" if bias >= 0 else "−"
        axes.annotate(sign, (x, y), ha="center", va="center", fontsize="x-small", zorder=4)


def _draw_legend(axes: Any, largest: float, below: float, palette: Palette) -> None:
    for value, word in ((largest, f"+{largest:.3g}"), (-largest, f"−{largest:.3g}"),
                        (largest / 4, f"+{largest / 4:.3g}")):  # fmt: skip
        axes.plot([], [], label=word, **_style(value, largest, palette))
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, below), ncols=3, handlelength=3.5,
        title="weight; a ring is a unit's bias, with its sign",
    )  # fmt: skip
