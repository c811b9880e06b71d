"""The parts of an exported Python file that are the same for every model.

The text below the line of dashes is copied, with other values of the first two names. It imports
the standard library alone, and NumPy where that is installed. It repeats ``engines.portable``,
``reproducible.total`` and ``tables.columns`` step by step. The networks compute with numbers of
``KIND``.
"""

from __future__ import annotations

# ----------------------------------------------------------------------------
import array
import base64
import math
import struct
from datetime import date, datetime

try:
    import numpy
except ModuleNotFoundError:  # slower, and the same bits
    numpy = None  # type: ignore[assignment]

KIND = "float32"
MISSING_WORDS: frozenset[str] = frozenset()

TINY = 2.0**-126
SINGLE = struct.Struct("f")


def single(x):
    """Return a number rounded to float32."""
    try:
        return SINGLE.unpack(SINGLE.pack(x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def rounded(x):
    """Return a number rounded to KIND."""
    return single(x) if KIND == "float32" else x


def div(x, y):
    """Return x / y as IEEE 754 has it."""
    if y == 0:
        if x == 0 or x != x or y != y:
            return math.nan
        return math.copysign(math.inf, x) * math.copysign(1.0, y)
    return rounded(x / y)


def sqrt(x):
    """Return the square root; NaN below 0."""
    return rounded(math.sqrt(x)) if x >= 0 else (x if x == 0 else math.nan)


def exact_fma(x, y, z):
    """Return x y + z as a fraction of whole numbers."""
    (a, b), (c, d), (e, f) = (each.as_integer_ratio() for each in (x, y, z))
    return a * c * f + e * b * d, b * d * f


def fma(x, y, z):
    """Return x y + z, rounded once to KIND."""
    p = x * y
    s = p + z
    if KIND == "float64":
        if s - s != 0 or x == 0 or y == 0:
            return s
        above, below = exact_fma(x, y, z)
        if above == 0:
            return p + z
        try:
            found = above / below
        except OverflowError:
            return math.inf if above > 0 else -math.inf
        return -0.0 if found == 0 and above < 0 else found
    r = rounded(s)
    if r == s or r - r != 0:
        return r
    # s is rounded once more: wrong only where it is halfway between two numbers, and inexact
    if abs(s) >= TINY:
        other = r + 2 * (s - r)
        if rounded(other) != other:
            return r
    t = s - p
    error = (p - (s - t)) + (z - t)
    if error == 0:
        return r
    # the neighbour of the exact sum whose last bit is 1 is not halfway
    bits = struct.unpack("<q", struct.pack("<d", s))[0]
    if bits & 1 == 0:
        bits += 1 if (error > 0) == (s > 0) else -1
        s = struct.unpack("<d", struct.pack("<q", bits))[0]
    return rounded(s)


FORM = ("<f", "<i", 23, 127) if KIND == "float32" else ("<d", "<q", 52, 1023)


def bits_of(x):
    """Return a number's bits."""
    return struct.unpack(FORM[1], struct.pack(FORM[0], x))[0]


def number_of(bits):
    """Return the number with these bits."""
    width = 8 * struct.calcsize(FORM[1])
    bits &= (1 << width) - 1
    return struct.unpack(FORM[0], bits.to_bytes(width // 8, "little"))[0]


def two_to(n):
    """Return 2^n."""
    return number_of((int(n) + FORM[3]) << FORM[2]) if n == n else n


def times_two_to(x, shifted):
    """Return x 2^n, where n are the lowest bits of a second number."""
    return number_of(bits_of(x) + (bits_of(shifted) << FORM[2]))


def exponent(x):
    """Return e of x = 2^e m with m in [1, 2)."""
    return float((bits_of(x) >> FORM[2]) - FORM[3])


def mantissa(x):
    """Return m of x = 2^e m with m in [1, 2)."""
    return number_of((bits_of(x) & ((1 << FORM[2]) - 1)) | (FORM[3] << FORM[2]))


def numbers(text, kind=None):
    """Return the numbers that a text in base 64 holds."""
    found = array.array("f" if (kind or KIND) == "float32" else "d", base64.b64decode(text))
    if struct.pack("=h", 1) != struct.pack("<h", 1):
        found.byteswap()
    return found


def total(a):
    """Return the sum: one half is added to the other until one number is left."""
    a = list(a)
    while len(a) > 1:
        half = len(a) // 2
        sums = [x + y for x, y in zip(a[:half], a[half : 2 * half], strict=True)]
        if len(a) % 2:
            sums[0] += a[-1]
        a = sums
    return a[0]


def with_arrays(count, least):
    """Return whether to compute with arrays: they are faster from ``least`` operations on."""
    return numpy is not None and KIND == "float32" and count >= least


def mapped(scalar, of_arrays, rows):
    """Return a formula's results for rows (P, n), a list of one or several (P, n)."""
    if rows[0] and with_arrays(len(rows) * len(rows[0]), 32):
        with numpy.errstate(all="ignore"):
            found = of_arrays(numpy.array(rows, numpy.float32))
        return [each.tolist() for each in found]
    found = [[scalar(v) for v in row] for row in rows]
    if rows[0] and isinstance(found[0][0], tuple):
        return [[[pair[k] for pair in row] for row in found] for k in range(len(found[0][0]))]
    return [found]


def affine(rows, W, b, I, O):
    """Return x W + b of each member, a chain of fused multiply-adds: W (P, I, O), b (P, O)."""
    if with_arrays(I * len(b), 200):
        return affine_of_arrays(rows, W, b, I, O)
    found = []
    for m, x in enumerate(rows):
        z = list(b[m * O : (m + 1) * O])
        for i in range(I):
            start = (m * I + i) * O
            z = [fma(x[i], w, v) for w, v in zip(W[start : start + O], z, strict=True)]
        found.append(z)
    return found


# ---- the same with arrays of float32


def affine_of_arrays(rows, W, b, I, O):
    """Return what ``affine`` does.

    Sums are first rounded twice, to float64 and to float32. The rare ones for which that may differ
    from one rounding are then looked for, in all at once.
    """
    x = numpy.array(rows, numpy.float64)
    W = numpy.frombuffer(W, numpy.float32).reshape(len(rows), I, O)
    z = numpy.empty((I + 1, len(rows), O), numpy.float32)
    z[0] = numpy.frombuffer(b, numpy.float32).reshape(len(rows), O)
    with numpy.errstate(all="ignore"):
        p = x.T[:, :, None] * W.transpose(1, 0, 2)  # exact
        s = numpy.empty_like(p)
        for i in range(I):
            numpy.add(p[i], z[i], out=s[i])
            z[i + 1] = s[i]
        if differs(p, z[:-1].astype(numpy.float64), s).any():
            for i in range(I):
                z[i + 1] = rounded_sums(p[i], z[i].astype(numpy.float64))
    return z[-1].tolist()


def differs(p, z, s):
    """Return which sums s = p + z are inexact, and halfway between two float32, or very small."""
    doubtful = s.view(numpy.int64) & 0x1FFFFFFF == 0x10000000
    doubtful |= (numpy.abs(s) < TINY) & (s != 0)
    if doubtful.any():
        error = errors(p[doubtful], z[doubtful], s[doubtful])
        doubtful[doubtful] = (error != 0) & (error == error)
    return doubtful


def errors(x, y, s):
    """Return x + y - s, exactly, for the rounded sum s."""
    t = s - x
    return (x - (s - t)) + (y - t)


def rounded_sums(p, z):
    """Return p + z, rounded once to float32."""
    s = p + z
    wrong = differs(p, z, s)
    if wrong.any():  # the neighbour of the exact sum whose last bit is 1 is not halfway
        error, bits = errors(p[wrong], z[wrong], s[wrong]), s[wrong].view(numpy.int64)
        step = numpy.where((error > 0) == (s[wrong] > 0), 1, -1)
        s[wrong] = (bits + (bits & 1 == 0) * step).view(numpy.float64)
    return s.astype(numpy.float32)


def fma_of_arrays(x, y, z):
    """Return x y + z, rounded once."""
    p = numpy.multiply(x, y, dtype=numpy.float64)
    z = numpy.broadcast_to(numpy.asarray(z, numpy.float64), p.shape)
    return rounded_sums(numpy.broadcast_to(p, z.shape), z)


def where(condition, x, y):
    """Return x where a condition is not 0, else y."""
    return numpy.where(condition != 0, x, y).astype(numpy.float32)


def shifted_of_arrays(x):
    """Return a number's bits, shifted to where the exponent is."""
    return x.view(numpy.int32) << 23


def two_to_of_arrays(n):
    """Return 2^n."""
    found = (numpy.where(n == n, n, 0).astype(numpy.int32) + 127) << 23
    return where(n == n, found.view(numpy.float32), n)


def exponent_of_arrays(x):
    """Return e of x = 2^e m with m in [1, 2)."""
    return ((x.view(numpy.int32) >> 23) - 127).astype(numpy.float32)


def mantissa_of_arrays(x):
    """Return m of x = 2^e m with m in [1, 2)."""
    return ((x.view(numpy.int32) & 0x7FFFFF) | (127 << 23)).view(numpy.float32)


# ----


BLANKS = "".join(
    map(
        chr,
        [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
         0x2028, 0x2029, 0x202F, 0x205F, 0x3000],
    )
)  # fmt: skip


def category(value, codes, name=""):
    """Return a category's number; -1 where missing; -2 if training did not see it."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value != value:
        return -1
    if isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, (int, float)):
        whole = math.isfinite(value) and value == int(value)
        value = str(int(value)) if whole else repr(float(value))
    elif not isinstance(value, str):
        raise ValueError(f"column {name!r} holds {value!r}: it needs a text, or None")
    value = value.strip(BLANKS)
    if value == "":
        return -1
    if value in codes:
        return codes[value]
    return -1 if value.casefold() in MISSING_WORDS else -2


def as_number(name, value):
    """Return a number, NaN where missing; dates become days since 1970-01-01."""
    if value is None:
        return math.nan
    if isinstance(value, datetime):
        passed = value.replace(tzinfo=None) - datetime(1970, 1, 1)
        micros = (passed.days * 86400 + passed.seconds) * 1_000_000 + passed.microseconds
        value = micros / (86400 * 1e6)
    elif isinstance(value, date):
        value = float((value - date(1970, 1, 1)).days)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"column {name!r} holds {value!r}: it needs a finite number, or None")
    return number


def circle(v):
    """Return cos 2πv and sin 2πv for v from 0 to below 1."""
    k = round(4 * v)
    x = (v - k / 4) * 6.283185307179586
    z = x * x
    c, s = COS_SERIES[0] * z, SIN_SERIES[0] * z
    for cosine, sine in zip(COS_SERIES[1:-1], SIN_SERIES[1:-1], strict=True):
        c, s = (c + cosine) * z, (s + sine) * z
    c, s = 1 + z * (c + COS_SERIES[-1]), x + x * (z * (s + SIN_SERIES[-1]))
    if k % 2:
        c, s = s, c
    return rounded(c * (1 - ((k + 1) & 2))), rounded(s * (1 - (k & 2)))


def month(day):
    """Return the month, 0 to 11, of a day since 1970-01-01."""
    z = int(day) + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    mp = (5 * (doe - (365 * yoe + yoe // 4 - yoe // 100)) + 2) // 153
    return mp + 2 if mp < 10 else mp - 10


COS_SERIES = [float(2 * (-1) ** k) / (2 * math.factorial(2 * k)) for k in range(8, 0, -1)]
SIN_SERIES = [float(2 * (-1) ** k) / (2 * math.factorial(2 * k + 1)) for k in range(8, 0, -1)]
