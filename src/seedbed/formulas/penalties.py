"""Penalties on the weights' size, and weight decay decoupled from the gradient.

All act on weights, not on biases; elementwise, for arrays and scalars.
"""

from __future__ import annotations

import numpy as np

from seedbed.arrays import Array


def penalty(w: Array, l1: Array, l2: Array) -> Array:
    """l1 |w| + ½ l2 w²; the objective adds the sum over a member's weights."""
    return l1 * np.maximum(w, -w) + 0.5 * l2 * (w * w)


def penalty_d(w: Array, l1: Array, l2: Array) -> Array:
    """l1 sign(w) + l2 w: the derivative of ``penalty``, where that of |w| at 0 is defined as 0."""
    return l1 * np.sign(w) + l2 * w


def penalty_residual(w: Array, l2: Array) -> Array:
    """√(½ l2) w, whose square is the penalty without its l1 part."""
    return np.sqrt(0.5 * l2) * w


def penalty_residual_d(w: Array, l2: Array) -> Array:
    """√(½ l2): the derivative of ``penalty_residual``, of w's shape."""
    return np.sqrt(0.5 * l2) * np.ones_like(w)


def shrink(w: Array, lr: Array, weight_decay: Array) -> Array:
    """w <- w (1 - lr λ): weight decay decoupled from the gradient, applied before the step.

    Source: Loshchilov, Hutter 2019, algorithm 2; the decay is scaled by the learning rate,
    as in PyTorch.
    """
    return w * (1 - lr * weight_decay)
