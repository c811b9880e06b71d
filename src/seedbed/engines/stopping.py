"""Rules for divergence, the best epoch and patience, and their use in the NumPy engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status


def is_better(loss: Any, best_loss: Any) -> Any:
    """Return whether a validation loss is the lowest so far; equal losses are not better."""
    return loss < best_loss


def is_patience_over(epochs: int, best_epoch: Any, patience: int) -> Any:
    """Return whether the validation loss has not improved for ``patience`` epochs."""
    return epochs - best_epoch >= patience


def epochs_before_divergence(epoch: int, loss_finite: bool) -> int:
    """Return the number of epochs up to the last good parameters of a member that diverged.

    Training losses are computed before each step. If the loss of ``epoch`` is finite, the
    parameters at the start of the epoch were good; else those at the start of the epoch before.
    """
    return max(epoch - 1 + int(loss_finite), 0)


class MemberStopping:
    """Stops the members of a block and records their losses.

    A stopped member is computed until its whole block ends; ``close`` then restores its parameters.
    """

    def __init__(self, plan: Plan, state: State, members: Indices, epochs_run: int) -> None:
        self.plan, self.state, self.members = plan, state, members
        self.live = np.ones(len(members), dtype=np.bool_)
        self.epochs_run = epochs_run
        self.frozen: list[tuple[Indices, Array]] = []

    def after(
        self,
        epoch: int,
        theta: Array,
        before: Array,
        earlier: Array,
        train_loss: Array,
        val_loss: Array | None,
    ) -> bool:
        """Record the losses of ``epoch`` and stop members; return whether any is still running.

        theta, before and earlier (p, D) are the parameters now, at the start of this epoch and at
        the start of the previous one; train_loss and val_loss are (p,).
        """
        plan, state = self.plan, self.state
        loss_finite = np.isfinite(train_loss)
        finite = loss_finite & (True if val_loss is None else np.isfinite(val_loss))
        if not (finite.all() and np.isfinite(theta).all()):
            finite &= np.isfinite(theta).all(axis=1)
            for case, good in ((False, earlier), (True, before)):
                diverged = self.live & ~finite & (loss_finite == case)
                self.frozen.append((self.members[diverged], good[diverged]))
                self._stop(diverged, Status.DIVERGED, epochs_before_divergence(epoch, case))
        if epoch % plan.record_every == 0:
            live = self.members[self.live]
            column = epoch // plan.record_every
            state.train_loss[live, column] = train_loss[self.live]
            if state.val_loss is not None and val_loss is not None:
                state.val_loss[live, column] = val_loss[self.live]
        if state.best is not None and val_loss is not None and plan.patience is not None:
            better = self.live & is_better(val_loss, state.best_loss[self.members])
            improved = self.members[better]
            state.best[improved] = theta[better]
            state.best_loss[improved] = val_loss[better]
            state.best_epoch[improved] = epoch + 1
            over = is_patience_over(epoch + 1, state.best_epoch[self.members], plan.patience)
            self._stop(self.live & over, Status.STOPPED, epoch + 1)
        self.epochs_run = epoch + 1
        return bool(self.live.any())

    def _stop(self, which: Array, status: Status, epochs_run: int) -> None:
        members = self.members[which]
        self.state.status[members] = status
        self.state.epochs_run[members] = epochs_run
        self.live &= ~which

    def close(self) -> None:
        """Restore the last good parameters of diverged members, and set the others' epochs."""
        self.state.epochs_run[self.members[self.live]] = self.epochs_run
        for members, theta in self.frozen:
            self.state.theta[members] = theta
