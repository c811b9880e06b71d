"""A fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_count
from seedbed.errors import SettingError
from seedbed.formulas import initializers
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Draws, Initializer
from seedbed.layers.base import Call, Layer, Line, Parameter, Pass


@dataclass(frozen=True)
class Dense(Layer):
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

    def __str__(self) -> str:
        return self.activation.name

    def outputs(self, inputs: int, first: bool) -> int:
        """The units, whatever the inputs."""
        return self.units

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """W decays, b does not."""
        return (
            Parameter("W", (inputs, self.units), decays=True),
            Parameter("b", (1, self.units), decays=False),
        )

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """W by ``init``, b by ``bias_init``."""
        initializer = (self.init, self.bias_init)[number]
        assert initializer is not None  # the default has taken its place
        return initializer.draw(draws, *shape)

    def forward(self, p: Any, x: Array) -> Pass:
        """z = x W + b;  a = f(z)."""
        z = np.matmul(x, p.W)
        z += p.b
        return Pass(x, z, self.activation.f(z))

    def backward(self, p: Any, done: Pass, da: Array, dp: Any, below: bool) -> tuple[Array, Any]:
        """dz = da · f'(z);  dW = xᵀ dz,  db = Σ_rows dz;  dx = dz Wᵀ."""
        x, z, a, _ = done
        dz = da * self.activation.df(z, a)
        np.matmul(x.swapaxes(-1, -2), dz, out=dp.W)
        ones = np.ones((1, dz.shape[-2]), dtype=dz.dtype)
        np.matmul(ones, dz, out=dp.b)  # Σ over rows, at a matrix product's speed
        return dz, np.matmul(dz, p.W.swapaxes(-1, -2)) if below else None

    def explain_forward(self, n: str, x: str, p: Any, done: Pass) -> Iterator[Line]:
        """W, b, z and a."""
        yield Line(f"W{n}", "weights", p.W[0])
        yield Line(f"b{n}", "biases", p.b[0])
        yield Line(f"z{n}", f"{x} @ W{n} + b{n}", done.z[0])
        call = Call(self.activation.f, [f"z{n}"], self.activation.name)
        yield Line(f"a{n}", "{}", done.a[0], [call])

    def explain_backward(
        self, n: str, x: str, p: Any, done: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """dz, dW and db."""
        call = Call(self.activation.df, [f"z{n}", f"a{n}"], f"{self.activation.name}_d")
        yield Line(f"dz{n}", f"da{n} * {{}}", dz[0], [call])
        yield Line(f"dW{n}", f"{x}.T @ dz{n}", dp.W[0])
        yield Line(f"db{n}", f"dz{n}.sum(axis=0, keepdims=True)", dp.b[0])

    def explain_below(self, n: str, inputs: int) -> str:
        """dx = dz Wᵀ."""
        return f"dz{n} @ W{n}.T"
