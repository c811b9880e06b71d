"""A context manager that limits BLAS to one thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Blas:
    """BLAS's original thread limits, the number of active contexts, and their depth per thread.

    ``controller`` sets the threads of the libraries that were loaded when ``sys.modules`` had
    ``modules`` entries. Finding the libraries can take longer than training a small network. So it
    is done again only when an import may have loaded another one.
    """

    lock = threading.Lock()
    controller: Any = None
    modules = 0
    contexts = 0
    limits: Any = None
    local = threading.local()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread: members are the parallel axis.

    Needs threadpoolctl. Without it, the last bits of wide layers' products may depend on the number
    of BLAS threads. Each thread sets and restores its own limit, as OpenBLAS may keep one for each.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ModuleNotFoundError:
        yield
        return
    depth = getattr(_Blas.local, "depth", 0)
    with _Blas.lock:
        if depth == 0:
            modules = len(sys.modules)  # read first: another thread may import meanwhile
            if _Blas.modules != modules:
                _Blas.controller, _Blas.modules = ThreadpoolController(), modules
            limits = _Blas.controller.limit(limits=1, user_api="blas")
            if _Blas.contexts == 0:
                _Blas.limits = limits
        _Blas.contexts += 1
    _Blas.local.depth = depth + 1
    try:
        yield
    finally:
        _Blas.local.depth = depth
        with _Blas.lock:
            _Blas.contexts -= 1
            if depth == 0:
                _Blas.limits.restore_original_limits()
