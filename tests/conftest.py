"""Configuration of all tests."""

import signal


def pytest_configure(config):
    """Handle SIGINT even if the parent process ignores it (nohup, a shell's &)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
