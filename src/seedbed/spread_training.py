"""A training whose members are trained in blocks, in other processes or on other machines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from seedbed.arrays import Indices
from seedbed.engines.plan import Plan
from seedbed.engines.select import ENGINES, fastest
from seedbed.errors import SettingError
from seedbed.executors import LANES, Remote
from seedbed.planning import check_distinct
from seedbed.population import History, Population
from seedbed.recipe import Recipe

BLOCK_SECONDS = 1.0
"""The least estimated time of a block, beside which the time to send it is small."""


class Block(NamedTuple):
    """Members to train: their numbers, their recipe and their seeds."""

    members: tuple[int, ...]
    recipe: Recipe
    seeds: tuple[int, ...]


def train_elsewhere(
    executor: Any, recipe: Recipe, plan: Plan, train_block: Callable[[Block], Population]
) -> Population:
    """Return the population of a plan, trained in blocks by an executor.

    train_block  trains some of the members; picklable

    A member's bits do not depend on its block.

    Raises: SettingError if members depend on each other, or for another executor.
    """
    remote = Remote(executor)
    if recipe.monitor == "ensemble":
        raise SettingError(
            "monitor='ensemble' needs all members together: leave the executor out, or monitor "
            "'members'"
        )
    check_distinct(plan, recipe)
    members = len(plan.seeds)
    steps = plan.estimated_steps * members
    if recipe.engine == "auto":
        found, _ = fastest(recipe.network, recipe.optimizer, plan.largest_batch, steps, plan)
        recipe = replace(recipe, engine=found.name)
    seconds = ENGINES[recipe.engine].seconds(recipe.network, plan.largest_batch, steps, plan)
    step = max(LANES, math.ceil(BLOCK_SECONDS / max(seconds / members, 1e-9)))
    blocks = []
    for start in range(0, members, step):
        chosen = np.arange(start, min(start + step, members))
        own = recipe.take(chosen, members)
        blocks.append(Block(tuple(chosen.tolist()), own, tuple(plan.seeds[chosen].tolist())))
    return joined(list(remote.map(train_block, blocks)), recipe)


def joined(parts: Sequence[Population], recipe: Recipe) -> Population:
    """Return populations of the same network and epochs as one, of a recipe for all members."""
    first = parts[0]

    def together(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    histories = [part.history for part in parts]
    return Population(
        recipe=replace(recipe, engine=first.recipe.engine),
        theta=together("theta"),
        seeds=together("seeds"),
        status=together("status"),
        epochs=together("epochs"),
        best_epoch=together("best_epoch"),
        loss=together("loss"),
        history=History(
            first.history.epochs,
            np.concatenate([history.train_loss for history in histories]),
            None
            if first.history.val_loss is None
            else np.concatenate([history.val_loss for history in histories]),
        ),
        classes=first.classes,
    )


def of_members(values: Any, members: Indices) -> Any:
    """Return some members' own rows, out of those of all; None stays."""
    if values is None or isinstance(values, np.ndarray):
        return None if values is None else values[members]
    given = list(values)
    return [given[member] for member in members]
