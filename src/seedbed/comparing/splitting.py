"""splits(): the rows that compare() uses, for a loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seedbed.comparing.problem import problem_of
from seedbed.comparing.rows import Split, SplitKind
from seedbed.streams import checked_seeds
from seedbed.tables.targets import Task


def splits(
    X: Any,
    Y: Any,
    *,
    seeds: Any,
    task: Task | None = None,
    split: SplitKind = "resampled",
    test: float = 0.25,
) -> Iterator[Split]:
    """Iterate over (seed, train rows, test rows), the rows of X that ``compare`` uses.

    X, Y   as for ``compare``; rows of a data frame without a target are in neither part
    seeds  a whole number or a sequence of them, such as range(8)
    task   "classification" stratifies by class, "regression" does not; None infers it from Y,
           where ``compare`` follows its recipes and estimators
    split  "resampled": each seed draws its own test rows; "fixed": all seeds share them
    test   the share of the rows to draw for testing

    Use it to score what ``compare`` cannot run, and give the scores to ``judge``.

    Raises: SettingError, ShapeError or DataError.
    >>> import seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> for seed, train, test in sb.splits(X, Y, seeds=range(2)):
    ...     print(seed, train, test)
    0 [1 3] [0 2]
    1 [0 3] [1 2]
    """
    problem = problem_of({}, X, Y, task)
    splits = problem.splits(split, test)
    return (
        Split(seed, *(problem.numbers[rows] for rows in splits.of(seed)))
        for seed in checked_seeds(seeds).tolist()
    )
