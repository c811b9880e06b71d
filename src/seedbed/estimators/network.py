"""What the estimators share: a table and targets to arrays, training, predicting, keeping."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, validate_data

from seedbed import files, folds
from seedbed.arrays import Array, checked_count, checked_number
from seedbed.diagnosis.diagnose import diagnose
from seedbed.engines.base import cores
from seedbed.errors import DataError, SeedbedWarning, SettingError
from seedbed.estimators.words import to_word, unit
from seedbed.formulas import activations, optimizers, schedules
from seedbed.formulas.losses import Loss
from seedbed.layers.dense import Dense
from seedbed.network import Network
from seedbed.population import Population
from seedbed.recipe import Recipe
from seedbed.tables import sources
from seedbed.tables.encoding import Encoding, fit
from seedbed.tables.targets import Target
from seedbed.training import Continuation, train

_MANY, _LONG, _MOST = 10_000, 30_000, 50_000
"""From how many rows on there is a second layer, are there fewer epochs, and larger steps."""


_HINTS = {
    "still falling": " (max_iter, learning_rate_init)",
    "rate too low": " (learning_rate_init)",
    "rate too high": " (learning_rate_init)",
    "unscaled target": ", or fit on more of it at first",
}
"""What the parameters are called here that a finding's remedy speaks of."""

Use = Literal["first", "going on", "part", "validation"]
"""What rows are for: a first fit, one that goes on, a partial fit, or to validate with."""


class NetworkEstimator(BaseEstimator):
    """What the classifier and the regressor share."""

    _target: Target
    _columns: list[str]
    _chosen: Array | None  # which columns of a plain array are used, where all are numbers
    _flat = True
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
        validation_data  (X, y) or (X, y, weights): watched in place of rows held out of X; its
                         loss is in validation_curve_, without early_stopping too

        With ``warm_start``, training goes on from the members as they are, on the table's encoding
        as it was first fitted.

        Raises: SettingError for a parameter, DataError for data that cannot be trained on.
        """
        goes_on = bool(self.warm_start) and hasattr(self, "population_")
        self._continuation = None
        if not goes_on:  # a fit that fails leaves no half of an earlier one
            self.__dict__.pop("population_", None)
        x, t, w = self._given(X, y, sample_weight, "going on" if goes_on else "first")
        random = check_random_state(self.random_state)
        seeds = random.randint(2**31 - 1, size=checked_count("members", self.members))
        t = self.encoding_.target.to_train_on(t)
        x, t, w = folds.counted(x, t, w)
        w = self._weighed(t, w, anew=True)
        if w is not None and not w.all():  # a class that weighs nothing
            x, t, w = x[w > 0], t[w > 0], w[w > 0]
        classes = t if self.encoding_.target.classes else None
        share = checked_number(
            "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True
        )
        apart = validation = None
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise SettingError("validation_data must be (X, y) or (X, y, weights)")
            Xv, yv, wv = (*validation_data, None)[:3]
            x_held, t_held, w_held = self._given(Xv, yv, wv, "validation")
            w_held = self._weighed(t_held, w_held, anew=False)
            validation = (x_held, self.encoding_.target.to_train_on(t_held), w_held)
        elif self.early_stopping:
            apart = folds.held_out(random, len(seeds), share, len(x), classes)
        recipe = self._recipe(len(x), watches=apart is not None or validation is not None)
        if goes_on:
            self._check_like(recipe, len(seeds))
        population = train(
            recipe,
            x,
            t,
            seeds=seeds,
            validation=validation,
            held_out=apart,
            sample_weight=w,
            start=self.population_.theta if goes_on else None,
            progress=bool(self.verbose),
            threads=self._threads(),
        )
        self._finish(population, x, t, w, level=3)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Self:
        first = not hasattr(self, "population_")
        use: Use = "first" if first else "part"
        x, t, w = self._given(X, y, sample_weight, use, classes)
        w = self._weighed(t, w, anew=True)
        recipe = replace(self._recipe(len(x), watches=False), epochs=1, schedule=schedules.constant)
        if first:
            random = check_random_state(self.random_state)
            seeds = random.randint(2**31 - 1, size=checked_count("members", self.members))
            continuation = Continuation(seeds)
        else:
            population = self.population_
            done = int(population.epochs.max())
            continuation = self._continuation or Continuation(
                population.seeds, population.theta, epochs=done
            )
            self._check_like(recipe, len(continuation.seeds))
        t, continuation = self.encoding_.target.to_train_on(t), replace(continuation)
        population = train(
            recipe, x, t, sample_weight=w, continuation=continuation,
            progress=bool(self.verbose), threads=self._threads(),
        )  # fmt: skip
        done_before = [] if first else self.loss_curve_
        self._finish(population, x, t, w, level=4)
        self._continuation = continuation  # as it was, where this has failed
        self.loss_curve_ = [*done_before, float(np.nanmean(population.loss))]
        return self

    def _check_like(self, recipe: Recipe, members: int) -> None:
        """Refuse to go on from members that the parameters do not describe."""
        before = self.population_
        if recipe.network != before.network or members != len(before):
            raise SettingError(
                f"training goes on from {len(before)} members of {before.network}, and the "
                f"parameters ask for {members} of {recipe.network}: set them back, or fit anew "
                "without warm_start"
            )

    def _given(
        self, X: Any, y: Any, weights: Any, use: Use, classes: Any = None
    ) -> tuple[Array, Array, Array | None]:
        """Return the inputs (N, I), encoded targets and weights (N,) of the rows that count.

        The encoding and the target are set out by the rows of the first use.
        """
        if y is None:
            raise DataError(
                f"{type(self).__name__} requires y to be passed, but the target y is None"
            )
        source = self._source(X, reset=use == "first")
        names = [str(name) for name in getattr(y, "columns", ())]
        y = self._checked_targets(y)
        check_consistent_length(X, y)
        counts, w = np.arange(len(source)), None
        if weights is not None:
            w = _check_sample_weight(weights, X, dtype=np.float64)
            if (w < 0).any() or not w.any():
                raise DataError(
                    "Negative values in data passed to `sample_weight`: weights are at least 0"
                    if (w < 0).any()
                    else "all sample weights are zero: give at least one row a weight"
                )
            counts = np.flatnonzero(w)
            y, w = y[counts], w[counts]
        if use == "first":
            self._set_out(y, names, classes)
        self._check_use(y, use, classes)
        t = self._encoded(y)
        if use == "first":
            if len(t) < 2:
                raise DataError(
                    f"too few rows count (n_samples = {len(t)}, at least 2 samples are needed): "
                    "give more rows"
                )
            target = self._scaled(t, w)
            far = target.far_off(t) if target.task == "regression" else 0
            if far:
                warnings.warn(
                    f"{far} value{'' if far == 1 else 's'} of y far off all others "
                    f"{'is' if far == 1 else 'are'} held between {min(target.low):.6g} and "
                    f"{max(target.high):.6g} to train on: mend what is wrong, or leave it out",
                    SeedbedWarning,
                    stacklevel=3,
                )
            self.encoding_, notes = fit(source, counts, target, weights=w, apart=True)
            for note in notes:
                if "different texts" in note:
                    warnings.warn(f"column {note}", SeedbedWarning, stacklevel=3)
        if self.encoding_.target.task == "regression":
            t = self.encoding_.target.standardised(t)
        x, _ = self.encoding_.inputs(source, unseen="missing")
        return x[counts], t, w

    def _source(self, X: Any, reset: bool) -> sources.Source:
        """Return X as a table.

        Raises: ValueError or TypeError, as scikit-learn words them, for what is no table.
        """
        frame = sources.as_frame(X)
        if frame is None:
            if isinstance(X, list) and np.asarray(X).dtype.kind == "U":  # numbers among texts
                X = np.array(X, dtype=object)
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
            source: sources.Source = sources.Grid(X, [] if reset else self._columns)
        else:
            validate_data(self, X, reset=reset, skip_check_array=True)
            named = reset or hasattr(self, "feature_names_in_")
            source = sources.Frame(frame, [] if named else self._columns)
            if not len(source) or not source.columns:
                raise DataError(
                    f"X has {len(source)} rows and {len(source.columns)} columns (0 sample(s) or "
                    "0 feature(s)): at least one of each, a minimum of 1, is required"
                )
        if reset:
            self._columns = list(source.columns)
        for name in source.columns if reset else ():  # later the encoding looks at those it uses
            kind = source.unsuited(name)
            if kind is not None:
                dates = kind.lower().startswith(("date", "time", "duration", "period"))
                raise DataError(
                    f"column {name!r} holds {kind} values: turn it into numbers"
                    + (
                        " that say what matters about it, such as the month, the weekday, or the "
                        "days since a fixed day, or drop it"
                        if dates
                        else " or texts, or drop it"
                    )
                )
        return source

    def _recipe(self, rows: int, watches: bool) -> Recipe:
        """Return how ``rows`` rows are trained on; whether there are rows to watch."""
        target = self.encoding_.target
        hidden = self.hidden_layer_sizes
        if isinstance(hidden, str) and hidden == "auto" and hasattr(self, "population_"):
            hidden = list(self.population_.network.widths[1:-1])
        elif isinstance(hidden, str) and hidden == "auto":
            hidden = (128,) if rows < _MANY else (128, 128)
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
            Dense(units, unit("activation", name, activations.BY_NAME))
            for units, name in zip(hidden, names, strict=True)
        ]
        batch: Any = self.batch_size
        if batch == "auto":
            batch = max(16, min(rows // 8, 128 if rows < _MOST else 256))
        epochs = self.max_iter
        if epochs is None:
            epochs = max(20, round(60 * min(1.0, math.sqrt(_LONG / rows))))
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
            patience=patience if watches and self.early_stopping else None,
            monitor="ensemble" if watches else "members",
            engine=self.engine,
        )

    def _finish(
        self, population: Population, x: Array, t: Array, w: Array | None, level: int
    ) -> None:
        """Keep what came of training, and warn of what is wrong with it, ``level`` calls above."""
        if population.diverged.all():
            raise SettingError(
                f"all {len(population)} members diverged: lower learning_rate_init "
                f"({self.learning_rate_init:g})"
            )
        self._keep(population)
        for finding in diagnose(population, x, t, sample_weight=w):
            hint = _HINTS.get(finding.kind, "")
            if finding.kind == "still falling":
                warnings.warn(finding.message + hint, ConvergenceWarning, stacklevel=level)
            elif finding.kind != "diverged":  # training has warned of it
                warnings.warn(finding.message + hint, SeedbedWarning, stacklevel=level)

    def _keep(self, population: Population) -> None:
        """Set what scikit-learn's users look for."""
        self.population_, self._chosen = population, None
        if self.encoding_.is_numeric and not hasattr(self, "feature_names_in_"):
            places = {name: place for place, name in enumerate(self._columns)}
            self._chosen = np.array([places[name] for name in self.encoding_.numbers.names])
        history = population.history
        self.n_iter_ = int(population.epochs.max())
        self.n_outputs_ = population.network.outputs
        self.n_layers_ = len(population.network.layers) + 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # epochs that none was trained for
            self.loss_curve_ = np.nanmean(history.train_loss, axis=0)[: self.n_iter_].tolist()
        curve = history.ensemble_val_loss
        self.validation_curve_ = None if curve is None else curve[: self.n_iter_].tolist()
        self.best_iteration_ = int(population.best_epoch.max())

    def _threads(self) -> int:
        """Return how many threads train: all cores for n_jobs None or -1."""
        if self.n_jobs in (None, -1):
            return cores()
        if isinstance(self.n_jobs, int) and self.n_jobs < -1:
            return max(1, cores() + 1 + self.n_jobs)
        return checked_count("n_jobs", self.n_jobs)

    # ------------------------------------------------------------------ predicting

    def _inputs(self, X: Any) -> Array:
        """Return the inputs (N, I) of a table like the one trained on."""
        self._check_fitted()
        encoding, chosen = self.encoding_, self._chosen
        plain = type(X) is np.ndarray and X.dtype.kind in "fiu" and X.ndim == 2
        if plain and chosen is not None and X.shape[1] == self.n_features_in_ and len(X):
            A = X[:, chosen].astype(np.float64, copy=False)
            if not np.isinf(A).any():  # the quick way, with no names to compare
                x = np.empty((len(A), encoding.width), np.float32)
                encoding.numbers.encode(A, x)
                return x
        return encoding.inputs(self._source(X, reset=False), unseen="missing")[0]

    def _each(self, x: Array) -> Array:
        """Return the predictions of the members that did not diverge, (P, N, O), float64.

        Shapes: x (N, I), the inputs.
        """
        population = self.population_
        return population.predict(x)[~population.diverged].astype(np.float64)

    # ------------------------------------------------------------------ keeping

    def save(self, path: str | PathLike[str]) -> None:
        """Write the estimator to one file, which ``load`` and ``seedbed predict`` read.

        It holds numbers and words and no code.

        Raises: FileError if it cannot be written, or a formula is not one of Seedbed's own.
        """
        self._check_fitted()
        words = {
            "name": type(self).__name__,
            "parameters": {name: to_word(value) for name, value in self.get_params().items()},
            "columns": self._columns,
            "named": hasattr(self, "feature_names_in_"),
            "flat": self._flat,
        }
        files.save(path, self.population_, {**self.encoding_.to_words(), "estimator": words})

    def _restore(self, population: Population, encoding: Encoding, words: dict[str, Any]) -> None:
        """Take over what ``save`` wrote.

        Raises: KeyError, TypeError or ValueError for what it did not write.
        """
        self._target = encoding.target
        self.encoding_, self._columns = encoding, [str(name) for name in words["columns"]]
        if not {column.name for column in encoding.columns} <= set(self._columns):
            raise ValueError("the encoding's columns are not the estimator's")
        if len(set(self._columns)) != len(self._columns):
            raise ValueError("a column is named twice")
        self._flat = bool(words["flat"])
        self.n_features_in_ = len(self._columns)
        if words["named"]:
            self.feature_names_in_ = np.array(self._columns, dtype=object)
        self._keep(population)

    # ------------------------------------------------------------------ what the two differ in

    def _checked_targets(self, y: Any) -> Array:
        """Return y as an array, (N,) or (N, O), that may be learned from."""
        raise NotImplementedError

    def _set_out(self, y: Array, names: list[str], classes: Any) -> None:
        """Take down what is to be predicted: ``_target``, and ``classes_``."""
        raise NotImplementedError

    def _encoded(self, y: Array) -> Array:
        """Return y as class numbers (N,), labels (N, O) or quantities (N, O)."""
        raise NotImplementedError

    def _check_use(self, y: Array, use: Use, classes: Any) -> None:
        """Refuse targets that are not like those that were first set out."""
        raise NotImplementedError

    def _weighed(self, t: Array, w: Array | None, anew: bool) -> Array | None:
        """Return the row weights, (N,), with those of the classes, which are found ``anew``."""
        return w

    def _scaled(self, t: Array, w: Array | None) -> Target:
        """Return the target, fitted on the rows to train on."""
        return self._target

    def _loss(self) -> Loss:
        """Return what is minimised."""
        raise NotImplementedError

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
