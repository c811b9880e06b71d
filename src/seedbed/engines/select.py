"""The table of engines, and the choice of an engine for training and prediction."""

from __future__ import annotations

import sys

from seedbed.engines.base import Engine, Training
from seedbed.engines.compiled import CompiledEngine
from seedbed.engines.numpy_engine import NumpyEngine
from seedbed.engines.plan import Plan
from seedbed.errors import FormulaError
from seedbed.formulas.optimizers import Optimizer
from seedbed.network import Network

COMPILED, NUMPY = CompiledEngine(), NumpyEngine()
ENGINES: dict[str, Engine] = {engine.name: engine for engine in (COMPILED, NUMPY)}
FALLBACK = NUMPY
"""The engine that supports every plan and needs only NumPy."""


def prepare(
    name: str, plan: Plan, threads: int | None, quiet: bool, trainings: int = 1
) -> tuple[Engine, Training]:
    """Return the engine called ``name`` and its training of the plan.

    "auto" picks the fastest engine for ``trainings`` such plans, which load an engine once, or
    NumPy if that one does not support the plan. The choice depends on the plan and the installed
    packages, not on the compiler's cache, so that a script gives the same numbers every time.

    Raises: MissingDependencyError or FormulaError if the named engine cannot run the plan.
    """
    if name != "auto":
        engine = ENGINES[name]
        if (missing := engine.missing()) is not None:
            raise missing
        if (reason := engine.unsupported(plan.network, plan.optimizer)) is not None:
            raise FormulaError(
                f"the {name} engine does not support {reason}: use engine={FALLBACK.name!r}"
            )
        return engine, engine.prepare(plan, threads, quiet)
    member_steps = plan.estimated_steps * len(plan.seeds) * trainings
    engine, reason = fastest(plan.network, plan.optimizer, plan.largest_batch, member_steps, plan)
    try:
        training = engine.prepare(plan, threads, quiet)
    except FormulaError as error:
        engine, reason = FALLBACK, str(error)
        training = engine.prepare(plan, threads, quiet)
    if reason is not None and not quiet and sys.stderr is not None:
        print(f"seedbed: the {engine.name} engine trains: {reason}", file=sys.stderr)
    return engine, training


def fastest(
    network: Network, optimizer: Optimizer, batch: int, member_steps: float, plan: Plan | None
) -> tuple[Engine, str | None]:
    """Return the installed engine with the shortest estimated time (``Engine.seconds``).

    If it does not support the network or the optimizer, return NumPy and the reason.
    """
    installed = [engine for engine in ENGINES.values() if engine.missing() is None]
    engine = min(installed, key=lambda each: each.seconds(network, batch, member_steps, plan))
    if (reason := engine.unsupported(network, optimizer)) is None:
        return engine, None
    return FALLBACK, f"the {engine.name} one does not support {reason}"


def prediction_engine(name: str, network: Network, optimizer: Optimizer) -> Engine:
    """Return the engine called ``name``, which need not be installed to predict.

    NumPy predicts where the recipe of a population made by hand names "auto", or an engine that
    does not support the network.
    """
    engine = ENGINES.get(name, FALLBACK)
    return engine if engine.unsupported(network, optimizer) is None else FALLBACK
