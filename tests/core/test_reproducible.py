"""Functions and sums whose bits are the same on every machine."""

import hashlib
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seedbed as sb
from seedbed import metrics, reproducible, streams

pytestmark = pytest.mark.kernels


def digest(*arrays):
    hasher = hashlib.sha256()
    for array in arrays:
        hasher.update(np.ascontiguousarray(array, "<f8").tobytes())
    return hasher.hexdigest()[:16]


def numbers(count=20_000):
    """Return numbers in (0, 1), of all magnitudes, and near 1, made without a logarithm."""
    u = streams.uniform(streams.keys(np.array([0]), "signs"), count)[0]
    sizes = np.ldexp(u, np.arange(count) % 2098 - 1074)
    return np.concatenate([u, sizes, 1 + (u - 0.5) * 2.0**-9])


def test_bits_equal_those_of_other_machines():
    """The digests were first printed on a Xeon with AVX-512; other machines print the same."""
    x = numbers()
    assert digest(reproducible.log(x)) == "a3e80a502735d905"
    assert digest([reproducible.log2(each) for each in x[x > 0].tolist()]) == "3c414d1b448c24a6"
    assert digest(reproducible.exp(750 * (2 * x[:20_000] - 1))) == "ebb59d57089d6620"
    assert digest(*reproducible.cos_sin_turns(8 * x[:20_000] - 4)) == "7a5af1486d1f9c41"
    x = x[:19_999]
    assert (
        digest(reproducible.total(x), reproducible.total(x.reshape(7, -1), 0)) == "38539ff8bf04acc5"
    )
    t, p = np.arange(999) % 3, x[:2997].reshape(999, 3)
    p = p / reproducible.total(p, keepdims=True)
    scores = [metric.f(t, p) for metric in (metrics.log_loss, metrics.auc, metrics.accuracy)]
    regression_metrics = (metrics.rmse, metrics.mae, metrics.r2, metrics.pinball(0.3))
    scores += [metric.f(p[:, :1], p[:, 1:2]) for metric in regression_metrics]
    assert digest(scores) == "b1705acf820fdc40"
    assert digest([sb.log_uniform(1e-4, 0.3).quantile(u) for u in x[:999]]) == "8bbc1c404eab07de"
    drawn = streams.LayerDraws(streams.keys(np.arange(3), "init", 0))
    assert digest(drawn.normal(70, 9)) == "cefb95e7265dcde3"
    for initializer, known in (
        (sb.glorot, "84181e4015098236"),
        (sb.he, "6b0f1cd8c5af4f12"),
        (sb.lecun, "722241675fe0d917"),
        (sb.orthogonal, "d454f0c8914c87e5"),
    ):
        assert digest(initializer.draw(drawn, 17, 30)) == known
    schedules = (sb.cosine(0.1, 0.01), sb.one_cycle(), sb.coslog4, sb.step_decay())
    factors = [schedule(step / 997) for schedule in schedules for step in range(997)]
    assert digest(factors) == "1d106cdf87425e4d"


def exact(name, x):
    """Return the value at x to 45 digits."""
    with localcontext(prec=45):
        x = Decimal(x)
        if name == "log":
            return x.ln()
        if name == "log2":
            return x.ln() / Decimal(2).ln()
        if name == "exp":
            return x.exp()
        angle = 2 * PI * (x - round(x))
        term, total = Decimal(1), Decimal(0)
        for k in range(0, 80, 2):
            total += term
            term *= -angle * angle / ((k + 1) * (k + 2))
        return total


PI = Decimal("3.14159265358979323846264338327950288419716939937510")


@pytest.mark.parametrize("name", ["log", "log2", "exp", "cos_turns"])
def test_errors_are_below_one_unit_in_the_last_place(name):
    x = numbers()[::97]
    if name in ("exp", "cos_turns"):
        x = (700 if name == "exp" else 4) * (2 * numbers(600)[:600] - 1)
    x = x[x != 0] if name != "exp" else x
    function = getattr(reproducible, name)
    y = function(x) if name in ("log", "exp") else np.array([*map(function, x.tolist())])
    for argument, found in zip(x.tolist(), y.tolist(), strict=True):
        # near a quarter turn, rounding of the argument dominates: a cosine's error is absolute
        unit = 2.0**-52 if name == "cos_turns" else np.spacing(abs(found))
        error = abs(Decimal(found) - exact(name, argument)) / Decimal(float(unit))
        assert error < (2 if name == "log2" else 1), argument


def test_special_values():
    given = [0.0, 1.0, 2.0, np.inf, -1.0, np.nan, 5e-324]
    np.testing.assert_array_equal(
        reproducible.log(given),
        [-np.inf, 0, reproducible.LOG_2, np.inf, np.nan, np.nan, math.log(5e-324)],
    )
    assert [reproducible.log2(x) for x in (0.25, 1.0, 8.0)] == [-2, 0, 3]
    turns = np.linspace(-2, 2, 129)
    np.testing.assert_array_equal(
        [reproducible.cos_turns(v) for v in turns.tolist()], reproducible.cos_sin_turns(turns)[0]
    )
    np.testing.assert_array_equal(
        reproducible.exp([-np.inf, -800, 0, 710, np.inf, np.nan]), [0, 0, 1, np.inf, np.inf, np.nan]
    )
    cos, sin = reproducible.cos_sin_turns([0, 0.25, 0.5, 0.75, 1, -0.25])
    np.testing.assert_array_equal(cos, [1, 0, -1, 0, 1, 0])
    np.testing.assert_array_equal(sin, [0, 1, 0, -1, 0, -1])


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=0, max_size=70),
    st.integers(1, 3),
    st.booleans(),
)
def test_sums_are_accurate_and_do_not_depend_on_other_rows(values, rows, keepdims):
    a = np.array([[v * (p + 1) for v in values] for p in range(rows)]).reshape(rows, -1)
    summed = reproducible.total(a, 1, keepdims)
    assert summed.shape == ((rows, 1) if keepdims else (rows,))
    for row, found in zip(a, summed.ravel(), strict=True):
        exact = float(sum(map(Fraction, row.tolist()), Fraction(0)))
        assert abs(found - exact) <= 1e-14 * np.abs(row).sum()
        assert found == reproducible.total(row)  # alone and among other rows
        assert found == reproducible.total(np.asfortranarray(a), 1)[(a == row).all(axis=1)][0]


def test_sums_keep_their_dtype_and_means_are_float64():
    assert reproducible.total(np.ones(5, np.float32)).dtype == np.float32
    assert reproducible.total(np.ones(300, np.uint8)) == 300
    assert reproducible.total(np.ones(3, np.bool_)) == 3
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    assert reproducible.mean(x, 0).dtype == np.float64
    np.testing.assert_allclose(reproducible.mean(x, 0), x.mean(axis=0, dtype=float), rtol=1e-14)
    np.testing.assert_allclose(reproducible.std(x, 0), x.std(axis=0, dtype=float), rtol=1e-14)
    w = np.arange(9)
    np.testing.assert_allclose(
        reproducible.weighted_mean(x, w), np.average(x.astype(float), axis=0, weights=w), rtol=1e-14
    )


def test_sums_do_not_change_their_argument():
    a = np.arange(12.0).reshape(3, 4)
    before = a.copy()
    for axis in (0, 1):
        reproducible.total(a, axis)
    reproducible.total(a[:1], 0)[0] = 99
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (8, 8), (130, 64)])
def test_orthogonal_equals_qr_of_the_same_draws(shape):
    drawn = streams.LayerDraws(streams.keys(np.arange(2), "init", 0))
    q = sb.orthogonal.draw(drawn, *shape)
    assert q.shape == (2, *shape)
    tall, wide = max(shape), min(shape)
    expected, r = np.linalg.qr(drawn.normal(tall, wide))
    expected = expected * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    expected = expected if shape[0] >= shape[1] else expected.transpose(0, 2, 1)
    np.testing.assert_allclose(q, expected, atol=1e-12)
