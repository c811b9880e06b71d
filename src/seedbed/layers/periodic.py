"""A layer that gives numbers learned periodic codes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_count, checked_counts, checked_number
from seedbed.errors import SettingError
from seedbed.formulas.activations import identity, relu
from seedbed.formulas.initializers import Draws
from seedbed.layers.base import Layer, Line, Parameter, Pass

TWO_PI = 2 * math.pi


@dataclass(frozen=True)
class Periodic(Layer):
    """Codes of F columns, each number's own: sines and cosines of learned frequencies, mapped.

        h = (sin v, cos v), v = 2π c x;  code = relu(h W + b)            without phases
        h = cos v,          v = 2π c x + φ;  code = (x, h W + b)         with phases

    units        the length of a code, without x
    frequencies  the number k of learned frequencies c of a column
    scale        σ of the frequencies' initial draws N(0, σ²)
    phases       whether phases φ are learned, drawn from U(-π, π)
    columns      the places of the columns with codes; None takes all. The others come first in the
                 outputs, as they are

    W (F, 2k or k, units) and b are drawn from U(-r, r), r = 1 / √(2k or k); W decays. Dropout does
    not act on the outputs.

    Raises: SettingError.
    Source: without phases Gorishniy, Rubachev, Babenko 2022 (PLR); with phases Holzmüller,
    Grinsztajn, Steinwart 2024 (RealMLP's PBLD).
    >>> Periodic(units=3).outputs(2, first=True)
    6
    """

    units: int
    frequencies: int = 16
    scale: float = 0.1
    phases: bool = False
    columns: Sequence[int] | None = None

    dropped = False
    symbols = ("v", "h", "dh", "dv")

    def __post_init__(self) -> None:
        scale = checked_number("a periodic layer's scale", self.scale, 0.0, open_low=True)
        object.__setattr__(self, "scale", scale)
        for name in ("units", "frequencies"):
            count = checked_count(f"a periodic layer's {name}", getattr(self, name))
            object.__setattr__(self, name, count)
        if self.columns is not None:
            columns = checked_counts("a periodic layer's columns", self.columns, 0)
            if not columns or len(set(columns)) < len(columns):
                raise SettingError(f"a periodic layer's columns {columns} must be different ones")
            object.__setattr__(self, "columns", columns)

    def outputs(self, inputs: int, first: bool) -> int:
        """The other columns, with phases the columns themselves, and the codes."""
        columns = self._columns(inputs)
        if max(columns) >= inputs:
            raise SettingError(
                f"a periodic layer of column {max(columns)} needs more than {inputs} inputs"
            )
        return inputs - (0 if self.phases else len(columns)) + len(columns) * self.units

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Frequencies c, phases φ (p), W and b."""
        F, k = len(self._columns(inputs)), self.frequencies
        return (
            Parameter("c", (1, F, k), decays=False),
            *([Parameter("p", (1, F, k), decays=False)] if self.phases else []),
            Parameter("W", (F, self._width, self.units), decays=True),
            Parameter("b", (1, F, self.units), decays=False),
        )

    def row_size(self, inputs: int, outputs: int) -> int:
        """The outputs, and v, h, z and what they are computed from."""
        held = self.frequencies + 2 * self._width + 2 * self.units
        return outputs + len(self._columns(inputs)) * held

    def draw(self, number: int, draws: Draws, shape: tuple[int, ...]) -> Array:
        """Frequencies from N(0, σ²), all others from uniform distributions."""
        rows, columns = shape[0] * shape[1], shape[2]
        if number == 0:
            drawn = self.scale * draws.normal(rows, columns)
        else:
            phase = self.phases and number == 1
            r = math.pi if phase else 1 / math.sqrt(self._width)
            drawn = r * (2 * draws.uniform(rows, columns) - 1)
        return drawn.reshape(-1, *shape)

    def forward(self, p: Any, x: Array) -> Pass:
        """The codes, beside the other columns; see above."""
        columns = self._columns(x.shape[-1])
        own = x[..., columns]
        v = TWO_PI * p.c * own[..., None]
        if self.phases:
            v = v + p.p
        h = np.cos(v) if self.phases else np.concatenate([np.sin(v), np.cos(v)], axis=-1)
        z = np.matmul(h.swapaxes(-3, -2), p.W).swapaxes(-3, -2) + p.b
        code = self._f.f(z)
        beside = [np.delete(x, columns, axis=-1), *([own] if self.phases else [])]
        code = code.reshape(*code.shape[:-2], -1)
        a = np.concatenate(
            [*(np.broadcast_to(each, (*code.shape[:-1], each.shape[-1])) for each in beside), code],
            axis=-1,
        )
        return Pass(x, a, a, (v, h, z))

    def backward(self, p: Any, done: Pass, da: Array, dp: Any, below: bool) -> tuple[Array, Any]:
        """dz = d(code) · f'(z);  dW = hᵀ dz, db = Σ_rows dz;  dh = dz Wᵀ.

        dv = dh_sin cos v - dh_cos sin v, or -dh sin v;  dc = 2π Σ_rows dv x,  dφ = Σ_rows dv;
        dx = 2π Σ_k dv c, and with phases d(code)'s own part.
        """
        x, (_, h, z) = done.inputs, done.kept
        columns = self._columns(x.shape[-1])
        dz, _, dv = self._derivatives(p, done, da)
        np.matmul(h.swapaxes(-3, -2).swapaxes(-1, -2), dz.swapaxes(-3, -2), out=dp.W)
        dp.b[...] = _row_sums(dz)
        dp.c[...] = TWO_PI * _row_sums(dv * x[..., columns, None])
        if self.phases:
            dp.p[...] = _row_sums(dv)
        if not below:
            return da, None
        dx = np.empty((*da.shape[:-1], x.shape[-1]), dtype=da.dtype)
        others, start = x.shape[-1] - len(columns), da.shape[-1] - z.shape[-2] * z.shape[-1]
        dx[..., np.delete(np.arange(x.shape[-1]), columns)] = da[..., :others]
        dx[..., columns] = TWO_PI * (dv * p.c).sum(axis=-1)
        if self.phases:
            dx[..., columns] += da[..., others:start]
        return da, dx

    def explain_forward(self, n: str, x: str, p: Any, done: Pass) -> Iterator[Line]:
        """The parameters, v, h, z and a."""
        columns = self._columns(done.inputs.shape[-1])
        names = {"c": "frequencies", "p": "phases", "W": "weights", "b": "biases"}
        for name, value in zip(p._fields, p, strict=True):
            yield Line(f"{name}{n}", names[name], value[0])
        v, h, z = (each[0] for each in done.kept)
        phase = f" + p{n}" if self.phases else ""
        yield Line(f"v{n}", f"2 * np.pi * c{n} * {x}[:, {columns}, None]{phase}", v)
        waves = f"np.concatenate([np.sin(v{n}), np.cos(v{n})], axis=2)"
        yield Line(f"h{n}", f"np.cos(v{n})" if self.phases else waves, h)
        yield Line(f"z{n}", f"np.einsum('bfi,fio->bfo', h{n}, W{n}) + b{n}", z)
        code = f"z{n}" if self.phases else f"np.maximum(z{n}, 0)"
        parts = [f"np.delete({x}, {columns}, axis=1)"]
        parts += [f"{x}[:, {columns}]"] if self.phases else []
        parts.append(f"{code}.reshape(len({x}), -1)")
        yield Line(f"a{n}", f"np.hstack([{', '.join(parts)}])", done.a[0])

    def explain_backward(
        self, n: str, x: str, p: Any, done: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """dz, dh, dv and the gradients by the parameters."""
        columns, k = self._columns(done.inputs.shape[-1]), self.frequencies
        code_dz, dh, dv = (each[0] for each in self._derivatives(p, done, da))
        start = da.shape[-1] - code_dz.shape[-2] * code_dz.shape[-1]
        slope = "" if self.phases else f" * (z{n} > 0)"
        yield Line(f"dz{n}", f"da{n}[:, {start}:].reshape(z{n}.shape){slope}", code_dz)
        yield Line(f"dW{n}", f"np.einsum('bfi,bfo->fio', h{n}, dz{n})", dp.W[0])
        yield Line(f"db{n}", f"dz{n}.sum(axis=0, keepdims=True)", dp.b[0])
        yield Line(f"dh{n}", f"np.einsum('bfo,fio->bfi', dz{n}, W{n})", dh)
        waves = f"dh{n}[:, :, :{k}] * np.cos(v{n}) - dh{n}[:, :, {k}:] * np.sin(v{n})"
        yield Line(f"dv{n}", f"-dh{n} * np.sin(v{n})" if self.phases else waves, dv)
        if self.phases:
            yield Line(f"dp{n}", f"dv{n}.sum(axis=0, keepdims=True)", dp.p[0])
        own = f"{x}[:, {columns}, None]"
        yield Line(f"dc{n}", f"2 * np.pi * (dv{n} * {own}).sum(axis=0, keepdims=True)", dp.c[0])

    def explain_below(self, n: str, inputs: int) -> str:
        """dx, in the inputs' order."""
        columns = self._columns(inputs)
        others = [column for column in range(inputs) if column not in columns]
        own = f"2 * np.pi * (dv{n} * c{n}).sum(axis=2)"
        if self.phases:
            own += f" + da{n}[:, {len(others)}:{inputs}]"
        order = np.argsort([*others, *columns]).tolist()
        return f"np.hstack([da{n}[:, :{len(others)}], {own}])[:, {order}]"

    def _derivatives(self, p: Any, done: Pass, da: Array) -> tuple[Array, Array, Array]:
        """Return dz (…, B, F, units), dh and dv."""
        (v, h, z), k = done.kept, self.frequencies
        start = da.shape[-1] - z.shape[-2] * z.shape[-1]
        dz = da[..., start:].reshape(z.shape) * self._f.df(z, self._f.f(z))
        dh = np.matmul(dz.swapaxes(-3, -2), p.W.swapaxes(-1, -2)).swapaxes(-3, -2)
        if self.phases:
            return dz, dh, -dh * np.sin(v)
        return dz, dh, dh[..., :k] * h[..., k:] - dh[..., k:] * h[..., :k]

    def _columns(self, inputs: int) -> list[int]:
        return list(range(inputs)) if self.columns is None else list(self.columns)

    @property
    def _width(self) -> int:
        return self.frequencies * (1 if self.phases else 2)

    @property
    def _f(self) -> Any:
        return identity if self.phases else relu


def _row_sums(array: Array) -> Array:
    """Return Σ over rows of (…, B, F, k), (…, 1, F, k), at a matrix product's speed."""
    *lead, rows, F, k = array.shape
    flat = array.reshape(*lead, rows, F * k)
    sums = np.matmul(np.ones((1, rows), dtype=array.dtype), flat)
    return np.asarray(sums.reshape(*lead, 1, F, k))
