"""The regressor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array

from seedbed import reproducible
from seedbed.arrays import Array
from seedbed.errors import DataError, SettingError
from seedbed.estimators.network import NetworkEstimator, Use
from seedbed.estimators.words import unit
from seedbed.formulas import losses
from seedbed.formulas.losses import Loss
from seedbed.population import Population
from seedbed.tables.encoding import Encoding
from seedbed.tables.targets import Target, quantities


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """An ensemble of networks that predicts one quantity, or several.

    loss  "auto" is the squared error; a name such as "absolute_error" or "poisson", or a
          ``sb.Loss`` such as ``sb.quantile(0.9)``

    The target is scaled inside, by a rule that single values far off cannot throw. The other
    parameters and what fit sets are those of ``NetworkClassifier``, but for the classes.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> mean, std = NetworkRegressor(random_state=0).fit(X, y).predict(X, return_std=True)
    >>> mean.shape, std.shape
    ((442,), (442,))
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one more epoch on X, y; the optimizer goes on from where it stood.

        The first call fits the table's encoding and the target's scale on its rows. Nothing is
        held out.
        """
        return self._partial_fit(X, y, sample_weight, None)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the members' mean prediction, (N,), or (N, O) where y had columns.

        With ``return_std``, a pair: that, and the standard deviation across the members.
        """
        x = self._inputs(X)
        target, population = self.encoding_.target, self.population_
        if not return_std:
            mean = target.restored(population.predict_mean(x).astype(np.float64))
            return mean[:, 0] if self._flat else mean
        each = target.restored(self._each(x))
        each = each[:, :, 0] if self._flat else each
        return reproducible.mean(each, 0), reproducible.deviation(each, 0)

    def _loss(self) -> Loss:
        usual = losses.squared_error
        loss: Loss = usual if self.loss == "auto" else unit("loss", self.loss, losses.BY_NAME)
        if loss.targets not in ("number", "count"):
            raise SettingError(
                f"loss {loss.name!r} is for classes: a regressor needs one for numbers, such as "
                "'squared_error', or loss='auto'"
            )
        return loss

    def _checked_targets(self, y: Any) -> Array:
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", ensure_min_samples=0)
        if y.ndim > 2:
            raise DataError(f"y has shape {y.shape}: a regressor needs (rows,) or (rows, outputs)")
        return np.asarray(y)

    def _set_out(self, y: Array, names: list[str], classes: Any) -> None:
        self._flat = y.ndim == 1
        if len(names) != y.reshape(len(y), -1).shape[1]:
            names = ["y"] if self._flat else [f"y{number}" for number in range(y.shape[1])]
        self._target = Target(tuple(names))

    def _encoded(self, y: Array) -> Array:
        return y.reshape(len(y), -1)

    def _check_use(self, y: Array, use: Use, classes: Any) -> None:
        outputs = len(self._target.names)
        if y.reshape(len(y), -1).shape[1] != outputs:
            raise DataError(
                f"y has shape {y.shape}, and the first y had {outputs} columns: give as many, or "
                "fit anew"
            )

    def _scaled(self, t: Array, w: Array | None) -> Target:
        target = quantities(self._target.names, t, w, "y")
        if self._loss().targets == "number":
            return target
        if (t < 0).any():
            raise DataError(
                f"y holds {t.min():g}: the loss {self._loss().name!r} is for counts, from 0 up"
            )
        one = np.ones(len(target.names))
        none = tuple(np.inf * one)
        return replace(
            target, mean=tuple(0 * one), scale=tuple(one), low=tuple(-np.inf * one), high=none
        )

    def _restore(self, population: Population, encoding: Encoding, words: dict[str, Any]) -> None:
        if encoding.target.task != "regression":
            raise ValueError("the file's target is no quantity")
        super()._restore(population, encoding, words)
