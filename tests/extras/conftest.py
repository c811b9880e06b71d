"""What several test files need."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.cli import main


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Have the engine on disk before a test waits for it."""
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
    for dtype in ("float32", "float64"):
        sb.train(
            network, np.eye(2), np.ones((2, 1)), loss=sb.squared_error, epochs=1, dtype=dtype,
            engine="compiled", progress=False,
        )  # fmt: skip


@pytest.fixture
def run(capsys):
    """Run the command in this process; return its status, output and errors."""

    def command(*words):
        try:
            status = main([str(word) for word in words])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command
