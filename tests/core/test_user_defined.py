"""User-defined formulas are checked when they are made, and refused with the place and numbers."""

from dataclasses import replace

import numpy as np
import pytest

import seedbed as sb
from seedbed.formulas import activations, losses, optimizers, user_defined

X, Y = sb.xor.data()
RNG = np.random.default_rng(0)


def users(function):
    """Return Seedbed's function as a user's own."""
    return function and (lambda *arrays: function(*arrays))


@pytest.mark.parametrize("name", activations.BY_NAME)
def test_every_activation_passes_as_a_users_own(name):
    unit = activations.by_name(name)
    sb.Activation("mine", users(unit.f), users(unit.df))
    with pytest.raises(sb.FormulaError, match="df"):
        sb.Activation("mine", users(unit.f), lambda z, a: 1.001 * unit.df(z, a))


@pytest.mark.parametrize("name", losses.BY_NAME)
def test_every_loss_passes_as_a_users_own(name):
    unit = losses.BY_NAME[name]
    unit = unit if isinstance(unit, sb.Loss) else unit(0.3)
    mine = replace(
        unit, f=users(unit.f), df=users(unit.df), predict=users(unit.predict),
        inverse_predict=users(unit.inverse_predict), residual=users(unit.residual),
    )  # fmt: skip
    with pytest.raises(sb.FormulaError, match="df"):
        replace(mine, df=lambda y, t: 2 * unit.df(y, t))
    with pytest.raises(sb.FormulaError, match=r"inverse_predict\(predict\(y\)\) is"):
        replace(mine, inverse_predict=lambda p: unit.inverse_predict(p) + 1)


KINKED = {
    "relu6": (lambda z: np.clip(z, 0, 6), lambda z, a: 1.0 * ((z > 0) & (z < 6))),
    "hard sigmoid": (lambda z: np.clip(z / 6 + 0.5, 0, 1), lambda z, a: (np.abs(z) < 3) / 6),
    "where": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z, a: np.where(z > 0, 1, 0.1)),
    "single precision": (lambda z: np.tanh(np.float32(z)), lambda z, a: 1 - a * a),
    "cast within": (lambda z: 1.0 * np.tanh(np.float32(z)).astype(float), lambda z, a: 1 - a * a),
    "steps": (lambda z: np.floor(z), lambda z, a: 0 * z),
    "integers": (lambda z: z, lambda z, a: np.ones(z.shape, int)),
    "undefined below 0": (lambda z: np.sqrt(z), lambda z, a: 0.5 / a),
}


@pytest.mark.parametrize("name", KINKED)
def test_kinks_and_functions_without_complex_arguments_pass(name):
    sb.Activation(name, *KINKED[name])


WRONG = {
    "df(z, a) is 21.731 at z = -21.731, but the slope of f there is 43.462": (
        lambda z: z * np.abs(z), lambda z, a: np.abs(z)  # what a complex step would find
    ),
    "df(z, a) is nan at": (np.tanh, lambda z, a: np.sqrt(z)),
    "f(z) raised ValueError: The truth value": (lambda z: z if z > 0 else 0 * z, lambda z, a: z),
    "df(z, a) raised TypeError": (np.tanh, lambda z: z),
    "f(z) returned float64 values of shape () for shape (8, 2)": (np.sum, lambda z, a: z),
    "f(z) raised RecursionError": (lambda z: WRONG["f(z) raised RecursionError"][0](z), np.add),
    "f(z) returned complex128 values": (lambda z: z + 1j, lambda z, a: z),
    "f(z) changes its arguments in place": (lambda z: np.square(z, out=z), lambda z, a: 2 * z),
    "df(z, a) changes its arguments": (np.tanh, lambda z, a: np.subtract(1, a * a, out=a)),
    "f(z) returns other values for the same": (lambda z: z + RNG.random(z.shape), np.add),
}  # fmt: skip


@pytest.mark.parametrize("message", WRONG)
def test_wrong_activations_are_refused_by_name(message):
    with pytest.raises(sb.FormulaError) as raised:
        sb.Activation("bent", *WRONG[message])
    assert str(raised.value).startswith("activation 'bent': ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def square(y, t):
    return (y - t) ** 2


def same(y):
    return y


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((square, lambda y, t: y - t, same), "at y = -3.5843, t = -1.7, but the slope of f there"),
        ((lambda y, t: square(y, t).mean(), square, same), "returned float64 values of shape ()"),
        ((square, lambda y, t: 2 * (y - t), np.sum), "predict(y) returned"),
        ((square, lambda y, t: 2 * (y - t), same, "numbers"), "must be one of ('number', 'count'"),
        (
            (lambda y, t: -t * y, lambda y, t: np.exp(y) - 2 * t, np.exp, "classes"),
            "output 1 of the logits [0.3, -1.2, 2.1], t = [0.0, 1.0, 0.0], but the slope",
        ),
    ],
)
def test_wrong_losses_are_refused_by_name(arguments, message):
    with pytest.raises(sb.SettingError) as raised:
        sb.Loss("mine", *arguments)
    assert "loss 'mine'" in str(raised.value)
    assert message in str(raised.value)


def test_a_residual_must_be_the_losss_root():
    right = sb.Loss("mine", square, lambda y, t: 2 * (y - t), same, residual=lambda y, t: t - y)
    with pytest.raises(sb.FormulaError, match=r"residual\(y, t\)² is .*and f\(y, t\) is"):
        replace(right, residual=lambda y, t: 2 * (y - t))


def test_a_refused_formula_leaves_the_points_of_later_checks_alone():
    before = user_defined.POINTS.copy()
    with pytest.raises(sb.FormulaError, match="in place"):
        sb.Activation("twice", lambda z: np.multiply(z, 2, out=z), lambda z, a: 2 + 0 * z)
    np.testing.assert_array_equal(user_defined.POINTS, before)


def test_a_surrogate_derivative_is_left_alone_and_trains():
    straight_through = sb.Activation(
        "step", lambda z: np.sign(z), lambda z, a: np.ones_like(z), surrogate=True
    )
    network = sb.Network(3, [sb.Dense(8, straight_through), sb.Dense(1)])
    population = sb.train(network, X, Y, loss="mse", optimizer=sb.Adam(0.01), epochs=100)
    assert population.loss[0] < 0.9 * population.history.train_loss[0, 0]
    wrong = sb.Loss("half", square, lambda y, t: y - t, same, surrogate=True)
    assert wrong.smoothing == 0


def test_seedbeds_own_formulas_are_not_checked(monkeypatch):
    def refuse(*arguments):
        raise AssertionError

    for module in (activations, losses):
        monkeypatch.setattr(module, "called", refuse)
    monkeypatch.setattr(optimizers, "check_rule", refuse)
    sb.leaky_relu(0.2), sb.huber(2.0), sb.cross_entropy.smoothed(0.1)
    sb.Recipe(network=sb.Network(3, [sb.Dense(1)]), loss="mse", optimizer="adam")
    with pytest.raises(AssertionError):
        sb.Activation("mine", np.tanh, lambda z, a: 1 - a * a)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (lambda t: 1 - 2 * t, r"factor\(0.75\) is -0.5; it must be a finite number of at least 0"),
        (lambda t: np.float64(1) / t if t else np.inf, r"factor\(0\) is inf"),
        (lambda t: None, r"factor\(0\) raised TypeError"),
        (lambda: 1.0, r"factor\(0\) raised TypeError"),
    ],
)
def test_wrong_schedules_are_refused(factor, message):
    with pytest.raises(sb.FormulaError, match=f"schedule 'mine': {message}"):
        sb.Schedule("mine", factor)


def momentum(w, g, k, lr, v, *others):
    v = 0.9 * v + g
    return w - lr * v, v


def in_place(w, g, k, lr, v):
    w -= lr * g
    return w, v


def optimizer(rule, init=lambda theta: [np.zeros_like(theta)]):
    class Own(sb.Optimizer):
        def init(self, theta, lr):
            return init(theta)

    Own.rule = property(lambda self: rule)
    return Own(0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (optimizer(lambda w, g, k, lr, v: w - lr * g), "returned .*ndarray.*; it must return a tu"),
        (optimizer(lambda w, g, k, lr, v: (w - lr * g,)), "returned 1 values.* 1 state arrays"),
        (optimizer(lambda w, g, k, lr: (w,)), "raised TypeError"),
        (optimizer(in_place), "changes its arguments in place"),
        (optimizer(lambda w, g, k, lr, v: (w - g / np.abs(g).max(), v)), "alone than beside"),
        (optimizer(lambda w, g, k, lr, v: (w - lr * g, v[0])), "returned shapes"),
    ],
)
def test_wrong_rules_are_refused(given, message):
    with pytest.raises(sb.FormulaError, match=f"Own: its rule {message}|Own: .*{message}"):
        sb.Recipe(network=sb.Network(3, [sb.Dense(1)]), loss="mse", optimizer=given)


def test_a_rule_may_reduce_over_a_members_parameters():
    def normalised(w, g, k, lr, v):
        return w - lr * g / np.sqrt((g * g).sum(axis=1, keepdims=True) + 1e-12), v

    for rule in (momentum, normalised):
        network = sb.Network(3, [sb.Dense(1)])
        sb.train(network, X, Y, loss="mse", optimizer=optimizer(rule), epochs=2, engine="numpy")


@pytest.mark.parametrize("draw", [lambda d, i, o: np.zeros((i, o)), lambda d, i, o: d.normal(o, i)])
def test_an_initializer_of_another_shape_is_refused(draw):
    layers = [sb.Dense(2, "relu", sb.Initializer("mine", draw)), sb.Dense(1)]
    with pytest.raises(sb.ShapeError, match=r"layer 1 drew shape .*need \(4, 3, 2\)"):
        sb.Network(3, layers).init(range(4))


def test_kinks_at_a_point_of_the_check_are_left_out():
    at = user_defined.POINTS[4, 0]
    sb.Activation("bent", lambda z: np.abs(z - at), lambda z, a: np.where(z >= at, 1.0, -1.0))
