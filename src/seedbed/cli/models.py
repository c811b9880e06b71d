"""Model files applied to tables: the encoding, and rows with a known target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import FileError, SettingError
from seedbed.population import Population
from seedbed.tables.encoding import Encoding, checked_encoding
from seedbed.tables.reading import Table


def encoding_of(path: Path, population: Population, spec: Any) -> Encoding:
    """Return a model file's table encoding.

    Raises: FileError if there is none, or it does not fit the network.
    """
    if spec is None:
        raise FileError(
            f"{path} holds no table encoding: give a file that seedbed train or an estimator "
            "wrote, or use seedbed.load in Python"
        )
    return checked_encoding(spec, population, path)


def labelled_rows(
    table: Table, encoding: Encoding, max_rows: int, *, spread: bool = False
) -> tuple[Array, Array]:
    """Return the network's inputs and targets for rows whose target is known.

    These are the first rows or, with ``spread``, rows from the whole table.

    Raises: TableError or SettingError.
    """
    if len(encoding.target.names) > 1:
        raise SettingError("the model predicts several columns: check it in Python")
    Y = encoding.target.encode(table)
    known = np.flatnonzero(~np.isnan(Y))
    if spread and len(known) > max_rows:
        known = known[np.linspace(0, len(known) - 1, max_rows).astype(np.intp)]
    known = known[:max_rows]
    if not len(known):
        raise SettingError(f"no row of {table.name} has a value in {encoding.target.name!r}")
    return encoding.inputs(table, unseen="missing")[0][known], Y[known]
