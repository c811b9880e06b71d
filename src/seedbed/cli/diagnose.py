"""``seedbed diagnose``: problems of a model file's members, with remedies."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed import files, plots
from seedbed.cli.options import integer
from seedbed.cli.show import check_picture, print_json, save_picture
from seedbed.diagnosis.diagnose import diagnose
from seedbed.tables.model import of_saved, resolved
from seedbed.tables.reading import read

PROBLEM_FOUND = 1
"""The exit status if there is a finding."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="find out what is wrong with a model file's members",
        description="Check a model file's members on rows of a table for divergence, dead or "
        "saturated units, vanishing or exploding gradients, unscaled inputs or targets, a learning "
        "rate that is too high or too low, stuck members, and members that predict no better than "
        "a constant or the commonest class only. Each finding names its remedy. The exit status "
        "is 1 if there is a finding.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file of seedbed train or an estimator")
    add(
        "file",
        metavar="FILE",
        help="a table with the model's columns and target; - is stdin",
    )
    add("--rows", type=integer(2, 10**6), default=1000, metavar="N", help="rows to check (1000)")
    add("--plot", type=Path, metavar="FILE", help="draw the losses and the members found")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Diagnose and print the findings; return the exit status."""
    if options.plot is not None:
        check_picture(options.plot)
    model = of_saved(files.read(options.model), options.model)
    given = resolved(model, read(options.file), None, options.rows, spread=True)
    population, X = given.population, given.X
    found = diagnose(given, None)
    if options.plot is not None:
        first = dict.fromkeys(each.members[0] for each in found if each.members)
        shown = [member for member in first if not population.diverged[member]]
        save_picture(plots.losses(population, members=shown).figure, options.plot)
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
            f"found nothing wrong with the {len(population)} members on {len(X):,} "
            f"row{'' if len(X) == 1 else 's'}"
        )
    else:
        for each in found:
            print(f"{each.kind}: {each.message}")
    return PROBLEM_FOUND if found else 0
