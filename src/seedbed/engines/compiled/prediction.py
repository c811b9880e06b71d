"""Outputs of trained members, and elementwise formulas, by the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.engines.base import SMALL_BATCH, Stage, is_identity
from seedbed.engines.compiled import addresses, evaluation
from seedbed.engines.compiled.kernels import flat, in_threads, kernel_for, program_for
from seedbed.engines.compiled.layout import (
    groups_per_task,
    lanes_per_vector,
    make_groups,
    min_for_lanes,
    piece_rows,
    split_groups,
    workspace_for,
)
from seedbed.engines.compiled.records import Groups
from seedbed.errors import FormulaError
from seedbed.formulas.losses import Loss
from seedbed.network import Network

MIN_THREAD_WORK = 2**22
"""Multiply-adds, about a millisecond's, from which threads are started."""


class Outputs:
    """The outputs of a network's members for many rows, its formulas looked up once.

    Raises: FormulaError for an activation that cannot be compiled.
    """

    def __init__(self, network: Network, loss: Loss, dtype: np.dtype[Any]) -> None:
        self.network, self.dtype = network, dtype
        self.program = program_for(network, loss, dtype)
        self.write = kernel_for(evaluation.outputs, dtype)
        self.lanes = lanes_per_vector(dtype)

    def __call__(self, theta: Array, x: Array, stage: Stage, result: Array, threads: int) -> None:
        """Write the outputs to ``result`` (P, N, O), up to ``stage``, but no predictions.

        Shapes: theta (P, D); x (N, I), or (P, N, I) if each member has rows of its own. Beside the
        result, memory stays within a few megabytes.
        """
        network, dtype, W = self.network, self.dtype, self.lanes
        rows = x.shape[-2]
        program = self.program
        program = program._replace(classes=program.classes and stage != "outputs")
        arrays = (flat(theta), flat(x))

        def do(groups: Groups) -> None:
            s = groups.members.shape[1]
            piece = piece_rows(network, dtype, rows, s)
            workspace = workspace_for(
                network, dtype, pieces={s: piece}, classes=True, backward=False
            )
            self.write(program, *arrays, piece, groups, workspace, result.reshape(-1))

        members = np.arange(len(theta))
        min_shared = W + 1 if x.ndim == 3 else min_for_lanes(network, dtype)
        tasks = [
            part
            for groups in make_groups(members, W, W, min_shared, threads)
            for part in split_groups(groups, groups_per_task(len(groups.counts), threads))
        ]
        if rows * theta.size < MIN_THREAD_WORK:
            for task in tasks:
                do(task)
        else:
            in_threads(threads, do, tasks)


class Formula:
    """An elementwise formula of one or two arrays, all of one shape and dtype, compiled.

    It is looked up at the first call, so keep the object if you call it often.
    """

    def __init__(self, function: Callable[..., Array]) -> None:
        self.function, self._addresses = function, dict[tuple[int, np.dtype[Any]], int]()

    def __call__(self, *arrays: Array) -> Array:
        """Return the formula of the arrays, of their shape.

        Raises: FormulaError if it cannot be compiled.
        """
        dtype: np.dtype[Any] = arrays[0].dtype
        key = len(arrays), dtype
        if key not in self._addresses:
            self._addresses[key] = addresses.formula(self.function, *key)
        if not self._addresses[key]:
            raise FormulaError(f"the compiled engine cannot compile {self.function!r}")
        result = np.empty(arrays[0].shape, dtype)
        given = [flat(array) for array in arrays]
        compute = kernel_for(evaluation.compute, dtype)
        compute(self._addresses[key], given[0], given[-1], result.reshape(-1))
        return result


class SmallBatchPredictor:
    """The outputs of P members for a few rows, with little delay.

    All that does not change from call to call is prepared once.
    """

    def __init__(self, network: Network, loss: Loss, theta: Array) -> None:
        self.loss = loss
        dtype: np.dtype[Any] = theta.dtype
        self.theta, self.dtype, self.outputs = flat(theta), dtype, network.outputs
        self.layers, self.members = len(network.layers), len(theta)
        program = program_for(network, loss, dtype)
        work = workspace_for(network, dtype, pieces={1: SMALL_BATCH}, classes=True, backward=False)
        self.classes, self.numbers = program.classes, work.numbers
        self.layout = np.concatenate(
            [
                [program.product_shared, program.log_softmax, network.size],
                [work.ones, work.input_scales],
                program.widths, program.dense, program.starts, program.forward,
                program.setting_starts, work.z, work.a, work.h, work.scaled,
                program.settings,
            ]
        )  # fmt: skip
        self.kernel = kernel_for(evaluation.small_outputs, dtype)
        identity = is_identity(loss.predict)
        self.predict = 0 if identity else addresses.formula(loss.predict, 1, dtype)
        self.complete = bool(self.predict) or identity

    def __call__(self, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, B, O) for x (B, I), up to ``stage``."""
        y = np.empty((self.members, len(x), self.outputs), self.dtype)
        predicts = stage == "predictions"
        self.kernel(
            self.layout, self.layers, self.classes and stage != "outputs",
            self.predict if predicts else 0, self.theta, flat(x), self.numbers, y.reshape(-1),
        )  # fmt: skip
        return self.loss.predict(y) if predicts and not self.complete else y
