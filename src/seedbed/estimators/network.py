"""What the classifier and the regressor share: training, prediction, saving."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from seedbed import files, folds
from seedbed.arrays import (
    Array,
    Indices,
    checked_flag,
    checked_functions,
)
from seedbed.checkpoints import EVERY, Checkpoint
from seedbed.choosing import Entry, train_best
from seedbed.diagnosis.diagnose import diagnose
from seedbed.diagnosis.finding import Finding
from seedbed.errors import SeedbedWarning, SettingError
from seedbed.estimators.data import FromDisk, Prepared, TableEstimator
from seedbed.estimators.notebook import FitSummary
from seedbed.estimators.parameters import Parameters
from seedbed.estimators.serialise import to_json
from seedbed.layers.dense import Dense
from seedbed.layers.periodic import Periodic
from seedbed.memory import check_fits
from seedbed.population import Population
from seedbed.progress import Callback
from seedbed.race import Trial
from seedbed.recipe import Recipe
from seedbed.tables import scans
from seedbed.tables.encoding import Encoding
from seedbed.tables.model import Resolved, TableModel
from seedbed.tables.notes import Note
from seedbed.tables.recipe import (
    BINS,
    DEFAULT,
    Candidate,
    candidates,
)
from seedbed.tables.saved import to_dict
from seedbed.tables.sources import Source
from seedbed.tables.targets import Target
from seedbed.training import Continuation

_HINTS = {
    "still falling": " (max_iter, learning_rate_init)",
    "rate too low": " (learning_rate_init)",
    "rate too high": " (learning_rate_init)",
    "unscaled target": ", or fit on more of it at first",
}
"""The estimator's parameters that a finding's remedy refers to."""

OTHER_BYTES = 10**8
"""About what training takes whatever the number of rows: kernels, members, predictions."""


class NetworkEstimator(FitSummary, Parameters, TableEstimator):
    """What the classifier and the regressor share."""

    _flat = True  # y is 1-D
    _continuation: Continuation | None = None
    _found: set[str]  # what partial_fit has warned of
    loss_curve_: list[float]
    test_scores_: dict[str, Any] | None
    from_disk_: FromDisk | None
    recipes_: list[Trial]

    # ------------------------------------------------------------------ fitting

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        validation_data: Any = None,
        callbacks: Sequence[Callback] = (),
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_every: float = EVERY,
        from_disk: bool | None = None,
    ) -> Self:
        """Train on X (N, I), y (N,) or (N, O), and return self.

        X may also be a data frame that holds the target, the path of a table, a polars LazyFrame or
        a PyArrow data set. Then y names the column with the target, and sample_weight one with
        weights.

        sample_weight    (N,) row weights >= 0: a row of weight 2 counts as the row given twice
        validation_data  (X, y) or (X, y, weights): monitored in place of rows held out of X; its
                         loss is in validation_curve_, even without early_stopping
        callbacks        functions called during training with a Progress, as by ``train``
        checkpoint       a file that keeps the training, every ``checkpoint_every`` seconds and at
                         its end: the same call resumes it, with the same ``random_state``
        from_disk        whether to keep the encoded rows on disk and to train on one part after the
                         other, for a Parquet file or a folder of them, a LazyFrame or a data set;
                         None does so if they may take more than half of the free memory

        With ``warm_start``, training continues from the current members and the encoding of the
        first fit.

        Raises: SettingError for a parameter, DataError for data that cannot be trained on.
        """
        self._check_flags()
        callbacks = checked_functions("callbacks", callbacks)
        kept = self._checkpoint(checkpoint, checkpoint_every)
        deadline = self._deadline()
        continues = bool(self.warm_start) and hasattr(self, "population_")
        is_named = isinstance(y, str)
        if is_named or isinstance(X, str | PathLike) or scans.is_scannable(X):
            return self._fit_named(X, y, sample_weight, validation_data, callbacks, kept, from_disk)
        if from_disk is not None and checked_flag("from_disk", from_disk):
            raise SettingError(
                f"from_disk takes the path of a Parquet file, a LazyFrame or a data set, not "
                f"{type(X).__name__}"
            )
        self._continuation = None
        if not continues:  # a fit that fails leaves no earlier model behind
            self.__dict__.pop("population_", None)
        data = self._prepare(X, y, sample_weight, "warm_start" if continues else "fit")
        validation = self._validation(validation_data)
        findings = self._fit(data, validation, continues, deadline, callbacks, kept)
        warn_of(findings, stacklevel=3)
        return self

    def _fit_named(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any,
        callbacks: Sequence[Callback], checkpoint: Checkpoint | None, from_disk: bool | None,
    ) -> Self:  # fmt: skip
        """Train on a file, a LazyFrame or a data set whose column y is the target; see ``fit``."""
        raise NotImplementedError

    def _validation(self, given: Any) -> Prepared | None:
        """Return the rows of ``validation_data``, if it is given.

        Raises: SettingError, DataError.
        """
        if given is None:
            return None
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise SettingError("validation_data must be (X, y) or (X, y, weights)")
        X, y, w = (*given, None)[:3]
        return self._prepare(X, y, w, "validation")

    def _weighed(self, validation: Prepared) -> Prepared:
        """Return validation rows as training takes them, after the training rows were weighed."""
        t = self.encoding_.target.clip_outliers(validation.t)
        return validation._replace(t=t, w=self._with_class_weights(t, validation.w, refit=False))

    def fit_table(
        self, table: Source, target: Target, rows: Indices, drop: Sequence[str] = (),
        checkpoint: Checkpoint | None = None, callbacks: Sequence[Callback] = (),
    ) -> Self:  # fmt: skip
        """Train on some rows of a table that holds the target, and return self.

        The model is that of ``fit`` on these rows without the columns in ``drop``; messages name
        the table's own rows. What ``fit`` warns of is in ``notes_``.

        Shapes: rows (n,) numbers of the rows, in which the target is known.
        Raises: as ``fit``.
        """
        findings = self._fit_table(table, target, rows, drop, checkpoint, callbacks, None, None)
        self._notes += [Note("training", "", finding.message) for finding in findings]
        return self

    def _fit_table(
        self, table: Source, target: Target, rows: Indices, drop: Sequence[str],
        checkpoint: Checkpoint | None, callbacks: Sequence[Callback], weights: Array | None,
        validation_data: Any,
    ) -> list[Finding]:  # fmt: skip
        """Train on some rows of a table, with weights (n,); return what is wrong with members."""
        deadline = self._deadline()
        self._begin(table, target, drop)
        y = target.labels_of(target.encode(table)[rows])
        self._define_target(y, list(target.names), None)
        self._target = replace(self._target, notation=target.notation)
        self._check_target(y, "fit", None)
        t = self._encoded(y)
        self._fit_encoding(table, rows, t, weights, {*target.names, *drop})
        self._check_memory(len(rows))
        data = self._prepared(table, rows, t, weights)
        return self._fit(
            data, self._validation(validation_data), continues=False, deadline=deadline,
            callbacks=callbacks, checkpoint=checkpoint,
        )  # fmt: skip

    def _begin(self, table: Source, target: Target, drop: Sequence[str]) -> None:
        """Set what is known of a table before its columns are looked at."""
        self._continuation = None
        self.__dict__.pop("population_", None)
        excluded = {*target.names, *drop}
        self._columns = [name for name in table.columns if name not in excluded]
        self.n_features_in_ = len(self._columns)
        self.feature_names_in_ = np.array(self._columns, dtype=object)

    def _fit(
        self,
        data: Prepared,
        validation: Prepared | None,
        continues: bool,
        deadline: float,
        callbacks: Sequence[Callback] = (),
        checkpoint: Checkpoint | None = None,
    ) -> list[Finding]:
        """Train on prepared rows, and return what is wrong with the members."""
        random = self._random()
        seeds = self._seeds(random)
        t = self.encoding_.target.clip_outliers(data.t)
        kept, w = folds.distinct_rows(data.x, t, data.w)
        t = t[kept]
        w = self._with_class_weights(t, w, refit=True)
        if w is not None and not w.all():  # a class of weight 0
            kept, t, w = kept[w > 0], t[w > 0], w[w > 0]
        share = self._validation_share()
        held_out = None
        if validation is not None:
            validation = self._weighed(validation)
        elif self.early_stopping:
            classes = t if self.encoding_.target.classes else None
            held_out = folds.hold_out_rows(random, len(seeds), share, len(t), classes)
        validated = not (held_out is None and validation is None)
        tried = self._candidates(validated and not continues)
        made: dict[str, tuple[Encoding, Array]] = {}  # by codes

        def entry(candidate: Candidate) -> Entry:
            if candidate.codes not in made:
                new = self.encoding_ if continues else self._encoding_of(candidate, data)
                made[candidate.codes] = new, self._inputs_by(new, data)[kept]
            encoding, x = made[candidate.codes]
            recipe, held = self._recipe(encoding, len(t), validated, candidate), None
            if continues:
                self._check_continues(recipe, len(seeds))
            if validation is not None:
                held = self._inputs_by(encoding, validation), validation.t, validation.w
            return Entry(candidate.name, recipe, x, held)

        population, self.recipes_ = train_best(
            [partial(entry, candidate) for candidate in tried],
            t,
            seeds=seeds,
            held_out=held_out,
            sample_weight=w,
            start=self.population_.theta if continues else None,
            callbacks=callbacks,
            deadline=deadline,
            checkpoint=checkpoint,
            **self._how(),
        )
        (chosen,) = (trial.name for trial in self.recipes_ if trial.chosen)
        encoding, x = made[next(each.codes for each in tried if each.name == chosen)]
        if encoding is not self.encoding_:
            self._set_encoding(encoding)
        return self._finish(population, x, t, w)

    def _check_memory(self, rows: int) -> None:
        """Refuse to train on so many rows if that does not fit into memory.

        Each kind of codes takes its inputs, the rows as given those of the first, and making one
        takes it twice. The numbers themselves are read once.

        Raises: SettingError.
        """
        encoding = self.encoding_
        inputs = {
            each.codes: encoding.width_with_bins(BINS[each.codes])
            for each in self._candidates(self.early_stopping)
        }
        others = [width for codes, width in inputs.items() if codes != DEFAULT.codes]
        numbers = encoding.width + sum(inputs.values()) + max(others, default=0)
        check_fits(
            4 * rows * numbers + 8 * rows * len(encoding.columns) + OTHER_BYTES,
            f"training on {rows:,} rows of {encoding.width:,} inputs",
            "give fit the path of a Parquet file, to train from disk, or set effort='fast' to try "
            "one recipe",
        )

    def _candidates(self, several: bool) -> list[Candidate]:
        """Return what is tried, the default first: it alone unless held-out rows can choose."""
        dropout = self.dropout if self._has_hidden() else 0.0
        tried = candidates(self.encoding_, self.codes, dropout, self.effort)
        return tried if several and self.early_stopping else tried[:1]

    def _inputs_by(self, encoding: Encoding, data: Prepared) -> Array:
        """Return prepared rows' inputs by an encoding, (n, I)."""
        return data.x if encoding is self.encoding_ else data.inputs(encoding)

    def _encoding_of(self, candidate: Candidate, data: Prepared) -> Encoding:
        """Return the candidate's encoding."""
        if candidate.codes == DEFAULT.codes:
            return self.encoding_
        return self.encoding_.with_bins(data.source, data.rows, data.w, BINS[candidate.codes])

    def _check_continues(self, recipe: Recipe, members: int) -> None:
        """Refuse to continue from members that do not match the parameters."""
        before = self.population_
        if recipe.network != before.network or members != len(before):
            raise SettingError(
                f"training continues from {len(before)} members of {before.network}, and the "
                f"parameters ask for {members} of {recipe.network}: set them back, or fit again "
                "without warm_start"
            )

    def _recipe(
        self,
        encoding: Encoding,
        rows: int,
        validated: bool,
        candidate: Candidate = DEFAULT,
    ) -> Recipe:
        """Return the recipe for a number of training rows, with or without a validation loss."""
        hidden = self._hidden()
        if hidden == "auto" and hasattr(self, "population_"):
            layers = self.population_.network.layers
            hidden = [layer.units for layer in layers[:-1] if isinstance(layer, Dense)]
        if hasattr(self, "population_"):
            before: Any = self.population_.recipe
            is_periodic = any(isinstance(layer, Periodic) for layer in before.network.layers)
            candidate = Candidate("periodic" if is_periodic else "bins", before.dropout)
        return self._settings(hidden).recipe(
            encoding,
            rows,
            candidate=candidate,
            monitor="ensemble" if validated else "members",
            stops=validated and self.early_stopping,
        )

    def _finish(self, population: Population, x: Array, t: Array, w: Array | None) -> list[Finding]:
        """Store the trained population, and return what is wrong with it.

        Divergence is left out, as training has warned of it.
        """
        if population.diverged.all():
            raise SettingError(
                f"all {len(population)} members diverged: lower learning_rate_init "
                f"({population.recipe.optimizer.lr:g})"
            )
        self._store(population)
        model = self.table_model_
        named = Resolved(population, x, t, model.input_names, model.output_names)
        findings = diagnose(named, None, sample_weight=w)
        return [finding for finding in findings if finding.kind != "diverged"]

    def _store(self, population: Population) -> None:
        """Set the fitted attributes that scikit-learn's users expect."""
        self.population_ = population
        self.test_scores_ = self.from_disk_ = None
        history = population.history
        self.n_iter_ = int(population.epochs.max())
        self.n_outputs_ = population.network.outputs
        self.n_layers_ = len(population.network.layers) + 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # epochs in which no member trained
            self.loss_curve_ = np.nanmean(history.train_loss, axis=0)[: self.n_iter_].tolist()
        curve = history.ensemble_val_loss
        self.validation_curve_ = None if curve is None else curve[: self.n_iter_].tolist()
        self.best_iteration_ = int(population.best_epoch.max())

    def _mean_prediction(self, X: Any) -> Array:
        """Return the ensemble's mean prediction, (N, O)."""
        x = self._inputs(X)  # first, as it raises NotFittedError
        return self.population_.predict_mean(x)

    def _member_predictions(self, X: Any) -> Array:
        """Return the predictions of the members that did not diverge, (P, N, O), float64."""
        x, population = self._inputs(X), self.population_
        return population.predict(x)[~population.diverged].astype(np.float64)

    # ------------------------------------------------------------------ saving

    def save(self, path: str | PathLike[str]) -> None:
        """Write the estimator to one file without code, for ``load`` and ``seedbed predict``.

        Raises: FileError if it cannot be written, or a formula is not one of Seedbed's own.
        """
        self._check_fitted()
        saved = {
            "name": type(self).__name__,
            "parameters": {name: to_json(value) for name, value in self.get_params().items()},
            "columns": self._columns,
            "named": hasattr(self, "feature_names_in_"),
            "flat": self._flat,
            "notes": [list(note) for note in self._notes],
        }
        table = {**to_dict(self.encoding_), "estimator": saved}
        if self.test_scores_ is not None:
            table["scores"] = self.test_scores_
        files.save(path, self.population_, table)

    def _restore(self, model: TableModel, saved: dict[str, Any]) -> None:
        """Restore what ``save`` wrote.

        Raises: KeyError, TypeError or ValueError for anything else.
        """
        self._target, self._columns = model.encoding.target, list(model.columns)
        self._flat = bool(saved["estimator"]["flat"])
        self.n_features_in_ = len(self._columns)
        if model.named:
            self.feature_names_in_ = np.array(self._columns, dtype=object)
        self._notes = [Note.from_saved(note) for note in saved["estimator"]["notes"]]
        self._set_encoding(model.encoding)
        self._store(model.population)
        self.recipes_ = []
        self.test_scores_ = saved.get("scores")

    # ------------------------------------------------------------------ the subclass's part

    def _with_class_weights(self, t: Array, w: Array | None, refit: bool) -> Array | None:
        """Return row weights (N,) times class weights, computed from these rows if ``refit``."""
        return w


def warn_of(findings: Sequence[Finding], stacklevel: int) -> None:
    """Warn of each finding; ``stacklevel`` is that of ``warnings.warn``."""
    for finding in findings:
        still_falling = finding.kind == "still falling"
        warnings.warn(
            finding.message + _HINTS.get(finding.kind, ""),
            ConvergenceWarning if still_falling else SeedbedWarning,
            stacklevel=stacklevel,
        )
