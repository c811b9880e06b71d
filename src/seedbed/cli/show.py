"""The commands' output: tables, a histogram, JSON, pictures."""

from __future__ import annotations

import io
import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import plots
from seedbed.arrays import Array
from seedbed.cli import INTERRUPTED
from seedbed.errors import MissingDependencyError, SettingError
from seedbed.jsonable import to_json
from seedbed.population import Population
from seedbed.writing import check_writable, write_atomically


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(to_json(content))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; all columns but the first are aligned to the right."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ModuleNotFoundError:
        raise MissingDependencyError("rich", "cli") from None
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=10_000, highlight=False, markup=False).print(table)
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def histogram(values: Array, bins: int = 12, width: int = 40) -> list[str]:
    """Return a histogram with logarithmic bins, one line per bin.

    Shapes: values (N,); those that are not positive and finite are ignored.
    """
    logs = np.log10(values[(values > 0) & np.isfinite(values)])
    if not logs.size:
        return []
    counts, edges = np.histogram(logs, bins=bins if np.ptp(logs) > 1e-9 else 1)
    longest = max(counts.max(), 1)
    lines = []
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        bar = "█" * math.ceil(width * count / longest)
        lines.append(f"{10**low:8.2e} to {10**high:8.2e}  {count:>7,}  {bar}".rstrip())
    return lines


def exit_status(population: Population) -> int:
    """Return the exit status: 130 if Ctrl-C ended the training, else 0."""
    return INTERRUPTED if (population.status == "interrupted").any() else 0


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


def check_distinct(options: Namespace, *names: str) -> None:
    """Refuse two options that name the same file.

    Raises: SettingError.
    """
    seen: dict[Path, str] = {}
    for name in names:
        path = getattr(options, name)
        if path is None:
            continue
        other = seen.setdefault(path.absolute(), name)
        if other != name:
            raise SettingError(f"--{other} and --{name} are both {path}: give two names")


PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Refuse, before training, a picture that cannot be drawn or written.

    Raises: SettingError, FileError or MissingDependencyError.
    """
    if path.suffix.lower() not in PICTURES:
        raise SettingError(f"--plot {path} must end in .png, .svg or .pdf")
    check_writable(path)
    plots.figure(1, 1)


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure, as a whole or not at all.

    Raises: FileError.
    """
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower(), bbox_inches="tight", dpi=150)
    write_atomically(path, content.getvalue())
