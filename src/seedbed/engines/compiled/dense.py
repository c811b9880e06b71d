"""A dense layer of a group: z = x W + b, a = f(z), forward and backward.

Where inputs are scaled, W stands for the weights times the scales, which the forward pass writes,
or the backward pass after one of few rows.
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
from seedbed.engines.compiled.vectors import fma

FEW_ROWS = 2
"""Rows up to which a member alone does not write its scaled weights. No result depends on it."""


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


@inline
def scale_row(
    work: Workspace, k: int, s: int, u: Floats, i: int, O: int, source: Floats, target: Floats
) -> None:
    """target_o = (1 + input_scale u_i) source_o, for the O numbers of input i; they may be one."""
    W, f, one = width(source), work.input_scales[k], load(work.ones, 0)
    if s > 1:
        for lane in range(0, s, W):
            scale = load(u, i * s + lane) * f + one
            for e in range(lane, O * s, s):
                store(target, e, scale * load(source, e))
    else:
        scale = broadcast(u, i) * f + one
        for e in range(0, O, W):
            store_first(target, e, scale * load_first(source, e, O - e), O - e)


@noinline
def scale_weights(program: Program, work: Workspace, k: int, s: int, theta: Floats) -> None:
    """Write (1 + input_scale u_i) W_io to ``scaled``."""
    O, u = program.widths[k + 1], scale_parameters(program, k, s, theta)
    weights, scaled = weights_of(program, k, s, theta).first, pointer(work.numbers, work.scaled[k])
    for i in range(program.widths[k]):
        row = i * O * s
        scale_row(work, k, s, u, i, O, pointer(weights, row), pointer(scaled, row))


@noinline
def scaled_rows(
    program: Program, work: Workspace, k: int, theta: Floats, x: Matrix, z: Floats, B: int
) -> None:
    """Compute z of a few rows for a member alone, without writing the scaled weights first.

    The numbers are those of ``multiply``: z_o = fma(x_i, s_i W_io, z_o) for i ascending.
    """
    I, O, W = program.widths[k], program.widths[k + 1], width(theta)
    u, f, one = scale_parameters(program, k, 1, theta), work.input_scales[k], load(work.ones, 0)
    weights, biases = weights_of(program, k, 1, theta).first, biases_of(program, k, 1, theta).first
    for b in range(B):
        row, out = pointer(x.first, b * x.row_stride), pointer(z, b * O)
        e = 0
        while e + 4 * W <= O:  # enough sums to keep two multipliers busy
            p, q, r, t = (
                load(biases, e), load(biases, e + W), load(biases, e + 2 * W),
                load(biases, e + 3 * W),
            )  # fmt: skip
            for i in range(I):
                scale, x_i = broadcast(u, i) * f + one, broadcast(row, i * x.column_stride)
                w = pointer(weights, i * O + e)
                p, q = fma(x_i, scale * load(w, 0), p), fma(x_i, scale * load(w, W), q)
                r, t = fma(x_i, scale * load(w, 2 * W), r), fma(x_i, scale * load(w, 3 * W), t)
            store(out, e, p)
            store(out, e + W, q)
            store(out, e + 2 * W, r)
            store(out, e + 3 * W, t)
            e += 4 * W
        for first in range(e, O, W):
            count = O - first
            p = load_first(biases, first, count)
            for i in range(I):
                scale, x_i = broadcast(u, i) * f + one, broadcast(row, i * x.column_stride)
                p = fma(x_i, scale * load_first(weights, i * O + first, count), p)
            store(out, first, p)


@noinline
def finish_gradient(program: Program, work: Workspace, k: int, s: int, theta: Floats) -> None:
    """Turn the derivative by the scaled weights, V, at g's W into those by W and u.

    du_i = input_scale Σ_o W_io dV_io,  dW_io = (1 + input_scale u_i) dV_io
    """
    O, f = program.widths[k + 1], work.input_scales[k]
    u, du = scale_parameters(program, k, s, theta), scale_parameters(program, k, s, work.g)
    weights, gradient = weights_of(program, k, s, theta).first, weights_of(program, k, s, work.g)
    for i in range(program.widths[k]):
        w, g = pointer(weights, i * O * s), pointer(gradient.first, i * O * s)
        sum_products(work, s, w, g, O * s)
        for lane in range(s):
            du[i * s + lane] = f * work.partial[lane]
        scale_row(work, k, s, u, i, O, g, g)


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
        if s == 1 and B <= FEW_ROWS:  # the backward pass makes up for it
            scaled_rows(program, work, k, theta, x, z, B)
            call(program.forward[k], (z, a, B * O))
            return
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
        if program.dense[k] == SCALED and s == 1 and B <= FEW_ROWS:
            scale_weights(program, work, k, s, theta)
        dx, dz_rows = Matrix(below, I * s, c), Matrix(delta, O * s, s)
        W_transposed = Matrix(factors_of(program, work, k, s, theta).first, s, O * c)
        multiply(program, work.packed, s, s > 1, zeros, dx, dz_rows, W_transposed, B, I, O)
