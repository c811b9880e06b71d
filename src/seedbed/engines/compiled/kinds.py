"""The kinds of layer that the engine computes, and what its kernels take from each.

A kind other than ``Dense``, which is part of the kernels, is a module with ``settings(layer,
inputs)``, whole numbers that its functions read; ``scratch(layer, inputs)``, the numbers of a row
that it keeps from forward to backward pass; ``make(W)``, which returns these two functions with the
arguments of ``dense.forward`` and ``dense.backward``; and ``FORMULAS``, the formulas and
numbers from elsewhere that they use.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled import addresses, embedding, periodic
from seedbed.layers import Dense, Embedding, Layer, Periodic

MODULES: dict[type[Layer], Any] = {Embedding: embedding, Periodic: periodic}


def settings_of(layer: Layer, inputs: int) -> list[int]:
    """Return what the layer's functions read of its settings."""
    return [] if type(layer) is Dense else MODULES[type(layer)].settings(layer, inputs)


def scratch_of(layer: Layer, inputs: int, outputs: int) -> int:
    """Return how many numbers a row keeps at ``Workspace.z``."""
    if type(layer) is Dense:
        return outputs
    return MODULES[type(layer)].scratch(layer, inputs)


def addresses_of(layer: Layer, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of a dense layer's activation and its derivative, or of the layer's
    ``forward`` and ``backward``.

    Raises: FormulaError for an activation that cannot be compiled.
    """
    if type(layer) is Dense:
        return addresses.activation(layer.activation, dtype)
    kind = MODULES[type(layer)]
    return addresses.layer(type(layer).__name__, kind.make, kind.FORMULAS, dtype)
