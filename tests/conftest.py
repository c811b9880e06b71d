"""What all tests need."""

import signal


def pytest_configure(config):
    """Hear Ctrl-C, also where whoever started the tests ignores it (nohup, a shell's &)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
