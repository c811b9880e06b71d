"""Configuration of all tests."""

import os
import signal


def pytest_configure(config):
    """Keep no journal of comparisons, and handle SIGINT.

    The parent process may ignore it (nohup, a shell's &).
    """
    os.environ["SEEDBED_JOURNAL"] = "off"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
