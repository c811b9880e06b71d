"""The plan of a training, from the checked arguments of ``train``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seedbed import checks, member_rows
from seedbed.arrays import Array, as_array, checked_count
from seedbed.engines.batches import Data
from seedbed.engines.plan import Plan
from seedbed.engines.shards import Shards, TrainRows
from seedbed.errors import DataError, SettingError, ShapeError
from seedbed.member_rows import GivenRows, SplitRows
from seedbed.recipe import Recipe
from seedbed.streams import checked_seeds


def make_plan(
    recipe: Recipe,
    X: Any,
    Y: Any,
    seeds: Any,
    validation: tuple[Any, ...] | None,
    sample_weight: Any,
    rows: Any,
    record_every: int,
    held_out_rows: Any = None,
    check_classes: bool = True,
    classes: Array | None = None,
) -> Plan:
    """Return the plan of checked arguments of ``train``; ``validation`` is data.

    ``classes`` are the labels that Y may hold. X may be ``Shards``, which hold the targets and the
    weights.
    """
    network, loss = recipe.network, recipe.loss
    seeds = checked_seeds(seeds)
    checks.check_outputs(loss, network)
    shards = held = None
    if isinstance(X, Shards):  # written from checked rows
        shards, held = X, None if not X.held else X.held_out(len(seeds))
        X.load(0)
        train = replace(X.data, rows=TrainRows(X, len(seeds)) if X.held else None)
    else:
        train = _checked_data(recipe, X, Y, sample_weight, ("X", "Y", "sample_weight"), classes)
        if check_classes:
            checks.check_classes(loss, train.t)
        own_rows = member_rows.checked_rows(rows, len(seeds), len(train.x))
        train = replace(train, t=loss.smooth(train.t), rows=own_rows)
    held_out = None
    if validation is not None:
        if recipe.validation is not None:
            raise SettingError(
                "validation is given twice, as a share in the recipe and as data: leave one out"
            )
        if len(validation) not in (2, 3):
            raise SettingError("validation must be a share, (X, Y) or (X, Y, weights)")
        names = ("validation X", "validation Y", "validation weights")
        Xv, Yv, wv = validation if len(validation) == 3 else (*validation, None)
        held_out = _checked_data(recipe, Xv, Yv, wv, names, classes)
        held_out = replace(held_out, t=loss.smooth(held_out.t))
    elif held_out_rows is not None:
        if recipe.validation is not None:
            raise SettingError("held_out and validation are both given: leave one out")
        train, held_out = member_rows.hold_out(train, held_out_rows, len(seeds))
        member_rows.check_row_weights(held_out, "held-out")
    elif recipe.validation is not None:
        train, held_out = member_rows.split(train, recipe.validation, seeds)
        member_rows.check_row_weights(held_out, "held-out")
    held_out = held if held_out is None else held_out
    member_rows.check_row_weights(train, "training")
    if recipe.patience is not None and held_out is None:
        raise SettingError(
            "patience needs the validation loss: give validation, such as validation=0.2"
        )
    if recipe.monitor == "ensemble" and held_out is None:
        raise SettingError(
            "monitor='ensemble' needs the validation loss: give validation, or held_out"
        )
    return Plan(
        network=network,
        loss=loss,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        hyperparameters=recipe.hyperparameters(len(seeds), recipe.dtype),
        seeds=seeds,
        train=train,
        validation=held_out,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        patience=recipe.patience,
        record_every=checked_count("record_every", record_every),
        shards=shards,
    )


def _checked_data(
    recipe: Recipe, X: Any, Y: Any, weights: Any, names: Sequence[str], classes: Array | None
) -> Data:
    network, dtype = recipe.network, recipe.dtype
    x = checks.checked_inputs(X, network, dtype, names[0])
    t = checks.checked_targets(Y, recipe.loss, network.outputs, len(x), dtype, names[1], classes)
    return Data(x, t, checks.checked_weights(weights, len(x), dtype, names[2]))


def check_distinct(plan: Plan, recipe: Recipe) -> None:
    """Refuse members with equal seeds, settings and rows: they would be copies.

    Raises: SettingError.
    """
    columns = [plan.seeds.tolist(), *(s.tolist() for s in recipe.settings.values())]
    given = plan.train.rows.given if isinstance(plan.train.rows, SplitRows) else plan.train.rows
    if isinstance(given, GivenRows):
        columns.append([rows.tobytes() for rows in given.rows])
    members = Counter(zip(*columns, strict=True))
    (seed, *_), count = members.most_common(1)[0]
    if count > 1:
        raise SettingError(
            f"seed {seed} is given {count} times with equal settings: those members would be "
            "copies; give different seeds, such as range(8)"
        )


def checked_start(start: Any, members: int, recipe: Recipe) -> Array:
    """Return ``start`` as a new theta (P, D).

    Raises: ShapeError or DataError.
    """
    given = as_array(getattr(start, "theta", start), "start", DataError)
    if given.dtype.kind not in "fiu":
        raise DataError(f"start holds {given.dtype} values; it needs numbers, or a Population")
    with np.errstate(over="ignore"):
        theta = np.atleast_2d(given).astype(recipe.dtype, order="C")
    size = recipe.network.size
    if theta.shape not in ((members, size), (1, size)):
        raise ShapeError(
            f"start has shape {given.shape}; {members} members of a {recipe.network} network "
            f"need ({members}, {size}) or ({size},)"
        )
    if not np.isfinite(theta).all():
        raise DataError(f"start holds numbers that are not finite in {recipe.dtype}")
    return np.repeat(theta, members, axis=0) if len(theta) < members else theta
