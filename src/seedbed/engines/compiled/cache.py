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
import types as python
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
from seedbed.formulas.source import globals_of


def directory() -> Path:
    """Return the cache's directory: under NUMBA_CACHE_DIR if set, else in the user's caches."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = chosen or AppDirs(appname="seedbed", appauthor=False).user_cache_dir
    return Path(base) / ("seedbed" if chosen else "compiled")


def can_keep() -> bool:
    """Return whether the cache's directory can be written."""
    place = directory()
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    return os.access(place, os.W_OK | os.X_OK)


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
    """Numba's files, with a checksum before the data: corrupt code would crash the process."""

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise ValueError(f"{name} is corrupt")
        return pickle.loads(content[32:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(content).digest() + content)


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
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            with suppress(OSError):
                Path(self._cache_file._index_path).unlink(missing_ok=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code; if that fails, every process compiles it again."""
        with suppress(OSError):
            super().save_overload(sig, data)

    def is_there(self) -> bool:
        """Return whether there is compiled code on disk."""
        try:
            return bool(self._cache_file._load_index())
        except Exception:
            return False
