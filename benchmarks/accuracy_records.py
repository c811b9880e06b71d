"""Records of accuracy.py: a JSON object a line, each of one method on one split of one table.

A record's ``setting`` names what ran: the source and the parameters of Seedbed, or the version of a
peer. Records of different settings are never mixed: ``complete`` returns those of one.
"""

import datetime
import hashlib
import importlib.metadata
import json
import platform
from functools import cache
from pathlib import Path

from machine import processor

import seedbed

OURS = "Seedbed"
EFFORTS = {"Seedbed, fast": {"effort": "fast"}, "Seedbed, high": {"effort": "high"}}
"""Seedbed's other efforts, and their parameters."""
PACKAGES = {
    "CatBoost": ("catboost",),
    "RealMLP-TD": ("pytabkit", "torch"),
    "TabM-D": ("pytabkit", "torch"),
    "RealMLP-TD-S": ("pytabkit", "torch"),
    "HistGradientBoosting": ("scikit-learn",),
    "scikit-learn MLP": ("scikit-learn",),
    "scikit-learn MLP, early stopping": ("scikit-learn",),
}
"""Each peer's packages; the first one's version is its setting."""
PEERS = tuple(PACKAGES)


class LackingError(Exception):
    """Records that a page or a summary needs are lacking."""


@cache
def source():
    """Return a hash of the content of Seedbed's source files."""
    folder = Path(seedbed.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def setting(method, parameters=None):
    """Return what distinguishes a method's records from those of another version of it."""
    if method in PACKAGES:
        return f"{PACKAGES[method][0]} {importlib.metadata.version(PACKAGES[method][0])}"
    given = json.dumps(parameters, sort_keys=True) if parameters else ""
    return f"source {source()} {given}".rstrip()


def stamped(method):
    """Return the part of a record that says with what, where and when it was measured."""
    packages = ("numpy", "pandas", *PACKAGES.get(method, ("scikit-learn", "numba")))
    versions = {name: importlib.metadata.version(name) for name in packages}
    if method not in PACKAGES:
        versions["seedbed"] = seedbed.__version__
    return {
        "versions": {"python": platform.python_version(), **versions},
        "cpu": processor(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def append(path, record):
    """Append one line, in one write: several processes may append to the same file."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read(path):
    """Return the file's records; of those that differ in nothing but when, the last.

    Raises: ValueError if a line is not JSON.
    """
    kept = {}
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            raise ValueError(f"line {number} of {path} is not JSON: delete it") from None
        kept[key(record)] = record
    return list(kept.values())


def key(record):
    return tuple(record.get(name) for name in ("method", "setting", "table", "split", "part"))


def by_setting(records, method):
    """Return the method's records by setting, the most recently measured setting last."""
    found = {}
    mine = [record for record in records if record.get("method") == method and "table" in record]
    for record in sorted(mine, key=lambda record: record["date"]):
        found.setdefault(record["setting"], []).append(record)
    return dict(sorted(found.items(), key=lambda item: item[1][-1]["date"]))


def newest(records, method):
    """Return the method's records of the newest setting.

    Raises: LackingError if it has none.
    """
    found = by_setting(records, method)
    if not found:
        known = dict.fromkeys(record["method"] for record in records if "table" in record)
        raise LackingError(f"no records of {method}: there are those of {', '.join(known)}")
    return list(found.values())[-1]


def complete(records, method, tables, splits):
    """Return the method's records of the newest setting that has all tables and splits.

    Raises: LackingError if there is no such setting; the message names what the newest one lacks.
    """
    wanted = [(table, split) for table in tables for split in range(splits)]
    for one in reversed(by_setting(records, method).values()):
        cells = {(record["table"], record["split"]): record for record in one}
        if set(wanted) <= set(cells):
            return [cells[cell] for cell in wanted]
    have = {(record["table"], record["split"]) for record in newest(records, method)}
    lacking = {}
    for table, split in wanted:
        if (table, split) not in have:
            lacking.setdefault(table, []).append(str(split))
    shown = ", ".join(
        table if len(which) == splits else f"{table} (split {', '.join(which)})"
        for table, which in lacking.items()
    )
    raise LackingError(f"{method} lacks {shown}: run accuracy.py --methods {method!r}")
