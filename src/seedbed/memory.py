"""Memory that a computation needs and that is free, to refuse before it begins what cannot fit."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

from seedbed.errors import SettingError

_CGROUP = Path("/sys/fs/cgroup")
WORTH_A_LOOK = 2**24
"""Bytes from which the free memory is looked up."""


def check_fits(needed: float, what: str, remedy: str) -> None:
    """Refuse a computation that needs more memory than is free.

    needed  bytes, beside what is in memory already
    what    the computation, and ``remedy``, what to change, for the message

    Raises: SettingError.
    """
    if needed < WORTH_A_LOOK:
        return
    available = free()
    if needed > available:
        raise SettingError(
            f"{what} needs about {shown(needed)} of memory and {shown(available)} are free: "
            f"{remedy}"
        )


def free() -> float:
    """Return the bytes that this process may still take; infinite where that is not known.

    The least of the machine's available memory with its swap, its group's limit (Linux) and the
    process's limit of address space.
    """
    return min(_of_machine(), _of_group(), _of_process())


def _of_machine() -> float:
    with suppress(OSError, ValueError, KeyError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
    with suppress(OSError, ValueError, AttributeError):  # all of it, as what is free is not known
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return math.inf


def _of_group() -> float:
    with suppress(OSError, ValueError):
        limit = (_CGROUP / "memory.max").read_text(encoding="ascii").strip()
        if limit != "max":
            return int(limit) - int((_CGROUP / "memory.current").read_text(encoding="ascii"))
    return math.inf


def _of_process() -> float:
    with suppress(ModuleNotFoundError, OSError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return limit - pages * resource.getpagesize()
    return math.inf


def shown(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            return f"{max(size, 0):,.3g} {unit}" if size < 9995 else f"{size:,.0f} {unit}"
        size /= 1000
    raise AssertionError
