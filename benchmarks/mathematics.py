"""Measure the errors of the compiled engine's functions: prints and writes mathematics.md.

    pip install -e '.[all]' && python benchmarks/mathematics.py

Errors are in units in the last place of the result, against NumPy's value in the wider type (long
double must be wider than float64). The arguments are every 61st float32, and two million float64
from the whole range.
"""

import datetime
from pathlib import Path

import numpy as np
from machine import described

from seedbed.engines.compiled.prediction import Formula

FUNCTIONS = {
    "exp": lambda x: np.exp(x),
    "expm1": lambda x: np.expm1(x),
    "tanh": lambda x: np.tanh(x),
    "log": lambda x: np.log(x),
    "log1p": lambda x: np.log1p(x),
}
RESULTS = Path(__file__).with_name("mathematics.md")


def arguments(name, dtype, apart=61):
    """Return every ``apart``-th number from the whole range of ``dtype``, and special ones."""
    if dtype == "float32":
        bits = np.arange(0, 2**32, apart, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
    else:
        rng, count = np.random.default_rng(0), 500_000 * 61 // apart
        sizes = np.exp(rng.uniform(-745, 709, count))
        x = np.concatenate(
            [rng.uniform(-750, 750, count), rng.uniform(-2, 2, count), sizes, -sizes]
        )
    special = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan], dtype=dtype)
    x = np.concatenate([x[np.isfinite(x)], special])
    if name == "log":
        x = np.concatenate([np.abs(x), [-1, -np.inf]]).astype(dtype)
    return x[~(x < -1)] if name == "log1p" else x


def errors(name, x):
    """Return the function's value at x (n,), NumPy's rounded, and the error in last places."""
    y, dtype = Formula(FUNCTIONS[name])(x), x.dtype
    wider = np.float64 if dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(wider))
        rounded = exact.astype(dtype)
        unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(dtype).tiny)).astype(wider)
        return y, rounded, np.abs(y.astype(wider) - exact) / unit


def largest_error(name, dtype, apart=61):
    """Return the largest error of finite, normal results, and the count of arguments."""
    x = arguments(name, dtype, apart)
    largest = 0.0
    for start in range(0, len(x), 2**21):  # a few megabytes at a time
        _, rounded, error = errors(name, x[start : start + 2**21])
        normal = np.isfinite(rounded) & (np.abs(rounded) >= np.finfo(dtype).tiny * (1 + 1e-4))
        largest = max(largest, float(error[normal].max(initial=0)))
    return largest, len(x)


def main():
    page = [
        "# The errors of the compiled engine's functions",
        "",
        f"Printed by `python benchmarks/mathematics.py` on {datetime.date.today()}: "
        f"{described('numpy', 'numba')}.",
        "",
        __doc__.split("\n\n")[2].strip(),
        "",
        "| function | float32: numbers | largest error | float64: numbers | largest error |",
        "|---|---|---|---|---|",
    ]
    for name in FUNCTIONS:
        cells = []
        for dtype in ("float32", "float64"):
            error, count = largest_error(name, dtype)
            cells.append(f"{count:,} | {error:.3f}")
        page.append(f"| {name} | {' | '.join(cells)} |")
    text = "\n".join(page) + "\n"
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
