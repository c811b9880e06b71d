"""What one pass forward and back shows: units that do nothing, gradients lost on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.diagnosis.finding import Finding, Kind, of_all
from seedbed.engines import batches, numpy_engine
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss
from seedbed.population import Population

_ROWS = 256
"""Rows that are looked at, at most."""
_NUMBERS, _LARGEST = 2**22, 2**28
"""Numbers that members looked at together make in a pass, about, and all of them."""
LEAST_EPOCHS = 8
"""Losses of fewer epochs are no curve."""
_SATURATING = ("sigmoid", "tanh", "softsign")
_FLAT = 0.01
"""A unit is saturated on a row where the activation's slope is below this share of its greatest."""
_LOST = 0.01
"""A gradient that has shrunk to less than this by the first layer vanishes; one that has grown by
its inverse explodes. With he or glorot it is from 0.03 to 5 in 20 layers of relu, tanh or mish."""
_GONE = 0.1
"""Weights that are smaller than this, against those that keep size, are as good as gone."""
_SOME = 1e-6
"""A row whose derivative by the outputs is shorter than this has nothing to send back."""


class Seen(NamedTuple):
    """What P members' passes showed, on B rows; L layers, of which L - 1 are hidden."""

    t: Array
    """(B, O): the targets"""
    x: Array
    """(B, I): the inputs"""
    begun: Array
    """(P,): the loss of what the seeds draw, before training; NaN where no curve is judged by it"""
    idle: Array
    """(P, L - 1): the share of a layer's units that are dead, or saturated"""
    flow: Array
    """(P, L): how long the derivative by a layer's pre-activations is, the typical row's"""
    length: Array
    """(P,): of the gradient by theta, penalties and all"""
    constant: float
    """The loss of predicting the targets' mean for every row; inf where it is not known, or where
    nothing is to be learned"""


def look(population: Population, x: Array, t: Array, w: Array | None = None) -> Seen:
    """Take one pass forward and back with every member, on up to 256 rows.

    Members that diverged are looked at as their seeds draw them.
    """
    network, loss = population.network, population.recipe.loss
    constant = _constant(loss, t, w)
    few = _LARGEST // (len(population) * sum(network.widths))
    chosen = np.linspace(0, len(x) - 1, min(max(few, 32), _ROWS, len(x))).astype(np.intp)
    x, t, w = x[chosen], t[chosen], None if w is None else w[chosen]
    data = batches.Data(x, loss.smooth(t), w)
    (batch,) = batches.Batches(data, np.arange(1), loss, None).epoch()
    judged = population.history.train_loss.shape[1] >= LEAST_EPOCHS
    together = max(1, _NUMBERS // (4 * len(x) * sum(network.widths) + network.size))
    parts = []
    for start in range(0, len(population), together):
        part = slice(start, start + together)
        theta = population.theta[part].astype(np.float64)
        begun = np.full(len(theta), np.nan)
        if judged or population.diverged[part].any():
            drawn = network.init(population.seeds[part], np.float64)
            theta = np.where(population.diverged[part, None], drawn, theta)
            with np.errstate(all="ignore"):
                begun = numpy_engine.evaluate(network, loss, network.views(drawn), [batch])
        numbers = population.recipe.take(
            np.arange(start, start + len(theta)), len(population)
        ).hyperparameters(len(theta), np.float64)
        gradient, trace = numpy_engine.Gradient(network, loss, numbers, theta), numpy_engine.Trace()
        with np.errstate(all="ignore"):
            gradient.at(batch, [], trace)
            flow = [np.sqrt((dz * dz).sum(axis=2).mean(axis=1)) for _, dz in trace.slopes[::-1]]
        idle = [
            _idle(layer.activation, one)
            for layer, one in zip(network.layers[:-1], trace.passes[:-1], strict=True)
        ]
        parts.append((
            begun, np.stack([*idle, np.zeros(len(theta))], axis=1)[:, :-1], np.stack(flow, axis=1),
            np.sqrt(np.vecdot(gradient.g, gradient.g)),
        ))  # fmt: skip
    begun, idles, flows, length = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Seen(t, x, begun, idles, flows, length, constant)


def _constant(loss: Loss, t: Array, w: Array | None) -> float:
    """Return the loss against t (N, O) of predicting its mean for each row, with weights (N,)."""
    if loss.inverse_predict is None or (t.max(axis=0) == t.min(axis=0)).all():
        return np.inf
    with np.errstate(all="ignore"):
        mean = np.average(t, axis=0, weights=w)
        each = loss.f(loss.inverse_predict(np.broadcast_to(mean, t.shape)), loss.smooth(t))
    each = each.sum(axis=1) if loss.targets == "classes" else each.mean(axis=1)
    return float(np.average(each, weights=w))


def last(population: Population, seen: Seen, members: Array) -> Array:
    """Return members' last hidden activations (M, B, units), or the inputs where there is none."""
    network = population.network
    with np.errstate(all="ignore"):
        theta = population.theta[members].astype(np.float64)
        _, passes = numpy_engine.forward(network, network.views(theta), seen.x[None])
    inputs = passes[-1].inputs
    return np.broadcast_to(inputs, (len(members), *inputs.shape[1:]))


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


def _smallest(population: Population) -> Array:
    """Return the smallest layer's weights, (P,), against 1/√I, that of weights that keep size."""
    sizes = [
        np.sqrt((W.astype(np.float64) ** 2).mean(axis=(1, 2)) * W.shape[1])
        for W, _ in population.network.views(population.theta)
    ]
    return np.asarray(np.min(sizes, axis=0))


def gradients(population: Population, seen: Seen) -> Iterator[Finding]:
    """Look at how long the derivative is at each layer, on its way from the last to the first."""
    flow = seen.flow * len(seen.t)  # of a row's own loss, not of its share of the mean
    layers = population.network.layers
    with np.errstate(all="ignore"):
        ratio = flow[:, 0] / flow[:, -1]
    vanishes = (ratio < _LOST) & (flow[:, -1] > _SOME) & (len(layers) > 2)
    explodes = (ratio > 1 / _LOST) & (flow[:, 0] > 1)
    numbers = population.recipe.hyperparameters(len(population), np.float64)
    penalized = np.broadcast_to(
        (numbers.l1 + numbers.l2 + numbers.weight_decay)[:, 0] > 0, len(population)
    )
    gone = penalized & (_smallest(population) < _GONE)
    if (vanishes & gone).sum() > 0.5 * vanishes.sum() > 0:
        remedy = "the penalty has taken the weights; lower l1, l2 or weight_decay"
    elif any(layer.activation.name in _SATURATING for layer in layers[:-1]):
        remedy = "the first layers hardly learn; use relu, mish or selu, or fewer layers"
    else:
        remedy = "the first layers hardly learn; use larger initial weights (he), or fewer layers"
    fewer = ", or use fewer layers" if len(layers) > 3 else ""
    faults: tuple[tuple[Kind, str, Array, str], ...] = (
        (
            "vanishing gradients",
            "vanishes",
            vanishes,
            remedy,
        ),
        (
            "exploding gradients",
            "explodes",
            explodes | ~np.isfinite(flow).all(axis=1),
            f"begin with smaller weights (he or glorot), or set clip_norm{fewer}",
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
