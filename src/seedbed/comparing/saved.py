"""Comparisons and searches as files: JSON text with all scores."""

from __future__ import annotations

import contextlib
import datetime
import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from seedbed.arrays import Array, checked_path, one_line
from seedbed.errors import FileError
from seedbed.metrics import Metric
from seedbed.writing import write_atomically

VERSION = 1
MAX_BYTES, MAX_VALUES = 2**26, 2_000_000
"""The longest text and the most values of a file: more than 1,000 methods from 1,000 seeds."""


def versions() -> dict[str, str]:
    """Return the versions of what trains and judges."""
    from seedbed import __version__

    return {"seedbed": __version__, "python": platform.python_version(), "numpy": np.__version__}


def now() -> str:
    """Return the time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write(path: str | PathLike[str], kind: str, content: Mapping[str, Any]) -> None:
    """Write content of a kind, such as "comparison", with its date and versions.

    Raises: FileError if it cannot be written.
    """
    saved = {
        "format": f"seedbed {kind}", "version": VERSION, "date": now(), "versions": versions(),
        **content,
    }  # fmt: skip
    write_atomically(path, (json.dumps(saved, indent=1, allow_nan=False) + "\n").encode())


def read(path: str | PathLike[str], kind: str) -> dict[str, Any]:
    """Return what ``write`` wrote.

    Raises: FileError if the file cannot be read, or holds something else.
    """
    path = checked_path(path)
    try:
        content = parsed(path.read_bytes())
        if content["format"] != f"seedbed {kind}":
            raise ValueError
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FileError(f"{path} is no {kind} of Seedbed") from None
    if content.get("version") != VERSION:
        raise FileError(
            f"{path} is of version {one_line(content.get('version'))} of its format, and this "
            f"Seedbed reads version {VERSION}"
        )
    return dict(content)


def parsed(text: bytes) -> Any:
    """Return what JSON text holds.

    Raises: ValueError for invalid text, and for one that would take long and much memory to parse.
    """
    if len(text) > MAX_BYTES or sum(text.count(each) for each in b",[{") > MAX_VALUES:
        raise ValueError("the text is too long")
    return json.loads(text)


@contextlib.contextmanager
def undamaged(path: str | PathLike[str], kind: str) -> Iterator[None]:
    """Raise FileError for content that is not as it was written."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError):
        raise FileError(f"{path} is a damaged {kind}: save it again") from None


def scores_to_list(scores: Array) -> list[float | str | None]:
    """Return scores as JSON takes them: null for NaN, "inf" and "-inf"."""
    return [
        None if math.isnan(s) else s if math.isfinite(s) else "inf" if s > 0 else "-inf"
        for s in scores.tolist()
    ]


def scores_from_list(values: Sequence[Any]) -> Array:
    """Return the array that ``scores_to_list`` wrote.

    Raises: TypeError or ValueError for anything else.
    """
    return np.array([math.nan if value is None else float(value) for value in values], np.float64)


def metric_to_dict(metric: Metric) -> dict[str, Any]:
    """Return what the scores of a metric mean."""
    return {
        "name": metric.name, "higher_is_better": bool(metric.higher_is_better),
        "percent": metric.percent,
    }  # fmt: skip


def metric_from_dict(saved: Mapping[str, Any]) -> Metric:
    """Return a metric that formats scores, and cannot compute them."""
    name, higher, percent = str(saved["name"]), saved["higher_is_better"], bool(saved["percent"])
    return Metric(name, not_computed, higher, percent=percent)


def not_computed(t: Array, p: Array) -> float:
    """Stand in for a metric's function where only scores are known."""
    raise NotImplementedError("scores were given, not predictions")
