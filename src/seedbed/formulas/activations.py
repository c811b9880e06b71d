"""Activation functions: each value stands above its derivative.

Every function is elementwise and works on arrays and scalars: no branches, no ``np.where``, only
operations that keep the dtype, so that every engine can use the same lines. The functions also hold
for complex arguments near the real axis (maximum and minimum order complex numbers by their real
part first), which complex-step gradient checks need.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from functools import partial

import numpy as np

from seedbed.arrays import Array, checked_number
from seedbed.formulas.initializers import Initializer, glorot, he, lecun
from seedbed.formulas.named import Named
from seedbed.formulas.user_defined import POINTS, called, check_slope, is_user_defined


@dataclass(frozen=True)
class Activation(Named):
    """a = f(z);  da/dz = df(z, a).  Elementwise; keeps shape and dtype.

    options      the arguments of the factory; activations with equal name and options are equal
    initializer  keeps the signal's variance through f: he if f cuts off the negative half, lecun
                 for selu, whose derivation assumes it, glorot for others
    saturates    whether f is bounded and flat on both sides
    surrogate    whether df is meant to differ from f's derivative, as in a straight-through
                 estimator; otherwise an activation of your own is checked when it is made

    Raises: FormulaError if df is not the derivative of f, or either does not work elementwise.
    """

    name: str
    f: Callable[[Array], Array] = field(compare=False, repr=False)
    df: Callable[[Array, Array], Array] = field(compare=False, repr=False)
    options: tuple[tuple[str, float], ...] = ()
    _: KW_ONLY
    initializer: Initializer = field(default=glorot, compare=False, repr=False)
    saturates: bool = field(default=False, compare=False, repr=False)
    surrogate: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.surrogate or not is_user_defined(self.f, self.df):
            return
        what, z = f"activation {self.name!r}", POINTS
        f = partial(called, what, "f(z)", self.f)
        df = called(what, "df(z, a)", self.df, z, f(z))
        check_slope(what, "df(z, a)", f, df, z, lambda at: f"z = {z[at]:g}")

    def __call__(self, z: Array) -> Array:
        """Return f(z), of z's shape."""
        with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / inf is the right 0
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


sigmoid = Activation("sigmoid", _sigmoid, _sigmoid_d, saturates=True)
"""a = 1 / (1 + e^-z), the logistic function."""


def _tanh(z: Array) -> Array:
    return np.tanh(z)


def _tanh_d(z: Array, a: Array) -> Array:
    return 1 - a * a


tanh = Activation("tanh", _tanh, _tanh_d, saturates=True)
"""a = tanh z."""


def _relu(z: Array) -> Array:
    return np.maximum(z, 0)


def _relu_d(z: Array, a: Array) -> Array:
    return np.sign(a)  # a >= 0


relu = Activation("relu", _relu, _relu_d, initializer=he)
"""a = max(z, 0); the derivative at 0 is defined as 0."""


def leaky_relu(slope: float = 0.01) -> Activation:
    """a = z where z > 0, slope · z elsewhere; 0 <= slope <= 1.

    Source: Maas, Hannun, Ng 2013, section 2; the derivative at 0 is defined as ``slope``.
    """
    slope = checked_number("slope", slope, 0.0, 1.0)

    def f(z: Array) -> Array:
        return np.maximum(z, slope * z)

    def df(z: Array, a: Array) -> Array:
        return np.maximum(np.sign(z), slope)

    return Activation("leaky_relu", f, df, (("slope", slope),), initializer=he)


def elu(alpha: float = 1.0) -> Activation:
    """a = z where z > 0, alpha (e^z - 1) elsewhere.

    Source: Clevert, Unterthiner, Hochreiter 2016, equation 15.
    """
    alpha = checked_number("alpha", alpha, 0.0, math.inf)

    def f(z: Array) -> Array:
        return np.maximum(z, 0) + alpha * np.expm1(np.minimum(z, 0))

    def df(z: Array, a: Array) -> Array:
        return np.maximum(np.sign(z), 0) + (z <= 0) * (alpha * np.exp(np.minimum(z, 0)))

    return Activation("elu", f, df, (("alpha", alpha),), initializer=he)


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _selu(z: Array) -> Array:
    return _SELU_SCALE * (np.maximum(z, 0) + _SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def _selu_d(z: Array, a: Array) -> Array:
    below = (z <= 0) * (_SELU_ALPHA * np.exp(np.minimum(z, 0)))
    return _SELU_SCALE * (np.maximum(np.sign(z), 0) + below)


selu = Activation("selu", _selu, _selu_d, initializer=lecun)
"""a = λ elu(z; α), λ and α those of the fixed point (Klambauer et al. 2017, equation 2)."""


_GELU_C = math.sqrt(2 / math.pi)


def _gelu(z: Array) -> Array:
    return 0.5 * z * (1 + np.tanh(_GELU_C * (z + 0.044715 * (z * z * z))))


def _gelu_d(z: Array, a: Array) -> Array:
    z = np.minimum(np.maximum(z, -1e3), 1e3)  # beyond, the slope is 0 or 1 and z³ overflows
    u = np.tanh(_GELU_C * (z + 0.044715 * (z * z * z)))
    return 0.5 * (1 + u) + 0.5 * z * (1 - u * u) * (_GELU_C * (1 + 0.134145 * (z * z)))


gelu = Activation("gelu", _gelu, _gelu_d, initializer=he)
"""a = ½ z (1 + tanh(√(2/π) (z + 0.044715 z³))) (Hendrycks, Gimpel 2016; the tanh form)."""


def _silu(z: Array) -> Array:
    return z / (1 + np.exp(-z))


def _silu_d(z: Array, a: Array) -> Array:
    s = _sigmoid(z)
    return s + a * (1 - s)


silu = Activation("silu", _silu, _silu_d, initializer=he)
"""a = z σ(z), also called swish (Elfwing, Uchibe, Doya 2018)."""


def _softplus(z: Array) -> Array:
    # log(1 + e^z) with the larger exponent factored out, so that nothing overflows
    return np.maximum(z, 0) + np.log1p(np.exp(np.minimum(z, -z)))


def _softplus_d(z: Array, a: Array) -> Array:
    return _sigmoid(z)


softplus = Activation("softplus", _softplus, _softplus_d)
"""a = log(1 + e^z)."""


def _mish(z: Array) -> Array:
    # tanh(log(1 + e)) = n / (n + 2) with e = e^z and n = e (e + 2): one exponential
    e = np.exp(np.minimum(z, 20))  # beyond, n / (n + 2) rounds to 1
    n = e * (e + 2)
    return z * (n / (n + 2))


def _mish_d(z: Array, a: Array) -> Array:
    e = np.exp(np.minimum(z, 20))
    n = e * (e + 2)
    r = 1 / (n + 2)
    return r * (n + 4 * z * (e * (e + 1) * r))


mish = Activation("mish", _mish, _mish_d, initializer=he)
"""a = z tanh(softplus z) (Misra 2019)."""


def _softsign(z: Array) -> Array:
    return z / (1 + np.maximum(z, -z))


def _softsign_d(z: Array, a: Array) -> Array:
    u = 1 + np.maximum(z, -z)
    return 1 / (u * u)


softsign = Activation("softsign", _softsign, _softsign_d, saturates=True)
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

ALIASES = {
    "linear": "identity",
    "logistic": "sigmoid",
    "swish": "silu",
}
"""Names in Keras and scikit-learn; PyTorch's are those of ``BY_NAME``."""

NOTES = {
    "softmax": "cross_entropy applies the softmax to the outputs, so leave the last layer's "
    "activation out"
}
"""What to do instead, by names that are often tried."""


def by_name(name: str) -> Activation:
    """Return the activation of a name in ``BY_NAME``, factories called with their defaults.

    Raises: KeyError.
    """
    unit = BY_NAME[name]
    return unit if isinstance(unit, Activation) else unit()
