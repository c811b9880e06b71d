"""The compiled engine: the NumPy engine's steps under Numba, which is imported when first used."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array
from seedbed.engines.base import Stage, Training, cores, is_identity, without_warnings
from seedbed.engines.plan import Plan
from seedbed.errors import FormulaError, MissingDependencyError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Optimizer
from seedbed.layers import Dense, Embedding, Periodic
from seedbed.network import Network

START_UP_SECONDS = 0.1
"""A training's share of the time that loading the engine takes, 0.4 seconds, as a process seldom
trains once. The engine's steps take a small part of NumPy's time."""
PORTABLE_SECONDS = 0.25
"""Time that may be spent on predictions before Numba is loaded to predict: half of what that takes,
as a process that predicts this much may predict more."""
FORMULA_WORK = 20
"""Multiply-adds that take as long as a formula, under NumPy."""
MAX_STATE_ARRAYS = 2
LAYERS = (Dense, Embedding, Periodic)
"""The layers that ``kinds`` has."""


class CompiledEngine:
    """The compiled engine; see ``engines.base.Engine``.

    Without Numba, ``portable`` predicts the same bits. It also does so before Numba is loaded,
    for ``PORTABLE_SECONDS`` in all.
    """

    name = "compiled"

    def __init__(self) -> None:
        self._portable_seconds = 0.0

    def missing(self) -> MissingDependencyError | None:
        """Return the error for a missing Numba, which training needs, or None."""
        found = importlib.util.find_spec("numba")
        return None if found else MissingDependencyError("numba", "fast")

    def unsupported(self, network: Network, optimizer: Optimizer) -> str | None:
        """A user's layers, more than two state arrays, and steps that take a Jacobian."""
        for layer in network.layers:
            if type(layer) not in LAYERS:
                return f"a layer of kind {type(layer).__name__}"
        if optimizer.needs != "gradient":
            return f"the {optimizer.needs} that {type(optimizer).__name__} needs"
        if len(optimizer.state) > MAX_STATE_ARRAYS:
            return f"the {len(optimizer.state)} state arrays of {type(optimizer).__name__}"
        return None

    def seconds(
        self, network: Network, batch: int, member_steps: float, plan: Plan | None
    ) -> float:
        """Return the share of the start-up: beside it, the steps that NumPy takes as long for are
        short.
        """
        return START_UP_SECONDS

    def prepare(self, plan: Plan, threads: int | None, quiet: bool) -> Training:
        """Return the plan's training, compiled where it was not before."""
        from seedbed.engines.compiled import training

        return training.Training(plan, threads or cores(), quiet)

    def outputs(self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, N, O), on all cores."""
        if self._without_numba(len(x) * theta.size, theta):
            return self._portable_outputs(network, loss, theta, x, stage)
        return self.predictor(network, loss, theta.dtype)(theta, x, stage)

    def predictor(
        self, network: Network, loss: Loss, dtype: npt.DTypeLike
    ) -> Callable[[Array, Array, Stage], Array]:
        """Return ``outputs`` of theta, x and stage, its formulas looked up once."""
        from seedbed.engines.compiled.prediction import Outputs

        outputs, predict = Outputs(network, loss, np.dtype(dtype)), self.elementwise(loss.predict)

        def compute(theta: Array, x: Array, stage: Stage) -> Array:
            result = np.empty((len(theta), x.shape[-2], network.outputs), dtype=theta.dtype)
            outputs(theta, x, stage, result, cores())
            return predict(result) if stage == "predictions" else result

        return compute

    def _portable_outputs(
        self, network: Network, loss: Loss, theta: Array, x: Array, stage: Stage
    ) -> Array:
        from seedbed.engines import portable

        with self._counted():
            result = portable.outputs(network, loss, theta, x, stage)
            if stage != "predictions" or is_identity(loss.predict):
                return result
            with suppress(FormulaError):
                return portable.formula(loss.predict)(result)
        return without_warnings(loss.predict)(result)

    def elementwise(self, formula: Callable[..., Array]) -> Callable[..., Array]:
        """Return the formula compiled; NumPy computes one that cannot be."""
        fallback = without_warnings(formula)
        if is_identity(formula):
            return fallback
        compiled: Callable[..., Array] | None = None

        def evaluate(*arrays: Array) -> Array:
            nonlocal compiled
            with suppress(FormulaError):
                if compiled is None:
                    if self._without_numba(FORMULA_WORK * arrays[0].size, arrays[0]):
                        from seedbed.engines import portable

                        with self._counted():
                            return portable.formula(formula)(*arrays)
                    from seedbed.engines.compiled.prediction import Formula

                    compiled = Formula(formula)
                return compiled(*arrays)
            return fallback(*arrays)

        return evaluate

    def small_batch_predictor(
        self, network: Network, loss: Loss, theta: Array
    ) -> Callable[[Array, Stage], Array] | None:
        """Return a predictor with everything prepared that stays the same from call to call."""
        if not theta.flags.carray:
            return None
        prepared: Callable[[Array, Stage], Array] | None = None

        def predict(x: Array, stage: Stage) -> Array:
            nonlocal prepared
            if prepared is None:
                if self._without_numba(len(x) * theta.size, theta):
                    return self._portable_outputs(network, loss, theta, x, stage)
                from seedbed.engines.compiled.prediction import SmallBatchPredictor

                prepared = SmallBatchPredictor(network, loss, theta)
            return prepared(x, stage)

        return predict

    def _without_numba(self, work: float, numbers: Array) -> bool:
        """Return whether ``portable`` is to compute ``work`` multiply-adds of such numbers."""
        if sys.modules.get("numba") is not None:
            return False
        seconds = work * numbers.itemsize**2 * 0.3e-9
        short = self._portable_seconds + seconds < PORTABLE_SECONDS
        return short or self.missing() is not None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            self._portable_seconds += time.thread_time() - began
