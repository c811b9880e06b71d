"""Formulas of one's own train on both engines, and are explained, checked and compared."""

import numpy as np
import pytest

import seedbed as sb

GRID = np.linspace(0, 1, 3)  # arrays beside the formulas do no harm


def _bent(z):
    return (np.sqrt(z * z + 1) - 1) / 2 + z


def _bent_d(z, a):
    return z / (2 * np.sqrt(z * z + 1)) + 1


def _fourth(y, t):
    d = y - t
    return d * d * d * d


def _fourth_d(y, t):
    d = y - t
    return 4 * d * d * d


def _same(y):
    return y


def _lion(w, g, k, lr, m, beta):
    return w - lr * np.sign(beta * m + (1 - beta) * g), beta * m + (1 - beta) * g


class Lion(sb.Optimizer):
    beta = 0.9
    bounds = sb.Optimizer.bounds | {"beta": sb.Optimizer.bounds["lr"]}
    rule = property(lambda self: _lion)

    def init(self, theta, lr):
        return [np.zeros_like(theta)]


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_formulas_of_ones_own_need_no_change_to_any_file(engine):
    X, Y = sb.xor.data()
    bent, fourth = (
        sb.Activation("bent", _bent, _bent_d),
        sb.Loss("fourth", _fourth, _fourth_d, _same),
    )
    recipe = sb.Recipe(
        network=sb.Network(3, [sb.Dense(4, bent), sb.Dense(1)]), loss=fourth, optimizer=Lion(0.01),
        epochs=50, engine=engine, dtype="float64",
    )  # fmt: skip
    population = sb.train(recipe, X, Y, seeds=range(3))
    assert population.recipe.engine == engine
    assert (population.loss < 0.9 * population.history.train_loss[:, 0]).all()
    assert sb.check_gradient(recipe, None, X, Y).agrees
    formulas = {number.symbol: number.formula for number in sb.explain(population, X, Y).numbers}
    assert formulas["a1"] == "(np.sqrt(z1 * z1 + 1) - 1) / 2 + z1"
    assert formulas["dz1"] == "da1 * (z1 / (2 * np.sqrt(z1 * z1 + 1)) + 1)"
    median = sb.Metric("median error", lambda t, p: float(np.median(np.abs(t - p))), False)
    rates = {"slow": recipe, "fast": sb.Recipe(**{**vars(recipe), "optimizer": Lion(0.02)})}
    table, t = np.tile(X, (5, 1)), np.tile(Y, (5, 1))
    assert sb.compare(rates, table, t, metric=median, seeds=range(6)).metric is median
