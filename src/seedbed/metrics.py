"""Metrics: functions that score predictions, and which direction is better.

A metric receives the targets t and the predictions p of one member:

    "classes"  t (N,) class numbers, p (N, K) probabilities; K is 2 for a network with one output,
               the probability of class 1
    "labels"   t (N, O) 0 or 1, p (N, O) probabilities; each output is an independent label
    "numbers"  t (N, O), p (N, O)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from seedbed.arrays import Array, checked_number, one_line
from seedbed.errors import DataError, SettingError
from seedbed.reproducible import log, mean, total

TargetKind = Literal["classes", "labels", "numbers"]


@dataclass(frozen=True)
class Metric:
    """A score: ``f(t, p)`` is one number; ``higher_is_better`` gives the direction.

    targets  the kinds of target that it can score; the module's docstring gives t and p for each
    percent  whether it is a share, displayed in percent

    >>> import numpy as np, seedbed as sb
    >>> largest = sb.Metric("largest error", lambda t, p: np.abs(t - p).max(), False, ("numbers",))
    """

    name: str
    f: Callable[[Array, Array], float]
    higher_is_better: bool
    targets: tuple[TargetKind, ...] = get_args(TargetKind)
    percent: bool = False

    def __post_init__(self) -> None:
        if not callable(self.f):
            raise SettingError(
                f"a metric's f must be a function of t and p, not {one_line(self.f)}"
            )
        if not isinstance(self.higher_is_better, bool | np.bool_):
            raise SettingError(
                f"higher_is_better of the metric {self.name} must be True or False, not "
                f"{one_line(self.higher_is_better)}"
            )

    def format(self, value: float) -> str:
        """Return a score as text."""
        if not math.isfinite(value):
            return "failed" if math.isnan(value) else f"{value}"
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"

    def format_gain(self, value: float, sign: bool = False) -> str:
        """Return a difference of two scores as text, without its unit."""
        if not math.isfinite(value):
            return "-∞" if value < 0 else "∞"
        value = (100 * value if self.percent else value) + 0.0
        return f"{value:{'+' if sign else ''}.3g}"

    @property
    def gain_unit(self) -> str:
        """The unit of a difference, with a leading space."""
        return " points" if self.percent else ""


def _mean(values: Any) -> float:
    return float(mean(np.ravel(values)))


def _accuracy(t: Array, p: Array) -> float:
    if p.shape == t.shape:
        return float(((p > 0.5) == (t > 0.5)).mean())
    return float((p.argmax(axis=1) == t).mean())


_EPSILON = 2.0**-23


def _log_loss(t: Array, p: Array) -> float:
    p = np.clip(p.astype(np.float64), _EPSILON, 1 - _EPSILON)
    if p.shape == t.shape:
        return -_mean(t * log(p) + (1 - t) * log(1 - p))
    chosen = p[np.arange(len(t)), t]
    return -_mean(log(chosen / total(p)))


def _auc(t: Array, p: Array) -> float:
    if p.shape != t.shape:
        if p.shape[1] == 2:
            t, p = t[:, None] == 1, p[:, 1:]
        else:
            t = t[:, None] == np.arange(p.shape[1])
    areas = [_binary_auc(t[:, k] > 0.5, p[:, k]) for k in range(p.shape[1])]
    defined = [area for area in areas if not math.isnan(area)]
    if not defined:
        raise DataError("AUC needs rows of at least two classes to score on, and there is one")
    return _mean(defined)


def _binary_auc(positive: Array, p: Array) -> float:
    """Return the probability that a positive row ranks above a negative one.

    From the ranks (Mann, Whitney 1947); ties share the mean rank. NaN for rows of one class.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if positives == 0 or negatives == 0:
        return math.nan
    ordered = np.sort(p)
    below = np.searchsorted(ordered, p, side="left")
    upto = np.searchsorted(ordered, p, side="right")
    rank_sum = total(((below + upto + 1) / 2)[positive])
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def _rmse(t: Array, p: Array) -> float:
    return _mean(np.sqrt(mean((p.astype(np.float64) - t) ** 2, 0)))


def _mae(t: Array, p: Array) -> float:
    return _mean(np.abs(p.astype(np.float64) - t))


def _r2(t: Array, p: Array) -> float:
    variation = total((t - mean(t, 0)) ** 2, 0)
    if (t.max(axis=0) == t.min(axis=0)).any():
        raise DataError("R² needs targets that differ, and the rows to score on have one value")
    return _mean(1 - total((p.astype(np.float64) - t) ** 2, 0) / variation)


accuracy = Metric("accuracy", _accuracy, True, ("classes", "labels"), percent=True)
"""The share of rows whose most probable class is correct; for labels, the share of labels."""

log_loss = Metric("log loss", _log_loss, False, ("classes", "labels"))
"""The mean of -log of the correct class's probability, in nats; probabilities are clipped to
[2^-23, 1 - 2^-23], for any dtype."""

auc = Metric("AUC", _auc, True, ("classes", "labels"))
"""The area under the receiver operating characteristic; with several classes or labels, the mean of
one-against-rest areas, over those with rows on both sides."""

rmse = Metric("RMSE", _rmse, False, ("numbers",))
"""The root of the mean squared error; with several outputs, their mean."""

r2 = Metric("R²", _r2, True, ("numbers",))
"""1 - Σ(t - p)² / Σ(t - t̄)², t̄ the mean of the rows scored; with several outputs, their mean."""

mae = Metric("MAE", _mae, False, ("numbers",))
"""The mean absolute error."""


def pinball(q: float = 0.5) -> Metric:
    """The mean of max(q (t - p), (q - 1) (t - p)), 0 < q < 1; minimal at the q-quantile."""
    q = checked_number("q", q, 0.0, 1.0, open_low=True, open_high=True)

    def f(t: Array, p: Array) -> float:
        d = t - p.astype(np.float64)
        return _mean(np.maximum(q * d, (q - 1) * d))

    return Metric(f"pinball loss at {q:g}", f, False, ("numbers",))


BY_NAME: dict[str, Metric | Callable[..., Metric]] = {
    "accuracy": accuracy,
    "log_loss": log_loss,
    "auc": auc,
    "rmse": rmse,
    "r2": r2,
    "mae": mae,
    "pinball": pinball,
}
"""The names that the command accepts."""
