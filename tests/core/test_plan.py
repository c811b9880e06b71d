"""Plans written down before the first score, extensions, and the journal of comparisons."""

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import seedbed as sb
from seedbed.comparing import blocks, course, journal, sequential

RNG = np.random.default_rng(3)
N = 60
X = RNG.normal(size=(N, 4))
Y = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 * RNG.normal(size=N)


def recipe(lr=0.05, **options):
    given = {
        "network": sb.Network(4, [sb.Dense(6, sb.tanh), sb.Dense(1)]),
        "loss": sb.squared_error,
        "optimizer": sb.Adam(lr),
        "epochs": 10,
        "engine": "numpy",
    }
    return sb.Recipe(**given | options)


def least(X_train, Y_train, X_test, seed, ridge=0.0):
    A = X_train.T @ X_train + ridge * np.eye(X_train.shape[1])
    return X_test @ np.linalg.solve(A, X_train.T @ Y_train)


def noise(X_train, Y_train, X_test, seed, number):
    return np.random.default_rng([seed, number]).normal(size=len(X_test))


OTHERS = {
    "f": least,
    "partial": functools.partial(least, ridge=least),
    "set": lambda X, Y, Z, seed: Z[:, 0] * ("b" in {"aa", "bb", "cc"}),
}
EQUAL = {name: functools.partial(noise, number=n) for n, name in enumerate(["one", "other"], 4)}
ALIKE = {"one": recipe(0.05), "other": recipe(0.0501)}
RULES = {"metric": "mae", "alpha": 0.1, "delta": 0.001, "seeds": range(8), "split": "fixed"}


def test_a_planned_comparison_is_that_of_compare_and_quotes_the_plan(tmp_path):
    path = tmp_path / "plan.json"
    planned = sb.plan(ALIKE, X, Y, **RULES)
    planned.save(path)
    found = planned.run(X, Y)
    alone = sb.compare(ALIKE, X, Y, **RULES)
    assert found.to_dict() | {"plan": None} == alone.to_dict() | {
        "methods": found.to_dict()["methods"]  # with other times
    }
    assert [m.scores.tolist() for m in found.methods.values()] == [
        m.scores.tolist() for m in alone.methods.values()
    ]
    assert found.written.path == str(path)
    assert f"(planned in {path} on 20" in found.footer()
    assert found.written.digest in found.footer()
    assert "(not planned beforehand; " in alone.footer()
    assert (
        "planned"
        not in sb.judge(
            {"a": [1.0, 2.0], "b": [2.0, 1.0]}, higher_is_better=True, design="fixed"
        ).footer()
    )
    saved = json.loads(path.read_text())
    assert saved["digest"] == planned.digest
    assert saved["plan"]["methods"]["one"]["recipe"]["optimizer"]["lr"] == 0.05
    assert saved["plan"]["seeds"] == list(range(8))
    assert saved["versions"]["seedbed"] == sb.__version__


def test_a_plan_on_file_is_kept(tmp_path):
    path = tmp_path / "plan.json"
    sb.plan(ALIKE, **RULES).save(path)
    before = path.read_bytes()
    again = sb.plan(ALIKE, **RULES)
    again.save(path)
    assert path.read_bytes() == before
    assert again.written.date == json.loads(before)["date"]
    for change, name in (({"metric": "rmse"}, "metric"), ({"seeds": range(9)}, "seeds")):
        with pytest.raises(sb.SettingError, match=f"another plan .it differs in {name}."):
            sb.plan(ALIKE, **RULES | change).save(path)
    with pytest.raises(sb.SettingError, match="it differs in methods"):
        sb.plan({"one": recipe(), "other": recipe(0.06)}, **RULES).save(path)
    assert path.read_bytes() == before
    for text, message in (("{}", "is no plan of Seedbed"), ('"', "is no plan of Seedbed")):
        path.write_text(text)
        with pytest.raises(sb.FileError, match=message):
            sb.plan(ALIKE, **RULES).save(path)
    path.write_text(json.dumps(json.loads(before) | {"plan": 3}))
    with pytest.raises(sb.FileError, match="is a damaged plan"):
        sb.plan(ALIKE, **RULES).save(path)


def test_a_plan_is_for_its_rows_and_checked_at_once(tmp_path):
    planned = sb.plan(ALIKE, X, Y, **RULES)
    with pytest.raises(sb.SettingError, match="the plan is for other rows or targets"):
        planned.run(X, Y + 1)
    with pytest.raises(sb.SettingError, match="at least two methods"):
        sb.plan({"one": recipe()})
    with pytest.raises(sb.SettingError, match="invalid alpha"):
        sb.plan(ALIKE, alpha=2)
    for given, message in (
        ({"seeds": 3}, "is a single seed"),
        (
            {"split": "nonsense"},
            "split must be 'resampled', 'fixed' or .train rows, test rows., no",
        ),
        ({"split": 5}, "split must be"),
        ({"test": np.nan}, "invalid test"),
        ({"test": "x"}, "test must be one number"),
        ({"metric": np.mean}, "metric must be a Metric"),
        ({"metric": "acuracy"}, "accuracy"),
        ({"task": "x"}, "task must be"),
    ):
        with pytest.raises(sb.SettingError, match=message):
            sb.plan(ALIKE, **given)
    with pytest.raises(sb.DataError, match="X"):
        sb.plan(ALIKE, [[1, 2], [3]], [1, 2])
    with pytest.raises(sb.SeedbedError, match="X"):
        sb.compare(ALIKE, [[1, 2], [3]], [1, 2])
    numpy = sb.plan(ALIKE, first_seed=np.int64(3), alpha=np.float32(0.1), test=np.float32(0.5))
    numpy.save(tmp_path / "numpy.json")


def test_a_plan_that_came_after_the_scores_is_none(tmp_path, monkeypatch):
    planned = sb.plan(ALIKE, **RULES)
    found = planned.run(X, Y)
    with pytest.raises(sb.SettingError, match="has been run, and a plan is written down before"):
        planned.save(tmp_path / "late.json")
    other = sb.plan(ALIKE, **RULES)
    other.save(tmp_path / "late.json")
    assert other.resume(found, X, Y).written is None
    assert "not planned beforehand" in other.resume(found, X, Y).footer()
    other.alpha = 0.01  # and what was changed since is another plan
    assert other.run(X, Y).written is None
    monkeypatch.setenv(journal.VARIABLE, str(tmp_path / "journal"))
    sb.compare(ALIKE, X, Y, **RULES)
    line = json.loads((tmp_path / "journal").read_text())
    (tmp_path / "journal").write_text(json.dumps(line | {"date": "2020-01-01T00:00:00+00:00"}))
    late = sb.plan(ALIKE, **RULES)
    late.save(tmp_path / "late.json")
    assert late.run(X, Y).written is None


def own(z):
    return z * z


def test_every_difference_between_methods_changes_the_digest():
    from seedbed.comparing.fingerprint import method_to_dict
    from seedbed.fingerprints import digest

    mine = sb.Activation("mine", own, lambda z, y: 2 * z)
    different = [
        recipe(), recipe(0.06), recipe(epochs=11), least, functools.partial(least, ridge=1.0),
        lambda X, Y, Z, seed: Z[:, 0], lambda X, Y, Z, seed: Z[:, 1],
        recipe(network=sb.Network(4, [sb.Dense(6, mine), sb.Dense(1)])),
    ]  # fmt: skip

    def enclosing(k):
        return lambda X, Y, Z, seed: Z[:, 0] * k

    class Fitted:
        def __init__(self, k):
            self.k = k

        def fit(self, X, Y):
            return self

        def predict(self, X):
            return X[:, 0] * self.k

    different += [enclosing(1), enclosing(2), Fitted(1), Fitted(2), functools.partial(least, own)]
    different += [lambda X, Y, Z, seed, k=k: Z[:, k] for k in (0, 1)]
    assert len({digest(method_to_dict(each)) for each in different}) == len(different)
    metrics = [
        sb.Metric("m", f, higher) for f in (lambda t, p: 1.0, lambda t, p: 2.0)
        for higher in (True, False)
    ]  # fmt: skip
    assert len({sb.plan(ALIKE, metric=metric).digest for metric in metrics}) == 4


def test_digests_are_the_same_in_another_process(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_plan as t, seedbed as sb;"
        "print(sb.plan({**t.ALIKE, **t.OTHERS}, t.X, t.Y, **t.RULES).digest)"
    )
    folder = str(Path(__file__).parent)
    printed = {
        subprocess.run(
            [sys.executable, "-c", code, folder], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed}, cwd=tmp_path,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert printed == {sb.plan({**ALIKE, **OTHERS}, X, Y, **RULES).digest + "\n"}


# ---------------------------------------------------------------- extension


def test_an_extended_comparison_is_the_longer_one(monkeypatch):
    found = sb.compare(EQUAL, X, Y)
    assert found["one", "other"].n == 64
    longer = found.extend()
    assert longer["one", "other"].n == 128
    np.testing.assert_array_equal(longer.methods["one"].scores[:64], found.methods["one"].scores)
    monkeypatch.setattr(course, "LOOKS", (*sequential.LOOKS, 128))
    whole = sb.compare(EQUAL, X, Y)
    np.testing.assert_array_equal(whole.methods["one"].scores, longer.methods["one"].scores)
    assert whole.sentences == longer.sentences


def test_decided_pairs_keep_their_verdict():
    methods = {**EQUAL, "bad": lambda X, Y, Z, seed: Z[:, 0] + 20}
    found = sb.compare(methods, X, Y)
    longer = found.extend(128)
    assert longer["one", "bad"].n == found["one", "bad"].n < 64
    assert longer["one", "other"].n == 128
    assert len(longer.methods["bad"].scores) == len(found.methods["bad"].scores)


def test_the_anytime_design_goes_on_to_any_number():
    with pytest.warns(sb.InterruptWarning):
        found = sb.compare(EQUAL, X, Y, seeds="anytime", callbacks=[lambda found: True])
    assert found["one", "other"].n == 8
    assert found.extend(20)["one", "other"].n == 20
    assert found.extend()["one", "other"].n == 40  # twice as many


def test_what_cannot_be_extended():
    with pytest.raises(sb.SettingError, match="fixed seeds has spent its alpha"):
        sb.compare(EQUAL, X, Y, seeds=range(6)).extend()
    scores = {"a": [1.0, 2.0], "b": [2.0, 1.0]}
    with pytest.raises(sb.SettingError, match="there are only scores"):
        sb.judge(scores, higher_is_better=True, design="anytime").extend()
    found = sb.compare(EQUAL, X, Y)
    with pytest.raises(sb.SettingError, match="a later look, 128, 256, 512, 1024, not 100"):
        found.extend(100)


def test_extending_keeps_the_error_rate():
    """Equal methods, extended to the last look whenever nothing is decided."""
    rng, wrong, trials = np.random.default_rng(5), 0, 300
    for _ in range(trials):
        d = rng.normal(size=1024)
        wrong += sequential.sequential_test(d, 0.05)[-1].crossed
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


# ---------------------------------------------------------------- saved comparisons


def test_a_saved_comparison_is_the_same(tmp_path):
    path = tmp_path / "found.json"
    hot = recipe(optimizer=sb.SGD(1e3), loss=sb.squared_error)
    metric = sb.Metric("psnr", lambda t, p: np.inf if t[0, 0] > 1 else -abs(t - p).max(), True)
    found = sb.compare({**ALIKE, "hot": hot}, X, Y, metric=metric, delta=0.01, baseline="one")
    found.save(path)
    loaded = sb.Comparison.load(path)
    assert loaded.to_json() == found.to_json()
    assert str(loaded) == str(found)
    assert np.isinf(loaded.methods["one"].scores).any()
    assert loaded.methods["hot"].failed > 0
    with pytest.raises(sb.SettingError, match=r"Plan\.resume gives"):
        loaded.extend()
    before = path.read_bytes()
    loaded.save(path)
    assert json.loads(before) | {"date": 0} == json.loads(path.read_bytes()) | {"date": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("rules"), "is a damaged comparison"),
        (lambda c: c["rules"].pop("alpha"), "is a damaged comparison"),
        (lambda c: c["methods"]["one"]["scores"].pop(), "is a damaged comparison"),
        (lambda c: c["methods"].pop("one"), "is a damaged comparison"),
        (lambda c: c["methods"]["one"]["scores"].__setitem__(0, "x"), "is a damaged comparison"),
        (lambda c: c["pairs"].append({"a": "x"}), "is a damaged comparison"),
        (lambda c: c["pairs"][0].update(n=0), "is a damaged comparison"),
        (lambda c: c.update(version=9), "is of version 9 of its format"),
        (lambda c: c.update(format="x"), "is no comparison of Seedbed"),
    ],
)
def test_a_damaged_file_is_refused(change, message, tmp_path):
    path = tmp_path / "found.json"
    sb.compare(ALIKE, X, Y, seeds=range(6)).save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(sb.FileError, match=message):
        sb.Comparison.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(sb.FileError, match="is no comparison of Seedbed"):
        sb.Comparison.load(path)
    with pytest.raises(sb.FileError, match="cannot be read: No such file"):
        sb.Comparison.load(tmp_path / "none")


@pytest.mark.parametrize("seeds", ["adaptive", "anytime", range(40)], ids=str)
def test_a_resumed_comparison_is_the_uninterrupted_one(seeds, tmp_path, monkeypatch):
    methods = {**EQUAL, "bad": lambda X, Y, Z, seed: Z[:, 0] + 20}
    planned = sb.plan(methods, X, Y, seeds=seeds)
    whole = planned.run(X, Y)
    run, count = blocks.Runner._run, []

    def interrupted(self, name, seed):
        count.append(name)
        if len(count) == 62:  # in the middle of the third method's seed 20
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, name, seed)

    monkeypatch.setattr(blocks.Runner, "_run", interrupted)
    with pytest.warns(sb.InterruptWarning):
        found = planned.run(X, Y)
    assert found.interrupted
    assert len(found.methods["one"].scores) < len(whole.methods["one"].scores)
    found.save(tmp_path / "found.json")
    loaded = sb.Comparison.load(tmp_path / "found.json")
    monkeypatch.setattr(blocks.Runner, "_run", run)
    resumed = sb.plan(methods, X, Y, seeds=seeds).resume(loaded, X, Y)
    assert resumed.sentences == whole.sentences
    assert not resumed.interrupted
    for name, method in whole.methods.items():
        np.testing.assert_array_equal(resumed.methods[name].scores, method.scores)
        np.testing.assert_array_equal(resumed.methods[name].seeds, method.seeds)
    again = planned.resume(resumed, X, Y)
    assert again.sentences == whole.sentences
    if seeds == "adaptive":
        assert again.extend().sentences == whole.extend().sentences


def test_a_saved_search_is_the_same(tmp_path):
    path = tmp_path / "found.json"
    space = sb.Space(recipe(1e-4), lr=[1e-5, 0.05, 1e9])
    found = sb.search(space, X, Y, budget=12)
    found.save(path)
    loaded = sb.Search.load(path)
    assert str(loaded) == str(found)
    assert (loaded.winner, loaded.runs, loaded.size) == ("lr=0.05", found.runs, 3)
    for one, other in zip(loaded.trials, found.trials, strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
        assert (one.name, one.rounds, one.mean_rank) == (other.name, other.rounds, other.mean_rank)
    loaded.save(path)
    assert sb.Search.load(path).confirmation.to_json() == found.confirmation.to_json()
    content = json.loads(path.read_text())
    content["trials"][0]["scores"] = 3
    path.write_text(json.dumps(content))
    with pytest.raises(sb.FileError, match="is a damaged search"):
        sb.Search.load(path)
    with pytest.raises(sb.FileError, match="is no comparison of Seedbed"):
        sb.Comparison.load(path)


def test_an_extension_after_an_interruption_repeats_no_seed():
    """Whether a signal or a method's exception ends the look."""
    calls, at = [], {"signal": 22, "raise": 60}

    def fragile(X_train, Y_train, X_test, seed):
        calls.append(seed)
        if len(calls) == at["signal"]:
            os.kill(os.getpid(), signal.SIGINT)
        if len(calls) == at["raise"]:
            raise RuntimeError("now and then")
        return noise(X_train, Y_train, X_test, seed, 4)

    methods = {"one": fragile, "other": EQUAL["other"]}
    with pytest.warns(sb.InterruptWarning):
        found = sb.compare(methods, X, Y, seeds="anytime")
    assert found.interrupted
    found = found.extend(40)
    with pytest.raises(sb.MethodError, match="now and then"):
        found.extend(64)
    found = found.extend(64)
    whole = sb.compare(EQUAL, X, Y, seeds=range(64))
    for name in EQUAL:
        assert found.methods[name].seeds.tolist() == list(range(64))
        np.testing.assert_array_equal(found.methods[name].scores, whole.methods[name].scores)


def test_a_comparison_extended_to_any_number_is_resumed_whole(tmp_path):
    planned = sb.plan(EQUAL, X, Y, seeds="anytime")
    with pytest.warns(sb.InterruptWarning):
        found = planned.run(X, Y, callbacks=[lambda found: True])
    found = found.extend(21)
    found.save(tmp_path / "found.json")
    resumed = planned.resume(sb.Comparison.load(tmp_path / "found.json"), X, Y)
    assert len(resumed.methods["one"].scores) == 256
    found = found.extend(300)
    found.save(tmp_path / "found.json")
    resumed = planned.resume(sb.Comparison.load(tmp_path / "found.json"), X, Y)
    assert resumed.sentences == found.sentences


def test_only_a_comparison_of_the_plan_is_resumed():
    found = sb.compare(ALIKE, X, Y, **RULES)
    for methods, change in ((ALIKE, {"alpha": 0.05}), ({"one": recipe(), "other": least}, {})):
        with pytest.raises(sb.SettingError, match="is not one of this plan"):
            sb.plan(methods, **RULES | change).resume(found, X, Y)
    with pytest.raises(sb.SettingError, match="is not one of this plan"):
        sb.plan(ALIKE, **RULES).resume(found, X, Y + 1)


# ---------------------------------------------------------------- the journal


@pytest.fixture
def kept(tmp_path, monkeypatch):
    path = tmp_path / "state" / "journal.jsonl"
    monkeypatch.setenv(journal.VARIABLE, str(path))
    return path


def test_other_tries_of_the_same_comparison_are_counted(kept):
    quick = {"seeds": range(6)}
    first = sb.compare(ALIKE, X, Y, **quick)
    assert first.tries == 1
    assert "of these methods" not in first.footer()
    assert sb.compare(ALIKE, X, Y, **quick).tries == 1  # the same scores again
    third = [
        sb.compare(ALIKE, X, Y, **quick | change)
        for change in ({"metric": "mae"}, {"seeds": range(6, 12)})
    ][-1]
    assert third.tries == 3
    assert "comparison 3 of these methods on these rows; " in third.footer()
    assert third.to_dict()["tries"] == 3
    assert sb.compare(ALIKE, X, Y + 1, **quick).tries == 1
    other = {**ALIKE, "other": recipe(0.06)}
    assert sb.compare(other, X, Y, **quick).tries == 1
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(lines) == 5
    assert {*lines[0]} == {"date", "methods", "rows", "settings"}


def test_a_journal_that_cannot_be_used_is_left_alone(kept, monkeypatch):
    kept.parent.mkdir()
    kept.write_bytes(b"\xff not json\n[1]\n")
    assert sb.compare(ALIKE, X, Y, seeds=range(6)).tries == 1
    assert kept.read_bytes().startswith(b"\xff not json\n[1]\n{")
    monkeypatch.setattr(journal, "MAX_BYTES", 10)
    size = kept.stat().st_size
    assert sb.compare(ALIKE, X, Y, seeds=range(7)).tries == 1
    assert kept.stat().st_size == size
    monkeypatch.setenv(journal.VARIABLE, str(kept / "below a file"))
    assert sb.compare(ALIKE, X, Y, seeds=range(6)).tries == 1


def test_where_the_journal_is(monkeypatch, tmp_path):
    monkeypatch.setenv(journal.VARIABLE, "off")
    assert journal.path() is None
    monkeypatch.delenv(journal.VARIABLE)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", "relative")
    assert journal.path() is None
    monkeypatch.setenv("HOME", str(tmp_path))
    assert journal.path() == tmp_path / ".local/state/seedbed/comparisons.jsonl"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "x"))
    assert journal.path() == tmp_path / "x/seedbed/comparisons.jsonl"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert journal.path() == tmp_path / "Library/Application Support/seedbed/comparisons.jsonl"


# ---------------------------------------------------------------- scores that metrics give


def test_an_infinitely_good_score_is_the_best():
    best = sb.Metric("psnr", lambda t, p: np.inf if t[0, 0] > 0 else float(-abs(t - p).max()), True)
    found = sb.compare(ALIKE, X, Y, seeds=range(8), metric=best)
    scores = found.methods["one"].scores
    assert 0 < np.isinf(scores).sum() < 8
    assert found.methods["one"].failed == 0
    assert found["one", "other"].ties >= np.isinf(scores).sum()
    assert "inf" in str(found)
    worst = dataclasses.replace(best, higher_is_better=False)
    assert sb.compare(ALIKE, X, Y, seeds=range(8), metric=worst).methods["one"].failed > 0


def test_one_run_without_a_score_is_one_failed_run():
    odd = sb.Metric("odd", lambda t, p: np.nan if t[0, 0] > 1 else float(abs(t - p).max()), False)
    found = sb.compare(ALIKE, X, Y, seeds=range(12), metric=odd)
    failed = found.methods["one"].failed
    assert 0 < failed < 12
    assert found.methods["other"].failed == failed
    assert found.notes == (f"odd: {2 * failed} runs count as failed, as the metric returned NaN",)
    never = sb.Metric("never", lambda t, p: np.nan, False)
    with pytest.raises(sb.DataError, match="never returned NaN for all 16 runs"):
        sb.compare(ALIKE, X, Y, seeds=range(8), metric=never)
    text = sb.Metric("text", lambda t, p: "good", False)
    with pytest.raises(sb.DataError, match="text returned 'good' for seed 0; it must return a num"):
        sb.compare(ALIKE, X, Y, seeds=range(8), metric=text)


def test_time_per_seed_excludes_compilation():
    """Two methods of one structure, trained together or apart, cost the same."""
    methods = {"one": recipe(epochs=200), "deep": recipe(
        epochs=200, network=sb.Network(4, [sb.Dense(6, sb.tanh), sb.Dense(6), sb.Dense(1)])
    )}  # fmt: skip
    found = sb.compare({**methods, "alike": recipe(0.06, epochs=200)}, X, Y, seeds=range(8))
    assert found.methods["one"].seconds == pytest.approx(found.methods["alike"].seconds)
