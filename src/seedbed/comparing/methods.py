"""What compare() takes as a method: a recipe, an estimator, or a function."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from seedbed.arrays import one_line
from seedbed.comparing.judge import with_string_names
from seedbed.errors import SettingError
from seedbed.metrics import TargetKind
from seedbed.recipe import Recipe
from seedbed.tables.targets import Task

AnyMethod: TypeAlias = Any
"""A recipe, an estimator, or a function of X_train, Y_train, X_test and a seed."""


def kind_of(method: Any, name: str) -> Literal["recipe", "estimator", "function"]:
    """Return what kind of method this is; ``name`` is for messages.

    Raises: SettingError if it is none.
    """
    if isinstance(method, Recipe):
        return "recipe"
    fits = callable(getattr(method, "fit", None)) and callable(getattr(method, "predict", None))
    if isinstance(method, type) and (fits or issubclass(method, Recipe)):
        raise SettingError(
            f"{name} is the class {method.__name__}: call it first, {method.__name__}(…)"
        )
    if fits:
        return "estimator"
    if callable(method) and _takes_four(method):
        return "function"
    raise SettingError(
        f"{name} is {one_line(method)}: expected a sb.Recipe, an estimator with fit and predict, "
        "or a function of X_train, Y_train, X_test and seed; sb.judge takes scores that exist "
        "already"
    )


def _takes_four(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None, None, None)
    except TypeError:
        return False
    except ValueError:  # a function in C that does not say what it takes
        return not isinstance(function, type)
    return True


def checked_methods(methods: Any) -> dict[str, AnyMethod]:
    """Return the methods by name.

    Raises: SettingError for what is no method, and for two methods that are the same.
    """
    if not isinstance(methods, Mapping):
        raise SettingError(
            "methods must be a dict by name, such as {'a': sb.Recipe(…), 'b': …}, not "
            + one_line(methods)
        )
    checked = with_string_names(methods)
    seen: dict[Hashable, str] = {}
    for name, method in checked.items():
        kind = kind_of(method, f"methods[{one_line(name)}]")
        if kind == "recipe":
            check_recipe(name, method)
        key = identity(method)
        if key in seen:
            raise SettingError(
                f"{seen[key]} and {name} are the same {kind}: every run would be a tie"
            )
        seen[key] = name
    return checked


def check_recipe(name: str, recipe: Recipe) -> None:
    """Refuse a recipe that describes several methods, or is not scored one member at a time.

    Raises: SettingError.
    """
    if recipe.settings:
        raise SettingError(
            f"{name} sets {', '.join(recipe.settings)} per member: give each setting as its own "
            "method"
        )
    if recipe.monitor == "ensemble":
        raise SettingError(
            f"{name} monitors the ensemble, and a comparison scores members one by one: leave "
            "monitor='ensemble' out"
        )


def identity(method: AnyMethod) -> Hashable:
    """Return a key that is equal only for methods whose runs are equal.

    An estimator's ``random_state`` does not count, as each run sets it.
    """
    if isinstance(method, Recipe):
        return method.identity
    if isinstance(method, partial):
        arguments = [*enumerate(method.args), *sorted(method.keywords.items())]
        return identity(method.func), *((name, _key(value)) for name, value in arguments)
    if not hasattr(method, "fit") or not hasattr(method, "get_params"):
        return id(method)
    return type(method), *(
        (name, type(value) if hasattr(value, "get_params") else _key(value))
        for name, value in sorted(method.get_params().items())
        if not is_random_state(name)
    )


def _key(value: Any) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    return id(value) if callable(value) else repr(value)


def is_random_state(parameter: str) -> bool:
    """Return whether an estimator's parameter is its seed, or that of a part of it."""
    return parameter.rpartition("__")[2] == "random_state"


def cloned(estimator: Any) -> Any:
    """Return an unfitted copy: scikit-learn's clone if it is loaded, else a deep copy."""
    base = sys.modules.get("sklearn.base")
    if base is None or not hasattr(estimator, "get_params"):
        return copy.deepcopy(estimator)
    return base.clone(estimator)


# ---------------------------------------------------------------- what methods predict


def kind_and_count(recipe: Recipe) -> tuple[TargetKind, int]:
    """Return what a recipe predicts, and its number of classes, labels or numbers."""
    kind, outputs = recipe.loss.targets, recipe.network.outputs
    if kind == "classes":
        return "classes", outputs
    if kind == "probability":
        return ("classes", 2) if outputs == 1 else ("labels", outputs)
    return "numbers", outputs


def task_of(methods: Mapping[str, AnyMethod], task: Task | None) -> Task | None:
    """Return the task that the methods have in common; None if none of them says.

    Raises: SettingError if they differ, or are not for the given ``task``.
    """
    recipes = {name: each for name, each in methods.items() if isinstance(each, Recipe)}
    predicted = {name: kind_and_count(recipe) for name, recipe in recipes.items()}
    for name, count in predicted.items():
        first = next(iter(predicted))
        if count != predicted[first]:
            raise SettingError(
                f"{first} predicts {_described(*predicted[first])} and {name} "
                f"{_described(*count)}: the methods must have the same targets"
            )
    tasks: dict[str, Task] = {} if task is None else {"task": task}
    for name, method in methods.items():
        own = estimator_task(method)
        if name in predicted:
            own = "regression" if predicted[name][0] == "numbers" else "classification"
        if own is not None:
            tasks[name] = own
    for name, each in tasks.items():
        first = next(iter(tasks))
        if each != tasks[first]:
            raise SettingError(
                f"{first} is {'' if first == 'task' else 'for '}{tasks[first]} and {name} for "
                f"{each}: the methods must have the same targets"
            )
    return next(iter(tasks.values()), None)


def _described(kind: TargetKind, count: int) -> str:
    return f"{count} {kind if count > 1 or kind != 'numbers' else 'number'}"


def estimator_task(method: AnyMethod) -> Task | None:
    """Return what an estimator declares itself to be for, by scikit-learn's rules."""
    base = sys.modules.get("sklearn.base")
    kind = getattr(method, "_estimator_type", None)
    if base is not None and hasattr(method, "__sklearn_tags__"):
        if base.is_classifier(method):
            kind = "classifier"
        elif base.is_regressor(method):
            kind = "regressor"
    tasks: dict[Any, Task] = {"classifier": "classification", "regressor": "regression"}
    return tasks.get(kind)
