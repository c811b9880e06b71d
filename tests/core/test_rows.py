"""The NumPy engine's predictions of a row do not depend on other rows, bit for bit."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.engines import numpy_engine

pytestmark = pytest.mark.kernels

SHAPES = [
    (1, 1, 1),
    (3, 4, 1),
    (8, 16, 1),
    (5, 12, 10),
    (30, 64, 64, 2),
    (100, 33, 3),
    (70, 257, 9),
]
ACTIVATIONS = [
    sb.elu(), sb.gelu, sb.leaky_relu(), sb.mish, sb.relu, sb.selu, sb.sigmoid, sb.silu, sb.softplus,
    sb.softsign, sb.tanh,
]  # fmt: skip


def untrained(widths, activation, loss, dtype, engine="numpy", members=3):
    layers = [*(sb.Dense(units, activation) for units in widths[1:-1]), sb.Dense(widths[-1])]
    network = sb.Network(widths[0], layers)
    x = np.zeros((2, widths[0]), dtype)
    t = np.arange(2) % widths[-1] if loss.targets == "classes" else np.zeros((2, widths[-1]))
    return sb.train(
        network, x, t, loss=loss, epochs=0, seeds=range(members), engine=engine, dtype=dtype
    )


def assert_rows_are_independent(population, rows=97):
    """Compare predictions of all rows with those of permuted rows, slices and single rows."""
    rng = np.random.default_rng(rows)
    X = rng.normal(size=(rows, population.network.inputs)).astype(population.theta.dtype)
    for predict in (
        population.outputs, population.predict, lambda x: population.predict_mean(x)[None]
    ):  # fmt: skip
        whole = predict(X)
        order = rng.permutation(rows)
        np.testing.assert_array_equal(predict(X[order]), whole[:, order])
        for start, stop in ((0, 1), (5, 6), (rows - 1, rows), (3, 12), (1, 40), (7, rows)):
            np.testing.assert_array_equal(predict(X[start:stop]), whole[:, start:stop])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("widths", SHAPES, ids=lambda w: "-".join(map(str, w)))
def test_shapes(widths, dtype):
    loss = sb.squared_error if widths[-1] == 1 else sb.cross_entropy
    assert_rows_are_independent(untrained(widths, sb.tanh, loss, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda unit: unit.name)
def test_activations(activation, dtype):
    assert_rows_are_independent(untrained((6, 13, 7, 3), activation, sb.cross_entropy, dtype))


@pytest.mark.parametrize("loss", [sb.binary_cross_entropy, sb.poisson], ids=lambda unit: unit.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses(loss, dtype):
    assert_rows_are_independent(untrained((6, 13, 2), sb.mish, loss, dtype))


@pytest.mark.parametrize("members", [1, 2, 9, 300])
def test_member_counts(members):
    """300 members need several blocks; NumPy may sum 9 members of one output in another order."""
    population = untrained((2, 3, 1), sb.tanh, sb.squared_error, "float32", members=members)
    assert_rows_are_independent(population, 40)


@pytest.mark.parametrize("chunk", [1, 8, 23])
def test_evaluation_chunks(chunk, monkeypatch):
    population = untrained((30, 64, 3), sb.silu, sb.cross_entropy, "float32")
    X = np.random.default_rng(0).normal(size=(100, 30)).astype("float32")
    whole = population.predict(X)
    monkeypatch.setattr(numpy_engine, "evaluation_rows", lambda network: chunk)
    np.testing.assert_array_equal(population.predict(X), whole)


def test_independence_needs_blocks_of_rows(monkeypatch):
    """A block must not have more rows than a tile of the BLAS kernel."""
    matmul = np.matmul

    def position_dependent(a, b, out=None):  # the last bit depends on the row's position
        late = np.arange(a.shape[-2])[:, None] >= 8
        return np.asarray(matmul(a, b) * (1 + late * np.finfo(a.dtype).eps), a.dtype)

    population = untrained((6, 5, 2), sb.tanh, sb.squared_error, "float32")
    monkeypatch.setattr(np, "matmul", position_dependent)
    assert_rows_are_independent(population, 24)
    monkeypatch.setattr(numpy_engine, "BLOCK_ROWS", 16)
    with pytest.raises(AssertionError):
        assert_rows_are_independent(population, 24)
