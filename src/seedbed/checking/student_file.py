"""Checks the gradient in a Python file, in a process of its own: python -m … FILE RESULT SECONDS.

The result is a JSON object: text and report, or error.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import io
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from seedbed.arrays import one_line
from seedbed.checking.check import check_gradient
from seedbed.checking.report import GradientReport
from seedbed.errors import DataError, SeedbedError

FUNCTIONS = ("loss_and_gradient", "f")
NETWORKS = ("net", "network", "model")


class _Printed(io.TextIOBase):
    """Standard output that notes what the file prints first, and where."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first: tuple[int | None, str] | None = None

    def writable(self) -> bool:
        """Return True: print asks."""
        return True

    def write(self, text: str) -> int:
        """Note the text and the file's line."""
        if self.first is None and text:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_code.co_filename != str(self.path):
                frame = frame.f_back
            is_file = frame.f_code.co_filename == str(self.path)
            self.first = frame.f_lineno if is_file else None, text
        return len(text)


def check(path: Path, seed: int) -> GradientReport:
    """Run a file and check the gradient that it defines.

    Raises: DataError if it defines none; whatever the file raises.
    """
    spec = importlib.util.spec_from_file_location("student_file", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["student_file"] = module
    spec.loader.exec_module(module)
    X, Y = _defined(module, "X", "x"), _defined(module, "Y", "y")
    for name in FUNCTIONS:
        if callable(_defined(module, name)):
            theta = _defined(module, "theta")
            if theta is None:
                raise DataError(f"it defines {name} but no theta, the parameters to check at")
            masks = _defined(module, "masks")
            if X is None or Y is None:  # one of them alone says nothing
                X = Y = None
            return check_gradient(
                getattr(module, name), theta, X, Y, masks=() if masks is None else masks, seed=seed
            )
    for name in NETWORKS:
        if _defined(module, name) is not None:
            return check_gradient(getattr(module, name), None, X, Y, seed=seed)
    raise DataError(
        "it defines no gradient: define loss_and_gradient(theta) and theta, or net, X and Y"
    )


def _defined(module: ModuleType, *names: str) -> Any:
    """Return what the file defines by the first of these names; None if it has none."""
    return next((getattr(module, name) for name in names if hasattr(module, name)), None)


def _error(error: BaseException, path: Path) -> str:
    """Return the error with the file's line on which it arose, on one line."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f" line {error.lineno}: SyntaxError: {error.msg}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    where = f" line {lines[-1]}" if lines else ""
    if isinstance(error, SeedbedError):
        return f"{where}: {error}"
    text = " ".join(str(error).split())[:300]
    return f"{where}: {type(error).__name__}{': ' if text else ''}{text}"


def main() -> None:
    """Check the file named by the command line and write the result."""
    path, result, seconds, seed = Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:5]
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(path.parent))
    trace = result.with_suffix(".trace").open("w", encoding="utf-8")
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=trace)
    printed = sys.stdout = _Printed(path)
    content: dict[str, Any]
    try:
        report = check(path, int(seed))
        content = {"text": str(report), "summary": report.summary, "report": report.to_dict()}
    except BaseException as error:  # the file may raise anything, SystemExit too
        content = {"error": _error(error, path)}
    if printed.first is not None and "error" not in content:
        line, text = printed.first
        where = "" if line is None else f" line {line}"
        content = {"error": f"{where} prints {one_line(text, 30)}: leave prints out"}
    faulthandler.cancel_dump_traceback_later()
    result.write_text(json.dumps(content), encoding="utf-8")
    os._exit(0)  # threads that the file has started don't hold the process


if __name__ == "__main__":
    main()
