"""A dense layer of a group: z = x W + b, a = f(z), forward and backward."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.memory import pointer, width
from seedbed.engines.compiled.products import multiply, transposed
from seedbed.engines.compiled.records import Floats, Matrix, Program, Workspace
from seedbed.engines.compiled.target import inline


@inline
def weights_of(program: Program, k: int, s: int, parameters: Floats) -> Any:
    """Return layer k's W, (I, O), in an array (D, s) of parameters or their gradient."""
    first = pointer(parameters, program.starts[k] * s)
    return Matrix(first, program.widths[k + 1] * s, max(s, width(parameters)))


@inline
def biases_of(program: Program, k: int, s: int, parameters: Floats) -> Any:
    """Return its b, (1, O), with a row stride of 0."""
    first = program.starts[k] + program.widths[k] * program.widths[k + 1]
    return Matrix(pointer(parameters, first * s), 0, max(s, width(parameters)))


@inline
def forward(
    program: Program, work: Workspace, k: int, s: int, theta: Floats, x: Matrix, per_lane: bool,
    B: int,
) -> None:  # fmt: skip
    """Compute layer k's z and a for B rows x (B, I), which each lane has its own of if
    ``per_lane``.
    """
    I, O = program.widths[k], program.widths[k + 1]
    z, a = pointer(work.numbers, work.z[k]), pointer(work.numbers, work.a[k])
    multiply(
        program, work.packed, s, per_lane, biases_of(program, k, s, theta),
        Matrix(z, O * s, max(s, width(theta))), x, weights_of(program, k, s, theta), B, O, I,
    )  # fmt: skip
    call(program.forward[k], (z, a, B * O * s))


@inline
def backward(
    program: Program, work: Workspace, k: int, s: int, theta: Floats, x: Matrix, per_lane: bool,
    delta: Floats, below: Floats, B: int, adds: bool,
) -> None:  # fmt: skip
    """Turn da, at ``delta``, into dz; write dW and db, or add them if ``adds``; write dx below.

    dz = da · f'(z, a),  dW = xᵀ dz,  db = Σ_rows dz,  dx = dz Wᵀ
    """
    I, O = program.widths[k], program.widths[k + 1]
    c = max(s, width(theta))
    z, a = pointer(work.numbers, work.z[k]), pointer(work.numbers, work.a[k])
    call(program.backward[k], (z, a, delta, B * O * s))
    dz, zeros, ones = Matrix(delta, O * s, c), Matrix(work.zeros, 0, 0), Matrix(work.ones, 0, 0)
    dW, db = weights_of(program, k, s, work.g), biases_of(program, k, s, work.g)
    multiply(
        program, work.packed, s, per_lane, dW if adds else zeros, dW, transposed(x), dz, I, O, B
    )
    multiply(program, work.packed, s, False, db if adds else zeros, db, ones, dz, 1, O, B)
    if k > 0:
        dx, dz_rows = Matrix(below, I * s, c), Matrix(delta, O * s, s)
        W_transposed = Matrix(weights_of(program, k, s, theta).first, s, O * c)
        multiply(program, work.packed, s, s > 1, zeros, dx, dz_rows, W_transposed, B, I, O)
