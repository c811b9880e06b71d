"""What the commands' options turn strings into. Each raises argparse's own error for a bad one."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable

from seedbed.arrays import checked_number
from seedbed.errors import SettingError
from seedbed.formulas import activations
from seedbed.formulas.activations import Activation


def whole(least: int, most: int = 10**9) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"expected a whole number of at least {least}, not {text!r}")
        if number > most:
            raise ArgumentTypeError(f"expected a whole number of at most {most:,}, not {text!r}")
        return number

    return read


def number(
    low: float, high: float = float("inf"), *, open_low: bool = False, open_high: bool = False
) -> Callable[[str], float]:
    """Return a reader of finite numbers in an interval."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"expected a number, not {text!r}") from None
        try:
            return checked_number("value", value, low, high, open_low=open_low, open_high=open_high)
        except SettingError as error:
            raise ArgumentTypeError(str(error)) from None

    return read


def widths(text: str) -> list[int]:
    """Read the units of the hidden layers: 64,64."""
    try:
        units = [int(part) for part in text.split(",")]
    except ValueError:
        units = [0]
    if min(units) < 1 or max(units) > 10**6:
        raise ArgumentTypeError(f"expected whole numbers of units, such as 64,64, not {text!r}")
    return units


def activation(text: str) -> Activation:
    """Read an activation's name; those that take a number take their default."""
    unit = activations.BY_NAME.get(text)
    if unit is None:
        names = ", ".join(activations.BY_NAME)
        raise ArgumentTypeError(f"expected one of {names}, not {text!r}")
    return unit if isinstance(unit, Activation) else unit()
