"""Layers: gradients, PyTorch's values, independence of rows and members, errors."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import seedbed as sb

GOLDEN = json.loads((Path(__file__).parent / "golden" / "layers.json").read_text())
X, Y = np.array(GOLDEN["X"]), np.array(GOLDEN["Y"])
EMBEDDING = sb.Embedding(columns=[1, 3], categories=[3, 5], units=[2, 1])
NETWORKS = {
    "embedding": [EMBEDDING],
    "all_periodic": [sb.Periodic(2, frequencies=3)],
    "some_phases": [sb.Periodic(2, frequencies=3, phases=True, columns=[2, 0])],
    "mixed": [EMBEDDING, sb.Periodic(2, frequencies=3, columns=[0, 1])],
    "behind a dense layer": [sb.Dense(3, sb.tanh), sb.Periodic(2, 3, columns=[2, 0])],
    "phases behind one": [sb.Dense(3, sb.tanh), sb.Periodic(2, 3, phases=True)],
}
BLOCKS = {
    "embedding": "E1_1 E3_1 W2 b2 W3 b3",
    "some_phases": "c1 p1 W1 b1 W2 b2 W3 b3",
    "mixed": "E1_1 E3_1 c2 W2 b2 W3 b3 W4 b4",
}


def recipe(name, **given):
    network = sb.Network(4, [*NETWORKS[name], sb.Dense(4, sb.tanh), sb.Dense(2)])
    return sb.Recipe(network=network, loss=sb.squared_error, dtype="float64", **given)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_values_and_gradients_equal_pytorch(name):
    case = GOLDEN["cases"][name]
    theta = np.array([case["theta"]])
    value, gradient = sb.value_and_grad(recipe(name), theta, X, Y)
    np.testing.assert_allclose(value, case["value"], rtol=1e-13)
    np.testing.assert_allclose(gradient[0], case["gradient"], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_equal_complex_steps(name):
    given = recipe(name, l1=0.01, l2=0.02, dropout=0.3)
    theta = given.network.init([1, 2])
    for seeds in (None, [1, 2]):  # without and with dropout
        _, gradient = sb.value_and_grad(given, theta, X, Y, seeds=seeds)
        for d in range(given.network.size):
            moved = theta.astype(complex)
            moved[:, d] += 1e-30j
            slope = sb.value_and_grad(given, moved, X, Y, seeds=seeds)[0].imag / 1e-30
            np.testing.assert_allclose(gradient[:, d], slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_and_members_do_not_depend_on_each_other(name, dtype):
    given = {"dropout": 0.2, "batch_size": 4, "epochs": 5, "dtype": dtype}
    population = sb.train(recipe(name), X, Y, seeds=[3, 1, 2], **given)
    alone = sb.train(recipe(name), X, Y, seeds=1, **given)
    np.testing.assert_array_equal(population.theta[1], alone.theta[0])
    assert (population.loss < sb.train(recipe(name), X, Y, seeds=[3, 1, 2], epochs=0).loss).all()
    whole = population.predict(np.tile(X, (3, 1)))
    for row in range(len(X)):
        np.testing.assert_array_equal(population.predict(X[row : row + 1])[:, 0], whole[:, row])


@pytest.mark.parametrize("name", BLOCKS)
def test_parameters_are_named_blocks_of_theta(name):
    network = recipe(name).network
    assert " ".join(block.symbol for block in network.blocks) == BLOCKS[name]
    ends = [block.where.stop for block in network.blocks]
    assert [block.where.start for block in network.blocks] == [0, *ends[:-1]]
    assert ends[-1] == network.size
    for views in network.views(network.init([0, 1])):
        assert all(view.shape[0] == 2 for view in views)
    decaying = {block.name[0] for block in network.blocks if block.decays}
    assert decaying <= {"W", "E"}


@pytest.mark.parametrize("name", NETWORKS)
def test_explained_formulas_equal_the_engines_numbers(name):
    optimizer = sb.AdamW(0.01, weight_decay=0.1)
    given = recipe(name, optimizer=optimizer, l2=0.1, clip_norm=0.5, epochs=2)
    population = sb.train(given, X, Y, seeds=[5])
    symbols, evaluated = {"np": np}, 0
    for number in sb.explain(population, X, Y).numbers:
        if re.search(r"[@*+(]", number.formula):
            value = eval(number.formula, dict(symbols))
            np.testing.assert_allclose(value, number.value, rtol=1e-10, atol=1e-13)
            evaluated += 1
        symbols[number.symbol] = number.value
    assert evaluated > 40


@pytest.mark.parametrize("name", NETWORKS)
def test_check_and_diagnose_accept_every_layer(name):
    population = sb.train(recipe(name, epochs=40), X, Y, seeds=range(4))
    report = sb.check_gradient(population.recipe, population.theta[0], X, Y)
    assert report.agrees
    symbols = [block.symbol for block in population.network.blocks]
    assert [block.name for block in report.blocks] == symbols
    sb.diagnose(population, X, Y)


def test_initial_draws():
    network = sb.Network(2, [sb.Periodic(5, 40, scale=0.3, phases=True), sb.Dense(1)])
    c, p, W, b = network.views(network.init(range(200)))[0]
    assert abs(c.mean()) < 0.01
    assert c.std() == pytest.approx(0.3, rel=0.02)
    assert np.abs(p).max() <= np.pi
    assert p.std() == pytest.approx(np.pi / np.sqrt(3), rel=0.02)
    assert np.abs(W).max() <= 40**-0.5
    assert W.std() == pytest.approx((3 * 40) ** -0.5, rel=0.02)
    assert np.abs(b).max() <= 40**-0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Embedding([0], [2, 3], 1), "1 columns and 2 categories"),
        (lambda: sb.Embedding([], [], 1), "at least one column"),
        (lambda: sb.Embedding([1, 1], [2, 2], 1), "repeat a column"),
        (lambda: sb.Embedding([0], [0], 1), "categories must be a whole number of at least 1"),
        (lambda: sb.Embedding([0], [2], 1, "he"), "such as sb.he, not 'he'"),
        (lambda: sb.Network(2, [sb.Embedding([2], [2], 1), sb.Dense(1)]), "more than 2 inputs"),
        (
            lambda: sb.Network(2, [sb.Dense(2), sb.Embedding([0], [2], 1), sb.Dense(1)]),
            "make it the first layer",
        ),
        (lambda: sb.Network(2, [sb.Embedding([0], [2], 1)]), "must be an sb.Dense"),
        (lambda: sb.Network(2, [sb.Periodic(1, columns=[2]), sb.Dense(1)]), "more than 2 inputs"),
        (lambda: sb.Periodic(1, columns=[0, 0]), "must be distinct"),
        (lambda: sb.Periodic(0), "units must be a whole number of at least 1"),
        (lambda: sb.Periodic(1, scale=0), "scale"),
    ],
)
def test_invalid_layers_are_refused(make, message):
    with pytest.raises(sb.SettingError, match=message):
        make()


@pytest.mark.parametrize("wrong", [3, -1, 0.5])
def test_invalid_category_numbers_are_refused(wrong):
    invalid = X.copy()
    invalid[2, 1] = wrong
    message = f"holds {wrong} in row 2, column 1: the embedding needs category numbers from 0 to 2"
    population = sb.train(recipe("embedding"), X, Y, epochs=1)
    with pytest.raises(sb.DataError, match=message):
        population.predict(invalid)
    with pytest.raises(sb.DataError, match=message):
        sb.train(recipe("embedding"), invalid, Y)


class GaussNewton(sb.Optimizer):
    """Damped least squares: w <- w - lr (JᵀJ + λ I)⁻¹ Jᵀ r."""

    needs = "jacobian"

    @property
    def rule(self):
        def step(w, g, k, lr, r, J):
            normal = J.swapaxes(1, 2) @ J + 1e-6 * np.eye(w.shape[1])
            direction = np.linalg.solve(normal, (J.swapaxes(1, 2) @ r[..., None]))
            return (w - lr * direction[..., 0],)

        return step

    def init(self, theta, lr):
        return []


def test_optimizer_with_residuals_and_jacobian():
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(30, 3)), np.array([[1.0], [-2.0], [0.5]])
    t = A @ b + 3
    network = sb.Network(3, [sb.Dense(1)])
    population = sb.train(
        network, A, t, loss=sb.squared_error, optimizer=GaussNewton(1.0), epochs=1,
        seeds=range(3), dtype="float64",
    )  # fmt: skip
    W, bias = network.views(population.theta)[0]
    np.testing.assert_allclose(W, np.broadcast_to(b, W.shape), atol=1e-4)
    np.testing.assert_allclose(bias, 3, atol=1e-4)
    with pytest.raises(sb.FormulaError, match="is not a sum of squares"):
        sb.train(network, A, t, loss=sb.absolute_error, optimizer=GaussNewton(1.0), epochs=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_equals_twice_the_jacobian_times_the_residuals(name):
    from seedbed.engines.batches import whole_batch
    from seedbed.engines.objective import Objective

    given = recipe(name)
    theta = given.network.init([0, 1])
    objective = Objective(given.network, given.loss, given.hyperparameters(2, "float64"), theta)
    batch = whole_batch(X, Y, np.linspace(0.5, 1, len(X)), given.loss)
    loss = objective.gradient(batch)
    r, J = objective.residuals(batch)
    np.testing.assert_allclose((r * r).sum(axis=1), loss, rtol=1e-12)
    np.testing.assert_allclose(2 * (r[:, None] @ J)[:, 0], objective.g, rtol=1e-11, atol=1e-14)
