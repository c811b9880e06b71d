"""``seedbed check FILE.py``: checks the gradient that a Python file defines."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed.cli.show import print_json
from seedbed.errors import DataError, FileError

_GRACE = 30.0
"""Seconds that a file's process has to start and to end, besides its time limit."""


def run(options: Namespace) -> int:
    """Check the file in a process of its own and print the report; return the exit status.

    Raises: FileError if it cannot be read, DataError if it raises, prints, takes too long or
    defines no gradient.
    """
    path = Path(options.file)
    if not path.is_file():
        raise FileError(f"cannot read {path}: there is no such file")
    found = _checked(path, options.timeout, options.seed)
    if "error" in found:
        raise DataError(f"{path}{found['error']}")
    if options.json:
        print_json({"checked": str(path), **found["report"]})
    else:
        print(f"{path}\n{found['text']}\n{found['summary']}")
    return 0 if found["report"]["agrees"] else 1


def _checked(path: Path, timeout: float, seed: int) -> dict[str, Any]:
    """Return the result of the process that checks the file."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-P", "-m", "seedbed.checking.student_file"]
        command += [str(path.absolute()), str(result), str(timeout), str(seed)]
        with Path(folder, "printed").open("wb") as printed:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(timeout + _GRACE)
            except subprocess.TimeoutExpired:
                status = None
            finally:
                _end(process)
        trace = result.with_suffix(".trace")
        stuck = trace.read_text("utf-8") if trace.is_file() else ""
        if stuck or status is None:
            name = re.escape(str(path.absolute()))
            line = re.search(rf'File "{name}", line (\d+)', stuck)
            where = f" line {line[1]}" if line else ""
            return {"error": f"{where}: not done after {timeout:g} s (--timeout)"}
        if not result.is_file():
            return {"error": f": it ended the process with status {status}"}
        found: dict[str, Any] = json.loads(result.read_text("utf-8"))
        if Path(folder, "printed").stat().st_size and "error" not in found:
            return {"error": " prints: leave prints out"}
        return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that the file has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
