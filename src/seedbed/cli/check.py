"""``seedbed check``: is the gradient right: the tutorial's, a recipe's or a model file's."""

from __future__ import annotations

import warnings
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from seedbed import files, xor
from seedbed.arrays import Array
from seedbed.checking.check import GradientReport, check_gradient
from seedbed.cli.options import RECIPE, add_recipe, recipe_of, whole
from seedbed.cli.show import print_json
from seedbed.errors import FileError, SettingError
from seedbed.population import Population
from seedbed.recipe import Recipe
from seedbed.tables.encoding import Encoding, checked_encoding, fit
from seedbed.tables.reading import Table, read
from seedbed.tables.targets import Task, find_target

_USUAL: dict[str, Any] = {"target": None, "model": None, "task": None, "drop": [], "rows": 64}
"""What the options are that are left out, but for a recipe's."""
WRONG = 1
"""The exit status where a gradient is not the loss's derivative."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "check",
        help="check a gradient against the loss's derivative, and name the mistake",
        description="Compare the gradient of a recipe, or of a model file, with the derivative of "
        "its loss on rows of a table; or, with --as-published, the tutorial's backward pass, which "
        "is wrong in three places. The exit status is 1 where they differ.",
    )
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="a CSV or Parquet file; - is stdin")
    add("--as-published", action="store_true", help="check the tutorial's own backward pass")
    add("--target", metavar="COLUMN", help="the column to predict; a model file knows its own")
    add("--task", choices=get_args(Task), help="inferred from the target if left out")
    add("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out")
    add("--model", type=Path, metavar="MODEL", help="check a model file's first fitted member")
    add(
        "--rows",
        type=whole(1, 10**5),
        default=_USUAL["rows"],
        metavar="N",
        help="rows to check on (64)",
    )
    add("--seed", type=whole(0, 2**62), default=0, metavar="S", help="draws the parameters (0)")
    add_recipe(parser)
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Check, print the report; return the exit status."""
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
        print(f"{what}\n{report}")
        print(_closing(report))
    return 0 if report.agrees else WRONG


def _refuse(options: Namespace, beside: str, *names: str) -> None:
    """Refuse options that would be without effect.

    Raises: SettingError that names the first of them.
    """
    for name in names:
        value = getattr(options, name)
        usual = RECIPE[name].read(RECIPE[name].default) if name in RECIPE else _USUAL[name]
        if value != usual:
            option = f"--{name.replace('_', '-')}"
            raise SettingError(f"{option} has no effect beside {beside}: leave it out")


def _closing(report: GradientReport) -> str:
    if report.agrees:
        looked, all_ = (
            sum(count)
            for count in zip(
                *((b.checked, int(np.prod(b.shape))) for b in report.blocks), strict=True
            )
        )
        part = f", as far as {looked:,} of {all_:,} parameters tell" if looked < all_ else ""
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
        X, Y = _rows(table, encoding, options.rows)
    else:
        _refuse(options, "--model", "target", "task", "drop", *RECIPE)
        population, words = files.read(options.model)
        recipe, member = population.recipe, int(np.argmin(population.diverged))
        recipe = recipe.take(np.array([member]), len(population))
        what = f"the gradient of {options.model}, seed {population.seeds[member]}"
        theta = population.theta[member]
        X, Y = model_rows(table, words, population, options.model, options.rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_gradient(_plain(recipe), theta, X, Y, seed=options.seed)
    return f"{what} on {len(X)} rows of {options.file}", report


def model_rows(
    table: Table, words: Any, population: Population, path: Path, most: int, *, spread: bool = False
) -> tuple[Array, Array]:
    """Return rows of a table whose target is known, as a model file's network sees them.

    They are the first, or, if ``spread``, some from all over the table.

    Raises: FileError for a file without a table's encoding; TableError; SettingError.
    """
    if words is None:
        raise FileError(f"{path} holds no table encoding: load it in Python with seedbed.load")
    return _rows(table, checked_encoding(words, population, path), most, spread)


def _rows(table: Table, encoding: Encoding, most: int, spread: bool = False) -> tuple[Array, Array]:
    """Return rows whose target is known, as the network is given them."""
    if len(encoding.target.names) > 1:
        raise SettingError("the model predicts several columns: check it in Python")
    Y = encoding.target.encode(table)
    chosen = np.flatnonzero(~np.isnan(Y))
    if spread and len(chosen) > most:
        chosen = chosen[np.linspace(0, len(chosen) - 1, most).astype(np.intp)]
    chosen = chosen[:most]
    if not len(chosen):
        raise SettingError(f"no row of {table.name} has a value in {encoding.target.name!r}")
    return encoding.inputs(table, unseen="missing")[0][chosen], Y[chosen]


def _plain(recipe: Recipe) -> Recipe:
    """Return the recipe as it is checked: on all rows at once, without dropout."""
    return replace(recipe, dropout=0.0, dtype="float64")
