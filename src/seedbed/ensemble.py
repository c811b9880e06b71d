"""Early stopping of all members on the ensemble's validation loss."""

from __future__ import annotations

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array
from seedbed.engines.base import Engine
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status
from seedbed.engines.stopping import is_better, is_patience_over


class EnsembleStopping:
    """Computes the ensemble's validation loss after each epoch, and stops all members by it.

    The prediction of a held-out row is the mean over the running members that hold it out.

    val_loss  (E,) the ensemble's losses; NaN for epochs not run
    """

    def __init__(self, plan: Plan, engine: Engine) -> None:
        data = plan.validation
        assert data is not None  # checked by train
        assert plan.loss.inverse_predict is not None  # checked by Recipe
        self.plan, self.data = plan, data
        self.outputs = engine.predictor(plan.network, plan.loss, data.x.dtype)
        self.predict = engine.elementwise(plan.loss.predict)
        self.inverse_predict = engine.elementwise(plan.loss.inverse_predict)
        self.loss = engine.elementwise(plan.loss.f)
        self.val_loss = np.full(plan.epochs, np.nan)
        self.best_loss, self.best_epoch = np.inf, 0
        self.w = np.ones(len(data.x)) if data.w is None else data.w.astype(np.float64)
        self.t = data.t.astype(np.float64)
        members = range(len(plan.seeds))
        rows = data.rows
        self.rows = None if rows is None else [rows.of(np.array([member]))[0] for member in members]
        self.x = None if self.rows is None else [data.x[rows] for rows in self.rows]
        self.all_rows = np.arange(len(data.x))

    def update(self, state: State, epochs_run: int) -> bool:
        """Record all validation losses after an epoch and keep the best epoch's parameters.

        Returns whether training ends.
        """
        running = state.running
        if not running.size:
            return True
        column = (epochs_run - 1) // self.plan.record_every
        mean, predicted = self._mean_predictions(state, running, column)
        running = state.running
        if not running.size:
            return True
        losses = self.loss(self.inverse_predict(mean[predicted]), self.t[predicted])
        loss = self._mean(losses, self.w[predicted])
        self.val_loss[epochs_run - 1] = loss
        if state.best is None:  # without patience, record only
            return False
        if is_better(loss, self.best_loss):
            self.best_loss, self.best_epoch = loss, epochs_run
            state.best[running] = state.theta[running]
            state.best_loss[running], state.best_epoch[running] = loss, epochs_run
        patience = self.plan.patience
        if patience is not None and is_patience_over(epochs_run, self.best_epoch, patience):
            state.status[running] = Status.STOPPED
            return True
        return False

    def _mean_predictions(self, state: State, running: Array, column: int) -> tuple[Array, Array]:
        """Return the mean prediction of each row (N, O), and whether it was predicted (N,).

        Records each member's validation loss and freezes members whose loss is not finite.
        """
        total, count = np.zeros(self.t.shape), np.zeros((len(self.t), 1))
        shared = (
            None
            if self.x is not None
            else self.outputs(state.theta[running], self.data.x, "normalised")
        )
        for index, member in enumerate(running):
            if shared is not None:
                rows, y = self.all_rows, shared[index]
            else:
                assert self.rows is not None
                assert self.x is not None
                rows = self.rows[member]
                theta = state.theta[member : member + 1]
                (y,) = self.outputs(theta, self.x[member], "normalised")
            prediction = self.predict(y)
            loss = self._mean(self.loss(y, self.data.t[rows]), self.w[rows])
            if not np.isfinite(loss):  # diverged: restore the start of the epoch, as engines do
                state.status[member] = Status.DIVERGED
                state.theta[member] = state.before[member]
                state.epochs_run[member] -= 1
                continue
            assert state.val_loss is not None
            state.val_loss[member, column] = loss
            total[rows] += prediction
            count[rows] += 1
        predicted = (count[:, 0] > 0) & (self.w > 0)
        return total / np.maximum(count, 1), predicted

    def _mean(self, losses: Array, w: Array) -> float:
        """Return the mean of losses (n, O) over rows with weights w (n,)."""
        summed = self.plan.loss.terms(losses.shape[1]) == 1
        row_losses = reproducible.total(losses) if summed else reproducible.mean(losses)
        return float(reproducible.weighted_mean(row_losses, w))
