"""plan(): a comparison written down before its first score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Literal

import numpy as np

from seedbed.arrays import as_array, checked_count, checked_path
from seedbed.comparing import journal, saved
from seedbed.comparing.comparison import Comparison, Written
from seedbed.comparing.course import Callbacks, Course, design_and_looks
from seedbed.comparing.fingerprint import data_digest, method_to_dict, metric_to_plain
from seedbed.comparing.judge import checked_rules
from seedbed.comparing.methods import AnyMethod, checked_methods
from seedbed.comparing.problem import checked_task, problem_of
from seedbed.comparing.rows import SplitKind, Splits, checked_share
from seedbed.comparing.run_log import Part, RunLog, with_digest
from seedbed.comparing.runs import as_metric
from seedbed.errors import SettingError
from seedbed.fingerprints import digest
from seedbed.metrics import Metric
from seedbed.streams import checked_seeds
from seedbed.tables.targets import Task


@dataclass(eq=False)
class Plan:
    """What ``plan`` returns: a comparison's methods and rules. The arguments are those of
    ``compare``.

    data     a hash of the rows and targets, or None if they were not given
    written  where the plan was written down and when, or None
    has_run  whether it has been run
    """

    methods: Mapping[str, AnyMethod]
    metric: Metric | str | None = None
    baseline: str | None = None
    alpha: float = 0.05
    delta: float | None = None
    seeds: Any = "adaptive"
    split: SplitKind | tuple[Any, Any] | Splits = "resampled"
    test: float = 0.25
    task: Task | None = None
    first_seed: int = 0
    data: str | None = None
    written: Written | None = field(default=None, init=False)
    has_run: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.methods = checked_methods(self.methods)
        as_metric(self.metric)
        checked_task(self.task)
        self.test = checked_share(self.split, self.test)
        self.first_seed = checked_count("first_seed", self.first_seed, minimum=0)
        self.baseline = None if self.baseline is None else str(self.baseline)
        design, _ = design_and_looks(self.seeds, self.first_seed)
        rules = checked_rules(list(self.methods), self.baseline, self.alpha, self.delta, design)
        self.alpha, self.delta = rules.alpha, rules.delta

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain dicts, lists, numbers and strings."""
        seeds = self.seeds if isinstance(self.seeds, str) else checked_seeds(self.seeds).tolist()
        split: Any = self.split
        if isinstance(split, Splits):
            split = split.to_plain()
        elif not isinstance(split, str):
            split = [_rows(part) for part in split]
        return {
            "methods": {name: method_to_dict(each) for name, each in self.methods.items()},
            "metric": metric_to_plain(self.metric),
            "baseline": self.baseline,
            "alpha": self.alpha,
            "delta": self.delta,
            "seeds": seeds,
            "first_seed": self.first_seed,
            "split": split,
            "test": self.test,
            "task": self.task,
            "data": self.data,
        }

    @property
    def digest(self) -> str:
        """A hash of the plan."""
        return digest(self.to_dict())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the plan down: rules, methods and hashes as JSON, with the date and the versions.

        A file that holds this plan already is kept, with its date.

        Raises: FileError if it cannot be written; SettingError if it holds another plan, or the
        plan has been run.
        """
        if self.has_run and not checked_path(path).exists():
            raise SettingError(
                "the plan has been run, and a plan is written down before the first score: save "
                "the comparison instead"
            )
        path, content = checked_path(path), self.to_dict()
        if path.exists():
            earlier = saved.read(path, "plan")
            with saved.undamaged(path, "plan"):
                old, date = dict(earlier["plan"]), str(earlier["date"])
            if old != content:
                differing = [key for key in content if content[key] != old.get(key)]
                raise SettingError(
                    f"{path} holds another plan (it differs in {', '.join(differing)}): give "
                    "another file name, so that both stay written down"
                )
        else:
            date = saved.now()
            saved.write(path, "plan", {"digest": digest(content), "plan": content})
        self.written = Written(str(path), date, digest(content))

    def run(
        self,
        X: Any,
        Y: Any,
        *,
        progress: bool | None = None,
        callbacks: Callbacks = (),
        threads: int | None = None,
        checkpoint: str | PathLike[str] | Part | None = None,
        executor: Any = None,
    ) -> Comparison:
        """Train every method and judge, as ``compare`` does.

        Raises: as ``compare``; SettingError if the plan was made for other rows.
        """
        course = self.begin(X, Y, progress, threads, checkpoint, executor)
        return course.run(course.looks, callbacks)

    def resume(
        self,
        found: Comparison,
        X: Any,
        Y: Any,
        *,
        progress: bool | None = None,
        callbacks: Callbacks = (),
        threads: int | None = None,
    ) -> Comparison:
        """Go on with a comparison of this plan that was interrupted, or saved and loaded.

        The result is that of an uninterrupted ``run``. If it was complete, it is returned with its
        methods, so that it can be extended.

        Raises: as ``run``; SettingError for a comparison of another plan.
        """
        course = self.begin(X, Y, progress, threads)
        if found.fingerprint != course.fingerprint:
            raise SettingError(
                "the comparison is not one of this plan: methods, rules, rows and seeds must be "
                "those it began with"
            )
        course.resume(found)
        looks = [look for look in course.looks if look > course.done]
        if not looks or len(course.decided) == len(course.pairs):
            return course.judged()
        return course.run(looks, callbacks)

    def begin(
        self, X: Any, Y: Any, progress: bool | None = None, threads: int | None = None,
        checkpoint: str | PathLike[str] | Part | None = None, executor: Any = None,
    ) -> Course:  # fmt: skip
        """Return the course of the comparison, before any training.

        checkpoint  a file of finished runs, or the part of one

        Raises: as ``run``.
        """
        written = self.written
        if written is not None and written.digest != self.digest:
            written = None  # the plan was changed since
        course = Course(self, X, Y, progress, threads, written, executor=executor)
        rows = data_digest(X, Y)
        if self.data not in (None, rows):
            raise SettingError(
                "the plan is for other rows or targets than these: give those, or make another plan"
            )
        content = self.to_dict() | {"data": rows}
        course.fingerprint = digest(content)
        if isinstance(checkpoint, Part):
            course.keep(checkpoint)
        elif checkpoint is not None:
            course.keep(RunLog(checkpoint, with_digest(content, "split")).part("comparison"))
        own = content.pop("methods")
        content |= {"metric": course.metric.name, "task": course.problem.kind}
        known = journal.enter(digest(sorted(map(digest, own.values()))), rows, digest(content))
        course.tries = known.tries
        if written is not None and known.first is not None and known.first < written.date:
            course.written = None  # the scores came before the plan
        self.has_run = True
        return course


def plan(
    methods: Mapping[str, AnyMethod],
    X: Any = None,
    Y: Any = None,
    *,
    metric: Metric | str | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Literal["adaptive", "anytime"] | Sequence[int] | Any = "adaptive",
    split: SplitKind | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    task: Task | None = None,
    first_seed: int = 0,
) -> Plan:
    """Plan a comparison, to write it down before the first score.

    X, Y  the rows and targets, if the plan is to be for these only; see ``compare``, also for the
          other arguments

    ``plan.save("plan.json")`` writes it down; ``plan.run(X, Y)`` then trains and judges, and the
    result quotes the plan. A comparison without a written plan says so.

    Raises: SettingError; for X and Y as ``compare``.
    >>> import dataclasses, seedbed as sb
    >>> recipe = sb.xor.recipe(400)
    >>> slow = dataclasses.replace(recipe, optimizer=sb.SGD(lr=0.01))
    >>> planned = sb.plan({"fast": recipe, "slow": slow}, seeds=range(8), split=([0, 1, 2], [3]))
    >>> planned.run(*sb.xor.data())["fast", "slow"].n
    8
    """
    data = None
    if X is not None:
        problem = problem_of(checked_methods(methods), X, Y, task)
        problem.splits(split, test)
        data = data_digest(X, Y)
    return Plan(methods, metric, baseline, alpha, delta, seeds, split, test, task, first_seed, data)


def _rows(part: Any) -> list[int]:
    array = as_array(list(part) if isinstance(part, range) else part, "rows", SettingError)
    return (np.flatnonzero(array) if array.dtype == np.bool_ else array).tolist()
