"""An embedding layer: learned vectors for categories."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_counts
from seedbed.errors import DataError, SettingError
from seedbed.formulas.initializers import Draws, Initializer, standard_normal
from seedbed.formulas.named import OrName, as_formula
from seedbed.layers.base import Layer, Line, Parameter, Pass


@dataclass(frozen=True)
class Embedding(Layer):
    """a = (the other columns, E_1[x_1], E_2[x_2], …): a learned vector for each category.

    columns     positions of the columns with category numbers, counted from 0
    categories  each column's number of categories: its values are 0 … categories - 1
    units       the length of each column's vectors: one number for all columns, or one for each
    init        the initializer of each column's vectors E (categories, units), or its name

    It reads the network's inputs, so it must be the first layer; the other columns come first in
    its outputs. Penalties and weight decay act on the vectors, dropout does not.

    Raises: SettingError for invalid columns, categories, units or init.
    Source: Guo, Berkhahn 2016.
    >>> Embedding(columns=[2], categories=[5], units=3).outputs(4, first=True)
    6
    """

    columns: Sequence[int]
    categories: Sequence[int]
    units: int | Sequence[int]
    init: OrName[Initializer] = standard_normal  # type: ignore[assignment]

    def __post_init__(self) -> None:
        columns = checked_counts("an embedding's columns", self.columns, 0)
        units = self.units if isinstance(self.units, Iterable) else [self.units] * len(columns)
        for name, given in (("categories", self.categories), ("units", units)):
            checked = checked_counts(f"an embedding's {name}", given)
            if len(checked) != len(columns) or not columns:
                raise SettingError(
                    f"an embedding has {len(columns)} columns and {len(checked)} {name}: give one "
                    "for each column, and at least one column"
                )
            object.__setattr__(self, name, checked)
        object.__setattr__(self, "columns", columns)
        if len(set(columns)) < len(columns):
            raise SettingError(f"an embedding's columns {columns} repeat a column: name each once")
        object.__setattr__(self, "init", as_formula("init", self.init, Initializer))

    takes_dropout = False

    @property
    def category_columns(self) -> tuple[int, ...]:
        """The embedded columns."""
        return tuple(self.columns)

    def outputs(self, inputs: int, first: bool) -> int:
        """Return the number of other columns plus the lengths of all vectors."""
        if not first:
            raise SettingError("an sb.Embedding reads the inputs: make it the first layer")
        if max(self.columns) >= inputs:
            raise SettingError(
                f"an embedding of column {max(self.columns)} needs more than {inputs} inputs"
            )
        return inputs - len(self.columns) + sum(self._units)

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return each column's E; E2_ is that of column 2."""
        return tuple(
            Parameter(name, (rows, units), decays=True)
            for name, rows, units in zip(self._names, self.categories, self._units, strict=True)
        )

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """Draw E with ``init``."""
        return self.init.draw(draws, *shape)

    def check(self, x: Array, name: str) -> None:
        """Refuse values that are not category numbers."""
        for column, count in zip(self.columns, self.categories, strict=True):
            if count - 1 > 2 ** (np.finfo(x.dtype).nmant + 1):
                raise DataError(
                    f"{x.dtype} cannot tell {count} categories apart: use dtype='float64'"
                )
            values = x[:, column]
            wrong = (values < 0) | (values >= count) | (values != np.floor(values))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise DataError(
                    f"{name} holds {values[row]:g} in row {row}, column {column}: the embedding "
                    f"needs category numbers from 0 to {count - 1}"
                )

    def forward(self, p: Any, x: Array) -> Pass:
        """a = (x without the columns, E[x_c] of each column)."""
        members = p[0].shape[0]
        others = np.delete(x, list(self.columns), axis=-1)
        others = np.broadcast_to(others, (members, *others.shape[1:]))
        parts = [others.astype(p[0].dtype, copy=False)]
        for E, column in zip(p, self.columns, strict=True):
            E = E.reshape(members, *E.shape[-2:])
            category = x[..., column].real.astype(np.intp)
            shared = len(category) == 1
            member = np.arange(members).reshape(-1, *[1] * (category.ndim - 1))
            parts.append(E[:, category[0]] if shared else E[member, category])
        a = np.concatenate(parts, axis=-1)
        return Pass(x, a, a)

    def backward(self, p: Any, fwd: Pass, da: Array, dp: Any, needs_dx: bool) -> tuple[Array, Any]:
        """dE = Σ_rows [x_c = category] da_c, summed row by row."""
        start = fwd.inputs.shape[-1] - len(self.columns)
        members = np.arange(math.prod(da.shape[:-2])).reshape(*da.shape[:-2], 1)
        for dE, column, units in zip(dp, self.columns, self._units, strict=True):
            rows = fwd.inputs[..., column].real.astype(np.intp) + members * dE.shape[-2]
            sums = np.zeros(dE.size, dtype=da.dtype)
            places = rows[..., None] * units + np.arange(units)
            np.add.at(sums, places.ravel(), da[..., start : start + units].ravel())
            dE[...] = sums.reshape(dE.shape)
            start += units
        return da, None

    def explain_forward(self, n: str, x: str, p: Any, fwd: Pass) -> Iterator[Line]:
        """Yield E and a."""
        parts = [f"np.delete({x}, {list(self.columns)}, axis=1)"]
        for name, E, column in zip(self._names, p, self.columns, strict=True):
            yield Line(f"{name}{n}", "the categories' vectors", E[0])
            parts.append(f"{name}{n}[{x}[:, {column}].astype(int)]")
        yield Line(f"a{n}", f"np.hstack([{', '.join(parts)}])", fwd.a[0])

    def explain_backward(
        self, n: str, x: str, p: Any, fwd: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield dE."""
        start = dz.shape[-1] - sum(self._units)
        for name, dE, column, units in zip(self._names, dp, self.columns, self._units, strict=True):
            one_hot = f"({x}[:, [{column}]] == np.arange({dE.shape[-2]}))"
            formula = f"{one_hot}.T @ da{n}[:, {start}:{start + units}]"
            yield Line(f"d{name}{n}", formula, dE[0])
            start += units

    @property
    def _units(self) -> tuple[int, ...]:
        assert isinstance(self.units, tuple)
        return self.units

    @property
    def _names(self) -> list[str]:
        return [f"E{column}_" for column in self.columns]
