"""Seedbed's speed beside its peers': prints the tables of RESULTS.md, and writes them there.

    pip install -e '.[bench]' && python benchmarks/speed.py

The time is that of one step (forward, backward, update) of one member, in float32, on one pinned
core with one thread. All libraries take turns in every round. On a processor with AVX-512, a second
table hides it from all of them (``hide_avx512.c``), as if the processor had AVX2 only. Seedbed's
time is that of train(...), with its compiled code on disk; a peer's is its training loop alone,
without the preparation of data and first parameters and without JAX's compilation. Peers record no
losses, so Seedbed records the last epoch's only; for XOR, where recording costs time, one row
records all. Every peer runs in its fastest known form, on the same rows at every step.
"""

import os
import sys

if "--pinned" not in sys.argv:  # thread counts are read when BLAS is loaded, so start over
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    if hasattr(os, "sched_getaffinity"):
        os.environ.setdefault("ALL_CORES", ",".join(map(str, sorted(os.sched_getaffinity(0)))))
    os.execv(sys.executable, [sys.executable, *sys.argv, "--pinned"])
if hasattr(os, "sched_setaffinity"):
    cores = [int(core) for core in os.environ["ALL_CORES"].split(",")]
    os.sched_setaffinity(0, cores[: 2 if "--threads" in sys.argv else 1])

import argparse
import datetime
import statistics
import subprocess
import tempfile
import time
import tracemalloc
import warnings
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from machine import described, without_avx512

import seedbed as sb
from seedbed.engines.compiled.memory import load, store
from seedbed.engines.compiled.target import VECTOR_BYTES, kernel
from seedbed.engines.compiled.vectors import fma

ROUNDS = 5
SECONDS = 0.5
"""How long each takes in a round, about."""
PACKAGES = ("numpy", "numba", "llvmlite", "torch", "jax", "scikit-learn")
RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass(frozen=True)
class Work:
    """What is trained: the network's widths, its rows, and how many members."""

    name: str
    widths: tuple[int, ...]
    rows: int
    members: int
    loss: str  # "squared" or "classes"
    adam: bool = True
    xor: bool = False

    @property
    def size(self):
        """How many parameters a member has."""
        return sum((i + 1) * o for i, o in pairwise(self.widths))

    @property
    def operations(self):
        """How many additions and multiplications a member's products take, in one step."""
        products = [i * o for i, o in pairwise(self.widths)]
        return 2 * self.rows * (3 * sum(products) - products[0])  # x has no gradient

    @property
    def key(self):
        """The widths, as one writes them."""
        return "-".join(map(str, self.widths))

    def data(self):
        """Return X and Y, the same every time."""
        if self.xor:
            X, Y = sb.xor.data()
            return X.astype("float32"), Y.astype("float32")
        rng = np.random.default_rng(0)
        X = rng.normal(size=(self.rows, self.widths[0])).astype("float32")
        if self.loss == "classes":
            return X, rng.integers(0, self.widths[-1], self.rows)
        return X, rng.normal(size=(self.rows, self.widths[-1])).astype("float32")


WORKS = [
    Work("XOR, 4,096 members", (3, 4, 1), 4, 4096, "squared", adam=False, xor=True),
    Work("XOR, one member", (3, 4, 1), 4, 1, "squared", adam=False, xor=True),
    Work("256 members, Adam", (8, 16, 1), 32, 256, "squared"),
    Work("32 members, Adam", (30, 64, 64, 2), 32, 32, "classes"),
    Work("16 members, Adam (MNIST's shape)", (784, 128, 10), 64, 16, "classes"),
    Work("one member, Adam", (784, 512, 256, 10), 128, 1, "classes"),
]

# ------------------------------------------------------------------ Seedbed


def seedbed(work, engine, threads=1, members=None, every_loss=False):
    X, Y = work.data()
    hidden = sb.sigmoid if work.xor else sb.relu
    last = sb.sigmoid if work.xor else sb.identity
    network = sb.Network(
        work.widths[0],
        [*(sb.Dense(u, hidden) for u in work.widths[1:-1]), sb.Dense(work.widths[-1], last)],
    )
    recipe = {
        "loss": sb.cross_entropy if work.loss == "classes" else sb.squared_error,
        "optimizer": sb.Adam(0.001) if work.adam else sb.SGD(1.0),
        "engine": engine,
        "threads": threads,
    }

    seeds = range(members or work.members)
    start = network.init(seeds, "float32")

    def run(steps):
        every = 1 if every_loss else steps
        sb.train(
            network, X, Y, epochs=steps, seeds=seeds, start=start, record_every=every, **recipe
        )

    return run


# ------------------------------------------------------------------ NumPy, written plainly


def plain_numpy(work):
    X, Y = work.data()
    rng = np.random.default_rng(0)
    Ws = [
        rng.normal(size=(i, o)).astype("float32") / np.float32(np.sqrt(i))
        for i, o in zip(work.widths, work.widths[1:], strict=False)
    ]
    bs = [np.zeros(o, "float32") for o in work.widths[1:]]
    moments = [[np.zeros_like(p), np.zeros_like(p)] for p in (*Ws, *bs)]
    onehot = np.eye(work.widths[-1], dtype="float32")[Y] if work.loss == "classes" else None

    def f(z):
        return 1 / (1 + np.exp(-z)) if work.xor else np.maximum(z, 0)

    def run(steps):
        last = len(Ws) - 1
        for k in range(1, steps + 1):
            a, seen = X, [X]
            for layer, (W, b) in enumerate(zip(Ws, bs, strict=True)):
                z = np.dot(a, W) + b
                a = f(z) if work.xor or layer < last else z
                seen.append(a)
            if work.loss == "classes":
                e = np.exp(a - a.max(axis=1, keepdims=True))
                d = (e / e.sum(axis=1, keepdims=True) - onehot) / work.rows
            else:
                d = 2 / a.size * (a - Y)
            dWs, dbs = [], []
            for layer in range(last, -1, -1):
                a = seen[layer + 1]
                if work.xor:
                    d = d * a * (1 - a)
                elif layer < last:
                    d = d * (a > 0)
                dWs.insert(0, seen[layer].T.dot(d))
                dbs.insert(0, d.sum(axis=0))
                if layer:
                    d = d.dot(Ws[layer].T)
            for p, g, (m, v) in zip((*Ws, *bs), (*dWs, *dbs), moments, strict=True):
                if not work.adam:
                    p -= g
                    continue
                m *= 0.9
                m += 0.1 * g
                v *= 0.999
                v += 0.001 * g * g
                p -= 0.001 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)

    return run


# ------------------------------------------------------------------ peers


def jax_vmapped(work, written_out=False):
    """vmap over members, inside one lax.scan over steps, compiled.

    ``written_out`` takes products as sums of elementwise products, which XLA makes one loop of with
    all the rest: faster for one tiny network, and for nothing else.
    """
    import jax
    import jax.numpy as jnp

    X, Y = (jnp.asarray(a) for a in work.data())
    key = jax.random.PRNGKey(0)
    theta = []
    for i, o in zip(work.widths, work.widths[1:], strict=False):
        key, sub = jax.random.split(key)
        theta.append((jax.random.normal(sub, (work.members, i, o)) / i**0.5,
                      jnp.zeros((work.members, o))))  # fmt: skip
    last = len(theta) - 1

    def loss(layers):
        a = X
        for k, (W, b) in enumerate(layers):
            z = ((a[:, :, None] * W).sum(axis=1) if written_out else a @ W) + b
            a = jax.nn.sigmoid(z) if work.xor else (jax.nn.relu(z) if k < last else z)
        if work.loss == "classes":
            return -jnp.take_along_axis(jax.nn.log_softmax(a), Y[:, None], axis=1).mean()
        return ((a - Y) ** 2).mean()

    def sgd(state, _):
        layers = state
        g = jax.grad(loss)(layers)
        return jax.tree.map(lambda p, d: p - d, layers, g), None

    def adam(state, _):
        layers, m, v, k = state
        g = jax.grad(loss)(layers)
        k = k + 1
        m = jax.tree.map(lambda m, d: 0.9 * m + 0.1 * d, m, g)
        v = jax.tree.map(lambda v, d: 0.999 * v + 0.001 * d * d, v, g)
        c, s = 1 - 0.9**k, 1 - 0.999**k
        layers = jax.tree.map(
            lambda p, m, v: p - 0.001 * (m / c) / (jnp.sqrt(v / s) + 1e-8), layers, m, v
        )
        return (layers, m, v, k), None

    step = adam if work.adam else sgd
    zeros = jax.tree.map(jnp.zeros_like, theta)
    state = (theta, zeros, zeros, jnp.zeros(work.members)) if work.adam else theta
    compiled = {}

    def run(steps):
        if steps not in compiled:
            many = jax.vmap(lambda s: jax.lax.scan(step, s, None, length=steps)[0])
            compiled[steps] = jax.jit(many).lower(state).compile()
        jax.block_until_ready(compiled[steps](state))

    return run


def torch_alone(work):
    """One network after the other, eager, with the fused optimizer."""
    import torch

    torch.set_num_threads(1)
    X, Y = (torch.from_numpy(a) for a in work.data())
    layers = []
    for i, o in zip(work.widths, work.widths[1:], strict=False):
        layers += [torch.nn.Linear(i, o), torch.nn.Sigmoid() if work.xor else torch.nn.ReLU()]
    model = torch.nn.Sequential(*(layers if work.xor else layers[:-1]))
    loss = torch.nn.CrossEntropyLoss() if work.loss == "classes" else torch.nn.MSELoss()
    kind = torch.optim.Adam if work.adam else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=0.001 if work.adam else 1.0, fused=True)

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(X), Y).backward()
            optimizer.step()

    return run


def torch_vmapped(work):
    """torch.func: all members at once, their parameters stacked, the fused optimizer on those."""
    import torch

    torch.set_num_threads(1)
    X, Y = (torch.from_numpy(a) for a in work.data())
    torch.manual_seed(0)
    theta = []
    for i, o in zip(work.widths, work.widths[1:], strict=False):
        theta += [torch.randn(work.members, i, o) / i**0.5, torch.zeros(work.members, o)]
    theta = [p.requires_grad_() for p in theta]
    kind = torch.optim.Adam if work.adam else torch.optim.SGD
    optimizer = kind(theta, lr=0.001 if work.adam else 1.0, fused=True)
    last = len(theta) // 2 - 1

    def loss(*layers):
        a = X
        for k in range(last + 1):
            z = a @ layers[2 * k] + layers[2 * k + 1]
            a = torch.sigmoid(z) if work.xor else (torch.relu(z) if k < last else z)
        if work.loss == "classes":
            return torch.nn.functional.cross_entropy(a, Y)
        return ((a - Y) ** 2).mean()

    losses = torch.func.vmap(loss)

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            losses(*theta).sum().backward()
            optimizer.step()

    return run


def scikit_learn(work):
    """MLPClassifier or MLPRegressor, one network after the other; its output layer is linear."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    X, Y = work.data()
    kind = MLPClassifier if work.loss == "classes" else MLPRegressor

    def run(steps):
        model = kind(
            hidden_layer_sizes=work.widths[1:-1],
            activation="logistic" if work.xor else "relu",
            solver="adam" if work.adam else "sgd",
            learning_rate_init=0.001,
            momentum=0.0,
            alpha=0.0,
            batch_size=work.rows,
            max_iter=steps,
            tol=0.0,
            n_iter_no_change=10**9,
            shuffle=False,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(X, Y if work.loss == "classes" else Y.ravel())

    return run


def contestants(work):
    """Return each way to do the work, and how many members it carries at once."""
    ways = {
        "Seedbed, compiled": (seedbed(work, "compiled"), work.members),
        "Seedbed, compiled, every loss recorded": (
            seedbed(work, "compiled", every_loss=True),
            work.members,
        ),
        "Seedbed, NumPy": (seedbed(work, "numpy"), work.members),
        "JAX, vmap in scan": (jax_vmapped(work), work.members),
        "JAX, products written out": (jax_vmapped(work, written_out=True), work.members),
        "PyTorch, eager": (torch_alone(work), 1),
        "PyTorch, torch.func": (torch_vmapped(work), work.members),
        "scikit-learn": (scikit_learn(work), 1),
        "NumPy, plain": (plain_numpy(work), 1),
    }
    if work.members == 1:
        del ways["PyTorch, torch.func"]
    if not work.xor:  # it is far slower there
        del ways["JAX, products written out"]
        del ways["Seedbed, compiled, every loss recorded"]  # beside larger networks it is nothing
    return ways


# ------------------------------------------------------------------ measuring


def seconds(run, steps):
    began = time.perf_counter()
    run(steps)
    return time.perf_counter() - began


def steps_for(run):
    """Return how many steps take about ``SECONDS``; compiles and warms up on the way."""
    steps = 2
    while True:
        run(steps)  # compiles, where that is needed
        took = min(seconds(run, steps), seconds(run, steps))
        if took > SECONDS / 3:
            break
        steps *= 4 if took < SECONDS / 12 else 2
    steps = max(2, round(steps * SECONDS / took))
    run(steps)
    return steps


def in_turn(ways):
    """Return each way's times of one member's step in µs, one for each round."""
    steps = {way: steps_for(run) for way, (run, _) in ways.items()}
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, (run, members) in ways.items():
            time.sleep(0.05)  # what another library's threads still do comes to an end
            times[way].append(seconds(run, steps[way]) / steps[way] / members * 1e6)
    return times


def number(value):
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def table(work):
    times = in_turn(contestants(work))
    ours = times["Seedbed, compiled"]
    lines = [
        f"### {work.key}, {work.rows} rows, {work.name}",
        "",
        "| | µs per member and step: median | minimum | maximum | times Seedbed's (median of the "
        "rounds) |",
        "|---|---|---|---|---|",
    ]
    for way, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(ours, taken, strict=True))
        cells = [number(f(taken)) for f in (statistics.median, min, max)]
        lines.append(f"| {way} | {' | '.join(cells)} | {number(ratio)} |")
    return [*lines, "", bound(work, statistics.median(ours)), ""]


@kernel
def _fma_alone(a, times):
    """Twelve sums, enough to keep two multipliers busy."""
    x = load(a, 0)
    r0, r1, r2, r3, r4, r5 = x, x + 1, x + 2, x + 3, x + 4, x + 5
    s0, s1, s2, s3, s4, s5 = x + 6, x + 7, x + 8, x + 9, x + 10, x + 11
    for _ in range(times):
        r0, r1, r2 = fma(x, x, r0), fma(x, x, r1), fma(x, x, r2)
        r3, r4, r5 = fma(x, x, r3), fma(x, x, r4), fma(x, x, r5)
        s0, s1, s2 = fma(x, x, s0), fma(x, x, s1), fma(x, x, s2)
        s3, s4, s5 = fma(x, x, s3), fma(x, x, s4), fma(x, x, s5)
    store(a, 0, r0 + r1 + r2 + r3 + r4 + r5 + s0 + s1 + s2 + s3 + s4 + s5)


@cache
def peak():
    """Return the GF/s of fused multiply-adds that touch registers only."""
    times, a = 1_000_000, np.zeros(16, "float32")
    _fma_alone(a, 1)
    taken = []
    for _ in range(9):
        a[:] = 0
        taken.append(seconds(lambda n: _fma_alone(a, n), times))
    return 12 * times * 2 * (VECTOR_BYTES // 4) / min(taken) / 1e9


def bound(work, taken):
    """Say how near a step of ``taken`` µs comes to what the processor can do."""
    alone = work.operations / peak() / 1e3
    said = (
        f"Over the whole step, Seedbed's matrix products run at "
        f"{number(work.operations / taken / 1e3)} GF/s. Multiply-adds in registers reach "
        f"{number(peak())} GF/s, at which the products would take {alone / taken:.0%} of the step."
    )
    if work.adam:
        moved = 28 * work.size  # reads w, g, m, v; writes w, m, v
        said += (
            f" Moving Adam's {number(moved / 1e6)} MB in the remaining time takes "
            f"{number(moved / (taken - alone) / 1e3)} GB/s."
        )
    return said


def lines():
    """Time every line, in this process."""
    page = []
    for work in WORKS:
        page += table(work)
    return page


def lines_for(isa):
    """Return the lines for vectors of the instruction set ``isa``, timed in a new process."""
    with tempfile.TemporaryDirectory() as directory:
        given = without_avx512(directory) if isa == "avx2" else os.environ
        words = [sys.executable, __file__, "--lines"]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=given)
    print(done.stdout, flush=True)
    return done.stdout.splitlines()


def growth():
    """Time a member's step as members, rows and epochs grow."""
    lines = ["| what grows | from … to: ns a member's step |", "|---|---|"]
    for work, steps in ((WORKS[0], 2_000), (WORKS[2], 100)):  # so many that the set-up fades
        cells = []
        for P in (16, 256, 4096, 65536):
            run = seedbed(work, "compiled", members=P)
            many = steps * max(1, 4096 // P)
            taken = [seconds(run, many) / many / P * 1e9 for _ in range(4)][1:]
            cells.append(f"{P:,}: {number(statistics.median(taken))}")
        lines.append(f"| members of {work.key} | {', '.join(cells)} |")
    wider = {
        rows: (seedbed(Work("", (8, 16, 1), rows, 256, "squared"), "compiled"), 256 * rows)
        for rows in (32, 256, 2048, 16384)
    }
    cells = ", ".join(
        f"{rows:,}: {number(statistics.median(t) * 1e3)}" for rows, t in in_turn(wider).items()
    )
    lines.append(f"| rows of 8-16-1, 256 members: ns a member's row | {cells} |")
    run = seedbed(WORKS[0], "compiled", members=256)
    epochs = (100, 1_000, 10_000, 100_000)
    taken = {
        e: statistics.median(seconds(run, e) / e / 256 * 1e9 for _ in range(5)) for e in epochs
    }
    cells = ", ".join(f"{e:,}: {number(t)}" for e, t in taken.items())
    lines.append(f"| epochs of 3-4-1, 256 members | {cells} |")
    return [*lines, ""]


def scaling():
    """Two threads against one, in turn."""
    lines = [
        "| work | one thread, µs | two threads, µs | times as fast (median; minimum to maximum) |",
        "|---|---|---|---|",
    ]
    works = [
        *(w for w in WORKS if w.members > 1),
        Work("two members, Adam", (30, 64, 64, 2), 32, 2, "classes"),
        Work("two members", (3, 4, 1), 4, 2, "squared", adam=False, xor=True),
    ]
    for work in works:
        times = in_turn({t: (seedbed(work, "compiled", threads=t), work.members) for t in (1, 2)})
        ratios = [a / b for a, b in zip(times[1], times[2], strict=True)]
        lines.append(
            f"| {work.key}, {work.members:,} members | {number(statistics.median(times[1]))} | "
            f"{number(statistics.median(times[2]))} | {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    taken = [
        seconds(lambda steps: sb.train(sb.xor.recipe(steps),
            *sb.xor.data(), seeds=range(4096), record_every=steps // 100, threads=2), 20_000)
        for _ in range(3)
    ]  # fmt: skip
    lines += [
        "",
        f"The tutorial's recipe (float64) from 4,096 seeds for 20,000 epochs on two threads: "
        f"{statistics.median(taken):.1f} s ({min(taken):.1f} to {max(taken):.1f}).",
        "",
    ]
    return lines


START = """
import time
began = time.perf_counter()
import seedbed as sb
X, Y = sb.xor.data()
sb.train(sb.xor.network(), X, Y, loss=sb.squared_error, epochs=1, engine="compiled", progress=False)
print(time.perf_counter() - began)
"""


def start_up():
    """Seconds from nothing to a first trained network, in fresh processes."""

    def process(directory):
        given = {**os.environ, "NUMBA_CACHE_DIR": directory}
        done = subprocess.run(
            [sys.executable, "-c", START], capture_output=True, text=True, check=True, env=given
        )
        return float(done.stdout)

    cold, warm = [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as directory:
            cold.append(process(directory))
            warm += [process(directory) for _ in range(3)]
    lines = ["| a fresh process | seconds: median | minimum | maximum |", "|---|---|---|---|"]
    for name, taken in (("nothing compiled before", cold), ("compiled before", warm)):
        cells = [f"{f(taken):.2f}" for f in (statistics.median, min, max)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def prediction():
    work = Work("", (30, 64, 64, 2), 256, 1, "classes")
    X, Y = work.data()
    network = sb.Network(30, [sb.Dense(64, sb.relu), sb.Dense(64, sb.relu), sb.Dense(2)])
    by = {
        engine: sb.train(network, X, Y, loss=sb.cross_entropy, epochs=2, engine=engine)
        for engine in ("compiled", "numpy")
    }
    layers = [(W[0], b[0]) for W, b in network.views(by["compiled"].theta)]
    x = X[:1]

    def products(steps):
        for _ in range(steps):
            (W1, _), (W2, _), (W3, _) = layers
            x @ W1 @ W2 @ W3

    def predict(population):
        def run(steps):
            for _ in range(steps):
                population.predict(x)

        return run

    times = in_turn(
        {
            "the three NumPy products alone": (products, 1),
            "Population.predict, compiled engine": (predict(by["compiled"]), 1),
            "Population.predict, NumPy engine": (predict(by["numpy"]), 1),
        }
    )
    first = times["the three NumPy products alone"]
    lines = ["| one row, 30-64-64-2 | µs: median | minimum | maximum | times the products' |",
             "|---|---|---|---|---|"]  # fmt: skip
    for way, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(first, taken, strict=True))
        cells = [number(f(taken)) for f in (statistics.median, min, max)]
        lines.append(f"| {way} | {' | '.join(cells)} | {ratio:.2f} |")
    million = np.random.default_rng(0).normal(size=(1_000_000, 30)).astype("float32")
    cells = []
    for engine, population in by.items():
        population.outputs(million)
        took = statistics.median(seconds(population.outputs, million) for _ in range(3))
        tracemalloc.start()
        population.outputs(million)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        cells.append(f"{engine} {took:.2f} s, {(peak - 8e6) / 1e6:.1f} MB beside the result")
    return [*lines, "", f"A million rows of 30 inputs (120 MB): {'; '.join(cells)}.", ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="2 prints how two threads scale")
    parser.add_argument("--pinned", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--isa", choices=("native", "avx2"), help="measure with one of them only")
    parser.add_argument("--lines", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, default=RESULTS, help="the file to write")
    given = parser.parse_args()
    if given.threads > 1:
        print("\n".join(scaling()))
        return
    if given.lines:
        print("\n".join(lines()))
        return
    both = ("native", "avx2") if VECTOR_BYTES == 64 else ("native",)
    page = [
        "# Seedbed beside its peers",
        "",
        f"Printed by `python benchmarks/speed.py` on {datetime.date.today()}: "
        f"{described(*PACKAGES)}.",
        "",
        __doc__.split("\n\n")[2],
        "",
        f"{ROUNDS} rounds of about {SECONDS} s each; ratios are medians of the rounds' ratios.",
        "",
    ]
    for isa in (given.isa,) if given.isa else both:
        title = "with AVX-512 hidden" if isa == "avx2" else f"vectors of {VECTOR_BYTES} bytes"
        page += [f"## One step of one member, {title}", "", *lines_for(isa)]
    page += ["## As the work grows", "", *growth()]
    page += ["## Prediction", "", *prediction()]
    page += ["## From a fresh process", "", *start_up()]
    page += ["## Two threads", ""]
    page.append(
        subprocess.run(
            [sys.executable, __file__, "--threads", "2"], capture_output=True, text=True, check=True
        ).stdout.strip()
    )
    text = "\n".join(page) + "\n"
    print(text)
    given.to.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
