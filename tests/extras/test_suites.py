"""judge() on long tables: a row for each run, of one or several data sets."""

import importlib

import numpy as np
import pandas as pd
import pytest

import seedbed as sb
from seedbed import plots
from seedbed.comparing import statistics

RULES = {"higher_is_better": False, "design": "fixed"}


def table(factors, sets=12, runs=3, noise=0.03, seed=0, **names):
    """Return scores as bencheval takes them: errors are base * factor * noise."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(sets):
        base = rng.uniform(0.02, 0.5)
        for run in range(runs):
            luck = rng.normal(0, 0.05)
            for method, factor in factors.items():
                error = base * factor * np.exp(luck + rng.normal(0, noise))
                rows.append((method, f"t{number}", run, error, rng.uniform(1, 9)))
    given = ("method", "task", "seed", "metric_error", "time_train_s")
    return pd.DataFrame(rows, columns=[names.get(name, name) for name in given])


FACTORS = {"A": 0.95, "B": 1.0, "C": 1.0, "D": 1.3}
FRAME = table(FACTORS)


def test_each_data_set_counts_once():
    found = sb.judge(FRAME, **RULES)
    assert len(found.sets) == found["A", "D"].n == 12
    pair = found["A", "B"]
    wide = np.log(FRAME.pivot(index=["task", "seed"], columns="method", values="metric_error"))
    for number, name in enumerate(found.sets):
        d = (wide["B"] - wide["A"]).loc[name].to_numpy()
        assert pair.differences[number] == pytest.approx(statistics.typical_gain(d))
    assert found.best == ["A"]
    assert "B: better than D; not told apart from C; worse than A" in found.lines
    assert "on data sets like these, each of which counts once" in found.footer()
    assert "number of data sets fixed beforehand" in found.footer()
    relative = found.methods["D"].scores
    geometric = np.exp(wide.groupby("task").median().mean(axis=1))
    assert relative[0] == pytest.approx(np.exp(wide["D"].loc["t0"].median()) / geometric["t0"])
    two = sb.judge(FRAME[FRAME.method.isin(["A", "D"])], **RULES)
    gain = -100 * np.expm1(-two["A", "D"].typical)
    assert two.sentences[0].startswith(
        f"On data sets like these, the typical gain of A over D is {gain:.3g} % of the error (95 %"
    )
    evidence = ": better; won 12 of 12 data sets; takes about as long; adjusted p = 0.00049"
    assert evidence in two.sentences[0]
    assert gain == pytest.approx(100 * (1 - 0.95 / 1.3), abs=2)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_other_shapes_and_names(library):
    frame = importlib.import_module(library).DataFrame
    given = frame(table(FACTORS, task="Dataset", method="Algorithm", seed_="").to_dict("list"))
    found = sb.judge(given, **RULES)
    expected = sb.judge(FRAME, **RULES)
    assert found.sentences == expected.sentences
    named = {"who": "method", "where": "task", "when": "seed", "what": "metric_error"}
    renamed = FRAME.rename(columns={old: new for new, old in named.items()})
    renamed["other"] = 1.0
    roles = {"method": "who", "data set": "where", "run": "when", "score": "what"}
    found = sb.judge(frame(renamed.to_dict("list")), columns=roles, **RULES)
    assert found.sentences == expected.sentences
    shuffled = FRAME.sample(frac=1, random_state=1)
    assert sb.judge(shuffled, **RULES)["A", "D"].p == expected["A", "D"].p
    folds = FRAME.assign(fold=FRAME["seed"] // 2, seed=FRAME["seed"] % 2)
    assert sb.judge(folds, **RULES).sentences == expected.sentences


def test_one_data_set_is_judged_by_its_runs():
    frame = table({"A": 0.8, "B": 1.0}, sets=1, runs=12)
    found = sb.judge(frame, **RULES)
    assert found.sets is None
    assert found.metric.name == "metric_error"
    assert (found["A", "B"].n, found["A", "B"].better) == (12, "A")
    without = sb.judge(frame.drop(columns="task"), **RULES)
    assert without.sentences == found.sentences


def test_scores_where_higher_is_better_are_errors_below_1():
    shares = FRAME.assign(accuracy=1 - FRAME["metric_error"] / 2).drop(columns="metric_error")
    found = sb.judge(shares, higher_is_better=True, design="fixed")
    expected = sb.judge(FRAME, **RULES)
    for pair, other in zip(found.pairs, expected.pairs, strict=True):
        assert pair.typical == pytest.approx(other.typical)
    for frame, rules, message in (
        (FRAME.assign(metric_error=-1.0), RULES, "A on t0 has negative scores .-1.0."),
        (FRAME.assign(metric_error=2.0), RULES | {"higher_is_better": True}, "has scores above 1"),
    ):
        with pytest.raises(sb.DataError, match=message):
            sb.judge(frame, **rules)


def test_failures_and_perfect_scores():
    frame = FRAME[FRAME.method.isin(["A", "B"])].copy()
    frame.loc[frame.method.eq("B") & frame.task.isin(["t1", "t2"]), "metric_error"] = np.nan
    frame.loc[frame.task.eq("t3"), "metric_error"] = 0.0
    found = sb.judge(frame, **RULES)
    pair = found["A", "B"]
    assert pair.failed == (0, 2)
    assert pair.ties == 1
    assert "A collapsed in 0 and B in 2 (2 failed) of 12" in found.sentences[0]
    assert "2 of 12" in str(found)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_wide_frame_may_have_a_method_called_model(library):
    rng = np.random.default_rng(0)
    b = rng.normal(0.9, 0.01, 12)
    frame = importlib.import_module(library).DataFrame(
        {"baseline": b, "model": b + 0.01, "seed": np.arange(12) + 5}
    )
    found = sb.judge(frame, higher_is_better=True, design="fixed")
    assert found["model", "baseline"].better == "model"
    assert list(found.methods) == ["baseline", "model"]
    assert found.seeds.tolist() == list(range(5, 17))


def test_what_is_refused():
    lacking = FRAME[~(FRAME.method.eq("C") & FRAME.task.eq("t4") & FRAME.seed.eq(1))]
    for frame, given, message in (
        (lacking, {}, "C has no score on t4 for run 1"),
        (pd.concat([FRAME, FRAME[:1]]), {}, "A has two scores on t0 for run 0"),
        (FRAME.drop(columns="seed"), {}, "no column tells runs apart"),
        (FRAME.assign(auc=1.0), {}, "several columns .metric_error, auc. may hold the scores"),
        (FRAME.drop(columns="metric_error"), {}, "no column may hold the scores"),
        (FRAME, {"columns": {"method": "x"}}, "there is no column 'x'"),
        (FRAME, {"columns": {"score": "x"}}, "there is no column 'x'"),
        (FRAME, {"columns": {"who": "method"}}, "columns has the role 'who'"),
        (FRAME, {"columns": ["method"]}, "columns must be a dict by role"),
        (FRAME, {"columns": {"method": 3}}, "columns must hold names of columns, not 3"),
        (FRAME, {"design": "adaptive"}, "the adaptive design is for seeds"),
        (FRAME[["task", "seed", "metric_error"]], {"columns": {"score": "metric_error"}},
         "no column names the methods"),
        (FRAME[FRAME.method.eq("A")], {}, "at least two methods, not 1"),
    ):  # fmt: skip
        with pytest.raises(sb.SeedbedError, match=message):
            sb.judge(frame, **RULES | given)
    with pytest.raises(sb.SettingError, match="are not saved"):
        sb.judge(FRAME, **RULES).save("x.json")


def test_equal_methods_are_told_apart_in_at_most_5_percent_of_suites():
    wrong, trials = 0, 150
    for trial in range(trials):
        frame = table(dict.fromkeys("ABC", 1.0), sets=10, runs=2, noise=0.1, seed=trial)
        wrong += any(pair.leads for pair in sb.judge(frame, **RULES).pairs)
    assert wrong / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5


def test_metrics_in_order_are_tested_while_the_earlier_ones_tell():
    frame = FRAME.assign(auc=1 - 0.3 * FRAME["metric_error"], log_loss=0.5)
    frame["log_loss"] *= 1 + 0.001 * np.random.default_rng(0).normal(size=len(frame))
    rules = {"design": "fixed"}
    found = sb.judge_in_order(
        frame, {"metric_error": False, "auc": True, "log_loss": False}, **rules
    )
    assert list(found) == ["metric_error", "auc", "log_loss"]
    first, second, third = found.values()
    alone = sb.judge(frame, higher_is_better=True, design="fixed", columns={"score": "auc"})
    assert second["A", "D"].leads == alone["A", "D"].leads == "A"
    assert first["B", "C"].leads is None
    assert second["B", "C"].verdict is sb.Verdict.NOT_TESTED
    assert "not tested, as an earlier metric does not tell them apart" in second.sentences[3]
    assert third["A", "D"].verdict is sb.Verdict.CANNOT_TELL
    last = sb.judge_in_order(frame, {"log_loss": False, "metric_error": False}, **rules)
    assert {pair.verdict for pair in last["metric_error"].pairs} == {sb.Verdict.NOT_TESTED}
    assert "not tested against" in last["metric_error"].lines[1]
    with pytest.raises(sb.SettingError, match="metrics is empty"):
        sb.judge_in_order(frame, {}, **rules)


def test_times_are_told_beside_the_gain():
    slow = FRAME.assign(time_train_s=np.where(FRAME.method.eq("A"), 30.0, 10.0))
    two = sb.judge(slow[slow.method.isin(["A", "D"])], **RULES)
    assert "; takes 3 times as long; " in two.sentences[0]
    assert two.methods["A"].seconds == pytest.approx(30)
    assert "30 s" in str(two)
    zero = slow.assign(time_train_s=0.0)
    assert sb.judge(zero, **RULES).methods["A"].seconds is None


def test_a_ranking_joins_methods_that_are_not_told_apart():
    found = sb.judge(FRAME, **RULES)
    axes = plots.ranking(found)
    assert [label.get_text() for label in axes.get_yticklabels()][::3] == ["A", "D"]
    joined = [line for line in axes.lines if line.get_gid() == "tied"]
    assert [line.get_ydata().tolist() for line in joined] == [[0.85, 2.15]]  # B and C
    assert "behind A, % of the error" in axes.get_xlabel()
    with pytest.raises(sb.SettingError, match="a ranking needs verdicts on all pairs"):
        plots.ranking(sb.judge(FRAME, baseline="A", **RULES))
    failed = {name: np.full(9, np.nan) for name in "abc"} | {"d": np.arange(9.0)}
    plots.ranking(sb.judge(failed, higher_is_better=True, design="fixed"))


def test_suites_are_drawn():
    page = plots.comparison(sb.judge(FRAME, **RULES))
    left, right = page.axes
    assert len(left.get_yticklabels()) == 4
    assert "error" in right.get_xlabel()
