"""A network's layers, and the layout of its parameters in theta."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed import html, streams
from seedbed.arrays import Array, checked_count
from seedbed.errors import SettingError, ShapeError
from seedbed.layers.base import Layer, parameters_class
from seedbed.layers.dense import Dense


class Block(NamedTuple):
    """A parameter array of one layer, and its slice ``where`` of a row of theta."""

    layer: int
    """counted from 0"""
    name: str
    where: slice
    shape: tuple[int, ...]
    decays: bool
    """whether penalties and weight decay apply to it"""

    @property
    def symbol(self) -> str:
        """The name in printed text: W1 is the first layer's W."""
        return f"{self.name}{self.layer + 1}"


@dataclass(frozen=True, repr=False)
class Network:
    """The shape of a feed-forward network: the number of inputs, and the layers in order.

    Parameter values are in theta (P, D), one row per member: the first layer's parameters, then the
    second's, and so on, each in row-major order (``blocks``).

    Raises: SettingError if inputs is not a whole number >= 1, if there is no layer, or if a layer
    is invalid at its position.
    >>> Network(3, [Dense(4), Dense(1)]).size
    21
    """

    inputs: int
    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", checked_count("inputs", self.inputs))
        layers = tuple(self.layers) if isinstance(self.layers, Sequence) else (self.layers,)
        if not layers or not all(isinstance(layer, Layer) for layer in layers):
            raise SettingError("layers must be a list of layers such as sb.Dense(4), at least one")
        if not isinstance(layers[-1], Dense):
            raise SettingError("the last layer gives the outputs: it must be an sb.Dense")
        object.__setattr__(self, "layers", layers)
        _ = self.widths  # every layer checks its inputs

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without cached properties."""
        return {"inputs": self.inputs, "layers": self.layers}

    def __str__(self) -> str:
        widths = "-".join(str(width) for width in self.widths)
        return f"{widths} ({', '.join(str(layer) for layer in self.layers)})"

    def __repr__(self) -> str:
        return f"<Network {self}: {self.size:,} parameters>"

    def _repr_html_(self) -> str:
        sizes = [sum(prod(b.shape) for b in self.blocks if b.layer == n)
                 for n in range(len(self.layers))]  # fmt: skip
        rows = [
            [str(number), type(layer).__name__, f"{width:,}", str(layer), f"{size:,}"]
            for number, (layer, width, size) in enumerate(
                zip(self.layers, self.widths[1:], sizes, strict=True), 1
            )
        ]
        headers = ["layer", "kind", "outputs", "", "parameters"]
        return html.block(
            html.heading(f"Network {self}", f"{self.inputs:,} inputs, {self.size:,} parameters"),
            html.table(headers, rows, texts=(0, 1, 3)),
        )

    @property
    def outputs(self) -> int:
        """O, the number of units in the last layer."""
        return self.widths[-1]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """The number of inputs, then each layer's number of outputs."""
        widths = [self.inputs]
        for number, layer in enumerate(self.layers):
            widths.append(layer.outputs(widths[-1], first=number == 0))
        return tuple(widths)

    @cached_property
    def row_size(self) -> int:
        """About how many numbers a row makes on its way through the network."""
        return self.inputs + sum(
            layer.row_size(inputs, outputs)
            for layer, (inputs, outputs) in zip(self.layers, pairwise(self.widths), strict=True)
        )

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All parameter arrays, in theta's order."""
        blocks, start = [], 0
        for number, (layer, inputs) in enumerate(zip(self.layers, self.widths, strict=False)):
            for name, shape, decays in layer.parameters(inputs):
                where = slice(start, start + prod(shape))
                blocks.append(Block(number, name, where, shape, decays))
                start = where.stop
        return tuple(blocks)

    @cached_property
    def size(self) -> int:
        """D, the number of parameters."""
        return int(self.blocks[-1].where.stop)

    @cached_property
    def is_weight(self) -> npt.NDArray[np.bool_]:
        """Whether penalties and weight decay apply to each parameter, (D,)."""
        mask = np.zeros(self.size, dtype=np.bool_)
        for block in self.blocks:
            mask[block.where] = block.decays
        return mask

    def views(self, theta: Array) -> list[Any]:
        """Return each layer's parameters as a named tuple of views of theta (P, D).

        A dense layer has W (P, I, O) and b (P, 1, O).

        Raises: ShapeError if theta is not (P, D).
        """
        if theta.ndim != 2 or theta.shape[1] != self.size:
            raise ShapeError(
                f"theta has shape {theta.shape}; a {self} network needs (members, {self.size})"
            )
        return [
            kind._make([theta[:, where].reshape(shape) for where, shape in arrays])
            for kind, arrays in self._layouts
        ]

    @cached_property
    def _layouts(self) -> list[tuple[Any, list[tuple[slice, tuple[int, ...]]]]]:
        """Each layer's kind of named tuple, and its arrays' slices and shapes (-1, …)."""
        found = []
        for number in range(len(self.layers)):
            blocks = [block for block in self.blocks if block.layer == number]
            kind = parameters_class(tuple(block.name for block in blocks))
            found.append((kind, [(block.where, (-1, *block.shape)) for block in blocks]))
        return found

    def check(self, x: Array, name: str) -> None:
        """Refuse inputs (N, I) that the first layer cannot take.

        Raises: DataError that names the row and column.
        """
        self.layers[0].check(x, name)

    def init(self, seeds: Any, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return initial parameters (P, D) for one seed or a sequence of seeds.

        Each parameter array has its own random stream, so that one layer's width does not change
        the other layers' draws. Draws are float64, rounded to ``dtype``.
        """
        seeds = streams.checked_seeds(seeds)
        theta = np.empty((len(seeds), self.size), dtype=dtype)
        step = max(1, 2**17 // self.size)  # limits the draws in memory to a few megabytes
        for start in range(0, len(seeds), step):
            part = slice(start, start + step)
            for number, views in enumerate(self.views(theta[part])):
                for index, view in enumerate(views):
                    draws = streams.LayerDraws(streams.keys(seeds[part], "init", number, index))
                    drawn = self.layers[number].draw(index, draws, view.shape[1:])
                    if drawn.shape not in (view.shape, (1, *view.shape[1:])):
                        raise ShapeError(
                            f"an initializer of layer {number + 1} drew shape {drawn.shape}; "
                            f"{len(view)} members need {view.shape}, or (1, …) for all alike"
                        )
                    view[...] = drawn
        return theta
