"""``seedbed explain``: every number of one pass forward, one back and one step."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed import files, plots, xor
from seedbed.cli.check import model_rows
from seedbed.cli.options import whole
from seedbed.cli.show import check_picture, print_json, save_picture
from seedbed.errors import SettingError
from seedbed.explaining import Explanation, explain
from seedbed.tables.reading import read
from seedbed.training import train

FORMATS = ("text", "markdown", "html")


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="show every number of one pass forward and back",
        description="Print each number of one step of training: inputs, weights, pre-activations, "
        "activations, loss, their derivatives and the update, with its formula and shape. Of the "
        "tutorial's network after an epoch, or of a model file's member on rows of a table.",
    )
    add = parser.add_argument
    add("model", nargs="?", type=Path, metavar="MODEL", help="a model file; left out, the tutorial")
    add("file", nargs="?", metavar="FILE", help="a CSV or Parquet file with its columns and target")
    add("--member", type=whole(0), default=0, metavar="N", help="which member, from 0 (0)")
    add("--row", type=whole(0), metavar="N", help="one row alone, from 0; left out, all shown")
    add("--rows", type=whole(1, 1000), default=4, metavar="N", help="rows of the table (4)")
    add("--format", choices=FORMATS, default="text", help="what to print (text)")
    add("--plot", type=Path, metavar="FILE", help="draw the network, and the loss along a line")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Explain, print; return the exit status."""
    if options.plot is not None:
        check_picture(options.plot)
    if options.model is None:
        if options.rows != 4:
            raise SettingError("--rows has no effect on the tutorial's four rows: leave it out")
        population = train(xor.recipe(epochs=1), *xor.data(), seeds=[1], progress=False)
        X, Y = xor.data()
    elif options.file is None:
        raise SettingError("give the table's FILE too, with the model's columns and its target")
    else:
        population, words = files.read(options.model)
        least = options.rows if options.row is None else max(options.rows, options.row + 1)
        X, Y = model_rows(read(options.file), words, population, options.model, least)
    found = explain(population, X, Y, member=options.member, row=options.row)
    if options.plot is not None:
        page = plots.figure(12.0, 4.6)
        left, right = page.subplots(1, 2)
        plots.network(population, left, member=options.member)
        rows = slice(None) if options.row is None else slice(options.row, options.row + 1)
        plots.line(population, X[rows], Y[rows], right, member=options.member)
        save_picture(page, options.plot)
    if options.json:
        print_json(told(found))
    elif options.format == "text":
        print(found)
    else:
        print((found.html() if options.format == "html" else found.markdown()).rstrip("\n"))
    return 0


def told(found: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON's words, numbers, lists and dicts."""
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
