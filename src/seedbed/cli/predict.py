"""``seedbed predict``: a model file applied to a table."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files
from seedbed.arrays import Array
from seedbed.cli.show import print_json
from seedbed.errors import FileError
from seedbed.population import Population
from seedbed.tables.encoding import Encoding
from seedbed.tables.reading import read, with_columns, write


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="apply a model file to a CSV or Parquet file",
        description="Print the table as CSV with the ensemble's predictions added. For classes: "
        "the likeliest, each one's probability, and the share of members that agree. For numbers: "
        "the members' mean and standard deviation.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file that seedbed train wrote")
    add("file", type=Path, metavar="FILE", help="a CSV or Parquet file with the same columns")
    add("--out", type=Path, metavar="FILE", help="write here (Parquet by its ending, else CSV)")
    add(
        "--unseen",
        choices=("error", "missing"),
        default="error",
        help="what to do with a category that was not there in training (error)",
    )
    add(
        "--json", action="store_true", help="print one JSON object: the columns that would be added"
    )
    parser.set_defaults(run=run)


def run(options: Namespace) -> None:
    """Predict, and print or write the table with the predictions."""
    population, words = files.load(options.model)
    if words is None:
        raise FileError(
            f"{options.model} holds no table encoding, as it was not written by seedbed train: "
            "load it in Python with seedbed.load"
        )
    encoding = Encoding.from_words(words)
    if options.out is not None:
        for given in (options.model, options.file):
            if options.out.resolve() == given.resolve():
                raise FileError(f"--out would overwrite {given}: give it another name")
    table = read(options.file)
    X, notes = encoding.inputs(table, options.unseen)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    columns = predictions(population, encoding, X)
    if options.json:
        print_json(columns)
    if options.out is not None:
        write(options.out, table, columns)
        print(f"{len(table):,} predictions written to {options.out}", file=sys.stderr)
    elif not options.json:
        sys.stdout.write(with_columns(table, columns).write_csv())


def predictions(population: Population, encoding: Encoding, X: Array) -> dict[str, Array]:
    """Return the columns to add, each (N,), for inputs (N, I)."""
    target = encoding.target
    each = population.predict(X)[~population.diverged]
    mean = population.predict_mean(X)
    if not target.classes:
        values = target.mean + target.scale * each[:, :, 0].astype(np.float64)
        return {
            f"predicted_{target.name}": values.mean(axis=0),
            f"spread_{target.name}": values.std(axis=0),
        }
    chosen = mean.argmax(axis=1)
    return {
        f"predicted_{target.name}": np.array(target.classes, dtype=object)[chosen],
        **{
            f"probability_{name}": mean[:, number].astype(np.float64)
            for number, name in enumerate(target.classes)
        },
        "agreement": (each.argmax(axis=2) == chosen).mean(axis=0),
    }
