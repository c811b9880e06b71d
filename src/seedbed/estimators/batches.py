"""Training in batches: ``partial_fit``, whose later batches extend the encoding."""

from __future__ import annotations

import warnings
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from seedbed.arrays import Array, Indices, checked_count
from seedbed.errors import DataError, SeedbedWarning
from seedbed.estimators.data import Role
from seedbed.estimators.from_disk import DiskEstimator
from seedbed.estimators.growing import grow, grow_state, grown, transition
from seedbed.estimators.network import warn_of
from seedbed.formulas import schedules
from seedbed.layers.dense import Dense
from seedbed.tables import scans
from seedbed.tables.recipe import DEFAULT, candidates
from seedbed.tables.sources import Source
from seedbed.training import Continuation, train


class BatchEstimator(DiskEstimator):
    """What ``partial_fit`` adds to the classifier and the regressor."""

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Self:
        if isinstance(X, str | PathLike) or scans.is_scannable(X):
            raise DataError(
                f"partial_fit takes rows in memory, and X is a {type(X).__name__}: read some rows "
                "at a time, or train on all of them with fit"
            )
        first = not hasattr(self, "population_")
        role: Role = "first batch" if first else "partial_fit"
        data = self._prepare(X, y, sample_weight, role, classes)
        x, t, w = data.x, data.t, self._with_class_weights(data.t, data.w, refit=True)
        candidate = candidates(self.encoding_, self.codes, self.dropout)[0]
        if first and candidate.codes != DEFAULT.codes:
            self._set_encoding(self._encoding_of(candidate, data))
            x = data.inputs(self.encoding_)
        recipe = replace(
            self._recipe(self.encoding_, len(x), validated=False, candidate=candidate),
            epochs=1,
            schedule=schedules.constant,
        )
        if first:
            random = check_random_state(self.random_state)
            seeds = random.randint(2**31 - 1, size=checked_count("members", self.members))
            continuation = Continuation(seeds)
        else:
            population = self.population_
            epochs = int(population.epochs.max())
            continuation = self._continuation or Continuation(
                population.seeds, population.theta, epochs=epochs
            )
            self._check_continues(recipe, len(continuation.seeds))
        t = self.encoding_.target.clip_outliers(t)
        continuation = replace(continuation)  # a failing step leaves self._continuation unchanged
        population = train(
            recipe, x, t, sample_weight=w, continuation=continuation,
            progress=None if self.verbose is None else bool(self.verbose), threads=self._threads(),
        )  # fmt: skip
        earlier_losses = [] if first else self.loss_curve_
        if first or self._continuation is None:
            self._found = set()
        findings = self._finish(population, x, t, w)
        self._continuation = continuation
        self.loss_curve_ = [*earlier_losses, float(np.nanmean(population.loss))]
        warn_of([each for each in findings if each.kind not in self._found], stacklevel=4)
        self._found |= {each.kind for each in findings}
        return self

    def _grow(self, source: Source, rows: Indices, w: Array | None) -> None:
        """Extend the encoding and the members by what some rows bring."""
        before = self.encoding_
        if not isinstance(self.population_.network.layers[0], Dense):  # whose columns are fixed
            _, counts = before.inputs(source, unseen="missing")
            encoding, notes = before, [counts.unseen_note(name) for name in counts.unseen]
        else:
            encoding, notes = grown(before, source, rows, w, self._columns)
        said = {(note.kind, note.column) for note in self._notes}
        encoded = {column.name for column in encoding.columns}
        self._notes = [
            note for note in self._notes
            if note.kind not in ("constant", "left out") or note.column not in encoded
        ]  # fmt: skip
        for note in notes:
            if (note.kind, note.column) not in said:  # once
                self._notes.append(note)
                if note.is_warning:
                    warnings.warn(note.message, SeedbedWarning, stacklevel=5)
        if encoding == before:
            return
        M, warned = transition(before, encoding), self._warned
        if self._continuation is not None:
            self._continuation = grow_state(self._continuation, self.population_.network, M)
        self.population_ = grow(self.population_, encoding.width, M)
        self._set_encoding(encoding)
        self._warned = warned
