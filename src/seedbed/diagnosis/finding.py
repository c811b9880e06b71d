"""What a diagnosis is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
]


@dataclass(frozen=True)
class Finding:
    """One fault of a population.

    kind     "diverged", "dead units", "saturated units", "vanishing gradients", "exploding
             gradients", "unscaled inputs", "unscaled target", "rate too high", "rate too low",
             "still falling" or "stuck members"
    message  one line that names it and its remedy
    members  the places in the population of the members that have it, from 0; none where it is the
             data's
    """

    kind: Kind
    message: str
    members: tuple[int, ...] = ()


def of_all(count: int, among: int) -> str:
    """Return how many members something is true of, for the beginning of a message."""
    if among == 1:
        return "the member"
    return f"all {among:,} members" if count == among else f"{count:,} of {among:,} members"
