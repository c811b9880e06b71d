"""Checkpoints of trainings: what goes on from a file ends in the uninterrupted run's bits."""

import os
import pty
import signal
import subprocess
import sys
import time
from dataclasses import fields

import numpy as np
import pytest

import seedbed as sb
from seedbed import checkpoints, runs, writing
from seedbed.estimators import NetworkClassifier, NetworkRegressor

rng = np.random.default_rng(3)
X = rng.normal(size=(90, 4)).astype("float32")
Y = np.sin(X[:, :1] + X[:, 1:2]).astype("float32")
NETWORK = sb.Network(4, [sb.Dense(7, sb.tanh), sb.Dense(1)])

TRAININGS = {
    "plain": {},
    "batches": {"batch_size": 16, "dropout": 0.2, "optimizer": sb.AdamW(0.01, weight_decay=0.1)},
    "schedule": {"schedule": "coslog4", "optimizer": sb.SGD(0.05, momentum=0.9), "l2": 0.01},
    "patience": {"patience": 4, "validation": 0.3, "optimizer": sb.Adam(0.05)},
    "ensemble": {"patience": 5, "validation": 0.3, "monitor": "ensemble", "batch_size": 20},
    "rprop": {"optimizer": sb.Rprop(0.01)},
    "diverging": {"optimizer": sb.SGD([0.1, 1e6, 0.2, 1e9, 0.01])},
    "clipped": {"clip_norm": 0.1, "loss": "huber", "dtype": "float64"},
}


class CrashError(Exception):
    pass


@pytest.fixture
def crash(monkeypatch):
    """Let the n-th checkpoint be the last thing that happens; write one after every epoch."""
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e-9)
    write = writing.write_atomically
    counts = []

    def after(*numbers):
        counts.clear()

        def crashing(path, content):
            write(path, content)
            counts.append(path)
            if len(counts) in numbers:
                raise KeyboardInterrupt  # which no callback's handler takes

        monkeypatch.setattr(writing, "write_atomically", crashing)

    return after


def train(name, engine="numpy", **more):
    given = {"loss": "mse", "epochs": 30, "seeds": range(5), "engine": engine, "progress": False}
    return sb.train(NETWORK, X, Y, **given | TRAININGS[name] | more)


def assert_equal(found, whole):
    for field in fields(sb.Population):
        ours, theirs = getattr(found, field.name), getattr(whole, field.name)
        if field.name == "history":
            for each in fields(sb.History):
                one, other = getattr(ours, each.name), getattr(theirs, each.name)
                np.testing.assert_array_equal(one, other)
        elif field.name != "recipe":
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.filterwarnings("ignore::seedbed.DivergenceWarning")
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_goes_on_from_its_checkpoint(name, engine, tmp_path, crash, compiled_float64):
    whole = train(name, engine)
    path = tmp_path / "run.safetensors"
    crash(1, 5, 9)
    kept = {"checkpoint": path, "checkpoint_every": 0}
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(name, engine, **kept)
    assert_equal(train(name, engine, **kept), whole)
    # and once more, without training
    assert_equal(train(name, engine, **kept, callbacks=[lambda progress: 1 / 0]), whole)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["plain", "batches", "patience", "ensemble"])
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_ctrl_c_keeps_what_was_trained(name, engine, tmp_path):
    """It ends within an epoch of some members; the checkpoint has all at the same."""
    epochs = {"epochs": 2000 if name in ("plain", "patience") else 300, "patience": None}
    whole = train(name, engine, **epochs)
    path, pressed = tmp_path / "run.safetensors", []

    def press(progress):
        if not pressed and progress.epoch > 3:
            pressed.append(progress.epoch)
            os.kill(os.getpid(), signal.SIGINT)

    kept = {"checkpoint": path, **epochs}
    with pytest.warns(sb.InterruptWarning):
        part = train(name, engine, callbacks=[press], **kept)
    description, _ = checkpoints.read(path)
    assert description["epochs"][0] >= pressed[0]
    assert description["epochs"][0] == part.epochs.max()
    assert_equal(train(name, engine, **kept), whole)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"epochs": 31}, "recipe"),
        ({"record_every": 2}, "recipe"),
        ({"optimizer": sb.Adam(0.002)}, "recipe"),
        ({"seeds": range(1, 6)}, "seeds"),
        ({"sample_weight": np.arange(90)}, "data"),
        ({"rows": [np.arange(80)] * 5}, "data"),
        ({"engine": "compiled"}, "engine, recipe"),
        ({"start": np.zeros(NETWORK.size)}, "seeds"),
    ],
)
def test_another_training_is_refused(change, differs, tmp_path):
    path = tmp_path / "run.safetensors"
    train("plain", checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(sb.SettingError, match=rf"another training \(it differs in {differs}\)"):
        train("plain", checkpoint=path, **change)
    assert path.read_bytes() == before


def test_files_of_something_else_are_refused_and_kept(tmp_path):
    path = tmp_path / "run.safetensors"
    sb.save(path, train("plain"))
    model = path.read_bytes()
    with pytest.raises(sb.FileError, match="exists and is no checkpoint of Seedbed"):
        train("plain", checkpoint=path)
    assert path.read_bytes() == model
    path.write_text("text")
    with pytest.raises(sb.FileError, match="is not a checkpoint, or is truncated"):
        train("plain", checkpoint=path)
    path.unlink()
    train("plain", checkpoint=path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(sb.FileError, match="is a damaged checkpoint"):
        train("plain", checkpoint=path)
    for other in (tmp_path, tmp_path / "none" / "x", os.devnull):
        with pytest.raises(sb.FileError):
            train("plain", checkpoint=other)
    with pytest.raises(sb.SettingError, match="checkpoint_every"):
        train("plain", checkpoint=tmp_path / "new", checkpoint_every=-1)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_warns_once_and_training_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e-9)
    whole, path = train("plain"), tmp_path / "run.safetensors"

    def full(path, content):
        raise sb.FileError("cannot write it: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_atomically", full)
        with pytest.warns(sb.SeedbedWarning, match="no checkpoint was written .*No space") as seen:
            found = train("plain", checkpoint=path, checkpoint_every=0)
    assert len(seen) == 1
    assert_equal(found, whole)
    assert not path.exists()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("crashes", [(3, 9), (16, 17, 18, 19), (22, 28)])
def test_an_estimator_goes_on_from_its_checkpoint(crashes, tmp_path, crash):
    """Crashes in each stage of the race; the recipes that are left out stay so."""
    kinds = [(NetworkRegressor, Y[:, 0]), (NetworkClassifier, np.where(Y[:, 0] > 0, "a", "b"))]
    for kind, y in kinds[: 2 if crashes[0] == 3 else 1]:
        given = {"members": 3, "max_iter": 30, "random_state": 0, "engine": "numpy"}
        whole = kind(**given).fit(X, y)
        path = tmp_path / f"{kind.__name__}.safetensors"
        crash(*crashes)
        for _ in crashes:
            with pytest.raises(KeyboardInterrupt):
                kind(**given).fit(X, y, checkpoint=path, checkpoint_every=0)
        crash()
        found = kind(**given).fit(X, y, checkpoint=path, checkpoint_every=0)
        assert_equal(found.population_, whole.population_)
        assert [(t.name, t.epochs, t.held_out_loss, t.chosen) for t in found.recipes_] == [
            (t.name, t.epochs, t.held_out_loss, t.chosen) for t in whole.recipes_
        ]
        np.testing.assert_array_equal(found.predict(X), whole.predict(X))
    with pytest.raises(sb.SettingError, match="max_time decides by the clock"):
        kind(**given, max_time=1).fit(X, y, checkpoint=path)
    with pytest.raises(sb.SettingError, match="differs in data, seeds"):
        kind(**given | {"random_state": 1}).fit(X, y, checkpoint=path)


LONG = """
import sys
import numpy as np, seedbed as sb
from seedbed import runs
runs.CALLBACK_SECONDS = 1e-3
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 5)); Y = X[:, :1] * X[:, 1:2]
network = sb.Network(5, [sb.Dense(16, sb.relu), sb.Dense(1)])
population = sb.train(
    network, X, Y, loss="mse", epochs=600, batch_size=32, seeds=range(6), dropout=0.1,
    engine=sys.argv[1], validation=0.2, patience=600, progress=False,
    checkpoint=sys.argv[2], checkpoint_every=0.01,
)
sb.save(sys.argv[3], population)
"""


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_killed_process_goes_on(engine, tmp_path):
    def process(path, out):
        return subprocess.Popen([sys.executable, "-c", LONG, engine, path, out])

    with process(tmp_path / "whole", tmp_path / "whole.safetensors") as whole:
        assert whole.wait() == 0
    for seed in range(1):
        path, kills = tmp_path / f"run{seed}", 0
        pause = np.random.default_rng(seed)
        while True:
            with process(path, tmp_path / "m.safetensors") as training:
                began = time.monotonic()
                while not path.exists() and time.monotonic() - began < 60:
                    time.sleep(0.01)
                time.sleep(pause.uniform(0.0, 0.4))
                if kills < 3 and training.poll() is None:
                    training.kill()
                    kills += 1
                    continue
                assert training.wait() == 0
                break
        assert (tmp_path / "m.safetensors").read_bytes() == (
            tmp_path / "whole.safetensors"
        ).read_bytes()


def command(*words, **kinds):
    return subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **kinds,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_command_goes_on_after_a_signal(number, tmp_path):
    table = np.column_stack([X, Y])
    np.savetxt(tmp_path / "t.csv", table, delimiter=",", header="a,b,c,d,y", comments="")
    words = ["train", "t.csv", "--target", "y", "--members", 2, "--hidden", "8"]
    epochs = 900 if number == signal.SIGTERM else 100_000
    words += ["--codes", "bins", "--dropout", "0", "--epochs", epochs, "--patience", 200_000]
    whole = NetworkRegressor(members=2, max_iter=3).fit(X, Y[:, 0])
    whole.save(tmp_path / "m.safetensors")
    old = (tmp_path / "m.safetensors").read_bytes()
    words += ["--out", "m.safetensors", "--force", "--checkpoint", "run.safetensors"]
    seen, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "seedbed", *map(str, words)], stdout=subprocess.PIPE,
        stderr=terminal, cwd=tmp_path,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup ignores it
    ) as process:  # fmt: skip
        shown = b""
        while b"epoch" not in shown:  # the progress line: training is under way
            shown += os.read(seen, 1000)
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=60)
        shown += os.read(seen, 10_000)
    os.close(seen)
    os.close(terminal)
    assert time.monotonic() - began < 10
    assert process.returncode == 128 + number, shown
    assert b"the members as trained so far are in m.interrupted.safetensors" in shown
    assert b"seedbed resume run.safetensors resumes it" in shown
    assert (tmp_path / "m.safetensors").read_bytes() == old
    part = sb.load(tmp_path / "m.interrupted.safetensors").population_
    assert (part.status == "interrupted").all()
    if number != signal.SIGTERM:
        return
    with command("resume", tmp_path / "run.safetensors") as process:
        _, err = process.communicate()
    assert process.returncode == 2
    assert "m.safetensors exists: give another name, or --force" in err
    with command("resume", "run.safetensors", "--force", cwd=tmp_path) as process:
        out, err = process.communicate()
    assert process.returncode == 0, err
    assert "written to m.safetensors" in out
    with command(*words[:-5], "--out", "whole.safetensors", cwd=tmp_path) as process:
        assert process.wait() == 0
    found = [sb.load(tmp_path / f"{name}.safetensors").population_ for name in ("m", "whole")]
    assert_equal(*found)


def test_resume_refuses_what_it_cannot_repeat(tmp_path, run):
    path = tmp_path / "run.safetensors"
    train("plain", checkpoint=path)
    status, out, err = run("resume", path)
    assert (status, out) == (2, "")
    assert "is of a training in Python: repeat the call" in err
    status, _, err = run("resume", tmp_path / "none")
    assert status == 2
    assert "cannot read" in err
