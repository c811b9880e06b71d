"""What the commands print: tables, a histogram, JSON."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import plots
from seedbed.arrays import Array
from seedbed.errors import FileError, MissingDependencyError, SettingError, reason
from seedbed.population import Population

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object; NumPy arrays become lists, and numbers that are not finite null."""
    print(json.dumps(_plain(content), indent=2, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of texts under headers, all columns but the first aligned to the right."""
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
    """Return a histogram's lines: equal steps of the logarithm, one a bin.

    Shapes: values (N,), positive; others are left out.
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
    """Return the command's exit status: that of Ctrl-C where it cut the training short, else 0."""
    return INTERRUPTED if (population.status == "interrupted").any() else 0


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %"


PICTURES = (".png", ".svg", ".pdf")


def check_picture(path: Path) -> None:
    """Refuse, before training, a picture that cannot be drawn or written."""
    if path.suffix.lower() not in PICTURES:
        raise SettingError(f"--plot {path}: the name must end in {', '.join(PICTURES)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise FileError(f"cannot write {path}: there is no such directory, or it is one")
    plots.figure(1, 1)


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure.

    Raises: FileError.
    """
    try:
        figure.savefig(path, bbox_inches="tight", dpi=150)
    except OSError as error:
        raise FileError(f"cannot write {path}: {reason(error)}") from None
