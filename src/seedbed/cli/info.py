"""``seedbed info``: what a model file holds."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files
from seedbed.cli.show import print_json
from seedbed.population import Population
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.model import TableModel, of_saved
from seedbed.tables.sources import join_names


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "info",
        help="show what a model file holds",
        description="Print what a model file holds: the kind of model, its target, columns and "
        "members, its score on test rows, the versions that wrote it and its SHA-256.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Print the description; return the exit status."""
    saved = files.read(options.model)
    described = describe(saved, options.model)
    if options.json:
        print_json(described)
        return 0
    print(f"{options.model}: {described['kind']}")
    width = max(map(len, described))
    for name, value in described.items():
        if name == "kind" or value is None:
            continue
        lines = _lines(name, value)
        print(f"  {name:{width}}  {lines[0]}")
        for line in lines[1:]:
            print(f"  {'':{width}}  {line}")
    return 0


def describe(saved: files.Saved, path: Path) -> dict[str, Any]:
    """Return what a model file holds, as JSON-compatible values; None for what does not apply."""
    population = saved.population
    model = None if saved.table is None else of_saved(saved, path)
    table: dict[str, Any] = saved.table or {}
    target = None if model is None else model.encoding.target
    return {
        "kind": "Population" if model is None else table["estimator"]["name"],
        "target": None if target is None else target.names,
        "classes": target.classes or None if target else _classes(population),
        "columns": None if model is None else _columns(model),
        "members": _members(population),
        "network": str(population.network),
        "loss": population.recipe.loss.name,
        "engine": population.recipe.engine,
        "dtype": population.recipe.dtype,
        "scores": table.get("scores"),
        "written by": saved.written or None,
        "sha256": saved.digest,
    }


def _classes(population: Population) -> list[Any] | None:
    return None if population.classes is None else population.classes.tolist()


def _members(population: Population) -> dict[str, Any]:
    names, counts = np.unique(population.status, return_counts=True)
    return {
        "count": len(population),
        "status": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "parameters": population.network.size,
        "epochs": int(population.best_epoch.max()),
    }


def _columns(model: TableModel) -> list[dict[str, Any]]:
    """Return each column of the training table with its kind, and its categories if it has any."""
    encoded = {column.name: column for column in model.encoding.columns}
    found: list[dict[str, Any]] = []
    for name in model.columns:
        column = encoded.get(name)
        if column is None:
            found.append({"name": name, "kind": "left out"})
        elif isinstance(column, CategoryColumn):
            kind = "embedded category" if column.embedded else "category"
            rest = ["any other"] if column.has_rest else []
            categories = [*column.categories, *rest]
            found.append({"name": name, "kind": kind, "categories": categories})
        elif isinstance(column, DateColumn):
            found.append({"name": name, "kind": "date", "format": column.format or None})
        else:
            found.append({"name": name, "kind": "number", "median": column.center})
    return found


def _lines(name: str, value: Any) -> list[str]:
    """Return a value as lines of text."""
    if name == "columns":
        lines = []
        for column in value:
            detail = join_names(column["categories"]) if "categories" in column else ""
            lines.append(f"{column['name']!r}: {column['kind']}{detail and f' ({detail})'}")
        return lines[:_MAX_LINES] + (
            [f"… {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
        )
    if name == "members":
        status = ", ".join(f"{count} {kind}" for kind, count in value["status"].items())
        return [
            f"{value['count']} ({status}), {value['parameters']:,} parameters each, "
            f"{value['epochs']} epochs"
        ]
    if name == "scores":
        shown = ", ".join(
            f"{metric} {'-' if score is None else f'{score:.4g}'}"
            for metric, score in value.items()
            if metric != "rows"
        )
        return [f"{shown} on {value['rows']:,} test rows"]
    if isinstance(value, dict):
        return [", ".join(f"{key} {each}" for key, each in value.items())]
    if isinstance(value, tuple | list):
        return [join_names([str(each) for each in value], 20)]
    return [str(value)]


_MAX_LINES = 40
"""Columns shown as text; --json shows all."""
