"""compare() and search() with data frames and scikit-learn estimators."""

import importlib
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import seedbed as sb
from seedbed import plots
from seedbed.cli import main
from seedbed.comparing.fitting import seeded
from seedbed.comparing.problem import problem_of
from seedbed.estimators import NetworkClassifier, NetworkRegressor

RNG = np.random.default_rng(2)
N = 120
SIZE = RNG.uniform(40, 200, N)
TOWN = RNG.choice(["Ulm", "Bonn", "Jena"], N).astype(object)
PRICE = 3000 * SIZE + 50_000 * (TOWN == "Bonn") + 20_000 * RNG.normal(size=N)
DEAR = np.where(PRICE > 4e5, "yes", "no").astype(object)
SIZE[3] = np.nan
TOWN[5] = None
DEAR[[7, 30]] = None
LIBRARIES = {"pandas": pd.DataFrame, "polars": lambda data: pl.DataFrame(data, strict=False)}
TABLE = {"size": SIZE, "town": TOWN, "price": PRICE, "dear": DEAR}
INPUTS = 1 + 8 + 1 + 3
"""The encoded inputs of size, with bins and a flag, and of town."""


@pytest.fixture(params=list(LIBRARIES))
def frame(request):
    return LIBRARIES[request.param](TABLE)


def network(outputs, loss, inputs=INPUTS, **options):
    return sb.Recipe(
        network=sb.Network(inputs, [sb.Dense(8, sb.mish), sb.Dense(outputs)]), loss=loss,
        optimizer=sb.Adam(0.02), epochs=30, batch_size=32, engine="numpy", **options,
    )  # fmt: skip


def by_town(X, Y, X_test, seed):
    """Return the mean price of the row's town."""
    towns, test = np.array(X["town"], object), np.array(X_test["town"], object)
    return [Y[towns == town].mean() if (towns == town).any() else Y.mean() for town in test]


def test_frames_are_given_to_all_kinds_of_methods(frame):
    methods = {
        "net": network(1, sb.squared_error),
        "by town": by_town,
        "regressor": NetworkRegressor(members=2, max_iter=5, engine="numpy", early_stopping=False),
    }
    table = frame[["size", "town", "price"]]
    with pytest.warns(ConvergenceWarning, match="still falling"):
        found = sb.compare(methods, table, "price", baseline="by town", seeds=range(8))
    assert found["net", "by town"].better == "net"
    assert 10_000 < np.median(found.methods["net"].scores) < 100_000  # in the target's units
    assert found.notes == (
        "size: 1 missing value, taken as the median",
        "town: 1 missing value, taken as no category",
    )
    assert found.metric is sb.metrics.rmse
    assert json.loads(found.to_json())["notes"] == list(found.notes)
    assert len(plots.comparison(found).axes) == 2
    split = list(sb.splits(table, "price", seeds=range(8)))
    values = np.array(frame["price"])
    for (_, train, test), score in zip(split, found.methods["by town"].scores, strict=True):
        rows = [table[part.tolist()] if isinstance(table, pl.DataFrame) else table.iloc[part]
                for part in (train, test)]  # fmt: skip
        p = np.array(by_town(rows[0], values[train], rows[1], 0))
        assert score == pytest.approx(np.sqrt(((p - values[test]) ** 2).mean()), rel=1e-12)


def test_rows_without_a_target_are_in_no_part(frame):
    X, seen = frame[["size", "town"]], []

    def constant(X, Y, X_test, seed):
        seen.append((type(X), set(Y), len(X) + len(X_test)))
        return ["no"] * len(X_test)

    methods = {"net": network(2, sb.cross_entropy), "no": constant}
    found = sb.compare(methods, X, frame["dear"], seeds=range(6))
    assert seen == [(type(X), {"yes", "no"}, N - 2)] * 6
    assert found["net", "no"].better == "net"
    assert found.rows == (88, 30)
    assert "dear: 2 rows without a value are left out" in found.notes
    for _, train, test in sb.splits(X, frame["dear"], seeds=range(6)):
        assert sorted([*train, *test]) == [row for row in range(N) if row not in (7, 30)]
    given = sb.compare(
        methods, X, frame["dear"], seeds=range(6), split=(range(7, 60), range(60, N))
    )
    assert given.rows == (51, 60)


def test_the_command_and_python_give_the_same_scores(tmp_path, capsys):
    table = pl.DataFrame(TABLE, strict=False)[["size", "town", "price"]]
    table.write_csv(tmp_path / "houses.csv")
    options = ["--epochs", "20", "--hidden", "8", "--seeds", "6", "--metric", "mae", "--json"]
    assert main([
        "compare", str(tmp_path / "houses.csv"), "--target", "price", "--vary", "lr=0.01,0.1",
        *options,
    ]) == 0  # fmt: skip
    command = json.loads(capsys.readouterr().out)
    problem = problem_of({"net": network(1, sb.squared_error)}, table, "price")
    assert problem.inputs.shape == (N, INPUTS)
    assert command["rows"] == {"train": 90, "test": 30}
    assert command["notes"] == list(problem.notes)
    assert abs(problem.targets.mean()) < 0.2
    assert problem.t.mean() == pytest.approx(PRICE.mean())


def test_encoding_uses_no_target():
    """Other targets, and another order of classes, leave the encoded inputs as they are."""
    X = pl.DataFrame(TABLE, strict=False)[["size", "town"]]
    one, other = (
        problem_of({"net": network(1, sb.squared_error)}, X, y) for y in (PRICE, RNG.normal(size=N))
    )
    np.testing.assert_array_equal(one.inputs, other.inputs)


def test_counts_are_not_standardised():
    X = pl.DataFrame(TABLE, strict=False)[["size", "town"]]
    counts = RNG.poisson(3, N)
    problem = problem_of({"net": network(1, sb.poisson)}, X, counts)
    np.testing.assert_array_equal(problem.targets[:, 0], counts)


def test_a_networks_inputs_must_fit_the_encoding(frame):
    X, recipe = frame[["size", "town"]], network(1, sb.squared_error, inputs=2)
    with pytest.raises(
        sb.ShapeError, match=r"network of a has 2 inputs.*13: use sb.Network\(13, …\)$"
    ):
        sb.compare({"a": recipe, "b": by_town}, X, PRICE)
    numbers = frame[["size"]]
    with pytest.raises(sb.ShapeError, match=r"or X.to_numpy\(\) to use its numbers"):
        sb.compare({"a": recipe, "b": by_town}, numbers, PRICE)
    with pytest.raises(sb.TableError, match="has no target column 'prize'; did you mean 'price'"):
        sb.compare({"a": recipe, "b": by_town}, frame, "prize")


def test_a_frame_of_numbers_is_used_as_it_is(frame):
    """As ``train`` does, if the networks have an input for each column."""
    X = frame[["price"]]
    recipe = network(2, sb.cross_entropy, inputs=1)
    problem = problem_of({"a": recipe}, X, frame["dear"])
    np.testing.assert_array_equal(problem.inputs[:, 0], np.delete(PRICE, [7, 30]))
    assert problem.notes == ()
    encoded = problem_of({"a": network(2, sb.cross_entropy, inputs=9)}, X, frame["dear"])
    assert encoded.inputs.shape == (N - 2, 9)
    raw = problem_of({"a": network(1, sb.squared_error, inputs=1)}, X, PRICE)
    np.testing.assert_array_equal(raw.targets, PRICE)
    assert raw.target is None


# ---------------------------------------------------------------- estimators

A = RNG.normal(size=(N, 4))
B = (A[:, 0] + 0.5 * RNG.normal(size=N) > 0).astype(int)


def test_estimators_score_as_in_ones_own_loop():
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(5))
    linear = LogisticRegression()
    recipe = network(2, sb.cross_entropy, inputs=4)
    methods = {"forest": forest, "linear": linear, "net": recipe}
    for metric in ("accuracy", "auc"):
        found = sb.compare(methods, A, B, metric=metric, seeds=range(7))
        for name, made in (
            ("forest", lambda seed: make_pipeline(
                StandardScaler(), RandomForestClassifier(5, random_state=seed))),
            ("linear", lambda seed: LogisticRegression()),
        ):  # fmt: skip
            scores = []
            for seed, train, test in sb.splits(A, B, seeds=range(7)):
                fitted = made(seed).fit(A[train], B[train])
                p = fitted.predict_proba(A[test])
                hits = (fitted.predict(A[test]) == B[test]).mean()
                scores.append(hits if metric == "accuracy" else sb.metrics.auc.f(B[test], p))
            np.testing.assert_array_equal(found.methods[name].scores, scores)
    assert forest[-1].random_state is None
    assert not hasattr(linear, "coef_")


def test_every_random_state_is_the_seed():
    made = seeded(
        make_pipeline(StandardScaler(), MultiOutputClassifier(RandomForestClassifier())), 7
    )
    seeds = [value for name, value in made.get_params().items() if name.endswith("random_state")]
    assert seeds == [7]
    assert seeded(NetworkClassifier(), 2**32 + 5).random_state == 5


def test_own_estimators_need_no_special_case():
    options = {"members": 2, "max_iter": 5, "engine": "numpy", "early_stopping": False}
    methods = {
        "wide": NetworkClassifier((16,), **options), "none": NetworkClassifier((), **options)
    }  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="still falling"):
        found = sb.compare(methods, A, B, metric="log_loss", seeds=range(6))
    assert np.isfinite(found.methods["wide"].scores).all()


class Reversed(ClassifierMixin, BaseEstimator):
    """Probabilities in an order of its own."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)[::-1]
        self.shares = [(y == label).mean() for label in self.classes_]
        return self

    def predict_proba(self, X):
        return np.tile(self.shares, (len(X), 1))

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def test_probabilities_are_put_in_order():
    rare = np.array(["a"] * 90 + ["b"] * 30)
    methods = {"reversed": Reversed(), "prior": DummyClassifier(strategy="prior")}
    found = sb.compare(methods, A, rare, metric="log_loss", seeds=range(6))
    np.testing.assert_allclose(found.methods["reversed"].scores, found.methods["prior"].scores)


def test_labels_of_estimators():
    both = np.stack([B, A[:, 1] > 0], axis=1).astype(int)
    methods = {"forest": RandomForestClassifier(5), "each": MultiOutputClassifier(
        LogisticRegression())}  # fmt: skip
    for metric in ("accuracy", "auc", "brier"):
        found = sb.compare(methods, A, both, metric=metric, seeds=range(6))
        assert (found.methods["forest"].scores >= 0).all()
        assert found.scope
    assert np.median(found.methods["each"].scores) < 0.2


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"a": LogisticRegression(), "b": Ridge()}, "a is for classification and b for regression"),
        ({"a": LogisticRegression(), "b": network(1, sb.squared_error, inputs=4)}, "b for regr"),
        ({"a": LogisticRegression(), "b": LogisticRegression()}, "a and b are the same estimator"),
        ({"a": RandomForestClassifier(random_state=1), "b": RandomForestClassifier(random_state=2)},
         "a and b are the same estimator"),
        ({"a": LogisticRegression(), "b": Ridge}, r"methods\['b'\] is the class Ridge: call it"),
        ({"a": LogisticRegression(C=-1), "b": LogisticRegression()}, "a raised InvalidParam"),
    ],
)  # fmt: skip
def test_invalid_estimators_are_refused(methods, message):
    with pytest.raises(sb.SeedbedError, match=message):
        sb.compare(methods, A, B, seeds=range(6))


def test_search_over_an_estimators_parameters():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1e-6))
    space = sb.Space(pipeline, logisticregression__C=sb.log_uniform(1e-6, 1e2))
    found = sb.search(space, A, B, budget=16, metric="log_loss")
    assert found.method[-1].C > 1e-3
    assert found.confirmation[found.winner, "baseline"].better == found.winner
    assert pipeline[-1].C == 1e-6
    same = sb.search(sb.Space(LogisticRegression(C=1.0), C=[1.0, 1e-9]), A, B, budget=8,
                     metric="log_loss")  # fmt: skip
    assert same.winner == "C=1"
    assert same.confirmation is None
    with pytest.raises(sb.SettingError, match="D is not a parameter of LogisticRegression"):
        sb.Space(LogisticRegression(), D=[1, 2])
    with pytest.raises(sb.SettingError, match="random_state is set to each run's seed"):
        sb.Space(RandomForestClassifier(), random_state=[1, 2])


def test_columns_by_name_reach_a_pipeline(frame):
    chosen = make_pipeline(
        make_column_transformer(("passthrough", ["price"])), LogisticRegression()
    )
    table = frame[["price", "dear"]]
    found = sb.compare({"price": chosen, "none": DummyClassifier()}, table, "dear", seeds=range(6))
    assert np.median(found.methods["price"].scores) > 0.9


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_judge_takes_a_frame_of_scores(library):
    frame = importlib.import_module(library).DataFrame(
        {"a": [0.91, 0.90, 0.93, 0.92, 0.94, 0.95], "b": [0.90, 0.89, 0.90, 0.88, 0.89, 0.89]}
    )
    found = sb.judge(frame, higher_is_better=True, design="fixed")
    assert found["a", "b"].better == "a"
    assert found["a", "b"].n == 6


def test_functions_are_in_the_frame_of_scores():
    X = np.random.default_rng(0).normal(size=(40, 2))
    methods = {
        "mean": lambda X, Y, X_test, seed: np.full(len(X_test), Y.mean()),
        "zero": lambda X, Y, X_test, seed: np.zeros(len(X_test)),
    }
    found = sb.compare(methods, X, X[:, 0] + 3, seeds=range(6))
    assert len(found.to_frame()) == 12


def test_series_are_paired_by_their_indexes():
    a = pd.Series([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], index=list("uvwxyz"))
    b = a - [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    given = sb.judge(
        {"a": a, "b": b.sample(frac=1, random_state=3)}, higher_is_better=True, design="fixed"
    )
    expected = sb.judge(
        {"a": a.to_numpy(), "b": b.to_numpy()}, higher_is_better=True, design="fixed"
    )
    np.testing.assert_array_equal(given["a", "b"].differences, expected["a", "b"].differences)
    with pytest.raises(sb.DataError, match="a and b differ in the row 'z' of their indexes"):
        sb.judge({"a": a, "b": b[:5]}, higher_is_better=True, design="fixed")
    twice = pd.concat([b[:5], b[:1]])
    with pytest.raises(sb.DataError, match="the scores of b have two rows of 'u': keep one"):
        sb.judge({"a": a, "b": twice}, higher_is_better=True, design="fixed")


def test_a_seed_that_is_given_twice_is_refused():
    scores = {"a": np.arange(6.0), "b": np.arange(6.0) + 1}
    with pytest.raises(sb.DataError, match="seed 3 is given 2 times: a run that is listed twice"):
        sb.judge(scores, higher_is_better=True, design="fixed", seeds=[0, 1, 2, 3, 3, 4])
