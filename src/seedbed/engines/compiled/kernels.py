"""The kernels, compiled for a dtype; networks and arrays as they take them; their threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numba import jit

from seedbed import streams
from seedbed.arrays import Array
from seedbed.engines.compiled import addresses, cache, epochs, kinds, records
from seedbed.engines.compiled.libraries import CompileKernel
from seedbed.engines.compiled.target import HAS_FMA
from seedbed.formulas.losses import Loss
from seedbed.network import Network

_reported: list[bool] = []


@lru_cache(maxsize=16)
def kernel_for(function: Any, dtype: np.dtype[Any]) -> Any:
    """Return a kernel for ``dtype``, kept on disk once it is compiled."""
    compile_ = jit(pipeline_class=CompileKernel, **function.targetoptions)
    compiled = compile_(function.py_func)
    drawn = (streams.extend_key, streams.word, streams.to_uniform)
    stamp = cache.digest(compiled.__name__, dtype.name, *drawn)
    compiled._cache = cache.Kept(compiled.py_func, stamp)
    return compiled


def report_compiling(dtype: np.dtype[Any]) -> None:
    """Say once that the engine will be compiled, if it is not on disk, or that it is slow."""
    if _reported or sys.stderr is None:
        return
    if not HAS_FMA:
        _reported.append(True)
        print(
            "seedbed: this processor has no fused multiply-add, so the compiled engine computes it "
            "in software: the same numbers, many times slower; engine='numpy' may be faster",
            file=sys.stderr,
        )
    if kernel_for(epochs.train, dtype)._cache.is_there():
        return
    _reported.append(True)
    kept = f"it is kept in {cache.directory()}"
    if not cache.can_keep():
        kept = (
            f"it cannot be kept, as {cache.directory()} cannot be used (NUMBA_CACHE_DIR names "
            "another place)"
        )
    print(
        f"seedbed: compiling the engine for this machine, some ten seconds; {kept}",
        file=sys.stderr,
    )


def program_for(
    network: Network, loss: Loss, dtype: np.dtype[Any], rule: int = 0, penalty: int = 0
) -> Any:
    """Return the network as the kernels take it, with its formulas compiled.

    Raises: FormulaError for one that cannot be compiled.
    """
    layers = [kinds.addresses_of(layer, dtype) for layer in network.layers]
    value, slope = addresses.loss(loss, dtype)
    classes = loss.targets == "classes"
    settings = [
        kinds.settings_of(layer, inputs)
        for layer, inputs in zip(network.layers, network.widths, strict=False)
    ]
    drops = [layer.takes_dropout for layer in network.layers[:-1]]
    starts = {block.layer: block.where.start for block in reversed(network.blocks)}  # first block
    return records.Program(
        widths=ints(network.widths),
        dense=ints(kinds.form_of(layer) for layer in network.layers),
        starts=ints(starts[number] for number in range(len(network.layers))),
        drops=ints([*drops, False]),
        settings=ints(number for numbers in settings for number in numbers),
        setting_starts=ints(accumulate((len(numbers) for numbers in settings[:-1]), initial=0)),
        block_ends=ints(block.where.stop for block in network.blocks),
        block_decays=ints(block.decays for block in network.blocks),
        blocks=len(network.blocks),
        layers=len(network.layers),
        size=network.size,
        forward=ints(forward for forward, _ in layers),
        backward=ints(backward for _, backward in layers),
        loss=value,
        slope=slope,
        rule=rule,
        penalty=penalty,
        log_softmax=addresses.fixed("log_softmax", dtype) if classes else 0,
        classes=classes,
        **{
            name: addresses.fixed(name, dtype)
            for name in ("product_per_member", "product_shared", "transpose")
        },
    )


def ints(numbers: Iterable[Any]) -> Array:
    """Return whole numbers as the kernels take them."""
    return np.array(list(numbers), dtype=np.int64)


def flat(array: Array) -> Array:
    """Return the array as one row of numbers, copied if it is read-only: Numba would compile the
    kernel again for that type.
    """
    return array.reshape(-1) if array.flags.carray else np.array(array).reshape(-1)


def in_threads(threads: int, do: Callable[[Any], None], tasks: list[Any]) -> None:
    """Call ``do`` on each task; the threads take the tasks in turn."""
    # even a single task has a thread of its own, so that this one still handles Ctrl-C
    if tasks:
        with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
            for future in [pool.submit(do, task) for task in tasks]:
                future.result()
