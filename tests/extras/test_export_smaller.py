"""Exports of fewer members: which are chosen, what they cost, and how large the files are."""

import re
import subprocess

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, r2_score
from test_export import SMALL, Library, table, targets

import seedbed as sb
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.exporting import c
from seedbed.exporting.rows import row_values

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
MEMBERS = {**SMALL, "members": 5, "hidden_layer_sizes": (6,), "max_iter": 6}


@pytest.fixture(scope="module")
def fitted():
    frame = table()
    return NetworkClassifier(**MEMBERS).fit(frame, targets(frame)[0]), frame


def own_losses(population):
    """Return each member's held-out loss at its parameters, looked up by hand."""
    history = population.history
    return np.array([
        history.val_loss[member, history.epochs.tolist().index(best - 1)]
        for member, best in enumerate(population.best_epoch)
    ])  # fmt: skip


def test_members_of_the_lowest_held_out_losses_are_chosen(fitted, tmp_path):
    classifier, frame = fitted
    population = classifier.population_
    losses = own_losses(population)
    chosen = np.sort(np.argsort(losses)[:2])
    found = sb.export(classifier, "c", tmp_path / "a", members=2)
    assert found.seeds == population.seeds[chosen].tolist()
    assert found.held_out.chosen == pytest.approx(losses[chosen].mean())
    assert found.held_out.members == pytest.approx(losses.mean())
    assert found.held_out.ensemble == pytest.approx(min(classifier.validation_curve_))

    library = Library(classifier.table_model_, tmp_path, "-O2", members=2)
    assert library.self_test() == 0
    rows = row_values(classifier.encoding_, classifier.table_model_.source(frame))
    values, *_ = library.predict(rows)
    x = classifier.table_model_.inputs(frame)
    expected = population[chosen].predict_mean(x).astype(np.float64)
    assert np.abs(values - expected).max() < 1e-6
    assert np.abs(values - population.predict_mean(x)).max() > 1e-3


def test_one_member_has_no_spread(fitted, tmp_path):
    classifier, frame = fitted
    library = Library(classifier.table_model_, tmp_path, "-O2", members=1)
    assert library.self_test() == 0
    rows = row_values(classifier.encoding_, classifier.table_model_.source(frame))
    assert not library.predict(rows)[1].any()


@pytest.mark.parametrize("to", ["c", "js", "python", "onnx"])
def test_as_many_members_as_fit(fitted, tmp_path, to):
    classifier, _ = fitted
    sizes = [sb.export(classifier, to, tmp_path / f"{k}", members=k).kb for k in range(1, 6)]
    assert sizes == sorted(sizes)
    for count, size in enumerate(sizes, start=1):
        found = sb.export(classifier, to, tmp_path / f"fit {count}", max_kb=size + 1e-3)
        assert (len(found.seeds), found.kb) == (count, size)
        limited = sb.export(classifier, to, tmp_path / f"both {count}", members=2, max_kb=size + 1)
        assert len(limited.seeds) == min(count, 2)
    with pytest.raises(sb.SettingError, match=r"one member takes .* kB and max_kb is 0\.5: raise"):
        sb.export(classifier, to, tmp_path / "never", max_kb=0.5)
    assert not (tmp_path / "never").exists()


def test_the_size_in_c_is_that_of_the_compiled_constants(fitted, tmp_path):
    """Code apart, which does not grow with the members, the object file grows by as many bytes."""
    classifier, _ = fitted
    sizes, objects = [], []
    for count in (2, 5):
        found = sb.export(classifier, "c", tmp_path / f"{count}", members=count)
        sizes.append(c.constant_bytes((tmp_path / f"{count}" / "model.c").read_text()))
        assert found.kb == sizes[-1] / 1024
        built = tmp_path / f"{count}.o"
        subprocess.run(
            ["cc", "-Os", "-ffp-contract=off", "-c", found.files[1], "-o", built], check=True
        )
        shown = subprocess.run(["size", built], capture_output=True, text=True, check=True).stdout
        text, data, *_ = map(int, re.findall(r"\d+", shown.splitlines()[1]))
        objects.append(text + data)
    assert abs((objects[1] - objects[0]) - (sizes[1] - sizes[0])) < 300
    assert sizes[0] < objects[0]


def test_texts_and_their_pointers_count(tmp_path):
    """1,000 more categories take as many more bytes of the object, whose pointers have 8 bytes."""
    sizes, objects = [], []
    for count in (20, 1020):
        frame = pl.DataFrame({"item": [f"item {k % count:05}" for k in range(3 * 1020)]})
        model = NetworkRegressor(**{**MEMBERS, "max_iter": 1}).fit(frame, np.arange(3060.0))
        found = sb.export(model, "c", tmp_path / f"{count}", members=1)
        sizes.append(found.kb * 1024)
        built = tmp_path / f"{count}.o"
        subprocess.run(["cc", "-Os", "-c", found.files[1], "-o", built], check=True)
        shown = subprocess.run(["size", built], capture_output=True, text=True, check=True).stdout
        text, data, *_ = map(int, re.findall(r"\d+", shown.splitlines()[1]))
        objects.append(text + data)
    texts = 1000 * (4 + 4 + len("item 00000") + 1)  # a pointer, a code and the text
    assert sizes[1] - sizes[0] >= texts
    assert abs((objects[1] - objects[0]) - (sizes[1] - sizes[0]) - 4 * 1000) < 1500


def test_what_fewer_members_cost_on_rows(fitted, tmp_path):
    _, frame = fitted
    rows = table(400)[300:]
    y = targets(table(400))[0][300:]
    given = rows.with_columns(target=pl.Series(y))
    model = NetworkClassifier(**MEMBERS).fit(frame.with_columns(target=pl.Series(
        targets(frame)[0])), "target")  # fmt: skip
    found = sb.export(model, "js", tmp_path, members=1, rows=given)
    costs = {each.metric.name: each for each in found.costs}
    x = model.table_model_.inputs(rows)
    best = int(np.argmin(own_losses(model.population_)))
    for members, value in ((slice(best, best + 1), "chosen"), (slice(None), "whole")):
        p = model.population_[members].predict_mean(x)
        expected = log_loss(y, p / p.sum(axis=1, keepdims=True), labels=["p", "q", "r"])
        assert getattr(costs["log loss"], value) == pytest.approx(expected, rel=1e-5)


def test_the_command_measures_numbers(tmp_path, capsys):
    from seedbed.cli import main

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    frame = pl.DataFrame(X, schema=["a", "b", "c"]).with_columns(y=1000 * X[:, 0] + X[:, 1])
    model = NetworkRegressor(**MEMBERS).fit(frame[:150], "y")
    model.save(tmp_path / "m.safetensors")
    frame[150:].write_csv(tmp_path / "rows.csv")
    out, rows = str(tmp_path / "p.mjs"), str(tmp_path / "rows.csv")
    words = ["export", str(tmp_path / "m.safetensors"), "--to", "js", "--out", out, "--force"]
    assert main([*words, "--members", "1", "--rows", rows]) == 0
    printed = capsys.readouterr().out
    best = int(np.argmin(own_losses(model.population_)))
    assert f"  1 member, of seed {model.population_.seeds[best]}; " in printed
    p = model.predict(frame[150:].drop("y"))
    whole = re.escape(sb.metrics.r2.format(r2_score(frame["y"][150:], p)))
    assert re.search(rf"R² on .*rows\.csv: [\d.]+; of all members: {whole}\n", printed)
    assert "loss on held-out rows: " in printed
    assert main([*words, "--max-kb", "0.1"]) == 2
    assert "one member takes" in capsys.readouterr().err
    assert main([*words, "--rows", str(tmp_path / "none.csv")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert main([*words, "--members", "2", "--json"]) == 0
    assert '"held_out": {' in capsys.readouterr().out


def test_without_held_out_rows_the_first_members_are_taken(tmp_path):
    population = sb.train(sb.xor.recipe(epochs=5), *sb.xor.data(), seeds=range(4))
    found = sb.export(population, "python", tmp_path, members=2)
    assert (found.seeds, found.held_out) == ([0, 1], None)
    with pytest.raises(sb.SettingError, match="rows are a table's, and a population has none"):
        sb.export(population, "python", tmp_path / "never", rows="rows.csv")
    with pytest.raises(sb.SettingError, match="members must be"):
        sb.export(population, "python", tmp_path / "never", members=0)
    with pytest.raises(sb.SettingError, match="invalid max_kb: -1"):
        sb.export(population, "python", tmp_path / "never", max_kb=-1)
    assert not (tmp_path / "never").exists()
