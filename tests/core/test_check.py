"""check_gradient(): planted mistakes are named, and right gradients raise no alarm."""

from functools import cache

import numpy as np
import pytest
from planted import COLUMN_KINDS, KINDS, NETWORKS, PAIRS, can_be_planted, columns, planted

import seedbed as sb
from seedbed.formulas import activations, losses

PLANTED_PAIRS = [
    (n, pair) for n in NETWORKS for pair in PAIRS if all(can_be_planted(n, each) for each in pair)
]
PLANTED = [(n, fault) for n in NETWORKS for fault in KINDS if can_be_planted(n, fault)]


@pytest.mark.parametrize(("network", "fault"), PLANTED)
def test_a_planted_mistake_is_found_and_named(network, fault):
    f, theta, X, Y, masks = planted(network, fault)
    report = sb.check_gradient(f, theta, X, Y, masks=masks)
    assert not report.agrees
    assert [mistake.kind.split(": ")[0] for mistake in report.mistakes] == [
        KINDS[fault].split(": ")[0]
    ]
    assert report.mistakes[0].kind.startswith(KINDS[fault])


@pytest.mark.parametrize(("network", "pair"), PLANTED_PAIRS)
def test_two_mistakes_at_once_are_both_named(network, pair):
    f, theta, X, Y, masks = planted(network, *pair)
    report = sb.check_gradient(f, theta, X, Y, masks=masks)
    kinds = [mistake.kind for mistake in report.mistakes]
    kinds = ["another loss" if kind.startswith("another loss") else kind for kind in kinds]
    assert sorted(kinds) == sorted(KINDS[fault] for fault in pair)


def test_a_multiple_of_the_gradient_is_named_without_data():
    def f(W):
        return float((W**2).sum()), 6 * W

    (mistake,) = sb.check_gradient(f, np.arange(6.0).reshape(2, 3)).mistakes
    assert mistake.kind == "factor"


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("with_data", [True, False])
def test_a_right_gradient_agrees(network, with_data):
    f, theta, X, Y, _ = planted(network, "nothing")
    report = sb.check_gradient(f, theta, *((X, Y) if with_data else ()))
    assert report.agrees
    assert report.mistakes == ()
    assert report.method == "complex steps"
    assert max(block.error for block in report.blocks) < 1e-10


def _losses():
    for name, unit in losses.BY_NAME.items():
        if isinstance(unit, sb.Loss):
            yield unit
        else:
            yield unit(0.3) if name == "quantile" else unit()


@pytest.mark.parametrize("loss", list(_losses()), ids=lambda loss: loss.name)
def test_recipes_with_every_activation_and_loss_agree(loss):
    random = np.random.default_rng(0)
    for number, unit in enumerate(map(activations.by_name, activations.BY_NAME)):
        outputs = 3 if loss.targets == "classes" else 1 + number % 3
        layers = [sb.Dense(1 + (number + k) % 5, unit) for k in range(number % 3)]
        network = sb.Network(2, [*layers, sb.Dense(outputs)])
        X = 3 * random.normal(size=(7, 2))
        Y = {
            "number": random.normal(size=(7, outputs)),
            "count": random.poisson(3, (7, outputs)),
            "probability": random.integers(0, 2, (7, outputs)),
            "classes": random.integers(0, 3, 7),
        }[loss.targets]
        recipe = sb.Recipe(network=network, loss=loss, l2=0.1)
        report = sb.check_gradient(recipe, None, X, Y, seed=number)
        assert report.agrees, report


def test_the_published_tutorial_has_three_faults():
    report = sb.check_gradient(sb.xor.published_gradient, sb.xor.published_start(), *sb.xor.data())
    mistakes = {mistake.kind: mistake for mistake in report.mistakes}
    assert set(mistakes) == {"slope of the activation", "bias: wrong axis", "bias: mean for sum"}
    assert "at the output and hidden layer 1" in mistakes["slope of the activation"].message
    assert mistakes["bias: wrong axis"].blocks == ("b1",)
    assert mistakes["bias: mean for sum"].blocks == ("b2",)
    right = sb.check_gradient(sb.xor.recipe(), None, *sb.xor.data())
    assert right.agrees


def test_theta_may_be_an_array_a_list_or_float32():
    A = np.random.default_rng(0).normal(size=(6, 3))

    def whole(w):
        return float((A @ w) @ (A @ w)), 2 * A.T @ (A @ w)

    def listed(blocks):
        value, slope = whole(np.concatenate([np.atleast_1d(block) for block in blocks]))
        return value, [slope[:2], slope[2:]]

    w = np.array([0.5, -1.0, 2.0])
    report = sb.check_gradient(whole, w)
    assert report.agrees
    assert report.method == "central differences"  # float() refuses complex numbers
    assert sb.check_gradient(listed, [w[:2], w[2:]]).agrees
    assert sb.check_gradient(whole, w.astype(np.float32)).agrees
    wrong = sb.check_gradient(lambda w: (whole(w)[0], 1.02 * whole(w)[1]), w.astype(np.float32))
    assert [mistake.kind for mistake in wrong.mistakes] == ["factor"]


def test_a_report_shows_the_place_and_size_of_the_difference():
    def f(theta):
        slope = 2 * theta["w"].copy()
        slope[1, 2] += 0.5
        return (theta["w"] ** 2).sum(), {"w": slope}

    w = np.arange(1.0, 7.0).reshape(2, 3)
    report = sb.check_gradient(f, {"w": w})
    (block,) = report.blocks
    assert (block.name, block.shape, block.index, block.agrees) == ("w", (2, 3), (1, 2), False)
    assert block.given == pytest.approx(12.5)
    assert block.expected == pytest.approx(12)
    assert block.error == pytest.approx(0.5 / 12.5)
    assert report.loss == (w**2).sum()
    assert "w  " in str(report)
    assert "at [1, 2] it is 12.5 and should be 12" in str(report)
    as_dict = report.to_dict()
    assert as_dict["agrees"] is False
    assert as_dict["blocks"][0]["index"] == [1, 2]
    assert as_dict["mistakes"][0]["kind"] == "unknown"


def test_large_blocks_are_sampled():
    calls = []

    def f(w):
        calls.append(1)
        return (w**2).sum(), 2 * w

    assert sb.check_gradient(f, np.ones(3000), max_parameters=50).agrees
    assert len(calls) < 50 * 5 + 20


@pytest.mark.parametrize(
    ("f", "theta", "words"),
    [
        (3, np.ones(2), "f must be a function of theta, not 3"),
        (lambda w: w, np.ones(2), r"f must return \(loss, gradient\), not array"),
        (lambda w: (w, w), np.ones(2), "f's loss must be one number"),
        (lambda w: (1.0, {}), {"a": np.ones(2)}, "f's gradient must be a dict with theta's keys"),
        (lambda w: (1.0, [w]), [np.ones(2)] * 2, "a sequence of 2 arrays, like theta"),
        (lambda w: (1.0, w), np.array(["a"]), "theta must be an array of numbers"),
        (lambda w: (1.0, w), np.array([np.nan]), "theta holds numbers that are not finite"),
        (lambda w: (1.0, w), [], "theta is empty"),
        (lambda w: (1.0, w), None, "theta is missing"),
    ],
)
def test_invalid_functions_and_parameters_are_refused(f, theta, words):
    with pytest.raises(sb.SeedbedError, match=words):
        sb.check_gradient(f, theta)


def test_a_random_loss_and_incomplete_data_are_refused():
    random = np.random.default_rng(0)
    with pytest.raises(sb.DataError, match=r"loss at the same theta is .* and then"):
        sb.check_gradient(lambda w: (random.random() + (w**2).sum(), 2 * w), np.ones(2))
    with pytest.raises(sb.SettingError, match="give X and Y both"):
        sb.check_gradient(lambda w: ((w**2).sum(), 2 * w), np.ones(2), np.ones((2, 1)))
    with pytest.raises(sb.ShapeError, match=r"\(N, I\) and \(N, O\), or with examples as columns"):
        sb.check_gradient(lambda w: ((w**2).sum(), 2 * w), np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(sb.SettingError, match="a recipe is checked on data"):
        sb.check_gradient(sb.xor.recipe())


def test_a_network_in_float32_is_inferred_too():
    f, theta, X, Y, _ = planted("3-4-1", "bias mean")
    single = {name: block.astype(np.float32) for name, block in theta.items()}

    def rounded(given):
        value, slope = f(given)
        return np.float32(value), {name: block.astype(np.float32) for name, block in slope.items()}

    report = sb.check_gradient(rounded, single, X, Y)
    assert [mistake.kind for mistake in report.mistakes] == ["bias: mean for sum"]
    assert report.method == "central differences"


def test_the_error_for_more_arguments_shows_how_to_wrap():
    def f(theta, X, Y):
        return 0.0, theta

    with pytest.raises(sb.SettingError, match=r"takes \(theta, X, Y\): wrap it, such as lambda"):
        sb.check_gradient(f, np.ones(3))


@cache
def column_report(faults, flat_biases):
    return sb.check_gradient(*columns(*faults, flat_biases=flat_biases))


FLAT = [
    faults
    for faults in COLUMN_KINDS
    if faults in [(), ("weights transposed",)] or "bias" in " ".join(faults)
]
"""The other faults are found in blocks that have the same shapes with flat biases."""


@pytest.mark.parametrize(
    ("faults", "flat_biases"),
    [*((faults, False) for faults in COLUMN_KINDS), *((faults, True) for faults in FLAT)],
    ids=lambda value: " and ".join(value) if isinstance(value, tuple) else None,
)
def test_networks_with_rows_as_columns(faults, flat_biases):
    report = column_report(faults, flat_biases)
    assert sorted(mistake.kind for mistake in report.mistakes) == COLUMN_KINDS[faults]
    assert report.agrees == (not faults)


def test_a_mistake_lists_the_blocks_that_it_affects():
    for fault, place, blocks in (
        ("slope of activation", "hidden layer 2", ("W1", "b1", "W2", "b2")),
        ("weights transposed", "hidden layer 1", ("W1", "b1")),
        ("bias over all", "", ("b1",)),
        ("decay missing", "", ("W1", "W2", "W3")),
    ):
        (mistake,) = column_report((fault,), False).mistakes
        assert mistake.blocks == blocks
        assert place in mistake.message
    (mistake,) = column_report(("decay twice",), False).mistakes
    assert "λ 0.05 in the loss, 0.1 in the gradient" in mistake.message


def test_random_accumulated_and_stale_gradients_are_distinguished():
    random = np.random.default_rng(0)
    sums = np.zeros(3)

    def dropped(w):
        return (w**2).sum(), 2 * w * (random.random(3) < 0.5) * 2

    def momentum(w):
        nonlocal sums
        sums = 0.9 * sums + 2 * np.real(w)
        return (w**2).sum(), sums.copy()

    gradients = []

    def first_only(w):
        gradients.append(2 * np.real(w))
        return (w**2).sum(), gradients[0]

    for f, kind in (
        (dropped, "not deterministic"),
        (momentum, "accumulated"),
        (first_only, "stale"),
    ):
        (mistake,) = sb.check_gradient(f, np.arange(1.0, 4)).mistakes
        assert mistake.kind == kind


def test_all_kinds_of_an_ambiguous_factor_are_listed():
    random = np.random.default_rng(0)
    X, T, W = (random.normal(size=shape) for shape in ((4, 3), (4, 4), (3, 4)))

    def f(factor):
        return lambda p: (((X @ p["W"] - T) ** 2).mean(), {"W": factor * X.T @ (X @ p["W"] - T)})

    (mistake,) = sb.check_gradient(f(2 / 4), {"W": W}, X, T).mistakes
    assert "4 times; with 4 rows and 4 outputs it may also be 1/outputs missing" in (
        mistake.message
    )
    (mistake,) = sb.check_gradient(f(2), {"W": W}, X, T).mistakes
    assert (mistake.kind, "16 times" in mistake.message) == ("1/(n outputs) missing", True)


def test_a_wrong_single_number_is_not_called_a_factor():
    def f(p):
        return (p["w"] ** 2).sum() + 3 * p["b"][0], {"w": 2 * p["w"], "b": np.array([17.0])}

    (mistake,) = sb.check_gradient(f, {"w": np.ones(3), "b": np.ones(1)}).mistakes
    assert (mistake.kind, mistake.blocks) == ("unknown", ("b",))


def test_a_report_shows_how_much_of_a_large_block_was_sampled():
    def f(w):
        return (w**2).sum(), -2 * w

    report = sb.check_gradient(f, np.ones((60, 50)), max_parameters=40)
    assert "in 40 of 3,000 places" in str(report)
    assert (report.blocks[0].checked, report.mistakes[0].kind) == (40, "sign")
    right = sb.check_gradient(lambda w: ((w**2).sum(), 2 * w), np.ones(3000), max_parameters=40)
    assert "agrees in 40 of 3,000 places" in str(right)


def test_a_loss_too_coarse_for_differences_is_inconclusive():
    w = np.full(4, 1e-3, dtype=np.float32)

    class Coarse:  # always computes in float32
        def __call__(self, theta):
            theta = np.float32(theta)
            return np.float32(1000) + (theta**2).sum(), 2 * theta

    report = sb.check_gradient(Coarse(), w)
    assert not report.agrees
    assert report.verdict == report.blocks[0].verdict == "inconclusive"
    assert report.summary.startswith("inconclusive: it cannot be told whether the gradient of")
    assert report.to_dict()["verdict"] == "inconclusive"
    assert "inconclusive: the loss is too coarse" in str(report)
    fine = sb.check_gradient(lambda v: ((v**2).sum() + 1000, 6 * v), w)
    assert fine.mistakes[0].kind == "factor"  # f computes in float64 if theta is


@pytest.mark.parametrize("scale", [1e-20, 1e-8, 1e12])
def test_losses_of_any_scale_are_checked(scale):
    w = np.arange(1.0, 6)
    right = sb.check_gradient(lambda v: (scale * (v**3).sum(), scale * 3 * v**2), w)
    wrong = sb.check_gradient(lambda v: (scale * (v**3).sum(), scale * 2 * v**2), w)
    assert right.agrees
    assert not wrong.agrees


def test_only_slopes_between_both_sides_are_right_at_a_kink():
    for slope, agrees in ((0.0, True), (0.5, True), (1.0, True), (-2.0, False), (3.0, False)):

        def f(w, slope=slope):
            return np.maximum(w, 0).sum(), np.where(w == 0, slope, w > 0)

        assert sb.check_gradient(f, np.array([0.0, 1.0, -1.0])).agrees == agrees


def test_parameters_of_tiny_scale_agree():
    def f(w):
        return np.tanh(w / 1e-8).sum(), (1 - np.tanh(w / 1e-8) ** 2) / 1e-8

    assert sb.check_gradient(f, np.array([1e-8, -2e-9, 5e-9])).agrees


def test_a_wrong_shape_is_named():
    report = sb.check_gradient(lambda w: ((w**2).sum(), (2 * w).ravel()), np.ones((4, 5)))
    assert "has shape (20,) and should have (4, 5)" in str(report)
    assert report.mistakes[0].kind == "shape"
    assert report.to_dict()["blocks"][0]["error"] is None


@pytest.mark.parametrize(
    ("f", "options", "message"),
    [
        (lambda w: (np.nan, w), {}, "loss is nan at theta: check at a point where it is finite"),
        (lambda w: (w.sum(), None), {}, "gradient of theta is None: f's loss does not depend on"),
        (lambda w: (w.sum(), "x"), {}, "must be an array of real numbers, not 'x'"),
        (lambda w: (w.sum() + 3j, w), {}, "loss is complex"),
        (lambda w: (w.sum(), w), {"masks": None}, "masks must be a list"),
        (lambda w: (w.sum(), w), {"masks": [np.ones(3)]}, r"a mask has shape \(3,\)"),
        (lambda w: (w.sum(), w), {"seed": -1}, "seed must be a whole number of at least 0"),
        (lambda w: (w.sum(), w), {"X": [[np.nan]], "Y": [[1.0]]}, "X or Y holds numbers"),
    ],
)
def test_invalid_results_and_options_are_refused_in_one_line(f, options, message):
    with pytest.raises(sb.SeedbedError, match=message) as caught:
        sb.check_gradient(f, np.ones(3), **options)
    assert "\n" not in str(caught.value)
    with pytest.raises(sb.SettingError, match="a recipe's theta is one array of 21 numbers"):
        sb.check_gradient(sb.xor.recipe(), sb.xor.published_start(), *sb.xor.data())


def test_a_right_gradient_agrees_at_a_minimum():
    random = np.random.default_rng(1)
    X = random.normal(size=(30, 4))
    Y = X @ [1.0, 2.0, 3.0, 4.0]

    def f(v):
        d = X @ v - Y
        return (d * d).mean(), 2 * X.T @ d / 30

    assert sb.check_gradient(f, np.linalg.lstsq(X, Y, rcond=None)[0]).agrees
    Xs = np.concatenate([X, -X])
    classes = (Xs[:, 0] > 0).astype(int)
    population = sb.train(
        sb.Network(4, [sb.Dense(8, sb.tanh), sb.Dense(2)]), Xs, classes, loss=sb.cross_entropy,
        optimizer=sb.Adam(lr=0.3), epochs=1500, seeds=range(4), engine="numpy",
    )  # fmt: skip
    assert population.loss.max() < 1e-4
    for theta in population.theta:
        assert sb.check_gradient(population.recipe, theta, Xs, classes).agrees
    solved = sb.train(sb.xor.recipe(3000), *sb.xor.data(), seeds=range(6))
    for theta in solved.theta:
        assert sb.check_gradient(solved.recipe, theta, *sb.xor.data()).agrees


@pytest.mark.parametrize("scale", [1e-16, 1e-20, 1e-150])
def test_parameters_close_to_zero(scale):
    w = scale * np.array([1.0, -2.0, 3.0])
    assert sb.check_gradient(lambda x: ((x**2).sum(), 2 * x), w).verdict != "wrong"
    assert not sb.check_gradient(lambda x: ((x**2).sum(), 3 * x), w).agrees


def test_a_gradient_that_is_not_finite_is_named():
    w = np.array([1.0, -2.0, 3.0])
    for bad, shown in ((np.nan, "is nan at"), (np.inf, "is inf at")):
        report = sb.check_gradient(
            lambda x, bad=bad: ((x**2).sum(), np.where(x > 2, bad, 2 * x)), w
        )
        assert [mistake.kind for mistake in report.mistakes] == ["not finite"]
        assert f"{shown} [2] and should be 6" in str(report)


@pytest.mark.parametrize("plain", [float, np.float32])
def test_a_function_that_computes_in_float32_internally(plain):
    def f(x):
        x = np.real(x).astype(np.float32)
        return plain((x**2).sum()), factor * x

    factor = 2
    assert sb.check_gradient(f, np.array([1.0, -2.0, 3.0])).agrees
    factor = 3
    assert not sb.check_gradient(f, np.array([1.0, -2.0, 3.0])).agrees


def test_a_function_may_be_undefined_at_other_points():
    def f(p):
        if (np.real(p) <= 0).any():
            raise ValueError("p must be positive")
        return -np.log(p).sum(), -1 / p

    assert sb.check_gradient(f, np.array([0.5, 0.01, 0.49])).agrees


def test_one_factor_is_not_named_as_two():
    random = np.random.default_rng(0)
    X, T, W = (random.normal(size=shape) for shape in ((5, 3), (5, 4), (3, 4)))

    def f(p):  # 2 n times too large
        return ((X @ p["W"] - T) ** 2).mean(), {"W": X.T @ (X @ p["W"] - T) * 2 / 20 * 10}

    (mistake,) = sb.check_gradient(f, {"W": W}, X, T).mistakes
    assert (mistake.kind, "10 times" in mistake.message) == ("factor", True)
    with pytest.raises(sb.DataError, match="give at least one row"):
        sb.check_gradient(f, {"W": W}, X[:0], T[:0])


def test_differences_replace_complex_steps_where_these_fail():
    w = np.array([1e-4, -3.0, 0.02, 50.0, -1e-3])
    for value, slope in (
        (lambda x: (x.real * x).sum(), lambda x: 2 * x),  # a complex step gives half the derivative
        (lambda x: (np.abs(x) ** 3).sum(), lambda x: 3 * x * np.abs(x)),
    ):
        assert sb.check_gradient(lambda x, v=value, d=slope: (v(x), d(x.real)), w).agrees
        assert not sb.check_gradient(lambda x, v=value, d=slope: (v(x), d(x.real) / 2), w).agrees
