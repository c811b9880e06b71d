"""Measure how often usual rules, and other tools, call equal networks different: writes fooled.md.

    pip install -e '.[dev]' autorank deepsig optuna && python benchmarks/fooled.py    (10 minutes)

Two recipes for scikit-learn's digits, equal in distribution, train from 64 fresh seeds each, again
and again; then a recipe and one with a rate lower by a tenth. All rules judge the same runs;
deep-significance, which takes seconds, the first twenty. The last three are Seedbed's.
"""

import argparse
import contextlib
import dataclasses
import datetime
import io
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from honesty import digits, equal_recipes
from machine import described
from scipy import stats

import seedbed as sb

PAGE = Path(__file__).with_name("fooled.md")
PICTURE = Path(__file__).parents[1] / "docs" / "static" / "fooled.svg"
TRIALS, FEW = 200, 20
LOOKS = range(8, 65, 8)


def one_seed(a, b):
    return a[0] != b[0]


def best_of_ten(a, b):
    return a[:10].max() != b[:10].max()


def higher_mean(a, b):
    return a[:5].mean() != b[:5].mean()


def beyond_one_error(a, b):
    d = a[:10] - b[:10]
    return abs(d.mean()) > d.std(ddof=1) / np.sqrt(10)


def bootstrap(a, b):
    d = a[:10] - b[:10]
    means = d[np.random.default_rng(0).integers(0, 10, (2000, 10))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return low > 0 or high < 0


def separate_intervals(a, b):
    """Two 95 % intervals of means that do not overlap."""
    ends = [
        stats.t.interval(0.95, 9, each[:10].mean(), max(stats.sem(each[:10]), 1e-12))
        for each in (a, b)
    ]
    return ends[0][0] > ends[1][1] or ends[1][0] > ends[0][1]


def t_test(a, b):
    return stats.ttest_rel(a[:30], b[:30]).pvalue <= 0.05


def t_test_each_seed(a, b):
    return any(stats.ttest_rel(a[:n], b[:n]).pvalue <= 0.05 for n in range(3, 65))


def autorank_30(a, b):
    from autorank import autorank

    scores = pd.DataFrame({"a": a[:30], "b": b[:30]})
    with contextlib.redirect_stdout(io.StringIO()):
        return autorank(scores, alpha=0.05, verbose=False).pvalue <= 0.05


def stochastic_order(threshold):
    return lambda a, b: least_epsilon(tuple(a[:5]), tuple(b[:5])) < threshold


@cache
def least_epsilon(a, b):
    """Return the smaller of the two directions' violation ratios, by deep-significance."""
    from deepsig import aso

    settings = {"seed": 1, "show_progress": False, "num_bootstrap_iterations": 500}
    return min(aso(list(x), list(y), **settings) for x, y in ((a, b), (b, a)))


def wilcoxon_pruner(a, b):
    """Optuna's pruner: the second trial is pruned against the first, which is complete."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.WilcoxonPruner())
    trial = study.ask()
    for step in range(30):
        trial.report(a[step], step)
    study.tell(trial, a[:30].mean())
    trial = study.ask()
    for step in range(30):
        trial.report(b[step], step)
        if trial.should_prune():
            return True
    return False


def seedbed(design, looks):
    def rule(a, b):
        return any(
            sb.judge({"a": a[:n], "b": b[:n]}, higher_is_better=True, design=design)["a", "b"].leads
            for n in looks
        )

    return rule


RULES = {
    "one seed, the higher score": one_seed,
    "ten seeds, the higher best": best_of_ten,
    "five seeds, the higher mean": higher_mean,
    "ten seeds, the mean is higher by a standard error": beyond_one_error,
    "ten seeds, a bootstrap interval of the mean gain": bootstrap,
    "ten seeds each, intervals of the means do not overlap": separate_intervals,
    "30 seeds, paired t-test": t_test,
    "t-test after each seed from the third to the 64th": t_test_each_seed,
    "autorank, 30 seeds": autorank_30,
    "deep-significance, five seeds, epsilon < 0.5": stochastic_order(0.5),
    "deep-significance, five seeds, epsilon < 0.2": stochastic_order(0.2),
    "Optuna's WilcoxonPruner, up to 30 seeds": wilcoxon_pruner,
    "Seedbed, 30 seeds": seedbed("fixed", [30]),
    "Seedbed, adaptive, up to 64 seeds": seedbed("adaptive", [64]),
    "Seedbed, at any time, a look after every 8 of 64": seedbed("anytime", LOOKS),
}


def scores(recipes, trials, first):
    """Return the accuracies of two recipes, (trials, 2, 64)."""
    X, Y = digits()
    found = np.empty((trials, 2, 64))
    for trial in range(trials):
        start = first + 64 * trial
        runs = sb.compare(recipes, X, Y, seeds=range(start, start + 64), progress=False)
        found[trial] = [method.scores for method in runs.methods.values()]
    return found


def drawn(rows):
    """Draw the rules' rates, with intervals, into the picture."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "seedbed"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    names = list(rows)[::-1]
    for place, name in enumerate(names):
        wrong = 100 * rows[name][0]
        colour = "#0b63a5" if name.startswith("Seedbed") else "#8a8a8a"
        axes.barh(place, wrong, color=colour)
        axes.text(wrong + 1, place, f"{wrong:.1f} %", va="center")
    axes.axvline(5, color="black", linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, 112)
    axes.set_xlabel("equal networks called different, % (dashed: 5 %)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a twentieth of the trials; no page")
    trials = TRIALS // 20 if parser.parse_args().quick else TRIALS
    began = time.perf_counter()
    equal = scores(equal_recipes(), trials, 10**6)
    usual = equal_recipes()["a"]
    slower = dataclasses.replace(usual, optimizer=sb.Adam(0.0045))
    unequal = scores({"a": usual, "slower": slower}, trials, 2 * 10**6)
    rows = {}
    for name, rule in RULES.items():
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            count = FEW if name.startswith("deep") else trials
            rows[name] = [
                np.mean([bool(rule(a, b)) for a, b in runs[:count]]) for runs in (equal, unequal)
            ]
        print(name, rows[name], flush=True)
    d = (unequal[:, 0] - unequal[:, 1]).ravel()
    page = [
        "# How often are you fooled?",
        "",
        f"Printed by `python benchmarks/fooled.py` on {datetime.date.today()}: "
        f"{described('numpy', 'scipy', 'autorank', 'deepsig', 'optuna')}.",
        "",
        *__doc__.split("\n\n")[2].splitlines(),
        "",
        f"![Shares of comparisons in which each rule calls equal networks different]"
        f"(../docs/static/{PICTURE.name})",
        "",
        f"{trials} comparisons of each kind. The second recipe's mean gain is "
        f"{100 * d.mean():.2f} points with a standard deviation of {100 * d.std():.2f} over the "
        "seeds. A rule that calls everything different finds every difference.",
        "",
        "| rule | equal networks called different | the better recipe told apart |",
        "|---|---|---|",
        *(
            f"| {name} | {100 * wrong:.1f} % | {100 * found:.1f} % |"
            for name, (wrong, found) in rows.items()
        ),
        "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]
    text = "\n".join(page) + "\n"
    print(text)
    if trials == TRIALS:
        drawn(rows)
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
