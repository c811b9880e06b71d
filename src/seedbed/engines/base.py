"""The interface of an engine, the only one that code outside ``engines`` uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop
from seedbed.errors import MissingDependencyError
from seedbed.formulas.activations import identity
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.network import Network

Stage = Literal["outputs", "normalised", "predictions"]
"""What ``Engine.outputs`` returns: raw outputs, ``Loss.normalised`` or ``Loss.predict`` of them."""
SMALL_BATCH = 16
"""Maximum of rows times members that a ``small_batch_predictor`` predicts."""


class Training(Protocol):
    """A plan, ready to run on an engine."""

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Train all running members for ``epochs``, until ``stop`` is set."""

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""


class Engine(Protocol):
    """An implementation of training and prediction.

    A row's outputs do not depend on the other rows, bit for bit.
    """

    @property
    def name(self) -> str:
        """The engine's name in recipes."""

    def missing(self) -> MissingDependencyError | None:
        """Return the error for a missing package that training needs, or None."""

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """Return the layer or optimizer feature that the engine lacks, or None.

        Formulas that cannot be compiled are found only by ``prepare``.
        """

    def seconds(
        self, network: Network, batch: int, member_steps: float, plan: Plan | None
    ) -> float:
        """Return the estimated time of ``member_steps`` steps of one member with ``batch`` rows.

        The plan adds the time that a step's members share; None leaves it out.
        """

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan, ready to run.

        Raises: FormulaError for a formula that the engine cannot compile.
        """

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return ``stage`` of the outputs (P, N, O) for theta (P, D) and x (N, I), or (P, N, I) if
        each member has rows of its own.

        Needs a few megabytes of memory in addition to the result.
        Raises: FormulaError for an activation that the engine cannot compile.
        """

    def predictor(
        self, network: Network, loss: Loss, dtype: npt.DTypeLike
    ) -> Callable[[Array, Array, Stage], Array]:
        """Return ``outputs`` of theta, x and stage, prepared for many calls of one training."""

    def elementwise(self, formula: Callable[..., Array]) -> Callable[..., Array]:
        """Return the engine's implementation of an elementwise formula of one or two arrays."""

    def small_batch_predictor(
        self, network: Network, loss: Loss, theta: Array
    ) -> Callable[[Array, Stage], Array] | None:
        """Return a function from a few rows (B, I) to outputs (P, B, O), faster than ``outputs``.

        The function reads theta (P, D) in every call. None if the engine has no such function.
        """


def without_warnings(formula: Callable[..., Array]) -> Callable[..., Array]:
    """Return the formula with NumPy's floating point warnings suppressed."""

    def evaluate(*arrays: Array) -> Array:
        with np.errstate(all="ignore"):
            return formula(*arrays)

    return evaluate


def is_identity(formula: Callable[..., Array]) -> bool:
    """Return whether the formula returns its argument."""
    return formula is identity.f


def cores() -> int:
    """Return the number of cores that this process may use.

    NUMBA_NUM_THREADS overrides it; joblib sets that for its workers.
    """
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    available = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    return min(available, max(1, int(limit))) if limit.isdecimal() else available
