"""When a member ends: the rules for divergence, the best epoch and patience.

The first three functions are the rules, for numbers and arrays alike: every engine uses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status


def is_better(loss: Any, best_loss: Any) -> Any:
    """Return whether a validation loss is the lowest so far; of equal ones the first counts."""
    return loss < best_loss


def has_waited(epochs: int, best_epoch: Any, patience: int) -> Any:
    """Return whether the validation loss has not improved for ``patience`` epochs."""
    return epochs - best_epoch >= patience


def epochs_to_last_good(epoch: int, began_well: bool) -> int:
    """Return how many epochs led to the last good parameters of a member that diverged.

    A training loss is taken before the step that it leads to. So where it is finite, the epoch
    began with good parameters; where it is not, the epoch before began with the last good ones.
    """
    return max(epoch - 1 + int(began_well), 0)


class MemberStopping:
    """The rules applied after every epoch to a block of members, and their history.

    A member that ends is still computed until the block ends; its state from before is restored.
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
        """Record the epoch and end members; return whether any member goes on.

        theta, before and earlier (p, D) are the parameters now and at the start of this epoch and
        of the one before; train_loss and val_loss are (p,).
        """
        plan, state = self.plan, self.state
        began_well = np.isfinite(train_loss)
        finite = began_well & (True if val_loss is None else np.isfinite(val_loss))
        if not (finite.all() and np.isfinite(theta).all()):
            finite &= np.isfinite(theta).all(axis=1)
            for began, good in ((False, earlier), (True, before)):
                diverged = self.live & ~finite & (began_well == began)
                self.frozen.append((self.members[diverged], good[diverged]))
                self._leave(diverged, Status.DIVERGED, epochs_to_last_good(epoch, began))
        if epoch % plan.record_every == 0:
            live = self.members[self.live]
            column = epoch // plan.record_every
            state.train_loss[live, column] = train_loss[self.live]
            if state.val_loss is not None and val_loss is not None:
                state.val_loss[live, column] = val_loss[self.live]
        if state.best is not None and val_loss is not None and plan.patience is not None:
            better = self.live & is_better(val_loss, state.best_loss[self.members])
            chosen = self.members[better]
            state.best[chosen] = theta[better]
            state.best_loss[chosen] = val_loss[better]
            state.best_epoch[chosen] = epoch + 1
            over = has_waited(epoch + 1, state.best_epoch[self.members], plan.patience)
            self._leave(self.live & over, Status.STOPPED, epoch + 1)
        self.epochs_run = epoch + 1
        return bool(self.live.any())

    def _leave(self, leaving: Array, status: Status, epochs_run: int) -> None:
        members = self.members[leaving]
        self.state.status[members] = status
        self.state.epochs_run[members] = epochs_run
        self.live &= ~leaving

    def close(self) -> None:
        """Restore the last good parameters of diverged members, and count the others' epochs."""
        self.state.epochs_run[self.members[self.live]] = self.epochs_run
        for members, theta in self.frozen:
            self.state.theta[members] = theta
