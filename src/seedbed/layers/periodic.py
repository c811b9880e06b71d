"""A layer of periodic embeddings of numbers."""

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
from seedbed.layers.base import Layer, Line, Parameter, Pass, ones

TWO_PI = 2 * math.pi


@dataclass(frozen=True)
class Periodic(Layer):
    """Embeddings of F numeric columns: waves h of learned frequencies, then a layer per column.

        h = (sin v, cos v), v = 2π c x;      embedding = relu(h W + b)      without phases
        h = cos v,          v = 2π c x + φ;  embedding = (x, h W + b)       with phases

    units        the length of an embedding, without x
    frequencies  the number k of learned frequencies c of each column
    scale        σ of the frequencies' initial draws from N(0, σ²)
    phases       whether to learn phases φ, drawn from U(-π, π)
    columns      positions of the columns to embed; None takes all. The outputs are first the other
                 columns, unchanged, then the embeddings

    W (F, 2k or k, units) and b are drawn from U(-r, r), r = 1 / √(2k or k); W decays. Dropout does
    not act on the outputs.

    Raises: SettingError for an invalid value; the message names it.
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

    takes_dropout = False
    symbols = ("v", "h", "dh", "dv")

    def __post_init__(self) -> None:
        scale = checked_number("scale of a periodic layer", self.scale, 0.0, open_low=True)
        object.__setattr__(self, "scale", scale)
        for name in ("units", "frequencies"):
            count = checked_count(f"a periodic layer's {name}", getattr(self, name))
            object.__setattr__(self, name, count)
        if self.columns is not None:
            columns = checked_counts("a periodic layer's columns", self.columns, 0)
            if not columns or len(set(columns)) < len(columns):
                raise SettingError(
                    f"a periodic layer's columns {columns} must be distinct, and at least one"
                )
            object.__setattr__(self, "columns", columns)

    def outputs(self, inputs: int, first: bool) -> int:
        """Return the number of other columns, of embedded ones with phases, and of embeddings."""
        columns = self._columns(inputs)
        if max(columns) >= inputs:
            raise SettingError(
                f"a periodic layer of column {max(columns)} needs more than {inputs} inputs"
            )
        return inputs - (0 if self.phases else len(columns)) + len(columns) * self.units

    def parameters(self, inputs: int) -> tuple[Parameter, ...]:
        """Return frequencies c, phases φ (called p), W and b."""
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
        """Draw frequencies from N(0, σ²), the others from uniform distributions."""
        rows, columns = shape[0] * shape[1], shape[2]
        if number == 0:
            values = self.scale * draws.normal(rows, columns)
        else:
            is_phase = self.phases and number == 1
            r = math.pi if is_phase else 1 / math.sqrt(self._width)
            values = r * (2 * draws.uniform(rows, columns) - 1)
        return values.reshape(-1, *shape)

    def forward(self, p: Any, x: Array) -> Pass:
        """a = (the other columns, with phases the embedded columns, their embeddings).

        Cached: v (P, B, F, k), h (P, B, F, 2k or k), z and the embeddings e (P, B, F, units).
        """
        columns = self._columns(x.shape[-1])
        embedded = x[..., columns]
        v = TWO_PI * p.c * embedded[..., None]
        if self.phases:
            v = v + p.p
        h = np.cos(v) if self.phases else np.concatenate([np.sin(v), np.cos(v)], axis=-1)
        z = np.matmul(h.swapaxes(-3, -2), p.W).swapaxes(-3, -2) + p.b
        e = self._f.f(z)
        embeddings = e.reshape(*z.shape[:-2], -1)
        unchanged = [np.delete(x, columns, axis=-1), *([embedded] if self.phases else [])]
        lead = embeddings.shape[:-1]
        parts = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in unchanged]
        a = np.concatenate([*parts, embeddings], axis=-1)
        return Pass(x, a, a, (v, h, z, e))

    def backward(self, p: Any, fwd: Pass, da: Array, dp: Any, needs_dx: bool) -> tuple[Array, Any]:
        """dz = de · f'(z);  dW = hᵀ dz, db = Σ_rows dz;  dh = dz Wᵀ, with e the embeddings.

        dv = dh_sin cos v - dh_cos sin v, or -dh sin v;  dc = 2π Σ_rows dv x,  dφ = Σ_rows dv;
        dx = 2π Σ_k dv c, and with phases + da of the embedded columns.
        """
        x, h = fwd.inputs, fwd.cache[1]
        columns = self._columns(x.shape[-1])
        dz, _, dv = self._derivatives(p, fwd, da)
        np.matmul(h.swapaxes(-3, -2).swapaxes(-1, -2), dz.swapaxes(-3, -2), out=dp.W)
        dp.b[...] = _row_sums(dz)
        dp.c[...] = TWO_PI * _row_sums(dv * x[..., columns, None])
        if self.phases:
            dp.p[...] = _row_sums(dv)
        if not needs_dx:
            return da, None
        dx = np.empty((*da.shape[:-1], x.shape[-1]), dtype=da.dtype)
        others = x.shape[-1] - len(columns)
        dx[..., np.delete(np.arange(x.shape[-1]), columns)] = da[..., :others]
        dx[..., columns] = TWO_PI * (dv * p.c).sum(axis=-1)
        if self.phases:
            dx[..., columns] += da[..., others : x.shape[-1]]
        return da, dx

    def explain_forward(self, n: str, x: str, p: Any, fwd: Pass) -> Iterator[Line]:
        """Yield the parameters, v, h, z and a."""
        columns = self._columns(fwd.inputs.shape[-1])
        names = {"c": "frequencies", "p": "phases", "W": "weights", "b": "biases"}
        for name, value in zip(p._fields, p, strict=True):
            yield Line(f"{name}{n}", names[name], value[0])
        v, h, z, _ = (array[0] for array in fwd.cache)
        phase = f" + p{n}" if self.phases else ""
        yield Line(f"v{n}", f"2 * np.pi * c{n} * {x}[:, {columns}, None]{phase}", v)
        waves = f"np.concatenate([np.sin(v{n}), np.cos(v{n})], axis=2)"
        yield Line(f"h{n}", f"np.cos(v{n})" if self.phases else waves, h)
        yield Line(f"z{n}", f"np.einsum('bfi,fio->bfo', h{n}, W{n}) + b{n}", z)
        embeddings = f"z{n}" if self.phases else f"np.maximum(z{n}, 0)"
        parts = [f"np.delete({x}, {columns}, axis=1)"]
        parts += [f"{x}[:, {columns}]"] if self.phases else []
        parts.append(f"{embeddings}.reshape(len({x}), -1)")
        yield Line(f"a{n}", f"np.hstack([{', '.join(parts)}])", fwd.a[0])

    def explain_backward(
        self, n: str, x: str, p: Any, fwd: Pass, da: Array, dz: Array, dp: Any
    ) -> Iterator[Line]:
        """Yield dz, dh, dv and the gradients by the parameters."""
        columns, k = self._columns(fwd.inputs.shape[-1]), self.frequencies
        dz, dh, dv = (array[0] for array in self._derivatives(p, fwd, da))
        start = da.shape[-1] - dz.shape[-2] * dz.shape[-1]
        slope = "" if self.phases else f" * (z{n} > 0)"
        yield Line(f"dz{n}", f"da{n}[:, {start}:].reshape(z{n}.shape){slope}", dz)
        yield Line(f"dW{n}", f"np.einsum('bfi,bfo->fio', h{n}, dz{n})", dp.W[0])
        yield Line(f"db{n}", f"dz{n}.sum(axis=0, keepdims=True)", dp.b[0])
        yield Line(f"dh{n}", f"np.einsum('bfo,fio->bfi', dz{n}, W{n})", dh)
        waves = f"dh{n}[:, :, :{k}] * np.cos(v{n}) - dh{n}[:, :, {k}:] * np.sin(v{n})"
        yield Line(f"dv{n}", f"-dh{n} * np.sin(v{n})" if self.phases else waves, dv)
        if self.phases:
            yield Line(f"dp{n}", f"dv{n}.sum(axis=0, keepdims=True)", dp.p[0])
        embedded = f"{x}[:, {columns}, None]"
        formula = f"2 * np.pi * (dv{n} * {embedded}).sum(axis=0, keepdims=True)"
        yield Line(f"dc{n}", formula, dp.c[0])

    def explain_dx(self, n: str, inputs: int) -> str:
        """Return the formula of dx, in the inputs' order."""
        columns = self._columns(inputs)
        others = [column for column in range(inputs) if column not in columns]
        embedded = f"2 * np.pi * (dv{n} * c{n}).sum(axis=2)"
        if self.phases:
            embedded += f" + da{n}[:, {len(others)}:{inputs}]"
        order = np.argsort([*others, *columns]).tolist()
        return f"np.hstack([da{n}[:, :{len(others)}], {embedded}])[:, {order}]"

    def _derivatives(self, p: Any, fwd: Pass, da: Array) -> tuple[Array, Array, Array]:
        """Return dz, dh and dv, of the shapes of z, h and v."""
        (v, h, z, e), k = fwd.cache, self.frequencies
        start = da.shape[-1] - z.shape[-2] * z.shape[-1]
        dz = da[..., start:].reshape(z.shape) * self._f.df(z, e)
        dh = np.matmul(dz.swapaxes(-3, -2), p.W.swapaxes(-1, -2)).swapaxes(-3, -2)
        if self.phases:
            return dz, dh, -dh * np.sin(v)
        return dz, dh, dh[..., :k] * h[..., k:] - dh[..., k:] * h[..., :k]

    def _columns(self, inputs: int) -> list[int]:
        return list(range(inputs)) if self.columns is None else list(self.columns)

    @property
    def _width(self) -> int:
        """The number of waves of a column."""
        return self.frequencies * (1 if self.phases else 2)

    @property
    def _f(self) -> Any:
        """The activation of the embeddings."""
        return identity if self.phases else relu


def _row_sums(array: Array) -> Array:
    """Return Σ over rows of (…, B, F, k), (…, 1, F, k)."""
    *lead, rows, F, k = array.shape
    flat = array.reshape(*lead, rows, F * k)
    sums = np.matmul(ones(rows, array.dtype), flat)
    return np.asarray(sums.reshape(*lead, 1, F, k))
