"""The errors of compiled formulas' functions against exact values, over their whole range."""

import mathematics
import numpy as np
import pytest

from seedbed.engines.compiled.mathematics import cos_sin_of_turns
from seedbed.engines.compiled.memory import load, store, width
from seedbed.engines.compiled.prediction import Formula
from seedbed.engines.compiled.target import kernel

pytestmark = pytest.mark.kernels

MAX_ERRORS = {  # in units in the last place of the result
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
"""Only tanh is above 2: that is far below the noise of a gradient, and its uses here, 1 - tanh² and
products, lose more themselves."""
STRIDE = 4_001
"""Every 4,001st number is tested; ``benchmarks/mathematics.py`` tests every 61st."""


@pytest.mark.parametrize(("name", "dtype"), MAX_ERRORS)
def test_errors_are_within_their_bounds(name, dtype):
    x = mathematics.arguments(name, dtype, STRIDE)
    y, rounded, error = mathematics.errors(name, x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded))
    infinite = np.isinf(rounded)
    np.testing.assert_array_equal(y[infinite], rounded[infinite])
    small = np.abs(rounded) < np.finfo(dtype).tiny * (1 + 1e-4)  # exp gives 0 there
    if name != "exp":
        small[:] = False
    assert (y[small] <= np.finfo(dtype).tiny * (1 + 1e-4)).all()
    finite = np.isfinite(rounded) & ~small
    assert finite.sum() > 20_000
    assert error[finite].max() <= MAX_ERRORS[name, dtype]


@kernel
def cos_sin(t, cos, sin):
    for e in range(0, len(t), width(t)):
        cosine, sine = cos_sin_of_turns(load(t, e))
        store(cos, e, cosine)
        store(sin, e, sine)


@pytest.mark.parametrize(("dtype", "wider"), [("float32", "float64"), ("float64", "longdouble")])
def test_cos_and_sin_of_turns(dtype, wider):
    rng = np.random.default_rng(0)
    sizes = [rng.uniform(-2, 2, 2**15), rng.normal(size=2**14) * 1e5, rng.normal(size=2**14) / 1e9]
    t = np.concatenate([*sizes, np.arange(-(2**12), 2**12) / 8, np.zeros(2**13)]).astype(dtype)
    found = [np.empty_like(t), np.empty_like(t)]
    cos_sin(t, *found)
    part = t.astype(wider) - np.rint(t)  # exact, as are the next differences
    size, two_pi = np.abs(part), 2 * np.arctan2(np.zeros(1, wider), -1)
    near_zero = np.abs(size - 0.25) < 0.125
    cos = np.where(near_zero, np.sin(two_pi * (0.25 - size)), np.cos(two_pi * size))
    sin = np.sign(part) * np.sin(two_pi * np.minimum(size, 0.5 - size))
    for numbers, exact in zip(found, (cos, sin), strict=True):
        unit = np.spacing(np.abs(exact).astype(dtype))
        assert (np.abs(numbers - exact) <= 2 * unit).all()
    halves = 2.0 ** np.array([20, 22, 23, 49, 51, 52])[:, None] + np.arange(-16, 16) / 2
    halves = np.concatenate([halves, -halves], axis=None).astype(dtype)
    found = [np.empty_like(halves), np.empty_like(halves)]
    cos_sin(halves, *found)
    np.testing.assert_array_equal(found[0], np.where(halves == np.rint(halves), 1, -1))
    np.testing.assert_array_equal(found[1], 0)
    quarters = np.array([0, 0.25, 0.5, 0.75, 1e30, np.inf, -np.inf, np.nan] * 4, dtype=dtype)
    found = [np.empty_like(quarters), np.empty_like(quarters)]
    cos_sin(quarters, *found)
    np.testing.assert_array_equal(found[0][:8], [1, 0, -1, 0, 1, *[np.nan] * 3])
    np.testing.assert_array_equal(found[1][:8], [0, 1, 0, -1, 0, *[np.nan] * 3])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_signs_and_nan(dtype):
    x = np.array([-2, -0.0, 0, 3, np.nan, np.inf, -np.inf, 1e-300], dtype=dtype)
    found = Formula(lambda x: np.sign(x))(x)
    np.testing.assert_array_equal(found, np.sign(x))
    for function in (
        lambda x: np.abs(x),
        lambda x: np.square(x),
        lambda x: np.ones_like(x),
        lambda x: np.zeros_like(x),
    ):
        np.testing.assert_array_equal(Formula(function)(x), function(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_maximum_and_minimum_match_numpy(dtype):
    values = np.array([-1, 0, 2, np.nan, np.inf, -np.inf], dtype=dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    for function in (lambda x, y: np.maximum(x, y), lambda x, y: np.minimum(x, y)):
        np.testing.assert_array_equal(Formula(function)(x, y), function(x, y))
