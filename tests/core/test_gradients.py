"""Gradients against complex steps and central differences, for every part of the objective."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from test_formulas import ACTIVATIONS, LOSSES, name_of

import seedbed as sb
from seedbed.engines import objective
from seedbed.formulas import activations, losses

STEP = 1e-30
ROWS = 6
SMOOTH = 1e-12
CENTRAL = 1e-6
COMBINATIONS = list(itertools.product(ACTIVATIONS, LOSSES, (1, 3)))


def problem(activation, loss, outputs, **given):
    """Return a recipe, theta of two members, inputs, and targets that suit the loss."""
    network = sb.Network(3, [sb.Dense(4, activation), sb.Dense(outputs, activation)])
    recipe = sb.Recipe(network=network, loss=loss, dtype="float64", **given)
    rng = np.random.default_rng(outputs)
    theta = rng.normal(size=(2, network.size)) * 0.7
    theta[:, -outputs:] = 1.0  # so that relu leaves some row's output positive
    X = rng.normal(size=(ROWS, 3))
    Y = rng.uniform(0.05, 0.95, size=(ROWS, outputs))
    if loss.targets == "classes":
        Y /= Y.sum(axis=1, keepdims=True)
    return recipe, theta, X, Y


def complex_step(recipe, theta, X, Y, **given):
    """Return the gradient from the objective at theta + ih, exact to rounding: Im f / h."""
    gradient = np.empty_like(theta)
    for parameter in range(theta.shape[1]):
        moved = theta.astype(complex)
        moved[:, parameter] += 1j * STEP
        gradient[:, parameter] = sb.value_and_grad(recipe, moved, X, Y, **given)[0].imag / STEP
    return gradient


def central_difference(recipe, theta, X, Y, step=1e-5, **given):
    """Return the gradient from the objective at theta ± h."""
    gradient = np.empty_like(theta)
    for parameter in range(theta.shape[1]):
        either = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[:, parameter] += sign * step
            either.append(sb.value_and_grad(recipe, moved, X, Y, **given)[0])
        gradient[:, parameter] = (either[0] - either[1]) / (2 * step)
    return gradient


def relative_error(found, expected):
    scale = np.abs(expected).max(axis=1)
    return (np.abs(found - expected).max(axis=1) / np.where(scale > 0, scale, 1)).max()


def agrees(recipe, theta, X, Y, **given):
    """Return whether the gradient agrees with both methods."""
    gradient = sb.value_and_grad(recipe, theta, X, Y, **given)[1]
    return (
        relative_error(gradient, complex_step(recipe, theta, X, Y, **given)) <= SMOOTH
        and relative_error(gradient, central_difference(recipe, theta, X, Y, **given)) <= CENTRAL
    )


def test_no_combination_is_missing():
    assert len(COMBINATIONS) == 13 * 7 * 2
    assert len({(a.name, b.name, o) for a, b, o in COMBINATIONS}) == 12 * 7 * 2
    assert {a.name for a, _, _ in COMBINATIONS} == set(activations.BY_NAME)
    assert {b.name for _, b, _ in COMBINATIONS} == set(losses.BY_NAME)


@pytest.mark.parametrize(("activation", "loss", "outputs"), COMBINATIONS, ids=lambda u: str(u)[:40])
def test_gradients_of_every_activation_and_loss(activation, loss, outputs):
    recipe, theta, X, Y = problem(activation, loss, outputs)
    gradient = sb.value_and_grad(recipe, theta, X, Y)[1]
    assert agrees(recipe, theta, X, Y)
    vanishes = loss is sb.cross_entropy and outputs == 1  # the only class has probability 1
    assert gradient.any() != vanishes


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
@pytest.mark.parametrize(
    ("method", "given"),
    [
        ({"l1": 0.1}, {}),
        ({"l2": 0.3}, {}),
        ({"l1": (0.1, 0.0), "l2": (0.0, 0.5)}, {}),
        ({}, {"sample_weight": np.array([1.0, 0, 2, 0.5, 3, 1])}),
        ({"dropout": 0.4}, {"seeds": [3, 4], "epoch": 2}),
        ({"dropout": (0.2, 0.6)}, {"seeds": [3, 4]}),
        (
            {"dropout": 0.3, "l1": 0.1, "l2": 0.2},
            {"seeds": [1, 2], "sample_weight": np.arange(6.0)},
        ),
    ],
    ids=["l1", "l2", "per member", "weights", "dropout", "dropout per member", "all"],
)
def test_gradients_with_penalties_weights_and_dropout(loss, method, given):
    recipe, theta, X, Y = problem(sb.tanh, loss, 3, **method)
    assert agrees(recipe, theta, X, Y, **given)
    plain, *_ = problem(sb.tanh, loss, 3)
    gradient, other = (sb.value_and_grad(r, theta, X, Y, **given)[1] for r in (recipe, plain))
    if method:
        assert not np.array_equal(gradient, other)
    else:
        assert not np.array_equal(gradient, sb.value_and_grad(recipe, theta, X, Y)[1])


@pytest.mark.parametrize("loss", [sb.cross_entropy, sb.binary_cross_entropy], ids=name_of)
def test_gradients_with_label_smoothing(loss):
    assert agrees(*problem(sb.tanh, loss.smoothed(0.2), 3))


def test_the_value_is_the_mean_over_rows_and_outputs_by_hand():
    network = sb.Network(1, [sb.Dense(2)])
    theta = np.array([[2.0, -1.0, 0.5, 0.0]])  # W = [[2, -1]], b = [0.5, 0]
    X, Y = np.array([[1.0], [3.0]]), np.array([[2.0, 0.0], [7.0, -3.0]])
    # outputs 2.5, -1 and 6.5, -3: errors 0.5, -1, -0.5, 0
    value, gradient = sb.value_and_grad(
        sb.Recipe(network=network, loss=sb.squared_error), theta, X, Y
    )
    np.testing.assert_allclose(value, [(0.25 + 1 + 0.25 + 0) / 4])
    # dy = 2 error / 4: 0.25, -0.5, -0.25, 0; dW = xᵀ dy, db = Σ dy
    np.testing.assert_allclose(gradient, [[0.25 - 0.75, -0.5, 0.0, -0.5]])
    weighted, _ = sb.value_and_grad(
        sb.Recipe(network=network, loss=sb.squared_error), theta, X, Y, sample_weight=[3, 1]
    )
    np.testing.assert_allclose(weighted, [(3 * 1.25 + 1 * 0.25) / 2 / 4])
    penalized = sb.Recipe(network=network, loss=sb.squared_error, l1=0.1, l2=2.0)
    extra = sb.value_and_grad(penalized, theta, X, Y)[0] - value
    np.testing.assert_allclose(extra, [0.1 * 3 + 0.5 * 2.0 * 5])  # without the biases


def test_clipping_does_not_change_value_and_grad():
    recipe, theta, X, Y = problem(sb.tanh, sb.squared_error, 3, clip_norm=1e-3)
    assert agrees(recipe, theta, X, Y)


def test_a_row_of_weight_two_counts_as_two_rows():
    recipe, theta, X, Y = problem(sb.tanh, sb.cross_entropy, 3)
    weight = np.array([1, 2, 1, 1, 0, 3])
    twice = np.repeat(np.arange(ROWS), weight)
    for weighed, repeated in zip(
        sb.value_and_grad(recipe, theta, X, Y, sample_weight=weight),
        sb.value_and_grad(recipe, theta, X[twice], Y[twice]),
        strict=True,
    ):
        np.testing.assert_allclose(weighed, repeated, rtol=1e-12, atol=1e-15)


def faulty_backward(change):
    """Return a backward pass that changes its gradient at the end."""
    sound = objective.backward

    def faulty(network, layers, passes, masks, dy, dlayers, *kept):
        sound(network, layers, passes, masks, dy, dlayers, *kept)
        change(dlayers)

    return sb.squared_error, faulty


def faulty_slope(change):
    """Return a loss whose derivative is wrong."""
    sound = sb.squared_error
    wrong = replace(sound, df=lambda y, t: change(sound.df(y, t)), surrogate=True)
    return wrong, objective.backward


def scale(layer, which, factor):
    def change(dlayers):
        getattr(dlayers[layer], which)[...] *= factor

    return change


def reverse(dlayers):
    dlayers[0].W[...] = dlayers[0].W[:, ::-1].copy()


def mean_bias(dlayers):
    dlayers[0].b[...] = dlayers[0].b.mean(axis=2, keepdims=True)


FAULTS = {
    "one weight block too large by 1e-5": faulty_backward(scale(0, "W", 1 + 1e-5)),
    "a bias is a mean, not a sum": faulty_backward(scale(1, "b", 1 / ROWS)),
    "a bias is averaged over units": faulty_backward(mean_bias),
    "rows of a weight swapped": faulty_backward(reverse),
    "a factor of outputs": faulty_slope(lambda dy: dy * dy.shape[2]),
    "a sign": faulty_slope(lambda dy: -dy),
    "a missing 1/n": faulty_slope(lambda dy: dy * dy.shape[1]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_rejected(fault, monkeypatch):
    loss, backward = FAULTS[fault]
    assert agrees(*problem(sb.tanh, sb.squared_error, 3))
    monkeypatch.setattr(objective, "backward", backward)
    assert not agrees(*problem(sb.tanh, loss, 3))


def test_a_derivative_at_the_activation_is_rejected():
    wrong = sb.Activation("tanh", sb.tanh.f, lambda z, a: 1 - np.tanh(a) ** 2, surrogate=True)
    assert not agrees(*problem(wrong, sb.squared_error, 3))


def test_a_missing_mask_is_rejected(monkeypatch):
    recipe, theta, X, Y = problem(sb.tanh, sb.squared_error, 3, dropout=0.5)
    assert agrees(recipe, theta, X, Y, seeds=[0, 1])
    sound = objective.backward
    monkeypatch.setattr(
        objective, "backward", lambda n, w, p, masks, *rest: sound(n, w, p, [], *rest)
    )
    assert not agrees(recipe, theta, X, Y, seeds=[0, 1])
