"""What is wrong with a trained population, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seedbed.arrays import Array
from seedbed.engines import numpy_engine
from seedbed.population import Population

Kind = Literal["dead units", "saturated units", "diverged", "unscaled target", "still falling"]

_ROWS = 256
"""Rows that units are looked at with, at most."""
_SATURATING = ("sigmoid", "tanh", "softsign")
_FLAT = 0.01
"""A unit is saturated on a row where the activation's slope is below this share of its greatest."""
_FAR, _NEAR = 10.0, 0.01
"""Targets further from 0 on average, or more spread out, are unscaled; so are those less so."""
_STILL = 0.1
"""More than this share of all that was gained, in the last half of the epochs: still falling."""


@dataclass(frozen=True)
class Finding:
    """One fault: its kind, and a line that names it and its remedy."""

    kind: Kind
    message: str


def diagnose(population: Population, X: Array, T: Array | None = None) -> list[Finding]:
    """Return what is wrong with the population, as seen on its inputs X (N, I) and targets T.

    T (N, O) is as the network is to give it, and is looked at where the loss is for any numbers.
    """
    found = [*_diverged(population), *_units(population, X), *_still_falling(population)]
    if T is not None and population.recipe.loss.targets == "number":
        found += _unscaled(T)
    return found


def _diverged(population: Population) -> Iterator[Finding]:
    count = int(population.diverged.sum())
    if count:
        yield Finding(
            "diverged",
            f"{count} of {len(population)} members diverged and predict nothing: lower the "
            "learning rate, or set clip_norm",
        )


def _units(population: Population, X: Array) -> Iterator[Finding]:
    """Look at the hidden units of the fitted members: of which layers are most of them no use?"""
    fitted = population.theta[~population.diverged]
    network = population.network
    if not len(fitted) or len(X) < 2 or len(network.layers) < 2:
        return
    x = X[np.linspace(0, len(X) - 1, min(_ROWS, len(X))).astype(np.intp)].astype(fitted.dtype)
    with np.errstate(all="ignore"):
        _, passes = numpy_engine.forward(network, network.views(fitted), x[None])
        for number, (layer, each) in enumerate(
            zip(network.layers[:-1], passes[:-1], strict=True), 1
        ):
            name = layer.activation.name
            if name in _SATURATING:
                slope = np.abs(layer.activation.df(each.z, each.a))
                steepest = np.abs(layer.activation.df(np.zeros(1), layer.activation(np.zeros(1))))
                share = (np.quantile(slope, 0.95, axis=1) < _FLAT * steepest).mean()
                if share > 0.5:
                    yield Finding(
                        "saturated units",
                        f"{share:.0%} of the units of hidden layer {number} are saturated: {name} "
                        "is flat where they are, so they hardly learn; lower the learning rate, "
                        "scale the inputs, or use relu or mish",
                    )
                continue
            low, high = each.a.min(axis=1), each.a.max(axis=1)
            share = (high - low <= 1e-6 * (1 + np.abs(high))).mean()
            if share > 0.5:
                yield Finding(
                    "dead units",
                    f"{share:.0%} of the units of hidden layer {number} are dead: they give the "
                    "same for every row; lower the learning rate or the weight decay, or use "
                    "leaky_relu or mish",
                )


def _unscaled(T: Array) -> Iterator[Finding]:
    middle, spread = np.abs(T.mean(axis=0)).max(), T.std(axis=0)
    if middle > _FAR or spread.max() > _FAR or 0 < spread.max() < _NEAR:
        yield Finding(
            "unscaled target",
            f"the target's mean is {T.mean():.3g} and its standard deviation {T.std():.3g} in the "
            "units that the network is trained in, and about 0 and 1 suit it: standardise the "
            "target, or fit on more of it at first",
        )


def _still_falling(population: Population) -> Iterator[Finding]:
    history, recipe = population.history, population.recipe
    curve, what = history.ensemble_val_loss, "validation loss"
    if curve is None:
        curve = history.val_loss
    if curve is None:
        curve, what = history.train_loss, "training loss"
    curve = curve[~population.diverged].mean(axis=0) if curve.ndim > 1 else curve
    ended = (population.status == "finished").all() and (population.epochs == recipe.epochs).all()
    if not ended or len(curve) < 4 or not np.isfinite(curve).all():
        return
    least, begun = curve.min(), curve[: len(curve) // 2].min()
    late, gained = begun - least, curve[0] - least
    if late > _STILL * gained > 0 and curve.argmin() >= 0.9 * (len(curve) - 1):
        yield Finding(
            "still falling",
            f"the {what} was still falling after {recipe.epochs} epochs: {late / gained:.0%} of "
            "all that was gained came in the last half of them; train for more epochs (max_iter)",
        )
