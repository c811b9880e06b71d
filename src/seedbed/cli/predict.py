"""``seedbed predict``: a model file applied to a table."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, reproducible
from seedbed.arrays import Array
from seedbed.cli.show import print_json
from seedbed.errors import FileError
from seedbed.population import Population
from seedbed.tables.encoding import Encoding, checked_encoding
from seedbed.tables.reading import read, rename_clashes, to_bytes


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
    add("file", metavar="FILE", help="a CSV or Parquet file with the same columns; - is stdin")
    add("--out", type=Path, metavar="FILE", help="write here (Parquet by its ending, else CSV)")
    add("--force", action="store_true", help="let --out replace a file that is there")
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


def run(options: Namespace) -> int:
    """Predict, and print or write the table with the predictions; return the exit status."""
    population, words = files.read(options.model)
    encoding = _encoding(options.model, population, words)
    if options.out is not None:
        _check_out(options)
    parquet = options.out is not None and options.out.suffix.lower() in (".parquet", ".pq")
    table = read(options.file)
    if not options.json:
        to_bytes(table.take(slice(0, 1)), {}, parquet=parquet)  # before the work, not after it
    X, notes = encoding.inputs(table, options.unseen)
    for note in notes:
        print("note: " + " ".join(note.split()), file=sys.stderr)
    columns = rename_clashes(table, predictions(population, encoding, X))
    if options.json:
        print_json(columns)
    if options.out is not None:
        files.write_whole(options.out, to_bytes(table, columns, parquet=parquet))
        print(f"{len(table):,} predictions written to {options.out}", file=sys.stderr)
    elif not options.json:
        sys.stdout.flush()
        sys.stdout.buffer.write(to_bytes(table, columns))  # UTF-8, whatever the terminal speaks
    return 0


def _encoding(path: Path, population: Population, words: Any) -> Encoding:
    """Return the table's encoding of a model file.

    Raises: FileError if there is none, or it does not fit the network.
    """
    if words is None:
        raise FileError(
            f"{path} holds no table encoding, as it was not written by seedbed train: load it in "
            "Python with seedbed.load"
        )
    return checked_encoding(words, population, path)


def _check_out(options: Namespace) -> None:
    """Refuse a place that cannot be written, or where something would be lost.

    Raises: FileError.
    """
    files.check_writable(options.out)
    if options.out.is_file() and not options.force:
        raise FileError(f"{options.out} is there already: give another name, or --force")
    for given in (options.model, options.file):
        if options.out.exists() and Path(given).exists() and options.out.samefile(given):
            raise FileError(f"--out would overwrite {given}: give it another name")


def predictions(population: Population, encoding: Encoding, X: Array) -> dict[str, Array]:
    """Return the columns to add, each (N,), for inputs (N, I)."""
    target = encoding.target
    each = population.predict(X)[~population.diverged].astype(np.float64)
    if target.task == "regression":
        values = target.in_target_units(each)
        centre, spread = reproducible.mean(values, 0), reproducible.std(values, 0)
        return {
            f"{what}_{name}": found[:, place]
            for place, name in enumerate(target.names)
            for what, found in (("predicted", centre), ("spread", spread))
        }
    mean = population.predict_mean(X).astype(np.float64)
    if target.labels:
        return {
            f"{what}_{name}": found[:, place]
            for place, name in enumerate(target.names)
            for what, found in (("predicted", (mean > 0.5) * 1), ("probability", mean))
        }
    chosen = mean.argmax(axis=1)
    return {
        f"predicted_{target.name}": np.array(target.classes, dtype=object)[chosen],
        **{f"probability_{name}": mean[:, number] for number, name in enumerate(target.classes)},
        "agreement": (each.argmax(axis=2) == chosen).mean(axis=0),
    }
