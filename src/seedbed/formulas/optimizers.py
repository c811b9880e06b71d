"""Optimizers: one step each, on one array that holds all parameters of all members.

A rule takes the parameters w, their gradient g, the step number k = 1, 2, …, this step's learning
rate, the optimizer's state and its other hyperparameters, and returns the new parameters and
state. It is elementwise and works on arrays and scalars:

    w, *state = rule(w, g, k, lr, *state, *hyperparameters)

w, g and each state array are (P, D); lr and the hyperparameters are (1, 1), or (P, 1) if members
differ, all of one dtype. Rules change nothing in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from inspect import signature
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from seedbed.arrays import Array, Numbers, checked_numbers
from seedbed.errors import SettingError
from seedbed.formulas.user_defined import check_rule

Rule = Callable[..., tuple[Array, ...]]


class Bounds(NamedTuple):
    """The interval of a hyperparameter's valid values, and its name in messages."""

    name: str
    low: float = 0.0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def checked(self, value: Numbers) -> float | tuple[float, ...]:
        """Return the value as floats.  Raises: SettingError if it is out of bounds."""
        name, low, high, open_low, open_high = self
        return checked_numbers(name, value, low, high, open_low=open_low, open_high=open_high)

    def contain(self, array: Array) -> Array:
        """Return which numbers of the array are within the bounds."""
        above = array > self.low if self.open_low else array >= self.low
        return np.asarray(above & (array < self.high if self.open_high else array <= self.high))


def sgd(w: Array, g: Array, k: int, lr: Array) -> tuple[Array, ...]:
    """w <- w - lr g."""
    return (w - lr * g,)


def sgd_momentum(
    w: Array, g: Array, k: int, lr: Array, v: Array, momentum: Array
) -> tuple[Array, ...]:
    """v <- μ v + g;  w <- w - lr v  (Polyak 1964)."""
    v = momentum * v + g
    return w - lr * v, v


def sgd_nesterov(
    w: Array, g: Array, k: int, lr: Array, v: Array, momentum: Array
) -> tuple[Array, ...]:
    """v <- μ v + g;  w <- w - lr (g + μ v)  (Sutskever et al. 2013, as PyTorch writes it)."""
    v = momentum * v + g
    return w - lr * (g + momentum * v), v


def rmsprop(
    w: Array, g: Array, k: int, lr: Array, v: Array, rho: Array, epsilon: Array
) -> tuple[Array, ...]:
    """v <- ρ v + (1 - ρ) g²;  w <- w - lr g / (√v + ε)  (Tieleman, Hinton 2012)."""
    v = rho * v + (1 - rho) * (g * g)
    return w - lr * g / (np.sqrt(v) + epsilon), v


def adam(
    w: Array, g: Array, k: int, lr: Array, m: Array, v: Array, beta1: Array, beta2: Array,
    epsilon: Array,
) -> tuple[Array, ...]:  # fmt: skip
    """m <- β1 m + (1 - β1) g;  v <- β2 v + (1 - β2) g²;  w <- w - lr m̂ / (√v̂ + ε).

    m̂ = m / (1 - β1^k), v̂ = v / (1 - β2^k); ε is outside the root, added to the corrected √v̂
    (Kingma, Ba 2015, algorithm 1). Both corrections are factored out of the division, with
    c = √(1 - β2^k):  lr m̂ / (√v̂ + ε) = (lr c / (1 - β1^k)) m / (√v + ε c).
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    c = np.sqrt(1 - beta2**k)
    return w - (lr * c / (1 - beta1**k)) * m / (np.sqrt(v) + epsilon * c), m, v


def rprop(
    w: Array, g: Array, k: int, lr: Array, previous: Array, size: Array, shrink_by: Array,
    grow_by: Array, smallest: Array, largest: Array,
) -> tuple[Array, ...]:  # fmt: skip
    """w <- w - size sign(g); size grows while g keeps its sign and shrinks when the sign changes.

    Where the sign has changed, no step is taken and the next one counts as the first. ``lr`` is
    only the initial size (Riedmiller, Braun 1993, without weight backtracking: Rprop- with the
    gradient set to zero, as in PyTorch).
    """
    turn = np.sign(g * previous)
    size = size * (1 + (grow_by - 1) * np.maximum(turn, 0) + (1 - shrink_by) * np.minimum(turn, 0))
    size = np.minimum(np.maximum(size, smallest), largest)
    g = g * (1 + np.minimum(turn, 0))
    return w - size * np.sign(g), g, size


@dataclass(frozen=True)
class Optimizer:
    """Base class: learning rate, decoupled weight decay, rule and state.

    lr            the learning rate, >= 0: one number, or one per member
    weight_decay  decoupled: each step first multiplies the weights by 1 - lr λ
                  (see ``penalties.shrink``)

    A subclass extends ``bounds`` by its hyperparameters', in the rule's order.

    Raises: SettingError that names the value for a hyperparameter out of its bounds.
    """

    needs: ClassVar[Literal["gradient", "jacobian"]] = "gradient"
    """What a step needs: the gradient, or also residuals r (P, M) and their Jacobian J (P, M, D);
    then ``rule`` takes (w, g, k, lr, r, J, *state, *hyperparameters)."""

    bounds: ClassVar[dict[str, Bounds]] = {
        "lr": Bounds("learning rate"),
        "weight_decay": Bounds("weight decay"),
    }
    uses_schedule: ClassVar[bool] = True

    lr: Numbers
    _: KW_ONLY
    weight_decay: Numbers = 0.0

    @property
    def rule(self) -> Rule:
        """The formula of one step."""
        raise NotImplementedError

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the rule's arguments after its state: those of the subclass's bounds."""
        return tuple(name for name in self.bounds if name not in Optimizer.bounds)

    @property
    def state(self) -> tuple[str, ...]:
        """The rule's names of its state arrays, each (P, D): its arguments after lr, r and J."""
        one, first = np.ones((1, 1)), 4 if self.needs == "gradient" else 6
        count = len(self.init(one, one))
        try:
            names = tuple(signature(self.rule).parameters)[first : first + count]
        except (TypeError, ValueError):  # a compiled rule without a signature
            names = ()
        return names if len(names) == count else tuple(f"s{number}" for number in range(count))

    def init(self, theta: Array, lr: Array) -> list[Array]:
        """Return the state before the first step: arrays of theta's shape, (P, D)."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        for name, bounds in self.bounds.items():
            object.__setattr__(self, name, bounds.checked(getattr(self, name)))

    def check_rule(self) -> None:
        """Refuse a user-defined rule that does not take a step as rules do.

        Raises: FormulaError.
        """
        w = np.linspace(-1.3, 1.7, 6).reshape(2, 3)
        lr, *hyperparameters = (
            np.full((1, 1), np.ravel(getattr(self, name))[0])
            for name in ("lr", *self.hyperparameters)
        )
        state = self.init(w, lr)
        residuals = () if self.needs == "gradient" else (w[:, :2] - 0.3, np.stack([w, 2 - w], 1))
        arguments = (w, w[::-1] + 0.1, 1, lr, *residuals, *state, *hyperparameters)
        check_rule(type(self).__name__, self.rule, arguments, state)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, with Polyak's or Nesterov's momentum if momentum > 0.

    See ``sgd``, ``sgd_momentum`` and ``sgd_nesterov`` for the formulas; 0 <= momentum < 1.
    """

    bounds = Optimizer.bounds | {"momentum": Bounds("momentum", high=1.0, open_high=True)}

    lr: Numbers = 0.01
    _: KW_ONLY
    momentum: Numbers = 0.0
    nesterov: bool = False
    weight_decay: Numbers = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not np.all(self.momentum):
            raise SettingError(
                "Nesterov's step needs a momentum greater than 0 for every member, such as "
                "momentum=0.9"
            )

    @property
    def rule(self) -> Rule:
        """The formula of one step."""
        if not np.any(self.momentum):
            return sgd
        return sgd_nesterov if self.nesterov else sgd_momentum

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The momentum, if there is one."""
        return ("momentum",) if np.any(self.momentum) else ()

    def init(self, theta: Array, lr: Array) -> list[Array]:
        """Return a velocity of zero if there is momentum."""
        return [np.zeros_like(theta)] if np.any(self.momentum) else []


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient; see ``rmsprop``."""

    bounds = Optimizer.bounds | {
        "rho": Bounds("rho", high=1.0, open_high=True),
        "epsilon": Bounds("epsilon", open_low=True),
    }

    lr: Numbers = 0.01
    _: KW_ONLY
    rho: Numbers = 0.99
    epsilon: Numbers = 1e-8
    weight_decay: Numbers = 0.0

    @property
    def rule(self) -> Rule:
        """The formula of one step."""
        return rmsprop

    def init(self, theta: Array, lr: Array) -> list[Array]:
        """Return a mean square of zero."""
        return [np.zeros_like(theta)]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adaptive moment estimation; see ``adam``."""

    bounds = Optimizer.bounds | {
        "beta1": Bounds("beta1", high=1.0, open_high=True),
        "beta2": Bounds("beta2", high=1.0, open_high=True),
        "epsilon": Bounds("epsilon", open_low=True),
    }

    lr: Numbers = 0.001
    _: KW_ONLY
    beta1: Numbers = 0.9
    beta2: Numbers = 0.999
    epsilon: Numbers = 1e-8
    weight_decay: Numbers = 0.0

    @property
    def rule(self) -> Rule:
        """The formula of one step."""
        return adam

    def init(self, theta: Array, lr: Array) -> list[Array]:
        """Return two moments of zero."""
        return [np.zeros_like(theta), np.zeros_like(theta)]


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay by default (Loshchilov, Hutter 2019)."""

    _: KW_ONLY
    weight_decay: Numbers = 0.01


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient propagation: a step size for each parameter, from the gradient's signs alone.

    ``lr`` is the initial step size; see ``rprop``. Meant for whole-batch gradients: the sign of a
    mini-batch's gradient is mostly noise.
    """

    bounds = Optimizer.bounds | {
        "shrink_by": Bounds("shrink_by", high=1.0, open_low=True, open_high=True),
        "grow_by": Bounds("grow_by", low=1.0, open_low=True),
        "smallest": Bounds("smallest step size", open_low=True),
        "largest": Bounds("largest step size", open_low=True),
    }
    uses_schedule = False

    lr: Numbers = 0.01
    _: KW_ONLY
    shrink_by: Numbers = 0.5
    grow_by: Numbers = 1.2
    smallest: Numbers = 1e-6
    largest: Numbers = 50.0
    weight_decay: Numbers = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        smallest, largest = np.asarray(self.smallest), np.asarray(self.largest)
        comparable = smallest.shape == largest.shape or 0 in (smallest.ndim, largest.ndim)
        if comparable and (smallest > largest).any():
            raise SettingError(
                f"the smallest step size, {self.smallest}, must be at most the largest, "
                f"{self.largest}"
            )

    @property
    def rule(self) -> Rule:
        """The formula of one step."""
        return rprop

    def init(self, theta: Array, lr: Array) -> list[Array]:
        """Return a previous gradient of zero, and the step size lr for every parameter."""
        return [np.zeros_like(theta), np.zeros_like(theta) + lr]


BY_NAME: dict[str, type[Any]] = {
    "Adam": Adam,
    "AdamW": AdamW,
    "RMSprop": RMSprop,
    "Rprop": Rprop,
    "SGD": SGD,
}
