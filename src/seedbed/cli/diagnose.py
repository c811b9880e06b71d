"""``seedbed diagnose``: what is wrong with a model file's members, and what mends it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed import files
from seedbed.cli.check import model_rows
from seedbed.cli.options import whole
from seedbed.cli.show import print_json
from seedbed.diagnosis import diagnose
from seedbed.tables.reading import read

FOUND = 1
"""The exit status where something is wrong."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="say what is wrong with a model file's members",
        description="Look at a model file's members on rows of a table: members that diverged, "
        "dead or saturated units, a loss still falling, a target out of scale. Each comes with "
        "its remedy. The exit status is 1 where something is found.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file that seedbed train wrote")
    add(
        "file", metavar="FILE", help="a CSV or Parquet file with its columns and target; - is stdin"
    )
    add("--rows", type=whole(2, 10**6), default=1000, metavar="N", help="rows to look at (1000)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Look, print what is found; return the exit status."""
    population, words = files.load(options.model)
    X, Y = model_rows(read(options.file), words, population, options.model, options.rows)
    found = diagnose(population, X, Y.reshape(len(Y), -1))
    if options.json:
        print_json({"members": len(population), "findings": [vars(each) for each in found]})
    elif not found:
        print(f"nothing is wrong with the {len(population)} members, as far as was looked")
    else:
        for each in found:
            print(f"{each.kind}: {each.message}")
    return FOUND if found else 0
