"""Deduplicated rows, and the rows that each member of an ensemble holds out."""

from __future__ import annotations

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array, Indices

MAX_ROWS = 5_000
"""Maximum number of rows with replicates expanded, or four per distinct row if that is more."""
MAX_TARGETS_PER_INPUT = 1.2
"""Mean distinct targets per input above which duplicate rows count as replicates."""
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
    """Stack the parts' columns; return each distinct row's first index, and each row's group."""
    columns = [np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8) for part in parts]
    joined = np.ascontiguousarray(np.concatenate(columns, axis=1))
    rows = joined.view([("row", np.void, joined.shape[1])])[:, 0]
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    return first, group


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
