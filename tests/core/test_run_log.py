"""Checkpoints and executors of comparisons: the result is that of one uninterrupted process."""

import json
import multiprocessing
import os
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import seedbed as sb
from seedbed.comparing import run_log

rng = np.random.default_rng(5)
X = rng.normal(size=(60, 3))
Y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=60)


def recipe(lr, **settings):
    network = sb.Network(3, [sb.Dense(6, sb.tanh), sb.Dense(1)])
    given = {"loss": sb.squared_error, "optimizer": sb.Adam(lr), "epochs": 10, "engine": "numpy"}
    return sb.Recipe(network=network, **given | settings)


def constant(shift, calls, X, Y, Z, seed):
    """Predict a constant, and note the call: (the process, the seed)."""
    with Path(calls).open("a") as file:
        file.write(f"{os.getpid()} {seed}\n")
    return np.full(len(Z), Y.mean() + shift * np.random.default_rng(seed).normal())


def methods(tmp_path):
    calls = tmp_path / "calls"
    return {
        "one": recipe(0.05),
        "other": recipe(0.0501),
        "tall": recipe(0.05, epochs=11),
        "constant": partial(constant, 0.1, str(calls)),
    }


def calls_of(tmp_path):
    return (tmp_path / "calls").read_text().splitlines()


def assert_equal(found, whole):
    assert found.sentences == whole.sentences
    assert found.interrupted == whole.interrupted
    for name, method in whole.methods.items():
        for field in ("scores", "seeds", "status", "epochs"):
            ours, theirs = getattr(found.methods[name], field), getattr(method, field)
            assert (ours is None) == (theirs is None)
            assert ours is None or (ours == theirs).all()


class StopError(Exception):
    pass


def crash_after(counts, monkeypatch):
    """Let a run log fail after these numbers of blocks, counted over all its uses."""
    add, parts = run_log.RunLog.add, []

    def crash(self, part, found):
        add(self, part, found)
        parts.append(part)
        if len(parts) in counts:
            raise StopError

    monkeypatch.setattr(run_log.RunLog, "add", crash)
    return parts


@pytest.mark.parametrize("seeds", ["adaptive", "anytime", range(3, 35)], ids=str)
def test_a_comparison_goes_on_from_its_checkpoint(seeds, tmp_path, monkeypatch):
    compared, path = methods(tmp_path), tmp_path / "runs.jsonl"
    whole = sb.compare(compared, X, Y, seeds=seeds)
    needed = len(calls_of(tmp_path))
    (tmp_path / "calls").unlink()
    crash_after((1, 2, 15), monkeypatch)
    for _ in range(3):
        with pytest.raises(StopError):
            sb.compare(compared, X, Y, seeds=seeds, checkpoint=path)
    found = sb.compare(compared, X, Y, seeds=seeds, checkpoint=path)
    assert_equal(found, whole)
    assert len(calls_of(tmp_path)) == needed  # none twice
    assert_equal(sb.compare(compared, X, Y, seeds=seeds, checkpoint=path), whole)
    assert len(calls_of(tmp_path)) == needed
    if seeds == "adaptive":
        extended = found.extend()
        assert_equal(extended, whole.extend())
        needed = len(calls_of(tmp_path))
        again = sb.compare(compared, X, Y, seeds=seeds, checkpoint=path)
        assert_equal(again.extend(), extended)
        assert len(calls_of(tmp_path)) == needed


def test_a_search_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    space = {**methods(tmp_path), "slow": recipe(1e-5)}
    given = {"budget": 24, "baseline": recipe(1e-4)}
    whole = sb.search(space, X, Y, **given)
    (tmp_path / "calls").unlink()
    path = tmp_path / "runs.jsonl"
    parts = crash_after((2, 8), monkeypatch)
    for _ in range(2):
        with pytest.raises(StopError):
            sb.search(space, X, Y, checkpoint=path, **given)
    assert (parts[1], parts[7]) == ("search", "confirmation")
    found = sb.search(space, X, Y, checkpoint=path, **given)
    assert (found.winner, found.runs) == (whole.winner, whole.runs)
    for ours, theirs in zip(found.trials, whole.trials, strict=True):
        np.testing.assert_array_equal(ours.scores, theirs.scores)
    assert_equal(found.confirmation, whole.confirmation)
    calls = [line.split()[1] for line in calls_of(tmp_path)]
    assert len(calls) == len(set(calls))
    with pytest.raises(sb.SettingError, match=r"another comparison \(it differs in budget\)"):
        sb.search(space, X, Y, checkpoint=path, budget=25, baseline=recipe(1e-4))


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"alpha": 0.1}, "alpha"),
        ({"first_seed": 1}, "first_seed"),
        ({"metric": "r2"}, "metric"),
        ({"Y": Y + 1}, "data"),
        ({"methods": {"a": recipe(0.1), "b": recipe(0.2)}, "delta": 0.1}, "methods, delta"),
    ],
)
def test_another_comparison_is_refused(change, differs, tmp_path):
    path = tmp_path / "runs.jsonl"
    given = {"methods": {"a": recipe(0.05), "b": recipe(1e-4)}, "X": X, "Y": Y, "checkpoint": path}
    sb.compare(**given)
    before = path.read_bytes()
    with pytest.raises(sb.SettingError, match=rf"\(it differs in {differs}\): repeat the call"):
        sb.compare(**given | change)
    assert path.read_bytes() == before


def test_runs_that_a_crash_cut_short_or_damaged_are_run_again(tmp_path):
    compared, path = methods(tmp_path), tmp_path / "runs.jsonl"
    whole = sb.compare(compared, X, Y, checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3][: len(lines[3]) // 2] + b"\n"
    lines[5] = b'["comparison", "one", "x"]\n'
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    assert_equal(sb.compare(compared, X, Y, checkpoint=path), whole)
    repaired = [json.loads(line) for line in path.read_bytes().splitlines()[len(lines) - 1 :]]
    assert len(repaired) >= 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no finished runs of Seedbed: give another name"),
        (b"text\n", "holds no finished runs of Seedbed"),
        (b"[" * 100_000 + b"\n", "holds no finished runs of Seedbed"),
        (b'{"format": "seedbed plan", "version": 1}\n', "holds no finished runs"),
        (b'{"format": "seedbed runs", "version": 2, "runs": {}}\n', "reads version 1"),
    ],
)
def test_a_file_of_something_else_is_refused_and_kept(content, message, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_bytes(content)
    with pytest.raises(sb.FileError, match=message):
        sb.compare({"a": recipe(0.1), "b": recipe(0.2)}, X, Y, checkpoint=path)
    assert path.read_bytes() == content


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "runs.jsonl", os.devnull):
        with pytest.raises(sb.FileError, match="give another"):
            sb.compare({"a": recipe(0.1), "b": recipe(0.2)}, X, Y, checkpoint=path)


def test_a_full_disk_warns_once_and_training_goes_on(tmp_path, monkeypatch):
    compared, path, write = methods(tmp_path), tmp_path / "runs.jsonl", os.write
    whole = sb.compare(compared, X, Y)
    count = []

    def full(file, content):
        count.append(1)
        if 5 < len(count) < 40:
            return write(file, content[:7])
        return write(file, content)

    monkeypatch.setattr(run_log.os, "write", full)
    with pytest.warns(sb.SeedbedWarning, match="No space left on device: training goes") as seen:
        found = sb.compare(compared, X, Y, checkpoint=path)
    assert len(seen) == 1
    assert_equal(found, whole)
    lines = path.read_bytes().splitlines()
    assert all(json.loads(line) for line in lines)  # nothing half written is left
    monkeypatch.undo()
    assert_equal(sb.compare(compared, X, Y, checkpoint=path), whole)


def test_a_file_that_another_process_writes_is_refused(tmp_path):
    if sys.platform == "win32":
        return
    path = tmp_path / "runs.jsonl"
    given = {"a": recipe(0.1), "b": recipe(0.2)}
    sb.compare(given, X, Y, checkpoint=path)
    holder = (
        "import fcntl, sys; file = open(sys.argv[1], 'ab'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        with pytest.raises(sb.FileError, match="is being written by another process"):
            sb.compare(given, X, Y, checkpoint=path)
        process.stdin.close()


# ---------------------------------------------------------------- executors


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def test_an_executor_changes_nothing(tmp_path, processes):
    compared = methods(tmp_path)
    whole = sb.compare(compared, X, Y)
    (tmp_path / "calls").unlink()
    path = tmp_path / "runs.jsonl"
    assert_equal(sb.compare(compared, X, Y, executor=processes, checkpoint=path), whole)
    assert str(os.getpid()) not in {line.split()[0] for line in calls_of(tmp_path)}
    with ThreadPoolExecutor(3) as executor:
        assert_equal(sb.compare(compared, X, Y, executor=executor), whole)
    assert_equal(sb.compare(compared, X, Y, checkpoint=path), whole)


def dying(parent, died, X, Y, Z, seed):
    """Kill the process the first time, in another one than the parent's."""
    if os.getpid() != parent and seed == 5:
        try:
            with Path(died).open("x"):
                pass
        except FileExistsError:
            pass
        else:
            os._exit(1)
    return np.full(len(Z), Y.mean() + seed % 3)


def test_a_process_that_dies_changes_nothing(tmp_path):
    compared = {"dying": partial(dying, os.getpid(), tmp_path / "died"), "one": recipe(0.05)}
    whole = sb.compare(compared, X, Y)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, mp_context=context) as executor,
        pytest.warns(sb.SeedbedWarning, match="are run in this process") as seen,
    ):
        found = sb.compare(compared, X, Y, executor=executor)
    assert (tmp_path / "died").exists()
    assert len(seen) == 1
    assert_equal(found, whole)


def raising(X, Y, Z, seed):
    raise ZeroDivisionError("by seed 0") if seed == 3 else StopIteration


def test_errors_of_methods_are_those_of_one_process(processes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(sb.MethodError, match="raising raised StopIteration on seed 0"):
            sb.compare({"raising": raising, "one": recipe(0.1)}, X, Y, executor=processes)


def test_what_is_no_executor_is_refused(tmp_path):
    for executor in (3, "processes", ProcessPoolExecutor):
        with pytest.raises(sb.SettingError, match="executor must have an ordered map"):
            sb.compare({"a": recipe(0.1), "b": recipe(0.2)}, X, Y, executor=executor)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "validation": 0.25,
            "patience": 3,
            "dropout": 0.2,
            "optimizer": sb.Adam([0.01, 0.02] * 10),
        },
        {"rows": [np.arange(start, 60) for start in range(20)], "start": None},
    ],
)
def test_a_population_is_trained_by_an_executor(more, processes):
    method = recipe(0.05, **{k: v for k, v in more.items() if k in ("patience", "dropout")})
    given = {k: v for k, v in more.items() if k not in ("patience", "dropout")}
    whole = sb.train(method, X, Y, seeds=range(20), **given)
    found = sb.train(method, X, Y, seeds=range(20), executor=processes, **given)
    for name in ("theta", "seeds", "status", "epochs", "best_epoch", "loss"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    np.testing.assert_array_equal(found.history.train_loss, whole.history.train_loss)
    assert found.recipe == whole.recipe
    np.testing.assert_array_equal(found.predict(X), whole.predict(X))


def test_what_an_executor_cannot_train_is_refused(processes):
    for given, message in (
        ({"callbacks": [print]}, "no callback, checkpoint or continuation sees it"),
        ({"validation": 0.2, "monitor": "ensemble"}, "needs all members together"),
        ({"seeds": [1, 1]}, "seed 1 is given 2 times"),
    ):
        with pytest.raises(sb.SettingError, match=message):
            sb.train(recipe(0.1), X, Y, **{"seeds": range(20), "executor": processes} | given)
