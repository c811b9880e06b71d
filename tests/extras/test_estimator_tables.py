"""What estimators make of the values of frames and arrays, and what they say about it."""

import datetime
import decimal
import json
import sqlite3
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import ConvergenceWarning

import seedbed as sb
from seedbed.cli import main
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables.reading import read

SMALL = {"hidden_layer_sizes": (4,), "members": 2, "max_iter": 3, "random_state": 0,
         "engine": "numpy", "codes": "bins", "dropout": 0.15}  # fmt: skip
N = 60
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(N, 2))
CLASS = (X[:, 0] > 0).astype(int)
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=7 * day) for day in range(N)]


@pytest.fixture(autouse=True)
def ignore_warnings_of_training():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "the members together", sb.SeedbedWarning)
        yield


def columns_of(table):
    return NetworkRegressor(**SMALL).fit(table, X[:, 0]).encoding_.columns


# ---------------------------------------------------------------- notes


def test_notes_are_saved_and_follow_what_later_batches_bring(tmp_path):
    table = pd.DataFrame({
        "x": X[:, 0], "late": 1.0, "never": 1.0, "day": DAYS, "name": [f"n{i}" for i in range(N)],
    })  # fmt: skip
    model = NetworkRegressor(**SMALL)
    with pytest.warns(sb.SeedbedWarning) as caught:
        model.partial_fit(table, X[:, 0])
    named = "name is left out: 60 different texts in 60 rows make no categories"
    dates = "day: dates, as days, month"
    constant = " is left out: it has the same value in every row"
    assert [str(each.message) for each in caught] == [f"column {named}"]
    assert model.notes_ == [f"late{constant}", f"never{constant}", dates, named]
    model.save(tmp_path / "m.safetensors")
    loaded = sb.load(tmp_path / "m.safetensors")
    assert loaded.notes_ == model.notes_
    loaded.partial_fit(table.assign(late=X[:, 1]), X[:, 0])
    assert loaded.notes_ == [f"never{constant}", dates, named]


def test_a_later_batchs_problems_are_said_once_for_each_column():
    first = pd.DataFrame({"c": ["a", "b"] * 20, "x": np.arange(40.0)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = NetworkRegressor(**SMALL).partial_fit(first, np.arange(40.0))
        for count in (300, 299, 298):
            many = pd.DataFrame({"c": [f"{count}-{i}" for i in range(count)], "x": 1.0})
            model.partial_fit(many, np.full(count, 1e3) + np.arange(count) % 2)
    said = [str(each.message) for each in caught]
    assert sum("new categories" in message for message in said) == 1
    assert sum("far from 0 and 1" in message for message in said) == 1


def test_outliers_are_counted_for_each_target():
    Y = np.c_[X, X[:, 0]]
    Y[3, 0], Y[5, 1] = 1e4, -1e4
    with pytest.warns(sb.SeedbedWarning) as caught:
        model = NetworkRegressor(**SMALL).fit(X[:, :1], Y)
    target = model.encoding_.target
    expected = [
        f"{name} holds 1 outlier, clipped to between {target.low[at]:.6g} and {target.high[at]:.6g}"
        for at, name in enumerate(["y0", "y1"])
    ]
    assert [note.partition(" for training")[0] for note in model.notes_] == expected
    assert [str(each.message) for each in caught][:2] == model.notes_


# ---------------------------------------------------------------- masked arrays


def test_masked_row_weights_are_refused():
    weights = np.ma.array(np.ones(N), mask=np.arange(N) < 3)
    for estimator, y in ((NetworkRegressor, X[:, 0]), (NetworkClassifier, CLASS)):
        with pytest.raises(sb.DataError, match="sample_weight has masked values"):
            estimator(**SMALL).fit(X, y, sample_weight=weights)
    with pytest.raises(sb.DataError, match="sample_weight has masked values"):
        NetworkRegressor(**SMALL).fit(X, X[:, 0], validation_data=(X, X[:, 0], weights))


@pytest.mark.parametrize(
    "values",
    [np.array(["a", "b"] * 30), np.arange(N) % 2 == 0, np.array(DAYS, "M8[D]"), np.arange(N)],
)
def test_masked_values_of_any_type_are_missing(values):
    mask = np.arange(N) % 7 == 0
    gaps = [None if hidden else value for value, hidden in zip(values.tolist(), mask, strict=True)]
    expected = columns_of(pd.DataFrame({"x0": pd.Series(gaps, dtype=object)}))
    assert columns_of(np.ma.array(values[:, None], mask=mask[:, None])) == expected


def test_compare_and_models_take_masked_values_as_missing():
    mask = RANDOM.random(X.shape) < 0.2
    masked, gaps = np.ma.array(X, mask=mask), np.where(mask, np.nan, X)
    y, y_masked = X[:, 0], np.ma.array(X[:, 0], mask=np.arange(N) < 3)
    model = NetworkRegressor(**SMALL).fit(gaps, y)
    methods = {"a": model, "b": NetworkRegressor(**{**SMALL, "hidden_layer_sizes": (2,)})}
    found = [sb.compare(methods, each, y, seeds=range(6)) for each in (masked, gaps)]
    np.testing.assert_array_equal(*(each.methods["a"].scores for each in found))
    with pytest.raises(sb.DataError, match="Y holds nan in row 0"):
        sb.compare(methods, X, y_masked, seeds=range(6))
    recipe = sb.Recipe(
        network=sb.Network(2, [sb.Dense(1)]), loss="mse", optimizer=sb.SGD(0.1), epochs=1
    )
    with pytest.raises(sb.DataError, match="X holds nan"):
        sb.compare({"a": recipe, "b": model}, masked, y, seeds=range(6))
    np.testing.assert_array_equal(*(model.table_model_.inputs(each) for each in (masked, gaps)))
    assert len(model.table_model_.rows(X, y_masked).numbers) == N - 3


# ---------------------------------------------------------------- columns


def test_dates_of_every_kind_are_the_same_dates():
    expected = columns_of(pd.DataFrame({"d": DAYS}))
    for days in (
        pd.PeriodIndex(DAYS, freq="D"),
        pd.Series(DAYS, dtype=object).where(np.arange(N) % 2 == 0, [str(day) for day in DAYS]),
    ):
        (column,) = columns_of(pd.DataFrame({"d": days}))
        assert (column.days, column.circles) == (expected[0].days, expected[0].circles)
    times = [datetime.time(hour % 24, hour) for hour in range(N)]
    assert columns_of(pd.DataFrame({"t": times})) == columns_of(pl.DataFrame({"t": times}))


def test_booleans_and_intervals_are_categories():
    assert columns_of(X > 0) == columns_of(pd.DataFrame({"x0": X[:, 0] > 0, "x1": X[:, 1] > 0}))
    cut = pd.cut(X[:, 0], [-9, 0, 1, 9])
    (column,) = columns_of(pd.DataFrame({"c": cut}))
    assert column.categories == ("(-9, 0]", "(0, 1]", "(1, 9]")


def test_a_number_among_dates_is_named():
    model = NetworkRegressor(**SMALL).fit(pd.DataFrame({"d": DAYS}), X[:, 0])
    with pytest.raises(sb.TableError, match="holds the number 3 in row 1, where a date is exp"):
        model.predict(pd.DataFrame({"d": [3]}))


# ---------------------------------------------------------------- targets


@pytest.mark.parametrize(
    "pair",
    [
        (7, 2**63 + 5),
        (2**53 + 1, 2**53 + 3),
        pd.array([1, 2], "Int64"),
        pd.array([False, True], "boolean"),
        pd.array(["x", "y"], "string"),
        np.array([3, 4], object),
        np.array([False, True], object),
    ],
)
def test_classes_keep_their_type(pair, tmp_path):
    y = pd.Series(pair)[CLASS].reset_index(drop=True)
    model = NetworkClassifier(**SMALL).fit(X, y)
    model.save(tmp_path / "m.safetensors")
    loaded = sb.load(tmp_path / "m.safetensors")
    for each in (model, loaded):
        assert each.classes_.tolist() == list(pair)
        assert list(map(type, each.classes_.tolist())) == list(map(type, pd.Series(pair).tolist()))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (pd.date_range("2020", periods=2, tz="UTC"), "y holds Timestamp.*datetime64 without a tim"),
        ([decimal.Decimal(1), decimal.Decimal(2)], "y holds Decimal"),
        (["x", 3], r"y holds values of several kinds \(int, str\): give one kind"),
    ],
)
def test_labels_of_other_kinds_are_refused(pair, message):
    with pytest.raises(sb.DataError, match=message):
        NetworkClassifier(**SMALL).fit(X, pd.Series(pair)[CLASS].reset_index(drop=True))


@pytest.mark.parametrize(
    "y", [np.array(DAYS, "M8[ns]"), np.array(DAYS, object), pd.Series(DAYS), pl.Series(DAYS)]
)
def test_a_regressor_refuses_dates(y):
    with pytest.raises(sb.DataError, match="y holds dates: a regressor predicts a number"):
        NetworkRegressor(**SMALL).fit(X, y)


def test_a_negative_count_is_shown_as_it_was_given():
    y, model = np.arange(N) * 10.0, NetworkRegressor(**SMALL, loss="poisson")
    message = "y holds -40: the loss 'poisson' is for counts"
    with pytest.raises(sb.DataError, match=message):
        model.fit(X, y, validation_data=(X, y - 40))
    model.partial_fit(X, y)
    with pytest.raises(sb.DataError, match=message):
        model.partial_fit(X, y - 40)


# ---------------------------------------------------------------- judge, train and files


def test_judge_reads_missing_and_decimal_scores_and_names_what_is_no_frame():
    scores = {"a": [0.91, 0.90, None, 0.92, 0.94, 0.95, 0.97], "b": [0.9, *[0.8] * 6]}
    for frame in (
        pd.DataFrame(scores, dtype=object), pl.DataFrame(scores),
        pl.DataFrame(scores).cast(pl.Decimal(5, 2)),
    ):  # fmt: skip
        found = sb.judge(frame, higher_is_better=True, design="fixed")
        assert np.isnan(found.methods["a"].scores).tolist() == [False, False, True, *[False] * 4]
    for frame, message in (
        (pl.DataFrame(scores).lazy(), "the scores are a lazy frame"),
        (np.ones((6, 2)), "the scores are array.*give a dict of each method's scores, or a data"),
        (
            pd.DataFrame(np.ones((6, 2)), columns=["a", "a"]),
            "the table of scores has 2 columns named .a.",
        ),
    ):
        with pytest.raises(sb.DataError, match=message):
            sb.judge(frame, higher_is_better=True, design="fixed")


def test_train_takes_decimals_and_refuses_numbers_beyond_a_float64():
    network = sb.Network(1, [sb.Dense(1)])
    method = {"loss": "mse", "optimizer": sb.SGD(0.1), "epochs": 1, "seeds": [0]}
    frame = pd.DataFrame({"a": [decimal.Decimal(1), decimal.Decimal(2)]})
    expected = sb.train(network, [[1.0], [2.0]], [0.0, 1.0], **method)
    np.testing.assert_array_equal(
        sb.train(network, frame, [0.0, 1.0], **method).theta, expected.theta
    )
    with pytest.raises(sb.DataError, match="column 'a' of X holds a whole number too large"):
        sb.train(network, pd.DataFrame({"a": [10**400, 1]}), [0.0, 1.0], **method)


def test_a_list_of_json_objects_is_a_table(tmp_path):
    rows = [{"a": 1, "c": "x"}, {"a": 2.5, "c": None}]
    (tmp_path / "list.json").write_text(json.dumps(rows, indent=1))
    (tmp_path / "lines.json").write_text("\n".join(map(json.dumps, rows)))
    for name in ("list.json", "lines.json"):
        table = read(tmp_path / name)
        assert table.columns == ["a", "c"]
        assert table.column("a").values.tolist() == [1, 2.5]
        assert table.texts("c").tolist() == ["x", None]


def test_the_command_says_what_is_missing_or_meaningless(tmp_path, capsys):
    with sqlite3.connect(tmp_path / "t.db") as database:
        database.execute("CREATE TABLE people (a, y)")
    database.close()
    pd.DataFrame({"a": X[:, 0], "y": CLASS}).to_csv(tmp_path / "t.csv", index=False)
    for name, options, message in (
        ("t.db", [], "t.db is an SQLite database: name a table of it, as in"),
        ("t.csv", ["--keep-outliers"], "--keep-outliers is for numbers, and the target is classes"),
    ):
        assert main(["train", str(tmp_path / name), "--target", "y", *options]) == 2
        assert message in capsys.readouterr().err
