"""Labels such as texts as targets: coded, remembered, predicted, refused."""

import pickle

import numpy as np
import pytest

import seedbed as sb
from seedbed.frames import as_labels

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 2))
CODES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
NAMES = np.array(["high", "low", "middle"])
TEXTS = NAMES[CODES]
NETWORK = sb.Network(2, [sb.Dense(4, "tanh"), sb.Dense(3)])
BINARY = sb.Network(2, [sb.Dense(4, "tanh"), sb.Dense(1)])


def train(Y, network=NETWORK, loss="cross_entropy", **given):
    given = {"epochs": 30, "optimizer": sb.Adam(0.05), "seeds": range(3), **given}
    return sb.train(network, X, Y, loss=loss, **given)


@pytest.mark.parametrize(
    "labels",
    [TEXTS, TEXTS.tolist(), TEXTS.astype(object), TEXTS[:, None], TEXTS.astype("S")],
    ids=["array", "list", "objects", "column", "bytes"],
)
def test_texts_are_coded_as_sorted_classes(labels):
    texts, numbers = train(labels), train(CODES)
    np.testing.assert_array_equal(texts.theta, numbers.theta)
    expected = NAMES.astype("S") if np.asarray(labels).dtype.kind == "S" else NAMES
    np.testing.assert_array_equal(texts.classes, expected)
    assert numbers.classes is None
    predicted = texts.predict_labels(X)
    assert (predicted == np.ravel(labels)).mean() > 0.8
    np.testing.assert_array_equal(predicted, expected[numbers.predict_labels(X)])


def test_other_labels_are_coded_too():
    days = np.array(["2024-01-03", "2024-01-01", "2024-01-02"], dtype="datetime64[D]")[CODES]
    population = train(days)
    np.testing.assert_array_equal(population.classes, np.unique(days))
    assert (population.predict_labels(X) == days).mean() > 0.8


def test_two_texts_are_0_and_1_with_one_output():
    labels = np.where(X[:, 0] > 0, "yes", "no")
    texts = train(labels, BINARY, "binary_cross_entropy")
    numbers = train((X[:, 0] > 0) * 1.0, BINARY, "bce")
    np.testing.assert_array_equal(texts.theta, numbers.theta)
    assert texts.classes.tolist() == ["no", "yes"]
    assert (texts.predict_labels(X) == labels).mean() > 0.9
    np.testing.assert_array_equal(numbers.predict_labels(X), texts.predict_labels(X) == "yes")


def test_classes_are_kept_by_selection_and_pickling():
    population = train(TEXTS)
    for other in (population[1], population[[True, False, True]]):
        np.testing.assert_array_equal(other.classes, NAMES)
    again = pickle.loads(pickle.dumps(population))
    np.testing.assert_array_equal(again.predict_labels(X), population.predict_labels(X))


def test_validation_and_what_follows_use_the_classes_of_training():
    population = train(TEXTS, validation=(X[:20], TEXTS[:20]))
    of_numbers = train(CODES, validation=(X[:20], CODES[:20]))
    np.testing.assert_array_equal(population.history.val_loss, of_numbers.history.val_loss)
    few = np.flatnonzero(TEXTS != "low")  # rows without the class "low"; all classes stay known
    texts, numbers = (
        sb.explain(each, X[few], y[few]).numbers
        for each, y in ((population, TEXTS), (of_numbers, CODES))
    )
    for a, b in zip(texts, numbers, strict=True):
        np.testing.assert_array_equal(a.value, b.value)
    assert [str(f) for f in sb.diagnose(population, X, TEXTS)] == [
        str(f) for f in sb.diagnose(of_numbers, X, CODES)
    ]
    for a, b in zip(
        sb.value_and_grad(population.recipe, population.theta, X, TEXTS),
        sb.value_and_grad(population.recipe, population.theta, X, CODES),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(sb.DataError, match="holds 'huge', which is no class of training: 'high'"):
        train(TEXTS, validation=(X[:2], ["huge", "low"]))
    with pytest.raises(sb.DataError, match="the classes of the training are numbers: give 0, 1"):
        train(CODES, validation=(X[:2], ["high", "low"]))


MISSING = TEXTS.astype(object)
MISSING[[4, 7]] = None


@pytest.mark.parametrize(
    ("labels", "network", "loss", "error", "message"),
    [
        (NAMES[CODES % 2], NETWORK, "ce", sb.SettingError, "2 classes .*'low'.* 3 outputs: give t"),
        (MISSING, NETWORK, "ce", sb.DataError, "Y has 2 missing labels, the first in row 4"),
        (["a"] * 60, NETWORK, "ce", sb.DataError, "all 60 rows are of class 'a'"),
        (TEXTS, BINARY, "bce", sb.SettingError, "takes two classes, and Y holds 3.*3 outputs"),
        (TEXTS, NETWORK, "bce", sb.SettingError, "takes columns of 0 and 1, and Y holds labels"),
        (TEXTS, BINARY, "mse", sb.DataError, "Y holds '.*squared_error needs numbers"),
        (TEXTS[:30], NETWORK, "ce", sb.ShapeError, "Y has shape"),
        (np.c_[TEXTS, TEXTS], NETWORK, "ce", sb.ShapeError, "labels need one column"),
        ([1, "a"] * 30, NETWORK, "ce", sb.DataError, r"kinds \(int, str\)"),
        ([float("nan"), "a"] * 30, NETWORK, "ce", sb.DataError, "Y has 30 missing labels"),
        (np.array([1, "a"] * 30, object), NETWORK, "ce", sb.DataError, r"kinds \(int, str\)"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, network, loss, error, message):
    with pytest.raises(error, match=message) as raised:
        train(labels, network, loss)
    assert "\n" not in str(raised.value)


def test_only_classes_have_labels_to_predict():
    with pytest.raises(sb.SettingError, match="has no classes to predict"):
        train(X[:, 0], BINARY, "mse").predict_labels(X)
    with pytest.raises(sb.SettingError, match="has no classes to predict"):
        train(np.eye(3)[CODES], loss="bce").predict_labels(X)


def test_numbers_are_no_labels():
    for Y in (CODES, CODES.tolist(), CODES.astype(object), CODES > 0, np.eye(3), 1.0, []):
        assert as_labels(Y, "Y") is None
