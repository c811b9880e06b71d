"""The result of a comparison: scores by seed, and a verdict on each pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed import html
from seedbed.arrays import Array
from seedbed.comparing import report, saved, statistics
from seedbed.comparing.verdict import Pair, Rules, judge_all
from seedbed.comparing.wording import sentence
from seedbed.errors import MissingDependencyError, SettingError
from seedbed.jsonable import to_json
from seedbed.metrics import Metric

if TYPE_CHECKING:
    from seedbed.comparing.course import Callbacks, Course

SCOPES = {
    "resampled": "on this data set, with a new split for each seed",
    "fixed": "on this split, of this data set",
    "apart": "on rows that the search did not see, of this data set",
    "given": "on the given scores",
    "sets": "on data sets like these, each of which counts once",
}
"""What the verdicts hold for, by the kind of split; sentences have the part before the comma."""


class Written(NamedTuple):
    """Where and when a plan was written down, and its hash."""

    path: str
    date: str
    digest: str


@dataclass(frozen=True, eq=False)
class Method:
    """One method's runs, one for each seed.

    scores   (n,) NaN where the run failed; infinite where the metric's best is
    seeds    (n,)
    status   (n,) as ``Population.status``; None for other methods than recipes
    epochs   (n,) epochs trained; None for other methods than recipes
    seconds  mean training time per seed, of a function with its predictions; None if only scores
             were given. Recipes trained together share the time by their epochs; compilation is
             not counted
    """

    name: str
    scores: Array
    seeds: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_] | None = None
    epochs: npt.NDArray[np.int64] | None = None
    seconds: float | None = None

    @property
    def failed(self) -> int:
        """How many runs failed."""
        return int(np.isnan(self.scores).sum())


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What ``compare`` and ``judge`` return.

    methods      by name, each with its scores by seed
    pairs        each pair with its verdict; ``comparison["adam", "sgd"]`` is one pair
    metric       the metric of the scores
    rules        the rules that were fixed before the first score
    baseline     the method that the others were compared with, or None
    scope        what the verdicts hold for
    rows         how many rows were trained on and scored on; None if only scores were given
    interrupted  whether the comparison was interrupted
    notes        on how a table was encoded for recipes: columns left out, missing values; on runs
                 that the metric could not score
    written      the plan that was written down before the first score; None if none was, or if
                 only scores were given
    tries        how many comparisons of these methods on these rows there have been on this
                 computer with other seeds, metrics or rules, this one included; see ``journal``
    fingerprint  a hash of methods, rules, rows and seeds, by which a saved comparison is resumed
    versions     those of what trained and judged
    sets         the data sets that the verdicts rest on, each of which counts once; None for runs
    course       the comparison's methods and runs, for ``extend``; None if only scores were given

    ``print(comparison)`` shows a table and one sentence per pair; ``seedbed.plots.comparison``
    draws it.
    """

    methods: Mapping[str, Method]
    pairs: Sequence[Pair]
    metric: Metric
    rules: Rules
    baseline: str | None
    scope: str
    rows: tuple[int, int] | None = None
    interrupted: bool = False
    notes: Sequence[str] = ()
    written: Written | None = None
    tries: int = 1
    fingerprint: str | None = None
    versions: Mapping[str, str] = field(default_factory=saved.versions)
    sets: Sequence[str] | None = None
    course: Course | None = None

    def __getitem__(self, names: tuple[str, str]) -> Pair:
        wanted = {str(name) for name in names} if isinstance(names, tuple) else set()
        for pair in self.pairs:
            if {pair.a, pair.b} == wanted:
                return pair
        known = ", ".join(f"({pair.a}, {pair.b})" for pair in self.pairs)
        raise KeyError(f"no pair {names!r}: the pairs are {known}")

    @property
    def seeds(self) -> npt.NDArray[np.int64]:
        """The seeds used, (n,): those of the method with the most runs."""
        return max((method.seeds for method in self.methods.values()), key=len)

    @property
    def resamples(self) -> bool:
        """Whether each seed drew its own test rows."""
        return self.rows is not None and self.scope == SCOPES["resampled"]

    @property
    def sentences(self) -> list[str]:
        """Each pair's effect, verdict and evidence in one sentence."""
        where = self.scope.partition(",")[0]
        unit = "paired runs" if self.sets is None else "data sets"
        return [
            sentence(pair, self.metric, self.rules, where, unit, self._time_ratio(pair))
            for pair in self.pairs
        ]

    def _time_ratio(self, pair: Pair) -> float | None:
        """Return a's training time over b's, if a table of data sets gives both.

        Times that ``compare`` measures are in the table alone: a sentence is the same on every run.
        """
        if self.sets is None:
            return None
        times = [self.methods[name].seconds for name in (pair.a, pair.b)]
        return times[0] / times[1] if times[0] and times[1] else None

    @property
    def lines(self) -> list[str]:
        """What is printed: the sentences, or a line for each method if the pairs are more."""
        return self.sentences if len(self.pairs) <= len(self.methods) else report.method_lines(self)

    @property
    def best(self) -> list[str]:
        """The leading method and those that are not told apart from it.

        Raises: SettingError with a baseline, as the other pairs are not judged.
        """
        if self.baseline is not None:
            raise SettingError(
                "the best method needs verdicts on all pairs: compare without a baseline"
            )
        leader, others = report.best_set(self)
        return [leader, *others]

    def to_markdown(self) -> str:
        """Return the tables of methods and pairs as Markdown."""
        return report.markdown(self)

    def to_latex(self) -> str:
        """Return the tables of methods and pairs as LaTeX's tabular, for the package booktabs."""
        return report.latex(self)

    def paragraph(self) -> str:
        """Return a paragraph for a paper's methods section: test, seeds, scope, software."""
        return report.paragraph(self)

    def on_new_data(self, a: str, b: str) -> tuple[float, float]:
        """Return an interval of a's mean gain over b on new data like this.

        Of confidence 1 - alpha for all pairs together; unbounded if a run failed. A verdict on
        resampled rows is about this data set: the splits share rows, so that more seeds are not
        more data. This interval allows for that; see ``statistics.corrected_interval``.

        Raises: SettingError if the seeds shared one split.
        """
        if not self.resamples:
            raise SettingError("an interval for new data needs split='resampled'")
        assert self.rows is not None
        pair = self[a, b]
        d = pair.differences if pair.a == a else -pair.differences
        return statistics.corrected_interval(d, self.rules.level, *self.rows)

    def extend(self, seeds: int | None = None, *, callbacks: Callbacks = ()) -> Comparison:
        """Train the undecided pairs from more seeds, and return the verdicts on all runs.

        The error rate stays within alpha, however often this is done: the adaptive design keeps a
        share of alpha for looks after 128, 256, 512 and 1,024 seeds, and the anytime test holds at
        any number. Fixed seeds cannot be extended.

        seeds  the number in all: one of these looks, or any for "anytime"; None is the next look,
               or twice as many

        Raises: SettingError; otherwise as ``compare``.
        """
        if self.course is None:
            raise SettingError(
                "there are only scores, and nothing to train: Plan.resume gives a loaded "
                "comparison its methods; judge longer scores of your own with design='anytime'"
            )
        return self.course.run(self.course.later_looks(seeds), callbacks)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the comparison to a file: all scores, seeds, rules, looks and the plan, as JSON.

        Raises: FileError if it cannot be written; SettingError for several data sets.
        """
        saved.write(path, "comparison", self.to_saved())

    @staticmethod
    def load(path: str | PathLike[str]) -> Comparison:
        """Return a comparison from its file. Its verdicts are computed from its scores again.

        It has no methods to train: ``Plan.resume`` resumes it.

        Raises: FileError if the file cannot be read, or is damaged.
        """
        content = saved.read(path, "comparison")
        with saved.undamaged(path, "comparison"):
            return Comparison.from_saved(content)

    def to_saved(self) -> dict[str, Any]:
        """Return what ``from_saved`` takes, as JSON takes it.

        Raises: SettingError for several data sets.
        """
        if self.sets is not None:
            raise SettingError(
                "scores on data sets are not saved: keep the table, and judge it again"
            )
        methods = {
            name: {
                "seeds": method.seeds.tolist(),
                "scores": saved.scores_to_list(method.scores),
                "status": None if method.status is None else method.status.tolist(),
                "epochs": None if method.epochs is None else method.epochs.tolist(),
                "seconds": method.seconds,
            }
            for name, method in self.methods.items()
        }
        pairs = [
            {"a": pair.a, "b": pair.b, "n": pair.n, "found": sentence}
            for pair, sentence in zip(self.pairs, self.sentences, strict=True)
        ]
        return {
            "metric": saved.metric_to_dict(self.metric),
            "rules": asdict(self.rules),
            "baseline": self.baseline,
            "scope": self.scope,
            "rows": self.rows,
            "interrupted": self.interrupted,
            "notes": list(self.notes),
            "plan": self.written,
            "tries": self.tries,
            "fingerprint": self.fingerprint,
            "versions": dict(self.versions),
            "pairs": pairs,
            "methods": methods,
        }

    @staticmethod
    def from_saved(content: Mapping[str, Any]) -> Comparison:
        """Return the comparison that ``to_saved`` described.

        Raises: KeyError, TypeError, ValueError, IndexError, AttributeError or ZeroDivisionError for
        anything else.
        """
        metric, rules = saved.metric_from_dict(content["metric"]), Rules(**content["rules"])
        methods = {
            name: Method(
                name,
                saved.scores_from_list(each["scores"]),
                np.array(each["seeds"]),
                None if each["status"] is None else np.array(each["status"]),
                None if each["epochs"] is None else np.array(each["epochs"], np.int64),
                each["seconds"],
            )
            for name, each in content["methods"].items()
        }
        if any(len(method.scores) != len(method.seeds) for method in methods.values()):
            raise ValueError
        pairs = [
            judge_all(
                {name: methods[name].scores[: each["n"]] for name in (each["a"], each["b"])},
                [(each["a"], each["b"])], metric, rules,
            )[0]
            for each in content["pairs"]
        ]  # fmt: skip
        return Comparison(
            methods, pairs, metric, rules, content["baseline"], content["scope"],
            content["rows"] and tuple(content["rows"]), content["interrupted"],
            tuple(content["notes"]), content["plan"] and Written(*content["plan"]),
            content["tries"], content["fingerprint"], dict(content["versions"]),
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain dicts, lists, numbers and strings."""
        return {
            "metric": self.metric.name,
            "higher_is_better": bool(self.metric.higher_is_better),
            "alpha": self.rules.alpha,
            "comparisons": self.rules.comparisons,
            "design": self.rules.design,
            "delta": self.rules.delta,
            "baseline": self.baseline,
            "scope": self.scope,
            "rows": self.rows and {"train": self.rows[0], "test": self.rows[1]},
            "interrupted": self.interrupted,
            "notes": list(self.notes),
            "plan": self.written and self.written._asdict(),
            "tries": self.tries,
            "data_sets": None if self.sets is None else list(self.sets),
            "methods": [
                {
                    "name": method.name,
                    "seeds": method.seeds.tolist(),
                    "scores": method.scores.tolist(),
                    "status": None if method.status is None else method.status.tolist(),
                    "epochs": None if method.epochs is None else method.epochs.tolist(),
                    "failed": method.failed,
                    "seconds": method.seconds,
                }
                for method in self.methods.values()
            ],
            "pairs": [
                {
                    **{
                        each.name: getattr(pair, each.name)
                        for each in fields(pair)
                        if each.name != "differences"
                    },
                    "verdict": pair.verdict.value,
                    "n": pair.n,
                    "differences": pair.differences.tolist(),
                    "sentence": sentence,
                }
                for pair, sentence in zip(self.pairs, self.sentences, strict=True)
            ],
        }

    def to_json(self) -> str:
        """Return ``to_dict`` as JSON; non-finite numbers are null."""
        return to_json(self.to_dict())

    def to_frame(self) -> Any:
        """Return a polars data frame, or a pandas one without polars: one row per run.

        Columns: method, seed, score, status, epochs.
        Raises: MissingDependencyError if neither is installed.
        """
        columns: dict[str, list[Any]] = {
            name: [] for name in ("method", "seed", "score", "status", "epochs")
        }
        for method in self.methods.values():
            n = len(method.scores)
            columns["method"] += [method.name] * n
            columns["seed"] += method.seeds.tolist()
            columns["score"] += [None if math.isnan(s) else s for s in method.scores.tolist()]
            columns["status"] += [None] * n if method.status is None else method.status.tolist()
            columns["epochs"] += [None] * n if method.epochs is None else method.epochs.tolist()
        return to_frame(columns)

    # ------------------------------------------------------------ tables

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the methods' table: its headers and its rows of strings."""
        return report.table(self)

    def __str__(self) -> str:
        return report.text(self)

    def new_data_lines(self) -> list[str]:
        """Return a line for each pair on its mean gain on new data, if it can be told."""
        return report.new_data_lines(self)

    def footer(self) -> str:
        """Return the rules and the scope of the verdicts in one line."""
        return report.footer(self)

    def __repr__(self) -> str:
        verdicts = [pair.verdict.value for pair in self.pairs]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        return f"<Comparison of {len(self.methods)} methods by {self.metric.name}: {counts}>"

    def _repr_html_(self) -> str:
        return html.block(*self._html())

    def _html(self) -> list[str]:
        return [
            html.table(*self.table()),
            html.items([*self.lines, *self.new_data_lines()]),
            html.paragraph(self.footer(), note=True),
        ]


def to_frame(columns: Mapping[str, list[Any]]) -> Any:
    """Return a polars data frame, or a pandas one without polars.

    Raises: MissingDependencyError if neither is installed.
    """
    try:
        import polars
    except ModuleNotFoundError:
        try:
            import pandas
        except ModuleNotFoundError:
            raise MissingDependencyError("polars", "cli") from None
        return pandas.DataFrame(columns)
    return polars.DataFrame(columns)
