"""The command, as it is typed: what it prints, what it writes, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed.cli import main

RNG = np.random.default_rng(0)
N = 120


@pytest.fixture
def run(capsys):
    """Run the command in this process; return its status, output and errors."""

    def command(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def csv(tmp_path):
    """Write a table of a category, a number with gaps, a class and a quantity; return its path."""
    x, c = RNG.normal(size=N), RNG.choice(["red", "blue"], N)
    label = np.where((x > 0) ^ (c == "red"), "yes", "no")
    frame = pl.DataFrame(
        {
            "x": [None if i % 10 == 0 else float(v) for i, v in enumerate(x)],
            "colour": c.tolist(),
            "label": label.tolist(),
            "size": (2 * x + (c == "red")).tolist(),
        }
    )
    path = tmp_path / "data.csv"
    frame.write_csv(path)
    return path


def refused(result, words):
    """Check that a run ended as bad input does: status 2, and one line."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert words in err


def test_xor_tells_the_tutorials_story(run):
    status, out, err = run("xor", "--seeds", 200, "--epochs", 1000)
    assert status == 0
    assert err == ""
    assert "0.5013730688788007     0.5013730688788007" in out
    assert "solved XOR" in out
    assert "of 200 (" in out
    assert "quartiles" in out
    assert "█" in out
    assert "The median member, seed" in out
    assert "1 0 1" in out


def test_xor_as_json(run):
    status, out, _ = run("xor", "--seeds", 40, "--epochs", 300, "--json")
    assert status == 0
    told = json.loads(out)
    assert told["as_published"]["rerun"][0] == 0.5013730688788007
    assert told["as_published"]["printed"] == list(sb.xor.PRINTED_LOSSES)
    assert len(told["loss"]) == 40
    population = sb.xor.recipe(300).train(*sb.xor.data(), seeds=range(40))
    np.testing.assert_array_equal(told["loss"], population.loss)
    assert told["solved"] == sb.xor.solved(population).sum()
    middle = told["loss"][told["median_member"]["seed"]]
    assert sum(loss < middle for loss in told["loss"]) == 19
    np.testing.assert_allclose(
        told["loss_quartiles"], np.quantile(population.loss, [0.25, 0.5, 0.75])
    )


def test_train_and_predict_classes(run, csv, tmp_path):
    model, out_file = tmp_path / "m.safetensors", tmp_path / "p.csv"
    status, out, err = run(
        "train",
        csv,
        "--target",
        "label",
        "--drop",
        "size",
        "--members",
        3,
        "--out",
        model,
        "--hidden",
        "16",
        "--lr",
        "0.02",
        "--epochs",
        60,
    )
    assert (status, err) == (0, "")
    assert "classification of label (inferred; --task sets it)" in out
    assert "x: 12 missing values, taken as the mean" in out
    assert "96 rows to train on, 24 held out" in out
    for words in ("members ", "standard deviation", "ensemble ", "baseline ", "commonest class"):
        assert words in out
    population = sb.load(model)
    assert population.seeds.tolist() == [0, 1, 2]

    status, out, err = run("predict", model, csv, "--out", out_file)
    assert status == 0
    assert out == ""
    assert f"{N} predictions written to" in err
    frame = pl.read_csv(out_file)
    assert frame.columns[-4:] == [
        "predicted_label",
        "probability_no",
        "probability_yes",
        "agreement",
    ]
    both = frame["probability_no"] + frame["probability_yes"]
    np.testing.assert_allclose(both, 1, rtol=1e-6)
    likelier = np.where(frame["probability_yes"] > frame["probability_no"], "yes", "no")
    assert frame["predicted_label"].to_list() == likelier.tolist()
    assert (frame["predicted_label"] == frame["label"]).mean() > 0.8
    assert frame.select("x", "colour", "label", "size").equals(pl.read_csv(csv))

    status, out, _ = run("predict", model, csv)
    assert status == 0
    assert out == out_file.read_text()
    status, out, _ = run("predict", model, csv, "--json")
    assert json.loads(out)["predicted_label"] == frame["predicted_label"].to_list()


def test_train_and_predict_numbers(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    status, out, _ = run(
        "train",
        csv,
        "--target",
        "size",
        "--drop",
        "label",
        "--members",
        2,
        "--out",
        model,
        "--lr",
        "0.01",
        "--epochs",
        100,
        "--json",
        "--seed",
        5,
    )
    assert status == 0
    told = json.loads(out)
    assert told["task"] == "regression"
    assert told["rows"] == {"train": 96, "test": 24}
    assert [member["seed"] for member in told["members"]] == [5, 6]
    assert told["ensemble"] > 0.7
    assert abs(told["baseline"]) < 0.3
    status, out, _ = run("predict", model, csv)
    frame = pl.read_csv(out.encode())
    assert frame.columns[-2:] == ["predicted_size", "spread_size"]
    assert np.corrcoef(frame["predicted_size"], frame["size"])[0, 1] > 0.8
    assert (frame["spread_size"] >= 0).all()


def test_the_scores_are_those_of_the_held_out_rows(run, csv, tmp_path):
    """A target that the inputs do not tell: a score on rows trained on would stand out."""
    frame = pl.read_csv(csv).with_columns(pl.Series("coin", RNG.choice(["h", "t"], N).tolist()))
    frame = frame.with_columns(pl.Series("z", RNG.normal(size=N)))
    frame.write_csv(csv)
    _, out, _ = run(
        "train",
        csv,
        "--target",
        "coin",
        "--json",
        "--members",
        4,
        "--epochs",
        300,
        "--patience",
        300,
        "--lr",
        "0.01",
        "--test",
        "0.5",
    )
    told = json.loads(out)
    assert told["ensemble"] < 0.75
    assert 0.3 < told["baseline"] < 0.7


def test_an_unseen_category_is_refused_or_taken_as_missing(run, csv, tmp_path):
    model, new = tmp_path / "m.safetensors", tmp_path / "new.csv"
    run("train", csv, "--target", "label", "--members", 2, "--out", model, "--epochs", 2)
    new.write_text("x,colour,size\n1,violet,2\n")
    out = tmp_path / "out.csv"
    refused(run("predict", model, new, "--out", out), "holds 'violet' in row 1")
    assert not out.exists()
    status, _, err = run("predict", model, new, "--out", out, "--unseen", "missing")
    assert status == 0
    assert "note: colour: 1 value not seen in training, taken as missing" in err
    assert out.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--target", "lable"], "has no target column 'lable'; did you mean 'label'"),
        (["--target", "label", "--drop", "colr"], "has no column 'colr'; did you mean 'colour'"),
        (
            ["--target", "label", "--lr", "-1"],
            "invalid value: -1.0; expected a finite number at le",
        ),
        (["--target", "label", "--lr", "nan"], "invalid value: nan"),
        (["--target", "label", "--lr", "fast"], "expected a number, not 'fast'"),
        (["--target", "label", "--members", "0"], "expected a whole number of at least 1, not '0'"),
        (["--target", "label", "--seed", "-3"], "expected a whole number of at least 0, not '-3'"),
        (["--target", "label", "--hidden", "64,x"], "such as 64,64, not '64,x'"),
        (["--target", "label", "--hidden", "0"], "such as 64,64, not '0'"),
        (["--target", "label", "--test", "1"], "less than 1"),
        (["--target", "label", "--test", "0.001"], "cannot be split"),
        (["--target", "label", "--activation", "rleu"], "expected one of elu, gelu"),
        (["--target", "label", "--dropout", "1"], "less than 1"),
        (["--target", "label", "--task", "regression"], "where a number is expected"),
        (["--target", "size", "--task", "classification"], "too many for classes"),
        (["--target", "label", "--task", "ranking"], "invalid choice: 'ranking'"),
        (["--target", "label", "--out", "no/such/folder/m"], "give a file name in a folder"),
        (["--target", "label", "--wide", "3"], "unrecognized arguments: --wide 3"),
        ([], "the following arguments are required: --target"),
    ],
)
def test_train_refuses_in_one_line(run, csv, words, told):
    before = sorted(csv.parent.iterdir())
    refused(run("train", csv, *words), told)
    assert sorted(csv.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no rows"),
        (b"x,label\n", "has no rows"),
        (b"x,label\n1,yes\n2,yes\n", "is 'yes' in all 2 rows"),
        (b"x,label\n1,yes\n2\n", "has 1 fields and the header 2"),
        (b"\x89PNG\x00\x00", "is a binary file"),
        (b"label\nyes\nno\nyes\nno\nno\nyes\n", "has no column left to learn from"),
        (b"x,label\n1,yes\n2,no\n", "cannot be split"),
    ],
)
def test_tables_that_cannot_be_trained_on_are_refused(run, tmp_path, content, told):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    refused(run("train", path, "--target", "label"), told)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["xor", "--seeds", "0"], "expected a whole number of at least 1, not '0'"),
        (["xor", "--seeds", "-5"], "expected a whole number of at least 1, not '-5'"),
        (["xor", "--epochs", "many"], "expected a whole number"),
        (["grow"], "invalid choice: 'grow'"),
        ([], "the following arguments are required: COMMAND"),
        (["train", "none.csv", "--target", "y"], "cannot read none.csv: No such file"),
        (["predict", "none.safetensors", "none.csv"], "there is no file none.safetensors"),
    ],
)
def test_the_command_refuses_in_one_line(run, words, told):
    refused(run(*words), told)


def test_files_that_are_there_are_not_lost(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    data = csv.read_bytes()
    common = ["train", csv, "--target", "label", "--members", 1, "--epochs", 2, "--out"]
    refused(run(*common, csv), "is there already and is not a model file")
    assert csv.read_bytes() == data
    assert run(*common, model)[0] == 0
    first = model.read_bytes()
    refused(run("predict", model, csv, "--out", csv), "would overwrite")
    refused(run("predict", model, csv, "--out", model), "would overwrite")
    assert csv.read_bytes() == data
    assert model.read_bytes() == first
    assert run(*common, model, "--seed", 3)[0] == 0  # a model file may be replaced
    assert sb.load(model).seeds.tolist() == [3]


def test_a_broken_model_file_is_refused(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    run("train", csv, "--target", "label", "--members", 1, "--epochs", 2, "--out", model)
    whole = model.read_bytes()
    model.write_bytes(whole[:-10])
    refused(run("predict", model, csv), "cut short")
    model.write_bytes(whole[:-10] + bytes(10))
    refused(run("predict", model, csv), "was changed or damaged")
    sb.xor.recipe(1).train(*sb.xor.data()).save(model)
    refused(run("predict", model, csv), "holds no table encoding")


def test_members_that_all_diverge_leave_no_file(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    status, _, err = run(
        "train", csv, "--target", "size", "--members", 2, "--lr", "1e30", "--out", model
    )
    assert status == 2
    assert "warning: 2 of 2 members diverged" in err
    assert "all 2 members diverged" in err.splitlines()[-1]
    assert not model.exists()


@pytest.mark.parametrize("words", [[], ["xor"], ["train"], ["predict"]])
def test_help_says_what_each_command_does(run, words):
    status, out, _ = run(*words, "--help")
    assert status == 0
    assert out.startswith("usage: seedbed")
    assert len(out.splitlines()) > 8


def test_the_version_is_the_packages(run):
    assert run("--version")[1] == f"seedbed {sb.__version__}\n"


def shell(*words, **kinds):
    return subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kinds,
    )


def test_a_reader_that_has_seen_enough_is_no_error():
    with shell("xor", "--seeds", "2", "--epochs", "2") as process:
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == ""


def test_a_terminal_without_the_signs_shows_others():
    with shell(
        "xor", "--seeds", 3, "--epochs", 2, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    ) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "solved XOR" in out


def test_ctrl_c_ends_training_early_and_keeps_what_there_is(csv, tmp_path):
    model = tmp_path / "m.safetensors"
    with shell(
        "train", csv, "--target", "label", "--members", 2, "--epochs", 10**7, "--patience", 10**7,
        "--out", model,
    ) as process:  # fmt: skip
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "warning: training was stopped after" in err
    assert "interrupted" in out
    assert (sb.load(model).status == "interrupted").all()
