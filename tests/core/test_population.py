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


def test_weights_are_those_of_one_network():
    p = population()
    hidden, last = p.weights(3)
    assert [each.shape for each in hidden.values()] == [(4, 6), (6,)]
    assert list(last) == ["W", "b"]
    y = np.maximum(X @ hidden["W"] + hidden["b"], 0) @ last["W"] + last["b"]
    np.testing.assert_allclose(p.outputs(X)[3], y, rtol=1e-4, atol=1e-5)
    assert np.shares_memory(hidden["W"], p.theta)
    with pytest.raises(ValueError, match="read-only"):
        hidden["W"][0, 0] = 1.0
    p.theta[3] = 0  # theta itself stays writeable
    assert not last["b"].any()
    for wrong in (5, -1, 1.5, "1"):
        with pytest.raises(sb.SettingError, match="member must be"):
            p.weights(wrong)


def test_weights_of_other_layers_have_their_own_names():
    layers = [
        sb.Embedding([1], [1], 2), sb.Periodic(3, frequencies=5, phases=True, columns=[0]),
        sb.Dense(1),
    ]  # fmt: skip
    X = np.column_stack([np.linspace(0, 1, 8), np.zeros(8)])
    p = sb.train(sb.Network(2, layers), X, X[:, 0], loss="mse", epochs=1, seeds=range(2))
    embedding, periodic, dense = p.weights(1)
    assert {name: array.shape for name, array in embedding.items()} == {"E1_": (1, 2)}
    assert {name: array.shape for name, array in periodic.items()} == {
        "c": (1, 5), "p": (1, 5), "W": (1, 5, 3), "b": (1, 3),
    }  # fmt: skip
    assert dense["W"].shape == (6, 1)
    whole = np.concatenate([a.ravel() for layer in p.weights(1) for a in layer.values()])
    np.testing.assert_array_equal(whole, p.theta[1])


def test_one_members_repr_names_its_seed():
    p = population(seeds=[7, 8, 9, 10, 12])
    assert repr(p[4]).startswith("<Population of 1 (seed 12): 4-6-3 (relu, identity); ")
    assert repr(p[4]).endswith(f"; loss {p.loss[4]:.4g}>")
    assert repr(p[:2]).startswith("<Population of 2: ")


def test_a_single_seed_where_many_are_meant_is_explained():
    with pytest.raises(sb.SettingError, match=r"lr has 5 values and there is 1 seed: .*range\(5\)"):
        population(seeds=5)
