"""The settings that a search may take: lists of values, and numbers to draw."""

from __future__ import annotations

import inspect
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import checked_number, one_line
from seedbed.comparing.methods import AnyMethod, cloned, identity, is_random_state, kind_of
from seedbed.errors import SettingError
from seedbed.recipe import Recipe
from seedbed.tables.sources import suggestion


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
    return _checked(low, high, log=False)


def log_uniform(low: float, high: float) -> Uniform:
    """Draw numbers log-uniformly from ``low`` to ``high``, such as learning rates."""
    return _checked(low, high, log=True)


def _checked(low: float, high: float, log: bool) -> Uniform:
    low = checked_number("low", low, 0.0 if log else -math.inf, open_low=log)
    return Uniform(low, checked_number("high", high, low, open_low=True), log=log)


class Space:
    """A search space: a method, and choices for some of its settings.

    method   a recipe, an estimator or a function, as for ``compare``; supplies all other settings,
             and is the default baseline
    choices  a list of values, ``uniform`` or ``log_uniform``, for each field of the recipe or of
             its optimizer, parameter of the estimator (``step__name`` in a pipeline) or keyword
             argument of the function

    >>> import seedbed as sb
    >>> space = sb.Space(sb.xor.recipe(100), lr=sb.log_uniform(0.1, 10.0), epochs=[50, 100])
    >>> [name for name, _ in space.settings(2, seed=0)]
    ['lr=3.5506 epochs=50', 'lr=2.0282 epochs=100']

    Raises: SettingError for an unknown setting or an empty list.
    """

    def __init__(self, method: AnyMethod, /, **choices: Any) -> None:
        if hasattr(method, "fit") or not callable(method) or isinstance(method, type):
            kind_of(method, "the method")
        if not choices:
            raise SettingError(
                "the space is empty: give choices, such as lr=[0.001, 0.01] or "
                "lr=sb.log_uniform(1e-4, 1e-1)"
            )
        self.choices: dict[str, Uniform | list[Any]] = {}
        for name, choice in choices.items():
            _check_setting(method, name)
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
        self.method = method

    @property
    def size(self) -> int | None:
        """How many settings there are; None if numbers are drawn."""
        lists = self._lists()
        return None if lists is None else math.prod(map(len, lists))

    def _lists(self) -> list[list[Any]] | None:
        lists = [choice for choice in self.choices.values() if isinstance(choice, list)]
        return lists if len(lists) == len(self.choices) else None

    def settings(self, limit: int, seed: int = 0) -> list[tuple[str, AnyMethod]]:
        """Return all settings with their names, or ``limit`` random ones if there are more."""
        lists = self._lists()
        if lists is not None and math.prod(map(len, lists)) <= limit:
            return _deduplicate([self._setting(values) for values in product(*lists)])
        found: dict[Hashable, tuple[str, AnyMethod]] = {}
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
            name, method = self._setting(values)
            found.setdefault(identity(method), (name, method))
            if len(found) == limit:
                break
        return _deduplicate(list(found.values()))

    def _setting(self, values: Sequence[Any]) -> tuple[str, AnyMethod]:
        given = dict(zip(self.choices, values, strict=True))
        name = " ".join(f"{key}={_format(value)}" for key, value in given.items())
        return name, _with_settings(self.method, given)


def _check_setting(method: AnyMethod, name: str) -> None:
    """Refuse a name that is no setting of the method.

    Raises: SettingError.
    """
    if isinstance(method, Recipe):
        names = [field.name for field in fields(method)]
        optimizer_names = [field.name for field in fields(method.optimizer)]
        if name not in names and name not in optimizer_names:
            raise SettingError(
                f"{name} is not a field of the recipe ({', '.join(names)}) or of its "
                f"{type(method.optimizer).__name__} ({', '.join(optimizer_names)})"
            )
    elif hasattr(method, "get_params"):
        names = list(method.get_params())
        if name not in names:
            raise SettingError(
                f"{name} is not a parameter of {type(method).__name__}{suggestion(name, names)}"
            )
        if is_random_state(name):
            raise SettingError(f"{name} is set to each run's seed: leave it out of the space")
    elif not hasattr(method, "fit"):
        try:
            inspect.signature(method).bind_partial(*[None] * 4, **{name: None})
        except TypeError:
            raise SettingError(
                f"{name} is not a keyword argument of {one_line(method)}, after X_train, Y_train, "
                "X_test and seed"
            ) from None


def _with_settings(method: AnyMethod, given: Mapping[str, Any]) -> AnyMethod:
    """Return the method with these settings; the method itself does not change.

    Raises: SettingError.
    """
    if isinstance(method, Recipe):
        own = {field.name for field in fields(method)}
        recipe = replace(method, **{key: given[key] for key in given if key in own})
        others = {key: given[key] for key in given if key not in own}
        unknown = [key for key in others if key not in vars(recipe.optimizer)]
        if unknown:
            raise SettingError(
                f"{unknown[0]} is not a field of {type(recipe.optimizer).__name__}: search "
                "optimizers and their fields separately, or list optimizers as optimizer=[…]"
            )
        return replace(recipe, optimizer=replace(recipe.optimizer, **others))
    if hasattr(method, "get_params"):
        return cloned(method).set_params(**given)
    if not hasattr(method, "fit"):
        return partial(method, **given)
    fresh = cloned(method)
    for name, value in given.items():
        setattr(fresh, name, value)
    return fresh


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    options = ", ".join(f"{name}={number}" for name, number in getattr(value, "options", ()))
    return str(getattr(value, "name", value)) + (f"({options})" if options else "")


def _deduplicate(settings: list[tuple[str, AnyMethod]]) -> list[tuple[str, AnyMethod]]:
    """Return the settings without duplicates, each with a unique name."""
    seen: set[Hashable] = set()
    named: dict[str, AnyMethod] = {}
    for name, method in settings:
        key = identity(method)
        if key in seen:
            continue
        seen.add(key)
        count = sum(other.split(" #")[0] == name for other in named)
        named[f"{name} #{count + 1}" if count else name] = method
    return list(named.items())
