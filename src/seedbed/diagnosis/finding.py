"""Finding: one fault that diagnose() reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seedbed.arrays import Array

Kind = Literal[
    "diverged",
    "dead units",
    "saturated units",
    "vanishing gradients",
    "exploding gradients",
    "unscaled inputs",
    "unscaled target",
    "rate too high",
    "rate too low",
    "still falling",
    "stuck members",
    "no better than constant",
    "commonest class only",
]


@dataclass(frozen=True)
class Finding:
    """One fault of a population.

    kind     "diverged", "dead units", "saturated units", "vanishing gradients", "exploding
             gradients", "unscaled inputs", "unscaled target", "rate too high", "rate too low",
             "still falling", "stuck members", "no better than constant" or "commonest class only"
    message  one line that names the fault and its remedy
    members  the affected members' places in the population, from 0; empty if the fault is the
             data's
    """

    kind: Kind
    message: str
    members: tuple[int, ...] = ()


def count_of_members(count: int, total: int) -> str:
    """Return such as "3 of 8 members", for a message."""
    if total == 1:
        return "the member"
    return f"all {total:,} members" if count == total else f"{count:,} of {total:,} members"


def places_of(members: Array) -> tuple[int, ...]:
    """Return the places where a boolean array (P,) is true."""
    return tuple(np.flatnonzero(members).tolist())
