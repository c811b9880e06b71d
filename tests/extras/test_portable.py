"""NumPy predicts the compiled engine's bits where Numba is not loaded."""

import json
import subprocess
import sys

import numpy as np
import pytest
from test_compiled import ACTIVATIONS, LOSSES

import seedbed as sb
from seedbed.engines import portable
from seedbed.engines.compiled.prediction import Formula
from seedbed.engines.select import COMPILED
from seedbed.formulas import activations, losses

pytestmark = [pytest.mark.kernels, pytest.mark.usefixtures("compiled_float64")]

DTYPES = ["float32", "float64"]
FUNCTIONS = {
    "abs": lambda x: np.abs(x) + abs(x),
    "exp": lambda x: np.exp(x),
    "expm1": lambda x: np.expm1(x),
    "log": lambda x: np.log(x),
    "log1p": lambda x: np.log1p(x),
    "masks": lambda x: x * ((x > 0) + (x > -1) * (x <= 2) - 0.1 * (x != 1)) + (x == x),
    "power": lambda x: x**3 - 2 / x**2 + x**0 * np.power(x, -0.5) + x**5,
    "sign": lambda x: np.sign(x) * np.square(x) + np.zeros_like(x) + np.ones_like(x),
    "sqrt": lambda x: np.sqrt(x),
    "tanh": lambda x: np.tanh(x),
}


def assert_same_bits(a, b):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(a.view("uint8"), b.view("uint8"))


def arguments(dtype, count=1500):
    """Random bits, moderate numbers of both signs, and special values."""
    rng = np.random.default_rng(0)
    size = np.dtype(dtype).itemsize
    bits = rng.integers(0, 2 ** (8 * size), count, dtype=f"uint{8 * size}").view(dtype)
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    special = [0, 1, 0.5, 2, 87.5, 709.5, tiny, tiny / 4, huge, np.inf]
    moderate = rng.normal(size=count) * 10 ** rng.uniform(-8, 3, count)
    x = np.concatenate([special, moderate]).astype(dtype)
    return np.concatenate([x, -x, bits, [dtype(np.nan)]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, dtype):
    with np.errstate(invalid="ignore"):
        x = arguments(dtype)
    assert_same_bits(portable.formula(FUNCTIONS[name])(x), Formula(FUNCTIONS[name])(x))


def drawn(network, dtype, kind):
    """Parameters of four members: moderate ones, saturating, subnormal, or partly ±0."""
    rng = np.random.default_rng(network.size)
    theta = rng.normal(size=(4, network.size))
    if kind == "large":
        theta *= 10 ** np.array([[1], [3], [8], [36]])
    if kind == "small":
        theta *= 10 ** rng.uniform(-46 if dtype == "float32" else -320, 0, theta.shape)
    if kind == "zeros":
        theta *= rng.choice([-1, 0, 1], theta.shape)
    return theta.astype(dtype)


def rows(inputs, dtype):
    x = np.random.default_rng(inputs).normal(size=(7, inputs))
    x[0], x[1], x[2], x[3, ::2] = 0, x[1] * 1e-20, x[2] * 100, -0.0
    return x.astype(dtype)


def assert_same_outputs(network, loss, theta, x):
    for stage in ("outputs", "normalised"):
        y = portable.outputs(network, loss, theta, x, stage)
        assert_same_bits(y, COMPILED.outputs(network, loss, theta, x, stage))
        for row in (0, len(x) - 1):
            alone = portable.outputs(network, loss, theta, x[row : row + 1], stage)
            assert_same_bits(alone, np.ascontiguousarray(y[:, row : row + 1]))
    if loss.predict is not losses._identity:
        predicted = COMPILED.outputs(network, loss, theta, x, "predictions")
        assert_same_bits(portable.formula(loss.predict)(y), predicted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["moderate", "large", "small", "zeros"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_activations(activation, kind, dtype):
    network = sb.Network(6, [sb.Dense(9, activation), sb.Dense(4, activation), sb.Dense(3)])
    theta, x = drawn(network, dtype, kind), rows(6, dtype)
    y = portable.outputs(network, sb.cross_entropy, theta, x, "outputs")
    assert_same_bits(y, COMPILED.outputs(network, sb.cross_entropy, theta, x, "outputs"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["moderate", "large", "small"])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_losses(loss, kind, dtype):
    network = sb.Network(6, [sb.Dense(9, sb.gelu), sb.Dense(1 if kind == "small" else 5)])
    assert_same_outputs(network, loss, drawn(network, dtype, kind), rows(6, dtype))


LAYERS = {
    "embedding": [sb.Embedding([3, 1], [4, 3], [2, 3])],
    "embedding alone": [sb.Embedding([0, 1, 2, 3, 4], [3, 3, 3, 4, 3], 2)],
    "periodic": [sb.Periodic(3, 5, scale=1.0)],
    "phases": [sb.Periodic(2, 9, scale=1.0, phases=True, columns=[2, 0])],
    "both": [sb.Embedding([1], [4], 2), sb.Periodic(17, 3, phases=True)],
    "scaled": [sb.Dense(19, sb.tanh, input_scale=6.0), sb.Dense(3, sb.tanh, input_scale=0.3)],
    "two": [sb.Dense(4, sb.tanh), sb.Periodic(2, 20, columns=[3, 1])],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["moderate", "large", "small"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, kind, dtype):
    network = sb.Network(5, [*LAYERS[name], sb.Dense(4, sb.selu), sb.Dense(3)])
    x = rows(5, dtype)
    if name.startswith("embedding") or name == "both":
        x = np.abs(np.rint(x)) % 3
    x[3] = -0.0
    theta = drawn(network, dtype, kind)
    if kind == "large":  # frequencies of which sine and cosine still differ
        theta = np.clip(theta, -1e6, 1e6)
    assert_same_outputs(network, sb.cross_entropy, theta, x)


def test_blocks_of_members_and_rows(monkeypatch):
    network = sb.Network(3, [sb.Dense(8, sb.tanh), sb.Dense(2)])
    theta, x = drawn(network, "float32", "moderate"), rows(3, "float32")
    whole = portable.outputs(network, sb.squared_error, theta, x, "outputs")
    for numbers in (1, 24, 100):
        monkeypatch.setattr(portable, "BLOCK_NUMBERS", numbers)
        parts = portable.outputs(network, sb.squared_error, theta, x, "outputs")
        assert_same_bits(parts, whole)
    assert portable.outputs(network, sb.squared_error, theta, x[:0], "outputs").shape == (4, 0, 2)


def test_a_list_of_activations_is_complete():
    assert {each.name for each in ACTIVATIONS} == set(activations.BY_NAME)
    assert {each.name for each in LOSSES} == set(losses.BY_NAME)


def test_formulas_that_are_not_elementwise_are_refused():
    for formula in (lambda x: x.sum() + x, lambda x: np.sin(x), lambda x: x if x > 0 else -x):
        with pytest.raises(sb.FormulaError):
            portable.formula(formula)(np.ones(3))


# ---------------------------------------------------------------- the choice between both

SCRIPT = """if True:
    import json, sys
    import numpy as np
    import seedbed as sb
    from seedbed.engines import compiled
    population = sb.load(sys.argv[1])
    x = np.array(json.loads(sys.argv[2]))
    found = [population.predict(x[:1]), population.predict(x), population.predict_mean(x)]
    assert not any(name.split(".")[0] in ("numba", "llvmlite") for name in sys.modules)
    compiled.PORTABLE_SECONDS = 0
    found += [population.predict(x[:1]), population.predict(x), population.predict_mean(x)]
    assert "numba" in sys.modules
    print(json.dumps([y.tolist() for y in found]))
"""


def test_few_rows_are_predicted_without_loading_numba(tmp_path):
    x = rows(6, "float32")
    network = sb.Network(6, [sb.Dense(9, sb.gelu), sb.Dense(3)])
    population = sb.train(
        network, x, np.arange(7) % 3, loss=sb.cross_entropy, epochs=3, seeds=range(4),
        engine="compiled",
    )  # fmt: skip
    sb.save(tmp_path / "model.safetensors", population)
    command = [sys.executable, "-c", SCRIPT, tmp_path / "model.safetensors", json.dumps(x.tolist())]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = [population.predict(x[:1]), population.predict(x), population.predict_mean(x)]
    for found, y in zip(json.loads(result.stdout), expected * 2, strict=True):
        assert_same_bits(np.float32(found), y)


def test_the_command_predicts_without_loading_numba(tmp_path, run):
    table = "\n".join(["a,b,y", *(f"{i % 7},{i % 5},{i % 3}" for i in range(60))])
    (tmp_path / "table.csv").write_text(table)
    model = tmp_path / "model.safetensors"
    status, _, errors = run(
        "train", tmp_path / "table.csv", "--target", "y", "--epochs", 5000,
        "--patience", 1, "--batch-size", 8, "--out", model,
    )  # fmt: skip
    assert status == 0, errors
    assert sb.load(model).population_.recipe.engine == "compiled"
    (tmp_path / "rows.csv").write_text("\n".join(table.splitlines()[:4]))
    script = (
        "import sys; from seedbed.cli import main; main(sys.argv[1:]); "
        "assert 'numba' not in sys.modules"
    )
    command = [sys.executable, "-c", script, "predict", model, tmp_path / "rows.csv"]
    subprocess.run(command, capture_output=True, check=True)


@pytest.mark.parametrize("count", [1, 7, 4000])
def test_without_numba_any_number_of_rows_is_predicted(monkeypatch, count):
    x = np.tile(rows(6, "float32"), (count // 7 + 1, 1))[:count]
    network = sb.Network(6, [sb.Dense(9, sb.tanh), sb.Dense(3)])
    population = sb.train(
        network, rows(6, "float32"), np.arange(7) % 3, loss=sb.cross_entropy, epochs=1,
        engine="compiled",
    )  # fmt: skip
    expected = [f(x) for f in (population.predict, population.outputs, population.predict_mean)]
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(COMPILED, "_portable_seconds", 1e9)
    alone = population[:]
    for f, y in zip((alone.predict, alone.outputs, alone.predict_mean), expected, strict=True):
        assert_same_bits(f(x), y)
