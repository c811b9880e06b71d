"""Members that predict no better than a constant, or only the commonest class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seedbed import metrics
from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, count_of_members, places_of
from seedbed.diagnosis.gradient_flow import MIN_CURVE_EPOCHS
from seedbed.errors import DataError
from seedbed.formulas.losses import Loss
from seedbed.member_rows import HoldOut
from seedbed.population import Population

_MAX_ROWS, _MAX_PREDICTIONS = 10_000, 2**24
"""Rows, and predictions of all members together, that are judged at most."""
_MIN_ROWS, _MIN_RARE = 30, 5
"""Fewer rows, or fewer rows that are not of the commonest class, are not judged."""
_MAX_GAIN = 0.1
"""Members are no better than a constant only if the interval of their gain ends below this share of
the possible gain; a wider one shows nothing."""
_Z, _Z_RELATED = 1.96, 3.0
"""Quantiles of the normal distribution: for a gain's interval, and above which predictions are
related to the targets."""
_EPSILON = 2.0**-23


class Gain(NamedTuple):
    """How much lower a loss is than a constant prediction's, as a share of the possible gain.

    rows       how many rows it was measured on, and ``where`` they come from
    related    whether the predictions are related to the targets, whatever their scale
    """

    gain: float
    low: float
    high: float
    rows: int
    where: str
    related: bool

    @property
    def is_nothing(self) -> bool:
        """Whether it is shown to be small, and may be 0."""
        return self.low <= 0 and self.high < _MAX_GAIN and not self.related


def find(
    population: Population,
    x: Array,
    t: Array,
    w: Array | None,
    names: Sequence[str] | None,
    explained: set[int],
) -> Iterator[Finding]:
    """Compare the mean prediction of the fitted members with the best constant prediction.

    Shapes: x (N, I); t (N, O); w (N,) row weights or None. ``names`` of the outputs, or None.
    Nothing is found if most of the members are ``explained`` by another finding, or the training
    was too short to be judged.
    """
    loss, fitted = population.recipe.loss, np.flatnonzero(~population.diverged)
    if len(x) < _MIN_ROWS or not len(fitted) or loss.inverse_predict is None:
        return
    too_short = population.recipe.epochs < MIN_CURVE_EPOCHS
    if too_short or len(explained & set(fitted.tolist())) > len(fitted) / 2:
        return
    count = max(_MIN_ROWS, _MAX_PREDICTIONS // (len(fitted) * population.network.outputs))
    rows = np.arange(len(x))
    if len(x) > min(count, _MAX_ROWS):
        rows = np.linspace(0, len(x) - 1, min(count, _MAX_ROWS)).astype(np.intp)
    p = population[fitted].predict(x[rows]).astype(np.float64)
    if not np.isfinite(p).all():
        return
    t, w = t[rows], np.ones(len(rows)) if w is None else w[rows]
    if (t.max(axis=0) == t.min(axis=0)).all() or not _has_rare(loss, t):
        return
    gain = _gain_of(population, fitted, p, t, w, len(x))
    if gain is not None and gain.is_nothing:
        yield _no_better(loss, gain, fitted)
    one_class = _one_class(loss, p, t)
    if one_class.sum() > 0.5 * len(fitted):
        informative = gain is not None and (gain.low > 0 or gain.related)
        members = np.zeros(len(population), np.bool_)
        members[fitted[one_class]] = True
        yield _only_commonest(population, loss, p, t, names, members, informative)


def _has_rare(loss: Loss, t: Array) -> bool:
    if loss.targets == "classes":
        return bool(len(t) - t.sum(axis=0).max() >= _MIN_RARE)
    if loss.targets == "probability":
        return bool(np.minimum(t.sum(axis=0), len(t) - t.sum(axis=0)).max() >= _MIN_RARE)
    return True


def _one_class(loss: Loss, p: Array, t: Array) -> Array:
    """Return which members (P,) predict the commonest class for every row."""
    if loss.targets == "classes":
        return np.asarray((p.argmax(axis=2) == t.sum(axis=0).argmax()).all(axis=1))
    if loss.targets == "probability" and t.shape[1] == 1:
        return np.asarray(((p[:, :, 0] > 0.5) == (t.mean() > 0.5)).all(axis=1))
    return np.zeros(len(p), np.bool_)


# ---------------------------------------------------------------- gains over a constant


def _gain_of(
    population: Population, fitted: Array, p: Array, t: Array, w: Array, total: int
) -> Gain | None:
    """Return the gain on rows that members held out, if the rows are those of the training.

    Else return the gain on the rows given; None if no gain is possible.
    """
    loss = population.recipe.loss
    constant = _constant(loss, t, w)
    perfect = float(np.average(row_losses(loss, t, t), weights=w))
    base = row_losses(loss, constant, t)
    possible = float(np.average(base, weights=w)) - perfect
    if not possible > 0:
        return None
    mean = p.mean(axis=0)
    d = base - row_losses(loss, mean, t)
    out = _held_out(population, fitted, p, t) if total == len(t) else None
    if out is not None:
        times = out.sum(axis=0)
        known = times > 0
        own = (np.where(out[:, :, None], p, 0).sum(axis=0)[known].T / times[known]).T
        d_out = (base - row_losses(loss, _filled(own, known, mean), t))[known]
        return _gain(d_out, w[known], possible, own, t[known], "rows, each held out")
    curve = population.history.ensemble_val_loss
    if curve is None or not _are_training_rows(population, fitted, p, t, w):
        return _gain(d, w, possible, mean, t, "rows")
    gain = (float(np.average(base, weights=w)) - float(np.nanmin(curve))) / possible
    half = _Z * _standard_error(d, w) / possible
    return Gain(gain, gain - half, gain + half, total, "rows, each held out", gain > 0)


def _filled(own: Array, known: Array, mean: Array) -> Array:
    result = mean.copy()
    result[known] = own
    return result


def _gain(d: Array, w: Array, possible: float, p: Array, t: Array, where: str) -> Gain:
    gain = float(np.average(d, weights=w)) / possible
    half = _Z * _standard_error(d, w) / possible
    return Gain(gain, gain - half, gain + half, len(d), where, _are_related(p, t, w))


def _standard_error(d: Array, w: Array) -> float:
    mean = np.average(d, weights=w)
    return float(np.sqrt((w**2 * (d - mean) ** 2).sum()) / w.sum())


def _are_related(p: Array, t: Array, w: Array) -> bool:
    """Return whether predictions and targets vary together more than by chance.

    c = Σ (p - p̄)·(t - t̄) / n has mean 0 and variance tr(S_p S_t) / n if the targets are permuted,
    S the covariance matrices.
    """
    p, t = p - np.average(p, axis=0, weights=w), t - np.average(t, axis=0, weights=w)
    shares = w / w.sum()
    c = float(shares @ (p * t).sum(axis=1))
    variance = float(np.trace((p.T * shares) @ p @ ((t.T * shares) @ t)) * (shares**2).sum())
    return variance > 0 and c > _Z_RELATED * np.sqrt(variance)


def _constant(loss: Loss, t: Array, w: Array) -> Array:
    """Return the best constant prediction for each row, (N, O): the mean, or a quantile."""
    constants = [np.average(t, axis=0, weights=w)]
    if loss.targets == "number":
        constants += list(np.quantile(t, np.arange(1, 20) / 20, axis=0))
    rows = [np.broadcast_to(constant, t.shape) for constant in constants]
    return min(rows, key=lambda each: float(np.average(row_losses(loss, each, t), weights=w)))


def row_losses(loss: Loss, p: Array, t: Array) -> Array:
    """Return each row's loss, (N,), of predictions p (N, O)."""
    assert loss.inverse_predict is not None
    if loss.targets in ("probability", "classes"):
        p = np.clip(p, _EPSILON, 1 - _EPSILON)
    elif loss.targets == "count":
        p = np.maximum(p, _EPSILON)
    with np.errstate(all="ignore"):
        each = loss.f(loss.inverse_predict(p), loss.smooth(t))
    return np.asarray(each.sum(axis=1) / loss.terms(t.shape[1]))


def _held_out(population: Population, fitted: Array, p: Array, t: Array) -> Array | None:
    """Return which rows each fitted member held out, (P, N); None if these are not its rows.

    The draw is repeated, and counts only if it gives the validation losses of the training.
    """
    history, share = population.history, population.recipe.validation
    if share is None or history.val_loss is None or history.ensemble_val_loss is not None:
        return None
    try:
        draw = HoldOut(len(t), share, population.seeds[fitted], None)
    except DataError:
        return None
    out = np.unpackbits(draw.packed, axis=1, count=len(t)).astype(np.bool_)
    loss = population.recipe.loss
    for member, place in enumerate(fitted.tolist()):
        recorded = np.flatnonzero(history.epochs == population.best_epoch[place] - 1)
        if not len(recorded):
            return None
        expected = history.val_loss[place, recorded[0]]
        own = row_losses(loss, p[member, out[member]], t[out[member]]).mean()
        if not abs(own - expected) <= 0.01 * abs(expected):
            return None
    return out


def _are_training_rows(population: Population, fitted: Array, p: Array, t: Array, w: Array) -> bool:
    """Return whether the rows are those of the training, whichever of them each member held out.

    Then each member's loss on them is (1 - h) times its training loss plus h times its validation
    loss, with one share h for all members.
    """
    history = population.history
    recorded = [np.flatnonzero(history.epochs == e - 1) for e in population.best_epoch[fitted]]
    if history.val_loss is None or len(fitted) < 3 or not all(map(len, recorded)):
        return False
    validation = history.val_loss[fitted, np.concatenate(recorded)]
    training = population.loss[fitted]
    each = [np.average(row_losses(population.recipe.loss, q, t), weights=w) for q in p]
    gap, own_gap = validation - training, np.array(each) - training
    h = float(gap @ own_gap / (gap @ gap)) if gap.any() else 0.0
    error = np.abs(own_gap - h * gap).max()
    return 0.01 < h < 1 and bool(error <= 0.02 * np.abs(own_gap).max())


# ---------------------------------------------------------------- findings


def _no_better(loss: Loss, found: Gain, fitted: Array) -> Finding:
    what = {"classes": "the class shares", "probability": "the classes' shares"}.get(
        loss.targets, "the same number for all"
    )
    if found.high < 0:
        remedy = (
            "the members may be overfit to inputs that say little, these rows may differ from the "
            "training's, or the training weighted its rows or classes: then give sample_weight"
        )
    else:
        remedy = (
            "the inputs may say nothing about the target: look for better inputs, more rows, "
            "mistakes in the table, or a learning rate near 0"
        )
    return Finding(
        "no better than constant",
        f"the {'member predicts' if len(fitted) == 1 else 'members together predict'} "
        f"{'worse' if found.high < 0 else 'no better'} "
        f"than {what}: on {found.rows:,} {found.where}, the gain in {loss.name.replace('_', ' ')} "
        f"is {found.gain:.1%} of the possible one (95 % CI {found.low:.1%} to {found.high:.1%}); "
        f"{remedy}",
        tuple(fitted.tolist()),
    )


def _only_commonest(
    population: Population,
    loss: Loss,
    p: Array,
    t: Array,
    names: Sequence[str] | None,
    members: Array,
    informative: bool,
) -> Finding:
    shares = t.mean(axis=0) if loss.targets == "classes" else np.array([1 - t.mean(), t.mean()])
    place = int(shares.argmax())
    name = names[place] if names is not None and len(names) == len(shares) else f"{place}"
    share = np.floor(1000 * shares[place]) / 1000
    verb = "predicts" if len(population) == 1 else "predict"
    message = (
        f"{count_of_members(int(members.sum()), len(population))} {verb} the commonest class "
        f"{name} for each of {len(t):,} rows, of which it has {share:.1%}: their accuracy is that "
        "of a constant prediction"
    )
    area = _area(loss, p[:, :, :].mean(axis=0), t)
    if informative:
        message += (
            f", though their probabilities rank these rows with an AUC of {area:.2f}; judge them "
            "by AUC, predict the rarer class at a lower probability, or weight its rows"
        )
    else:
        message += "; balanced accuracy and AUC show it, where accuracy does not"
    return Finding("commonest class only", message, places_of(members))


def _area(loss: Loss, p: Array, t: Array) -> float:
    if loss.targets == "classes":
        return metrics.auc.f(t.argmax(axis=1), p)
    return metrics.auc.f(t, p)
