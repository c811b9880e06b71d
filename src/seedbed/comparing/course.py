"""The course of a comparison: methods train from more seeds until their verdicts are final."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seedbed.arrays import as_array, checked_count, checked_functions, one_line
from seedbed.comparing.comparison import SCOPES, Comparison, Written
from seedbed.comparing.judge import checked_rules
from seedbed.comparing.problem import problem_of
from seedbed.comparing.run_log import Part
from seedbed.comparing.runs import Runs, checked_metric
from seedbed.comparing.sequential import LATER_LOOKS, LOOKS
from seedbed.comparing.verdict import Design, Pair, all_pairs, judge_all
from seedbed.errors import InterruptWarning, SettingError
from seedbed.interrupts import interruptible
from seedbed.progress import StatusLine
from seedbed.streams import checked_seeds

if TYPE_CHECKING:
    from seedbed.comparing.plan import Plan

ANYTIME_STEP, ANYTIME_MAX = 8, 256
"""The seeds between the anytime design's looks, and its maximum unless it is extended."""

Callbacks = Sequence[Callable[[Comparison], object]]


class Course:
    """A comparison that has begun: its rules, its runs so far, and its decided pairs.

    plan     what is compared, and how
    written  where the plan was written down, or None
    tries    how many comparisons of these methods on these rows there have been, this one included
    executor  what runs blocks of seeds elsewhere, or None

    Raises: SettingError, ShapeError or DataError, before any training.
    """

    def __init__(
        self, plan: Plan, X: Any, Y: Any, progress: bool | None, threads: int | None,
        written: Written | None = None, tries: int = 1, executor: Any = None,
    ) -> None:  # fmt: skip
        self.plan, self.progress = plan, progress
        self.written, self.tries = written, tries
        self.fingerprint: str | None = None
        self.design, self.looks = design_and_looks(plan.seeds, plan.first_seed)
        names = list(plan.methods)
        self.rules = checked_rules(names, plan.baseline, plan.alpha, plan.delta, self.design)
        self.problem = problem_of(plan.methods, X, Y, plan.task)
        self.metric = checked_metric(plan.metric, self.problem.kind)
        if self.metric.percent and plan.delta is not None and plan.delta >= 0.5:
            raise SettingError(
                f"delta {plan.delta:g} is half the range of {self.metric.name} or more: one "
                "percentage point is delta=0.01"
            )
        most = self.looks[-1]
        self.seeds: list[int] | None = None
        if self.design == "fixed":
            self.seeds = checked_seeds(plan.seeds).tolist()
            if len(set(self.seeds)) < most:
                raise SettingError(f"seeds contains duplicates: {one_line(self.seeds)}")
        if most < self.rules.min_pairs:
            pairs = "1 pair" if self.rules.comparisons == 1 else f"{self.rules.comparisons} pairs"
            raise SettingError(
                f"{most} seeds cannot decide: a verdict at alpha {plan.alpha:g} over {pairs} needs "
                f"at least {self.rules.min_pairs}"
            )
        self.runs = Runs(
            plan.methods, self.problem, self.metric, plan.split, plan.test, progress, threads,
            min(most, LOOKS[-1]), executor=executor,
        )  # fmt: skip
        self.scope = SCOPES[self.runs.splits.scope]
        self.pairs = all_pairs(names, plan.baseline)
        self.decided: dict[tuple[str, str], Pair] = {}
        self.done = 0

    def keep(self, log: Part) -> None:
        """Keep finished runs in a log, and take those that it holds from it."""
        self.runs.log = log

    def run(self, looks: Sequence[int], callbacks: Callbacks = ()) -> Comparison:
        """Train the undecided pairs to each look, and return the verdicts.

        Ctrl-C and a callback's true result return those so far; fixed seeds are then judged by the
        anytime test, because the planned test needs all seeds.
        """
        callbacks = checked_functions("callbacks", callbacks)
        most, stopped, so_far = looks[-1], False, None
        for name in {name for pair in self.pairs if pair not in self.decided for name in pair}:
            self.runs.drop_after(name, self.done)  # what an interruption left of the next look
        with self.runs.logging(), interruptible() as stop, StatusLine(self.progress) as line:
            for look in looks:
                names = {name for pair in self.pairs if pair not in self.decided for name in pair}
                complete = self.runs.extend(names, self._seeds(self.done, look), stop)
                stopped = not complete or (stop.is_set() and look < most)
                if stopped and not all(self.runs.scores.values()):
                    raise KeyboardInterrupt
                if stopped:
                    break
                self.done = look
                if self.design == "fixed" and look < most:
                    continue
                so_far = self.judged()
                for pair, result in zip(self.pairs, so_far.pairs, strict=True):
                    if self.design != "fixed" and result.verdict.is_final:
                        self.decided.setdefault(pair, result)
                if line.is_due:
                    line.write(_status(so_far, look, most), look / most)
                stop_requests = [callback(so_far) for callback in callbacks]
                if len(self.decided) == len(self.pairs):
                    break
                if any(stop_requests) and look < most:
                    stopped = True
                    break
        if not stopped:
            assert so_far is not None
            return so_far
        seen = max(len(scores) for scores in self.runs.scores.values())
        warnings.warn(
            f"stopped after {seen} of {most} seeds: the verdicts use the runs so far",
            InterruptWarning,
            stacklevel=3,
        )
        return self.judged(interrupted=True)

    def judged(self, *, interrupted: bool = False) -> Comparison:
        """Return the comparison as it stands."""
        rules = self.rules
        if interrupted and self.design == "fixed":
            rules = replace(rules, design="anytime")
        results = self.runs.results()
        scores = {name: method.scores for name, method in results.items()}
        return Comparison(
            methods=results,
            pairs=judge_all(scores, self.pairs, self.metric, rules, self.decided),
            metric=self.metric,
            rules=rules,
            baseline=self.plan.baseline,
            scope=self.scope,
            rows=self.runs.row_counts,
            interrupted=interrupted,
            notes=(*self.problem.notes, *self.runs.notes()),
            written=self.written,
            tries=self.tries,
            fingerprint=self.fingerprint,
            course=self,
        )

    def resume(self, found: Comparison) -> None:
        """Take the runs and the decided pairs of a comparison of the same plan.

        What an interruption left after the last complete look is dropped, runs and verdicts.
        """
        self.written = found.written  # the plan that the first score was planned by
        longest = max(len(method.scores) for method in found.methods.values())
        looks = {*self.looks, *LATER_LOOKS}
        if self.design == "anytime":
            looks |= set(range(ANYTIME_STEP, longest + 1, ANYTIME_STEP))
        if not found.interrupted:
            looks |= {len(method.scores) for method in found.methods.values()}
        if self.design != "fixed":
            self.decided = {
                (pair.a, pair.b): pair
                for pair in found.pairs
                if pair.verdict.is_final and pair.n in looks
            }
        names = {name for pair in self.pairs if pair not in self.decided for name in pair}
        runs = min((len(found.methods[name].scores) for name in names), default=0)
        self.done = max((look for look in looks if look <= runs), default=0)
        self.runs.resume(found.methods)
        for name in names:
            self.runs.drop_after(name, self.done)

    def later_looks(self, seeds: int | None, done: int | None = None) -> list[int]:
        """Return the looks of an extension, up to ``seeds`` in all; None is the next step.

        done  the seeds before it; None is those so far

        Raises: SettingError.
        """
        done = self.done if done is None else done
        if self.design == "fixed":
            raise SettingError(
                "a comparison on fixed seeds has spent its alpha on them, and testing again on "
                "more would call equal methods better more often: plan with seeds='adaptive' or "
                "'anytime', or make another comparison on other seeds"
            )
        if self.design == "adaptive":
            later = [look for look in (*LOOKS, *LATER_LOOKS) if look > done]
            if not later:
                raise SettingError(f"the last look is at {LATER_LOOKS[-1]} seeds")
            if seeds is not None and seeds not in later:
                raise SettingError(
                    f"seeds must be the number at a later look, {', '.join(map(str, later))}, not "
                    f"{one_line(seeds)}"
                )
            return [look for look in later if look <= (seeds or later[0])]
        until = 2 * done if seeds is None else checked_count("seeds", seeds)
        if until <= done:
            raise SettingError(f"seeds must be more than the {done} so far, not {until}")
        return [*range(done + ANYTIME_STEP, until, ANYTIME_STEP), until]

    def _seeds(self, start: int, end: int) -> list[int]:
        if self.seeds is not None:
            return self.seeds[start:end]
        return list(range(self.plan.first_seed + start, self.plan.first_seed + end))


def design_and_looks(seeds: Any, first_seed: int) -> tuple[Design, list[int]]:
    """Return the design, and the numbers of seeds after which training pauses.

    Raises: SettingError.
    """
    checked_count("first_seed", first_seed, minimum=0)
    if isinstance(seeds, str):
        if seeds == "adaptive":
            return "adaptive", list(LOOKS)
        if seeds == "anytime":
            return "anytime", list(range(ANYTIME_STEP, ANYTIME_MAX + 1, ANYTIME_STEP))
        raise SettingError(
            f"seeds must be 'adaptive', 'anytime' or a sequence such as range(30), not {seeds!r}"
        )
    is_set = isinstance(seeds, range | set | frozenset)
    if not is_set and as_array(seeds, "seeds", SettingError).ndim == 0:
        raise SettingError(
            f"seeds={one_line(seeds)} is a single seed: give several, such as "
            f"seeds=range({seeds if type(seeds) is int and seeds > 1 else 30})"
        )
    count = len(checked_seeds(seeds))
    pauses = [ANYTIME_STEP * 2**k for k in range(40) if ANYTIME_STEP * 2**k < count]
    return "fixed", [*pauses, count]


def _status(so_far: Comparison, done: int, max_seeds: int) -> str:
    final = [pair.verdict.is_final for pair in so_far.pairs]
    return f"{done} of at most {max_seeds} seeds: {sum(final)} of {len(final)} verdicts are final"
