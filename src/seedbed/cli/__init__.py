"""The command ``seedbed``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import seedbed
from seedbed.cli import predict, train, xor
from seedbed.errors import SeedbedError, SeedbedWarning

BAD_INPUT = 2


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows "?"
    with warnings.catch_warnings():
        warnings.simplefilter("always", SeedbedWarning)
        warnings.showwarning = _show_warning
        try:
            options.run(options)
            sys.stdout.flush()
        except SeedbedError as error:
            print(f"seedbed {options.command}: {error}", file=sys.stderr)
            return BAD_INPUT
        except KeyboardInterrupt:
            print(f"\nseedbed {options.command}: interrupted", file=sys.stderr)
            return 130
        except BrokenPipeError:
            # whoever read the output has seen enough: so that Python's own flush finds no pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="seedbed",
        description="Train small neural networks, many at a time, so that every result comes "
        "with its spread.",
    )
    parser.add_argument("--version", action="version", version=f"seedbed {seedbed.__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for module in (xor, train, predict):
        module.add_to(commands)
    return parser


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr)
