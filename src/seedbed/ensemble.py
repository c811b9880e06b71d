"""Early stopping of all members at once, on the ensemble's validation loss."""

from __future__ import annotations

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array
from seedbed.engines.base import Engine
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status
from seedbed.engines.stopping import has_waited, is_better


class EnsembleStopping:
    """The ensemble's validation loss, epoch by epoch, and the parameters of its best epoch.

    A held-out row is predicted by the mean of the running members that hold it out: all of them
    where they share their validation data, those that do not train on it where each has its own.

    curve  (E,) the losses, NaN where not looked at
    """

    def __init__(self, plan: Plan, engine: Engine) -> None:
        data = plan.validation
        assert data is not None  # as there is a patience
        assert plan.loss.inverse_predict is not None  # as the recipe has seen to
        self.plan, self.engine, self.data = plan, engine, data
        self.predict = engine.elementwise(plan.loss.predict)
        self.inverse_predict = engine.elementwise(plan.loss.inverse_predict)
        self.loss = engine.elementwise(plan.loss.f)
        self.curve = np.full(plan.epochs, np.nan)
        self.best_loss, self.best_epoch = np.inf, 0
        self.w = np.ones(len(data.x)) if data.w is None else data.w.astype(np.float64)
        self.t = data.t.astype(np.float64)
        members = range(len(plan.seeds))
        rows = data.rows
        self.rows = None if rows is None else [rows.of(np.array([member]))[0] for member in members]
        self.x = None if self.rows is None else [data.x[rows] for rows in self.rows]
        self._all = np.arange(len(data.x))

    def look(self, state: State, epoch: int) -> bool:
        """Take the losses after ``epoch`` epochs into account; return whether training may end.

        Writes each member's validation loss into the state, and keeps the best epoch's theta.
        """
        running = state.running
        if not running.size:
            return True
        mean, held = self._together(state, running, (epoch - 1) // self.plan.record_every)
        running = state.running
        if not running.size:
            return True
        each = self.loss(self.inverse_predict(mean[held]), self.t[held])
        loss = self._mean(each, self.w[held])
        self.curve[epoch - 1] = loss
        if state.best is None:  # watched, and no more
            return False
        if is_better(loss, self.best_loss):
            self.best_loss, self.best_epoch = loss, epoch
            state.best[running] = state.theta[running]
            state.best_loss[running], state.best_epoch[running] = loss, epoch
        patience = self.plan.patience
        if patience is not None and has_waited(epoch, self.best_epoch, patience):
            state.status[running] = Status.STOPPED
            return True
        return False

    def _together(self, state: State, running: Array, column: int) -> tuple[Array, Array]:
        """Return the mean prediction of each row (N, O), and which rows were predicted, (N,)."""
        total, count = np.zeros(self.t.shape), np.zeros((len(self.t), 1))
        shared = None if self.x is not None else self._outputs(state.theta[running], self.data.x)
        for place, member in enumerate(running):
            if shared is not None:
                rows, y = self._all, shared[place]
            else:
                assert self.rows is not None
                assert self.x is not None
                rows = self.rows[member]
                (y,) = self._outputs(state.theta[member : member + 1], self.x[member])
            predicted = self.predict(y)
            each = self.loss(y, self.data.t[rows])
            loss = self._mean(each, self.w[rows])
            if not np.isfinite(loss):  # as the engines do: back to how the epoch began
                state.status[member] = Status.DIVERGED
                state.theta[member] = state.before[member]
                state.epochs_run[member] -= 1
                continue
            assert state.val_loss is not None
            state.val_loss[member, column] = loss
            total[rows] += predicted
            count[rows] += 1
        held = (count[:, 0] > 0) & (self.w > 0)
        return total / np.maximum(count, 1), held

    def _outputs(self, theta: Array, x: Array) -> Array:
        plan = self.plan
        return self.engine.outputs(plan.network, plan.loss, theta, x, "normalised")

    def _mean(self, each: Array, w: Array) -> float:
        """Return the mean of the losses (n, O) over rows of weight w (n,)."""
        summed = self.plan.loss.terms(each.shape[1]) == 1
        over_outputs = reproducible.total(each) if summed else reproducible.mean(each)
        return float(reproducible.weighted_mean(over_outputs, w))
