"""Measure how often verdicts are wrong, and how often right: prints and writes honesty.md.

    pip install -e '.[dev]' && python benchmarks/honesty.py        (about 15 minutes)

The first part simulates four kinds of scores: normal; skewed; collapsing, where a tenth of the runs
fail; tied, where scores are rounded to half a standard deviation. The second part trains real
networks on scikit-learn's digits: two recipes whose scores have the same distribution.
"""

import argparse
import datetime
import math
import multiprocessing
import time
import zlib
from pathlib import Path

import numpy as np
from machine import described
from scipy import stats

import seedbed as sb
from seedbed.comparing import sequential, statistics, verdict

PAGE = Path(__file__).with_name("honesty.md")
LOOKS = sequential.LOOKS
TRIALS, FAMILIES, POWERED, NETWORKS = 20_000, 5_000, 5_000, 2_000
AT_ONCE = 500  # trials in one job of a process
ALPHA = 0.05


def noise(kind, rng, shape):
    drawn = rng.normal(size=shape)
    if kind == "skewed":
        return -rng.exponential(size=shape)
    if kind == "collapsing":
        return np.where(rng.random(shape) < 0.1, np.nan, drawn)
    return np.round(2 * drawn) if kind == "tied" else drawn


KINDS = ("normal", "skewed", "collapsing", "tied")
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
        crossed += any(statistics.e_value(d[:n]) >= 1 / ALPHA for n in range(1, 65))
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
            wrong += min(statistics.holm([statistics.signed_rank_p(each) for each in d])) <= ALPHA
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
            return pair.better is not None

        counts["fixed"] += said(30, "fixed")
        stopped = next((n for n in LOOKS if said(n, "adaptive")), None)
        counts["adaptive"] += stopped is not None
        counts["anytime"] += any(said(n, "anytime") for n in range(8, 65, 8))
        used += stopped or 64
        if trial < 50:  # compare with its own stopping must agree
            alone = sb.compare(recipes, X, Y, first_seed=first)
            pair = alone["a", "b"]
            disagreed += (pair.better is not None, pair.n) != (stopped is not None, stopped or 64)
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


# ------------------------------------------------------------------ the page


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
            "one of 64 pairs. Required: at most 5.46 %.", "",
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
            f"Share of {count:,} trials in which any two are told apart. Required: at most 5.92 %.",
            "", "| noise | 10 methods, n = 20 | 10, adaptive | 3, adaptive |", "|---|---|---|---|",
        ]  # fmt: skip
        for kind in ("normal", "collapsing", "tied"):
            cells = [
                percent(total(families, batches(count, kind, *of)), count)
                for of in ((10, "fixed"), (10, "adaptive"), (3, "adaptive"))
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
    print("\n".join(page), flush=True)
    count = NETWORKS // share
    counts, used, disagreed = networks(count)
    page += [
        "", "## Real networks", "",
        f"{count:,} comparisons of two 64-16-10 networks on digits, equal in distribution (one "
        "starts from the other's weights with opposite sign), 64 fresh seeds each, a new split for "
        "each seed, scored by accuracy. All rules judge the same runs. Required of the first two: "
        "at most 6.5 %.", "", "| rule | told apart |", "|---|---|",
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
