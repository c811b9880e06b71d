"""A table's column of row weights."""

from __future__ import annotations

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import TableError
from seedbed.tables.columns import read_numbers
from seedbed.tables.notation import PLAIN
from seedbed.tables.sources import Source


def read_weights(source: Source, name: str) -> Array:
    """Return a column of row weights, (N,) float64.

    Raises: TableError unless all are numbers of at least 0.
    """
    w = read_numbers(source, name, PLAIN, what="column of weights")
    if not (w >= 0).all():
        place = int(np.argmin(w >= 0))
        raise TableError(
            f"column of weights {name!r} of {source.name} holds {w[place]:g} in row "
            f"{source.row_number(name, place)}: weights must be numbers of at least 0"
        )
    return w


def no_weight(name: str, table: str) -> TableError:
    """Return the error for a column of weights that leaves no row to train on."""
    return TableError(
        f"column of weights {name!r} of {table} is 0 in every row to train on: give at least one "
        "row a weight"
    )
