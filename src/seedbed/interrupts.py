"""Ctrl-C as a flag, so that long work can stop at a whole epoch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from seedbed.engines.state import Stop

_ending: list[int] = [signal.SIGINT]
"""The signals that ``interruptible`` turns into a flag."""
_received: list[int] = []
"""The last one of them."""


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a flag; the second one raises KeyboardInterrupt.

    Where nothing has begun (``Stop.began``), as during compilation, the first one raises, too.
    Outside the main thread, or if SIGINT is ignored, nothing changes.
    """
    stop = Stop()
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.getsignal(number) for number in _ending}
        previous = {
            number: handler
            for number, handler in previous.items()
            if handler not in (None, signal.SIG_IGN)
        }

    def handle(number: int, frame: FrameType | None) -> None:
        _received[:] = [number]
        if stop.began and not stop.is_set():
            stop.set()
            return
        stop.set()
        handler = previous[number]
        (handler if callable(handler) else signal.default_int_handler)(number, frame)
        raise KeyboardInterrupt  # the handler of work around this has noted it

    try:
        for number in previous:
            signal.signal(number, handle)
        yield stop
    except Exception as error:
        if stop.is_set() and not stop.began:  # code that calls back may lose a KeyboardInterrupt
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def ending_signals() -> Iterator[Callable[[], int]]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, unless they are ignored.

    Yields a function that returns the last of these signals, SIGINT if there was none.
    """
    _received.clear()
    names = ("SIGTERM", "SIGHUP", "SIGBREAK")
    given = [getattr(signal, name) for name in names if hasattr(signal, name)]
    in_main = threading.current_thread() is threading.main_thread()
    numbers = [each for each in given if in_main and signal.getsignal(each) is signal.SIG_DFL]

    def handle(number: int, frame: FrameType | None) -> None:
        _received[:] = [number]
        raise KeyboardInterrupt

    try:
        for number in numbers:
            signal.signal(number, handle)
            _ending.append(number)
        yield lambda: _received[0] if _received else int(signal.SIGINT)
    finally:
        for number in numbers:
            _ending.remove(number)
            signal.signal(number, signal.SIG_DFL)
