"""The kinds of layer that the engine computes, and what its kernels take from each.

``Dense`` is part of the kernels. Every other kind is a module with

    make(W)                  returns its forward and backward pass for vectors of W numbers, with
                             the arguments of ``dense.forward`` and ``dense.backward``
    settings(layer, inputs)  whole numbers that both read
    scratch(layer, inputs)   how many numbers of a row the backward pass needs from the forward one
    FORMULAS                 formulas and numbers of other packages that both use
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled import addresses, embedding, periodic
from seedbed.engines.compiled.records import DENSE, OTHER, SCALED
from seedbed.layers import Dense, Embedding, Layer, Periodic

MODULES: dict[type[Layer], Any] = {Embedding: embedding, Periodic: periodic}


def form_of(layer: Layer) -> int:
    """Return records' OTHER, DENSE or SCALED."""
    if type(layer) is not Dense:
        return OTHER
    return SCALED if layer.input_scale else DENSE


def settings_of(layer: Layer, inputs: int) -> list[int]:
    """Return what the layer's functions read of its settings."""
    return [] if type(layer) is Dense else MODULES[type(layer)].settings(layer, inputs)


def scratch_of(layer: Layer, inputs: int, outputs: int) -> int:
    """Return how many numbers a row keeps at ``Workspace.z``."""
    if type(layer) is Dense:
        return outputs
    return MODULES[type(layer)].scratch(layer, inputs)


def addresses_of(layer: Layer, dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the addresses of the layer's forward and backward pass; of a dense layer, those of its
    activation and its derivative.

    Raises: FormulaError for an activation that cannot be compiled.
    """
    if type(layer) is Dense:
        return addresses.activation(layer.activation, dtype)
    kind = MODULES[type(layer)]
    return addresses.layer(type(layer).__name__, kind.make, kind.FORMULAS, dtype)
