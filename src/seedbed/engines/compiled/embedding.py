"""An embedding layer of a group, forward and backward; see ``layers.embedding``."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled.columns import copy_columns
from seedbed.engines.compiled.memory import pointer
from seedbed.engines.compiled.records import Floats, Matrix, Program, Workspace
from seedbed.layers import Embedding

FORMULAS = ()


def settings(layer: Embedding, inputs: int) -> list[int]:
    """Return the numbers of other and embedded columns, then the other columns, then each embedded
    column, its categories and units.
    """
    others = [column for column in range(inputs) if column not in layer.columns]
    parameters = layer.parameters(inputs)
    embedded = [(c, *each.shape) for c, each in zip(layer.columns, parameters, strict=True)]
    return [len(others), len(embedded), *others, *np.array(embedded).ravel().tolist()]


def scratch(layer: Embedding, inputs: int) -> int:
    """Return 0: the backward pass needs no more than the inputs."""
    return 0


def make(W: int) -> tuple[Any, Any]:
    """Return ``forward`` and ``backward``."""

    def forward(
        program: Program, work: Workspace, k: int, s: int, theta: Floats, x: Matrix, per_lane: bool,
        B: int,
    ) -> None:  # fmt: skip
        """a = (the other columns, E[x_c] of each embedded column)."""
        O, sizes = program.widths[k + 1], pointer(program.settings, program.setting_starts[k])
        a, others = pointer(work.numbers, work.a[k]), sizes[0]
        copy_columns(x, per_lane, pointer(sizes, 2), others, a, O, s, B)
        place, E = others, pointer(theta, program.starts[k] * s)
        for number in range(sizes[1]):
            at = 2 + others + 3 * number
            column, categories, units = sizes[at], sizes[at + 1], sizes[at + 2]
            for b in range(B):
                source = pointer(x.first, b * x.row_stride + column * x.column_stride)
                for lane in range(s):
                    category = np.intp(source[lane if per_lane else 0])
                    for u in range(units):
                        value = E[(category * units + u) * s + lane]
                        a[(b * O + place + u) * s + lane] = value
            place, E = place + units, pointer(E, categories * units * s)

    def backward(
        program: Program, work: Workspace, k: int, s: int, theta: Floats, x: Matrix, per_lane: bool,
        delta: Floats, below: Floats, B: int, adds: bool,
    ) -> None:  # fmt: skip
        """dE = Σ_rows [x_c = category] da_c, rows ascending."""
        O, sizes = program.widths[k + 1], pointer(program.settings, program.setting_starts[k])
        place, dE = sizes[0], pointer(work.g, program.starts[k] * s)
        for number in range(sizes[1]):
            at = 2 + sizes[0] + 3 * number
            column, categories, units = sizes[at], sizes[at + 1], sizes[at + 2]
            if not adds:
                for e in range(categories * units * s):
                    dE[e] = 0.0
            for b in range(B):
                source = pointer(x.first, b * x.row_stride + column * x.column_stride)
                for lane in range(s):
                    category = np.intp(source[lane if per_lane else 0])
                    for u in range(units):
                        da = delta[(b * O + place + u) * s + lane]
                        dE[(category * units + u) * s + lane] += da
            place, dE = place + units, pointer(dE, categories * units * s)

    return forward, backward
