"""explain(): every number of the tutorial's first step by hand, and its text against a golden file.

Every formula shown is evaluated on nothing but the numbers shown above it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import seedbed as sb
from seedbed.engines import objective
from seedbed.formulas import activations, losses

GOLDEN = Path(__file__).parent / "golden" / "explain.txt"


@pytest.fixture(scope="module")
def population():
    X, Y = sb.xor.data()
    return sb.train(sb.xor.recipe(epochs=1), X, Y, seeds=[0, 1])


def test_every_number_equals_the_one_computed_by_hand(population):
    X, Y = sb.xor.data()
    explained = sb.explain(population, X, Y, member=1)
    (W1, b1), (W2, b2) = (
        (view.W[1], view.b[1]) for view in population.network.views(population.theta)
    )
    z1 = X @ W1 + b1
    a1 = 1 / (1 + np.exp(-z1))
    z2 = a1 @ W2 + b2
    a2 = 1 / (1 + np.exp(-z2))
    da2 = 2 * (a2 - Y) / 4
    dz2 = da2 * a2 * (1 - a2)
    da1 = dz2 @ W2.T
    dz1 = da1 * a1 * (1 - a1)
    by_hand = {
        "x": X, "t": Y, "W1": W1, "b1": b1, "z1": z1, "a1": a1, "W2": W2, "b2": b2, "z2": z2,
        "a2": a2, "d": a2 - Y, "l": (a2 - Y) ** 2, "loss": ((a2 - Y) ** 2).mean(), "da2": da2,
        "dz2": dz2, "lr": np.array(1.0),
        "dW2": a1.T @ dz2, "db2": dz2.sum(axis=0, keepdims=True), "da1": da1, "dz1": dz1,
        "dW1": X.T @ dz1, "db1": dz1.sum(axis=0, keepdims=True),
        "W1 new": W1 - X.T @ dz1, "b1 new": b1 - dz1.sum(axis=0), "W2 new": W2 - a1.T @ dz2,
        "b2 new": b2 - dz2.sum(axis=0), "W1 change": -X.T @ dz1, "W2 change": -a1.T @ dz2,
        "b1 change": -dz1.sum(axis=0)[None], "b2 change": -dz2.sum(axis=0)[None],
    }  # fmt: skip
    assert {number.symbol for number in explained.numbers} == set(by_hand)
    for number in explained.numbers:
        np.testing.assert_allclose(
            number.value, by_hand[number.symbol], rtol=1e-12, atol=1e-15, err_msg=number.symbol
        )
        assert number.value.shape == np.shape(by_hand[number.symbol])
    order = [number.symbol for number in explained.numbers]
    assert order.index("z1") < order.index("a1") < order.index("z2") < order.index("loss")
    assert order.index("loss") < order.index("dz2") < order.index("dW2") < order.index("da1")


def test_the_step_is_the_one_of_training(population):
    X, Y = sb.xor.data()
    explained = sb.explain(population, X, Y)
    after = sb.train(sb.xor.recipe(epochs=1), X, Y, seeds=[0], start=population.theta[:1])
    for number, (W, b) in enumerate(after.network.views(after.theta), 1):
        np.testing.assert_array_equal(explained[f"W{number} new"], W[0])
        np.testing.assert_array_equal(explained[f"b{number} new"], b[0])


def test_formulas_come_from_the_source(population):
    X, Y = sb.xor.data()
    formulas = {n.symbol: n.formula for n in sb.explain(population, X, Y).numbers}
    assert formulas["z2"] == "a1 @ W2 + b2"
    assert formulas["a1"] == "1 / (1 + np.exp(-z1))"
    assert formulas["da2"] == "(2 * (a2 - t)) / 4"
    assert formulas["dz1"] == "da1 * (a1 * (1 - a1))"
    assert formulas["l"] == "d * d"
    assert formulas["W1 new"] == "W1 - lr * dW1"


def test_the_text_equals_the_golden_file(population):
    text = str(sb.explain(population, *sb.xor.data(), member=1))
    assert text + "\n" == GOLDEN.read_text(encoding="utf-8")


def test_one_row_and_the_markdown_and_html_forms(population):
    X, Y = sb.xor.data()
    one = sb.explain(population, X, Y, row=2)
    np.testing.assert_array_equal(one["x"], X[2:3])
    assert "on row 2" in one.title
    markdown, page = one.markdown(), one._repr_html_()
    for number in one.numbers:
        assert f"**{number.symbol}** = `{number.formula}`" in markdown
    rows = [row for row in ElementTree.fromstring(page).iter("tr") if row.find("td") is not None]
    for row, number in zip(rows, one.numbers, strict=True):
        symbol, formula, shape, lines = ("".join(cell.itertext()) for cell in row)
        assert (symbol, formula) == (number.symbol, number.formula)
        assert shape == ("×".join(map(str, number.value.shape)) or "a number")
        seen = np.array([line.split() for line in lines.split("\n")], dtype=float)
        np.testing.assert_allclose(seen, np.atleast_2d(number.value), rtol=1e-5, atol=1e-12)
    with pytest.raises(KeyError, match="'z9' is not one of x, t"):
        one["z9"]


def test_classes_penalties_and_truncated_arrays():
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(20, 9)), random.integers(0, 3, 20)
    network = sb.Network(9, [sb.Dense(10, sb.mish), sb.Dense(3)])
    recipe = sb.Recipe(network=network, loss=sb.cross_entropy, epochs=2, l2=0.1)
    population = sb.train(recipe, X, Y, seeds=[4])
    explained = sb.explain(population, X, Y)
    value, gradient = sb.value_and_grad(recipe, population.theta.astype(np.float64), X, Y)
    (W1, b1), _ = network.views(gradient)
    np.testing.assert_allclose(explained["gW1"], W1[0])
    np.testing.assert_allclose(explained["db1"], b1[0])
    assert float(explained["objective"]) == pytest.approx(value[0])
    assert float(explained["loss"] + explained["penalty"]) == float(explained["objective"])
    p = np.exp(explained["y"])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    text = str(explained)
    assert "… 8 more rows" in text
    assert "… 2 more" in text
    assert "AdamW" not in text
    assert "mW1 = beta1 * m0 + (1 - beta1) * gW1" in text
    assert "W1 new = W1 - lr * c / (1 - beta1 ** k) * mW1 / (np.sqrt(vW1) + epsilon * c)" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"member": 2}, "member must be from 0 to 1, not 2"),
        ({"row": 4}, "row must be from 0 to 3, not 4"),
        ({"row": -1}, "row must be a whole number of at least 0"),
        ({"member": "a"}, "member must be a whole number"),
    ],
)
def test_members_and_rows_out_of_range_are_refused(population, options, words):
    with pytest.raises(sb.SettingError, match=words):
        sb.explain(population, *sb.xor.data(), **options)


GIVEN_SYMBOLS = re.compile(
    r"x|t|[Wb]\d+|smoothing|l1|l2|rate|factor|lr|k|weight_decay|clip_norm|momentum|rho|beta1|beta2|"
    r"epsilon|shrink_by|grow_by|smallest|largest|(m|v|previous|size)0"
)


def evaluate_formulas(explained):
    """Check every formula on the numbers above it; return the symbols whose formula is words."""
    values, words = {"np": np}, []
    for number in explained.numbers:
        name = number.symbol.replace(" ", "_")
        formula = number.formula.replace(" new", "_new")
        if GIVEN_SYMBOLS.fullmatch(number.symbol) and formula not in ("rate * factor", "lr"):
            words.append(number.symbol)
        else:
            result = np.asarray(eval(formula, dict(values)))
            assert result.shape == number.value.shape, (number.symbol, formula)
            np.testing.assert_allclose(
                result, number.value, rtol=1e-10, atol=0, err_msg=f"{number.symbol} = {formula}"
            )
        assert name not in values, f"{name} is shown twice"
        values[name] = number.value
    return words


def explained_step(activation, loss, outputs=2, **settings):
    random = np.random.default_rng(5)
    X = 2 * random.normal(size=(6, 4))
    Y = random.integers(0, 2, size=(6, outputs)).astype(float)
    if loss.targets == "classes":
        Y = random.integers(0, outputs, size=6)
    elif loss.targets == "number":
        Y += random.normal(size=Y.shape)
    layers = [sb.Dense(5, activation), sb.Dense(3, activation), sb.Dense(outputs)]
    recipe = sb.Recipe(network=sb.Network(4, layers), loss=loss, epochs=1, **settings)
    return sb.explain(sb.train(recipe, X, Y, seeds=[3]), X, Y)


def formula_of(table, name, **options):
    formula = table[name]
    return formula if hasattr(formula, "name") else formula(**options)


OPTIONS = {
    "leaky_relu": {"slope": 0.125}, "elu": {"alpha": 1.5}, "huber": {"delta": 0.75},
    "quantile": {"q": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(activations.BY_NAME))
def test_formulas_of_every_activation_evaluate_to_its_numbers(name):
    activation = formula_of(activations.BY_NAME, name, **OPTIONS.get(name, {}))
    explained = explained_step(activation, sb.squared_error)
    words = evaluate_formulas(explained)
    assert words == ["x", "t", "W1", "b1", "W2", "b2", "W3", "b3", "lr", "beta1", "beta2",
                     "epsilon", "k", "m0", "v0"]  # fmt: skip


@pytest.mark.parametrize("name", sorted(losses.BY_NAME))
@pytest.mark.parametrize("outputs", [1, 3])
def test_formulas_of_every_loss_evaluate_to_its_numbers(name, outputs):
    loss = formula_of(losses.BY_NAME, name, **OPTIONS.get(name, {}))
    if name == "cross_entropy":
        outputs += 1
    evaluate_formulas(explained_step(sb.tanh, loss, outputs))


def test_each_line_of_a_formula_has_its_own_symbol():
    formulas = {n.symbol: n.formula for n in explained_step(sb.gelu, sb.huber(0.5)).numbers}
    assert formulas["d"] == "np.maximum(a3 - t, t - a3)"
    assert formulas["m"] == "np.minimum(d, 0.5)"
    assert formulas["l"] == "m * (d - 0.5 * m)"
    assert formulas["z2_"] == "np.minimum(np.maximum(z2, -1000.0), 1000.0)"
    assert formulas["u2"].startswith("np.tanh(0.79788")
    assert formulas["dz2"].startswith("da2 * (0.5 * (1 + u2) + 0.5 * z2_ * (1 - u2 * u2)")
    formulas = {
        n.symbol: n.formula for n in explained_step(sb.mish, sb.binary_cross_entropy).numbers
    }
    softplus = "np.maximum(a3, 0) + np.log1p(np.exp(np.minimum(a3, -a3)))"
    assert formulas["e1"] == "np.exp(np.minimum(z1, 20))"
    assert formulas["n1"] == "e1 * (e1 + 2)"
    assert formulas["a1"] == "z1 * (n1 / (n1 + 2))"
    assert formulas["l"] == f"{softplus} - t * a3"
    assert formulas["da3"] == "(1 / (1 + np.exp(-a3)) - t) / 12"


@pytest.mark.parametrize(("loss", "classes"), [(sb.cross_entropy, 3), (sb.binary_cross_entropy, 2)])
def test_smoothed_targets_have_their_own_symbol(loss, classes):
    explained = explained_step(sb.tanh, loss.smoothed(0.2), 3)
    assert "smoothing" in evaluate_formulas(explained)
    assert set(np.unique(explained["t"])) <= {0.0, 1.0}
    np.testing.assert_allclose(explained["t_smooth"], 0.8 * explained["t"] + 0.2 / classes)
    formulas = {n.symbol: n.formula for n in explained.numbers}
    for symbol in ("l", "da3"):
        assert "t_smooth" in formulas[symbol]
        assert not re.search(r"\bt\b", formulas[symbol])


def sgd(w, g, lr, f):
    return w - lr * g, {}


def sgd_momentum(w, g, lr, f):
    return w - lr * g, {"v": g}


def sgd_nesterov(w, g, lr, f):
    return w - lr * (g + f("momentum") * g), {"v": g}


def rmsprop(w, g, lr, f):
    v = (1 - f("rho")) * g**2
    return w - lr * g / (np.sqrt(v) + f("epsilon")), {"v": v}


def adam(w, g, lr, f):
    m, v = (1 - f("beta1")) * g, (1 - f("beta2")) * g**2
    k = f("k")
    m_hat, v_hat = m / (1 - f("beta1") ** k), v / (1 - f("beta2") ** k)
    return w - lr * m_hat / (np.sqrt(v_hat) + f("epsilon")), {"m": m, "v": v}


def rprop(w, g, lr, f):
    size = np.full_like(w, min(max(lr, f("smallest")), f("largest")))
    return w - size * np.sign(g), {"previous": g, "size": size}


RULES = [
    (sb.SGD(0.1), sgd),
    (sb.SGD(0.1, momentum=0.9), sgd_momentum),
    (sb.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.2), sgd_nesterov),
    (sb.RMSprop(0.02), rmsprop),
    (sb.Adam(0.02), adam),
    (sb.AdamW(0.02, weight_decay=0.3), adam),
    (sb.Rprop(0.03), rprop),
]


@pytest.mark.parametrize("clip_norm", [None, 0.05, 1e6])
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.1, 0.0), (0.2, 0.3)])
@pytest.mark.parametrize(("optimizer", "rule"), RULES)
def test_every_number_of_the_update_equals_the_one_by_hand(optimizer, rule, l1, l2, clip_norm):
    schedule = sb.constant if rule is rprop else sb.one_cycle(start=0.25)
    explained = explained_step(
        sb.silu, sb.squared_error, 2,
        optimizer=optimizer, l1=l1, l2=l2, clip_norm=clip_norm, schedule=schedule,
    )  # fmt: skip
    evaluate_formulas(explained)
    symbols = {number.symbol for number in explained.numbers}
    factor = 1 if rule is rprop else 0.25
    assert float(explained["lr"]) == pytest.approx(optimizer.lr * factor, rel=1e-15)
    assert ("rate" in symbols) == ("factor" in symbols) == (rule is not rprop)
    assert ("k" in symbols) == (rule is adam)
    assert ("penalty" in symbols) == ("objective" in symbols) == bool(l1 or l2)
    assert ("clip" in symbols) == ("norm" in symbols) == (clip_norm is not None)
    blocks = ("W1", "b1", "W2", "b2", "W3", "b3")
    by_hand = {}
    total = 0.0
    for block in blocks:
        by_hand[block] = explained[f"d{block}"]
        if block[0] == "W":
            by_hand[block] = by_hand[block] + l1 * np.sign(explained[block]) + l2 * explained[block]
            total += (l1 * np.abs(explained[block]) + l2 / 2 * explained[block] ** 2).sum()
    if l1 or l2:
        assert float(explained["penalty"]) == pytest.approx(total, rel=1e-12)
    if clip_norm is not None:
        norm = math.sqrt(sum((g**2).sum() for g in by_hand.values()))
        assert float(explained["norm"]) == pytest.approx(norm, rel=1e-12)
        assert float(explained["clip"]) == pytest.approx(min(1, clip_norm / norm), rel=1e-12)
        by_hand = {block: g * min(1, clip_norm / norm) for block, g in by_hand.items()}
    for block in blocks:
        g = explained[f"g{block}"] if f"g{block}" in symbols else explained[f"d{block}"]
        np.testing.assert_allclose(g, by_hand[block], rtol=1e-12, atol=0)
        w = explained[block]
        if optimizer.weight_decay and block[0] == "W":
            w = w - explained["lr"] * optimizer.weight_decay * w
            np.testing.assert_allclose(explained[f"{block}_decayed"], w, rtol=1e-12)
        new, state = rule(w, g, float(explained["lr"]), lambda name: float(explained[name]))
        np.testing.assert_allclose(explained[f"{block} new"], new, rtol=1e-10, atol=1e-13)
        for name, value in state.items():
            np.testing.assert_allclose(explained[f"{name}{block}"], value, rtol=1e-12, atol=0)


def test_parameters_updated_in_pieces_are_concatenated(monkeypatch):
    settings = {"optimizer": sb.Adam(0.02), "l2": 0.1, "clip_norm": 0.1}
    whole = explained_step(sb.tanh, sb.squared_error, **settings)
    monkeypatch.setattr(objective, "CHUNK_SIZE", 5)
    pieces = explained_step(sb.tanh, sb.squared_error, **settings)
    assert str(whole) == str(pieces)


SCALE = 2.0


def twice(z, by=SCALE):
    doubled = by * z  # not shown
    return doubled + 0.5 * doubled


def own(z):
    """Call a helper that has a variable of its own."""
    d = twice(z)
    d = np.tanh(d)
    return d * d


def own_d(z, a):
    return 2.0 * (1 - a**2)


def looped(z):
    for _ in range(2):
        z = z / 2
    return z


def uncertain(z):
    return z + next(COUNTER)


COUNTER = iter(float(number) for number in range(1000))


@dataclass
class Halved:
    half: float = 0.5

    def __call__(self, z):
        return self.half * z


HALVED = Halved()


def halved(z):
    return HALVED(z)


def half(z, a):
    return np.full_like(z, 0.5)


@dataclass
class Formula:
    """A user's function, its derivative, and the formulas shown of the first layer."""

    f: Callable
    df: Callable
    a1: str
    dz1: str


FORMULAS = [
    Formula(own, own_d, "d1 * d1", "da1 * (2.0 * (1 - a1 ** 2))"),
    Formula(lambda z: z * SCALE, lambda z, a: 2 + 0 * z, "z1 * 2.0", "da1 * (2 + 0 * z1)"),
    Formula(np.tanh, lambda z, a: 1 - a * a, "np.tanh(z1)", "da1 * (1 - a1 * a1)"),
    Formula(looped, half, "looped(z1)", "da1 * np.full_like(z1, 0.5)"),
    Formula(halved, half, "halved(z1)", "da1 * np.full_like(z1, 0.5)"),
    Formula(HALVED, half, "mine(z1)", "da1 * np.full_like(z1, 0.5)"),
    Formula(uncertain, own_d, "uncertain(z1)", "da1 * (2.0 * (1 - a1 ** 2))"),
    Formula(eval("lambda z: z"), eval("lambda z, a: z / z"), "mine(z1)", "da1 * mine_d(z1, a1)"),
]  # fmt: skip


@pytest.mark.parametrize("given", FORMULAS)
def test_a_users_activation_is_shown_or_named(given):
    explained = explained_step(
        sb.Activation("mine", given.f, given.df, surrogate=True), sb.squared_error
    )
    formulas = {n.symbol: n.formula for n in explained.numbers}
    assert formulas["dz1"] == given.dz1
    assert formulas["a1"] == given.a1
    if given.f is own:
        evaluate_formulas(explained)
        assert formulas["doubled1"] == "2.0 * z1"
        assert formulas["d1_"] == "doubled1 + 0.5 * doubled1"
        assert formulas["d1"] == "np.tanh(d1_)"


def test_variables_of_a_losss_two_functions_are_shared_if_equal():
    def f(y, t):
        d = y - t
        k = 3 * d
        return d * k

    def same(y, t):
        d = y - t
        return 6 * d + 0 * d

    def another(y, t):
        d = 2 * (y - t)
        return d + d + d

    for df, names in ((same, ["d", "k_"]), (another, ["d", "k_", "d_"])):
        explained = explained_step(sb.tanh, sb.Loss("mine", f, df, predict=lambda y: y))
        evaluate_formulas(explained)
        symbols = [number.symbol for number in explained.numbers]
        assert [symbol for symbol in symbols if symbol in ("d", "k_", "d_")] == names


@dataclass(frozen=True)
class Heavy(sb.Optimizer):
    """Momentum that starts from the parameters."""

    plain: bool = True

    @property
    def rule(self):
        return heavy if self.plain else heavy_with_branches

    def init(self, theta, lr):
        return [theta.copy(), np.ones_like(theta)]


def heavy(w, g, k, lr, v, n):
    return w - lr * (g + 0.1 * v), 0.1 * v + g, n + k


def heavy_with_branches(w, g, k, lr, v, n):
    if k > 0:
        return heavy(w, g, k, lr, v, n)
    return w, v, n


def test_a_users_optimizer_is_shown_or_named():
    explained = explained_step(sb.tanh, sb.squared_error, optimizer=Heavy(lr=0.1))
    np.testing.assert_array_equal(explained["v0_W2"], explained["W2"])
    formulas = {n.symbol: n.formula for n in explained.numbers}
    assert formulas["vW2"] == "0.1 * v0_W2 + dW2"
    assert formulas["nW2"] == "n0 + k"
    assert formulas["W2 new"] == "W2 - lr * (dW2 + 0.1 * v0_W2)"
    named = explained_step(sb.tanh, sb.squared_error, optimizer=Heavy(lr=0.1, plain=False))
    formulas = {n.symbol: n.formula for n in named.numbers}
    assert formulas["W2 new"] == "heavy_with_branches(W2, dW2, k, lr, v0_W2, n0)"
    np.testing.assert_array_equal(named["W2 new"], explained["W2 new"])
