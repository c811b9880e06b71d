"""Train from disk on a table ten times the allowed memory: prints and writes from_disk.md.

    pip install -e '.[bench]' && python benchmarks/from_disk.py

It takes about an hour on one core and 60 GB of disk in TMPDIR or /var/tmp. ``--limit 2.7`` (GB) is
the limit of the process's address space (RLIMIT_AS), ``--rows`` the large table's number of rows.

1. Speed: the same rows trained on in memory and from disk in turn, each in a process of its own.
2. Size: a table that takes ten times the limit as a polars frame.
3. Scores: tables sorted by their target, in some ten shards, against training in memory.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from machine import described

import seedbed as sb
from seedbed.engines import shards

PAGE = Path(__file__).with_name("from_disk.md")
os.environ["SEEDBED_JOURNAL"] = "off"
EPOCHS, LARGE_EPOCHS, MEMBERS = 2, 1, 4
SPEED_ROWS = 400_000


def write_table(path, rows):
    """Write a table of 95 numbers, five texts and the target in row groups of 65,536 rows."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=95) / np.sqrt(95)
    texts = pa.array([f"kind {number}" for number in range(20)])
    writer = None
    for start in range(0, rows, 65_536):
        n = min(65_536, rows - start)
        X, kinds = rng.normal(size=(n, 95)).round(2), rng.integers(0, 20, (n, 5))
        y = np.sin(2 * X @ weights) + X[:, 0] * X[:, 1] + 0.1 * kinds[:, 0]
        columns = {f"x{place}": X[:, place] for place in range(95)}
        columns |= {f"kind{place}": texts.take(pa.array(kinds[:, place])) for place in range(5)}
        columns["y"] = y + 0.3 * rng.normal(size=n)
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def fit(path, from_disk, limit):
    """Train, and print what it took as JSON: run in a process of its own."""
    import polars as pl

    from seedbed.estimators import NetworkRegressor

    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    marks, epochs = [], LARGE_EPOCHS if limit else EPOCHS
    began = time.perf_counter()
    model = NetworkRegressor(
        (64, 64), members=MEMBERS, effort="fast", max_iter=epochs, random_state=0, verbose=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(
            path, "y", from_disk=from_disk,
            callbacks=[lambda progress: marks.append((time.perf_counter(), progress.share))],
        )  # fmt: skip
    ended = time.perf_counter()
    (first, low), (last, high) = marks[0], marks[-1]
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    schema = pq.ParquetFile(path)
    rows = schema.metadata.num_rows
    test = pl.scan_parquet(path).head(20_000).collect() if not limit else None
    print(
        json.dumps(
            {
                "rows": rows,
                "seconds": ended - began,
                # a member holds out a quarter of the rows, from disk of at most 50,000
                "trained": rows - model.from_disk_.held_out if from_disk else 0.75 * rows,
                "epochs_per_second": (high - low) * epochs / (last - first) if last > first else 0,
                "before": first - began,
                "peak": int(status["VmPeak"].split()[0]) * 1024,
                "resident": int(status["VmHWM"].split()[0]) * 1024,
                "shards": model.from_disk_.shards if from_disk else 0,
                "loss": model.validation_curve_[-1],
                "r2": None if test is None else model.score(test.drop("y"), test["y"]),
            }
        )
    )


def measured(path, from_disk, limit=0):
    """Return what ``fit`` printed."""
    words = [sys.executable, __file__, "--fit", str(path), str(int(from_disk)), str(limit)]
    # each of glibc's arenas takes 64 MB of address space, of which little is memory
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"} if limit else None
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found), flush=True)
    return found


def speed(folder, repeats):
    """Return the rows of the speed table."""
    path = folder / "speed.parquet"
    write_table(path, SPEED_ROWS)
    rates, whole = {0: [], 1: []}, {0: [], 1: []}
    for _ in range(repeats):
        for from_disk in (0, 1):
            found = measured(path, from_disk)
            rates[from_disk].append(found["epochs_per_second"] * found["trained"])
            whole[from_disk].append(found["seconds"])
    ratio = np.array(rates[1]) / np.array(rates[0])
    lines = [
        f"| {name} | {np.median(rates[key]):,.0f} ({min(rates[key]):,.0f} to "
        f"{max(rates[key]):,.0f}) | {np.median(whole[key]):.0f} s |"
        for key, name in ((0, "in memory"), (1, f"from disk, {found['shards']} shards"))
    ]
    return lines, ratio, float(np.median(rates[0]))


def scores(seeds):
    """Return a Comparison for each of two tables, sorted by their target."""
    import open_tables
    import polars as pl

    from seedbed.estimators import NetworkRegressor

    found = {}
    for name, shards.SHARD_BYTES in (("diamonds", 2**20), ("flights_delay", 2**23)):
        X, y, _ = open_tables.load(name)
        frame = pl.from_pandas(X).with_columns(y=pl.Series(y.to_numpy()))
        frame = frame.sample(fraction=1.0, shuffle=True, seed=1)
        test, train = frame[:10_000], frame[10_000:].sort("y")
        results = {"in memory": [], "from disk": []}
        count = 0
        for seed in range(seeds):
            for method, of in results.items():
                model = NetworkRegressor(
                    members=4, effort="fast", max_iter=12, random_state=seed, verbose=None
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model.fit(train.lazy(), "y", from_disk=method == "from disk")
                of.append(float(model.score(test.drop("y"), test["y"])))
                count = model.from_disk_.shards if model.from_disk_ else count
            print(name, seed, {method: of[-1] for method, of in results.items()}, flush=True)
        judged = sb.judge(results, higher_is_better=True, design="fixed", delta=0.002, name="R²")
        found[name] = judged, count, results
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fit", nargs=3)
    parser.add_argument("--limit", type=float, default=2.7)
    parser.add_argument("--rows", type=int, default=32_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    if options.fit:
        path, from_disk, limit = options.fit
        fit(path, bool(int(from_disk)), int(limit))
        return
    with tempfile.TemporaryDirectory(dir=shards.folder()) as name:
        folder = Path(name)
        lines, ratio, in_memory = speed(folder, options.repeats)
        path = folder / "large.parquet"
        write_table(path, options.rows)
        limit = round(options.limit * 1e9)
        large = measured(path, 1, limit)
        size = path.stat().st_size
    values = options.rows * (96 * 8 + 5 * 16)  # polars' numbers, and views of short texts
    rate = large["epochs_per_second"] * large["trained"]
    judged = scores(options.seeds)
    page = [
        "# Training from disk",
        "",
        f"Printed by `python benchmarks/from_disk.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba', 'polars', 'pyarrow')}.",
        "",
        f"The tables have 95 numbers and five texts of 20 kinds; {MEMBERS} members of two layers "
        f"of 64 units train for {EPOCHS} epochs, and {LARGE_EPOCHS} on the large table. Speed is "
        "rows trained on in a second, of all members together, without reading and encoding.",
        "",
        "## Speed",
        "",
        f"{SPEED_ROWS:,} rows, {options.repeats} times in turn, each in a process of its own; "
        "median and range, and the median time of `fit` as a whole.",
        "",
        "| rows | rows in a second | fit |",
        "|---|---|---|",
        *lines,
        "",
        f"From disk / in memory: {np.median(ratio):.2f} ({ratio.min():.2f} to {ratio.max():.2f}).",
        "",
        "## Size",
        "",
        f"{large['rows']:,} rows: {values / 1e9:.1f} GB as a polars frame, {size / 1e9:.1f} GB as "
        f"a Parquet file, in a process whose address space is limited to {options.limit:g} GB: "
        f"{values / limit:.1f} times the limit.",
        "",
        "| shards | rows in a second | of the speed in memory | before training | fit | address "
        "space | resident | held-out loss |",
        "|---|---|---|---|---|---|---|---|",
        f"| {large['shards']:,} | {rate:,.0f} | {rate / in_memory:.2f} | {large['before']:.0f} s | "
        f"{large['seconds']:.0f} s | {large['peak'] / 1e9:.2f} GB | {large['resident'] / 1e9:.2f} "
        f"GB | {large['loss']:.4f} |",
        "",
        "Before training come two passes over the table: statistics, then encoding.",
        "",
        "## Scores",
        "",
        "Two real tables, sorted by their target, in some ten shards, 12 epochs; R² on 10,000 "
        f"other rows from {options.seeds} seeds.",
        "",
        "| table | shards | in memory | from disk | `sb.judge`, delta = 0.002 |",
        "|---|---|---|---|---|",
    ]
    for name, (comparison, count, results) in judged.items():
        cells = [f"{np.mean(of):.4f} (sd {np.std(of, ddof=1):.4f})" for of in results.values()]
        words = " ".join(comparison.sentences).replace("\n", " ")
        page.append(f"| {name} | {count} | {cells[0]} | {cells[1]} | {words} |")
    PAGE.write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
