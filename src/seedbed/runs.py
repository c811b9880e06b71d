"""A run of a planned training: some epochs at a time, with callbacks between them."""

from __future__ import annotations

import math
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from seedbed import memory, reproducible
from seedbed.arrays import Array, Indices
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

LONG_SECONDS = 1.0
"""The time of epochs whose end a request to stop does not wait for."""


class Run:
    """A training that is advanced to an epoch, looked at, and advanced further or finished.

    How it is divided changes no bit of the result. It advances by passes: an engine passes over
    all rows, or, where they are on disk, over a shard of them.

    start        initial theta, (P, D) or (D,), or None
    slots        the optimizer's arrays after earlier epochs, (P, D) each, or none
    first_epoch  completed epochs, of the recipe's
    trainings    how many such runs there are, for the choice of an engine
    ensemble     the ensemble's validation losses and held-out predictions, if it is monitored
    completes    whether training can resume from the state: a request to stop waits
                 for the end of the epochs under way, or, where they take long, ``snapshot`` is the
                 state before them, with what the ensemble's losses were
    passes       completed passes, of the plan's
    goes_on      whether a request to stop or a callback's error ended it, so that the same call
                 would go on
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
        engine_plan = replace(engine_plan, epochs=plan.passes, shards=None)
        if start is None:
            check_distinct(plan, recipe)
            theta = recipe.network.init(plan.seeds, recipe.dtype)
        else:
            theta = checked_start(start, len(plan.seeds), recipe)
        self.state, self.passes, self.ended = State.at_start(plan, theta), first_epoch, False
        self.completes, self.name, self.first_epoch = False, "", first_epoch
        self._settings = recipe.settings
        self.snapshot: tuple[State, EnsembleStopping | None] | None = None
        self.goes_on, self._pace = False, math.inf
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
        plan, state, ensemble, W = self.plan, self.state, self.ensemble, self.plan.passes_per_epoch
        periodic = [callback for callback in callbacks if isinstance(callback, Every)]
        count = 1  # passes per call of the engine
        last_callback = time.perf_counter()
        if 0 < self.epoch < until and last_callback > deadline and not self.ended:
            self._stop_members()
            if callbacks:
                _call(callbacks, (), self._progress(is_last=True))
        while (
            self.passes < until * W and not self.ended and state.running.size and not stop.is_set()
        ):
            start, first = time.perf_counter(), self.passes
            whole = min(first + count, until * W)
            last = min([whole, *(each.next(first // W) * W for each in periodic)])
            own = stop
            if self.completes and self._pace * (last - first) < LONG_SECONDS:
                own = Stop()  # a request to stop waits until all members have trained equally long
            elif self.completes:
                ensemble_copy = None if ensemble is None else ensemble.copy()
                self.snapshot = state.copy(), ensemble_copy
            self._train(range(first, last), own)
            stop.began = True
            if own.is_set():
                break
            self.snapshot = None
            self.passes, self._pace = last, (time.perf_counter() - start) / (last - first)
            ends_epoch = last % W == 0
            if ensemble is None:
                seconds = max(time.perf_counter() - start, 1e-9)
                count = max(1, min(round((last - first) * CALLBACK_SECONDS / seconds), 8 * count))
            elif ends_epoch:  # updated after every epoch
                self.ended = ensemble.update(state, last // W)
            self.ended = self.ended or last == plan.passes or not state.running.size
            now = time.perf_counter()
            if deadline < math.inf:
                left = (deadline - now) / max((now - start) / (last - first), 1e-9)
                count = max(1, min(count, int(left)))
                if left < W and ends_epoch and not self.ended and last < until * W:
                    self._stop_members()
            timed = (ensemble is None and last == whole) or now - last_callback >= CALLBACK_SECONDS
            last_callback = now if timed else last_callback
            due = [
                each
                for each in callbacks
                if self.ended
                or (last % (each.epochs * W) == 0 if isinstance(each, Every) else timed)
            ]
            if due:
                answer = _call(due, periodic, self._progress(is_last=self.ended))
                self.ended = self.ended or answer is not Answer.GO_ON
                self.goes_on = answer is Answer.RAISED
        self.goes_on = self.goes_on or (stop.is_set() and not self.ended)
        self.ended = self.ended or stop.is_set() or not state.running.size

    @property
    def epoch(self) -> int:
        """Completed epochs, of the recipe's."""
        return self.passes // self.plan.passes_per_epoch

    def _train(self, passes: range, stop: Stop) -> None:
        """Carry the members through passes."""
        if self.plan.shards is None:
            self.training.run(self.state, passes, stop)
            return
        for number in passes:
            self.plan.shards.load_pass(number)
            self.training.run(self.state, range(number, number + 1), stop)
            if stop.is_set():
                return

    def close(self, callbacks: Sequence[Callback]) -> None:
        """Tell callbacks that have a method ``close`` that training has ended."""
        for callback in callbacks:
            close = getattr(callback, "close", None)
            if callable(close):
                _call([close], (), self._progress(is_last=True))

    def _stop_members(self) -> None:
        """End the run, as its time is over."""
        self.state.status[self.state.running] = Status.STOPPED
        self.ended = True

    def finish(self) -> Population:
        """Return the members as trained so far, at their best epochs.

        An epoch that ended before its last shard counts as one.
        """
        plan, state, ensemble = self.plan, self.state, self.ensemble
        if ensemble is not None and self.passes % plan.passes_per_epoch:
            ensemble.update(state, self.epoch + 1)
        end(plan, state)
        final = self._final_loss()
        epochs = -(-state.epochs_run // plan.passes_per_epoch)
        return Population(
            recipe=replace(self.recipe, engine=self.engine.name),
            theta=state.theta,
            seeds=plan.seeds,
            status=STATUS_NAMES[state.status],
            epochs=epochs,
            best_epoch=state.best_epoch if plan.patience else epochs.copy(),
            loss=final,
            history=History(
                np.arange(0, plan.epochs, plan.record_every),
                self._train_loss(),
                state.val_loss,
                None if ensemble is None else ensemble.val_loss[:: plan.record_every],
            ),
            classes=self.classes,
        )

    def _progress(self, *, is_last: bool) -> Progress:
        plan, state, W = self.plan, self.state, self.plan.passes_per_epoch
        passes = int(state.epochs_run.max())
        epoch = passes // W
        column = max(epoch - 1, 0) // plan.record_every
        return Progress(
            epoch=epoch,
            epochs=plan.epochs,
            share=passes / plan.passes,
            running=state.running.size,
            train_loss=state.train_loss[:, max(passes - 1, 0) // plan.record_every].copy(),
            val_loss=None if state.val_loss is None else state.val_loss[:, column].copy(),
            seeds=plan.seeds,
            settings=self._settings,
            first_epoch=self.first_epoch,
            record_every=plan.record_every,
            recipe=self.name,
            is_last=is_last,
            _live=[
                Live(
                    state.theta, state.status, state.epochs_run // W, self._train_loss(),
                    state.val_loss,
                    None if self.ensemble is None else self.ensemble.val_loss,
                )
            ],
        )  # fmt: skip

    def _train_loss(self) -> Array:
        """Return the training losses, (P, E); of shards, the mean of those passed over."""
        losses, W = self.state.train_loss, self.plan.passes_per_epoch
        if W == 1:
            return losses
        by_epoch = losses.reshape(len(losses), -1, W).astype(np.float64)
        known = np.isfinite(by_epoch)
        count = known.sum(axis=2)
        mean = reproducible.total(np.where(known, by_epoch, 0.0)) / np.maximum(count, 1)
        return np.where(count > 0, mean, np.nan).astype(losses.dtype)

    def _losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean losses of members at theta (P, D) over all training rows, (p,)."""
        shards = self.plan.shards
        if shards is None:
            return self.training.losses(theta, members)
        sums, weights = np.zeros(len(members)), np.zeros(len(members))
        rows = self.plan.train.rows
        for number in range(shards.count):
            shards.load(number)
            weight: Array | float = 1.0
            if shards.data.w is not None:
                w = shards.data.w.astype(np.float64)
                weight = reproducible.total(w if rows is None else w[rows.of(members)])
            sums += weight * self.training.losses(theta, members)
            weights += weight
        return sums / weights

    def _final_loss(self) -> Array:
        """Return the mean training losses at the final parameters, (P,).

        Members whose final loss is not finite are marked as diverged, too.
        """
        state = self.state
        final = np.full(len(state.theta), np.nan, dtype=state.theta.dtype)
        fitted = np.flatnonzero(state.status != Status.DIVERGED)
        final[fitted] = self._losses(state.theta, fitted)
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
    recorded = -(-plan.passes // plan.record_every) * (1 + (plan.validation is not None))
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
    finished = state.epochs_run[running] == plan.passes
    state.status[running] = np.where(finished, Status.FINISHED, Status.INTERRUPTED)
    if state.best is not None:
        fitted = state.status != Status.DIVERGED
        np.copyto(state.theta, state.best, where=fitted[:, None])
        state.best_epoch[~fitted] = -(-state.epochs_run[~fitted] // plan.passes_per_epoch)


class Answer(Enum):
    """What callbacks want: that training goes on, or ends; or one of them raised."""

    GO_ON = 0
    END = 1
    RAISED = 2


def _call(due: Sequence[Callback], periodic: Sequence[Callback], progress: Progress) -> Answer:
    """Call callbacks, and if one ends the training also those that want its last epoch.

    One that raises ends it, with a warning that says where, so that what was trained is not lost.
    """
    try:
        answers = [_answer(callback, progress) for callback in due]
        found = max(answers, key=lambda answer: answer.value, default=Answer.GO_ON)
        for callback in periodic:
            if found is not Answer.GO_ON and callback not in due:
                _answer(callback, progress)
        return found
    finally:
        progress.release()


def _answer(callback: Callback, progress: Progress) -> Answer:
    """Return what a callback wants."""
    try:
        return Answer.END if callback(progress) else Answer.GO_ON
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}, line {frames[-1].lineno}"
        text = (str(error).splitlines() or [""])[0]
        warnings.warn(
            f"a callback raised {type(error).__name__}: {text} ({place}): training ends",
            CallbackWarning,
            stacklevel=2,
        )
        return Answer.RAISED
