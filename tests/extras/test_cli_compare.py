"""``seedbed compare``, and the picture of a comparison."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed import plots
from seedbed.cli import main
from seedbed.comparing.problem import problem_of
from seedbed.comparing.runs import Runs
from seedbed.engines import compiled
from seedbed.engines.state import Stop

RNG = np.random.default_rng(0)


@pytest.fixture
def houses(tmp_path, monkeypatch):
    """Write a table of 90 houses to the working directory."""
    monkeypatch.chdir(tmp_path)
    size, town = RNG.uniform(40, 200, 90), RNG.choice(["Ulm", "Bonn"], 90)
    price = 3000 * size + 50_000 * (town == "Bonn") + 9000 * RNG.normal(size=90)
    frame = pl.DataFrame(
        {"size": size, "town": town, "price": price, "dear": np.where(price > 4e5, "yes", "no")}
    )
    frame.write_csv("houses.csv")
    return "houses.csv"


SMALL = ["--epochs", "20", "--hidden", "8"]


def run(*arguments):
    return main(["compare", *arguments])


def test_better_setting_is_named(houses, capsys):
    assert run(houses, "--target", "price", "--vary", "lr=0.05,0.00001", *SMALL) == 0
    out, err = capsys.readouterr()
    assert "On this data set, the typical gain of lr=0.05 over lr=0.00001 is " in out
    assert ": better; won 8 of 8 paired runs; none collapsed" in out
    assert "RMSE, lower is better" in out
    assert err == ""


def test_scores_are_in_the_targets_units(houses, capsys):
    given = [houses, "--target", "price", "--vary", "lr=0.05,0.00001", "--json", *SMALL]
    assert run(*given, "--metric", "mae") == 0
    words = json.loads(capsys.readouterr().out)
    assert words["metric"] == "MAE"
    assert 5_000 < np.median(words["methods"][0]["scores"]) < 60_000
    assert words["pairs"][0]["better"] == "lr=0.05"
    assert words["rows"] == {"train": 68, "test": 22}


def test_all_combinations_against_a_baseline(houses, capsys):
    given = [houses, "--target", "dear", "--vary", "lr=0.01,0.001", "--vary", "hidden=4,8x8"]
    assert run(*given, "--epochs", "5", "--seeds", "7", "--baseline", "lr=0.01 hidden=4") == 0
    out = capsys.readouterr().out
    assert out.count("the typical gain of ") == 3
    assert "lr=0.001 hidden=8x8" in out
    assert "(baseline)" in out
    assert "accuracy, higher is better" in out


def test_other_options_vary(houses, capsys):
    for vary in ("activation=relu,tanh", "optimizer=SGD,Adam", "batch-size=8,16", "dropout=0,0.2"):
        given = [houses, "--target", "dear", "--vary", vary, "--seeds", "6", *SMALL]
        assert run(*given, "--metric", "log-loss", "--drop", "price") == 0
    assert "dropout=0.2" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_picture_is_written(houses, capsys, ending):
    given = [houses, "--target", "price", "--vary", "lr=0.05,0.001", "--seeds", "6", *SMALL]
    assert run(*given, "--plot", f"found.{ending}") == 0
    begin = Path(f"found.{ending}").read_bytes()[:500]
    assert {"png": b"PNG", "svg": b"<svg", "pdf": b"%PDF"}[ending] in begin


def test_picture_shows_scores_and_gains():
    a, b = RNG.normal(size=(2, 12))
    a[3] = np.nan
    found = sb.judge(
        {"a": a, "b": b + 3, "c": b - 1}, higher_is_better=True, design="fixed", delta=0.2
    )
    left, right = plots.comparison(found).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["a", "b", "c"]
    dots = [line for line in left.lines if line.get_marker() in ("o", "s", "^")]
    assert [len(line.get_xdata()) for line in dots] == [11, 12, 12]
    assert [text.get_text() for text in left.texts][:-1] == ["1 failed"]
    assert "b is better" in right.get_yticklabels()[0].get_text()
    diamonds = [line.get_xdata()[0] for line in right.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds, [pair.typical for pair in found.pairs])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["--vary", "lr=0.1"],
            "--vary gives one setting: give at least two values, such as lr=0.001,0.01",
        ),
        (["--vary", "lr=0.1,x"], "expected a number, not 'x'"),
        (["--vary", "rate=1,2"], "expected one of hidden, activation, optimizer, lr, weight-decay"),
        (["--vary", "lr"], "and its values, such as lr=0.001,0.01, not 'lr'"),
        (["--vary", "lr=1,1"], "repeats a value"),
        (["--vary", "lr=.1,.10"], "lr=.1 and lr=.10 are the same recipe"),
        (["--vary", "lr=1,2", "--vary", "lr=3,4"], "--vary lr is given twice"),
        (["--vary", "lr=1,2", "--metric", "auc"], "the methods predict numbers: use rmse, r2, mae"),
        (
            ["--vary", "lr=1,2", "--metric", "best"],
            "expected one of accuracy, balanced_accuracy, log_loss",
        ),
        (
            ["--vary", "lr=1,2", "--metric", "rmse:2"],
            "expected one of accuracy, balanced_accuracy, log_loss",
        ),
        (
            ["--vary", "lr=1,2", "--metric", "pinball:2"],
            "expected a quantile, such as pinball:0.9: invalid q: 2.0",
        ),
        (
            ["--vary", "lr=1,2", "--baseline", "x"],
            "baseline 'x' is not one of the methods: lr=1, lr",
        ),
        (["--vary", "lr=1,2", "--plot", "x.txt"], "--plot x.txt must end in .png, .svg or .pdf"),
        (["--vary", "lr=1,2", "--plot", "no/x.png"], "cannot write no/x.png"),
        (["--vary", "lr=1,2", "--alpha", "0"], "greater than 0"),
        (["--vary", "lr=1,2", "--seeds", "0"], "expected a whole number of at least 1"),
        (["--vary", "lr=1,2", "--seeds", "adaptve"], "a whole number, adaptive or anytime, not"),
        (["--vary", "hidden=0,4"], "expected whole numbers of units"),
        (["--vary", "optimizer=Adam,Best"], "must be one of Adam, AdamW"),
    ],
)
def test_errors_are_one_line(houses, capsys, given, message):
    try:
        status = run(houses, "--target", "price", *given)
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_long_comparisons_are_compiled_if_possible(monkeypatch):
    monkeypatch.setattr(compiled, "START_UP_SECONDS", 0.1)
    x, y = RNG.normal(size=(2, 80, 3))

    def recipe(lr, unit):
        network = sb.Network(3, [sb.Dense(4, unit), sb.Dense(3)])
        return sb.Recipe(
            network=network, loss=sb.squared_error, optimizer=sb.Adam(lr), epochs=300, batch_size=4
        )

    sine = sb.Activation("sine", np.sin, lambda z, a: np.cos(z))
    for unit, engine in ((sb.tanh, "compiled"), (sine, "numpy")):
        methods = {str(lr): recipe(lr, unit) for lr in (0.1, 0.2)}
        problem = problem_of(methods, x, y)
        runs = Runs(methods, problem, sb.metrics.rmse, "resampled", 0.25, False, None)
        assert {r.engine for r in runs.runner.recipes.values()} == {"compiled"}
        assert runs.extend(methods, [0, 1], Stop())
        assert {r.engine for r in runs.runner.recipes.values()} == {engine}
        assert np.isfinite(runs.scores["0.1"]).all()


def test_a_setting_is_asserted_not_to_be_worse(houses, capsys):
    given = [houses, "--target", "price", "--vary", "lr=0.05,0.00001", *SMALL]
    margin = ["--margin", "1000"]
    assert run(*given, "--assert-not-worse", "lr=0.05", *margin) == 0
    out = capsys.readouterr().out
    assert out.startswith("lr=0.05 is not worse than lr=0.00001 by 1e+03 or more: typical gain ")
    assert out.count("\n") == 1
    assert run(*given, "--assert-not-worse", "lr=0.00001", *margin, "--json") == 1
    words = json.loads(capsys.readouterr().out)
    assert words["status"] == "worse"
    assert words["sentence"].startswith("lr=0.00001 is worse than lr=0.05 by more than 1e+03")
    three = [houses, "--target", "price", "--vary", "lr=0.05,0.02,0.00001", *SMALL]
    for words, message in (
        ([*given, "--assert-not-worse", "lr=0.05"], "--assert-not-worse and --margin belong"),
        ([*given, *margin], "--assert-not-worse and --margin belong"),
        ([*given, "--assert-not-worse", "lr=1", *margin], "lr=1 is none of them"),
        ([*three, "--assert-not-worse", "lr=0.05", *margin], "name the other one with --baseline"),
        (
            [*three, "--assert-not-worse", "lr=0.05", *margin, "--baseline", "x"],
            "x is none of them",
        ),
    ):
        assert run(*words) == 2
        assert message in capsys.readouterr().err
    assert run(*three, "--assert-not-worse", "lr=0.05", *margin, "--baseline", "lr=0.00001") == 0


ALIKE = ["--target", "price", "--vary", "lr=0.03,0.0301", "--epochs", "100", "--hidden", "8"]


def test_a_comparison_is_planned_saved_and_gone_on_from(houses, capsys):
    given = [houses, *ALIKE, "--plan", "plan.json", "--checkpoint", "runs.jsonl"]
    assert run(*given, "--out", "found.json") == 0
    out, err = capsys.readouterr()
    assert "written to found.json" in out
    assert "plan.json" in out
    assert "not planned beforehand" not in out
    loaded = sb.Comparison.load("found.json")
    assert loaded.sentences[0] in out
    kept = Path("runs.jsonl").read_bytes()
    assert run(*given) == 0
    again, _ = capsys.readouterr()
    assert again == out.replace("\nwritten to found.json\n", "")
    assert Path("runs.jsonl").read_bytes() == kept  # nothing was trained
    assert run(*given, "--max-seeds", "128") == 0
    longer, _ = capsys.readouterr()
    assert "of 128 paired runs" in longer
    assert Path("runs.jsonl").read_bytes().startswith(kept)
    assert run(*given, "--alpha", "0.1") == 2
    _, err = capsys.readouterr()
    assert "plan.json holds another plan (it differs in alpha)" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-seeds", "100"], "the number at a later look, 128, 256, 512, 1024, not 100"),
        (["--max-seeds", "32"], "--max-seeds 32 is less than the 64 of the plan"),
        (["--max-seeds", "128", "--seeds", "30"], "has spent its alpha"),
        (["--equal-time", "--checkpoint", "r"], "--equal-time measures the epochs in each run"),
        (["--checkpoint", "houses.csv"], "holds no finished runs of Seedbed: give another name"),
        (["--plan", "houses.csv"], "houses.csv is no plan of Seedbed"),
        (["--out", "none/found.json"], "cannot write none/found.json: No such file"),
        (
            ["--assert-not-worse", "lr=0.03", "--margin", "1", "--out", "r"],
            "trains until it is clear: leave --out out",
        ),
    ],
)
def test_bad_plans_are_refused_before_training(options, message, houses, capsys):
    before = Path(houses).read_bytes()
    assert run(houses, *ALIKE, *options) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert sorted(path.name for path in Path().iterdir()) == ["houses.csv"]
    assert Path(houses).read_bytes() == before


def test_settings_are_compared_at_equal_time(houses, capsys):
    given = ["--target", "price", "--vary", "hidden=4,256x256", "--epochs", "30", "--lr", "0.01"]
    assert run(houses, *given, "--equal-time", "--json", "--seeds", "6") == 0
    methods = json.loads(capsys.readouterr().out)["methods"]
    epochs = {each["name"]: max(each["epochs"]) for each in methods}
    assert epochs["hidden=256x256"] == 30
    assert epochs["hidden=4"] > 60


def test_equal_time_is_for_recipes():
    methods = {"a": sb.xor.recipe(5), "b": lambda X, Y, Z, seed: Z[:, 0]}
    with pytest.raises(sb.SettingError, match="sets the epochs of recipes, and b is a function"):
        sb.equal_time(methods, *sb.xor.data())
    methods["b"] = sb.xor.recipe(6)
    with pytest.raises(sb.SettingError, match=r"seconds=1e-12 is shorter than an epoch of [ab]"):
        sb.equal_time(methods, *sb.xor.data(), test=0.5, seconds=1e-12)
    given = sb.equal_time(methods, *sb.xor.data(), test=0.5, seconds=0.01)
    assert all(each.epochs > 6 for each in given.values())
