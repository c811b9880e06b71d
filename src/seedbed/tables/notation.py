"""How a column of texts writes its numbers: decimal mark, thousands separator, unit.

A notation is inferred from all values of a column together. A mark is ambiguous if it stands once
in each value that has it, with one to three digits before and exactly three behind: 4.008 may be
4,008 or 4.008. What decides, in this order:

1. the caller (``--decimal``, ``--thousands``);
2. another column of the same table that uses the marks without doubt;
3. an unmarked value of 1,000 or more, which a writer who groups would have marked: a decimal mark;
4. unmarked values, all below 1,000: a thousands separator.

Otherwise the column is refused, with both readings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import TableError

MISSING_WORDS = frozenset(
    ["", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "nat", "null", "none", "nil", "missing",
     "unknown", "unk", "not available", "?", "-", "--", "---", ".", "\u2013", "\u2014", "\\n",
     "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!"]
)  # fmt: skip
"""Words that mark a missing number, in lower case: ``\\N`` of MySQL, errors of Excel, …."""

MAX_ODD = 0.05
"""The share of values up to which a column of numbers may hold other words."""

MAX_UNIT = 12
"""The length of the longest unit."""

_SPACES = "\u00a0\u2007\u2009\u202f "
_APOSTROPHES = "'\u2019"
_MINUSES = {ord(minus): "-" for minus in "\u2212\u2013\ufe63\uff0d"}
_SIGNS = "$€£¥₹₩₽₺₫฿₪¢"
_CODES = "USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY|kr"
_POINTED = "Rs|Fr"  # often written with a point
_CURRENCIES = frozenset(f"{_CODES}|{_POINTED}".casefold().split("|"))
_NUMBER = re.compile(
    rf"""
    (?P<sign>[+-]?)[{_SPACES}]*
    (?P<prefix>[A-Z]{{0,3}}[{_SIGNS}]|(?:{_CODES})(?![A-Za-z])|(?:{_POINTED})(?![A-Za-z])\.?|)
    [{_SPACES}]*
    (?P<inner>[+-]?)
    (?P<digits>[0-9](?:[0-9.,{_APOSTROPHES}{_SPACES}]*[0-9])?|[0-9]+[.,](?=$|[eE][+-]?[0-9])|[.,][0-9]+)
    (?P<exponent>(?:[eE][+-]?[0-9]+)?)
    [{_SPACES}]*
    (?P<suffix>
        [^\W\d_]{{1,{MAX_UNIT}}}(?:/[^\W\d_]{{1,{MAX_UNIT}}})?[23²³]?
        |[%‰°"{_SIGNS}][CF]?
        |
    )
    """,
    re.VERBOSE,
)
_CODE = re.compile(r"[+-]?(?:0[0-9].*|[0-9]{16,})")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Notation:
    """How a column writes its numbers.

    decimal    the decimal mark, "." or ","
    thousands  the thousands separator: "" for none, " " for any space, "'" for any apostrophe
    unit       what stands before or behind the digits, such as "%", "$" or "kg", in lower case
    """

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def parse(self, text: str) -> float | None:
        """Return the number that a text writes, or None if it writes none in this notation."""
        parts = _split(text)
        if parts is None:
            return float(text) if _INFINITE.fullmatch(text) else None
        if parts.unit != self.unit and (parts.unit or not _is_currency(self.unit)):
            return None
        digits = parts.digits
        whole, _, fraction = digits.partition(self.decimal)
        if fraction and not _are_digits(fraction):
            return None
        if self.thousands:
            groups = re.split(_class_of(self.thousands), whole)
            if len(groups) > 1 and not _are_groups(groups, self.thousands):
                return None
            whole = "".join(groups)
        if not (_are_digits(whole) or (not whole and fraction)):
            return None
        value = float(f"{whole or '0'}.{fraction or '0'}{parts.exponent}")
        return -value if parts.negative else value

    def __str__(self) -> str:
        parts = [f"decimal mark {self.decimal!r}"]
        if self.thousands:
            parts.append(f"thousands separator {self.thousands!r}")
        if self.unit:
            parts.append(f"unit {self.unit!r}")
        return ", ".join(parts)


PLAIN = Notation()


@dataclass(frozen=True)
class Marks:
    """What is known of a table's marks, by its caller or by its other columns.

    decimal    the decimal mark, or "" if it is not known
    thousands  the thousands separator, "" for none, or None if it is not known
    """

    decimal: str = ""
    thousands: str | None = None


NO_MARKS = Marks()


class _Parts(NamedTuple):
    """A text's number in parts; the unit is in lower case."""

    negative: bool
    unit: str
    digits: str
    exponent: str


@dataclass
class _Evidence:
    """What a column's values show of its marks.

    decimals, groupers  marks that are decimal marks, or thousands separators, without doubt, each
                        with a value that shows it
    ambiguous           marks that may be either, each with a value
    unmarked            the largest value without marks; None if all have marks
    """

    decimals: dict[str, str] = field(default_factory=dict)
    groupers: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    unmarked: float | None = None


@dataclass(frozen=True)
class Reading:
    """A column's notation.

    odd        values that are no numbers in it, at most ``MAX_ODD`` of all
    reason     why an ambiguous mark is read as it is, "" if none is ambiguous
    """

    notation: Notation
    odd: tuple[str, ...] = ()
    reason: str = ""


def infer(counts: Mapping[str, int], marks: Callable[[], Marks], column: str) -> Reading | None:
    """Return the notation of a column's numbers; None if they are no numbers.

    counts  how often each text occurs; stripped, words for missing values left out
    marks   returns what is known of the table's marks; called if that matters
    column  its name, for messages

    Raises: TableError if a mark may be read in two ways, or is used in two.
    """
    parts = {text: _split(text) for text in counts}
    total = sum(counts.values())
    if any(_CODE.fullmatch(text) for text in counts):  # 007 is a code
        return None
    units: dict[str, int] = {}
    for text, part in parts.items():
        if part is not None:
            units[part.unit] = units.get(part.unit, 0) + counts[text]
    if not units:
        return None
    unit = max(units, key=lambda each: (units[each], each))
    if not unit and len(units) == 2 and _is_currency(max(units)):
        unit = max(units)
    numbers = {
        text: part
        for text, part in parts.items()
        if part is not None and (part.unit == unit or (not part.unit and _is_currency(unit)))
    }
    infinite = [text for text, part in parts.items() if part is None and _INFINITE.fullmatch(text)]
    odd = [text for text in counts if text not in numbers and text not in infinite]
    if sum(counts[text] for text in odd) > MAX_ODD * total:
        return None
    evidence = _evidence(numbers)
    twice = sorted(evidence.decimals.keys() & evidence.groupers.keys())
    if twice or len(evidence.decimals) > 1:
        first, second = (
            (evidence.decimals[twice[0]], evidence.groupers[twice[0]])
            if twice
            else tuple(evidence.decimals.values())
        )
        raise TableError(
            f"column {column!r} writes numbers in two ways, such as {first!r} and {second!r}: "
            "write them alike, or leave the column out with --drop"
        )
    notation, reason = _decided(evidence, marks, unit, column)
    odd += [text for text in numbers if notation.parse(text) is None]
    if sum(counts[text] for text in odd) > MAX_ODD * total:
        return None
    return Reading(notation, tuple(odd), reason)


def certain_decimal(texts: Iterable[str]) -> str:
    """Return the decimal mark that a column's texts use without doubt, or ""."""
    parts = {text: part for text in texts if (part := _split(text)) is not None}
    decimals = _evidence(parts).decimals
    return next(iter(decimals)) if len(decimals) == 1 else ""


def unit_of(text: str) -> str | None:
    """Return the unit of a text that is a number in some notation, "" for none; else None."""
    parts = _split(text)
    if parts is None:
        return None
    separators = (",", ".", " ", "'")
    notations = (Notation(d, t, parts.unit) for d in ".," for t in separators if t != d)
    return parts.unit if any(each.parse(text) is not None for each in notations) else None


def parse_all(texts: Collection[str | None], notation: Notation) -> tuple[Array, list[int]]:
    """Return the numbers of texts, (N,) float64, NaN where None; and where a text is no number."""
    known: dict[str, float] = {}
    values, wrong = np.full(len(texts), np.nan), []
    for row, text in enumerate(texts):
        if text is None:
            continue
        if text not in known:
            number = notation.parse(text)
            if number is None:
                wrong.append(row)
                continue
            known[text] = number
        values[row] = known[text]
    return values, wrong


def _split(text: str) -> _Parts | None:
    """Return a text's number in parts; None if it holds none."""
    negative = False
    if text.startswith("(") and text.endswith(")"):  # accountants' minus
        text, negative = text[1:-1].strip(), True
    match = _NUMBER.fullmatch(text.translate(_MINUSES))
    if match is None or (match["sign"] and match["inner"]) or (match["prefix"] and match["suffix"]):
        return None
    signs = match["sign"] + match["inner"]
    if negative and signs:
        return None
    unit = (match["prefix"].rstrip(".") or match["suffix"]).casefold()
    return _Parts(negative or signs == "-", unit, match["digits"], match["exponent"])


def _is_currency(unit: str) -> bool:
    return unit[-1:] in {*_SIGNS} or unit in _CURRENCIES


def _class_of(separator: str) -> str:
    """Return the regular expression of a thousands separator."""
    return f"[{ {' ': _SPACES, chr(39): _APOSTROPHES}.get(separator, re.escape(separator)) }]"


def _are_groups(groups: list[str], separator: str) -> bool:
    """Return whether digits are grouped by thousands: 1 to 3, then 3 each.

    Indian commas group the digits before the last three by two: 12,34,567.
    """
    first, *rest = map(len, groups)
    western = 1 <= first <= 3 and {*rest} == {3}
    indian = separator == "," and 1 <= first <= 2 and {*rest[:-1]} == {2} and rest[-1] == 3
    return (western or indian) and all(map(_are_digits, groups))


def _are_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _evidence(parts: Mapping[str, _Parts]) -> _Evidence:
    """Return what the values show of their marks."""
    found = _Evidence()
    for text, part in parts.items():
        digits = part.digits
        for kind, characters in ((" ", _SPACES), ("'", _APOSTROPHES)):
            if any(character in digits for character in characters):
                found.groupers.setdefault(kind, text)
                digits = re.sub(f"[{characters}]", "", digits)
        marks = [character for character in digits if character in ".,"]
        if not marks:
            if digits == part.digits and not part.exponent:
                found.unmarked = max(found.unmarked or 0.0, float(digits))
            continue
        last = marks[-1]
        if len(set(marks)) == 2:
            found.decimals.setdefault(last, text)
            found.groupers.setdefault("," if last == "." else ".", text)
            continue
        if len(marks) > 1:
            found.groupers.setdefault(last, text)
            continue
        whole, _, fraction = digits.partition(last)
        grouped = digits != part.digits or part.exponent
        if len(fraction) != 3 or not 1 <= len(whole) <= 3 or whole.startswith("0") or grouped:
            found.decimals.setdefault(last, text)
        else:
            found.ambiguous.setdefault(last, text)
    return found


def _decided(
    evidence: _Evidence, marks: Callable[[], Marks], unit: str, column: str
) -> tuple[Notation, str]:
    """Return the notation, and why an ambiguous mark is read as it is.

    Raises: TableError if nothing decides.
    """
    decimal, thousands = (next(iter(found), "") for found in (evidence.decimals, evidence.groupers))
    reason = ""
    for mark, example in evidence.ambiguous.items():
        if mark in (decimal, thousands):
            continue
        other = "," if mark == "." else "."
        as_decimal, as_thousands = Notation(mark, "", unit), Notation(other, mark, unit)
        known = marks()
        if known.decimal:
            is_decimal = mark == known.decimal
        elif known.thousands is not None:
            is_decimal = mark != known.thousands
        elif decimal or thousands == other:
            is_decimal = not decimal
        elif evidence.unmarked is None:
            raise TableError(
                f"column {column!r} holds {example!r}, which may be {as_decimal.parse(example):g} "
                f"or {as_thousands.parse(example):g}: say which with --decimal {mark!r} or "
                f"--thousands {mark!r}, or give the column as numbers"
            )
        elif evidence.unmarked >= 1000:
            is_decimal = True
            reason = (
                f"{example!r} is read as {as_decimal.parse(example):g}, as larger numbers have no "
                f"separator (--thousands {mark!r} reads it otherwise)"
            )
        else:
            is_decimal = False
            reason = (
                f"{example!r} is read as {as_thousands.parse(example):g}, as {mark!r} always "
                f"stands before three digits (--decimal {mark!r} reads it otherwise)"
            )
        if is_decimal:
            decimal = mark
        else:
            thousands = mark
    decimal = decimal or marks().decimal or ("," if thousands == "." else ".")
    return Notation(decimal, thousands, unit), reason
