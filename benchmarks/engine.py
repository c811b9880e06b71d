"""Measure the NumPy engine's time and both engines' memory: prints and writes engine.md.

    python benchmarks/engine.py

Time: one step of one member of the tutorial's 3-4-1 network on the four rows of XOR, whole-batch
gradient descent in float64, on one pinned core with one BLAS thread. Seedbed's time is that of
train(...), set-up included; the tutorial's is the loop alone. All take turns in every round.

Memory: the peak that Python and NumPy allocate during train(...), without the training data.
"""

import os
import sys

if "--pinned" not in sys.argv:  # thread counts are read when BLAS is loaded, so start over
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.execv(sys.executable, [sys.executable, *sys.argv, "--pinned"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import datetime
import platform
import statistics
import time
import tracemalloc
from pathlib import Path

import numpy as np

import seedbed as sb

ROUNDS = 9


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def sigmoid_prime(x):
    return sigmoid(x) * (1 - sigmoid(x))


def tutorial(steps):
    """Run the tutorial's loop with a corrected backward pass and no other change."""
    X, Y = sb.xor.data()
    rng = np.random.RandomState(1)
    W1, W2, b1, b2 = rng.randn(3, 4), rng.randn(4, 1), rng.randn(4), rng.randn(1)
    for _ in range(steps):
        z1 = np.dot(X, W1) + b1
        a1 = sigmoid(z1)
        z2 = np.dot(a1, W2) + b2
        a2 = sigmoid(z2)
        d2 = 2 / 4 * (a2 - Y) * sigmoid_prime(z2)
        d1 = d2.dot(W2.T) * sigmoid_prime(z1)
        W2 -= a1.T.dot(d2)
        W1 -= X.T.dot(d1)
        b2 -= d2.sum(axis=0)
        b1 -= d1.sum(axis=0)


def lean(steps):
    """Run the same loop with σ' = a (1 - a), which is faster."""
    X, Y = sb.xor.data()
    rng = np.random.RandomState(1)
    W1, W2, b1, b2 = rng.randn(3, 4), rng.randn(4, 1), rng.randn(4), rng.randn(1)
    for _ in range(steps):
        a1 = sigmoid(np.dot(X, W1) + b1)
        a2 = sigmoid(np.dot(a1, W2) + b2)
        d2 = 0.5 * (a2 - Y) * a2 * (1 - a2)
        d1 = d2.dot(W2.T) * a1 * (1 - a1)
        W2 -= a1.T.dot(d2)
        W1 -= X.T.dot(d1)
        b2 -= d2.sum(axis=0)
        b1 -= d1.sum(axis=0)


def ours(members, epochs):
    X, Y = sb.xor.data()
    sb.train(
        network=sb.xor.network(),
        X=X,
        Y=Y,
        loss=sb.squared_error,
        optimizer=sb.SGD(1.0),
        epochs=epochs,
        seeds=range(members),
        dtype="float64",
        engine="numpy",
    )


def microseconds(work, steps, *given):
    began = time.perf_counter()
    work(*given, steps)
    return (time.perf_counter() - began) / steps * 1e6


def speed():
    """Return the table of times, one row for each implementation."""
    ways = {
        "the tutorial's code, corrected gradient, 1 network": (tutorial, 20_000, (), 1),
        "the same with σ' = a (1 - a)": (lean, 20_000, (), 1),
        "Seedbed, 1 member": (ours, 20_000, (1,), 1),
        "Seedbed, 16 members": (ours, 10_000, (16,), 16),
        "Seedbed, 1,000 members": (ours, 1_000, (1_000,), 1_000),
        "Seedbed, 10,000 members": (ours, 100, (10_000,), 10_000),
    }
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, (work, steps, given, members) in ways.items():
            times[way].append(microseconds(work, steps, *given) / members)
    first = times[next(iter(ways))]
    lines = [
        "| implementation | µs per member and step: median | minimum | maximum | "
        "ratio to the tutorial |",
        "|---|---|---|---|---|",
    ]
    for way, taken in times.items():
        ratio = statistics.median(b / a for a, b in zip(first, taken, strict=True))
        cells = [f"{statistics.median(taken):.3f}", f"{min(taken):.3f}", f"{max(taken):.3f}"]
        lines.append(f"| {way} | {' | '.join(cells)} | {ratio:.4f} (1/{1 / ratio:.2f}) |")
    return lines


def peak(network, loss, members, rows, **method):
    """Return the peak bytes of training, and the bytes of the returned history."""
    rng = np.random.default_rng(0)
    dtype = method.get("dtype", "float32")
    X = rng.normal(size=(rows, network.inputs)).astype(dtype)
    Y = (
        np.arange(rows) % network.outputs
        if loss is sb.cross_entropy
        else np.ones((rows, network.outputs), dtype)
    )
    tracemalloc.start()
    population = sb.train(network, X, Y, loss=loss, seeds=range(members), **method)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    history = population.history
    kept = history.train_loss.nbytes + (0 if history.val_loss is None else history.val_loss.nbytes)
    return held, kept, population.theta.itemsize


def memory():
    """Return the table of memory, one row for each training."""

    def dense(inputs, *units):
        return sb.Network(
            inputs, [*(sb.Dense(u, sb.relu) for u in units[:-1]), sb.Dense(units[-1])]
        )

    adam = {"optimizer": sb.Adam(), "loss": sb.cross_entropy}
    patient = {"validation": 0.2, "patience": 5}
    cases = {
        "SGD, whole batch": (sb.xor.network(), 10_000, 4, None, 20, {
            "loss": sb.squared_error, "optimizer": sb.SGD(1.0), "dtype": "float64",
            "record_every": 20,
        }),
        "Adam": (dense(8, 16, 2), 4096, 256, 32, 4, adam),
        "Adam, patience": (dense(30, 64, 64, 2), 256, 512, 32, 3, {**adam, **patient}),
        "AdamW, L1, dropout, clipping": (dense(30, 64, 64, 2), 256, 512, 32, 3, {
            "loss": sb.cross_entropy, "optimizer": sb.AdamW(), "l1": 1e-4, "dropout": 0.1,
            "clip_norm": 1.0,
        }),
        "Adam, MNIST's shape": (dense(784, 128, 10), 32, 1024, 64, 1, adam),
        "Adam, patience, alone": (dense(784, 512, 256, 10), 1, 1024, 128, 1, {**adam, **patient}),
    }  # fmt: skip
    lines = [
        "| network | method | members | engine | peak, MB | history, MB | peak, in arrays of "
        "theta's size | bound |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for how, (network, members, rows, batch, epochs, method) in cases.items():
        for engine in ("numpy", "compiled"):
            given = {"batch_size": batch, "epochs": epochs, "engine": engine, **method}
            loss = given.pop("loss")
            peak(network, loss, members, rows, **given)  # leaves compilation out of the count
            held, history, itemsize = peak(network, loss, members, rows, **given)
            theta = members * network.size * itemsize
            activations = members * (batch or rows) * sum(network.widths) * itemsize
            shape = "-".join(map(str, network.widths))
            lines.append(
                f"| {shape} | {how} | {members:,} | {engine} | {held / 1e6:.1f} | "
                f"{history / 1e6:.2f} | {(held - history) / theta:.2f} | 8 + "
                f"{activations / theta:.2f} |"
            )
    return lines


def main():
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = named[0].split(":")[1].strip() if named else cpu
    page = [
        "# The NumPy engine's time, and both engines' memory",
        "",
        f"Printed by `python benchmarks/engine.py` on {datetime.date.today()}: {cpu}, one core, "
        f"Python {platform.python_version()}, NumPy {np.__version__}, Seedbed {sb.__version__}.",
        "",
        "## One step of one member, 3-4-1, XOR's four rows, float64",
        "",
        f"{ROUNDS} rounds, in which all implementations take turns; the last column is the median "
        "of the rounds' ratios.",
        "",
        *speed(),
        "",
        "## Memory during training",
        "",
        "Peak allocation during `train(...)`, without the training data: parameters, gradients, "
        "optimizer state, activations, row orders. The count in arrays leaves out the losses' "
        "history, one number for each epoch and member (`record_every` thins it), and includes "
        "theta. The bound is 8 arrays and the activations of one batch.",
        "",
        *memory(),
    ]
    text = "\n".join(page) + "\n"
    print(text)
    Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
