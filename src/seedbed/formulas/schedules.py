"""Learning-rate schedules: the factor on the learning rate during training.

A schedule is a function of t, the share of all steps already taken, 0 <= t < 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seedbed.arrays import checked_number, checked_numbers
from seedbed.formulas.named import Named
from seedbed.formulas.user_defined import check_factor, is_user_defined
from seedbed.reproducible import cos_turns, log2

Options = tuple[tuple[str, float | tuple[float, ...]], ...]


@dataclass(frozen=True)
class Schedule(Named):
    """The learning rate at step k of n is lr · factor(k / n).

    ``options`` are the arguments of the factory; schedules with equal name and options are equal.

    Raises: FormulaError if a factor of your own does not return finite numbers of at least 0.
    """

    name: str
    factor: Callable[[float], float] = field(compare=False, repr=False)
    options: Options = ()

    def __post_init__(self) -> None:
        if is_user_defined(self.factor):
            check_factor(f"schedule {self.name!r}", self.factor)

    def __call__(self, t: float) -> float:
        """Return the factor at t, 0 <= t <= 1."""
        return self.factor(t)


def _constant(t: float) -> float:
    return 1.0


constant = Schedule("constant", _constant)
"""Always 1."""


def step_decay(at: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> Schedule:
    """Starts at 1 and is multiplied by ``factor`` at each share of training in ``at``.

    Source: He et al. 2016, section 4.2: a tenth at 50 % and at 75 %.
    """
    drops = checked_numbers("at", at, 0.0, 1.0)
    if not isinstance(drops, tuple):
        drops = (drops,)
    factor = checked_number("factor", factor, 0.0, open_low=True)

    def f(t: float) -> float:
        return math.prod([factor] * sum(t >= drop for drop in drops))

    return Schedule("step_decay", f, (("at", drops), ("factor", factor)))


def cosine(warmup: float = 0.0, floor: float = 0.0) -> Schedule:
    """Rises linearly to 1 over the share ``warmup``, then falls to ``floor`` as half a cosine.

        t / warmup                                           for t < warmup
        floor + (1 - floor) ½ (1 + cos π (t - warmup) / (1 - warmup))    after it

    Source: Loshchilov, Hutter 2017, equation 5, without restarts.
    """
    warmup = checked_number("warmup", warmup, 0.0, 1.0, open_high=True)
    floor = checked_number("floor", floor, 0.0, 1.0)

    def f(t: float) -> float:
        if t < warmup:
            return t / warmup
        u = (t - warmup) / (1 - warmup)
        return floor + (1 - floor) * 0.5 * (1 + cos_turns(u / 2))

    return Schedule("cosine", f, (("warmup", warmup), ("floor", floor)))


def one_cycle(peak: float = 0.3, start: float = 0.04, end: float = 4e-6) -> Schedule:
    """Rises from ``start`` to 1 at the share ``peak``, then falls to ``end``, both as half cosines.

    The defaults are those of fast.ai and PyTorch: start 1/25, end 1/250,000 of the peak's rate.
    Source: Smith, Topin 2018, with cosine annealing.
    """
    peak = checked_number("peak", peak, 0.0, 1.0, open_low=True, open_high=True)
    start = checked_number("start", start, 0.0, 1.0)
    end = checked_number("end", end, 0.0, 1.0)

    def f(t: float) -> float:
        if t < peak:
            low, u = start, 1 - t / peak
        else:
            low, u = end, (t - peak) / (1 - peak)
        return low + (1 - low) * 0.5 * (1 + cos_turns(u / 2))

    return Schedule("one_cycle", f, (("peak", peak), ("start", start), ("end", end)))


def _coslog4(t: float) -> float:
    return 0.5 * (1 - cos_turns(log2(1 + 15 * t)))


coslog4 = Schedule("coslog4", _coslog4)
"""½ (1 − cos(2π log2(1 + 15 t))): four waves, each twice as long as the one before
(Holzmüller, Grinsztajn, Steinwart 2024)."""


BY_NAME: dict[str, Schedule | Callable[..., Schedule]] = {
    "constant": constant,
    "cosine": cosine,
    "coslog4": coslog4,
    "one_cycle": one_cycle,
    "step_decay": step_decay,
}

ALIASES = {
    "ConstantLR": "constant",
    "CosineAnnealingLR": "cosine",
    "CosineDecay": "cosine",
    "MultiStepLR": "step_decay",
    "OneCycleLR": "one_cycle",
    "PiecewiseConstantDecay": "step_decay",
    "cosine_annealing": "cosine",
}
"""Names in PyTorch and Keras."""
