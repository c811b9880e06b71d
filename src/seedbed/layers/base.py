"""The interface of a layer: parameters, initial draws, forward and backward pass.

An array's first axis is members and its last two are rows and units; there may be axes between. So
the same code computes all rows as one batch, (P, B, units), or each alone, (P, N, 1, units).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Draws, Initializer


class Parameter(NamedTuple):
    """One of a layer's parameter arrays."""

    name: str
    shape: tuple[int, ...]
    decays: bool
    """whether penalties and weight decay apply to it"""


class Pass(NamedTuple):
    """The results of a layer's forward pass."""

    inputs: Array
    """(P, B, I)"""
    z: Array
    """(P, B, O): pre-activations"""
    a: Array
    """(P, B, O): activations, before dropout"""
    cache: tuple[Array, ...] = ()
    """further arrays that the backward pass needs"""


class Call(NamedTuple):
    """A call in a formula: the function and the symbols of its arguments."""

    function: Callable[..., Any]
    symbols: Sequence[str]
    name: str
    """shown if the function has no name"""


class Line(NamedTuple):
    """A line of an explanation."""

    symbol: str
    formula: str
    """a Python expression of ``np`` and earlier symbols, with a ``{}`` for each call"""
    value: Array
    calls: Sequence[Call] = ()


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer's settings, without parameter values. Each kind of layer is a subclass.

    The methods take ``p``, the layer's parameters as ``Network.views`` returns them.
    """

    takes_dropout: ClassVar[bool] = True
    """Whether dropout applies to the layer's activations if the layer is hidden."""
    symbols: ClassVar[tuple[str, ...]] = ()
    """Symbols of its explanation other than z, a, da, dz and those of the parameters."""

    @property
    def category_columns(self) -> tuple[int, ...]:
        """The columns of its inputs that hold category numbers."""
        return ()

    @property
    def activation(self) -> Activation:
        """The activation, a = f(z)."""
        return identity

    def outputs(self, inputs: int, first: bool) -> int:
        """Return the number of outputs; ``first`` is whether this is the network's first layer.

        Raises: SettingError if the layer cannot take these inputs.
        """
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:  # of a subclass that is no dataclass, too
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __str__(self) -> str:
        return type(self).__name__

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return the layer's parameters, in theta's order."""
        raise NotImplementedError

    def row_size(self, inputs: int, outputs: int) -> int:
        """Return about how many numbers the pass of one row holds."""
        return outputs

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """Return initial values of parameter ``number``, (P, *shape) or (1, *shape)."""
        raise NotImplementedError

    def check(self, x: Array, name: str) -> None:
        """Refuse inputs (N, I) that the layer cannot take.

        Raises: DataError that names the row and column.
        """

    def forward(self, p: Any, x: Array) -> Pass:
        """Return the layer's pass for x (P, B, I), or (1, B, I) if members share it."""
        raise NotImplementedError

    def backward(self, p: Any, fwd: Pass, da: Array, dp: Any, needs_dx: bool) -> tuple[Array, Any]:
        """Write the gradients by the parameters into ``dp``, from da (P, B, O).

        Return dz (P, B, O), and dx (P, B, I) or None.
        """
        raise NotImplementedError

    def explain_forward(self, n: str, x: str, p: Any, fwd: Pass) -> Iterator[Line]:
        """Yield the lines from the inputs, whose symbol is ``x``, to the activations a{n}."""
        raise NotImplementedError

    def explain_backward(
        self, n: str, x: str, p: Any, fwd: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield the lines from da{n} to the gradients by the parameters."""
        raise NotImplementedError

    def explain_dx(self, n: str, inputs: int) -> str:
        """Return the formula of the derivative by the layer's inputs."""
        raise NotImplementedError


@lru_cache(maxsize=4)  # a new array at every step slows small networks
def ones(rows: int, dtype: np.dtype[Any]) -> Array:
    """Return (1, rows) ones: a product with them sums over rows, faster than np.sum."""
    return np.ones((1, rows), dtype=dtype)


@lru_cache(maxsize=64)
def parameters_class(names: tuple[str, ...]) -> Any:
    """Return a named tuple class with these fields."""
    return namedtuple("Parameters", names)  # names are known only at run time


def formulas_of(layer: Layer) -> list[Activation | Initializer]:
    """Return the formulas among a layer's settings."""
    return [value for value in vars(layer).values() if isinstance(value, Activation | Initializer)]
