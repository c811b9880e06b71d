"""BLAS held to one thread while an engine works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Blas:
    """How many threads BLAS had before any training, and how deep each thread is in trainings."""

    lock = threading.Lock()
    users = 0
    limits: Any = None
    here = threading.local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread while a training runs: members are the parallel axis.

    Only where threadpoolctl is installed; elsewhere the last bits of wide layers' products may
    depend on how many threads BLAS uses. Each thread sets and restores the number for itself, as
    OpenBLAS may keep it by thread.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ModuleNotFoundError:
        yield
        return
    depth = getattr(_Blas.here, "depth", 0)
    with _Blas.lock:
        if depth == 0:
            limits = threadpool_limits(limits=1, user_api="blas")
            if _Blas.users == 0:
                _Blas.limits = limits
        _Blas.users += 1
    _Blas.here.depth = depth + 1
    try:
        yield
    finally:
        _Blas.here.depth = depth
        with _Blas.lock:
            _Blas.users -= 1
            if depth == 0:
                _Blas.limits.restore_original_limits()
