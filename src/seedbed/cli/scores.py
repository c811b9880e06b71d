"""Scores of an ensemble on test rows: each member's, the ensemble's and a baseline's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import DataError, SettingError
from seedbed.metrics import BY_NAME, Metric, TargetKind, summary
from seedbed.population import Population
from seedbed.tables.targets import Target

CLASSES = ("accuracy", "balanced_accuracy", "auc", "log_loss")
NUMBERS = ("r2", "rmse", "mae")


@dataclass(frozen=True)
class Scores:
    """Scores by one metric on rows that no member was trained on.

    members   (P,), NaN where diverged, or where the metric is undefined
    ensemble  of the members' mean prediction
    baseline  of the training rows' class frequencies, or their mean
    """

    metric: Metric
    members: Array
    ensemble: float
    baseline: float

    @property
    def key(self) -> str:
        """The metric's name in JSON, as --metric takes it."""
        return self.metric.name.lower().replace(" ", "_").replace("²", "2")

    def shown(self, value: float) -> str:
        """Return a score as text; "-" if it is undefined."""
        return "-" if np.isnan(value) else self.metric.format(value)


def metrics_of(target: Target, chosen: Metric | None) -> list[Metric]:
    """Return the metrics for a target, the chosen one first.

    Raises: SettingError if the chosen one is for another kind of target.
    """
    kind = "classes" if target.classes else "numbers"
    if chosen is not None and kind not in chosen.targets:
        raise SettingError(
            f"{chosen.name} does not score {kind}: give --metric such as "
            f"{', '.join(CLASSES if target.classes else NUMBERS)}"
        )
    usual = [BY_NAME[name] for name in (CLASSES if target.classes else NUMBERS)]
    found = [each for each in usual if isinstance(each, Metric)]
    return found if chosen is None else [chosen, *(m for m in found if m.name != chosen.name)]


def score(
    population: Population, target: Target, metrics: list[Metric], X: Array, t: Array, train: Array
) -> list[Scores]:
    """Score predictions of X against t by each metric.

    Shapes: X (N, I); t (N,) and train (n,), the test and training rows' encoded targets.
    """
    each, together = population.predict(X), population.predict_mean(X)
    if target.classes:
        t, known = t.astype(np.intp), train.astype(np.intp)
        constant = np.bincount(known, minlength=len(target.classes)) / len(known)
    else:
        t, train = (target.in_target_units(y[:, None]) for y in (t, train))
        each, together = target.in_target_units(each), target.in_target_units(together)
        constant = train.mean(axis=0)
    kind: TargetKind = "classes" if target.classes else "numbers"
    found = summary(t, together.astype(np.float64), kind, constant=constant, chosen=metrics)
    beside = {each.metric.name: each for each in found}

    def by(metric: Metric, p: Array) -> float:
        try:
            return float(metric.f(t, p.astype(np.float64)))
        except DataError:  # undefined on these rows
            return np.nan

    return [
        Scores(
            metric,
            np.array([
                np.nan if diverged else by(metric, p)
                for p, diverged in zip(each, population.diverged, strict=True)
            ]),
            beside[metric.name].value if metric.name in beside else np.nan,
            beside[metric.name].constant if metric.name in beside else np.nan,
        )
        for metric in metrics
    ]  # fmt: skip
