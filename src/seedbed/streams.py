"""A seed's independent random streams.

A draw is a function of the member's seed, the purpose (init, order, dropout, …), the position in
training (epoch, layer) and the draw's number i. It does not depend on earlier draws or on other
members, so there is no generator state, and adding dropout changes no initial weight.

The bits are SplitMix64's (Steele, Lea, Flood 2014): draw i of the stream that starts at ``key`` is
mix(key + (i + 1) γ), computed without the draws before it. The key is a chain of the same mix over
seed, purpose and position, so that the streams of neighbouring seeds are independent.
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
from seedbed.memory import check_fits

Words: TypeAlias = npt.NDArray[np.uint64]
Purpose = Literal[
    "init", "order", "dropout", "split", "test", "signs", "search", "sample", "shards"
]

_PURPOSE_NUMBERS: dict[Purpose, int] = {
    "init": 1,
    "order": 2,
    "dropout": 3,
    "split": 4,
    "test": 5,
    "signs": 6,
    "search": 7,
    "sample": 8,
    "shards": 9,
}
_CHUNK_DRAWS = 2**15
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


def checked_seeds(seeds: Any) -> npt.NDArray[np.int64]:
    """Return the seeds as (P,); a single whole number gives P = 1.

    Raises: SettingError for seeds that are not whole numbers from 0 to 2^63 - 1.
    """
    if isinstance(seeds, range):
        check_fits(40 * len(seeds), f"{len(seeds):,} seeds", "train fewer at a time")
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
    """Return SplitMix64's finaliser, a bijection, of each 64-bit word of ``x``; any shape."""
    x = (x ^ (x >> np.uint64(30))) * _MULTIPLIER_1
    x = (x ^ (x >> np.uint64(27))) * _MULTIPLIER_2
    return x ^ (x >> np.uint64(31))


def keys(seeds: npt.NDArray[np.int64], purpose: Purpose, *position: int) -> Words:
    """Return the key of each seed's stream for ``purpose`` at ``position``, (P,).

    ``position`` is the epoch, the layer, or both.
    """
    key = base_keys(seeds, purpose, len(position))
    for coordinate in position:
        key = extend_key(key, np.array([coordinate], np.uint64))
    return key


def base_keys(seeds: npt.NDArray[np.int64], purpose: Purpose, depth: int) -> Words:
    """Return each seed's key for ``purpose`` before the coordinates of a position, (P,).

    ``depth`` is the number of coordinates; with it, no position is a prefix of another.
    """
    key = mix(seeds.astype(np.uint64) + _GAMMA)
    for coordinate in (_PURPOSE_NUMBERS[purpose], depth):
        key = extend_key(key, np.array([coordinate], np.uint64))
    return key


def extend_key(key: Words, coordinate: Words) -> Words:
    """Return each key with one more coordinate mixed in; arrays or scalars, as the next two."""
    return mix((key ^ coordinate) + _GAMMA)


def word(key: Words, number: Words) -> Words:
    """Return draw ``number`` = 0, 1, … of a stream: 64 random bits."""
    return mix(key + (number + np.uint64(1)) * _GAMMA)


def to_uniform(drawn: Words) -> Array:
    """Return random bits as draws from the open interval (0, 1), uniform, in float64."""
    return ((drawn >> np.uint64(12)) + 0.5) * 2.0**-52


def bits(key: Words, count: int, start: int = 0) -> Words:
    """Return draws number start … start + count - 1 of each stream, (P, count)."""
    return word(key[:, None], np.arange(start, start + count, dtype=np.uint64))


def uniform(key: Words, count: int, start: int = 0) -> Array:
    """Return draws from the open interval (0, 1), uniform, in float64, (P, count)."""
    return to_uniform(bits(key, count, start))


def normal(key: Words, count: int, start: int = 0) -> Array:
    """Return draws from N(0, 1) in float64, (P, count); ``start`` is even.

    Draws 2i and 2i + 1 are r cos φ and r sin φ, with r = √(-2 log u), φ = 2π v (Box, Muller 1958).
    """
    pairs = (count + 1) // 2
    u = uniform(key, 2 * pairs, start).reshape(len(key), pairs, 2)
    r = np.sqrt(-2 * reproducible.log(u[..., 0]))
    cos, sin = reproducible.cos_sin_turns(u[..., 1])
    both = np.stack([r * cos, r * sin], axis=-1)
    return both.reshape(len(key), 2 * pairs)[:, :count]


def order(key: Words, count: int) -> npt.NDArray[np.intp]:
    """Return a permutation of 0 … count - 1 for each stream, (P, count).

    Each number replaces the lowest bits of a random word, and the words are sorted. No two are
    equal, so every sorting algorithm gives the same permutation.
    """
    low = np.uint64((1 << max(count - 1, 0).bit_length()) - 1)
    tagged = (bits(key, count) & ~low) | np.arange(count, dtype=np.uint64)
    tagged.sort(axis=1)
    return (tagged & low).astype(np.intp)


def keep_mask(key: Words, count: int, start: int, rate: Array, dtype: npt.DTypeLike) -> Array:
    """Return dropout's mask, (P, count): 0 with probability ``rate``, else 1 / (1 - rate).

    ``rate`` is (1, 1) or (P, 1), 0 <= rate < 1. Dividing by 1 - rate keeps the expected
    activation, so prediction needs no scaling (Srivastava et al. 2014).
    """
    kept: Any = uniform(key, count, start) >= rate
    return (kept / (1 - rate)).astype(dtype)


@dataclass(frozen=True, eq=False)
class LayerDraws:
    """The draws for one parameter block of P members; implements ``initializers.Draws``."""

    key: Words

    def normal(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from N(0, 1)."""
        return self._drawn(normal, rows * columns).reshape(-1, rows, columns)

    def uniform(self, rows: int, columns: int) -> Array:
        """Return (P, rows, columns) draws from U(0, 1)."""
        return self._drawn(uniform, rows * columns).reshape(-1, rows, columns)

    def _drawn(self, draw: Callable[[Words, int, int], Array], count: int) -> Array:
        # in chunks, as a draw's temporaries take several times its memory
        drawn = np.empty((len(self.key), count))
        for start in range(0, count, _CHUNK_DRAWS):
            stop = min(start + _CHUNK_DRAWS, count)
            drawn[:, start:stop] = draw(self.key, stop - start, start)
        return drawn
