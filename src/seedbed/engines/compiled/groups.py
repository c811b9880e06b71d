"""A group's parameters and optimizer state, between the members' rows and the lanes."""

from __future__ import annotations

from typing import Any

from seedbed.engines.compiled.calling import call
from seedbed.engines.compiled.memory import pointer, width
from seedbed.engines.compiled.records import Floats, Group, Groups, Members, Program, Workspace
from seedbed.engines.compiled.rows import gather
from seedbed.engines.compiled.target import inline, noinline
from seedbed.engines.state import Status

MAX_COPIED_PARAMETERS = 1024
"""A member alone with at most these parameters is trained in a copy, as other threads may write to
the same cache lines of the state."""
ABSENT = -1
"""The status of lanes that repeat a member."""
RUNNING, STOPPED, DIVERGED = int(Status.RUNNING), int(Status.STOPPED), int(Status.DIVERGED)


@inline
def group_of(groups: Groups, g: int) -> Any:
    """Return group number g."""
    s = groups.members.shape[1]
    return Group(pointer(groups.members, g * s), s, groups.counts[g], g * s)


@noinline
def gather_lanes(
    program: Program, group: Group, source: Floats, target: Floats, work: Workspace
) -> None:
    """Write the rows (D,) of the group's members side by side to ``target``, (D, s)."""
    s = group.lanes
    for lane in range(s):
        work.source_offsets[lane] = group.members[lane] * program.size
        work.target_offsets[lane] = lane * s
    gather(program, source, program.size, target, s, work)


@noinline
def scatter_lanes(
    program: Program, group: Group, source: Floats, target: Floats, work: Workspace
) -> None:
    """Write the lanes of ``source`` (D, s) back to their members' rows."""
    W, s, size = width(source), group.lanes, program.size
    for lane in range(s):
        work.source_offsets[lane] = lane * s
        work.target_offsets[lane] = group.members[lane] * size
    for d in range(0, size, W):
        for v in range(0, group.count, W):
            call(
                program.transpose,
                (
                    pointer(source, d * s + v), work.source_offsets, min(W, size - d),
                    pointer(target, d), pointer(work.target_offsets, v), min(W, group.count - v),
                ),
            )  # fmt: skip


@inline
def copy(source: Floats, target: Floats, size: int) -> None:
    """Copy ``size`` numbers."""
    for d in range(size):
        target[d] = source[d]


@inline
def theta_of(program: Program, group: Group, theta: Floats, work: Workspace) -> Any:
    """Return the group's parameters (D, s), gathered from theta (P, D) for several lanes."""
    if group.lanes == 1:
        return pointer(theta, group.members[0] * program.size)
    gather_lanes(program, group, theta, work.theta, work)
    return work.theta


@inline
def load_lanes(members: Members, group: Group, work: Workspace) -> None:
    """Set every lane's status and hyperparameters."""
    s = group.lanes
    c = max(s, width(work.numbers))
    for lane in range(s):
        work.lane_status[lane] = RUNNING if lane < group.count else ABSENT
    for row in range(members.count):
        for lane in range(c):
            place = row * members.members + group.members[lane if s > 1 else 0]
            work.hyperparameters[row * c + lane] = members.hyperparameters[place]


@inline
def load_group(program: Program, flags: Any, state: Any, group: Group, work: Workspace) -> Any:
    """Return where the group is trained, loaded: theta, theta an epoch before, a third buffer, and
    the slots.
    """
    s, size = group.lanes, program.size
    cells = size * s
    theta, before = work.theta, pointer(work.theta, cells)
    earlier = pointer(work.theta, 2 * cells)
    slot_0, slot_1 = work.slots, pointer(work.slots, cells)
    if s > 1:
        gather_lanes(program, group, state.theta, theta, work)
        gather_lanes(program, group, state.before, before, work)
        if flags.slots > 0:
            gather_lanes(program, group, state.slot_0, slot_0, work)
        if flags.slots > 1:
            gather_lanes(program, group, state.slot_1, slot_1, work)
    else:
        begin = group.members[0] * size
        state_theta, state_before = pointer(state.theta, begin), pointer(state.before, begin)
        state_0, state_1 = pointer(state.slot_0, begin), pointer(state.slot_1, begin)
        if size > MAX_COPIED_PARAMETERS:
            theta, before, earlier = state_theta, state_before, work.theta
            slot_0, slot_1 = state_0, state_1
        else:
            copy(state_theta, theta, size)
            copy(state_before, before, size)
            if flags.slots > 0:
                copy(state_0, slot_0, size)
            if flags.slots > 1:
                copy(state_1, slot_1, size)
    return theta, before, earlier, (slot_0, slot_1)


@inline
def store_group(
    program: Program, flags: Any, state: Any, group: Group, theta: Floats, before: Floats,
    earlier: Floats, slots: Any, work: Workspace,
) -> None:  # fmt: skip
    """Write what ``load_group`` returned back to the state; see ``stopping.freeze``."""
    s, size = group.lanes, program.size
    if s > 1:
        frozen = False
        for lane in range(group.count):
            frozen |= work.lane_status[lane] == DIVERGED
        if frozen:  # their theta is in the state already
            for lane in range(group.count):
                if work.lane_status[lane] != DIVERGED:
                    for d in range(size):
                        state.theta[group.members[lane] * size + d] = theta[d * s + lane]
        else:
            scatter_lanes(program, group, theta, state.theta, work)
        scatter_lanes(program, group, before, state.before, work)
        if flags.slots > 0:
            scatter_lanes(program, group, slots[0], state.slot_0, work)
        if flags.slots > 1:
            scatter_lanes(program, group, slots[1], state.slot_1, work)
        return
    begin = group.members[0] * size
    state_theta, state_before = pointer(state.theta, begin), pointer(state.before, begin)
    good = earlier if work.lane_status[0] == DIVERGED else theta
    for d in range(size):  # at once, as the state's arrays may be any two of the three buffers
        new, new_before = good[d], before[d]
        state_theta[d], state_before[d] = new, new_before
    if size <= MAX_COPIED_PARAMETERS:
        if flags.slots > 0:
            copy(slots[0], pointer(state.slot_0, begin), size)
        if flags.slots > 1:
            copy(slots[1], pointer(state.slot_1, begin), size)
