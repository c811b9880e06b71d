"""compare() and search(): paired runs, designs, metrics and error messages."""

import dataclasses
import json
import math
import os
import signal
import warnings

import numpy as np
import pytest

import seedbed as sb
from seedbed import streams
from seedbed.comparing import course as module
from seedbed.comparing import evidence
from seedbed.comparing import search as searching
from seedbed.comparing.blocks import Outcome
from seedbed.comparing.problem import problem_of
from seedbed.comparing.runs import Runs

RNG = np.random.default_rng(3)
N = 60
X = RNG.normal(size=(N, 4))
NUMBERS = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 * RNG.normal(size=N)
CLASSES = (NUMBERS > 0).astype(int) + (NUMBERS > 1)


def recipe(lr=0.05, hidden=6, outputs=1, **options):
    given = {
        "network": sb.Network(4, [sb.Dense(hidden, sb.tanh), sb.Dense(outputs)]),
        "loss": sb.squared_error,
        "optimizer": sb.Adam(lr),
        "epochs": 15,
        "engine": "numpy",
    }
    return sb.Recipe(**given | options)


def classifier(lr=0.05, **options):
    return recipe(lr, outputs=3, loss=sb.cross_entropy, **options)


def runs_of(methods, Y=NUMBERS, metric=sb.metrics.rmse, split="resampled"):
    return Runs(methods, problem_of(methods, X, Y), metric, split, 0.25, False, None)


def outcome(name, seed, score):
    return Outcome(name, seed, score, "finished", 15, 0.1, False)


BY_RATE = {"good": recipe(0.05), "poor": recipe(0.0001)}
ALIKE = {"one": recipe(0.05), "other": recipe(0.0501)}


def test_better_method_is_found_at_the_first_look():
    found = sb.compare(BY_RATE, X, NUMBERS)
    pair = found["good", "poor"]
    assert (pair.verdict, pair.better, pair.n) == (sb.Verdict.BETTER, "good", 8)
    assert pair.wins == 8
    assert found.metric is sb.metrics.rmse
    assert list(found.seeds) == list(range(8))
    assert "On this data set, the typical gain of good over poor is " in str(found)
    assert ": better; won 8 of 8 paired runs; none collapsed; found at an early look" in str(found)
    assert "On new data like this, the mean gain of good over poor is between " in str(found)
    assert found.rules.design == "adaptive"
    assert "on this data set, with a new split for each seed" in found.footer()


def test_only_open_pairs_continue():
    methods = {"a": recipe(0.05), "b": recipe(0.0501), "bad": recipe(1e-5)}
    looks = []
    found = sb.compare(methods, X, NUMBERS, baseline="a", callbacks=[looks.append])
    assert found["bad", "a"].n == 16  # 8 of 8 is not enough with two pairs
    assert found["b", "a"].n > 16
    assert len(found.methods["bad"].scores) == 16
    assert len(found.methods["a"].scores) == found["b", "a"].n
    assert [len(each.methods["a"].scores) for each in looks] == [8, 16, 32, 64][: len(looks)]
    assert found["bad", "a"].differences.shape == (16,)


def test_scores_equal_those_of_train_on_the_same_rows():
    """Each score is that of train() alone, however runs are grouped or split into looks."""
    methods = {**ALIKE, "wide": recipe(hidden=9)}
    found = sb.compare(methods, X, NUMBERS, seeds=range(20))
    runs = runs_of(methods)
    for name in methods:
        for seed in (0, 7, 8, 19):
            train, test = runs.rows(seed)
            alone = sb.train(methods[name], X, NUMBERS, seeds=seed, rows=[train])
            expected = np.sqrt(((alone.predict(X[test])[0, :, 0] - NUMBERS[test]) ** 2).mean())
            assert found.methods[name].scores[seed] == pytest.approx(expected, rel=1e-6)


def test_each_seed_has_one_split_for_all_methods():
    runs = runs_of(BY_RATE)
    tests = [set(runs.rows(seed)[1]) for seed in range(20)]
    assert all(len(test) == 15 for test in tests)
    assert len({frozenset(test) for test in tests}) == 20
    assert all(set(runs.rows(s)[0]) == set(range(N)) - tests[s] for s in range(20))
    fixed = runs_of(BY_RATE, split="fixed")
    assert fixed.rows(3) is fixed.rows(4)
    # over many seeds every row is held out about equally often
    counts = np.zeros(N)
    for seed in range(400):
        counts[runs.rows(seed)[1]] += 1
    assert (abs(counts / 400 - 0.25) < 0.1).all()


def test_splits_are_stratified_by_class():
    runs = runs_of({"a": classifier(), "b": classifier(0.1)}, CLASSES, sb.metrics.accuracy)
    for seed in range(5):
        _, test = runs.rows(seed)
        for number in range(3):
            count = (number == CLASSES).sum()
            assert (CLASSES[test] == number).sum() == round(0.25 * count)


def test_rare_classes_are_in_both_parts_of_a_split():
    rare = np.zeros(N, int)
    rare[[3, 40]] = 1
    methods = {str(lr): recipe(lr, 6, 2, loss=sb.cross_entropy) for lr in (0.05, 0.1)}
    found = sb.compare(methods, X, rare, metric=sb.metrics.auc, seeds=range(6))
    assert np.isfinite(found.methods["0.05"].scores).all()
    with pytest.raises(sb.DataError, match="are of class 0"):
        sb.compare(methods, X, rare, split=(range(4, 30), [3, 40]))


def test_infinite_scores_are_failures():
    infinite = sb.Metric("infinite", lambda t, p: math.inf if t[0, 0] > 0 else 1.0, False)
    found = sb.compare(BY_RATE, X, NUMBERS, seeds=range(8), metric=infinite)
    assert 0 < found.methods["good"].failed < 8


def test_method_names_become_strings():
    found = sb.compare(
        {0.05: recipe(), "a\nb": recipe(0.001)}, X, NUMBERS, seeds=range(6), baseline=0.05
    )
    assert list(found.methods) == ["0.05", "a b"]
    assert found["a b", 0.05].n == 6
    with pytest.raises(sb.SettingError, match="two methods have the same name"):
        sb.compare({1: recipe(), "1": recipe(0.1)}, X, NUMBERS)
    with pytest.raises(KeyError, match="no pair"):
        found["ab"]


def test_log_loss_does_not_depend_on_the_dtype():
    t, p = np.array([0, 1]), np.array([[0.0, 1.0], [0.25, 0.75]])
    assert sb.metrics.log_loss.f(t, p) == sb.metrics.log_loss.f(t, p.astype("float32"))


def test_splits_do_not_depend_on_validation():
    """A validation share changes no split, and the test rows are not the validation rows."""
    held = {name: dataclasses.replace(r, validation=0.2) for name, r in BY_RATE.items()}
    one, other = (runs_of(m) for m in (BY_RATE, held))
    np.testing.assert_array_equal(one.rows(5)[1], other.rows(5)[1])
    own = streams.order(streams.keys(np.array([5]), "split"), N)[0, :15]
    assert set(own) != set(one.rows(5)[1])
    found = sb.compare(held, X, NUMBERS, seeds=range(6))
    assert np.isfinite(found.methods["good"].scores).all()


def test_given_rows_are_the_test_rows():
    rows = (range(40), range(40, 60))
    found = sb.compare(BY_RATE, X, NUMBERS, seeds=range(6), split=rows)
    alone = sb.train(BY_RATE["good"], X[:40], NUMBERS[:40], seeds=range(6))
    expected = np.sqrt(((alone.predict(X[40:])[:, :, 0] - NUMBERS[40:]) ** 2).mean(axis=1))
    np.testing.assert_allclose(found.methods["good"].scores, expected, rtol=1e-6)
    assert found.rows == (40, 20)
    assert "on this split" in found.scope
    mask = np.arange(N) < 40
    same = sb.compare(BY_RATE, X, NUMBERS, seeds=range(6), split=(mask, ~mask))
    np.testing.assert_array_equal(same.methods["good"].scores, found.methods["good"].scores)
    with pytest.raises(sb.SettingError, match="needs split='resampled'"):
        found.on_new_data("good", "poor")


def test_failed_runs_are_kept_and_score_worst():
    hot = recipe(optimizer=sb.SGD(1e3), loss=sb.squared_error)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the table reports divergence instead
        found = sb.compare({"good": recipe(), "hot": hot}, X, NUMBERS)
    pair = found["good", "hot"]
    assert pair.better == "good"
    assert pair.failed == (0, 8)
    assert np.isinf(pair.differences).all()
    assert math.isnan(pair.mean)
    assert "good collapsed in 0 and hot in 8 (8 failed) of 8" in str(found)
    assert "no run finished for both" in str(found)
    assert "8 of 8" in str(found)
    assert found.methods["hot"].failed == 8
    assert json.loads(found.to_json())["methods"][1]["scores"] == [None] * 8


def test_fixed_seeds_are_tested_once():
    found = sb.compare(ALIKE, X, NUMBERS, seeds=[3, 1, 40, 7, 9, 11, 100, 5, 6])
    assert found.rules.design == "fixed"
    assert list(found.methods["one"].seeds) == [3, 1, 40, 7, 9, 11, 100, 5, 6]
    with pytest.raises(sb.SettingError, match=r"5 seeds cannot decide: .* 1 pair needs at least 6"):
        sb.compare(BY_RATE, X, NUMBERS, seeds=range(5))


def test_anytime_stops_at_a_verdict():
    found = sb.compare(BY_RATE, X, NUMBERS, seeds="anytime")
    pair = found["good", "poor"]
    assert (pair.n, pair.better) == (16, "good")
    assert pair.p_adjusted == pytest.approx(1 / evidence.e_value(pair.differences))
    assert pair.p_adjusted < 0.05
    assert evidence.e_value(pair.differences[:8]) < 20


def test_seeds_begin_at_first_seed():
    assert list(sb.compare(BY_RATE, X, NUMBERS, first_seed=90).seeds) == list(range(90, 98))


def test_constant_metric_gives_ties():
    flat = sb.Metric("flat", lambda t, p: 1.0, True)
    found = sb.compare(BY_RATE, X, NUMBERS, seeds=range(10), metric=flat)
    assert found["good", "poor"].verdict is sb.Verdict.CANNOT_TELL
    assert "all 10 are ties" in found.sentences[0]


def test_gains_within_delta_are_too_close():
    found = sb.compare(ALIKE, X, NUMBERS, delta=0.5)
    assert found.pairs[0].verdict is sb.Verdict.TOO_CLOSE


@dataclasses.dataclass(frozen=True)
class ModeSGD(sb.SGD):
    """A custom optimizer whose rule depends on a string."""

    mode: str = "a"

    @property
    def rule(self):
        return {"a": plain_step, "b": triple_step}[self.mode]


def plain_step(w, g, k, lr):
    return (w - lr * g,)


def triple_step(w, g, k, lr):
    return (w - 3 * lr * g,)


def test_only_numeric_settings_share_a_population():
    """Other optimizer fields are structure and are trained separately."""
    methods = {mode: recipe(optimizer=ModeSGD(0.01, mode=mode)) for mode in "ab"}
    found = sb.compare(methods, X, NUMBERS, seeds=range(6))
    train, test = runs_of(methods).rows(2)
    for mode in "ab":
        alone = sb.train(methods[mode], X, NUMBERS, seeds=2, rows=[train]).predict(X[test])
        expected = np.sqrt(((alone[0, :, 0] - NUMBERS[test]) ** 2).mean())
        assert found.methods[mode].scores[2] == pytest.approx(expected, rel=1e-6)
    polynomial = np.polynomial.Polynomial([1.0, -1.0])  # has no module, and no hash
    assert recipe(schedule=sb.Schedule("p", polynomial)).structure != recipe().structure


def test_structure_excludes_numbers():
    assert recipe(0.1).structure == recipe(0.2, dropout=0.5, l2=0.1).structure
    different = [
        recipe(hidden=7), recipe(epochs=3), recipe(batch_size=5), recipe(optimizer=sb.SGD(0.1)),
        recipe(clip_norm=1.0), recipe(schedule=sb.cosine()), recipe(dtype="float64"),
        recipe(validation=0.1), recipe(loss=sb.huber()),
        recipe(optimizer=sb.SGD(0.1, momentum=0.9, nesterov=True)),
    ]  # fmt: skip
    assert len({r.structure for r in different}) == len(different)
    mine = [
        sb.Activation("tanh", f, sb.tanh.df, surrogate=True) for f in (lambda z: z, lambda z: 2 * z)
    ]
    one, other = (recipe(network=sb.Network(4, [sb.Dense(6, unit), sb.Dense(1)])) for unit in mine)
    assert one.structure != other.structure != recipe().structure


# ---------------------------------------------------------------- interruption


def test_ctrl_c_returns_the_verdicts_so_far():
    def press(so_far):
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.warns(sb.InterruptWarning, match="stopped after 8 of 64 seeds"):
        found = sb.compare(ALIKE, X, NUMBERS, callbacks=[press])
    assert found.interrupted
    assert found.rules.design == "adaptive"
    assert found.pairs[0].n >= 8
    assert "interrupted" in str(found)


def test_interrupted_fixed_seeds_use_the_anytime_test(monkeypatch):
    whole, calls = Runs.extend, []

    def extend(self, names, seeds, stop):
        calls.append(list(seeds))
        if len(calls) == 2:
            return False  # as after Ctrl-C
        return whole(self, names, seeds, stop)

    monkeypatch.setattr(Runs, "extend", extend)
    with pytest.warns(sb.InterruptWarning):
        found = sb.compare(BY_RATE, X, NUMBERS, seeds=range(30))
    assert calls == [list(range(8)), list(range(8, 16))]
    assert found.rules.design == "anytime"
    pair = found["good", "poor"]
    assert pair.p == pytest.approx(1 / evidence.e_value(pair.differences))
    monkeypatch.setattr(Runs, "extend", lambda *_: False)
    with pytest.raises(KeyboardInterrupt):
        sb.compare(BY_RATE, X, NUMBERS)


def test_callback_stops_the_comparison():
    with pytest.warns(sb.InterruptWarning):
        found = sb.compare(ALIKE, X, NUMBERS, seeds="anytime", callbacks=[lambda found: True])
    assert found.pairs[0].n == 8


# ---------------------------------------------------------------- conversions


def test_comparison_as_html_and_json():
    found = sb.compare({"<a>": recipe(), "b&": recipe(0.0001)}, X, NUMBERS, seeds=range(8))
    page = found._repr_html_()
    assert "&lt;a&gt;" in page
    assert "<a>" not in page
    words = json.loads(found.to_json())
    assert words["pairs"][0]["verdict"] == "better"
    assert words["pairs"][0]["n"] == 8
    assert words["methods"][0]["seeds"] == list(range(8))
    assert words["rows"] == {"train": 45, "test": 15}
    assert repr(found) == "<Comparison of 2 methods by RMSE: 1 better>"
    low, high = found.on_new_data("<a>", "b&")
    assert low < found["<a>", "b&"].mean < high
    assert found.on_new_data("b&", "<a>") == (-high, -low)
    with pytest.raises(KeyError, match="no pair"):
        found["<a>", "c"]


def test_auto_picks_one_engine_for_all_runs():
    short = runs_of({n: recipe(lr, engine="auto") for n, lr in RATES.items()})
    assert {r.engine for r in short.runner.recipes.values()} == {"numpy"}


def test_training_time_is_shared_by_epochs():
    methods = {"short": recipe(epochs=5), "long": recipe(epochs=200)}
    found = sb.compare(methods, X, NUMBERS, seeds=range(8))
    assert 0 < found.methods["short"].seconds < found.methods["long"].seconds
    assert (found.methods["long"].epochs == 200).all()


# ---------------------------------------------------------------- metrics


def test_metrics_by_hand():
    t, p = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert sb.metrics.accuracy.f(t, p) == pytest.approx(2 / 3)
    assert sb.metrics.log_loss.f(t, p) == pytest.approx(-np.log([0.9, 0.4, 0.8]).mean())
    assert sb.metrics.auc.f(t, p) == 1.0
    assert sb.metrics.auc.f(t, np.full((3, 2), 0.5)) == 0.5
    t, p = np.array([[1.0], [3.0]]), np.array([[2.0], [3.5]])
    assert sb.metrics.rmse.f(t, p) == pytest.approx(math.sqrt(1.25 / 2))
    assert sb.metrics.mae.f(t, p) == 0.75
    assert sb.metrics.r2.f(t, p) == pytest.approx(1 - 1.25 / 2)
    assert sb.metrics.pinball(0.9).f(t, p) == pytest.approx((0.1 * 1 + 0.1 * 0.5) / 2)
    assert sb.metrics.pinball(0.9).f(p, t) == pytest.approx((0.9 * 1 + 0.9 * 0.5) / 2)
    assert [m.higher_is_better for m in (sb.metrics.auc, sb.metrics.rmse)] == [True, False]


@pytest.mark.parametrize(
    "metric", [sb.metrics.accuracy, sb.metrics.log_loss, sb.metrics.auc], ids=lambda m: m.name
)
def test_one_and_two_outputs_score_alike(metric):
    two = (NUMBERS > 0).astype(int)
    methods = {
        "one": recipe(0.01, loss=sb.binary_cross_entropy, epochs=300),
        "two": recipe(0.01, loss=sb.cross_entropy, outputs=2, epochs=300),
    }
    found = sb.compare(methods, X, two, metric=metric, seeds=range(6))
    assert np.median(found.methods["one"].scores) == pytest.approx(
        np.median(found.methods["two"].scores), abs=0.25
    )
    if metric.higher_is_better:
        assert np.median(found.methods["one"].scores) > 0.8


def test_labels_and_several_numbers_are_scored():
    both = np.stack([NUMBERS > 0, NUMBERS > 1], axis=1).astype(int)
    labels = {n: recipe(lr, outputs=2, loss=sb.binary_cross_entropy) for n, lr in RATES.items()}
    for metric in (None, sb.metrics.log_loss, sb.metrics.auc):
        found = sb.compare(labels, X, both, metric=metric, seeds=range(6))
        assert np.isfinite(found.methods["a"].scores).all()
    many = {n: recipe(lr, outputs=2) for n, lr in RATES.items()}
    for metric in (None, sb.metrics.r2, sb.metrics.mae, sb.metrics.pinball(0.2)):
        found = sb.compare(many, X, X[:, :2], metric=metric, seeds=range(6))
        assert np.isfinite(found.methods["a"].scores).all()


RATES = {"a": 0.05, "b": 0.001}


def test_custom_metric_receives_targets_and_predictions():
    shapes = set()

    def f(t, p):
        shapes.add((t.shape, p.shape))
        return float(np.abs(t - p).max())

    largest = sb.Metric("largest error", f, higher_is_better=False)
    found = sb.compare(BY_RATE, X, NUMBERS, metric=largest, seeds=range(6))
    assert shapes == {((15, 1), (15, 1))}
    assert found["good", "poor"].better == "good"


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({}, "a comparison needs at least two methods, not 0"),
        ({"a": recipe()}, "at least two methods, not 1"),
        ([recipe(), recipe()], "methods must be a dict"),
        ({"a": recipe(), "b": 3}, r"methods\['b'\] is 3: expected a sb.Recipe, an est.*sb.judge"),
        ({"a": recipe(), "b": [0.9]}, r"methods\['b'\] is \[0.9\]: expected .*sb.judge"),
        ({"a": recipe(), "b": sb.relu}, r"methods\['b'\] is Activation.*X_train, Y_train"),
        ({"a": recipe(), "b": sb.Recipe}, r"methods\['b'\] is the class Recipe: call it first"),
        ({"a": recipe(), "b": recipe()}, "a and b are the same recipe"),
        ({"a": recipe([0.1, 0.2]), "b": recipe()}, "a sets lr per member"),
        ({"a": recipe(), "b": classifier()}, "a predicts 1 number and b 3 classes"),
        ({"a": recipe(), "b": recipe(outputs=2)}, "a predicts 1 number and b 2 numbers"),
    ],
)
def test_invalid_methods_are_refused(methods, message):
    with pytest.raises(sb.SeedbedError, match=message):
        sb.compare(methods, X, NUMBERS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "rsme"}, "expected one of accuracy, .* not 'rsme'; did you mean 'rmse'"),
        ({"metric": 3}, "metric must be a Metric such as sb.metrics.accuracy, or its name, not 3"),
        ({"task": "classes"}, "task must be 'classification' or 'regression', not 'classes'"),
        ({"task": "classification"}, "task is classification and good for regression"),
        ({"metric": max}, r"wrap a function in sb.Metric\(name, function, higher_is"),
        ({"metric": sb.metrics.accuracy}, "accuracy scores classes and labels.*use rmse, r2, mae"),
        ({"seeds": "often"}, "seeds must be 'adaptive', 'anytime' or a sequence"),
        ({"seeds": [1, 1, 2]}, "seeds contains duplicates"),
        ({"seeds": 30}, "seeds=30 is a single seed: give several, such as seeds=range\\(30\\)"),
        ({"split": (np.flatnonzero(NUMBERS > 99), [0])}, "the train rows are"),
        ({"seeds": []}, "seeds must be a whole number or a sequence"),
        ({"seeds": [-1]}, "seed -1"),
        ({"first_seed": -1}, "first_seed must be a whole number"),
        ({"split": "random"}, "split must be 'resampled', 'fixed' or"),
        ({"split": ([0, 1], [1, 2])}, "row 1 is both a train row and a test row"),
        ({"split": ([0, 1], [])}, "the test rows are \\[\\]"),
        ({"split": ([0, 1], [60])}, "the test rows contain 60; X has rows 0 to 59"),
        ({"split": ([0, 1],)}, "split must be"),
        ({"split": (np.ones(3, bool), [4])}, "the train rows are booleans of shape"),
        ({"test": 0}, "invalid test: 0"),
        ({"test": 1.5}, "invalid test"),
        ({"alpha": 0}, "invalid alpha"),
        ({"baseline": "x"}, "baseline 'x' is not one of the methods: good, poor"),
        (
            {"metric": sb.Metric("none", lambda t, p: None, True)},
            "the metric none returned None for",
        ),
        ({"metric": sb.Metric("nan", lambda t, p: np.nan, True)}, "returned NaN for all 16 runs"),
    ],
)
def test_invalid_options_are_refused(given, message):
    with pytest.raises(sb.SeedbedError, match=message):
        sb.compare(BY_RATE, X, NUMBERS, **given)


def test_data_are_checked_before_training(monkeypatch):
    monkeypatch.setattr(module.Runs, "extend", None)
    for x, y, message in (
        (X[:, :3], NUMBERS, "X has shape"),
        (X, NUMBERS[:5], "Y has shape"),
        (X, [math.nan] * N, "Y holds nan"),
        (X[:1], NUMBERS[:1], "1 rows cannot be split"),
    ):
        with pytest.raises(sb.SeedbedError, match=message):
            sb.compare(BY_RATE, x, y)
    soft = np.full((N, 3), 1 / 3)
    with pytest.raises(sb.DataError, match="Y holds probabilities between 0 and 1"):
        sb.compare({"a": classifier(), "b": classifier(0.1)}, X, soft)


def test_metrics_report_invalid_input():
    with pytest.raises(sb.SettingError, match="higher_is_better of the metric m must be True"):
        sb.Metric("m", max, "yes")
    with pytest.raises(sb.SettingError, match="f must be a function"):
        sb.Metric("m", 3, True)
    with pytest.raises(sb.DataError, match="AUC needs rows of at least two classes"):
        sb.metrics.auc.f(np.zeros(3, int), np.full((3, 2), 0.5))
    with pytest.raises(sb.DataError, match="R² needs targets that differ"):
        sb.metrics.r2.f(np.full((7, 1), 0.1), np.ones((7, 1)))
    with pytest.raises(sb.SettingError, match="invalid q"):
        sb.metrics.pinball(1.0)


# ---------------------------------------------------------------- search


def test_search_confirms_the_winner_on_fresh_seeds():
    base = recipe(0.0005)
    space = sb.Space(base, lr=[0.0001, 0.0005, 0.02, 0.05], dropout=[0.0, 0.1])
    assert space.size == 8
    found = sb.search(space, X, NUMBERS, budget=60)
    assert found.winner.startswith(("lr=0.02", "lr=0.05"))
    pair = found.confirmation[found.winner, "baseline"]
    assert pair.better == found.winner
    searched = max(len(trial.scores) for trial in found.trials)
    assert found.confirmation.seeds.min() == searched  # none of the search's seeds
    assert found.runs[0] == sum(len(trial.scores) for trial in found.trials) <= 60
    best = min(np.nanmin(trial.scores) for trial in found.trials)
    assert f"{best:.4g}" not in str(found)
    assert "From fresh seeds" in str(found)
    assert [trial.rounds for trial in found.trials] == [3, 3, 2, 2, 1, 1, 1, 1]


def test_lucky_winner_is_not_confirmed(monkeypatch):
    """If all scores are the same noise, the winner is not called better."""

    def extend(self, names, seeds, stop):
        for name in names:
            noise = [np.random.default_rng([*name.encode(), seed]).normal() for seed in seeds]
            self.outcomes[name] += map(outcome, [name] * len(seeds), seeds, noise)
        return True

    monkeypatch.setattr(Runs, "extend", extend)
    space = sb.Space(recipe(0.05), epsilon=[1e-9, 2e-9, 3e-9, 4e-9])
    found = sb.search(space, X, NUMBERS, budget=40)
    assert found.winner != "baseline"
    assert found.confirmation.pairs[0].better is None


def test_search_may_return_the_baseline():
    space = sb.Space(recipe(0.05), lr=[0.05, 1e-6])
    found = sb.search(space, X, NUMBERS, budget=20)
    assert found.winner == "lr=0.05"
    assert found.confirmation is None
    assert "the winner is the baseline" in str(found)


def test_winner_has_the_best_mean_rank(monkeypatch):
    """One setting has the best single score, the other is better on most seeds."""
    rows = {"lr=0.1": [0.9, 0.1, 0.1, 0.1, 0.1, 0.1], "lr=0.2": [0.5] * 6}

    def extend(self, names, seeds, stop):
        for name in names:
            scores = [rows.get(name, [0.4] * 99)[seed % 6] for seed in seeds]
            self.outcomes[name] += map(outcome, [name] * len(seeds), seeds, scores)
        return True

    monkeypatch.setattr(Runs, "extend", extend)
    plans = []
    monkeypatch.setattr(searching.Plan, "run", lambda self, *_, **__: plans.append(self))
    space = sb.Space(recipe(0.05), lr=[0.1, 0.2])
    rules = {"alpha": 0.01, "delta": 0.3, "test": 0.4}
    found = sb.search(space, X, NUMBERS, budget=12, metric=sb.metrics.r2, split="fixed", **rules)
    assert found.winner == "lr=0.2"
    (planned,) = plans
    assert list(planned.methods) == ["lr=0.2", "baseline"]
    assert (planned.first_seed, planned.baseline) == (6, "baseline")
    assert {name: getattr(planned, name) for name in rules} == rules


@pytest.mark.parametrize("split", ["resampled", "fixed", (range(44), range(44, 60))])
def test_the_confirmation_is_tested_on_rows_that_the_search_did_not_see(split, monkeypatch):
    seen, made = [], Runs.__init__

    def init(self, *given, **settings):
        made(self, *given, **settings)
        seen.append(self)

    monkeypatch.setattr(Runs, "__init__", init)
    found = sb.search(
        sb.Space(classifier(1e-4), lr=[0.05, 0.02]), X, CLASSES, budget=9, split=split
    )
    choosing, confirming = seen
    searched = {row for seed in range(9) for part in choosing.rows(seed) for row in part}
    train, test = confirming.rows(40)
    assert not searched & set(test.tolist())
    assert set(train.tolist()) < searched
    assert len(searched) + len(test) == N
    for seed in (41, 42):
        np.testing.assert_array_equal(confirming.rows(seed)[1], test)
    drawn = [choosing.rows(seed)[1].tolist() for seed in range(4)]
    assert len({tuple(rows) for rows in drawn}) == (1 if split == "fixed" else 4)
    if not isinstance(split, str):
        assert (set(test.tolist()), searched) == (set(split[1]), set(split[0]))
    else:
        assert len(test) == sum(round((number == CLASSES).sum() / 4) for number in range(3))
        assert set(CLASSES[test]) == {0, 1, 2}
    assert found.confirmation.rows == (len(train), len(test))
    assert found.confirmation.sentences[0].startswith("On rows that the search did not see, the")


def test_each_round_uses_fresh_seeds(monkeypatch):
    whole, calls = Runs.extend, []

    def extend(self, names, seeds, stop):
        calls.append((len(set(names)), list(seeds)))
        return whole(self, names, seeds, stop)

    monkeypatch.setattr(Runs, "extend", extend)
    space = sb.Space(recipe(0.05), lr=[0.01, 0.02, 0.03, 0.04])
    sb.search(space, X, NUMBERS, budget=24, seed=100)
    assert calls[:2] == [(4, [100, 101, 102, 103]), (2, [104, 105, 106, 107])]


def test_setting_names_are_unique():
    space = sb.Space(recipe(), loss=[sb.huber(0.5), sb.huber(5.0), sb.squared_error])
    names = [name for name, _ in space.settings(9)]
    assert names == ["loss=huber(delta=0.5)", "loss=huber(delta=5.0)", "loss=squared_error"]
    drawn = sb.Space(recipe(), lr=sb.uniform(0.1, 0.10000001), dropout=[0.0, 0.5])
    assert len(dict(drawn.settings(40))) == 40
    close = sb.Space(recipe(), lr=[0.1000001, 0.1000002, 0.1000001])
    assert [name for name, _ in close.settings(9)] == ["lr=0.1", "lr=0.1 #2"]


def test_single_setting_needs_no_search():
    found = sb.search({"baseline": recipe()}, X, NUMBERS, budget=99, baseline=recipe(1e-5))
    assert found.runs[0] == 0
    assert found.confirmation["the winner", "baseline"].better == "the winner"


def test_search_survives_an_interrupted_confirmation(monkeypatch):
    def interrupt(*given, **rules):
        raise KeyboardInterrupt

    monkeypatch.setattr(searching.Plan, "run", interrupt)
    found = sb.search(sb.Space(recipe(), lr=[0.1, 0.2]), X, NUMBERS, budget=8)
    assert found.interrupted
    assert len(found.trials) == 2


def test_random_settings_depend_on_the_seed():
    space = sb.Space(recipe(), lr=sb.log_uniform(1e-4, 1.0), dropout=sb.uniform(0.0, 0.5))
    assert space.size is None
    drawn = space.settings(200, seed=4)
    assert len(drawn) == 200
    assert drawn == space.settings(200, seed=4) != space.settings(200, seed=5)
    rates = np.log10([r.optimizer.lr for _, r in drawn])
    assert -4 < rates.min() < -3.8 < -0.2 < rates.max() < 0
    assert abs(rates.mean() + 2) < 0.2
    shares = [r.dropout for _, r in drawn]
    assert 0 < min(shares) < 0.05 < 0.45 < max(shares) < 0.5


def test_search_takes_recipes_by_name():
    found = sb.search(BY_RATE, X, NUMBERS, budget=20, baseline=recipe(0.001))
    assert found.winner == "good"
    assert found.confirmation["good", "baseline"].better == "good"


def test_failing_setting_is_eliminated_first():
    space = sb.Space(recipe(optimizer=sb.SGD(0.01)), lr=[1e3, 0.01, 0.02, 0.05])
    found = sb.search(space, X, NUMBERS, budget=30)
    (hot,) = [trial for trial in found.trials if trial.name == "lr=1000"]
    assert np.isnan(hot.scores).all()
    assert (hot.rounds, hot.mean_rank) == (1, 4.0)


def test_interrupted_search_confirms_nothing(monkeypatch):
    whole, calls = Runs.extend, []

    def extend(self, *given):
        calls.append(1)
        return whole(self, *given) if len(calls) < 2 else False

    monkeypatch.setattr(Runs, "extend", extend)
    with pytest.warns(sb.InterruptWarning):
        found = sb.search(sb.Space(recipe(), lr=[0.1, 0.2, 0.3, 0.4]), X, NUMBERS, budget=30)
    assert found.interrupted
    assert found.confirmation is None
    assert "nothing is confirmed" in str(found)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Space(recipe()), "the space is empty"),
        (lambda: sb.Space(recipe(), lr=[]), "the list of choices for lr is empty"),
        (lambda: sb.Space(recipe(), lr=0.1), "the choices for lr must be a list"),
        (lambda: sb.Space(recipe(), rate=[0.1]), "rate is not a field of the recipe"),
        (lambda: sb.Space(3, lr=[0.1]), "the method is 3: expected a sb.Recipe"),
        (lambda: sb.Space(recipe(), lr=[-1.0]).settings(5), "learning rate: -1"),
        (lambda: sb.log_uniform(0.0, 1.0), "invalid low: 0"),
        (lambda: sb.uniform(1.0, 1.0), "invalid high: 1"),
        (
            lambda: sb.Space(recipe(), optimizer=[sb.SGD(0.1)], beta1=[0.8]).settings(5),
            "beta1 is not a field of SGD",
        ),
        (lambda: search({}), "the space is empty"),
        (lambda: search(BY_RATE), "need baseline="),
        (lambda: search(BY_RATE, baseline=classifier()), "predicts 3 classes"),
        (lambda: search(BY_RATE, baseline=3), "baseline is 3: expected a sb.Recipe"),
        (lambda: search(BY_RATE, baseline=recipe(), budget=1), "budget of 1 runs is too small"),
        (lambda: search(BY_RATE, baseline=recipe(), budget=0), "budget must be a whole number"),
    ],
)
def test_invalid_searches_are_refused(make, message):
    with pytest.raises(sb.SeedbedError, match=message):
        make()


def search(space, budget=20, **options):
    return sb.search(space, X, NUMBERS, budget=budget, **options)
