"""Logs of many members: tables, and bands for experiment trackers."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import seedbed as sb
from seedbed import runs
from seedbed.estimators import NetworkRegressor

rng = np.random.default_rng(3)
X = rng.normal(size=(60, 3)).astype("float32")
Y = X[:, :1] * 2
NETWORK = sb.Network(3, [sb.Dense(5, sb.tanh), sb.Dense(1)])
RATES = [0.01, 0.1, 1e9, 0.02]


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e-9)


def train(*callbacks, **more):
    given = {"loss": "mse", "epochs": 12, "optimizer": sb.SGD(RATES), "engine": "numpy"}
    with pytest.warns(sb.DivergenceWarning):
        return sb.train(NETWORK, X, Y, seeds=range(4), callbacks=callbacks, **given | more)


def read(path):
    """Return a log as a frame, numbers as numbers."""
    if path.suffix == ".csv":
        return pl.read_csv(path, null_values=[""])
    return pl.read_parquet(path)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
@pytest.mark.parametrize("every", [1, 5])
def test_a_table_has_a_row_for_each_member_and_recorded_epoch(name, every, tmp_path):
    path = tmp_path / name
    population = train(sb.logs.Table(path), validation=0.25, record_every=every)
    table = read(path)
    assert table.columns == ["member", "seed", "lr", "epoch", "train_loss", "val_loss", "status"]
    history = population.history
    for member in range(4):
        own = table.filter(pl.col("member") == member)
        assert own["lr"].unique().to_list() == [RATES[member]]
        assert own["status"].to_list()[-1] == population.status[member]
        rows = own.filter(pl.col("status") == "running")
        places = np.flatnonzero(np.isfinite(history.train_loss[member]))
        assert rows["epoch"].to_list() == (history.epochs[places] + 1).tolist()
        for column, losses in (("train_loss", history.train_loss), ("val_loss", history.val_loss)):
            np.testing.assert_allclose(rows[column].to_numpy(), losses[member, places], rtol=1e-7)
    assert table.filter(pl.col("status") == "diverged")["member"].to_list() == [2]


def test_a_callback_sees_the_members(tmp_path):
    seen = []

    def look(progress):
        seen.append((progress.status.tolist(), progress.epochs_run.tolist(), progress.is_last))
        assert progress.history.train_loss.shape == (4, progress.epoch)
        assert progress.settings["lr"].tolist() == RATES
        assert progress.seeds.tolist() == [0, 1, 2, 3]

    population = train(sb.every(1, look))
    assert [last for _, _, last in seen] == [False] * 11 + [True]
    assert seen[3][0] == ["running", "running", "diverged", "running"]
    assert seen[-1][0] == population.status.tolist()
    assert seen[-1][1] == population.epochs.tolist()


def test_what_is_there_is_not_replaced(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("mine")
    with pytest.raises(sb.FileError, match=r"exists: give another name, replace=True, or resume"):
        sb.logs.Table(path)
    assert path.read_text() == "mine"
    with (
        pytest.warns(sb.CallbackWarning, match="is no log of this training"),
        pytest.warns(sb.InterruptWarning),
    ):
        sb.train(NETWORK, X, Y, loss="mse", callbacks=[sb.logs.Table(path, resume=True)])
    assert path.read_text() == "mine"
    train(sb.logs.Table(path, replace=True))
    assert len(read(path)) > 30
    with pytest.raises(sb.SettingError, match=r"ends in .csv, .parquet or .pq, not 'log.txt'"):
        sb.logs.Table("log.txt")
    with pytest.raises(sb.FileError, match="cannot write"):
        sb.logs.Table(tmp_path / "none" / "log.csv")


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_a_log_goes_on_with_its_checkpoint(name, tmp_path):
    whole, path = tmp_path / f"whole-{name}", tmp_path / name
    train(sb.logs.Table(whole))

    class CrashError(BaseException):
        pass

    def crash(progress):
        if progress.epoch == 7:
            raise CrashError

    given = {"checkpoint": tmp_path / "run", "checkpoint_every": 0}
    # the log is written before the checkpoint, so that it has more epochs
    with pytest.raises(CrashError):
        sb.train(
            NETWORK, X, Y, seeds=range(4), loss="mse", epochs=12, optimizer=sb.SGD(RATES),
            engine="numpy", callbacks=[sb.logs.Table(path), crash], **given,
        )  # fmt: skip
    if name == "log.csv":
        with path.open("a") as file:
            file.write("3,3,0.0")  # cut short
    train(sb.logs.Table(path, resume=True), **given)
    order = ["member", "epoch", "status"]
    assert read(path).sort(order).equals(read(whole).sort(order))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimators_log_names_its_recipes(tmp_path):
    path = tmp_path / "log.parquet"
    fitted = NetworkRegressor(members=2, max_iter=30, random_state=0, engine="numpy")
    fitted.fit(X, Y[:, 0], callbacks=[sb.logs.Table(path)])
    table = read(path)
    assert table.columns[:2] == ["recipe", "member"]
    longest = dict(table.group_by("recipe").agg(pl.col("epoch").max()).iter_rows())
    assert longest == {trial.name: trial.epochs for trial in fitted.recipes_}


def test_ctrl_c_ends_the_log(tmp_path):
    path = tmp_path / "log.csv"

    def press(progress):
        if progress.epoch == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(sb.InterruptWarning):
        population = train(sb.every(1, press), sb.logs.Table(path), epochs=100_000)
    assert read(path)["epoch"].max() == population.epochs.max()


def test_a_callback_that_raises_loses_nothing():
    def fails(progress):
        if progress.epoch == 5:
            raise ZeroDivisionError("nothing")

    with (
        pytest.warns(sb.CallbackWarning, match=r"raised ZeroDivisionError: nothing \(.*line \d+"),
        pytest.warns(sb.InterruptWarning, match="after 5 of 12 epochs"),
    ):
        population = train(sb.every(1, fails))
    np.testing.assert_array_equal(population.theta, train(epochs=5).theta)


# ---------------------------------------------------------------- experiment trackers


def expected_bands(population, place):
    """Return the bands of an epoch, from the members' losses."""
    losses = population.history.train_loss[:, place]
    known = np.sort(losses[np.isfinite(losses)])
    return {
        "train_loss/median": np.median(known), "train_loss/min": known[0],
        "train_loss/max": known[-1],
    }  # fmt: skip


def test_mlflow_gets_one_run_with_bands(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file:{tmp_path / 'runs'}")
    with mlflow.start_run() as run:
        population = train(sb.logs.MLflow())
    client = mlflow.MlflowClient()
    for name in ("train_loss/median", "train_loss/min", "train_loss/max", "diverged"):
        found = client.get_metric_history(run.info.run_id, name)
        assert [each.step for each in found] == list(range(1, 13))
        for each in found:
            bands = expected_bands(population, each.step - 1)
            if name in bands:
                assert each.value == pytest.approx(bands[name], rel=1e-6)
    assert found[-1].value == 0.25  # one of four diverged
    assert len(client.search_runs(["0"])) == 1


def test_tensorboard_reads_bands(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    population = train(sb.logs.TensorBoard(tmp_path), validation=0.25)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"train_loss/quartile_1", "val_loss/median", "diverged"} <= set(events.Tags()["scalars"])
    found = events.Scalars("train_loss/max")
    assert [each.step for each in found] == list(range(1, 13))
    bands = [expected_bands(population, place)["train_loss/max"] for place in range(12)]
    np.testing.assert_allclose([each.value for each in found], bands, rtol=1e-6)


def test_wandb_gets_one_run_with_bands(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    import wandb

    with pytest.raises(sb.SettingError, match=r"call wandb.init\(\) first"):
        sb.logs.WandB()
    run = wandb.init(project="p", dir=tmp_path)
    population = train(sb.logs.WandB())
    summary = dict(run.summary)
    run.finish()
    bands = expected_bands(population, 11)
    assert summary["train_loss/median"] == pytest.approx(bands["train_loss/median"], rel=1e-6)
    assert summary["diverged"] == 0.25
    assert list(Path(tmp_path).rglob("*.wandb"))


@pytest.mark.parametrize(
    ("make", "package"),
    [(sb.logs.MLflow, "mlflow"), (lambda: sb.logs.TensorBoard("x"), "tensorboard"),
     (sb.logs.WandB, "wandb")],
)  # fmt: skip
def test_a_missing_tracker_is_named(make, package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(sb.MissingDependencyError, match=rf"pip install 'seedbed\[{package}\]'"):
        make()


def test_the_command_logs(tmp_path, run):
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "y"], *np.column_stack([X, Y]).tolist()])
    words = ["train", table, "--target", "y", "--members", 2, "--epochs", 5, "--codes", "bins"]
    words += ["--dropout", 0, "--json", "--log", tmp_path / "log.csv"]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    best = max(each["epochs"] for each in json.loads(out)["members"])
    log = read(tmp_path / "log.csv")
    assert best <= log["epoch"].max() <= 5
    assert log["member"].unique().to_list() == [0, 1]
    status, _, err = run(*words)
    assert status == 2
    assert "log.csv exists: give another name" in err
