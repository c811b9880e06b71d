"""Files written as a whole or not at all.

A file is written under a temporary name in its directory, synced and renamed. The temporary file is
locked while it is written, so that the next write of the same file finds and removes what a killed
process left.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Literal

from seedbed.arrays import checked_path
from seedbed.errors import FileError, SeedbedError, SettingError, reason

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where open files cannot be removed
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".part"


def write_atomically(path: str | PathLike[str], content: bytes) -> None:
    """Write a file atomically.

    Raises: FileError if it cannot be written.
    """
    with replacement(path) as file:
        file.write(content)


@contextmanager
def replacement(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a file that replaces the one at ``path`` at the end, and is removed after an error.

    It has the permissions of the file that it replaces, from its first byte on. Links are followed.
    A pipe or a device is written to.

    Raises: FileError if it cannot be written.
    """
    try:
        path = checked_path(path)
        mode = _mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            with _opened_device(path) as file:
                yield file
            return
        path = Path(os.path.realpath(path))
        with _beside(path, mode) as (file, temporary):
            yield file
            _close(file)
            temporary.replace(path)
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


def write_new(path: Path, content: bytes) -> None:
    """Write a file atomically, unless another process has made one there.

    Raises: FileError if it cannot be written.
    """
    try:
        with _beside(path, None) as (file, temporary):
            file.write(content)
            _close(file)
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                temporary.replace(path)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write {path}: {reason(error)}: give another path") from None


def kind_of(path: Path) -> Literal["nothing", "file", "other"]:
    """Return what is at a path.

    Raises: FileError if the path cannot be looked up, such as one that is too long.
    """
    try:
        mode = _mode(path)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {path}: {reason(error)}: give another path") from None
    if mode is None:
        return "nothing"
    return "file" if stat.S_ISREG(mode) else "other"


@contextmanager
def locked(file: int, path: str | PathLike[str]) -> Iterator[None]:
    """Hold an open file for this process; the lock ends with the process at the latest.

    Raises: FileError if another process holds it.
    """
    if not _lock(file):
        raise FileError(
            f"{path} is being written by another process: wait for it, or give another name"
        )
    yield  # closing the file unlocks it


def check_writable(path: str | PathLike[str]) -> None:
    """Check before long work that the path can be written.

    Raises: FileError if it cannot; SettingError for what is no path.
    """
    try:
        path = checked_path(path)
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if mode is None or stat.S_ISREG(mode):
            descriptor, temporary = _created(Path(os.path.realpath(path)), 0o600)
            temporary.unlink()
            os.close(descriptor)
    except SettingError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write {path}: {reason(error)}: give another path") from None


def interrupted_path(path: Path) -> Path:
    """Return where the result of an interrupted run goes, so that it replaces no whole one:
    model.safetensors is beside model.interrupted.safetensors. A device or pipe stays.
    """
    if kind_of(path) == "other":
        return path
    return path.with_name(f"{path.stem}.interrupted{path.suffix}")


def _mode(path: Path) -> int | None:
    """Return the type and permissions of what is at the path, or None for nothing.

    Raises: OSError, for a loop of links too.
    """
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


@contextmanager
def _opened_device(path: Path) -> Iterator[BinaryIO]:
    """Yield a device or a pipe; a pipe without a reader is refused, as it would wait forever."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it is a pipe that nothing reads") from None
        raise
    if hasattr(os, "set_blocking"):
        os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        yield file


@contextmanager
def _beside(path: Path, mode: int | None) -> Iterator[tuple[BinaryIO, Path]]:
    """Yield a temporary file beside a path and its name; it is removed at the end.

    mode  of the file that is there, or None for nothing
    """
    _remove_stale(path)
    descriptor, temporary = _created(path, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            yield file, temporary
    finally:
        temporary.unlink(missing_ok=True)


def _close(file: BinaryIO) -> None:
    """Write a file to the disk, and close it."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


def _created(path: Path, mode: int) -> tuple[int, Path]:
    """Return a new temporary file, open and locked."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        temporary = _temporary_path(path)
        descriptor = os.open(temporary, flags, mode)
        if _lock(descriptor) and temporary.exists():
            return descriptor, temporary
        os.close(descriptor)  # another write took it for stale before it was locked


def _temporary_path(path: Path) -> Path:
    """Return a new name in the same directory."""
    return path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{_SUFFIX}")


def _prefix(path: Path) -> str:
    """Return the beginning of the temporary names of a file; names have up to 255 bytes."""
    name = path.name.encode("utf-8", "surrogateescape")[:220].decode("utf-8", "ignore")
    return f".{name}."


def _remove_stale(path: Path) -> None:
    """Remove the temporary files that killed processes left of this file."""
    stale: list[str] = []
    prefix = _prefix(path)
    length = len(prefix) + 8 + len(_SUFFIX)
    with suppress(OSError), os.scandir(path.parent) as entries:
        stale = [
            entry.path
            for entry in entries
            if entry.name.startswith(prefix)
            and entry.name.endswith(_SUFFIX)
            and len(entry.name) == length
        ]
    for each in stale:
        with suppress(OSError):
            if fcntl is None:  # an open file is not removed
                Path(each).unlink()
                continue
            with Path(each).open("rb") as file:
                if _lock(file.fileno()):
                    Path(each).unlink()


def _lock(file: int) -> bool:
    """Lock an open file, and return False if another process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
