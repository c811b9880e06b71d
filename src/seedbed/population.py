"""Members that share a network and were trained together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, one_line
from seedbed.checks import checked_inputs
from seedbed.engines.base import SMALL_BATCH, Engine, Stage
from seedbed.engines.select import predicting
from seedbed.engines.state import Status
from seedbed.errors import DataError
from seedbed.network import Network
from seedbed.recipe import Recipe
from seedbed.reproducible import mean

_AT_ONCE = 2**20
"""How many predictions ``predict_mean`` holds at a time."""


@dataclass(frozen=True, eq=False)
class History:
    """The losses of P members, epoch by epoch; NaN after a member's last epoch.

    epochs      (E,) the epochs that were recorded, counted from 0
    train_loss  (P, E) the mean over the epoch's rows, each taken before the step it led to; with
                dropout on, and without penalties
    val_loss    (P, E) after the epoch, without dropout; None where nothing was held out
    ensemble_val_loss  (E,) that of the mean prediction, where it was watched, else None
    """

    epochs: npt.NDArray[np.int64]
    train_loss: Array
    val_loss: Array | None
    ensemble_val_loss: Array | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Population:
    """P trained networks: their parameters and how they came about.

    recipe      what they were trained with; its engine is the one that did it, and predicts
    theta       (P, D) parameters; ``recipe.network.views`` gives each layer's W and b
    seeds       (P,)
    status      (P,) "finished", "stopped" (early, by ``patience``), "diverged" or "interrupted"
    epochs      (P,) epochs trained; for a diverged member, those that led to its theta
    best_epoch  (P,) the epochs after which theta stood as it does now: fewer than ``epochs`` where
                the best epoch was restored
    loss        (P,) the mean training loss at theta, without dropout and penalties; NaN where
                diverged
    history     the losses along the way

    A diverged member keeps the last parameters with which its loss was finite, for study (where it
    is the best epoch, by validation loss, whose training loss is not finite, those). Its loss and
    predictions are NaN, so that it is never taken for a fitted one.

    ``population[3]``, ``population[2:5]`` and ``population[mask]`` are populations too.
    """

    recipe: Recipe
    theta: Array
    seeds: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_]
    epochs: npt.NDArray[np.int64]
    best_epoch: npt.NDArray[np.int64]
    loss: Array
    history: History

    @property
    def network(self) -> Network:
        """The members' shape."""
        return self.recipe.network

    @property
    def settings(self) -> dict[str, Array]:
        """The hyperparameters in which members differ, each (P,)."""
        return self.recipe.settings

    @cached_property
    def diverged(self) -> npt.NDArray[np.bool_]:
        """Which members diverged, (P,)."""
        return np.asarray(self.status == Status.DIVERGED.name.lower())

    @cached_property
    def _any_diverged(self) -> bool:
        return bool(self.diverged.any())

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies are made from: without what can be made anew."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, which: int | slice | Any) -> Population:
        index = np.atleast_1d(np.arange(len(self))[which])
        if index.ndim > 1 or index.size == 0:
            raise IndexError(f"population[{one_line(which)}] must choose members, at least one")
        history = self.history
        return Population(
            recipe=self.recipe.take(index, len(self)),
            theta=self.theta[index],
            seeds=self.seeds[index],
            status=self.status[index],
            epochs=self.epochs[index],
            best_epoch=self.best_epoch[index],
            loss=self.loss[index],
            history=History(
                history.epochs,
                history.train_loss[index],
                None if history.val_loss is None else history.val_loss[index],
                history.ensemble_val_loss,
            ),
        )

    def outputs(self, X: Any) -> Array:
        """Return the networks' raw outputs, (P, N, O): logits where the loss takes logits.

        Shapes: X (N, I).
        Raises: ShapeError if X's last axis is not I; DataError if X is not all finite.
        """
        return self._outputs(X, "outputs")

    def predict(self, X: Any) -> Array:
        """Return each member's predictions, (P, N, O): means, rates or probabilities by the loss.

        Shapes: X (N, I).
        Raises: ShapeError if X's last axis is not I; DataError if X is not all finite.
        """
        return self._outputs(X, "predictions")

    def predict_mean(self, X: Any) -> Array:
        """Return the ensemble's prediction, (N, O): the mean over the members that did not diverge.

        Shapes: X (N, I).
        Raises: as ``predict``; DataError if every member diverged.
        """
        fitted = ~self.diverged if self._any_diverged else None
        if fitted is not None and not fitted.any():
            raise DataError(
                f"all {len(self)} members diverged, so there is nothing to predict with: train "
                "again with a lower learning rate or with clip_norm"
            )
        x = checked_inputs(X, self.network, self.theta.dtype)
        members = self if fitted is None else self[fitted]
        if len(members) * len(x) <= SMALL_BATCH:
            y = members.predict(x)
            return y[0] if len(y) == 1 else _one_nan(mean(y, axis=0).astype(y.dtype))
        together = np.empty((len(x), self.network.outputs), self.theta.dtype)
        step = max(1, _AT_ONCE // (len(members) * self.network.outputs))
        for start in range(0, len(x), step):
            y = members.predict(x[start : start + step])
            together[start : start + step] = _one_nan(mean(y, axis=0))
        return together

    def _outputs(self, X: Any, stage: Stage) -> Array:
        """Return the outputs, (P, N, O), up to ``stage``; NaN where diverged."""
        x = checked_inputs(X, self.network, self.theta.dtype)
        if len(x) * len(self.theta) <= SMALL_BATCH and self._small_batch is not None:
            y = self._small_batch(x, stage)
        else:
            y = self._engine.outputs(self.network, self.recipe.loss, self.theta, x, stage)
        if self._any_diverged:
            y[self.diverged] = np.nan
        return y

    @cached_property
    def _small_batch(self) -> Callable[[Array, Stage], Array] | None:
        return self._engine.small_batch_predictor(self.network, self.recipe.loss, self.theta)

    @cached_property
    def _engine(self) -> Engine:
        return predicting(self.recipe.engine, self.network, self.recipe.optimizer)

    def __repr__(self) -> str:
        names, counts = np.unique(self.status, return_counts=True)
        standing = ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True))
        fitted = self.loss[~self.diverged]
        spread = ""
        if len(fitted):
            low, middle, high = np.quantile(fitted, [0.25, 0.5, 0.75])
            spread = f"; loss {middle:.4g} (quartiles {low:.4g} to {high:.4g})"
        return f"<Population of {len(self)}: {self.network}; {standing}{spread}>"


def _one_nan(y: Array) -> Array:
    """Return y with its NaNs as ``np.nan``: the sign of inf - inf's depends on the processor."""
    lost = y != y
    if lost.any():
        y[lost] = np.nan
    return y
