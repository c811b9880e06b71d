"""Results as HTML: well-formed, escaped, in one style; and their short reprs."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

import seedbed as sb
from seedbed import html

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = X[:, 0] * X[:, 1]
NETWORK = sb.Network(2, [sb.Dense(3, sb.leaky_relu(0.1)), sb.Dense(1)])
RECIPE = sb.Recipe(
    network=NETWORK, loss=sb.squared_error, epochs=12, schedule=sb.cosine(), validation=0.3,
    engine="numpy",
)  # fmt: skip


@pytest.fixture(scope="module")
def population():
    rates = sb.SGD([0.01] * 5 + [0.02] * 5)
    return sb.train(replace(RECIPE, optimizer=rates), X, Y, seeds=range(10))


def texts(page):
    """Return the page's texts by tag; the page must be well-formed."""
    root = ElementTree.fromstring(f"<body>{page}</body>")
    found = {}
    for each in root.iter():
        if each.tag != "style":
            found.setdefault(each.tag, []).append("".join(each.itertext()))
    return found


def rows(page):
    root = ElementTree.fromstring(f"<body>{page}</body>")
    return [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]


def test_texts_are_escaped():
    bad = "<script>&\"'"
    page = html.block(
        html.heading(bad, bad, good=True), html.paragraph(bad, note=True), html.items([bad]),
        html.facts([(bad, bad)]), html.table([bad], [[bad]], more=bad), html.note(bad),
        html.groups([(bad, [[html.code(bad), html.lines([bad, bad])]])], 2),
        html.curve(*np.ones((3, 4)), bad), html.progress(0.5, bad),
    )  # fmt: skip
    assert "<script" not in page
    assert sum(words.count(bad) for words in texts(page)["body"]) == 16
    document = html.document(bad, page)
    assert "<script" not in document
    assert document.startswith("<!doctype html>")


def test_the_style_is_scoped_and_has_every_theme():
    rules = re.sub(r"@media[^{]*\{(.*?\})\s*\}", r"\1", html.STYLE, flags=re.DOTALL)
    rules = re.sub(r"</?style>", "", rules)
    for selectors in re.findall(r"([^{}]+)\{", rules):
        for selector in re.sub(r"\([^)]*\)", "", selectors).split(","):
            assert ".seedbed" in selector, selector
    for theme in ("prefers-color-scheme: dark", 'data-jp-theme-light="false"', ".vscode-dark"):
        assert theme in html.STYLE
    used = set(re.findall(r"var\((--\w+)\)", html.STYLE))
    for colours in (html._LIGHT, html._DARK):
        assert used <= set(re.findall(r"(--\w+):", colours))


def test_a_population(population):
    page = population._repr_html_()
    shown = rows(page)
    assert shown[3] == ["member", "seed", "lr", "status", "epochs", "training loss"]
    assert shown[4][:5] == ["0", "0", "0.01", "finished", "12"]
    assert shown[-1] == ["… 2 more"]
    assert float(shown[4][-1]) == pytest.approx(population.loss[0], rel=1e-3)
    assert "quartiles" in shown[1][1]
    assert len(texts(page)["svg"]) == 1


def test_a_history(population):
    history = population.history
    shown = rows(history._repr_html_())
    assert shown[0] == ["epoch", "training loss, median", "quartiles", "validation loss, median",
                        "quartiles"]  # fmt: skip
    assert [row[0] for row in shown[1:]] == ["1", "3", "5", "8", "10", "12"]
    assert float(shown[-1][1]) == pytest.approx(np.median(history.train_loss[:, -1]), rel=1e-3)
    text = repr(history)
    first, last = np.median(history.val_loss[:, [0, -1]], axis=0)
    assert "<History of 10 members, 12 recorded epochs; median loss: training " in text
    assert f"validation {first:.4g} to {last:.4g}>" in text


def test_histories_without_numbers():
    none = sb.train(replace(RECIPE, epochs=0), X, Y).history
    assert repr(none) == "<History of 1 member, 0 recorded epochs>"
    assert "<svg" not in none._repr_html_()
    with pytest.warns(sb.DivergenceWarning):
        diverged = sb.train(replace(RECIPE, optimizer=sb.SGD(1e30)), X, Y, seeds=range(3))
    assert "all diverged" in diverged._repr_html_()
    assert "<History of 3 members" in repr(diverged.history)


def test_a_network_and_a_recipe(population):
    assert repr(NETWORK) == "<Network 2-3-1 (leaky_relu, identity): 13 parameters>"
    assert rows(NETWORK._repr_html_())[1:] == [
        ["1", "Dense", "3", "leaky_relu", "9"], ["2", "Dense", "1", "identity", "4"]
    ]  # fmt: skip
    assert repr(RECIPE) == (
        "<Recipe 2-3-1 (leaky_relu, identity); squared_error; Adam(lr=0.001); epochs 12, schedule "
        "cosine(warmup=0.0, floor=0.0), validation 0.3, engine numpy>"
    )
    shown = dict(rows(population.recipe._repr_html_()))
    assert shown["optimizer"] == "SGD(lr=10 values from 0.01 to 0.02)"
    assert "batch_size" not in shown


def test_recipes_are_identical_only_if_they_train_identically():
    assert RECIPE.identity == replace(RECIPE).identity
    changes = [
        {"optimizer": sb.Adam(0.002)}, {"optimizer": sb.Adam(epsilon=1e-7)}, {"l1": 0.1},
        {"dropout": 0.1}, {"clip_norm": 1.0}, {"epochs": 13}, {"optimizer": sb.SGD(0.001)},
        {"optimizer": sb.Adam(weight_decay=0.1)}, {"loss": sb.huber(1.0)},
        {"network": sb.Network(2, [sb.Dense(3, sb.leaky_relu(0.2)), sb.Dense(1)])},
    ]  # fmt: skip
    identities = {replace(RECIPE, **change).identity for change in changes} | {RECIPE.identity}
    assert len(identities) == len(changes) + 1


def test_a_gradient_report():
    right = sb.check_gradient(RECIPE, None, X, Y)
    wrong = sb.check_gradient(sb.xor.published_gradient, sb.xor.published_start(), *sb.xor.data())
    assert repr(right) == "<GradientReport of 4 blocks: the gradient is the loss's derivative>"
    assert repr(wrong) == "<GradientReport of 4 blocks: 3 mistakes named>"
    page = wrong._repr_html_()
    assert texts(page)["li"] == [str(mistake) for mistake in wrong.mistakes]
    assert [row[0] for row in rows(page)] == ["block", *(block.name for block in wrong.blocks)]
    assert 'class="sb-bad"' in page
    assert 'class="sb-good"' in right._repr_html_()


def test_comparison_and_explanation(population):
    found = sb.judge(
        {"<a>": RNG.normal(size=9), "b": RNG.normal(size=9)}, higher_is_better=True, design="fixed"
    )
    assert texts(found._repr_html_())["li"] == found.sentences
    explanation = sb.explain(population, X, Y)
    assert repr(explanation).startswith("<Explanation: One step of seed 0, 2-3-1")
    assert len(repr(explanation)) < 120
    assert len(texts(explanation.html())["pre"]) == len(explanation.numbers)
