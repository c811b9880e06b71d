"""Activation functions: each value stands above its derivative.

Every function is elementwise and written for arrays and scalars alike: without branches, without
``np.where``, and with operations that keep the dtype, so that the same lines serve every engine.
They also hold for complex arguments near the real axis (maximum and minimum order complex numbers
by their real part first), which is what complex-step checks of a gradient need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from seedbed.arrays import Array, checked_number
from seedbed.formulas.named import Named


@dataclass(frozen=True)
class Activation(Named):
    """a = f(z);  da/dz = df(z, a).  Elementwise; keeps shape and dtype.

    ``options`` are the numbers a factory was called with; two activations are equal when their
    name and options are.
    """

    name: str
    f: Callable[[Array], Array] = field(compare=False, repr=False)
    df: Callable[[Array, Array], Array] = field(compare=False, repr=False)
    options: tuple[tuple[str, float], ...] = ()

    def __call__(self, z: Array) -> Array:
        """Return f(z), of z's shape."""
        with np.errstate(over="ignore"):  # exp of a large number is inf, and 1/inf the right 0
            return self.f(np.asarray(z))


def _identity(z: Array) -> Array:
    return z


def _identity_d(z: Array, a: Array) -> Array:
    return np.ones_like(z)


identity = Activation("identity", _identity, _identity_d)
"""a = z."""


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def _sigmoid_d(z: Array, a: Array) -> Array:
    return a * (1 - a)


sigmoid = Activation("sigmoid", _sigmoid, _sigmoid_d)
"""a = 1 / (1 + e^-z), the logistic function."""


def _tanh(z: Array) -> Array:
    return np.tanh(z)


def _tanh_d(z: Array, a: Array) -> Array:
    return 1 - a * a


tanh = Activation("tanh", _tanh, _tanh_d)
"""a = tanh z."""


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _relu_d(z: Array, a: Array) -> Array:
    return np.sign(a)  # a >= 0


relu = Activation("relu", _relu, _relu_d)
"""a = max(z, 0); its derivative at 0 is taken as 0."""


def leaky_relu(slope: float = 0.01) -> Activation:
    """a = z where z > 0, slope · z elsewhere; 0 <= slope <= 1.

    Source: Maas, Hannun, Ng 2013, section 2; the derivative at 0 is taken as ``slope``.
    """
    slope = checked_number("slope", slope, 0.0, 1.0)

    def f(z: Array) -> Array:
        return np.maximum(z, slope * z)

    def df(z: Array, a: Array) -> Array:
        return np.maximum(np.sign(z), slope)

    return Activation("leaky_relu", f, df, (("slope", slope),))


def elu(alpha: float = 1.0) -> Activation:
    """a = z where z > 0, alpha (e^z - 1) elsewhere.

    Source: Clevert, Unterthiner, Hochreiter 2016, equation 15.
    """
    alpha = checked_number("alpha", alpha, 0.0, math.inf)

    def f(z: Array) -> Array:
        return np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0))

    def df(z: Array, a: Array) -> Array:
        return np.maximum(np.sign(z), 0) + (z <= 0) * (alpha * np.exp(np.minimum(z, 0)))

    return Activation("elu", f, df, (("alpha", alpha),))


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _selu(z: Array) -> Array:
    return _SELU_SCALE * (np.maximum(z, 0) + _SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def _selu_d(z: Array, a: Array) -> Array:
    below = (z <= 0) * (_SELU_ALPHA * np.exp(np.minimum(z, 0)))
    return _SELU_SCALE * (np.maximum(np.sign(z), 0) + below)


selu = Activation("selu", _selu, _selu_d)
"""a = λ elu(z; α) with the fixed point's λ and α (Klambauer et al. 2017, equation 2)."""


_GELU_C = math.sqrt(2 / math.pi)


def _gelu(z: Array) -> Array:
    return 0.5 * z * (1 + np.tanh(_GELU_C * (z + 0.044715 * (z * z * z))))


def _gelu_d(z: Array, a: Array) -> Array:
    z = np.minimum(np.maximum(z, -1e3), 1e3)  # far out the slope is 0 or 1, and z³ overflows
    u = np.tanh(_GELU_C * (z + 0.044715 * (z * z * z)))
    return 0.5 * (1 + u) + 0.5 * z * (1 - u * u) * (_GELU_C * (1 + 0.134145 * (z * z)))


gelu = Activation("gelu", _gelu, _gelu_d)
"""a = ½ z (1 + tanh(√(2/π) (z + 0.044715 z³))) (Hendrycks, Gimpel 2016; the tanh form)."""


def _silu(z: Array) -> Array:
    return z / (1 + np.exp(-z))


def _silu_d(z: Array, a: Array) -> Array:
    s = _sigmoid(z)
    return s + a * (1 - s)


silu = Activation("silu", _silu, _silu_d)
"""a = z σ(z), also called swish (Elfwing, Uchibe, Doya 2018)."""


def _softplus(z: Array) -> Array:
    # log(1 + e^z) with the larger exponent taken out, so that nothing overflows
    return np.maximum(z, 0) + np.log1p(np.exp(np.minimum(z, -z)))


def _softplus_d(z: Array, a: Array) -> Array:
    return _sigmoid(z)


softplus = Activation("softplus", _softplus, _softplus_d)
"""a = log(1 + e^z)."""


def _mish(z: Array) -> Array:
    return z * np.tanh(_softplus(z))


def _mish_d(z: Array, a: Array) -> Array:
    u = np.tanh(_softplus(z))
    return u + z * (1 - u * u) * _sigmoid(z)


mish = Activation("mish", _mish, _mish_d)
"""a = z tanh(softplus z) (Misra 2019)."""


def _softsign(z: Array) -> Array:
    return z / (1 + np.maximum(z, -z))


def _softsign_d(z: Array, a: Array) -> Array:
    u = 1 + np.maximum(z, -z)
    return 1 / (u * u)


softsign = Activation("softsign", _softsign, _softsign_d)
"""a = z / (1 + |z|)."""


BY_NAME: dict[str, Activation | Callable[..., Activation]] = {
    "elu": elu,
    "gelu": gelu,
    "identity": identity,
    "leaky_relu": leaky_relu,
    "mish": mish,
    "relu": relu,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "softplus": softplus,
    "softsign": softsign,
    "tanh": tanh,
}


def by_name(name: str) -> Activation:
    """Return the activation of a name in ``BY_NAME``; those that take a number take their default.

    Raises: KeyError.
    """
    unit = BY_NAME[name]
    return unit if isinstance(unit, Activation) else unit()
