"""check_gradient(): everyday mistakes, in three more hands, and what the report says of them."""

import numpy as np
import pytest
from hands import HANDS

import seedbed as sb

PLANTED = [
    (hand, mistake, kinds)
    for hand, each in HANDS.items()
    for mistake, kinds in each.MISTAKES.items()
]
NOT_NAMED = [("einsum", "float32 variance")]
"""It is found; its constants are in float32, so that nothing shows that rounding is the cause."""


@pytest.mark.parametrize(
    ("hand", "mistake", "kinds"),
    PLANTED,
    ids=[f"{hand}: {mistake}" for hand, mistake, _ in PLANTED],
)
def test_everyday_mistakes_are_found_and_named(hand, mistake, kinds):
    report = sb.check_gradient(*HANDS[hand].arguments(mistake))
    assert report.verdict == "wrong"
    if (hand, mistake) not in NOT_NAMED:
        assert [each.kind.partition(": ")[0] for each in report.mistakes] == [
            kind.partition(": ")[0] for kind in kinds
        ]
        assert report.mistakes[0].kind.startswith(kinds[0])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hand", HANDS)
def test_right_gradients_agree_in_every_hand(hand, seed):
    report = sb.check_gradient(*HANDS[hand].arguments("", seed))
    assert (report.verdict, report.mistakes) == ("agrees", ())


def network(mistake="", examples="columns"):
    """Return f, theta, X (3, 16) and Y (3, 16): a 3-5-4-3 network with examples as columns."""
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(3, 16)), random.normal(size=(3, 16))
    theta = {}
    for k, (n_in, n_out) in enumerate(((3, 5), (5, 4), (4, 3)), 1):
        theta[f"W{k}"], theta[f"b{k}"] = random.normal(size=(n_out, n_in)), np.zeros((n_out, 1))

    def f(p):
        a1 = np.tanh(p["W1"] @ X + p["b1"])
        a2 = np.tanh(p["W2"] @ a1 + p["b2"])
        y = p["W3"] @ a2 + p["b3"]
        d3 = 2 * (y - Y) / (48 * (3 if mistake == "outputs twice" else 1))
        d2 = p["W3"].T @ d3 * (1 - a2**2)
        d1 = p["W2"].T @ d2 * (1 - a1**2)
        if mistake == "strange in layer 2":
            d2 = d2 * (1 + 0.1 * a2**2)
            d1 = p["W2"].T @ d2 * (1 - a1**2)
        if mistake == "strange in layer 1":
            d1 = d1 * (1 + 0.1 * a1**2)
        if mistake == "strange outputs":
            d3 = d3 * (1 + y**2)
        g = {"W1": d1 @ X.T, "W2": d2 @ a1.T, "W3": d3 @ a2.T}
        if mistake == "strange product":
            g["W2"] = g["W2"] * (1 + p["W2"])
        for k, d in enumerate((d1, d2, d3), 1):
            g[f"b{k}"] = d.sum(axis=1, keepdims=mistake != "flat")
        if mistake == "mean":
            g["b2"] = d2.mean(axis=1, keepdims=True)
        return ((y - Y) ** 2).mean(), {name: g[name] for name in p}

    return f, theta, X, Y


def test_the_report_says_that_examples_are_columns():
    report = sb.check_gradient(*network())
    assert (report.agrees, report.examples) == (True, "columns")
    assert "examples are columns" in str(report).splitlines()[0]
    (mistake,) = sb.check_gradient(*network("mean")).mistakes
    assert (mistake.kind, mistake.blocks) == ("bias: mean for sum", ("b2",))
    assert "a mean over the columns" in mistake.message
    (mistake,) = sb.check_gradient(*network("outputs twice")).mistakes
    assert mistake.kind == "1/outputs twice"
    f, theta, X, Y = network("mean")
    assert sb.check_gradient(f, theta, X.T, Y.T).examples == "rows"


def test_square_data_are_read_as_the_weights_say():
    random = np.random.default_rng(1)
    X, Y, W, b = (random.normal(size=shape) for shape in ((4, 4), (4, 4), (4, 4), (4, 1)))

    def f(p):
        d = p["W"] @ X + p["b"] - Y
        return (d**2).mean(), {"W": d @ X.T / 8, "b": d.mean(axis=1, keepdims=True) / 8}

    report = sb.check_gradient(f, {"W": W, "b": b}, X, Y)
    assert report.examples == "columns"
    assert [mistake.kind for mistake in report.mistakes] == ["bias: mean for sum"]


@pytest.mark.parametrize(
    ("theta", "gradient", "kind", "words"),
    [
        ((4, 1), (4,), "keepdims lost", "(4,) for (4, 1), so θ - lr·dθ has shape (4, 4)"),
        ((4,), (4, 1), "shape", "has shape (4, 4)"),
        ((4,), (1, 4), "shape", "has shape (1, 4)"),
        ((2, 3), (1, 2, 3), "shape", "has shape (1, 2, 3)"),
        ((1, 4), (4,), None, ""),
        ((1, 1), (), None, ""),
    ],
)
def test_a_shape_that_changes_the_update_is_a_mistake_of_its_own(theta, gradient, kind, words):
    w = np.arange(1.0, 1 + np.prod(theta)).reshape(theta)
    report = sb.check_gradient(lambda x: ((x**2).sum(), (2 * x).reshape(gradient)), w)
    assert [mistake.kind for mistake in report.mistakes] == ([kind] if kind else [])
    assert words in str(report)
    assert report.verdict == report.blocks[0].verdict == ("wrong" if kind else "agrees")
    both = sb.check_gradient(lambda x: ((x**2).sum(), (-2 * x).reshape(gradient)), w)
    assert [each.kind for each in both.mistakes] == (["sign", kind] if kind else ["sign"])


@pytest.mark.parametrize("with_data", [True, False])
@pytest.mark.parametrize(
    ("mistake", "kind", "blocks", "words"),
    [
        ("strange in layer 1", "broken chain", ("W1", "b1"), "from layer 2 to layer 1"),
        ("strange in layer 2", "broken chain", ("W1", "b1", "W2", "b2"), "from layer 3 to layer 2"),
        ("strange product", "unknown", ("W2",), "layer 2 alone: what it passes back is right"),
        ("strange outputs", "unknown", ("W3", "b3"), "the break is already in the last layer"),
    ],
)
def test_an_unknown_mistake_is_localised(mistake, kind, blocks, words, with_data):
    f, theta, X, Y = network(mistake)
    report = sb.check_gradient(f, theta, *((X, Y) if with_data else ()))
    (found,) = report.mistakes
    assert (found.kind, found.blocks) == (kind, blocks)
    assert words in found.message
    assert report.notes == (() if with_data else report.notes[:1])
    assert ("with X and Y" in str(report)) == (not with_data)


def test_a_right_gradient_is_not_asked_for_data():
    f, theta, *_ = network()
    assert sb.check_gradient(f, theta).notes == ()


def test_rounding_is_told_from_a_mistake():
    def f(w):
        w = np.real(w)
        c = w.dtype.type(1e5)
        return (w**2).sum(), ((w + c) ** 2 - w**2 - c * c) / c  # 2 w by a difference of squares

    w = np.array([0.7, -0.4, 1.3])
    assert sb.check_gradient(f, w).verdict == "agrees"
    for theta in (w.astype(np.float32), 1e-7 * w):  # the second loses digits in float64, too
        (mistake,) = sb.check_gradient(f, theta).mistakes
        assert mistake.kind == "cancellation"


def test_data_are_restored_after_a_call_that_changes_them():
    X, Y = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])

    def f(w):
        Y[...] -= X @ w
        return (Y**2).mean(), -X.T @ Y

    report = sb.check_gradient(f, np.ones((1, 1)), X, Y)
    assert [mistake.kind for mistake in report.mistakes] == ["data changed"]
    assert "in place (Y)" in report.mistakes[0].message
    assert Y.tolist() == [[3.0], [5.0]]
    Y.flags.writeable = False  # f cannot change it
    with pytest.raises(ValueError, match="read-only"):
        sb.check_gradient(f, np.ones((1, 1)), X, Y)


def test_a_small_number_in_the_loss_alone_is_named():
    random = np.random.default_rng(0)
    X, y, w = random.normal(size=(30, 3)), random.integers(0, 2, 30), 3 * random.normal(size=3)

    def f(w, offset):
        p = 1 / (1 + np.exp(-X @ w))
        loss = -(y * np.log(p + offset) + (1 - y) * np.log(1 - p + offset)).mean()
        return loss, X.T @ (p - y) / len(X)

    assert sb.check_gradient(lambda w: f(w, 1e-12), w, X, y).agrees
    (mistake,) = sb.check_gradient(lambda w: f(w, 1e-6), w, X, y).mistakes
    assert mistake.kind == "small difference"


@pytest.mark.parametrize(
    ("unit", "wrong", "kind"),
    [
        (lambda z: np.maximum(z, 0), lambda z, d: d * (d > 0), "mask of dA"),
        (np.tanh, lambda z, d: d * np.tanh(z) * (1 - np.tanh(z)), "slope of another activation"),
    ],
)
def test_a_slope_at_the_output_is_named(unit, wrong, kind):
    random = np.random.default_rng(0)
    X, Y, W = (random.normal(size=shape) for shape in ((9, 3), (9, 2), (3, 2)))

    def f(W):
        y = unit(X @ W)
        return ((y - Y) ** 2).mean(), X.T @ wrong(X @ W, (y - Y) / 9)

    (mistake,) = sb.check_gradient(f, W, X, Y).mistakes
    assert mistake.kind == kind
    assert mistake.message.endswith("at the output")


@pytest.mark.parametrize(
    ("change", "kind", "blocks", "words"),
    [
        (lambda g: {**g, "b2": 0 * g["b2"]}, "zero", ("b2",), "0 everywhere"),
        (lambda g: {**g, "W1": 0 * g["W1"], "b1": 0 * g["b1"]}, "zero", ("W1", "b1"), "0 every"),
        (lambda g: {**g, "W1": g["W1"][::-1]}, "unknown", ("W1",), "layer 1's b agrees"),
    ],
)
def test_a_wrong_block_is_not_blamed_on_the_layers_above(change, kind, blocks, words):
    f, theta, X, Y = tanh_network(lambda z, a: 1 - a**2)
    (mistake,) = sb.check_gradient(lambda p: (f(p)[0], change(f(p)[1])), theta, X, Y).mistakes
    assert (mistake.kind, mistake.blocks) == (kind, blocks)
    assert words in mistake.message


def test_a_slope_in_terms_of_a_that_takes_z_is_named():
    f, theta, X, Y = tanh_network(lambda z, a: 1 - z**2)
    (mistake,) = sb.check_gradient(f, theta, X, Y).mistakes
    assert (mistake.kind, mistake.blocks) == ("slope with z for a", ("W1", "b1"))


def tanh_network(slope):
    """Return the gradient of a 3-4-2 network, its parameters and its data."""
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(9, 3)), random.normal(size=(9, 2))
    shapes = {"W1": (3, 4), "b1": (4,), "W2": (4, 2), "b2": (2,)}

    def f(p):
        z = X @ p["W1"] + p["b1"]
        a = np.tanh(z)
        d = 2 * (a @ p["W2"] + p["b2"] - Y) / Y.size
        dz = d @ p["W2"].T * slope(z, a)
        loss = ((a @ p["W2"] + p["b2"] - Y) ** 2).mean()
        return loss, {"W1": X.T @ dz, "b1": dz.sum(axis=0), "W2": a.T @ d, "b2": d.sum(axis=0)}

    return f, {name: random.normal(size=shape) for name, shape in shapes.items()}, X, Y


@pytest.mark.parametrize(("row", "share"), [(-1, 1), (-1, 1 / 9), (0, 1)])
def test_a_loop_that_keeps_one_row_is_named(row, share):
    _, theta, X, Y = tanh_network(None)
    theta = {"W1": theta["W1"][:, :2], "b1": theta["b1"][:2]}

    def f(p):
        error = X @ p["W1"] + p["b1"] - Y
        loss = (error**2).sum(axis=1).mean() + 0.05 * (p["W1"] ** 2).sum()
        d = 2 * share * error[row]
        return loss, {"W1": np.outer(X[row], d) + 0.1 * p["W1"], "b1": d}

    (mistake,) = sb.check_gradient(f, theta, X, Y).mistakes
    assert (mistake.kind, mistake.blocks) == ("one row only", ("W1", "b1"))
    assert ("the last row" if row else "the first row") in mistake.message
