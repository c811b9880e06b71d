"""Layers: gradients, PyTorch's values, independence of rows and members, errors."""

import json
import pickle
import re
import tracemalloc
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import seedbed as sb
from seedbed.engines import select
from seedbed.layers import BY_NAME as KINDS
from seedbed.layers.base import Layer, Line, Parameter, Pass

GOLDEN = json.loads((Path(__file__).parent / "golden" / "layers.json").read_text())
X, Y = np.array(GOLDEN["X"]), np.array(GOLDEN["Y"])


@dataclass(frozen=True)
class Scale(Layer):
    """A user's layer: a = s x, with a learned s for each input."""

    first: float = 1.5

    def outputs(self, inputs, first):
        return inputs

    def parameters(self, inputs):
        return (Parameter("s", (1, inputs), decays=True),)

    def draw(self, number, draws, shape):
        return self.first + 0.1 * draws.normal(*shape)

    def forward(self, p, x):
        a = x * p.s
        return Pass(x, a, a)

    def backward(self, p, fwd, da, dp, needs_dx):
        dp.s[...] = (fwd.inputs * da).sum(axis=-2, keepdims=True)
        return da, da * p.s if needs_dx else None

    def explain_forward(self, n, x, p, fwd):
        yield Line(f"s{n}", "scales", p.s[0])
        yield Line(f"a{n}", f"{x} * s{n}", fwd.a[0])

    def explain_backward(self, n, x, p, fwd, da, dz, dp):
        yield Line(f"ds{n}", f"({x} * da{n}).sum(axis=0, keepdims=True)", dp.s[0])

    def explain_dx(self, n, inputs):
        return f"da{n} * s{n}"


@dataclass(frozen=True)
class Shift(Layer):
    """A user's layer without parameters: a = x + 1."""

    def outputs(self, inputs, first):
        return inputs

    def parameters(self, inputs):
        return ()

    def forward(self, p, x):
        return Pass(x, x + 1, x + 1)

    def backward(self, p, fwd, da, dp, needs_dx):
        return da, da

    def explain_forward(self, n, x, p, fwd):
        yield Line(f"a{n}", f"{x} + 1", fwd.a[0])

    def explain_backward(self, n, x, p, fwd, da, dz, dp):
        yield from ()

    def explain_dx(self, n, inputs):
        return f"da{n} * 1"


EMBEDDING = sb.Embedding(columns=[1, 3], categories=[3, 5], units=[2, 1])
NETWORKS = {
    "embedding": [EMBEDDING],
    "all_periodic": [sb.Periodic(2, frequencies=3)],
    "some_phases": [sb.Periodic(2, frequencies=3, phases=True, columns=[2, 0])],
    "mixed": [EMBEDDING, sb.Periodic(2, frequencies=3, columns=[0, 1])],
    "behind a dense layer": [sb.Dense(3, sb.tanh), sb.Periodic(2, 3, columns=[2, 0])],
    "phases behind one": [sb.Dense(3, sb.tanh), sb.Periodic(2, 3, phases=True)],
    "scaled": [sb.Dense(3, sb.tanh, input_scale=6.0)],
    "scaled behind others": [
        sb.Periodic(2, 3, phases=True),
        sb.Dense(17, sb.mish, input_scale=2.0),
        sb.Dense(3, sb.tanh, input_scale=0.5),
    ],
    "a user's": [Scale(), Scale(0.5)],
    "without parameters": [Shift(), sb.Dense(3, sb.tanh), Shift()],
}
BLOCKS = {
    "embedding": "E1_1 E3_1 W2 b2 W3 b3",
    "some_phases": "c1 p1 W1 b1 W2 b2 W3 b3",
    "mixed": "E1_1 E3_1 c2 W2 b2 W3 b3 W4 b4",
    "scaled": "W1 b1 u1 W2 b2 W3 b3",
}


def test_every_kind_of_layer_has_a_network():
    assert {type(layer) for layers in NETWORKS.values() for layer in layers} >= set(KINDS.values())


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


@pytest.mark.kernels
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
    symbols, evaluated, explanation = {"np": np}, 0, sb.explain(population, X, Y)
    for number in explanation.numbers:
        if re.search(r"[@*+(]", number.formula):
            value = eval(number.formula, dict(symbols))
            np.testing.assert_allclose(value, number.value, rtol=1e-10, atol=1e-13)
            evaluated += 1
        symbols[number.symbol] = number.value
    assert evaluated > 40
    for text in (str(explanation), explanation.markdown(), explanation.html()):
        assert all(number.symbol in text for number in explanation.numbers)


def test_an_explained_array_of_three_axes_is_shown_row_by_row():
    population = sb.train(recipe("all_periodic"), X[:2], Y[:2], epochs=0)
    text = str(sb.explain(population, X[:2], Y[:2]))
    lines = text[text.index("v1 = ") :].splitlines()
    assert lines[0].endswith("2×4×3")
    shown = [[float(cell) for cell in line.split()] for line in lines[1:9]]
    c, *_ = population.network.views(population.theta.astype(float))[0]
    v = 2 * np.pi * c[0] * X[:2, :, None]
    np.testing.assert_allclose(shown, v.reshape(8, 3), rtol=1e-5)


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
        (
            lambda: sb.Embedding([0], [2], 1, "hee"),
            "init must be one of .* 'hee'; did you mean 'he'",
        ),
        (lambda: sb.Network(2, [sb.Embedding([2], [2], 1), sb.Dense(1)]), "more than 2 inputs"),
        (
            lambda: sb.Network(2, [sb.Dense(2), sb.Embedding([0], [2], 1), sb.Dense(1)]),
            "make it the first layer",
        ),
        (lambda: sb.Network(2, [sb.Embedding([0], [2], 1)]), "must be an sb.Dense"),
        (lambda: sb.Network(2, [sb.Periodic(1, columns=[2]), sb.Dense(1)]), "more than 2 inputs"),
        (lambda: sb.Periodic(1, columns=[0, 0]), "must be distinct"),
        (lambda: sb.Embedding(0, 2, 1), "columns must be a list of whole numbers, not 0"),
        (lambda: sb.Periodic(1, columns=2), "columns must be a list of whole numbers, not 2"),
        (
            lambda: sb.Dense(1, input_scale=-1),
            "invalid input_scale: -1.0; expected a finite number at least 0",
        ),
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
    for given, words in (
        ({"loss": sb.absolute_error}, "use squared_error"),
        ({"l1": (0.0, 0.1)}, "use l2"),
        ({"clip_norm": 1.0}, "leave clip_norm out"),
    ):
        defaults = {"network": network, "loss": sb.squared_error, "optimizer": GaussNewton(1.0)}
        with pytest.raises(sb.SettingError, match=rf"^GaussNewton .*{words}"):
            sb.Recipe(**(defaults | given))


def test_gauss_newton_solves_ridge_regression_in_one_step():
    rng = np.random.default_rng(1)
    A, t, l2 = rng.normal(size=(30, 3)), rng.normal(size=(30, 1)), 0.4
    population = sb.train(
        sb.Network(3, [sb.Dense(1)]), A, t, loss=sb.squared_error, optimizer=GaussNewton(1.0),
        l2=l2, epochs=1, dtype="float64",
    )  # fmt: skip
    rows = np.column_stack([A, np.ones(30)])  # the mean of squares and ½ l2 w², no penalty on b
    normal = 2 * rows.T @ rows / 30 + l2 * np.diag([1, 1, 1, 0])
    expected = np.linalg.solve(normal, 2 * rows.T @ t / 30)
    np.testing.assert_allclose(population.theta[0], expected[:, 0], atol=1e-5)


@pytest.mark.parametrize("l2", [0.0, (0.3, 0.0)])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradient_equals_twice_the_jacobian_times_the_residuals(name, l2):
    from seedbed.engines.batches import whole_batch
    from seedbed.engines.objective import Objective

    given = recipe(name, l2=l2)
    theta = given.network.init([0, 1])
    objective = Objective(given.network, given.loss, given.hyperparameters(2, "float64"), theta)
    batch = whole_batch(X, Y, np.linspace(0.5, 1, len(X)), given.loss)
    loss = objective.gradient(batch)
    r, J = objective.residuals(batch)
    np.testing.assert_allclose((r * r).sum(axis=1), loss + objective.penalty(), rtol=1e-12)
    np.testing.assert_allclose(2 * (r[:, None] @ J)[:, 0], objective.g, rtol=1e-11, atol=1e-14)


def test_explained_steps_of_an_optimizer_with_a_jacobian():
    class Damped(GaussNewton):
        @property
        def rule(self):
            def step(w, g, k, lr, r, J, count):
                down = (J.swapaxes(1, 2) @ r[..., None])[..., 0]
                return w - lr * down, count + 1

            return step

        def init(self, theta, lr):
            return [np.zeros_like(theta)]

    population = sb.train(recipe("embedding", optimizer=Damped(0.5), epochs=0), X, Y, seeds=[5])
    explanation = sb.explain(population, X, Y)
    r, J = explanation["r"], explanation["J"]
    np.testing.assert_allclose(r @ r, explanation["loss"])
    W3 = next(b.where for b in population.network.blocks if b.symbol == "W3")
    np.testing.assert_allclose(explanation["W3 change"].ravel(), -0.5 * (J.T @ r)[W3])
    np.testing.assert_array_equal(explanation["countW3"], np.ones((4, 2)))
    (number,) = [each for each in explanation.numbers if each.symbol == "W3 new"]
    assert number.formula == "step(W3, dW3, k, lr, r, J, count0)"
    str(explanation)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_pickled_and_compared(name):
    given = recipe(name, epochs=2)
    population = sb.train(given, X, Y, seeds=[1, 2])
    copied = pickle.loads(pickle.dumps(population))
    assert copied.recipe.network == given.network
    np.testing.assert_array_equal(copied.predict(X), population.predict(X))


def test_only_embeddings_with_unused_and_repeated_categories():
    network = sb.Network(2, [sb.Embedding([1, 0], [4, 6], [2, 3]), sb.Dense(1)])
    x, y = np.array([[5.0, 0], [5, 3], [0, 3]]), np.array([1.0, 2, 4])
    given = sb.Recipe(network=network, loss=sb.squared_error, dtype="float64")
    theta = network.init([0, 1])
    _, g = sb.value_and_grad(given, theta, x, y, sample_weight=[1, 2, 3])
    E1, E0 = network.views(theta)[0]
    dE1, dE0 = network.views(g)[0]
    W, b = network.views(theta)[1]
    a = np.concatenate([E1[:, [0, 3, 3]], E0[:, [5, 5, 0]]], axis=2)
    da = 2 * ((a @ W + b) - y[:, None]) * np.array([[1], [2], [3]]) / 6 * W.swapaxes(1, 2)
    np.testing.assert_allclose(dE1[:, 0], da[:, 0, :2], rtol=1e-12)
    np.testing.assert_allclose(dE1[:, 3], da[:, 1, :2] + da[:, 2, :2], rtol=1e-12)
    np.testing.assert_allclose(dE0[:, 5], da[:, 0, 2:] + da[:, 1, 2:], rtol=1e-12)
    assert not dE1[:, [1, 2]].any()
    assert not dE0[:, 1:5].any()


def test_categories_beyond_float32_are_refused():
    network = sb.Network(1, [sb.Embedding([0], [2**24 + 2], 1), sb.Dense(1)])
    network.check(np.array([[2.0**24 + 1]]), "X")
    with pytest.raises(sb.DataError, match="float32 cannot tell 16777218 categories apart: use"):
        network.check(np.array([[2**24 + 1]], np.float32), "X")


def peak_megabytes(function, *args, **given):
    tracemalloc.start()
    function(*args, **given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def test_memory_is_bounded():
    x = np.column_stack([np.linspace(0, 1, 4000), np.arange(4000) % 3000]).astype(np.float32)
    periodic = sb.Network(2, [sb.Periodic(2, frequencies=300), sb.Dense(1)])
    embedding = sb.Network(2, [sb.Embedding([1], [3000], 2), sb.Dense(1)])
    for network in (periodic, embedding):
        p = sb.train(network, x[:9], x[:9, 0], loss=sb.squared_error, epochs=0, seeds=range(20))
        assert peak_megabytes(p.predict, x) < 8
    given = {"loss": sb.squared_error, "epochs": 1, "seeds": range(4)}
    assert peak_megabytes(sb.train, embedding, x, x[:, 0], **given) < 8
    dense = sb.Network(2, [sb.Dense(50, sb.tanh), sb.Dense(1)])
    given |= {"optimizer": GaussNewton(1e-3), "seeds": range(40)}
    alone = peak_megabytes(sb.train, dense, x[:400], x[:400, 0], **given | {"seeds": 0})
    assert peak_megabytes(sb.train, dense, x[:400], x[:400, 0], **given) < 2 * alone + 8


class Average(sb.Optimizer):
    """Three state arrays."""

    @property
    def rule(self):
        def step(w, g, k, lr, a, b, c):
            return w - lr * (g + a + b + c) / 4, b, c, g

        return step

    def init(self, theta, lr):
        return [np.zeros_like(theta) for _ in range(3)]


@pytest.mark.parametrize(
    ("layer", "optimizer", "words"),
    [
        (Scale(), sb.Adam(), "a layer of kind Scale"),
        (sb.Dense(2), GaussNewton(0.1), "the jacobian that GaussNewton needs"),
        (sb.Dense(2), Average(0.1), "the 3 state arrays of Average"),
    ],
)
def test_unsupported_by_the_compiled_engine(layer, optimizer, words, monkeypatch, capsys):
    monkeypatch.setattr(select.COMPILED, "missing", lambda: None)
    monkeypatch.setattr("seedbed.engines.compiled.START_UP_SECONDS", 0)
    network = sb.Network(4, [layer, sb.Dense(2)])
    given = {"loss": sb.squared_error, "optimizer": optimizer, "epochs": 2}
    with pytest.raises(sb.FormulaError, match=f"not support {words}: use engine='numpy'"):
        sb.train(network, X, Y, engine="compiled", **given)
    population = sb.train(network, X, Y, **given)
    said = capsys.readouterr().err
    assert said == (
        f"seedbed: the numpy engine trains: the compiled one does not support {words}\n"
    )
    assert population.recipe.engine == "numpy"
    sb.train(network, X, Y, progress=False, **given)
    assert not capsys.readouterr().err
    forced = replace(population, recipe=replace(population.recipe, engine="compiled"))
    for rows in (X, X[:1]):
        np.testing.assert_array_equal(forced.predict(rows), population.predict(rows))


def test_an_optimizer_may_have_three_state_arrays():
    given = recipe("embedding", optimizer=Average(0.1))
    theta, past = given.network.init([0]), [0, 0, 0]
    for _ in range(6):
        g = sb.value_and_grad(given, theta, X, Y)[1]
        theta, past = theta - 0.1 * (g + sum(past)) / 4, [*past[1:], g]
    found = sb.train(given, X, Y, epochs=6)
    np.testing.assert_allclose(found.theta, theta, rtol=1e-12)


def test_layers_of_other_settings_are_unequal():
    class Bare(Layer):
        def __init__(self, power):
            vars(self).update(power=power)

    assert Bare(1) == Bare(1)
    assert hash(Bare(1)) == hash(Bare(1))
    assert Bare(1) != Bare(2)
    assert Scale(1.0) != Scale(2.0)
    assert sb.Dense(2) != sb.Dense(3)
