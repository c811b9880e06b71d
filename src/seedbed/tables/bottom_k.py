"""Bottom-k sampling: of rows with random keys, those with the k least are a random sample.

Source: E. Cohen and H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seedbed.arrays import Array, Indices
from seedbed.tables.csv_frames import imported_polars


@dataclass
class BottomK:
    """The k rows with the least keys, and their numbers in the table; a part is added at a time.

    most     k
    frames   the rows, as Polars data frames; one frame after ``prune``, or none if no row came
    numbers  of each frame's rows (m,) in the table
    keys     of each frame's rows (m,)
    """

    most: int
    frames: list[Any] = field(default_factory=list)
    numbers: list[Indices] = field(default_factory=list)
    keys: list[Array] = field(default_factory=list)
    limit: Any = None
    """Keys from which no row is kept."""

    def add(self, frame: Any, numbers: Indices, keys: Array) -> None:
        """Take in the rows of a frame whose keys are among the least."""
        if self.limit is not None:
            low = keys < self.limit
            frame, numbers, keys = frame.filter(low), numbers[low], keys[low]
        self.frames.append(frame)
        self.numbers.append(numbers)
        self.keys.append(keys)
        if sum(map(len, self.keys)) > 1.5 * self.most:
            self.prune()

    def prune(self) -> None:
        """Let go of all but the rows with the least keys; the others keep the table's order."""
        if not self.frames:
            return
        keys = np.concatenate(self.keys)
        frame = imported_polars().concat(self.frames, how="vertical_relaxed")
        numbers = np.concatenate(self.numbers)
        if len(keys) > self.most:
            chosen = np.sort(np.argsort(keys, kind="stable")[: self.most])
            self.limit = keys[chosen].max()
            frame, numbers, keys = frame[chosen], numbers[chosen], keys[chosen]
        self.frames, self.numbers, self.keys = [frame], [numbers], [keys]
