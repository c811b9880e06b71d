"""``fused`` against exact rational arithmetic, rounded once."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedbed.engines import arithmetic
from seedbed.engines.arithmetic import Mask, Numbers, factor, fits, fused

pytestmark = pytest.mark.kernels

BITS = {32: (24, -126, 127), 64: (53, -1022, 1023)}  # of the significand; the normal exponents
EXTREMES = {"float32": (1e-45, 3e-39, 1.2e-38, 3e38), "float64": (5e-324, 1e-309, 3e-308, 1.7e308)}


def rounded(exact, width):
    """The float nearest to a fraction other than 0, ties to even."""
    significand, lowest, highest = BITS[width]
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, lowest) - significand + 1)
    nearest = round(size / unit) * unit
    nearest = math.inf if nearest >= Fraction(2) ** (highest + 1) else float(nearest)
    return nearest if exact > 0 else -nearest


def expected(a, b, c, width):
    if not all(map(math.isfinite, (a, b, c))) or a == 0 or b == 0:
        return a * b + c  # exact, or not finite; a product of finite float32 does not overflow
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    return rounded(exact, width) if exact else 0.0


def check(a, b, c, width):
    """Compare a b + c, and sums and products that are close to 0, with exact results."""
    for x, y, z in ((a, b, c), (a, b, -a * b), (a, np.ones_like(a), c)):
        found = fused(factor(x), factor(y), z)
        exact = [expected(*each, width) for each in np.transpose([x, y, z]).tolist()]
        assert found.dtype == a.dtype
        np.testing.assert_array_equal(found, np.array(exact, a.dtype))
        assert (np.signbit(found) == np.signbit(exact))[~np.isnan(found)].all()


@pytest.mark.parametrize("width", [32, 64])
@given(data=st.data())
def test_fused_is_rounded_once(data, width):
    triple = data.draw(st.tuples(*[st.floats(width=width)] * 3))
    with np.errstate(all="ignore"):
        check(*np.array(triple, f"float{width}").reshape(3, 1), width)


@pytest.mark.parametrize("width", [32, 64])
def test_fused_of_all_sizes(width):
    """Numbers of few bits, whose sums are often halfway between two others, and random ones."""
    rng, count = np.random.default_rng(width), 3000
    significand, lowest, highest = BITS[width]
    whole = rng.integers(-5, 6, (3, count))
    whole[:, ::3] = rng.choice([-1, 1], whole[:, ::3].shape) * 2 ** rng.integers(0, significand)
    whole[:, ::3] += rng.integers(-2, 3, whole[:, ::3].shape)
    exponents = rng.integers(-significand - 3, significand + 3, (3, count))
    far = rng.random(count) < 0.3
    exponents[:, far] = rng.integers(lowest - significand, highest - significand, (3, far.sum()))
    exponents[2, far] = exponents[:2, far].sum(0) + rng.integers(-3, 3 + significand, far.sum())
    near_end = rng.random(count) < 0.2  # results about the largest and smallest numbers
    end = rng.choice([lowest, highest - significand + 1], count) - exponents[0]
    exponents[1, near_end] = (end + rng.integers(-4, 4, count))[near_end]
    exponents[2, near_end] = exponents[:2, near_end].sum(0)
    bits = rng.integers(0, 2**width, (3, count), f"uint{width}")
    with np.errstate(all="ignore"):
        few = np.ldexp(whole.astype(np.float64), exponents).astype(f"float{width}")
        check(*few, width)
        check(*bits.view(f"float{width}"), width)


def test_halfway_sums():
    """These would be wrong if rounded twice."""
    a, b, c = (np.array([x], "float32") for x in (1 + 2**-18, 1 - 2**-18, 1 + 2**-23))
    a *= np.float32(2**-24)
    twice = np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    assert fused(factor(a), factor(b), c) == 1 + 2**-23 < twice
    a, b, c = (np.array([x]) for x in ((1 + 2**-30) * 2**-53, 1 - 2**-30, 1 + 2**-52))
    assert fused(factor(a), factor(b), c) == 1 + 2**-52 < a * b + c


@pytest.mark.parametrize("dtype", EXTREMES)
def test_products_that_fit_need_no_checks(dtype):
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 4000)).astype(dtype)
    a[::3], c[::5] = 0, -0.0
    assert fits(a, b, c, 100)
    quick, checked = (fused(factor(a), factor(b), c, fitting) for fitting in (True, False))
    np.testing.assert_array_equal(quick.view("uint8"), checked.view("uint8"))
    if dtype == "float64":
        for wrong in (*EXTREMES[dtype], np.inf, np.nan):
            a[7] = wrong
            b[8] = wrong
            assert not fits(a, b, c, 100)


@pytest.mark.parametrize("dtype", EXTREMES)
def test_numbers_keep_their_dtype(dtype):
    x = Numbers(np.array([-2.0, 0.0, 3.0], dtype))
    above, below = x > 0, x < 1
    assert isinstance(above + below, Mask)
    np.testing.assert_array_equal((above + below).array, [1, 1, 1])  # or
    np.testing.assert_array_equal((above * below).array, [0, 0, 0])  # and
    wide = np.float64(0.1)
    for y in (x + wide, wide * x, 1 - x, x / 3, 2 / (x + 1), -x, above * 0.5, x - above):
        assert y.array.dtype == dtype
        assert not isinstance(y, Mask)
    with pytest.raises(TypeError, match="cannot branch"):
        bool(above)


def test_maximum_of_zeros_is_the_second():
    x, y = Numbers(np.array([0.0, -0.0, np.nan])), Numbers(np.array([-0.0, 0.0, 1.0]))
    for larger in (arithmetic.maximum, arithmetic.minimum):
        np.testing.assert_array_equal(larger(x, y).array, [0, 0, np.nan])
        np.testing.assert_array_equal(np.signbit(larger(x, y).array[:2]), [True, False])
