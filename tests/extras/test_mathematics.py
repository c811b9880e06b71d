"""The functions that compiled formulas use, held to exact values over their whole range."""

import numpy as np
import pytest
from numba import njit, types

from seedbed.engines.compiled import mathematics
from seedbed.engines.compiled.vectors import WIDTH, load, load_first, store, store_first

LARGEST_ERRORS = {  # in units in the last place of the result
    ("exp", "float32"): 1.1,
    ("exp", "float64"): 1.1,
    ("expm1", "float32"): 1.7,
    ("expm1", "float64"): 1.9,
    ("tanh", "float32"): 2.6,
    ("tanh", "float64"): 2.7,
    ("log", "float32"): 0.9,
    ("log", "float64"): 0.9,
    ("log1p", "float32"): 1.5,
    ("log1p", "float64"): 1.5,
}
"""tanh is the one above 2: what a step makes of it is far below the noise of a gradient, and both
of its uses here, 1 - tanh² and products, lose more on their own."""


def applied(name, x):
    """Return the function of ``mathematics`` at x, (n,)."""
    function, W = (
        getattr(mathematics, name),
        WIDTH[types.float32 if x.itemsize == 4 else types.float64],
    )

    @njit(error_model="numpy")
    def run(x, y):
        whole = len(x) - len(x) % W
        for e in range(0, whole, W):
            store(y, e, function(load(x, e)))
        if whole < len(x):
            rest = len(x) - whole
            store_first(y, whole, function(load_first(x, whole, rest)), rest)

    y = np.empty_like(x)
    run(x, y)
    return y


def arguments(name, dtype):
    """Return numbers from all over the range: every 61st float32, or 2 million float64."""
    if dtype == "float32":
        bits = np.arange(0, 2**32, 61, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
    else:
        rng = np.random.default_rng(0)
        sizes = np.exp(rng.uniform(-745, 709, 500_000))
        x = np.concatenate(
            [rng.uniform(-750, 750, 500_000), rng.uniform(-2, 2, 500_000), sizes, -sizes]
        )
    special = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan], dtype=dtype)
    x = np.concatenate([x[np.isfinite(x)], special])
    if name == "log":
        x = np.concatenate([np.abs(x), [-1, -np.inf]]).astype(dtype)
    return x[~(x < -1)] if name == "log1p" else x


@pytest.mark.parametrize(("name", "dtype"), LARGEST_ERRORS)
def test_errors_are_within_their_bounds(name, dtype):
    x = arguments(name, dtype)
    y = applied(name, x)
    with np.errstate(all="ignore"):
        wider = np.float64 if dtype == "float32" else np.longdouble
        exact = getattr(np, name)(x.astype(wider))
        rounded = exact.astype(dtype)
        unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(dtype).tiny)).astype(wider)
        error = np.abs(y.astype(wider) - exact) / unit
    np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded))
    infinite = np.isinf(rounded)
    np.testing.assert_array_equal(y[infinite], rounded[infinite])
    small = np.abs(rounded) < np.finfo(dtype).tiny * (1 + 1e-4)  # exp gives 0 there
    if name != "exp":
        small[:] = False
    assert (y[small] <= np.finfo(dtype).tiny * (1 + 1e-4)).all()
    finite = np.isfinite(rounded) & ~small
    assert error[finite].max() <= LARGEST_ERRORS[name, dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signs_and_the_not_a_number(dtype):
    x = np.array([-2, -0.0, 0, 3, np.nan, np.inf, -np.inf, 1e-300], dtype=dtype)
    np.testing.assert_array_equal(applied("sign", x), np.sign(x))
    for name in ("abs", "square", "ones_like", "zeros_like"):
        np.testing.assert_array_equal(applied(name, x), getattr(np, name)(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_larger_and_the_smaller_as_numpy_has_them(dtype):
    values = np.array([-1, 0, 2, np.nan, np.inf, -np.inf], dtype=dtype)
    x, y = (each.ravel() for each in np.meshgrid(values, values))
    for name in ("maximum", "minimum"):
        function = getattr(mathematics, name)

        @njit(error_model="numpy")
        def run(x, y, result, function=function):
            for e in range(len(x)):
                store_first(result, e, function(load_first(x, e, 1), load_first(y, e, 1)), 1)

        result = np.empty_like(x)
        run(x, y, result)
        np.testing.assert_array_equal(result, getattr(np, name)(x, y))
