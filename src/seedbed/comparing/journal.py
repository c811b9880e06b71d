"""A local journal of comparisons, which makes repeated tries visible.

A line for each comparison: the date, and hashes of its methods, its rows and its settings. It holds
no data. The file is ``comparisons.jsonl`` in the user's folder for the state of programs;
``SEEDBED_JOURNAL`` names another one, and ``off`` keeps none.
"""

from __future__ import annotations

import datetime
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

VARIABLE = "SEEDBED_JOURNAL"
MAX_BYTES = 50_000_000
"""A longer journal is neither read nor continued."""


def path() -> Path | None:
    """Return the journal's path, or None if none is kept."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return None if given in ("", "off") else Path(given)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        state = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        state = home / "Library" / "Application Support"
    else:
        state = Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
    # a relative folder would be below the working directory
    return state / "seedbed" / "comparisons.jsonl" if state.is_absolute() else None


class Known(NamedTuple):
    """What the journal knows of a comparison.

    tries  how many comparisons of these methods on these rows there have been, this one included
    first  when this one was first begun, or None if that is not known
    """

    tries: int
    first: str | None


def enter(methods: str, rows: str, settings: str) -> Known:
    """Note a comparison, and return what is known of it.

    Comparisons with equal settings count once: they have the same scores. A journal that cannot be
    read or written counts as empty.
    """
    file = path()
    if file is None:
        return Known(1, None)
    try:
        if file.exists() and file.stat().st_size > MAX_BYTES:
            return Known(1, None)
        earlier = _dates(file, methods, rows)
        first = earlier.get(settings)
        if first is None:
            date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            line = {"date": date, "methods": methods, "rows": rows, "settings": settings}
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with file.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(line) + "\n")
    except OSError:
        return Known(1, None)
    return Known(len(earlier.keys() | {settings}), first)


def _dates(file: Path, methods: str, rows: str) -> dict[str, str]:
    """Return the settings with which these methods were compared on these rows, and when first."""
    found: dict[str, str] = {}
    if not file.exists():
        return found
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            if (line["methods"], line["rows"]) == (methods, rows):
                found.setdefault(str(line["settings"]), str(line["date"]))
        except (ValueError, KeyError, TypeError):  # not a line of ours
            continue
    return found
