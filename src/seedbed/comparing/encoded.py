"""A table as networks take it: encoded over all rows whose target is known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.tables.encoding import Encoding, fit, with_quantities
from seedbed.tables.notes import Note
from seedbed.tables.sources import Source
from seedbed.tables.targets import Target, Task, find_target


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """The rows of a table whose target is known.

    inputs   (n, I) float32
    targets  (n,) class numbers; or (n, O) labels, or standardised quantities, outliers clipped
    values   (n,) class numbers; or (n, O) labels, or quantities in target units
    rows     (n,) the rows' numbers in the table
    notes    on columns left out, outliers, missing values, and rows without a target
    """

    encoding: Encoding
    inputs: Array
    targets: Array
    values: Array
    rows: Indices
    notes: list[str]


def encode_table(
    source: Source, name: str, task: Task | None, drop: Collection[str] = ()
) -> EncodedTable:
    """Encode all columns but the target ``name``, and the target.

    Raises: TableError, SettingError as ``find_target`` and ``encoding.fit``.
    """
    target, known = find_target(source, name, task)
    encoding, notes = fit(source, known, target, drop)
    target = encoding.target
    values = target.encode(source) if target.classes else target.numbers(source)[:, None]
    return _encoded(source, encoding, notes, values[known], known)


def encode_columns(
    source: Source, known: Indices, target: Target, values: Array, *, standardise: bool
) -> EncodedTable:
    """Encode all columns of a table whose target stands apart from it.

    Shapes: known (n,) row numbers; values (n,) or (n, O) as in ``EncodedTable``.
    Raises: TableError as ``encoding.fit``.
    """
    encoding, notes = fit(source, known, target, separate_target=True)
    if target.task == "regression" and standardise:
        encoding, more = with_quantities(encoding, source, known, values)
        notes += more
    return _encoded(source, encoding, notes, values, known)


def _encoded(
    source: Source, encoding: Encoding, notes: list[Note], values: Array, known: Indices
) -> EncodedTable:
    inputs, counts = encoding.inputs(source, unseen="missing")
    lines = [*(note.line for note in notes), *counts.lines()]
    target, missing = encoding.target, len(source) - len(known)
    if missing:
        lines.append(f"{target.name}: {missing:,} rows without a value are left out")
    targets = values
    if target.task == "regression":
        targets = target.clip_outliers(target.standardised(values))
    elif target.classes:
        targets = values = values.astype(np.int64)
    return EncodedTable(encoding, inputs[known], targets, values, known, lines)
