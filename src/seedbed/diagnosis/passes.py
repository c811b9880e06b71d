"""What one pass forward and back shows: units that do nothing, gradients lost on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, Kind, of_all
from seedbed.engines import numpy_engine, work
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss
from seedbed.population import Population

_ROWS = 256
"""Rows that are looked at, at most."""
_NUMBERS = 2**22
"""Numbers that members looked at together make in a pass, about."""
_SATURATING = ("sigmoid", "tanh", "softsign")
_FLAT = 0.01
"""A unit is saturated on a row where the activation's slope is below this share of its greatest."""
_LOST = 0.01
"""A gradient that has shrunk to less than this by the first layer vanishes; one that has grown by
its inverse explodes. With he or glorot it is from 0.03 to 5 in 20 layers of relu, tanh or mish."""
_SOME = 1e-6
"""A row whose derivative by the outputs is shorter than this has nothing to send back."""


class Seen(NamedTuple):
    """What P members' passes showed, on B rows; L layers, of which L - 1 are hidden."""

    t: Array
    """(B, O): the targets"""
    each: Array
    """(P, B): each row's loss"""
    idle: Array
    """(P, L - 1): the share of a layer's units that are dead, or saturated"""
    flow: Array
    """(P, L): how long the derivative by a layer's pre-activations is, the typical row's"""
    length: Array
    """(P,): of the gradient by theta"""
    constant: float
    """The loss of predicting the targets' mean for every row; not finite where it is not known"""
    last: Array
    """(P, B, units): the last hidden layer's activations, or the inputs where there is none"""


def look(population: Population, x: Array, t: Array) -> Seen:
    """Take one pass forward and back with every member, on up to 256 rows."""
    network, loss = population.network, population.recipe.loss
    chosen = np.linspace(0, len(x) - 1, min(_ROWS, len(x))).astype(np.intp)
    x, t = x[chosen], t[chosen]
    data = work.Data(x, loss.smooth(t))
    (batch,) = work.Batches(data, np.arange(1), loss, None).epoch()
    together = max(1, _NUMBERS // (4 * len(x) * sum(network.widths) + network.size))
    parts = []
    for start in range(0, len(population), together):
        theta = population.theta[start : start + together].astype(np.float64)
        numbers = population.recipe.take(
            np.arange(start, start + len(theta)), len(population)
        ).numbers(len(theta), np.float64)
        gradient, trace = numpy_engine.Gradient(network, loss, numbers, theta), numpy_engine.Trace()
        with np.errstate(all="ignore"):
            gradient.at(batch, [], trace)
            y = loss.seen(trace.y)
            each = (loss.f(y, batch.t) * batch.share).sum(axis=2) * len(x)
            flow = [np.sqrt((dz * dz).sum(axis=2).mean(axis=1)) for _, dz in trace.slopes[::-1]]
        idle = [
            _idle(layer.activation, one)
            for layer, one in zip(network.layers[:-1], trace.passes[:-1], strict=True)
        ]
        parts.append((
            each, np.stack([*idle, np.zeros(len(theta))], axis=1)[:, :-1], np.stack(flow, axis=1),
            np.sqrt(np.vecdot(trace.bare, trace.bare)),
            np.broadcast_to(
                trace.passes[-1].inputs, (len(theta), *trace.passes[-1].inputs.shape[1:])
            ),
        ))  # fmt: skip
    each, idle_all, flow_all, length, last = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    return Seen(t, each, idle_all, flow_all, length, _constant(loss, batch.t, t), last)


def _constant(loss: Loss, t: Array, raw: Array) -> float:
    """Return the loss against t (1, B, O) of predicting the mean of raw (B, O) for each row."""
    if loss.link is None:
        return np.inf
    with np.errstate(all="ignore"):
        each = loss.f(loss.link(np.broadcast_to(raw.mean(axis=0), raw.shape)), t[0])
    return float(each.sum(axis=1).mean() if loss.targets == "classes" else each.mean())


def _idle(activation: Activation, one: numpy_engine.Pass) -> Array:
    """Return the share of the units, (P,), that are saturated on nearly all rows, or dead."""
    if one.a.shape[1] < 2:
        return np.zeros(len(one.a))
    if activation.name in _SATURATING:
        slope = np.abs(activation.df(one.z, one.a))
        steepest = np.abs(activation.df(np.zeros(1), activation(np.zeros(1))))
        return np.asarray((np.quantile(slope, 0.95, axis=1) < _FLAT * steepest).mean(axis=1))
    low, high = one.a.min(axis=1), one.a.max(axis=1)
    return np.asarray((high - low <= 1e-6 * (1 + np.abs(high))).mean(axis=1))


def units(population: Population, seen: Seen) -> Iterator[Finding]:
    """Look at the hidden units of the fitted members: of which layers are most of them no use?"""
    fitted = ~population.diverged
    if not fitted.any():
        return
    for number, layer in enumerate(population.network.layers[:-1], 1):
        shares = seen.idle[:, number - 1]
        share, name = shares[fitted].mean(), layer.activation.name
        if share <= 0.5:
            continue
        those = tuple(np.flatnonzero(fitted & (shares > 0.5)).tolist())
        if name in _SATURATING:
            yield Finding(
                "saturated units",
                f"{share:.0%} of the units of hidden layer {number} are saturated: {name} "
                "is flat where they are, so they hardly learn; lower the learning rate, "
                "scale the inputs, or use relu or mish",
                those,
            )
        else:
            yield Finding(
                "dead units",
                f"{share:.0%} of the units of hidden layer {number} are dead: they give the "
                "same for every row; lower the learning rate or the weight decay, or use "
                "leaky_relu or mish",
                those,
            )


def gradients(population: Population, seen: Seen) -> Iterator[Finding]:
    """Look at how long the derivative is at each layer, on its way from the last to the first."""
    flow = seen.flow * len(seen.t)  # of a row's own loss, not of its share of the mean
    layers = population.network.layers
    with np.errstate(all="ignore"):
        ratio = flow[:, 0] / flow[:, -1]
    vanishes = (ratio < _LOST) & (flow[:, -1] > _SOME) & (len(layers) > 2)
    explodes = (ratio > 1 / _LOST) & (flow[:, 0] > 1)
    saturating = any(layer.activation.name in _SATURATING for layer in layers[:-1])
    faults: tuple[tuple[Kind, str, Array, str], ...] = (
        (
            "vanishing gradients",
            "vanishes",
            vanishes,
            "the first layers hardly learn; use "
            + ("relu, mish or selu, or " if saturating else "larger initial weights (he), or ")
            + "fewer layers",
        ),
        (
            "exploding gradients",
            "explodes",
            explodes | ~np.isfinite(flow).all(axis=1),
            "begin with smaller weights (he or glorot), set clip_norm, or use fewer layers",
        ),
    )
    for kind, happens, wrong, remedy in faults:
        count = int(wrong.sum())
        if count > 0.5 * len(population):
            way = ", ".join(f"{value:.2g}" for value in np.median(flow[wrong], axis=0)[::-1])
            yield Finding(
                kind,
                f"the gradient of {of_all(count, len(population))} {happens} on its way back, "
                f"layer by layer from the last to the first: {way}; {remedy}",
                tuple(np.flatnonzero(wrong).tolist()),
            )
