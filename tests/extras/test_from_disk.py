"""Training from disk: tables that are read in parts, and training rows in shards."""

import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.dataset
import pytest

import seedbed as sb
from seedbed.engines import shards
from seedbed.engines.shards import Shards, TrainRows
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables import encoding, scans, summary
from seedbed.tables.reading import Table, read
from seedbed.tables.scans import open_scan
from seedbed.tables.summary import summarize
from seedbed.tables.targets import find_target

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TABLES = Path(__file__).parents[1] / "tables"
FAST = {"members": 2, "random_state": 0, "effort": "fast", "max_iter": 3}


def table(rows=3000, seed=0):
    """Return a frame with columns of all kinds, and the target y."""
    rng = np.random.default_rng(seed)
    at = np.arange(rows)
    a, b = rng.normal(size=rows), rng.lognormal(size=rows)
    city = rng.choice(["Bern", "Oslo", "Rome", "Kyiv"], rows, p=[0.7, 0.2, 0.09, 0.01])
    frame = pl.DataFrame(
        {
            "a": a,
            "b": b,
            "city": city,
            "as text": [f"{value:.2f} kg" for value in b],
            "when": pl.Series(np.datetime64("2024-01-01") + (at % 500)),
            "flag": rng.random(rows) < 0.3,
            "item": [f"item {value}" for value in rng.integers(0, 40, rows)],
            "y": 2 * a + np.log(b) + (city == "Oslo") + 0.1 * rng.normal(size=rows),
        }
    )
    missing = pl.int_range(rows) % 11 == 0
    return frame.with_columns(
        a=pl.when(missing).then(None).otherwise(pl.col("a")),
        city=pl.when(missing).then(None).otherwise(pl.col("city")),
    )


def fitted(source, name, task):
    """Return the encoding and the notes of a source, a table or a summary, without the training."""
    target, known = find_target(source, name, task)
    whole = isinstance(source, Table)
    rows = known if whole else np.empty(0, np.intp)
    found, notes = encoding.fit(source, rows, target, (name,), separate_target=True, embeds=True)
    if target.task == "regression":
        sample, places, weights = source, known, None
        if not whole:
            sample, weights = source.sample, source.sample_weights
            places = np.arange(len(sample))
        values = target.numbers(sample)[places][:, None]
        found, more = encoding.with_quantities(found, sample, places, values, weights)
        notes = [*notes, *more]
    return found, notes, found.with_bins(source, rows, None, 24)


def outcome(source, name):
    """Return what ``fitted`` returns of a source, or of what makes one, or its error's message."""
    try:
        return fitted(source() if callable(source) else source, name, None)
    except sb.SeedbedError as error:
        return str(error)


# ---------------------------------------------------------------- what a pass finds out


@pytest.mark.parametrize("rows_of_a_part", [257, 100_000])
def test_a_pass_finds_what_the_whole_table_shows(monkeypatch, rows_of_a_part):
    monkeypatch.setattr(scans, "PART_VALUES", rows_of_a_part * 10)
    codes = [f"row{row}" for row in range(3000)]
    frame = table().with_columns(code=pl.Series(codes), same=pl.lit("x"))
    expected = fitted(Table("X", frame), "y", "regression")
    found = fitted(summarize(open_scan(frame.lazy()), "y", 0), "y", "regression")
    assert found == expected
    assert {note.kind for note in found[1]} == {"constant", "left out", "dates"}


FILES = [path for path in sorted(TABLES.glob("whole/*.csv")) if Path(f"{path}.json").exists()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_pass_over_files_finds_what_reading_them_does(path):
    frame = read(path).frame
    outcomes = [outcome(Table("X", frame), name) for name in frame.columns]
    assert outcomes == [
        outcome(lambda name=name: summarize(open_scan(frame.lazy()), name, 0), name)
        for name in frame.columns
    ]
    assert any(not isinstance(each, str) for each in outcomes)


def test_a_sample_stands_for_a_table_that_it_does_not_hold(monkeypatch):
    monkeypatch.setattr(summary, "MIN_SAMPLE_ROWS", 1000)
    monkeypatch.setattr(summary, "MAX_SAMPLE_ROWS", 1000)
    rows = 30_000
    rng = np.random.default_rng(0)
    late = np.arange(rows) == rows - 1
    frame = pl.DataFrame(
        {
            "x": np.sort(rng.normal(size=rows)),
            "rare": np.where(late, np.nan, 1.0 * (np.arange(rows) % 7)),
            "once": 1.0 * late,
            "text": np.where(late, "seldom", np.where(rng.random(rows) < 0.4, "often", "usual")),
            "y": np.where(np.arange(rows) == 9_999, 1e6, rng.normal(size=rows)),
        }
    )
    frame = frame.with_columns(pl.col("rare").fill_nan(None))
    found = summarize(open_scan(frame.lazy()), "y", 3)
    assert found.rows == rows
    assert not found.is_whole
    assert len(found.sample) < 1100
    # exact: a value that is missing once, a number that differs once, a text that occurs once
    made, notes, _ = fitted(found, "y", "regression")
    by_name = {column.name: column for column in made.columns}
    assert by_name["rare"].flagged
    assert by_name["once"].width
    assert by_name["text"].categories == ("often", "seldom", "usual")
    assert found.repeats("text").rows.sum() == rows
    # the outlier is known though few rows are
    assert made.target.high[0] < 1e6
    assert "1 outlier" in notes[-1].line
    # quantiles are near those of all rows: 1,000 rows show a rank to some 0.016
    x = by_name["x"]
    exact = frame["x"].to_numpy()
    assert abs((exact < x.center).mean() - 0.5) < 0.06
    ranks = np.searchsorted(exact, x.knots) / rows
    assert np.abs(ranks - np.linspace(0, 1, len(ranks))).max() < 0.08


def test_classes_that_no_sample_shows_are_known(monkeypatch):
    monkeypatch.setattr(summary, "MIN_SAMPLE_ROWS", 100)
    monkeypatch.setattr(summary, "MAX_SAMPLE_ROWS", 100)
    y = np.arange(20_000) % 2
    y[777] = 5
    frame = pl.DataFrame({"x": np.arange(20_000.0), "y": y})
    found = summarize(open_scan(frame.lazy()), "y", 0)
    target, _ = find_target(found, "y", None)
    assert target.classes == ("0", "1", "5")
    assert found.repeats("y").rows.tolist() == [10_000, 9_999, 1]


def test_numbers_as_texts_of_too_many_kinds_keep_what_is_no_number(monkeypatch):
    monkeypatch.setattr(summary, "MAX_DISTINCT", 500)
    values = [f"{value:.6f}" for value in np.random.default_rng(0).normal(size=3000)]
    values[1500] = "oops"
    frame = pl.DataFrame({"b": values, "y": np.arange(3000.0)})
    expected = fitted(Table("X", frame), "y", "regression")
    found = fitted(summarize(open_scan(frame.lazy()), "y", 0), "y", "regression")
    assert found[0].columns[0].odd == expected[0].columns[0].odd == ("oops",)
    assert "'oops' in row 1501" in found[1][0].line


def test_texts_of_too_many_kinds_are_judged_by_the_sample(monkeypatch):
    monkeypatch.setattr(summary, "MAX_DISTINCT", 500)
    monkeypatch.setattr(summary, "MIN_SAMPLE_ROWS", 2000)
    monkeypatch.setattr(summary, "MAX_SAMPLE_ROWS", 2000)
    rng = np.random.default_rng(0)
    rows = 20_000
    many = [f"shop {n}" for n in (600 * rng.random(rows) ** 3).astype(int)]
    frame = pl.DataFrame(
        {"id": [f"row{row}" for row in range(rows)], "shop": many, "y": rng.normal(size=rows)}
    )
    made, notes, _ = fitted(summarize(open_scan(frame.lazy()), "y", 0), "y", "regression")
    assert [column.name for column in made.columns] == ["shop"]
    assert len(made.columns[0].categories) > 400
    assert "id is left out" in notes[0].line


# ---------------------------------------------------------------- shards


@pytest.mark.parametrize(("rows", "count", "step"), [(60, 1, 7), (60, 4, 7), (5000, 50, 333)])
def test_every_row_is_in_one_shard(rows, count, step):
    x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    t, w = x[:, :1] + 0.25, x[:, 0] + 0.5
    made = Shards(rows, 3, 1, np.float32, count=count, weighed=True, seed=1)
    for start in range(0, rows, step):
        made.write(x[start : start + step], t[start : start + step], w[start : start + step])
    assert made.room == 0
    seen = []
    for number in range(count):
        made.load(number)
        data = made.data
        assert np.array_equal(data.t[:, 0], data.x[:, 0] + 0.25)
        assert np.array_equal(data.w, data.x[:, 0] + 0.5)
        seen.append(data.x[:, 0] // 3)
    assert sorted(np.concatenate(seen).tolist()) == list(range(rows))
    if count > 1:  # each shard has rows from all over the table, even if it is sorted
        for rows_of_one in seen:
            assert abs(rows_of_one.mean() - rows / 2) < 0.35 * rows
    assert sorted(made.order(0).tolist()) == list(range(count))
    if count == 50:
        assert made.order(0).tolist() != made.order(1).tolist()
    made.close()


def test_members_hold_out_different_rows():
    made = Shards(60, 2, 1, np.float32, count=3, weighed=False, seed=0, candidates=20, held=5)
    x = np.arange(120, dtype=np.float32).reshape(60, 2)
    made.write(x, x[:, :1])
    data = made.held_out(6)
    assert data.x.shape == (60, 2)
    own = data.rows.of(np.arange(6))
    trained = TrainRows(made, 6).of(np.arange(6))
    assert own.shape == (6, 15)
    assert trained.shape == (6, 15)
    for member in range(6):
        held = set(data.x[own[member], 0].tolist())
        seen = set()
        for number in range(3):
            made.load(number)
            seen |= set(made.data.x[trained[member], 0].tolist())
        assert not held & seen
        assert held | seen == set(x[:, 0].tolist())
    held = [set(rows.tolist()) for rows in own]
    assert not held[0] & held[1]
    assert set.union(*held) == set(range(60))
    made.close()


def test_a_full_disk_is_known_before(monkeypatch, tmp_path):
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet")
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(sb.SettingError, match=r"encoded rows need .* where 1 kB are free: set TMP"):
        NetworkRegressor(**FAST).fit(tmp_path / "t.parquet", "y", from_disk=True)


# ---------------------------------------------------------------- estimators


@pytest.fixture
def many_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 2**15)
    monkeypatch.setattr(shards, "MIN_SHARD_ROWS", 100)


def test_files_lazy_frames_and_data_sets_give_the_same_bits(tmp_path, many_shards):
    frame = table()
    path, folder = tmp_path / "t.parquet", tmp_path / "folder"
    frame.write_parquet(path, row_group_size=700)
    folder.mkdir()
    frame[:1000].write_parquet(folder / "1.parquet")
    frame[1000:].write_parquet(folder / "2.parquet")
    given = [path, str(path), folder, frame.lazy(), pyarrow.dataset.dataset(path)]
    models = [NetworkRegressor(**FAST).fit(X, "y", from_disk=True) for X in given]
    assert models[0].from_disk_.shards > 5
    for model in models[1:]:
        assert np.array_equal(model.population_.theta, models[0].population_.theta)
    X = frame.drop("y")
    expected = models[0].predict(X)
    X.write_parquet(path)
    for given in (path, X.lazy(), pyarrow.dataset.dataset(path)):
        mean, std = models[0].predict(given, return_std=True)
        assert np.array_equal(mean, expected)
        assert (std > 0).all()
    assert np.corrcoef(expected, frame["y"])[0, 1] > 0.9


def test_a_small_file_is_trained_on_in_memory(tmp_path):
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    expected = NetworkRegressor(**FAST).fit(frame.drop("y"), frame["y"])
    for X in (
        tmp_path / "t.parquet",
        frame.lazy(),
        pyarrow.dataset.dataset(tmp_path / "t.parquet"),
    ):
        model = NetworkRegressor(**FAST).fit(X, "y")
        assert model.from_disk_ is None
        assert np.array_equal(model.population_.theta, expected.population_.theta)
    assert NetworkRegressor(**FAST).fit(tmp_path / "t.csv", "y").from_disk_ is None


def test_a_table_that_would_fill_the_memory_is_trained_on_from_disk(monkeypatch, tmp_path):
    frame = table()
    frame.write_parquet(tmp_path / "t.parquet")
    monkeypatch.setattr(scans.memory, "free", lambda: 1e6)
    model = NetworkRegressor(**FAST).fit(tmp_path / "t.parquet", "y")
    assert model.from_disk_.rows == 3000


@pytest.mark.parametrize("engine", ["compiled", "numpy"])
def test_scores_from_disk_are_those_in_memory(tmp_path, many_shards, engine):
    frame, test = table(4000), table(2000, seed=1)
    frame = frame.sort("y")  # a shard that was a part of the file would show one class
    frame.write_parquet(tmp_path / "t.parquet")
    given = {**FAST, "max_iter": 12, "engine": engine, "hidden_layer_sizes": (32,)}
    in_memory = NetworkRegressor(**given).fit(frame.drop("y"), frame["y"])
    from_disk = NetworkRegressor(**given).fit(tmp_path / "t.parquet", "y", from_disk=True)
    assert from_disk.from_disk_.shards > 10
    expected = in_memory.score(test.drop("y"), test["y"])
    assert expected > 0.9
    assert abs(from_disk.score(test.drop("y"), test["y"]) - expected) < 0.02
    history = from_disk.population_.history
    assert history.train_loss.shape == (2, 12)
    assert np.isfinite(history.train_loss[:, 0]).all()
    assert from_disk.population_.epochs.max() <= 12
    assert np.allclose(history.train_loss[:, 0], in_memory.population_.history.train_loss[:, 0],
                       rtol=0.5)  # fmt: skip


def test_engines_agree_on_shards(tmp_path, many_shards):
    table().write_parquet(tmp_path / "t.parquet")
    thetas = [
        NetworkRegressor(**{**FAST, "max_iter": 1}, engine=engine)
        .fit(tmp_path / "t.parquet", "y", from_disk=True)
        .population_.theta
        for engine in ("compiled", "numpy")
    ]
    assert np.abs(thetas[0] - thetas[1]).max() < 1e-3


def test_all_recipes_are_tried_from_disk(tmp_path, many_shards):
    table(2000).write_parquet(tmp_path / "t.parquet")
    model = NetworkRegressor(members=2, random_state=0, max_iter=4, hidden_layer_sizes=(8,))
    model.fit(tmp_path / "t.parquet", "y", from_disk=True)
    assert [trial.name for trial in model.recipes_] == [
        "bins", "fine bins", "periodic", "bins, dropout 0.3",
    ]  # fmt: skip
    assert all(trial.epochs for trial in model.recipes_)


def test_weights_and_classes(tmp_path, many_shards):
    rng = np.random.default_rng(0)
    rows = 3000
    x = rng.normal(size=rows)
    high = np.abs(x) + rng.normal(size=rows) > 2.2  # 10 to 15 %
    frame = pl.DataFrame(
        {
            "x": x,
            "w": np.where(x > 0, 5.0, 0.0),
            "y": np.where(x > 0, np.where(high, "a", "b"), "c"),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    weighed = NetworkClassifier(**FAST).fit(
        tmp_path / "t.parquet", "y", sample_weight="w", from_disk=True
    )
    assert weighed.classes_.tolist() == ["a", "b"]  # no row of c has a weight
    assert weighed.from_disk_.rows == int((x > 0).sum())
    assert weighed.feature_names_in_.tolist() == ["x"]
    frame = frame.filter(pl.col("w") > 0).drop("w")
    frame.write_parquet(tmp_path / "t.parquet")
    shares = []
    for given in (None, "balanced", {"a": 3.0, "b": 1.0}):
        model = NetworkClassifier(**{**FAST, "max_iter": 15}, class_weight=given)
        model.fit(tmp_path / "t.parquet", "y", from_disk=True)
        shares.append(model.predict_proba(frame.drop("y"))[:, 0].mean())
    share = (frame["y"] == "a").mean()
    assert abs(shares[0] - share) < 0.05
    assert shares[1] > 2 * share
    assert share + 0.03 < shares[2] < shares[1]


def test_weights_count_as_in_memory(tmp_path):
    frame = table().with_columns(w=pl.int_range(3000) % 3 * 1.0)
    frame.write_parquet(tmp_path / "t.parquet")
    in_memory = NetworkRegressor(**FAST).fit(tmp_path / "t.parquet", "y", sample_weight="w")
    direct = NetworkRegressor(**FAST).fit(
        frame.drop("y", "w"), frame["y"], sample_weight=frame["w"].to_numpy()
    )
    assert np.array_equal(in_memory.population_.theta, direct.population_.theta)
    from_disk = NetworkRegressor(**FAST).fit(
        tmp_path / "t.parquet", "y", sample_weight="w", from_disk=True
    )
    assert from_disk.encoding_.columns == direct.encoding_.columns
    assert np.allclose(from_disk.encoding_.target.mean, direct.encoding_.target.mean)


def test_without_early_stopping_and_with_validation_data(tmp_path, many_shards):
    frame = table(2000)
    frame.write_parquet(tmp_path / "t.parquet")
    model = NetworkRegressor(**FAST, early_stopping=False)
    model.fit(tmp_path / "t.parquet", "y", from_disk=True)
    assert model.validation_curve_ is None
    assert model.from_disk_.held_out == 0
    other = table(500, seed=2)
    model = NetworkRegressor(**FAST)
    model.fit(
        tmp_path / "t.parquet", "y", from_disk=True, validation_data=(other.drop("y"), other["y"])
    )
    assert len(model.validation_curve_) == 3
    assert model.from_disk_.held_out == 0


def test_training_stops_after_the_best_epoch(tmp_path, many_shards):
    table(1500).write_parquet(tmp_path / "t.parquet")
    model = NetworkRegressor(
        members=2, random_state=0, effort="fast", max_iter=60, n_iter_no_change=2,
        learning_rate_init=0.05,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(tmp_path / "t.parquet", "y", from_disk=True)
    population = model.population_
    assert set(population.status) == {"stopped"}
    assert (population.epochs == population.best_epoch + 2).all()
    assert model.best_iteration_ == 1 + int(np.argmin(model.validation_curve_))


# ---------------------------------------------------------------- what can go wrong


def test_a_training_resumes_from_its_checkpoint_within_an_epoch(tmp_path, many_shards):
    table().write_parquet(tmp_path / "t.parquet")
    given = {**FAST, "max_iter": 4}
    whole = NetworkRegressor(**given).fit(tmp_path / "t.parquet", "y", from_disk=True)
    parts = []

    def stop(progress):
        parts.append(progress.share)
        if progress.share > 0.3 and progress.share * 4 % 1:
            raise RuntimeError("the power is gone")

    kept = tmp_path / "run.safetensors"
    sb.runs.CALLBACK_SECONDS, before = 0.0, sb.runs.CALLBACK_SECONDS
    try:
        with pytest.warns(sb.CallbackWarning), pytest.warns(sb.InterruptWarning):
            part = NetworkRegressor(**given).fit(
                tmp_path / "t.parquet", "y", from_disk=True, callbacks=[stop], checkpoint=kept
            )
    finally:
        sb.runs.CALLBACK_SECONDS = before
    assert 0.3 < parts[-1] < 0.9
    assert set(part.population_.status) == {"interrupted"}
    assert part.population_.epochs.tolist() == [2, 2]  # the epoch under way counts
    found = NetworkRegressor(**given).fit(
        tmp_path / "t.parquet", "y", from_disk=True, checkpoint=kept
    )
    assert np.array_equal(found.population_.theta, whole.population_.theta)
    assert np.array_equal(
        found.population_.history.train_loss, whole.population_.history.train_loss
    )
    table(3000, seed=4).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(sb.SettingError, match="another training"):
        NetworkRegressor(**given).fit(tmp_path / "t.parquet", "y", from_disk=True, checkpoint=kept)


@pytest.mark.parametrize(
    ("X", "given", "message"),
    [
        ("t.parquet", {"y": "y", "sample_weight": "none"}, "'none' of t.parquet is 0 in every row"),
        ("t.parquet", {"y": "y", "sample_weight": "none", "from_disk": False}, "is 0 in every row"),
        (
            np.zeros((3, 2)),
            {"y": "y", "from_disk": None},
            "X is a ndarray, whose columns have none",
        ),
        ("t.parquet", {"y": np.zeros(3)}, "y must be the name of one of the table's columns"),
        ("t.parquet", {"y": "z"}, "t.parquet has no target column 'z'"),
        ("t.parquet", {"y": "y", "sample_weight": "z"}, "has no column of weights 'z'"),
        ("t.parquet", {"y": "y", "sample_weight": "a"}, "weights must be numbers of at least 0"),
        ("t.parquet", {"y": "y", "sample_weight": "city"}, "where a number is expected"),
        ("t.parquet", {"y": "city"}, "holds 'Bern' in row 2, where a number is expected"),
        ("t.parquet", {"y": "when"}, "holds dates: predict a number"),
        ("t.parquet", {"y": "y", "from_disk": "yes"}, "from_disk must be True or False"),
        ("t.csv", {"y": "y"}, "no Parquet file, and others cannot be trained on from disk"),
        ("none.parquet", {"y": "y"}, "cannot read none.parquet: No such file"),
        ("cut.parquet", {"y": "y"}, "cannot read cut.parquet"),
        ("empty.parquet", {"y": "y"}, "empty.parquet has no rows"),
        ("infinite.parquet", {"y": "y"}, "holds inf in row 3000: it needs finite numbers"),
        (np.zeros((3, 2)), {"y": np.arange(3)}, "from_disk takes the path of a Parquet file"),
    ],
)
def test_errors_are_one_line(tmp_path, monkeypatch, X, given, message):
    monkeypatch.chdir(tmp_path)
    frame = table().with_columns(none=0.0)
    frame.write_parquet("t.parquet")
    frame.write_csv("t.csv")
    frame[:0].write_parquet("empty.parquet")
    b = pl.when(pl.int_range(3000) == 2999).then(float("inf")).otherwise(pl.col("b"))
    frame.with_columns(b=b).write_parquet("infinite.parquet")
    Path("cut.parquet").write_bytes(Path("t.parquet").read_bytes()[:1000])
    with pytest.raises(sb.SeedbedError) as raised:
        NetworkRegressor(**FAST).fit(X, **{"from_disk": True, **given})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame[:2500], "other rows, when it is read again"),
        (lambda frame: frame[::-1], "gives its rows in another order"),
        (lambda frame: frame.with_columns(y=pl.col("y") + 1), "other rows"),
        (lambda frame: pl.concat([frame, frame[:5]]), "other rows"),
        (lambda frame: frame.drop("a"), "cannot read"),
    ],
)
def test_a_table_that_changes_is_refused(tmp_path, change, message):
    path = tmp_path / "t.parquet"
    table().write_parquet(path)
    scan = open_scan(path)
    found = summarize(scan, "y", 0)
    target, _ = find_target(found, "y", "regression")
    change(table()).write_parquet(path)
    with pytest.raises(sb.TableError, match=message):
        NetworkRegressor(**FAST).fit_scan(scan, found, target)


def test_a_lazy_frame_without_an_order_is_refused(monkeypatch):
    monkeypatch.setattr(scans, "PART_VALUES", 5000)
    shuffled = pl.LazyFrame({"a": range(3000)}).map_batches(
        lambda frame: frame.sample(fraction=1.0, shuffle=True), schema={"a": pl.Int64}
    )
    frame = shuffled.with_columns(y=pl.col("a") * 2.0)
    with pytest.raises(sb.TableError, match="another order, or other rows, when it is read again"):
        NetworkRegressor(**FAST).fit(frame, "y", from_disk=True)


def test_a_lazy_frame_that_fails_ends_in_one_line():
    frame = pl.LazyFrame({"a": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}).with_columns(
        b=pl.col("a").map_elements(lambda value: 1 / 0, return_dtype=pl.Float64)
    )
    with pytest.raises(sb.TableError, match="cannot read X: ") as raised:
        NetworkRegressor(**FAST).fit(frame, "y", from_disk=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda t: t.drop("b"), "column 'b' is absent in .*2.parquet and a number"),
        (lambda t: t.with_columns(z=1), "column 'z' is a number in .*2.parquet and absent"),
        (lambda t: t.with_columns(b=pl.lit("x")), "'b' is a text in .*2.parquet and a number"),
    ],
)
@pytest.mark.parametrize("from_disk", [True, False])
def test_files_of_other_columns_are_refused(tmp_path, second, message, from_disk):
    table(300)[:150].write_parquet(tmp_path / "1.parquet")
    second(table(300)[150:]).write_parquet(tmp_path / "2.parquet")
    with pytest.raises(sb.TableError, match=message):
        NetworkRegressor(**FAST).fit(tmp_path, "y", from_disk=from_disk)


def test_files_may_differ_in_how_they_store_numbers_and_texts(tmp_path):
    frame = table(600).with_columns(b=(pl.col("b") * 10).round())
    cities = pl.Enum(["Bern", "Oslo", "Rome", "Kyiv"])
    first = frame[:300].with_columns(pl.col("b").cast(pl.Int32), pl.col("city").cast(cities))
    first.write_parquet(tmp_path / "1.parquet")
    frame[300:].with_columns(pl.col("city").cast(pl.Categorical)).write_parquet(
        tmp_path / "2.parquet"
    )
    whole = NetworkRegressor(**FAST).fit(frame.lazy(), "y", from_disk=True)
    model = NetworkRegressor(**FAST).fit(tmp_path, "y", from_disk=True)
    assert model.encoding_ == whole.encoding_


def test_columns_of_a_folders_names_are_read(tmp_path):
    for k in (1, 2):
        (tmp_path / f"k={k}").mkdir()
        frame = table(400, seed=k).with_columns(y=pl.col("y") + 50 * k)
        frame.write_parquet(tmp_path / f"k={k}" / "part.parquet")
    for from_disk in (True, False):
        model = NetworkRegressor(**FAST).fit(tmp_path, "y", from_disk=from_disk)
        assert "k" in model.feature_names_in_


def test_pipes_are_read_from_their_beginning():
    text = "x,y\n" + "\n".join(f"{row % 17},{row % 5}" for row in range(200))
    words = ["train", "/dev/stdin", "--target", "y", "--epochs", "1", "--effort", "fast", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "seedbed", *words], input=text, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"train": 160' in " ".join(done.stdout.split())


def test_no_file_stays_behind(tmp_path):
    table().write_parquet(tmp_path / "t.parquet")
    code = """
        import os, sys
        from seedbed.estimators import NetworkRegressor
        def end(progress):
            open_files = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                          if os.path.lexists(f"/proc/self/fd/{n}")]
            print(sum(name.startswith(sys.argv[2]) for name in open_files), flush=True)
            os._exit(0)
        NetworkRegressor(members=2, effort="fast", random_state=0).fit(
            sys.argv[1], "y", from_disk=True, callbacks=[end])
    """
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "t.parquet", folder],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) >= 1
    assert not list(folder.iterdir())


def test_targets_by_name(tmp_path):
    frame, other = table(800), table(300, seed=1)
    other.write_parquet(tmp_path / "other.parquet")
    X = frame.drop("y")
    expected = NetworkRegressor(**FAST).fit(X, frame["y"])
    model = NetworkRegressor(**FAST).fit(frame, "y")  # a data frame that holds its target
    assert np.array_equal(model.population_.theta, expected.population_.theta)
    score = expected.score(other.drop("y"), other["y"])
    assert abs(model.score(tmp_path / "other.parquet", "y") - score) < 1e-12
    assert abs(model.score(other, "y") - score) < 1e-12
    validated = NetworkRegressor(**FAST).fit(
        frame, "y", validation_data=(tmp_path / "other.parquet", "y")
    )
    direct = NetworkRegressor(**FAST).fit(
        X, frame["y"], validation_data=(other.drop("y"), other["y"])
    )
    assert validated.validation_curve_ == direct.validation_curve_
    classes = frame.with_columns(
        y=pl.when(pl.col("y") > 0).then(pl.lit("p")).otherwise(pl.lit("q"))
    )
    classifier = NetworkClassifier(**FAST).fit(classes, "y")
    expected = (classifier.predict(classes.drop("y")) == classes["y"].to_numpy()).mean()
    assert classifier.score(classes, "y") == expected
    with pytest.raises(sb.DataError, match="partial_fit takes rows in memory"):
        NetworkRegressor(**FAST).partial_fit(tmp_path / "other.parquet", "y")
    with pytest.raises(sb.SettingError, match="a score on a table has no weights"):
        model.score(other, "y", sample_weight=np.ones(300))


def test_poisson_refuses_negative_counts_by_name(tmp_path):
    table(400).write_parquet(tmp_path / "t.parquet")
    for from_disk in (True, False):
        with pytest.raises(sb.DataError, match="the loss 'poisson' is for counts"):
            NetworkRegressor(**FAST, loss="poisson").fit(
                tmp_path / "t.parquet", "y", from_disk=from_disk
            )


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_tiny_tables(rows):
    frame = table(rows).select("b", "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = NetworkRegressor(**FAST).fit(frame.lazy(), "y", from_disk=True)
        NetworkRegressor(**FAST, validation_fraction=0.999).fit(frame.lazy(), "y", from_disk=True)
    assert np.isfinite(model.predict(frame.drop("y"))).all()


def test_the_time_of_the_first_pass_counts(monkeypatch):
    frame = table(2000).lazy()
    found = summarize(open_scan(frame), "y", 0)
    target, _ = find_target(found, "y", "regression")
    model = NetworkRegressor(members=2, random_state=0, max_time=30, max_iter=3)
    model.fit_scan(open_scan(frame), found, target)
    assert len(model.recipes_) > 1
    found.seconds = 100.0
    model.fit_scan(open_scan(frame), found, target)
    assert len(model.recipes_) == 1
    assert model.n_iter_ == 1


def test_callbacks_by_epoch(many_shards):
    seen = []
    NetworkRegressor(**{**FAST, "max_iter": 5}).fit(
        table(2000).lazy(), "y", from_disk=True,
        callbacks=[sb.every(2, lambda progress: seen.append((progress.epoch, progress.share)))],
    )  # fmt: skip
    assert seen == [(2, 0.4), (4, 0.8), (5, 1.0)]


# ---------------------------------------------------------------- the command


def test_a_class_that_only_test_rows_have_is_known(tmp_path, monkeypatch, capsys):
    from seedbed.cli import main

    monkeypatch.chdir(tmp_path)
    classes = ["p", "q"] * 1500
    for number in range(8):
        classes[7 + 300 * number] = f"rare{number}"
    frame = table(3000).drop("y").with_columns(y=pl.Series(classes))
    frame.write_parquet("t.parquet")
    words = ["train", "t.parquet", "--target", "y", "--effort", "fast", "--epochs", "2"]
    assert main([*words, "--from-disk", "--out", "m.safetensors"]) == 0
    assert len(sb.load("m.safetensors").classes_) == 10
    found = summarize(open_scan("t.parquet"), "y", 0, test_share=0.5)
    row = found.test.row_number("y", 5)
    assert frame["a"].fill_null(0)[row - 1] == found.test.frame["a"].fill_null(0)[5]
    capsys.readouterr()


def test_the_command_trains_from_disk(tmp_path, monkeypatch, capsys, many_shards):
    from seedbed.cli import main

    monkeypatch.chdir(tmp_path)
    table().write_parquet("t.parquet")
    words = ["train", "t.parquet", "--target", "y", "--effort", "fast", "--epochs", "6",
             "--members", "2", "--from-disk", "--out", "m.safetensors"]  # fmt: skip
    assert main([*words, "--checkpoint", "run.safetensors"]) == 0
    printed = capsys.readouterr().out
    assert "trained from disk in" in printed
    assert "each member holds out" in printed
    assert "273 missing values" in printed
    model = sb.load("m.safetensors")
    assert model.from_disk_ is None
    assert model.test_scores_["r2"] > 0.8
    theta = model.population_.theta
    assert main(["resume", "run.safetensors", "--force"]) == 0
    assert np.array_equal(sb.load("m.safetensors").population_.theta, theta)
