"""Measure the time to tell two settings apart: prints and writes verdict.md.

    pip install -e '.[bench]' && python benchmarks/verdict.py

Two learning rates of a 64-32-10 network on scikit-learn's digits, 64 seeds each, a separate split
for every seed: Adam, 20 epochs, float32, batches of 32 and of 64. Seedbed's time is that of
compare(...), with its compiled code on disk. The peers train and score one network after another
with the same number of rows, batch size, epochs and rates. Their loop is timed for a few seeds in
every round, and the time of 128 runs is extrapolated. All use one pinned core and one thread.
"""

import os
import sys

if "--pinned" not in sys.argv:  # thread counts are read when BLAS is loaded, so start over
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.execv(sys.executable, [sys.executable, *sys.argv, "--pinned"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import datetime
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from machine import described
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import seedbed as sb

PAGE = Path(__file__).with_name("verdict.md")
ROUNDS, SEEDS, PEER_SEEDS = 5, 64, 3
RATES = {"lr 0.001": 0.001, "lr 0.0011": 0.0011}
EPOCHS, BATCHES, HIDDEN = 20, (32, 64), 32
X, Y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")


def split(seed):
    order = np.random.default_rng(seed).permutation(len(X))
    return order[450:], order[:450]


def seedbed(first, seeds, batch):
    network = sb.Network(64, [sb.Dense(HIDDEN, sb.relu), sb.Dense(10)])
    recipes = {
        name: sb.Recipe(
            network=network,
            loss=sb.cross_entropy,
            optimizer=sb.Adam(rate),
            epochs=EPOCHS,
            batch_size=batch,
        )
        for name, rate in RATES.items()
    }
    return sb.compare(recipes, X, Y, first_seed=first, seeds=seeds, threads=1, progress=False)


def scikit_learn(seed, rate, batch):
    train, test = split(seed)
    model = MLPClassifier(
        (HIDDEN,), learning_rate_init=rate, batch_size=batch, max_iter=EPOCHS, alpha=0.0,
        tol=0.0, n_iter_no_change=EPOCHS + 1, random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X[train], Y[train])
    return model.score(X[test], Y[test])


def pytorch(seed, rate, batch):
    """Eager, the fused optimizer, batches as slices of rows shuffled once an epoch."""
    torch.manual_seed(seed)
    train, test = (torch.from_numpy(rows) for rows in split(seed))
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    x_train, y_train = x[train], y[train]
    model = torch.nn.Sequential(
        torch.nn.Linear(64, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x_train))
        shuffled_x, shuffled_y = x_train[order], y_train[order]
        for start in range(0, len(order), batch):
            optimizer.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(
                model(shuffled_x[start : start + batch]), shuffled_y[start : start + batch]
            )
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((model(x[test]).argmax(dim=1) == y[test]).float().mean())


def seconds(run):
    began = time.perf_counter()
    result = run()
    return time.perf_counter() - began, result


def measured(batch):
    """Return the lines of one batch size's table."""
    peers = {"a scikit-learn loop": scikit_learn, "a PyTorch loop": pytorch}
    seedbed(0, range(8), batch), scikit_learn(0, 0.001, batch), pytorch(0, 0.001, batch)  # warm
    times = {name: [] for name in ("all", "adaptive", *peers)}
    used, scores = [], {name: [] for name in ("Seedbed", *peers)}
    for number in range(ROUNDS):
        first = 100 * number
        all_of_them = range(first, first + SEEDS)
        took, found = seconds(lambda first=first, s=all_of_them: seedbed(first, s, batch))
        times["all"].append(took)
        scores["Seedbed"] += found.methods["lr 0.001"].scores.tolist()
        took, early = seconds(lambda first=first: seedbed(first, "adaptive", batch))
        times["adaptive"].append(took)
        used.append(early.pairs[0].n)
        for name, peer in peers.items():
            seeds = range(first, first + PEER_SEEDS)
            runs = [(seed, rate) for seed in seeds for rate in RATES.values()]
            took, got = seconds(lambda peer=peer, runs=runs: [peer(*run, batch) for run in runs])
            times[name].append(took / len(runs) * len(RATES) * SEEDS)
            scores[name] += got[::2]
    words = {
        "all": f"Seedbed, all {SEEDS} seeds of both",
        "adaptive": f"Seedbed, adaptive: {statistics.median(used):g} seeds (median)",
    }
    lines = [
        f"## Batches of {batch}",
        "",
        "| | seconds: median | minimum | maximum | ratio to Seedbed (median of the rounds) |",
        "|---|---|---|---|---|",
    ]
    for name, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["all"], taken, strict=True))
        cells = [f"{f(taken):.3g}" for f in (statistics.median, min, max)]
        lines.append(f"| {words.get(name, name)} | {' | '.join(cells)} | {ratio:.3g} |")
    shown = ", ".join(f"{name} {np.median(each):.3f}" for name, each in scores.items())
    return [
        *lines,
        "",
        f"Accuracy at a rate of 0.001, medians: {shown}. The last verdict: {found.sentences[0]}.",
        "",
    ]


def main():
    torch.set_num_threads(1)
    page = [
        "# Time to a verdict",
        "",
        f"Printed by `python benchmarks/verdict.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'torch', 'scikit-learn')}.",
        "",
        __doc__.split("\n\n")[2].strip(),
        "",
    ]
    for batch in BATCHES:
        page += measured(batch)
    text = "\n".join(page)
    print(text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
