"""A seed's independent random streams.

What a member draws is a function of its seed, of the use (init, order, dropout, …), of where
in the training it is drawn (the epoch, the layer) and of the draw's own number i, and of nothing
else: not of what was drawn before, nor of who else is trained. So there is no generator state, and
an added dropout changes no initial weight.

The bits are SplitMix64's (Steele, Lea, Flood 2014): the i-th output of a generator that starts at
``key`` is mix(key + (i + 1) γ), which can be had without the ones before it. The key is a chain of
the same mix over seed, use and place, so that neighbouring seeds start far apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from seedbed import reproducible
from seedbed.arrays import Array, as_array, one_line
from seedbed.errors import SettingError

Words: TypeAlias = npt.NDArray[np.uint64]
Use = Literal["init", "order", "dropout", "split", "test", "signs", "search"]

_USES: dict[Use, int] = {
    "init": 1,
    "order": 2,
    "dropout": 3,
    "split": 4,
    "test": 5,
    "signs": 6,
    "search": 7,
}
_PIECE = 2**15
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def checked_seeds(seeds: Any) -> npt.NDArray[np.int64]:
    """Return the seeds as (P,): one whole number is one member, a sequence one member each.

    Raises: SettingError for seeds that are not whole numbers from 0 to 2^63 - 1.
    """
    if isinstance(seeds, range | set | frozenset):
        seeds = list(seeds)
    array = as_array(seeds, "seeds", SettingError)
    if array.dtype == object and array.size and all(isinstance(s, int) for s in array.flat):
        wrong = next((s for s in array.flat if not 0 <= s < 2**63), None)
        if wrong is not None:
            raise SettingError(f"seed {wrong}: a seed must be a whole number from 0 to 2**63 - 1")
    if array.ndim > 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise SettingError(
            "seeds must be a whole number or a sequence of them, such as range(8), not "
            + one_line(seeds)
        )
    array = np.atleast_1d(array)
    for wrong in (array.min(), array.max()):
        if not 0 <= wrong < 2**63:
            raise SettingError(f"seed {wrong}: a seed must be a whole number from 0 to 2**63 - 1")
    return array.astype(np.int64)


def mix(x: Words) -> Words:
    """Return each 64-bit word of ``x`` scrambled, one to one; any shape. SplitMix64's finaliser."""
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def keys(seeds: npt.NDArray[np.int64], use: Use, *place: int) -> Words:
    """Return the start of each seed's stream for ``use`` at ``place``, (P,).

    ``place`` says where in the training: the epoch, the layer, or both.
    """
    key = branch(seeds, use, len(place))
    for coordinate in place:
        key = enter(key, np.array([coordinate], np.uint64))
    return key


def branch(seeds: npt.NDArray[np.int64], use: Use, depth: int) -> Words:
    """Return where each seed's streams for ``use`` branch off by place, (P,).

    ``depth`` is how many coordinates a place has, so that none is the beginning of another.
    """
    key = mix(seeds.astype(np.uint64) + _GAMMA)
    for coordinate in (_USES[use], depth):
        key = enter(key, np.array([coordinate], np.uint64))
    return key


def enter(key: Words, coordinate: Words) -> Words:
    """Return each key one coordinate further; for arrays and scalars alike, as are the next two."""
    return mix((key ^ coordinate) + _GAMMA)


def word(key: Words, number: Words) -> Words:
    """Return draw ``number`` = 0, 1, … of a stream: 64 random bits."""
    return mix(key + (number + np.uint64(1)) * _GAMMA)


def unit(drawn: Words) -> Array:
    """Return random bits as a draw from U(0, 1) in float64; neither 0 nor 1 is among them."""
    return ((drawn >> np.uint64(12)) + 0.5) * 2.0**-52


def bits(key: Words, count: int, start: int = 0) -> Words:
    """Return draws number start … start + count - 1 of each stream, (P, count)."""
    return word(key[:, None], np.arange(start, start + count, dtype=np.uint64))


def uniform(key: Words, count: int, start: int = 0) -> Array:
    """Return draws from U(0, 1) in float64, (P, count); neither 0 nor 1 is among them."""
    return unit(bits(key, count, start))


def normal(key: Words, count: int, start: int = 0) -> Array:
    """Return draws from N(0, 1) in float64, (P, count); ``start`` is even.

    Draws 2i and 2i + 1 are r cos φ and r sin φ, with r = √(-2 log u), φ = 2π v (Box, Muller 1958).
    """
    pairs = (count + 1) // 2
    u = uniform(key, 2 * pairs, start).reshape(len(key), pairs, 2)
    r = np.sqrt(-2 * reproducible.log(u[..., 0]))
    cos, sin = reproducible.circle(u[..., 1])
    both = np.stack([r * cos, r * sin], axis=-1)
    return both.reshape(len(key), 2 * pairs)[:, :count]


def order(key: Words, count: int) -> npt.NDArray[np.intp]:
    """Return a permutation of 0 … count - 1 for each stream, (P, count).

    The numbers are sorted by random bits; they fill those bits' lowest places, so that no two
    are equal and every way of sorting gives the same permutation.
    """
    low = np.uint64((1 << max(count - 1, 0).bit_length()) - 1)
    tagged = (bits(key, count) & ~low) | np.arange(count, dtype=np.uint64)
    tagged.sort(axis=1)
    return (tagged & low).astype(np.intp)


def keep_mask(key: Words, count: int, start: int, rate: Array, dtype: npt.DTypeLike) -> Array:
    """Return dropout's mask, (P, count): 0 with probability ``rate``, else 1 / (1 - rate).

    ``rate`` is (1, 1) or (P, 1), 0 <= rate < 1. Dividing by the share that is kept leaves the
    expected activation as it is, so prediction needs no scaling (Srivastava et al. 2014).
    """
    kept: Any = uniform(key, count, start) >= rate
    return (kept / (1 - rate)).astype(dtype)


@dataclass(frozen=True, eq=False)
class LayerDraws:
    """The initializers' draws for one parameter block of P members; see ``initializers.Draws``."""

    key: Words

    def normal(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from N(0, 1)."""
        return self._drawn(normal, rows * columns).reshape(-1, rows, columns)

    def uniform(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from U(0, 1)."""
        return self._drawn(uniform, rows * columns).reshape(-1, rows, columns)

    def _drawn(self, draw: Callable[[Words, int, int], Array], count: int) -> Array:
        # in pieces, as the making of a draw takes several times its own memory
        drawn = np.empty((len(self.key), count))
        for start in range(0, count, _PIECE):
            stop = min(start + _PIECE, count)
            drawn[:, start:stop] = draw(self.key, stop - start, start)
        return drawn
