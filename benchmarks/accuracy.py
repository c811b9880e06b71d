"""How good the estimators' defaults are: prints accuracy.md, and writes it.

    pip install -e '.[bench]' && python benchmarks/accuracy.py

18 open tables (open_tables.py), 3 splits each, at most 6,000 rows to train on and 6,000 to test
on. Every method has its defaults and is given the table in the form it is best known in:
scikit-learn's networks standardised numbers and one-hot categories, the boosted trees and RealMLP
the frame itself. Fit times are of one pinned core, one thread for everyone, each method's first
fit in the process left out; the methods take turns on each split.
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
import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import open_tables
import torch
from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

torch.set_num_threads(1)
for noisy in ("lightning", "lightning.pytorch", "pytorch_lightning"):
    logging.getLogger(noisy).setLevel(logging.ERROR)
PAGE = Path(__file__).with_name("accuracy.md")


def scaled(network):
    """Return scikit-learn's network behind the steps that its users put before it."""
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
    """Return RealMLP behind what it asks for: it takes no missing numbers, but categories as is."""
    missing = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_column_selector(dtype_exclude="category")
    columns = ColumnTransformer([("numbers", missing, numbers)], remainder="passthrough")
    return make_pipeline(columns.set_output(transform="pandas"), network)


def scaled_target(network):
    from sklearn.compose import TransformedTargetRegressor

    return TransformedTargetRegressor(scaled(network), transformer=StandardScaler())


def methods(task, seed):
    if task == "regression":
        return {
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
    """Yield one record a method on one split of a table."""
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
            if task == "regression":
                rmse = float(np.sqrt(((predicted - y_test.to_numpy()) ** 2).mean()))
                record["error"] = rmse / float(y_test.std(ddof=0))
            else:
                record["error"] = float((predicted != y_test.to_numpy()).mean())
                p = estimator.predict_proba(X_test)
                record["log_loss"] = float(log_loss(y_test, p, labels=estimator.classes_))
        yield record


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pinned", action="store_true")
    parser.add_argument("--records", type=Path)
    parser.add_argument("--methods", nargs="*", default=[])
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    for seed in range(options.splits):
        for name in open_tables.TABLES:
            for record in judged(name, seed, options.methods):
                print(json.dumps(record), flush=True)
                if options.records:
                    with options.records.open("a") as file:
                        file.write(json.dumps(record) + "\n")
