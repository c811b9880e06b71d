"""Fixtures of the tests in this directory."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.cli import main


def compile_engine(dtype):
    """Compile the engine before the tests, so that none waits for it."""
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
    sb.train(
        network, np.eye(2), np.ones((2, 1)), loss=sb.squared_error, epochs=1, dtype=dtype,
        engine="compiled", progress=False,
    )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def compiled():
    compile_engine("float32")


@pytest.fixture(scope="session")
def compiled_float64(compiled):
    compile_engine("float64")


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
