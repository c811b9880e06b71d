"""The estimators: scikit-learn's contract, raw tables, members, saving, warnings."""

import doctest
import importlib
import pickle
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import set_config
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import seedbed as sb
from seedbed.cli import main
from seedbed.engines.base import cores
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables import sources

SMALL = {
    "hidden_layer_sizes": (16,), "members": 3, "max_iter": 30, "random_state": 0, "codes": "bins",
    "dropout": 0.15, "learning_rate_init": 0.003,
}  # fmt: skip
SKIPPED_CHECKS = {  # scikit-learn's checks that need more than this environment has
    "check_array_api_input": "SCIPY_ARRAY_API is not set",
    "check_classifiers_multilabel_output_format_decision_function": "decision_function method",
}


@pytest.fixture(autouse=True)
def ignore_convergence_warnings():
    """Ignore convergence warnings of small networks; their own tests catch them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def frame(n=120, seed=0):
    """Return a table with each type of column, and two targets that depend on it."""
    random = np.random.default_rng(seed)
    x, colour = random.normal(size=n), random.choice(["red", "green", "blue"], n)
    flag, size = random.random(n) < 0.5, random.integers(0, 5, n)
    y = np.where(x + (colour == "red") + flag > 0.7, "yes", "no")
    quantity = 100 + 20 * x + 15 * (colour == "red") + size
    table = pd.DataFrame({"x": x, "colour": colour, "flag": flag, "size": size, "same": 1.0})
    table.loc[::9, "x"] = np.nan
    table.loc[::7, "colour"] = None
    return table, y, quantity


def as_polars(table):
    """Return the table as a polars frame, with nulls for missing values."""
    columns = {name: table[name].astype(object).where(table[name].notna(), None) for name in table}
    return pl.DataFrame({name: values.tolist() for name, values in columns.items()})


@pytest.mark.kernels
@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_all_of_scikit_learns_checks_pass(kind):
    estimator = kind(hidden_layer_sizes=(32,), members=2, max_iter=20, engine="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = check_estimator(estimator, on_fail="raise", on_skip=None)
    assert len(checks) > 50
    for check in checks:
        if check["status"] != "passed":
            assert check["status"] == "skipped"
            assert SKIPPED_CHECKS[check["check_name"]] in str(check["exception"])


@pytest.mark.kernels
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_a_rows_prediction_does_not_depend_on_other_rows(kind, engine):
    table, y, quantity = frame()
    given = {**SMALL, "max_iter": 3, "engine": engine}
    fitted = kind(**given).fit(table, y if kind is NetworkClassifier else quantity)
    table = pd.concat([table] * 3, ignore_index=True)
    order = np.random.default_rng(0).permutation(len(table))
    predict = fitted.predict if kind is NetworkRegressor else fitted.predict_proba
    for options in ({}, {"return_std": True}):
        whole = np.stack(predict(table, **options)) if options else predict(table)[None]

        def rows(places, options=options):
            part = predict(table.iloc[places], **options)
            return np.stack(part) if options else part[None]

        np.testing.assert_array_equal(rows(order), whole[:, order])
        for start, stop in ((0, 1), (9, 10), (14, 15), (3, 20), (1, 300), (359, 360)):
            np.testing.assert_array_equal(rows(range(start, stop)), whole[:, start:stop])


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_missing_values_do_not_change_other_rows_predictions(engine):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(60, 3))
    X[::4, 1] = np.nan
    y = X[:, 0] + np.isnan(X[:, 1])
    fitted = NetworkRegressor(**{**SMALL, "max_iter": 3, "engine": engine}).fit(X, y)
    new = rng.normal(size=(40, 3))
    beside = np.concatenate([new, X[:1]])
    for rows in (1, 7, 40):
        full = np.full((rows, fitted.encoding_.width), 7, np.float32)  # what freed memory may hold
        del full
        np.testing.assert_array_equal(fitted.predict(new[:rows]), fitted.predict(beside)[:rows])


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_negative_zero_equals_zero(kind):
    """A sort may mix the two, and duplicate rows are found by their bytes."""
    rng = np.random.default_rng(2)
    X = np.round(rng.normal(size=(90, 3)))
    X[30:60] = X[:30]
    y = np.round(X[:, 0] + rng.normal(size=90) / 4)
    y = (y > 0) * 1 if kind is NetworkClassifier else y
    given = {**SMALL, "max_iter": 4, "engine": "numpy"}
    signs = rng.choice([-1.0, 1.0], X.shape)
    turned = np.where(X == 0, signs * 0.0, X)
    turned_y = y if kind is NetworkClassifier else np.where(y == 0, signs[:, 0] * 0.0, y)
    assert np.signbit(turned[turned == 0]).any()
    a, b = kind(**given).fit(X + 0.0, y + 0), kind(**given).fit(turned, turned_y)
    np.testing.assert_array_equal(a.population_.theta, b.population_.theta)
    assert a.encoding_ == b.encoding_
    np.testing.assert_array_equal(a.predict(X), a.predict(turned))


@pytest.mark.parametrize("module", ["classifier", "regressor"])
def test_docstring_examples_run(module):
    assert doctest.testmod(importlib.import_module(f"seedbed.estimators.{module}")).failed == 0


# ---------------------------------------------------------------- raw tables


def test_frames_of_any_library_and_arrays_give_the_same_predictions():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    assert fitted.score(table, y) > 0.8
    assert fitted.feature_names_in_.tolist() == ["x", "colour", "flag", "size", "same"]
    p = fitted.predict_proba(table)
    typed = table.astype({"colour": "category", "x": "Float64"}).convert_dtypes()
    for other in (as_polars(table), typed):
        np.testing.assert_array_equal(fitted.predict_proba(other), p)
        again = NetworkClassifier(**SMALL).fit(other, y)
        np.testing.assert_array_equal(again.predict_proba(other), p)
    objects = table.astype(object).to_numpy()
    array = NetworkClassifier(**SMALL).fit(objects, y)
    assert not hasattr(array, "feature_names_in_")
    assert array.score(objects, y) > 0.8
    np.testing.assert_array_equal(array.predict(objects), array.predict(objects.tolist()))
    several = table.assign(flag=table["flag"].astype(object).where(np.arange(120) % 5 > 0, None))
    fitted = NetworkClassifier(**SMALL).fit(several, y)  # booleans among objects, some missing
    np.testing.assert_array_equal(
        fitted.predict_proba(table), fitted.predict_proba(table.astype({"flag": int}))
    )


def test_the_fast_path_for_number_arrays_gives_the_same_inputs():
    X, y = load_iris(return_X_y=True)
    X[::10, 2] = np.nan
    X = np.column_stack([X[:, :2], np.ones(len(X)), X[:, 2:]])  # a constant column is left out
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    slow = fitted.encoding_.inputs(sources.ArraySource(X))[0]
    np.testing.assert_array_equal(fitted._inputs(X), slow)
    np.testing.assert_array_equal(fitted._inputs(X[:1]), slow[:1])
    np.testing.assert_array_equal(fitted._inputs(X.astype(object)), slow)
    for rows in (1, 2, 7):
        np.testing.assert_allclose(
            fitted.predict_proba(X[:rows]), fitted.predict_proba(X)[:rows], rtol=1e-5
        )


def test_unseen_categories_are_taken_as_missing():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    unseen, missing = table.head(3).copy(), table.head(3).copy()
    unseen["colour"], missing["colour"] = "violet", None
    with pytest.warns(sb.SeedbedWarning, match=r"column colour: 3 values not seen .*'violet'"):
        first = fitted.predict_proba(unseen)
    np.testing.assert_array_equal(first, fitted.predict_proba(missing))
    fitted.predict_proba(unseen)  # said once
    far = table.head(3).assign(x=[1e300, -1e300, np.nan])
    assert np.isfinite(fitted.predict_proba(far)).all()


@pytest.mark.parametrize("where", ["inputs", "target"])
def test_outliers_do_no_harm(where):
    X, y = make_regression(300, 5, n_informative=3, noise=5, random_state=0)
    baseline = NetworkRegressor(**SMALL).fit(X, y).score(X, y)
    wild_X, wild_y = X.copy(), y.copy()
    if where == "inputs":
        wild_X[7, :3] = 1e9
    else:
        wild_y[7] = 1e9
    kept = np.arange(300) != 7
    if where == "target":
        with pytest.warns(sb.SeedbedWarning, match="y holds 1 outlier, clipped to between"):
            fitted = NetworkRegressor(**SMALL).fit(wild_X, wild_y)
    else:
        fitted = NetworkRegressor(**SMALL).fit(wild_X, wild_y)
    assert baseline > 0.8
    assert fitted.score(X[kept], y[kept]) > baseline - 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(x=np.inf), "column 'x' of X holds inf in row 1: it needs finite"),
        (lambda t: t.iloc[:0], r"0 rows"),
        (lambda t: t[["same"]], "X has no column to learn from: same is left out"),
        (lambda t: t[["x", "size"]].set_axis(["x", "x"], axis=1), "2 columns named 'x'"),
        (
            lambda t: pl.DataFrame({"x": t["x"].tolist()}).lazy(),
            "where X is a LazyFrame, not ndarray: name it, or read the table",
        ),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused_in_one_line(change, message):
    table, y, _ = frame()
    table = change(table)
    with pytest.raises(sb.DataError, match=message) as caught:
        NetworkClassifier(**SMALL).fit(table, y)
    assert "\n" not in str(caught.value)


def test_a_column_of_names_is_left_out_with_a_warning():
    table, y, _ = frame()
    table["name"] = [f"person {i}" for i in range(len(table))]
    with pytest.warns(sb.SeedbedWarning, match="column name is left out: 120 different texts"):
        fitted = NetworkClassifier(**SMALL).fit(table, y)
    assert "name" not in {column.name for column in fitted.encoding_.columns}


def test_a_column_of_another_type_is_refused():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    with pytest.raises(sb.TableError, match="'x' of X holds 'a' in row 1, where a number is"):
        fitted.predict(table.assign(x="a"))
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(table.rename(columns={"x": "z"}))


# ---------------------------------------------------------------- members and stopping


def test_the_population_gives_the_predictions():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    population = fitted.population_
    assert isinstance(population, sb.Population)
    assert len(population) == 3
    assert len(set(population.seeds.tolist())) == 3
    each = population.predict(fitted._inputs(X)).astype(np.float64)
    mean, std = fitted.predict_proba(X, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, each.std(axis=0), atol=1e-9)
    np.testing.assert_allclose(fitted.predict_proba(X), mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, rtol=1e-12)
    assert std.max() > 0
    np.testing.assert_array_equal(fitted.predict(X), mean.argmax(axis=1))


def test_regression_std_is_in_target_units():
    X, y = load_diabetes(return_X_y=True)
    fitted = NetworkRegressor(**SMALL).fit(X, y)
    target = fitted.encoding_.target
    each = fitted.population_.predict(fitted._inputs(X))[:, :, 0].astype(np.float64)
    each = target.mean[0] + target.scale[0] * each
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(mean, each.mean(axis=0))
    np.testing.assert_allclose(std, each.std(axis=0))
    np.testing.assert_allclose(fitted.predict(X), mean, rtol=1e-5)
    assert abs(mean.mean() - y.mean()) < 20


def test_one_member_is_a_single_network():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**{**SMALL, "members": 1}).fit(X, y)
    assert len(fitted.population_) == 1
    assert (fitted.predict_proba(X, return_std=True)[1] == 0).all()
    more = NetworkClassifier(**SMALL).fit(X, y)
    assert more.population_.seeds[0] == fitted.population_.seeds[0]


def test_training_ends_with_the_ensembles_best_epoch():
    X, y = load_breast_cancer(return_X_y=True)
    fitted = NetworkClassifier(**{**SMALL, "max_iter": 60}, n_iter_no_change=8).fit(X, y)
    curve = np.array(fitted.validation_curve_)
    assert fitted.best_iteration_ == curve.argmin() + 1
    assert fitted.n_iter_ == len(curve) == len(fitted.loss_curve_)
    assert fitted.n_iter_ in (60, fitted.best_iteration_ + 8)
    assert (fitted.population_.best_epoch == fitted.best_iteration_).all()
    whole = NetworkClassifier(**SMALL, early_stopping=False).fit(X, y)
    assert whole.validation_curve_ is None
    assert whole.n_iter_ == whole.best_iteration_ == 30


def test_given_validation_data_is_monitored():
    X, y = load_breast_cancer(return_X_y=True)
    fitted = NetworkClassifier(**SMALL)
    fitted.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    p = fitted.predict_proba(X[400:])[np.arange(169), y[400:]]
    best = fitted.validation_curve_[fitted.best_iteration_ - 1]
    assert best == pytest.approx(-np.log(p).mean(), rel=1e-4)
    with pytest.raises(sb.SettingError, match=r"validation_data must be \(X, y\)"):
        fitted.fit(X, y, validation_data=X)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3, 0.5, 0.9])
def test_members_hold_out_consecutive_blocks(share):
    random, classes = np.random.RandomState(0), np.arange(97) % 3
    held_out = sb.folds.hold_out_rows(random, 8, share, 97, classes)
    for rows in held_out:
        assert len(rows) == len(set(rows.tolist())) == round(97 * share)
        counts = np.bincount(classes[rows], minlength=3)
        assert counts.max() - counts.min() <= 2
    turns = min(8, int(1 / share))
    assert len(np.unique(np.concatenate(held_out[:turns]))) == turns * round(97 * share)
    other = sb.folds.hold_out_rows(np.random.RandomState(1), 8, share, 97, classes)
    assert any((a != b).any() for a, b in zip(held_out, other, strict=True))


def test_hold_out_of_few_rows_and_rare_classes():
    random = np.random.RandomState(0)
    assert sb.folds.hold_out_rows(random, 8, 0.25, 2, None) is None
    assert [len(rows) for rows in sb.folds.hold_out_rows(random, 8, 0.1, 3, None)] == [1] * 8
    assert all(len(rows) == 1 for rows in sb.folds.hold_out_rows(random, 70, 0.01, 60, None))
    classes = np.array([0] * 20 + [1] * 20 + [2])
    for seed in range(9):
        held_out = sb.folds.hold_out_rows(np.random.RandomState(seed), 4, 0.4, 41, classes)
        assert all(40 not in rows for rows in held_out)  # the only row of its class


def test_the_held_out_rows_are_drawn_from_the_random_state():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(sb.SeedbedWarning, match="no better than the class shares"):
        curves = [
            NetworkClassifier(**{**SMALL, "random_state": state, "learning_rate_init": 0.0})
            .fit(X, y)
            .validation_curve_[0]
            for state in (0, np.random.RandomState(0), 1)
        ]
    assert curves[0] == curves[1] != curves[2]


# -------------------------------------------------------- weights, continued training, targets


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_weights_equal_repeated_rows_bit_for_bit_in_any_order(kind):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(60, 3)), random.integers(0, 3, 60)
    w = random.integers(0, 4, 60)
    order = random.permutation(w.sum())
    weighted = kind(**SMALL).fit(X, y, sample_weight=w)
    repeated = kind(**SMALL).fit(X.repeat(w, axis=0)[order], y.repeat(w)[order])
    np.testing.assert_array_equal(weighted.population_.theta, repeated.population_.theta)


def test_a_table_of_few_distinct_rows_is_learned():
    """Holding out whole groups of replicates would bias the predicted probabilities."""
    random = np.random.default_rng(0)
    X = np.stack([random.integers(0, 2, 4000), random.integers(0, 3, 4000)], axis=1)
    true = np.array([[0.1, 0.4, 0.8], [0.7, 0.2, 0.5]])
    y = random.random(4000) < true[X[:, 0], X[:, 1]]
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    cells = np.array([[a, b] for a in range(2) for b in range(3)])
    p = fitted.predict_proba(cells)[:, 1]
    assert np.abs(p - true.ravel()).max() < 0.07
    whole = NetworkClassifier(**SMALL, early_stopping=False).fit(X, y)
    assert np.abs(whole.predict_proba(cells)[:, 1] - true.ravel()).max() < 0.07


def without_duplicates(X, T, w):
    rows, weights = sb.folds.distinct_rows(X, T, w)
    return X[rows], T[rows], weights


def test_duplicate_rows_are_merged_except_replicates():
    X, T = np.append(np.arange(40.0), 5.0)[:, None], np.append(np.arange(40) % 2, 1)
    x, t, w = without_duplicates(X, T, None)  # the last is a copy: one row of weight 2
    assert len(x) == 40
    assert {(value, weight) for value, weight in zip(x.ravel(), w, strict=True) if weight > 1} == {
        (5.0, 2.0)
    }
    np.testing.assert_array_equal(t, x.ravel() % 2)
    assert without_duplicates(X[:40], T[:40], np.full(40, 7.0))[2] is None
    X, T = np.array([[1.0], [1.0], [1.0], [2.0]]), np.array([0, 1, 0, 1])  # x = 1 has both targets
    x, t, w = without_duplicates(X, T, None)
    assert sorted(zip(x.ravel(), t, strict=True)) == [(1, 0), (1, 0), (1, 1), (2, 1)]
    assert w is None
    x, t, w = without_duplicates(X, T, np.array([0.5, 2.5, 0.25, 1.0]))
    third = pytest.approx(2.5 / 3)
    found = sorted(zip(x.ravel(), t, w, strict=True))
    assert found == [(1, 0, 0.75), (1, 1, third), (1, 1, third), (1, 1, third), (2, 1, 1)]
    x, _, w = without_duplicates(X, T, np.array([1e12, 1e12, 1e12, 1.7e12]))
    assert 5000 <= len(x) <= 5003
    assert w.sum() == pytest.approx(4.7e12)
    assert len(without_duplicates(X, T, np.full(4, 1e308))[0]) == 4


@pytest.mark.parametrize("times", [2, 10])
def test_copies_are_trained_on_or_held_out_together(times):
    random = np.random.default_rng(1)
    X = random.normal(size=(120, 4))
    y = X[:, 0] + 2 * random.normal(size=120)
    plain = NetworkRegressor(**SMALL).fit(X, y)
    weighted = NetworkRegressor(**SMALL).fit(X, y, sample_weight=np.full(120, times))
    repeated = NetworkRegressor(**SMALL).fit(X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_array_equal(weighted.population_.theta, repeated.population_.theta)
    np.testing.assert_allclose(weighted.validation_curve_, plain.validation_curve_, rtol=0.05)


def test_large_values_of_a_mostly_zero_target_are_not_clipped():
    y = np.zeros(1000)
    y[:30], y[30:50] = 1, 100
    X = np.stack([y > 0, y > 50], axis=1) * 1.0
    longer = NetworkRegressor(**{**SMALL | {"learning_rate_init": 0.02}, "max_iter": 100}).fit(X, y)
    np.testing.assert_allclose(longer.predict([[0, 0], [1, 0], [1, 1]]), [0, 1, 100], atol=8)


def test_partial_fit_takes_chunks_of_any_size():
    random = np.random.default_rng(0)
    X = random.normal(size=(10_500, 2))
    going = NetworkRegressor(members=1, random_state=0)
    for rows in (slice(0, 10_000), slice(10_000, None)):
        going.partial_fit(X[rows], X[rows, 0])
    assert str(going.population_.network).endswith("-128-128-1 (mish, mish, identity)")


def test_unusual_columns_and_classes():
    X, y = load_iris(return_X_y=True)
    lists = pd.DataFrame({"x": X[:, 0], "l": [[0.0, 1.0]] * 150})
    with pytest.raises(sb.DataError, match=r"column 'l' of X holds \[0.0, 1.0\] in row 1"):
        NetworkClassifier(**SMALL).fit(lists, y)
    with pytest.raises(sb.DataError, match="y has 50 missing values, the first in row 1"):
        NetworkClassifier(**SMALL).fit(X, np.array(["a", None, "b"] * 50, dtype=object))
    with pytest.raises(sb.DataError, match="y holds values of several kinds"):
        NetworkClassifier(**SMALL).fit(X, np.array(["a", 1, "b"] * 50, dtype=object))
    constant = NetworkRegressor(**SMALL).fit(X, np.full(150, 7.0))
    np.testing.assert_allclose(constant.predict(X), 7, rtol=1e-4)
    texts = pd.DataFrame({"b": np.where(y == 0, "True", "False")})
    fitted = NetworkClassifier(**SMALL).fit(texts, y == 0)
    assert fitted.score(pd.DataFrame({"b": y == 0}), y == 0) == 1


@pytest.mark.parametrize("scale", [1e-6, 1 / 300, 1, 1e6])
def test_the_scale_of_the_weights_does_not_matter(scale):
    X, y = make_regression(300, 3, random_state=0)
    plain = NetworkRegressor(**SMALL).fit(X, y)
    weighted = NetworkRegressor(**SMALL).fit(X, y, sample_weight=np.full(300, scale))
    assert weighted.encoding_.columns == plain.encoding_.columns
    assert weighted.encoding_.target.high == plain.encoding_.target.high
    assert weighted.encoding_.target.mean == pytest.approx(plain.encoding_.target.mean)
    assert weighted.score(X, y) == pytest.approx(plain.score(X, y), abs=0.1)


def test_class_weights_weigh_the_loss():
    X, y = load_breast_cancer(return_X_y=True)
    skewed = NetworkClassifier(**SMALL, class_weight={0: 1, 1: 0.25})
    skewed.fit(X, y, validation_data=(X, y))
    p = skewed.predict_proba(X)[np.arange(len(y)), y]
    expected = np.average(-np.log(p), weights=np.where(y == 0, 1, 0.25))
    best = skewed.validation_curve_[skewed.best_iteration_ - 1]
    assert best == pytest.approx(expected, rel=1e-4)
    plain = NetworkClassifier(**SMALL).fit(X, y, validation_data=(X, y))
    assert skewed.predict_proba(X)[:, 0].mean() > plain.predict_proba(X)[:, 0].mean()
    weights = 1.0 + np.arange(len(y)) % 3
    balanced = NetworkClassifier(**SMALL, class_weight="balanced")
    balanced.fit(X, y, sample_weight=weights)
    by_class = dict(enumerate(weights.sum() / (2 * np.bincount(y, weights))))
    explicit = NetworkClassifier(**SMALL, class_weight=by_class).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(explicit.population_.theta, balanced.population_.theta, atol=1e-5)


def test_rows_of_weight_0_are_ignored():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y, sample_weight=(y != 2) * 1.0)
    assert fitted.classes_.tolist() == [0, 1]
    left = NetworkClassifier(**SMALL).fit(X[y != 2], y[y != 2])
    np.testing.assert_array_equal(fitted.population_.theta, left.population_.theta)
    none = NetworkClassifier(**SMALL, class_weight={0: 1, 1: 1, 2: 0}).fit(X, y)
    assert (none.predict(X) != 2).all()


def test_weights_of_validation_data_count():
    X, y = load_iris(return_X_y=True)
    weights = np.where(y == 1, 5.0, 0.5)
    fitted = NetworkClassifier(**SMALL).fit(X, y, validation_data=(X, y, weights))
    p = fitted.predict_proba(X)[np.arange(150), y]
    expected = np.average(-np.log(p), weights=weights)
    best = fitted.validation_curve_[fitted.best_iteration_ - 1]
    assert best == pytest.approx(expected, rel=1e-4)
    monitored = NetworkClassifier(**SMALL, early_stopping=False)
    monitored.fit(X[::2], y[::2], validation_data=(X[1::2], y[1::2]))
    assert len(monitored.validation_curve_) == monitored.n_iter_ == monitored.best_iteration_ == 30


def test_outliers_in_validation_data_do_no_harm():
    X, y = make_regression(200, 3, random_state=0)
    wild = y[100:].copy()
    wild[3] = 1e30
    fitted = NetworkRegressor(**SMALL).fit(X[:100], y[:100], validation_data=(X[100:], wild))
    assert fitted.score(X[:100], y[:100]) > 0.8


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_mostly_zero_columns_are_scaled_by_their_other_values(share):
    random = np.random.default_rng(0)
    there = random.random(400) < share
    for values in (np.where(there, random.normal(5, 1, 400), 0), there * 1.0):
        X, y = np.stack([values, random.normal(size=400)], axis=1), there * 10.0
        X[7, 0] = 1e9
        fitted = NetworkRegressor(**SMALL).fit(X, y)
        kept = np.arange(400) != 7
        assert fitted.score(X[kept], y[kept]) > 0.9


def test_a_column_may_have_the_targets_name():
    random = np.random.default_rng(0)
    x, z = random.normal(size=(2, 200))
    table = pd.DataFrame({"x": x, "y": 1000 * z})
    fitted = NetworkRegressor(**SMALL).fit(table, pd.Series(3 * z + x, name="y"))
    assert fitted.score(table, 3 * z + x) > 0.8
    NetworkRegressor(**SMALL).fit(table.rename(columns={"x": "y0"}), np.stack([x, z], axis=1))


def test_parameters_reach_the_recipe():
    X, y = load_iris(return_X_y=True)
    given = {"weight_decay": 0.3, "learning_rate_init": 0.02, "batch_size": 17, "dropout": 0.4}
    recipe = NetworkClassifier(**SMALL | given, n_iter_no_change=4).fit(X, y).population_.recipe
    assert (recipe.optimizer.weight_decay, recipe.optimizer.lr) == (0.3, 0.02)
    assert (recipe.batch_size, recipe.dropout, recipe.patience) == (17, 0.4, 4)
    assert recipe.epochs == 30
    layers = NetworkClassifier(
        **{**SMALL, "hidden_layer_sizes": (5, 4)}, activation=("tanh", "relu")
    )
    network = layers.fit(X, y).population_.network
    assert str(network).endswith("-5-4-3 (tanh, relu, identity)")


def test_threads_do_not_change_results(monkeypatch):
    assert cores() >= 1
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert cores() == 1
    monkeypatch.undo()
    X, y = load_iris(return_X_y=True)
    one, two = (
        NetworkClassifier(**SMALL, engine="compiled", n_jobs=n).fit(X, y).population_.theta
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_partial_fit_calls_equal_one_training(kind):
    """Three calls on the same rows are three epochs: optimizer, row order and dropout continue."""
    random = np.random.default_rng(1)
    X, y = random.normal(size=(90, 3)), random.integers(0, 2, 90)
    going = kind(**SMALL)
    for _ in range(3):
        going.partial_fit(X, y, **({"classes": [0, 1]} if kind is NetworkClassifier else {}))
    assert len(going.loss_curve_) == going.n_iter_ == 3
    target, recipe = going.encoding_.target, going.population_.recipe
    t = y if target.classes else target.standardised(y[:, None])
    whole = sb.train(
        recipe.network, going._inputs(X), t, loss=recipe.loss, optimizer=recipe.optimizer, epochs=3,
        batch_size=recipe.batch_size, engine=recipe.engine, dropout=recipe.dropout,
        seeds=going.population_.seeds,
    )  # fmt: skip
    np.testing.assert_array_equal(going.population_.theta, whole.theta)


def test_partial_fit_continues_after_fit_and_checks_classes():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    before = fitted.population_.theta.copy()
    fitted.partial_fit(X[:50], y[:50])
    assert 0 < np.abs(fitted.population_.theta - before).max() < 0.2
    with pytest.raises(sb.DataError, match="y holds 7, which is not one of the classes"):
        fitted.partial_fit(X[:5], [7] * 5)
    with pytest.raises(sb.DataError, match="partial_fit's first call needs classes"):
        NetworkClassifier(**SMALL).partial_fit(X, y)
    with pytest.raises(sb.DataError, match=r"classes is \[0, 1\], and the first call gave"):
        fitted.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(sb.SettingError, match="every class at once"):
        NetworkClassifier(**SMALL, class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_partial_fit_uses_weights_and_clips_outliers():
    X, y = make_regression(100, 3, random_state=0)
    weights = np.arange(100) % 2
    half = NetworkRegressor(**SMALL).partial_fit(X, y, sample_weight=weights)
    odd = NetworkRegressor(**SMALL).partial_fit(X[1::2], y[1::2])
    np.testing.assert_array_equal(half.population_.theta, odd.population_.theta)
    wild, limit = y.copy(), half.encoding_.target.high[0]
    wild[5], held = 1e6, y.copy()
    held[5] = limit
    far = pickle.loads(pickle.dumps(half)).partial_fit(X, wild)
    near = pickle.loads(pickle.dumps(half)).partial_fit(X, held)
    np.testing.assert_array_equal(far.population_.theta, near.population_.theta)


def test_partial_fit_recovers_from_too_high_a_learning_rate():
    X, y = make_regression(100, 3, random_state=0)
    going = NetworkRegressor(**SMALL).partial_fit(X, y)
    before = going.population_.theta.copy()
    with (
        pytest.warns(sb.DivergenceWarning),
        pytest.raises(sb.SettingError, match="all 3 members diverged"),
    ):
        going.set_params(learning_rate_init=1e30).partial_fit(X, y)
    np.testing.assert_array_equal(going.population_.theta, before)
    going.set_params(learning_rate_init=1e-3).partial_fit(X, y)
    assert not going.population_.diverged.any()


def test_partial_fit_adds_to_the_epochs_of_fit():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    ran = fitted.n_iter_
    fitted.partial_fit(X, y)
    assert fitted.n_iter_ == len(fitted.loss_curve_) == ran + 1


def test_partial_fit_warns_of_a_target_unlike_the_first():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(50, 2)), random.normal(size=50)
    going = NetworkRegressor(**SMALL).partial_fit(X, y)
    with pytest.warns(
        sb.SeedbedWarning, match="the target has mean .* standardise the target, or fit"
    ):
        going.partial_fit(X, 1000 + y)


def test_warm_start_continues_from_the_members():
    X, y = load_breast_cancer(return_X_y=True)
    cold = NetworkClassifier(**SMALL, warm_start=True).fit(X, y)
    first = cold.loss_curve_[0]
    again = cold.fit(X, y)
    assert again.loss_curve_[0] < 0.5 * first
    assert clone(again).fit(X, y).loss_curve_[0] == pytest.approx(first)
    with pytest.raises(sb.SettingError, match=r"continues from 3 members .* ask for 5"):
        again.set_params(members=5).fit(X, y)


def test_targets_of_another_kind_are_refused():
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(40, 2)), random.normal(size=(40, 2))
    several = NetworkRegressor(**SMALL).fit(X, Y)
    with pytest.raises(sb.DataError, match=r"y has shape \(40,\), and the first y had 2 columns"):
        several.partial_fit(X, Y[:, 0])
    with pytest.raises(sb.DataError, match=r"the first y was of 2 classes: give the same kind"):
        NetworkClassifier(**SMALL).fit(X, Y[:, 0] > 0, validation_data=(X, (Y > 0).astype(int)))
    with pytest.raises(sb.SettingError, match="class_weight is for classes, and y holds labels"):
        NetworkClassifier(**SMALL, class_weight="balanced").fit(X, (Y > 0) * 1)
    with pytest.raises(sb.DataError, match=r"y holds -1: labels must be 0 or 1"):
        NetworkClassifier(**SMALL).fit(X, np.where(Y > 0, 1, -1))


def test_multi_output_regression_minimises_the_loss_that_it_reports():
    """scikit-learn's MLPRegressor returns the gradient times the number of outputs."""
    X, Y = make_regression(80, 4, n_targets=3, random_state=0)
    fitted = NetworkRegressor(**SMALL | {"dropout": 0.0}, early_stopping=False).fit(X, Y)
    assert fitted.predict(X).shape == (80, 3)
    mean, std = fitted.predict(X, return_std=True)
    assert mean.shape == std.shape == (80, 3)
    population, target = fitted.population_, fitted.encoding_.target
    x, T = fitted._inputs(X), target.clip_outliers(target.standardised(Y))
    loss = ((population.predict(x) - T) ** 2).mean(axis=(1, 2))  # over rows and over outputs
    np.testing.assert_allclose(population.loss, loss, rtol=1e-4)
    theta, step = population.theta[:1].astype(np.float64), 1e-5
    _, gradient = sb.value_and_grad(population.recipe, theta, x, T)
    for place in np.random.default_rng(0).choice(theta.shape[1], 25, replace=False):
        moved = np.repeat(theta, 2, axis=0)
        moved[:, place] += [step, -step]
        up, down = sb.value_and_grad(population.recipe, moved, x, T)[0]
        assert gradient[0, place] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9)


def test_multi_output_regression_is_about_as_good_as_single_outputs():
    X, Y = make_regression(300, 5, n_targets=2, noise=1.0, random_state=0)
    together = NetworkRegressor(**SMALL).fit(X, Y)
    alone = MultiOutputRegressor(NetworkRegressor(**SMALL)).fit(X, Y)
    assert together.score(X, Y) > alone.score(X, Y) - 0.1 > 0.7


def test_multi_label_classification():
    random = np.random.default_rng(0)
    X = random.normal(size=(200, 3))
    Y = (X[:, :2] > 0).astype(int)
    fitted = NetworkClassifier(**SMALL).fit(X, Y)
    assert fitted.predict(X).shape == (200, 2)
    assert (fitted.predict(X) == Y).mean() > 0.9
    p, std = fitted.predict_proba(X, return_std=True)
    assert p.shape == std.shape == (200, 2)
    np.testing.assert_array_equal(fitted.predict(X), p > 0.5)
    assert fitted.population_.recipe.loss == sb.binary_cross_entropy


@pytest.mark.parametrize("loss", ["absolute_error", sb.quantile(0.9), "poisson", sb.huber(0.5)])
def test_other_losses(loss):
    X, _ = make_regression(300, 3, random_state=0)
    y = np.random.default_rng(0).poisson(np.exp(1 + X[:, 0] / 2)).astype(float)
    fitted = NetworkRegressor(**SMALL, loss=loss).fit(X, y)
    below = (y <= fitted.predict(X)).mean()
    if loss == sb.quantile(0.9):
        assert 0.8 < below < 0.99
    elif loss == "poisson":
        assert fitted.predict(X).min() > 0
        assert fitted.score(X, y) > 0.4
        with pytest.raises(sb.DataError, match="y holds -1: the loss 'poisson' is for counts"):
            fitted.fit(X, y - y.min() - 1)
    else:
        assert 0.35 < below < 0.75


# ---------------------------------------------------------------- scikit-learn's tools


def test_pipelines_searches_and_cross_validation():
    X, y = load_iris(return_X_y=True)
    small = NetworkClassifier(**{**SMALL, "members": 2})
    pipe = make_pipeline(StandardScaler(), small).fit(X, y)
    assert pipe.score(X, y) > 0.8
    grid = GridSearchCV(small, {"hidden_layer_sizes": [(4,), (8, 4)]}, cv=2).fit(X, y)
    assert grid.best_score_ > 0.7
    scores = cross_val_score(small, X, y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(small, X, y, cv=2))
    assert "NetworkClassifier" in small._repr_html_()
    assert "members=2" in repr(small)


def test_metadata_is_routed():
    X, y = load_iris(return_X_y=True)
    weights = np.ones(len(y))
    set_config(enable_metadata_routing=True)
    try:
        asked = NetworkClassifier(**SMALL).set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, asked)
        pipe.fit(X, y, sample_weight=weights)
        assert pipe.score(X, y, sample_weight=weights) > 0.7
    finally:
        set_config(enable_metadata_routing=False)


def test_threads_share_an_estimator_and_predictions_do_not_change_it():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL, engine="compiled").fit(X, y)
    before = pickle.dumps(fitted)
    rows = [X[i % 100 : i % 100 + 1 + i % 5] for i in range(400)]
    alone = [fitted.predict_proba(each) for each in rows]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fitted.predict_proba, rows))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)
    assert pickle.dumps(fitted) == before


def test_joblib_round_trip(tmp_path):
    table, y, quantity = frame()
    for fitted in (
        NetworkClassifier(**SMALL, activation=sb.leaky_relu(0.2)).fit(table, y),
        NetworkRegressor(**SMALL, loss=sb.huber(2.0)).fit(table, quantity),
    ):
        joblib.dump(fitted, tmp_path / "m.joblib")
        again = joblib.load(tmp_path / "m.joblib")
        np.testing.assert_array_equal(again.predict(table), fitted.predict(table))
        again.partial_fit(table, y if hasattr(fitted, "classes_") else quantity)


@pytest.mark.parametrize(
    "make",
    [
        lambda t, y, q: NetworkClassifier(**SMALL, class_weight={"no": 1, "yes": 2}).fit(t, y),
        lambda t, y, q: NetworkClassifier(**SMALL).fit(t[["x", "size"]].to_numpy(), y == "yes"),
        lambda t, y, q: NetworkClassifier(**SMALL, activation=sb.leaky_relu(0.2)).fit(
            t, np.where(y == "yes", 2.5, -1.0) * 2
        ),
        lambda t, y, q: NetworkClassifier(**SMALL).fit(t, np.stack([y == "yes", q > 90], 1) * 1),
        lambda t, y, q: NetworkRegressor(**SMALL, loss=sb.quantile(0.8)).fit(t, q),
        lambda t, y, q: NetworkRegressor(**SMALL).fit(t, pd.DataFrame({"a": q, "b": -q})),
        lambda t, y, q: NetworkClassifier(**SMALL, loss=sb.cross_entropy.smoothed(0.1)).fit(t, y),
    ],
)
def test_a_saved_estimator_loads_complete(tmp_path, make):
    table, y, quantity = frame()
    fitted, path = make(table, y, quantity), tmp_path / "m.safetensors"
    X = table if hasattr(fitted, "feature_names_in_") else table[["x", "size"]].to_numpy()
    fitted.save(path)
    again = sb.load(path)
    assert type(again) is type(fitted)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    for name in ("n_features_in_", "n_iter_", "best_iteration_", "validation_curve_"):
        assert getattr(again, name) == getattr(fitted, name)
    if hasattr(fitted, "classes_"):
        np.testing.assert_array_equal(again.classes_, fitted.classes_)
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    refitted = clone(again).fit(X, again.predict(X)).population_.recipe
    assert refitted.loss == fitted.population_.recipe.loss  # the parameters are saved, too
    assert refitted.network == fitted.population_.network


def test_the_command_predicts_with_an_estimators_file(tmp_path, capsys):
    table, y, quantity = frame()
    csv = tmp_path / "t.csv"
    table.to_csv(csv, index=False)  # pandas writes booleans as True and False
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    fitted.save(tmp_path / "c.safetensors")
    assert main(["predict", str(tmp_path / "c.safetensors"), str(csv), "--json"]) == 0
    printed = pl.read_json(capsys.readouterr().out.encode())
    p = fitted.predict_proba(table)
    np.testing.assert_allclose(printed["probability_yes"][0].to_numpy(), p[:, 1], rtol=1e-5)
    assert printed["predicted_y"][0].to_list() == fitted.predict(table).tolist()
    both = np.stack([quantity, -quantity], axis=1)
    several = NetworkRegressor(**SMALL).fit(table, pd.DataFrame(both, columns=["a", "b"]))
    several.save(tmp_path / "r.safetensors")
    assert main(["predict", str(tmp_path / "r.safetensors"), str(csv), "--json"]) == 0
    printed = pl.read_json(capsys.readouterr().out.encode())
    for place, name in enumerate("ab"):
        column = printed[f"predicted_{name}"][0].to_numpy()
        np.testing.assert_allclose(column, several.predict(table)[:, place], rtol=1e-4)


def test_a_broken_or_foreign_file_is_refused(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "m.safetensors"
    custom = sb.Activation("mine", np.tanh, lambda z, a: 1 - a * a)
    fitted = NetworkClassifier(**SMALL, activation=custom, engine="numpy").fit(X, y)
    with pytest.raises(sb.FileError, match="'mine' is not one of Seedbed's own,"):
        fitted.save(path)
    with pytest.raises(NotFittedError, match="not fitted yet: call fit first"):
        NetworkRegressor().save(path)
    fitted = NetworkClassifier(**SMALL).fit(X, y).set_params(learning_rate_init=float("inf"))
    with pytest.raises(sb.FileError, match="a non-finite setting"):
        fitted.save(path)


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda w: w["columns"].pop(),
        lambda w: w["columns"][0].update(knots=[]),
        lambda w: w["columns"][0].update(flagged=True),
        lambda w: w["columns"][0].update(scale=5e-324),
        lambda w: w["target"].update(classes=["0", "1"]),
        lambda w: w["target"].update(classes=["0", "2", "1"]),
        lambda w: w["target"].update(classes=[], labels=True, names=["a", "b", "c"]),
        lambda w: w["estimator"].update(name="NetworkRegressor"),
        lambda w: w["estimator"].update(columns=["x0"] * 4),
        lambda w: w["estimator"].update(columns=["a"]),
        lambda w: w["estimator"]["parameters"].update(depth=3),
        lambda w: w["estimator"]["parameters"].update(loss={"formula": "Loss", "name": "no"}),
        lambda w: w["estimator"].pop("flat"),
    ],
)
def test_inconsistent_files_are_refused(tmp_path, corrupt):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "m.safetensors"
    NetworkClassifier(**SMALL).fit(X, y).save(path)
    read = sb.files.read(path)
    population, saved = read.population, read.table
    assert sb.load(path).score(X, y) > 0.8
    corrupt(saved)
    sb.files.save(path, population, saved)
    with pytest.raises(sb.FileError, match=r"broken|does not fit"):
        sb.load(path)


# ---------------------------------------------------------------- errors and warnings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"members": 0}, "members must be a whole number of at least 1"),
        ({"hidden_layer_sizes": (8, 0)}, "a layer's units must be a whole number of at least 1"),
        ({"activation": "rleu"}, "activation must be one of .*relu.*, not 'rleu'"),
        ({"activation": ("relu", "tanh")}, "activation names 2 and there are 1 hidden layers"),
        ({"loss": "squared_error"}, "loss 'squared_error' is for numbers: a classifier needs"),
        ({"learning_rate_init": -1}, "invalid learning rate: -1"),
        ({"dropout": 1.0}, "invalid dropout: 1"),
        ({"batch_size": 0}, "batch_size must be a whole number"),
        ({"max_iter": 0}, "max_iter must be a whole number of at least 1"),
        ({"validation_fraction": 1.5}, "invalid validation_fraction: 1.5"),
        ({"n_iter_no_change": 0}, "patience must be|n_iter_no_change must be"),
        ({"engine": "gpu"}, "engine must be one of"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"hidden_layer_sizes": 3.5}, "a layer's units must be a whole number"),
        ({"hidden_layer_sizes": "wide"}, "hidden_layer_sizes must be the layers' units"),
        ({"activation": 3}, "activation must be one of"),
        ({"class_weight": "fair"}, "class_weight must be None, 'balanced' or a dict"),
        (
            {"class_weight": {0: -1}},
            r"class_weight holds \[-1.0, 1.0, 1.0\]: weights must be at least 0, and not all 0",
        ),
    ],
)
def test_bad_parameters_are_named_in_one_line(given, message):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(sb.SettingError, match=message) as caught:
        NetworkClassifier(**{**SMALL, **given}).fit(X, y)
    assert "\n" not in str(caught.value)


def test_bad_targets_are_named():
    X, y = load_iris(return_X_y=True)
    for change, message in (
        (lambda y: np.zeros(150), "y holds one class"),
        (lambda y: y[:100], "inconsistent numbers of samples"),
        (lambda y: np.where(y == 1, np.nan, y), "Input y contains NaN"),
        (lambda y: np.stack([y, y], axis=1), "y has several columns of classes"),
    ):
        with pytest.raises(ValueError, match=message):
            NetworkClassifier(**SMALL).fit(X, change(y))
    with pytest.raises(ValueError, match="zero"):
        NetworkClassifier(**SMALL).fit(X, y, sample_weight=np.zeros(150))


def test_a_loss_still_falling_is_scikit_learns_convergence_warning():
    X, y = load_iris(return_X_y=True)
    slow = NetworkClassifier(**{**SMALL | {"learning_rate_init": 1e-4}, "max_iter": 10})
    with pytest.warns(ConvergenceWarning, match="was still falling after 10 epochs: .*max_iter"):
        slow.fit(X, y)


def test_dead_units_are_reported_at_the_line_that_called_fit():
    X, y = load_iris(return_X_y=True)
    killed = NetworkClassifier(
        **{**SMALL | {"learning_rate_init": 10}, "dropout": 0.0},
        activation="relu",
        weight_decay=0.0,
    )
    with (
        pytest.warns(sb.SeedbedWarning, match="zigzags .* the learning rate is too high"),
        pytest.warns(sb.SeedbedWarning, match="units of hidden layer 1 are dead") as caught,
    ):
        killed.fit(X, y)
    assert len(caught) == 2
    assert {warning.filename for warning in caught} == {__file__}


def test_diverged_members_are_excluded_from_the_std():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    sound, _ = fitted.predict_proba(X, return_std=True)
    status = np.array(["stopped", "diverged", "stopped"])
    fitted.population_ = replace(fitted.population_, status=status)
    mean, std = fitted.predict_proba(X, return_std=True)
    assert np.isfinite(std).all()
    assert (mean != sound).any()
    np.testing.assert_allclose(fitted.predict_proba(X), mean, rtol=1e-5, atol=1e-7)


def test_diverged_members_are_reported():
    X, y = load_diabetes(return_X_y=True)
    wild = NetworkRegressor(**SMALL | {"learning_rate_init": 1e30}, activation="identity")
    with (
        pytest.warns(sb.DivergenceWarning),
        pytest.raises(sb.SettingError, match="all 3 members diverged: lower learning_rate_init"),
    ):
        wild.fit(X, y)


def test_a_failed_fit_leaves_no_earlier_model():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    with pytest.raises(sb.DataError):
        fitted.fit(X[:, :2], np.zeros(150))
    with pytest.raises(NotFittedError):
        fitted.predict(X)


def test_partial_fit_continues_from_the_latest_fit():
    X, y = load_iris(return_X_y=True)
    going = NetworkClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    fitted = going.fit(X, y).population_.theta
    again = NetworkClassifier(**SMALL).fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(
        going.partial_fit(X, y).population_.theta, again.population_.theta
    )
    assert np.abs(going.population_.theta - fitted).max() < 0.2


def test_fit_calls_callbacks():
    seen = []
    X = np.linspace(0, 1, 40)[:, None]
    regressor = NetworkRegressor(
        (4,), "tanh", members=2, max_iter=12, early_stopping=False, random_state=0
    )
    with pytest.warns((ConvergenceWarning, sb.SeedbedWarning)):
        regressor.fit(X, X[:, 0], callbacks=[sb.every(5, lambda p: seen.append(p.theta.shape))])
    assert seen == [(2, regressor.population_.network.size)] * 3


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_later_batches_bring_columns_and_categories(engine):
    """A column that did not vary, new categories, missing values: the network grows inputs."""
    rng = np.random.default_rng(0)
    n = 400
    table = pd.DataFrame({
        "a": rng.normal(size=n), "late": rng.normal(size=n), "c": rng.choice(list("uvwxyz"), n),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
    })  # fmt: skip
    table.loc[:99, "late"] = 5.0
    table.loc[:99, "c"] = np.where(table.loc[:99, "a"] > 0, "u", "v")
    table.loc[:99, "day"] = pd.Timestamp("2020-01-01")
    y = table["a"] + 2 * table["late"] + table["c"].map(dict(zip("uvwxyz", range(6), strict=True)))
    table.loc[::11, "late"] = np.nan
    table.loc[:99, "late"] = 5.0
    y = y.to_numpy()
    model = NetworkRegressor(
        (32,), members=2, dropout=0, learning_rate_init=0.01, random_state=0, engine=engine
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sb.SeedbedWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.partial_fit(table[:100], y[:100])
        before, width = model.predict(table[:100]), model.encoding_.width
        model._grow(sources.FrameSource(sources.as_frame(table[100:])), np.arange(300), None)
        assert model.encoding_.width > width + 8
        np.testing.assert_allclose(model.predict(table[:100]), before, rtol=1e-5, atol=1e-5)
        for _ in range(60):
            for start in range(0, n, 100):
                model.partial_fit(table[start : start + 100], y[start : start + 100])
    assert model.encoding_.width == model.population_.network.inputs
    assert model.score(table, y) > 0.98
    assert {column.name for column in model.encoding_.columns} == set(table.columns)


def test_what_cannot_be_taken_in_is_said_once():
    model = NetworkClassifier((4,), members=2, random_state=0, engine="numpy")
    first = pd.DataFrame({"c": ["a", "b"] * 20, "x": np.arange(40.0)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.partial_fit(first, [0, 1] * 20, classes=[0, 1])
        many = pd.DataFrame({"c": [f"n{i}" for i in range(300)], "x": np.arange(300.0)})
        for _ in range(2):
            model.partial_fit(many, [0, 1] * 150)
    said = [str(each.message) for each in caught if "new categories" in str(each.message)]
    assert said == [
        "column c brings 300 new categories, more than 255 in all: they are taken as missing"
    ]


def test_dates_are_classes_in_files_too(tmp_path):
    X = np.random.default_rng(0).normal(size=(40, 2))
    days = np.array(["2020-01-01", "2021-06-01T12:30"], "datetime64[ns]")
    fitted = NetworkClassifier(**SMALL).fit(X, days[(X[:, 0] > 0).astype(int)])
    fitted.save(tmp_path / "m.safetensors")
    loaded = sb.load(tmp_path / "m.safetensors")
    assert loaded.classes_.dtype == fitted.classes_.dtype
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    y = fitted.predict(X)
    for labels in (y, pd.Series(y), y.tolist() and pd.Series(y).dt.to_pydatetime().tolist()):
        assert sb.explain(loaded, X, labels)["t"].argmax(axis=1).tolist() == (y == days[1]).tolist()


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([b"a", b"b"] * 20), "y holds bytes: decode them to texts"),
        (
            pd.Series(["a", None] * 20, dtype="string"),
            "y has 20 missing values, the first in row 1",
        ),
        (["a", "b"] * 19 + ["a", None], "y has 1 missing value, the first in row 39"),
        (np.array([1, 2] * 20, "timedelta64[D]"), "y holds durations"),
        (np.ma.array([0, 1] * 20, mask=[0, 1] * 20), "y has masked values"),
    ],
)
def test_labels_that_are_no_classes_are_refused(y, message):
    with pytest.raises(sb.DataError, match=message):
        NetworkClassifier(**SMALL).fit(np.random.default_rng(0).normal(size=(40, 2)), y)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson"])
def test_the_unit_of_y_does_not_matter(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = rng.poisson(np.exp(1 + X[:, 0])).astype(float)
    fitted = [
        NetworkRegressor(**SMALL, loss=loss).fit(X, y * unit).predict(X) / unit
        for unit in (1.0, 1e-6, 1e6)
    ]
    np.testing.assert_allclose(fitted[1], fitted[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted[2], fitted[0], rtol=1e-4, atol=1e-5)


def test_true_values_are_no_outliers():
    """Few rows have no outliers, a value that X explains is none, and a parameter keeps all."""
    few = np.array([1.0, 2, 3, 4, 50])
    exact = NetworkRegressor(
        members=2, dropout=0, max_iter=300, early_stopping=False, random_state=0, engine="numpy"
    ).fit(few[:, None], 2 * few)
    np.testing.assert_allclose(exact.predict([[50.0]]), [100], rtol=0.01)
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (60, 2))
    y = X.sum(axis=1)
    with pytest.warns(sb.SeedbedWarning) as caught:
        clipped = NetworkRegressor(**SMALL).fit(X, np.r_[y[:-1], 1e4])
    assert re.match(r"y holds 1 outlier.*clip_outliers=False", str(caught[0].message))
    assert clipped.encoding_.target.high[0] < 1e3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sb.SeedbedWarning)  # of the training
        kept = NetworkRegressor(**SMALL, clip_outliers=False).fit(X, np.r_[y[:-1], 1e4])
    assert kept.encoding_.target.high == (np.inf,)
    town = pd.DataFrame({"a": X[:, 0], "town": ["x"] * 59 + ["y"]})
    for table in (np.r_[X[:-1], [[5e3, 0.5]]], town):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sb.SeedbedWarning)  # of the training
            explained = NetworkRegressor(**SMALL).fit(table, np.r_[y[:-1], 1e4])
        assert explained.encoding_.target.high == (np.inf,)


def test_masked_inputs_are_missing():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    mask = rng.random(X.shape) < 0.2
    y = X[:, 0]
    masked = NetworkRegressor(**SMALL).fit(np.ma.array(X, mask=mask), y)
    gaps = NetworkRegressor(**SMALL).fit(np.where(mask, np.nan, X), y)
    np.testing.assert_array_equal(
        masked.predict(np.ma.array(X, mask=mask)), gaps.predict(np.where(mask, np.nan, X))
    )


def test_a_missing_row_of_a_number_column_is_missing():
    """Whatever type a frame of one row gives an empty number, it is missing."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
    fitted = NetworkRegressor(**SMALL).fit(table, table["a"])
    expected = fitted.predict(pd.DataFrame({"a": [np.nan], "b": [0.5]}))
    for empty in (None, pd.NA, "", "NA"):
        row = pd.DataFrame({"a": [empty], "b": [0.5]})
        np.testing.assert_array_equal(fitted.predict(row), expected)
    np.testing.assert_array_equal(fitted.predict(pl.DataFrame({"a": [None], "b": [0.5]})), expected)
    one = table.iloc[0].to_frame().T.astype(object)
    np.testing.assert_array_equal(fitted.predict(one), fitted.predict(table.iloc[:1]))
