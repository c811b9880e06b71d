"""``seedbed explain``: every number of a forward pass, a backward pass and an update."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed import files, html, plots, xor
from seedbed.cli.options import integer
from seedbed.cli.show import check_picture, print_json, save_picture
from seedbed.errors import SettingError
from seedbed.explaining import Explanation, explain
from seedbed.tables.model import of_saved, resolved
from seedbed.tables.reading import read
from seedbed.training import train

FORMATS = ("text", "markdown", "html")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="show every number of a forward and a backward pass",
        description="Print each number of one training step with its formula and shape: inputs, "
        "weights, pre-activations, activations, loss, their derivatives and the update. The step "
        "is the tutorial's second epoch, or a step of a model file's member on rows of a table.",
    )
    add = parser.add_argument
    add(
        "model", nargs="?", type=Path, metavar="MODEL", help="a model file (the tutorial's network)"
    )
    add("file", nargs="?", metavar="FILE", help="a table with its columns and target")
    add("--member", type=integer(0), default=0, metavar="N", help="the member, counted from 0 (0)")
    add("--row", type=integer(0), metavar="N", help="show only this row, counted from 0 (all)")
    add("--rows", type=integer(1, 1000), default=4, metavar="N", help="the first N rows (4)")
    add("--format", choices=FORMATS, default="text", help="the output format (text)")
    add("--plot", type=Path, metavar="FILE", help="draw the network and the loss along a line")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Explain a step and print it; return the exit status."""
    if options.plot is not None:
        check_picture(options.plot)
    if options.model is None:
        if options.rows != 4:
            raise SettingError("--rows has no effect on the tutorial's four rows: leave it out")
        population = train(xor.recipe(epochs=1), *xor.data(), seeds=[1], progress=False)
        given = resolved(population, *xor.data())
    elif options.file is None:
        raise SettingError("a model needs FILE too: a table with its columns and target")
    else:
        model = of_saved(files.read(options.model), options.model)
        rows = options.rows if options.row is None else max(options.rows, options.row + 1)
        given = resolved(model, read(options.file), None, rows)
    found = explain(given, None, member=options.member, row=options.row)
    if options.plot is not None:
        page = plots.figure(12.0, 4.6)
        left, right = page.subplots(1, 2)
        population, X, Y = given.population, given.X, given.Y
        plots.network(population, left, member=options.member)
        shown = slice(None) if options.row is None else slice(options.row, options.row + 1)
        plots.line(population, X[shown], Y[shown], right, member=options.member)
        save_picture(page, options.plot)
    if options.json:
        print_json(_to_dict(found))
    elif options.format == "text":
        print(found)
    else:
        is_html = options.format == "html"
        page = html.document(found.title, found.html()) if is_html else found.markdown()
        print(page.rstrip("\n"))
    return 0


def _to_dict(found: Explanation) -> dict[str, Any]:
    return {
        "title": found.title,
        "numbers": [
            {
                "part": number.part,
                "symbol": number.symbol,
                "formula": number.formula,
                "shape": list(number.value.shape),
                "value": number.value,
            }
            for number in found.numbers
        ],
    }
