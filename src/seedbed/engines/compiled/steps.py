"""The step of ``numpy_engine`` under Numba, for a group of members.

A group is as many members as one vector or a few have lanes, or one member alone, whose vectors run
along a layer's units. Both compute every number by the same steps in the same order, so the choice
shows in no result. An array of a group is flat; where NumPy's engine has (P, B, O), it holds
(B, O, s), s being the number of lanes, 1 for a member alone: number (b, o) begins at (b O + o) s.
Arrays with one number for each lane have c numbers: s, or a whole vector for a member alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled import dense, records
from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.memory import broadcast, load, pointer, store, width
from seedbed.engines.compiled.products import multiply
from seedbed.engines.compiled.records import (
    OTHER,
    SCALED,
    Floats,
    Matrix,
    Program,
    StepFlags,
    Workspace,
)
from seedbed.engines.compiled.sums import sum_products
from seedbed.engines.compiled.target import inline, noinline


@inline
def forward(
    program: Program, work: Workspace, s: int, theta: Floats, x: Matrix, per_lane: bool, B: int,
    drops: bool,
) -> None:  # fmt: skip
    """Compute every layer's z and a for B rows, as ``objective.forward`` does."""
    for k in range(program.layers):
        if program.dense[k] != OTHER:
            dense.forward(program, work, k, s, theta, x, per_lane, B)
        else:
            call(program.forward[k], (program, work, k, s, theta, x, per_lane, B))
        O, a = program.widths[k + 1], pointer(work.numbers, work.a[k])
        if drops and program.drops[k] != 0:
            h, mask = pointer(work.numbers, work.h[k]), pointer(work.numbers, work.masks[k])
            for e in range(0, B * O * s, width(a)):
                store(h, e, load(a, e) * load(mask, e))
            a = h
        x, per_lane = Matrix(a, O * s, s), s > 1


@inline
def backward(
    program: Program, work: Workspace, s: int, theta: Floats, x: Matrix, per_lane: bool, B: int,
    drops: bool, adds: bool,
) -> None:  # fmt: skip
    """Write the gradient of B rows to g, or add it if ``adds``, from dy at ``delta``.

    See ``objective.backward``.
    """
    delta, below = work.delta, work.delta_below
    for k in range(program.layers - 1, -1, -1):
        if drops and program.drops[k] != 0:
            mask = pointer(work.numbers, work.masks[k])
            for e in range(0, B * program.widths[k + 1] * s, width(delta)):
                store(delta, e, load(delta, e) * load(mask, e))
        inputs, inputs_per_lane = x, per_lane
        if k > 0:
            source = work.h[k - 1] if drops and program.drops[k - 1] != 0 else work.a[k - 1]
            inputs = Matrix(pointer(work.numbers, source), program.widths[k] * s, s)
            inputs_per_lane = s > 1
        if program.dense[k] != OTHER:
            dense.backward(
                program, work, k, s, theta, inputs, inputs_per_lane, delta, below, B, adds
            )
        else:
            call(
                program.backward[k],
                (program, work, k, s, theta, inputs, inputs_per_lane, delta, below, B, adds),
            )
        delta, below = below, delta


@inline
def loss_inputs(program: Program, work: Workspace, s: int, B: int) -> Any:
    """Return what the loss takes: the outputs, or their log-probabilities if they are classes."""
    last = program.layers - 1
    y, h = pointer(work.numbers, work.a[last]), pointer(work.numbers, work.h[last])
    if program.classes:
        call(program.log_softmax, (y, h, B, program.widths[last + 1], s))
        return h
    return y


@inline
def sum_losses(program: Program, work: Workspace, s: int, B: int, adds: bool) -> None:
    """Write the sums of B rows' losses to ``loss_sums``, or add them: by output, rows ascending."""
    O, c = program.widths[program.layers], max(s, width(work.losses))
    sums, zeros = Matrix(work.loss_sums, 0, c), Matrix(work.zeros, 0, 0)
    losses, ones = Matrix(work.losses, O * s, c), Matrix(work.ones, 0, 0)
    multiply(program, work.packed, s, False, sums if adds else zeros, sums, ones, losses, 1, O, B)


@inline
def total_loss(work: Workspace, s: int, O: int, v: int) -> Any:
    """Return the sum of ``loss_sums`` over the outputs: the loss of each lane from v on."""
    sums = work.loss_sums
    loss = load(sums, v) if s > 1 else broadcast(sums, 0)
    for o in range(1, O):
        loss = loss + (load(sums, o * s + v) if s > 1 else broadcast(sums, o))
    return loss


@noinline
def clip(work: Workspace, s: int, size: int) -> None:
    """Scale g to at most the clipping norm, as ``objective.clip_factor`` does."""
    W = width(work.g)
    numbers, c = size * s, max(s, W)
    sum_products(work, s, work.g, work.g, numbers)
    overflowed = False
    for lane in range(s):
        length = np.sqrt(work.partial[lane])
        work.partial[lane] = length
        overflowed |= np.isinf(length)
    if overflowed:
        for lane in range(s):
            if np.isinf(work.partial[lane]):
                longest = abs(work.g[lane])
                for d in range(size):
                    longest = max(longest, abs(work.g[d * s + lane]))
                scaled = longest - longest
                for d in range(size):
                    ratio = work.g[d * s + lane] / longest
                    scaled += ratio * ratio
                work.partial[lane] = longest * np.sqrt(scaled)
    for lane in range(s):
        norm = work.hyperparameters[records.CLIP * c + lane]
        length = work.partial[lane]
        work.partial[lane] = norm / (norm if length < norm else length)
    for v in range(0, c, W):
        factor = load(work.partial, v) if s > 1 else broadcast(work.partial, 0)
        for e in range(v, numbers, c):
            store(work.g, e, load(work.g, e) * factor)


@inline
def update(
    program: Program, flags: StepFlags, work: Workspace, s: int, old: Floats, new: Floats,
    slots: Any, number: int, factor: float,
) -> None:  # fmt: skip
    """Take step ``number`` from g, theta from ``old`` to ``new``, as ``numpy_engine.update``."""
    c = max(s, width(old))
    numbers = work.hyperparameters
    for k in range(program.layers):
        if program.dense[k] == SCALED:
            dense.finish_gradient(program, work, k, s, old)
    for v in range(0, c, width(old)):
        store(work.nonfinite, v, load(work.zeros, 0))
    if flags.penalized:
        l1, l2 = pointer(numbers, records.L1 * c), pointer(numbers, records.L2 * c)
        start = 0
        for block in range(program.blocks):
            end = program.block_ends[block] * s
            if program.block_decays[block] != 0:
                w, g = pointer(old, start), pointer(work.g, start)
                call(program.penalty, (w, g, l1, l2, c, end - start))
            start = end
    if flags.clips:
        clip(work, s, program.size)
    if not flags.decays:
        advance(program, work, old, new, slots, 0, program.size * s, work.zeros, number, factor, c)
        return
    decay = pointer(numbers, records.DECAY * c)
    start = 0
    for block in range(program.blocks):
        end = program.block_ends[block] * s
        rate = decay if program.block_decays[block] != 0 else work.zeros
        advance(program, work, old, new, slots, start, end, rate, number, factor, c)
        start = end


@inline
def advance(
    program: Program, work: Workspace, old: Floats, new: Floats, slots: Any, start: int, end: int,
    decay: Floats, number: int, factor: float, c: int,
) -> None:  # fmt: skip
    """Call the optimizer's rule on the parameters from ``start`` to ``end``; see ``loops.rule``."""
    call(
        program.rule,
        (
            pointer(old, start), pointer(new, start), pointer(work.g, start),
            pointer(slots[0], start), pointer(slots[1], start), work.hyperparameters, decay,
            work.nonfinite, number, factor, c, end - start,
        ),
    )  # fmt: skip
