"""``seedbed export``: a model as source code or ONNX."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.cli.options import integer, number
from seedbed.cli.show import print_json

if TYPE_CHECKING:
    from seedbed.exporting.smaller import HeldOut


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write a model as source code or ONNX",
        description="Write a model, its table's encoding included, as C99 without dependencies (a "
        "header and a source file), as one JavaScript module for Node and browsers, as one Python "
        "file that needs the standard library alone, or as an ONNX model. "
        "Source code predicts a row with the bits of seedbed predict, and carries test rows: a "
        "self test returns how many of these give other bits. ONNX predicts rows within rounding.",
    )
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a model file")
    add("--to", required=True, choices=["c", "js", "python", "onnx"], help="the language, or onnx")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="a folder, or a file such as price.py, price.mjs, price.onnx or price.c",
    )
    add("--name", help="what the files and public names begin with (the file's name, or model)")
    add(
        "--members",
        type=integer(1),
        metavar="K",
        help="at most so many members: those of lowest loss on the rows that they held out (all)",
    )
    add(
        "--max-kb",
        type=number(0, open_low=True),
        metavar="KB",
        help="as many members as fit in a file of so many kB; in C, in its constants",
    )
    add(
        "--rows",
        type=Path,
        metavar="TABLE",
        help="rows with their target that training did not see: shows what fewer members cost",
    )
    add("--force", action="store_true", help="replace files that exist")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write the files and print their names; return the exit status."""
    from seedbed.exporting.export import export  # takes long to import

    found = export(
        options.model, options.to, options.out, name=options.name, replace=options.force,
        members=options.members, max_kb=options.max_kb, rows=options.rows,
    )  # fmt: skip
    if options.json:
        print_json({
            "files": list(map(str, found.files)),
            "bytes": found.bytes,
            "kb": found.kb,
            "renamed": found.renamed,
            "seeds": found.seeds,
            "held_out": None if found.held_out is None else found.held_out._asdict(),
            "costs": {
                each.metric.name: {"chosen": each.chosen, "whole": each.whole}
                for each in found.costs
            },
        })  # fmt: skip
        return 0
    print(f"{', '.join(map(str, found.files))} written, {found.bytes:,} bytes")
    for name, field in found.renamed.items():
        print(f"  column {name!r} is the field {field}")
    if options.members is not None or options.max_kb is not None:
        count = len(found.seeds)
        s = "" if count == 1 else "s"
        seeds = ", ".join(map(str, found.seeds))
        print(f"  {count} member{s}, of seed{s} {seeds}; {found.kb:,.1f} kB")
        print(_held_out(found.held_out, count))
    for cost in found.costs:
        chosen, whole = cost.metric.format(cost.chosen), cost.metric.format(cost.whole)
        print(f"  {cost.metric.name} on {options.rows}: {chosen}; of all members: {whole}")
    return 0


def _held_out(losses: HeldOut | None, count: int) -> str:
    """Return a line on what the chosen members cost."""
    if losses is None:
        return "  training held out no rows to choose by: these are the first ones"
    ensemble = "" if losses.ensemble is None else f"{losses.ensemble:.4g} of the ensemble, "
    chosen = "the chosen one" if count == 1 else "the chosen ones on average"
    return (
        f"  loss on held-out rows: {ensemble}{losses.members:.4g} of a member on average, "
        f"{losses.chosen:.4g} of {chosen} (biased low: the choice was by this loss)"
    )
