"""Which engine carries a training out."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Protocol

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.engines import numpy_engine
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop
from seedbed.errors import FormulaError, MissingDependencyError, SeedbedWarning
from seedbed.formulas.activations import identity
from seedbed.formulas.losses import Loss
from seedbed.network import Network

START_UP_SECONDS = 1.0
"""What it takes to load the compiled engine, at most: less work than that is left to NumPy."""
_MEMBER_SECONDS, _PRODUCT_SECONDS, _STEP_SECONDS = 0.4e-6, 0.25e-9, 30e-6


class Engine(Protocol):
    """What carries out one training."""

    @property
    def name(self) -> Literal["numpy", "compiled"]:
        """What recipes call it."""

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Carry all running members through ``epochs``; when ``stop`` is set, end early."""

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""


def engine_for(name: str, plan: Plan, threads: int | None, quiet: bool) -> Engine:
    """Return the engine called ``name``; "auto" takes the one that is likely to be done first.

    That depends on the work alone, and on whether Numba is there: not on what is loaded or was
    compiled before, so that a script gives the same numbers every time.

    Raises: MissingDependencyError for "compiled" without Numba; FormulaError if it is to compile
    a formula that it cannot.
    """
    there = numba_is_there()
    if name == "numpy" or (name == "auto" and not (there and repays(plan))):
        return numpy_engine.Engine(plan)
    if not there:
        raise MissingDependencyError("numba", "fast")
    from seedbed.engines.compiled.engine import Engine as Compiled

    try:
        return Compiled(plan, threads or cores(), quiet)
    except FormulaError:
        if name == "auto":
            return numpy_engine.Engine(plan)
        raise


def repays(plan: Plan) -> bool:
    """Return whether the work takes NumPy longer than it takes to load the compiled engine."""
    return numpy_seconds(plan) > START_UP_SECONDS


def numpy_seconds(plan: Plan) -> float:
    """Return about how long NumPy would take, from what ``benchmarks/engine.py`` measured.

    A step costs some 30 µs whatever it does, and then 0.4 µs a member and ¼ ns for each parameter
    and row.
    """
    rows = int(plan.counts[:, 0].mean())
    steps = plan.epochs * -(-rows // plan.largest_batch)
    return steps * (
        _STEP_SECONDS * plan.block_count
        + len(plan.seeds) * member_seconds(plan.network, plan.largest_batch)
    )


def member_seconds(network: Network, batch: int) -> float:
    """Return about how long NumPy takes for a member's step, but for what members share."""
    return _MEMBER_SECONDS + _PRODUCT_SECONDS * batch * network.size


Stage = Literal["outputs", "normalised", "predictions"]
"""How far outputs are taken: raw, normalised by the loss (``Loss.normalised``) or turned into
predictions (``Loss.predict``)."""


def outputs(name: str, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
    """Return the networks' outputs (P, N, O), up to ``stage``, by the engine called ``name``.

    A row's outputs are the same, bit for bit, regardless of the other rows.

    Shapes: theta (P, D); x (N, I). Beside the result, memory stays within a few megabytes.
    Raises: FormulaError for an activation that the compiled engine cannot compile. Where Numba is
    missing, NumPy does it.
    """
    result = np.empty((len(theta), len(x), network.outputs), dtype=theta.dtype)
    if name == "compiled" and numba_is_there():
        from seedbed.engines.compiled import engine

        engine.outputs(network, loss, theta, x, stage, result, cores())
    else:
        if name == "compiled":
            warnings.warn(
                "Numba is missing, so NumPy predicts with what the compiled engine trained: the "
                "last bits may differ (pip install 'seedbed[fast]')",
                SeedbedWarning,
                stacklevel=4,
            )
        for members, rows, y in numpy_engine.outputs(network, theta, x):
            result[members, rows] = y if stage == "outputs" else loss.normalised(y)
    return elementwise(name, loss.predict)(result) if stage == "predictions" else result


def elementwise(name: str, formula: Callable[..., Array]) -> Callable[..., Array]:
    """Return an elementwise formula as the engine called ``name`` computes it.

    It takes one or two arrays of one shape and dtype. NumPy computes what the compiled engine
    cannot compile.
    """
    compiled: Callable[..., Array] | None = None
    if name == "compiled" and numba_is_there() and not is_identity(formula):
        from seedbed.engines.compiled.engine import Formula

        compiled = Formula(formula)

    def evaluate(*arrays: Array) -> Array:
        if compiled is not None:
            with suppress(FormulaError):
                return compiled(*arrays)
        with np.errstate(all="ignore"):
            return formula(*arrays)

    return evaluate


def is_identity(formula: Callable[..., Array]) -> bool:
    """Return whether the formula gives its argument back."""
    return formula is identity.f


FEW_ROWS = 16
"""Up to how many rows, times members, are predicted without setting out the work."""


def small_batch_predictor(
    network: Network, loss: Loss, theta: Array
) -> Callable[[Array, Stage], Array]:
    """Return what computes the outputs (P, B, O) for a few rows (B, I), up to a stage, compiled.

    theta (P, D) is read in every call.

    Raises: FormulaError for a formula that cannot be compiled.
    """
    from seedbed.engines.compiled.engine import SmallBatchPredictor

    return SmallBatchPredictor(network, loss, theta)


def numba_is_there() -> bool:
    """Return whether Numba can be imported."""
    return "numba" in sys.modules or importlib.util.find_spec("numba") is not None


def cores() -> int:
    """Return how many cores this process may use.

    NUMBA_NUM_THREADS says it where it is set: so do those who start several workers (joblib).
    """
    told = os.environ.get("NUMBA_NUM_THREADS", "")
    there = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    return min(there, max(1, int(told))) if told.isdecimal() else there
