"""How work is laid out for the kernels: members in groups, and room for a group."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.compiled.groups import NEAR
from seedbed.engines.compiled.records import HISTORY, Room, Shape
from seedbed.engines.compiled.steps import PACK_DEPTH, PACK_NUMBERS, PACK_ROWS
from seedbed.engines.compiled.units import numba_type
from seedbed.engines.compiled.vectors import WIDTH
from seedbed.network import Network

LANES_BYTES, ALONE_BYTES = 2**17, 2**21
"""How much activations may take, with lanes and for a member alone: rows are worked on in pieces
that fit, so that they stay in a near cache. No result depends on these, nor on the next."""
LANES_THETA_BYTES = 2**18
"""How much a full group's parameters may take for it to share vectors: beyond that, members are
faster alone (``benchmarks/crossing.py`` measures it)."""
WIDE_BYTES, MOST_VECTORS = 2**16, 4
"""How much a group that is several vectors wide may take, parameters and activations, and how many
vectors at most: a small network's step is mostly calls, as many for a wide group as for a narrow
one, until it no longer stays in a near cache."""
_SLACK = 16  # whole vectors are written, and so up to this much beyond an array's end


def lanes_of(dtype: npt.DTypeLike) -> int:
    """Return how many members share a vector."""
    return WIDTH[numba_type(np.dtype(dtype))]


def shape_of(network: Network) -> Shape:
    """Return the network as the kernels take it."""
    return Shape(
        widths=np.array(network.widths, dtype=np.int64),
        weights=np.array(
            [each.where.start for each in network.blocks if each.name == "W"], dtype=np.int64
        ),
        biases=np.array(
            [each.where.start for each in network.blocks if each.name == "b"], dtype=np.int64
        ),
        layers=len(network.layers),
        size=network.size,
    )


class Groups(NamedTuple):
    """Members in G groups of s."""

    members: npt.NDArray[np.int64]
    """(G, s) member numbers; where a group has fewer, its last one again"""
    counts: npt.NDArray[np.int64]
    """(G,) how many are meant"""


def fewest_for_lanes(network: Network, dtype: npt.DTypeLike) -> int:
    """Return from how many members on sharing vectors is faster than each alone.

    With lanes, a product of I by O takes I · O vectors for up to W members; alone, it takes
    I · ⌈O / W⌉ for each. Where the parameters of W members leave the cache, it never is.
    """
    W = lanes_of(dtype)
    if network.size * W * np.dtype(dtype).itemsize > LANES_THETA_BYTES:
        return W + 1
    pairs = list(pairwise(network.widths))
    together = sum(i * o for i, o in pairs)
    alone = sum(i * -(-o // W) for i, o in pairs)
    return -(-together // alone)


def wide_lanes(network: Network, dtype: npt.DTypeLike, rows: int) -> int:
    """Return how many members a group has where there are many, and a step is of ``rows``: those
    of one vector, or of a few.
    """
    # three theta, two slots, g; z, a, and what the backward pass makes of them
    each = 6 * network.size + 3 * sum(network.widths) * rows
    W = lanes_of(dtype)
    return W * max(1, min(MOST_VECTORS, WIDE_BYTES // (each * W * np.dtype(dtype).itemsize)))


def in_groups(members: Indices, wide: int, W: int, fewest: int, threads: int) -> list[Groups]:
    """Return ``members`` in groups of ``wide``, the same number for each thread, what is left in
    groups of W, and alone where fewer than ``fewest`` would share.
    """
    shared = len(members) if fewest <= W else 0
    if shared % W < fewest:
        shared -= shared % W
    many = shared // (wide * threads) * (wide * threads) if wide > W else 0
    ends = pairwise((0, many, shared, len(members)))
    return [
        _groups(members[start:end], s)
        for s, (start, end) in zip((wide, W, 1), ends, strict=True)
        if start < end
    ]


def _groups(members: Indices, s: int) -> Groups:
    G = -(-len(members) // s)
    absent = G * s - len(members)
    counts = np.full(G, s, dtype=np.int64)
    counts[-1] -= absent
    full = np.pad(members, (0, absent), mode="edge").astype(np.int64)
    return Groups(full.reshape(G, s), counts)


def in_parts(groups: Groups, step: int) -> Iterator[Groups]:
    """Yield the groups, ``step`` at a time."""
    for start in range(0, len(groups.counts), step):
        yield Groups(*(each[start : start + step] for each in groups))


def piece_rows(network: Network, dtype: npt.DTypeLike, rows: int, lanes: int) -> int:
    """Return how many of ``rows`` are worked on at a time in a group of ``lanes``."""
    held = 3 * sum(network.widths) * lanes * np.dtype(dtype).itemsize
    fit = (LANES_BYTES if lanes > 1 else ALONE_BYTES) // held // 16 * 16
    return max(1, min(max(16, fit), rows))


class Space:
    """Room for one group at a time: an array, and where things lie in it (``records.Room``).

    pieces  how many rows are worked on at a time, by the lanes of a group
    numbers how many hyperparameters a member has
    slots   how many arrays of state its optimizer has
    rows    how many rows a member trains on and is validated with
    """

    def __init__(
        self, network: Network, dtype: npt.DTypeLike, *, pieces: dict[int, int],
        numbers: int = 0, slots: int = 0, drops: bool = False, classes: bool = False,
        backward: bool = True, rows: tuple[int, int] = (0, 0),
    ) -> None:  # fmt: skip
        W = lanes_of(dtype)
        s = max(pieces)
        c = max(s, W)
        cells = max(lanes * rows_ for lanes, rows_ in pieces.items())
        layers, D = network.widths[1:], network.size
        widest = max(layers)
        packed = PACK_NUMBERS + 2 * W * PACK_DEPTH  # a strip and a square more
        down = 1 if backward else 0
        near = backward and NEAR >= D
        self._next = 0
        take = self._take

        def each(*counts: int) -> Array:
            return np.array([take(count) for count in counts], dtype=np.int64)

        self.room = Room(
            zeros=take(c),
            ones=take(W),
            numbers=take(numbers * c),
            no_decay=take(c),
            sums=take(network.outputs * s),
            partial=take(16 * s),
            apart=take(c),
            loss=take(c),
            held_loss=take(c),
            history=take(2 * HISTORY * c * down),
            x=take(cells * network.inputs * down),
            t=take(cells * network.outputs * down),
            share=take(cells * network.outputs * down),
            each=take(cells * network.outputs * down),
            z=each(*(cells * o for o in layers)),
            a=each(*(cells * o for o in layers)),
            h=each(
                *(cells * o * drops for o in layers[:-1]),
                (cells * (2 * layers[-1] + 1) + 3 * W) * classes,
            ),
            masks=each(*(cells * o * drops for o in layers)),
            delta=take(cells * widest * down),
            delta_below=take(cells * widest * down),
            packed=take(packed if backward or pieces.get(1, 0) >= PACK_ROWS else 0),
            g=take(D * s * down),
            theta=take((3 * s if s > 1 or near else 1) * D),
            slots=take(slots * D * s if s > 1 or near else 0),
        )
        # zeros, as whole vectors are worked on: what happens to lie beyond an array's end might be
        # numbers so small that arithmetic on them takes a hundred times as long
        raw = np.zeros(self._next + 64, dtype=dtype)
        skip = (-raw.ctypes.data % 64) // raw.itemsize
        self.numbers = raw[skip : skip + self._next]
        self.numbers[self.room.ones : self.room.ones + W] = 1
        most = max(rows)
        self.chosen, self.held_chosen = (np.empty(s * n, dtype=np.int64) for n in rows)
        self.tagged, self.sorted = (np.empty(most, dtype=np.uint64) for _ in range(2))
        self.starts = np.empty(2 * most + 2, dtype=np.int64)
        self.froms, self.tos = (np.empty(c, dtype=np.int64) for _ in range(2))

    def _take(self, count: int) -> int:
        begin = self._next
        self._next += -(-(count + _SLACK) // 16) * 16
        return begin
