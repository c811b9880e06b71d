"""What the classifier and the regressor share: parameters, training, prediction, saving."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from seedbed import files, folds
from seedbed.arrays import Array, checked_count, checked_number
from seedbed.diagnosis.diagnose import diagnose
from seedbed.engines.base import cores
from seedbed.errors import SeedbedWarning, SettingError
from seedbed.estimators.data import Role, TableEstimator
from seedbed.estimators.serialise import as_formula, to_json
from seedbed.formulas import activations, optimizers, schedules
from seedbed.formulas.losses import Loss
from seedbed.layers.dense import Dense
from seedbed.network import Network
from seedbed.population import Population
from seedbed.recipe import Recipe
from seedbed.tables.encoding import Encoding
from seedbed.training import Continuation, train

TWO_LAYER_ROWS, FULL_EPOCH_ROWS, LARGE_BATCH_ROWS = 10_000, 30_000, 50_000
"""Row counts from which the defaults are two hidden layers, fewer epochs, and larger batches."""

_HINTS = {
    "still falling": " (max_iter, learning_rate_init)",
    "rate too low": " (learning_rate_init)",
    "rate too high": " (learning_rate_init)",
    "unscaled target": ", or fit on more of it at first",
}
"""The estimator's parameters that a finding's remedy refers to."""


class NetworkEstimator(TableEstimator):
    """What the classifier and the regressor share."""

    _flat = True  # y is 1-D
    _continuation: Continuation | None = None
    loss_curve_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "mish",
        *,
        members: int = 8,
        loss: Any = "auto",
        learning_rate_init: float = 0.003,
        weight_decay: float = 0.01,
        dropout: float = 0.15,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        engine: Literal["auto", "compiled", "numpy"] = "auto",
        verbose: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.members = members
        self.loss = loss
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.engine = engine
        self.verbose = verbose

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train on X (N, I), y (N,) or (N, O), and return self.

        sample_weight    (N,) row weights >= 0: a row of weight 2 counts as the row given twice
        validation_data  (X, y) or (X, y, weights): monitored in place of rows held out of X; its
                         loss is in validation_curve_, even without early_stopping

        With ``warm_start``, training continues from the current members and the encoding of the
        first fit.

        Raises: SettingError for a parameter, DataError for data that cannot be trained on.
        """
        continues = bool(self.warm_start) and hasattr(self, "population_")
        self._continuation = None
        if not continues:  # a fit that fails leaves no earlier model behind
            self.__dict__.pop("population_", None)
        x, t, w = self._prepare(X, y, sample_weight, "warm_start" if continues else "fit")
        random = check_random_state(self.random_state)
        seeds = random.randint(2**31 - 1, size=checked_count("members", self.members))
        t = self.encoding_.target.clip_outliers(t)
        x, t, w = folds.deduplicate_rows(x, t, w)
        w = self._with_class_weights(t, w, refit=True)
        if w is not None and not w.all():  # a class of weight 0
            x, t, w = x[w > 0], t[w > 0], w[w > 0]
        classes = t if self.encoding_.target.classes else None
        share = checked_number(
            "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True
        )
        held_out = validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise SettingError("validation_data must be (X, y) or (X, y, weights)")
            Xv, yv, wv = (*validation_data, None)[:3]
            x_val, t_val, w_val = self._prepare(Xv, yv, wv, "validation")
            w_val = self._with_class_weights(t_val, w_val, refit=False)
            validation = (x_val, self.encoding_.target.clip_outliers(t_val), w_val)
        elif self.early_stopping:
            held_out = folds.hold_out_rows(random, len(seeds), share, len(x), classes)
        recipe = self._recipe(len(x), validated=not (held_out is None and validation is None))
        if continues:
            self._check_continues(recipe, len(seeds))
        population = train(
            recipe,
            x,
            t,
            seeds=seeds,
            validation=validation,
            held_out=held_out,
            sample_weight=w,
            start=self.population_.theta if continues else None,
            progress=bool(self.verbose),
            threads=self._threads(),
        )
        self._finish(population, x, t, w, stacklevel=3)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Self:
        first = not hasattr(self, "population_")
        role: Role = "fit" if first else "partial_fit"
        x, t, w = self._prepare(X, y, sample_weight, role, classes)
        w = self._with_class_weights(t, w, refit=True)
        recipe = replace(
            self._recipe(len(x), validated=False), epochs=1, schedule=schedules.constant
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
            progress=bool(self.verbose), threads=self._threads(),
        )  # fmt: skip
        earlier_losses = [] if first else self.loss_curve_
        self._finish(population, x, t, w, stacklevel=4)
        self._continuation = continuation
        self.loss_curve_ = [*earlier_losses, float(np.nanmean(population.loss))]
        return self

    def _check_continues(self, recipe: Recipe, members: int) -> None:
        """Refuse to continue from members that do not match the parameters."""
        before = self.population_
        if recipe.network != before.network or members != len(before):
            raise SettingError(
                f"training continues from {len(before)} members of {before.network}, and the "
                f"parameters ask for {members} of {recipe.network}: set them back, or fit again "
                "without warm_start"
            )

    def _recipe(self, rows: int, validated: bool) -> Recipe:
        """Return the recipe for a number of training rows, with or without a validation loss."""
        target = self.encoding_.target
        hidden = self.hidden_layer_sizes
        if isinstance(hidden, str) and hidden == "auto" and hasattr(self, "population_"):
            hidden = list(self.population_.network.widths[1:-1])
        elif isinstance(hidden, str) and hidden == "auto":
            hidden = (128,) if rows < TWO_LAYER_ROWS else (128, 128)
        hidden = list(hidden) if isinstance(hidden, Sequence | np.ndarray) else [hidden]
        names = self.activation
        if not isinstance(names, tuple | list):
            names = [names] * len(hidden)
        if len(names) != len(hidden):
            raise SettingError(
                f"activation names {len(names)} and there are {len(hidden)} hidden layers: give "
                "one for all of them, or one for each"
            )
        layers = [
            Dense(units, as_formula("activation", name, activations.BY_NAME))
            for units, name in zip(hidden, names, strict=True)
        ]
        batch: Any = self.batch_size
        if batch == "auto":
            batch = max(16, min(rows // 8, 128 if rows < LARGE_BATCH_ROWS else 256))
        epochs = self.max_iter
        if epochs is None:
            epochs = max(20, round(60 * min(1.0, math.sqrt(FULL_EPOCH_ROWS / rows))))
        epochs = checked_count("max_iter", epochs)
        patience = self.n_iter_no_change
        if patience is None:
            patience = max(1, round(0.45 * epochs))
        return Recipe(
            network=Network(self.encoding_.width, [*layers, Dense(target.outputs)]),
            loss=self._loss(),
            optimizer=optimizers.AdamW(
                self.learning_rate_init, beta2=0.95, weight_decay=self.weight_decay
            ),
            epochs=epochs,
            batch_size=min(checked_count("batch_size", batch), rows),
            schedule=schedules.coslog4,
            dropout=self.dropout if hidden else 0.0,
            patience=patience if validated and self.early_stopping else None,
            monitor="ensemble" if validated else "members",
            engine=self.engine,
        )

    def _finish(
        self, population: Population, x: Array, t: Array, w: Array | None, stacklevel: int
    ) -> None:
        """Store the trained population, and warn about what is wrong with it."""
        if population.diverged.all():
            raise SettingError(
                f"all {len(population)} members diverged: lower learning_rate_init "
                f"({self.learning_rate_init:g})"
            )
        self._store(population)
        for finding in diagnose(population, x, t, sample_weight=w):
            message = finding.message + _HINTS.get(finding.kind, "")
            if finding.kind == "still falling":
                warnings.warn(message, ConvergenceWarning, stacklevel=stacklevel)
            elif finding.kind != "diverged":  # training has warned of it
                warnings.warn(message, SeedbedWarning, stacklevel=stacklevel)

    def _store(self, population: Population) -> None:
        """Set the fitted attributes that scikit-learn's users expect."""
        self.population_ = population
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

    def _threads(self) -> int:
        """Return the number of threads to train with: all cores for n_jobs None or -1."""
        if self.n_jobs in (None, -1):
            return cores()
        if isinstance(self.n_jobs, int) and self.n_jobs < -1:
            return max(1, cores() + 1 + self.n_jobs)
        return checked_count("n_jobs", self.n_jobs)

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
        }
        files.save(path, self.population_, {**self.encoding_.to_dict(), "estimator": saved})

    def _restore(self, population: Population, encoding: Encoding, saved: dict[str, Any]) -> None:
        """Restore what ``save`` wrote.

        Raises: KeyError, TypeError or ValueError for anything else.
        """
        self._target, self._columns = encoding.target, [str(name) for name in saved["columns"]]
        if not {column.name for column in encoding.columns} <= set(self._columns):
            raise ValueError("the encoding's columns are not the estimator's")
        if len(set(self._columns)) != len(self._columns):
            raise ValueError("a column name is repeated")
        self._flat = bool(saved["flat"])
        self.n_features_in_ = len(self._columns)
        if saved["named"]:
            self.feature_names_in_ = np.array(self._columns, dtype=object)
        self._set_encoding(encoding)
        self._store(population)

    # ------------------------------------------------------------------ the subclass's part

    def _with_class_weights(self, t: Array, w: Array | None, refit: bool) -> Array | None:
        """Return row weights (N,) times class weights, computed from these rows if ``refit``."""
        return w

    def _loss(self) -> Loss:
        """Return the loss to minimise."""
        raise NotImplementedError
