"""How work is laid out for the kernels: members in groups, and a workspace for a group."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.arrays import Array, Indices
from seedbed.engines.compiled.groups import MAX_COPIED_PARAMETERS
from seedbed.engines.compiled.kinds import form_of, scratch_of
from seedbed.engines.compiled.products import MIN_PACKED_ROWS, PACK_DEPTH, PACK_NUMBERS
from seedbed.engines.compiled.records import HISTORY, SCALED, Groups, Workspace
from seedbed.engines.compiled.target import WIDTH, numba_type
from seedbed.network import Network

MAX_LANES_BYTES, MAX_ALONE_BYTES = 2**17, 2**21
"""The bytes of a piece's activations, for a group of lanes and for a member alone, that stay in a
near cache. No result depends on these limits, nor on the next."""
MAX_LANES_THETA_BYTES = 2**18
"""The bytes of a full vector's parameters above which members are faster alone, as measured by
``benchmarks/crossing.py``."""
MAX_GROUP_BYTES, MAX_GROUP_VECTORS = 2**16, 4
"""The bytes of parameters and activations, and the vectors, of a group of several vectors: a small
network's step is mostly calls, as many for a wide group as for a narrow one."""
_PADDING = 16  # whole vectors are written, so up to this much beyond an array's end


def lanes_per_vector(dtype: npt.DTypeLike) -> int:
    """Return how many members share a vector."""
    return WIDTH[numba_type(np.dtype(dtype))]


def min_for_lanes(network: Network, dtype: npt.DTypeLike) -> int:
    """Return the fewest members that are faster in lanes than each alone.

    With lanes, a product of I by O takes I · O vectors for up to W members; alone, it takes
    I · ⌈O / W⌉ for each. If the parameters of W members leave the cache, lanes never are.
    """
    W = lanes_per_vector(dtype)
    if network.size * W * np.dtype(dtype).itemsize > MAX_LANES_THETA_BYTES:
        return W + 1
    pairs = list(pairwise(network.widths))
    together = sum(i * o for i, o in pairs)
    alone = sum(i * -(-o // W) for i, o in pairs)
    return -(-together // alone)


def lanes_per_group(network: Network, dtype: npt.DTypeLike, rows: int) -> int:
    """Return the members of a group, one vector or several of them, if there are many and a step
    has ``rows``.
    """
    # three theta, two slots, g; z, a, and what the backward pass makes of them
    numbers = 6 * network.size + 3 * network.row_size * rows
    W = lanes_per_vector(dtype)
    fit = MAX_GROUP_BYTES // (numbers * W * np.dtype(dtype).itemsize)
    return W * max(1, min(MAX_GROUP_VECTORS, fit))


def make_groups(
    members: Indices, group_lanes: int, W: int, min_shared: int, threads: int
) -> list[Groups]:
    """Return ``members`` in groups of ``group_lanes``, equally many for each thread; the rest in
    groups of W, or alone if fewer than ``min_shared`` would share a group.
    """
    shared = len(members) if min_shared <= W else 0
    if shared % W < min_shared:
        shared -= shared % W
    step = group_lanes * threads
    many = shared // step * step if group_lanes > W else 0
    ends = pairwise((0, many, shared, len(members)))
    return [
        _groups(members[start:end], s)
        for s, (start, end) in zip((group_lanes, W, 1), ends, strict=True)
        if start < end
    ]


def _groups(members: Indices, s: int) -> Groups:
    G = -(-len(members) // s)
    absent = G * s - len(members)
    counts = np.full(G, s, dtype=np.int64)
    counts[-1] -= absent
    full = np.pad(members, (0, absent), mode="edge").astype(np.int64)
    return Groups(full.reshape(G, s), counts)


def split_groups(groups: Groups, step: int) -> Iterator[Groups]:
    """Yield the groups, ``step`` at a time."""
    for start in range(0, len(groups.counts), step):
        yield Groups(*(array[start : start + step] for array in groups))


def groups_per_task(count: int, threads: int) -> int:
    """Return how many of ``count`` groups make a task: a few tasks for each thread."""
    return max(1, count if threads == 1 else count // (4 * threads))


def piece_rows(network: Network, dtype: npt.DTypeLike, rows: int, lanes: int) -> int:
    """Return how many of ``rows`` are computed at a time in a group of ``lanes``."""
    row_bytes = 3 * network.row_size * lanes * np.dtype(dtype).itemsize
    fit = (MAX_LANES_BYTES if lanes > 1 else MAX_ALONE_BYTES) // row_bytes // 16 * 16
    return max(1, min(max(16, fit), rows))


def workspace_for(
    network: Network, dtype: npt.DTypeLike, *, pieces: dict[int, int], hyperparameters: int = 0,
    slots: int = 0, drops: bool = False, classes: bool = False, backward: bool = True,
    drawn_rows: int = 0,
) -> Workspace:  # fmt: skip
    """Return a workspace for one group at a time.

    pieces      the rows computed at a time, by a group's lanes
    slots       the arrays of state of the optimizer
    drawn_rows  the rows that a member draws an order of
    """
    W = lanes_per_vector(dtype)
    s = max(pieces)
    c = max(s, W)
    cells = max(lanes * rows for lanes, rows in pieces.items())
    layers, D, O = network.widths[1:], network.size, network.outputs
    widest = max(layers)
    scratch = [
        scratch_of(layer, *pair)
        for layer, pair in zip(network.layers, pairwise(network.widths), strict=True)
    ]
    copied = backward and D <= MAX_COPIED_PARAMETERS
    packs = backward or pieces.get(1, 0) >= MIN_PACKED_ROWS
    taken = 0

    def take(count: int) -> int:
        nonlocal taken
        begin = taken
        taken += -(-(count + _PADDING) // 16) * 16
        return begin

    def take_each(*counts: int) -> Array:
        return np.array([take(count) for count in counts], dtype=np.int64)

    offsets: dict[str, Any] = {
        "zeros": take(c),
        "ones": take(W),
        "input_scales": take(len(layers)),
        "hyperparameters": take(hyperparameters * c),
        "loss_sums": take(O * s),
        "partial": take(16 * s),
        "nonfinite": take(c),
        "train_loss": take(c),
        "val_loss": take(c),
        "history": take(2 * HISTORY * c * backward),
        "x": take(cells * network.inputs * backward),
        "t": take(cells * O * backward),
        "share": take(cells * O * backward),
        "losses": take(cells * O * backward),
        "z": take_each(*(cells * each for each in scratch)),
        "a": take_each(*(cells * o for o in layers)),
        "h": take_each(
            *(cells * o * drops for o in layers[:-1]), (cells * (2 * O + 1) + 3 * W) * classes
        ),
        "masks": take_each(*(cells * o * drops for o in layers)),
        "scaled": take_each(
            *(
                s * i * o * (form_of(layer) == SCALED)
                for layer, (i, o) in zip(network.layers, pairwise(network.widths), strict=True)
            )
        ),
        "delta": take(cells * widest * backward),
        "delta_below": take(cells * widest * backward),
        "packed": take((PACK_NUMBERS + 2 * W * PACK_DEPTH) * packs),  # a strip and a square more
        "g": take(D * s * backward),
        "theta": take((3 * s if s > 1 or copied else 1) * D),
        "slots": take(slots * D * s if s > 1 or copied else 0),
    }
    # zeros, as whole vectors are computed: subnormal numbers beyond an array's end would make that
    # a hundred times as slow
    raw = np.zeros(taken + 64, dtype=dtype)
    skip = (-raw.ctypes.data % 64) // raw.itemsize
    numbers = raw[skip : skip + taken]
    numbers[offsets["ones"] : offsets["ones"] + W] = 1
    for number, layer in enumerate(network.layers):
        if form_of(layer) == SCALED:
            numbers[offsets["input_scales"] + number] = layer.input_scale
    return Workspace(
        numbers=numbers,
        **offsets,
        lane_status=np.empty(s, dtype=np.int64),
        source_offsets=np.empty(c, dtype=np.int64),
        target_offsets=np.empty(c, dtype=np.int64),
        tagged=np.empty(drawn_rows, dtype=np.uint64),
        ordered=np.empty(drawn_rows, dtype=np.uint64),
        starts=np.empty(2 * drawn_rows + 2, dtype=np.int64),
    )
