"""Tables and targets to arrays, checked as scikit-learn checks them."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from seedbed.arrays import Array, Indices, as_array
from seedbed.errors import DataError, SeedbedWarning
from seedbed.population import Population
from seedbed.tables import sources, values
from seedbed.tables.encoding import Encoding, fit
from seedbed.tables.model import TableModel
from seedbed.tables.notes import Counts, Note
from seedbed.tables.targets import Target

Role = Literal["fit", "first batch", "warm_start", "partial_fit", "validation"]
"""What rows are used for. "fit" and "first batch" fit the encoding and the target; later batches
extend the encoding of a first batch."""


class Prepared(NamedTuple):
    """Checked rows of positive weight.

    source  the table
    rows    (n,) their numbers
    x       (n, I) inputs
    t       (n,) or (n, O) targets as the network sees them
    w       (n,) weights, or None
    """

    source: sources.Source
    rows: Indices
    x: Array
    t: Array
    w: Array | None

    @classmethod
    def of(
        cls, source: sources.Source, rows: Indices, t: Array, w: Array | None, encoding: Encoding
    ) -> Self:
        """Return rows with the inputs that an encoding gives."""
        prepared = cls(source, rows, np.empty(0), t, w)
        return prepared._replace(x=prepared.inputs(encoding))

    def inputs(self, encoding: Encoding) -> Array:
        """Return the rows' inputs by another encoding, (n, I)."""
        x, _ = encoding.inputs(self.source, unseen="missing")
        return x if len(self.rows) == len(x) else x[self.rows]


class FromDisk(NamedTuple):
    """What a training from disk was made of.

    rows      training rows, those held out included
    held_out  rows that each member holds out
    shards    parts in which the rows were read
    counts    missing values of the table
    """

    rows: int
    held_out: int
    shards: int
    counts: Counts


class TableEstimator(BaseEstimator):
    """An estimator whose X is a raw table: fits an encoding, and applies it."""

    _target: Target
    _columns: list[str]
    _array_columns: Array | None = None  # an array's columns that the encoding uses, if numbers
    _notes: list[Note]
    encoding_: Encoding
    population_: Population

    @property
    def notes_(self) -> list[str]:
        """What was decided about the table's columns and its target."""
        self._check_fitted()
        return [note.line for note in self._notes]

    def _prepare(self, X: Any, y: Any, weights: Any, role: Role, classes: Any = None) -> Prepared:
        """Return the rows of positive weight, encoded."""
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        for name, given in (("y", y), ("sample_weight", weights)):
            if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
                raise DataError(f"{name} has masked values: leave those rows out")
        fits = role in ("fit", "first batch")
        source = self._source(X, reset=fits)
        names = [str(name) for name in getattr(y, "columns", ())]
        if not names and isinstance(getattr(y, "name", None), str):  # a Series
            names = [y.name]
        y = self._checked_targets(y)
        check_consistent_length(X, y)
        rows, w = np.arange(len(source)), None
        if weights is not None:
            w = _check_sample_weight(weights, X, dtype=np.float64)
            if (w < 0).any() or not w.any():
                raise DataError(
                    "Negative values in data passed to `sample_weight`: weights are at least 0"
                    if (w < 0).any()
                    else "all sample weights are zero: give at least one row a weight"
                )
            rows = np.flatnonzero(w)
            y, w = y[rows], w[rows]
        if fits:
            self._define_target(y, names, classes)
        self._check_target(y, role, classes)
        t = self._encoded(y)
        if fits:
            self._fit_encoding(source, rows, t, w, embeds=role == "fit")
            if role == "fit":
                self._check_memory(len(rows))
            for note in self._notes:
                if note.is_warning:
                    warnings.warn(note.message, SeedbedWarning, stacklevel=3)
        elif role == "partial_fit":
            self._grow(source, rows, w)
        return self._prepared(source, rows, t, w)

    def _check_memory(self, rows: int) -> None:
        """Refuse to train on so many rows if that does not fit into memory."""

    def _grow(self, source: sources.Source, rows: Indices, w: Array | None) -> None:
        """Extend the encoding and the members by what some rows bring."""

    def _fit_encoding(
        self,
        source: sources.Source,
        rows: Indices,
        t: Array,
        w: Array | None,
        drop: Collection[str] = (),
        embeds: bool = True,
    ) -> None:
        """Fit the encoding and the target's scale on some rows, and set the notes.

        Shapes: rows (n,) numbers of rows of the table; t (n,) or (n, O), w (n,) theirs.
        """
        if len(t) < 2:
            raise DataError(
                f"too few rows of positive weight (n_samples = {len(t)}, at least 2 samples "
                "are needed): give more rows"
            )
        encoding, notes = fit(
            source, rows, self._target, drop, weights=w, separate_target=True, embeds=embeds
        )
        encoding, more = self._with_target(encoding, source, rows, t, w)
        self._notes = [*notes, *more]
        self._set_encoding(encoding)

    def _prepared(
        self, source: sources.Source, rows: Indices, t: Array, w: Array | None
    ) -> Prepared:
        """Return rows of a table as the network sees them."""
        if self.encoding_.target.task == "regression":
            t = self.encoding_.target.standardised(t)
        return Prepared.of(source, rows, t, w, self.encoding_)

    def _source(self, X: Any, reset: bool) -> sources.Source:
        """Return X as a table.

        Raises: ValueError or TypeError, in scikit-learn's words, if X is no table.
        """
        if isinstance(X, sources.Source):
            return X
        frame = sources.as_frame(X)
        if isinstance(X, np.ma.MaskedArray):
            X = values.unmasked(X)
        if frame is None:
            if isinstance(X, list) and as_array(X, "X", DataError).dtype.kind == "U":
                X = np.array(X, dtype=object)  # numbers among texts
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
            source: sources.Source = sources.ArraySource(X, [] if reset else self._columns)
        else:
            seen = getattr(self, "feature_names_in_", None)
            source = sources.FrameSource(frame, [] if reset or seen is not None else self._columns)
            if reset or seen is None or source.columns != [name.strip() for name in seen]:
                validate_data(self, X, reset=reset, skip_check_array=True)  # blanks do not matter
            if not len(source) or not source.columns:
                raise DataError(
                    f"X has {len(source)} rows and {len(source.columns)} columns (0 sample(s) or "
                    "0 feature(s)): at least one of each, a minimum of 1, is required"
                )
        if reset:
            self._columns = list(source.columns)
        return source

    def _inputs(self, X: Any) -> Array:
        """Return the inputs (N, I) of a table with the columns of the training table."""
        self._check_fitted()
        encoding, columns = self.encoding_, self._array_columns
        plain = type(X) is np.ndarray and X.dtype.kind in "fiu" and X.ndim == 2
        if plain and columns is not None and X.shape[1] == self.n_features_in_ and len(X):
            A = X[:, columns].astype(np.float64, copy=False)
            if not np.isinf(A).any():  # the fast path: no names to compare
                x = np.empty((len(A), encoding.width), np.float32)
                encoding.number_encoder.encode(A, x)
                return x
        x, counts = encoding.inputs(self._source(X, reset=False), unseen="missing")
        for name in counts.unseen:
            if name not in self._warned:  # once for each column
                self._warned.add(name)
                warnings.warn(counts.unseen_note(name).message, SeedbedWarning, stacklevel=5)
        return x

    @property
    def table_model_(self) -> TableModel:
        """The fitted members and encoding, which what looks at a model needs."""
        self._check_fitted()
        return TableModel(
            self.population_, self.encoding_, self._columns, hasattr(self, "feature_names_in_")
        )

    def _set_encoding(self, encoding: Encoding) -> None:
        self.encoding_, self._array_columns = encoding, None
        self._warned: set[str] = set()
        if encoding.is_numeric and not hasattr(self, "feature_names_in_"):
            indices = {name: index for index, name in enumerate(self._columns)}
            self._array_columns = np.array([indices[column.name] for column in encoding.columns])

    def _check_fitted(self) -> None:
        if "population_" not in self.__dict__:
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: call fit first"
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        return tags

    # ------------------------------------------------------------------ the estimator's part

    def _checked_targets(self, y: Any) -> Array:
        """Return y as a valid array, (N,) or (N, O)."""
        raise NotImplementedError

    def _define_target(self, y: Array, names: list[str], classes: Any) -> None:
        """Set ``_target``, and a classifier's ``classes_``, from the first y."""
        raise NotImplementedError

    def _check_target(self, y: Array, role: Role, classes: Any) -> None:
        """Refuse a y that differs in kind from the first."""
        raise NotImplementedError

    def _encoded(self, y: Array) -> Array:
        """Return y as class numbers (N,), labels (N, O) or quantities (N, O)."""
        raise NotImplementedError

    def _with_target(
        self, encoding: Encoding, source: sources.Source, rows: Indices, t: Array, w: Array | None
    ) -> tuple[Encoding, list[Note]]:
        """Return the encoding with its target fitted on encoded targets t, and notes on it."""
        return encoding, []
