"""Faults that one pass forward and back shows: idle units, vanishing and exploding gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, Kind, count_of_members, places_of
from seedbed.engines import objective
from seedbed.engines.batches import whole_batch
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss
from seedbed.layers.base import Pass
from seedbed.population import Population

_MAX_ROWS, _MIN_ROWS = 256, 32
"""Rows that are passed through the members; many or wide members get fewer."""
_CHUNK_SIZE, _MAX_SIZE = 2**22, 2**28
"""Approximate count of numbers that one chunk of members computes, and all members together."""
MIN_CURVE_EPOCHS = 8
"""Loss curves of fewer epochs are not judged."""
_SATURATED_SLOPE = 0.01
"""A unit is saturated on a row if its slope is below this share of the activation's slope at 0."""
_VANISHING_RATIO = 0.01
"""A gradient vanishes if it shrinks to less than this from the last layer to the first; it explodes
if it grows by the inverse. In 20 layers of relu, tanh or mish with he or glorot the ratio is
0.03 to 5."""
_MIN_WEIGHT_SCALE = 0.1
"""A penalty has removed weights whose root mean square is below this share of 1/√I."""
_MIN_GRADIENT_NORM = 1e-6
"""Vanishing is judged only if a row's derivative by the outputs is longer than this."""


class Measured(NamedTuple):
    """What one pass of P members on B rows shows; L layers, of which L - 1 are hidden."""

    t: Array
    """(B, O): the targets"""
    x: Array
    """(B, I): the inputs"""
    initial_loss: Array
    """(P,): the loss before training; NaN if the curves are too short to be judged by it"""
    idle: Array
    """(P, L - 1): the share of each hidden layer's units that are dead or saturated"""
    flow: Array
    """(P, L): root mean square over rows of the norm of the derivative by a layer's z"""
    gradient_norm: Array
    """(P,): the norm of the objective's gradient by theta"""
    constant_loss: float
    """The loss of predicting the targets' mean; inf if it is unknown or the targets are constant"""


def measure(population: Population, x: Array, t: Array, w: Array | None = None) -> Measured:
    """Run one pass forward and back of every member, on up to 256 rows.

    Diverged members are measured with their initial parameters.
    """
    network, loss = population.network, population.recipe.loss
    constant = _constant_loss(loss, t, w)
    affordable = _MAX_SIZE // (len(population) * network.row_size)
    count = min(max(affordable, _MIN_ROWS), _MAX_ROWS, len(x))
    rows = np.linspace(0, len(x) - 1, count).astype(np.intp)
    x, t, w = x[rows].astype(np.float64), t[rows], None if w is None else w[rows]
    batch = whole_batch(x, t, w, loss)
    needs_initial = population.history.train_loss.shape[1] >= MIN_CURVE_EPOCHS
    step = max(1, _CHUNK_SIZE // (4 * len(x) * network.row_size + network.size))
    chunks = []
    for start in range(0, len(population), step):
        chunk = slice(start, start + step)
        theta = population.theta[chunk].astype(np.float64)
        initial_loss = np.full(len(theta), np.nan)
        if needs_initial or population.diverged[chunk].any():
            initial = network.init(population.seeds[chunk], np.float64)
            theta = np.where(population.diverged[chunk, None], initial, theta)
            with np.errstate(all="ignore"):
                initial_loss = objective.evaluate(network, loss, network.views(initial), [batch])
        hyperparameters = population.recipe.take(
            np.arange(start, start + len(theta)), len(population)
        ).hyperparameters(len(theta), np.float64)
        gradient = objective.Objective(network, loss, hyperparameters, theta)
        trace = objective.Trace()
        with np.errstate(all="ignore"):
            gradient.gradient(batch, trace=trace)
            flow = [np.sqrt((dz * dz).sum(axis=2).mean(axis=1)) for _, dz in trace.slopes[::-1]]
        idle = [
            np.broadcast_to(_idle_share(layer.activation, passed), len(theta))
            for layer, passed in zip(network.layers[:-1], trace.passes[:-1], strict=True)
        ]
        chunks.append((
            initial_loss, np.stack([*idle, np.zeros(len(theta))], axis=1)[:, :-1],
            np.stack(flow, axis=1), np.sqrt(np.vecdot(gradient.g, gradient.g)),
        ))  # fmt: skip
    initials, idles, flows, norms = (np.concatenate(each) for each in zip(*chunks, strict=True))
    return Measured(t, x, initials, idles, flows, norms, constant)


def _constant_loss(loss: Loss, t: Array, w: Array | None) -> float:
    """Return the loss against t (N, O) of predicting its mean for each row, with weights (N,)."""
    if loss.inverse_predict is None or (t.max(axis=0) == t.min(axis=0)).all():
        return np.inf
    with np.errstate(all="ignore"):
        mean = np.average(t, axis=0, weights=w)
        each = loss.f(loss.inverse_predict(np.broadcast_to(mean, t.shape)), loss.smooth(t))
    each = each.sum(axis=1) / loss.terms(t.shape[1])
    return float(np.average(each, weights=w))


def last_hidden(population: Population, measured: Measured, members: Array) -> Array:
    """Return members' last hidden activations (M, B, units); the inputs if no layer is hidden."""
    network = population.network
    with np.errstate(all="ignore"):
        theta = population.theta[members].astype(np.float64)
        _, passes = objective.forward(network, network.views(theta), measured.x[None])
    inputs = passes[-1].inputs
    return np.broadcast_to(inputs, (len(members), *inputs.shape[1:]))


def _idle_share(activation: Activation, passed: Pass) -> Array:
    """Return the share of a layer's units, (P,), that are dead, or saturated on nearly all rows."""
    if passed.a.shape[1] < 2:
        return np.zeros(len(passed.a))
    if activation.saturates:
        slope = np.abs(activation.df(passed.z, passed.a))
        steepest = np.abs(activation.df(np.zeros(1), activation(np.zeros(1))))
        flat = np.quantile(slope, 0.95, axis=1) < _SATURATED_SLOPE * steepest
        return np.asarray(flat.mean(axis=1))
    low, high = passed.a.min(axis=1), passed.a.max(axis=1)
    return np.asarray((high - low <= 1e-6 * (1 + np.abs(high))).mean(axis=1))


def idle_units(population: Population, measured: Measured) -> Iterator[Finding]:
    """Find hidden layers in which most of the fitted members' units are dead or saturated."""
    fitted = ~population.diverged
    if not fitted.any():
        return
    for number, layer in enumerate(population.network.layers[:-1], 1):
        shares = measured.idle[:, number - 1]
        share, activation = shares[fitted].mean(), layer.activation
        if share <= 0.5:
            continue
        kind: Kind = "saturated units" if activation.saturates else "dead units"
        message = f"{share:.0%} of the units of hidden layer {number} are "
        if activation.saturates:
            message += (
                f"saturated: {activation.name} is flat there, so they hardly learn; lower the "
                "learning rate, scale the inputs, or use relu or mish"
            )
        else:
            message += (
                "dead: their activations are the same for every row; lower the learning rate or "
                "the weight decay, or use leaky_relu or mish"
            )
        yield Finding(kind, message, places_of(fitted & (shares > 0.5)))


def _weight_scale(population: Population) -> Array:
    """Return the smallest layer's root mean square weight as a share of 1/√I, (P,)."""
    theta = population.theta.astype(np.float64)
    scales = [
        np.sqrt((theta[:, block.where] ** 2).mean(axis=1) * block.shape[-2])
        for block in population.network.blocks
        if block.decays
    ]
    return np.asarray(np.min(scales, axis=0))


def vanishing_or_exploding(population: Population, measured: Measured) -> Iterator[Finding]:
    """Compare the derivative's norm at the last layer and the first."""
    flow = measured.flow * len(measured.t)  # of a row's own loss, not of its share of the mean
    layers = population.network.layers
    with np.errstate(all="ignore"):
        ratio = flow[:, 0] / flow[:, -1]
    vanishes = (ratio < _VANISHING_RATIO) & (flow[:, -1] > _MIN_GRADIENT_NORM) & (len(layers) > 2)
    explodes = (ratio > 1 / _VANISHING_RATIO) & (flow[:, 0] > 1)
    explodes |= ~np.isfinite(flow).all(axis=1)
    h = population.recipe.hyperparameters(len(population), np.float64)
    penalized = np.broadcast_to((h.l1 + h.l2 + h.weight_decay)[:, 0] > 0, len(population))
    removed = penalized & (_weight_scale(population) < _MIN_WEIGHT_SCALE)
    if (vanishes & removed).sum() > 0.5 * vanishes.sum() > 0:
        remedy = "the penalty has shrunk the weights; lower l1, l2 or weight_decay"
    elif any(layer.activation.saturates for layer in layers[:-1]):
        remedy = "the first layers hardly learn; use relu, mish or selu, or fewer layers"
    else:
        remedy = "the first layers hardly learn; use larger initial weights (he), or fewer layers"
    fewer = ", or use fewer layers" if len(layers) > 3 else ""
    smaller = f"use smaller initial weights (he or glorot), or set clip_norm{fewer}"
    faults: tuple[tuple[Kind, str, Array, str], ...] = (
        ("vanishing gradients", "vanishes", vanishes, remedy),
        ("exploding gradients", "explodes", explodes, smaller),
    )
    for kind, verb, wrong, remedy in faults:
        count = int(wrong.sum())
        if count > 0.5 * len(population):
            norms = ", ".join(f"{value:.2g}" for value in np.median(flow[wrong], axis=0)[::-1])
            yield Finding(
                kind,
                f"the gradient of {count_of_members(count, len(population))} {verb}; its norms "
                f"from the last layer to the first: {norms}; {remedy}",
                places_of(wrong),
            )
