"""A trained model of a table: what estimators, model files and commands have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seedbed import files, html
from seedbed.arrays import Array, Indices, one_line
from seedbed.errors import DataError, FileError, SettingError, ShapeError
from seedbed.population import Population
from seedbed.tables import reading
from seedbed.tables.columns import Unseen, read_numbers
from seedbed.tables.encoding import Encoding
from seedbed.tables.saved import checked_encoding
from seedbed.tables.sources import ArraySource, FrameSource, Source, as_frame
from seedbed.tables.values import unmasked


class Rows(NamedTuple):
    """Rows of a table as a network sees them.

    inputs   (N, I)
    targets  (N,) class numbers, or (N, O) standardised quantities or labels
    numbers  (N,) the rows' numbers in the table
    """

    inputs: Array
    targets: Array
    numbers: Indices


@dataclass(frozen=True, eq=False, repr=False)
class TableModel:
    """The members of an ensemble, and the encoding from a table's columns to their inputs.

    columns  the names of the training table's columns, in their order
    named    whether the training table had column names; without, columns count by their place
    """

    population: Population
    encoding: Encoding
    columns: Sequence[str]
    named: bool = True

    def __repr__(self) -> str:
        return f"<TableModel of {self._described()}: {self.population!r}>"

    def _repr_html_(self) -> str:
        title = html.heading(f"Model of {self._described()}")
        return html.block(title, *self.population._html())

    def _described(self) -> str:
        used, inputs = len(self.encoding.columns), self.encoding.width
        return f"{self.encoding.target.name}, {used:,} columns, {inputs:,} inputs"

    @property
    def input_names(self) -> list[str]:
        """The names of the networks' inputs, (I,)."""
        return self.encoding.input_names

    @property
    def output_names(self) -> list[str]:
        """The names of the networks' outputs, (O,): the classes, or the targets' columns."""
        return list(self.encoding.target.classes or self.encoding.target.names)

    def source(self, X: Any) -> Source:
        """Return a table: a data frame, an array, a list of rows, or a file's path.

        Raises: TableError, ShapeError.
        """
        if isinstance(X, Source):
            return X
        if isinstance(X, str | PathLike):
            return reading.read(Path(X))
        frame = as_frame(X)
        if frame is not None:
            if not self.named and len(frame.columns) != len(self.columns):
                raise ShapeError(
                    f"X has {len(frame.columns)} columns, and the model's table had "
                    f"{len(self.columns)} without names: give the same columns in the same order"
                )
            return FrameSource(frame, () if self.named else self.columns)
        if isinstance(X, np.ma.MaskedArray):
            X = unmasked(X)
        values = np.asarray(X)
        if values.dtype.kind in "USO" and not isinstance(X, np.ndarray):
            values = np.asarray(X, dtype=object)
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise ShapeError(
                f"X has shape {values.shape}, and the model's table has {len(self.columns)} "
                "columns: give rows with these columns, (N, columns), or a data frame"
            )
        return ArraySource(values, self.columns)

    def inputs(self, X: Any, unseen: Unseen = "missing") -> Array:
        """Return the networks' inputs (N, I) for a table's rows.

        Raises: TableError if a column is absent or of another type than in training.
        """
        return self.encoding.inputs(self.source(X), unseen)[0]

    def rows(
        self, X: Any, Y: Any = None, max_rows: int | None = None, *, spread: bool = False
    ) -> Rows:
        """Return the rows of a table whose target is known, up to ``max_rows``.

        X       a table, as for ``source``
        Y       (N,) or (N, O) the target as in training; None reads it from X's columns
        spread  whether to take the rows from all over the table instead of the first ones

        Raises: TableError, DataError, ShapeError.
        """
        source = self.source(X)
        t = self._targets(source, Y)
        known = np.flatnonzero(~np.isnan(t).reshape(len(t), -1).any(axis=1))
        if max_rows is not None:
            if spread and len(known) > max_rows:
                known = known[np.linspace(0, len(known) - 1, max_rows).astype(np.intp)]
            known = known[:max_rows]
        if not len(known):
            raise DataError(
                f"no row of {source.name} has a value in {self.encoding.target.name!r}: give rows "
                "with their target"
            )
        x = self.encoding.inputs(source, "missing")[0][known]
        t = t[known]
        return Rows(x, t.astype(np.intp) if self.encoding.target.classes else t, known)

    def _targets(self, source: Source, Y: Any) -> Array:
        """Return encoded targets, (N,) or (N, O), NaN where missing."""
        target = self.encoding.target
        if Y is None:
            absent = [name for name in target.names if name not in source.columns]
            if absent:
                raise DataError(
                    f"Y is missing, and {source.name} has no column {absent[0]!r}: give the target"
                )
        else:
            frame = as_frame(Y)
            if isinstance(Y, np.ma.MaskedArray):
                Y = unmasked(Y)
            values = np.asarray(Y if frame is None else frame.to_numpy())
            if values.dtype.kind in "USb":  # a boolean is a class, not the number 1
                values = values.astype(object)
            values = values.reshape(len(values), -1) if values.ndim else values
            if values.ndim != 2 or values.shape != (len(source), len(target.names)):
                raise ShapeError(
                    f"Y has shape {np.shape(Y)} and {source.name} {len(source):,} rows: expected "
                    f"one target each, for {', '.join(target.names)}"
                )
            source = ArraySource(values, target.names, "Y")
        if target.classes:
            return target.encode(source)
        columns = [
            read_numbers(source, name, target.notation, what="target") for name in target.names
        ]
        t = np.stack(columns, axis=1)
        return t if target.labels else target.standardised(t)


def is_model(given: Any) -> bool:
    """Return whether something is a population, a table model, an estimator or a file's path."""
    known = isinstance(given, Population | TableModel | Resolved | str | PathLike)
    return known or hasattr(type(given), "table_model_")


def as_model(given: Any) -> Population | TableModel:
    """Return a population or a table model: given as one, as a fitted estimator or as a file.

    Raises: SettingError for anything else; FileError.
    """
    if isinstance(given, Population | TableModel):
        return given
    if isinstance(given, str | PathLike):
        return from_file(given)
    found = getattr(given, "table_model_", None)
    if isinstance(found, TableModel):
        return found
    unfitted = hasattr(given, "fit") and hasattr(given, "get_params")
    raise SettingError(
        f"expected a Population, a fitted estimator of seedbed.estimators or a model file's path, "
        f"not {one_line(given)}" + (": call its fit first" if unfitted else "")
    )


def from_file(path: str | PathLike[str]) -> Population | TableModel:
    """Read a model file: a table model, or the population of a file without a table.

    Raises: FileError; MissingDependencyError without safetensors.
    """
    saved = files.read(path)
    return saved.population if saved.table is None else of_saved(saved, path)


def of_saved(saved: files.Saved, path: object) -> TableModel:
    """Return the table model that a file holds.

    Raises: FileError if there is none, or it is broken.
    """
    if saved.table is None:
        raise FileError(
            f"{path} holds a population and no table: give a file that seedbed train or an "
            "estimator wrote, or use sb.load in Python"
        )
    encoding = checked_encoding(saved.table, saved.population, path)
    try:
        given = saved.table["estimator"]
        columns, named = [str(name) for name in given["columns"]], bool(given["named"])
        if not {column.name for column in encoding.columns} <= set(columns):
            raise ValueError("the encoding's columns are not the table's")
        if len(set(columns)) != len(columns):
            raise ValueError("a column name is repeated")
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"the table model in {path} is broken ({error}): train again") from None
    return TableModel(saved.population, encoding, columns, named)


class Resolved(NamedTuple):
    """Members, rows as their network sees them, and the names of its inputs and outputs.

    X, Y          (N, I) inputs and encoded targets
    rows          the rows' numbers in a raw table; None for a population's inputs
    input_names   (I,), or None
    output_names  (O,), or None
    """

    population: Population
    X: Any
    Y: Any
    input_names: list[str] | None = None
    output_names: list[str] | None = None
    rows: Indices | None = None


def resolved(
    given: Any, X: Any = None, Y: Any = None, max_rows: int | None = None, *, spread: bool = False
) -> Resolved:
    """Return what a function needs that looks at a population, from whatever model is given.

    A population takes its network's inputs and targets, which are passed on unchanged. A table
    model, an estimator or a model file takes the raw table, as in training, of which ``max_rows``
    and ``spread`` select rows as ``TableModel.rows`` does. What is resolved stays as it is.

    Raises: as ``as_model`` and ``TableModel.rows``.
    """
    if isinstance(given, Resolved):
        return given
    model = as_model(given)
    if isinstance(model, Population):
        labels = model.classes
        names = None if labels is None else [str(label) for label in labels]
        return Resolved(model, X, Y, None, names)
    x, t, rows = model.rows(X, Y, max_rows, spread=spread)
    return Resolved(model.population, x, t, model.input_names, model.output_names, rows)
