"""The tutorial: its data, network, published code and printed losses.

The tutorial is "Creating Neural Network from Scratch in Python" (Ashwin Vaidya, 2019): forty lines
of NumPy in which a 3-4-1 sigmoid network learns XOR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array
from seedbed.formulas.activations import sigmoid
from seedbed.formulas.initializers import standard_normal
from seedbed.formulas.losses import squared_error
from seedbed.formulas.optimizers import SGD
from seedbed.layers.dense import Dense
from seedbed.network import Network
from seedbed.population import Population
from seedbed.recipe import Recipe

PRINTED_LOSSES = (
    0.5013730688788007,
    0.4664830127093482,
    0.24207358013744795,
    0.09891100378926312,
    0.087323152676015,
    0.06892222408037366,
    0.05528837086156295,
    0.027425185939300573,
)
"""The mean absolute errors that the tutorial printed, at epochs 0, 1000, … 7000."""


def data() -> tuple[Array, Array]:
    """Return the inputs (4, 3), the third column all ones, and the targets (4, 1)."""
    X = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    Y = np.array([[1.0], [1.0], [0.0], [0.0]])
    return X, Y


def network() -> Network:
    """Return the tutorial's 3-4-1 network, weights and biases drawn from N(0, 1)."""
    layers = [Dense(units, sigmoid, standard_normal, standard_normal) for units in (4, 1)]
    return Network(3, layers)


def recipe(epochs: int = 8000) -> Recipe:
    """Return the recipe of the tutorial's formulas: mean squared error, SGD at rate 1."""
    return Recipe(
        network=network(),
        loss=squared_error,
        optimizer=SGD(lr=1.0),
        epochs=epochs,
        dtype="float64",
    )


def as_published(epochs: int, nudge: float = 0.0) -> Array:
    """Return the mean absolute error before each epoch of the published code, (epochs,).

    ``nudge`` is added to the first hidden weight before training. The backward pass keeps the
    three faults of the published code:

    1. σ' is applied to the activation, σ'(σ(z)), not to the pre-activation;
    2. the hidden bias's gradient is averaged over the units, not over the rows; the shapes match
       only because there are four of each;
    3. the output bias's gradient is a mean over the rows, the weights' gradient a sum.
    """
    X, Y = (each.astype(np.int64) for each in data())  # whole numbers, as published
    theta = published_start()
    theta["W1"][0, 0] += nudge
    errors = np.empty(epochs)
    for epoch in range(epochs):
        a2, gradient = _published_pass(theta, X, Y)
        errors[epoch] = np.mean(np.abs(Y - a2))
        for name, slope in gradient.items():
            theta[name] -= slope
    return errors


def published_start() -> dict[str, Array]:
    """Return the tutorial's initial parameters: W1 (3, 4), W2 (4, 1), b1 (4,), b2 (1,)."""
    draw = np.random.RandomState(1).randn  # the legacy stream of np.random.seed(1)
    return {"W1": draw(3, 4), "W2": draw(4, 1), "b1": draw(4), "b2": draw(1)}


def published_gradient(theta: dict[str, Array]) -> tuple[Any, dict[str, Array]]:
    """Return the tutorial's loss ½ Σ (y - t)² and its gradient, which has three faults (see
    ``as_published``).
    """
    X, Y = data()
    a2, gradient = _published_pass(theta, X, Y)
    return 0.5 * ((a2 - Y) ** 2).sum(), gradient


def _published_pass(theta: dict[str, Array], X: Array, Y: Array) -> tuple[Array, dict[str, Array]]:
    """Return the outputs (4, 1) and the published gradient."""
    a1 = _sigmoid(np.dot(X, theta["W1"]) + theta["b1"])
    a2 = _sigmoid(np.dot(a1, theta["W2"]) + theta["b2"])
    d2 = (a2 - Y) * _sigmoid_slope(a2)
    d1 = d2.dot(theta["W2"].T) * _sigmoid_slope(a1)
    return a2, {
        "W2": a1.T.dot(d2),
        "W1": X.T.dot(d1),
        "b2": np.mean(d2),
        "b1": np.mean(d1, axis=1),
    }


def _sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-z))


def _sigmoid_slope(z: Array) -> Array:
    return _sigmoid(z) * (1 - _sigmoid(z))


def solved(population: Population) -> npt.NDArray[np.bool_]:
    """Return which members have learned XOR, (P,).

    All outputs must be on their targets' side of ½, and the mean absolute error below 0.1.
    """
    X, Y = data()
    y = population.predict(X)
    correct = ((y > 0.5) == (Y > 0.5)).all(axis=(1, 2))
    return np.asarray(correct & (absolute_errors(population) < 0.1))


def absolute_errors(population: Population) -> Array:
    """Return each member's mean absolute error, (P,), the loss that the tutorial prints."""
    X, Y = data()
    return np.asarray(np.abs(population.predict(X) - Y).mean(axis=(1, 2)))
