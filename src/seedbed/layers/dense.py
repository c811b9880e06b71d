"""A fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_count
from seedbed.formulas import initializers
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Draws, Initializer
from seedbed.formulas.named import OrName, as_formula
from seedbed.layers.base import Call, Layer, Line, Parameter, Pass, ones


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: a = activation(x W + b), W (I, units), b (1, units).

    activation  the activation, or its name, such as "relu"
    init        the initializer of W, or its name; None takes the activation's ``initializer``
    bias_init   the initializer of b, or its name

    Raises: SettingError for an invalid value; the message names it.
    """

    units: int
    activation: OrName[Activation] = identity  # type: ignore[assignment]
    init: OrName[Initializer | None] = None  # type: ignore[assignment]
    bias_init: OrName[Initializer] = initializers.zeros  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", checked_count("a layer's units", self.units))
        activation = as_formula("activation", self.activation, Activation)
        init = activation.initializer if self.init is None else self.init
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "init", as_formula("init", init, Initializer))
        bias_init = as_formula("bias_init", self.bias_init, Initializer)
        object.__setattr__(self, "bias_init", bias_init)

    def __str__(self) -> str:
        return self.activation.name

    def outputs(self, inputs: int, first: bool) -> int:
        """Return ``units``."""
        return self.units

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return W, which decays, and b, which does not."""
        return (
            Parameter("W", (inputs, self.units), decays=True),
            Parameter("b", (1, self.units), decays=False),
        )

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """Draw W with ``init`` and b with ``bias_init``."""
        initializer = (self.init, self.bias_init)[number]
        assert initializer is not None  # __post_init__ sets the default
        return initializer.draw(draws, *shape)

    def forward(self, p: Any, x: Array) -> Pass:
        """z = x W + b;  a = f(z)."""
        z = np.matmul(x, p.W)
        z += p.b
        return Pass(x, z, self.activation.f(z))

    def backward(self, p: Any, fwd: Pass, da: Array, dp: Any, needs_dx: bool) -> tuple[Array, Any]:
        """dz = da · f'(z);  dW = xᵀ dz,  db = Σ_rows dz;  dx = dz Wᵀ."""
        x, z, a, _ = fwd
        dz = da * self.activation.df(z, a)
        np.matmul(x.swapaxes(-1, -2), dz, out=dp.W)
        np.matmul(ones(dz.shape[-2], dz.dtype), dz, out=dp.b)
        return dz, np.matmul(dz, p.W.swapaxes(-1, -2)) if needs_dx else None

    def explain_forward(self, n: str, x: str, p: Any, fwd: Pass) -> Iterator[Line]:
        """Yield W, b, z and a."""
        yield Line(f"W{n}", "weights", p.W[0])
        yield Line(f"b{n}", "biases", p.b[0])
        yield Line(f"z{n}", f"{x} @ W{n} + b{n}", fwd.z[0])
        call = Call(self.activation.f, [f"z{n}"], self.activation.name)
        yield Line(f"a{n}", "{}", fwd.a[0], [call])

    def explain_backward(
        self, n: str, x: str, p: Any, fwd: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield dz, dW and db."""
        call = Call(self.activation.df, [f"z{n}", f"a{n}"], f"{self.activation.name}_d")
        yield Line(f"dz{n}", f"da{n} * {{}}", dz[0], [call])
        yield Line(f"dW{n}", f"{x}.T @ dz{n}", dp.W[0])
        yield Line(f"db{n}", f"dz{n}.sum(axis=0, keepdims=True)", dp.b[0])

    def explain_dx(self, n: str, inputs: int) -> str:
        """Return the formula of dx = dz Wᵀ."""
        return f"dz{n} @ W{n}.T"
