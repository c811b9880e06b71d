"""Measure how often verdicts are wrong, and how often right: prints and writes honesty.md.

    pip install -e '.[dev]' && python benchmarks/honesty.py        (about 70 minutes on two cores)

A false verdict is one on two methods whose differences are symmetric about 0, as those of equal
methods are: "better", "better, perhaps only slightly" or "better in one sense only". That is what
alpha limits. The first part simulates scores: normal; skewed; collapsing, where a tenth of the runs
fail; tied, where scores are rounded to half a standard deviation; few rows, the accuracy on 50
rows; Cauchy; of two methods with unequal spreads. The second part simulates differences that are
not symmetric, where no test of one kind of gain can speak for the others. The third trains real
networks on scikit-learn's digits: two recipes whose scores have the same distribution.
"""

import argparse
import datetime
import math
import multiprocessing
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
from machine import described
from scipy import stats

import seedbed as sb
from seedbed.comparing import evidence, sequential, statistics, verdict

warnings.simplefilter("ignore", sb.SeedbedWarning)  # of some random scores that seem to depend
PAGE = Path(__file__).with_name("honesty.md")
LOOKS = sequential.LOOKS
TRIALS, FAMILIES, POWERED, NETWORKS, SEARCHES = 20_000, 5_000, 2_000, 2_000, 60
MANY_ADAPTIVE = 1_000  # trials of ten methods at each look, which take long
AT_ONCE = 500  # trials in one job of a process
ALPHA = 0.05


def noise(kind, rng, shape):
    drawn = rng.normal(size=shape)
    if kind == "skewed":
        return -rng.exponential(size=shape)
    if kind == "few rows":
        return rng.binomial(50, 0.9, shape) / 50
    if kind == "Cauchy":
        return rng.standard_cauchy(shape)
    if kind == "unequal spreads":
        return drawn * (1.0 + 4.0 * (np.arange(shape[0]) == 0))[:, None]
    if kind == "collapsing":
        return np.where(rng.random(shape) < 0.1, np.nan, drawn)
    return np.round(2 * drawn) if kind == "tied" else drawn


KINDS = ("normal", "skewed", "collapsing", "tied", "few rows", "Cauchy", "unequal spreads")
SIZES = (6, 8, 10, 20, 32, 64)


def gains(kind, rng, n, shift=0.0):
    a, b = noise(kind, rng, (2, n))
    return verdict.gains(a + shift, b, True)


# ------------------------------------------------------------------ one batch of trials each


def fixed(job):
    kind, n, shift, trials, seed = job
    rng = np.random.default_rng(seed)
    return sum(statistics.signed_rank_p(gains(kind, rng, n, shift)) <= ALPHA for _ in range(trials))


def adaptive(job):
    """Return how many trials crossed at some look, and the seeds that all trials used."""
    kind, shift, trials, seed = job
    rng, crossed, used = np.random.default_rng(seed), 0, 0
    for _ in range(trials):
        last = sequential.sequential_test(gains(kind, rng, 64, shift), ALPHA)[-1]
        crossed, used = crossed + last.crossed, used + last.n
    return crossed, used


def anytime(job):
    kind, shift, trials, seed = job
    rng, crossed = np.random.default_rng(seed), 0
    for _ in range(trials):
        d = gains(kind, rng, 64, shift)
        crossed += evidence.log_e_values(d).max() >= -math.log(ALPHA)
    return crossed


def families(job):
    """Return in how many trials any two of several equal methods were told apart."""
    kind, methods, design, trials, seed = job
    rng, wrong = np.random.default_rng(seed), 0
    pairs = [(i, j) for i in range(methods) for j in range(i)]
    for _ in range(trials):
        scores = noise(kind, rng, (methods, 20 if design == "fixed" else 64))
        d = [verdict.gains(scores[i], scores[j], True) for i, j in pairs]
        if design == "fixed":
            wrong += min(statistics.signed_rank_p(each) for each in d) <= ALPHA / len(pairs)
        else:
            level = ALPHA / len(pairs)
            wrong += any(sequential.sequential_test(each, level)[-1].crossed for each in d)
    return wrong


def close(job):
    """Return how often a gain of exactly delta was called too close to matter."""
    design, trials, seed = job
    rng, wrong = np.random.default_rng(seed), 0
    n = {"fixed": [30], "adaptive": LOOKS, "anytime": range(8, 65, 8)}[design]
    for _ in range(trials):
        b = rng.normal(size=64)
        a = b + 0.5 + rng.normal(size=64)
        for seen in n:
            given = {"a": a[:seen], "b": b[:seen]}
            found = sb.judge(given, higher_is_better=True, design=design, delta=0.5)
            if found.pairs[0].verdict is sb.Verdict.TOO_CLOSE:
                wrong += 1
                break
    return wrong


def intervals(job):
    """Return how often each interval contained the true value."""
    n, trials, seed = job
    rng, held = np.random.default_rng(seed), np.zeros(3)
    for _ in range(trials):
        d = rng.normal(0.4, 1, n)
        wins = int((d > 0).sum())
        low, high = statistics.gain_interval(d, ALPHA)
        share = statistics.share_interval(wins, wins, n, ALPHA)
        whole = rng.normal(0.4, 1, 64)
        stopped = whole[: sequential.sequential_test(whole, ALPHA)[-1].n]
        level = sequential.sequential_test(stopped, ALPHA, stop=False)[-1].level
        looked = statistics.gain_interval(stopped, level)
        true_share = stats.norm.cdf(0.4)
        held += [
            low <= 0.4 <= high,
            share[0] <= true_share <= share[1],
            looked[0] <= 0.4 <= looked[1],
        ]
    return held


def extended(job):
    """Return how many trials crossed at any look up to the last, after 1,024 pairs."""
    kind, trials, seed = job
    rng = np.random.default_rng(seed)
    return sum(
        sequential.sequential_test(gains(kind, rng, 1024), ALPHA)[-1].crossed for _ in range(trials)
    )


def advised(job):
    """Return the trials that are told how many more pairs are needed, those that then decide, and
    those whose stated range holds the number at which a test on all pairs first decides.
    """
    shift, trials, seed = job
    rng, told, reached = np.random.default_rng(seed), 0, 0
    for _ in range(trials):
        d = rng.normal(shift, 1, 64)
        scores = {"a": d[:16], "b": np.zeros(16)}
        (pair,) = sb.judge(scores, higher_is_better=True, design="fixed").pairs
        if pair.verdict is sb.Verdict.CANNOT_TELL and pair.needed is not None:
            told += 1
            total = min(16 + pair.needed, 4096)
            longer = np.concatenate([d[:16], rng.normal(shift, 1, total - 16)])
            reached += statistics.signed_rank_p(longer) <= ALPHA
    return told, reached


def asymmetric(name, rng, n):
    """Return the scores of two methods, (2, n), that are equal in one sense only."""
    b = rng.normal(0.9, 0.01, n)
    if name == "equal shares of wins, skewed":
        gain = rng.exponential(1, n) - math.log(2)
    elif name == "equal shares of wins, big wins and small losses":
        gain = np.where(rng.random(n) < 0.5, rng.uniform(1, 2, n), -rng.uniform(0, 1, n))
    elif name == "equal means, skewed":
        gain = rng.exponential(1, n) - 1
    else:  # equal means, one collapses in a tenth of the runs
        gain = np.where(rng.random(n) < 0.1, -45, 5) + 0.5 * rng.normal(size=n)
    return np.stack([b + 0.01 * gain, b])


ASYMMETRIC = (
    "equal shares of wins, skewed", "equal shares of wins, big wins and small losses",
    "equal means, skewed", "equal means, one collapses in a tenth of the runs",
)  # fmt: skip


def judged_asymmetric(job):
    """Return how often each design says better, and better in one sense; and how often two designs
    name opposite leaders.
    """
    name, trials, seed = job
    rng, counts = np.random.default_rng(seed), np.zeros(7)
    for _ in range(trials):
        a, b = asymmetric(name, rng, 64)
        leads = set()
        for number, design in enumerate(("fixed", "adaptive", "anytime")):
            looks = {"fixed": [30], "adaptive": [64], "anytime": range(8, 65, 8)}[design]
            for n in looks:
                (pair,) = sb.judge(
                    {"a": a[:n], "b": b[:n]}, higher_is_better=True, design=design
                ).pairs
                if pair.leads:
                    counts[2 * number + (pair.better is None)] += 1
                    leads.add(pair.leads)
                    break
        counts[6] += len(leads) > 1
    return counts


def slightly(job):
    """Return the verdicts, those that say better without doubt, and the sum of gains shown over the
    true one, of a method that wins a share of the runs.
    """
    share, trials, seed = job
    rng, counts = np.random.default_rng(seed), np.zeros(3)
    true = stats.norm.ppf(share)
    for _ in range(trials):
        d = rng.normal(true, 1, 64)
        (pair,) = sb.judge(
            {"a": d, "b": np.zeros(64)}, higher_is_better=True, design="adaptive"
        ).pairs
        if pair.leads == "a":
            counts += 1, pair.verdict is sb.Verdict.BETTER, pair.typical / true
    return counts


def contradictions(job):
    """Return the verdicts on accuracies of 50 rows, and those whose interval holds 0."""
    trials, seed = job
    rng, counts = np.random.default_rng(seed), np.zeros(2)
    for _ in range(trials):
        scores = {"a": rng.binomial(50, 0.91, 30) / 50, "b": rng.binomial(50, 0.9, 30) / 50}
        (pair,) = sb.judge(scores, higher_is_better=True, design="fixed").pairs
        if pair.leads:
            counts += 1, pair.low <= 0 <= pair.high
    return counts


def retried(job):
    """Return how often the routes that remain open say better of equal methods: up to 3 and 5
    adaptive comparisons on other seeds, and the best of three metrics.
    """
    trials, seed = job
    rng, counts = np.random.default_rng(seed), np.zeros(3)
    for _ in range(trials):
        tries = [
            sequential.sequential_test(rng.normal(size=64), ALPHA)[-1].crossed for _ in range(5)
        ]
        common = rng.normal(size=64)
        several = [
            sequential.sequential_test(0.7 * common + 0.7 * rng.normal(size=64), ALPHA)[-1].crossed
            for _ in range(3)
        ]
        counts += any(tries[:3]), any(tries), any(several)
    return counts


SUITE_RUNS = 3


def set_noises():
    """Return the real noise of 20 tables: the standard deviation, over splits, of the difference of
    two methods' log errors (Seedbed's default and fast efforts), from accuracy.jsonl.
    """
    import json

    errors = {}
    for line in Path(__file__).with_name("accuracy.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("method") in ("Seedbed", "Seedbed, fast") and "table" in record:
            least = 0.5 / record["tested"] if "log_loss" in record else 0.0
            key = record["table"], record["split"]
            errors.setdefault(key, {})[record["method"]] = math.log(max(record["error"], least))
    spread = {}
    for (table, _), each in errors.items():
        if len(each) == 2:
            spread.setdefault(table, []).append(each["Seedbed"] - each["Seedbed, fast"])
    noises = sorted(np.std(v, ddof=1) for v in spread.values() if len(v) > 1)
    return noises[(len(noises) - 20) // 2 :][:20]  # the middle 20 of the 30 tables


def suites(job):
    """Return in how many suites any two of some methods are told apart, and in how many the first
    is found better than the second.
    """
    methods, gain, noises, trials, seed = job
    rng, counts = np.random.default_rng(seed), np.zeros(2)
    rules = verdict.Rules(ALPHA, methods * (methods - 1) // 2, "fixed")
    for _ in range(trials):
        noise = np.array(noises)[:, None, None] / math.sqrt(2)
        logs = noise * rng.normal(size=(len(noises), SUITE_RUNS, methods))
        logs[:, :, 0] += math.log1p(-gain)
        found = {}
        for i in range(methods):
            for j in range(i + 1, methods):
                d = np.array(
                    [statistics.typical_gain(each) for each in logs[:, :, j] - logs[:, :, i]]
                )
                found[i, j] = statistics.signed_rank_p(d) <= rules.level and d.mean()
        counts += any(found.values()), found[0, 1] > 0
    return counts


def batches(trials, *job):
    """Return jobs of at most ``AT_ONCE`` trials, each with its own seed."""
    key = zlib.crc32(repr(job).encode())
    return [
        (*job, min(AT_ONCE, trials - start), [key, start]) for start in range(0, trials, AT_ONCE)
    ]


# ------------------------------------------------------------------ on real networks


def digits():
    from sklearn.datasets import load_digits

    X, Y = load_digits(return_X_y=True)
    return X / 16, Y


def equal_recipes():
    """Return two recipes whose runs have the same distribution: the second one's initial weights
    are the first one's with the opposite sign.
    """
    usual = sb.he

    def mirrored(draws, inputs, outputs):
        return -usual.draw(draws, inputs, outputs)

    def recipe(init):
        layers = [sb.Dense(16, sb.relu, init=init), sb.Dense(10, init=init)]
        return sb.Recipe(
            network=sb.Network(64, layers),
            loss=sb.cross_entropy,
            optimizer=sb.Adam(0.005),
            epochs=4,
            batch_size=32,
            engine="compiled",
        )

    return {"a": recipe(usual), "b": recipe(sb.Initializer("he, mirrored", mirrored))}


def networks(trials):
    """Return how often each rule told equal recipes apart, the seeds used, and the disagreements.

    All rules judge the same runs: 64 seeds of each recipe, fresh in every trial.
    """
    X, Y = digits()
    recipes = equal_recipes()
    counts = dict.fromkeys(("fixed", "adaptive", "anytime", "one", "five", "t"), 0)
    used = disagreed = 0
    for trial in range(trials):
        first = 1000 + 64 * trial
        found = sb.compare(recipes, X, Y, seeds=range(first, first + 64))
        scores = {name: method.scores for name, method in found.methods.items()}

        def said(n, design, scores=scores):
            part = {name: each[:n] for name, each in scores.items()}
            pair = sb.judge(part, higher_is_better=True, design=design)["a", "b"]
            return pair.leads is not None

        counts["fixed"] += said(30, "fixed")
        stopped = next((n for n in LOOKS if said(n, "adaptive")), None)
        counts["adaptive"] += stopped is not None
        counts["anytime"] += any(said(n, "anytime") for n in range(8, 65, 8))
        used += stopped or 64
        if trial < 50:  # compare with its own stopping must agree
            alone = sb.compare(recipes, X, Y, first_seed=first)
            pair = alone["a", "b"]
            disagreed += (pair.leads is not None, pair.n) != (stopped is not None, stopped or 64)
        a, b = scores["a"], scores["b"]
        counts["one"] += a[0] != b[0]
        counts["five"] += a[:5].mean() != b[:5].mean()
        d = a - b
        n = np.arange(1, 65)
        mean = np.cumsum(d) / n
        spread = np.sqrt(np.maximum(np.cumsum(d * d) / n - mean**2, 0) * n / np.maximum(n - 1, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(mean) / (spread / np.sqrt(n))
        p = 2 * stats.t.sf(t, np.maximum(n - 1, 1))
        counts["t"] += bool((p[2:] <= ALPHA).any())
    return counts, used / trials, disagreed


def flipped_recipe(number):
    """Return an equal recipe: fixed random signs times the usual initial weights."""
    usual = sb.he

    def draw(draws, inputs, outputs):
        signs = np.random.default_rng([number, inputs, outputs]).choice([-1, 1], (inputs, outputs))
        return signs * usual.draw(draws, inputs, outputs)

    init = sb.Initializer(f"he, flipped {number}", draw)
    layers = [sb.Dense(16, sb.relu, init=init), sb.Dense(10, init=init)]
    return sb.Recipe(
        network=sb.Network(64, layers), loss=sb.cross_entropy, optimizer=sb.Adam(0.005),
        epochs=4, batch_size=32, engine="compiled",
    )  # fmt: skip


def searches(trials, split):
    """Return the searches among 20 equal recipes whose winner is called better than an equal
    baseline, and the means of their claimed gains and of their gains on rows nobody saw, in points.
    """
    X, Y = digits()
    settings = {str(number): flipped_recipe(number) for number in range(20)}
    baseline = flipped_recipe(99)
    better, claimed, real = 0, [], []
    for trial in range(trials):
        order = np.random.default_rng([trial, 7]).permutation(len(X))
        used, fresh = order[:1000], order[1000:]
        found = sb.search(
            settings, X[used], Y[used], budget=80, baseline=baseline, split=split, seed=1000 * trial
        )
        pair = found.confirmation.pairs[0]
        if pair.better not in (None, "baseline"):
            better += 1
            claimed.append(100 * pair.typical)
            recipes = {"winner": found.method, "baseline": baseline}
            rows = (used.tolist(), fresh.tolist())
            again = sb.compare(recipes, X, Y, split=rows, seeds=range(10**6, 10**6 + 30))
            real.append(100 * again["winner", "baseline"].typical)
    return better, float(np.mean(claimed or [0])), float(np.mean(real or [0]))


# ------------------------------------------------------------------ the page


def bound(trials):
    """Return 5 % and three standard errors, as text."""
    return f"{100 * (ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / trials)):.2f} %"


def percent(count, trials):
    return f"{100 * count / trials:.2f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the trials; no page")
    share = 100 if parser.parse_args().quick else 1
    began = time.perf_counter()
    trials, powered = TRIALS // share, POWERED // share
    page = [
        "# How often verdicts are wrong",
        "",
        f"Printed by `python benchmarks/honesty.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'scipy', 'scikit-learn')}.",
        "",
        *__doc__.split("\n\n")[2].splitlines(),
        "",
        "Every trial draws fresh scores, from generators seeded by the row's name and the trial's "
        "number; the networks' seeds are 1,000 to 128,999.",
    ]
    with multiprocessing.get_context("spawn").Pool() as pool:

        def total(function, jobs):
            return np.sum(pool.map(function, jobs, chunksize=1), axis=0)

        page += [
            "", "## Two equal methods, alpha = 5 %", "",
            f"Share of {trials:,} comparisons that end in a verdict. Adaptive: looks after 8, 16, "
            "32 and 64 pairs, and stops at the first that crosses. At any time: looks after every "
            f"one of 64 pairs. Required: at most {bound(trials)}, three standard errors above 5 %.",
            "",
            "| noise | " + " | ".join(f"n = {n}" for n in SIZES) + " | adaptive | at any time |",
            "|---" * (len(SIZES) + 3) + "|",
        ]  # fmt: skip
        for kind in KINDS:
            cells = [percent(total(fixed, batches(trials, kind, n, 0.0)), trials) for n in SIZES]
            cells.append(percent(total(adaptive, batches(trials, kind, 0.0))[0], trials))
            cells.append(percent(total(anytime, batches(trials, kind, 0.0)), trials))
            page.append(f"| {kind} | {' | '.join(cells)} |")
            print(page[-1], flush=True)
        count = FAMILIES // share
        page += [
            "", "## Several equal methods, all pairs", "",
            f"Share of {count:,} trials in which any two are told apart. Required: at most "
            f"{bound(count)}. (10 adaptive: {MANY_ADAPTIVE // share:,} trials.)",
            "", "| noise | 10 methods, n = 20 | 10, adaptive | 3, adaptive |", "|---|---|---|---|",
        ]  # fmt: skip
        for kind in ("normal", "collapsing", "tied"):
            cells = [
                percent(total(families, batches(trials_of, kind, *of)), trials_of)
                for trials_of, *of in (
                    (count, 10, "fixed"),
                    (MANY_ADAPTIVE // share, 10, "adaptive"),
                    (count, 3, "adaptive"),
                )
            ]
            page.append(f"| {kind} | {' | '.join(cells)} |")
            print(page[-1], flush=True)
        page += [
            "", "## A gain of exactly delta", "",
            f"Share of {count:,} trials in which a gain of exactly delta (half a standard "
            "deviation) is called too close to matter, with every look that the design allows.", "",
            "| 30 seeds | adaptive | at any time |", "|---|---|---|",
        ]  # fmt: skip
        designs = ("fixed", "adaptive", "anytime")
        cells = [percent(total(close, batches(count, design)), count) for design in designs]
        page.append(f"| {' | '.join(cells)} |")
        page += [
            "", "## One better method", "",
            f"Share of {powered:,} trials with a verdict. P(A > B) = 0.75, failures included.", "",
            "| noise | n = 29 | required | adaptive, up to 64 | required | seeds used | required |",
            "|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for kind, z, least in (("normal", 0.6745, 0.90), ("collapsing", 0.8727, 0.70)):
            shift = z * math.sqrt(2)
            power = total(fixed, batches(powered, kind, 29, shift))
            crossed, used = total(adaptive, batches(powered, kind, shift))
            asked = ("98 %", "30") if kind == "normal" else ("", "")
            page.append(
                f"| {kind} | {percent(power, powered)} | {100 * least:g} % | "
                f"{percent(crossed, powered)} | {asked[0]} | {used / powered:.1f} | {asked[1]} |"
            )
        page += [
            "", "## Intervals of 95 %", "",
            f"Share of {powered:,} that contain the true value. Required: at least 94 %.", "",
            "| n | typical gain | P(A > B) | gain after adaptive stopping |", "|---|---|---|---|",
        ]  # fmt: skip
        for n in (8, 20, 50):
            held = total(intervals, batches(powered, n))
            page.append(f"| {n} | {' | '.join(percent(h, powered) for h in held)} |")
        page += [
            "", "## Going on after no verdict", "",
            f"Share of {count:,} comparisons of equal methods that end in a verdict when they are "
            f"extended again and again, up to 1,024 seeds. Required: at most {bound(count)}.", "",
            "| " + " | ".join(KINDS[:4]) + " |", "|---" * 4 + "|",
        ]  # fmt: skip
        cells = [percent(total(extended, batches(count, kind)), count) for kind in KINDS[:4]]
        page += [
            f"| {' | '.join(cells)} |", "",
            "After 16 pairs without a verdict: of those told that about N more pairs would decide "
            "if the true gain is what was seen, the share that N more decide, by the true gain in "
            "standard deviations.", "", "| 0 | 0.2 | 0.3 | 0.5 |", "|---|---|---|---|",
        ]  # fmt: skip
        cells = []
        for shift in (0.0, 0.2, 0.3, 0.5):
            told, reached = total(advised, batches(count, shift))
            cells.append(percent(reached, told))
        page.append(f"| {' | '.join(cells)} |")
        page += [
            "", "## Gains that are not symmetric", "",
            f"Share of {count:,} comparisons in which each design says \"better\", perhaps only "
            "slightly, and \"better in one sense only\". The two methods are equal in the sense "
            "named, and not in others. Fixed: 30 seeds. Last: two designs name different leaders.",
            "", "| equal | fixed | in one sense | adaptive | in one sense | at any time | in one "
            "sense | opposite |", "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name in ASYMMETRIC:
            found = total(judged_asymmetric, batches(count, name))
            page.append(f"| {name} | {' | '.join(percent(each, count) for each in found)} |")
            print(page[-1], flush=True)
        page += [
            "", "## What is said of small gains", "",
            f"{count:,} adaptive comparisons with a method that wins a share of the runs. Of the "
            "verdicts for it: how often \"perhaps only slightly\" is left out, and the gain shown "
            "over the true one (sentences say so of gains found early).", "",
            "| share of wins | verdicts | without \"slightly\" | gain shown, times the true one |",
            "|---|---|---|---|",
        ]  # fmt: skip
        for won in (0.55, 0.6, 0.75, 0.9):
            verdicts, clear, shown = total(slightly, batches(count, won))
            page.append(
                f"| {100 * won:g} % | {percent(verdicts, count)} | {percent(clear, verdicts)} | "
                f"{shown / verdicts:.2f} |"
            )
        verdicts, held = total(contradictions, batches(count))
        page += [
            "",
            f"Of {int(verdicts)} verdicts on accuracies of 50 rows, {int(held)} stand beside an "
            "interval that contains 0.",
            "", "## Routes that remain", "",
            f"Share of {count:,} tries that find a verdict on equal methods somewhere. The journal "
            "of comparisons makes them visible: \"comparison 3 of these methods on these rows\".",
            "", "| up to 3 adaptive comparisons, each on other seeds | up to 5 | 3 metrics, "
            "correlated by 0.5 |", "|---|---|---|",
        ]  # fmt: skip
        found = total(retried, batches(count))
        page.append(f"| {' | '.join(percent(each, count) for each in found)} |")
        noises = tuple(set_noises())
        page += [
            "", "## Many data sets", "",
            f"{count:,} suites of {len(noises)} data sets, {SUITE_RUNS} runs on each, with the "
            "real noise of the tables in accuracy.md (standard deviation of the difference of two "
            f"methods' log errors: {noises[0]:.3f} to {noises[-1]:.3f}, median "
            f"{np.median(noises):.3f}). Each data set counts once.", "",
            "| 5 equal methods: any two told apart | required | 2 methods, one 2 % better: found | "
            "5 % better |", "|---|---|---|---|",
        ]  # fmt: skip
        cells = [
            percent(total(suites, batches(count, 5, 0.0, noises))[0], count),
            f"at most {bound(count)}",
        ]
        for gain in (0.02, 0.05):
            cells.append(percent(total(suites, batches(count, 2, gain, noises))[1], count))
        page.append(f"| {' | '.join(cells)} |")
    print("\n".join(page), flush=True)
    tried = max(1, SEARCHES // share)
    page += [
        "", "## Searches among equal settings", "",
        f"{tried} searches among 20 equal recipes on 1,000 rows of digits, 80 runs each, then the "
        "confirmation on rows that the search did not see. Claimed: the mean gain of those called "
        "better, in points of accuracy. On fresh rows: their gain on 797 rows that nobody saw.", "",
        "| rows of the search | called better | claimed | on fresh rows |", "|---|---|---|---|",
    ]  # fmt: skip
    for split in ("resampled", "fixed"):
        better, claimed, real = searches(tried, split)
        page.append(f"| {split} | {percent(better, tried)} | {claimed:.2f} | {real:.2f} |")
        print(page[-1], flush=True)
    count = NETWORKS // share
    counts, used, disagreed = networks(count)
    page += [
        "", "## Real networks", "",
        f"{count:,} comparisons of two 64-16-10 networks on digits, equal in distribution (one "
        "starts from the other's weights with opposite sign), 64 fresh seeds each, a new split for "
        "each seed, scored by accuracy. All rules judge the same runs. Required of the first two: "
        f"at most {bound(count)}.", "", "| rule | told apart |", "|---|---|",
    ]  # fmt: skip
    for rule, words in (
        ("fixed", "Seedbed, 30 seeds"),
        ("adaptive", "Seedbed, adaptive"),
        ("anytime", "Seedbed, at any time, a look after every 8 of 64"),
        ("one", "one seed, take the better"),
        ("five", "five seeds, the higher mean"),
        ("t", "a t-test after each seed from the third to the 64th"),
    ):
        page.append(f"| {words} | {percent(counts[rule], count)} |")
    page += [
        "",
        f"Adaptive used {used:.1f} seeds on average. `compare` with its own stopping disagreed in "
        f"{disagreed} of {min(50, count)}.",
        "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]
    text = "\n".join(page) + "\n"
    print(text)
    if share == 1:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
