"""``seedbed predict``: applies a model file to a table."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, reproducible
from seedbed.arrays import Array
from seedbed.cli.models import encoding_of
from seedbed.cli.show import print_json
from seedbed.errors import FileError
from seedbed.population import Population
from seedbed.tables.encoding import Encoding
from seedbed.tables.reading import read, rename_clashes, to_bytes


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="apply a model file to a CSV or Parquet file",
        description="Print the table as CSV with the ensemble's predictions added. For classes: "
        "the most probable class, each class's probability and the share of members that agree. "
        "For numbers: the members' mean and standard deviation.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file of seedbed train or an estimator")
    add("file", metavar="FILE", help="a CSV or Parquet file with the model's columns; - is stdin")
    add("--out", type=Path, metavar="FILE", help="write here (.parquet or .pq: Parquet, else CSV)")
    add("--force", action="store_true", help="let --out replace a file")
    add(
        "--unseen",
        choices=("error", "missing"),
        default="error",
        help="how to treat categories that training did not see (error)",
    )
    add("--json", action="store_true", help="print the added columns as one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Predict and write the table with the predictions; return the exit status."""
    population, spec = files.read(options.model)
    encoding = encoding_of(options.model, population, spec)
    if options.out is not None:
        _check_out(options)
    parquet = options.out is not None and options.out.suffix.lower() in (".parquet", ".pq")
    table = read(options.file)
    if not options.json:
        to_bytes(table.take(slice(0, 1)), {}, parquet=parquet)  # fail before the work
    X, notes = encoding.inputs(table, options.unseen)
    for note in notes:
        print("note: " + " ".join(note.split()), file=sys.stderr)
    columns = rename_clashes(table, predictions(population, encoding, X))
    if options.json:
        print_json(columns)
    if options.out is not None:
        files.write_atomically(options.out, to_bytes(table, columns, parquet=parquet))
        print(f"{len(table):,} predictions written to {options.out}", file=sys.stderr)
    elif not options.json:
        sys.stdout.flush()
        sys.stdout.buffer.write(to_bytes(table, columns))  # always UTF-8
    return 0


def _check_out(options: Namespace) -> None:
    """Refuse a path that cannot be written or would overwrite something.

    Raises: FileError.
    """
    files.check_writable(options.out)
    if options.out.is_file() and not options.force:
        raise FileError(f"{options.out} exists: give another name, or --force")
    for given in (options.model, options.file):
        if options.out.exists() and Path(given).exists() and options.out.samefile(given):
            raise FileError(f"--out would overwrite {given}: give it another name")


def predictions(population: Population, encoding: Encoding, X: Array) -> dict[str, Array]:
    """Return the columns to add, each (N,), for inputs (N, I)."""
    target = encoding.target
    each = population.predict(X)[~population.diverged].astype(np.float64)
    if target.task == "regression":
        values = target.in_target_units(each)
        mean, spread = reproducible.mean(values, 0), reproducible.std(values, 0)
        return {
            f"{kind}_{name}": result[:, column]
            for column, name in enumerate(target.names)
            for kind, result in (("predicted", mean), ("spread", spread))
        }
    mean = population.predict_mean(X).astype(np.float64)
    if target.labels:
        return {
            f"{kind}_{name}": result[:, column]
            for column, name in enumerate(target.names)
            for kind, result in (("predicted", (mean > 0.5) * 1), ("probability", mean))
        }
    predicted = mean.argmax(axis=1)
    return {
        f"predicted_{target.name}": np.array(target.classes, dtype=object)[predicted],
        **{f"probability_{name}": mean[:, number] for number, name in enumerate(target.classes)},
        "agreement": (each.argmax(axis=2) == predicted).mean(axis=0),
    }
