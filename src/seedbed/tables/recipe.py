"""The recipe for a table: what estimators and commands train unless told otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np

from seedbed.arrays import as_array, checked_choice, checked_count, one_line
from seedbed.errors import SettingError
from seedbed.formulas import losses, schedules
from seedbed.formulas.activations import Activation, mish
from seedbed.formulas.initializers import zeros
from seedbed.formulas.losses import Loss
from seedbed.formulas.optimizers import AdamW, Optimizer
from seedbed.layers.base import Layer
from seedbed.layers.dense import Dense
from seedbed.layers.embedding import Embedding
from seedbed.layers.periodic import Periodic
from seedbed.network import Network
from seedbed.race import STAGES, Stages
from seedbed.recipe import Recipe
from seedbed.tables.encoding import MAX_BINS, Encoding, most_bins
from seedbed.tables.targets import Target

HIDDEN = (128, 128)
MIN_EPOCHS = 20
FULL_EPOCH_ROWS, LARGE_BATCH_ROWS = 10_000, 50_000
"""Row counts from which the defaults are fewer epochs, and larger batches."""

Auto = Literal["auto"]

BETA2 = 0.95
"""The decay of AdamW's squared gradients."""

EMBEDDING = 8
"""Units of an embedded column. The vectors start at 0. Unseen categories share that of missing
values, which stays 0 if training has none."""

INPUT_SCALE = 6.0
"""How fast the first layer learns a scale for each of its inputs; see ``Dense``."""

Codes = Literal["bins", "fine bins", "periodic"]
"""How a network takes a number: with up to 8 or up to 24 bins, or through a ``Periodic`` layer."""

BINS: dict[Codes, int] = {"bins": MAX_BINS, "fine bins": 24, "periodic": 0}
"""The most bins of a number column."""


class Candidate(NamedTuple):
    """What the recipes that a fit tries on a table differ in."""

    codes: Codes
    dropout: float

    @property
    def name(self) -> str:
        """The codes, and the dropout if there is any."""
        return f"{self.codes}, dropout {self.dropout:g}" if self.dropout else self.codes


DEFAULT = Candidate("bins", 0.0)

DECAYS = 0.01, 0.3
"""The weight decay without dropout, and with it: where dropout helps, more decay helps, too."""

MAX_PERIODIC = 100
"""Number columns up to which a periodic layer is tried: it takes long."""


class Effort(NamedTuple):
    """How much a fit tries, and how long.

    crossed  whether all codes are tried with each dropout, not only the first
    """

    codes: Sequence[Codes]
    dropouts: Sequence[float]
    crossed: bool
    epochs: int
    lr: float
    stages: Stages


EFFORTS = {
    "fast": Effort(("bins",), (0.0,), False, 60, 0.008, STAGES),
    "default": Effort(("bins", "fine bins", "periodic"), (0.0, 0.3), False, 100, 0.006, STAGES),
    "high": Effort(
        ("bins", "fine bins", "periodic"), (0.0, 0.1, 0.3), True, 250, 0.003, ((1 / 5, 3), (1, 1))
    ),
}
"""By name. Fewer epochs take a higher rate."""


def effort_of(name: str) -> Effort:
    """Return an effort by its name.

    Raises: SettingError for an unknown one.
    """
    if not isinstance(name, str) or name not in EFFORTS:
        raise SettingError(f"effort must be one of {', '.join(EFFORTS)}, not {one_line(name)}")
    return EFFORTS[name]


def candidates(
    encoding: Encoding,
    codes: Auto | Codes = "auto",
    dropout: Auto | float = "auto",
    effort: str = "default",
) -> list[Candidate]:
    """Return what to try on a table, the default first: what is "auto" varies.

    Raises: SettingError for unknown codes or effort, or a dropout that is another text.
    """
    most = effort_of(effort)
    checked_choice("codes", codes, ("auto", *BINS))
    if isinstance(dropout, str) and dropout != "auto":
        raise SettingError(f"dropout must be 'auto' or a number, not {one_line(dropout)}")
    tried = [codes] if codes != "auto" else [c for c in most.codes if _suits(c, encoding)]
    dropouts = most.dropouts if isinstance(dropout, str) else [dropout]
    if most.crossed:
        return [Candidate(each, rate) for rate in dropouts for each in tried]
    return [
        *(Candidate(each, dropouts[0]) for each in tried),
        *(Candidate(tried[0], rate) for rate in dropouts[1:]),
    ]


def _suits(codes: Codes, encoding: Encoding) -> bool:
    """Return whether to try the codes: they differ from "bins", and the table is not too wide."""
    if codes == "fine bins":
        return encoding.numbers > 0 and most_bins(BINS[codes], len(encoding.columns)) > 1
    return codes == "bins" or 0 < encoding.numbers <= MAX_PERIODIC


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """A table recipe's settings; "auto" and None depend on the rows, the effort and the dropout.

    hidden      units of each hidden layer; "auto" is (128, 128)
    activation  of the hidden layers: one, or one for each
    loss        None is cross-entropy for classes, binary cross-entropy for labels, else the squared
                error
    optimizer   its class
    effort      the name of one of ``EFFORTS``
    lr          the initial rate; "auto" is the effort's
    weight_decay
                "auto" is 0.01, and 0.3 with dropout
    batch_size  "auto" is an eighth of the rows, at least 16 and at most 128 (256 for 50,000 rows or
                more)
    dropout     "auto" is the candidate's
    epochs      None is the effort's, and fewer for more than 10,000 rows, down to 20
    patience    epochs without a better validation loss; None is 45 % of the epochs
    engine      "auto", "compiled" or "numpy"
    """

    hidden: Auto | Sequence[int] = "auto"
    activation: Activation | Sequence[Activation] = mish
    loss: Loss | None = None
    optimizer: type[Optimizer] = AdamW
    effort: str = "default"
    lr: Auto | float = "auto"
    weight_decay: Auto | float = "auto"
    dropout: Auto | float = "auto"
    batch_size: Auto | int = "auto"
    epochs: int | None = None
    patience: int | None = None
    engine: str = "auto"

    def recipe(
        self,
        encoding: Encoding,
        rows: int,
        *,
        candidate: Candidate = DEFAULT,
        monitor: Literal["members", "ensemble"],
        validation: float | None = None,
        stops: bool = True,
    ) -> Recipe:
        """Return the recipe for a number of training rows.

        candidate   what "auto" means, and the network's first layer
        monitor     whose validation loss ends the training
        validation  the share of rows that each member holds out
        stops       whether patience ends the training

        Raises: SettingError.
        """
        target = encoding.target
        hidden: Sequence[int] = HIDDEN if isinstance(self.hidden, str) else self.hidden
        units = self.activation
        units = [units] * len(hidden) if isinstance(units, Activation) else list(units)
        if len(units) != len(hidden):
            raise SettingError(
                f"activation names {len(units)} and there are {len(hidden)} hidden layers: give "
                "one for all of them, or one for each"
            )
        layers: list[Layer] = [
            Dense(width, unit, input_scale=0 if number else INPUT_SCALE)
            for number, (width, unit) in enumerate(zip(hidden, units, strict=True))
        ]
        if candidate.codes == "periodic" and encoding.numbers:
            layers.insert(0, Periodic(3, phases=True, columns=range(encoding.numbers)))
        if encoding.embedded:
            columns, levels = list(encoding.embedded), list(encoding.embedded.values())
            layers.insert(0, Embedding(columns, levels, EMBEDDING, zeros))
        dropout = candidate.dropout if isinstance(self.dropout, str) else self.dropout
        dropout = dropout if len(hidden) else 0.0
        batch: Any = self.batch_size
        if is_auto(batch):
            batch = max(16, min(rows // 8, 128 if rows < LARGE_BATCH_ROWS else 256))
        epochs = self.epochs
        if epochs is None:
            share = min(1.0, math.sqrt(FULL_EPOCH_ROWS / rows))
            epochs = max(MIN_EPOCHS, round(effort_of(self.effort).epochs * share))
        patience = self.patience
        if patience is None:
            patience = max(1, round(0.45 * epochs))
        return Recipe(
            network=Network(encoding.width, [*layers, Dense(target.outputs)]),
            loss=self.loss or default_loss(target),
            optimizer=self._optimizer(
                DECAYS[int(np.any(as_array(dropout, "dropout", SettingError) != 0))]
            ),
            epochs=epochs,
            batch_size=min(checked_count("batch_size", batch), rows),
            schedule=schedules.coslog4 if self.optimizer.uses_schedule else schedules.constant,
            dropout=dropout,
            patience=patience if stops else None,
            validation=validation,
            monitor=monitor,
            engine=self.engine,
        )

    def _optimizer(self, decay: float) -> Optimizer:
        """Return the optimizer; ``decay`` is what "auto" means."""
        given = decay if is_auto(self.weight_decay) else self.weight_decay
        options: dict[str, Any] = {"weight_decay": given}
        if issubclass(self.optimizer, AdamW):
            options["beta2"] = BETA2
        elif "momentum" in {field.name for field in fields(self.optimizer)}:
            options |= {"momentum": 0.9, "nesterov": True}
        lr: Any = effort_of(self.effort).lr if is_auto(self.lr) else self.lr
        return self.optimizer(lr, **options)


def is_auto(setting: Any) -> bool:
    """Return whether a setting is "auto"."""
    return isinstance(setting, str) and setting == "auto"


def default_loss(target: Target) -> Loss:
    """Return the loss for a target."""
    if target.labels:
        return losses.binary_cross_entropy
    return losses.cross_entropy if target.classes else losses.squared_error
