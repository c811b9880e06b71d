"""The settings that a search may take: lists of values, and numbers to draw."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import checked_number, one_line
from seedbed.errors import SettingError
from seedbed.recipe import Recipe


@dataclass(frozen=True)
class Uniform:
    """A uniform distribution from ``low`` to ``high``; with ``log``, of the logarithm."""

    low: float
    high: float
    log: bool = False

    def quantile(self, u: float) -> float:
        """Return the u-quantile, 0 < u < 1."""
        if self.log:
            low = reproducible.log(self.low)
            return float(reproducible.exp(low + u * (reproducible.log(self.high) - low)))
        return self.low + u * (self.high - self.low)


def uniform(low: float, high: float) -> Uniform:
    """Draw numbers uniformly from ``low`` to ``high``."""
    return _checked(Uniform(float(low), float(high)), -math.inf)


def log_uniform(low: float, high: float) -> Uniform:
    """Draw numbers log-uniformly from ``low`` to ``high``, such as learning rates."""
    return _checked(Uniform(float(low), float(high), log=True), 0.0)


def _checked(choice: Uniform, min_low: float) -> Uniform:
    checked_number("low", choice.low, min_low, open_low=choice.log)
    checked_number("high", choice.high, choice.low, open_low=True)
    return choice


class Space:
    """A search space: a recipe, and choices for some of its fields.

    recipe   supplies all other fields, and is the default baseline
    choices  for each field of the recipe or of its optimizer: a list of values, ``uniform`` or
             ``log_uniform``

    >>> import seedbed as sb
    >>> space = sb.Space(sb.xor.recipe(100), lr=sb.log_uniform(0.1, 10.0), epochs=[50, 100])
    >>> [name for name, _ in space.settings(2, seed=0)]
    ['lr=3.5506 epochs=50', 'lr=2.0282 epochs=100']

    Raises: SettingError for an unknown field or an empty list.
    """

    def __init__(self, recipe: Recipe, **choices: Any) -> None:
        if not isinstance(recipe, Recipe):
            raise SettingError(f"recipe must be a sb.Recipe, not {one_line(recipe)}")
        if not choices:
            raise SettingError(
                "the space is empty: give choices, such as lr=[0.001, 0.01] or "
                "lr=sb.log_uniform(1e-4, 1e-1)"
            )
        names = [field.name for field in fields(recipe)]
        optimizer_names = [field.name for field in fields(recipe.optimizer)]
        self.choices: dict[str, Uniform | list[Any]] = {}
        for name, choice in choices.items():
            if name not in names and name not in optimizer_names:
                raise SettingError(
                    f"{name} is not a field of the recipe ({', '.join(names)}) or of its "
                    f"{type(recipe.optimizer).__name__} ({', '.join(optimizer_names)})"
                )
            if isinstance(choice, Uniform):
                self.choices[name] = choice
                continue
            if isinstance(choice, str) or not isinstance(choice, Iterable):
                raise SettingError(
                    f"the choices for {name} must be a list, sb.uniform or sb.log_uniform, not "
                    + one_line(choice)
                )
            self.choices[name] = list(choice)
            if not self.choices[name]:
                raise SettingError(f"the list of choices for {name} is empty")
        self.recipe = recipe

    @property
    def size(self) -> int | None:
        """How many settings there are; None if numbers are drawn."""
        lists = self._lists()
        return None if lists is None else math.prod(map(len, lists))

    def _lists(self) -> list[list[Any]] | None:
        lists = [choice for choice in self.choices.values() if isinstance(choice, list)]
        return lists if len(lists) == len(self.choices) else None

    def settings(self, limit: int, seed: int = 0) -> list[tuple[str, Recipe]]:
        """Return all settings with their names, or ``limit`` random ones if there are more."""
        lists = self._lists()
        if lists is not None and math.prod(map(len, lists)) <= limit:
            return _deduplicate([self._setting(values) for values in product(*lists)])
        found: dict[Hashable, tuple[str, Recipe]] = {}
        count = len(self.choices)
        key = streams.keys(np.array([seed], np.int64), "search")
        for number in range(4 * limit):
            u = streams.uniform(key, count, number * count)[0]
            values = [
                choice.quantile(float(q))
                if isinstance(choice, Uniform)
                else choice[int(q * len(choice))]
                for q, choice in zip(u, self.choices.values(), strict=True)
            ]
            name, recipe = self._setting(values)
            found.setdefault(recipe.identity, (name, recipe))
            if len(found) == limit:
                break
        return _deduplicate(list(found.values()))

    def _setting(self, values: Sequence[Any]) -> tuple[str, Recipe]:
        given = dict(zip(self.choices, values, strict=True))
        name = " ".join(f"{key}={_format(value)}" for key, value in given.items())
        own = {field.name for field in fields(self.recipe)}
        recipe = replace(self.recipe, **{key: given[key] for key in given if key in own})
        others = {key: given[key] for key in given if key not in own}
        unknown = [key for key in others if key not in vars(recipe.optimizer)]
        if unknown:
            raise SettingError(
                f"{unknown[0]} is not a field of {type(recipe.optimizer).__name__}: search "
                "optimizers and their fields separately, or list optimizers as optimizer=[…]"
            )
        return name, replace(recipe, optimizer=replace(recipe.optimizer, **others))


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    options = ", ".join(f"{name}={number}" for name, number in getattr(value, "options", ()))
    return str(getattr(value, "name", value)) + (f"({options})" if options else "")


def _deduplicate(settings: list[tuple[str, Recipe]]) -> list[tuple[str, Recipe]]:
    """Return the settings without duplicates, each with a unique name."""
    seen: set[Hashable] = set()
    named: dict[str, Recipe] = {}
    for name, recipe in settings:
        if recipe.identity in seen:
            continue
        seen.add(recipe.identity)
        count = sum(other.split(" #")[0] == name for other in named)
        named[f"{name} #{count + 1}" if count else name] = recipe
    return list(named.items())
