"""The parameters of the classifier and the regressor: their defaults, checks and meaning."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from seedbed.arrays import (
    Array,
    as_array,
    checked_count,
    checked_flag,
    checked_number,
    one_line,
)
from seedbed.checkpoints import EVERY, Checkpoint
from seedbed.engines.base import cores
from seedbed.errors import SettingError
from seedbed.estimators.serialise import as_optimizer
from seedbed.formulas.activations import Activation
from seedbed.formulas.losses import Loss
from seedbed.formulas.named import as_formula
from seedbed.memory import check_fits
from seedbed.tables.recipe import TableSettings, effort_of


class Parameters:
    """An estimator's parameters, which scikit-learn wants stored as they are given.

    They are checked when training reads them.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "mish",
        *,
        members: int = 8,
        loss: Any = "auto",
        optimizer: Any = "adamw",
        learning_rate_init: float | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        dropout: float | Literal["auto"] = "auto",
        codes: Literal["auto", "bins", "fine bins", "periodic"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        effort: Literal["fast", "default", "high"] = "default",
        max_time: float | None = None,
        max_iter: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        engine: Literal["auto", "compiled", "numpy"] = "auto",
        verbose: bool | None = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.members = members
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.codes = codes
        self.batch_size = batch_size
        self.effort = effort
        self.max_time = max_time
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.engine = engine
        self.verbose = verbose

    def _checkpoint(
        self, path: str | PathLike[str] | None, every: float = EVERY
    ) -> Checkpoint | None:
        """Return what keeps a fit in a file, if one is given.

        Raises: SettingError beside ``max_time``, FileError.
        """
        if path is None:
            return None
        if self.max_time is not None:
            raise SettingError(
                "max_time decides by the clock what is tried, and a checkpoint needs the same "
                "recipes every time: leave one of them out"
            )
        return Checkpoint(path, every)

    def _deadline(self) -> float:
        """Return the time of ``time.perf_counter`` by which a fit that begins now is to end."""
        if self.max_time is None:
            return math.inf
        return time.perf_counter() + checked_number("max_time", self.max_time, 0, open_low=True)

    def _seeds(self, random: np.random.RandomState) -> Array:
        """Return the members' seeds, (P,)."""
        members = checked_count("members", self.members)
        check_fits(8 * members, f"training {members:,} members", "set fewer members")
        return np.asarray(random.randint(2**31 - 1, size=members))

    def _validation_share(self) -> float:
        """Return the share of rows that members hold out."""
        return checked_number(
            "validation_fraction", self.validation_fraction, 0, 1, open_low=True, open_high=True
        )

    def _how(self) -> dict[str, Any]:
        """Return arguments of ``train_best`` that do not depend on the rows."""
        return {
            "progress": None if self.verbose is None else bool(self.verbose),
            "threads": self._threads(),
            "stages": effort_of(self.effort).stages,
        }

    def _random(self) -> np.random.RandomState:
        """Return what draws the members' seeds.

        Raises: SettingError for another random_state than scikit-learn takes.
        """
        try:
            return check_random_state(self.random_state)
        except ValueError:
            raise SettingError(
                "random_state must be a whole number from 0 to 2**32 - 1, a RandomState or None, "
                f"not {one_line(self.random_state)}"
            ) from None

    def _check_flags(self) -> None:
        """Refuse a switch that is neither on nor off.

        Raises: SettingError.
        """
        for name in ("early_stopping", "warm_start"):
            checked_flag(name, getattr(self, name))
        if self.verbose is not None and not isinstance(self.verbose, int):
            checked_flag("verbose", self.verbose)

    def _has_hidden(self) -> bool:
        """Return whether the networks have hidden layers."""
        given = self.hidden_layer_sizes
        if isinstance(given, str):
            return True
        return as_array(given, "hidden_layer_sizes", SettingError).size > 0

    def _threads(self) -> int:
        """Return the number of threads to train with: all cores for n_jobs None or -1."""
        if self.n_jobs is None or (isinstance(self.n_jobs, int) and self.n_jobs == -1):
            return cores()
        if isinstance(self.n_jobs, int) and self.n_jobs < -1:
            return max(1, cores() + 1 + self.n_jobs)
        return checked_count("n_jobs", self.n_jobs)

    def _hidden(self) -> Any:
        """Return the hidden layers' units as a list, or "auto".

        Raises: SettingError.
        """
        hidden = self.hidden_layer_sizes
        if isinstance(hidden, str) and hidden == "auto":
            return hidden
        is_list = not isinstance(hidden, str | bytes | Mapping)
        if not (is_list and as_array(hidden, "hidden_layer_sizes", SettingError).ndim < 2):
            raise SettingError(
                f"hidden_layer_sizes must be the layers' units, such as (64, 64), or 'auto', not "
                f"{one_line(hidden)}"
            )
        return list(hidden) if isinstance(hidden, Sequence | np.ndarray) else [hidden]

    def _settings(self, hidden: Any) -> TableSettings:
        """Return what the parameters ask of a recipe for a table, with these hidden layers.

        Raises: SettingError, FormulaError.
        """
        units = self.activation
        units = list(units) if isinstance(units, tuple | list) else [units]
        units = [as_formula("activation", unit, Activation) for unit in units]
        return TableSettings(
            hidden=hidden,
            activation=units if isinstance(self.activation, tuple | list) else units[0],
            loss=self._loss(),
            optimizer=as_optimizer(self.optimizer),
            effort=self.effort,
            lr=self.learning_rate_init,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            batch_size=self.batch_size,
            epochs=None if self.max_iter is None else checked_count("max_iter", self.max_iter),
            patience=self.n_iter_no_change,
            engine=self.engine,
        )

    def _loss(self) -> Loss:
        """Return the loss to minimise."""
        raise NotImplementedError
