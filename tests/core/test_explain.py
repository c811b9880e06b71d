"""explain: every number of the tutorial's first step, by hand, and its text as it is kept."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import seedbed as sb

KEPT = Path(__file__).parent / "golden" / "explain.txt"


@pytest.fixture(scope="module")
def population():
    X, Y = sb.xor.data()
    return sb.xor.recipe(epochs=1).train(X, Y, seeds=[0, 1])


def test_every_number_agrees_with_a_calculation_by_hand(population):
    X, Y = sb.xor.data()
    found = sb.explain(population, X, Y, member=1)
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
        "a2": a2, "l": (a2 - Y) ** 2, "loss": ((a2 - Y) ** 2).mean(), "da2": da2, "dz2": dz2,
        "dW2": a1.T @ dz2, "db2": dz2.sum(axis=0, keepdims=True), "da1": da1, "dz1": dz1,
        "dW1": X.T @ dz1, "db1": dz1.sum(axis=0, keepdims=True),
        "W1 new": W1 - X.T @ dz1, "b1 new": b1 - dz1.sum(axis=0), "W2 new": W2 - a1.T @ dz2,
        "b2 new": b2 - dz2.sum(axis=0), "W1 change": -X.T @ dz1, "W2 change": -a1.T @ dz2,
        "b1 change": -dz1.sum(axis=0)[None], "b2 change": -dz2.sum(axis=0)[None],
    }  # fmt: skip
    assert {number.symbol for number in found.numbers} == set(by_hand)
    for number in found.numbers:
        np.testing.assert_allclose(
            number.value, by_hand[number.symbol], rtol=1e-12, atol=1e-15, err_msg=number.symbol
        )
        assert number.value.shape == np.shape(by_hand[number.symbol])
    order = [number.symbol for number in found.numbers]
    assert order.index("z1") < order.index("a1") < order.index("z2") < order.index("loss")
    assert order.index("loss") < order.index("dz2") < order.index("dW2") < order.index("da1")


def test_the_step_is_the_one_that_training_takes(population):
    X, Y = sb.xor.data()
    found = sb.explain(population, X, Y)
    after = sb.xor.recipe(epochs=1).train(X, Y, seeds=[0], start=population.theta[:1])
    for number, (W, b) in enumerate(after.network.views(after.theta), 1):
        np.testing.assert_array_equal(found[f"W{number} new"], W[0])
        np.testing.assert_array_equal(found[f"b{number} new"], b[0])


def test_formulas_are_the_sources_own(population):
    X, Y = sb.xor.data()
    formulas = {n.symbol: n.formula for n in sb.explain(population, X, Y).numbers}
    assert formulas["z2"] == "a1 @ W2 + b2"
    assert formulas["a1"] == "1 / (1 + np.exp(-z1))"
    assert formulas["da2"] == "(2 * (a2 - t)) / 4"
    assert formulas["dz1"] == "da1 * (a1 * (1 - a1))"
    assert formulas["W1 new"] == "SGD: w <- w - lr g"


def test_the_text_is_as_it_is_kept(population):
    text = str(sb.explain(population, *sb.xor.data(), member=1))
    assert text + "\n" == KEPT.read_text(encoding="utf-8")


def test_a_row_alone_and_other_forms(population):
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
    with pytest.raises(KeyError, match="'z9' is none of x, t"):
        one["z9"]


def test_classes_penalties_and_long_arrays():
    random = np.random.default_rng(0)
    X, Y = random.normal(size=(20, 9)), random.integers(0, 3, 20)
    network = sb.Network(9, [sb.Dense(10, sb.mish), sb.Dense(3)])
    recipe = sb.Recipe(network=network, loss=sb.cross_entropy, epochs=2, l2=0.1)
    population = recipe.train(X, Y, seeds=[4])
    found = sb.explain(population, X, Y)
    value, gradient = recipe.value_and_grad(population.theta.astype(np.float64), X, Y)
    (W1, b1), _ = network.views(gradient)
    np.testing.assert_allclose(found["dW1'"], W1[0])
    np.testing.assert_allclose(found["db1"], b1[0])
    assert float(found["loss"] + found["penalty"]) == pytest.approx(value[0])
    p = np.exp(found["y"])
    np.testing.assert_allclose(p.sum(axis=1), 1)
    text = str(found)
    assert "… 8 rows more" in text
    assert "… 2 more" in text
    assert "AdamW" not in text
    assert "Adam: m <- β1 m" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"member": 2}, "member 2: there are 2, from 0 to 1"),
        ({"row": 4}, "row 4: there are 4, from 0 to 3"),
        ({"row": -1}, "row must be a whole number of at least 0"),
        ({"member": "a"}, "member must be a whole number"),
    ],
)
def test_members_and_rows_that_are_not_there(population, options, words):
    with pytest.raises(sb.SettingError, match=words):
        sb.explain(population, *sb.xor.data(), **options)
