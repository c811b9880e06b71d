"""An encoding as JSON in a model file, checked when it is read."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any, get_args

from seedbed.errors import FileError
from seedbed.layers.embedding import Embedding
from seedbed.population import Population
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import CIRCLES, FORMATS, DateColumn
from seedbed.tables.encoding import Encoding
from seedbed.tables.notation import Notation
from seedbed.tables.numbers import NumberColumn
from seedbed.tables.targets import ClassType, Target


def to_dict(encoding: Encoding) -> dict[str, Any]:
    """Return the encoding as a dict that JSON can hold."""
    target = asdict(encoding.target)
    for name in ("low", "high"):
        target[name] = [limit if math.isfinite(limit) else None for limit in target[name]]
    return {"columns": [asdict(column) for column in encoding.columns], "target": target}


def from_dict(saved: Any) -> Encoding:
    """Return the encoding that ``to_dict`` turned into ``saved``.

    Raises: KeyError, TypeError or ValueError for any other value.
    """
    columns = tuple(_column_from_dict(given) for given in saved["columns"])
    given = saved["target"]
    if given["kind"] not in get_args(ClassType):
        raise ValueError(f"{given['kind']!r:.40} is not a type of classes")
    target = Target(
        _distinct_texts(given["names"]),
        _distinct_texts(given["classes"]),
        given["kind"],
        _boolean(given["labels"]),
        tuple(_finite_number(mean) for mean in given["mean"]),
        tuple(_finite_number(scale, positive=True) for scale in given["scale"]),
        tuple(-math.inf if low is None else _finite_number(low) for low in given["low"]),
        tuple(math.inf if high is None else _finite_number(high) for high in given["high"]),
        _notation_from_dict(given["notation"]),
    )
    sizes = {len(target.mean), len(target.scale), len(target.low), len(target.high)}
    if not target.names or (target.task == "regression" and sizes != {len(target.names)}):
        raise ValueError("the target's scales do not match its columns")
    if len({column.name for column in columns}) != len(columns):
        raise ValueError("a column name is repeated")
    return Encoding(columns, target)


def _column_from_dict(given: Any) -> NumberColumn | DateColumn | CategoryColumn:
    if "categories" in given:
        column = CategoryColumn(
            _checked_text(given["name"]),
            _distinct_texts(given["categories"]),
            _boolean(given["has_rest"]),
            _boolean(given["embedded"]),
        )
        if not column.categories or (column.has_rest and len(column.categories) < 3):
            raise ValueError("a column's categories are broken")
        return column
    if "days" in given:
        days = _column_from_dict(given["days"])
        circles = _distinct_texts(given["circles"])
        if not isinstance(days, NumberColumn) or not set(circles) <= set(CIRCLES):
            raise ValueError("the encoding of a date is broken")
        if given["format"] and given["format"] not in FORMATS:
            raise ValueError(f"{given['format']!r:.40} is not a format of dates")
        return DateColumn(days, given["format"], tuple(c for c in CIRCLES if c in circles))
    return NumberColumn(
        _checked_text(given["name"]),
        _finite_number(given["center"]),
        _finite_number(given["scale"], positive=True),
        _boolean(given["flagged"]),
        _increasing(given["knots"]),
        _notation_from_dict(given["notation"]),
        _distinct_texts(given["odd"]),
    )


def _notation_from_dict(given: Any) -> Notation:
    found = Notation(*(_checked_text(given[name]) for name in ("decimal", "thousands", "unit")))
    if found.decimal not in (".", ",") or found.thousands not in ("", ".", ",", " ", "'"):
        raise ValueError("the notation of a column is broken")
    return found


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where a text is expected")
    return value


def _distinct_texts(values: Any) -> tuple[str, ...]:
    texts = tuple(_checked_text(value) for value in values)
    if len(set(texts)) != len(texts):
        raise ValueError("a category or column is repeated")
    return texts


def _finite_number(value: Any, *, positive: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} where a finite number is expected")
    if positive and not (value > 0 and math.isfinite(1 / value)):
        raise ValueError(f"{value!r:.40} where a number greater than 0 is expected")
    return float(value)


def checked_encoding(saved: Any, population: Population, path: object) -> Encoding:
    """Return the encoding that a model file holds.

    Raises: FileError if it is broken or does not fit the network.
    """
    try:
        encoding = from_dict(saved)
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise FileError(f"the table encoding in {path} is broken ({error}): train again") from None
    network, loss = population.network, population.recipe.loss
    target = encoding.target
    suits_loss = {"classes": bool(target.classes), "probability": target.labels}.get(
        loss.targets, target.task == "regression"
    )
    first = network.layers[0]
    embedded = (
        dict(zip(first.columns, first.categories, strict=True))
        if isinstance(first, Embedding)
        else {}
    )
    fits = (network.inputs, network.outputs) == (encoding.width, encoding.outputs)
    fits = fits and embedded == encoding.embedded
    if not (fits and suits_loss) or population.diverged.all():
        raise FileError(f"the table encoding in {path} does not fit its network: train again")
    return encoding


def _increasing(values: Any) -> tuple[float, ...]:
    numbers = tuple(_finite_number(value) for value in values)
    if len(numbers) in (1, 2) or any(b <= a for a, b in pairwise(numbers)):
        raise ValueError("knots do not increase")
    return numbers


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} where true or false is expected")
    return value
