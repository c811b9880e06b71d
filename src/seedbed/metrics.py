"""Metrics: functions that score predictions, and which direction is better.

A metric receives the targets t and the predictions p of one member:

    "classes"  t (N,) class numbers, p (N, K) probabilities; K is 2 for a network with one output,
               the probability of class 1
    "labels"   t (N, O) 0 or 1, p (N, O) probabilities; each output is an independent label
    "numbers"  t (N, O), p (N, O)
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
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
    probabilities  whether it needs probabilities; without, predicted classes will do

    >>> import numpy as np, seedbed as sb
    >>> largest = sb.Metric("largest error", lambda t, p: np.abs(t - p).max(), False, ("numbers",))
    """

    name: str
    f: Callable[[Array, Array], float]
    higher_is_better: bool
    targets: tuple[TargetKind, ...] = get_args(TargetKind)
    percent: bool = False
    probabilities: bool = True

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
        value = float(self.in_units(value)) + 0.0
        return f"{value:{'+' if sign else ''}.3g}"

    def in_units(self, gains: Any) -> Any:
        """Return differences of two scores in ``gain_unit``."""
        return 100 * gains if self.percent else gains

    @property
    def gain_unit(self) -> str:
        """The unit of a difference, with a leading space."""
        return " points" if self.percent else ""


def _mean(values: Any) -> float:
    return float(mean(np.ravel(values)))


def _predicted(t: Array, p: Array) -> Array:
    """Return the predicted classes (N,), or labels (N, O)."""
    return (p > 0.5) if p.shape == t.shape else p.argmax(axis=1)


def _accuracy(t: Array, p: Array) -> float:
    if p.shape == t.shape:
        t = t > 0.5
    return float((_predicted(t, p) == t).mean())


def _balanced_accuracy(t: Array, p: Array) -> float:
    if p.shape == t.shape:
        pairs = zip((t > 0.5).T, (p > 0.5).T, strict=True)
        return _mean([_mean_recall(*pair) for pair in pairs])
    return _mean_recall(t, _predicted(t, p))


def _mean_recall(t: Array, predicted: Array) -> float:
    """Return the mean over the classes in t (N,) of the share of a class's rows predicted so."""
    return _mean([(predicted[t == number] == number).mean() for number in np.unique(t)])


def _f1(t: Array, p: Array) -> float:
    predicted = _predicted(t, p)
    if p.shape == t.shape:
        return _mean([_binary_f1(t[:, k] > 0.5, predicted[:, k]) for k in range(p.shape[1])])
    if p.shape[1] == 2:
        return _binary_f1(t == 1, predicted == 1)
    present = np.union1d(t, predicted)
    return _mean([_binary_f1(t == number, predicted == number) for number in present])


def _binary_f1(positive: Array, predicted: Array) -> float:
    found, count = int((positive & predicted).sum()), int(positive.sum() + predicted.sum())
    return 2 * found / count if count else 0.0


def _one_against_rest(t: Array, p: Array) -> list[tuple[Array, Array]]:
    """Return pairs of booleans (N,) and scores (N,): one of two classes, else each class's."""
    if p.shape == t.shape:
        return [(t[:, k] > 0.5, p[:, k]) for k in range(p.shape[1])]
    if p.shape[1] == 2:
        return [(t == 1, p[:, 1])]
    return [(t == k, p[:, k]) for k in range(p.shape[1])]


def _mean_of_defined(values: Iterable[float], what: str) -> float:
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        raise DataError(f"{what} needs rows of at least two classes to score on, and there is one")
    return _mean(defined)


_EPSILON = 2.0**-23


def _log_loss(t: Array, p: Array) -> float:
    p = np.clip(p.astype(np.float64), _EPSILON, 1 - _EPSILON)
    if p.shape == t.shape:
        return -_mean(t * log(p) + (1 - t) * log(1 - p))
    chosen = p[np.arange(len(t)), t]
    return -_mean(log(chosen / total(p)))


def _brier(t: Array, p: Array) -> float:
    p = p.astype(np.float64)
    if p.shape == t.shape:
        return _mean((p - t) ** 2)
    if p.shape[1] == 2:
        return _mean((p[:, 1] - t) ** 2)
    return _mean(total((p - (t[:, None] == np.arange(p.shape[1]))) ** 2))


def _auc(t: Array, p: Array) -> float:
    return _mean_of_defined((_binary_auc(*pair) for pair in _one_against_rest(t, p)), "AUC")


def _average_precision(t: Array, p: Array) -> float:
    return _mean_of_defined(
        (_binary_average_precision(*pair) for pair in _one_against_rest(t, p)), "average precision"
    )


def _binary_average_precision(positive: Array, p: Array) -> float:
    """Return Σ (R_k - R_{k-1}) P_k over the distinct scores, from the highest; NaN for one class.

    P_k and R_k are the precision and the recall of calling rows of that score or more positive.
    """
    positives = int(positive.sum())
    if positives in (0, len(positive)):
        return math.nan
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.diff(p[order], append=-math.inf))  # the last row of each score
    found = np.cumsum(positive[order])[last]
    gained = np.diff(found, prepend=0)
    return float(total(gained * (found / (last + 1))) / positives)


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


accuracy = Metric(
    "accuracy", _accuracy, True, ("classes", "labels"), percent=True, probabilities=False
)
"""The share of rows whose most probable class is correct; for labels, the share of labels."""

balanced_accuracy = Metric(
    "balanced accuracy",
    _balanced_accuracy,
    True,
    ("classes", "labels"),
    percent=True,
    probabilities=False,
)
"""The mean over classes of the share of a class's rows that are predicted correctly: 1/K for a
constant prediction, however rare a class is. With several labels, their mean."""

f1 = Metric("F1", _f1, True, ("classes", "labels"), probabilities=False)
"""2 · true positives / (positives + predicted positives) of class 1, 0 without either; with more
than two classes or labels, the mean of one-against-rest values."""

log_loss = Metric("log loss", _log_loss, False, ("classes", "labels"))
"""The mean of -log of the correct class's probability, in nats; probabilities are clipped to
[2^-23, 1 - 2^-23], for any dtype."""

brier = Metric("Brier score", _brier, False, ("classes", "labels"))
"""The mean of (p - t)², p the probability of class 1 or of a label; with more than two classes, of
Σ (p - t)² over the classes."""

auc = Metric("AUC", _auc, True, ("classes", "labels"))
"""The area under the receiver operating characteristic; with several classes or labels, the mean of
one-against-rest areas, over those with rows on both sides."""

average_precision = Metric("average precision", _average_precision, True, ("classes", "labels"))
"""The mean precision at each gain in recall, without interpolation; the share of class 1 for scores
that say nothing. Several classes or labels as for AUC."""

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
    "balanced_accuracy": balanced_accuracy,
    "log_loss": log_loss,
    "brier": brier,
    "auc": auc,
    "average_precision": average_precision,
    "f1": f1,
    "rmse": rmse,
    "r2": r2,
    "mae": mae,
    "pinball": pinball,
}
"""The names of metrics, as ``by_name`` takes them."""


def by_name(name: str) -> Metric:
    """Return a metric by its name, in any case and with any of "-", "_" and " " between words.

    "pinball:0.9" is the pinball loss at the 0.9-quantile, "pinball" that at the median.

    Raises: SettingError, with the names and the closest one.
    """
    key, sign, option = (name if isinstance(name, str) else "").strip().partition(":")
    key = re.sub(r"[-\s]+", "_", key.lower())
    found = BY_NAME.get(key)
    if found is None or (sign and isinstance(found, Metric)):
        close = difflib.get_close_matches(key, BY_NAME, n=1, cutoff=0.5)
        raise SettingError(
            f"expected one of {', '.join(BY_NAME)}, not {one_line(name)}"
            + (f"; did you mean {close[0]!r}?" if close and close[0] != key else "")
        )
    if isinstance(found, Metric):
        return found
    try:
        return found(float(option)) if sign else found()
    except ValueError as error:
        reason = str(error) if isinstance(error, SettingError) else f"not {one_line(option)}"
        raise SettingError(f"expected a quantile, such as {key}:0.9: {reason}") from None


# ---------------------------------------------------------------- several metrics at once


@dataclass(frozen=True)
class Score:
    """A metric's value on some predictions, and its value on a constant prediction.

    ``str`` gives "accuracy 92.80 % (constant prediction: 92.80 %)".
    """

    metric: Metric
    value: float
    constant: float

    def __str__(self) -> str:
        value, constant = self.metric.format(self.value), self.metric.format(self.constant)
        return f"{self.metric.name} {value} (constant prediction: {constant})"


_SUMMARIES: dict[TargetKind, tuple[Metric, ...]] = {
    "classes": (accuracy, balanced_accuracy, auc, average_precision, f1, log_loss, brier),
    "labels": (accuracy, balanced_accuracy, auc, average_precision, f1, log_loss, brier),
    "numbers": (rmse, mae, r2),
}


def summary(
    t: Array,
    p: Array,
    kind: TargetKind,
    *,
    constant: Array | None = None,
    chosen: Iterable[Metric] | None = None,
) -> list[Score]:
    """Return several metrics of predictions, each beside that of a constant prediction.

    Shapes: t and p as in this module's docstring; ``constant`` one row of p, such as the class
    shares or the mean of the training rows, None for those of t itself.

    ``chosen`` metrics replace the usual ones. A metric that is undefined on t is left out.
    """
    if constant is None:
        classes = kind == "classes"
        constant = mean(t[:, None] == np.arange(p.shape[1]) if classes else t, 0)
    row = np.broadcast_to(np.asarray(constant, dtype=np.float64), p.shape)
    scores = []
    for metric in _SUMMARIES[kind] if chosen is None else chosen:
        try:
            scores.append(Score(metric, metric.f(t, p), metric.f(t, row)))
        except DataError:
            continue
    return scores
