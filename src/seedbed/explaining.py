"""Every number of one pass forward, one back and one step, as the engine computes them."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_place
from seedbed.data import checked_inputs, checked_targets
from seedbed.engines import numpy_engine, work
from seedbed.population import Population

_ROWS, _COLUMNS = 12, 8
"""How many rows and columns of an array are shown; the others are counted."""


@dataclass(frozen=True, eq=False)
class Number:
    """One array on the way: what it is called, how it comes about, and what it is.

    part     "forward", "backward" or "update"
    symbol   such as z1, dW2
    formula  how it is computed from those before it
    value    a number, or an array of up to two axes
    """

    part: str
    symbol: str
    formula: str
    value: Array


@dataclass(frozen=True, eq=False)
class Explanation:
    """All numbers in order; ``str`` gives text, a notebook HTML, ``markdown`` Markdown.

    title    what is explained
    numbers  in the order in which they are computed
    """

    title: str
    numbers: tuple[Number, ...]

    def __getitem__(self, symbol: str) -> Array:
        """Return the array of a symbol."""
        for number in self.numbers:
            if number.symbol == symbol:
                return number.value
        raise KeyError(f"{symbol!r} is none of {', '.join(n.symbol for n in self.numbers)}")

    def __str__(self) -> str:
        lines = [self.title]
        for part, numbers in self._parts():
            lines += ["", part.upper(), ""]
            for number in numbers:
                lines.append(f"{number.symbol} = {number.formula}    {_shape(number.value)}")
                lines += [f"    {line}" for line in _cells(number.value)]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the explanation as Markdown."""
        lines = [f"# {self.title}"]
        for part, numbers in self._parts():
            lines += ["", f"## {part.capitalize()}"]
            for number in numbers:
                lines += ["", f"**{number.symbol}** = `{number.formula}`, {_shape(number.value)}"]
                lines += ["", "```", *_cells(number.value), "```"]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return the explanation as HTML, for a notebook or a page."""
        left, lines = "style='text-align: left'", "style='white-space: pre; margin: 0'"
        pieces = [f"<table><caption {left}><b>{html.escape(self.title)}</b></caption>"]
        for part, numbers in self._parts():
            head = f"<th scope='rowgroup' colspan='4' {left}>{part.capitalize()}</th>"
            pieces.append(f"<tbody><tr>{head}</tr>")
            for number in numbers:
                cells = html.escape("\n".join(_cells(number.value)))
                pieces.append(
                    f"<tr><th scope='row' {left}>{html.escape(number.symbol)}</th>"
                    f"<td {left}><code>{html.escape(number.formula)}</code></td>"
                    f"<td {left}>{_shape(number.value)}</td>"
                    f"<td {left}><pre {lines}>{cells}</pre></td></tr>"
                )
            pieces.append("</tbody>")
        return "\n".join([*pieces, "</table>"])

    def _repr_html_(self) -> str:
        return self.html()

    def _parts(self) -> Iterator[tuple[str, list[Number]]]:
        for part in dict.fromkeys(number.part for number in self.numbers):
            yield part, [number for number in self.numbers if number.part == part]


def explain(
    population: Population,
    X: Any,
    Y: Any,
    *,
    member: int = 0,
    row: int | None = None,
) -> Explanation:
    """Return every number of one step of a member's training on X, Y: forward, backward, update.

    The step is the first of a training from the member's parameters, on all rows at once, or on
    one ``row``; without dropout. The numbers are the NumPy engine's own, in float64.

    Shapes: X (N, I); Y (N, O), (N,) or class numbers (N,).
    Raises: SettingError for a member or a row that is not there; ShapeError, DataError.
    """
    network, loss = population.network, population.recipe.loss
    member = checked_place("member", member, len(population))
    one = population[member]
    x = checked_inputs(X, network.inputs, np.float64)
    t = checked_targets(Y, loss, network.outputs, len(x), np.float64)
    if row is not None:
        row = checked_place("row", row, len(x))
        x, t = x[row : row + 1], t[row : row + 1]
    theta = one.theta.astype(np.float64)
    before, numbers = theta.copy(), one.recipe.numbers(1, np.float64)
    gradient = numpy_engine.Gradient(network, loss, numbers, theta)
    (batch,) = work.Batches(work.Data(x, loss.smooth(t)), np.arange(1), loss, None).epoch()
    trace = numpy_engine.Trace()
    with np.errstate(all="ignore"):
        value = gradient.at(batch, [], trace)
        penalty = gradient.penalty()
        whole = gradient.g.copy()
        optimizer = one.recipe.optimizer
        slots = optimizer.init(theta, numbers.lr)
        numpy_engine.update(gradient, optimizer.rule, slots, 1, one.recipe.schedule(0.0))
    found = [
        *_forward(one, x, t, before, trace, float(value[0])),
        *_backward(one, trace, whole, float(penalty[0])),
        *_update(one, before, theta),
    ]
    rows = f"row {row}" if row is not None else f"{len(x)} rows"
    title = f"One step of seed {one.seeds[0]}, {network}, on {rows}"
    return Explanation(title, tuple(found))


def _forward(
    one: Population, x: Array, t: Array, theta: Array, trace: numpy_engine.Trace, value: float
) -> Iterator[Number]:
    loss = one.recipe.loss
    yield Number("forward", "x", "the inputs", x)
    yield Number("forward", "t", "the targets", t)
    for number, (layer, (W, b), each) in enumerate(
        zip(one.network.layers, one.network.views(theta), trace.passes, strict=True), 1
    ):
        below = "x" if number == 1 else f"a{number - 1}"
        yield Number("forward", f"W{number}", "weights", W[0])
        yield Number("forward", f"b{number}", "biases", b[0])
        yield Number("forward", f"z{number}", f"{below} @ W{number} + b{number}", each.z[0])
        formula = _formula(layer.activation.f, {"z": f"z{number}"})
        yield Number("forward", f"a{number}", formula, each.a[0])
    last = f"a{len(trace.passes)}"
    seen = loss.seen(trace.y[0])
    if loss.targets == "classes":
        yield Number("forward", "y", f"{last} - log Σ exp({last}), the log-probabilities", seen)
        last = "y"
    formula = _formula(loss.f, {"y": last, "t": "t"})
    yield Number("forward", "l", formula, loss.f(seen, loss.smooth(t)))
    kind = "sum over classes, " if loss.targets == "classes" else ""
    yield Number("forward", "loss", f"{kind}mean of l", np.asarray(value))


def _backward(
    one: Population, trace: numpy_engine.Trace, whole: Array, penalty: float
) -> Iterator[Number]:
    network, loss = one.network, one.recipe.loss
    count = len(network.layers)
    y = "y" if loss.targets == "classes" else f"a{count}"
    terms = trace.y.shape[1] * (1 if loss.targets == "classes" else trace.y.shape[2])
    formula = f"({_formula(loss.df, {'y': y, 't': 't'})}) / {terms}"
    slopes = trace.slopes[::-1]
    bare = network.views(trace.bare)
    for number in range(count, 0, -1):
        layer, (da, dz) = network.layers[number - 1], slopes[number - 1]
        if number < count:
            formula = f"dz{number + 1} @ W{number + 1}.T"
        yield Number("backward", f"da{number}", formula, da[0])
        slope = _formula(layer.activation.df, {"z": f"z{number}", "a": f"a{number}"})
        yield Number("backward", f"dz{number}", f"da{number} * ({slope})", dz[0])
        below = "x" if number == 1 else f"a{number - 1}"
        yield Number("backward", f"dW{number}", f"{below}.T @ dz{number}", bare[number - 1].W[0])
        yield Number(
            "backward", f"db{number}", f"dz{number}, summed over the rows", bare[number - 1].b[0]
        )
    if (whole != trace.bare).any():
        yield Number("backward", "penalty", "Σ l1 |w| + ½ l2 w², over the weights",
                     np.asarray(penalty))  # fmt: skip
        for number, (W, _) in enumerate(network.views(whole), 1):
            formula = f"dW{number} + l1 * sign(W{number}) + l2 * W{number}"
            yield Number("backward", f"dW{number}'", formula, W[0])


def _update(one: Population, before: Array, after: Array) -> Iterator[Number]:
    rule = one.recipe.optimizer.rule
    doc = " ".join((inspect.getdoc(rule) or "").split()).split(". ")[0].rstrip(".")
    doc = re.sub(r" \([A-Z].*$", "", doc)
    for number, ((W, b), (W0, b0)) in enumerate(
        zip(one.network.views(after), one.network.views(before), strict=True), 1
    ):
        for symbol, new, old in ((f"W{number}", W, W0), (f"b{number}", b, b0)):
            formula = f"{type(one.recipe.optimizer).__name__}: {doc}"
            yield Number("update", f"{symbol} new", formula, new[0])
            yield Number("update", f"{symbol} change", f"{symbol} new - {symbol}", (new - old)[0])


def _formula(function: Callable[..., Any], names: dict[str, str]) -> str:
    """Return what a formula returns, as its source has it, with the names put in.

    What it computes first stands in front, one line behind the other.
    """
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__name__', 'f')}({', '.join(names.values())})"
    lines = [line.strip() for line in source.splitlines()]
    body = lines[next(i for i, line in enumerate(lines) if line.endswith(":")) + 1 :]
    text = "; ".join(line.removeprefix("return ") for line in body if line and line[0] != "#")
    for name, shown in names.items():
        text = re.sub(rf"(?<![\w.]){name}(?!\w)", f"\0{shown}", text)
    return text.replace("\0", "")


def _shape(value: Array) -> str:
    return "a number" if value.ndim == 0 else "×".join(map(str, value.shape))


def _cells(value: Array) -> list[str]:
    """Return an array's numbers in lines, the columns aligned; the first of them if many."""
    if value.ndim == 0:
        return [f"{float(value):.8g}"]
    rows = np.atleast_2d(value)
    shown = [[f"{number:.6g}" for number in row[:_COLUMNS]] for row in rows[:_ROWS]]
    width = max(len(cell) for row in shown for cell in row)
    more = f"  … {rows.shape[1] - _COLUMNS} more" if rows.shape[1] > _COLUMNS else ""
    lines = ["  ".join(cell.rjust(width) for cell in row) + more for row in shown]
    if len(rows) > _ROWS:
        lines.append(f"… {len(rows) - _ROWS} rows more")
    return lines
