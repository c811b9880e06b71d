"""``seedbed check``: checks the gradient of the tutorial, a recipe or a model file."""

from __future__ import annotations

import warnings
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, xor
from seedbed.checking.check import GradientReport, check_gradient
from seedbed.cli.options import RECIPE, add_columns, add_recipe, integer, recipe_of
from seedbed.cli.show import print_json
from seedbed.errors import SettingError
from seedbed.tables.encoding import fit
from seedbed.tables.model import of_saved
from seedbed.tables.reading import read
from seedbed.tables.targets import find_target

WRONG_GRADIENT = 1
"""The exit status if a gradient is not the loss's derivative."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check a gradient against the loss's derivative, and name the mistake",
        description="Compare the gradient of a recipe or a model file with the derivative of its "
        "loss on rows of a table. With --as-published, check the tutorial's backward pass, which "
        "is wrong in three places. The exit status is 1 if they differ.",
    )
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="a CSV or Parquet file; - is stdin")
    add("--as-published", action="store_true", help="check the tutorial's own backward pass")
    add("--target", metavar="COLUMN", help="the column to predict; not with --model")
    add_columns(parser)
    add("--model", type=Path, metavar="MODEL", help="check a model file's first fitted member")
    add("--rows", type=integer(1, 10**5), default=64, metavar="N", help="rows to check on (64)")
    add("--seed", type=integer(0, 2**62), default=0, metavar="S", help="seed of the parameters (0)")
    add_recipe(parser)
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run, parser=parser)


def run(options: Namespace) -> int:
    """Check the gradient and print the report; return the exit status."""
    if options.as_published:
        if options.file is not None:
            raise SettingError("--as-published checks the tutorial on its own data: leave FILE out")
        _refuse(options, "--as-published", "target", "model", "task", "drop", "rows", *RECIPE)
        what = "the tutorial's backward pass, as published"
        report = check_gradient(xor.published_gradient, xor.published_start(), *xor.data())
    elif options.file is None:
        raise SettingError("give a table's FILE with --target or --model, or --as-published")
    else:
        what, report = _of_table(options)
    if options.json:
        print_json({"checked": what, **report.to_dict()})
    else:
        print(f"{what}\n{report}\n{_summary(report)}")
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


def _summary(report: GradientReport) -> str:
    if report.agrees:
        checked = sum(block.checked for block in report.blocks)
        total = sum(int(np.prod(block.shape)) for block in report.blocks)
        part = f" in the {checked:,} of {total:,} parameters checked" if checked < total else ""
        return f"the gradient is the loss's derivative{part}"
    count = len(report.mistakes)
    return f"{count} mistake{'' if count == 1 else 's'} named"


def _of_table(options: Namespace) -> tuple[str, GradientReport]:
    table = read(options.file)
    if options.model is None:
        if options.target is None:
            raise SettingError("--target is missing: name the column to predict, or give --model")
        target, known = find_target(table, options.target, options.task)
        encoding, _ = fit(table, known, target, options.drop)
        recipe = recipe_of(vars(options), encoding, len(known))
        what, theta = f"a {recipe.network} network's gradient", None
        rows = known[: options.rows]
        X = encoding.inputs(table, unseen="missing")[0][rows]
        Y = encoding.target.encode(table)[rows]
    else:
        _refuse(options, "--model", "target", "task", "drop", *RECIPE)
        model = of_saved(files.read(options.model), options.model)
        population = model.population
        recipe, member = population.recipe, int(np.argmin(population.diverged))
        recipe = recipe.take(np.array([member]), len(population))
        what = f"the gradient of {options.model}, seed {population.seeds[member]}"
        theta = population.theta[member]
        X, Y, _ = model.rows(table, None, options.rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recipe = replace(recipe, dropout=0.0, dtype="float64")
        report = check_gradient(recipe, theta, X, Y, seed=options.seed)
    return f"{what} on {len(X)} rows of {options.file}", report
