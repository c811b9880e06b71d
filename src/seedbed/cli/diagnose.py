"""``seedbed diagnose``: what is wrong with a model file's members, and what mends it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed import files, plots
from seedbed.cli.check import model_rows
from seedbed.cli.options import whole
from seedbed.cli.show import check_picture, print_json, save_picture
from seedbed.diagnosis.diagnose import diagnose
from seedbed.tables.reading import read

FOUND = 1
"""The exit status where something is wrong."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="say what is wrong with a model file's members",
        description="Look at a model file's members on rows of a table: members that diverged, "
        "dead or saturated units, gradients that vanish or explode, inputs or a target out of "
        "scale, a learning rate too high or too low, members stuck apart from the rest. Each comes "
        "with its remedy. The exit status is 1 where something is found.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file that seedbed train wrote")
    add(
        "file", metavar="FILE", help="a CSV or Parquet file with its columns and target; - is stdin"
    )
    add("--rows", type=whole(2, 10**6), default=1000, metavar="N", help="rows to look at (1000)")
    add("--plot", type=Path, metavar="FILE", help="draw the losses, and those of members named")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Look, print what is found; return the exit status."""
    if options.plot is not None:
        check_picture(options.plot)
    population, words = files.read(options.model)
    X, Y = model_rows(
        read(options.file), words, population, options.model, options.rows, spread=True
    )
    found = diagnose(population, X, Y)
    if options.json:
        print_json({
            "members": len(population),
            "findings": [
                {
                    "kind": each.kind,
                    "message": each.message,
                    "seeds": population.seeds[list(each.members)],
                }
                for each in found
            ],
        })  # fmt: skip
    elif not found:
        print(
            f"nothing is wrong with the {len(population)} members, as far as {len(X):,} "
            f"row{'' if len(X) == 1 else 's'} tell"
        )
    else:
        for each in found:
            print(f"{each.kind}: {each.message}")
    if options.plot is not None:
        named = {each.members[0]: None for each in found if each.members}
        shown = [member for member in named if not population.diverged[member]]
        save_picture(plots.losses(population, members=shown).figure, options.plot)
    return FOUND if found else 0
