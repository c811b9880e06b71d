"""Measure what can be lost, and what refusals cost: prints and writes trust.md.

    pip install -e '.[dev]' && python benchmarks/trust.py        (about 15 minutes on one core)
    python benchmarks/trust.py --nightly                         (10,000 kills, 20,000 mutants)

Each row is a promise, what was tried and what was found. The tests try a few of each.
"""

import argparse
import collections
import datetime
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from machine import described

import seedbed as sb
from seedbed import files, runs
from seedbed.tables.reading import parse

PAGE = Path(__file__).with_name("trust.md")
os.environ["SEEDBED_JOURNAL"] = "off"

SETUP = """
import sys, warnings
import numpy as np, seedbed as sb
from seedbed import runs
warnings.simplefilter("ignore")
runs.CALLBACK_SECONDS = 1e-2
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 5)); Y = X[:, 0] * X[:, 1]
network = sb.Network(5, [sb.Dense(16, sb.relu), sb.Dense(1)])
def recipe(lr, epochs=60):
    return sb.Recipe(network=network, loss=sb.squared_error, optimizer=sb.Adam(lr), epochs=epochs,
                     batch_size=32, dropout=0.1, engine=sys.argv[3])
def slow(X, Y, Z, seed):
    import time
    time.sleep(0.03)
    return np.full(len(Z), Y.mean() + 0.1 * np.random.default_rng(seed).normal())
methods = {"a": recipe(0.003), "b": recipe(0.0031), "slow": slow}
print("ready", flush=True)
"""
WORK = {
    "train": "found = sb.train(recipe(0.003, 2500), X, Y, seeds=range(12), progress=False, "
    "validation=0.2, patience=2500, checkpoint=sys.argv[1], checkpoint_every=0.05)\n"
    "sb.save(sys.argv[2], found)\n",
    "compare": "found = sb.compare(methods, X, Y, seeds='adaptive', progress=False, "
    "checkpoint=sys.argv[1])\n"
    "open(sys.argv[2], 'w').write(repr([(n, m.scores.tolist(), m.seeds.tolist()) for n, m in "
    "found.methods.items()]) + '\\n'.join(found.sentences))\n",
    "search": "found = sb.search({**methods, 'c': recipe(0.1), 'd': recipe(1e-4)}, X, Y, "
    "budget=40, baseline=recipe(0.002), progress=False, checkpoint=sys.argv[1])\n"
    "open(sys.argv[2], 'w').write(found.winner + repr([(t.name, t.scores.tolist()) for t in "
    "found.trials]) + '\\n'.join(found.confirmation.sentences if found.confirmation else []))\n",
}


def started(kind, engine, checkpoint, result):
    process = subprocess.Popen(
        [sys.executable, "-c", SETUP + WORK[kind], checkpoint, result, engine],
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    return process


def kills(kind, engine, count, folder):
    """Kill a training, comparison or search at random times, and return how many of its resumed
    runs ended in other bits than the uninterrupted one; and how many runs there were.
    """
    random, done, ends, wrong = np.random.default_rng(7), 0, 0, 0
    result = folder / "result"
    for name in ("whole", "again"):  # the first compiles
        with started(kind, engine, folder / name, result) as process:
            began = time.perf_counter()
            assert process.wait() == 0
    length = time.perf_counter() - began
    expected = result.read_bytes()
    while done < count:
        checkpoint = folder / f"{kind} {ends}"
        while True:
            with started(kind, engine, checkpoint, result) as process:
                time.sleep(random.uniform(0.0, 0.5 * length))
                if process.poll() is None and done < count and random.random() < 0.9:
                    process.kill()
                    done += 1
                    continue
                assert process.wait() == 0
                break
        wrong += result.read_bytes() != expected
        ends += 1
        left = [path for path in folder.iterdir() if path.name.endswith(".part")]
        assert len(left) <= 1, left
    return ends, wrong


def mutated(content, random):
    content = bytearray(content)
    for place in random.integers(0, len(content), random.integers(1, 9)):
        content[place] = random.integers(256)
    if random.random() < 0.2:
        content = content[: random.integers(1, len(content))]
    return bytes(content)


def model_mutants(count, folder):
    """Return what became of damaged model files."""
    whole = files.to_bytes(sb.train(sb.xor.recipe(20), *sb.xor.data(), seeds=range(3)))
    random, found, path = np.random.default_rng(1), collections.Counter(), folder / "mutant"
    for _ in range(count):
        content = mutated(whole, random)
        path.write_bytes(content)
        try:
            files.read(path)
            found["read"] += content != whole
        except sb.FileError:
            found["refused"] += 1
    return found


def table_mutants(count, suffix):
    """Return what became of damaged tables: those that are read may have other values."""
    import polars

    random, found = np.random.default_rng(2), collections.Counter()
    frame = polars.DataFrame({
        "x": random.normal(size=60), "n": random.integers(0, 9, 60),
        "c": random.choice(["red", "blue", ""], 60),
    })  # fmt: skip
    content = io.BytesIO()
    frame.write_csv(content) if suffix == "csv" else frame.write_parquet(content)
    for _ in range(count):
        try:
            table = parse(f"t.{suffix}", mutated(content.getvalue(), random))
            for name in table.columns:
                table.column(name)
            found["read"] += 1
        except sb.SeedbedError:
            found["refused"] += 1
    return found


PEAK = """
import json, sys, time
from pathlib import Path
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
"""
REFUSED = (
    PEAK
    + """
import safetensors.numpy, seedbed as sb
base, began = peak(), time.perf_counter()
try:
    sb.load(sys.argv[1])
except sb.FileError:
    pass
else:
    raise SystemExit("read")
print(json.dumps([time.perf_counter() - began, peak() - base]))
"""
)


def refusals(folder):
    """Return the most seconds and MB that a refusal of a hostile header takes."""
    empty = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    layers = {"recipe": {"network": {"inputs": 1, "layers": [{"kind": "Dense"}] * 99_999}}}
    models = [
        ('{"recipe": "' + "x" * 30_000_000 + '"}', {}), ("[" * 900_000, {}),
        (json.dumps({"recipe": [[{"a": 1}] * 3_000_000]}), {}), (json.dumps(layers), {}),
        (json.dumps({"recipe": [[1] * 900_000]}), {}),
        ("{}", {f"t{number}": empty for number in range(50_000)}),
        ("{}", {f"t{number}": empty for number in range(1_000_000)}),
    ]  # fmt: skip
    worst = [0.0, 0.0]
    for model, tensors in models:
        metadata = {"format": "seedbed", "version": "1", "model": model, "sha256": "0"}
        header = json.dumps({"__metadata__": metadata, **tensors}).encode()
        path = folder / "bomb"
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        found = subprocess.run(
            [sys.executable, "-c", REFUSED, path], capture_output=True, check=True
        ).stdout
        worst = np.maximum(worst, json.loads(found)).tolist()
    return len(models), *worst


def ended_by(number, compiles, folder):
    """Return the seconds from a signal to the end of ``seedbed train``, in compilation or later."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(3000, 6)), rng.normal(size=3000)])
    np.savetxt(folder / "t.csv", table, delimiter=",", header="a,b,c,d,e,f,y", comments="")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(folder / ("new" if compiles else "kept"))}
    command = [sys.executable, "-m", "seedbed", "train", "t.csv", "--target", "y", "--epochs"]
    out = folder / "m.interrupted.safetensors"
    if not compiles:
        subprocess.run(
            [*command, "2", "--codes", "bins"], cwd=folder, env=env, check=True, capture_output=True
        )
    else:
        shutil.rmtree(folder / "new", ignore_errors=True)
    log = folder / "log.csv"
    log.unlink(missing_ok=True)
    words = ["100000", "--patience", "100000", "--codes", "bins", "--out", "m.safetensors"]
    with subprocess.Popen(
        [*command, *words, "--log", log],
        cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # nohup may ignore it
    ) as process:  # fmt: skip
        if compiles:
            time.sleep(8)
        while not compiles and not (log.exists() and log.stat().st_size > 1000):
            time.sleep(0.1)
        began = time.perf_counter()
        process.send_signal(number)
        process.communicate(timeout=120)
    seconds = time.perf_counter() - began
    assert process.returncode == 128 + number, process.returncode
    assert out.exists() != compiles
    out.unlink(missing_ok=True)
    return seconds


def overhead(folder):
    """Return the seconds of a checkpoint of 1,000 members of 10,000 parameters, the seconds between
    two, and their share of the time in percent.
    """
    network = sb.Network(50, [sb.Dense(192, sb.relu), sb.Dense(1)])
    x = np.random.default_rng(0).normal(size=(64, 50)).astype("float32")
    seconds = []

    class Timed:
        def __call__(self, progress):
            pass

    given = {"loss": "mse", "epochs": 6, "seeds": range(1000), "engine": "numpy", "progress": False}
    from seedbed import checkpoints

    save = checkpoints.Checkpoint.save

    def timed(self):
        began = time.perf_counter()
        save(self)
        seconds.append(time.perf_counter() - began)

    checkpoints.Checkpoint.save = timed
    runs.CALLBACK_SECONDS = 1e-9
    sb.train(network, x, x[:, :1], checkpoint=folder / "c", checkpoint_every=0, **given)
    checkpoints.Checkpoint.save = save
    each = float(np.median(seconds))
    wait = max(60.0, each / checkpoints.MOST_SHARE)
    return each, wait, 100 * each / wait, network.size


READ = (
    PEAK
    + """
import polars, pandas
from seedbed.tables.reading import read
base, began = peak(), time.perf_counter()
pandas.read_csv(sys.argv[1]) if sys.argv[2] == "pandas" else read(sys.argv[1])
print(json.dumps([time.perf_counter() - began, peak() - base]))
"""
)


def reading(folder):
    """Return the MB of a CSV file, and the seconds and MB that pandas and Seedbed take."""
    import polars

    rng, n = np.random.default_rng(0), 1_750_000
    columns = {f"x{number}": np.round(100 * rng.normal(size=n), 4) for number in range(10)}
    columns["town"] = rng.choice(["Ulm", "Bonn", "Köln", "Berlin"], n)
    columns["code"] = rng.choice([f"c{number}" for number in range(300)], n)
    path = folder / "large.csv"
    polars.DataFrame(columns).write_csv(path)
    found = {}
    for name in ("pandas", "seedbed"):
        each = [
            json.loads(
                subprocess.run(
                    [sys.executable, "-c", READ, path, name], capture_output=True, check=True
                ).stdout
            )
            for _ in range(3)
        ]
        found[name] = np.median(each, axis=0).tolist()
    return path.stat().st_size / 1e6, found["pandas"], found["seedbed"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nightly", action="store_true", help="50 times as many; no page")
    nightly = parser.parse_args().nightly
    warnings.simplefilter("ignore")
    began, rows = time.perf_counter(), []
    many = 50 if nightly else 1

    def row(promise, tried, found):
        rows.append(f"| {promise} | {tried} | {found} |")
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, engine, count in (
            ("train", "compiled", 40), ("train", "numpy", 40), ("compare", "numpy", 70),
            ("search", "numpy", 50),
        ):  # fmt: skip
            own = folder / f"{kind} {engine}"
            own.mkdir()
            ends, wrong = kills(kind, engine, count * many, own)
            row(
                f"a killed {kind} goes on to the same bits ({engine} engine)",
                f"{count * many:,} SIGKILLs at random times, {ends} runs resumed to their end",
                f"{wrong} with other bits",
            )
        found = model_mutants(2_000 * many // 5, folder)
        row(
            "a damaged model file is refused", f"{sum(found.values()):,} mutants",
            f"{found['read']} read, {found['refused']:,} refused, 0 other errors",
        )  # fmt: skip
        for suffix in ("csv", "parquet"):
            found = table_mutants(1_000 * many // 5, suffix)
            row(
                f"a damaged {suffix} table is read or refused", f"{sum(found.values()):,} mutants",
                f"{found['read']:,} read, {found['refused']:,} refused, 0 other errors",
            )  # fmt: skip
        count, seconds, megabytes = refusals(folder)
        row(
            "hostile headers of model files are refused at once", f"{count} files of up to 60 MB",
            f"at most {seconds:.2f} s and {megabytes:.0f} MB",
        )  # fmt: skip
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            row(
                f"{number.name} ends `seedbed train` and keeps what was trained",
                "in training; in compilation, 8 s after the start",
                f"after {ended_by(number, False, folder):.2f} s; "
                f"{ended_by(number, True, folder):.2f} s",
            )
        seconds, wait, share, size = overhead(folder)
        row(
            "checkpoints cost little", f"1,000 members of {size:,} parameters",
            f"{seconds:.2f} s each, one every {wait:.0f} s: {share:.2f} % of the time",
        )  # fmt: skip
        size, pandas, ours = reading(folder)
        row(
            "reading a table costs little", f"a CSV file of {size:.0f} MB, against pandas",
            f"{ours[0]:.2f} s ({ours[0] / pandas[0]:.1f} times) and {ours[1]:.0f} MB "
            f"({ours[1] / size:.1f} times the file; pandas {pandas[1]:.0f} MB)",
        )  # fmt: skip
    page = [
        "# What can be lost, and what refusals cost", "",
        f"Printed by `python benchmarks/trust.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'polars', 'pandas', 'safetensors')}.", "",
        "| promise | tried | found |", "|---|---|---|", *rows, "",
        "Bad calls are in `tests/extras/test_bad_calls.py`: values of 20 kinds for each parameter "
        "of the public functions, and each ends in one line of the library's own.", "",
        f"Total time: {(time.perf_counter() - began) / 60:.0f} minutes.",
    ]  # fmt: skip
    if not nightly:
        PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
