"""``seedbed check``: checks the gradient of the tutorial, a Python file, a recipe or a model."""

from __future__ import annotations

import warnings
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, xor
from seedbed.checking.check import check_gradient
from seedbed.checking.report import GradientReport
from seedbed.cli import student
from seedbed.cli.options import (
    RECIPE,
    add_columns,
    add_recipe,
    integer,
    marks_of,
    number,
    recipe_of,
)
from seedbed.cli.show import print_json
from seedbed.errors import SettingError
from seedbed.tables.encoding import fit
from seedbed.tables.model import of_saved, resolved
from seedbed.tables.reading import read
from seedbed.tables.targets import find_target

WRONG_GRADIENT = 1
"""The exit status if a gradient is wrong, or the check is inconclusive."""


COLUMNS = ("task", "drop", "decimal", "thousands")
"""The options that say how a table to train on is read."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check a gradient against the loss's derivative, and name the mistake",
        description="Compare the gradient of a recipe or a model file with the derivative of its "
        "loss on rows of a table. A FILE.py is run, and its own gradient checked: it defines "
        "loss_and_gradient(theta), which returns both, and theta, or net, X and Y. With "
        "--as-published, check the tutorial's backward pass, which is wrong in three places. The "
        "exit status is 0 if they agree, 1 if they differ or the check is inconclusive, 2 if the "
        "input is invalid.",
    )
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="a table, - is stdin; or a Python file")
    add("--as-published", action="store_true", help="check the tutorial's own backward pass")
    add("--target", metavar="COLUMN", help="the column to predict; not with --model")
    add_columns(parser)
    add("--model", type=Path, metavar="MODEL", help="check a model file's first fitted member")
    add("--rows", type=integer(1, 10**5), default=64, metavar="N", help="rows to check on (64)")
    add("--seed", type=integer(0, 2**62), default=0, metavar="S", help="seed of the parameters (0)")
    add_recipe(parser)
    limit = number(0, open_low=True)
    add("--timeout", type=limit, default=60, metavar="SECONDS", help="limit of a FILE.py (60)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run, parser=parser)


def run(options: Namespace) -> int:
    """Check the gradient and print the report; return the exit status."""
    if options.as_published:
        if options.file is not None:
            raise SettingError("--as-published checks the tutorial on its own data: leave FILE out")
        _refuse(options, "--as-published", "target", "model", "timeout", *COLUMNS, "rows", *RECIPE)
        what = "the tutorial's backward pass, as published"
        report = check_gradient(xor.published_gradient, xor.published_start(), *xor.data())
    elif options.file is None:
        raise SettingError(
            "give FILE.py, or a table's FILE with --target or --model, or --as-published"
        )
    elif options.file.endswith(".py"):
        _refuse(options, "a Python file", "target", "model", *COLUMNS, "rows", *RECIPE)
        return student.run(options)
    else:
        _refuse(options, "a table", "timeout")
        what, report = _of_table(options)
    if options.json:
        print_json({"checked": what, **report.to_dict()})
    else:
        print(f"{what}\n{report}\n{report.summary}")
    return 0 if report.agrees else WRONG_GRADIENT


def _refuse(options: Namespace, given: str, *names: str) -> None:
    """Refuse options that have no effect.

    Raises: SettingError that names the first one.
    """
    defaults = options.parser.parse_args([])
    for name in names:
        if getattr(options, name) != getattr(defaults, name):
            option = f"--{name.replace('_', '-')}"
            raise SettingError(f"{option} has no effect with {given}: leave it out")


def _of_table(options: Namespace) -> tuple[str, GradientReport]:
    table = read(options.file, marks_of(options))
    if options.model is None:
        if options.target is None:
            raise SettingError("--target is missing: name the column to predict, or give --model")
        target, known = find_target(table, options.target, options.task)
        encoding, _ = fit(table, known, target, options.drop)
        recipe = recipe_of(vars(options), encoding, len(known))
        rows = known[: options.rows]
        X = encoding.inputs(table, unseen="missing")[0][rows]
        Y = encoding.target.encode(table)[rows]
    else:
        _refuse(options, "--model", "target", *COLUMNS, *RECIPE)
        model = of_saved(files.read(options.model), options.model)
        given = resolved(model, table, None, options.rows)
        seed = given.population.seeds[np.argmin(given.population.diverged)]
        report = check_gradient(given, seed=options.seed)
        what = f"the gradient of {options.model}, seed {seed}"
        return f"{what} on {len(given.X)} rows of {options.file}", report
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recipe = replace(recipe, dropout=0.0, dtype="float64")
        report = check_gradient(recipe, None, X, Y, seed=options.seed)
    what = f"a {recipe.network} network's gradient"
    return f"{what} on {len(X)} rows of {options.file}", report
