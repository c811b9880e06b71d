"""Deduplicated rows, and the rows that each member of an ensemble holds out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices

MAX_ROWS = 5_000
"""Maximum number of rows with replicates expanded, or four per distinct row if that is more."""
MAX_TARGETS_PER_INPUT = 1.2
"""Mean distinct targets per input above which duplicate rows count as replicates."""
CHUNK_ROWS = 8192
"""Rows that are looked at together."""
MIN_DISTINCT_ROWS = 30
"""Distinct rows below which duplicates count as replicates: too few to hold out with all copies."""


def distinct_rows(X: Array, T: Array, w: Array | None) -> tuple[Indices, Array | None]:
    """Return the rows (n,) of X (N, I) and T (N,) or (N, O) without duplicates, and weights (n,).

    The rows are in a canonical order.

    Duplicates become one row with the sum of their weights. So a row of weight 2 equals the row
    given twice, bit for bit; row order does not matter; and all copies of a row are on one side of
    a split. The exception is replicates: if equal inputs have several targets, or distinct rows are
    few, a row of total weight w becomes ⌈w⌉ rows that share the weight equally. Equal weights are
    returned as None.
    """
    if w is not None and w.max() > 1e200:  # the sum could overflow
        w = w / w.max()
    first, group = _distinct_rows(X, T)
    total = np.bincount(group, weights=w).astype(np.float64)
    if (w is not None or len(first) < len(X)) and (
        len(first) < MIN_DISTINCT_ROWS
        or len(first) > MAX_TARGETS_PER_INPUT * len(_distinct_rows(X)[0])
    ):
        limit = max(MAX_ROWS, 4 * len(total))
        times = np.ceil(total * min(1.0, float(limit / reproducible.total(total)))).astype(np.intp)
        first, total = np.repeat(first, times), np.repeat(total / times, times)
    return first, None if (total == total[0]).all() else total


def _distinct_rows(*parts: Array) -> tuple[Indices, Indices]:
    """Stack the parts' columns; return each distinct row's first index, and each row's group.

    The distinct rows are in the order of their bytes. A sort of whole rows would copy them three
    times: they are told apart by a hash, which is checked, and ordered by as many bytes as differ.
    """
    columns = [np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8) for part in parts]
    chunks = [slice(start, start + CHUNK_ROWS) for start in range(0, len(columns[0]), CHUNK_ROWS)]
    hashes = np.concatenate([_hashes([column[chunk] for column in columns]) for chunk in chunks])
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    equal = all(
        np.array_equal(column[chunk], column[first[group[chunk]]])
        for chunk in chunks
        for column in columns
    )
    if not equal:  # two rows with one hash
        joined = np.concatenate(columns, axis=1)
        rows = joined.view([("row", np.void, joined.shape[1])])[:, 0]
        _, first, group = np.unique(rows, return_index=True, return_inverse=True)
        return first, group
    order = _order_of_bytes(columns, first)
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    return first[order], place[group]


def _hashes(columns: Sequence[Array]) -> Array:
    """Return a hash of each row of bytes, (n,)."""
    joined = np.concatenate(columns, axis=1)
    words = np.pad(joined, ((0, 0), (0, -joined.shape[1] % 8))).view(np.uint64)
    key = streams.keys(np.zeros(1, np.int64), "split", 1)
    factors = streams.bits(key, words.shape[1])[0]
    return np.asarray(streams.mix(words ^ factors) @ (factors | np.uint64(1)))


def _order_of_bytes(columns: Sequence[Array], rows: Indices) -> Indices:
    """Return the order of some rows' bytes, all different, (n,)."""
    order, group = np.arange(len(rows)), np.zeros(len(rows), np.intp)
    tied = np.arange(len(rows))  # places in the order
    for column in columns:
        for start in range(0, column.shape[1], 8):
            if not len(tied):
                return order
            word = np.zeros((len(tied), 8), np.uint8)
            own = column[rows[order[tied]], start : start + 8]
            word[:, : own.shape[1]] = own
            key = word.view(">u8")[:, 0].astype(np.uint64)
            by_key = np.lexsort((key, group[tied]))
            key, old = key[by_key], group[tied][by_key]
            order[tied] = order[tied][by_key]
            begins = np.ones(len(tied), np.bool_)
            begins[1:] = (key[1:] != key[:-1]) | (old[1:] != old[:-1])
            group[tied] = tied[np.maximum.accumulate(np.where(begins, np.arange(len(tied)), 0))]
            alone = begins & np.append(begins[1:], True)
            tied = tied[~alone]
    return order


def hold_out_rows(
    random: np.random.RandomState, members: int, share: float, rows: int, classes: Array | None
) -> list[Indices] | None:
    """Return the rows that each member holds out: consecutive blocks of one random order.

    With enough members, each row is held out by at least one. Classes (N,) are spread evenly, and
    the only row of a class is never held out. Returns None if there are too few rows.
    """
    order = random.permutation(rows)
    if classes is not None:
        _, label, counts = np.unique(classes[order], return_inverse=True, return_counts=True)
        position = np.empty(rows)
        for number, count in enumerate(counts):
            position[label == number] = (np.arange(count) + random.random_sample()) / count
        by_position = np.argsort(position, kind="stable")
        order, label = order[by_position], label[by_position]
        order = order[counts[label] > 1]
    count = min(max(1, round(share * len(order))), rows - 2)
    if count < 1 or not len(order):
        return None
    starts = np.arange(members) * count
    return [np.sort(order[(start + np.arange(count)) % len(order)]) for start in starts]
