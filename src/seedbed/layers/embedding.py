"""An embedding layer: learned vectors for categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_count
from seedbed.errors import DataError, SettingError
from seedbed.formulas.initializers import Draws, Initializer, standard_normal
from seedbed.layers.base import Layer, Line, Parameter, Pass


@dataclass(frozen=True)
class Embedding(Layer):
    """a = (the other columns, E_1[x_1], E_2[x_2], …): a learned vector for each category.

    columns     positions of the columns with category numbers, counted from 0
    categories  each column's number of categories: its values are 0 … categories - 1
    units       the length of each column's vectors: one number for all columns, or one for each
    init        the initializer of each column's vectors E (categories, units)

    It must be the network's first layer. Its outputs are first the other columns, then the vectors.
    Penalties and weight decay apply to the vectors.

    Raises: SettingError for invalid columns, categories, units or init.
    Source: Guo, Berkhahn 2016.
    >>> Embedding(columns=[2], categories=[5], units=3).outputs(4, first=True)
    6
    """

    columns: Sequence[int]
    categories: Sequence[int]
    units: int | Sequence[int]
    init: Initializer = standard_normal

    def __post_init__(self) -> None:
        columns, categories = tuple(self.columns), tuple(self.categories)
        units = self.units if isinstance(self.units, Sequence) else [self.units] * len(columns)
        for name, given, minimum in (
            ("columns", columns, 0), ("categories", categories, 1), ("units", units, 1)
        ):  # fmt: skip
            if len(given) != len(columns) or not columns:
                raise SettingError(
                    f"an embedding has {len(columns)} columns and {len(given)} {name}: give one "
                    "for each column, and at least one column"
                )
            checked = tuple(checked_count(f"an embedding's {name}", n, minimum) for n in given)
            object.__setattr__(self, name, checked)
        if len(set(columns)) < len(columns):
            raise SettingError(f"an embedding's columns {columns} repeat a column: name each once")
        if not isinstance(self.init, Initializer):
            raise SettingError(f"init must be one of Seedbed's, such as sb.he, not {self.init!r}")

    takes_dropout = False

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
        """dE = Σ_rows [x_c = category] da_c, as the product of the one-hot columns with da."""
        start = fwd.inputs.shape[-1] - len(self.columns)
        for dE, column, units in zip(dp, self.columns, self._units, strict=True):
            one_hot = (fwd.inputs[..., column, None] == np.arange(dE.shape[-2])).astype(da.dtype)
            np.matmul(one_hot.swapaxes(-1, -2), da[..., start : start + units], out=dE)
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
