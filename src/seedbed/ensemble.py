"""Early stopping of all members on the ensemble's validation loss."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array, Indices
from seedbed.engines.base import Engine, cores
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status
from seedbed.engines.stopping import is_better, is_patience_over

KEPT_BYTES = 2**26
"""The most that the members' held-out inputs may take to be kept from epoch to epoch."""


class EnsembleStopping:
    """Computes the ensemble's validation loss after each epoch, and stops all members by it.

    The prediction of a held-out row is the mean over the running members that hold it out.

    val_loss     (E,) the ensemble's losses; NaN for epochs not run
    best_losses  (N,) of each row after the best epoch; NaN for rows that no member holds out
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
        self.best_losses = np.full(len(data.x), np.nan)
        self.w = np.ones(len(data.x)) if data.w is None else data.w.astype(np.float64)
        self.t = data.t.astype(np.float64)
        self.groups = [
            (members, *self._own(members))
            for members in plan.by_row_counts(np.arange(len(plan.seeds)))
        ]

    def copy(self) -> EnsembleStopping:
        """Return one with losses of its own."""
        copied = copy.copy(self)
        copied.val_loss, copied.best_losses = self.val_loss.copy(), self.best_losses.copy()
        return copied

    def _own(self, members: Indices) -> tuple[Indices | None, Array | None]:
        """Return the members' held-out rows (p, n) and inputs (p, n, I).

        Members without rows of their own share all: None and (N, I). The inputs are None if they
        would take more than ``KEPT_BYTES``.
        """
        if self.data.rows is None:
            return None, self.data.x
        rows = self.data.rows.of(members)
        size = rows.size * self.data.x.shape[1] * self.data.x.itemsize
        return rows, self.data.x[rows] if size <= KEPT_BYTES else None

    def _outputs(self, theta: Array, rows: Indices | None, x: Array | None) -> Array:
        """Return the normalised outputs (p, n, O) for inputs x, or for some members at a time."""
        if x is not None:
            return self.outputs(theta, x, "normalised")
        assert rows is not None
        each = rows.shape[1] * self.data.x.shape[1] * self.data.x.itemsize
        step = max(cores(), KEPT_BYTES // each)
        return np.concatenate([
            self.outputs(theta[start : start + step], self.data.x[rows[start : start + step]],
                         "normalised")
            for start in range(0, len(theta), step)
        ])  # fmt: skip

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
        row_losses = self._of_rows(losses)
        loss = float(self._mean(row_losses, self.w[predicted]))
        self.val_loss[epochs_run - 1] = loss
        if state.best is None:  # without patience, record only
            return False
        if is_better(loss, self.best_loss):
            self.best_loss, self.best_epoch = loss, epochs_run
            self.best_losses[:] = np.nan
            self.best_losses[predicted] = row_losses
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
        assert state.val_loss is not None
        total, count = np.zeros(self.t.shape), np.zeros((len(self.t), 1))
        predicted: dict[int, tuple[Any, Array]] = {}
        for members, rows, x in self.groups:
            is_running = np.isin(members, running)
            members = members[is_running]
            if not members.size:
                continue
            if rows is not None and not is_running.all():
                rows, x = rows[is_running], None if x is None else x[is_running]
            y = self._outputs(state.theta[members], rows, x)
            t, w = (self.data.t, self.w) if rows is None else (self.data.t[rows], self.w[rows])
            losses = self._mean(self._of_rows(self.loss(y, np.broadcast_to(t, y.shape))), w)
            state.val_loss[members, column] = losses
            predictions = self.predict(y)
            for index, member in enumerate(members.tolist()):
                if np.isfinite(losses[index]):
                    own = slice(None) if rows is None else rows[index]
                    predicted[member] = own, predictions[index]
                else:  # diverged: restore the start of the epoch, as engines do
                    state.status[member] = Status.DIVERGED
                    state.theta[member] = state.before[member]
                    state.val_loss[member, column] = np.nan
                    state.epochs_run[member] -= 1
        for _, (own, prediction) in sorted(predicted.items()):  # in an order that no group decides
            total[own] += prediction
            count[own] += 1
        known = (count[:, 0] > 0) & (self.w > 0)
        return total / np.maximum(count, 1), known

    def _of_rows(self, losses: Array) -> Array:
        """Return each row's loss (…, n) from the outputs' losses (…, n, O)."""
        summed = self.plan.loss.terms(losses.shape[-1]) == 1
        each = reproducible.total(losses) if summed else reproducible.mean(losses)
        return np.asarray(each, np.float64)

    def _mean(self, losses: Array, w: Array) -> Array:
        """Return the means of losses (…, n) over rows with weights w (n,) or (…, n)."""
        return np.asarray(reproducible.total(losses * w) / reproducible.total(w))
