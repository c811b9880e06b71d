"""The step of ``numpy_engine`` under Numba: one group of members through a stretch of epochs.

A group is as many members as one vector or a few hold, side by side in their lanes, or one member
alone, whose vectors run along a layer's units. All ways compute every number by the same steps in
the same order, so which is taken never shows in a result. An array of a group is flat; where
NumPy's engine has (P, B, O), it holds (B, O, lanes), with one lane where a member is alone: number
(b, o) begins at (b O + o) s, and s is the number of lanes. What each lane has one of takes c
numbers: s, or a whole vector for a member alone.

What is not an argument of its own lies in one array, ``space``, at the places that ``Room`` names.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from seedbed.engines.compiled.products import WIDE
from seedbed.engines.compiled.records import Addresses, Floats, Method, Room, Shape
from seedbed.engines.compiled.units import (
    CLIP,
    DECAY,
    L1,
    L2,
    apply,
    multiply,
    normalise,
    penalize,
    take_step,
    turn,
)
from seedbed.engines.compiled.vectors import (
    apart,
    fma,
    load,
    load_first,
    part,
    places,
    pointer,
    spread,
    store,
    width,
)

PACK_ROWS, PACK_LEAST, PACK_APART = 64, 64, 400
"""From how many rows of a product on its right side is copied first, strip by strip, if that has so
many rows, so far apart."""
PACK_DEPTH, PACK_NUMBERS = 240, 2**15
"""How many of those at once, so that a strip stays in the nearest cache, and about how many
numbers, so that all strips stay in the next one."""


@part
def product(
    units: Addresses, packed: Any, s: int, each: bool, start: Any, sm: int, out: Any, om: int,
    a: Any, am: int, ak: int, b: Any, bk: int, bn: int, M: int, N: int, K: int,
) -> None:  # fmt: skip
    """out(m, n) = start(m, n) + Σ_k a(m, k) b(k, n), k ascending: the one product of the engine.

    N counts numbers. With lanes, a column is s numbers; for a member alone, a vector holds
    neighbouring columns, and the last one may be cut. ``bn`` is how far columns are apart: c, or
    more where b lies turned over. ``sm`` is 0 where all rows start from one, and -1 where all
    start from ``start``, zeros, whatever the column.
    """
    W = width(out)
    if each:
        sn = s
        if sm < 0:
            sm, sn = 0, 0
        if K == 1 and N > 4:  # a tile would be all beginning and end
            outer_product(s, start, sm, sn, out, om, a, am, b, bn, M, N)
            return
        for v in range(0, s, W):
            multiply(
                units.each, pointer(start, v), sm, sn, pointer(out, v), om, s, pointer(a, v), am,
                ak, pointer(b, v), bk, bn, M, N, K, 0,
            )  # fmt: skip
        return
    sn = W
    if sm < 0:
        sm, sn = 0, 0
    far = M >= PACK_ROWS and K >= PACK_LEAST and bk >= PACK_APART
    if s == 1 and (far or bn > W):
        packed_product(units, packed, start, sm, sn, out, om, a, am, ak, b, bk, bn, M, N, K)
        return
    # one number for all lanes: their vectors are columns like others
    multiply(
        units.shared, start, sm, sn, out, om, W, a, am, ak, b, bk, W, M, N * s // W, K, N * s % W
    )


@part
def outer_product(
    s: int, start: Any, sm: int, sn: int, out: Any, om: int, a: Any, am: int, b: Any, bn: int,
    M: int, N: int,
) -> None:  # fmt: skip
    """out(m, n) = start(m, n) + a(m) b(n), for lanes."""
    W = width(out)
    for v in range(0, s, W):
        for m in range(M):
            factor = load(a, m * am + v)
            for n in range(N):
                before = load(start, m * sm + n * sn + v)
                store(out, m * om + n * s + v, fma(factor, load(b, n * bn + v), before))


@apart
def packed_product(
    units: Addresses, packed: Any, start: Any, sm: int, sn: int, out: Any, om: int,
    a: Any, am: int, ak: int, b: Any, bk: int, bn: int, M: int, N: int, K: int,
) -> None:  # fmt: skip
    """The same, with b copied block by block so that what a strip of it reads lies together."""
    W = width(out)
    strip = WIDE * W
    wide = PACK_NUMBERS // (PACK_DEPTH * strip) * strip
    for k in range(0, K, PACK_DEPTH):
        deep = min(PACK_DEPTH, K - k)
        for first in range(0, N, wide):
            numbers = min(wide, N - first)
            block = pointer(b, k * bk + first // W * bn)
            if bn > W:
                pack_turned(units, block, bn // W, numbers, deep, strip, packed)
            else:
                pack(block, bk, numbers, deep, strip, packed)
            for n in range(first, first + numbers, strip):
                count = min(strip, first + numbers - n)
                multiply(
                    units.shared, pointer(start, n // W * sn), sm, sn, pointer(out, n), om, W,
                    pointer(a, k * ak), am, ak, pointer(packed, (n - first) * deep), strip, W,
                    M, count // W, deep, count % W,
                )  # fmt: skip
        start, sm, sn = out, om, W


@part
def pack(b: Any, bk: int, N: int, K: int, strip: int, packed: Any) -> None:
    """Copy K rows of N numbers, a ``strip`` of each row behind the same of the row before."""
    W = width(packed)
    for k in range(K):
        for n in range(0, N, W):
            to = n // strip * strip * K + k * strip + n % strip
            store(packed, to, load_first(b, k * bk + n, N - n))


@part
def pack_turned(
    units: Addresses, b: Any, apart: int, N: int, K: int, strip: int, packed: Any
) -> None:  # fmt: skip
    """The same for N rows of K numbers, which are turned over on the way."""
    W = width(packed)
    froms, tos = places(packed), places(packed)
    for j in range(W):
        froms[j], tos[j] = j * apart, j * strip
    for n in range(0, N, W):
        for k in range(0, K, W):
            to = n // strip * strip * K + k * strip + n % strip
            turn(
                units.turn, pointer(b, n * apart + k), froms, min(W, N - n),
                pointer(packed, to), tos, min(W, K - k),
            )  # fmt: skip


# ---------------------------------------------------------------- forward and backward


@part
def forward(
    shape: Shape, units: Addresses, room: Room, space: Floats, s: int, theta: Any,
    x: Any, each: bool, B: int, dropped: bool,
) -> None:  # fmt: skip
    """Compute every layer's z and a for B rows, as ``numpy_engine.forward`` does."""
    W = width(space)
    c = max(s, W)
    inputs, si, packed = x, (s if each else 1), pointer(space, room.packed)
    for k in range(shape.layers):
        I, O = shape.widths[k], shape.widths[k + 1]
        z, a = pointer(space, room.z[k]), pointer(space, room.a[k])
        w, b = pointer(theta, shape.weights[k] * s), pointer(theta, shape.biases[k] * s)
        product(units, packed, s, each, b, 0, z, O * s, inputs, I * si, si, w, O * s, c, B, O, I)
        apply(units.forward[k], z, a, z, z, z, B * O * s)
        if dropped and k + 1 < shape.layers:
            for e in range(0, B * O * s, W):
                kept = load(space, room.a[k] + e) * load(space, room.masks[k] + e)
                store(space, room.h[k] + e, kept)
            inputs = pointer(space, room.h[k])
        else:
            inputs = a
        each, si = s > 1, s


@part
def backward(
    shape: Shape, units: Addresses, room: Room, space: Floats, s: int, theta: Any,
    x: Any, x_each: bool, B: int, dropped: bool, begun: bool,
) -> None:  # fmt: skip
    """Add the gradient of B rows to g, from dy in ``delta``, as ``numpy_engine.backward`` does."""
    W = width(space)
    c = max(s, W)
    zeros, ones = pointer(space, room.zeros), pointer(space, room.ones)
    packed = pointer(space, room.packed)
    above, below = room.delta, room.delta_below
    last = shape.layers - 1
    for back in range(last + 1):
        k = last - back
        I, O = shape.widths[k], shape.widths[k + 1]
        if dropped and k < last:
            for e in range(0, B * O * s, W):
                store(space, above + e, load(space, above + e) * load(space, room.masks[k] + e))
        dz = pointer(space, above)
        z, a = pointer(space, room.z[k]), pointer(space, room.a[k])
        apply(units.backward[k], z, a, dz, dz, dz, B * O * s)
        dw = pointer(space, room.g + shape.weights[k] * s)
        db = pointer(space, room.g + shape.biases[k] * s)
        inputs, each, si = x, x_each, (s if x_each else 1)
        if k > 0:
            inputs, each, si = pointer(space, room.h[k - 1]), s > 1, s
            if not dropped:
                inputs = pointer(space, room.a[k - 1])
        from_w, from_b, sm, sm_b = zeros, zeros, -1, -1
        if begun:
            from_w, from_b, sm, sm_b = dw, db, O * s, 0
        product(
            units, packed, s, each, from_w, sm, dw, O * s, inputs, si, I * si, dz, O * s, c, I, O, B
        )
        product(units, packed, s, False, from_b, sm_b, db, 0, ones, 0, 0, dz, O * s, c, 1, O, B)
        if k > 0:
            da = pointer(space, below)
            w = pointer(theta, shape.weights[k] * s)  # read turned over
            product(
                units, packed, s, s > 1, zeros, -1, da, I * s, dz, O * s, s, w, s, O * c, B, I, O
            )
            above, below = below, above


@part
def seen(units: Addresses, room: Room, space: Floats, s: int, last: int, B: int, O: int) -> Any:
    """Return the outputs as the loss sees them: log-probabilities where they are classes."""
    y = pointer(space, room.a[last])
    if units.classes:
        out = pointer(space, room.h[last])
        normalise(units.log_softmax, y, out, B, O, s)
        return out
    return y


@part
def add_up(
    units: Addresses, room: Room, space: Floats, s: int, B: int, O: int, begun: bool
) -> None:
    """Add what the rows lose, ``each``, to ``sums``: by output, rows ascending."""
    sums, packed = pointer(space, room.sums), pointer(space, room.packed)
    ones, each = pointer(space, room.ones), pointer(space, room.each)
    start, sm = (sums, 0) if begun else (pointer(space, room.zeros), -1)
    c = max(s, width(space))
    product(units, packed, s, False, start, sm, sums, 0, ones, 0, 0, each, O * s, c, 1, O, B)


@part
def total(room: Room, space: Floats, s: int, O: int, v: int) -> Any:
    """Return the sum of ``sums`` over the outputs, the loss of each lane of a vector, from v on."""
    if s == 1:
        loss = spread(space, room.sums)
        for o in range(1, O):
            loss = loss + spread(space, room.sums + o)
        return loss
    loss = load(space, room.sums + v)
    for o in range(1, O):
        loss = loss + load(space, room.sums + o * s + v)
    return loss


@apart
def clip(room: Room, space: Floats, s: int, size: int, W: int) -> None:
    """Scale g to at most the clipping norm, as ``numpy_engine.clip_factor`` does."""
    numbers, c = size * s, max(s, W)
    squares(room, space, s, numbers, W)
    overflowed = False
    for lane in range(s):
        length = np.sqrt(space[room.partial + lane])
        space[room.partial + lane] = length
        overflowed |= np.isinf(length)
    if overflowed:
        for lane in range(s):
            if np.isinf(space[room.partial + lane]):
                longest = abs(space[room.g + lane])
                for d in range(size):
                    longest = max(longest, abs(space[room.g + d * s + lane]))
                scaled = longest - longest
                for d in range(size):
                    one = space[room.g + d * s + lane] / longest
                    scaled += one * one
                space[room.partial + lane] = longest * np.sqrt(scaled)
    for lane in range(s):
        norm = space[room.numbers + CLIP * c + lane]
        length = space[room.partial + lane]
        space[room.partial + lane] = norm / (norm if length < norm else length)
    for v in range(0, c, W):
        factor = load(space, room.partial + v) if s > 1 else spread(space, room.partial)
        for e in range(v, numbers, c):
            store(space, room.g + e, load(space, room.g + e) * factor)


@part
def squares(room: Room, space: Floats, s: int, numbers: int, W: int) -> None:
    """Write Σ g² to ``partial``, (s,): number d goes to the sum d mod 16, then those are added."""
    vectors = 16 * s // W
    for j in range(vectors):
        store(space, room.partial + j * W, load(space, room.zeros))
    j = 0
    for e in range(0, numbers, W):
        g = load_first(space, room.g + e, numbers - e)
        store(space, room.partial + j * W, fma(g, g, load(space, room.partial + j * W)))
        j = j + 1 if j + 1 < vectors else 0
    for lane in range(s):
        sum_ = space[room.partial + lane]
        for j in range(1, 16):
            sum_ += space[room.partial + j * s + lane]
        space[room.partial + lane] = sum_


@part
def update(
    shape: Shape, units: Addresses, method: Method, room: Room, space: Floats, s: int,
    old: Any, new: Any, slot_0: Any, slot_1: Any, step: int, factor: float,
) -> None:  # fmt: skip
    """Take one step from g, theta from ``old`` to ``new``, as ``numpy_engine.update`` does."""
    W = width(space)
    c = max(s, W)
    numbers = pointer(space, room.numbers)
    no_decay = pointer(space, room.no_decay)
    found = pointer(space, room.apart)
    for v in range(0, c, W):
        store(found, v, load(space, room.zeros))
    if method.penalized:
        for k in range(shape.layers):
            start, stop = shape.weights[k] * s, shape.biases[k] * s
            w, g = pointer(old, start), pointer(space, room.g + start)
            l1, l2 = pointer(numbers, L1 * c), pointer(numbers, L2 * c)
            penalize(units.penalty, w, g, l1, l2, c, stop - start)
    if method.clips:
        clip(room, space, s, shape.size, W)
    if not method.decays:
        take_step(
            units.rule, pointer(old, 0), pointer(new, 0), pointer(space, room.g),
            pointer(slot_0, 0), pointer(slot_1, 0), numbers, no_decay, found, step,
            factor, c, shape.size * s,
        )  # fmt: skip
        return
    for k in range(shape.layers):
        stop = shape.weights[k + 1] if k + 1 < shape.layers else shape.size
        for start, end, decay in (
            (shape.weights[k] * s, shape.biases[k] * s, pointer(numbers, DECAY * c)),
            (shape.biases[k] * s, stop * s, no_decay),
        ):
            take_step(
                units.rule, pointer(old, start), pointer(new, start),
                pointer(space, room.g + start), pointer(slot_0, start), pointer(slot_1, start),
                numbers, decay, found, step, factor, c, end - start,
            )  # fmt: skip
