"""Fixtures of the tests in this directory."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.cli import main


@pytest.fixture(scope="session", autouse=True)
def compiled():
    """Compile the engine first, so that no test waits for it."""
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
    for dtype in ("float32", "float64"):
        sb.train(
            network, np.eye(2), np.ones((2, 1)), loss=sb.squared_error, epochs=1, dtype=dtype,
            engine="compiled", progress=False,
        )  # fmt: skip


@pytest.fixture
def run(capsys):
    """Run the command in this process; return its status, output and errors."""

    def command(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command
