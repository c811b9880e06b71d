"""The records that kernels take.

Arrays are flat. A kernel first replaces a record's arrays by pointers (``memory.bare``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

Ints = Any
Floats = Any

HISTORY = 16
"""Epochs whose losses are written to the histories at a time; see ``stopping.record``."""
LR, DECAY, L1, L2, DROPOUT, CLIP, RULE = range(7)
"""The order of a member's hyperparameters; those of the optimizer's rule come last."""
OTHER, DENSE, SCALED = range(3)
"""A layer of another kind, a dense one, and a dense one whose inputs are scaled."""


class Program(NamedTuple):
    """The network's shape, and the addresses of its compiled formulas. L layers."""

    widths: Ints  # (L + 1,): the inputs, and each layer's units
    dense: Ints  # (L,): OTHER, DENSE or SCALED
    starts: Ints  # (L,): the offset of each layer's parameters in a member's theta
    drops: Ints  # (L,): whether dropout applies
    settings: Ints  # each layer's, one after the other; see ``kinds``
    setting_starts: Ints  # (L,)
    block_ends: Ints  # (blocks,): where each of ``Network.blocks`` ends in a member's theta
    block_decays: Ints  # (blocks,): whether it decays
    blocks: int
    layers: int  # L
    size: int  # D
    forward: Ints  # (L,): a dense layer's activation, or another kind's forward pass
    backward: Ints  # (L,): its derivative, or the backward pass
    loss: int
    slope: int
    rule: int
    penalty: int
    product_per_member: int  # the matrix product whose left side differs between lanes
    product_shared: int  # the matrix product whose left side is the same for all lanes
    transpose: int
    log_softmax: int
    classes: bool  # whether the loss takes log-probabilities


class Groups(NamedTuple):
    """Members in G groups of s."""

    members: Ints  # (G, s) member numbers; a group with fewer repeats its last one
    counts: Ints  # (G,) the members in each group


class Group(NamedTuple):
    """One group in a kernel."""

    members: Ints  # (s,)
    lanes: int  # s
    count: int
    first: int  # the place of its first member among those of ``Rows.own``


class Rows(NamedTuple):
    """Rows to train on or to validate with."""

    x: Floats  # (N · I,)
    t: Floats  # (N · O,)
    w: Floats  # (N,) row weights, or empty
    mean_weight: Floats  # (P,): the mean of all of a member's row weights
    own: Ints  # (G · s · n,): the row numbers of each group's members, or empty if all see all rows
    order: Ints
    """(s · n,): the current group's row numbers, in an epoch's order; empty if ``in_place``"""
    n: int  # rows per member
    batch: int  # rows per step
    steps: int  # steps per epoch
    piece: int  # rows computed at a time
    has_own: bool
    in_place: bool  # whether all members read x in its own order, so that it need not be gathered
    weighed: bool
    averaged: bool  # whether the loss is a mean over outputs, too


class StepFlags(NamedTuple):
    """What a step and an epoch consist of, the same for all members."""

    record_every: int
    recorded: int  # recorded epochs in all
    changing: bool  # whether the schedule's factor changes from step to step
    patience: int  # 0 for none
    slots: int  # arrays of optimizer state
    decays: bool
    penalized: bool
    drops: bool
    clips: bool
    validated: bool


class Members(NamedTuple):
    """What differs between P members."""

    hyperparameters: Floats  # (count · P,), in the order above
    count: int  # hyperparameters per member
    members: int  # P
    order_keys: Ints  # (P,) the keys of the streams of row orders, by epoch
    dropout_keys: Ints  # (P,) the keys of the streams of dropout masks, by epoch and layer


class StateArrays(NamedTuple):
    """The arrays of ``state.State``."""

    theta: Floats
    before: Floats
    slot_0: Floats
    slot_1: Floats
    best: Floats
    status: Ints
    epochs_run: Ints
    best_loss: Floats
    best_epoch: Ints
    train_loss: Floats  # (P · recorded epochs,)
    val_loss: Floats


class Span(NamedTuple):
    """The epochs that a kernel carries out."""

    first: int
    last: int  # the one after the last
    factors: Floats  # (steps,) the schedule's factors, or (1,) if it is constant


class Training(NamedTuple):
    """What a group is trained by, and the state that it changes."""

    program: Program
    flags: StepFlags
    members: Members
    state: StateArrays
    rows: Rows
    validation: Rows
    span: Span


class Matrix(NamedTuple):
    """A matrix in memory, and how far its neighbours are apart; see ``products.multiply``."""

    first: Any
    row_stride: int
    column_stride: int


class Workspace(NamedTuple):
    """Scratch memory for one group of s lanes; c is s, or a vector's width for a member alone.

    All floats lie in ``numbers``. Python gives an array's offset there, or a list of each layer's;
    kernels replace the offsets, not the lists, by pointers (``memory.locate``).
    """

    numbers: Floats
    zeros: Any  # (c,)
    ones: Any  # one vector
    input_scales: Any  # (L,) of dense layers; see ``layers.dense``
    hyperparameters: Any  # (count, c)
    loss_sums: Any  # (O, s) the losses of a step's rows so far
    partial: Any  # (16, s) partial sums of a sum of products
    nonfinite: Any  # (c,) 0 while all of theta is finite, after a step
    train_loss: Any  # (c,) the epoch's training loss so far
    val_loss: Any  # (c,)
    history: Any
    """the losses of the last epochs: HISTORY rows (c,) of training, as many of validation"""
    x: Any  # (B, I, s), if it is gathered
    t: Any  # (B, O, s)
    share: Any  # (B, O, s) each loss's weight in the mean
    losses: Any  # (B, O, s)
    delta: Any  # (B, O, s) the derivative by a layer's outputs, then by its pre-activations
    delta_below: Any  # the same of the layer below
    packed: Any  # a packed part of a product's right side
    g: Any  # (D, s) the gradient
    theta: Any  # three arrays (D, s)
    slots: Any  # two arrays (D, s)
    z: Ints  # (L,) offsets of (B, O, s), or of what another kind keeps for its backward pass
    a: Ints  # (L,) offsets of (B, O, s)
    h: Ints  # (L,) the next layer's inputs, a · mask; the last is for log-probabilities
    masks: Ints  # (L,)
    scaled: Ints  # (L,) offsets of a SCALED layer's weights times its inputs' scales, (I, O, s)
    lane_status: Ints  # (s,) a ``state.Status``, or ``groups.ABSENT``, each
    source_offsets: Ints  # (c,)
    target_offsets: Ints  # (c,)
    tagged: Any  # (n,) random words of rows
    ordered: Any  # (n,) the same in order
    starts: Ints  # the first place of each bucket
