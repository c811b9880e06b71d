"""The numbers that are shown, in order, each with its formula in the symbols above it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.explaining.explanation import Number
from seedbed.explaining.symbolic import (
    SourceUnavailable,
    SymbolicFormula,
    as_factor,
    name_of,
    symbolic,
)
from seedbed.layers.base import Call


class FormulaTrace:
    """Numbers in the order in which they are shown.

    A formula is shown only if it gives the engine's number when it is evaluated on the numbers
    above it. If it does not, or its source is unavailable, the function's name is shown.

    reserved  symbols that no variable of a formula may take
    """

    def __init__(self, reserved: Collection[str]) -> None:
        self.numbers: list[Number] = []
        self._values: dict[str, Array] = {}
        self._known: dict[str, str | None] = dict.fromkeys(reserved)

    def show(self, part: str, symbol: str, formula: str, value: Any) -> None:
        """Show a number with a formula in words or symbols."""
        value = np.asarray(value)
        self.numbers.append(Number(part, symbol, formula, value))
        self._values[symbol] = value

    def compute(
        self, part: str, symbol: str, form: str, calls: Sequence[Call], value: Array,
        suffix: str = "",
    ) -> None:  # fmt: skip
        """Show a number that functions compute, after their intermediate values.

        form    the template for their formulas, such as "da1 * {}"
        suffix  of the intermediate values' symbols, such as a layer's number
        """
        try:
            lines: dict[str, str] = {}
            formulas = []
            for call in calls:
                own = [*call.symbols, *lines]
                read = symbolic(
                    call.function, call.symbols, self._known | lines, suffix=suffix, own=own
                )
                lines |= read.lines
                formulas.append(read.results[0])
            if "* {}" in form:  # other forms have their own brackets, or need none
                formulas = [as_factor(each) for each in formulas]
            formula = form.format(*formulas)
            values = self.evaluated({**lines, symbol: formula})
            if not _agree(values[symbol], value):
                raise SourceUnavailable("its formula gives another number")
            self.add(part, lines, values)
        except SourceUnavailable:
            formula = form.format(*map(_by_name, calls))
        self.show(part, symbol, formula, value)

    def read(
        self, call: Call, wanted: Sequence[str], suffix: str, own: Collection[str],
        values: Sequence[Array],
    ) -> tuple[SymbolicFormula, dict[str, Array]] | None:  # fmt: skip
        """Return a call of several results in symbols, and its intermediate values.

        None if its source is unavailable or does not give ``values``.
        """
        try:
            read = symbolic(
                call.function, call.symbols, self._known, suffix=suffix, own=own, wanted=wanted
            )
            results = {f"result {place}": formula for place, formula in enumerate(read.results)}
            numbers = self.evaluated({**read.lines, **results})
        except SourceUnavailable:
            return None
        if len(results) != len(values):
            return None
        agree = all(_agree(numbers[of], value) for of, value in zip(results, values, strict=True))
        return (read, numbers) if agree else None

    def add(self, part: str, lines: Mapping[str, str], values: Mapping[str, Array]) -> None:
        """Show intermediate values and reserve their symbols."""
        for symbol, formula in lines.items():
            self._known[symbol] = formula
            self.show(part, symbol, formula, values[symbol])

    def evaluated(self, formulas: Mapping[str, str]) -> dict[str, Array]:
        """Return the formulas' values, each computed from the numbers shown and those before it.

        Raises: SourceUnavailable if one cannot be evaluated.
        """
        values: dict[str, Array] = {}
        for symbol, formula in formulas.items():
            try:
                names = {"np": np, **self._values, **values}
                values[symbol] = np.asarray(eval(formula, names))  # the source that is shown
            except Exception as error:  # a user's formula may raise anything
                raise SourceUnavailable(f"{symbol}: {error}") from error
        return values


def _agree(a: Array, b: Array) -> bool:
    """Return whether a equals b but for rounding; a scalar may stand for an array of equals."""
    fits = a.ndim == 0 or a.shape == b.shape
    return fits and bool(np.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True))


def _by_name(call: Call) -> str:
    return f"{name_of(call.function, call.name)}({', '.join(call.symbols)})"
