"""Where members that share vectors are faster than each alone: prints crossing.md, and writes it.

    python benchmarks/crossing.py

With lanes, a vector holds one number each of as many members; alone, it holds numbers of several
units of one member. Both give the same bits, so the rule in ``layout.min_for_lanes`` is about time
alone: it follows the size of the parameters, from these tables. On a processor with AVX-512, a
second table hides it.
"""

import os
import sys

if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import datetime
import statistics
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import described, without_avx512

import seedbed as sb
from seedbed import planning
from seedbed.engines.compiled.layout import lanes_per_vector, min_for_lanes
from seedbed.engines.compiled.target import VECTOR_BYTES
from seedbed.engines.compiled.training import Training
from seedbed.engines.state import State, Stop

ROUNDS = 5
WIDTHS = [
    (8, 16, 1),
    (8, 32, 1),
    (16, 32, 32, 4),
    (30, 48, 48, 2),
    (30, 64, 64, 2),
    (30, 80, 80, 2),
    (30, 96, 96, 2),
    (30, 128, 128, 2),
    (64, 128, 10),
    (784, 128, 10),
]


def prepared(widths, rows, dtype):
    """Return what trains sixteen members for so many epochs, by either way."""
    hidden = [sb.Dense(units, sb.relu) for units in widths[1:-1]]
    network = sb.Network(widths[0], [*hidden, sb.Dense(widths[-1])])
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(rows, widths[0])), rng.normal(size=(rows, widths[-1]))
    members = lanes_per_vector(dtype)
    epochs = max(3, int(3e8 / (members * rows * sum(i * o for i, o in pairwise(widths)))))
    recipe = sb.Recipe(
        network=network, loss=sb.squared_error, optimizer=sb.Adam(), epochs=epochs, dtype=dtype
    )
    plan = planning.make_plan(recipe, X, Y, range(members), None, None, None, 1)
    theta = network.init(plan.seeds, dtype)

    def run(min_shared):
        engine = Training(plan, threads=1, min_shared=min_shared)
        state = State.at_start(plan, theta.copy())
        began = time.perf_counter()
        engine.run(state, range(epochs), Stop())
        return (time.perf_counter() - began) / epochs / members * 1e6

    return network, run


def table():
    """Time both ways for every network, in this process."""
    lines = [
        f"## Vectors of {VECTOR_BYTES} bytes",
        "",
        "| network | parameters | dtype | rows | with lanes | alone | lanes / alone | the rule |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dtype in ("float32", "float64"):
        for widths in WIDTHS:
            for rows in (32, 256):
                network, run = prepared(widths, rows, dtype)
                W = lanes_per_vector(dtype)
                run(0), run(W + 1)
                taken = [(run(0), run(W + 1)) for _ in range(ROUNDS)]
                lanes, alone = (statistics.median(t) for t in zip(*taken, strict=True))
                rule = "lanes" if min_for_lanes(network, dtype) <= W else "alone"
                lines.append(
                    f"| {'-'.join(map(str, widths))} | {network.size:,} | {dtype} | {rows} | "
                    f"{lanes:.3g} | {alone:.3g} | {lanes / alone:.2f} | {rule} |"
                )
    return "\n".join([*lines, ""])


def main():
    if "--table" in sys.argv:
        print(table())
        return
    page = [
        "# With lanes, or alone",
        "",
        f"Printed by `python benchmarks/crossing.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba')}. Adam; a member's step in µs, medians of {ROUNDS} rounds "
        "in turn.",
        "",
    ]
    command = [sys.executable, __file__, "--table"]
    with tempfile.TemporaryDirectory() as directory:
        hidden = [without_avx512(directory)] if VECTOR_BYTES == 64 else []
        for given in (os.environ, *hidden):
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=given)
            page.append(done.stdout)
    text = "\n".join(page)
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
