"""What is compiled is kept on disk, under what it was compiled from.

Numba keeps compiled functions too, but knows a function by its file and line. Here one line of
code is compiled with many formulas, and a formula may come from anywhere, so the key is a digest
of the code itself, of all that it calls, of the numbers it holds, and of this engine's files.
"""

from __future__ import annotations

import hashlib
import os
import platform
import types as python
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.misc.appdirs import AppDirs


def directory() -> Path:
    """Return where compiled code is kept: under NUMBA_CACHE_DIR if set, else the user's caches."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    base = chosen or AppDirs(appname="seedbed", appauthor=False).user_cache_dir
    return Path(base) / ("seedbed" if chosen else "compiled")


def can_keep() -> bool:
    """Return whether compiled code can be kept there."""
    place = directory()
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    return os.access(place, os.W_OK | os.X_OK)


@cache
def _engine() -> bytes:
    """Return the digest of this engine's own code."""
    hasher = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        hasher.update(file.read_bytes())
    hasher.update(f"{platform.python_version()} {np.__version__}".encode())
    return hasher.digest()


def digest(*parts: Any) -> str:
    """Return a digest of functions (with all that they call and hold), numbers and names."""
    hasher = hashlib.sha256(_engine())
    for part in parts:
        _add(hasher, part, set())
    return hasher.hexdigest()[:32]


def _add(hasher: Any, part: Any, begun: set[int]) -> None:
    part = getattr(part, "py_func", part)
    if isinstance(part, python.FunctionType):
        if id(part) in begun:
            return
        begun.add(id(part))
        held = [cell.cell_contents for cell in part.__closure__ or ()]
        _add(hasher, part.__code__, begun)
        for value in (*held, *(part.__defaults__ or ())):
            _add(hasher, value, begun)
        for name in part.__code__.co_names:
            _add(hasher, part.__globals__.get(name), begun)
    elif isinstance(part, python.CodeType):
        hasher.update(part.co_code)
        for value in (*part.co_consts, *part.co_names, *part.co_freevars):
            _add(hasher, value, begun)
    elif isinstance(part, python.ModuleType):
        hasher.update(part.__name__.encode())
    else:
        hasher.update(f"{type(part).__name__} {part!r}\n".encode())


class _Place(_CacheLocator):
    def __init__(self, stamp: str) -> None:
        self.stamp = stamp

    def get_cache_path(self) -> str:
        return str(directory())

    def get_source_stamp(self) -> str:
        return self.stamp

    def get_disambiguator(self) -> str:
        return self.stamp


class Kept(FunctionCache):
    """Keeps a function's compiled code under a digest."""

    def __init__(self, py_func: Any, stamp: str) -> None:
        class Impl(CompileResultCacheImpl):
            def __init__(self, py_func: Any) -> None:
                self._lineno = py_func.__code__.co_firstlineno
                self._locator = _Place(stamp)
                self._filename_base = f"{py_func.__name__}-{stamp}"

        self._impl_class = Impl
        super().__init__(py_func)
        self.stamp = stamp

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self.stamp

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled code, or None: also where what is on disk cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            with suppress(OSError):
                Path(self._cache_file._index_path).unlink(missing_ok=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the compiled code; where that cannot be, it is compiled anew in every process."""
        with suppress(OSError):
            super().save_overload(sig, data)

    def is_there(self) -> bool:
        """Return whether there is compiled code."""
        try:
            return bool(self._cache_file._load_index())
        except Exception:
            return False
