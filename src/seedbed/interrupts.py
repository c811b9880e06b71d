"""Ctrl-C, so that long work ends in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from seedbed.engines.state import Stop


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a flag, so that every member ends with a whole epoch.

    A second one is the usual one. Where Ctrl-C is ignored, or cannot be caught, it stays so.
    """
    pressed = Stop()
    in_main = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT) if in_main else None
    if usual is None or usual is signal.SIG_IGN:
        yield pressed
        return

    def press(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            (usual if callable(usual) else signal.default_int_handler)(number, frame)
        pressed.set()

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, usual)
