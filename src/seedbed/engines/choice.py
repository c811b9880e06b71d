"""Which engine carries a training out."""

from __future__ import annotations

import importlib.util
import os
from typing import Protocol

from seedbed.arrays import Array, Indices
from seedbed.engines import numpy_engine
from seedbed.engines.work import Plan, State, Stop
from seedbed.errors import FormulaError, MissingDependencyError

START_UP_SECONDS = 1.0
"""What it takes to load the compiled engine, at most: less work than that is left to NumPy."""


class Engine(Protocol):
    """What carries out one training."""

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
    there = importlib.util.find_spec("numba") is not None
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
    members = len(plan.seeds)
    rows = int(plan.counts[:, 0].mean())
    steps = plan.epochs * -(-rows // plan.largest_batch)
    each = 0.4e-6 + 0.25e-9 * plan.largest_batch * plan.network.size
    return steps * (30e-6 * plan.block_count + members * each)


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
