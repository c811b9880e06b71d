"""Compare and train by real executors, of which a worker dies: prints and writes executors.md.

    pip install -e '.[bench]' && python benchmarks/executors.py        (about two minutes)

Four methods are compared from up to 64 seeds, and 200 members trained, by Dask and by Ray with 1, 2
and 4 workers. Of the last, one worker is killed after a second.
"""

import datetime
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from machine import described

import seedbed as sb

PAGE = Path(__file__).with_name("executors.md")
os.environ["SEEDBED_JOURNAL"] = "off"
rng = np.random.default_rng(5)
X = rng.normal(size=(60, 3))
Y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=60)
NETWORK = sb.Network(3, [sb.Dense(6, sb.tanh), sb.Dense(1)])


def recipe(lr, epochs):
    return sb.Recipe(
        network=NETWORK, loss=sb.squared_error, optimizer=sb.Adam(lr), epochs=epochs,
        engine="numpy",
    )  # fmt: skip


def slow(X, Y, Z, seed):
    time.sleep(0.15)
    return np.full(len(Z), Y.mean() + 0.1 * np.random.default_rng(seed).normal())


METHODS = {
    "a": recipe(0.05, 10), "b": recipe(0.0501, 10), "c": recipe(0.05, 11), "slow": slow,
}  # fmt: skip


def killed_later(pid):
    threading.Timer(1.0, os.kill, (pid, signal.SIGKILL)).start()


def tried(executor, whole, members):
    """Return the seconds of a comparison, the warnings, and whether all numbers are the same."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = sb.compare(METHODS, X, Y, executor=executor)
        trained = sb.train(recipe(0.05, 300), X, Y, seeds=range(200), executor=executor)
    seconds = time.perf_counter() - began
    same = found.sentences == whole.sentences and np.array_equal(trained.theta, members.theta)
    for name, method in whole.methods.items():
        same &= np.array_equal(found.methods[name].scores, method.scores)
    return seconds, len([each for each in seen if each.category is sb.SeedbedWarning]), same


def by_dask(workers, *expected):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        if workers == 4:
            killed_later(next(iter(client.run(os.getpid).values())))
        return tried(client, *expected)


def by_ray(workers, *expected):
    import ray
    from ray.util.multiprocessing import Pool

    ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    pool = Pool(workers)
    if workers == 4:
        killed_later(pool.map(lambda _: os.getpid(), range(8))[0])
    found = tried(pool, *expected)
    pool.terminate()
    ray.shutdown()
    return found


def main():
    whole = sb.compare(METHODS, X, Y)
    members = sb.train(recipe(0.05, 300), X, Y, seeds=range(200))
    rows = []
    for name, by in (("Dask", by_dask), ("Ray", by_ray)):
        for workers in (1, 2, 4):
            seconds, warned, same = by(workers, whole, members)
            killed = "one killed" if workers == 4 else "none killed"
            found = "the same scores, verdicts and parameters" if same else "OTHER NUMBERS"
            rows.append(f"| {name} | {workers}, {killed} | {seconds:.1f} s | {found} | {warned} |")
            print(rows[-1], flush=True)
    page = [
        "# Workers that die", "",
        f"Printed by `python benchmarks/executors.py` on {datetime.date.today()}: "
        f"{described('numpy', 'distributed', 'ray')}.", "",
        *__doc__.split("\n\n")[2].splitlines(), "",
        "A warning says that the executor failed and that the rest ran in the calling process.",
        "", "| executor | workers | time | found | warnings |", "|---|---|---|---|---|", *rows,
    ]  # fmt: skip
    PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
