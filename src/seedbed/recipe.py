"""Recipe: everything that training needs except the data and the seeds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seedbed import html
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
from seedbed.formulas.named import OrName, as_formula, refusal, to_spec
from seedbed.formulas.optimizers import Adam, Bounds, Optimizer
from seedbed.formulas.schedules import Schedule, constant
from seedbed.formulas.user_defined import is_user_defined
from seedbed.layers.base import formulas_of
from seedbed.network import Network

DTYPES = ("float32", "float64")
MONITORS = ("members", "ensemble")
_BOUNDS = {
    "l1": Bounds("l1"),
    "l2": Bounds("l2"),
    "dropout": Bounds("dropout", high=1.0, open_high=True),
    "clip_norm": Bounds("clip_norm", open_low=True),
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """A training method: everything that ``train`` needs except the data and the seeds.

    network     the members' network
    loss        the loss to minimise, as a mean over rows
    optimizer   the optimizer; a name such as "adam" takes its default learning rate
    epochs      passes over all rows
    batch_size  rows per step; None takes all rows
    schedule    the factor on the learning rate during training
    l1, l2      penalties l1 Σ|w| + ½ l2 Σw² on the weights, not on the biases
    dropout     the share of each hidden layer's activations set to 0, 0 <= dropout < 1
    clip_norm   the maximum norm of a member's gradient; None does not clip
    patience    epochs without a lower validation loss after which a member stops; with patience,
                members end with the parameters of their best epoch (the first of equal ones)
    validation  the share of the rows that each member holds out, drawn by its seed
    monitor     the validation loss that patience compares: "members", each member's own; or
                "ensemble", that of the mean prediction of the members that hold a row out: then
                all members stop together, with the parameters of the ensemble's best epoch.
                Without patience the ensemble's loss is only recorded
    engine      "numpy", "compiled" (needs Numba; treats subnormal numbers as 0), or "auto", the one
                with the shorter estimated time
    dtype       of parameters and arithmetic: "float32" or "float64"

    Loss, optimizer and schedule may be given by name, such as "mse", "adam" and "cosine"; they are
    then stored as those formulas, with their default options.

    The optimizer's hyperparameters, l1, l2, dropout and clip_norm are one number for all members,
    or one for each, (P,).

    Raises: SettingError for an invalid value; the message names it.
    """

    network: Network
    loss: OrName[Loss] = MISSING  # type: ignore[assignment]  # required; OrName is a descriptor
    optimizer: OrName[Optimizer] = Adam()  # type: ignore[assignment]  # noqa: RUF009  # frozen
    epochs: int = 100
    batch_size: int | None = None
    schedule: OrName[Schedule] = constant  # type: ignore[assignment]
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
        if not isinstance(self.network, Network):
            raise SettingError(
                "network must be an object like sb.Network(3, [sb.Dense(1)]), not "
                + one_line(self.network)
            )
        for name, kind in (("loss", Loss), ("optimizer", Optimizer), ("schedule", Schedule)):
            object.__setattr__(self, name, as_formula(name, getattr(self, name), kind))
        if type(self.optimizer) is Optimizer:
            raise refusal("optimizer", self.optimizer, Optimizer)
        if is_user_defined(type(self.optimizer)):
            self.optimizer.check_rule()
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
                f"monitor='ensemble' computes the loss of mean predictions: give {self.loss.name} "
                "its inverse_predict"
            )
        if self.optimizer.needs == "jacobian":
            optimizer = type(self.optimizer).__name__
            if self.loss.residual is None:
                raise SettingError(
                    f"{optimizer} needs residuals, and {self.loss.name} is not a sum of squares: "
                    "use squared_error, or another optimizer"
                )
            if np.any(self.l1):
                raise SettingError(
                    f"{optimizer} needs residuals, and an l1 penalty is not a sum of squares: use "
                    "l2, or another optimizer"
                )
            if self.clip_norm is not None:
                raise SettingError(
                    f"{optimizer} steps by residuals, not by the gradient that clip_norm clips: "
                    "leave clip_norm out"
                )
        if not self.optimizer.uses_schedule and self.schedule != constant:
            raise SettingError(
                f"{type(self.optimizer).__name__} adapts its step sizes itself, so a schedule has "
                "no effect: leave it out"
            )

    @property
    def settings(self) -> dict[str, Array]:
        """The hyperparameters with one value per member, each (P,)."""
        return {
            name: np.array(value)
            for _, name, value in self._numeric_fields()
            if isinstance(value, tuple)
        }

    def take(self, members: npt.NDArray[np.intp], total: int) -> Recipe:
        """Return the recipe of ``members`` out of ``total``, with their hyperparameters.

        Raises: SettingError if a hyperparameter does not have ``total`` values.
        """
        changes: dict[str, Any] = {}
        optimizer_changes: dict[str, Any] = {}
        for owner, name, value in self._numeric_fields():
            if isinstance(value, tuple):
                _check_length(name, value, total)
                taken = tuple(value[member] for member in members)
                target = changes if owner is self else optimizer_changes
                target[name] = taken if len(taken) > 1 else taken[0]
        return replace(self, optimizer=replace(self.optimizer, **optimizer_changes), **changes)

    @property
    def structure(self) -> tuple[Hashable, ...]:
        """Everything but the hyperparameters: recipes of equal structure can be trained together.

        Custom formulas are compared by their functions, not by name.
        """
        units: list[Any] = [self.loss, self.schedule]
        for layer in self.network.layers:
            units += formulas_of(layer)
        functions = [value for unit in units for value in vars(unit).values() if callable(value)]
        custom = [
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
            self.clip_norm is None, *self.optimizer.hyperparameters, *custom,
        )  # fmt: skip

    @property
    def identity(self) -> tuple[Hashable, ...]:
        """A key that is equal only for recipes that train identically."""
        return (*self.structure, *(value for _, _, value in self._numeric_fields()))

    def _described(self) -> Iterator[tuple[str, str]]:
        """Yield names and values: the main fields, and the others that differ from defaults."""
        yield "network", str(self.network)
        yield "loss", _formula_text(self.loss)
        changed = [
            f"{field.name}={_value_text(getattr(self.optimizer, field.name))}"
            for field in fields(self.optimizer)
            if field.name == "lr" or getattr(self.optimizer, field.name) != field.default
        ]
        yield "optimizer", f"{type(self.optimizer).__name__}({', '.join(changed)})"
        yield "epochs", f"{self.epochs:,}"
        for field in fields(self)[4:]:
            value = getattr(self, field.name)
            if value != field.default:
                is_formula = isinstance(value, Schedule)
                yield field.name, _formula_text(value) if is_formula else _value_text(value)

    def __repr__(self) -> str:
        network, loss, optimizer, *others = self._described()
        first = "; ".join(text for _, text in (network, loss, optimizer))
        return f"<Recipe {first}; {', '.join(f'{name} {text}' for name, text in others)}>"

    def _repr_html_(self) -> str:
        return html.block(html.heading("Recipe"), html.facts(self._described()))

    def _mergeable(self) -> Iterator[tuple[object, str, Any]]:
        """Yield the hyperparameters that may differ between members of one population."""
        numbers = {"lr", "weight_decay", *self.optimizer.hyperparameters}
        for owner, name, value in self._numeric_fields():
            if owner is self or name in numbers:
                yield owner, name, value

    @staticmethod
    def merge(recipes: Sequence[Recipe], members: int) -> Recipe:
        """Return one recipe for ``members`` members of the first recipe, then of the second, ….

        Raises: SettingError if structures differ or a recipe has one value per member.
        """
        first = recipes[0]
        if any(recipe.structure != first.structure for recipe in recipes):
            raise SettingError("recipes of different structure cannot be trained together")
        changes: dict[str, Any] = {}
        optimizer_changes: dict[str, Any] = {}
        for fields_of_recipes in zip(*(recipe._mergeable() for recipe in recipes), strict=True):
            owner, name, value = fields_of_recipes[0]
            values = [value for _, _, value in fields_of_recipes]
            if any(isinstance(value, tuple) for value in values):
                raise SettingError(f"{name} has one value per member: give each recipe one number")
            if any(v != value for v in values):
                target = changes if owner is first else optimizer_changes
                target[name] = tuple(v for v in values for _ in range(members))
        return replace(first, optimizer=replace(first.optimizer, **optimizer_changes), **changes)

    def hyperparameters(self, members: int, dtype: npt.DTypeLike) -> Hyperparameters:
        """Return the numeric hyperparameters of ``members`` as arrays of ``dtype``.

        Raises: SettingError if one does not have a value per member, or is invalid in ``dtype``.
        """
        bounds = _BOUNDS | self.optimizer.bounds

        def column(name: str, value: Any) -> Array:
            if isinstance(value, tuple):
                _check_length(name, value, members)
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


def _formula_text(formula: Loss | Schedule) -> str:
    """Return a formula's name, and its options in parentheses."""
    spec = to_spec(formula)
    name = spec.pop("name")
    options = ", ".join(f"{key}={value}" for key, value in spec.items())
    return f"{name}({options})" if options else name


def _value_text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value):,} values from {min(value):g} to {max(value):g}"
    return f"{value:,}" if type(value) is int else str(value)


def _check_length(name: str, value: tuple[float, ...], members: int) -> None:
    if len(value) != members:
        raise SettingError(
            f"{name} has {len(value)} values and there {'is' if members == 1 else 'are'} {members} "
            f"seed{'' if members == 1 else 's'}: give one value, or a seed for each, such as "
            f"seeds=range({len(value)})"
        )
