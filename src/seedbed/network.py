"""The shape of one member, and where each of its parameters lies in theta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array, checked_count
from seedbed.errors import SettingError, ShapeError
from seedbed.formulas import initializers
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Initializer


@dataclass(frozen=True)
class Dense:
    """A fully connected layer: a = activation(x W + b), W (I, units), b (1, units).

    init       how W is drawn; None takes the activation's ``initializer``
    bias_init  how b is drawn

    Raises: SettingError if units is not a whole number >= 1, or another is of a wrong kind.
    """

    units: int
    activation: Activation = identity
    init: Initializer | None = None
    bias_init: Initializer = initializers.zeros

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", checked_count("a layer's units", self.units))
        if not isinstance(self.activation, Activation):
            raise SettingError(
                f"activation must be one of Seedbed's, such as sb.relu, not {self.activation!r}"
            )
        if self.init is None:
            object.__setattr__(self, "init", self.activation.initializer)
        for given in (self.init, self.bias_init):
            if not isinstance(given, Initializer):
                raise SettingError(f"init must be one of Seedbed's, such as sb.he, not {given!r}")


class Parameters(NamedTuple):
    """One layer's parameters for P members: views of theta."""

    W: Array
    """(P, I, O)"""
    b: Array
    """(P, 1, O)"""


@dataclass(frozen=True)
class Network:
    """A feed-forward network's shape: its inputs and its layers, the last of them the outputs.

    It holds no numbers: those are in theta, (P, D), whose row holds a member's W and b of the
    first layer, then of the second, and so on, each in row order.

    Raises: SettingError if inputs is not a whole number >= 1 or there is no layer.
    >>> Network(3, [Dense(4), Dense(1)]).size
    21
    """

    inputs: int
    layers: Sequence[Dense]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", checked_count("inputs", self.inputs))
        layers = tuple(self.layers) if isinstance(self.layers, Sequence) else (self.layers,)
        if not layers or not all(isinstance(layer, Dense) for layer in layers):
            raise SettingError("layers must be a list of sb.Dense, with at least one in it")
        object.__setattr__(self, "layers", layers)

    def __str__(self) -> str:
        widths = "-".join(str(width) for width in self.widths)
        return f"{widths} ({', '.join(layer.activation.name for layer in self.layers)})"

    @property
    def outputs(self) -> int:
        """O, the number of units in the last layer."""
        return self.layers[-1].units

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs, and then of each layer's units."""
        return (self.inputs, *(layer.units for layer in self.layers))

    @cached_property
    def blocks(self) -> tuple[tuple[slice, slice], ...]:
        """Where each layer's W and b lie in a row of theta."""
        blocks, start = [], 0
        for inputs, units in zip(self.widths, self.widths[1:], strict=False):
            middle, stop = start + inputs * units, start + (inputs + 1) * units
            blocks.append((slice(start, middle), slice(middle, stop)))
            start = stop
        return tuple(blocks)

    @property
    def size(self) -> int:
        """D, the number of a member's parameters."""
        return int(self.blocks[-1][1].stop)

    @cached_property
    def is_weight(self) -> npt.NDArray[np.bool_]:
        """Which parameters are weights, not biases, (D,): what penalties and decay act on."""
        mask = np.ones(self.size, dtype=np.bool_)
        for _, b in self.blocks:
            mask[b] = False
        return mask

    def views(self, theta: Array) -> list[Parameters]:
        """Return each layer's W (P, I, O) and b (P, 1, O) as views of theta, (P, D).

        Raises: ShapeError if theta's rows do not hold D numbers.
        """
        if theta.ndim != 2 or theta.shape[1] != self.size:
            raise ShapeError(
                f"theta has shape {theta.shape}; a {self} network needs (members, {self.size})"
            )
        count = len(theta)
        return [
            Parameters(
                theta[:, W].reshape(count, -1, layer.units),
                theta[:, b].reshape(count, 1, layer.units),
            )
            for (W, b), layer in zip(self.blocks, self.layers, strict=True)
        ]

    def init(self, seeds: Any, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return theta as each seed draws it, (P, D): a whole number, or a sequence of them.

        Every W and every b has a stream of its own, so that one layer's width leaves the other
        layers' draws as they are. Draws are made in float64 and rounded to ``dtype``.
        """
        seeds = streams.checked_seeds(seeds)
        theta = np.empty((len(seeds), self.size), dtype=dtype)
        together = max(1, 2**17 // self.size)  # members drawn at once: a few megabytes
        for start in range(0, len(seeds), together):
            part = slice(start, start + together)
            for number, (layer, views) in enumerate(
                zip(self.layers, self.views(theta[part]), strict=True)
            ):
                for which, (view, drawn) in enumerate(
                    ((views.W, layer.init), (views.b, layer.bias_init))
                ):
                    assert drawn is not None  # Dense has put the default in its place
                    key = streams.keys(seeds[part], "init", number, which)
                    view[...] = drawn.draw(streams.LayerDraws(key), *view.shape[1:])
        return theta
