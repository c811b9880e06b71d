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
    return state / "seedbed" / "comparisons.jsonl"


def enter(methods: str, rows: str, settings: str) -> int:
    """Note a comparison; return how many of these methods on these rows there have been.

    Comparisons with equal settings count once: they have the same scores. A journal that cannot be
    read or written counts as empty.
    """
    file = path()
    if file is None:
        return 1
    try:
        if file.exists() and file.stat().st_size > MAX_BYTES:
            return 1
        earlier = _settings(file, methods, rows)
        if settings not in earlier:
            date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            line = {"date": date, "methods": methods, "rows": rows, "settings": settings}
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with file.open("a", encoding="utf-8") as journal:
                journal.write(json.dumps(line) + "\n")
    except OSError:
        return 1
    return len(earlier | {settings})


def _settings(file: Path, methods: str, rows: str) -> set[str]:
    """Return the settings with which these methods were compared on these rows."""
    found: set[str] = set()
    if not file.exists():
        return found
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            if (line["methods"], line["rows"]) == (methods, rows):
                found.add(str(line["settings"]))
        except (ValueError, KeyError, TypeError):  # not a line of ours
            continue
    return found
