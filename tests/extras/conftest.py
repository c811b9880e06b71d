"""What several test files need."""

import pytest

from seedbed.cli import main


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
