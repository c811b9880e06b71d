"""What a comparison found: scores by seed, and what may be said of each pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, as_array, checked_number, one_line
from seedbed.comparing import statistics
from seedbed.comparing.verdict import Design, Pair, Rules, all_pairs, judge_all
from seedbed.errors import DataError, MissingDependencyError, SettingError
from seedbed.metrics import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCOPES = {
    "resampled": "on this data set, split anew for each seed",
    "fixed": "on this split of this data set",
    "given": "on the scores as given",
}


@dataclass(frozen=True, eq=False)
class Method:
    """One method's runs, one for each seed.

    scores   (n,) NaN where it failed
    seeds    (n,)
    status   (n,) as ``Population.status``; None where only scores were given
    epochs   (n,) trained; None likewise
    seconds  of training a seed, on average, with the methods trained beside it sharing the time by
             the epochs that each took (the first of all bears the engine's start); None likewise
    """

    name: str
    scores: Array
    seeds: npt.NDArray[np.int64]
    status: npt.NDArray[np.str_] | None = None
    epochs: npt.NDArray[np.int64] | None = None
    seconds: float | None = None

    @property
    def failed(self) -> int:
        """How many seeds failed."""
        return int(np.isnan(self.scores).sum())


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What ``compare`` found.

    methods      by name, each with its scores by seed
    pairs        what may be said of each pair; ``comparison["adam", "sgd"]`` is one of them
    metric       what was scored by
    rules        what was asked for before the first score
    baseline     the method that the others were held against, or None
    scope        of what the verdicts hold
    rows         how many rows were trained on and scored on; None where only scores were given
    interrupted  whether it was cut short

    ``print(comparison)`` shows a table, and one sentence a pair.
    """

    methods: Mapping[str, Method]
    pairs: Sequence[Pair]
    metric: Metric
    rules: Rules
    baseline: str | None
    scope: str
    rows: tuple[int, int] | None = None
    interrupted: bool = False

    def __getitem__(self, names: tuple[str, str]) -> Pair:
        wanted = {str(name) for name in names} if isinstance(names, tuple) else set()
        for pair in self.pairs:
            if {pair.a, pair.b} == wanted:
                return pair
        known = ", ".join(f"({pair.a}, {pair.b})" for pair in self.pairs)
        raise KeyError(f"no pair {names!r}: there are {known}")

    @property
    def seeds(self) -> npt.NDArray[np.int64]:
        """The seeds used, (n,): those of the method that was trained from most."""
        return max((method.seeds for method in self.methods.values()), key=len)

    @property
    def sentences(self) -> list[str]:
        """What may be said of each pair, a sentence each."""
        return [pair.sentence(self.metric, self.rules) for pair in self.pairs]

    @property
    def needed(self) -> int | None:
        """The most paired runs that an undecided pair still needs; None if none is known."""
        return max((pair.needed for pair in self.pairs if pair.needed is not None), default=None)

    def on_new_data(self, a: str, b: str) -> tuple[float, float]:
        """Return an interval of a's mean gain over b on new data like this.

        See ``statistics.corrected_interval``.

        Raises: SettingError if the splits were not drawn anew for each seed.
        """
        if self.rows is None or self.scope != SCOPES["resampled"]:
            raise SettingError("what holds on new data can be said of resampled splits alone")
        pair = self[a, b]
        d = pair.differences if pair.a == a else -pair.differences
        return statistics.corrected_interval(d, self.rules.alpha, *self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain lists, numbers and words."""
        return {
            "metric": self.metric.name,
            "higher_is_better": bool(self.metric.higher_is_better),
            "alpha": self.rules.alpha,
            "comparisons": self.rules.comparisons,
            "design": self.rules.design,
            "delta": self.rules.delta,
            "baseline": self.baseline,
            "scope": self.scope,
            "rows": None
            if self.rows is None
            else dict(zip(("train", "test"), self.rows, strict=True)),
            "interrupted": self.interrupted,
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
                        field.name: getattr(pair, field.name)
                        for field in fields(pair)
                        if field.name != "differences"
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
        """Return ``to_dict`` as JSON; numbers that are not finite are null."""
        import json

        return json.dumps(_finite(self.to_dict()), indent=2, allow_nan=False)

    def to_frame(self) -> Any:
        """Return a data frame (polars, or pandas where that is not there): one run a row.

        Its columns are method, seed, score, status, epochs.
        Raises: MissingDependencyError where neither is installed.
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
        return frame_of(columns)

    def plot(self) -> Figure:
        """Return a picture: the scores by seed, and each pair's gains with their interval.

        Raises: MissingDependencyError without matplotlib.
        """
        from seedbed import plots

        return plots.comparison(self)

    # ------------------------------------------------------------ tables

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Return the methods' table: its headers, and its rows of texts, in the order given."""
        metric = self.metric
        headers = ["method", "seeds", metric.name, "quartiles", "failed"]
        timed = any(method.seconds is not None for method in self.methods.values())
        rows = []
        for method in self.methods.values():
            low, middle, high = _quartiles(method.scores, metric)
            row = [
                method.name + (" (baseline)" if method.name == self.baseline else ""),
                str(len(method.scores)),
                middle,
                f"{low} to {high}",
                f"{method.failed} of {len(method.scores)}",
            ]
            if timed:
                row.append("-" if method.seconds is None else _shown_seconds(method.seconds))
            rows.append(row)
        return headers + (["a seed's training"] if timed else []), rows

    def __str__(self) -> str:
        headers, rows = self.table()
        widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            first, *others = (
                cell.rjust(width) if number else cell.ljust(width)
                for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "  ".join([first, *others]).rstrip()

        ruled = "  ".join("─" * width for width in widths)
        shown = [line(headers), ruled, *map(line, rows), "", *self.sentences, "", self.footer()]
        return "\n".join(shown)

    def footer(self) -> str:
        """Return what the verdicts hold for."""
        rules = self.rules
        better = "higher" if self.metric.higher_is_better else "lower"
        design = {
            "fixed": "a number of seeds fixed beforehand",
            "adaptive": f"looks at {', '.join(map(str, rules.looks))} seeds",
            "anytime": "valid at any time",
        }[rules.design]
        pairs = "1 pair"
        if rules.comparisons > 1:
            pairs = f"{rules.comparisons} pairs, intervals for each alone"
        cut = "cut short; " if self.interrupted else ""
        return (
            f"({cut}{self.metric.name}, {better} is better; medians and quartiles of seeds; "
            f"{self.scope}; alpha {rules.alpha:g} over {pairs}; {design})"
        )

    def __repr__(self) -> str:
        verdicts = [pair.verdict.value for pair in self.pairs]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        return f"<Comparison of {len(self.methods)} methods by {self.metric.name}: {counts}>"

    def _repr_html_(self) -> str:
        import html

        headers, rows = self.table()

        def row(cells: Sequence[str], tag: str) -> str:
            styles = ["left", *["right"] * len(cells)]
            inside = "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for side, cell in zip(styles, cells, strict=False)
            )
            return f"<tr>{inside}</tr>"

        body = "".join(row(cells, "td") for cells in rows)
        said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        return (
            f"<table><thead>{row(headers, 'th')}</thead><tbody>{body}</tbody></table>"
            f"<ul>{said}</ul><p><small>{html.escape(self.footer())}</small></p>"
        )


def judge(
    scores: Mapping[str, Any],
    *,
    higher_is_better: bool,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Any = None,
    design: Design = "fixed",
    name: str = "score",
) -> Comparison:
    """Say what may be said of scores that are there already, of this library's or another's.

    scores  for each method its score by seed, (n,), the same seeds in the same order; NaN where it
            failed
    design  "fixed" if n was chosen before the first score was seen, "anytime" if not, and
            "adaptive" if there were looks at 8, 16, 32, 64 seeds and nowhere else
    seeds   the seeds, (n,), to be named in tables; None counts from 0

    The rest as ``compare``, which see.
    Raises: SettingError or DataError for scores that cannot be compared.
    >>> import seedbed as sb
    >>> a, b = [0.91, 0.90, 0.93, 0.92, 0.94, 0.95], [0.90, 0.89, 0.90, 0.88, 0.89, 0.89]
    >>> found = sb.judge({"a": a, "b": b}, higher_is_better=True)
    >>> found["a", "b"].verdict.value, found["a", "b"].p
    ('better', 0.03125)
    """
    metric = Metric(name, _no_function, higher_is_better)
    arrays = {name: _checked_scores(name, value) for name, value in by_name(scores).items()}
    counts = {len(array) for array in arrays.values()}
    if len(counts) > 1:
        each = ", ".join(f"{key} has {len(array)}" for key, array in arrays.items())
        raise DataError(f"methods need scores of the same seeds, one each: {each}")
    baseline = None if baseline is None else str(baseline)
    rules = checked_rules(list(arrays), baseline, alpha, delta, design)
    (n,) = counts
    named = np.arange(n) if seeds is None else as_array(seeds, "seeds", SettingError)
    if named.shape != (n,):
        raise DataError(f"there are {n} scores a method and {named.size} seeds")
    return Comparison(
        methods={key: Method(key, array, named) for key, array in arrays.items()},
        pairs=judge_all(arrays, all_pairs(list(arrays), baseline), metric, rules),
        metric=metric,
        rules=rules,
        baseline=baseline,
        scope=SCOPES["given"],
    )


def by_name(methods: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what is given by name, the names as texts of one line.

    Raises: SettingError if two become one.
    """
    named = {" ".join(str(name).split()): value for name, value in dict(methods).items()}
    if len(named) < len(methods):
        raise SettingError(f"two methods have one name: {one_line(list(methods))}")
    return named


def checked_rules(
    names: Sequence[str], baseline: str | None, alpha: float, delta: float | None, design: Design
) -> Rules:
    """Return the rules of a comparison of the methods named.

    Raises: SettingError.
    """
    if len(names) < 2:
        raise SettingError(
            f"there {'is 1 method' if names else 'are no methods'}; a comparison needs at least two"
        )
    if baseline is not None and str(baseline) not in names:
        raise SettingError(
            f"baseline {one_line(baseline)} is none of the methods: {', '.join(names)}"
        )
    if design not in ("fixed", "adaptive", "anytime"):
        raise SettingError(
            f"design must be 'fixed', 'adaptive' or 'anytime', not {one_line(design)}"
        )
    alpha = checked_number("alpha", alpha, 0.0, 0.5, open_low=True)
    if delta is not None:
        delta = checked_number("delta", delta, 0.0, open_low=True)
    return Rules(alpha, len(all_pairs(names, baseline)), design, delta)


def _checked_scores(name: str, value: Any) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        value = np.where(np.ma.getmaskarray(value), np.nan, value.data)
    array = as_array(value, f"the scores of {name}", DataError)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "fiub":
        raise DataError(
            f"the scores of {name} are {one_line(value)}; they must be numbers, one for each seed"
        )
    scores = array.astype(np.float64)
    if np.isinf(scores).any():
        raise DataError(f"the scores of {name} hold an infinite one: mark a failed run with NaN")
    return scores


def frame_of(columns: Mapping[str, list[Any]]) -> Any:
    """Return a polars frame, or a pandas one where that is not there.

    Raises: MissingDependencyError where neither is installed.
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


def _no_function(t: Array, p: Array) -> float:
    raise NotImplementedError("scores were given, not predictions")


def _quartiles(scores: Array, metric: Metric) -> tuple[str, str, str]:
    """Return the quartiles' texts; a failed run counts as worst."""
    worst = -math.inf if metric.higher_is_better else math.inf
    filled = np.sort(np.where(np.isnan(scores), worst, scores))
    shown = []
    for share in (0.25, 0.5, 0.75):
        place = share * (len(filled) - 1)
        low, high = filled[math.floor(place)], filled[math.ceil(place)]
        value = low + (high - low) * (place % 1) if np.isfinite([low, high]).all() else worst
        shown.append(metric.format(float(value)) if math.isfinite(value) else "failed")
    return shown[0], shown[1], shown[2]


def _shown_seconds(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale or unit == "µs":
            return f"{seconds / scale:.3g} {unit}"
    raise AssertionError


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
