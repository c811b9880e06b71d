"""The formulas: each value against its derivative, known values and dtype."""

import ast
import copy
import math
import pickle

import numpy as np
import pytest

import seedbed as sb
from seedbed.formulas import (
    activations,
    initializers,
    losses,
    optimizers,
    penalties,
    schedules,
    source,
)
from seedbed.streams import LayerDraws, keys

ACTIVATIONS = [
    sb.identity,
    sb.sigmoid,
    sb.tanh,
    sb.relu,
    sb.leaky_relu(0.1),
    sb.elu(0.7),
    sb.elu(1.6),
    sb.selu,
    sb.gelu,
    sb.silu,
    sb.mish,
    sb.softplus,
    sb.softsign,
]
LOSSES = [
    sb.squared_error,
    sb.absolute_error,
    sb.huber(0.6),
    sb.quantile(0.3),
    sb.poisson,
    sb.binary_cross_entropy,
    sb.cross_entropy,
]
STEP = 1e-30


def name_of(unit):
    return unit.name


def test_every_formula_is_in_its_table():
    assert {unit.name for unit in ACTIVATIONS} == set(activations.BY_NAME)
    assert {unit.name for unit in LOSSES} == set(losses.BY_NAME)
    assert len(activations.BY_NAME) == 12
    assert len(losses.BY_NAME) == 7
    assert len(optimizers.BY_NAME) == 5
    assert len(initializers.BY_NAME) == 6
    assert len(schedules.BY_NAME) == 5


@pytest.mark.parametrize("unit", ACTIVATIONS, ids=name_of)
def test_an_activations_derivative_matches_its_value(unit):
    z = np.concatenate([np.linspace(-30, 30, 401) + 0.0371, [-1e-7, 1e-7, -2e-3, 2e-3]])
    exact = unit.f(z + 1j * STEP).imag / STEP
    # slopes are of size 1, so 5e-15 is a few rounding errors
    np.testing.assert_allclose(unit.df(z, unit.f(z)), exact, rtol=1e-12, atol=5e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", ACTIVATIONS, ids=name_of)
def test_an_activation_keeps_shape_and_dtype_and_stays_finite(unit, dtype):
    z = np.array([[-1e4, -50, -1.5, 0, 1.5, 50, 1e4]], dtype=dtype)
    a = unit(z)
    with np.errstate(over="ignore"):
        slope = unit.df(z, a)
    for array in (a, slope):
        assert array.dtype == dtype
        assert array.shape == z.shape
        assert np.isfinite(array).all()


def test_known_values_of_activations():
    z = np.array([-2.0, 0.0, 1.0])
    known = {
        "identity": [-2.0, 0.0, 1.0],
        "sigmoid": [0.11920292202211755, 0.5, 0.7310585786300049],
        "tanh": [-0.9640275800758169, 0.0, 0.7615941559557649],
        "relu": [0.0, 0.0, 1.0],
        "leaky_relu": [-0.2, 0.0, 1.0],
        "selu": [-1.520166468595695, 0.0, 1.0507009873554805],
        "gelu": [-0.04540230591222494, 0.0, 0.8411919906082768],
        "silu": [-0.2384058440442351, 0.0, 0.7310585786300049],
        "mish": [-0.2525014826957088, 0.0, 0.8650983882673103],
        "softplus": [0.1269280110429726, 0.6931471805599453, 1.3132616875182228],
        "softsign": [-0.6666666666666666, 0.0, 0.5],
    }
    for unit in ACTIVATIONS:
        if unit.name in known:
            np.testing.assert_allclose(unit(z), known[unit.name], rtol=1e-14, err_msg=unit.name)
    np.testing.assert_allclose(sb.elu(0.7)(z), [0.7 * math.expm1(-2), 0, 1], rtol=1e-15)


def test_derivatives_at_kinks_are_as_documented():
    zero = np.zeros(1)
    for unit, slope in ((sb.relu, 0), (sb.leaky_relu(0.1), 0.1), (sb.softsign, 1), (sb.elu(), 1)):
        assert unit.df(zero, unit.f(zero)) == slope


@pytest.mark.parametrize("unit", LOSSES, ids=name_of)
def test_a_losss_derivative_matches_its_value(unit):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 3))
    t = rng.uniform(size=(50, 3))
    t /= t.sum(axis=1, keepdims=True)

    def value(outputs):
        return unit.f(unit.normalised(outputs), t)

    slope = unit.df(unit.normalised(y), t)
    for output in range(3):
        moved = y + 0j
        moved[:, output] += 1j * STEP
        exact = value(moved).imag.sum(axis=1) / STEP
        np.testing.assert_allclose(slope[:, output], exact, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", LOSSES, ids=name_of)
def test_a_loss_keeps_the_dtype(unit, dtype):
    y, t = np.array([[0.5, -1.0]], dtype), np.array([[1.0, 0.0]], dtype)
    for array in (unit.f(y, t), unit.df(y, t), unit.predict(y), unit.smooth(t)):
        assert array.dtype == dtype


def test_known_values_of_losses():
    y, t = np.array([0.5, -2.0, 3.0]), np.array([1.0, -2.0, 0.0])
    np.testing.assert_allclose(sb.squared_error.f(y, t), [0.25, 0, 9])
    np.testing.assert_allclose(sb.absolute_error.f(y, t), [0.5, 0, 3])
    np.testing.assert_allclose(sb.huber(1.0).f(y, t), [0.125, 0, 2.5])
    np.testing.assert_allclose(sb.quantile(0.9).f(y, t), [0.45, 0, 0.3])
    np.testing.assert_allclose(sb.poisson.f(y, np.abs(t)), np.exp(y) - np.abs(t) * y)
    logits, targets = np.array([0.5, -800.0, 800.0]), np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(
        sb.binary_cross_entropy.f(logits, targets), [math.log1p(math.exp(-0.5)), 0, 800]
    )
    np.testing.assert_allclose(sb.binary_cross_entropy.predict(np.zeros(1)), [0.5])
    log_p = losses.log_softmax(np.array([[1000.0, 1000.0, -1000.0]]))
    np.testing.assert_allclose(log_p, [[-math.log(2), -math.log(2), -2000 - math.log(2)]])


def test_label_smoothing_moves_targets_towards_uniform():
    one_hot = np.array([[0.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        sb.cross_entropy.smoothed(0.2).smooth(one_hot), [[0.05, 0.85, 0.05, 0.05]]
    )
    np.testing.assert_allclose(
        sb.binary_cross_entropy.smoothed(0.2).smooth(one_hot), [[0.1, 0.9, 0.1, 0.1]]
    )
    assert sb.cross_entropy.smooth(one_hot) is one_hot
    with pytest.raises(sb.SettingError, match="squared_error has no labels"):
        sb.squared_error.smoothed(0.1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sb.leaky_relu(-0.1), "invalid slope: -0.1"),
        (lambda: sb.elu(math.nan), "invalid alpha: nan"),
        (lambda: sb.huber(0.0), "invalid delta: 0.0"),
        (lambda: sb.quantile(1.0), "invalid q: 1.0"),
        (lambda: sb.quantile([0.1, 0.2]), "q must be one number"),
        (lambda: sb.cross_entropy.smoothed(1.0), "invalid smoothing: 1.0"),
        (lambda: sb.cosine(warmup=1.0), "invalid warmup: 1.0"),
        (lambda: sb.step_decay(at=[0.5, 2.0]), "invalid at: 2.0"),
        (lambda: sb.one_cycle(peak=0.0), "invalid peak: 0.0"),
        (lambda: sb.SGD(lr=-1), "invalid learning rate: -1.0; expected a finite number at least 0"),
        (lambda: sb.Adam(lr=math.nan), "invalid learning rate: nan"),
        (lambda: sb.Adam(lr=[0.1, -2]), "invalid learning rate: -2.0"),
        (lambda: sb.Adam(lr="fast"), "learning rate must be a number"),
        (lambda: sb.Adam(lr=[]), "learning rate must be a number"),
        (lambda: sb.Adam(lr=[[0.1]]), "learning rate must be a number"),
        (lambda: sb.Adam(beta1=1.0), "invalid beta1: 1.0"),
        (lambda: sb.SGD(momentum=1.5), "invalid momentum: 1.5"),
        (lambda: sb.SGD(nesterov=True), "Nesterov's step needs a momentum"),
        (lambda: sb.RMSprop(epsilon=0), "invalid epsilon: 0.0"),
        (lambda: sb.Rprop(grow_by=0.9), "invalid grow_by: 0.9"),
        (lambda: sb.AdamW(weight_decay=math.inf), "invalid weight decay: inf"),
    ],
)
def test_invalid_hyperparameters_are_refused(make, words):
    with pytest.raises(sb.SettingError, match=words):
        make()


def test_formulas_with_equal_name_and_options_are_equal():
    assert sb.leaky_relu(0.1) == sb.leaky_relu(0.1)
    assert sb.leaky_relu(0.1) != sb.leaky_relu(0.2)
    assert sb.huber(1.0) == sb.huber(1.0)
    assert sb.cross_entropy != sb.cross_entropy.smoothed(0.1)
    assert sb.Adam(lr=np.array([0.1, 0.2])) == sb.Adam(lr=(0.1, 0.2))
    assert hash(sb.cosine(0.1)) == hash(sb.cosine(0.1))


def drawn(unit, inputs, outputs, seeds=200):
    key = keys(np.arange(seeds), "init", 0, 0)
    return unit.draw(LayerDraws(key), inputs, outputs)


@pytest.mark.parametrize(
    ("unit", "variance"),
    [
        (sb.standard_normal, 1.0),
        (sb.glorot, 2 / (30 + 20)),
        (sb.he, 2 / 30),
        (sb.lecun, 1 / 30),
        (sb.orthogonal, 1 / 30),
    ],
    ids=lambda unit: getattr(unit, "name", ""),
)
def test_initializers_have_mean_zero_and_the_documented_variance(unit, variance):
    W = drawn(unit, 30, 20)
    assert W.shape == (200, 30, 20)
    assert abs(W.mean()) < 5 * math.sqrt(variance / W.size)
    assert W.var() == pytest.approx(variance, rel=0.03)


def test_glorot_stays_within_its_bounds():
    W = drawn(sb.glorot, 30, 20)
    bound = math.sqrt(6 / 50)
    assert np.abs(W).max() <= bound
    assert np.abs(W).max() > 0.99 * bound


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 4), (4, 6), (5, 5), (1, 3)])
def test_orthogonal_weights_are_orthonormal_along_the_shorter_side(inputs, outputs):
    W = drawn(sb.orthogonal, inputs, outputs, seeds=7)
    short = W if inputs >= outputs else W.transpose(0, 2, 1)
    gram = short.transpose(0, 2, 1) @ short
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(gram.shape[1]), gram.shape), atol=1e-12)


def test_zeros_are_zeros_and_each_activation_has_its_initializer():
    assert not drawn(sb.zeros, 2, 3).any()
    for activation, init in (
        (sb.relu, sb.he),
        (sb.leaky_relu(), sb.he),
        (sb.selu, sb.lecun),
        (sb.tanh, sb.glorot),
        (sb.identity, sb.glorot),
        (sb.Activation("mine", np.sin, lambda z, a: np.cos(z)), sb.glorot),
        (sb.Activation("mine", np.sin, lambda z, a: np.cos(z), initializer=sb.lecun), sb.lecun),
    ):
        assert sb.Dense(3, activation).init == init


def test_known_values_of_schedules():
    assert [sb.constant(t) for t in (0, 0.5, 1)] == [1, 1, 1]
    step = sb.step_decay(at=(0.5, 0.75), factor=0.1)
    assert [step(t) for t in (0, 0.49, 0.5, 0.8)] == pytest.approx([1, 1, 0.1, 0.01])
    cosine = sb.cosine(warmup=0.2, floor=0.1)
    assert [cosine(t) for t in (0, 0.1, 0.2, 0.6, 1)] == pytest.approx([0, 0.5, 1, 0.55, 0.1])
    cycle = sb.one_cycle(peak=0.25, start=0.04, end=0.0)
    assert [cycle(t) for t in (0, 0.125, 0.25, 0.625, 1)] == pytest.approx([0.04, 0.52, 1, 0.5, 0])
    # ½ (1 − cos(2π log2(1 + 15 t))): 0 where 1 + 15 t is a power of two, 1 halfway in log2
    for power in range(5):
        assert sb.coslog4((2**power - 1) / 15) == pytest.approx(0, abs=1e-12)
    for half in (0.5, 1.5, 2.5, 3.5):
        assert sb.coslog4((2**half - 1) / 15) == pytest.approx(1)


def one_step(optimizer, w, g, k, state):
    numbers = [np.array([[getattr(optimizer, name)]]) for name in optimizer.hyperparameters]
    return optimizer.rule(w, g, k, np.array([[optimizer.lr]]), *state, *numbers)


def test_one_step_of_each_optimizer_by_hand():
    w, g = np.array([[1.0, -2.0]]), np.array([[0.5, -0.1]])
    (after,) = one_step(sb.SGD(lr=0.1), w, g, 1, [])
    np.testing.assert_allclose(after, [[0.95, -1.99]])

    v = np.array([[0.2, 0.4]])
    after, velocity = one_step(sb.SGD(lr=0.1, momentum=0.5), w, g, 2, [v])
    np.testing.assert_allclose(velocity, [[0.6, 0.1]])
    np.testing.assert_allclose(after, [[0.94, -2.01]])
    after, _ = one_step(sb.SGD(lr=0.1, momentum=0.5, nesterov=True), w, g, 2, [v])
    np.testing.assert_allclose(after, [[1 - 0.1 * 0.8, -2 - 0.1 * -0.05]])

    after, square = one_step(sb.RMSprop(lr=0.1, rho=0.9), w, g, 1, [np.zeros((1, 2))])
    np.testing.assert_allclose(square, [[0.025, 0.001]])
    np.testing.assert_allclose(after, w - 0.1 * g / (np.sqrt(square) + 1e-8))

    after, *_ = one_step(sb.Adam(lr=0.1), w, g, 1, [np.zeros((1, 2))] * 2)
    np.testing.assert_allclose(after, w - 0.1 * np.sign(g), rtol=1e-6)

    rprop, sizes = sb.Rprop(lr=0.1), np.array([[0.1, 0.1]])
    after, kept, size = one_step(rprop, w, g, 2, [np.array([[1.0, 1.0]]), sizes])
    np.testing.assert_allclose(size, [[0.12, 0.05]])  # same sign: grows; changed sign: shrinks …
    np.testing.assert_allclose(after, [[1 - 0.12, -2.0]])  # … and takes no step
    np.testing.assert_allclose(kept, [[0.5, 0.0]])
    bounded = sb.Rprop(lr=0.1, smallest=0.08, largest=0.11)
    _, _, size = one_step(bounded, w, g, 2, [np.array([[1.0, 1.0]]), sizes])
    np.testing.assert_allclose(size, [[0.11, 0.08]])


def test_decoupled_decay_shrinks_weights_by_lr_times_decay():
    w = np.array([[1.0, -2.0]])
    shrunk = penalties.shrink(w, np.array([[0.1]]), np.array([[0.5]]))
    np.testing.assert_allclose(shrunk, [[0.95, -1.9]])


@pytest.mark.parametrize(
    "unit",
    [
        sb.leaky_relu(0.2), sb.huber(2.0), sb.quantile(0.1), sb.he, sb.step_decay([0.3], 0.5),
        sb.coslog4, sb.cross_entropy.smoothed(0.1), sb.relu,
    ],
    ids=lambda unit: unit.name,
)  # fmt: skip
def test_formulas_are_pickled_by_name_and_options(unit):
    again = pickle.loads(pickle.dumps(unit))
    assert again == unit
    assert type(again) is type(unit)
    own = sb.Activation("relu", np.tanh, lambda z, a: 1 - a * a)  # shares a name with Seedbed's
    assert copy.copy(own).f is np.tanh


@pytest.mark.parametrize("table", [activations.BY_NAME, losses.BY_NAME])
def test_a_formulas_source_can_be_read(table):
    for name in table:
        unit = table[name] if hasattr(table[name], "name") else table[name](0.5)
        for function in (unit.f, unit.df):
            assert "np" not in source.closure_values(function)
            assert source.module_values(function).get("np", np) is np
            assert isinstance(source.statements(function)[1], ast.expr)
    leaky = source.closure_values(sb.leaky_relu(0.25).f)
    assert leaky == {"slope": 0.25}
    assert source.globals_of(sb.leaky_relu().f.__code__) == ("np",)
    body, returned = source.statements(sb.huber().f)
    assert [ast.unparse(line) for line in body][1] == "m = np.minimum(d, delta)"
    assert ast.unparse(returned) == "m * (d - 0.5 * m)"


def test_hyperparameters_must_stay_in_bounds_when_rounded():
    network = sb.Network(1, [sb.Dense(1)])
    for options in (
        {"optimizer": sb.SGD(0.1, momentum=1 - 1e-12)},
        {"optimizer": sb.Rprop(0.1, shrink_by=1 - 1e-12)},
        {"optimizer": sb.Rprop(0.1, grow_by=1 + 1e-12)},
        {"optimizer": sb.Adam(1e-60)},
        {"dropout": 1 - 1e-12},
    ):
        recipe = sb.Recipe(network=network, loss=sb.squared_error, **options)
        recipe.hyperparameters(1, np.float64)
        with pytest.raises(sb.SettingError, match="give another value, or dtype='float64'"):
            recipe.hyperparameters(1, np.float32)
