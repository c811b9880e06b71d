"""Files written as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from seedbed.errors import FileError, SeedbedError, reason


def write_atomically(path: str | PathLike[str], content: bytes) -> None:
    """Write a file atomically.

    Raises: FileError if it cannot be written.
    """
    with replacement(path) as file:
        file.write(content)


@contextmanager
def replacement(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file that replaces the one at ``path`` at the end, and is removed after an error.

    Raises: FileError if it cannot be written.
    """
    try:
        path = Path(path)
        if path.exists() and not path.is_file():  # a pipe or device cannot be replaced
            with path.open("wb") as file:
                yield file
            return
        path = Path(os.path.realpath(path))  # follow a link instead of replacing it
        temporary = _temporary_path(path)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                temporary.chmod(path.stat().st_mode)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if hasattr(os, "O_DIRECTORY"):  # sync the rename
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except SeedbedError:  # raised by the caller while it writes
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write {path}: {reason(error)}: give another path") from None


@contextmanager
def locked(file: int, path: str | PathLike[str]) -> Iterator[None]:
    """Hold an open file for this process; the lock ends with the process at the latest.

    Raises: FileError if another process holds it.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(
            f"{path} is being written by another process: wait for it, or give another name"
        ) from None
    except OSError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def check_writable(path: str | PathLike[str]) -> None:
    """Check before long work that the path can be written.

    Raises: FileError if it cannot.
    """
    try:
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(21, "Is a directory")
        if not path.exists() or path.is_file():
            temporary = _temporary_path(Path(os.path.realpath(path)))
            temporary.touch(exist_ok=False)
            temporary.unlink()
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write {path}: {reason(error)}: give another path") from None


def _temporary_path(path: Path) -> Path:
    """Return a new name in the same directory."""
    return path.with_name(f".{secrets.token_hex(8)}.part")
