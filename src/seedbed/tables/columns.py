"""What a table's columns are, numbers, dates or categories, and how each is encoded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np

from seedbed.arrays import Array, Indices, is_missing_value, one_line
from seedbed.errors import TableError
from seedbed.reproducible import total
from seedbed.tables.dates import FORMATS, DateColumn, circles_of, days_of, find_format
from seedbed.tables.notation import (
    MAX_ODD,
    MISSING_WORDS,
    PLAIN,
    Notation,
    infer,
    parse_all,
    unit_of,
)
from seedbed.tables.notes import Counts, Note
from seedbed.tables.numbers import NumberColumn, fit_number_column
from seedbed.tables.sources import Repeats, Source, join_names
from seedbed.tables.values import is_missing

MIN_EMBEDDED = 10
"""The categories from which a column is embedded, if the network may embed."""

MAX_CATEGORIES, MAX_EMBEDDED = 255, 5_000
"""Of a column with more distinct texts, one-hot or embedded, the most frequent are categories, and
all others one; see ``CategoryColumn``."""

Unseen = Literal["error", "missing"]

MAX_TRIED = 200
"""Distinct texts that decide whether a column is nearly dates."""

_SIGNS = "~<>≤≥≈=*'-– ,"
_SIGNED = re.compile(r"[~<>≤≥≈=*' ]*(?!0[0-9])[0-9][0-9.,]*[*'–, -]*")
_SHORT_YEAR = re.compile(r"[0-9]{1,2}([-/.])[0-9]{1,2}\1[0-9]{2}")


BOOLEANS = {
    text: boolean
    for boolean, number in (("false", "0"), ("true", "1"))
    for text in (boolean, boolean.title(), boolean.upper(), number)
}


@dataclass(frozen=True)
class CategoryColumn:
    """One-hot inputs, all 0 where missing; two categories share one input of 1, -1 or 0.

    has_rest  whether one more category stands for every other text: those that were rare in
              training, and those that it did not see
    embedded  whether the one input is the category's number, from 1; 0 where missing
    """

    name: str
    categories: tuple[str, ...]
    has_rest: bool = False
    embedded: bool = False

    @cached_property
    def width(self) -> int:
        """Number of inputs that the column makes."""
        if self.embedded:
            return 1
        return (1 if len(self.categories) == 2 else len(self.categories)) + self.has_rest

    @property
    def levels(self) -> int:
        """The number of values of an embedded column's input."""
        return 1 + len(self.categories) + self.has_rest

    @property
    def input_keys(self) -> list[tuple[Any, ...]]:
        """What each input is, (width,): one of the categories, all of one or two, or the rest."""
        if self.embedded:
            return [("embedded", self.name, self.categories)]
        if self.width == 1:
            return [("categories", self.name, self.categories)]
        rest = [("rest", self.name)] if self.has_rest else []
        return [*(("category", self.name, category) for category in self.categories), *rest]

    @property
    def input_names(self) -> list[str]:
        """The inputs' names, (width,): such as "colour = red"; of two categories, the first."""
        if self.embedded:
            return [self.name]
        names = [f"{self.name} = {category}" for category in self.categories]
        return [*names, f"{self.name} is another"] if self.has_rest else names[: self.width]

    @property
    def spellings(self) -> Collection[str]:
        """The texts that are one of the categories."""
        return self._codes.keys()

    @cached_property
    def _codes(self) -> dict[str, int]:
        """The categories' numbers by text; booleans in any spelling."""
        codes = {category: code for code, category in enumerate(self.categories)}
        booleans = [BOOLEANS.get(category) for category in self.categories]
        if None not in booleans and len({*booleans}) == len(booleans):
            by_value = {boolean: code for code, boolean in enumerate(booleans)}
            codes |= {text: by_value[b] for text, b in BOOLEANS.items() if b in by_value}
        return codes

    def encode(self, source: Source, X: Array, unseen: Unseen, counts: Counts) -> None:
        """Write the column's inputs into X (N, width), and count missing and unseen values."""
        codes, texts, width = self._codes, source.texts(self.name).tolist(), self.width
        found = [codes.get(text, -1) for text in texts]
        code, rows = np.array(found, dtype=np.intp), np.arange(len(found))
        if min(found, default=0) < 0:
            unknown = [row for row, number in enumerate(found) if number < 0]
            new = [
                row
                for row in unknown
                if texts[row] is not None and texts[row].casefold() not in MISSING_WORDS
            ]
            counts.add_missing(self.name, len(unknown) - len(new), "no category")
            if self.has_rest:
                code[new] = len(self.categories)
                new = []
            if new and unseen == "error":
                raise TableError(
                    f"column {self.name!r} of {source.name} holds {one_line(texts[new[0]])} in row "
                    f"{source.row_number(self.name, new[0])}, which is not in the training data "
                    f"({join_names(self.categories)}): mend it, or take such values as missing "
                    "with --unseen missing"
                )
            counts.add_unseen(self.name, [texts[row] for row in new])
            rows = np.flatnonzero(code >= 0)
            code = code[rows]
        if self.embedded:
            X[rows, 0] = 1 + code
        elif width == 1:
            X[rows, 0] = 1 - 2 * code if len(self.categories) == 2 else 1
        else:
            X[rows, code] = 1


class Read(NamedTuple):
    """What a column's values are.

    kind      "number", "date" or "text"
    values    (N,) numbers, or days, or texts; NaN or None where missing
    notation  of numbers
    odd       words in place of numbers
    format    of dates as texts
    note      on what was decided, "" if nothing needs to be said
    repeats   how often each value occurs; None if there is a value for every row
    """

    kind: Literal["number", "date", "text"]
    values: Array
    notation: Notation = PLAIN
    odd: tuple[str, ...] = ()
    format: str = ""
    note: str = ""
    repeats: Repeats | None = None


def read_column(source: Source, name: str) -> Read:
    """Return what a column of a table to train on is: its texts may be numbers or dates.

    Raises: TableError if that cannot be decided.
    """
    plain = source.plain_numbers(name)
    if plain is not None:
        return Read("number", *plain)
    (kind, values), repeats = source.column(name), source.repeats(name)
    read = Read(kind, values) if kind != "text" else _read_texts(source, name, values, repeats)
    return read._replace(repeats=repeats)


def _read_texts(source: Source, name: str, values: Array, repeats: Repeats | None) -> Read:
    """Return what a column of texts is; see ``read_column``."""
    counts = Counter(values.tolist())
    if repeats is not None:
        counts = Counter(dict(zip(values.tolist(), map(round, repeats.rows), strict=True)))
    for text in [text for text in counts if text is None or text.casefold() in MISSING_WORDS]:
        del counts[text]
    if not counts:
        present = [text for text in values if text is not None]
        return Read("text", values) if present else Read("number", np.full(len(values), np.nan))
    reading = infer(counts, lambda: source.marks, name)
    if reading is not None:
        texts = _without(values, reading.odd)
        numbers, _ = parse_all(texts, reading.notation)
        notes = [reading.reason] if reading.reason else []
        if reading.odd:
            count = sum(counts[text] for text in reading.odd)
            rows = [row for row, text in enumerate(values) if text in reading.odd]
            notes.append(
                f"all but {count:,} of {sum(counts.values()):,} values are numbers: "
                f"{values[rows[0]]!r} in row {source.row_number(name, rows[0])}"
                f"{' and the others' if count > 1 else ''} "
                f"{'are' if count > 1 else 'is'} taken as missing"
            )
        return Read("number", numbers, reading.notation, reading.odd, "", "; ".join(notes))
    date_format = find_format(counts, name)
    if date_format:
        days = [None if text not in counts else days_of(text, date_format) for text in values]
        return Read("date", np.array(days, dtype=np.float64), format=date_format)
    return Read("text", values, note=_nearly(source, name, values, counts))


def _nearly(source: Source, name: str, values: Array, counts: Counter[str]) -> str:
    """Return a note on what keeps a column from being numbers or dates, or ""."""
    by_unit: dict[str, list[str]] = {}
    for text in counts:
        unit = unit_of(text)
        if unit is not None:
            by_unit.setdefault(unit, []).append(text)
    sizes = {unit: sum(counts[text] for text in texts) for unit, texts in by_unit.items()}
    if len(sizes) > 1 and sum(sizes.values()) >= (1 - MAX_ODD) * sum(counts.values()):
        shown = join_names([repr(unit) if unit else "none" for unit in sorted(sizes)], 5)
        return f"numbers with several units ({shown}): write them with one to have numbers"
    if sizes:
        good = by_unit[max(sizes, key=lambda each: sizes[each])]
        note = _all_but(source, name, values, counts, good, "numbers")
        if note:
            return note
    signed = [text for text in counts if _SIGNED.fullmatch(text) and unit_of(text) is None]
    if signed and all(unit_of(text.strip(_SIGNS)) is not None for text in counts):
        return f"numbers with signs such as {signed[0]!r}: take the signs away to have numbers"
    if all(map(_SHORT_YEAR.fullmatch, counts)):
        return "may be dates with years of two digits: write them as 2026-01-31 to have dates"
    first = list(counts)[:MAX_TRIED]
    for form in FORMATS:
        if sum(days_of(text, form) is not None for text in first) > len(first) / 2:
            dates = [text for text in counts if days_of(text, form) is not None]
            return _all_but(source, name, values, counts, dates, "dates or times")
    return ""


def _all_but(
    source: Source, name: str, values: Array, counts: Counter[str], good: Collection[str], what: str
) -> str:
    """Return a note on the texts that are not good, or "" if they are half of all or none."""
    total_count, odd = sum(counts.values()), counts.keys() - {*good}
    count = sum(counts[text] for text in odd)
    if not odd or count >= total_count / 2:
        return ""
    place = next(place for place, text in enumerate(values) if text in odd)
    return (
        f"all but {count:,} of {total_count:,} values are {what}, the first of them "
        f"{values[place]!r} in row {source.row_number(name, place)}: mend or empty those to have "
        f"{what}"
    )


def _without(texts: Array, odd: Sequence[str]) -> list[str | None]:
    """Return texts with None for words that mark missing values."""
    return [
        None if text is None or text in odd or text.casefold() in MISSING_WORDS else text
        for text in texts
    ]


def read_numbers(
    source: Source, name: str, notation: Notation, odd: Sequence[str] = (), what: str = "column"
) -> Array:
    """Return a column as numbers in a known notation, (N,) float64, NaN where missing.

    Raises: TableError if a value is no number.
    """
    plain = source.plain_numbers(name) if notation == PLAIN else None
    if plain is not None:
        return plain[0]
    kind, values = source.column(name)
    if kind == "number":
        return values
    if kind == "date":
        raise TableError(
            f"{what} {name!r} of {source.name} holds dates, where numbers are expected, as in "
            "training"
        )
    numbers, wrong = parse_all(_without(values, odd), notation)
    if wrong and source.other_decimal and notation == PLAIN:  # training may have had typed numbers
        numbers, wrong = parse_all(_without(values, odd), Notation(source.other_decimal))
    if wrong:
        raise TableError(
            f"{what} {name!r} of {source.name} holds {one_line(values[wrong[0]])} in row "
            f"{source.row_number(name, wrong[0])}, where a number is expected: mend it, or leave "
            "it empty if it is missing"
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise TableError(
            f"{what} {name!r} of {source.name} holds {values[row]!r} in row "
            f"{source.row_number(name, row)}: it needs finite numbers; leave the value empty if it "
            "is missing"
        )
    return numbers


def read_days(source: Source, column: DateColumn) -> Array:
    """Return a column of dates as days since 1970-01-01, (N,), NaN where missing.

    Raises: TableError if a value is no date in the column's format.
    """
    kind, values = source.column(column.name)
    if kind == "date":
        return values
    expected = column.format or "year-month-day"
    days = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if is_missing_value(value) or (kind == "text" and value.casefold() in MISSING_WORDS):
            continue
        found = days_of(value, expected) if kind == "text" else None
        if found is None:
            shown = one_line(value) if kind == "text" else f"the number {value:g}"
            raise TableError(
                f"column {column.name!r} of {source.name} holds {shown} in row "
                f"{source.row_number(column.name, row)}, where a date is expected ({expected}): "
                "mend it, or leave it empty if it is missing"
            )
        days[row] = found
    return days


def read_texts(source: Source, name: str, categories: Sequence[str]) -> Array:
    """Return a column as texts, (N,) object, None where missing.

    A word for missing values counts as missing unless it is a category.
    """
    return np.array(
        [
            None
            if text is None or (text.casefold() in MISSING_WORDS and text not in categories)
            else text
            for text in source.texts(name)
        ],
        dtype=object,
    )


def fit_column(
    read: Read, name: str, train: Indices, weights: Array, bins: int, embeds: bool = False
) -> tuple[NumberColumn | DateColumn | CategoryColumn | None, Note | None]:
    """Return a column's encoding, or None to leave it out; and a note if one is due.

    embeds  whether columns of many categories are to be embedded

    Shapes: train (n,) the rows to fit on; weights (n,) theirs. They don't matter where the column's
    values stand for several rows.
    """
    values = read.values if read.repeats is not None else read.values[train]
    weights = read.repeats.weights if read.repeats is not None else weights
    missing = is_missing(values)
    present, weights, flagged = values[~missing], weights[~missing], bool(missing.any())
    rows = len(present)
    if read.repeats is not None:
        rows = round(float(total(read.repeats.rows[~missing])))
    if read.kind == "text":
        distinct = sorted(set(present.tolist()))
    else:
        distinct = sorted({*(present.min(), present.max())}) if len(present) else []
    if len(distinct) < 2 and not (distinct and flagged):
        reason = "the same value in every row" if distinct else "no value in any row"
        return None, Note("constant", name, f"{name} is left out: it has {reason}")
    read_note = Note("numbers", name, f"{name}: {read.note}") if read.note else None
    if read.kind == "text":
        count = max(float(total(weights)), rows)
        if len(distinct) > max(20, count / 2):
            line = (
                f"{name} is left out: {len(distinct):,} different texts in {rows:,} rows "
                "make no categories" + (f"; {read.note}" if read.note else "")
            )
            return None, Note("left out", name, line)
        embedded = embeds and len(distinct) >= MIN_EMBEDDED
        most = MAX_EMBEDDED if embedded else MAX_CATEGORIES
        if len(distinct) > most:
            kept = most_frequent(present, weights, most - 1)
            line = (
                f"{name}: of {len(distinct):,} different texts the {len(kept):,} most frequent are "
                "categories, and all others are one" + (f"; {read.note}" if read.note else "")
            )
            column = CategoryColumn(name, kept, has_rest=True, embedded=embedded)
            return column, Note("rest", name, line)
        return CategoryColumn(name, tuple(distinct), embedded=embedded), read_note
    number = fit_number_column(name, present, weights, flagged, bins)
    if read.kind == "date":
        circles = circles_of(present)
        line = f"{name}: dates, as days{''.join(f', {circle}' for circle in circles)}"
        return DateColumn(number, read.format, circles), Note("dates", name, line)
    return replace(number, notation=read.notation, odd=read.odd), read_note


def most_frequent(texts: Array, weights: Array, count: int) -> tuple[str, ...]:
    """Return the ``count`` texts with the largest sums of weights, sorted; of equals the first."""
    sums: dict[str, float] = {}
    for text, weight in zip(texts.tolist(), weights.tolist(), strict=True):
        sums[text] = sums.get(text, 0.0) + weight
    return tuple(sorted(sorted(sums, key=lambda text: (-sums[text], text))[:count]))
