"""Functions and sums whose bits are the same on every machine.

The last bit of log and cos depends on the C library, and in NumPy on the CPU and the version; so
does the order of a sum. Random draws, schedules, table scales and scores therefore use these
functions. They use only + − × ÷ √, which IEEE 754 rounds correctly everywhere, one array operation
at a time, so that no compiler fuses two of them. Sums follow a tree that depends on the length
alone.

Array functions take float64, or what converts to it; float functions serve scalar code. Each is
within 2 units in the last place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedbed.arrays import Array

LOG_2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
_LOG_2_HIGH, _LOG_2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
"""log 2 in two parts; the first has so few bits that its product with an exponent is exact."""


def log(x: Any) -> Array:
    """log x = e log 2 + log m with x = 2^e m, √½ <= m < √2; -inf at 0, NaN below.

    log m = 2 artanh s = 2 s + ⅔ s³ + …, s = (m - 1) / (m + 1), written around m - 1, which is
    exact. Source: the form of fdlibm's e_log.c (Sun Microsystems 1993).
    """
    x = np.asarray(x, dtype=np.float64)
    regular = (x > 0) & (x < np.inf)
    m, e = np.frexp(x if regular.all() else np.where(regular, x, 1.0))
    low = m < _SQRT_HALF
    y = _log_of_parts(m * (1.0 + low), (e - low).astype(np.float64))
    if regular.all():
        return np.asarray(y)
    special = np.where(x == 0, -np.inf, np.where(x == np.inf, np.inf, np.nan))
    return np.where(regular, y, special)


def _log_of_parts(m: Any, e: Any) -> Any:
    """log 2^e m for √½ <= m < √2; arrays or floats."""
    f = m - 1
    s = f / (2 + f)
    z = s * s
    h = 0.5 * f * f
    r = _horner(z, _LOG_SERIES) * z
    return e * _LOG_2_HIGH - ((h - (s * (h + r) + e * _LOG_2_LOW)) - f)


def log2(x: float) -> float:
    """log x / log 2 of a finite float x > 0, exact at powers of 2."""
    m, e = math.frexp(x)
    if m < _SQRT_HALF:
        m, e = 2 * m, e - 1
    return float(e + _log_of_parts(m, 0.0) / LOG_2)


def exp(x: Any) -> Array:
    """e^x = 2^n e^r with x = n log 2 + r, |r| <= ½ log 2, and e^r by Taylor's series."""
    x = np.minimum(np.maximum(np.asarray(x, dtype=np.float64), -746.0), 710.0)
    n = np.rint(x * (1 / LOG_2))
    r = (x - n * _LOG_2_HIGH) - n * _LOG_2_LOW
    p = r + r * r * _horner(r, _EXP_SERIES)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(1 + p, np.where(n == n, n, 0).astype(np.int32))


def cos_sin_turns(v: Any) -> tuple[Array, Array]:
    """cos 2πv and sin 2πv, v finite; in turns, the argument reduction is exact.

    With v = k/4 + r, |r| <= 1/8, both follow from Taylor's series of cos 2πr and sin 2πr.
    """
    v = np.asarray(v, dtype=np.float64)
    k = np.rint(4 * v)
    x = (v - k / 4) * (2 * np.pi)
    z = x * x
    cos, sin = 1 + z * _horner(z, _COS_SERIES), x + x * (z * _horner(z, _SIN_SERIES))
    quarter = k.astype(np.int64)
    odd = (quarter & 1).astype(np.bool_)
    cos, sin = np.where(odd, sin, cos), np.where(odd, cos, sin)
    return cos * (1 - ((quarter + 1) & 2)), sin * (1 - (quarter & 2))


def cos_turns(v: float) -> float:
    """cos 2πv of a float; see ``cos_sin_turns``."""
    k = round(4 * v)
    x = (v - k / 4) * (2 * math.pi)
    z, quarter = x * x, k & 3
    if quarter & 1:
        value = x + x * (z * _horner(z, _SIN_SERIES))
    else:
        value = 1 + z * _horner(z, _COS_SERIES)
    return float(-value if quarter in (1, 2) else value)


def _series(first: int, last: int, step: int = 1, alternating: bool = False) -> list[float]:
    """Return 1/k! for k = last, last - step, … first; signs alternate if ``alternating``."""
    terms = [1 / math.factorial(k) for k in range(first, last + 1, step)]
    signs = [-1 if alternating and number % 2 == 0 else 1 for number in range(len(terms))]
    return [sign * term for sign, term in zip(signs, terms, strict=True)][::-1]


_LOG_SERIES = [2 / k for k in range(23, 2, -2)]
_EXP_SERIES = _series(2, 14)
_COS_SERIES, _SIN_SERIES = _series(2, 16, 2, True), _series(3, 17, 2, True)


def _horner(x: Any, coefficients: list[float]) -> Any:
    """Return a polynomial in x by Horner's rule; ``coefficients`` start at the highest power."""
    p = x * coefficients[0]
    for c in coefficients[1:-1]:
        p += c
        p *= x
    return p + coefficients[-1]


def total(a: Any, axis: int = -1, keepdims: bool = False) -> Array:
    """Return Σ a along an axis, in a's dtype: one half is added to the other until one is left.

    The order depends only on the axis's length, so other rows or columns do not change a sum.
    """
    a = np.asarray(a)
    if a.dtype.kind in "bui":
        a = a.astype(np.int64)
    rest, n = a if axis == 0 else np.moveaxis(a, axis, 0), a.shape[axis]
    if n < 2:
        one = rest[0].copy() if n else np.zeros(rest.shape[1:], a.dtype)
        return np.expand_dims(one, axis) if keepdims else one
    half = n // 2
    odd, rest, n = rest[2 * half : n], rest[:half] + rest[half : 2 * half], half
    while True:
        if len(odd):
            rest[0] += odd[0]
        if n == 1:
            return np.expand_dims(rest[0], axis) if keepdims else rest[0]
        half = n // 2
        odd = rest[2 * half : n]
        rest[:half] += rest[half : 2 * half]
        n = half


def mean(a: Any, axis: int = -1, keepdims: bool = False) -> Array:
    """Return the mean along an axis, in float64."""
    a = np.asarray(a, dtype=np.float64)
    return np.asarray(total(a, axis, keepdims) / a.shape[axis])


def weighted_mean(a: Any, weights: Any) -> Array:
    """Return Σ w a / Σ w along the first axis, in float64. Shapes: a (N, …), weights (N,)."""
    a, w = np.asarray(a, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    columns = w.reshape(-1, *[1] * (a.ndim - 1))
    return np.asarray(total(columns * a, 0) / total(w))


def std(a: Any, axis: int = -1) -> Array:
    """Return the standard deviation √(Σ (a - ā)² / n) along an axis, in float64."""
    d = np.asarray(a, dtype=np.float64) - mean(a, axis, keepdims=True)
    return np.sqrt(mean(d * d, axis))
