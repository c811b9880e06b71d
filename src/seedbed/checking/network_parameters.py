"""Where a network object keeps its parameters, and the gradient beside each of them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import DataError

_WEIGHTS = ("W", "w", "weights", "weight", "kernel", "Ws")
_BIASES = ("b", "bias", "biases", "bs", "B")
_EMBEDDINGS = ("E", "table", "embedding", "embeddings", "gamma", "beta")
_LAYERS = ("layers", "_layers", "blocks", "modules")
_FORMS = ("d{}", "d_{}", "grad_{}", "{}_grad", "grads_{}", "{}_grads", "{}_gradient",
          "{}_gradients", "nabla_{}", "grad{}", "g{}", "delta_{}", "dL_d{}")  # fmt: skip
"""Names of the gradient beside a parameter."""
_OWN = re.compile(
    r"_?(w|b|weights?|bias(es)?|theta|e)_?\w{0,3}|(w|b)_?\w*(hidden|out|in|input|output)"
)


@dataclass(frozen=True)
class Slot:
    """One parameter: the attribute, key or index of an object, dict or list."""

    name: str
    owner: Any
    key: Any

    def value(self) -> Any:
        """Return what the owner holds: an array, a number, or an object with data and grad."""
        if isinstance(self.owner, Mapping | list | tuple):
            return self.owner[self.key]
        return getattr(self.owner, self.key)

    def read(self) -> Array:
        """Return the numbers."""
        value = self.value()
        return np.array(value if _is_numbers(value) else _content(value))

    def write(self, numbers: Any) -> None:
        """Set the numbers, in place where they are an array: others may hold it, too."""
        value = self.value()
        held = value if _is_numbers(value) else _content(value)
        if isinstance(held, np.ndarray):
            if held.dtype.kind != "f":
                raise DataError(f"{self.name} holds whole numbers: make it an array of floats")
            held[...] = numbers
        elif isinstance(self.owner, dict | list):
            self.owner[self.key] = float(numbers)
        else:
            setattr(self.owner, self.key, float(numbers))


def slots(net: Any) -> Iterator[list[Slot]]:
    """Yield the parameters by each way in which a network may keep them."""
    for name in ("parameters", "params", "get_params"):
        held = getattr(net, name, None)
        if inspect.isroutine(held):
            try:
                held = held()
            except TypeError:  # it takes arguments
                continue
            held = list(held) if isinstance(held, Iterator) else held
        if isinstance(held, Mapping | Sequence):
            yield list(_inside(held, "" if isinstance(held, Mapping) else name))
    pairs = [
        list(_inside(getattr(net, name, None), name))
        for names in (_WEIGHTS, _BIASES)
        for name in [next((n for n in names if _is_list(getattr(net, n, None))), "")]
        if name
    ]
    yield [slot for each in pairs for slot in each]
    for name in _LAYERS:
        if _is_list(getattr(net, name, None)):
            yield list(_inside(getattr(net, name), name))
    attributes = vars(net) if hasattr(net, "__dict__") else {}
    yield [
        slot
        for name, value in attributes.items()
        if not isinstance(value, list | tuple | Mapping)
        for slot in (
            [Slot(name, net, name)]
            if _OWN.fullmatch(name.lower()) and _is_array(value)
            else _of_layer(value, name)
        )
    ]


def own_gradient(slot: Slot, net: Any) -> Any:
    """Return the gradient beside a parameter; None if none is found."""
    value = slot.value()
    if not _is_numbers(value):
        return getattr(value, "grad", None)
    if not isinstance(slot.owner, Mapping | list | tuple):
        return _beside(slot.owner, str(slot.key))
    if isinstance(slot.owner, Mapping):
        return _beside(net, str(slot.key))
    held = _beside(net, slot.name.partition("[")[0])
    fits = isinstance(held, list | tuple) and slot.key < len(held)
    return held[slot.key] if fits else None


def _beside(owner: Any, name: str) -> Any:
    """Return an owner's gradient of the parameter with this name."""
    short = {"weights": ("w", "W", "weight"), "biases": ("b", "bias"), "weight": ("w", "W"),
             "bias": ("b",), "W": ("w",)}  # fmt: skip
    for base in (name, *short.get(name, ())):
        for form in _FORMS:
            value = getattr(owner, form.format(base), None)
            if value is not None and not callable(value):
                return value
        for grads in ("grads", "gradients", "grad"):
            held = getattr(owner, grads, None)
            if isinstance(held, Mapping):
                for key in (base, f"d{base}"):
                    if key in held:
                        return held[key]
    return None


def _inside(held: Any, name: str) -> Iterator[Slot]:
    """Yield the parameters in a dict or list of arrays, parameter objects, layers or lists."""
    items = held.items() if isinstance(held, Mapping) else enumerate(held or ())
    for key, value in items:
        path = f"{name}[{key}]" if name else str(key)
        if _is_numbers(value) or _content(value) is not None:
            yield Slot(path, held, key)
        elif isinstance(value, Mapping | list | tuple):
            yield from _inside(value, path)
        else:
            yield from _of_layer(value, path)


def _of_layer(layer: Any, path: str) -> Iterator[Slot]:
    """Yield a layer's parameters."""
    attributes = getattr(layer, "__dict__", None)
    if attributes is None or inspect.isroutine(layer) or isinstance(layer, type):
        return
    found = False
    for name in (*_WEIGHTS, *_BIASES, *_EMBEDDINGS):
        value = attributes.get(name)
        if _is_array(value) or (value is not None and _content(value) is not None):
            yield Slot(f"{path}.{name}", layer, name)
            found = True
    if not found:
        for name in ("params", "parameters", *_LAYERS):
            if isinstance(attributes.get(name), Mapping | list | tuple):
                yield from _inside(attributes[name], f"{path}.{name}")
                return


def _content(value: Any) -> Array | None:
    """Return the numbers of a parameter object, with data and grad; None if it is none."""
    if isinstance(value, np.ndarray | np.generic) or not hasattr(value, "grad"):
        return None
    held = next((getattr(value, n) for n in ("data", "value") if hasattr(value, n)), None)
    return held if isinstance(held, np.ndarray) else None


def _is_array(value: Any) -> bool:
    return (isinstance(value, np.ndarray) and value.dtype.kind in "fiu") or isinstance(value, float)


def _is_numbers(value: Any) -> bool:
    return _is_array(value) or isinstance(value, np.floating)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping) and len(value) > 0
