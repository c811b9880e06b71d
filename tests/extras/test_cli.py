"""The command: its output, its files and its errors."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed import files
from seedbed.cli import main
from seedbed.cli.scores import score
from seedbed.cli.show import histogram, print_json
from seedbed.cli.xor import rounding_effect
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables import saved as saved_encoding
from seedbed.tables.reading import read
from seedbed.tables.targets import split_rows

N = 120


@pytest.fixture
def csv(tmp_path):
    """Write a table of a number with gaps, a category, a class and a quantity; return its path."""
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=N), rng.choice(["red", "blue"], N)
    label = np.where(
        (x > 0) | (c == "red"), "yes", "no"
    )  # the most frequent class is not the first
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
    """Check that a run ended with status 2 and one line of error."""
    status, out, err = result
    assert status == 2
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert words in err


def test_xor_reruns_the_tutorial(run):
    status, out, err = run("xor", "--seeds", 200, "--epochs", 1000)
    assert status == 0
    assert err == ""
    assert re.search(r"0\.5013730688788007 +0\.501373068878", out)
    assert "solved XOR" in out
    assert "of 200 (" in out
    assert "quartiles" in out
    assert "█" in out
    assert "The median member, seed" in out
    assert "1 0 1" in out


def test_xor_reports_this_machines_rounding():
    printed = np.array(sb.xor.PRINTED_LOSSES)
    later = printed + 0.1 * (np.arange(8) >= 3)
    assert "changes the loss from epoch 3,000 on" in rounding_effect(printed, later)
    assert "did not change these losses on this machine" in rounding_effect(printed, printed + 1e-9)


def test_xor_as_json(run):
    status, out, _ = run("xor", "--seeds", 40, "--epochs", 300, "--json")
    assert status == 0
    result = json.loads(out)
    np.testing.assert_array_equal(
        result["as_published"]["rerun"], sb.xor.as_published(7001)[::1000]
    )
    assert result["as_published"]["printed"] == list(sb.xor.PRINTED_LOSSES)
    nudged = sb.xor.as_published(7001, nudge=2e-16)[::1000]
    np.testing.assert_array_equal(result["as_published"]["nudged"], nudged)
    assert len(result["loss"]) == 40
    population = sb.train(sb.xor.recipe(300), *sb.xor.data(), seeds=range(40))
    np.testing.assert_array_equal(result["loss"], population.loss)
    assert result["solved"] == sb.xor.solved(population).sum()
    middle = result["loss"][result["median_member"]["seed"]]
    assert sum(loss < middle for loss in result["loss"]) == 19
    np.testing.assert_allclose(
        result["loss_quartiles"], np.quantile(population.loss, [0.25, 0.5, 0.75])
    )


def test_train_and_predict_classes(run, csv, tmp_path):
    model, out_file = tmp_path / "m.safetensors", tmp_path / "p.csv"
    status, out, err = run(
        "train", csv, "--target", "label", "--drop", "size", "--members", 3, "--out", model,
        "--hidden", "16", "--lr", "0.02", "--epochs", 60,
    )  # fmt: skip
    assert (status, err) == (0, "")
    assert "classification of label (inferred; --task sets it)" in out
    assert "x: 12 missing values, taken as the median" in out
    assert "96 rows to train on, of which each member holds out a quarter" in out
    assert "24 rows to score on" in out
    for words in (
        "members' mean ",
        "members' sd ",
        "ensemble ",
        "baseline (the classes' shares) ",
        "AUC",
        "log loss",
    ):
        assert words in out
    assert len(sb.load(model).population_) == 3

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
    refused(run("predict", model, csv, "--out", out_file), "exists: give another name")
    assert run("predict", model, csv, "--out", out_file, "--force")[0] == 0
    status, out, _ = run("predict", model, csv, "--json")
    assert json.loads(out)["predicted_label"] == frame["predicted_label"].to_list()


def test_train_and_predict_numbers(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    status, out, _ = run(
        "train", csv, "--target", "size", "--drop", "label", "--members", 2, "--out", model,
        "--lr", "0.01", "--epochs", 100, "--json", "--seed", 5,
    )  # fmt: skip
    assert status == 0
    result = json.loads(out)
    assert result["task"] == "regression"
    assert result["rows"] == {"train": 96, "test": 24}
    assert len(result["members"]) == 2
    status, out, _ = run("predict", model, csv)
    frame = pl.read_csv(out.encode())
    assert frame.columns[-2:] == ["predicted_size", "spread_size"]
    assert np.corrcoef(frame["predicted_size"], frame["size"])[0, 1] > 0.8
    assert (frame["spread_size"] >= 0).all()


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_command_trains_the_estimator(run, csv, tmp_path, task, seed):
    """The model file, the scores and the predictions are those of an estimator in Python."""
    model, out = tmp_path / "m.safetensors", tmp_path / "p.csv"
    target, other = ("label", "size") if task == "classification" else ("size", "label")
    words = [
        "train", csv, "--target", target, "--drop", other, "--members", 3, "--seed", seed,
        "--epochs", 30, "--patience", 6, "--hidden", "9,4", "--activation", "tanh", "--lr", "0.03",
        "--batch-size", 16, "--dropout", "0.1", "--weight-decay", "0.2", "--test", "0.3",
        "--out", model,
    ]  # fmt: skip
    status, printed, _ = run(*words, "--json")
    assert status == 0
    result = json.loads(printed)

    frame = pl.read_csv(csv)
    y = frame[target].to_numpy()
    classes = (y == "yes").astype(int) if task == "classification" else None
    train, test = split_rows(np.arange(N), 0.3, seed, classes)
    assert result["rows"] == {"train": len(train), "test": len(test)}
    X = frame.drop(target, other)
    kind = NetworkClassifier if task == "classification" else NetworkRegressor
    estimator = kind(
        [9, 4], sb.tanh, members=3, learning_rate_init=0.03, weight_decay=0.2, dropout=0.1,
        batch_size=16, max_iter=30, n_iter_no_change=6, random_state=seed,
    ).fit(X[train], frame[target][train])  # fmt: skip
    estimator.save(tmp_path / "python.safetensors")
    ours, theirs = files.read(model), files.read(tmp_path / "python.safetensors")
    np.testing.assert_array_equal(ours.population.theta, theirs.population.theta)
    assert ours.population.recipe == theirs.population.recipe
    assert ours.table["columns"] == theirs.table["columns"]
    assert ours.table["target"] == theirs.table["target"]

    loaded = sb.load(model)
    assert type(loaded) is kind
    each = loaded.population_.predict(loaded.table_model_.inputs(X))
    together = loaded.population_.predict_mean(loaded.table_model_.inputs(X))
    if task == "classification":
        right = [(p[test].argmax(axis=1) == classes[test]).mean() for p in each]
        ensemble = loaded.score(X[test], y[test])
        baseline = (classes[test] == (classes[train].mean() > 0.5)).mean()
    else:
        Y = (y - loaded.encoding_.target.mean) / loaded.encoding_.target.scale
        spread = ((Y[test] - Y[test].mean()) ** 2).sum()
        right = [1 - ((p[test, 0] - Y[test]) ** 2).sum() / spread for p in each]
        ensemble = loaded.score(X[test], y[test])
        baseline = 1 - ((Y[train].mean() - Y[test]) ** 2).sum() / spread
    np.testing.assert_allclose([m["score"] for m in result["members"]], right, rtol=1e-6)
    assert result["ensemble"] == pytest.approx(ensemble, rel=1e-6)
    assert result["baseline"] == pytest.approx(baseline, rel=1e-6, abs=1e-9)
    assert loaded.test_scores_["rows"] == len(test)
    assert loaded.test_scores_[result["score"]] == pytest.approx(ensemble, rel=1e-6)

    shown = run(*words, "--force")[1]
    percent = task == "classification"
    for value in (*right, ensemble, np.mean(right), np.std(right, ddof=1), baseline):
        assert (f"{100 * value:.2f} %" if percent else f"{value:.4g}") in shown

    assert run("predict", model, csv, "--out", out)[0] == 0
    predicted = pl.read_csv(out)
    if task == "classification":
        p = loaded.predict_proba(X)
        np.testing.assert_array_equal(predicted[["probability_no", "probability_yes"]], p)
        np.testing.assert_array_equal(loaded.predict_proba(X, return_std=True)[0], p)
        assert predicted["predicted_label"].to_list() == loaded.predict(X).tolist()
        chosen = together.argmax(axis=1)
        agreement = np.mean([p.argmax(axis=1) == chosen for p in each], axis=0)
        np.testing.assert_allclose(predicted["agreement"], agreement)
    else:
        mean, spread = loaded.predict(X, return_std=True)
        np.testing.assert_array_equal(predicted["predicted_size"], mean)
        np.testing.assert_array_equal(loaded.predict(X), mean)
        np.testing.assert_array_equal(predicted["spread_size"], spread)


def test_diverged_members_are_left_out_of_scores_and_predictions(run, csv, tmp_path):
    model, out = tmp_path / "m.safetensors", tmp_path / "p.csv"
    run("train", csv, "--target", "label", "--members", 3, "--epochs", 20, "--out", model)
    saved = files.read(model)
    population, words = saved.population, saved.table
    status = population.status.copy()
    status[1] = "diverged"
    files.save(model, replace(population, status=status), words)
    assert run("predict", model, csv, "--out", out)[0] == 0
    predicted, fitted = pl.read_csv(out), population[[0, 2]]
    X, _ = saved_encoding.from_dict(words).inputs(read(csv))
    np.testing.assert_allclose(
        predicted["probability_yes"], fitted.predict_mean(X)[:, 1], rtol=1e-5
    )
    assert set(predicted["agreement"]) <= {0.0, 0.5, 1.0}


def test_diverged_members_are_not_scored(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    run("train", csv, "--target", "label", "--members", 3, "--epochs", 5, "--out", model)
    saved = files.read(model)
    population = saved.population
    status = np.array(["finished", "diverged", "finished"])
    encoding = saved_encoding.from_dict(saved.table)
    X, _ = encoding.inputs(read(csv))
    Y = encoding.target.encode(read(csv))
    diverged = replace(population, status=status)
    (scores,) = score(diverged, encoding.target, [sb.metrics.accuracy], X, Y, Y)
    assert np.isnan(scores.members).tolist() == [False, True, False]
    assert scores.ensemble == (population[[0, 2]].predict_mean(X).argmax(axis=1) == Y).mean()


def test_json_has_null_for_non_finite_numbers(capsys):
    print_json({"a": np.array([1.0, np.nan]), "b": {"c": (np.inf, np.int64(3))}})
    assert json.loads(capsys.readouterr().out) == {"a": [1.0, None], "b": {"c": [None, 3]}}


def test_histogram_bars_are_proportional_to_counts():
    lines = histogram(np.repeat([1e-4, 1e-2, 1e0], [10, 40, 1]), bins=3, width=20)
    assert [line.count("█") for line in lines] == [5, 20, 1]
    assert [line.split()[3] for line in lines] == ["10", "40", "1"]
    assert histogram(np.array([np.nan, 0.0])) == []


def test_single_scored_row_is_no_error(run, tmp_path):
    path, model = tmp_path / "t.csv", tmp_path / "m.safetensors"
    path.write_text("x,y\n1,1.5\n2,2.5\n3,3.25\n4,4.5\n5,5.5\n")
    status, out, err = run("train", path, "--target", "y", "--epochs", 3, "--out", model)
    assert (status, err) == (0, "")
    assert "R² is undefined" in out
    assert model.exists()


def test_pipes_receive_utf_8_in_any_locale(csv, tmp_path):
    model = tmp_path / "m.safetensors"
    csv.write_text(csv.read_text().replace("red", "röt"), encoding="utf-8")
    main(["train", str(csv), "--target", "label", "--epochs", "2", "--out", str(model)])
    with (
        csv.open("rb") as table,
        shell(
            "predict", model, "-", env={**os.environ, "PYTHONIOENCODING": "ascii"}, stdin=table
        ) as process,
    ):
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "röt" in out


def test_columns_that_csv_cannot_hold_are_refused_early(run, csv, tmp_path):
    model, table = tmp_path / "m.safetensors", tmp_path / "lists.parquet"
    run("train", csv, "--target", "label", "--epochs", 2, "--out", model)
    frame = pl.read_csv(csv).with_columns(more=pl.Series([[1, 2]] * N))
    frame.write_parquet(table)
    refused(run("predict", model, table), "give --out a name that ends in .parquet")
    out = tmp_path / "out.parquet"
    assert run("predict", model, table, "--out", out)[0] == 0
    assert pl.read_parquet(out)["more"].to_list()[0] == [1, 2]


def test_pipes_and_devices_are_not_replaced(csv, tmp_path):
    model = tmp_path / "m.safetensors"
    assert main(["train", str(csv), "--target", "label", "--epochs", "2", "--out", str(model)]) == 0
    with shell("predict", model, csv, "--out", "/dev/stdout") as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "predicted_label" in out


def test_unwritable_output_is_one_line(csv):
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "seedbed", "xor", "--seeds", "2", "--epochs", "2"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert result.returncode == 2
    assert result.stderr == "seedbed xor: cannot write the output: No space left on device\n"


def test_unseen_category_is_refused_or_missing(run, csv, tmp_path):
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
    ("words", "message"),
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
        (["--target", "label", "--out", "/"], "Is a directory"),
        (["--target", "label", "--out", "x" * 300], "File name too long"),
        (["--target", "label", "--seed", "9" * 30], "expected a whole number of at most"),
        (["--target", "label", "--members", "9" * 9], "expected a whole number of at most"),
        (["--target", "label", "--hidden", "99999999999"], "such as 64,64"),
        (["--target", "label", "--seed", "-3"], "expected a whole number of at least 0, not '-3'"),
        (["--target", "label", "--hidden", "64,x"], "such as 64,64, not '64,x'"),
        (["--target", "label", "--hidden", "0"], "such as 64,64, not '0'"),
        (["--target", "label", "--test", "1"], "less than 1"),
        (["--target", "label", "--test", "0.001"], "cannot be split"),
        (["--target", "label", "--activation", "rleu"], "did you mean 'relu'?"),
        (["--target", "label", "--dropout", "1"], "less than 1"),
        (["--target", "label", "--task", "regression"], "where a number is expected"),
        (["--target", "size", "--task", "classification"], "too many for classes"),
        (["--target", "label", "--task", "ranking"], "invalid choice: 'ranking'"),
        (["--target", "label", "--out", "no/such/folder/m"], "No such file or directory"),
        (
            ["--target", "label", "--wide", "3"],
            "unrecognized arguments: --wide 3 (see seedbed train --help)",
        ),
        ([], "the following arguments are required: --target"),
    ],
)
def test_train_refuses_in_one_line(run, csv, words, message):
    before = sorted(csv.parent.iterdir())
    refused(run("train", csv, *words), message)
    assert sorted(csv.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x,label\n1,yes\n2,yes\n", "is 'yes' in all 2 rows"),
        (b"label\nyes\nno\nyes\nno\nno\nyes\n", "has no column to learn from: it holds the target"),
        (b"x,label\n1,yes\n2,no\n", "cannot be split"),
    ],
)
def test_unusable_tables_are_refused(run, tmp_path, content, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    refused(run("train", path, "--target", "label"), message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["xor", "--seeds", "0"], "expected a whole number of at least 1, not '0'"),
        (["xor", "--seeds", "-5"], "expected a whole number of at least 1, not '-5'"),
        (["xor", "--epochs", "many"], "expected a whole number"),
        (["grow"], "invalid choice: 'grow'"),
        ([], "the following arguments are required: COMMAND"),
        (["train", "none.csv", "--target", "y"], "cannot read none.csv: No such file"),
        (["predict", "none.safetensors", "none.csv"], "cannot read none.safetensors: No such file"),
        (["predict", "x" * 300, "none.csv"], "File name too long"),
    ],
)
def test_the_command_refuses_in_one_line(run, words, message):
    refused(run(*words), message)


def test_existing_files_are_kept(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    data = csv.read_bytes()
    common = ["train", csv, "--target", "label", "--members", 1, "--epochs", 2, "--out"]
    refused(run(*common, csv), "exists and is not a valid model file")
    assert csv.read_bytes() == data
    assert run(*common, model)[0] == 0
    first = model.read_bytes()
    refused(run("predict", model, csv, "--out", csv), " exists: ")
    refused(run("predict", model, csv, "--out", model), " exists: ")
    link = tmp_path / "link.csv"
    link.symlink_to(csv)
    for same in (csv, link, model):
        refused(run("predict", model, csv, "--out", same, "--force"), "would overwrite")
    assert csv.read_bytes() == data
    assert model.read_bytes() == first
    refused(run(*common, model, "--seed", 3), " exists: give another name, or --force")
    assert model.read_bytes() == first
    assert run(*common, model, "--seed", 3, "--force")[0] == 0
    assert sb.load(model).random_state == 3


def test_broken_model_file_is_refused(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    run("train", csv, "--target", "label", "--members", 1, "--epochs", 2, "--out", model)
    whole = model.read_bytes()
    model.write_bytes(whole[:-10])
    refused(run("predict", model, csv), "is truncated")
    model.write_bytes(whole[:-10] + bytes(10))
    refused(run("predict", model, csv), "was changed or damaged")
    sb.save(model, sb.train(sb.xor.recipe(1), *sb.xor.data()))
    refused(run("predict", model, csv), "holds a population and no table")


def test_no_file_is_written_if_all_members_diverge(run, csv, tmp_path):
    model = tmp_path / "m.safetensors"
    status, _, err = run(
        "train", csv, "--target", "size", "--members", 2, "--lr", "1e30", "--out", model
    )
    assert status == 2
    assert "warning: 2 of 2 members diverged" in err
    assert "all 2 members diverged" in err.splitlines()[-1]
    assert not model.exists()


@pytest.mark.parametrize("words", [[], ["xor"], ["train"], ["predict"]])
def test_each_command_has_help(run, words):
    status, out, _ = run(*words, "--help")
    assert status == 0
    assert out.startswith("usage: seedbed")
    assert len(out.splitlines()) > 8


def test_version_is_the_packages(run):
    assert run("--version")[1] == f"seedbed {sb.__version__}\n"


def shell(*words, **kinds):
    return subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        **kinds,
    )


def test_closed_pipe_is_no_error():
    with shell("xor", "--seeds", "2", "--epochs", "2") as process:
        process.stdout.close()
        assert process.wait() == 0
        assert process.stderr.read() == ""


def test_ascii_terminal_shows_replacements():
    with shell(
        "xor", "--seeds", 3, "--epochs", 2, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    ) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "solved XOR" in out


def test_ctrl_c_saves_the_members_as_trained_so_far(csv, tmp_path):
    model, (seen, terminal) = tmp_path / "m.safetensors", pty.openpty()
    command = ["train", csv, "--target", "label", "--members", 2, "--epochs", 10**6, "--out", model]
    with subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, command), "--patience", str(10**6)],
        stdout=subprocess.PIPE,
        stderr=terminal,
    ) as process:
        shown = b""
        while b"epoch" not in shown:  # the progress line: training is under way
            shown += os.read(seen, 1000)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        shown += os.read(seen, 10_000)
    os.close(seen)
    os.close(terminal)
    assert process.returncode == 130, shown
    assert b"warning: training was stopped after" in shown
    assert b"interrupted" in out
    assert not model.exists()
    partial = tmp_path / "m.interrupted.safetensors"
    assert str(partial).encode() in shown
    assert (sb.load(partial).population_.status == "interrupted").all()
