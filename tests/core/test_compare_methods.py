"""compare() and search() with functions as methods, and the rows that they are given."""

import math
import os
import signal
from functools import partial

import numpy as np
import pytest

import seedbed as sb

RNG = np.random.default_rng(11)
N = 80
X = RNG.normal(size=(N, 3))
NUMBERS = X @ [2.0, -1.0, 0.0] + 0.5 * RNG.normal(size=N)
CLASSES = (NUMBERS > 0).astype(int)
NAMES = np.array(["no", "yes"])[CLASSES]


def least_squares(X, Y, X_test, seed, ridge=0.0):
    X = np.column_stack([X, np.ones(len(X))])
    w = np.linalg.solve(X.T @ X + ridge * np.eye(X.shape[1]), X.T @ Y)
    return np.column_stack([X_test, np.ones(len(X_test))]) @ w


def mean(X, Y, X_test, seed):
    return np.full(len(X_test), Y.mean())


def nearest(X, Y, X_test, seed):
    """Return the class whose mean is nearest."""
    centers = np.stack([X[label == Y].mean(axis=0) for label in np.unique(Y)])
    distance = ((X_test[:, None] - centers) ** 2).sum(axis=2)
    return np.unique(Y)[distance.argmin(axis=1)]


def shares(X, Y, X_test, seed):
    """Return each class's share for every row."""
    _, counts = np.unique(Y, return_counts=True)
    return np.tile(counts / len(Y), (len(X_test), 1))


def network(outputs=1, loss=sb.squared_error):
    return sb.Recipe(
        network=sb.Network(3, [sb.Dense(6, sb.tanh), sb.Dense(outputs)]), loss=loss,
        optimizer=sb.Adam(0.03), epochs=15, engine="numpy",
    )  # fmt: skip


class Centers:
    """An estimator without scikit-learn: as ``nearest``, and random where ``noise`` > 0."""

    def __init__(self, noise=0.0):
        self.noise, self.random_state = noise, None

    def fit(self, X, Y):
        self.X, self.Y = X, Y
        return self

    def predict(self, X):
        random = np.random.default_rng(self.random_state)
        return nearest(self.X, self.Y, X + self.noise * random.normal(size=X.shape), 0)


def test_functions_and_recipes_are_compared():
    methods = {"least squares": least_squares, "mean": mean, "network": network()}
    found = sb.compare(methods, X, NUMBERS, baseline="mean", seeds=range(8))
    assert found["least squares", "mean"].better == "least squares"
    for name in ("least squares", "mean"):
        method = found.methods[name]
        assert (method.status, method.epochs) == (None, None)
        assert method.seconds >= 0
    assert (found.methods["network"].epochs == 15).all()
    assert "typical gain of least squares over mean is" in str(found)
    assert found.to_dict()["methods"][0]["status"] is None


def test_scores_are_those_of_ones_own_loop():
    """splits gives the rows of every kind of method, for classes and numbers."""
    for Y, method, metric in (
        (NUMBERS, least_squares, sb.metrics.rmse), (NAMES, nearest, sb.metrics.accuracy)
    ):  # fmt: skip
        calls = []

        def noted(X, Y, X_test, seed, method=method, calls=calls):
            calls.append((seed, X, Y, X_test))
            return method(X, Y, X_test, seed)

        for split in ("resampled", "fixed"):
            calls.clear()
            other = mean if metric is sb.metrics.rmse else shares
            found = sb.compare(
                {"a": noted, "b": other}, X, Y, seeds=[5, 2, 9, 1, 7, 3], split=split, test=0.3,
                metric=metric,
            )  # fmt: skip
            loop = sb.splits(X, Y, seeds=[5, 2, 9, 1, 7, 3], split=split, test=0.3)
            for (seed, train, test), call, score in zip(
                loop, calls, found.methods["a"].scores, strict=True
            ):
                assert call[0] == seed
                np.testing.assert_array_equal(call[1], X[train])
                np.testing.assert_array_equal(call[2], Y[train])
                np.testing.assert_array_equal(call[3], X[test])
                p = method(X[train], Y[train], X[test], seed)
                if metric is sb.metrics.accuracy:
                    assert score == (p == Y[test]).mean()
                else:
                    assert score == pytest.approx(math.sqrt(((p - Y[test]) ** 2).mean()), rel=1e-12)


def test_recipes_train_on_the_same_rows():
    found = sb.compare({"a": network(), "b": mean}, X, NUMBERS, seeds=range(6))
    for seed, train, test in sb.splits(X, NUMBERS, seeds=range(6)):
        alone = sb.train(network(), X, NUMBERS, seeds=seed, rows=[train]).predict(X[test])
        expected = np.sqrt(((alone[0, :, 0] - NUMBERS[test]) ** 2).mean())
        assert found.methods["a"].scores[seed] == pytest.approx(expected, rel=1e-6)


def test_task_decides_whether_rows_are_stratified():
    counts = np.arange(N) % 4
    by_class = list(sb.splits(X, counts, seeds=range(6)))
    assert all((np.bincount(counts[test]) == 5).all() for _, _, test in by_class)
    plain = list(sb.splits(X, counts, seeds=range(6), task="regression"))
    assert any((np.bincount(counts[test]) != 5).any() for _, _, test in plain)
    found = sb.compare(
        {"a": mean, "b": least_squares}, X, counts, seeds=range(6), task="regression"
    )
    assert found.metric is sb.metrics.rmse
    (one,) = sb.splits(X, counts, seeds=2, task="regression")
    np.testing.assert_array_equal(one.test, plain[2].test)


def test_classes_of_any_type_are_predicted():
    for Y in (NAMES, CLASSES + 3, CLASSES.astype(bool), NAMES.astype(object)):
        found = sb.compare({"centers": nearest, "shares": shares}, X, Y, seeds=range(6))
        assert np.median(found.methods["centers"].scores) > 0.8
        assert found.metric is sb.metrics.accuracy
    three = np.array(["a", "b", "c"])[CLASSES + (NUMBERS > 1.5)]
    recipe = network(3, sb.cross_entropy)
    found = sb.compare({"net": recipe, "shares": shares}, X, three, metric="log loss")
    assert found["net", "shares"].better == "net"
    assert found.metric is sb.metrics.log_loss


def test_labels_and_several_numbers_are_predicted():
    both = np.stack([NUMBERS > 0, NUMBERS > 1], axis=1).astype(int)
    recipe = network(2, sb.binary_cross_entropy)

    def label_shares(X, Y, X_test, seed):
        return np.tile(Y.mean(axis=0), (len(X_test), 1))

    for metric in (None, "brier", "auc"):
        found = sb.compare(
            {"net": recipe, "f": label_shares}, X, both, metric=metric, seeds=range(6)
        )
        assert np.isfinite(found.methods["f"].scores).all()
    found = sb.compare({"a": least_squares, "b": label_shares}, X, X[:, :2] * 2, seeds=range(6))
    assert found.methods["a"].scores == pytest.approx([0] * 6, abs=1e-12)


def test_estimators_are_copied_and_seeded():
    estimator = Centers(noise=0.1)
    found = sb.compare({"a": estimator, "b": nearest}, X, NAMES, seeds=range(6))
    assert vars(estimator) == {"noise": 0.1, "random_state": None}
    expected = []
    for seed, train, test in sb.splits(X, NAMES, seeds=range(6)):
        one = Centers(noise=0.1)
        one.random_state = seed
        expected.append((one.fit(X[train], NAMES[train]).predict(X[test]) == NAMES[test]).mean())
    np.testing.assert_array_equal(found.methods["a"].scores, expected)


def test_missing_predictions_score_worst():
    def sometimes(X, Y, X_test, seed):
        p = mean(X, Y, X_test, seed)
        p[0] = np.nan if seed % 2 else np.inf if seed == 4 else p[0]
        return p

    found = sb.compare({"a": sometimes, "b": mean}, X, NUMBERS, seeds=range(8))
    assert np.isnan(found.methods["a"].scores).tolist() == [s % 2 == 1 or s == 4 for s in range(8)]
    assert found["a", "b"].failed == (5, 0)

    def without(X, Y, X_test, seed):
        return [None, *nearest(X, Y, X_test, seed)[1:]]

    assert sb.compare({"a": without, "b": nearest}, X, NAMES, seeds=range(6)).methods["a"].failed


def raising(X, Y, X_test, seed):
    if seed == 3:
        raise RuntimeError("no memory\nleft")
    return mean(X, Y, X_test, seed)


@pytest.mark.parametrize(
    ("method", "Y", "metric", "message"),
    [
        (raising, NUMBERS, None, "^a raised RuntimeError on seed 3: no memory$"),
        (lambda *_: [0.0], NUMBERS, None, r"a cannot be scored on seed 0: .*shape \(1, 1\): expec"),
        (lambda *_: None, NUMBERS, None, r"predictions have shape \(\): expected \(20,\)"),
        (lambda *_: ["x"] * 20, NUMBERS, None, "predictions hold 'x': expected numbers"),
        (lambda *_: [0.5] * 20, NAMES, None, "it predicts 0.5, which is none of the classes"),
        (lambda *_: np.ones((20, 3)), NAMES, None, r"\(20,\) classes, or \(20, 2\) probabilities"),
        (lambda *_: np.ones((20, 2)), NAMES, None, r"hold the row \[1.0, 1.0\].* that sum to 1"),
        (nearest, NAMES, "auc", "it predicts classes, and AUC needs probabilities: return them"),
        (Centers(), NAMES, "auc", "it has no predict_proba, and AUC needs probabilities"),
    ],
)
def test_runs_that_cannot_be_scored_are_named(method, Y, metric, message):
    other = mean if Y is NUMBERS else shares
    with pytest.raises(sb.MethodError, match=message) as caught:
        sb.compare({"b": other, "a": method}, X, Y, metric=metric, seeds=range(6))
    assert "\n" not in str(caught.value)
    if method is raising:
        assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Y": "price"}, "Y is 'price', which would be a column of a data frame, and X is ndarray"),
        ({"Y": NUMBERS[:5]}, r"Y has shape \(5,\); X has 80 rows"),
        ({"Y": np.where(NUMBERS > 1, None, NAMES)}, r"Y holds None in row \d+ \(\d+ such rows\)"),
        ({"Y": ["a", 1] * 40}, "several kinds"),
        ({"Y": ["a"] * N}, "is 'a' in all 80 rows"),
        ({"Y": ["a"] * N, "task": "classification"}, "all 80 rows are of class 'a'"),
        ({"X": 3}, "X is 3: give an array"),
        ({"task": "regression", "methods": {"a": mean, "b": network(2, sb.cross_entropy)}},
         "task is regression and b for classification"),
        ({"Y": np.array(["a", "b", "c", "d"] * 20),
          "methods": {"a": shares, "b": network(3, sb.cross_entropy)}},
         "Y holds 4 classes, and b predicts 3: give its network 4 outputs"),
        ({"methods": {"a": mean, "b": mean}}, "a and b are the same function"),
        ({"methods": {"a": partial(least_squares, ridge=1), "b": partial(least_squares, ridge=1)}},
         "a and b are the same function"),
        ({"methods": {"a": mean, "b": lambda X: X}}, r"methods\['b'\] is <function"),
    ],
)  # fmt: skip
def test_invalid_data_and_methods_are_refused(given, message):
    given = {"methods": {"a": mean, "b": shares}, "X": X, "Y": NUMBERS} | given
    if isinstance(given["Y"], list) and 1 in given["Y"]:
        given["Y"] = np.array(given["Y"], dtype=object)
    with pytest.raises(sb.SeedbedError, match=message):
        sb.compare(**given)


def test_ctrl_c_leaves_pairs_of_runs():
    def press(X, Y, X_test, seed):
        if seed == 11:
            os.kill(os.getpid(), signal.SIGINT)
        return mean(X, Y, X_test, seed)

    with pytest.warns(sb.InterruptWarning, match="stopped after 12 of 64"):
        found = sb.compare({"b": partial(least_squares, ridge=9e9), "a": press}, X, NUMBERS)
    assert len(found.methods["a"].scores) == 12
    assert found["a", "b"].n == 8  # the last planned look


def test_search_over_a_functions_arguments():
    space = sb.Space(least_squares, ridge=sb.log_uniform(0.1, 1e5))
    found = sb.search(space, X, NUMBERS, budget=24, baseline=mean)
    assert found.method.func is least_squares
    assert found.method.keywords["ridge"] < 100
    assert found.confirmation[found.winner, "baseline"].better == found.winner
    listed = sb.search({"mean": mean, "fit": least_squares}, X, NUMBERS, budget=8, baseline=mean)
    assert (listed.winner, listed.method) == ("fit", least_squares)
    same = sb.search(sb.Space(least_squares, ridge=[0.0, 1e6]), X, NUMBERS, budget=8)
    assert same.winner == "ridge=0"
    with pytest.raises(sb.SettingError, match="slope is not a keyword argument of <function"):
        sb.Space(least_squares, slope=[1, 2])


def test_search_over_an_estimators_attributes():
    space = sb.Space(Centers(), noise=[0.0, 3.0, 9.0])
    found = sb.search(space, X, NAMES, budget=18, baseline=shares)
    assert found.winner == "noise=0"
    assert [type(trial.method) for trial in found.trials] == [Centers] * 3


@pytest.mark.parametrize("name", ["log loss", "Log-Loss", " LOG_LOSS ", "log_loss"])
def test_metrics_are_found_by_name(name):
    assert sb.metrics.by_name(name) is sb.metrics.log_loss


def test_unknown_metrics_name_the_closest():
    with pytest.raises(sb.SettingError, match=r"accuracy, .*pinball, not 'aucc'; did you mean 'au"):
        sb.metrics.by_name("aucc")
    assert sb.metrics.by_name("pinball:0.9").name == "pinball loss at 0.9"
    for name in ("pinball:2", "pinball:x"):
        with pytest.raises(sb.SettingError, match="expected a quantile, such as pinball:"):
            sb.metrics.by_name(name)


def test_metrics_of_imbalance_by_hand():
    t = np.array([0] * 8 + [1, 1])
    p1 = np.array([0.1] * 6 + [0.6, 0.2] + [0.7, 0.2])
    p = np.stack([1 - p1, p1], axis=1)
    m = sb.metrics
    assert m.balanced_accuracy.f(t, p) == (7 / 8 + 1 / 2) / 2
    assert m.f1.f(t, p) == 2 * 1 / (2 + 2)
    assert m.brier.f(t, p) == pytest.approx((6 * 0.01 + 0.36 + 0.04 + 0.09 + 0.64) / 10)
    assert m.average_precision.f(t, p) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)
    constant = np.tile([0.8, 0.2], (10, 1))
    assert m.balanced_accuracy.f(t, constant) == 0.5
    assert m.f1.f(t, constant) == 0
    assert m.auc.f(t, constant) == 0.5
    assert m.average_precision.f(t, constant) == pytest.approx(0.2)
    assert not m.accuracy.probabilities
    assert m.brier.probabilities
    with pytest.raises(sb.DataError, match="average precision needs rows of at least two classes"):
        m.average_precision.f(t * 0, p)


def test_summary_stands_beside_the_constant_prediction():
    t = np.array([0] * 9 + [1])
    p = np.tile([0.9, 0.1], (10, 1))
    scores = {score.metric.name: score for score in sb.metrics.summary(t, p, "classes")}
    assert list(scores) == [
        "accuracy", "balanced accuracy", "AUC", "average precision", "F1", "log loss",
        "Brier score",
    ]  # fmt: skip
    assert all(score.value == score.constant for score in scores.values())
    assert str(scores["accuracy"]) == "accuracy 90.00 % (constant prediction: 90.00 %)"
    one = sb.metrics.summary(t * 0, p, "classes", constant=[0.5, 0.5])
    assert [s.metric.name for s in one if s.metric in (sb.metrics.auc, sb.metrics.brier)] == [
        "Brier score"
    ]
    y = NUMBERS[:, None]
    rmse, mae, r2 = sb.metrics.summary(y, y + 1, "numbers")
    assert (rmse.value, mae.value) == (pytest.approx(1), pytest.approx(1))
    assert rmse.constant == pytest.approx(y.std())
    assert r2.constant == pytest.approx(0)
    (only,) = sb.metrics.summary(y, y, "numbers", chosen=[sb.metrics.mae])
    assert (only.metric, only.value) == (sb.metrics.mae, 0)
