"""What the kernels are given.

Arrays are flat. A kernel first takes the pointers out of a record (``vectors.bare``): Numba counts
references to arrays, and where steps are this small, counting would cost more than they do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Ints = Any
Floats = Any


class Shape(NamedTuple):
    """The network. L layers."""

    widths: Ints
    """(L + 1,): the inputs, and each layer's units"""
    weights: Ints
    """(L,): where each layer's W begins in a member's theta"""
    biases: Ints
    """(L,): where its b begins"""
    layers: int
    """L"""
    size: int


class Addresses(NamedTuple):
    """Where the compiled formulas lie; see ``units``."""

    forward: Ints
    """(L,)"""
    backward: Ints
    """(L,)"""
    value: int
    slope: int
    rule: int
    penalty: int
    each: int
    shared: int
    turn: int
    log_softmax: int
    classes: bool
    """whether the loss sees log-probabilities"""


HISTORY = 16
"""How many epochs' losses are written to the histories at a time; see ``groups.record``."""


class Rows(NamedTuple):
    """Rows to train on or to validate with."""

    x: Floats
    """(N · I,)"""
    t: Floats
    """(N · O,)"""
    w: Floats
    """(N,), or empty where all weigh the same"""
    mean_weight: Floats
    """(P,): the mean of all of a member's row weights"""
    own: Ints
    """(G · s · n,): the row numbers of each group's members, or empty where all see all"""
    n: int
    """how many rows a member sees"""
    batch: int
    """how many make a step"""
    steps: int
    """how many steps an epoch has"""
    piece: int
    """how many are worked on at a time"""
    has_own: bool
    weighed: bool
    averaged: bool
    """whether the loss is a mean over outputs too"""


class Method(NamedTuple):
    """What is done, but for the numbers that differ between members."""

    record_every: int
    recorded: int
    """how many epochs are recorded in all"""
    changing: bool
    """whether the schedule's factor changes from step to step"""
    patience: int
    """0 where there is none"""
    slots: int
    decays: bool
    penalized: bool
    drops: bool
    clips: bool
    validated: bool


class Members(NamedTuple):
    """What each of P members has of its own."""

    numbers: Floats
    """((6 + the optimizer's) · P,), in the order that ``units`` names"""
    kinds: int
    """how many numbers each has"""
    members: int
    """P"""
    order_keys: Ints
    """(P,) where the streams of its row orders branch off, by epoch"""
    dropout_keys: Ints
    """(P,) where those of its dropout masks do, by epoch and layer"""


class Standing(NamedTuple):
    """``state.State``, flat: what training changes."""

    theta: Floats
    before: Floats
    slot_0: Floats
    slot_1: Floats
    best: Floats
    status: Ints
    epochs_run: Ints
    best_loss: Floats
    best_epoch: Ints
    train_loss: Floats
    """(P · recorded epochs,)"""
    val_loss: Floats


class Room(NamedTuple):
    """Where things lie in ``space``."""

    zeros: int
    ones: int
    numbers: int
    no_decay: int
    sums: int
    partial: int
    apart: int
    """0 where all of theta is finite, after a step"""
    loss: int
    """the epoch's training loss so far, (s,)"""
    held_loss: int
    history: int
    """the losses of the last epochs, HISTORY rows of (c,) in training and as many in validation"""
    x: int
    t: int
    share: int
    each: int
    z: Ints
    a: Ints
    h: Ints
    """what the next layer sees: a, or a · mask"""
    masks: Ints
    delta: int
    delta_below: int
    packed: int
    g: int
    theta: int
    """three of them, one behind the other"""
    slots: int
