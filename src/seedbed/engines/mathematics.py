"""The functions of NumPy that formulas use: what ``np`` means in formulas with the engine's bits.

Each is a few operations of ``arithmetic``, the same for every number, without branches or tables.
The compiled engine compiles these lines for vectors; ``portable`` runs them on arrays.
``tests/extras/test_mathematics.py`` measures each one's largest error.
"""

from __future__ import annotations

import math
from typing import Any

from seedbed.engines.arithmetic import (
    Numbers,
    absolute,
    copysign,
    exponent,
    fma,
    full_like,
    is_single,
    mantissa,
    maximum,
    minimum,
    sqrt,
    times_two_to,
    two_to,
    where,
)

__all__ = [
    "abs",
    "absolute",
    "e",
    "exp",
    "expm1",
    "inf",
    "log",
    "log1p",
    "maximum",
    "minimum",
    "nan",
    "ones_like",
    "pi",
    "power",
    "sign",
    "sqrt",
    "square",
    "tanh",
    "zeros_like",
]

abs = absolute  # noqa: A001  # its name in NumPy
e, inf, nan, pi = math.e, math.inf, math.nan, math.pi


def ones_like(x: Any) -> Any:
    """1 in each place."""
    return full_like(x, 1.0)


def zeros_like(x: Any) -> Any:
    """0 in each place."""
    return full_like(x, 0.0)


def square(x: Any) -> Any:
    """x²."""
    return x * x


def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN for NaN."""
    return where(x == x, where(x != 0.0, copysign(full_like(x, 1.0), x), zeros_like(x)), x)


def _shift(x: Any) -> Any:
    """1.5 · 2^23 or 2^52: its sum with a number has the nearest whole one in its lowest bits."""
    return 12582912.0 if is_single(x) else 6755399441055744.0


def _rint(x: Any) -> Any:
    """The nearest whole number, for |x| below 2^22 or 2^51."""
    return (x + _shift(x)) - _shift(x)


def _reduced(x: Any) -> Any:
    """Return n and r with x = n log 2 + r, |r| <= ½ log 2, and n as ``times_two_to`` takes it."""
    shifted = fma(x, 1.4426950408889634, full_like(x, _shift(x)))
    n = shifted - _shift(x)
    if is_single(x):  # log 2 in two parts, the first with so few bits that n times it is exact
        return n, fma(n, -9.0580006145e-6, fma(n, -0.69313812256, x)), shifted
    return n, fma(n, -1.9082149292705877e-10, fma(n, -0.6931471803691238, x)), shifted


def _exp_minus_1(r: Any) -> Any:
    """e^r - 1 for |r| <= ½ log 2: Taylor's series r + r²/2! + …, summed from its small end."""
    if is_single(r):
        p = full_like(r, 1 / 5040)
    else:
        p = full_like(r, 1 / 6227020800)
        p = fma(p, r, 1 / 479001600)
        p = fma(p, r, 1 / 39916800)
        p = fma(p, r, 1 / 3628800)
        p = fma(p, r, 1 / 362880)
        p = fma(p, r, 1 / 40320)
        p = fma(p, r, 1 / 5040)
    p = fma(p, r, 1 / 720)
    p = fma(p, r, 1 / 120)
    p = fma(p, r, 1 / 24)
    p = fma(p, r, 1 / 6)
    p = fma(p, r, 0.5)
    return fma(p, r * r, r)


def exp(x: Any) -> Any:
    """e^x = 2^n e^r; 0 where that is below the smallest normal number."""
    _, r, shifted = _reduced(x)
    y = times_two_to(_exp_minus_1(r) + 1.0, shifted)
    if is_single(x):
        y = where(x < -87.33654, full_like(x, 0.0), y)
        return where(x > 88.72283, full_like(x, inf), y)
    y = where(x < -708.3964185322641, full_like(x, 0.0), y)
    return where(x > 709.782712893384, full_like(x, inf), y)


def expm1(x: Any) -> Any:
    """e^x - 1 = 2^n (e^r - 1) + (2^n - 1)."""
    x = maximum(minimum(x, 89.0 if is_single(x) else 710.0), -40.0)
    n, r, _ = _reduced(x)
    half = two_to(n - 1.0)
    return 2.0 * fma(half, _exp_minus_1(r), half - 0.5)


def tanh(x: Any) -> Any:
    """(1 - e^-2|x|) / (1 + e^-2|x|), with x's sign."""
    p = expm1(-2.0 * absolute(x))
    return copysign(-p / (p + 2.0), x)


def log(x: Any) -> Any:
    """log x = e log 2 + log m, with x = 2^e m and √½ <= m < √2."""
    # subnormal numbers are first scaled up
    tiny = x < (1.1754944e-38 if is_single(x) else 2.2250738585072014e-308)
    up = where(tiny, x * (33554432.0 if is_single(x) else 18014398509481984.0), x)  # 2^25, 2^54
    e = exponent(up)
    m = mantissa(up)
    large = m > 1.4142135623730951
    m = where(large, 0.5 * m, m)
    e = e + large - tiny * (25.0 if is_single(x) else 54.0)
    f = m - 1.0
    s = f / (2.0 + f)  # log m = 2 artanh s = 2 s + ⅔ s³ + …, written around f, which is exact
    z = s * s
    if is_single(x):
        r = full_like(x, 2 / 9)
    else:
        r = full_like(x, 2 / 23)
        r = fma(r, z, 2 / 21)
        r = fma(r, z, 2 / 19)
        r = fma(r, z, 2 / 17)
        r = fma(r, z, 2 / 15)
        r = fma(r, z, 2 / 13)
        r = fma(r, z, 2 / 11)
        r = fma(r, z, 2 / 9)
    r = fma(r, z, 2 / 7)
    r = fma(r, z, 2 / 5)
    r = fma(r, z, 2 / 3)
    r = r * z
    h = 0.5 * f * f
    if is_single(x):
        y = fma(e, 0.693359375, f - (h - fma(e, -2.12194440e-4, s * (h + r))))
    else:
        y = fma(e, 0.6931471803691238, f - (h - fma(e, 1.9082149292705877e-10, s * (h + r))))
    y = where(x == 0.0, full_like(x, -inf), y)
    y = where(x == inf, x, y)
    return where((x < 0.0) + (x != x), full_like(x, nan), y)


def log1p(x: Any) -> Any:
    """log (1 + x), corrected for the sum's rounding error."""
    u = 1.0 + x
    correction = where(u == inf, full_like(x, 0.0), (x - (u - 1.0)) / u)
    y = log(u) + correction
    return where(x == -1.0, full_like(x, -inf), y)


def power(x: Any, k: Any) -> Any:
    """x^k = ±e^(k log |x|), for a number k; NaN for x < 0 unless k is whole."""
    sign_below_0 = 1.0 - 2.0 * (k % 2) if k % 1 == 0 else nan
    y = exp(k * log(absolute(x)))
    y = where(x < 0.0, sign_below_0 * y, y)
    # no branches: LLVM hoists these choices, as k is the same for all numbers
    y = where(full_like(x, 1.0 if k == 2.0 else 0.0), x * x, y)
    y = where(full_like(x, 1.0 if k == 3.0 else 0.0), x * x * x, y)
    return where(full_like(x, 1.0 if k == 0.0 else 0.0), full_like(x, 1.0), y)


Numbers.__pow__ = power


def cos_sin_of_turns(t: Any) -> Any:
    """cos 2πt and sin 2πt: t less whole and quarter turns, which is exact; then Taylor's series."""
    half = 0.5 * t  # if that is 2^22, or 2^51, t is a whole number
    limit = 4194304.0 if is_single(t) else 2251799813685248.0
    part = t - 2.0 * where(absolute(half) < limit, _rint(half), half)
    part = part - _rint(part)
    quarters = _rint(4.0 * part)  # -2, -1, 0, 1 or 2
    y = 6.283185307179586 * fma(quarters, -0.25, part)  # |y| <= π/4
    z = y * y
    if is_single(t):
        sin, cos = full_like(t, 1 / 362880), full_like(t, -1 / 3628800)
    else:
        sin = full_like(t, 1 / 355687428096000)
        sin = fma(sin, z, -1 / 1307674368000)
        sin = fma(sin, z, 1 / 6227020800)
        sin = fma(sin, z, -1 / 39916800)
        sin = fma(sin, z, 1 / 362880)
        cos = full_like(t, 1 / 20922789888000)
        cos = fma(cos, z, -1 / 87178291200)
        cos = fma(cos, z, 1 / 479001600)
        cos = fma(cos, z, -1 / 3628800)
    sin = fma(fma(fma(sin, z, -1 / 5040), z, 1 / 120), z, -1 / 6)
    sin = fma(sin * z, y, y)
    cos = fma(fma(fma(fma(cos, z, 1 / 40320), z, -1 / 720), z, 1 / 24), z, -0.5)
    cos = fma(cos, z, full_like(t, 1.0))
    odd, opposite = absolute(quarters) == 1.0, absolute(quarters) > 1.5
    cosine = where(odd, -quarters * sin, where(opposite, -cos, cos))
    return cosine, where(odd, quarters * cos, where(opposite, -sin, sin))
