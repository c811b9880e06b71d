"""Readers of option values, which raise ArgumentTypeError; options that commands share."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from seedbed import metrics
from seedbed.arrays import checked_number
from seedbed.errors import SettingError
from seedbed.formulas import activations, optimizers
from seedbed.formulas.activations import Activation
from seedbed.formulas.named import as_formula, by_name
from seedbed.formulas.optimizers import Optimizer
from seedbed.metrics import Metric
from seedbed.recipe import Recipe
from seedbed.tables.encoding import Encoding
from seedbed.tables.notation import Marks
from seedbed.tables.recipe import DECAYS, TableSettings
from seedbed.tables.targets import Task


def integer(low: int, high: int = 10**9) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            raise ArgumentTypeError(f"expected a whole number of at least {low}, not {text!r}")
        if number > high:
            raise ArgumentTypeError(f"expected a whole number of at most {high:,}, not {text!r}")
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


share = number(0, 1, open_low=True, open_high=True)
"""Read a share, 0 < share < 1."""


def widths(text: str) -> list[int]:
    """Read the hidden layers' units: 64,64 or 64x64."""
    try:
        units = [int(part) for part in text.replace("x", ",").split(",")]
    except ValueError:
        units = [0]
    if min(units) < 1 or max(units) > 10**6:
        raise ArgumentTypeError(f"expected whole numbers of units, such as 64,64, not {text!r}")
    return units


def activation(text: str) -> Activation:
    """Read an activation's name; parametrised ones keep their defaults."""
    try:
        return as_formula("the name", text, Activation)
    except SettingError as error:
        raise ArgumentTypeError(str(error)) from None


def optimizer(text: str) -> type[Optimizer]:
    """Read an optimizer's name."""
    try:
        kind: type[Optimizer] = by_name("the name", text, Optimizer)
    except SettingError as error:
        raise ArgumentTypeError(str(error)) from None
    return kind


def metric(text: str) -> Metric:
    """Read a metric's name; the pinball loss takes its quantile: pinball:0.9."""
    try:
        return metrics.by_name(text)
    except SettingError as error:
        raise ArgumentTypeError(str(error)) from None


def add_columns(parser: ArgumentParser) -> None:
    """Add the options that say how a table's columns are read."""
    add = parser.add_argument
    add("--task", choices=get_args(Task), help="inferred from the target if left out")
    add(
        "--drop",
        action="append",
        default=[],
        metavar="COLUMN",
        help="leave a column out; may be repeated",
    )
    add(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="the decimal mark of texts, . or , (inferred from all values of a column)",
    )
    add(
        "--thousands",
        choices=(".", ",", "none"),
        metavar="MARK",
        help="the thousands separator of texts, . or , or none (inferred)",
    )


def marks_of(options: Namespace) -> Marks:
    """Return what the options say of a file's marks.

    Raises: SettingError if both are the same.
    """
    thousands = "" if options.thousands == "none" else options.thousands
    if thousands and thousands == options.decimal:
        raise SettingError(f"--decimal and --thousands are both {thousands!r}: give two marks")
    return Marks(options.decimal or "", thousands)


# ---------------------------------------------------------------- a recipe's options


class Option(NamedTuple):
    """One option of a recipe: its reader, default and help."""

    read: Callable[[str], Any]
    default: str
    metavar: str
    help: str


def auto(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader of "auto", as None, or of what ``read`` reads."""

    def read_or_auto(text: str) -> Any:
        return None if text == "auto" else read(text)

    return read_or_auto


RECIPE = {
    "hidden": Option(auto(widths), "auto", "UNITS", "units of the hidden layers, such as 64,64"),
    "activation": Option(
        activation, "mish", "NAME", f"of the hidden layers, one of {', '.join(activations.BY_NAME)}"
    ),
    "optimizer": Option(optimizer, "AdamW", "NAME", f"one of {', '.join(optimizers.BY_NAME)}"),
    "lr": Option(auto(number(0)), "auto", "RATE", "initial learning rate"),
    "weight_decay": Option(auto(number(0)), "auto", "L", "decoupled weight decay"),
    "dropout": Option(
        auto(number(0, 1, open_high=True)), "auto", "P", "share of activations to drop"
    ),
    "batch_size": Option(auto(integer(1)), "auto", "N", "rows per step"),
    "epochs": Option(auto(integer(1)), "auto", "N", "maximum number of epochs"),
    "patience": Option(
        auto(integer(1)), "auto", "N", "stop after N epochs without a lower loss on held-out rows"
    ),
}
"""A table recipe's options by name; they are the estimators' parameters."""

HELD_OUT = 0.25
"""The share of the training rows that each member holds out for early stopping."""


def add_recipe(parser: ArgumentParser) -> None:
    """Add the options of a table recipe."""
    for name, option in RECIPE.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=option.read,
            default=option.default,
            metavar=option.metavar,
            help=f"{option.help} ({option.default})",
        )


def settings_of(options: Mapping[str, Any]) -> TableSettings:
    """Return the settings that the options give."""
    given = {name: options[name] for name in RECIPE if options[name] is not None}
    given.setdefault("weight_decay", DECAYS[0])  # "auto" would vary with a dropout that is varied
    return TableSettings(**given)


def recipe_of(options: Mapping[str, Any], encoding: Encoding, rows: int) -> Recipe:
    """Return the options' recipe for ``rows`` rows of an encoded table; members stop alone."""
    return settings_of(options).recipe(encoding, rows, monitor="members", validation=HELD_OUT)
