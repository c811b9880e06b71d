"""Scores of many runs on one or more data sets, in a long table: a row for each run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedbed.arrays import Array, one_line
from seedbed.comparing.statistics import typical_gain
from seedbed.comparing.verdict import Gains, gains
from seedbed.errors import DataError, SettingError
from seedbed.metrics import Metric

ROLES = {
    "method": ("method", "algorithm", "model", "estimator", "framework", "classifier"),
    "data set": ("dataset", "data set", "data_set", "task", "table", "problem"),
    "run": ("seed", "fold", "split", "repeat", "run", "random_state"),
}
"""The columns' usual names, by what they hold; upper and lower case are one."""
_TIMES = ("time", "seconds", "duration")


@dataclass(frozen=True)
class LogError(Metric):
    """An error on a logarithmic scale: a gain of g is an error smaller by 1 - exp(-g)."""

    def in_units(self, gains: Any) -> Any:
        """Return by how many percent the error is smaller."""
        return -100 * np.expm1(-np.asarray(gains))

    @property
    def gain_unit(self) -> str:
        """The unit of a gain, with a leading space."""
        return " % of the error"


@dataclass(frozen=True, eq=False)
class Suite:
    """The scores of a long table.

    methods   in order of appearance
    sets      the data sets, in order of appearance
    scores    by method and data set, (n,) in one order of the set's runs; NaN where a run failed
    score     the column of the scores
    seconds   each method's geometric mean of the first column of times, if there is one
    """

    methods: list[str]
    sets: list[str]
    scores: dict[tuple[str, str], Array]
    score: str
    seconds: dict[str, float]


def is_long(frame: Any, columns: Mapping[str, str] | None) -> bool:
    """Return whether a frame has a row for each run: it has a column of methods' names."""
    if columns:
        return True
    for name in frame.columns:
        if str(name).lower() in ROLES["method"] and not frame[name].dtype.is_numeric():
            return all(isinstance(value, str) for value in frame[name].to_list())
    return False


def suite_of(
    frame: Any, columns: Mapping[str, str] | None, as_numbers: Callable[[str, Any], Array]
) -> Suite:
    """Return the scores of a long table (a narwhals frame).

    columns     the names of its columns by role: "method", "data set", "run", "score"
    as_numbers  reads a column of scores, given its name and values

    Raises: SettingError for columns that cannot be found; DataError if a run is listed twice, or a
    method lacks one.
    """
    names = [str(name) for name in frame.columns]
    if columns is not None and not isinstance(columns, Mapping):
        raise SettingError(
            f"columns must be a dict by role, such as {{'score': 'rmse'}}, not {one_line(columns)}"
        )
    role = _roles(names, dict(columns or {}))
    score = role.pop("score", None) or _score_column(frame, names, role)
    texts = {
        key: [one_line(v) if not isinstance(v, str) else v for v in frame[column].to_list()]
        for key, column in role.items() if isinstance(column, str)
    }  # fmt: skip
    runs = [frame[column].to_list() for column in role["run"]]
    labels = (
        [" ".join(map(str, each)) for each in zip(*runs, strict=True)]
        if runs
        else [""] * len(frame)
    )
    sets = texts.get("data set", [""] * len(frame))
    values = as_numbers(score, frame[score].to_numpy())
    table: dict[tuple[str, str, str], float] = {}
    for method, data_set, run, value in zip(texts["method"], sets, labels, values, strict=True):
        key = method, data_set, run
        if key in table:
            where = f" on {data_set}" if data_set else ""
            raise DataError(
                f"{method} has two scores{where} for run {run or '(no column tells runs apart)'}: "
                "leave repetitions out, or name the column of seeds or folds in columns={'run': …}"
            )
        table[key] = float(value)
    methods, found = list(dict.fromkeys(texts["method"])), list(dict.fromkeys(sets))
    ordered = {name: list(dict.fromkeys(r for _, s, r in table if s == name)) for name in found}
    scores = {}
    for method in methods:
        for name in found:
            lacking = [run for run in ordered[name] if (method, name, run) not in table]
            if lacking:
                where = f" on {name}" if name else ""
                raise DataError(
                    f"{method} has no score{where} for run {lacking[0] or '0'}: methods need "
                    "scores on the same runs; mark a failed run with NaN"
                )
            scores[method, name] = np.array([table[method, name, run] for run in ordered[name]])
    return Suite(methods, found, scores, score, _seconds(frame, names, texts["method"]))


def _seconds(frame: Any, names: Sequence[str], methods: Sequence[str]) -> dict[str, float]:
    """Return each method's geometric mean of the first column of times above 0."""
    for name in names:
        if name.lower().startswith(_TIMES) and frame[name].dtype.is_numeric():
            values = frame[name].to_numpy().astype(np.float64)
            if not (values > 0).all():
                return {}
            own = np.array(methods)
            return {m: float(np.exp(np.log(values[own == m]).mean())) for m in set(methods)}
    return {}


def log_errors(suite: Suite, higher_is_better: bool) -> dict[tuple[str, str], Array]:
    """Return the logarithm of each run's error: of the score, or of 1 - score if higher is better.

    Raises: DataError for scores that are no errors, or no shares.
    """
    logs = {}
    for (method, name), scores in suite.scores.items():
        errors = 1 - scores if higher_is_better else scores
        wrong = errors < 0
        if wrong.any():
            what = "scores above 1" if higher_is_better else "negative scores"
            raise DataError(
                f"{method} on {name} has {what} ({one_line(scores[wrong][0].item())}), whose error "
                "has no logarithm: give errors with higher_is_better=False, or scores up to 1"
            )
        with np.errstate(divide="ignore"):
            logs[method, name] = np.log(errors)
    return logs


def gains_by_set(suite: Suite, logs: Mapping[tuple[str, str], Array], a: str, b: str) -> Gains:
    """Return a's typical gain over b on each data set, in log error."""
    d, failed = np.empty(len(suite.sets)), np.zeros((2, len(suite.sets)), np.bool_)
    for number, name in enumerate(suite.sets):
        pair = logs[a, name], logs[b, name]
        d[number] = typical_gain(gains(*pair, False))
        failed[:, number] = [np.isnan(each).all() for each in pair]
    return Gains(d, failed[0], failed[1], (int(failed[0].sum()), int(failed[1].sum())))


def relative_errors(suite: Suite, logs: Mapping[tuple[str, str], Array]) -> dict[str, Array]:
    """Return each method's error on each data set over the geometric mean of all methods'."""
    medians = np.array([
        [_median(logs[method, name]) for name in suite.sets] for method in suite.methods
    ])  # fmt: skip
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(medians), medians, np.nan)
        known = np.isfinite(medians).sum(axis=0)
        middle = np.nansum(finite, axis=0) / np.maximum(known, 1)
        return dict(zip(suite.methods, np.exp(medians - middle), strict=True))


def _median(logs: Array) -> float:
    known = logs[~np.isnan(logs)]
    return float(np.median(known)) if len(known) else math.nan


def _roles(names: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """Return the columns by role; "run" is a list."""
    unknown = [key for key in given if key not in (*ROLES, "score")]
    if unknown:
        raise SettingError(
            f"columns has the role {one_line(unknown[0])}: the roles are {', '.join(ROLES)}, score"
        )
    wrong = [v for v in given.values() if not isinstance(v, str | list | tuple)]
    if wrong:
        raise SettingError(f"columns must hold names of columns, not {one_line(wrong[0])}")
    role: dict[str, Any] = {}
    for key, usual in ROLES.items():
        asked = given.get(key)
        asked = [asked] if isinstance(asked, str) else list(asked or ())
        found = asked or [name for name in names if name.lower() in usual]
        missing = [name for name in found if name not in names]
        if missing:
            raise SettingError(
                f"there is no column {one_line(missing[0])}: the columns are {', '.join(names)}"
            )
        if key == "run":
            role[key] = found
        elif found:
            role[key] = found[0]
    if "method" not in role:
        raise SettingError(
            f"no column names the methods: the columns are {', '.join(names)}; name it in "
            "columns={'method': …}"
        )
    if "score" in given:
        if given["score"] not in names:
            raise SettingError(
                f"there is no column {one_line(given['score'])}: the columns are {', '.join(names)}"
            )
        role["score"] = given["score"]
    return role


def _score_column(frame: Any, names: Sequence[str], role: Mapping[str, Any]) -> str:
    """Return the one column left that may hold the scores."""
    used = {*role["run"], *(column for column in role.values() if isinstance(column, str))}
    left = [
        name for name in names
        if name not in used and not name.lower().startswith(_TIMES)
        and (frame[name].dtype.is_numeric() or str(frame[name].dtype) == "Object")
    ]  # fmt: skip
    if len(left) != 1:
        found = f"several columns ({', '.join(left)})" if left else "no column"
        raise SettingError(f"{found} may hold the scores: name one in columns={{'score': …}}")
    return left[0]
