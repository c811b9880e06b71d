"""What an exported model computes, in a form that every language's writer reads.

    row -> encoded inputs x (I,) -> each member's layers -> predictions (O,) -> their mean

Every operation is one that IEEE 754 rounds exactly, so that a translation that keeps their order
has the bits of ``predict`` with the compiled engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.engines import mathematics
from seedbed.errors import SettingError
from seedbed.exporting.tracing import Kind, Trace, trace
from seedbed.formulas.activations import relu
from seedbed.layers.dense import Dense
from seedbed.layers.embedding import Embedding
from seedbed.layers.periodic import Periodic
from seedbed.population import Population
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.encoding import Encoding
from seedbed.tables.model import TableModel
from seedbed.tables.numbers import NumberColumn, NumberEncoder
from seedbed.tables.targets import Target


@dataclass(frozen=True)
class DensePlan:
    """z_o = b_o, then z_o = fma(x_i, W_io, z_o) for i ascending; a = f(z).

    W (P, I, O) and b (P, O); scales of inputs are multiplied in.
    """

    W: Array
    b: Array
    activation: Trace


@dataclass(frozen=True)
class EmbeddingPlan:
    """(the ``others``, E_c[x_c] of each column c): E (P, categories, units) by column."""

    columns: tuple[int, ...]
    others: tuple[int, ...]
    E: tuple[Array, ...]


@dataclass(frozen=True)
class PeriodicPlan:
    """(the ``others``, with phases the columns themselves, their embeddings).

    t = c x, with phases fma(p, 1 / 2π, t); h = cos 2πt with phases, else (sin 2πt, cos 2πt);
    embedding = h W + b, without phases relu of it.

    c, p (P, F, k), W (P, F, k or 2k, units), b (P, F, units); p is None without phases.
    """

    columns: tuple[int, ...]
    others: tuple[int, ...]
    c: Array
    p: Array | None
    W: Array
    b: Array
    relu: Trace


Layer = DensePlan | EmbeddingPlan | PeriodicPlan


@dataclass(frozen=True)
class ExportModel:
    """A model to export.

    name        of the target, or of the model
    members     P, those that did not diverge
    widths      of the inputs and of each layer's outputs
    layers      their plans
    normalised  whether log-probabilities are taken of the outputs
    predict     the loss's map from outputs to predictions
    kind        of all numbers from x on
    encoding    the table's encoding; None for a population
    classes     the classes' names, (O,), or two with one output, the second one's probability; none
                for numbers and labels
    digest      a hash of the model's content
    """

    name: str
    members: int
    widths: tuple[int, ...]
    layers: tuple[Layer, ...]
    normalised: bool
    predict: Trace
    kind: Kind
    encoding: Encoding | None
    classes: tuple[str, ...]
    digest: str

    @property
    def inputs(self) -> int:
        """I, the number of network inputs."""
        return self.widths[0]

    @property
    def outputs(self) -> int:
        """O, the number of network outputs."""
        return self.widths[-1]

    @property
    def target(self) -> Target | None:
        """The table's target; None for a population."""
        return None if self.encoding is None else self.encoding.target

    @property
    def levels(self) -> dict[int, int]:
        """The inputs that are category numbers, and how many each has: of a first Embedding."""
        first = self.layers[0]
        if not isinstance(first, EmbeddingPlan):
            return {}
        return {column: E.shape[1] for column, E in zip(first.columns, first.E, strict=True)}

    @property
    def normalises_mean(self) -> bool:
        """Whether the members' mean is divided by its sum, as estimators do with probabilities."""
        return self.encoding is not None and bool(self.classes)

    @property
    def scaled_target(self) -> Target | None:
        """The target whose means and scales turn outputs into predictions, or None."""
        target = self.target
        return target if target is not None and target.task == "regression" else None

    @property
    def traces(self) -> dict[str, Trace]:
        """The formulas that the file defines, by name.

        ``f<place>`` is a dense layer's activation (none where it is the identity), ``relu<place>``
        a periodic layer's, ``waves`` maps turns to (cosine, sine), ``exponential`` and
        ``logarithm`` normalise, and ``predicted`` is the loss's map (none where the identity).
        """
        found = {}
        for place, layer in enumerate(self.layers):
            if isinstance(layer, DensePlan) and not layer.activation.is_identity:
                found[f"f{place}"] = layer.activation
            elif isinstance(layer, PeriodicPlan):
                found["waves"] = trace(mathematics.cos_sin_of_turns, kind=self.kind)
                if layer.p is None:
                    found[f"relu{place}"] = layer.relu
        if self.normalised:
            found["exponential"] = trace(mathematics.exp, kind=self.kind)
            found["logarithm"] = trace(mathematics.log, kind=self.kind)
        if not self.predict.is_identity:
            found["predicted"] = self.predict
        return found

    @property
    def number_encoder(self) -> NumberEncoder:
        """The encoder of numbers and days."""
        assert self.encoding is not None
        return self.encoding.number_encoder

    @property
    def numbers(self) -> list[NumberColumn | DateColumn]:
        """The columns of numbers and dates, in the encoder's order."""
        assert self.encoding is not None
        return [each for each in self.encoding.columns if not isinstance(each, CategoryColumn)]

    @property
    def bins(self) -> list[tuple[int, float, float]]:
        """Each bin's column, the value where it begins, and 1 / its width."""
        encoder = self.number_encoder
        columns = encoder.bin_columns.tolist()  # without bins there is one slope, not used
        return list(zip(columns, encoder.low.tolist(), encoder.slope.tolist(), strict=False))

    @property
    def circles(self) -> list[tuple[int, str]]:
        """Each circle of a date: the date's place among ``numbers``, and the circle's name."""
        return [
            (place, circle)
            for place, date in enumerate(self.numbers)
            if isinstance(date, DateColumn)
            for circle in date.circles
        ]

    @property
    def categories(self) -> list[CategoryColumn]:
        """The columns of categories, in the order of their inputs."""
        assert self.encoding is not None
        return [each for each in self.encoding.columns if isinstance(each, CategoryColumn)]


def export_model(
    model: Population | TableModel, digest: str = "", *, whole: bool = False
) -> ExportModel:
    """Return what is exported of a population or a table model: the members that did not diverge.

    whole  whether exp, log, tanh, … stay single steps of formulas

    Raises: SettingError for a layer without a translation; FormulaError for a formula that cannot
    be translated.
    """
    population = model if isinstance(model, Population) else model.population
    encoding = None if isinstance(model, Population) else model.encoding
    kind: Kind = "float32" if population.theta.dtype == np.float32 else "float64"
    fitted = ~population.diverged
    network, loss, theta = population.network, population.recipe.loss, population.theta[fitted]
    layers = tuple(
        _plan_of(layer, parameters, width, partial(trace, kind=kind, whole=whole))
        for layer, parameters, width in zip(
            network.layers, network.views(theta), network.widths, strict=False
        )
    )
    return ExportModel(
        name="model" if encoding is None else encoding.target.name,
        members=len(theta),
        widths=tuple(network.widths),
        layers=layers,
        normalised=loss.targets == "classes",
        predict=trace(loss.predict, kind=kind, whole=whole),
        kind=kind,
        encoding=encoding,
        classes=_classes_of(population) if encoding is None else tuple(encoding.target.classes),
        digest=digest,
    )


def _classes_of(population: Population) -> tuple[str, ...]:
    """Return the names of the classes that ``predict_labels`` gives, or none."""
    loss, outputs = population.recipe.loss, population.network.outputs
    binary = loss.targets == "probability" and outputs == 1
    if loss.targets != "classes" and not binary:
        return ()
    known = population.classes
    return tuple(map(str, range(2 if binary else outputs) if known is None else known.tolist()))


def _plan_of(layer: Any, p: Any, inputs: int, traced: Callable[..., Trace]) -> Layer:
    """Return a layer's plan, from its parameters (P, …) and what traces its formulas."""
    if isinstance(layer, Dense):
        W = np.ascontiguousarray(layer.scaled_weights(p))
        return DensePlan(W, np.ascontiguousarray(p.b[:, 0]), traced(layer.activation.f))
    if isinstance(layer, Embedding):
        columns = tuple(layer.columns)
        others = tuple(each for each in range(inputs) if each not in columns)
        return EmbeddingPlan(columns, others, tuple(map(np.ascontiguousarray, p)))
    if isinstance(layer, Periodic):
        columns = tuple(range(inputs) if layer.columns is None else layer.columns)
        others = tuple(each for each in range(inputs) if each not in columns)
        return PeriodicPlan(
            columns, others, p.c[:, 0], p.p[:, 0] if layer.phases else None,
            np.ascontiguousarray(p.W), np.ascontiguousarray(p.b[:, 0]), traced(relu.f),
        )  # fmt: skip
    raise SettingError(
        f"a layer of type {type(layer).__name__} has no translation: export networks of Dense, "
        "Embedding and Periodic layers"
    )
