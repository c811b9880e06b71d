"""``seedbed export``: a model as source code or ONNX."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from seedbed.cli.show import print_json


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
    add("--force", action="store_true", help="replace files that exist")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write the files and print their names; return the exit status."""
    from seedbed.exporting.export import export  # takes long to import

    found = export(options.model, options.to, options.out, name=options.name, replace=options.force)
    if options.json:
        print_json({
            "files": list(map(str, found.files)), "bytes": found.bytes, "renamed": found.renamed
        })  # fmt: skip
        return 0
    print(f"{', '.join(map(str, found.files))} written, {found.bytes:,} bytes")
    for name, field in found.renamed.items():
        print(f"  column {name!r} is the field {field}")
    return 0
