"""Backward passes written by hand, each with a mistake of the kind that is seen in the wild."""

from itertools import pairwise

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


SLOPES = {  # of the pre-activation
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: (z > 0) * 1.0,
    "identity": lambda z: np.ones_like(z),
}
UNITS = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
}

NETWORKS = {
    "3-4-1": ((3, 4, 1), ("sigmoid", "sigmoid"), "squares", 6),
    "5-6-3": ((5, 6, 3), ("tanh", "identity"), "classes", 8),
    "4-5-5-3": ((4, 5, 5, 3), ("tanh", "sigmoid", "tanh"), "squares", 9),
}

KINDS = {
    "1/n missing": "1/n missing",
    "1/n twice": "1/n twice",
    "1/outputs missing": "1/outputs missing",
    "twice": "twice",
    "half": "half",
    "sign": "sign",
    "bias mean": "bias: mean for sum",
    "bias sum": "bias: sum for mean",
    "bias axis": "bias: wrong axis",
    "bias grown": "grown by broadcasting",
    "slope of activation": "slope of the activation",
    "slope missing": "slope missing",
    "slope missing hidden": "slope missing",
    "weights transposed": "weights transposed",
    "gradient transposed": "transposed",
    "another loss": "another loss",
    "accumulated": "accumulated",
    "stale": "stale",
    "mask": "mask missing",
    "decay in loss": "decay missing in the gradient",
    "decay in gradient": "decay missing in the loss",
}
"""What is planted, and the name that it should be given."""


def can_be_planted(network, fault):
    """Return whether a fault can be told in a network at all, and its shapes let it run."""
    widths, units, loss, _ = NETWORKS[network]
    if fault == "1/outputs missing":
        return loss == "squares" and widths[-1] > 1
    if fault in ("slope of activation", "slope missing"):
        return units[-1] != "identity"
    if fault == "weights transposed":
        return any(a == b for a, b in pairwise(widths[1:]))
    return True


def planted(network, fault, seed=0):
    """Return f, theta, X, Y and the masks: a loss and a gradient by hand, with the fault in it."""
    widths, units, kind, rows = NETWORKS[network]
    random = np.random.default_rng(seed)
    if fault == "bias axis":
        rows = widths[1]
    X = random.normal(size=(rows, widths[0]))
    outputs = widths[-1]
    if kind == "classes":
        Y = np.eye(outputs)[random.integers(0, outputs, rows)]
    else:
        Y = random.uniform(0.1, 0.9, size=(rows, outputs))
    theta = {}
    layers = range(1, len(widths))
    for k in layers:
        theta[f"W{k}"] = random.normal(size=(widths[k - 1], widths[k])) * 0.8
        theta[f"b{k}"] = random.normal(size=widths[k]) * 0.5
    masks = []
    if fault == "mask":
        masks = [(random.random((rows, width)) < 0.6) / 0.6 for width in widths[1:-1]]
    last, decay, kept = len(widths) - 1, 0.1, {"sum": {}, "a": None}

    def f(p):
        a, zs, activations = X, {}, {0: X}
        for k in layers:
            zs[k] = a @ p[f"W{k}"] + p[f"b{k}"]
            a = UNITS[units[k - 1]](zs[k])
            activations[k] = a
            if masks and k < last:
                a = activations[k] = a * masks[k - 1]
        if kind == "classes":
            shifted = a - a.max(axis=1, keepdims=True)
            share = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
            loss = -(Y * np.log(share)).sum() / rows
            dy = (share - Y) / rows
        else:
            loss = ((a - Y) ** 2).sum() / (rows * outputs)
            dy = 2 * (a - Y) / (rows * outputs)
        if fault == "another loss":
            dy = dy * rows * (np.sign(a - Y) / (rows * outputs) / np.where(dy == 0, 1, dy) / rows)
            if kind == "classes":
                dy = 2 * (a - Y) / (rows * outputs)
        if fault == "decay in loss":
            loss = loss + 0.5 * decay * sum((p[f"W{k}"] ** 2).sum() for k in layers)
        seen = activations if kept["a"] is None or fault != "stale" else kept["a"]
        kept["a"] = activations
        slope = SLOPES[units[-1]]
        delta = dy * slope(zs[last])
        if fault == "slope of activation":
            delta = dy * slope(activations[last])
        if fault == "slope missing":
            delta = dy
        g = {}
        for k in reversed(layers):
            g[f"W{k}"] = seen[k - 1].T @ delta
            g[f"b{k}"] = delta.sum(axis=0)
            if fault == "bias mean":
                g[f"b{k}"] = delta.mean(axis=0)
            if fault == "bias sum":
                g[f"b{k}"] = delta.sum(axis=0) * rows
            if fault == "bias axis" and k == 1:
                g[f"b{k}"] = delta.sum(axis=1)
            if fault == "bias grown":
                g[f"b{k}"] = delta
            if fault == "decay in gradient":
                g[f"W{k}"] = g[f"W{k}"] + decay * p[f"W{k}"]
            if fault == "gradient transposed":
                g[f"W{k}"] = g[f"W{k}"].T
            if k == 1:
                break
            W = p[f"W{k}"]
            square = W.shape[0] == W.shape[1]
            da = delta @ (W if fault == "weights transposed" and square else W.T)
            if masks and fault != "mask":
                da = da * masks[k - 2]
            slope = SLOPES[units[k - 2]]
            delta = da * slope(zs[k - 1])
            if fault == "slope of activation":
                delta = da * slope(activations[k - 1])
            if fault == "slope missing hidden":
                delta = da
        factor = {"1/n missing": rows, "1/n twice": 1 / rows, "1/outputs missing": outputs,
                  "twice": 2, "half": 0.5, "sign": -1}.get(fault, 1)  # fmt: skip
        g = {name: block * factor for name, block in g.items()}
        if fault == "accumulated":
            for name, block in g.items():
                kept["sum"][name] = kept["sum"].get(name, 0) + block
            g = {name: block.copy() for name, block in kept["sum"].items()}
        return loss, g

    return f, theta, X, Y, masks
