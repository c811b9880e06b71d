"""Statistics and metrics equal those of SciPy, statsmodels and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

import seedbed as sb
from seedbed.comparing import statistics

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("n", [3, 6, 9, 20, 33, 64])
def test_signed_rank_p_without_ties_equals_scipy(n):
    for shift in (0.0, 0.3, 1.0):
        d = RNG.normal(shift, 1, n)
        expected = stats.wilcoxon(d, method="exact").pvalue
        assert statistics.signed_rank_p(d) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [1, 6, 17, 64])
@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_share_interval_equals_scipy(n, alpha):
    for wins in range(n + 1):
        expected = stats.binomtest(wins, n).proportion_ci(1 - alpha, method="exact")
        found = statistics.share_interval(wins, wins, n, alpha)
        assert found == pytest.approx((expected.low, expected.high), abs=1e-10)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 9, 30, 63])
def test_student_t_quantile_equals_scipy(degrees):
    for p in (0.6, 0.9, 0.975, 0.999):
        expected = stats.t.ppf(p, degrees)
        assert statistics.student_t_quantile(p, degrees) == pytest.approx(expected, rel=1e-9)


def test_corrected_interval_with_scipy_t_quantile():
    d = RNG.normal(0.5, 1, 20)
    half = stats.t.ppf(0.975, 19) * d.std(ddof=1) * np.sqrt(1 / 20 + 25 / 75)
    found = statistics.corrected_interval(d, 0.05, 75, 25)
    assert found == pytest.approx((d.mean() - half, d.mean() + half), rel=1e-9)


def test_metrics_equal_scikit_learn():
    t = RNG.integers(0, 3, 200)
    p = RNG.dirichlet([1, 1, 1], 200)
    p[:50] = np.round(p[:50] + 0.1, 1)  # with ties
    p /= p.sum(axis=1, keepdims=True)
    assert sb.metrics.accuracy.f(t, p) == sklearn_metrics.accuracy_score(t, p.argmax(axis=1))
    assert sb.metrics.log_loss.f(t, p) == pytest.approx(sklearn_metrics.log_loss(t, p), abs=1e-12)
    expected = sklearn_metrics.roc_auc_score(t, p, multi_class="ovr")
    assert sb.metrics.auc.f(t, p) == pytest.approx(expected, abs=1e-12)
    two, share = (t > 0).astype(int), np.stack([p[:, 0], 1 - p[:, 0]], axis=1)
    assert sb.metrics.auc.f(two, share) == pytest.approx(
        sklearn_metrics.roc_auc_score(two, share[:, 1]), abs=1e-12
    )
    labels = RNG.integers(0, 2, (200, 3))
    assert sb.metrics.auc.f(labels, p) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, p), abs=1e-12
    )
    y, z = RNG.normal(size=(2, 50, 2))
    for ours, other in (
        (sb.metrics.rmse, sklearn_metrics.root_mean_squared_error),
        (sb.metrics.mae, sklearn_metrics.mean_absolute_error),
        (sb.metrics.r2, sklearn_metrics.r2_score),
        (sb.metrics.pinball(0.3), lambda y, z: sklearn_metrics.mean_pinball_loss(y, z, alpha=0.3)),
    ):
        assert ours.f(y, z) == pytest.approx(other(y, z), abs=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5])
def test_metrics_of_two_classes_equal_scikit_learn(share):
    t = (RNG.uniform(size=500) < share).astype(int)
    t[:2] = 0, 1
    p1 = np.round(np.clip(0.6 * t + 0.5 * RNG.uniform(size=500), 0, 1), 2)  # with ties
    p, predicted = np.stack([1 - p1, p1], axis=1), (p1 > 0.5).astype(int)
    for name, expected in {
        "accuracy": sklearn_metrics.accuracy_score(t, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(t, predicted),
        "f1": sklearn_metrics.f1_score(t, predicted),
        "auc": sklearn_metrics.roc_auc_score(t, p1),
        "average_precision": sklearn_metrics.average_precision_score(t, p1),
        "brier": sklearn_metrics.brier_score_loss(t, p1),
    }.items():
        assert sb.metrics.by_name(name).f(t, p) == pytest.approx(expected, rel=4e-15)
    inside = np.clip(p, 0.01, 0.99)
    inside /= inside.sum(axis=1, keepdims=True)
    expected = sklearn_metrics.log_loss(t, inside)
    assert sb.metrics.log_loss.f(t, inside) == pytest.approx(expected, rel=4e-15)


def test_metrics_of_several_classes_and_labels_equal_scikit_learn():
    t = RNG.choice(4, 300, p=[0.7, 0.2, 0.07, 0.03])
    p = RNG.dirichlet([2, 1, 1, 1], 300) + 0.5 * np.eye(4)[t]
    p = np.round(p / p.sum(axis=1, keepdims=True), 2)
    p[:, 0] += 1 - p.sum(axis=1)
    predicted = p.argmax(axis=1)
    for name, expected in {
        "accuracy": sklearn_metrics.accuracy_score(t, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(t, predicted),
        "f1": sklearn_metrics.f1_score(t, predicted, average="macro"),
        "auc": sklearn_metrics.roc_auc_score(t, p, multi_class="ovr"),
        "average_precision": sklearn_metrics.average_precision_score(t, p),
        "brier": sklearn_metrics.brier_score_loss(t, p),
    }.items():
        assert sb.metrics.by_name(name).f(t, p) == pytest.approx(expected, rel=4e-15)
    labels, q = RNG.integers(0, 2, (300, 3)), np.round(RNG.uniform(size=(300, 3)), 1)
    expected = sklearn_metrics.f1_score(labels, q > 0.5, average="macro")
    assert sb.metrics.f1.f(labels, q) == pytest.approx(expected, rel=4e-15)
    expected = sklearn_metrics.average_precision_score(labels, q)
    assert sb.metrics.average_precision.f(labels, q) == pytest.approx(expected, rel=4e-15)
    each = [
        sklearn_metrics.balanced_accuracy_score(a, b)
        for a, b in zip(labels.T, (q > 0.5).T, strict=True)
    ]
    assert sb.metrics.balanced_accuracy.f(labels, q) == pytest.approx(np.mean(each), rel=4e-15)
    each = [sklearn_metrics.brier_score_loss(a, b) for a, b in zip(labels.T, q.T, strict=True)]
    assert sb.metrics.brier.f(labels, q) == pytest.approx(np.mean(each), rel=4e-15)
