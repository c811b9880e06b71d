"""A run of a planned training: some epochs at a time, with callbacks between them."""

from __future__ import annotations

import math
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seedbed import memory
from seedbed.arrays import Array
from seedbed.engines.plan import Plan
from seedbed.engines.select import prepare
from seedbed.engines.state import STATUS_NAMES, State, Status, Stop
from seedbed.ensemble import EnsembleStopping
from seedbed.errors import CallbackWarning
from seedbed.planning import check_distinct, checked_start
from seedbed.population import History, Population
from seedbed.progress import Callback, Every, Live, Progress
from seedbed.recipe import Recipe

CALLBACK_SECONDS = 0.15
"""Target time between callbacks."""


class Run:
    """A training that is advanced to an epoch, looked at, and advanced further or finished.

    How it is divided changes no bit of the result.

    start        initial theta, (P, D) or (D,), or None
    slots        the optimizer's arrays after earlier epochs, (P, D) each, or none
    first_epoch  completed epochs, of the recipe's
    trainings    how many such runs there are, for the choice of an engine
    ensemble     the ensemble's validation losses and held-out predictions, if it is monitored
    completes    whether a request to stop waits until all members have trained equally long, as
                 checkpoints need it; it does not where an epoch takes more than a second
    name         of the recipe, where several are tried

    Raises: as ``train``, and as ``engines.select.prepare``.
    """

    def __init__(
        self, recipe: Recipe, plan: Plan, threads: int | None, start: Array | None = None,
        slots: Sequence[Array] = (), first_epoch: int = 0, *, quiet: bool,
        classes: Array | None = None, trainings: int = 1,
    ) -> None:  # fmt: skip
        self.recipe, self.plan, self.classes = recipe, plan, classes
        _check_memory(recipe, plan, trainings)
        monitors_ensemble = recipe.monitor == "ensemble"
        # EnsembleStopping computes the members' validation losses: the engine needs no validation
        engine_plan = replace(plan, validation=None, patience=None) if monitors_ensemble else plan
        if start is None:
            check_distinct(plan, recipe)
            theta = recipe.network.init(plan.seeds, recipe.dtype)
        else:
            theta = checked_start(start, len(plan.seeds), recipe)
        self.state, self.epoch, self.ended = State.at_start(plan, theta), first_epoch, False
        self.completes, self.name, self.first_epoch = False, "", first_epoch
        self.engine, self.training = prepare(recipe.engine, engine_plan, threads, quiet, trainings)
        self.ensemble = EnsembleStopping(plan, self.engine) if monitors_ensemble else None
        if slots:
            self.state.optimizer_state = [slot.copy() for slot in slots]
        self.state.epochs_run[:] = first_epoch

    def advance(
        self, until: int, stop: Stop, callbacks: Sequence[Callback] = (), deadline: float = math.inf
    ) -> None:
        """Train to the epoch ``until``, with callbacks when they are due.

        ``ended`` tells whether no epoch is left, by stopping or by a callback.

        deadline  time of ``time.perf_counter`` after which only a run's first epoch may end; the
                  members are then stopped
        """
        plan, state, ensemble = self.plan, self.state, self.ensemble
        periodic = [callback for callback in callbacks if isinstance(callback, Every)]
        count = 1  # epochs per call of the engine
        last_callback = time.perf_counter()
        if 0 < self.epoch < until and last_callback > deadline and not self.ended:
            self._stop_members()
            if callbacks:
                _call(callbacks, (), self._progress(is_last=True))
        while self.epoch < until and not self.ended and state.running.size and not stop.is_set():
            start, first = time.perf_counter(), self.epoch
            whole = min(first + count, until)
            epoch = min(whole, *(each.next(first) for each in periodic)) if periodic else whole
            self.training.run(state, range(first, epoch), stop)
            stop.began = True
            if stop.is_set() and not self._completed(range(first, epoch), start):
                break
            self.epoch = epoch
            if ensemble is not None:  # updated after every epoch
                self.ended = ensemble.update(state, epoch)
            else:
                seconds = max(time.perf_counter() - start, 1e-9)
                count = max(1, min(round((epoch - first) * CALLBACK_SECONDS / seconds), 8 * count))
            self.ended = self.ended or epoch == plan.epochs or not state.running.size
            now = time.perf_counter()
            if deadline < math.inf:
                left = (deadline - now) / max((now - start) / (epoch - first), 1e-9)
                count = max(1, min(count, int(left)))
                if left < 1 and not self.ended and epoch < until:
                    self._stop_members()
            timed = (ensemble is None and epoch == whole) or now - last_callback >= CALLBACK_SECONDS
            last_callback = now if timed else last_callback
            due = [
                each
                for each in callbacks
                if self.ended or (epoch % each.epochs == 0 if isinstance(each, Every) else timed)
            ]
            if due and _call(due, periodic, self._progress(is_last=self.ended)):
                self.ended = True
        self.ended = self.ended or stop.is_set() or not state.running.size

    @property
    def is_even(self) -> bool:
        """Whether all members still in training have completed ``epoch`` epochs."""
        state = self.state
        return bool((state.epochs_run[state.running] == self.epoch).all())

    def _completed(self, epochs: range, began: float) -> bool:
        """Train the members that a request to stop sent back to the end of these epochs.

        Returns whether all were; a call that took long is left as it is.
        """
        if not self.completes or time.perf_counter() - began > 1.0:
            return False
        state = self.state
        for epoch in epochs:
            behind = state.running[state.epochs_run[state.running] <= epoch]
            others = np.setdiff1d(state.running, behind)
            state.status[others] = Status.INTERRUPTED
            self.training.run(state, range(epoch, epoch + 1), Stop())
            state.status[others] = Status.RUNNING
        return True

    def _stop_members(self) -> None:
        """End the run, as its time is over."""
        self.state.status[self.state.running] = Status.STOPPED
        self.ended = True

    def finish(self) -> Population:
        """Return the members as trained so far, at their best epochs."""
        plan, state, ensemble = self.plan, self.state, self.ensemble
        end(plan, state)
        final = self._final_loss()
        return Population(
            recipe=replace(self.recipe, engine=self.engine.name),
            theta=state.theta,
            seeds=plan.seeds,
            status=STATUS_NAMES[state.status],
            epochs=state.epochs_run,
            best_epoch=state.best_epoch if plan.patience else state.epochs_run.copy(),
            loss=final,
            history=History(
                np.arange(0, plan.epochs, plan.record_every),
                state.train_loss,
                state.val_loss,
                None if ensemble is None else ensemble.val_loss[:: plan.record_every],
            ),
            classes=self.classes,
        )

    def _progress(self, *, is_last: bool) -> Progress:
        plan, state = self.plan, self.state
        epoch = int(state.epochs_run.max())
        column = max(epoch - 1, 0) // plan.record_every
        return Progress(
            epoch=epoch,
            epochs=plan.epochs,
            running=state.running.size,
            train_loss=state.train_loss[:, column].copy(),
            val_loss=None if state.val_loss is None else state.val_loss[:, column].copy(),
            seeds=plan.seeds,
            settings=self.recipe.settings,
            first_epoch=self.first_epoch,
            record_every=plan.record_every,
            recipe=self.name,
            is_last=is_last,
            _live=[
                Live(
                    state.theta, state.status, state.epochs_run, state.train_loss, state.val_loss,
                    None if self.ensemble is None else self.ensemble.val_loss,
                )
            ],
        )  # fmt: skip

    def _final_loss(self) -> Array:
        """Return the mean training losses at the final parameters, (P,).

        Members whose final loss is not finite are marked as diverged, too.
        """
        state = self.state
        final = np.full(len(state.theta), np.nan, dtype=state.theta.dtype)
        fitted = np.flatnonzero(state.status != Status.DIVERGED)
        final[fitted] = self.training.losses(state.theta, fitted)
        diverged = ~np.isfinite(final) & (state.status != Status.DIVERGED)
        if state.best is None:  # else theta is that of the best epoch, and stays
            state.theta[diverged] = state.before[diverged]
            state.epochs_run[diverged] = np.maximum(state.epochs_run[diverged] - 1, 0)
        state.status[diverged] = Status.DIVERGED
        final[diverged] = np.nan
        return final


def _check_memory(recipe: Recipe, plan: Plan, trainings: int) -> None:
    """Refuse a training whose state does not fit into memory.

    Raises: SettingError.
    """
    members, size = len(plan.seeds), recipe.network.size
    arrays = 2 + len(plan.optimizer.state) + (plan.patience is not None)
    recorded = -(-plan.epochs // plan.record_every) * (1 + (plan.validation is not None))
    item = np.dtype(recipe.dtype).itemsize
    state, history = members * size * arrays * item, members * recorded * item
    if history > state:
        memory.check_fits(
            trainings * (state + history),
            f"a history of {members:,} members over {plan.epochs:,} epochs",
            "keep fewer losses with record_every, or train fewer seeds at a time",
        )
    memory.check_fits(
        trainings * (state + history),
        f"training {members:,} members of {size:,} parameters",
        "train fewer seeds at a time, or a smaller network",
    )


def end(plan: Plan, state: State) -> None:
    """Set the status of the members still running, and restore the best epochs."""
    running = state.running
    finished = state.epochs_run[running] == plan.epochs
    state.status[running] = np.where(finished, Status.FINISHED, Status.INTERRUPTED)
    if state.best is not None:
        fitted = state.status != Status.DIVERGED
        np.copyto(state.theta, state.best, where=fitted[:, None])
        state.best_epoch[~fitted] = state.epochs_run[~fitted]


def _call(due: Sequence[Callback], periodic: Sequence[Callback], progress: Progress) -> bool:
    """Call callbacks, and if one ends the training also those that want its last epoch.

    Returns whether one ends the training. One that raises ends it, with a warning that says where,
    so that what was trained is not lost.
    """
    try:
        results = [_answer(callback, progress) for callback in due]
        ends = any(results)
        for callback in periodic:
            if ends and callback not in due:
                _answer(callback, progress)
        return ends
    finally:
        progress.release()


def _answer(callback: Callback, progress: Progress) -> object:
    """Return what a callback returns, and True if it raises."""
    try:
        return callback(progress)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}, line {frames[-1].lineno}"
        text = (str(error).splitlines() or [""])[0]
        warnings.warn(
            f"a callback raised {type(error).__name__}: {text} ({place}): training ends",
            CallbackWarning,
            stacklevel=2,
        )
        return True
