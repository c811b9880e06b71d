"""The addresses of compiled formulas, each kept on disk; see ``cache``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numba.core import types
from numba.core.ccallback import CFunc

from seedbed.engines.compiled import cache, loops, products, records
from seedbed.engines.compiled.libraries import CompileKernel
from seedbed.engines.compiled.target import WIDTH, numba_type
from seedbed.errors import FormulaError
from seedbed.formulas import penalties
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss


class _KeptLoop(CFunc):
    """A compiled function that is kept on disk under ``stamp``."""

    def __init__(self, function: Any, sig: Any, stamp: str) -> None:
        super().__init__(function, sig, {}, {"error_model": "numpy"}, CompileKernel)
        self._cache = cache.Kept(function, stamp)
        self.compile()
        self.native = self._wrapper_name.removeprefix("cfunc.")


_alive: list[_KeptLoop] = []  # code lives as long as the object that compiled it


@lru_cache(maxsize=2)
def _types(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return Numba's types by the names that a loop's annotations have."""
    number = numba_type(dtype)
    array = types.CPointer(number)
    kinds: dict[str, Any] = {
        "Floats": array,
        "Any": array,
        "Ints": types.CPointer(types.intp),
        "int": types.intp,
        "bool": types.boolean,
        "float": number,
    }
    for record in (records.Matrix, records.Program, records.Workspace):
        annotations: Any = record.__annotations__.values()
        fields = [kinds[annotation.__forward_arg__] for annotation in annotations]
        kinds[record.__name__] = types.NamedTuple(fields, record)
    return kinds


def compile_loop(function: Any, dtype: np.dtype[Any], stamp: str) -> int:
    """Return the address of a loop, compiled for the types that its annotations name."""
    kinds = _types(dtype)
    *arguments, _ = function.__annotations__.values()
    sig = (tuple(kinds[argument] for argument in arguments), types.void)
    loop = _KeptLoop(function, sig, stamp)
    _alive.append(loop)
    return int(loop._library.get_pointer_to_function(loop.native))


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Turn Numba's message on a formula that it cannot compile into one line."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((line for line in lines if "Unknown attribute" in line or "No impl" in line), "")
        why = str(error) if isinstance(error, FormulaError) else why
        raise FormulaError(
            f"the compiled engine cannot compile {what}{': ' + why if why else ''}: write it with "
            "arithmetic and the functions in seedbed.engines.mathematics, or use "
            "engine='numpy'"
        ) from error


_known: dict[tuple[Any, ...], tuple[int, ...]] = {}


def _addresses(
    what: str, dtype: np.dtype[Any], parts: tuple[Any, ...], make: Callable[[int], Any]
) -> tuple[int, ...]:
    """Return the addresses of the loops that ``make`` returns for a vector's width.

    They are known by their digest, not by the functions: what a function uses may have changed.

    Raises: FormulaError if they cannot be compiled.
    """
    with _naming(what):
        stamp = cache.digest(*parts)
        if (stamp, dtype) not in _known:
            made = make(WIDTH[numba_type(dtype)])
            _known[stamp, dtype] = tuple(compile_loop(loop, dtype, stamp) for loop in made)
    return _known[stamp, dtype]


def activation(unit: Activation, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of an activation's ``forward`` and ``backward``."""
    parts = ("activation", unit.f, unit.df)
    return _addresses(
        f"the activation {unit.name}", dtype, parts, lambda W: loops.activation(unit.f, unit.df, W)
    )


def layer(name: str, make: Any, formulas: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of a layer's ``forward`` and ``backward``; see ``kinds``."""
    return _addresses(f"the layer {name}", dtype, ("layer", name, *formulas), make)


def loss(unit: Loss, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of a loss's ``value`` and ``slope``."""
    parts = ("loss", unit.f, unit.df)
    return _addresses(
        f"the loss {unit.name}", dtype, parts, lambda W: loops.loss(unit.f, unit.df, W)
    )


def formula(function: Any, arguments: int, dtype: np.dtype[Any]) -> int:
    """Return the address of ``loops.formula``'s loop, or 0 if the function cannot be compiled."""
    try:
        (address,) = _addresses(
            f"the function {getattr(function, '__name__', function)}",
            dtype,
            ("formula", function, arguments),
            lambda W: (loops.formula(function, arguments, W),),
        )
    except FormulaError:
        return 0
    return address


def rule(function: Any, slots: int, others: int, dtype: np.dtype[Any]) -> int:
    """Return the address of an optimizer's step."""
    (address,) = _addresses(
        f"the optimizer's rule {getattr(function, '__name__', function)}",
        dtype,
        ("rule", function, penalties.shrink, slots, others),
        lambda W: (loops.rule(function, slots, others, W),),
    )
    return address


@lru_cache(maxsize=16)
def fixed(name: str, dtype: np.dtype[Any]) -> int:
    """Return the address of a function that is the same for all networks."""
    functions = {
        "product_per_member": lambda W: products.product(True),
        "product_shared": lambda W: products.product(False),
        "transpose": lambda W: loops.transpose,
        "log_softmax": lambda W: loops.log_softmax,
        "penalty": loops.penalty,
    }
    function = functions[name](WIDTH[numba_type(dtype)])
    return compile_loop(function, dtype, cache.digest(name, penalties.penalty_d))
