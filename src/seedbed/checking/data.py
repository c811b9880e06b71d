"""X and Y as rows: which axis counts the examples, from the shapes of weights and data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from seedbed.arrays import Array, as_array, one_line
from seedbed.checking.infer_network import chains
from seedbed.errors import DataError, SettingError, ShapeError


@dataclass(frozen=True)
class Data:
    """The data of f's loss, with examples as rows whichever way they were given.

    X, T      (N, I) and (N, O)
    masks     (N, units) each: dropout's factors of the hidden activations
    examples  "columns" if X was given as (I, N)
    """

    X: Array
    T: Array
    masks: Sequence[Array]
    examples: Literal["rows", "columns"]


def readings(X: Any, Y: Any, masks: Any, theta: Sequence[Array]) -> list[Data]:
    """Return the ways in which X and Y can be read as examples, the likeliest first.

    Weights decide: they lead from the features of X to those of Y. The list is empty without X.

    Raises: SettingError, ShapeError or DataError.
    """
    masks = _masks(masks)
    if (X is None) != (Y is None):
        raise SettingError("give X and Y both, or neither")
    if X is None:
        return []
    x, t = (as_array(each, name, DataError) for each, name in ((X, "X"), (Y, "Y")))
    if x.dtype.kind not in "fiub" or t.dtype.kind not in "fiub":
        raise DataError("X and Y must be arrays of numbers; give classes as rows of 0 and 1")
    classes = t.dtype.kind in "iu" and t.ndim <= 2 and t.size == max(t.shape, default=0)
    x, t = x.astype(np.float64), t.astype(np.float64)
    if not (np.isfinite(x).all() and np.isfinite(t).all()):
        raise DataError("X or Y holds numbers that are not finite: leave those rows out")
    rows = [
        each for each in _targets(t, classes, theta, False) if x.ndim == 2 and len(x) == len(each)
    ]
    columns = [
        each
        for each in _targets(t, classes, theta, True)
        if x.ndim == 2 and x.shape[1] == each.shape[1]
    ]
    found = [(0, _rank(theta, x, each, False), Data(x, each, [], "rows")) for each in rows]
    found += [
        (1, _rank(theta, x.T, each.T, True), Data(x.T, each.T, [], "columns")) for each in columns
    ]
    if not found:
        raise ShapeError(
            f"X has shape {x.shape} and Y {t.shape}: they must be (N, I) and (N, O), or with "
            "examples as columns (I, N) and (O, N)"
        )
    if not x.size or not t.size:
        raise DataError(f"X has shape {x.shape} and Y {t.shape}: give at least one row")
    found.sort(key=lambda each: each[1])
    best = [each for each in found if each[1] < 2] or found[:1]
    return [_with_masks(data, masks) for *_, data in best]


def _targets(t: Array, classes: bool, theta: Sequence[Array], columns: bool) -> Iterator[Array]:
    """Yield Y as a matrix; class numbers also as rows of 0 and 1, as wide as a block of theta."""
    if t.ndim == 2:
        yield t
    if t.ndim == 1:
        yield t[None] if columns else t[:, None]
    if classes and t.size and t.min() >= 0:
        for width in dict.fromkeys(n for block in theta for n in block.shape[-2:]):
            if 2 <= width <= 1000 and t.max() < width:
                one_hot = np.eye(width)[t.ravel().astype(int)]
                yield one_hot.T if columns else one_hot


def _rank(theta: Sequence[Array], x: Array, t: Array, columns: bool) -> int:
    """Return 0 if weights lead from x to t as this style writes them, 1 if transposed, else 2."""
    found = [
        any(transposed for _, _, transposed in chain)
        for chain in islice(chains(theta, x.shape[1], t.shape[1]), 100)
    ]
    return 2 if not found else 0 if columns in found else 1


def _with_masks(data: Data, masks: Sequence[Array]) -> Data:
    if data.examples == "columns":
        masks = [mask.T for mask in masks]
    for mask in masks:
        if len(mask) not in (1, len(data.X)):
            given = mask.shape if data.examples == "rows" else mask.T.shape
            right = f"({len(data.X)}, units)"
            right = right if data.examples == "rows" else f"(units, {len(data.X)})"
            raise ShapeError(f"a mask has shape {given}: it must be {right}")
    return Data(data.X, data.T, masks, data.examples)


def _masks(given: Any) -> list[Array]:
    """Return the masks as matrices.

    Raises: SettingError, ShapeError.
    """
    if not isinstance(given, list | tuple):
        raise SettingError(f"masks must be a list, one (N, units) each, not {one_line(given)}")
    masks = [as_array(mask, "masks", ShapeError) for mask in given]
    for mask in masks:
        if mask.dtype.kind not in "fiub" or mask.ndim != 2:
            raise ShapeError(f"a mask has shape {mask.shape}: it must be (N, units)")
    return [mask.astype(np.float64) for mask in masks]
