"""The regressor."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array

from seedbed import reproducible
from seedbed.arrays import Array, Indices, as_array
from seedbed.errors import DataError, SettingError
from seedbed.estimators.batches import BatchEstimator
from seedbed.estimators.data import Role
from seedbed.formulas.losses import Loss
from seedbed.formulas.named import as_formula
from seedbed.tables.encoding import Encoding, with_quantities
from seedbed.tables.model import TableModel
from seedbed.tables.notes import Note
from seedbed.tables.sources import Source
from seedbed.tables.targets import Target, Task


class NetworkRegressor(RegressorMixin, BatchEstimator):
    """An ensemble of networks that predicts one quantity, or several.

    loss           "auto" is the squared error; a name such as "absolute_error" or "poisson", or a
                   ``sb.Loss`` such as ``sb.quantile(0.9)``
    clip_outliers  whether outliers in y are clipped for training: at most two values, or one in a
                   thousand, far from the others in rows that are unremarkable otherwise

    The estimator scales the target itself, robust against outliers. The other parameters and
    fitted attributes are those of ``NetworkClassifier``, except for the classes.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> mean, std = NetworkRegressor(random_state=0).fit(X, y).predict(X, return_std=True)
    >>> mean.shape, std.shape
    ((442,), (442,))
    """

    _task: Task = "regression"

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "mish",
        *,
        members: int = 8,
        loss: Any = "auto",
        optimizer: Any = "adamw",
        learning_rate_init: float | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        dropout: float | Literal["auto"] = "auto",
        codes: Literal["auto", "bins", "fine bins", "periodic"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        effort: Literal["fast", "default", "high"] = "default",
        max_time: float | None = None,
        max_iter: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int | None = None,
        clip_outliers: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        engine: Literal["auto", "compiled", "numpy"] = "auto",
        verbose: bool | None = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            members=members,
            loss=loss,
            optimizer=optimizer,
            learning_rate_init=learning_rate_init,
            weight_decay=weight_decay,
            dropout=dropout,
            codes=codes,
            batch_size=batch_size,
            effort=effort,
            max_time=max_time,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            engine=engine,
            verbose=verbose,
        )
        self.clip_outliers = clip_outliers

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on X (N, I), y (N,) or (N, O); keeps the optimizer's state.

        The first call fits the encoding and the target's scale on its rows. Later calls extend the
        encoding by new categories and by columns that did not vary before, without changing any
        earlier row's prediction. A network with periodic codes, or with columns that ``fit``
        embedded, is not extended: new categories count as missing. No rows are held out, and
        ``max_time`` does not apply.
        """
        return self._partial_fit(X, y, sample_weight, None)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the members' mean prediction, (N,), or (N, O) for a 2-D y.

        With ``return_std``, return a pair: the mean and the standard deviation across the members.
        """
        mean = self._mean_prediction(X).astype(np.float64)
        target = self.encoding_.target
        mean = target.in_target_units(mean)
        mean = mean[:, 0] if self._flat else mean
        if not return_std:
            return mean
        each = target.in_target_units(self._member_predictions(X))
        return mean, reproducible.std(each[:, :, 0] if self._flat else each, 0)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the R² on X (N, I) and y (N,), or a table whose column y is the target."""
        if isinstance(y, str):
            return self._named_score(X, y, sample_weight, r2_score)
        return float(super().score(X, y, sample_weight))

    def _loss(self) -> Loss:
        is_auto = isinstance(self.loss, str) and self.loss == "auto"
        name = "squared_error" if is_auto else self.loss
        loss = as_formula("loss", name, Loss)
        if loss.targets not in ("number", "count"):
            raise SettingError(
                f"loss {loss.name!r} is for classes: a regressor needs one for numbers, such as "
                "'squared_error', or loss='auto'"
            )
        return loss

    def _checked_targets(self, y: Any) -> Array:
        if _holds_dates(as_array(y, "y", DataError)):
            raise DataError(
                "y holds dates: a regressor predicts a number, such as the days until then"
            )
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_min_samples=0)
        if y.ndim > 2:
            raise DataError(f"y has shape {y.shape}: a regressor needs (rows,) or (rows, outputs)")
        return np.asarray(y)

    def _define_target(self, y: Array, names: list[str], classes: Any) -> None:
        self._flat = y.ndim == 1
        if len(names) != y.reshape(len(y), -1).shape[1]:
            names = ["y"] if self._flat else [f"y{number}" for number in range(y.shape[1])]
        self._target = Target(tuple(names))

    def _encoded(self, y: Array) -> Array:
        return y.reshape(len(y), -1)

    def _check_target(self, y: Array, role: Role, classes: Any) -> None:
        outputs = len(self._target.names)
        if y.reshape(len(y), -1).shape[1] != outputs:
            raise DataError(
                f"y has shape {y.shape}, and the first y had {outputs} columns: give as many, or "
                "fit again"
            )
        loss = self._loss()
        if loss.targets == "count" and (y < 0).any():
            raise DataError(f"y holds {y.min():g}: the loss {loss.name!r} is for counts, from 0 up")

    def _with_target(
        self, encoding: Encoding, source: Source, rows: Indices, t: Array, w: Array | None
    ) -> tuple[Encoding, list[Note]]:
        counts = self._loss().targets == "count"
        encoding, notes = with_quantities(
            encoding, source, rows, t, w,
            keep_outliers=counts or not self.clip_outliers,
            how_to_keep=", or keep true values with clip_outliers=False (--keep-outliers)",
        )  # fmt: skip
        if counts:  # in units of their mean, so that their unit does not matter
            target = encoding.target
            scale = tuple(mean or 1.0 for mean in target.mean)
            target = replace(target, mean=(0.0,) * len(scale), scale=scale)
            encoding = replace(encoding, target=target)
        return encoding, notes

    def _restore(self, model: TableModel, saved: dict[str, Any]) -> None:
        if model.encoding.target.task != "regression":
            raise ValueError("the file's target is not a quantity")
        super()._restore(model, saved)


def _holds_dates(values: Array) -> bool:
    """Return whether an array, typed or of objects, holds dates."""
    if values.dtype == object:
        return any(isinstance(value, datetime.date) for value in values.ravel().tolist())
    return values.dtype.kind == "M"
