"""``seedbed check``, ``explain`` and ``diagnose``: output, exit status and errors."""

import json

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed import files, html


@pytest.fixture
def csv(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=80)
    pl.DataFrame(
        {"x": x, "c": random.choice(["u", "v", "w"], 80), "y": np.where(x > 0, "yes", "no"),
         "size": 3 * x + 1}
    ).write_csv(tmp_path / "t.csv")  # fmt: skip
    return tmp_path / "t.csv"


def test_published_tutorial_has_three_faults(run):
    status, out, err = run("check", "--as-published")
    assert (status, err) == (1, "")
    assert "W1, W2, b1, b2: σ′ is applied to the activation" in out
    assert "b1: the bias's gradient is taken over the units (axis 1)" in out
    assert "b2: the bias's gradient is a mean over the rows" in out
    assert out.endswith("3 mistakes named\n")
    status, out, _ = run("check", "--as-published", "--json")
    result = json.loads(out)
    assert status == 1
    assert [mistake["blocks"] for mistake in result["mistakes"]] == [
        ["W1", "W2", "b1", "b2"], ["b1"], ["b2"]
    ]  # fmt: skip
    assert not result["agrees"]


@pytest.mark.parametrize("target", ["y", "size"])
def test_recipe_gradient_is_correct(run, csv, target):
    status, out, err = run(
        "check", csv, "--target", target, "--hidden", "5,4", "--activation", "tanh", "--rows", 30
    )
    assert (status, err) == (0, "")
    assert "network's gradient on 30 rows of" in out
    assert out.count("agrees") == 7  # W and b of three layers, and u of the first
    assert out.endswith("the gradient is the loss's derivative\n")


def test_model_file_is_checked_at_its_parameters(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    words = ("--hidden", "4", "--epochs", 5, "--members", 2, "--out", model)
    assert run("train", csv, "--target", "size", *words)[0] == 0
    status, out, _ = run("check", csv, "--model", model, "--json")
    result = json.loads(out)
    assert (status, result["agrees"]) == (0, True)
    population = files.read(model).population
    assert [block["shape"] for block in result["blocks"]] == [
        list(view.shape[1:])
        for layer in population.network.views(population.theta)
        for view in layer
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a table's FILE with --target or --model, or --as-published"),
        (["{csv}", "--as-published"], "leave FILE out"),
        (["{csv}"], "--target is missing: name the column to predict, or give --model"),
        (["{csv}", "--target", "yy"], "has no target column 'yy'; did you mean 'y'"),
        (["{csv}", "--model", "nothing.safetensors"], "cannot read nothing.safetensors"),
        (["{csv}", "--target", "y", "--rows", "0"], "expected a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_line(run, csv, words, message):
    status, out, err = run("check", *(word.format(csv=csv) for word in words))
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_model_without_a_table_encoding_is_refused(run, csv, tmp_path):
    X, Y = sb.xor.data()
    sb.save(tmp_path / "xor.safetensors", sb.train(sb.xor.recipe(epochs=2), X, Y))
    status, _, err = run("check", csv, "--model", tmp_path / "xor.safetensors")
    assert status == 2
    assert "holds a population and no table" in err


def test_explain_shows_the_tutorials_step(run):
    status, out, err = run("explain")
    assert (status, err) == (0, "")
    X, Y = sb.xor.data()
    population = sb.train(sb.xor.recipe(epochs=1), X, Y, seeds=[1])
    assert out == f"{sb.explain(population, X, Y)}\n"
    result = json.loads(run("explain", "--json")[1])
    assert [number["symbol"] for number in result["numbers"]][:4] == ["x", "t", "W1", "b1"]
    assert result["numbers"][2]["shape"] == [3, 4]
    assert run("explain", "--format", "markdown")[1].startswith("# One step of seed 1")
    page = run("explain", "--format", "html", "--row", 1)[1]
    assert page.startswith("<!doctype html>")
    assert html.STYLE in page
    assert page.rstrip().endswith("</html>")


def test_explain_shows_a_model_files_step(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    words = ("--hidden", "4", "--epochs", 5, "--members", 2, "--out", model)
    assert run("train", csv, "--target", "size", *words)[0] == 0
    status, out, _ = run("explain", model, csv, "--member", 1, "--row", 9)
    assert status == 0
    assert f"One step of seed {sb.load(model).population_.seeds[1]}" in out
    assert "x = the inputs: x, " in out
    assert "on row 9" in out
    for given, message in (
        ([model], "a model needs FILE too"),
        ([model, csv, "--member", 2], "member must be from 0 to 1, not 2"),
        ([model, csv, "--row", 80], "row must be from 0 to 79, not 80"),
    ):
        status, out, err = run("explain", *given)
        assert (status, out) == (2, "")
        assert message in err


def test_diagnose_prints_findings_and_draws_them(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    words = ("--hidden", "6", "--members", 2, "--out", model, "--activation", "relu")
    words += ("--epochs", 200, "--lr", 0.02, "--codes", "bins")
    assert run("train", csv, "--target", "size", *words)[0] == 0
    status, out, err = run("diagnose", model, csv)
    assert (status, err) == (0, "")
    assert out.startswith("found nothing wrong with the 2 members on ")
    saved = files.read(model)
    population, table = saved.population, saved.table
    population.network.views(population.theta)[0].b[...] = -99
    files.save(model, population, table)
    status, out, _ = run("diagnose", model, csv)
    assert status == 1
    assert out.startswith("dead units: 100% of the units of hidden layer 1 are dead")
    result = json.loads(run("diagnose", model, csv, "--json")[1])
    assert [finding["kind"] for finding in result["findings"]] == ["dead units"]
    assert result["findings"][0]["seeds"] == population.seeds.tolist()
    picture = tmp_path / "d.svg"
    assert run("diagnose", model, csv, "--plot", picture)[0] == 1
    assert f"seed {population.seeds[0]}" in picture.read_text(encoding="utf-8").replace("<!-- ", "")
    assert run("diagnose", model, csv, "--plot", tmp_path / "d.txt")[0] == 2
    status, out, err = run("diagnose", model, "nothing.csv")
    assert (status, out) == (2, "")
    assert "cannot read nothing.csv" in err


def test_options_without_effect_are_refused(run, csv, tmp_path):
    for words, option in (
        (("--as-published", "--target", "y"), "--target"),
        (("--as-published", "--lr", 0.5), "--lr"),
        (("--as-published", "--rows", 3), "--rows"),
        ((csv, "--model", tmp_path / "m.safetensors", "--hidden", "5"), "--hidden"),
    ):
        status, out, err = run("check", *words)
        assert (status, out) == (2, "")
        assert f"{option} has no effect with" in err
    status, out, err = run("explain", "--rows", 2)
    assert (status, out) == (2, "")
    assert "--rows has no effect on the tutorial's four rows" in err
