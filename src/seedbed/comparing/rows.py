"""Which rows each seed trains on, and which it is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed import streams
from seedbed.arrays import Array, Indices, as_array, checked_number, one_line
from seedbed.errors import DataError, SettingError, ShapeError

SplitKind = Literal["resampled", "fixed"]


class Split(NamedTuple):
    """One seed's row numbers."""

    seed: int
    train: Indices
    test: Indices


class Splits:
    """The train and test rows of each seed, out of ``count`` rows.

    classes  (count,) class numbers, each split in the same share; None splits all rows as one
    split    "resampled": each seed draws its test rows; "fixed": all seeds share them; or
             (train rows, test rows)
    test     the share of the rows to draw for testing
    fixed    the rows that all seeds share, or None
    """

    def __init__(
        self,
        count: int,
        classes: Array | None,
        split: SplitKind | tuple[Any, Any] | list[Any],
        test: float,
    ) -> None:
        self.count, self.classes = count, classes
        self.given = isinstance(split, tuple | list)
        self.fixed: tuple[Indices, Indices] | None = None
        if isinstance(split, tuple | list):
            self.fixed = _checked_split(split, count)
            if classes is not None and len(np.unique(classes[self.fixed[0]])) < 2:
                raise DataError(
                    f"all {len(self.fixed[0])} train rows are of class "
                    f"{classes[self.fixed[0]][0]}: give rows of at least two classes"
                )
        self.test = checked_share(split, test)
        if split == "fixed":
            self.fixed = self._drawn(0)

    @property
    def scope(self) -> Literal["resampled", "fixed", "apart"]:
        """What verdicts on these rows hold for; see ``SCOPES``."""
        return "resampled" if self.fixed is None else "fixed"

    def to_plain(self) -> Any:
        """Return what the splits are as plain dicts, lists, numbers and strings."""
        if self.fixed is None:
            return "resampled"
        return [rows.tolist() for rows in self.fixed]

    def of(self, seed: int) -> tuple[Indices, Indices]:
        """Return the seed's train rows and test rows."""
        return self.fixed or self._drawn(seed)

    def apart(self, seed: int) -> tuple[Splits, Splits]:
        """Return splits to choose a method by, and splits to confirm it by.

        No test row of the second is a train or test row of the first: they are drawn by the seed,
        or are the given test rows. Both train on the other rows.
        """
        others, kept = self.fixed if self.given and self.fixed is not None else self._drawn(seed)
        return _Among(others, self), _Confirming(others, kept, self)

    def _drawn(self, seed: int) -> tuple[Indices, Indices]:
        n = self.count
        order = streams.order(streams.keys(np.array([seed], np.int64), "test"), n)[0]
        if self.classes is not None:
            classes = self.classes[order]
            parts = [order[classes == number] for number in np.unique(classes)]
            held = [
                part[: min(max(round(self.test * len(part)), 1), len(part) - 1)] for part in parts
            ]
            test = np.concatenate(held)
        else:
            test = order[: min(max(round(self.test * n), 1), n - 1)]
        out = np.zeros(n, dtype=np.bool_)
        out[test] = True
        if not out.any() or out.all():
            raise DataError(
                f"{n} rows cannot be split with test={self.test:g}: give more rows or another share"
            )
        return np.flatnonzero(~out), np.flatnonzero(out)


def checked_share(split: Any, test: float) -> float:
    """Return the share of test rows, for a split that is a kind or holds rows.

    Raises: SettingError.
    """
    is_kind = isinstance(split, str) and split in ("resampled", "fixed")
    is_pair = isinstance(split, tuple | list) and len(split) == 2
    if not (is_kind or is_pair or isinstance(split, Splits)):
        raise SettingError(
            "split must be 'resampled', 'fixed' or (train rows, test rows), not " + one_line(split)
        )
    return checked_number("test", test, 0.0, 1.0, open_low=True, open_high=True)


class _Among(Splits):
    """Splits of some of the rows; their kind and share are those of other splits."""

    def __init__(self, rows: Indices, like: Splits) -> None:
        kind: SplitKind = "resampled" if like.fixed is None or like.given else "fixed"
        classes = None if like.classes is None else like.classes[rows]
        super().__init__(len(rows), classes, kind, like.test)
        self.rows = rows

    def of(self, seed: int) -> tuple[Indices, Indices]:
        """Return the seed's train rows and test rows."""
        train, test = super().of(seed)
        return self.rows[train], self.rows[test]


class _Confirming(_Among):
    """The same train rows as ``_Among``, and fixed test rows apart from them."""

    def __init__(self, rows: Indices, kept: Indices, like: Splits) -> None:
        super().__init__(rows, like)
        self.kept = kept

    @property
    def scope(self) -> Literal["resampled", "fixed", "apart"]:
        """What verdicts on these rows hold for."""
        return "apart"

    def to_plain(self) -> Any:
        """Return the train rows that seeds draw from, and the test rows."""
        return {"train among": self.rows.tolist(), "test": self.kept.tolist()}

    def of(self, seed: int) -> tuple[Indices, Indices]:
        """Return the seed's train rows and the test rows."""
        return super().of(seed)[0], self.kept


def _checked_split(split: Sequence[Any], rows: int) -> tuple[Indices, Indices]:
    if len(split) != 2:
        raise SettingError(f"split must be (train rows, test rows); it has length {len(split)}")
    chosen: list[npt.NDArray[np.integer]] = []
    for name, given in zip(("train", "test"), split, strict=True):
        array = as_array(list(given) if isinstance(given, range) else given, name, DataError)
        if array.dtype == np.bool_:
            if array.shape != (rows,):
                raise ShapeError(
                    f"the {name} rows are booleans of shape {array.shape}; X has {rows} rows"
                )
            array = np.flatnonzero(array)
        if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
            raise DataError(f"the {name} rows are {one_line(given)}; they must be row numbers")
        if array.min() < 0 or array.max() >= rows:
            wrong = array.min() if array.min() < 0 else array.max()
            raise DataError(f"the {name} rows contain {wrong}; X has rows 0 to {rows - 1}")
        chosen.append(array)
    both = np.intersect1d(chosen[0], chosen[1])
    if both.size:
        raise DataError(
            f"row {both[0]} is both a train row and a test row ({both.size} such rows): remove it "
            "from one"
        )
    return chosen[0], chosen[1]
