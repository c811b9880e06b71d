"""Compiled code on disk, under a digest of its source.

Numba has a cache too, which knows a function by its file and line. Here one line of code is
compiled with many formulas, and a formula may come from anywhere, so the key is a digest of the
code, its callees, the numbers it holds, and this engine's files.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import stat
import types as python
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)
from numba.misc.appdirs import AppDirs

from seedbed.engines import mathematics, state, stopping, translation
from seedbed.errors import SeedbedWarning
from seedbed.formulas.source import globals_of


def directory() -> Path:
    """Return the cache's directory: under NUMBA_CACHE_DIR if set, else in the user's caches."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = chosen or AppDirs(appname="seedbed", appauthor=False).user_cache_dir
    return Path(base) / ("seedbed" if chosen else "compiled")


@cache
def can_keep() -> bool:
    """Return whether the cache's directory can be written, and by this user alone.

    Compiled code is unpickled, which may run anything. So a directory that belongs to another user,
    or that others may write to, is not used; a warning says so once.
    """
    place = directory()
    with suppress(OSError):
        for folder in reversed([place, *place.parents]):
            if not folder.exists():  # each of them, as a umask may let a group write
                folder.mkdir(mode=0o700)
    try:
        unsafe = [folder for folder in (place, place.parent) if _is_open(folder, place)]
    except OSError:
        return False
    if unsafe:
        warnings.warn(
            f"{place} is not used, as other users may write compiled code to {unsafe[0]}: the "
            "engine is compiled in each process (take it over with chmod 700, or name another "
            "folder with NUMBA_CACHE_DIR)",
            SeedbedWarning,
            stacklevel=2,
        )
        return False
    return os.access(place, os.W_OK | os.X_OK)


def _is_open(folder: Path, place: Path) -> bool:
    """Return whether other users may write to the cache's folder, or replace it in the one above.

    Raises: OSError if it cannot be looked up.
    """
    if not hasattr(os, "geteuid"):  # Windows
        return False
    found = folder.stat()
    if folder == place:
        return found.st_uid != os.geteuid() or bool(found.st_mode & 0o022)
    return bool(found.st_mode & 0o022) and not found.st_mode & stat.S_ISVTX


@cache
def _engine() -> bytes:
    """Return the digest of this engine's own code."""
    hasher = hashlib.sha256()
    files = sorted(Path(__file__).parent.glob("*.py"))
    for module in (mathematics, state, stopping, translation):
        files.append(Path(str(module.__file__)))
    for file in files:
        hasher.update(file.read_bytes())
    hasher.update(f"{platform.python_version()} {np.__version__}".encode())
    return hasher.digest()


def digest(*parts: Any) -> str:
    """Return a digest of functions (with their callees and values), numbers and names."""
    hasher = hashlib.sha256(_engine())
    seen: dict[int, int] = {}
    for part in parts:
        _add(hasher, part, seen)
    return hasher.hexdigest()[:32]


def _add(hasher: Any, part: Any, seen: dict[int, int]) -> None:
    """Add a part with its kind and length, so that no two lists of parts have the same bytes.

    ``seen`` numbers the functions so far by identity; a function that recurs is its number.
    """

    def put(kind: str, content: bytes) -> None:
        hasher.update(f"{kind} {len(content)}:".encode() + content)

    part = getattr(part, "py_func", part)
    if isinstance(part, python.FunctionType):
        known = id(part) in seen
        put("function", str(seen.setdefault(id(part), len(seen))).encode())
        if known:
            return
        _add(hasher, part.__code__, seen)
        cells = [cell.cell_contents for cell in part.__closure__ or ()]
        _add(hasher, (*cells, *(part.__defaults__ or ())), seen)
        for name in globals_of(part.__code__):
            _add(hasher, name, seen)
            _add(hasher, part.__globals__.get(name), seen)
    elif isinstance(part, python.CodeType):
        put("code", part.co_code)
        counts = (part.co_argcount, part.co_posonlyargcount, part.co_kwonlyargcount)
        names = (part.co_names, part.co_varnames, part.co_freevars, part.co_cellvars)
        _add(hasher, (*counts, *map(repr, names)), seen)
        _add(hasher, part.co_consts, seen)
    elif isinstance(part, tuple):
        put("tuple", str(len(part)).encode())
        for item in part:
            _add(hasher, item, seen)
    elif isinstance(part, python.ModuleType):
        put("module", part.__name__.encode())
    else:
        put(type(part).__name__, repr(part).encode())


class _Locator(_CacheLocator):
    def __init__(self, stamp: str) -> None:
        self.stamp = stamp

    def get_cache_path(self) -> str:
        return str(directory())

    def get_source_stamp(self) -> str:
        return self.stamp

    def get_disambiguator(self) -> str:
        return self.stamp


class _Files(IndexDataCacheFile):
    """Numba's files, each with a digest of its name and content, which is checked before anything
    is unpickled: corrupt code would crash the process.
    """

    def _load_index(self) -> Any:
        try:
            stamp, overloads = self._load(self._index_name)
        except FileNotFoundError:
            return {}
        return overloads if stamp == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: Any) -> None:
        self._save(self._index_name, ((self._version, self._source_stamp), overloads))

    def _load_data(self, name: str) -> Any:
        return self._load(name)

    def _save_data(self, name: str, data: Any) -> None:
        self._save(name, data)

    def _load(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if _digest_of(name, content[32:]) != content[:32]:
            raise ValueError(f"{name} is corrupt")
        return pickle.loads(content[32:])

    def _save(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_digest_of(name, content) + content)


def _digest_of(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()


class Kept(FunctionCache):
    """A cache of one function's compiled code, under a digest."""

    def __init__(self, py_func: Any, stamp: str) -> None:
        class Impl(CompileResultCacheImpl):
            def __init__(self, py_func: Any) -> None:
                self._lineno = py_func.__code__.co_firstlineno
                self._locator = _Locator(stamp)
                self._filename_base = f"{py_func.__name__}-{stamp}"

        self._impl_class = Impl
        super().__init__(py_func)
        self.stamp = stamp
        self._cache_file = _Files(self._cache_path, self._impl.filename_base, stamp)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self.stamp

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code, or None if there is none that can be read."""
        if not can_keep():
            return None
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            with suppress(OSError):
                Path(self._cache_file._index_path).unlink(missing_ok=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code; if that fails, every process compiles it again."""
        if not can_keep():
            return
        with suppress(OSError):
            super().save_overload(sig, data)

    def is_there(self) -> bool:
        """Return whether there is compiled code on disk."""
        if not can_keep():
            return False
        try:
            return bool(self._cache_file._load_index())
        except Exception:
            return False
