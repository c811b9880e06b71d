"""train(): checks the request once, then trains a stretch of epochs at a time."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from seedbed import checks, splits
from seedbed.arrays import Array, Numbers, as_array, checked_count, one_line
from seedbed.engines.batches import Data
from seedbed.engines.blas import one_blas_thread
from seedbed.engines.choice import Engine, engine_for
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Status, Stop
from seedbed.errors import (
    DataError,
    DivergenceWarning,
    InterruptWarning,
    SettingError,
    ShapeError,
)
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Adam, Optimizer
from seedbed.formulas.schedules import Schedule, constant
from seedbed.interrupts import interruptible
from seedbed.network import Network
from seedbed.population import History, Population
from seedbed.progress import Callback, Progress, TrainingProgress
from seedbed.recipe import Recipe
from seedbed.splits import GivenRows, SplitRows
from seedbed.stopping import Ensemble
from seedbed.streams import checked_seeds

STRETCH_SECONDS = 0.15
"""How long an engine works between looks at progress and callbacks."""


def train(
    network: Network,
    X: Any,
    Y: Any,
    *,
    loss: Loss,
    optimizer: Optimizer = Adam(),  # noqa: B008  # frozen
    epochs: int = 100,
    seeds: Any = 0,
    batch_size: int | None = None,
    schedule: Schedule = constant,
    l1: Numbers = 0.0,
    l2: Numbers = 0.0,
    dropout: Numbers = 0.0,
    clip_norm: Numbers | None = None,
    patience: int | None = None,
    validation: float | tuple[Any, ...] | None = None,
    sample_weight: Any = None,
    rows: Any = None,
    held_out: Any = None,
    monitor: Literal["members", "ensemble"] = "members",
    start: Any = None,
    engine: Literal["auto", "compiled", "numpy"] = "auto",
    dtype: Literal["float32", "float64"] = "float32",
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    record_every: int = 1,
    threads: int | None = None,
) -> Population:
    """Train one member for each seed, all at once, and return them as a Population.

    X              (N, I) inputs
    Y              (N, O) targets, (N,) where O is 1, or class numbers (N,) for cross_entropy
    seeds          whole numbers >= 0: one is one member, a sequence is one member each
    validation     the share of rows that each member holds out, or (X, Y) or (X, Y, weights)
    sample_weight  (N,) row weights >= 0
    rows           each member's own rows: P sequences of row numbers, or booleans (P, N)
    held_out       in place of ``validation``, the rows that each member holds out, given as
                   ``rows`` is: the folds of a cross-validation
    start          theta to begin from, (P, D) or (D,), in place of the seeds' own draws
    progress       whether to show a progress line; None shows it on long work on a terminal
    callbacks      called a few times a second with a Progress; one that returns something true
                   ends the training
    record_every   keep the losses of every so many epochs only: the history holds
                   P · epochs / record_every numbers
    threads        how many threads the compiled engine spreads the members over; None is one for
                   each core. No number depends on it

    The other arguments are those of ``Recipe``, which see.

    Ctrl-C ends the training early and returns what there is (a second one raises
    KeyboardInterrupt). Members that diverge are frozen, marked and warned of.

    Raises: SettingError, ShapeError or DataError, before anything is trained.
    >>> import seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> network = sb.Network(3, [sb.Dense(4, sb.tanh), sb.Dense(1)])
    >>> population = sb.train(network, X, Y, loss=sb.squared_error, epochs=200, seeds=range(8))
    >>> population.predict(X).shape
    (8, 4, 1)
    """
    share, shared = _share_or_data(validation)
    recipe = Recipe(
        network=network,
        loss=loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        schedule=schedule,
        l1=l1,
        l2=l2,
        dropout=dropout,
        clip_norm=clip_norm,
        patience=patience,
        validation=share,
        monitor=monitor,
        engine=engine,
        dtype=dtype,
    )
    return train_recipe(
        recipe,
        X,
        Y,
        seeds=seeds,
        validation=shared,
        sample_weight=sample_weight,
        rows=rows,
        held_out=held_out,
        start=start,
        progress=progress,
        callbacks=callbacks,
        record_every=record_every,
        threads=threads,
    )


@dataclass
class Continuation:
    """Where a training stands that goes on from call to call, on whatever rows it is given.

    seeds   (P,)
    theta   (P, D) parameters; None before the first call, which draws them
    optimizer_state   the optimizer's state, each (P, D); none before the first call
    epochs  how many epochs it has seen
    """

    seeds: Any
    theta: Array | None = None
    optimizer_state: list[Array] = field(default_factory=list)
    epochs: int = 0


def train_recipe(
    recipe: Recipe,
    X: Any,
    Y: Any,
    *,
    seeds: Any = 0,
    validation: float | tuple[Any, ...] | None = None,
    sample_weight: Any = None,
    rows: Any = None,
    held_out: Any = None,
    start: Any = None,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    record_every: int = 1,
    threads: int | None = None,
    continuation: Continuation | None = None,
) -> Population:
    """Train ``recipe`` from each seed; see ``train``.

    With a ``continuation``, which names the seeds, the recipe's epochs are counted on from those
    that it has seen, its parameters and optimizer's state are gone on from, and it is brought up
    to date.
    """
    done = 0
    if continuation is not None:
        seeds, start, done = continuation.seeds, continuation.theta, continuation.epochs
        recipe = replace(recipe, epochs=recipe.epochs + done)
        record_every = recipe.epochs
    share, validation = _share_or_data(validation)
    if share is not None:
        recipe = replace(recipe, validation=share)
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise SettingError(f"callbacks must be a list of functions, not {one_line(callbacks)}")
    plan = _planned(
        recipe, X, Y, seeds, validation, sample_weight, rows, record_every, held_out,
        check_classes=continuation is None,
    )  # fmt: skip
    members = len(plan.seeds)
    if threads is not None:
        threads = checked_count("threads", threads)
    together = recipe.monitor == "ensemble"
    # what watches the ensemble does the engine's part of validation too
    its_plan = replace(plan, validation=None, patience=None) if together else plan
    engine = engine_for(recipe.engine, its_plan, threads, quiet=progress is False)
    ensemble = Ensemble(plan, engine.name) if together else None
    if start is None:
        _check_unlike(plan, recipe)
        theta = recipe.network.init(plan.seeds, recipe.dtype)
    else:
        theta = _checked_start(start, members, recipe)
    state = State.at_start(plan, theta)
    if continuation is not None and continuation.optimizer_state:
        state.optimizer_state = [slot.copy() for slot in continuation.optimizer_state]
    state.epochs_run[:] = done
    with one_blas_thread(), interruptible() as stop:
        with TrainingProgress(progress, plan.epochs, members) as meter:
            _work(engine, plan, state, stop, [*callbacks, meter.show], ensemble, done)
        _conclude(plan, state)
        final = _final_loss(engine, state)
    if continuation is not None:
        begun = plan.optimizer.init(state.theta, plan.hyperparameters.lr)
        lost = state.status == Status.DIVERGED  # its optimizer begins anew, from where it stands
        for slot, first in zip(state.optimizer_state, begun, strict=True):
            slot[lost] = first[lost]
        continuation.theta, continuation.optimizer_state = state.theta.copy(), state.optimizer_state
        continuation.epochs = plan.epochs
    population = Population(
        recipe=replace(recipe, engine=engine.name),
        theta=state.theta,
        seeds=plan.seeds,
        status=np.array([Status(code).name.lower() for code in state.status]),
        epochs=state.epochs_run,
        best_epoch=state.best_epoch if plan.patience else state.epochs_run.copy(),
        loss=final,
        history=History(
            np.arange(0, plan.epochs, plan.record_every),
            state.train_loss,
            state.val_loss,
            None if ensemble is None else ensemble.curve[:: plan.record_every],
        ),
    )
    _tell(population)
    return population


def _share_or_data(validation: Any) -> tuple[float | None, tuple[Any, ...] | None]:
    """Return what was given to validate with: a share of the rows, or data."""
    return (None, tuple(validation)) if isinstance(validation, tuple | list) else (validation, None)


def _planned(
    recipe: Recipe,
    X: Any,
    Y: Any,
    seeds: Any,
    validation: tuple[Any, ...] | None,
    sample_weight: Any,
    rows: Any,
    record_every: int,
    held_out_rows: Any = None,
    check_classes: bool = True,
) -> Plan:
    network, loss = recipe.network, recipe.loss
    seeds = checked_seeds(seeds)
    checks.check_outputs(loss, network)
    train = _checked_data(recipe, X, Y, sample_weight, ("X", "Y", "sample_weight"))
    if check_classes:
        checks.check_classes(loss, train.t)
    train = Data(
        train.x, loss.smooth(train.t), train.w, splits.checked_rows(rows, len(seeds), len(train.x))
    )
    held_out = None
    if validation is not None:
        if recipe.validation is not None:
            raise SettingError(
                "validation is given twice, as a share in the recipe and as data: leave one out"
            )
        if len(validation) not in (2, 3):
            raise SettingError("validation must be a share, (X, Y) or (X, Y, weights)")
        names = ("validation X", "validation Y", "validation weights")
        Xv, Yv, wv = validation if len(validation) == 3 else (*validation, None)
        held_out = _checked_data(recipe, Xv, Yv, wv, names)
        held_out = Data(held_out.x, loss.smooth(held_out.t), held_out.w)
    elif held_out_rows is not None:
        if recipe.validation is not None:
            raise SettingError("held_out and validation are both given: leave one out")
        train, held_out = splits.set_apart(train, held_out_rows, len(seeds))
        splits.check_weighed(held_out, "held-out")
    elif recipe.validation is not None:
        train, held_out = splits.split(train, recipe.validation, seeds)
        splits.check_weighed(held_out, "held-out")
    splits.check_weighed(train, "training")
    if recipe.patience is not None and held_out is None:
        raise SettingError(
            "patience watches the validation loss: give validation, such as validation=0.2"
        )
    if recipe.monitor == "ensemble" and held_out is None:
        raise SettingError(
            "monitor='ensemble' needs the validation loss: give validation, or held_out"
        )
    return Plan(
        network=network,
        loss=loss,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        hyperparameters=recipe.hyperparameters(len(seeds), recipe.dtype),
        seeds=seeds,
        train=train,
        validation=held_out,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        patience=recipe.patience,
        record_every=checked_count("record_every", record_every),
    )


def _checked_data(recipe: Recipe, X: Any, Y: Any, weights: Any, names: Sequence[str]) -> Data:
    network, dtype = recipe.network, recipe.dtype
    x = checks.checked_inputs(X, network.inputs, dtype, names[0])
    t = checks.checked_targets(Y, recipe.loss, network.outputs, len(x), dtype, names[1])
    return Data(x, t, checks.checked_weights(weights, len(x), dtype, names[2]))


def _check_unlike(plan: Plan, recipe: Recipe) -> None:
    """Refuse members that would be the same: an equal seed, and nothing else that differs."""
    columns = [plan.seeds.tolist(), *(s.tolist() for s in recipe.settings.values())]
    given = plan.train.rows.given if isinstance(plan.train.rows, SplitRows) else plan.train.rows
    if isinstance(given, GivenRows):
        columns.append([rows.tobytes() for rows in given.rows])
    members = Counter(zip(*columns, strict=True))
    (seed, *_), times = members.most_common(1)[0]
    if times > 1:
        raise SettingError(
            f"seed {seed} is given {times} times with equal settings: those members would be "
            "copies; give different seeds, such as range(8)"
        )


def _checked_start(start: Any, members: int, recipe: Recipe) -> Array:
    given = as_array(getattr(start, "theta", start), "start", DataError)
    if given.dtype.kind not in "fiu":
        raise DataError(f"start holds {given.dtype} values; it needs numbers, or a Population")
    with np.errstate(over="ignore"):
        theta = np.atleast_2d(given).astype(recipe.dtype, order="C")
    size = recipe.network.size
    if theta.shape not in ((members, size), (1, size)):
        raise ShapeError(
            f"start has shape {given.shape}; {members} members of a {recipe.network} network "
            f"need ({members}, {size}) or ({size},)"
        )
    if not np.isfinite(theta).all():
        raise DataError(f"start holds numbers that are not finite in {recipe.dtype}")
    return np.repeat(theta, members, axis=0) if len(theta) < members else theta


def _work(
    engine: Engine,
    plan: Plan,
    state: State,
    stop: Stop,
    callbacks: Sequence[Callback],
    ensemble: Ensemble | None,
    epoch: int,
) -> None:
    stretch = 1
    looked = time.perf_counter()
    while epoch < plan.epochs and state.running.size and not stop.is_set():
        began = time.perf_counter()
        end = min(epoch + stretch, plan.epochs)
        engine.run(state, range(epoch, end), stop)
        if stop.is_set():
            return
        epoch = end
        if ensemble is not None:  # it looks after every epoch, the callbacks not so often
            if ensemble.look(state, epoch):
                return
            if epoch < plan.epochs and time.perf_counter() - looked < STRETCH_SECONDS:
                continue
            looked = time.perf_counter()
        else:
            took = time.perf_counter() - began
            stretch = max(1, min(round(stretch * STRETCH_SECONDS / max(took, 1e-9)), 8 * stretch))
        progress = _progress(plan, state, epoch)
        answers = [callback(progress) for callback in callbacks]
        if any(answers):
            return


def _progress(plan: Plan, state: State, epoch: int) -> Progress:
    column = (epoch - 1) // plan.record_every
    return Progress(
        epoch=epoch,
        epochs=plan.epochs,
        running=state.running.size,
        train_loss=state.train_loss[:, column].copy(),
        val_loss=None if state.val_loss is None else state.val_loss[:, column].copy(),
    )


def _conclude(plan: Plan, state: State) -> None:
    """Name how each member's training ended, and restore the best epochs."""
    running = state.running
    done = state.epochs_run[running] == plan.epochs
    state.status[running] = np.where(done, Status.FINISHED, Status.INTERRUPTED)
    if state.best is not None:
        restored = state.status != Status.DIVERGED
        np.copyto(state.theta, state.best, where=restored[:, None])
        state.best_epoch[~restored] = state.epochs_run[~restored]


def _final_loss(engine: Engine, state: State) -> Array:
    """Return the mean training loss at the parameters as they are now, (P,).

    Whose loss stops being finite only here has diverged too.
    """
    final = np.full(len(state.theta), np.nan, dtype=state.theta.dtype)
    fitted = np.flatnonzero(state.status != Status.DIVERGED)
    final[fitted] = engine.losses(state.theta, fitted)
    lost = ~np.isfinite(final) & (state.status != Status.DIVERGED)
    if state.best is None:  # a best epoch, where there is one, is the state to look at
        state.theta[lost] = state.before[lost]
        state.epochs_run[lost] = np.maximum(state.epochs_run[lost] - 1, 0)
    state.status[lost] = Status.DIVERGED
    final[lost] = np.nan
    return final


def _tell(population: Population) -> None:
    """Warn of what the user must know of: members that diverged, training cut short."""
    diverged = population.diverged
    if diverged.any():
        seeds = ", ".join(str(seed) for seed in population.seeds[diverged][:5])
        more = ", …" if diverged.sum() > 5 else ""
        warnings.warn(
            f"{diverged.sum()} of {len(population)} members diverged (seeds {seeds}{more}; the "
            f"first after {population.epochs[diverged].min()} epochs) and were frozen as they "
            "stood then: lower the learning rate, set clip_norm, or scale the inputs",
            DivergenceWarning,
            stacklevel=4,
        )
    cut_short = population.status == Status.INTERRUPTED.name.lower()
    if cut_short.any():
        warnings.warn(
            f"training was stopped after {population.epochs[cut_short].min()} of "
            f"{population.recipe.epochs} epochs: this is what there is so far",
            InterruptWarning,
            stacklevel=4,
        )
