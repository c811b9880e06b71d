"""One run of an estimator or a function: fit, predict, and predictions as metrics take them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices, one_line
from seedbed.comparing.methods import AnyMethod, cloned, is_random_state
from seedbed.comparing.problem import Problem
from seedbed.errors import MethodError
from seedbed.metrics import Metric

_MAX_SEED = 2**32
"""The seeds that scikit-learn's estimators take are below this."""


def run(
    method: AnyMethod, problem: Problem, metric: Metric, seed: int, train: Indices, test: Indices
) -> tuple[Array, float]:
    """Return the predictions for the test rows, as ``metrics`` describes p, and the seconds taken.

    Raises: MethodError for predictions of another shape or kind.
    """
    X, Y, X_test = problem.X_of(train), problem.Y_of(train), problem.X_of(test)
    began = time.perf_counter()
    if not hasattr(method, "fit"):
        p = method(X, Y, X_test, seed)
        return as_predictions(p, problem, metric, len(test)), time.perf_counter() - began
    fitted = seeded(method, seed)
    fitted.fit(X, Y)
    seconds = time.perf_counter() - began
    if problem.kind == "numbers" or not metric.probabilities:
        p = fitted.predict(X_test)
    elif hasattr(fitted, "predict_proba"):
        p = _in_order(fitted.predict_proba(X_test), fitted, problem)
    else:
        raise MethodError(f"it has no predict_proba, and {metric.name} needs probabilities")
    return as_predictions(p, problem, metric, len(test)), seconds


def seeded(estimator: Any, seed: int) -> Any:
    """Return an unfitted copy whose every ``random_state``, also of its parts, is the seed."""
    fresh = cloned(estimator)
    if hasattr(fresh, "get_params"):
        names = [name for name in fresh.get_params() if is_random_state(name)]
        if names:
            fresh.set_params(**dict.fromkeys(names, seed % _MAX_SEED))
    elif hasattr(fresh, "random_state"):
        fresh.random_state = seed % _MAX_SEED
    return fresh


def _in_order(p: Any, fitted: Any, problem: Problem) -> Any:
    """Return probabilities with a column for each class of the problem, or for each label."""
    own = getattr(fitted, "classes_", None)
    if isinstance(p, list) and isinstance(own, list):  # scikit-learn's forests: a pair for each
        columns = [np.asarray(each) @ (classes == 1) for each, classes in zip(p, own, strict=True)]
        return np.stack(columns, axis=1)
    if problem.labels is None or own is None:
        return p
    places = {label: number for number, label in enumerate(problem.labels.tolist())}
    ordered = np.zeros((len(p), len(places)))
    ordered[:, [places[label] for label in np.asarray(own).tolist()]] = p
    return ordered


def as_predictions(given: Any, problem: Problem, metric: Metric, rows: int) -> Array:
    """Return predictions as ``metrics`` describes p; NaN where a prediction is missing.

    Raises: MethodError for another shape, for values that are no classes, for probabilities that
    do not sum to 1, and for classes where the metric needs probabilities.
    """
    try:
        p = np.asarray(given)
    except (TypeError, ValueError):
        p = np.empty(0)
    columns = problem.t.shape[1] if problem.labels is None else len(problem.labels)
    if p.ndim == 1 and (problem.kind == "classes" or columns == 1):
        p = p[:, None]
    shapes = {(rows, columns), (rows, 1)} if problem.kind == "classes" else {(rows, columns)}
    if p.shape not in shapes:
        expected = f"({rows}, {columns})"
        if problem.kind == "classes":
            expected = f"({rows},) classes, or {expected} probabilities"
        elif columns == 1:
            expected = f"({rows},)"
        raise MethodError(f"its predictions have shape {np.shape(p)}: expected {expected}")
    if problem.kind == "classes" and p.shape[1] == 1:
        return _from_classes(p[:, 0], problem, metric)
    try:
        p = p.astype(np.float64)
    except (TypeError, ValueError):
        raise MethodError(
            f"its predictions hold {one_line(p.ravel().tolist()[0])}: expected numbers"
        ) from None
    if problem.kind != "numbers":
        _check_probabilities(p, sums=problem.kind == "classes")
    return p


def _from_classes(given: Array, problem: Problem, metric: Metric) -> Array:
    """Return predicted classes as probabilities of 0 and 1."""
    if metric.probabilities:
        raise MethodError(
            f"it predicts classes, and {metric.name} needs probabilities: return them as (n, K), "
            "or take a metric of classes, such as accuracy"
        )
    assert problem.labels is not None
    labels = {label: number for number, label in enumerate(problem.labels.tolist())}
    p = np.zeros((len(given), len(labels)))
    for row, value in enumerate(given.tolist()):
        if value is None or value != value:
            p[row] = np.nan
        elif value not in labels:
            raise MethodError(
                f"it predicts {one_line(value)}, which is none of the classes "
                f"{one_line(list(labels))}"
            )
        else:
            p[row, labels[value]] = 1
    return p


def _check_probabilities(p: Array, *, sums: bool) -> None:
    wrong = ((p < 0) | (p > 1)).any(axis=1)
    if sums:
        wrong |= np.abs(p.sum(axis=1) - 1) > 1e-3
    if wrong.any():
        row = p[int(np.argmax(wrong))]
        rule = "from 0 to 1 that sum to 1" if sums else "from 0 to 1"
        raise MethodError(
            f"its probabilities hold the row {one_line(row.tolist())}: expected numbers {rule}"
        )
