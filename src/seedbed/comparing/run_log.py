"""A file of finished runs, from which an interrupted comparison or search goes on.

The file is text. Its first line describes what is run, as JSON; each further line is one finished
run. Lines are only ever added, and synced, so that a crash costs at most the block of runs that it
interrupts. A line that was cut short is run again.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from os import PathLike
from typing import Any

import numpy as np

from seedbed import writing
from seedbed.arrays import checked_path, one_line
from seedbed.comparing import saved
from seedbed.comparing.blocks import Outcome
from seedbed.errors import FileError, SeedbedWarning, SettingError, reason
from seedbed.fingerprints import digest

FORMAT, VERSION = "seedbed runs", 1


class RunLog:
    """The finished runs of one comparison or search.

    path         the file, which is written if it does not exist
    description  what is run, as JSON takes it: runs of anything else are refused

    Raises: FileError if the file cannot be read or written, or holds something else; SettingError
    if it holds runs of another comparison.
    """

    def __init__(self, path: str | PathLike[str], description: Mapping[str, Any]) -> None:
        self.path = checked_path(path, "checkpoint")
        self.known: dict[tuple[str, str, int], Outcome] = {}
        self.file: int | None = None
        self.size, self.warned = 0, False
        self.description = json.loads(json.dumps(description, default=repr))
        kind = writing.kind_of(self.path)
        if kind not in ("file", "nothing"):
            raise FileError(f"{self.path} is no file that runs can be kept in: give another name")
        if kind == "nothing":
            header = {
                "format": FORMAT, "version": VERSION, "date": saved.now(),
                "versions": saved.versions(), "runs": self.description,
            }  # fmt: skip
            writing.write_new(self.path, (json.dumps(header) + "\n").encode())
        self._check_header(self._lines()[0])

    def _lines(self) -> list[bytes]:
        """Return the file's whole lines, at least one.

        Raises: FileError if it cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise FileError(f"cannot read {self.path}: {reason(error)}") from None
        self.size = content.rfind(b"\n") + 1
        return content[: self.size].split(b"\n")

    def _check_header(self, line: bytes) -> None:
        try:
            header = saved.parsed(line)
            if header["format"] != FORMAT:
                raise ValueError
            version, runs = header["version"], dict(header["runs"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise FileError(
                f"{self.path} exists and holds no finished runs of Seedbed: give another name"
            ) from None
        if version != VERSION:
            raise FileError(
                f"{self.path} is of version {one_line(version)} of its format, and this Seedbed "
                f"reads version {VERSION}"
            )
        own = self.description
        differing = [key for key in own if own[key] != runs.get(key)]
        if differing:
            raise SettingError(
                f"{self.path} holds runs of another comparison (it differs in "
                f"{', '.join(differing)}): repeat the call that began it, or give another name"
            )

    @contextmanager
    def open(self) -> Iterator[None]:
        """Read the finished runs and allow ``add``, until the end of the block.

        Raises: FileError if the file cannot be read or written, or another process writes it.
        """
        if self.file is not None:  # a search opened it for its confirmation, too
            yield
            return
        try:
            self.file = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise FileError(
                f"cannot write {self.path}: {reason(error)}: give another path"
            ) from None
        try:
            with writing.locked(self.file, self.path):
                for line in self._lines()[1:-1]:
                    self._take(line)
                if os.fstat(self.file).st_size > self.size:
                    os.ftruncate(self.file, self.size)  # a line that was cut short
                yield
        finally:
            os.close(self.file)
            self.file = None

    def _take(self, line: bytes) -> None:
        """Take a run from its line; one that is damaged is run again."""
        try:
            part, name, seed, score, status, epochs, seconds, unscored = json.loads(line)
            found = Outcome(
                str(name), int(seed), saved.scores_from_list([score]).item(),
                None if status is None else str(status), None if epochs is None else int(epochs),
                float(seconds), bool(unscored),
            )  # fmt: skip
        except (ValueError, TypeError, RecursionError, OverflowError):
            return
        self.known.setdefault((str(part), found.name, found.seed), found)

    def add(self, part: str, found: Sequence[Outcome]) -> None:
        """Append runs; a file that cannot be written is warned of once, and tried again."""
        lines = b"".join(
            json.dumps([
                part, each.name, each.seed, *saved.scores_to_list(np.array([each.score])), *each[3:]
            ]).encode() + b"\n"
            for each in found
        )  # fmt: skip
        assert self.file is not None
        try:
            written = os.write(self.file, lines)
            if written < len(lines):
                raise OSError(28, "No space left on device")
            os.fsync(self.file)
            self.size += len(lines)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self.file, self.size)
            if not self.warned:
                self.warned = True
                warnings.warn(
                    f"cannot write {self.path}: {reason(error)}: training goes on, and its runs "
                    "are not kept until it can be written",
                    SeedbedWarning,
                    stacklevel=2,
                )

    def part(self, name: str) -> Part:
        """Return a part of the log, whose runs are apart from those of other parts."""
        return Part(self, name)


def with_digest(description: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a description with a hash in place of an entry that may be long, such as rows."""
    value = description[name]
    return {**description, name: value if isinstance(value, str) else digest(value)}


class Part:
    """The runs of one part, such as a search's confirmation."""

    def __init__(self, log: RunLog, name: str) -> None:
        self.log, self.name = log, name

    def open(self) -> AbstractContextManager[None]:
        """Read the finished runs and allow ``add``, until the end of the block.

        Raises: as ``RunLog.open``.
        """
        return self.log.open()

    def get(self, method: str, seed: int) -> Outcome | None:
        """Return a finished run, or None."""
        return self.log.known.get((self.name, method, seed))

    def add(self, found: Sequence[Outcome]) -> None:
        """Append runs."""
        self.log.add(self.name, found)
