"""Rows for an ensemble: equal rows counted, and each member's part to hold out."""

from __future__ import annotations

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array, Indices

_MOST = 5_000
"""Rows that weights are turned into, at most; or four for each different row."""
_REPLICATES, _FEW = 1.2, 30
"""From how many different targets for the same inputs on, on average, equal rows are replicates;
and up to how many different rows: too few to hold whole ones out."""


def counted(X: Array, T: Array, w: Array | None) -> tuple[Array, Array, Array | None]:
    """Return X (N, I), T (N,) or (N, O) and w (N,) in an order of their own, equal rows as one.

    Equal rows are taken together, their weights added: so a row of weight 2 is, bit for bit, the
    row given twice, and the order of the rows says nothing. Copies of a row are then all trained
    on or all held out. But where the same inputs come with several targets, or there are only a few
    different rows, equal ones are not copies but say how often each is seen: there a row that
    weighs w in all stands ⌈w⌉ times with an equal share of it each. Weights that are all equal
    come back as None.
    """
    if w is not None and w.max() > 1e200:  # their sum could overflow
        w = w / w.max()
    first, which = _different(X, T)
    total = np.bincount(which, weights=w).astype(np.float64)
    apart = w is not None or len(first) < len(X)
    if apart and (len(first) < _FEW or len(first) > _REPLICATES * len(_different(X)[0])):
        most = max(_MOST, 4 * len(total))
        times = np.ceil(total * min(1.0, float(most / reproducible.total(total)))).astype(np.intp)
        first, total = np.repeat(first, times), np.repeat(total / times, times)
    return X[first], T[first], None if (total == total[0]).all() else total


def _different(*parts: Array) -> tuple[Indices, Indices]:
    """Return the first of each different row of the parts side by side, and which each row is."""
    columns = [np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8) for part in parts]
    together = np.ascontiguousarray(np.concatenate(columns, axis=1))
    rows = together.view([("row", np.void, together.shape[1])])[:, 0]
    _, first, which = np.unique(rows, return_index=True, return_inverse=True)
    return first, which


def held_out(
    random: np.random.RandomState, members: int, share: float, rows: int, classes: Array | None
) -> list[Indices] | None:
    """Return the rows that each member holds out: the ones after those of the member before.

    So where there are enough members every row is held out by some. Classes (N,) are spread
    evenly, and the only row of a class is trained on by all. None where there are too few rows.
    """
    order = random.permutation(rows)
    if classes is not None:
        _, which, counts = np.unique(classes[order], return_inverse=True, return_counts=True)
        place = np.empty(rows)
        for each, count in enumerate(counts):
            place[which == each] = (np.arange(count) + random.random_sample()) / count
        sorted_ = np.argsort(place, kind="stable")
        order, which = order[sorted_], which[sorted_]
        order = order[counts[which] > 1]
    count = min(max(1, round(share * len(order))), rows - 2)
    if count < 1 or not len(order):
        return None
    starts = np.arange(members) * count
    return [np.sort(order[(start + np.arange(count)) % len(order)]) for start in starts]
