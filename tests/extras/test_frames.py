"""Data frames and series of several libraries in train and predict."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest

import seedbed as sb

RNG = np.random.default_rng(5)
X = np.column_stack([RNG.normal(size=40), RNG.integers(0, 9, 40), RNG.integers(0, 2, 40)])
Y = X[:, 0] - X[:, 2]
TEXTS = np.where(Y > 0, "up", "down")
NETWORK = sb.Network(3, [sb.Dense(4, "tanh"), sb.Dense(1)])


def train(x=X, y=Y, **given):
    given = {"loss": "mse", "epochs": 3, "seeds": range(2), **given}
    return sb.train(NETWORK, x, y, **given)


def columns(x=X):
    return {"a": x[:, 0], "b": x[:, 1].astype(int), "c": x[:, 2] > 0}


FRAMES = {
    "pandas": pd.DataFrame(columns()),
    "pandas nullable": pd.DataFrame(columns()).convert_dtypes(),
    "pandas objects": pd.DataFrame(columns()).astype(object),
    "pandas, equal names": pd.DataFrame(X, columns=["a", "a", "b"]),
    "polars": pl.DataFrame(columns()),
    "polars, narrow": pl.DataFrame(columns()).with_columns(pl.col("b").cast(pl.UInt8)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_of_numbers_trains_and_predicts_as_its_array(kind):
    frame, expected = FRAMES[kind], train()
    population = train(frame, validation=(frame, Y))
    np.testing.assert_array_equal(population.theta, expected.theta)
    np.testing.assert_array_equal(population.predict(frame), expected.predict(X))


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(Y, name="y"), pd.Series(Y).convert_dtypes(), pl.Series(Y), pd.DataFrame({"y": Y}),
        pl.DataFrame({"y": Y}),
    ],
    ids=["pandas", "nullable", "polars", "pandas frame", "polars frame"],
)  # fmt: skip
def test_targets_and_weights_may_be_series(y):
    weights = np.arange(1.0, 41)
    expected = train(sample_weight=weights)
    population = train(y=y, sample_weight=pl.Series(weights))
    np.testing.assert_array_equal(population.theta, expected.theta)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(TEXTS), pd.Series(TEXTS, dtype="string"), pd.Series(TEXTS, dtype="category"),
        pl.Series(TEXTS), pl.Series(TEXTS, dtype=pl.Categorical), pd.DataFrame({"y": TEXTS}),
    ],
    ids=["objects", "string", "category", "polars", "polars categorical", "frame"],
)  # fmt: skip
def test_a_series_of_texts_is_classes(y):
    population = train(y=y, loss="bce")
    assert population.classes.tolist() == ["down", "up"]
    np.testing.assert_array_equal(population.theta, train(y=TEXTS, loss="bce").theta)


def with_column(**column):
    return [pd.DataFrame({**columns(), **column}), pl.DataFrame({**columns(), **column})]


TEXT = with_column(b=["Rome", "Oslo"] * 20)
HOLES = with_column(b=[1, 2, None, 4] * 10)
DATES = with_column(b=np.array(["2024-01-01"] * 40, dtype="datetime64[us]"))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        *[
            (f, "column 'b' of X holds .* 'Rome', and a network takes num.*seedbed.est")
            for f in TEXT
        ],
        *[
            (f, "column 'b' of X has 10 missing values, the first in row 2: .*seedbed")
            for f in HOLES
        ],
        (HOLES[0].convert_dtypes(), "column 'b' of X has 10 missing values, the first in row 2"),
        (HOLES[0].astype(object), "column 'b' of X has 10 missing values, the first in row 2"),
        *[(f, "column 'b' of X holds Datetime values such as .*2024") for f in DATES],
        (pl.DataFrame(columns()).lazy(), r"X is a lazy frame.*give X.collect\(\)"),
        (pl.DataFrame(), "X is a data frame without columns"),
        (pd.DataFrame(columns())[:0], "X is empty"),
    ],
)
def test_other_columns_are_refused_by_name(frame, message):
    with pytest.raises(sb.DataError, match=message) as raised:
        train(frame)
    assert "\n" not in str(raised.value)


def test_missing_targets_are_refused():
    with pytest.raises(sb.DataError, match="Y has 1 missing values, the first in row 3"):
        train(y=pd.Series(Y).where(np.arange(40) != 3))
    with pytest.raises(sb.DataError, match="Y has 1 missing labels, the first in row 3"):
        train(y=pd.Series(TEXTS).where(np.arange(40) != 3), loss="bce")


def test_frames_of_numbers_need_no_narwhals(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    np.testing.assert_array_equal(train(frame, pd.Series(Y)).theta, train().theta)
    with pytest.raises(sb.DataError, match="X holds object values; it needs numbers"):
        train(TEXT[0])


def test_classes_are_saved(tmp_path):
    population = train(y=TEXTS, loss="bce")
    sb.save(tmp_path / "model", population)
    again = sb.load(tmp_path / "model")
    np.testing.assert_array_equal(again.classes, population.classes)
    np.testing.assert_array_equal(again.predict_labels(X), population.predict_labels(X))
    sb.save(tmp_path / "model", train())
    assert sb.load(tmp_path / "model").classes is None
    with pytest.raises(sb.FileError, match=r"cannot hold classes such as b'down'"):
        sb.save(tmp_path / "model", train(y=TEXTS.astype("S"), loss="bce"))


def test_pictures_and_checks_name_and_take_the_classes():
    network = sb.Network(3, [sb.Dense(4, "tanh"), sb.Dense(3)])
    texts = np.where(X[:, 1] > 5, "many", TEXTS)
    population = sb.train(network, X, texts, loss="ce", epochs=3, seeds=range(2))
    legend = sb.plots.regions(population, X, texts, resolution=8).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["down", "many", "up"]
    assert sb.check_gradient(population, X=X, Y=texts).agrees
