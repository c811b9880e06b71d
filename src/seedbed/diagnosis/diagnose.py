"""diagnose(): look for each fault separately, and name it with its remedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.arrays import as_array
from seedbed.checks import checked_inputs, checked_targets, checked_weights
from seedbed.diagnosis import baseline, curves, gradient_flow, scaling, stuck_members
from seedbed.diagnosis.finding import Finding
from seedbed.errors import ShapeError
from seedbed.population import Population
from seedbed.tables.model import resolved


def diagnose(
    model: Population | Any, X: Any, Y: Any = None, *, sample_weight: Any = None
) -> list[Finding]:
    """Return what is wrong with a model's members, judged on data like the training data.

    It looks for diverged members; dead and saturated units; gradients that vanish or explode from
    layer to layer; unscaled inputs and targets; a learning rate too high (the loss zigzags or
    rises) or too low for the number of epochs (the loss is still falling); members stuck above the
    others' loss, and why; members that together predict no better than a constant, or that predict
    the commonest class for every row. An empty list means only that none of these was found.

    model          a Population, a fitted estimator, or a model file's path
    X, Y           for a population, inputs (N, I) and targets (N, O), (N,) or class numbers (N,);
                   else the raw table and its target, as in ``fit``; Y None takes X's target column
    sample_weight  (N,), as in training

    Units and gradients are judged on up to 256 rows, predictions on up to 10,000. Predictions for
    training rows flatter the members: where they held rows out, those are used, so give all
    training rows in their order, or rows that were not trained on.

    Raises: ShapeError, DataError for data that do not fit.
    """
    given = resolved(model, X, Y)
    population, X, Y = given.population, given.X, given.Y
    if given.rows is not None and sample_weight is not None:
        sample_weight = as_array(sample_weight, "sample_weight", ShapeError)
        if sample_weight.ndim != 1 or len(sample_weight) <= given.rows[-1]:
            raise ShapeError(
                f"sample_weight has shape {sample_weight.shape}: give one weight for each row of X"
            )
        sample_weight = sample_weight[given.rows]
    network, loss = population.network, population.recipe.loss
    is_single = getattr(X, "dtype", None) == np.float32  # a copy of a large table takes memory
    x = checked_inputs(X, network, np.float32 if is_single else np.float64)
    t = checked_targets(Y, loss, network.outputs, len(x), np.float64, classes=population.classes)
    w = checked_weights(sample_weight, len(x), np.float64, "sample_weight")
    measured = gradient_flow.measure(population, x, t, w)
    findings = [*curves.diverged(population), *gradient_flow.idle_units(population, measured)]
    if not findings or findings[-1].kind == "diverged":  # dead and saturated units stop gradients
        findings += gradient_flow.vanishing_or_exploding(population, measured)
    findings += scaling.inputs(x, network.layers[0].category_columns)
    if loss.targets == "number":
        findings += scaling.targets(t)
    findings += curves.learning_rates(population, measured.constant_loss, measured.initial_loss)
    explained = {member for finding in findings for member in finding.members}
    findings += stuck_members.find(population, measured, explained)
    return [*findings, *baseline.find(population, x, t, w, given.output_names, explained)]
