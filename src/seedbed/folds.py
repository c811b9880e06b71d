"""Rows for an ensemble: equal rows made one, and each member's part to hold out."""

from __future__ import annotations

import numpy as np

from seedbed.arrays import Array, Indices


def merged(X: Array, T: Array, w: Array | None) -> tuple[Array, Array, Array | None]:
    """Return X (N, I), T (N,) or (N, O) and w (N,) with equal rows made one, their weights added.

    So a row of weight 2 is, bit for bit, the row given twice, and the order of the rows says
    nothing. Weights that are all equal come back as None.
    """
    columns = [np.ascontiguousarray(part).reshape(len(X), -1) for part in (X, T)]
    together = np.concatenate([part.view(np.uint8) for part in columns], axis=1)
    rows = np.ascontiguousarray(together).view([("row", np.void, together.shape[1])])[:, 0]
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    total = np.bincount(which, weights=w)
    weights = None if (total == total[0]).all() else total
    return X[first], T[first], weights


def held_out(
    random: np.random.RandomState, members: int, share: float, rows: int, classes: Array | None
) -> list[Indices] | None:
    """Return the rows that each member holds out: each the next part, round and round.

    So where there are enough members every row is held out by some. Of each class (N,), all
    members hold out about the same share. None where there are too few rows to hold out any.
    """
    parts = min(max(2, round(1 / share)), rows)
    if rows < 3:
        return None
    order = random.permutation(rows)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    place = np.empty(rows, dtype=np.intp)
    place[order] = np.arange(rows)
    return [np.flatnonzero(place % parts == member % parts) for member in range(members)]
