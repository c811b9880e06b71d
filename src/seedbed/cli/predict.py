"""``seedbed predict``: applies a model file to a table."""

from __future__ import annotations

import csv
import io
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seedbed import files, reproducible, writing
from seedbed.arrays import Array
from seedbed.cli.show import print_json
from seedbed.engines.state import STATUS_NAMES, Status
from seedbed.errors import FileError, TableError
from seedbed.population import Population
from seedbed.tables.csv_text import CsvReader, TextRows
from seedbed.tables.encoding import Encoding
from seedbed.tables.model import of_saved
from seedbed.tables.notes import Counts
from seedbed.tables.reading import (
    BINARY,
    Table,
    is_text,
    opened,
    parquet_bytes,
    parse,
    read,
    rename_clashes,
    shown_name,
)
from seedbed.tables.sources import Source


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="apply a model file to a table",
        description="Print the table as CSV with the ensemble's predictions added, rows as they "
        "arrive. For classes: the most probable class, each class's probability and the share of "
        "members that agree. For numbers: the members' mean and standard deviation.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file of seedbed train or an estimator")
    add(
        "file", metavar="FILE", help="a table with the model's columns: CSV, Parquet, …; - is stdin"
    )
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
    model = of_saved(files.read(options.model), options.model)
    if options.out is not None:
        _check_out(options)
    parquet = options.out is not None and options.out.suffix.lower() in (".parquet", ".pq")
    counts = Counts()
    status = model.population.status == STATUS_NAMES[Status.INTERRUPTED]
    if status.any():
        print(
            f"note: {options.model} is of an interrupted training: {status.sum()} of {len(status)} "
            f"members ended after {model.population.epochs[status].min()} of "
            f"{model.population.recipe.epochs} epochs",
            file=sys.stderr,
        )

    def added(rows: Source) -> dict[str, Array]:
        X, more = model.encoding.inputs(rows, options.unseen)
        counts.add(more)
        columns = predictions(model.population, model.encoding, X)
        return rename_clashes(rows.columns, columns)

    try:
        if parquet or not is_text(options.file):
            count = _predict_whole(options, read(options.file), added, parquet)
        else:
            with opened(options.file) as stream:
                if stream.peek(16).startswith(BINARY):
                    table = parse(shown_name(options.file), stream.read())
                    count = _predict_whole(options, table, added, parquet)
                else:
                    count = _predict_rows(options, stream, model.columns, added)
    finally:
        for note in counts.lines():
            print("note: " + " ".join(note.split()), file=sys.stderr)
    if options.out is not None:
        print(f"{count:,} predictions written to {options.out}", file=sys.stderr)
    return 0


Added = Callable[[Source], dict[str, Array]]


def _predict_whole(options: Namespace, table: Table, added: Added, parquet: bool) -> int:
    """Predict a table that is read or written as a whole; return the number of rows."""
    as_csv = not (parquet or options.json)
    rows: list[Any] = []
    if as_csv:  # fail before the work
        texts = (table.exact_texts(name) for name in table.columns)
        rows = list(zip(*texts, strict=True))
    columns = added(table)
    if parquet:
        writing.write_atomically(options.out, parquet_bytes(table, columns))
    elif as_csv:
        with _output(options.out) as output:
            output.write([*table.columns, *columns], rows, columns)
    if options.json:
        print_json(columns)
    return len(table)


def _predict_rows(options: Namespace, stream: BinaryIO, known: Sequence[str], added: Added) -> int:
    """Predict a CSV file's rows as they arrive; return their number."""
    reader = CsvReader(stream.read1, shown_name(options.file), known)  # type: ignore[attr-defined]
    count, pieces = 0, []
    with _output(options.out) as output:
        for rows in reader:
            columns = added(TextRows(reader, rows, count))
            count += len(rows)
            if options.json:
                pieces.append(columns)
            if not options.json or options.out is not None:
                output.write([*reader.header, *columns], rows, columns)
        if not count:
            raise TableError(
                f"{reader.name} has no rows: it needs a header and at least one row of values"
            )
    if options.json:
        print_json({name: np.concatenate([each[name] for each in pieces]) for name in pieces[0]})
    return count


class _Output:
    """Writes CSV text (UTF-8), to a file or to standard output."""

    def __init__(self, file: BinaryIO | None) -> None:
        self.file, self.has_header = file, False

    def write(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, Array]
    ) -> None:
        """Write rows with columns added, and the header before the first ones."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        if not self.has_header:
            writer.writerow(header)
            self.has_header = True
        added = zip(*(values.tolist() for values in columns.values()), strict=True)
        writer.writerows([*row, *more] for row, more in zip(rows, added, strict=True))
        content = text.getvalue().encode()
        if self.file is None:
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        else:
            self.file.write(content)


@contextmanager
def _output(path: Path | None) -> Iterator[_Output]:
    if path is None:
        yield _Output(None)
    else:
        with writing.replacement(path) as file:
            yield _Output(file)


def _check_out(options: Namespace) -> None:
    """Refuse a path that cannot be written or would overwrite something.

    Raises: FileError.
    """
    writing.check_writable(options.out)
    if options.out.is_file() and not options.force:
        raise FileError(f"{options.out} exists: give another name, or --force")
    for given in (options.model, options.file):
        if options.out.exists() and Path(given).exists() and options.out.samefile(given):
            raise FileError(f"--out would overwrite {given}: give it another name")


def predictions(population: Population, encoding: Encoding, X: Array) -> dict[str, Array]:
    """Return the columns to add, each (N,), for inputs (N, I): the bits of the estimators."""
    target = encoding.target
    classes = [name.encode("utf-8", "replace").decode() for name in target.classes]  # surrogates
    each = population.predict(X)[~population.diverged].astype(np.float64)
    mean = population.predict_mean(X).astype(np.float64)
    if target.task == "regression":
        mean = target.in_target_units(mean)
        spread = reproducible.std(target.in_target_units(each), 0)
        return {
            f"{kind}_{name}": result[:, column]
            for column, name in enumerate(target.names)
            for kind, result in (("predicted", mean), ("spread", spread))
        }
    if target.labels:
        return {
            f"{kind}_{name}": result[:, column]
            for column, name in enumerate(target.names)
            for kind, result in (("predicted", (mean > 0.5) * 1), ("probability", mean))
        }
    mean /= reproducible.total(mean, keepdims=True)
    predicted = mean.argmax(axis=1)
    return {
        f"predicted_{target.name}": np.array(classes, dtype=object)[predicted],
        **{f"probability_{name}": mean[:, number] for number, name in enumerate(classes)},
        "agreement": (each.argmax(axis=2) == predicted).mean(axis=0),
    }
