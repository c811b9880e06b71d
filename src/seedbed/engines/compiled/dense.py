"""A dense layer of a group: z = x W + b, a = f(z), forward and backward.

Where inputs are scaled, W stands for the weights times the scales, which the forward pass writes.
"""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.memory import (
    broadcast,
    load,
    load_first,
    pointer,
    store,
    store_first,
    width,
)
from seedbed.engines.compiled.products import multiply, transposed
from seedbed.engines.compiled.records import SCALED, Floats, Matrix, Program, Workspace
from seedbed.engines.compiled.sums import sum_products
from seedbed.engines.compiled.target import inline, noinline


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
def scale_parameters(program: Program, k: int, s: int, parameters: Floats) -> Any:
    """Return its u, (I,), of a SCALED layer."""
    first = program.starts[k] + (program.widths[k] + 1) * program.widths[k + 1]
    return pointer(parameters, first * s)


@inline
def factors_of(program: Program, work: Workspace, k: int, s: int, theta: Floats) -> Any:
    """Return the matrix (I, O) by which layer k multiplies its inputs."""
    if program.dense[k] != SCALED:
        return weights_of(program, k, s, theta)
    first = pointer(work.numbers, work.scaled[k])
    return Matrix(first, program.widths[k + 1] * s, max(s, width(theta)))


@noinline
def scale_weights(program: Program, work: Workspace, k: int, s: int, theta: Floats) -> None:
    """Write (1 + input_scale u_i) W_io to ``scaled``."""
    I, O, W = program.widths[k], program.widths[k + 1], width(theta)
    u, f, one = scale_parameters(program, k, s, theta), work.input_scales[k], load(work.ones, 0)
    weights, scaled = weights_of(program, k, s, theta).first, pointer(work.numbers, work.scaled[k])
    for i in range(I):
        w, v = pointer(weights, i * O * s), pointer(scaled, i * O * s)
        if s > 1:
            for lane in range(0, s, W):
                scale = load(u, i * s + lane) * f + one
                for e in range(lane, O * s, s):
                    store(v, e, scale * load(w, e))
        else:
            scale = broadcast(u, i) * f + one
            for e in range(0, O, W):
                store(v, e, scale * load_first(w, e, O - e))


@noinline
def finish_gradient(program: Program, work: Workspace, k: int, s: int, theta: Floats) -> None:
    """Turn the derivative by the scaled weights, V, at g's W into those by W and u.

    du_i = input_scale Σ_o W_io dV_io,  dW_io = (1 + input_scale u_i) dV_io
    """
    I, O, W = program.widths[k], program.widths[k + 1], width(theta)
    u, f, one = scale_parameters(program, k, s, theta), work.input_scales[k], load(work.ones, 0)
    du = scale_parameters(program, k, s, work.g)
    weights, gradient = weights_of(program, k, s, theta).first, weights_of(program, k, s, work.g)
    for i in range(I):
        w, g = pointer(weights, i * O * s), pointer(gradient.first, i * O * s)
        sum_products(work, s, w, g, O * s)
        for lane in range(s):
            du[i * s + lane] = f * work.partial[lane]
        if s > 1:
            for lane in range(0, s, W):
                scale = load(u, i * s + lane) * f + one
                for e in range(lane, O * s, s):
                    store(g, e, scale * load(g, e))
        else:
            scale = broadcast(u, i) * f + one
            for e in range(0, O, W):
                store_first(g, e, scale * load_first(g, e, O - e), O - e)


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
    if program.dense[k] == SCALED:
        scale_weights(program, work, k, s, theta)
    multiply(
        program, work.packed, s, per_lane, biases_of(program, k, s, theta),
        Matrix(z, O * s, max(s, width(theta))), x, factors_of(program, work, k, s, theta), B, O, I,
    )  # fmt: skip
    call(program.forward[k], (z, a, B * O * s))


@inline
def backward(
    program: Program, work: Workspace, k: int, s: int, theta: Floats, x: Matrix, per_lane: bool,
    delta: Floats, below: Floats, B: int, adds: bool,
) -> None:  # fmt: skip
    """Turn da, at ``delta``, into dz; write dW and db, or add them if ``adds``; write dx below.

    dz = da · f'(z, a),  dW = xᵀ dz,  db = Σ_rows dz,  dx = dz Wᵀ

    Where inputs are scaled, dW is for ``finish_gradient``.
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
        W_transposed = Matrix(factors_of(program, work, k, s, theta).first, s, O * c)
        multiply(program, work.packed, s, s > 1, zeros, dx, dz_rows, W_transposed, B, I, O)
