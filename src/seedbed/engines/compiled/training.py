"""A training: members into groups, groups into tasks, tasks over threads, by the kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numba import typeof

from seedbed import reproducible, streams
from seedbed.arrays import Array, Indices
from seedbed.engines.batches import Data
from seedbed.engines.compiled import addresses, epochs, evaluation, records
from seedbed.engines.compiled.kernels import (
    flat,
    in_threads,
    kernel_for,
    program_for,
    report_compiling,
)
from seedbed.engines.compiled.layout import (
    groups_per_task,
    lanes_per_group,
    lanes_per_vector,
    make_groups,
    min_for_lanes,
    piece_rows,
    split_groups,
    workspace_for,
)
from seedbed.engines.compiled.records import Groups, Workspace
from seedbed.engines.plan import Plan
from seedbed.engines.state import State, Stop

MAX_OWN_ROWS_BYTES = 2**24
"""The bytes of the row numbers of a task's members."""


class Training:
    """One training on this engine; see ``engines.base.Training``.

    ``min_shared`` is the fewest members that share a group's vectors, ``group_lanes`` the lanes of
    a group if there are many members; None takes the fastest. No result depends on them.
    """

    def __init__(
        self, plan: Plan, threads: int, quiet: bool = True, min_shared: int | None = None,
        group_lanes: int | None = None,
    ) -> None:  # fmt: skip
        self.plan, self.threads = plan, threads
        network, numbers, self.dtype = plan.network, plan.hyperparameters, plan.train.x.dtype
        self.slots = len(plan.optimizer.state)
        self.W = lanes_per_vector(self.dtype)
        if group_lanes is None:  # gathering each member's own rows would take longer than all calls
            all_at_once = plan.largest_batch == plan.counts[:, 0].max()
            in_place = plan.train.rows is None and all_at_once
            group_lanes = (
                lanes_per_group(network, self.dtype, plan.max_rows) if in_place else self.W
            )
        self.group_lanes = group_lanes
        self.min_shared = min_for_lanes(network, self.dtype) if min_shared is None else min_shared
        penalized = bool(numbers.l1.any() or numbers.l2.any())
        others = len(numbers.optimizer)
        self.program = program_for(
            network,
            plan.loss,
            self.dtype,
            rule=addresses.rule(plan.optimizer.rule, self.slots, others, self.dtype),
            penalty=addresses.fixed("penalty", self.dtype) if penalized else 0,
        )
        if not quiet:  # after the formulas: if one is refused, nothing else is compiled
            report_compiling(self.dtype)
        self.flags = records.StepFlags(
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
        columns = [np.broadcast_to(values[:, 0], P) for values in ordered]
        self.members = records.Members(
            hyperparameters=np.array(columns, self.dtype).reshape(-1),
            count=len(ordered),
            members=P,
            order_keys=streams.base_keys(plan.seeds, "order", 1),
            dropout_keys=streams.base_keys(plan.seeds, "dropout", 2),
        )
        self.pieces = {
            s: piece_rows(network, self.dtype, plan.max_rows, s)
            for s in (1, self.W, self.group_lanes)
        }
        self._free: dict[int, list[Workspace]] = {}
        self._flats: dict[int, Array] = {}  # the plan keeps the arrays themselves alive

    def run(self, state: State, epoch_range: range, stop: Stop) -> None:
        """Carry all running members through the epochs; when ``stop`` is set, end early."""
        none = np.empty(0, dtype=self.dtype)
        written = [state.theta, state.before, *state.optimizer_state, state.train_loss]
        assert all(array.flags.c_contiguous for array in written), "reshape(-1) would copy"
        slots = [*(slot.reshape(-1) for slot in state.optimizer_state), none, none]
        arrays = records.StateArrays(
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
        train = kernel_for(epochs.train, self.dtype)
        factors = lru_cache(lambda steps: self._factors(epoch_range, steps))

        def arguments(groups: Groups, rows: Any, validation: Any, workspace: Workspace) -> Any:
            span = records.Span(epoch_range.start, epoch_range.stop, factors(rows.steps))
            training = records.Training(
                self.program, self.flags, self.members, arrays, rows, validation, span
            )
            return training, groups, workspace, stop.flag

        losses = kernel_for(evaluation.losses, self.dtype)
        if not losses.overloads:  # a training that is interrupted should not wait for it
            self._compile(losses, state.running, None, self._loss_arguments(state.theta, none))
        self._spread(state.running, self.plan.batch_size, train, arguments)

    def losses(self, theta: Array, members: Indices) -> Array:
        """Return the mean training loss of ``members`` at theta (P, D), as (p,)."""
        result = np.empty(len(theta), dtype=self.dtype)
        losses = kernel_for(evaluation.losses, self.dtype)
        self._spread(members, None, losses, self._loss_arguments(theta, result))
        return result[members]

    def _loss_arguments(self, theta: Array, result: Array) -> Callable[..., tuple[Any, ...]]:
        """Return what makes the arguments of the kernel that writes losses to result (P,)."""

        def arguments(groups: Groups, rows: Any, validation: Any, workspace: Workspace) -> Any:
            return self.program, flat(theta), rows, groups, workspace, result

        return arguments

    def _spread(
        self, members: Indices, batch_size: int | None, kernel: Any, arguments: Callable[..., Any]
    ) -> None:
        """Call a kernel on all members, in tasks that the threads take in turn.

        arguments  makes the kernel's arguments of a task's groups, rows, held-out rows and
                   workspace
        """

        def do(groups: Groups) -> None:  # row numbers exist for as many tasks as threads
            given, workspace, free = self._given(groups, batch_size, arguments)
            kernel(*given)
            free.append(workspace)

        if not kernel.overloads:
            self._compile(kernel, members, batch_size, arguments)
        in_threads(self.threads, do, list(self._tasks(members)))

    def _compile(
        self, kernel: Any, members: Indices, batch_size: int | None, arguments: Callable[..., Any]
    ) -> None:
        """Compile a kernel, or load it, in this thread, where Ctrl-C ends it."""
        for groups in islice(self._tasks(members), 1):
            given, workspace, free = self._given(groups, batch_size, arguments)
            kernel.compile(tuple(map(typeof, given)))
            free.append(workspace)

    def _given(
        self, groups: Groups, batch_size: int | None, arguments: Callable[..., Any]
    ) -> tuple[Any, Workspace, list[Workspace]]:
        """Return a kernel's arguments for groups, its workspace, and the list of free ones."""
        plan = self.plan
        counts = plan.counts[groups.members[0, 0]]
        rows = self._rows(plan.train, groups, int(counts[0]), batch_size)
        validation = rows
        if plan.validation is not None:
            validation = self._rows(plan.validation, groups, int(counts[1]), None)
        drawn_rows = 0 if plan.batch_size is None else rows.n
        free = self._free.setdefault(drawn_rows, [])
        try:
            workspace = free.pop()
        except IndexError:
            workspace = self._workspace(drawn_rows)
        return arguments(groups, rows, validation, workspace), workspace, free

    def _tasks(self, members: Indices) -> Iterator[Groups]:
        """Yield groups that see equally many rows and are all of one kind."""
        plan = self.plan
        for alike in plan.by_row_counts(members) if len(members) else ():
            for groups in make_groups(
                alike, self.group_lanes, self.W, self.min_shared, self.threads
            ):
                step = groups_per_task(len(groups.counts), self.threads)
                if plan.train.rows is not None:
                    row_bytes = 8 * int(plan.counts[alike[0]].sum()) * groups.members.shape[1]
                    step = max(1, min(step, MAX_OWN_ROWS_BYTES // row_bytes))
                yield from split_groups(groups, step)

    def _rows(self, data: Data, groups: Groups, count: int, batch_size: int | None) -> Any:
        members, s = groups.members.reshape(-1), groups.members.shape[1]
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
        in_place = data.rows is None and batch == count
        return records.Rows(
            x=self._flat(data.x),
            t=self._flat(data.t),
            w=weights,
            mean_weight=mean,
            own=own,
            order=np.empty(0 if in_place else s * count, dtype=np.int64),
            n=count,
            batch=batch,
            steps=-(-count // batch),
            piece=self.pieces[s],
            has_own=data.rows is not None,
            in_place=in_place,
            weighed=data.w is not None,
            averaged=not self.program.classes,
        )

    def _flat(self, array: Array) -> Array:
        if id(array) not in self._flats:
            self._flats[id(array)] = flat(array)
        return self._flats[id(array)]

    def _factors(self, epoch_range: range, steps: int) -> Array:
        """Return the schedule's factor at each of the epochs' ``steps``, or one for all."""
        schedule = self.plan.schedule
        if not self.flags.changing:
            return np.ones(1, dtype=self.dtype)
        whole = self.plan.epochs * steps
        numbers = range(epoch_range.start * steps, epoch_range.stop * steps)
        return np.array([schedule(step / whole) for step in numbers], dtype=self.dtype)

    def _workspace(self, drawn_rows: int) -> Workspace:
        shared = self.min_shared <= min(self.W, len(self.plan.seeds))
        return workspace_for(
            self.plan.network,
            self.dtype,
            pieces=self.pieces if shared else {1: self.pieces[1]},
            hyperparameters=self.members.count,
            slots=self.slots,
            drops=self.flags.drops,
            classes=self.program.classes,
            drawn_rows=drawn_rows,
        )
