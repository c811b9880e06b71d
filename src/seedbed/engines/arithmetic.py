"""Arithmetic of arrays with the compiled engine's bits: ``compiled.vectors`` and ``bits`` in NumPy.

All that these functions need is + − × ÷ √ of IEEE 754, one operation at a time, and the bits of a
number. So they also define what other languages must compute to predict the same bits.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from seedbed.arrays import Array

# ---------------------------------------------------------------- fused multiply-add


Factor = tuple[Array, ...]
"""Numbers prepared for ``fused``: of float32 as float64, and whether they are not ±1; of float64
with their two halves."""


def factor(x: Any) -> Factor:
    """Return numbers as a factor of products; its arrays may be indexed alike.

    Float64 is split into a high half of 26 bits and a low one of 26 and a sign (Veltkamp 1968).
    """
    if x.dtype == np.float32:
        return x.astype(np.float64), np.abs(x) != 1
    t = 134217729.0 * x
    high = t - (t - x)
    return x, high, x - high


def fits(x: Array, y: Array, start: Array, terms: int) -> bool:
    """Return whether no product x y, and no sum of ``start`` and ``terms`` of them, over- or
    underflows.
    """
    sizes = [np.abs(numbers) for numbers in (x, y, start)]
    top_x, top_y, top = (float(size.max(initial=0)) for size in sizes)
    low_x, low_y = (float(size.min(initial=1, where=size > 0)) for size in sizes[:2])
    return max(top_x, top_y, top_x * top_y * terms, top) < 2.0**900 and low_x * low_y > 2.0**-900


def fused(a: Factor, b: Factor, c: Array, fitting: bool = False) -> Array:
    """Return a b + c, rounded once to c's dtype; ``fitting`` if ``fits`` holds for them."""
    return _fused_single(a, b, c) if c.dtype == np.float32 else _fused_double(a, b, c, fitting)


def _fused_single(a: Factor, b: Factor, c: Array) -> Array:
    """The product is exact in float64. The sum is rounded twice, to float64 and to float32.

    The second result is wrong only if the first is halfway between two float32 and inexact.
    Rounded to odd, it is not halfway (Boldo, Melquiond 2008). A subnormal result has fewer bits,
    so any may be halfway. The sum of two float32 may be rounded twice (Figueroa 1995), so a
    product with ±1, as in tables, needs no check.
    """
    p = a[0] * b[0]
    s = p + c
    doubtful = s.view(np.int64) & 0x1FFFFFFF == 0x10000000
    doubtful |= np.abs(s) < 2.0**-126
    doubtful &= a[1]
    if doubtful.any():
        s[doubtful] = _sum_to_odd(*_at(doubtful, p, c.astype(np.float64)))
    return s.astype(np.float32)


def _fused_double(a: Factor, b: Factor, c: Array, fitting: bool) -> Array:
    """a b + c = s + (t_low + s_low) exactly, while nothing over- or underflows.

    The last sum is rounded twice, too. The result is wrong only if the first one, z, makes it
    halfway between two float64: z then has few bits. Source: Boldo, Melquiond 2008, figure 4,
    which rounds every z to odd. Whole numbers give what over- or underflows.
    """
    p, p_low = _exact_product(a, b)
    t, t_low = _exact_sum(c, p_low)
    s, s_low = _exact_sum(p, t)
    z = t_low + s_low
    doubtful = (z.view(np.int64) & 0xFFFFFFFFFFFF == 0) & (t_low != 0)  # else z is exact
    if doubtful.any():
        z[doubtful] = _sum_to_odd(*_at(doubtful, t_low, s_low))
    y = s + z
    is_zero = y == 0
    if is_zero.any():
        y = np.where(is_zero, p + c, y)  # has the zero's sign
    if fitting:
        return np.asarray(y)
    larger, size = np.maximum(np.abs(a[0]), np.abs(b[0])), np.abs(p)
    regular = (larger < 2.0**990) & (size < 2.0**1000) & (np.abs(c) < 2.0**1000)
    regular &= (size > 2.0**-900) | (a[0] == 0) | (b[0] == 0)
    if not regular.all():
        y[~regular] = list(map(_fused_numbers, *(x.tolist() for x in _at(~regular, a[0], b[0], c))))
    return np.asarray(y)


def _at(places: Any, *arrays: Any) -> list[Array]:
    """Return the arrays' numbers at the places of a mask of the broadcast shape."""
    return [np.broadcast_to(array, places.shape)[places] for array in arrays]


def _exact_sum(x: Array, y: Array) -> tuple[Array, Array]:
    """Return x + y rounded, and the rounding error (Knuth 1969, section 4.2.2, theorem C)."""
    s = x + y
    t = s - x
    return s, (x - (s - t)) + (y - t)


def _exact_product(a: Factor, b: Factor) -> tuple[Array, Array]:
    """Return a b rounded, and the rounding error, from the halves' products (Dekker 1971)."""
    (x, x_high, x_low), (y, y_high, y_low) = a, b
    p = x * y
    return p, ((x_high * y_high - p) + x_high * y_low + x_low * y_high) + x_low * y_low


def _sum_to_odd(x: Array, y: Array) -> Array:
    """Return x + y; if that is inexact, the neighbour of the exact sum whose last bit is 1."""
    s, error = _exact_sum(x, y)
    bits = s.view(np.int64)
    changes = (error != 0) & (error == error) & (bits & 1 == 0)
    return (bits + changes * np.where((error > 0) == (s > 0), 1, -1)).view(np.float64)


def _fused_numbers(a: float, b: float, c: float) -> float:
    """a b + c of any floats: a fraction of whole numbers, whose division Python rounds once."""
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)) or a == 0 or b == 0:
        return a * b + c
    (p, q), (r, s), (t, u) = a.as_integer_ratio(), b.as_integer_ratio(), c.as_integer_ratio()
    above, below = p * r * u + t * q * s, q * s * u
    try:
        nearest = above / below
    except OverflowError:
        nearest = math.inf if above > 0 else -math.inf
    # a sum that rounds to 0 keeps its sign
    return -0.0 if above < 0 and nearest == 0 else nearest


# ---------------------------------------------------------------- numbers in formulas


class Numbers:
    """An array as formulas compute with it: like NumPy's, but its dtype never changes.

    Comparisons give a ``Mask``. Plain numbers are first rounded to the array's dtype.
    """

    __slots__ = ("array",)
    __array_ufunc__ = None  # NumPy's scalars leave their operators to this class
    __pow__: ClassVar[Any]
    """``mathematics.power``."""

    def __init__(self, array: Any) -> None:
        self.array: Array = array

    def like(self, x: Any) -> Any:
        """Return x, which may be a plain number, in this array's dtype."""
        return x.array if isinstance(x, Numbers) else self.array.dtype.type(x)

    def __add__(self, x: Any) -> Numbers:
        return Numbers(self.array + self.like(x))

    def __sub__(self, x: Any) -> Numbers:
        return Numbers(self.array - self.like(x))

    def __mul__(self, x: Any) -> Numbers:
        return Numbers(self.array * self.like(x))

    def __truediv__(self, x: Any) -> Numbers:
        return Numbers(self.array / self.like(x))

    def __rsub__(self, x: Any) -> Numbers:
        return Numbers(self.like(x) - self.array)

    def __rtruediv__(self, x: Any) -> Numbers:
        return Numbers(self.like(x) / self.array)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Numbers:
        return Numbers(-self.array)

    def _mask(self, holds: Any) -> Mask:
        return Mask(holds.astype(self.array.dtype))

    def __lt__(self, x: Any) -> Mask:
        return self._mask(self.array < self.like(x))

    def __le__(self, x: Any) -> Mask:
        return self._mask(self.array <= self.like(x))

    def __gt__(self, x: Any) -> Mask:
        return self._mask(self.array > self.like(x))

    def __ge__(self, x: Any) -> Mask:
        return self._mask(self.array >= self.like(x))

    def __eq__(self, x: object) -> Mask:  # type: ignore[override]
        return self._mask(self.array == self.like(x))

    def __ne__(self, x: object) -> Mask:  # type: ignore[override]
        return self._mask(self.array != self.like(x))

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("a formula cannot branch on its arguments")


class Mask(Numbers):
    """A comparison's result: 1 where it holds, else 0.

    Two masks add up to "or" and multiply to "and"; a mask and a number compute as numbers.
    """

    __slots__ = ()

    def __or__(self, x: Mask) -> Mask:
        return Mask(np.maximum(self.array, x.array))

    def __and__(self, x: Mask) -> Mask:
        return Mask(self.array * x.array)

    def __add__(self, x: Any) -> Numbers:
        return self | x if isinstance(x, Mask) else super().__add__(x)

    def __mul__(self, x: Any) -> Numbers:
        return self & x if isinstance(x, Mask) else super().__mul__(x)


def _arrays(*operands: Any) -> list[Any]:
    """Return arrays or numbers of one dtype; at least one operand is ``Numbers``."""
    like = next(x for x in operands if isinstance(x, Numbers))
    return [like.like(x) for x in operands]


def fma(x: Any, y: Any, z: Any) -> Numbers:
    """x y + z, rounded once."""
    x, y, z = _arrays(x, y, z)
    return Numbers(fused(factor(x), factor(y), z))


def where(mask: Any, x: Any, y: Any) -> Numbers:
    """x where the mask is not 0, else y."""
    mask, x, y = _arrays(mask, x, y)
    return Numbers(np.where(mask != 0, x, y))


def maximum(x: Any, y: Any) -> Numbers:
    """The larger; NaN if one is NaN; y if both are 0, whatever their signs."""
    x, y = _arrays(x, y)
    return Numbers(np.where((x > y) | (x != x), x, y))


def minimum(x: Any, y: Any) -> Numbers:
    """The smaller; NaN if one is NaN; y if both are 0, whatever their signs."""
    x, y = _arrays(x, y)
    return Numbers(np.where((x < y) | (x != x), x, y))


def sqrt(x: Any) -> Numbers:
    """The square root, rounded once."""
    return Numbers(np.sqrt(x.array))


def absolute(x: Any) -> Numbers:
    """|x|."""
    return Numbers(np.abs(x.array))


def copysign(x: Any, y: Any) -> Numbers:
    """|x| with y's sign."""
    return Numbers(np.copysign(*_arrays(x, y)))


def full_like(like: Any, x: Any) -> Numbers:
    """x in each place of ``like``."""
    return Numbers(np.full_like(like.array, like.like(x)))


def is_single(x: Any) -> bool:
    """Return whether the numbers have float32."""
    return bool(x.array.dtype == np.float32)


def _words(x: Any) -> tuple[Any, int, int]:
    """Return the numbers' bits, the bits of a mantissa, and the exponent's bias."""
    if is_single(x):
        return x.array.view(np.int32), 23, 127
    return x.array.view(np.int64), 52, 1023


def two_to(n: Any) -> Numbers:
    """2^n, for whole numbers n within the normal exponents."""
    words, bits, bias = _words(n)
    return Numbers(((n.array.astype(words.dtype) + bias) << bits).view(n.array.dtype))


def times_two_to(x: Any, shifted: Any) -> Numbers:
    """x 2^n, where n are the lowest bits of a second array and the result is normal."""
    words, bits, _ = _words(x)
    return Numbers((words + (_words(shifted)[0] << bits)).view(x.array.dtype))


def exponent(x: Any) -> Numbers:
    """e of x = 2^e m with m in [1, 2), for normal x > 0."""
    words, bits, bias = _words(x)
    return Numbers(((words >> bits) - bias).astype(x.array.dtype))


def mantissa(x: Any) -> Numbers:
    """m of x = 2^e m with m in [1, 2), for normal x > 0."""
    words, bits, bias = _words(x)
    return Numbers(((words & ((1 << bits) - 1)) | (bias << bits)).view(x.array.dtype))
