"""The estimators: scikit-learn's contract, tables as they are, members, keeping, warnings."""

import doctest
import importlib
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

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
from seedbed import estimators
from seedbed.cli import main
from seedbed.estimators import NetworkClassifier, NetworkRegressor, load

SMALL = {"hidden_layer_sizes": (16,), "members": 3, "max_iter": 30, "random_state": 0}
RARE = {  # what only some set-ups of scikit-learn's checks can look at
    "check_array_api_input": "SCIPY_ARRAY_API is not set",
    "check_classifiers_multilabel_output_format_decision_function": "decision_function method",
}


@pytest.fixture(autouse=True)
def unfinished():
    """Let small networks stop early: what they are warned of is tested where it is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def frame(n=120, seed=0):
    """A table of each kind of column, and two targets that depend on them."""
    random = np.random.default_rng(seed)
    x, colour = random.normal(size=n), random.choice(["red", "green", "blue"], n)
    flag, size = random.random(n) < 0.5, random.integers(0, 5, n)
    y = np.where(x + (colour == "red") + flag > 0.7, "yes", "no")
    quantity = 100 + 20 * x + 15 * (colour == "red") + size
    table = pd.DataFrame({"x": x, "colour": colour, "flag": flag, "size": size, "same": 1.0})
    table.loc[::9, "x"] = np.nan
    table.loc[::7, "colour"] = None
    return table, y, quantity


def polar(table):
    """The same table as polars has it, with nulls for what is missing."""
    columns = {name: table[name].astype(object).where(table[name].notna(), None) for name in table}
    return pl.DataFrame({name: values.tolist() for name, values in columns.items()})


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_scikit_learns_checks_pass_whole(kind):
    estimator = kind(hidden_layer_sizes=(32,), members=2, max_iter=40, engine="numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checks = check_estimator(estimator, on_fail="raise", on_skip=None)
    assert len(checks) > 50
    for check in checks:
        if check["status"] != "passed":
            assert check["status"] == "skipped"
            assert RARE[check["check_name"]] in str(check["exception"])


@pytest.mark.parametrize("module", ["classifier", "regressor"])
def test_docstrings_examples_give_what_they_say(module):
    assert doctest.testmod(importlib.import_module(f"seedbed.estimators.{module}")).failed == 0


# ---------------------------------------------------------------- tables as they are


def test_frames_of_any_kind_and_arrays_give_the_same():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    assert fitted.score(table, y) > 0.8
    assert fitted.feature_names_in_.tolist() == ["x", "colour", "flag", "size", "same"]
    p = fitted.predict_proba(table)
    typed = table.astype({"colour": "category", "x": "Float64"}).convert_dtypes()
    for other in (polar(table), typed):
        np.testing.assert_array_equal(fitted.predict_proba(other), p)
        again = NetworkClassifier(**SMALL).fit(other, y)
        np.testing.assert_array_equal(again.predict_proba(other), p)
    objects = table.astype(object).to_numpy()
    array = NetworkClassifier(**SMALL).fit(objects, y)
    assert not hasattr(array, "feature_names_in_")
    assert array.score(objects, y) > 0.8
    np.testing.assert_array_equal(array.predict(objects), array.predict(objects.tolist()))


def test_the_quick_way_for_arrays_of_numbers_is_the_same_as_the_other():
    X, y = load_iris(return_X_y=True)
    X[::10, 2] = np.nan
    X = np.column_stack([X[:, :2], np.ones(len(X)), X[:, 2:]])  # a constant column is left out
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    slow = fitted.encoding_.inputs(estimators.network.sources.Grid(X))[0]
    np.testing.assert_array_equal(fitted._inputs(X), slow)
    np.testing.assert_array_equal(fitted._inputs(X[:1]), slow[:1])
    np.testing.assert_array_equal(fitted._inputs(X.astype(object)), slow)
    for rows in (1, 2, 7):
        np.testing.assert_allclose(
            fitted.predict_proba(X[:rows]), fitted.predict_proba(X)[:rows], rtol=1e-5
        )


def test_what_was_not_there_in_training_is_taken_as_missing():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    strange, gone = table.head(3).copy(), table.head(3).copy()
    strange["colour"], gone["colour"] = "violet", None
    np.testing.assert_array_equal(fitted.predict_proba(strange), fitted.predict_proba(gone))
    far = table.head(3).assign(x=[1e300, -1e300, np.nan])
    assert np.isfinite(fitted.predict_proba(far)).all()


@pytest.mark.parametrize("where", ["inputs", "target"])
def test_one_number_of_a_billion_does_no_harm(where):
    X, y = make_regression(300, 5, n_informative=3, noise=5, random_state=0)
    honest = NetworkRegressor(**SMALL).fit(X, y).score(X, y)
    wild_X, wild_y = X.copy(), y.copy()
    if where == "inputs":
        wild_X[7, :3] = 1e9
    else:
        wild_y[7] = 1e9
    kept = np.arange(300) != 7
    fitted = NetworkRegressor(**SMALL).fit(wild_X, wild_y)
    assert honest > 0.8
    assert fitted.score(X[kept], y[kept]) > honest - 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda t: t.assign(day=pd.Timestamp("2020-01-01")),
            r"column 'day' holds Datetime.* values: turn it into numbers",
        ),
        (lambda t: t.assign(x=np.inf), "column 'x' of X holds inf in row 1: it needs finite"),
        (lambda t: t.iloc[:0], r"0 rows"),
        (lambda t: t[["same"]], "X has no column to learn from: same is left out"),
        (lambda t: t[["x", "size"]].set_axis(["x", "x"], axis=1), "2 columns named 'x'"),
        (lambda t: pl.DataFrame({"x": t["x"].tolist()}).lazy(), "X is a lazy frame"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused_in_one_line(change, words):
    table, y, _ = frame()
    table = change(table)
    with pytest.raises(sb.DataError, match=words) as caught:
        NetworkClassifier(**SMALL).fit(table, y)
    assert "\n" not in str(caught.value)


def test_a_column_of_names_is_left_out_and_told():
    table, y, _ = frame()
    table["name"] = [f"person {i}" for i in range(len(table))]
    with pytest.warns(sb.SeedbedWarning, match="column name is left out: 120 different texts"):
        fitted = NetworkClassifier(**SMALL).fit(table, y)
    assert "name" not in {column.name for column in fitted.encoding_.columns}


def test_a_column_that_changed_its_kind_is_refused():
    table, y, _ = frame()
    fitted = NetworkClassifier(**SMALL).fit(table, y)
    with pytest.raises(sb.TableError, match="column 'x' of X holds String values where numbers"):
        fitted.predict(table.assign(x="a"))
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(table.rename(columns={"x": "z"}))


# ---------------------------------------------------------------- members and stopping


def test_the_population_is_what_predicts():
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


def test_regression_gives_its_spread_in_the_targets_units():
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


def test_validation_data_of_ones_own_is_watched():
    X, y = load_breast_cancer(return_X_y=True)
    fitted = NetworkClassifier(**SMALL)
    fitted.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    p = fitted.predict_proba(X[400:])[np.arange(169), y[400:]]
    best = fitted.validation_curve_[fitted.best_iteration_ - 1]
    assert best == pytest.approx(-np.log(p).mean(), rel=1e-4)
    with pytest.raises(sb.SettingError, match=r"validation_data must be \(X, y\)"):
        fitted.fit(X, y, validation_data=X)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_members_take_turns_in_what_they_hold_out(share):
    random, classes = np.random.RandomState(0), np.arange(97) % 3
    apart = sb.folds.held_out(random, 8, share, 97, classes)
    parts = round(1 / share)
    for member, rows in enumerate(apart):
        assert abs(len(rows) - 97 * share) <= 1
        counts = np.bincount(classes[rows], minlength=3)
        assert counts.max() - counts.min() <= 1 + (len(rows) > 30)
        if member >= parts:
            np.testing.assert_array_equal(rows, apart[member - parts])
    if parts <= 8:
        assert sorted(np.concatenate(apart[:parts])) == list(range(97))
    assert sb.folds.held_out(random, 8, share, 2, None) is None
    assert [len(rows) for rows in sb.folds.held_out(random, 4, 0.1, 3, None)] == [1] * 4


# ---------------------------------------------------------------- weights, going on, targets


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_a_weight_is_that_many_rows_bit_for_bit_and_their_order_says_nothing(kind):
    random = np.random.default_rng(0)
    X, y = random.normal(size=(60, 3)), random.integers(0, 3, 60)
    w = random.integers(0, 4, 60)
    order = random.permutation(w.sum())
    weighted = kind(**SMALL).fit(X, y, sample_weight=w)
    repeated = kind(**SMALL).fit(X.repeat(w, axis=0)[order], y.repeat(w)[order])
    np.testing.assert_array_equal(weighted.population_.theta, repeated.population_.theta)
    halved = kind(**SMALL).fit(X, y, sample_weight=w / 2)
    np.testing.assert_allclose(halved.population_.theta, weighted.population_.theta, atol=1e-3)


def test_class_weights_are_row_weights():
    X, y = load_iris(return_X_y=True)
    X, y = X[40:], y[40:]
    by_hand = np.where(y == 0, 3.0, 1.0)
    a = NetworkClassifier(**SMALL, class_weight={0: 3, 1: 1, 2: 1}).fit(X, y)
    b = NetworkClassifier(**SMALL).fit(X, y, sample_weight=by_hand)
    np.testing.assert_array_equal(a.population_.theta, b.population_.theta)
    balanced = NetworkClassifier(**SMALL, class_weight="balanced").fit(X, y)
    counts = np.bincount(y)
    c = NetworkClassifier(**SMALL).fit(X, y, sample_weight=len(y) / (3 * counts[y]))
    np.testing.assert_array_equal(balanced.population_.theta, c.population_.theta)


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_partial_fit_goes_on_as_one_training(kind):
    """Three calls on the same rows are three epochs: optimizer, row order and dropout go on."""
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


def test_partial_fit_goes_on_after_fit_and_checks_its_classes():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    before = fitted.population_.theta.copy()
    fitted.partial_fit(X[:50], y[:50])
    assert 0 < np.abs(fitted.population_.theta - before).max() < 0.2
    with pytest.raises(sb.DataError, match="y holds 7, which is none of the classes trained on"):
        fitted.partial_fit(X[:5], [7] * 5)
    with pytest.raises(sb.DataError, match="partial_fit's first call needs classes"):
        NetworkClassifier(**SMALL).partial_fit(X, y)


def test_partial_fit_tells_of_a_target_unlike_the_first():
    random = np.random.default_rng(0)
    X, y = random.normal(size=(50, 2)), random.normal(size=50)
    going = NetworkRegressor(**SMALL).partial_fit(X, y)
    with pytest.warns(sb.SeedbedWarning, match="the target's mean is .* standardise the target"):
        going.partial_fit(X, 1000 + y)


def test_warm_start_goes_on_from_the_members():
    X, y = load_breast_cancer(return_X_y=True)
    cold = NetworkClassifier(**SMALL, warm_start=True).fit(X, y)
    first = cold.loss_curve_[0]
    again = cold.fit(X, y)
    assert again.loss_curve_[0] < 0.5 * first
    assert clone(again).fit(X, y).loss_curve_[0] == pytest.approx(first)


def test_several_quantities_at_once_have_the_loss_whose_gradient_is_taken():
    """scikit-learn's own returns as many times the gradient of its loss as there are outputs."""
    X, Y = make_regression(80, 4, n_targets=3, random_state=0)
    fitted = NetworkRegressor(**SMALL, early_stopping=False, dropout=0.0).fit(X, Y)
    assert fitted.predict(X).shape == (80, 3)
    mean, std = fitted.predict(X, return_std=True)
    assert mean.shape == std.shape == (80, 3)
    population, target = fitted.population_, fitted.encoding_.target
    x, T = fitted._inputs(X), target.to_train_on(target.standardised(Y))
    loss = ((population.predict(x) - T) ** 2).mean(axis=(1, 2))  # over rows and over outputs
    np.testing.assert_allclose(population.loss, loss, rtol=1e-4)
    theta, step = population.theta[:1].astype(np.float64), 1e-5
    _, gradient = population.recipe.value_and_grad(theta, x, T)
    for place in np.random.default_rng(0).choice(theta.shape[1], 25, replace=False):
        moved = np.repeat(theta, 2, axis=0)
        moved[:, place] += [step, -step]
        up, down = population.recipe.value_and_grad(moved, x, T)[0]
        assert gradient[0, place] == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9)


def test_several_quantities_are_about_as_good_as_each_alone():
    X, Y = make_regression(300, 5, n_targets=2, noise=1.0, random_state=0)
    together = NetworkRegressor(**SMALL).fit(X, Y)
    alone = MultiOutputRegressor(NetworkRegressor(**SMALL)).fit(X, Y)
    assert together.score(X, Y) > alone.score(X, Y) - 0.1 > 0.7


def test_labels_are_each_there_or_not():
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


def test_it_works_where_scikit_learns_do():
    X, y = load_iris(return_X_y=True)
    small = NetworkClassifier(**{**SMALL, "members": 2})
    pipe = make_pipeline(StandardScaler(), small).fit(X, y)
    assert pipe.score(X, y) > 0.8
    grid = GridSearchCV(small, {"hidden_layer_sizes": [(4,), (8, 4)]}, cv=2).fit(X, y)
    assert grid.best_score_ > 0.7
    apart = cross_val_score(small, X, y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(apart, cross_val_score(small, X, y, cv=2))
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


def test_predictions_change_nothing_and_threads_share_an_estimator():
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


def test_joblib_keeps_an_estimator(tmp_path):
    table, y, quantity = frame()
    for fitted in (
        NetworkClassifier(**SMALL, activation=sb.leaky_relu(0.2)).fit(table, y),
        NetworkRegressor(**SMALL, loss=sb.huber(2.0)).fit(table, quantity),
    ):
        joblib.dump(fitted, tmp_path / "m.joblib")
        again = joblib.load(tmp_path / "m.joblib")
        np.testing.assert_array_equal(again.predict(table), fitted.predict(table))
        again.partial_fit(
            table, y if fitted is not None and hasattr(fitted, "classes_") else quantity
        )


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
    ],
)
def test_a_file_holds_all_of_an_estimator(tmp_path, make):
    table, y, quantity = frame()
    fitted, path = make(table, y, quantity), tmp_path / "m.safetensors"
    X = table if hasattr(fitted, "feature_names_in_") else table[["x", "size"]].to_numpy()
    fitted.save(path)
    again = load(path)
    assert type(again) is type(fitted)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    for name in ("n_features_in_", "n_iter_", "best_iteration_", "validation_curve_"):
        assert getattr(again, name) == getattr(fitted, name)
    if hasattr(fitted, "classes_"):
        np.testing.assert_array_equal(again.classes_, fitted.classes_)
        np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    clone(again).fit(X, again.predict(X))  # the parameters came along


def test_the_command_predicts_with_an_estimators_file(tmp_path, capsys):
    table, y, quantity = frame()
    csv = tmp_path / "t.csv"
    flags = table.assign(flag=table["flag"].astype(str))
    polar(flags).write_csv(csv)
    fitted = NetworkClassifier(**SMALL).fit(flags, y)
    fitted.save(tmp_path / "c.safetensors")
    assert main(["predict", str(tmp_path / "c.safetensors"), str(csv), "--json"]) == 0
    told = pl.read_json(capsys.readouterr().out.encode())
    p = fitted.predict_proba(flags)
    np.testing.assert_allclose(told["probability_yes"][0].to_numpy(), p[:, 1], rtol=1e-5)
    assert told["predicted_y"][0].to_list() == fitted.predict(flags).tolist()
    both = np.stack([quantity, -quantity], axis=1)
    several = NetworkRegressor(**SMALL).fit(flags, pd.DataFrame(both, columns=["a", "b"]))
    several.save(tmp_path / "r.safetensors")
    assert main(["predict", str(tmp_path / "r.safetensors"), str(csv), "--json"]) == 0
    told = pl.read_json(capsys.readouterr().out.encode())
    for place, name in enumerate("ab"):
        column = told[f"predicted_{name}"][0].to_numpy()
        np.testing.assert_allclose(column, several.predict(flags)[:, place], rtol=1e-4)


def test_a_broken_or_foreign_file_is_refused(tmp_path):
    X, y = load_iris(return_X_y=True)
    path = tmp_path / "m.safetensors"
    NetworkClassifier(**SMALL).fit(X, y).population_.save(path)
    with pytest.raises(sb.FileError, match="holds a model and no estimator"):
        load(path)
    custom = sb.Activation("mine", np.tanh, lambda z, a: 1 - a * a)
    fitted = NetworkClassifier(**SMALL, activation=custom, engine="numpy").fit(X, y)
    with pytest.raises(sb.FileError, match="'mine' is not one of Seedbed's own formulas"):
        fitted.save(path)
    with pytest.raises(NotFittedError, match="not fitted yet: call fit first"):
        NetworkRegressor().save(path)


# ---------------------------------------------------------------- errors and warnings


@pytest.mark.parametrize(
    ("given", "words"),
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
        ({"hidden_layer_sizes": "wide"}, "a layer's units must be a whole number"),
        ({"activation": 3}, "activation must be one of"),
        ({"class_weight": "fair"}, "class_weight must be None, 'balanced' or a dict"),
        ({"class_weight": {0: -1}}, "class_weight holds -1: weights are at least 0"),
    ],
)
def test_bad_parameters_are_named_in_one_line(given, words):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(sb.SettingError, match=words) as caught:
        NetworkClassifier(**{**SMALL, **given}).fit(X, y)
    assert "\n" not in str(caught.value)


def test_bad_targets_are_named():
    X, y = load_iris(return_X_y=True)
    for change, words in (
        (lambda y: np.zeros(150), "y holds one class"),
        (lambda y: y[:100], "inconsistent numbers of samples"),
        (lambda y: np.where(y == 1, np.nan, y), "Input y contains NaN"),
        (lambda y: np.stack([y, y], axis=1), "y has several columns of classes"),
    ):
        with pytest.raises(ValueError, match=words):
            NetworkClassifier(**SMALL).fit(X, change(y))
    with pytest.raises(ValueError, match="zero"):
        NetworkClassifier(**SMALL).fit(X, y, sample_weight=np.zeros(150))


def test_a_loss_still_falling_is_scikit_learns_convergence_warning():
    X, y = load_iris(return_X_y=True)
    slow = NetworkClassifier(**{**SMALL, "max_iter": 10}, learning_rate_init=1e-4)
    with pytest.warns(ConvergenceWarning, match="was still falling after 10 epochs: .*max_iter"):
        slow.fit(X, y)


def test_members_that_diverge_are_told_of():
    X, y = load_diabetes(return_X_y=True)
    wild = NetworkRegressor(**SMALL, activation="identity", learning_rate_init=1e30)
    with (
        pytest.warns(sb.DivergenceWarning),
        pytest.raises(sb.SettingError, match="all 3 members diverged: lower learning_rate_init"),
    ):
        wild.fit(X, y)


def test_a_fit_that_fails_leaves_no_half_of_another():
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(**SMALL).fit(X, y)
    with pytest.raises(sb.DataError):
        fitted.fit(X[:, :2], np.zeros(150))
    with pytest.raises(NotFittedError):
        fitted.predict(X)


def test_partial_fit_goes_on_from_the_newest_fit():
    X, y = load_iris(return_X_y=True)
    going = NetworkClassifier(**SMALL).partial_fit(X, y, classes=[0, 1, 2])
    fitted = going.fit(X, y).population_.theta
    again = NetworkClassifier(**SMALL).fit(X, y).partial_fit(X, y)
    np.testing.assert_array_equal(
        going.partial_fit(X, y).population_.theta, again.population_.theta
    )
    assert np.abs(going.population_.theta - fitted).max() < 0.2
