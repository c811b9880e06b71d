"""diagnose(): each fault is looked for on its own, and named with its remedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.checks import checked_inputs, checked_targets, checked_weights
from seedbed.diagnosis import curves, passes, scales, stuck
from seedbed.diagnosis.finding import Finding
from seedbed.population import Population


def diagnose(population: Population, X: Any, Y: Any, *, sample_weight: Any = None) -> list[Finding]:
    """Return what is wrong with a population, as seen on data such as it was trained on.

    Looked for: members that diverged; dead and saturated units; gradients that vanish or explode
    from layer to layer; inputs and targets out of scale; a learning rate that is too high (the loss
    zigzags, or rises) or too low for the epochs (it is still falling); members stuck apart from the
    rest, and why. An empty list says that none of these was seen, no more.

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,); sample_weight (N,), if it was trained
    with; units and gradients are looked at on up to 256 rows.
    Raises: ShapeError, DataError for data that do not fit.
    """
    network, loss = population.network, population.recipe.loss
    x = checked_inputs(X, network, np.float64)
    t = checked_targets(Y, loss, network.outputs, len(x), np.float64)
    w = checked_weights(sample_weight, len(x), np.float64, "sample_weight")
    seen = passes.look(population, x, t, w)
    found = [*curves.diverged(population), *passes.units(population, seen)]
    if not found or found[-1].kind == "diverged":  # dead and saturated units stop gradients too
        found += passes.gradients(population, seen)
    found += scales.inputs(x)
    if loss.targets == "number":
        found += scales.targets(t)
    found += curves.rates(population, seen.constant, seen.begun)
    explained = {member for finding in found for member in finding.members}
    return [*found, *stuck.members(population, seen, explained)]
