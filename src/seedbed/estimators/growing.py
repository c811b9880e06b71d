"""partial_fit's later batches: inputs for columns and categories that earlier ones did not have.

A network of I inputs x becomes one of I' inputs x' that predicts the same for all earlier rows:
x = x' M for those rows, and W' = M W, so that x' W' = x W. Inputs that no earlier row had get
weights of 0, which training then moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.network import Network
from seedbed.population import Population
from seedbed.tables.columns import (
    MAX_CATEGORIES,
    CategoryColumn,
    fit_column,
    read_column,
    read_texts,
)
from seedbed.tables.dates import DateColumn
from seedbed.tables.encoding import MAX_BINS, Encoding
from seedbed.tables.notes import Note
from seedbed.tables.sources import Source
from seedbed.tables.values import is_missing
from seedbed.training import Continuation


def grown(
    encoding: Encoding, source: Source, rows: Indices, weights: Array | None, names: Sequence[str]
) -> tuple[Encoding, list[Note]]:
    """Return the encoding with inputs for what some rows bring, and notes on what it can't take in.

    New are columns in which all earlier values were equal, categories, and missing numbers.

    Shapes: rows (n,) numbers of the table's rows; weights (n,) or None.
    """
    w = np.ones(len(rows)) if weights is None else weights
    columns = list(encoding.columns)
    notes: list[Note] = []
    for place, column in enumerate(columns):
        if isinstance(column, CategoryColumn):
            if column.has_rest:
                continue  # the rest category takes what is new
            texts = read_texts(source, column.name, column.categories)[rows]
            known = {*column.categories, *column.spellings}
            new = [text for text in dict.fromkeys(texts) if text is not None and text not in known]
            if len(column.categories) + len(new) > MAX_CATEGORIES:
                line = (
                    f"{column.name} brings {len(new)} new categories, more than {MAX_CATEGORIES} "
                    "in all: they are taken as missing"
                )
                notes.append(Note("unseen", column.name, line))
            elif new:
                columns[place] = replace(column, categories=(*column.categories, *new))
        else:
            days = column.days if isinstance(column, DateColumn) else column
            if not days.flagged and is_missing(encoding.read(source, column)[rows]).any():
                flagged = replace(days, flagged=True)
                columns[place] = (
                    replace(column, days=flagged) if isinstance(column, DateColumn) else flagged
                )
    encoded = {column.name for column in columns}
    for name in names:
        if name in encoded:
            continue
        fitted, note = fit_column(read_column(source, name), name, rows, w, MAX_BINS)
        if fitted is not None:
            columns.append(fitted)
        if note is not None and note.kind != "constant":
            notes.append(note)
    return Encoding(tuple(columns), encoding.target), notes


def transition(old: Encoding, new: Encoding) -> Array:
    """Return M, (I', I): how each new input enters the old ones, for rows that the old one knew."""
    places = {key: place for place, key in enumerate(new.input_keys)}
    M = np.zeros((new.width, old.width))
    for place, key in enumerate(old.input_keys):
        if key in places:
            M[places[key], place] = 1
            continue
        kind, name, categories = key  # a column of one or two categories that has more now
        assert kind == "categories"
        for category, value in zip(categories, (1, -1), strict=False):
            row = places.get(("category", name, category))
            if row is not None:
                M[row, place] = value
            else:  # one category, now the first of two
                pair = next(k for k in places if k[:2] == ("categories", name))
                M[places[pair], place] = value
    return M


def grow(population: Population, width: int, M: Array) -> Population:
    """Return the population with ``width`` inputs."""
    network = Network(width, population.network.layers)
    theta = _transformed(population.theta, population.network, M)
    return replace(population, recipe=replace(population.recipe, network=network), theta=theta)


def grow_state(continuation: Continuation, network: Network, M: Array) -> Continuation:
    """Return the continuation of a training of ``network`` for the grown network."""
    theta = continuation.theta
    return replace(
        continuation,
        theta=None if theta is None else _transformed(theta, network, M),
        optimizer_state=[
            _transformed(slot, network, np.abs(M) if (slot >= 0).all() else M)
            for slot in continuation.optimizer_state
        ],
    )


def _transformed(theta: Array, network: Network, M: Array) -> Array:
    """Return an array of theta's layout (P, D) with M W in place of the first layer's W, and u |M|ᵀ
    in place of its u: a new input has the scale of the old one that it enters.
    """
    pieces = []
    for block in network.blocks:
        values = theta[:, block.where]
        if (block.layer, block.name) == (0, "W"):
            W = values.reshape(len(theta), *block.shape)
            values = np.matmul(M.astype(theta.dtype), W).reshape(len(theta), -1)
        elif (block.layer, block.name) == (0, "u"):
            values = np.matmul(values, np.abs(M.T).astype(theta.dtype))
        pieces.append(values)
    return np.concatenate(pieces, axis=1)
