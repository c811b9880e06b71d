"""An explained step: its numbers in order, as text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seedbed import html
from seedbed.arrays import Array

_MAX_ROWS, _MAX_COLUMNS = 12, 8
"""Rows and columns of an array that are shown; the others are counted."""


@dataclass(frozen=True, eq=False)
class Number:
    """One array of the step.

    part     "forward", "backward" or "update"
    symbol   such as z1, dW2
    formula  how it is computed: Python in ``np`` and the symbols before it; words, if it is given
             or its source is unavailable
    value    a number or an array
    """

    part: str
    symbol: str
    formula: str
    value: Array


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """All numbers of a step; ``str`` gives text, ``html`` HTML, ``markdown`` Markdown.

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
        raise KeyError(f"{symbol!r} is not one of {', '.join(n.symbol for n in self.numbers)}")

    def __repr__(self) -> str:
        return f"<Explanation: {self.title}; {len(self.numbers)} arrays>"

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
        parts = []
        for part, numbers in self._parts():
            rows = [
                [html.code(number.symbol), html.code(number.formula),
                 html.note(_shape(number.value)), html.lines(_cells(number.value))]
                for number in numbers
            ]  # fmt: skip
            parts.append((part.capitalize(), rows))
        return html.block(html.heading(self.title), html.groups(parts, 4))

    def _repr_html_(self) -> str:
        return self.html()

    def _parts(self) -> Iterator[tuple[str, list[Number]]]:
        for part in dict.fromkeys(number.part for number in self.numbers):
            yield part, [number for number in self.numbers if number.part == part]


def _shape(value: Array) -> str:
    return "a number" if value.ndim == 0 else "×".join(map(str, value.shape))


def _cells(value: Array) -> list[str]:
    """Return the first rows and columns of an array as aligned lines."""
    if value.ndim == 0:
        return [f"{float(value):.8g}"]
    rows = value.reshape(-1, value.shape[-1])
    shown = [[f"{number:.6g}" for number in row[:_MAX_COLUMNS]] for row in rows[:_MAX_ROWS]]
    width = max(len(cell) for row in shown for cell in row)
    hidden = rows.shape[1] - _MAX_COLUMNS
    more = f"  … {hidden} more" if hidden > 0 else ""
    lines = ["  ".join(cell.rjust(width) for cell in row) + more for row in shown]
    if len(rows) > _MAX_ROWS:
        lines.append(f"… {len(rows) - _MAX_ROWS} more rows")
    return lines
