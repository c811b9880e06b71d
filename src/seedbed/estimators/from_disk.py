"""Training from disk: tables of which memory holds only a part at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Self

import numpy as np

from seedbed import checks, streams
from seedbed.arrays import Array, Indices
from seedbed.checkpoints import Checkpoint
from seedbed.choosing import Entry, train_best
from seedbed.diagnosis.finding import Finding
from seedbed.engines.shards import Shards, shard_count
from seedbed.errors import DataError, SeedbedWarning, SettingError, TableError
from seedbed.estimators.data import FromDisk, Prepared
from seedbed.estimators.network import NetworkEstimator, warn_of
from seedbed.progress import Callback, StatusLine
from seedbed.recipe import Recipe
from seedbed.tables import scans
from seedbed.tables.encoding import Encoding, fit
from seedbed.tables.notes import Counts, Note
from seedbed.tables.recipe import BINS, DEFAULT, Candidate
from seedbed.tables.scans import Scan, in_memory, large_scan
from seedbed.tables.sources import FrameSource, Source, as_frame, check_column
from seedbed.tables.summary import Summary, report, summarize
from seedbed.tables.targets import Target, Task, find_target
from seedbed.tables.weights import no_weight, read_weights

MAX_HELD_ROWS, MIN_HELD_ROWS = 50_000, 5_000
"""Of how many rows members hold out a share; of fewer, but not fewer than the second, where their
inputs or the members' predictions take more than ``HELD_BYTES``."""
HELD_BYTES = 2**26

DIAGNOSED_ROWS = 10_000
"""Rows of the sample by which members are diagnosed."""


class DiskEstimator(NetworkEstimator):
    """What training on a file, a LazyFrame or a data set adds to the classifier and regressor."""

    _task: Task

    def _fit_named(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any,
        callbacks: Sequence[Callback], checkpoint: Checkpoint | None, from_disk: bool | None,
    ) -> Self:  # fmt: skip
        for name, given in (("y", y), ("sample_weight", sample_weight)):
            if not (isinstance(given, str) or (given is None and name == "sample_weight")):
                raise DataError(
                    f"{name} must be the name of one of the table's columns where X is a "
                    f"{type(X).__name__}, not {type(given).__name__}: name it, or read the table "
                    "and give X as a data frame"
                )
        if self.warm_start:
            raise SettingError(
                "warm_start takes rows in memory: read the table, or leave warm_start out"
            )
        drop = [] if sample_weight is None else [sample_weight]
        scan = large_scan(X, from_disk) if _is_on_disk(X) or from_disk else None
        if scan is None:
            table = _table_of(X)
            target, rows = find_target(table, y, self._task)
            weights = None
            if sample_weight is not None:
                weights = read_weights(table, sample_weight)[rows]
                rows, weights = rows[weights > 0], weights[weights > 0]
                if not len(rows):
                    raise no_weight(sample_weight, table.name)
            findings = self._fit_table(
                table, target, rows, drop, checkpoint, callbacks, weights, validation_data
            )
        else:
            seed = int(self._random().randint(2**31 - 1))
            summary = summarize(scan, y, seed, weights=sample_weight, progress=self._shows())
            target, _ = find_target(summary, y, self._task)
            findings = self._fit_scan(
                scan, summary, target, drop, checkpoint, callbacks, validation_data
            )
        for note in self._notes:
            if note.is_warning:
                warnings.warn(note.message, SeedbedWarning, stacklevel=4)
        warn_of(findings, stacklevel=4)
        return self

    def fit_scan(
        self, scan: Scan, summary: Summary, target: Target, drop: Sequence[str] = (),
        checkpoint: Checkpoint | None = None, callbacks: Sequence[Callback] = (),
    ) -> Self:  # fmt: skip
        """Train on a table from disk, and return self; see ``fit`` and ``fit_table``.

        Members hold out a random ``validation_fraction`` of the rows, or of ``MAX_HELD_ROWS`` of
        them. Equal rows are not merged.

        summary  of the table
        Raises: as ``fit``.
        """
        findings = self._fit_scan(scan, summary, target, drop, checkpoint, callbacks, None)
        self._notes += [Note("training", "", finding.message) for finding in findings]
        return self

    def _fit_scan(
        self, scan: Scan, summary: Summary, target: Target, drop: Sequence[str],
        checkpoint: Checkpoint | None, callbacks: Sequence[Callback], validation_data: Any,
    ) -> list[Finding]:  # fmt: skip
        """Train on a table from disk; return what is wrong with the members."""
        deadline = self._deadline() - summary.seconds
        self._begin(summary, target, drop)
        sample, w = summary.sample, summary.sample_weights
        y = target.labels_of(target.encode(sample))
        of_all = target.labels_of(np.arange(len(target.classes))) if target.classes else y
        self._define_target(of_all, list(target.names), None)
        self._target = replace(self._target, notation=target.notation)
        self._check_target(y, "fit", None)
        none = np.empty(0, np.intp)
        encoding, notes = fit(
            summary, none, self._target, {*target.names, *drop}, separate_target=True, embeds=True
        )
        t = self._encoded(y)
        encoding, more = self._with_target(encoding, sample, np.arange(len(sample)), t, w)
        self._notes = [*notes, *more]
        self._set_encoding(encoding)
        return self._fit_from_disk(scan, summary, validation_data, deadline, checkpoint, callbacks)

    def _fit_from_disk(
        self, scan: Scan, summary: Summary, validation_data: Any, deadline: float,
        checkpoint: Checkpoint | None, callbacks: Sequence[Callback],
    ) -> list[Finding]:  # fmt: skip
        """Train on a table whose encoding is fitted; return what is wrong with the members."""
        random = self._random()
        seeds = self._seeds(random)
        validation = self._validation(validation_data)
        self._weigh_classes(summary)
        if validation is not None:
            validation = self._weighed(validation)
        share = self._validation_share()
        rows = DiskRows(
            self, scan, summary, share if validation is None and self.early_stopping else 0.0
        )
        validated = rows.held > 0 or validation is not None
        made: dict[str, Encoding] = {}

        def entry(candidate: Candidate) -> Entry:
            encoding = self.encoding_
            if candidate.codes != DEFAULT.codes:
                none = np.empty(0, np.intp)
                encoding = encoding.with_bins(summary, none, None, BINS[candidate.codes])
            recipe = self._recipe(encoding, summary.rows, validated, candidate)
            held = None
            if validation is not None:
                held = validation.inputs(encoding), validation.t, validation.w
            made[candidate.name] = encoding
            return Entry(candidate.name, recipe, rows.shards(encoding, recipe), held)

        try:
            population, self.recipes_ = train_best(
                [partial(entry, candidate) for candidate in self._candidates(validated)],
                None,
                seeds=seeds,
                callbacks=callbacks,
                deadline=deadline,
                checkpoint=checkpoint,
                **self._how(),
            )
        finally:
            rows.close()
        (chosen,) = (trial.name for trial in self.recipes_ if trial.chosen)
        if made[chosen] is not self.encoding_:
            self._set_encoding(made[chosen])
        findings = self._finish(population, *rows.of_sample(self.encoding_, rows.diagnosed))
        self.from_disk_ = FromDisk(
            summary.rows, rows.held * rows.shard_count, rows.shard_count, rows.counts
        )
        return findings

    def _mean_prediction(self, X: Any) -> Array:
        """Return the ensemble's mean prediction, (N, O); of a table on disk in parts."""
        predict = super()._mean_prediction
        if not _is_on_disk(X):
            return predict(X)
        return np.concatenate(list(map(predict, self._parts(X))))

    def _member_predictions(self, X: Any) -> Array:
        """Return the members' predictions, (P, N, O); of a table on disk in parts."""
        predict = super()._member_predictions
        if not _is_on_disk(X):
            return predict(X)
        return np.concatenate(list(map(predict, self._parts(X))), axis=1)

    def _parts(self, X: Any) -> Iterable[Any]:
        """Return a table in parts, or as a whole if it is small."""
        self._check_fitted()
        scan = large_scan(X)
        return [in_memory(X)] if scan is None else scan.parts()

    def _validation(self, given: Any) -> Prepared | None:
        """Return the rows of ``validation_data``, whose y may name a column of a table."""
        if isinstance(given, tuple | list) and len(given) in (2, 3) and isinstance(given[1], str):
            table, name, *rest = given
            if rest and rest[0] is not None:
                raise SettingError("validation_data from a table has no weights: give (X, y)")
            source = _table_of(table)
            encoded, rows = self._targets_of(source, name)
            t = self.encoding_.target.clip_outliers(encoded)
            return Prepared.of(source, rows, t, None, self.encoding_)
        return super()._validation(given)

    def _targets_of(self, source: Source, name: str) -> tuple[Array, Indices]:
        """Return the encoded targets (n,) of the rows of a table in which they are known, and the
        rows' numbers (n,).
        """
        check_column(source, name, "target column")
        target = self.encoding_.target
        t = replace(target, names=(name,)).encode(source)
        rows = np.flatnonzero(~np.isnan(t))
        if not len(rows):
            raise TableError(f"target {name!r} of {source.name} has no value in any row")
        t = t[rows]
        return (t.astype(np.intp) if target.classes else t), rows

    def _named_score(self, X: Any, name: str, weights: Any, score: Callable[..., Any]) -> float:
        """Return the score on a table, one of whose columns is the target."""
        if weights is not None:
            raise SettingError("a score on a table has no weights: give X and y in memory")
        self._check_fitted()
        source = _table_of(X)
        t, rows = self._targets_of(source, name)
        kept = np.zeros(len(source), np.bool_)
        kept[rows] = True
        predicted = self.predict(source)[kept]
        return float(score(self.encoding_.target.labels_of(t), predicted))

    def _weigh_classes(self, summary: Summary) -> None:
        """Compute class weights from all training rows."""
        target = self._target
        if target.classes:
            codes, repeats = target.encode(summary), summary.repeats(target.name)
            assert repeats is not None
            known = ~np.isnan(codes)
            self._with_class_weights(
                codes[known].astype(np.intp), repeats.weights[known], refit=True
            )

    def _shows(self) -> bool | None:
        """Return whether to show progress lines, as ``train`` takes it."""
        return None if self.verbose is None else bool(self.verbose)


class DiskRows:
    """The training rows of a scanned table, encoded when they are needed.

    count      the number of rows in shards: fewer than the number of shards are left out
    candidates, held  how many rows of a shard may be held out, and how many each member holds out
    diagnosed  places in the sample of rows by which members are diagnosed
    """

    def __init__(
        self, estimator: DiskEstimator, scan: Scan, summary: Summary, share: float
    ) -> None:
        """Decide how the rows are dealt, and how many of them a member holds out.

        share  of the rows, or of as many as there is memory for
        """
        self.estimator, self.scan, self.summary = estimator, scan, summary
        encoding, target = estimator.encoding_, estimator.encoding_.target
        drawn = np.flatnonzero(summary.drawn)
        key = streams.keys(np.array([summary.seed]), "sample", 3)
        drawn = drawn[streams.order(key, len(drawn))[0]]
        row_bytes = 4 * (encoding.width + target.outputs + 1)
        self.shard_count = shard_count(summary.rows, row_bytes)
        self.diagnosed = np.sort(drawn[:DIAGNOSED_ROWS])
        left_out = drawn[: summary.rows % self.shard_count]
        self.count = summary.rows - len(left_out)
        n = self.count // self.shard_count
        bytes_each = 4 * max(encoding.width, target.outputs * estimator.members)
        most = min(MAX_HELD_ROWS, max(MIN_HELD_ROWS, HELD_BYTES // bytes_each))
        self.candidates = self.held = 0
        if share:
            self.candidates = min(n, max(1, most // self.shard_count))
            self.held = max(0, min(max(1, round(share * self.candidates)), n - 2))
        if self.count < 2:
            raise TableError(f"{scan.name} has one row to train on: give more rows")
        self.omitted = np.sort(summary.sample_numbers[left_out])
        self.made: list[Shards] = []
        self.counts, self.counted = Counts(), False

    def shards(self, encoding: Encoding, recipe: Recipe) -> Shards:
        """Return the rows on disk, encoded in a pass over the table.

        Raises: TableError if the table has changed; FileError, SettingError as ``Shards``.
        """
        summary, loss = self.summary, recipe.loss
        weighed = self._weights(np.zeros(1, np.intp), np.ones(1)) is not None
        made = Shards(
            self.count, encoding.width, recipe.network.outputs, recipe.dtype,
            count=self.shard_count, weighed=weighed, seed=summary.seed,
            candidates=self.candidates, held=self.held,
        )  # fmt: skip
        self.made.append(made)
        with StatusLine(self.estimator._shows()) as line:
            for part in self.scan.parts():
                summary.check_part(part)
                chosen, _, w = summary.rows_of(part)
                first, last = np.searchsorted(
                    self.omitted, [part.first_row, part.first_row + len(part)]
                )
                chosen[self.omitted[first:last] - part.first_row] = False
                if chosen.any():
                    rows, w = part.filtered(chosen), w[chosen]
                    if len(w) > made.room:
                        raise TableError(_changed(self.scan))
                    t, x = self._targets(encoding, rows), self._inputs(encoding, rows)
                    T = checks.checked_targets(
                        t, loss, recipe.network.outputs, len(x), recipe.dtype, summary.target
                    )
                    made.write(
                        x.astype(recipe.dtype, copy=False), loss.smooth(T), self._weights(t, w)
                    )
                report(line, "encoding", len(self.scan), part.first_row + len(part))
        self.counted = True
        if made.room:
            raise TableError(_changed(self.scan))
        return made

    def of_sample(self, encoding: Encoding, places: Indices) -> tuple[Array, Array, Array | None]:
        """Return inputs, targets and weights of rows of the sample."""
        rows, w = self.summary.sampled(places), np.ones(len(places))
        if self.summary.weighed is not None:
            w = read_weights(rows, self.summary.weighed)
        t = self._targets(encoding, rows)
        return self._inputs(encoding, rows), t, self._weights(t, w)

    def _inputs(self, encoding: Encoding, rows: Source) -> Array:
        """Return inputs (m, I); of the first encoding, missing values are counted."""
        x, counts = encoding.inputs(rows, unseen="missing")
        if not self.counted:
            self.counts.add(counts)
        return x

    def _targets(self, encoding: Encoding, part: Source) -> Array:
        """Return a part's targets, (m,): class numbers, or standardised quantities."""
        target = encoding.target
        return target.clip_outliers(target.encode(part))

    def _weights(self, t: Array, w: Array) -> Array | None:
        """Return the weights of rows, (m,), with those of their classes; None if all are equal."""
        given = w / self.summary.max_weight if self.summary.weighed is not None else None
        classes = self.estimator.encoding_.target.classes
        return self.estimator._with_class_weights(
            t.astype(np.intp) if classes else t, given, refit=False
        )

    def close(self) -> None:
        """Remove the files."""
        for each in self.made:
            each.close()


def _is_on_disk(X: Any) -> bool:
    """Return whether X is the path of a table, or a table that is read in parts."""
    return isinstance(X, str | PathLike) or scans.is_scannable(X)


def _changed(scan: Scan) -> str:
    """Return the message on a table of which the second pass finds other rows."""
    return f"{scan.name} changed while it was read: train while nothing writes to it"


def _table_of(X: Any) -> Source:
    """Return a table in memory, of which a column is the target: a file, or a data frame.

    Raises: TableError; DataError for what has no columns with names.
    """
    if _is_on_disk(X):
        return in_memory(X)
    frame = as_frame(X)
    if frame is None:
        raise DataError(
            f"y is the name of a column, and X is a {type(X).__name__}, whose columns have none: "
            "give a data frame or a file, or the target's values as y"
        )
    return FrameSource(frame)
