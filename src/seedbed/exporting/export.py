"""export(): writes a model as source code or ONNX."""

from __future__ import annotations

import hashlib
import keyword
import re
from contextlib import ExitStack
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seedbed import writing
from seedbed.arrays import (
    Indices,
    checked_choice,
    checked_count,
    checked_flag,
    checked_number,
    checked_path,
    one_line,
)
from seedbed.errors import FileError, MissingDependencyError, SettingError
from seedbed.exporting import c, javascript, python, smaller
from seedbed.exporting.c_words import identifiers
from seedbed.exporting.model import ExportModel, export_model
from seedbed.exporting.rows import Rows, made_rows
from seedbed.exporting.smaller import Cost, HeldOut
from seedbed.population import Population
from seedbed.tables.model import TableModel, as_model


def _c(model: ExportModel, name: str, rows: Rows) -> dict[str, bytes]:
    header, source = c.source(model, name, rows)
    return {f"{name}.h": header.encode(), f"{name}.c": source.encode()}


def _python(model: ExportModel, name: str, rows: Rows) -> dict[str, bytes]:
    return {f"{name}.py": python.source(model, rows).encode()}


def _javascript(model: ExportModel, name: str, rows: Rows) -> dict[str, bytes]:
    return {f"{name}.mjs": javascript.source(model, rows).encode()}


def _onnx(model: ExportModel, name: str, rows: Rows) -> dict[str, bytes]:
    try:
        from seedbed.exporting import onnx
    except ModuleNotFoundError:
        raise MissingDependencyError("onnx", "onnx") from None
    try:
        return {f"{name}.onnx": onnx.source(model, name, rows)}
    except UnicodeEncodeError as error:
        raise SettingError(
            f"ONNX cannot hold {one_line(error.object)}, which is no Unicode text: rename it"
        ) from None


WRITERS = {"c": _c, "js": _javascript, "python": _python, "onnx": _onnx}
"""What models are exported to, and what writes it: contents by file name."""

ENDS = {"c": (".c", ".h"), "js": (".mjs",), "python": (".py",), "onnx": (".onnx",)}
"""The ends of the files' names."""

_OTHER_ENDS = {".js", ".cpp", ".cc", ".hpp", ".ino", ".ts"}

TAKEN = {
    "c": {"math", "stddef", "stdint", "string"},
    "python": {"array", "base64", "datetime", "math", "numpy", "struct", *keyword.kwlist},
}
"""Names of what the files include or import, and words of the language."""


class Exported(NamedTuple):
    """What ``export`` wrote.

    files     their paths
    bytes     their size
    renamed   in C, the columns whose names are no identifiers, and their fields' names
    seeds     of the members exported
    kb        what ``max_kb`` limits: the file, or in C its constants, in units of 1,024 bytes
    held_out  what the members cost on rows that training held out; None if it held out none
    costs     what they cost on ``rows``
    """

    files: list[Path]
    bytes: int
    renamed: dict[str, str]
    seeds: list[int]
    kb: float
    held_out: HeldOut | None
    costs: list[Cost]


def export(
    model: Any,
    to: str,
    out: str | PathLike[str],
    *,
    name: str | None = None,
    replace: bool = False,
    members: int | None = None,
    max_kb: float | None = None,
    rows: Any = None,
) -> Exported:
    """Write a model, its table's encoding included, as source code or ONNX.

    model    a fitted estimator, a Population, or a model file's path
    to       the language: "c" writes ``name.h`` and ``name.c``, C99 without dependencies; "js"
             writes ``name.mjs``, an ES module for Node and browsers; "python" writes ``name.py``,
             which needs the standard library alone; "onnx" writes ``name.onnx``, which predicts
             within rounding, not with the same bits
    out      the folder for the files, which is made if there is none; or a file, such as
             "price.py", "price.mjs", "price.onnx" or "price.c" (beside which "price.h" is written)
    name     what the files, and in C all public names, begin with: an identifier; None is the
             file's name, or "model"
    replace  whether to replace files that exist
    members  how many members at most; None is all. Those of lowest loss on the rows that they held
             out in training are chosen
    max_kb   how large the file may be, in units of 1,024 bytes; in C its constants, beside which
             the code takes some kilobytes. As many members are taken as fit
    rows     a table with the target: rows that training did not see, to measure what fewer members
             cost; nothing is chosen by them

    Source code predicts a row with the bits of ``predict``, ONNX several rows within rounding.
    Missing values, and texts that training did not see, are handled as ``predict`` does. The files
    carry test rows with what they must give.

    Raises: SettingError for a model or a name that cannot be exported, FormulaError for a formula,
    FileError if a file cannot be written, or exists; MissingDependencyError without onnx. Nothing
    is then written.
    """
    checked_choice("to", to, list(WRITERS))
    replace = checked_flag("replace", replace)
    folder, name = _target(to, checked_path(out, "out"), name)
    known = as_model(model)
    population = known if isinstance(known, Population) else known.population
    order = smaller.by_loss(population)
    if members is not None:
        order = order[: checked_count("members", members)]
    chosen, made, files = _fitting(known, order, to, name, max_kb)
    costs = [] if rows is None else smaller.costs(known, chosen, rows)
    contents = {folder / file: content for file, content in files.items()}
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is no folder: give the name of one")
    for path in contents:
        if path.exists() and not replace:
            raise FileError(
                f"{path} exists: give another folder or name, or replace=True (--force)"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {folder}: {error.strerror}") from None
    for path in contents:
        writing.check_writable(path)
    with ExitStack() as stack:  # none replaces another file before all are on the disk
        opened = [stack.enter_context(writing.replacement(path)) for path in contents]
        for file, content in zip(opened, contents.values(), strict=True):
            file.write(content)
            file.flush()
    return Exported(
        files=list(contents),
        bytes=sum(map(len, files.values())),
        renamed=_renamed(made) if to == "c" else {},
        seeds=population.seeds[chosen].tolist(),
        kb=_limited(files, to) / 1024,
        held_out=smaller.held_out(population, chosen),
        costs=costs,
    )


def _target(to: str, out: Path, name: str | None) -> tuple[Path, str]:
    """Return the files' folder, and the name that they begin with.

    Raises: SettingError for a name that the files cannot have.
    """
    end = out.suffix.lower()
    others = {end for ends in ENDS.values() for end in ends} | _OTHER_ENDS
    if end in others and out.suffix not in ENDS[to] and not out.is_dir():
        raise SettingError(
            f"{out} is the name of another kind of file than {to!r} writes: end it in "
            f"{ENDS[to][0]}, or give a folder"
        )
    if out.suffix in ENDS[to] and not out.is_dir():
        out, name = out.parent, out.stem if name is None else name
    name = "model" if name is None else name
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise SettingError(
            f"name must be letters, digits and _, a letter first, such as 'model', not "
            f"{one_line(name)}"
        )
    if name in TAKEN.get(to, ()):
        raise SettingError(
            f"name {name!r} is a word of the language, or of a file that the code uses: give "
            "another, such as 'model'"
        )
    return out, name


Written = tuple[Indices, ExportModel, dict[str, bytes]]


def _fitting(
    known: Population | TableModel, order: Indices, to: str, name: str, max_kb: float | None
) -> Written:
    """Return as many of the first members as ``max_kb`` lets, what is exported, and the files."""

    @cache
    def written(count: int) -> Written:
        chosen = np.sort(order[:count])
        model = smaller.taken(known, chosen)
        population = model if isinstance(model, Population) else model.population
        digest = hashlib.sha256(population.theta.tobytes()).hexdigest()[:16]
        made = export_model(model, digest, whole=to == "onnx")
        return chosen, made, WRITERS[to](made, name, made_rows(model))

    if max_kb is None:
        return written(len(order))
    limit = round(1024 * checked_number("max_kb", max_kb, 0, open_low=True))
    return written(smaller.fitting(lambda n: _limited(written(n)[2], to), len(order), limit))


def _limited(files: dict[str, bytes], to: str) -> int:
    """Return the bytes that ``max_kb`` limits."""
    if to != "c":
        return sum(map(len, files.values()))
    (source,) = (content for file, content in files.items() if file.endswith(".c"))
    return c.constant_bytes(source.decode())


def _renamed(model: ExportModel) -> dict[str, str]:
    """Return the columns whose fields have other names."""
    if model.encoding is None:
        return {}
    names = [column.name for column in model.encoding.columns]
    pairs = zip(names, identifiers(names), strict=True)
    return {name: field for name, field in pairs if name != field}
