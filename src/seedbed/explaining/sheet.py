"""The numbers that are shown, one under the other, each formula in the symbols above it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.explaining.explanation import Number
from seedbed.explaining.sources import Told, UntoldError, closed, name_of, told


class Call(NamedTuple):
    """A function of the library's or the user's, and the symbols that it is given."""

    function: Callable[..., Any]
    symbols: Sequence[str]
    name: str
    """what it is called where it has no name itself"""


class Sheet:
    """Numbers in the order in which they are shown.

    A formula is shown only if it gives, of the numbers shown above it, the number that the engine
    computed; where a source cannot be told, or does not give that number, the function's name
    stands there.

    reserved  symbols that no formula's own names may take
    """

    def __init__(self, reserved: Collection[str]) -> None:
        self.numbers: list[Number] = []
        self._values: dict[str, Array] = {}
        self._known: dict[str, str | None] = dict.fromkeys(reserved)

    def show(self, part: str, symbol: str, formula: str, value: Any) -> None:
        """Show a number whose formula is given in words or in symbols."""
        value = np.asarray(value)
        self.numbers.append(Number(part, symbol, formula, value))
        self._values[symbol] = value

    def compute(
        self, part: str, symbol: str, form: str, calls: Sequence[Call], value: Array,
        suffix: str = "",
    ) -> None:  # fmt: skip
        """Show a number that functions compute, with what they compute on the way in front.

        form    where their formulas stand, such as "da1 * {}"
        suffix  of the symbols of what they compute on the way, such as a layer's number
        """
        try:
            lines: dict[str, str] = {}
            formulas = []
            for call in calls:
                own = [*call.symbols, *lines]
                found = told(
                    call.function, call.symbols, self._known | lines, suffix=suffix, own=own
                )
                lines |= found.lines
                formulas.append(found.results[0])
            if "* {}" in form:  # elsewhere the form has brackets of its own, or needs none
                formulas = [closed(each) for each in formulas]
            formula = form.format(*formulas)
            values = self.evaluated({**lines, symbol: formula})
            if not same(values[symbol], value):
                raise UntoldError("another number")
            self.add(part, lines, values)
        except UntoldError:
            formula = form.format(*(_named(call) for call in calls))
        self.show(part, symbol, formula, value)

    def told(
        self, call: Call, wanted: Sequence[str], suffix: str, own: Collection[str],
        values: Sequence[Array],
    ) -> tuple[Told, dict[str, Array]] | None:  # fmt: skip
        """Return a function of several results in symbols, with the numbers computed on the way.

        None where its source cannot be told, or does not give ``values``.
        """
        try:
            found = told(
                call.function, call.symbols, self._known, suffix=suffix, own=own, wanted=wanted
            )
            results = {f"{place} of them": text for place, text in enumerate(found.results)}
            numbers = self.evaluated({**found.lines, **results})
        except UntoldError:
            return None
        if len(results) != len(values):
            return None
        if not all(same(numbers[of], value) for of, value in zip(results, values, strict=True)):
            return None
        return found, numbers

    def add(self, part: str, lines: Mapping[str, str], values: Mapping[str, Array]) -> None:
        """Show what is computed on the way, and keep its symbols from others."""
        for symbol, formula in lines.items():
            self._known[symbol] = formula
            self.show(part, symbol, formula, values[symbol])

    def evaluated(self, formulas: Mapping[str, str]) -> dict[str, Array]:
        """Return the formulas' numbers, each of those shown and those before it.

        Raises: UntoldError where one cannot be evaluated.
        """
        values: dict[str, Array] = {}
        for symbol, formula in formulas.items():
            try:
                names = {"np": np, **self._values, **values}
                values[symbol] = np.asarray(eval(formula, names))  # the source that is shown
            except Exception as error:  # whatever a formula of the user's may raise
                raise UntoldError(f"{symbol}: {error}") from error
        return values


def same(a: Array, b: Array) -> bool:
    """Return whether a holds b's numbers, but for their last digits; one number stands for all."""
    alike = a.ndim == 0 or a.shape == b.shape
    return alike and bool(np.allclose(a, b, rtol=1e-9, atol=0, equal_nan=True))


def _named(call: Call) -> str:
    return f"{name_of(call.function, call.name)}({', '.join(call.symbols)})"
