"""Notes on what was decided about a table's columns, for those who gave the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from seedbed.arrays import one_line

NoteKind = Literal[
    "constant", "left out", "numbers", "dates", "rest", "outliers", "unseen", "training"
]

MAX_EXAMPLES = 3
"""Unseen categories of a column that a note shows."""


class Note(NamedTuple):
    """What was decided about a column.

    kind    "constant" (left out, as it does not vary), "left out", "numbers" (how its texts were
            read), "dates", "rest" (rare categories that are taken as one), "outliers" (of a
            target), "unseen" (later values that were not taken in), or "training" (of no column: a
            problem of the training)
    column  the column's name
    line    the note
    """

    kind: NoteKind
    column: str
    line: str

    @property
    def is_warning(self) -> bool:
        """Whether the note calls for a look at the column."""
        return self.kind not in ("constant", "dates", "rest", "training")

    @property
    def message(self) -> str:
        """The note as a warning."""
        return self.line if self.kind == "outliers" else f"column {self.line}"

    @classmethod
    def from_saved(cls, saved: Any) -> Note:
        """Return the note that a file holds as a list.

        Raises: ValueError for anything else.
        """
        kind, column, line = saved
        if kind not in get_args(NoteKind) or not (
            isinstance(column, str) and isinstance(line, str)
        ):
            raise ValueError("a note is broken")
        return cls(kind, column, line)


@dataclass
class Counts:
    """What was taken as missing in a table's columns.

    missing   by column: how many values, and what they are taken as
    unseen    by column: how many values that training has not seen
    examples  of the unseen values, by column
    """

    missing: dict[str, tuple[int, str]] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add_missing(self, name: str, count: int, replacement: str) -> None:
        """Count missing values of a column."""
        if count:
            self.missing[name] = (self.missing.get(name, (0, ""))[0] + count, replacement)

    def add_unseen(self, name: str, texts: Sequence[str]) -> None:
        """Count values of a column that training has not seen."""
        if texts:
            self.unseen[name] = self.unseen.get(name, 0) + len(texts)
            shown = dict.fromkeys([*self.examples.get(name, []), *texts])
            self.examples[name] = list(shown)[:MAX_EXAMPLES]

    def add(self, other: Counts) -> None:
        """Add the counts of more rows."""
        for name, (count, replacement) in other.missing.items():
            self.add_missing(name, count, replacement)
        for name, count in other.unseen.items():
            self.add_unseen(name, other.examples[name])
            self.unseen[name] += count - len(other.examples[name])

    def unseen_note(self, name: str) -> Note:
        """Return the note on a column's unseen values."""
        count, shown = self.unseen[name], ", ".join(map(one_line, self.examples[name]))
        return Note(
            "unseen",
            name,
            f"{name}: {count:,} value{'' if count == 1 else 's'} not seen in training, taken as "
            f"missing ({shown})",
        )

    def lines(self) -> list[str]:
        """Return the counts as lines."""
        return [
            f"{name}: {count:,} missing value{'' if count == 1 else 's'}, taken as {replacement}"
            for name, (count, replacement) in self.missing.items()
        ] + [self.unseen_note(name).line for name in self.unseen]
