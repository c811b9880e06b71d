"""What every kind of layer provides: its parameters and how to draw them, forward and backward.

Leading axes are whatever they are, members first; the last two are rows and units. So the same
lines compute all members at once, (P, B, units), and each row on its own, (P, N, 1, units).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

from seedbed.arrays import Array
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Draws, Initializer


class Parameter(NamedTuple):
    """One of a layer's parameter arrays."""

    name: str
    shape: tuple[int, ...]
    decays: bool
    """whether penalties and weight decay act on it"""


class Pass(NamedTuple):
    """What a layer computed on the way forward."""

    inputs: Array
    """(P, B, I)"""
    z: Array
    """(P, B, O): pre-activations"""
    a: Array
    """(P, B, O): activations, before dropout"""
    kept: tuple[Array, ...] = ()
    """what else the way back needs"""


class Call(NamedTuple):
    """A function of the library or the user, and the symbols of its arguments."""

    function: Callable[..., Any]
    symbols: Sequence[str]
    name: str
    """shown if the function has none"""


class Line(NamedTuple):
    """A line of an explanation: a symbol, its formula, in Python of ``np`` and the symbols before
    it, with a ``{}`` for each call, and its value.
    """

    symbol: str
    formula: str
    value: Array
    calls: Sequence[Call] = ()


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer's settings; it holds no numbers. A kind of layer is a subclass in a file of its own.

    The methods take ``p``, the layer's parameters as ``Network.views`` returns them.
    """

    dropped: ClassVar[bool] = True
    """Whether dropout acts on the layer's activations, where it is hidden."""
    symbols: ClassVar[tuple[str, ...]] = ()
    """Further symbols of its explanation, beside z, a, da, dz and the parameters'."""

    @property
    def category_columns(self) -> tuple[int, ...]:
        """The columns of its inputs that hold category numbers."""
        return ()

    @property
    def activation(self) -> Activation:
        """The activation, a = f(z)."""
        return identity

    def outputs(self, inputs: int, first: bool) -> int:
        """Return the number of units O for ``inputs`` inputs; ``first`` if they are the network's.

        Raises: SettingError if the layer cannot take them.
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
        """Return the layer's pass for x (P, B, I), or (1, B, I) where members share it."""
        raise NotImplementedError

    def backward(self, p: Any, done: Pass, da: Array, dp: Any, below: bool) -> tuple[Array, Any]:
        """Write the gradient by the parameters into ``dp``; return dz and, where ``below``, dx."""
        raise NotImplementedError

    def explain_forward(self, n: str, x: str, p: Any, done: Pass) -> Iterator[Line]:
        """Yield the lines from the inputs, called ``x``, to the activations a{n}."""
        raise NotImplementedError

    def explain_backward(
        self, n: str, x: str, p: Any, done: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield the lines from da{n} to the gradients by the parameters."""
        raise NotImplementedError

    def explain_below(self, n: str, inputs: int) -> str:
        """Return the formula of the derivative by the layer's inputs."""
        raise NotImplementedError


@lru_cache(maxsize=64)
def record(names: tuple[str, ...]) -> Any:
    """Return a named tuple's class for parameters of these names."""
    return namedtuple("Parameters", names)  # the names are known at run time only


def named_units(layer: Layer) -> list[Activation | Initializer]:
    """Return the formulas that a layer's settings name."""
    return [value for value in vars(layer).values() if isinstance(value, Activation | Initializer)]
