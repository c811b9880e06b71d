"""What no test may take from where it is started."""

import signal


def pytest_configure():
    """Heed Ctrl-C, which a shell has its background jobs ignore: tests press it, and would hang."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
