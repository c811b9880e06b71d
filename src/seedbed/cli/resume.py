"""``seedbed resume``: resumes a training from its checkpoint."""

from __future__ import annotations

import os
import shlex
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from seedbed import checkpoints
from seedbed.cli import train
from seedbed.errors import FileError


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "resume",
        help="resume a training from its checkpoint",
        description="Repeat the seedbed train that wrote a checkpoint, in its folder. It "
        "resumes there, and writes the model that an uninterrupted run writes.",
    )
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="what --checkpoint of train named")
    add("--force", action="store_true", help="replace the model file that the command names")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Repeat the command that the checkpoint holds; return its exit status."""
    path = options.checkpoint.absolute()
    added = checkpoints.read(path)[0].get("added", {})
    words, folder = added.get("command"), added.get("folder")
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise FileError(
            f"{options.checkpoint} is of a training in Python: repeat the call that began it"
        )
    if not isinstance(folder, str) or not Path(folder).is_dir():
        raise FileError(
            f"{options.checkpoint} is of a command in {folder}, which is not there: repeat it with "
            "--checkpoint"
        )
    print(f"seedbed train {shlex.join(words)}", file=sys.stderr)
    os.chdir(folder)
    parser = ArgumentParser(prog="seedbed")
    train.add_to(parser.add_subparsers(dest="command"))
    given = parser.parse_args(["train", *words])
    given.arguments, given.checkpoint, given.force = words, path, options.force
    return train.run(given)
