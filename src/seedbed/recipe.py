"""Recipe: all that training takes but data and seeds, so that a method has a name."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seedbed.arrays import (
    Array,
    Numbers,
    checked_count,
    checked_number,
    one_line,
)
from seedbed.engines.plan import Hyperparameters
from seedbed.engines.select import ENGINES
from seedbed.errors import SettingError
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import Adam, Bounds, Optimizer
from seedbed.formulas.schedules import Schedule, constant
from seedbed.layers.base import named_units
from seedbed.network import Network

DTYPES = ("float32", "float64")
MONITORS = ("members", "ensemble")
_BOUNDS = {
    "l1": Bounds("l1"),
    "l2": Bounds("l2"),
    "dropout": Bounds("dropout", high=1.0, open_high=True),
    "clip_norm": Bounds("clip_norm", open_low=True),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method: what ``train`` takes, but for data and seeds.

    network     the members' shape
    loss        what is minimised, as a mean over rows
    optimizer   how a step is taken
    epochs      how often all rows are seen
    batch_size  rows a step; None takes them all
    schedule    the factor on the learning rate as training goes on
    l1, l2      penalties l1 Σ|w| + ½ l2 Σw² on the weights, not on the biases
    dropout     the share of each hidden layer's activations set to 0, 0 <= dropout < 1
    clip_norm   the longest a member's gradient may be; None leaves it
    patience    epochs without a lower validation loss after which a member stops; whoever has a
                patience ends with the parameters of its best epoch (the first, among equals)
    validation  the share of the rows that each member holds out, drawn from its seed
    monitor     whose validation loss patience watches: that of each of the "members", or the
                "ensemble"'s, in which a row is predicted by the mean of the members that hold it
                out; then all end together, with the parameters of its best epoch. Without a
                patience it is recorded, and no more
    engine      "numpy", "compiled" (which needs Numba, and takes what is smaller than the smallest
                normal number for 0), or "auto": the one likely to be done first
    dtype       of the parameters and of the arithmetic: "float32" or "float64"

    Numbers that may differ between members (the optimizer's, l1, l2, dropout, clip_norm) are one
    number, or one a member, (P,).

    Raises: SettingError that names the value for whatever cannot be meant.
    """

    network: Network
    loss: Loss
    optimizer: Optimizer = Adam()  # noqa: RUF009  # frozen
    epochs: int = 100
    batch_size: int | None = None
    schedule: Schedule = constant
    l1: Numbers = 0.0
    l2: Numbers = 0.0
    dropout: Numbers = 0.0
    clip_norm: Numbers | None = None
    patience: int | None = None
    validation: float | None = None
    monitor: Literal["members", "ensemble"] = "members"
    engine: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        for name, kind, example in (
            ("network", Network, "sb.Network(3, [sb.Dense(1)])"),
            ("loss", Loss, "sb.squared_error"),
            ("optimizer", Optimizer, "sb.Adam(lr=0.001)"),
            ("schedule", Schedule, "sb.cosine()"),
        ):
            given = getattr(self, name)
            if not isinstance(given, kind) or type(given) is Optimizer:
                called = f"; call it first: {given.__name__}(…)" if callable(given) else ""
                raise SettingError(
                    f"{name} must be such as {example}, not {one_line(given)}{called}"
                )
        checked: dict[str, Any] = {
            name: bounds.checked(getattr(self, name))
            for name, bounds in _BOUNDS.items()
            if name != "clip_norm" or self.clip_norm is not None
        }
        checked["epochs"] = checked_count("epochs", self.epochs, minimum=0)
        if self.batch_size is not None:
            checked["batch_size"] = checked_count("batch_size", self.batch_size)
        if self.patience is not None:
            checked["patience"] = checked_count("patience", self.patience)
        if self.validation is not None:
            checked["validation"] = checked_number(
                "validation", self.validation, 0.0, 1.0, open_low=True, open_high=True
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        engines = ("auto", *ENGINES)
        for name, allowed in (("engine", engines), ("dtype", DTYPES), ("monitor", MONITORS)):
            given = getattr(self, name)
            if not isinstance(given, str) or given not in allowed:
                raise SettingError(f"{name} must be one of {allowed}, not {one_line(given)}")
        if self.monitor == "ensemble" and self.loss.inverse_predict is None:
            raise SettingError(
                f"monitor='ensemble' takes the loss of mean predictions: give {self.loss.name} its "
                "inverse_predict"
            )
        if self.optimizer.needs == "jacobian" and self.loss.residual is None:
            raise SettingError(
                f"{type(self.optimizer).__name__} needs residuals, and {self.loss.name} is no sum "
                "of squares: use squared_error, or another optimizer"
            )
        if not self.optimizer.uses_schedule and self.schedule != constant:
            raise SettingError(
                f"{type(self.optimizer).__name__} finds its step sizes itself, so a schedule has "
                "no effect: leave it out"
            )

    @property
    def settings(self) -> dict[str, Array]:
        """The hyperparameters that are given one a member, each (P,)."""
        return {
            name: np.array(value)
            for _, name, value in self._numeric_fields()
            if isinstance(value, tuple)
        }

    def take(self, members: npt.NDArray[np.intp], of: int) -> Recipe:
        """Return the recipe of some of ``of`` members: numbers given one a member are cut down.

        Raises: SettingError if a number is given for more or fewer members.
        """
        own: dict[str, Any] = {}
        optimizers: dict[str, Any] = {}
        for owner, name, value in self._numeric_fields():
            if isinstance(value, tuple):
                _check_one_a_member(name, value, of)
                chosen = tuple(value[member] for member in members)
                changed = own if owner is self else optimizers
                changed[name] = chosen if len(chosen) > 1 else chosen[0]
        return replace(self, optimizer=replace(self.optimizer, **optimizers), **own)

    @property
    def structure(self) -> tuple[Hashable, ...]:
        """All of it but the hyperparameters: recipes of one structure can be trained together.

        Formulas of the user's own count as the functions that they are: not by their name.
        """
        units: list[Any] = [self.loss, self.schedule]
        for layer in self.network.layers:
            units += named_units(layer)
        functions = [value for unit in units for value in vars(unit).values() if callable(value)]
        own = [
            id(f)
            for f in functions
            if not (getattr(f, "__module__", None) or "").startswith("seedbed.")
        ]
        merged = {name for _, name, _ in self._mergeable()}
        options = [
            f"{name}={value!r}"
            for name, value in vars(self.optimizer).items()
            if name not in merged
        ]
        return (
            self.network, self.loss, self.schedule, id(type(self.optimizer)), *options, self.epochs,
            self.batch_size, self.patience, self.validation, self.monitor, self.engine, self.dtype,
            self.clip_norm is None, *self.optimizer.hyperparameters, *own,
        )  # fmt: skip

    @property
    def identity(self) -> tuple[Hashable, ...]:
        """What two recipes share only if every run of theirs would be the same."""
        return (*self.structure, repr(self))

    def _mergeable(self) -> Iterator[tuple[object, str, Any]]:
        """Yield the hyperparameters that may differ between members of one population."""
        numbers = {"lr", "weight_decay", *self.optimizer.hyperparameters}
        for owner, name, value in self._numeric_fields():
            if owner is self or name in numbers:
                yield owner, name, value

    @staticmethod
    def together(recipes: Sequence[Recipe], members: int) -> Recipe:
        """Return one recipe for ``members`` of each recipe's, in turn; all of one structure.

        Raises: SettingError if they are of several, or one gives numbers one a member.
        """
        first = recipes[0]
        if any(recipe.structure != first.structure for recipe in recipes):
            raise SettingError("recipes of different structure cannot be trained together")
        own: dict[str, Any] = {}
        optimizers: dict[str, Any] = {}
        for each in zip(*(recipe._mergeable() for recipe in recipes), strict=True):
            owner, name, value = each[0]
            values = [value for _, _, value in each]
            if any(isinstance(value, tuple) for value in values):
                raise SettingError(f"{name} is given one a member: give each recipe one number")
            if any(v != value for v in values):
                changed = own if owner is first else optimizers
                changed[name] = tuple(v for v in values for _ in range(members))
        return replace(first, optimizer=replace(first.optimizer, **optimizers), **own)

    def hyperparameters(self, members: int, dtype: npt.DTypeLike) -> Hyperparameters:
        """Return the numeric hyperparameters of ``members`` as an engine takes them.

        Raises: SettingError if a number is given for more or fewer members than there are.
        """
        bounds = _BOUNDS | self.optimizer.bounds

        def column(name: str, value: Any) -> Array:
            if isinstance(value, tuple):
                _check_one_a_member(name, value, members)
            exact = np.asarray(value, dtype=np.float64).reshape(-1, 1)
            with np.errstate(all="ignore"):
                rounded = exact.astype(dtype)
            changed = ~np.isfinite(rounded) | ((rounded == 0) != (exact == 0))
            if name in bounds:
                changed |= ~bounds[name].contain(rounded)
            if changed.any():
                raise SettingError(
                    f"{name} {float(exact[changed][0])!r} is {rounded[changed][0]:g} in "
                    f"{np.dtype(dtype).name}: give another value, or dtype='float64'"
                )
            return rounded

        optimizer = self.optimizer
        return Hyperparameters(
            lr=column("lr", optimizer.lr),
            weight_decay=column("weight_decay", optimizer.weight_decay),
            l1=column("l1", self.l1),
            l2=column("l2", self.l2),
            dropout=column("dropout", self.dropout),
            clip_norm=None if self.clip_norm is None else column("clip_norm", self.clip_norm),
            optimizer=tuple(
                column(name, getattr(optimizer, name)) for name in optimizer.hyperparameters
            ),
        )

    def _numeric_fields(self) -> Iterator[tuple[object, str, Any]]:
        for field in fields(self.optimizer):
            yield self.optimizer, field.name, getattr(self.optimizer, field.name)
        for name in ("l1", "l2", "dropout", "clip_norm"):
            yield self, name, getattr(self, name)


def _check_one_a_member(name: str, value: tuple[float, ...], members: int) -> None:
    if len(value) != members:
        raise SettingError(
            f"{name} holds {len(value)} values and there are {members} seeds: give one value, or "
            "one for each seed"
        )
