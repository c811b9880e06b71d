"""A fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_count, checked_number
from seedbed.formulas import initializers
from seedbed.formulas.activations import Activation, identity
from seedbed.formulas.initializers import Draws, Initializer
from seedbed.formulas.named import OrName, as_formula
from seedbed.layers.base import Call, Layer, Line, Parameter, Pass, ones


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer: a = activation(x W + b), W (I, units), b (1, units).

    activation   the activation, or its name, such as "relu"
    init         the initializer of W, or its name; None takes the activation's ``initializer``
    bias_init    the initializer of b, or its name
    input_scale  0, or how fast a scale s for each input is learned:
                 a = activation((x s) W + b), s = 1 + input_scale u, with u (1, I), which starts
                 at 0 and does not decay. All weights of an input share its scale, so that an input
                 that does not matter shrinks early

    Raises: SettingError for an invalid value; the message names it.
    Source: the scale is Holzmüller, Grinsztajn, Steinwart 2024 (RealMLP), with a factor of 6.
    """

    units: int
    activation: OrName[Activation] = identity  # type: ignore[assignment]
    init: OrName[Initializer | None] = None  # type: ignore[assignment]
    bias_init: OrName[Initializer] = initializers.zeros  # type: ignore[assignment]
    input_scale: float = 0.0

    symbols = ("s",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", checked_count("a layer's units", self.units))
        activation = as_formula("activation", self.activation, Activation)
        init = activation.initializer if self.init is None else self.init
        object.__setattr__(self, "activation", activation)
        object.__setattr__(self, "init", as_formula("init", init, Initializer))
        bias_init = as_formula("bias_init", self.bias_init, Initializer)
        object.__setattr__(self, "bias_init", bias_init)
        scale = checked_number("input_scale", self.input_scale, 0.0)
        object.__setattr__(self, "input_scale", scale)

    def __str__(self) -> str:
        return self.activation.name

    def outputs(self, inputs: int, first: bool) -> int:
        """Return ``units``."""
        return self.units

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return W, which decays, and b, and u if inputs are scaled, which do not."""
        return (
            Parameter("W", (inputs, self.units), decays=True),
            Parameter("b", (1, self.units), decays=False),
            *([Parameter("u", (1, inputs), decays=False)] if self.input_scale else []),
        )

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """Draw W with ``init`` and b with ``bias_init``; u is 0."""
        if number == 2:
            return np.zeros((1, *shape))
        initializer = (self.init, self.bias_init)[number]
        assert initializer is not None  # __post_init__ sets the default
        return initializer.draw(draws, *shape)

    def forward(self, p: Any, x: Array) -> Pass:
        """z = x W + b;  a = f(z). W stands for sᵀ W if inputs are scaled."""
        z = np.matmul(x, self.scaled_weights(p))
        z += p.b
        return Pass(x, z, self.activation.f(z))

    def backward(self, p: Any, fwd: Pass, da: Array, dp: Any, needs_dx: bool) -> tuple[Array, Any]:
        """dz = da · f'(z);  dW = xᵀ dz,  db = Σ_rows dz;  dx = dz Wᵀ.

        If inputs are scaled, W stands for V = sᵀ W:  dW = sᵀ dV,  du = input_scale Σ_units W dV.
        """
        x, z, a, _ = fwd
        dz = da * self.activation.df(z, a)
        np.matmul(x.swapaxes(-1, -2), dz, out=dp.W)
        np.matmul(ones(dz.shape[-2], dz.dtype), dz, out=dp.b)
        dx = np.matmul(dz, self.scaled_weights(p).swapaxes(-1, -2)) if needs_dx else None
        if self.input_scale:
            sums = np.matmul(p.W[..., None, :], dp.W[..., None])[..., 0]  # (P, I, 1)
            dp.u[...] = self.input_scale * sums.swapaxes(-1, -2)
            dp.W[...] *= self._scale(p).swapaxes(-1, -2)
        return dz, dx

    def scaled_weights(self, p: Any) -> Array:
        """Return the weights by which the inputs are multiplied, sᵀ W (P, I, units)."""
        return np.asarray(p.W * self._scale(p).swapaxes(-1, -2) if self.input_scale else p.W)

    def _scale(self, p: Any) -> Array:
        """Return s = 1 + input_scale u, (P, 1, I)."""
        return np.asarray(p.u * p.u.dtype.type(self.input_scale) + 1)

    def explain_forward(self, n: str, x: str, p: Any, fwd: Pass) -> Iterator[Line]:
        """Yield W, b, with scaled inputs u and s, then z and a."""
        yield Line(f"W{n}", "weights", p.W[0])
        yield Line(f"b{n}", "biases", p.b[0])
        if self.input_scale:
            yield Line(f"u{n}", "the scale's parameters", p.u[0])
            yield Line(f"s{n}", f"1 + {self.input_scale!r} * u{n}", self._scale(p)[0])
        yield Line(f"z{n}", f"{self._scaled(n, x)} @ W{n} + b{n}", fwd.z[0])
        call = Call(self.activation.f, [f"z{n}"], self.activation.name)
        yield Line(f"a{n}", "{}", fwd.a[0], [call])

    def explain_backward(
        self, n: str, x: str, p: Any, fwd: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield dz, dW and db, and du if inputs are scaled."""
        call = Call(self.activation.df, [f"z{n}", f"a{n}"], f"{self.activation.name}_d")
        yield Line(f"dz{n}", f"da{n} * {{}}", dz[0], [call])
        yield Line(f"dW{n}", f"{self._scaled(n, x)}.T @ dz{n}", dp.W[0])
        yield Line(f"db{n}", f"dz{n}.sum(axis=0, keepdims=True)", dp.b[0])
        if self.input_scale:
            sums = f"({x} * (dz{n} @ W{n}.T)).sum(axis=0, keepdims=True)"
            yield Line(f"du{n}", f"{self.input_scale!r} * {sums}", dp.u[0])

    def explain_dx(self, n: str, inputs: int) -> str:
        """Return the formula of dx = dz Wᵀ, times s if inputs are scaled."""
        return f"dz{n} @ W{n}.T" + (f" * s{n}" if self.input_scale else "")

    def _scaled(self, n: str, x: str) -> str:
        """Return the formula of the inputs times their scale."""
        return f"({x} * s{n})" if self.input_scale else x
