"""Trained members of one network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed import html
from seedbed.arrays import Array, checked_index, one_line
from seedbed.checks import checked_inputs
from seedbed.engines.base import SMALL_BATCH, Engine, Stage
from seedbed.engines.select import prediction_engine
from seedbed.engines.state import STATUS_NAMES, Status
from seedbed.errors import DataError, SettingError
from seedbed.memory import check_fits
from seedbed.network import Network
from seedbed.recipe import Recipe
from seedbed.reproducible import mean

MAX_PREDICTIONS = 2**20
"""The number of predictions that ``predict_mean`` holds in memory."""
_SHOWN_MEMBERS, _SHOWN_EPOCHS = 8, 6
"""The rows of a notebook's tables."""


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """The losses of P members in each recorded epoch; NaN after a member's last epoch.

    epochs      (E,) the recorded epochs, counted from 0
    train_loss  (P, E) mean over the epoch's rows, computed before each step, with dropout and
                without penalties
    val_loss    (P, E) at the end of the epoch, without dropout; None without validation data
    ensemble_val_loss  (E,) loss of the mean prediction, with ``monitor="ensemble"``; else None
    """

    epochs: npt.NDArray[np.int64]
    train_loss: Array
    val_loss: Array | None
    ensemble_val_loss: Array | None = None

    def _kinds(self) -> list[tuple[str, Array]]:
        """Return the names of the recorded losses, and their quartiles (3, E)."""
        kinds = [("training", self.train_loss), ("validation", self.val_loss)]
        return [(name, _quartiles_by_epoch(loss)) for name, loss in kinds if loss is not None]

    def __repr__(self) -> str:
        texts = []
        for name, (_, median, _) in self._kinds():
            known = median[np.isfinite(median)]
            if len(known):
                texts.append(f"{name} {known[0]:.4g} to {known[-1]:.4g}")
        losses = f"; median loss: {', '.join(texts)}" if texts else ""
        return f"<History of {self._counts()}{losses}>"

    def _counts(self) -> str:
        members, epochs = self.train_loss.shape
        return f"{_count(members, 'member')}, {_count(epochs, 'recorded epoch')}"

    def _repr_html_(self) -> str:
        return html.block(html.heading("Losses by epoch", self._counts()), *self._html())

    def _html(self) -> list[str]:
        """Return a curve of the median with its quartiles, and the numbers of some epochs."""
        if not len(self.epochs):
            return []
        kinds = self._kinds()
        name, quartiles = kinds[-1]
        low, median, high = quartiles
        label = f"median of the {name} loss by epoch, with quartiles"
        headers = ["epoch"]
        columns = []
        for kind, losses in kinds:
            headers += [f"{kind} loss, median", "quartiles"]
            columns.append([_number(each) for each in losses[1]])
            columns.append([f"{_number(a)} to {_number(b)}" for a, _, b in losses.T])
        if self.ensemble_val_loss is not None:
            headers.append("ensemble's validation loss")
            columns.append([_number(each) for each in self.ensemble_val_loss])
        last = len(self.epochs) - 1
        places = np.unique(np.linspace(0, last, _SHOWN_EPOCHS).round().astype(int))
        rows = [[f"{self.epochs[at] + 1:,}", *(column[at] for column in columns)] for at in places]
        return [
            html.curve(low, median, high, label),
            html.paragraph(f"{label}, {_axis(quartiles)}", note=True),
            html.table(headers, rows, texts=()),
        ]


@dataclass(frozen=True, eq=False, repr=False)
class Population:
    """P trained members of one network.

    recipe      the recipe; its engine is the one that trained them, and also predicts
    theta       (P, D) parameters; ``network.views(theta)`` gives each layer's W and b
    seeds       (P,)
    status      (P,) "finished", "stopped" (early, by ``patience`` or a time limit), "diverged" or
                "interrupted"
    epochs      (P,) completed epochs; for a diverged member, those up to its theta
    best_epoch  (P,) completed epochs at theta: fewer than ``epochs`` if the best epoch was restored
    loss        (P,) mean training loss at theta, without dropout and penalties; NaN if diverged
    history     the losses during training
    classes     (K,) the class of each class number, if Y held labels; else None

    The theta of a diverged member is its last one with a finite loss, or that of its best epoch if
    the training loss is not finite there. Its loss and predictions are NaN.

    ``population[3]``, ``population[2:5]`` and ``population[mask]`` are populations, too.
    """

    recipe: Recipe
    theta: Array
    seeds: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_]
    epochs: npt.NDArray[np.int64]
    best_epoch: npt.NDArray[np.int64]
    loss: Array
    history: History
    classes: Array | None = None

    @property
    def network(self) -> Network:
        """The members' network."""
        return self.recipe.network

    @property
    def settings(self) -> dict[str, Array]:
        """The hyperparameters in which members differ, each (P,)."""
        return self.recipe.settings

    @cached_property
    def diverged(self) -> npt.NDArray[np.bool_]:
        """Whether each member diverged, (P,)."""
        return np.asarray(self.status == STATUS_NAMES[Status.DIVERGED])

    @cached_property
    def _any_diverged(self) -> bool:
        return bool(self.diverged.any())

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without cached properties."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, which: int | slice | Any) -> Population:
        try:
            index = np.atleast_1d(np.arange(len(self))[which])
        except (IndexError, ValueError, TypeError):
            index = np.empty(0, np.intp)
        if index.ndim > 1 or index.size == 0:
            raise IndexError(
                f"population[{one_line(which)}] must select at least one member of {len(self)}: "
                "give a number, a slice, or booleans"
            )
        history = self.history
        return Population(
            recipe=self.recipe.take(index, len(self)),
            theta=self.theta[index],
            seeds=self.seeds[index],
            status=self.status[index],
            epochs=self.epochs[index],
            best_epoch=self.best_epoch[index],
            loss=self.loss[index],
            history=History(
                history.epochs,
                history.train_loss[index],
                None if history.val_loss is None else history.val_loss[index],
                history.ensemble_val_loss,
            ),
            classes=self.classes,
        )

    def weights(self, member: int) -> list[dict[str, Array]]:
        """Return a member's parameters, one dict by name for each layer, as read-only views.

        Shapes: those of one network: a dense layer has W (I, O) and b (O,). For all members at
        once, with a first axis of members, see ``Network.views``.
        Raises: SettingError if there is no such member.
        >>> import seedbed as sb
        >>> X, Y = sb.xor.data()
        >>> population = sb.train(sb.xor.recipe(epochs=10), X, Y, seeds=range(3))
        >>> [(name, array.shape) for name, array in population.weights(2)[0].items()]
        [('W', (3, 4)), ('b', (4,))]
        """
        theta = self.theta[checked_index("member", member, len(self))]
        layers: list[dict[str, Array]] = [{} for _ in self.network.layers]
        for block in self.network.blocks:
            # what broadcasts over rows or columns, such as a bias, has a first axis of 1
            shape = block.shape if block.decays else block.shape[block.shape[0] == 1 :]
            view = theta[block.where].reshape(shape)
            view.flags.writeable = False
            layers[block.layer][block.name] = view
        return layers

    def outputs(self, X: Any) -> Array:
        """Return the networks' raw outputs, (P, N, O): logits if the loss takes logits.

        Shapes: X (N, I).
        Raises: ShapeError if X's last axis is not I; DataError if X is not all finite.
        """
        return self._outputs(X, "outputs")

    def predict(self, X: Any) -> Array:
        """Return each member's predictions, (P, N, O): means, rates or probabilities.

        Shapes: X (N, I).
        Raises: ShapeError if X's last axis is not I; DataError if X is not all finite.
        """
        return self._outputs(X, "predictions")

    def predict_mean(self, X: Any) -> Array:
        """Return the ensemble's prediction, (N, O): the mean over the members that did not diverge.

        Shapes: X (N, I).
        Raises: as ``predict``; DataError if every member diverged.
        """
        fitted = ~self.diverged if self._any_diverged else None
        if fitted is not None and not fitted.any():
            raise DataError(
                f"all {len(self)} members diverged, so none can predict: train again with a lower "
                "learning rate or with clip_norm"
            )
        x = checked_inputs(X, self.network, self.theta.dtype)
        members = self if fitted is None else self[fitted]
        if len(members) * len(x) <= SMALL_BATCH:
            y = members.predict(x)
            return y[0] if len(y) == 1 else _canonical_nan(mean(y, axis=0).astype(y.dtype))
        result = np.empty((len(x), self.network.outputs), self.theta.dtype)
        step = max(1, MAX_PREDICTIONS // (len(members) * self.network.outputs))
        for start in range(0, len(x), step):
            y = members.predict(x[start : start + step])
            result[start : start + step] = _canonical_nan(mean(y, axis=0))
        return result

    def predict_labels(self, X: Any) -> Array:
        """Return the ensemble's class of each row, (N,): the one of the largest mean probability.

        It is one of ``classes`` if Y held labels, and otherwise a class number. ``population[3]``
        gives one member's.

        Shapes: X (N, I).
        Raises: as ``predict_mean``; SettingError unless the loss is for classes.
        """
        loss = self.recipe.loss
        if loss.targets == "classes":
            numbers = self.predict_mean(X).argmax(axis=1)
        elif loss.targets == "probability" and self.network.outputs == 1:
            numbers = (self.predict_mean(X)[:, 0] > 0.5).astype(np.intp)
        else:
            raise SettingError(
                f"a network with {loss.name} and outputs {self.network.outputs} has no classes to "
                "predict: use predict or predict_mean"
            )
        return numbers if self.classes is None else self.classes[numbers]

    def _outputs(self, X: Any, stage: Stage) -> Array:
        """Return ``stage`` of the outputs, (P, N, O); NaN for diverged members."""
        x = checked_inputs(X, self.network, self.theta.dtype)
        check_fits(
            len(self.theta) * len(x) * self.network.outputs * self.theta.dtype.itemsize,
            f"predictions of {len(self.theta):,} members for {len(x):,} rows",
            "predict fewer rows at a time, or their mean with predict_mean",
        )
        if len(x) * len(self.theta) <= SMALL_BATCH and self._small_batch is not None:
            y = self._small_batch(x, stage)
        else:
            y = self._engine.outputs(self.network, self.recipe.loss, self.theta, x, stage)
        if self._any_diverged:
            y[self.diverged] = np.nan
        return y

    @cached_property
    def _small_batch(self) -> Callable[[Array, Stage], Array] | None:
        return self._engine.small_batch_predictor(self.network, self.recipe.loss, self.theta)

    @cached_property
    def _engine(self) -> Engine:
        return prediction_engine(self.recipe.engine, self.network, self.recipe.optimizer)

    def __repr__(self) -> str:
        status, spread = self._summary()
        spread = f"; loss {spread}" if spread else ""
        seed = f" (seed {self.seeds[0]})" if len(self) == 1 else ""
        return f"<Population of {len(self)}{seed}: {self.network}; {status}{spread}>"

    def _repr_html_(self) -> str:
        return html.block(*self._html())

    def _html(self) -> list[str]:
        status, spread = self._summary()
        settings = self.settings
        rows = [
            [str(place), str(self.seeds[place]), *(f"{v[place]:g}" for v in settings.values()),
             str(self.status[place]), f"{self.best_epoch[place]:,}", _number(self.loss[place])]
            for place in range(min(len(self), _SHOWN_MEMBERS))
        ]  # fmt: skip
        hidden = len(self) - len(rows)
        curve, words, *_ = [*self.history._html(), "", ""]
        return [
            html.heading(f"Population of {len(self):,}", str(self.network)),
            html.facts([("status", status), ("training loss", spread or "all diverged"),
                        ("engine", f"{self.recipe.engine}, {self.theta.dtype}")]),
            curve, words,
            html.table(
                ["member", "seed", *settings, "status", "epochs", "training loss"], rows,
                texts=(2 + len(settings),), more=f"… {hidden:,} more" if hidden else "",
            ),
        ]  # fmt: skip

    def _summary(self) -> tuple[str, str]:
        """Return how many members have which status, and the median and quartiles of their loss."""
        names, counts = np.unique(self.status, return_counts=True)
        status = ", ".join(f"{c} {n}" for n, c in zip(names, counts, strict=True))
        fitted = self.loss[~self.diverged]
        if not len(fitted):
            return status, ""
        if len(fitted) == 1:
            return status, f"{fitted[0]:.4g}"
        low, median, high = np.quantile(fitted, [0.25, 0.5, 0.75])
        return status, f"{median:.4g} (quartiles {low:.4g} to {high:.4g})"


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _axis(quartiles: Array) -> str:
    """Return a curve's range in words."""
    finite = quartiles[np.isfinite(quartiles)]
    if not finite.size:
        return "none finite"
    kind = "logarithmic axis" if finite.min() > 0 else "axis"
    return f"{kind} from {finite.min():.4g} to {finite.max():.4g}"


def _quartiles_by_epoch(loss: Array) -> Array:
    """Return the quartiles over members, (3, E), of losses (P, E); NaN where no member trained."""
    quartiles = np.full((3, loss.shape[1]), np.nan)
    known = np.isfinite(loss).any(axis=0)
    finite = np.where(np.isfinite(loss), loss, np.nan)[:, known]
    if finite.size:
        quartiles[:, known] = np.nanquantile(finite, [0.25, 0.5, 0.75], axis=0)
    return quartiles


def _canonical_nan(y: Array) -> Array:
    """Replace NaNs by ``np.nan``, as the sign of inf - inf depends on the processor."""
    is_nan = np.isnan(y)
    if is_nan.any():
        y[is_nan] = np.nan
    return y
