"""equal_time(): recipes that train for the same time, by their numbers of epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seedbed.arrays import checked_number
from seedbed.comparing.blocks import Runner
from seedbed.comparing.methods import AnyMethod, checked_methods, kind_of
from seedbed.comparing.problem import checked_task, problem_of
from seedbed.comparing.runs import checked_metric
from seedbed.comparing.sequential import LOOKS
from seedbed.errors import SettingError
from seedbed.recipe import Recipe
from seedbed.tables.targets import Task


def equal_time(
    methods: Mapping[str, AnyMethod],
    X: Any,
    Y: Any,
    *,
    seconds: float | None = None,
    test: float = 0.25,
    task: Task | None = None,
) -> dict[str, Recipe]:
    """Return the recipes with epochs that all take the same time, to compare them at equal time.

    seconds  of a run, as one of several members on one core; None is the time of the slowest recipe
             as it is given

    For methods and the other arguments see ``compare``. Each recipe's epoch is timed on this
    computer, the shortest of three measurements, and its engine is set to the one that was timed.
    Early stopping may end a run sooner. Plan and save the returned recipes: another measurement
    gives slightly other epochs.

    Raises: SettingError for other methods than recipes, or for a time shorter than an epoch;
    otherwise as ``compare``.
    >>> import seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> recipe = sb.xor.recipe(50)
    >>> wide = sb.Recipe(
    ...     network=sb.Network(3, [sb.Dense(64, sb.tanh), sb.Dense(1, sb.sigmoid)]),
    ...     loss=sb.squared_error, epochs=50,
    ... )
    >>> methods = sb.equal_time({"narrow": recipe, "wide": wide}, X, Y, test=0.5)
    >>> list(methods)
    ['narrow', 'wide']
    """
    methods = checked_methods(methods)
    if not methods:
        raise SettingError("there are no methods: give recipes by name")
    for name, method in methods.items():
        kind = kind_of(method, name)
        if kind != "recipe":
            raise SettingError(
                f"equal_time sets the epochs of recipes, and {name} is "
                f"{'an estimator' if kind == 'estimator' else 'a function'}: limit its time itself"
            )
    problem = problem_of(methods, X, Y, checked_task(task))
    splits = problem.splits("resampled", test)
    metric = checked_metric(None, problem.kind)
    runner = Runner(methods, problem, metric, splits, LOOKS[-1], False, 1)
    each = {name: runner.epoch_seconds(name) for name in methods}
    if seconds is None:
        budget = max(each[name] * methods[name].epochs for name in methods)
    else:
        budget = checked_number("seconds", seconds, 0.0, open_low=True)
    slowest = max(each, key=lambda name: each[name])
    if budget < each[slowest]:
        raise SettingError(
            f"seconds={budget:.3g} is shorter than an epoch of {slowest}, which takes "
            f"{each[slowest]:.3g} s: give more"
        )
    return {
        name: replace(
            recipe, epochs=max(1, round(budget / each[name])), engine=runner.recipes[name].engine
        )
        for name, recipe in methods.items()
    }
