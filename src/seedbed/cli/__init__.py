"""The command ``seedbed``."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import seedbed
from seedbed.errors import SeedbedError, SeedbedWarning, message_of, reason, visible
from seedbed.interrupts import ending_signals

BAD_INPUT, INTERRUPTED = 2, 130
"""The exit statuses for bad input and after Ctrl-C, as in shells."""

COMMANDS = (
    "xor", "train", "resume", "predict", "export", "info", "diagnose", "explain", "check",
    "compare", "verify",
)  # fmt: skip
"""The commands, each a module of this package that is imported when it is used."""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown arguments here, so that the error names the command."""
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for bad input, 130 after Ctrl-C, 143 after
    SIGTERM.

    All files are written before anything is printed.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given[:1]).parse_args(given)
    options.arguments = given[1:]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal shows ? for a character it lacks
    streams = sys.stdout, sys.stderr
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if in_main else None
    # the progress line returns to its beginning
    sys.stdout, sys.stderr = _Visible(sys.stdout, "\n"), _Visible(sys.stderr, "\r")
    try:
        with warnings.catch_warnings(), ending_signals() as last_signal:
            warnings.simplefilter("always", SeedbedWarning)
            warnings.showwarning = _show_warning
            status = _run(options)
    finally:
        sys.stdout, sys.stderr = streams
        if in_main and handler is not None:
            signal.signal(signal.SIGINT, handler)
    return 128 + last_signal() if status == INTERRUPTED else status


def _run(options: argparse.Namespace) -> int:
    """Run the command; an error is one line."""
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except SeedbedError as error:
        return _failed(options, str(error))
    except MemoryError:
        return _failed(options, "out of memory: ask for less")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print(f"\nseedbed {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()  # the reader closed the pipe; files were written before
        return 0
    except OSError as error:
        _silence_stdout()
        return _failed(options, f"cannot write the output: {reason(error)}")
    return status


class _Visible:
    """A text stream that shows the control characters of what is printed, but for ``kept``."""

    def __init__(self, stream: Any, kept: str) -> None:
        self.stream, self.kept = stream, kept

    def write(self, text: str) -> Any:
        """Write visible text."""
        return self.stream.write(self.kept.join(map(visible, text.split(self.kept))))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _failed(options: argparse.Namespace, message: str) -> int:
    print(f"seedbed {options.command}: {message_of(message)}", file=sys.stderr)
    return BAD_INPUT


def _silence_stdout() -> None:
    """Redirect stdout to devnull so that the flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(first: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of the command that the first argument names; of all, if it names none."""
    parser = _Parser(
        prog="seedbed",
        description="Train small neural networks, many at a time, so that every result comes "
        "with its spread.",
    )
    parser.add_argument("--version", action="version", version=f"seedbed {seedbed.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name in first if first and first[0] in COMMANDS else COMMANDS:
        importlib.import_module(f"seedbed.cli.{name}").add_to(commands)
    return parser


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
