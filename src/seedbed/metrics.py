"""What predictions are scored by: each metric says which way is better, and what it can score.

A metric sees the targets t and the predictions p of one member:

    "classes"  t (N,) class numbers, p (N, K) probabilities; two classes where the network has one
               output that is the probability of class 1
    "labels"   t (N, O) 0 or 1, p (N, O) probabilities, where each output is a class of its own
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

Task = Literal["classes", "labels", "numbers"]


@dataclass(frozen=True)
class Metric:
    """A score: ``f(t, p)`` is one number; ``higher_is_better`` says which way is better.

    tasks    what it can score; see the module's words for what t and p then are
    percent  whether it is a share, to be shown in percent

    >>> import numpy as np, seedbed as sb
    >>> largest = sb.Metric("largest error", lambda t, p: np.abs(t - p).max(), False, ("numbers",))
    """

    name: str
    f: Callable[[Array, Array], float]
    higher_is_better: bool
    tasks: tuple[Task, ...] = get_args(Task)
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

    def shown(self, value: float) -> str:
        """Return a score for people."""
        if not math.isfinite(value):
            return "failed" if math.isnan(value) else f"{value}"
        return f"{100 * value:.2f} %" if self.percent else f"{value:.4g}"

    def gain(self, value: float, sign: bool = False) -> str:
        """Return a difference of two scores for people, without its unit."""
        if not math.isfinite(value):
            return "-∞" if value < 0 else "∞"
        value = (100 * value if self.percent else value) + 0.0
        return f"{value:{'+' if sign else ''}.3g}"

    @property
    def unit(self) -> str:
        """What differences are in."""
        return " points" if self.percent else ""


def _mean(values: Any) -> float:
    return float(mean(np.ravel(values)))


def _accuracy(t: Array, p: Array) -> float:
    if p.shape == t.shape:
        return float(((p > 0.5) == (t > 0.5)).mean())
    return float((p.argmax(axis=1) == t).mean())


_NEAR = 2.0**-23


def _log_loss(t: Array, p: Array) -> float:
    p = np.clip(p.astype(np.float64), _NEAR, 1 - _NEAR)
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
    each = [_auc_of(t[:, k] > 0.5, p[:, k]) for k in range(p.shape[1])]
    known = [value for value in each if not math.isnan(value)]
    if not known:
        raise DataError("AUC needs rows of at least two classes to score on, and there is one")
    return _mean(known)


def _auc_of(positive: Array, p: Array) -> float:
    """Return the chance that a positive row stands above a negative one; NaN if one side is empty.

    From the ranks (Mann, Whitney 1947), equal predictions sharing theirs.
    """
    ups = int(positive.sum())
    downs = len(positive) - ups
    if ups == 0 or downs == 0:
        return math.nan
    ordered = np.sort(p)
    below = np.searchsorted(ordered, p, side="left")
    upto = np.searchsorted(ordered, p, side="right")
    ranks = (below + upto + 1) / 2
    return float((total(ranks[positive]) - ups * (ups + 1) / 2) / (ups * downs))


def _rmse(t: Array, p: Array) -> float:
    return _mean(np.sqrt(mean((p.astype(np.float64) - t) ** 2, 0)))


def _mae(t: Array, p: Array) -> float:
    return _mean(np.abs(p.astype(np.float64) - t))


def _r2(t: Array, p: Array) -> float:
    around = total((t - mean(t, 0)) ** 2, 0)
    if (t.max(axis=0) == t.min(axis=0)).any():
        raise DataError("R² needs targets that differ, and the rows to score on have one value")
    return _mean(1 - total((p.astype(np.float64) - t) ** 2, 0) / around)


accuracy = Metric("accuracy", _accuracy, True, ("classes", "labels"), percent=True)
"""The share of rows whose likeliest class is the right one; of labels, those right."""

log_loss = Metric("log loss", _log_loss, False, ("classes", "labels"))
"""The mean of -log of the right class's probability, in nats; probabilities are kept float32's
rounding error away from 0 and 1, whatever their own dtype."""

auc = Metric("AUC", _auc, True, ("classes", "labels"))
"""The area under the receiver's operating characteristic; of several classes or labels, the mean
of each against the rest, over those that have rows on both sides."""

rmse = Metric("RMSE", _rmse, False, ("numbers",))
"""The root of the mean squared error; of several outputs, the mean of theirs."""

r2 = Metric("R²", _r2, True, ("numbers",))
"""1 - Σ(t - p)² / Σ(t - t̄)², t̄ the mean of the rows scored; of several outputs, the mean."""

mae = Metric("MAE", _mae, False, ("numbers",))
"""The mean absolute error."""


def pinball(q: float = 0.5) -> Metric:
    """The mean of max(q (t - p), (q - 1) (t - p)), 0 < q < 1: least at the q-quantile."""
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
"""What the command knows them by."""
