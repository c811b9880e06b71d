"""Loss functions: each value stands above its derivative, and the map from outputs to predictions.

A loss is the mean over rows, and over outputs too, except for the classes of one distribution
(cross-entropy), which are summed. With row weights w it is Σ w l / Σ w. The gradient is the
derivative of exactly that number.

As in ``activations``, every function is elementwise, works on arrays and scalars, and is analytic
near the real axis where the loss is smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, get_args

import numpy as np

from seedbed.arrays import Array, checked_number, one_line
from seedbed.errors import SettingError
from seedbed.formulas.activations import _identity, _sigmoid, _softplus
from seedbed.formulas.named import Named
from seedbed.formulas.user_defined import (
    POINTS,
    called,
    check_equal,
    check_slope,
    is_user_defined,
)

Targets = Literal["number", "count", "probability", "classes"]
"""What the targets are: any number; a number >= 0; a number in [0, 1] for each output; or one
distribution over all outputs, as class numbers or as rows that sum to 1."""


@dataclass(frozen=True)
class Loss(Named):
    """l = f(y, t);  dl/dy = df(y, t);  prediction = predict(y).  Elementwise; keeps shape, dtype.

    y is the network's output and t the target, both (…, O). If ``targets`` is "classes", f, df and
    predict take log-probabilities (see ``log_softmax``), and df is still the derivative by the
    network's own output, for targets that sum to 1.

    options          the arguments of the factory
    smoothing        the share ε of label smoothing (see ``smoothed``)
    inverse_predict  maps predictions back to what f takes; None if there is no inverse
    residual         r with l = r² and dr/dy = 1, for steps that need its Jacobian; None
                     if the loss is not a square
    surrogate        whether df is meant to differ from f's derivative; otherwise a loss of your own
                     is checked when it is made

    Losses with equal name, options and smoothing are equal.

    Raises: FormulaError if df is not the derivative of f by y, if inverse_predict does not undo
    predict, if the residual's square is not f, or if a function does not work elementwise.
    """

    name: str
    f: Callable[[Array, Array], Array] = field(compare=False, repr=False)
    df: Callable[[Array, Array], Array] = field(compare=False, repr=False)
    predict: Callable[[Array], Array] = field(compare=False, repr=False)
    targets: Targets = "number"
    options: tuple[tuple[str, float], ...] = ()
    smoothing: float = 0.0
    inverse_predict: Callable[[Array], Array] | None = field(
        default=None, compare=False, repr=False
    )
    residual: Callable[[Array, Array], Array] | None = field(
        default=None, compare=False, repr=False
    )

    surrogate: bool = field(default=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.targets not in get_args(Targets):
            raise SettingError(
                f"targets of loss {self.name!r} must be one of {get_args(Targets)}, not "
                + one_line(self.targets)
            )
        if not self.surrogate and is_user_defined(self.f, self.df, self.predict):
            self._check()

    def _check(self) -> None:
        """Check user-defined functions on a few outputs and targets."""
        what, (y, t) = f"loss {self.name!r}", _POINTS[self.targets]
        normalised = self.normalised(y)
        df = called(what, "df(y, t)", self.df, normalised, t)
        if self.targets == "classes":
            self._check_classes(what, y, t, df)
        else:
            f = partial(_of_output, partial(called, what, "f(y, t)", self.f), t)
            check_slope(what, "df(y, t)", f, df, y, partial(_place, y, t))
        prediction = called(what, "predict(y)", self.predict, normalised)
        if self.inverse_predict is not None:
            undone = called(what, "inverse_predict(p)", self.inverse_predict, prediction)
            names = "inverse_predict(predict(y))", "y"
            check_equal(what, names, undone, normalised, partial(_place, y, t))
        if self.residual is not None:
            r = called(what, "residual(y, t)", self.residual, y, t)
            loss = called(what, "f(y, t)", self.f, y, t)
            check_equal(what, ("residual(y, t)²", "f(y, t)"), r * r, loss, partial(_place, y, t))

    def _check_classes(self, what: str, y: Array, t: Array, df: Array) -> None:
        """Check the derivatives of each row's summed loss, by one of its outputs at a time."""
        rows, classes = y.shape
        row, k = np.repeat(np.arange(rows), classes), np.tile(np.arange(classes), rows)
        changes = np.arange(classes) == k[:, None]

        def f(x: Array) -> Array:
            outputs = self.normalised(np.where(changes, x, y[row]))
            each = called(what, "f(y, t)", self.f, outputs, t[row])
            return np.asarray(each.sum(axis=1, keepdims=True))

        def place(at: tuple[int, ...]) -> str:
            logits, shares = y[row[at[0]]].tolist(), t[row[at[0]]].tolist()
            return f"output {k[at[0]]} of the logits {logits}, t = {shares}"

        check_slope(what, "df(y, t)", f, df[row, k, None], y[row, k, None], place)

    def terms(self, outputs: int) -> int:
        """Return how many of a row's outputs the mean loss averages over: classes are summed."""
        return 1 if self.targets == "classes" else outputs

    def mean(self, y: Array, t: Array, share: Array) -> Array:
        """Return each member's mean loss Σ l · share, (P,), for normalised y (P, B, O).

        Shapes: t and share (Q, B, O) with Q = P or 1; share as in ``engines.batches.Batch``.
        """
        each = self.f(y, t)
        return np.asarray(np.vecdot(share.reshape(len(share), -1), each.reshape(len(each), -1)))

    def smoothed(self, epsilon: float) -> Loss:
        """Return the loss with label smoothing: t becomes (1 - ε) t + ε/K, 0 <= ε < 1.

        K is the number of classes, or 2 if each output is a separate probability.

        Raises: SettingError if the targets are not probabilities.
        Source: Szegedy et al. 2016, section 7.
        """
        if self.targets not in ("probability", "classes"):
            raise SettingError(
                f"{self.name} has no labels to smooth: use cross_entropy or binary_cross_entropy"
            )
        epsilon = checked_number("smoothing", epsilon, 0.0, 1.0, open_high=True)
        return replace(self, smoothing=epsilon)

    def normalised(self, y: Array) -> Array:
        """Return what f, df and predict take: log-probabilities for classes, else y itself."""
        return log_softmax(y) if self.targets == "classes" else y

    def smooth(self, t: Array) -> Array:
        """Return the targets (…, O) with label smoothing applied."""
        if not self.smoothing:
            return t
        return (1 - self.smoothing) * t + self.smoothing / (
            t.shape[-1] if self.targets == "classes" else 2
        )


def _of_output(f: Callable[[Array, Array], Array], t: Array, y: Array) -> Array:
    return f(y, t)


def _place(y: Array, t: Array, at: tuple[int, ...]) -> str:
    return f"y = {y[at]:g}, t = {t[at]:g}"


def _points() -> dict[str, tuple[Array, Array]]:
    """Return outputs and targets (n, O) to check a loss at, by kind of target."""
    y = POINTS[np.abs(POINTS) < 4].reshape(-1, 1)
    pairs = {
        kind: (np.tile(y, (len(targets), 1)), np.repeat(targets, len(y))[:, None])
        for kind, targets in {
            "number": np.array([-1.7, 0.3, 2.1]),
            "count": np.array([0.0, 1.0, 4.0]),
            "probability": np.array([0.0, 0.3, 1.0]),
        }.items()
    }
    logits = np.array([[0.3, -1.2, 2.1], [1.4, 0.6, -0.7], [-2.3, 0.1, 0.2]])
    shares = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    return pairs | {"classes": (logits, shares)}


_POINTS = _points()


def log_softmax(y: Array) -> Array:
    """Return y - log Σ e^y over the last axis, (…, O); the largest y is subtracted first."""
    shifted = y - y.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _difference(y: Array, t: Array) -> Array:
    return y - t


def _squared_error(y: Array, t: Array) -> Array:
    d = y - t
    return d * d


def _squared_error_d(y: Array, t: Array) -> Array:
    return 2 * (y - t)


squared_error = Loss(
    "squared_error",
    _squared_error,
    _squared_error_d,
    _identity,
    inverse_predict=_identity,
    residual=_difference,
)
"""l = (y - t)²; predicts the mean."""


def _absolute_error(y: Array, t: Array) -> Array:
    return np.maximum(y - t, t - y)


def _absolute_error_d(y: Array, t: Array) -> Array:
    return np.sign(y - t)


absolute_error = Loss(
    "absolute_error", _absolute_error, _absolute_error_d, _identity, inverse_predict=_identity
)
"""l = |y - t|; predicts the median. The derivative at 0 is defined as 0."""


def huber(delta: float = 1.0) -> Loss:
    """l = ½ d² where |d| <= delta, delta (|d| - ½ delta) elsewhere; d = y - t, delta > 0.

    Source: Huber 1964.
    """
    delta = checked_number("delta", delta, 0.0, open_low=True)

    def f(y: Array, t: Array) -> Array:
        d = np.maximum(y - t, t - y)
        m = np.minimum(d, delta)
        return m * (d - 0.5 * m)

    def df(y: Array, t: Array) -> Array:
        return np.maximum(np.minimum(y - t, delta), -delta)

    return Loss("huber", f, df, _identity, options=(("delta", delta),), inverse_predict=_identity)


def quantile(q: float) -> Loss:
    """l = q (t - y) where t > y, (1 - q) (y - t) elsewhere; predicts the q quantile, 0 < q < 1.

    Also called the pinball loss; the derivative at y = t is defined as 1/2 - q.
    Source: Koenker, Bassett 1978.
    """
    q = checked_number("q", q, 0.0, 1.0, open_low=True, open_high=True)

    def f(y: Array, t: Array) -> Array:
        return np.maximum(q * (t - y), (1 - q) * (y - t))

    def df(y: Array, t: Array) -> Array:
        return 0.5 * np.sign(y - t) + (0.5 - q)

    return Loss("quantile", f, df, _identity, options=(("q", q),), inverse_predict=_identity)


def _poisson(y: Array, t: Array) -> Array:
    return np.exp(y) - t * y


def _poisson_d(y: Array, t: Array) -> Array:
    return np.exp(y) - t


_TINY = float(np.finfo(np.float32).tiny)
"""Probabilities and rates are clipped to this before the logarithm, in either dtype."""


def _exp(y: Array) -> Array:
    return np.exp(y)


def _log(p: Array) -> Array:
    return np.log(np.maximum(p, _TINY))


def _logit(p: Array) -> Array:
    return _log(p) - _log(1 - p)


poisson = Loss("poisson", _poisson, _poisson_d, _exp, targets="count", inverse_predict=_log)
"""l = e^y - t y in nats, for counts t with rate e^y (log link); log t! is left out, as it does not
depend on y. Predicts the rate."""


def _binary_cross_entropy(y: Array, t: Array) -> Array:
    return _softplus(y) - t * y


def _binary_cross_entropy_d(y: Array, t: Array) -> Array:
    return _sigmoid(y) - t


binary_cross_entropy = Loss(
    "binary_cross_entropy",
    _binary_cross_entropy,
    _binary_cross_entropy_d,
    _sigmoid,
    targets="probability",
    inverse_predict=_logit,
)
"""l = -t log σ(y) - (1 - t) log(1 - σ(y)) in nats for each output, y a logit. Predicts the
probability σ(y)."""


def _cross_entropy(y: Array, t: Array) -> Array:
    return -t * y


def _cross_entropy_d(y: Array, t: Array) -> Array:
    return np.exp(y) - t


cross_entropy = Loss(
    "cross_entropy", _cross_entropy, _cross_entropy_d, _exp, targets="classes", inverse_predict=_log
)
"""l = -Σ_k t_k log softmax(y)_k in nats, y the logits; dl/dy = softmax(y) - t. Predicts the
probabilities softmax(y)."""


BY_NAME: dict[str, Loss | Callable[..., Loss]] = {
    "absolute_error": absolute_error,
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "huber": huber,
    "poisson": poisson,
    "quantile": quantile,
    "squared_error": squared_error,
}

ALIASES = {
    "BCE": "binary_cross_entropy",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy",
    "CE": "cross_entropy",
    "CrossEntropyLoss": "cross_entropy",
    "HuberLoss": "huber",
    "L1Loss": "absolute_error",
    "MAE": "absolute_error",
    "MSE": "squared_error",
    "MSELoss": "squared_error",
    "PoissonNLLLoss": "poisson",
    "SmoothL1Loss": "huber",
    "categorical_crossentropy": "cross_entropy",
    "log_loss": "cross_entropy",
    "mean_absolute_error": "absolute_error",
    "mean_squared_error": "squared_error",
    "pinball": "quantile",
    "softmax_cross_entropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
}
"""Names in PyTorch, Keras, scikit-learn and optax."""
