"""Ctrl-C as a flag, so that long work can stop at a whole epoch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seedbed.engines.state import Stop


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a flag; the second calls the previous handler.

    Outside the main thread, or if SIGINT is ignored, nothing changes.
    """
    stop = Stop()
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT) if in_main else None
    if previous is None or previous is signal.SIG_IGN:
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            (previous if callable(previous) else signal.default_int_handler)(number, frame)
        stop.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
