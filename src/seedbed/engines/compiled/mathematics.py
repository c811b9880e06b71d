"""Formulas compiled for vectors and scalars; ``engines.mathematics`` compiled for vectors."""

from __future__ import annotations

import operator
import types as python
from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import overload

from seedbed.engines import arithmetic, mathematics
from seedbed.engines.compiled import bits, vectors
from seedbed.engines.compiled.target import inline
from seedbed.engines.compiled.vectors import Vector
from seedbed.engines.translation import translate

NUMPY: Any = python.ModuleType("numpy")
"""What ``np`` means for vectors: ``mathematics``' public names, and no others."""
NUMPY.abs = vectors.absolute

_compiled: dict[Any, Any] = {
    getattr(arithmetic, name): getattr(module, name)
    for module, names in (
        (vectors, "absolute copysign fma full_like maximum minimum sqrt where"),
        (bits, "exponent is_single mantissa times_two_to two_to"),
    )
    for name in names.split()
}


def _compile(value: Any) -> Any:
    is_function = isinstance(value, python.FunctionType)
    return translate(value, NUMPY, inline, _compiled) if is_function else value


for _name in mathematics.__all__:
    setattr(NUMPY, _name, _compile(getattr(mathematics, _name)))
cos_sin_of_turns = _compile(mathematics.cos_sin_of_turns)


def for_vectors(function: Callable[..., Any]) -> Any:
    """Return ``function`` compiled for vectors, with all the functions that it calls."""
    return translate(function, NUMPY, inline, {})


def for_scalars(function: Callable[..., Any]) -> Any:
    """Return ``function`` compiled for scalars, with all the functions that it calls."""
    return translate(function, np, inline, {})


@overload(operator.pow)
def _pow(x: Any, k: Any) -> Any:
    """``x**k``, where x is a vector and k is not."""
    if not (isinstance(x, Vector) and isinstance(k, types.Number)):
        return None
    power = NUMPY.power

    def compute(x: Any, k: Any) -> Any:
        return power(x, k)

    return compute
