"""Initializers: how a layer's first weights are drawn.

An initializer turns standard draws into weights. The draws come from the member's own stream, so
the same seed gives the same weights whichever members are trained with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from seedbed import reproducible
from seedbed.arrays import Array
from seedbed.formulas.named import Named


class Draws(Protocol):
    """One layer's independent random draws for P members."""

    def normal(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from N(0, 1)."""

    def uniform(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from U(0, 1)."""


@dataclass(frozen=True)
class Initializer(Named):
    """W = draw(draws, I, O), of shape (P, I, O), for a layer of I inputs and O outputs.

    A bias is drawn as a layer of one input: (P, 1, O).
    """

    name: str
    draw: Callable[[Draws, int, int], Array] = field(compare=False, repr=False)


def _zeros(draws: Draws, inputs: int, outputs: int) -> Array:
    return np.zeros((1, inputs, outputs))


zeros = Initializer("zeros", _zeros)
"""All zeros: the usual bias."""


def _standard_normal(draws: Draws, inputs: int, outputs: int) -> Array:
    return draws.normal(inputs, outputs)


standard_normal = Initializer("standard_normal", _standard_normal)
"""N(0, 1), whatever the layer's size."""


def _glorot(draws: Draws, inputs: int, outputs: int) -> Array:
    return (2 * draws.uniform(inputs, outputs) - 1) * math.sqrt(6 / (inputs + outputs))


glorot = Initializer("glorot", _glorot)
"""U(-r, r), r = √(6 / (I + O)): variance 2 / (I + O) (Glorot, Bengio 2010, equation 16)."""


def _he(draws: Draws, inputs: int, outputs: int) -> Array:
    return draws.normal(inputs, outputs) * math.sqrt(2 / inputs)


he = Initializer("he", _he)
"""N(0, 2 / I), not truncated (He et al. 2015, equation 10)."""


def _lecun(draws: Draws, inputs: int, outputs: int) -> Array:
    return draws.normal(inputs, outputs) * math.sqrt(1 / inputs)


lecun = Initializer("lecun", _lecun)
"""N(0, 1 / I), not truncated (LeCun et al. 1998, equation 16)."""


def _orthogonal(draws: Draws, inputs: int, outputs: int) -> Array:
    tall, wide = max(inputs, outputs), min(inputs, outputs)
    q = draws.normal(tall, wide).transpose(0, 2, 1).copy()  # columns as rows (P, wide, tall)
    total = reproducible.total
    for j in range(wide):
        column, before = q[:, j], q[:, :j]
        for _ in range(2):  # one pass leaves rounding errors where columns are nearly parallel
            along = total(before * column[:, None], 2, keepdims=True)
            column -= total(along * before, 1)
        column /= np.sqrt(total(column * column, 1, keepdims=True))
    return q.transpose(0, 2, 1) if inputs >= outputs else q


orthogonal = Initializer("orthogonal", _orthogonal)
"""Uniform over matrices whose shorter side's vectors are orthonormal (Saxe et al. 2014): normal
draws, orthonormalised by Gram-Schmidt, each column twice (Giraud et al. 2005), and not by LAPACK,
whose last bits differ between machines."""


BY_NAME: dict[str, Initializer] = {
    "glorot": glorot,
    "he": he,
    "lecun": lecun,
    "orthogonal": orthogonal,
    "standard_normal": standard_normal,
    "zeros": zeros,
}

ALIASES = {
    "glorot_uniform": "glorot",
    "he_normal": "he",
    "kaiming": "he",
    "kaiming_normal": "he",
    "lecun_normal": "lecun",
    "xavier": "glorot",
    "xavier_uniform": "glorot",
}
"""Names in PyTorch and Keras of the same distributions, apart from Keras's truncation."""
