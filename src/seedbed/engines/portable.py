"""Predictions in plain NumPy with the compiled engine's bits, for where Numba is not loaded.

    z_o = b_o, then z_o = fma(x_i, W_io, z_o) for i ascending;   a = f(z)

Members and rows are array axes; no operation adds along them. Each sum has one order, and formulas
call ``mathematics`` in place of NumPy, so the lines below also define what an exported model must
compute.
"""

from __future__ import annotations

import types as python
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.engines import mathematics
from seedbed.engines.arithmetic import Numbers, factor, fits, fma, fused
from seedbed.engines.base import Stage
from seedbed.engines.translation import translate
from seedbed.errors import FormulaError
from seedbed.formulas.activations import relu
from seedbed.formulas.losses import Loss
from seedbed.layers.base import Layer
from seedbed.layers.dense import Dense
from seedbed.layers.embedding import Embedding
from seedbed.layers.periodic import TWO_PI, Periodic
from seedbed.network import Network

BLOCK_NUMBERS = 2**15
"""Numbers of a layer's outputs that are computed at a time, so that they stay in the cache."""

_NUMPY: Any = python.ModuleType("numpy")
"""What ``np`` means in formulas."""
for _name in mathematics.__all__:
    setattr(_NUMPY, _name, getattr(mathematics, _name))


def formula(function: Callable[..., Any]) -> Callable[..., Array]:
    """Return an elementwise formula with the compiled engine's bits.

    Raises: FormulaError for one that the compiled engine does not take either.
    """
    evaluate = translate(function, _NUMPY, lambda same: same, {_NUMPY.abs: _NUMPY.abs})

    def compute(*arrays: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                return _canonical_nan(evaluate(*map(Numbers, arrays)).array)
        except (AttributeError, TypeError) as error:
            raise FormulaError(f"{function!r} is not elementwise arithmetic: {error}") from error

    return compute


def outputs(network: Network, loss: Loss, theta: Array, x: Array, stage: Stage) -> Array:
    """Return the outputs (P, N, O) for theta (P, D) and x (N, I), up to ``stage``, but no
    predictions.

    Raises: FormulaError for an activation that the compiled engine does not take either.
    """
    result = np.empty((len(theta), len(x), network.outputs), dtype=theta.dtype)
    steps = [_forward(layer) for layer in network.layers]
    with np.errstate(all="ignore"):
        for members, rows in _blocks(len(theta), len(x), max(network.widths[1:])):
            y = x[None, rows]
            for step, parameters in zip(steps, network.views(theta[members]), strict=True):
                y = step(parameters, y)
            if loss.targets == "classes" and stage != "outputs":
                y = log_softmax(y)
            result[members, rows] = y
    return _canonical_nan(result)


def _canonical_nan(y: Array) -> Array:
    """Return y with ``np.nan`` for any NaN: processors differ in the NaN's sign."""
    is_nan = np.isnan(y)
    return np.where(is_nan, y.dtype.type(np.nan), y) if is_nan.any() else y


def _blocks(members: int, rows: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of members and rows with about ``BLOCK_NUMBERS`` numbers of a layer."""
    some = max(1, BLOCK_NUMBERS // width)
    row_step = min(rows, some) or 1
    member_step = max(1, some // row_step)
    for member in range(0, members, member_step):
        for row in range(0, rows, row_step):
            yield slice(member, member + member_step), slice(row, row + row_step)


def _forward(layer: Layer) -> Callable[[Any, Array], Array]:
    """Return the layer's function of its parameters and inputs (P or 1, B, I) to (P, B, O)."""
    if isinstance(layer, Dense):
        f = formula(layer.activation.f)
        return lambda p, x: f(affine(x, layer.scaled_weights(p), p.b))
    if isinstance(layer, Embedding):
        return lambda p, x: embed(layer, p, x)
    assert isinstance(layer, Periodic)
    return lambda p, x: embed_periodically(layer, p, x)


def affine(x: Array, W: Array, b: Array) -> Array:
    """x W + b, for x (P or 1, B, I), W (P, I, O) and b (P, 1, O)."""
    z = np.broadcast_to(b, (len(W), x.shape[1], W.shape[2]))
    fitting, x_factor, W_factor = fits(x, W, b, W.shape[1]), factor(x), factor(W)
    for i in range(W.shape[1]):
        x_i = tuple(part[:, :, i, None] for part in x_factor)
        W_i = tuple(part[:, i, None, :] for part in W_factor)
        z = fused(x_i, W_i, z, fitting)
    return z


def embed(layer: Embedding, E: Any, x: Array) -> Array:
    """(the other columns, E[x_c] of each embedded column c), for x (1, B, I)."""
    others = np.delete(x, list(layer.columns), axis=-1)
    vectors = [
        each[:, x[0, :, c].astype(np.intp)] for each, c in zip(E, layer.columns, strict=True)
    ]
    return _side_by_side(others, *vectors)


def embed_periodically(layer: Periodic, p: Any, x: Array) -> Array:
    """(the other columns, with phases the embedded columns, their embeddings); see ``layers``.

    The waves are those of turns t = c x, or c x + φ / 2π: cos 2πt and sin 2πt.
    """
    columns = list(range(x.shape[-1]) if layer.columns is None else layer.columns)
    embeddings = []
    for j, column in enumerate(columns):
        turns = Numbers(p.c[:, :, j] * x[:, :, column, None])
        if layer.phases:
            turns = fma(Numbers(p.p[:, :, j]), 1 / TWO_PI, turns)
        cos, sin = (wave.array for wave in mathematics.cos_sin_of_turns(turns))
        h = cos if layer.phases else np.concatenate([sin, cos], axis=-1)
        e = affine(h, p.W[:, j], p.b[:, :, j])
        embeddings.append(e if layer.phases else formula(relu.f)(e))
    others = np.delete(x, columns, axis=-1)
    return _side_by_side(others, *([x[:, :, columns]] if layer.phases else []), *embeddings)


def _side_by_side(*parts: Array) -> Array:
    """Return the columns of all parts, (P, B, …); the first ones may be the same for all members,
    (1, B, …).
    """
    members = len(parts[-1])
    return np.concatenate([np.broadcast_to(a, (members, *a.shape[1:])) for a in parts], axis=-1)


def log_softmax(y: Array) -> Array:
    """y - log Σ e^y over the last axis, summed in ascending order; the largest y is subtracted."""
    top = Numbers(y[..., 0])
    for o in range(1, y.shape[-1]):
        top = mathematics.maximum(top, Numbers(y[..., o]))
    shifted = y - top.array[..., None]
    raised = mathematics.exp(Numbers(shifted)).array
    total = raised[..., 0]
    for o in range(1, y.shape[-1]):
        total = total + raised[..., o]
    return np.asarray(shifted - mathematics.log(Numbers(total)).array[..., None])
