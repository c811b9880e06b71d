"""train(): checks its arguments, plans and runs a training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import numpy as np

from seedbed import frames
from seedbed.arrays import (
    Array,
    Numbers,
    checked_count,
    checked_flag,
    checked_functions,
    checked_number,
)
from seedbed.checkpoints import EVERY, Checkpoint
from seedbed.engines.blas import one_blas_thread
from seedbed.engines.plan import Plan
from seedbed.engines.state import STATUS_NAMES, Status
from seedbed.errors import DivergenceWarning, InterruptWarning, SettingError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.formulas.schedules import Schedule
from seedbed.interrupts import interruptible
from seedbed.network import Network
from seedbed.planning import make_plan
from seedbed.population import Population
from seedbed.progress import Callback, TrainingProgress
from seedbed.recipe import Recipe
from seedbed.runs import Run
from seedbed.spread_training import Block, of_members, train_elsewhere


class Settings(TypedDict, total=False):
    """The fields of a Recipe without the network, as keywords of ``train``."""

    loss: Loss | str
    optimizer: Optimizer | str
    epochs: int
    batch_size: int | None
    schedule: Schedule | str
    l1: Numbers
    l2: Numbers
    dropout: Numbers
    clip_norm: Numbers | None
    patience: int | None
    monitor: Literal["members", "ensemble"]
    engine: str
    dtype: Literal["float32", "float64"]


@dataclass
class Continuation:
    """The state of a training that several calls of ``train`` continue, each with its own rows.

    seeds            (P,)
    theta            (P, D) parameters; None before the first call, which draws them
    optimizer_state  the optimizer's arrays, (P, D) each; empty before the first call
    epochs           completed epochs
    """

    seeds: Any
    theta: Array | None = None
    optimizer_state: list[Array] = field(default_factory=list)
    epochs: int = 0

    def keep(self, run: Run) -> None:
        """Take the state in which a run ended."""
        state, _ = run.snapshot or (run.state, None)
        initial = run.plan.optimizer.init(state.theta, run.plan.hyperparameters.lr)
        diverged = state.status == Status.DIVERGED  # reset its optimizer
        for slot, initial_slot in zip(state.optimizer_state, initial, strict=True):
            slot[diverged] = initial_slot[diverged]
        self.theta, self.optimizer_state = state.theta.copy(), state.optimizer_state
        self.epochs = run.plan.epochs


def train(
    method: Network | Recipe,
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
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: float = EVERY,
    executor: Any = None,
    **settings: Unpack[Settings],
) -> Population:
    """Train one member for each seed, all at once, and return them as a Population.

    method         a Recipe, or a Network with the other fields of a Recipe as keywords: loss,
                   optimizer, epochs, batch_size, …; keywords override a recipe's fields
    X              (N, I) inputs: an array, or a data frame of numbers without missing values
    Y              (N, O) targets, (N,) if O is 1, or class numbers (N,) for cross_entropy; labels
                   such as texts (N,) for cross_entropy, and for binary_cross_entropy if O is 1:
                   the classes, sorted, are then numbered 0, 1, … (see ``Population.classes``)
    seeds          a sequence with a whole number >= 0 for each member, such as range(12), or one
                   number for one member: 12 is seed 12
    validation     the share of rows that each member holds out, or (X, Y) or (X, Y, weights)
    sample_weight  (N,) row weights >= 0
    rows           each member's own rows: P sequences of row numbers, or booleans (P, N)
    held_out       instead of ``validation``, the rows that each member holds out, in the form of
                   ``rows``: the folds of a cross-validation
    start          initial theta, (P, D) or (D,), instead of the seeds' draws
    progress       whether to show a progress line; None shows it for long work on a terminal
    callbacks      functions called with a Progress a few times a second, or after every so many
                   epochs (see ``every``); a true result ends the training. If one has a method
                   ``close``, it is called with a Progress when training has ended
    record_every   record the losses of every n-th epoch only: the history has
                   P · epochs / record_every numbers
    threads        threads of the compiled engine; None takes one per core. No result depends on it
    continuation   the state of earlier calls, which replaces seeds and start, adds its epochs to
                   the recipe's and is updated
    checkpoint     a file such as "run.safetensors" that keeps the training, every
                   ``checkpoint_every`` seconds and at its end: after a crash, a kill or Ctrl-C the
                   same call resumes from it and gives the bits of an uninterrupted one
    executor       what trains blocks of members in other processes or on other machines: anything
                   with an ordered map, such as a ProcessPoolExecutor; not with callbacks,
                   checkpoint, continuation or monitor="ensemble". No result depends on it

    Ctrl-C ends the training early and returns the members as trained so far (a second one raises
    KeyboardInterrupt). Members that diverge are frozen, marked and reported in a warning.

    Raises: SettingError, ShapeError or DataError, before training; SettingError for the checkpoint
    of another training, FileError for one that cannot be read or written.
    >>> import seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> network = sb.Network(3, [sb.Dense(4, sb.tanh), sb.Dense(1)])
    >>> population = sb.train(network, X, Y, loss=sb.squared_error, epochs=200, seeds=range(8))
    >>> population.predict(X).shape
    (8, 4, 1)
    """
    checked_number("checkpoint_every", checkpoint_every, 0.0)
    kept = None if checkpoint is None else Checkpoint(checkpoint, checkpoint_every)
    if kept is not None and continuation is not None:
        raise SettingError("a continuation has no checkpoint: leave one of them out")
    recipe = _recipe(method, settings)
    if continuation is not None:
        seeds, start = continuation.seeds, continuation.theta
        recipe = replace(recipe, epochs=recipe.epochs + continuation.epochs)
        record_every = recipe.epochs
    validation_data = None
    if isinstance(validation, tuple | list):
        validation_data = tuple(validation)
    elif validation is not None:
        recipe = replace(recipe, validation=validation)
    callbacks = checked_functions("callbacks", callbacks)
    if progress is not None:
        progress = checked_flag("progress", progress)
    classes = frames.label_classes(Y, recipe.loss, recipe.network.outputs)
    plan = make_plan(
        recipe, X, Y, seeds, validation_data, sample_weight, rows, record_every, held_out,
        check_classes=continuation is None, classes=classes,
    )  # fmt: skip
    if threads is not None:
        threads = checked_count("threads", threads)
    if executor is None:
        population = train_plan(
            recipe, plan, threads=threads, start=start, classes=classes, progress=progress,
            callbacks=callbacks, kept=kept, continuation=continuation,
        )  # fmt: skip
    elif callbacks or kept is not None or continuation is not None:
        raise SettingError(
            "an executor trains where no callback, checkpoint or continuation sees it: leave those "
            "out, or the executor"
        )
    else:
        given = _Given(
            X, Y, validation_data, sample_weight, rows, held_out, start, record_every, classes
        )
        population = train_elsewhere(executor, recipe, plan, given.train)
    warn_of_members(population)
    return population


def train_plan(
    recipe: Recipe,
    plan: Plan,
    *,
    threads: int | None = None,
    start: Any = None,
    classes: Array | None = None,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    kept: Checkpoint | None = None,
    continuation: Continuation | None = None,
) -> Population:
    """Return the trained population of a plan, without a warning: the caller reports on members.

    classes  (K,) the class of each class number, or None
    kept     keeps the training in a file, or None

    The other arguments are those of ``train``, checked.
    Raises: as ``train``.
    """
    slots, first_epoch = ([], 0)
    if continuation is not None:
        slots, first_epoch = continuation.optimizer_state, continuation.epochs
    with one_blas_thread(), interruptible() as stop:
        run = Run(
            recipe, plan, threads, start, slots, first_epoch, quiet=progress is False,
            classes=classes,
        )  # fmt: skip
        run.completes = continuation is not None
        if kept is not None:
            kept.follow([run], [])
            callbacks = [*callbacks, kept]
        stop.began = run.passes > first_epoch
        with TrainingProgress(progress, len(plan.seeds)) as line:
            run.advance(plan.epochs, stop, [*callbacks, line.show])
        run.close(callbacks)
        if kept is not None:
            kept.save()
        population = run.finish()
    if continuation is not None:
        continuation.keep(run)
    return population


class _Given(NamedTuple):
    """What blocks of members train on: arguments of ``train``."""

    X: Any
    Y: Any
    validation: tuple[Any, ...] | None
    sample_weight: Any
    rows: Any
    held_out: Any
    start: Any
    record_every: int
    classes: Array | None

    def train(self, block: Block) -> Population:
        """Train some of the members."""
        members = np.array(block.members)
        plan = make_plan(
            block.recipe, self.X, self.Y, block.seeds, self.validation, self.sample_weight,
            of_members(self.rows, members), self.record_every, of_members(self.held_out, members),
            classes=self.classes,
        )  # fmt: skip
        start = self.start
        if start is not None and np.ndim(start) == 2:
            start = np.asarray(start)[members]
        return train_plan(
            block.recipe, plan, threads=1, start=start, classes=self.classes, progress=False
        )


def _recipe(method: Network | Recipe, settings: Any) -> Recipe:
    """Return the recipe of ``train``'s first argument and keywords.

    Raises: TypeError for an unknown keyword; SettingError.
    """
    for name in settings:
        if name not in Settings.__annotations__:
            raise TypeError(f"train() got an unexpected keyword argument {name!r}")
    if isinstance(method, Recipe):
        return replace(method, **settings) if settings else method
    if "loss" not in settings:
        raise SettingError("train needs a network and a loss: give such as loss='squared_error'")
    return Recipe(network=method, **settings)


def warn_of_members(population: Population) -> None:
    """Warn about diverged members and an interrupted training."""
    diverged = population.diverged
    if diverged.any():
        seeds = ", ".join(str(seed) for seed in population.seeds[diverged][:5])
        more = ", …" if diverged.sum() > 5 else ""
        warnings.warn(
            f"{diverged.sum()} of {len(population)} members diverged (seeds {seeds}{more}; the "
            f"first after {population.epochs[diverged].min()} epochs) and were frozen there: lower "
            "the learning rate, set clip_norm, or scale the inputs",
            DivergenceWarning,
            stacklevel=3,
        )
    interrupted = population.status == STATUS_NAMES[Status.INTERRUPTED]
    if interrupted.any():
        warnings.warn(
            f"training was stopped after {population.epochs[interrupted].min()} of "
            f"{population.recipe.epochs} epochs: members are returned as trained so far",
            InterruptWarning,
            stacklevel=3,
        )
