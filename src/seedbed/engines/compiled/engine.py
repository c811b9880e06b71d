"""The compiled engine: lays the work out, spreads it over threads, and calls the records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices
from seedbed.engines.base import SMALL_BATCH, Stage, is_identity
from seedbed.engines.batches import Data
from seedbed.engines.compiled import cache, groups, records, units
from seedbed.engines.compiled.layout import (
    Groups,
    Space,
    fewest_for_lanes,
    in_groups,
    in_parts,
    lanes_of,
    piece_rows,
    shape_of,
    wide_lanes,
)
from seedbed.engines.compiled.vectors import HAS_FMA, at_once, kernel
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop
from seedbed.errors import FormulaError
from seedbed.formulas.losses import Loss
from seedbed.network import Network

_OWN_BYTES = 2**24
"""How much the row numbers of the members of one task may take."""
_told: list[bool] = []


@lru_cache(maxsize=8)
def _kernel(name: str, dtype: np.dtype[Any]) -> Any:
    """Return one of ``groups``' kernels for ``dtype``, kept on disk once it is compiled."""
    function = getattr(groups, name).py_func
    drawn = (streams.extend_key, streams.word, streams.to_uniform)
    compiled = (at_once if name in ("few_outputs", "compute") else kernel)(function)
    compiled._cache = cache.Kept(function, cache.digest(name, dtype.name, *drawn))
    return compiled


def _tell_of_compiling(dtype: np.dtype[Any]) -> None:
    """Say once that the engine is being compiled, where it is not on disk, or that it is slow."""
    if _told or sys.stderr is None:
        return
    if not HAS_FMA:
        _told.append(True)
        print(
            "seedbed: this processor has no fused multiply-add, so the compiled engine computes it "
            "in software: the same numbers, many times slower; engine='numpy' may be faster",
            file=sys.stderr,
        )
    if _kernel("train", dtype)._cache.is_there():
        return
    _told.append(True)
    kept = f"it is kept in {cache.directory()}"
    if not cache.can_keep():
        kept = (
            f"it cannot be kept, as {cache.directory()} cannot be written (NUMBA_CACHE_DIR names "
            "another place)"
        )
    print(
        f"seedbed: compiling the engine for this machine, some fifteen seconds; {kept}",
        file=sys.stderr,
    )


def _addresses(network: Network, loss: Loss, dtype: np.dtype[Any], **rules: int) -> Any:
    """Return where the formulas lie, compiled where they were not.

    Raises: FormulaError for one that cannot be compiled.
    """
    each = [units.activation(layer.activation, dtype) for layer in network.layers]
    value, slope = units.loss(loss, dtype)
    classes = loss.targets == "classes"
    return records.Addresses(
        forward=np.array([forward for forward, _ in each], dtype=np.int64),
        backward=np.array([backward for _, backward in each], dtype=np.int64),
        value=value,
        slope=slope,
        rule=rules.get("rule", 0),
        penalty=rules.get("penalty", 0),
        each=units.product(True, dtype),
        shared=units.product(False, dtype),
        turn=units.turn_over(dtype),
        log_softmax=units.log_softmax(dtype) if classes else 0,
        classes=classes,
    )


class Training:
    """One training on this engine; see ``engines.base.Training``.

    ``fewest`` is from how many members on a group shares vectors, ``wide`` how many it has where
    there are many; None takes what is fastest. No result depends on them.
    """

    def __init__(
        self, plan: Plan, threads: int, quiet: bool = True, fewest: int | None = None,
        wide: int | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.threads = plan, threads
        network, numbers, self.dtype = plan.network, plan.hyperparameters, plan.train.x.dtype
        self.slots = len(plan.optimizer.state)
        self.W = lanes_of(self.dtype)
        if wide is None:  # bringing each member rows of its own takes longer than all calls
            all_at_once = plan.largest_batch == plan.counts[:, 0].max()
            alike = plan.train.rows is None and all_at_once
            wide = wide_lanes(network, self.dtype, plan.max_rows) if alike else self.W
        self.wide = wide
        self.fewest = fewest_for_lanes(network, self.dtype) if fewest is None else fewest
        penalized = bool(numbers.l1.any() or numbers.l2.any())
        self.shape = shape_of(network)
        self.addresses = _addresses(
            network,
            plan.loss,
            self.dtype,
            rule=units.rule(plan.optimizer.rule, self.slots, len(numbers.optimizer), self.dtype),
            penalty=units.penalty(self.dtype) if penalized else 0,
        )
        if not quiet:  # after the formulas: where one is refused, nothing else is compiled
            _tell_of_compiling(self.dtype)
        self.method = records.Method(
            record_every=plan.record_every,
            recorded=-(-plan.epochs // plan.record_every),
            changing=plan.schedule.name != "constant",
            patience=plan.patience or 0,
            slots=self.slots,
            decays=bool(numbers.weight_decay.any()),
            penalized=penalized,
            drops=bool(numbers.dropout.any()),
            clips=numbers.clip_norm is not None,
            validated=plan.validation is not None,
        )
        P = len(plan.seeds)
        clip = np.ones((1, 1)) if numbers.clip_norm is None else numbers.clip_norm
        ordered = [
            numbers.lr, numbers.weight_decay, numbers.l1, numbers.l2, numbers.dropout, clip,
            *numbers.optimizer,
        ]  # fmt: skip
        self.members = records.Members(
            numbers=np.array(
                [np.broadcast_to(each[:, 0], P) for each in ordered], self.dtype
            ).reshape(-1),
            kinds=len(ordered),
            members=P,
            order_keys=streams.base_keys(plan.seeds, "order", 1),
            dropout_keys=streams.base_keys(plan.seeds, "dropout", 2),
        )
        self.pieces = {
            s: piece_rows(network, self.dtype, plan.max_rows, s) for s in (1, self.W, self.wide)
        }
        self._free: dict[tuple[int, int], list[Space]] = {}
        self._flats: dict[int, Array] = {}  # the plan keeps the arrays themselves alive

    def run(self, state: State, epochs: range, stop: Stop) -> None:
        """Carry all running members through ``epochs``; when ``stop`` is set, end early."""
        none = np.empty(0, dtype=self.dtype)
        written = [state.theta, state.before, *state.optimizer_state, state.train_loss]
        assert all(array.flags.c_contiguous for array in written), "reshape(-1) would copy"
        slots = [*(slot.reshape(-1) for slot in state.optimizer_state), none, none]
        standing = records.Standing(
            theta=state.theta.reshape(-1),
            before=state.before.reshape(-1),
            slot_0=slots[0],
            slot_1=slots[1],
            best=none if state.best is None else state.best.reshape(-1),
            status=state.status,
            epochs_run=state.epochs_run,
            best_loss=state.best_loss,
            best_epoch=state.best_epoch,
            train_loss=state.train_loss.reshape(-1),
            val_loss=none if state.val_loss is None else state.val_loss.reshape(-1),
        )
        train = _kernel("train", self.dtype)
        factors = lru_cache(lambda steps: self._factors(epochs, steps))

        def work(rows: Any, held: Any, chosen: Groups, space: Space) -> None:
            train(
                self.shape, self.addresses, self.method, self.members, standing, rows, held,
                *chosen, epochs.start, epochs.stop, factors(rows.steps), space.room,
                space.numbers, space.chosen, space.held_chosen, space.tagged, space.sorted,
                space.starts, space.froms, space.tos, stop.flag,
            )  # fmt: skip

        self._spread(state.running, work)

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""
        result = np.empty(len(theta), dtype=self.dtype)
        losses = _kernel("losses", self.dtype)

        def work(rows: Any, held: Any, chosen: Groups, space: Space) -> None:
            losses(
                self.shape, self.addresses, self.members, flat(theta), rows, *chosen,
                space.room, space.numbers, space.chosen, space.tagged, space.sorted, space.starts,
                space.froms, space.tos, result,
            )  # fmt: skip

        self._spread(members, work)
        return result[members]

    def _spread(self, members: Indices, work: Callable[..., None]) -> None:
        """Call ``work`` on all members, in tasks that the threads take in turn."""
        plan = self.plan

        def do(part: Groups) -> None:  # row numbers are made here, for as many tasks as threads
            train_rows, held_rows = (int(n) for n in plan.counts[part.members[0, 0]])
            rows = self._rows(plan.train, part, train_rows, plan.batch_size)
            held = rows._replace(n=0)
            if plan.validation is not None:
                held = self._rows(plan.validation, part, held_rows, None)
            free = self._free.setdefault((rows.n, held.n), [])
            try:
                space = free.pop()
            except IndexError:
                space = self._space(rows, held)
            work(rows, held, part, space)
            free.append(space)

        _in_threads(self.threads, do, list(self._tasks(members)))

    def _tasks(self, members: Indices) -> Iterator[Groups]:
        """Yield groups that see equally many rows and are all of one kind."""
        plan = self.plan
        for alike in plan.by_row_counts(members) if len(members) else ():
            for these in in_groups(alike, self.wide, self.W, self.fewest, self.threads):
                step = per_task(len(these.counts), self.threads)
                if plan.train.rows is not None:
                    numbers = 8 * int(plan.counts[alike[0]].sum()) * these.members.shape[1]
                    step = max(1, min(step, _OWN_BYTES // numbers))
                yield from in_parts(these, step)

    def _rows(self, data: Data, chosen: Groups, count: int, batch_size: int | None) -> Any:
        members = chosen.members.reshape(-1)
        own = np.empty(0, dtype=np.int64)
        weights = mean = np.empty(0, dtype=self.dtype)
        if data.rows is not None:
            own = np.ascontiguousarray(data.rows.of(members), dtype=np.int64).reshape(-1)
        if data.w is not None:
            weights, mean = self._flat(data.w), np.empty(len(self.plan.seeds), dtype=self.dtype)
            mean[:] = reproducible.mean(data.w)
            if data.rows is not None:
                mean[members] = reproducible.mean(data.w[own.reshape(len(members), -1)])
        batch = min(batch_size or count, count)
        return records.Rows(
            x=self._flat(data.x),
            t=self._flat(data.t),
            w=weights,
            mean_weight=mean,
            own=own,
            n=count,
            batch=batch,
            steps=-(-count // batch),
            piece=self.pieces[chosen.members.shape[1]],
            has_own=data.rows is not None,
            weighed=data.w is not None,
            averaged=not self.addresses.classes,
        )

    def _flat(self, array: Array) -> Array:
        if id(array) not in self._flats:
            self._flats[id(array)] = flat(array)
        return self._flats[id(array)]

    def _factors(self, epochs: range, steps: int) -> Array:
        """Return the schedule's factor at each of an epoch's ``steps``, or one for all."""
        schedule = self.plan.schedule
        if not self.method.changing:
            return np.ones(1, dtype=self.dtype)
        whole = self.plan.epochs * steps
        numbers = range(epochs.start * steps, epochs.stop * steps)
        return np.array([schedule(step / whole) for step in numbers], dtype=self.dtype)

    def _space(self, rows: Any, held: Any) -> Space:
        shared = self.fewest <= min(self.W, len(self.plan.seeds))
        return Space(
            self.plan.network,
            self.dtype,
            pieces=self.pieces if shared else {1: self.pieces[1]},
            numbers=self.members.kinds,
            slots=self.slots,
            drops=self.method.drops,
            classes=self.addresses.classes,
            rows=(rows.n, held.n),
        )


def flat(array: Array) -> Array:
    """Return the array as one row of numbers, copied where it is read-only: Numba would take that
    for another type, and compile anew.
    """
    return array.reshape(-1) if array.flags.carray else np.array(array).reshape(-1)


def per_task(count: int, threads: int) -> int:
    """Return how many of ``count`` groups make a task: a few tasks for each thread."""
    return max(1, count if threads == 1 else count // (4 * threads))


def _in_threads(threads: int, do: Callable[[Any], None], tasks: list[Any]) -> None:
    # in a thread of its own even a single task: so this one goes on to hear of Ctrl-C
    if tasks:
        with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
            for future in [pool.submit(do, task) for task in tasks]:
                future.result()


def outputs(
    network: Network, loss: Loss, theta: Array, x: Array, stage: Stage, result: Array, threads: int
) -> None:
    """Write the networks' outputs to ``result`` (P, N, O), up to ``stage``, but no predictions.

    Shapes: theta (P, D); x (N, I). Beside the result, memory stays within a few megabytes.

    Raises: FormulaError for an activation that cannot be compiled.
    """
    dtype: np.dtype[Any] = theta.dtype
    W = lanes_of(dtype)
    shape, addresses = shape_of(network), _addresses(network, loss, dtype)
    addresses = addresses._replace(classes=addresses.classes and stage != "outputs")
    write = _kernel("outputs", dtype)
    given = (flat(theta), flat(x))

    def do(part: Groups) -> None:
        s = part.members.shape[1]
        piece = piece_rows(network, dtype, len(x), s)
        space = Space(network, dtype, pieces={s: piece}, classes=True, backward=False)
        write(
            shape, addresses, *given, piece, *part, space.room, space.numbers, space.froms,
            space.tos, result.reshape(-1),
        )  # fmt: skip

    fewest = fewest_for_lanes(network, dtype)
    tasks = [
        part
        for chosen in in_groups(np.arange(len(theta)), W, W, fewest, threads)
        for part in in_parts(chosen, per_task(len(chosen.counts), threads))
    ]
    _in_threads(threads, do, tasks)


class Formula:
    """An elementwise formula of one or two arrays, all of one shape and dtype, compiled.

    It is looked up when first called: keep it where it is called often.
    """

    def __init__(self, function: Callable[..., Array]) -> None:
        self.function, self._addresses = function, dict[tuple[int, np.dtype[Any]], int]()

    def __call__(self, *arrays: Array) -> Array:
        """Return the formula of the arrays, of their shape.

        Raises: FormulaError if it cannot be compiled.
        """
        dtype: np.dtype[Any] = arrays[0].dtype
        key = len(arrays), dtype
        if key not in self._addresses:
            self._addresses[key] = units.formula(self.function, *key)
        if not self._addresses[key]:
            raise FormulaError(f"the compiled engine cannot compile {self.function!r}")
        result = np.empty(arrays[0].shape, dtype)
        given = [flat(array) for array in arrays]
        _kernel("compute", dtype)(self._addresses[key], given[0], given[-1], result.reshape(-1))
        return result


class SmallBatchPredictor:
    """The outputs of P members for a few rows, as soon as they can be had.

    Everything that does not change from call to call is made ready once.
    """

    def __init__(self, network: Network, loss: Loss, theta: Array) -> None:
        self.loss = loss
        dtype: np.dtype[Any] = theta.dtype
        self.theta, self.dtype, self.outputs = flat(theta), dtype, network.outputs
        self.layers, self.members = len(network.layers), len(theta)
        shape, addresses = shape_of(network), _addresses(network, loss, dtype)
        space = Space(network, dtype, pieces={1: SMALL_BATCH}, classes=True, backward=False)
        self.classes, self.space = addresses.classes, space.numbers
        self.program = np.concatenate(
            [
                shape.widths, shape.weights, shape.biases, addresses.forward, space.room.z,
                space.room.a, space.room.h,
                [addresses.shared, addresses.log_softmax, network.size],
            ]
        )  # fmt: skip
        self.kernel = _kernel("few_outputs", dtype)
        self.predict = 0 if is_identity(loss.predict) else units.formula(loss.predict, 1, dtype)
        self.complete = bool(self.predict) or is_identity(loss.predict)

    def __call__(self, x: Array, stage: Stage) -> Array:
        """Return the outputs (P, B, O) for x (B, I), up to ``stage``."""
        y = np.empty((self.members, len(x), self.outputs), self.dtype)
        predicts = stage == "predictions"
        self.kernel(
            self.program, self.layers, self.classes and stage != "outputs",
            self.predict if predicts else 0, self.theta, flat(x), self.space, y.reshape(-1),
        )  # fmt: skip
        return self.loss.predict(y) if predicts and not self.complete else y
