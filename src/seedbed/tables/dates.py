"""Dates and times: texts to days, and days to network inputs.

A date becomes its days, scaled and binned as a number, and points on circles for what repeats: the
month, the weekday and the time of day, each where the training rows differ in it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from seedbed.arrays import Array
from seedbed.errors import TableError
from seedbed.reproducible import cos_sin_turns
from seedbed.tables.numbers import NumberColumn
from seedbed.tables.values import SECONDS_PER_DAY

Circle = Literal["month", "weekday", "time"]
CIRCLES = get_args(Circle)
"""What repeats: the month of a year, the day of a week, the time of a day."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_TIME = (
    r"(?P<h>\d{1,2}):(?P<min>\d{2})(?::(?P<s>\d{2})(?:\.(?P<f>\d{1,9}))?)?"
    r"(?:\s?(?P<half>[AaPp])\.?[Mm]\.?)?(?:\s?(?:Z|[+-]\d{2}:?\d{2}))?"
)
_DATES = {
    "year-month-day": r"(?P<y>\d{4})(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})",
    "day.month.year": r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})",
    "day/month/year": r"(?P<d>\d{1,2})(?P<sep>[-/])(?P<m>\d{1,2})(?P=sep)(?P<y>\d{4})",
    "month/day/year": r"(?P<m>\d{1,2})(?P<sep>[-/])(?P<d>\d{1,2})(?P=sep)(?P<y>\d{4})",
    "day month year": r"(?P<d>\d{1,2})[ -](?P<mon>[A-Za-z]{3,9})\.?[ -](?P<y>\d{4})",
    "month day, year": r"(?P<mon>[A-Za-z]{3,9})\.? (?P<d>\d{1,2}),? (?P<y>\d{4})",
    "time": "",
}
FORMATS = {
    name: re.compile(rf"{date}(?:[T ]\s?{_TIME})?" if date else _TIME, re.ASCII)
    for name, date in _DATES.items()
}
"""The formats of texts, by name; each date may have a time behind it."""


def find_format(texts: Collection[str], column: str) -> str:
    """Return the name of the format that all texts have; "" if there is none.

    Raises: TableError if the day and the month cannot be told apart.
    """
    if not texts:
        return ""
    found = [
        name
        for name in FORMATS
        if all(days_of(text, name) is not None for text in texts)
    ]  # fmt: skip
    if len(found) > 1:
        example = next(iter(texts))
        raise TableError(
            f"column {column!r} holds dates such as {example!r}, in which the day and the month "
            "cannot be told apart: write them as 2026-01-31, or leave the column out with --drop"
        )
    return found[0] if found else ""


def days_of(text: str, name: str) -> float | None:
    """Return the days since 1970-01-01 that a text in a format of ``FORMATS`` names, or None."""
    match = FORMATS[name].fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()
    month = part.get("m")
    if part.get("mon"):
        short = part["mon"][:3].lower()
        if short not in _MONTHS:
            return None
        month = str(_MONTHS.index(short) + 1)
    hour, half = int(part["h"] or 0), part["half"]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half in "pP")
    try:
        date = datetime.date(1970, 1, 1)
        if name != "time":
            assert month is not None
            date = datetime.date(int(part["y"]), int(month), int(part["d"]))
        micros = int((part["f"] or "0").ljust(6, "0")[:6])
        time = datetime.time(hour, int(part["min"] or 0), int(part["s"] or 0), micros)
    except ValueError:
        return None
    seconds = time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
    return date.toordinal() - _EPOCH + seconds / SECONDS_PER_DAY


_EPOCH = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class DateColumn:
    """Dates as numbers, and as points on circles, 0 where missing.

    days     the encoding of the days since 1970-01-01
    format   of texts, a name in ``FORMATS``; "" for values that are typed as dates
    circles  what repeats
    """

    days: NumberColumn
    format: str
    circles: tuple[Circle, ...]

    @property
    def name(self) -> str:
        """The column's name."""
        return self.days.name

    @property
    def width(self) -> int:
        """Number of inputs that the column makes."""
        return self.days.width + 2 * len(self.circles)

    @property
    def input_keys(self) -> list[tuple[Any, ...]]:
        """What each of the circles' inputs is."""
        return [(circle, self.name, of) for circle in self.circles for of in ("cos", "sin")]

    @property
    def input_names(self) -> list[str]:
        """The names of the circles' inputs."""
        return [f"{self.name}: {circle} ({of})" for circle in self.circles for of in ("cos", "sin")]


def encode_circles(columns: Sequence[DateColumn], days: Array, X: Array) -> None:
    """Write the circles' inputs of all columns at once, in their order: cos, sin of each circle.

    Shapes: days (N, columns), NaN where missing; X (N, 2 circles of all columns).
    """
    made = [(place, circle) for place, column in enumerate(columns) for circle in column.circles]
    if not made:
        return
    owner = [place for place, _ in made]
    known, turns = np.nan_to_num(days), np.empty((len(days), len(made)))
    for circle in {circle for _, circle in made}:
        these = [number for number, (_, each) in enumerate(made) if each == circle]
        turns[:, these] = phases(known[:, [owner[number] for number in these]], circle)
    x, y = cos_sin_turns(turns)
    missing = np.isnan(days[:, owner])
    X[:, 0::2], X[:, 1::2] = np.where(missing, 0, x), np.where(missing, 0, y)


def phases(days: Array, circle: Circle) -> Array:
    """Return how far round a circle days are, from 0 to below 1, of the same shape."""
    whole = np.floor(days)
    if circle == "time":
        return np.asarray(days - whole)
    if circle == "weekday":
        return np.asarray(((whole + 3) % 7) / 7)  # 1970-01-01 was a Thursday
    months = whole.astype(np.int64).astype("datetime64[D]").astype("datetime64[M]")
    return np.asarray((months.astype(np.int64) % 12) / 12)


def circles_of(days: Array) -> tuple[Circle, ...]:
    """Return the circles on which days (N,) differ."""
    found: Iterable[Circle] = (c for c in CIRCLES if len(np.unique(phases(days, c))) > 1)
    return tuple(found)
