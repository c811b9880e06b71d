"""Populations: predictions, indexing and repr."""

from dataclasses import replace

import numpy as np
import pytest

import seedbed as sb

RNG = np.random.default_rng(1)
X = RNG.normal(size=(30, 4))
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
NETWORK = sb.Network(4, [sb.Dense(6, sb.relu), sb.Dense(3)])


def population(loss=sb.cross_entropy, Y=CLASSES, **given):
    given = {"epochs": 10, "seeds": range(5), **given}
    return sb.train(
        NETWORK, X, Y, loss=loss, optimizer=sb.Adam([0.01, 0.02, 0.01, 0.01, 0.03]), **given
    )


def by_hand(theta):
    W1, b1, W2, b2 = np.split(theta.astype(float), [24, 30, 48])
    return np.maximum(X @ W1.reshape(4, 6) + b1, 0) @ W2.reshape(6, 3) + b2


def test_outputs_equal_the_formula():
    p = population()
    y = np.array([by_hand(theta) for theta in p.theta])
    np.testing.assert_allclose(p.outputs(X), y, rtol=1e-4, atol=1e-5)
    softmax = np.exp(y) / np.exp(y).sum(axis=2, keepdims=True)
    np.testing.assert_allclose(p.predict(X), softmax, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(p.predict_mean(X), softmax.mean(axis=0), rtol=1e-4, atol=1e-6)
    picked = softmax[:, np.arange(30), CLASSES]
    np.testing.assert_allclose(p.loss, -np.log(picked).mean(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "link"),
    [
        (sb.squared_error, lambda y: y),
        (sb.quantile(0.2), lambda y: y),
        (sb.poisson, np.exp),
        (sb.binary_cross_entropy, lambda y: 1 / (1 + np.exp(-y))),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_predictions_apply_the_losss_inverse_link(loss, link):
    p = population(loss, Y=np.eye(3)[CLASSES])
    np.testing.assert_allclose(p.predict(X), link(p.outputs(X)), rtol=1e-6)


def test_predictions_in_parts_are_the_same(monkeypatch):
    p = population()
    whole, mean = p.predict(X), p.predict_mean(X)
    monkeypatch.setattr("seedbed.engines.numpy_engine.evaluation_rows", lambda network: 7)
    np.testing.assert_allclose(p.predict(X), whole, rtol=1e-6)
    np.testing.assert_allclose(p.predict_mean(X), mean, rtol=1e-6)


def test_indexing_returns_populations():
    p = population(validation=0.2)
    for which, members in (
        (2, [2]),
        (-1, [4]),
        (slice(1, 3), [1, 2]),
        ([3, 0], [3, 0]),
        (p.loss < np.median(p.loss), np.flatnonzero(p.loss < np.median(p.loss))),
    ):
        part = p[which]
        assert len(part) == len(members)
        for name in ("theta", "seeds", "status", "epochs", "best_epoch", "loss"):
            np.testing.assert_array_equal(getattr(part, name), getattr(p, name)[members])
        np.testing.assert_array_equal(part.history.val_loss, p.history.val_loss[members])
        np.testing.assert_allclose(part.predict(X), p.predict(X)[members], rtol=1e-6)
        lr = np.broadcast_to(part.recipe.optimizer.lr, len(members))
        np.testing.assert_array_equal(lr, p.settings["lr"][members])
    with pytest.raises(IndexError):
        p[5]


def test_repr():
    text = repr(population())
    assert "Population of 5: 4-6-3 (relu, identity); 5 finished; loss" in text
    assert "quartiles" in text


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (X[:, :3], sb.ShapeError, r"X has shape \(30, 3\); the network has 4 inputs"),
        (X[0], sb.ShapeError, r"for a single row give X\[None, :\]"),
        (X * np.nan, sb.DataError, "X holds nan in row 0"),
        (X[:0], sb.DataError, "X is empty"),
    ],
)
def test_invalid_inputs_are_refused(rows, error, message):
    p = population()
    for method in (p.outputs, p.predict, p.predict_mean):
        with pytest.raises(error, match=message):
            method(rows)


def test_index_of_no_member_or_of_two_axes_is_refused():
    p = population()
    for which in (np.zeros(5, dtype=bool), [], [[0, 1]], None, slice(0, 0)):
        with pytest.raises(IndexError):
            p[which]
    assert [len(member) for member in p] == [1] * 5


def test_numpy_predicts_for_a_recipe_that_leaves_the_engine_open():
    p = population(engine="numpy")
    made = replace(p, recipe=replace(p.recipe, engine="auto"))
    np.testing.assert_array_equal(made.predict(X), p.predict(X))
