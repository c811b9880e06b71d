"""What an engine provides: the one protocol that everything outside of ``engines`` uses."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop
from seedbed.formulas.activations import identity
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.network import Network

Stage = Literal["outputs", "normalised", "predictions"]
"""How far outputs are taken: raw, normalised by the loss (``Loss.normalised``) or turned into
predictions (``Loss.predict``)."""
SMALL_BATCH = 16
"""Rows times members up to which a ``small_batch_predictor`` is worth its preparation."""


class Training(Protocol):
    """A training that an engine has prepared."""

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Carry all running members through ``epochs``; when ``stop`` is set, end early."""

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""


class Engine(Protocol):
    """A way to carry out trainings and predictions.

    A row's outputs are the same, bit for bit, regardless of the rows beside it.
    """

    @property
    def name(self) -> str:
        """What recipes call it."""

    def is_there(self) -> bool:
        """Return whether what it needs is installed."""

    def missing(self) -> Exception:
        """Return the error to raise where it is not."""

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """Return what of the two the engine cannot do; None if it can do all.

        A formula that cannot be compiled is found by ``prepare`` only.
        """

    def seconds(
        self, network: Network, batch: int, steps: float, members: int, blocks: int
    ) -> float:
        """Return the estimated time of ``steps`` steps of ``batch`` rows of all members."""

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan's training.

        Raises: FormulaError for a formula that the engine cannot compile.
        """

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return the networks' outputs (P, N, O) for theta (P, D) and x (N, I), up to ``stage``.

        Beside the result, memory stays within a few megabytes.
        Raises: FormulaError for an activation that the engine cannot compile.
        """

    def elementwise(self, formula: Callable[..., Array]) -> Callable[..., Array]:
        """Return an elementwise formula of one or two arrays as the engine computes it."""

    def small_batch_predictor(
        self, network: Network, loss: Loss, theta: Array
    ) -> Callable[[Array, Stage], Array] | None:
        """Return a function that computes the outputs (P, B, O) of a few rows (B, I) sooner than
        ``outputs``; None if the engine has none. theta (P, D) is read in every call.
        """


def in_numpy(formula: Callable[..., Array]) -> Callable[..., Array]:
    """Return an elementwise formula as NumPy computes it, without warnings."""

    def evaluate(*arrays: Array) -> Array:
        with np.errstate(all="ignore"):
            return formula(*arrays)

    return evaluate


def is_identity(formula: Callable[..., Array]) -> bool:
    """Return whether the formula returns its argument."""
    return formula is identity.f


def cores() -> int:
    """Return how many cores this process may use.

    NUMBA_NUM_THREADS overrides it; joblib sets that for its workers.
    """
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    available = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    return min(available, max(1, int(limit))) if limit.isdecimal() else available
