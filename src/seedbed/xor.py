"""The tutorial: its data, its network, its code as published and the losses it printed.

The tutorial is "Creating Neural Network from Scratch in Python" (Ashwin Vaidya, 2019): forty lines
of NumPy in which a 3-4-1 sigmoid network learns XOR.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array
from seedbed.formulas.activations import sigmoid
from seedbed.formulas.initializers import standard_normal
from seedbed.formulas.losses import squared_error
from seedbed.formulas.optimizers import SGD
from seedbed.network import Dense, Network
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
    """Return the inputs (4, 3), whose third column is always 1, and the targets (4, 1)."""
    X = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    Y = np.array([[1.0], [1.0], [0.0], [0.0]])
    return X, Y


def network() -> Network:
    """Return the tutorial's 3-4-1 network, every weight and bias drawn from N(0, 1)."""
    layers = [Dense(units, sigmoid, standard_normal, standard_normal) for units in (4, 1)]
    return Network(3, layers)


def recipe(epochs: int = 8000) -> Recipe:
    """Return what the tutorial's formulas ask for: mean squared error, plain descent at rate 1."""
    return Recipe(
        network=network(),
        loss=squared_error,
        optimizer=SGD(lr=1.0),
        epochs=epochs,
        dtype="float64",
    )


def as_published(epochs: int, nudge: float = 0.0) -> Array:
    """Return the mean absolute error before each epoch of the tutorial's own algorithm, (epochs,).

    ``nudge`` is added to the first hidden weight before training. The backward pass is wrong on
    purpose, as it was published:

    1. σ' is applied to the activation, σ'(σ(z)), not to the pre-activation;
    2. the hidden bias's gradient is averaged over the units, not over the rows: its shape fits
       only because there are four of each;
    3. the output bias moves by the mean over the rows where the weights move by the sum.
    """
    X, Y = data()
    X, Y = X.astype(np.int64), Y.astype(np.int64)  # as published: whole numbers
    draw = np.random.RandomState(1).randn  # the legacy stream of np.random.seed(1)
    W1, W2, b1, b2 = draw(3, 4), draw(4, 1), draw(4), draw(1)
    W1[0, 0] += nudge
    errors = np.empty(epochs)
    for epoch in range(epochs):
        a1 = _sigmoid(np.dot(X, W1) + b1)
        a2 = _sigmoid(np.dot(a1, W2) + b2)
        errors[epoch] = np.mean(np.abs(Y - a2))
        d2 = (a2 - Y) * _sigmoid_slope(a2)
        d1 = d2.dot(W2.T) * _sigmoid_slope(a1)
        W2 -= a1.T.dot(d2)
        W1 -= X.T.dot(d1)
        b2 -= np.mean(d2)
        b1 -= np.mean(d1, axis=1)
    return errors


def _sigmoid(z: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-z))


def _sigmoid_slope(z: Array) -> Array:
    return _sigmoid(z) * (1 - _sigmoid(z))


def solved(population: Population) -> npt.NDArray[np.bool_]:
    """Return which members have learned XOR, (P,).

    Every output must be on its target's side of ½, and the mean absolute error under 0.1.
    """
    X, Y = data()
    y = population.predict(X)
    right = ((y > 0.5) == (Y > 0.5)).all(axis=(1, 2))
    return np.asarray(right & (absolute_errors(population) < 0.1))


def absolute_errors(population: Population) -> Array:
    """Return each member's mean absolute error, (P,): the number that the tutorial prints."""
    X, Y = data()
    return np.asarray(np.abs(population.predict(X) - Y).mean(axis=(1, 2)))
