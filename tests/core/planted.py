"""Backward passes by hand, each with a common mistake."""

from itertools import pairwise

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


SLOPES = {  # as functions of the pre-activation
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
"""The planted faults and the kind by which each should be named."""

PAIRS = [
    ("1/outputs missing", "bias mean"),
    ("half", "slope missing hidden"),
    ("sign", "bias mean"),
    ("sign", "slope of activation"),
    ("1/n missing", "slope missing hidden"),
    ("twice", "weights transposed"),
    ("bias mean", "slope missing hidden"),
    ("bias mean", "weights transposed"),
    ("bias axis", "slope of activation"),
    ("mask", "bias mean"),
    ("another loss", "bias mean"),
    ("slope missing", "weights transposed"),
]
"""Two faults at once."""


def can_be_planted(network, fault):
    """Return whether a fault is visible in a network, and its shapes allow it."""
    widths, units, loss, _ = NETWORKS[network]
    if fault == "1/outputs missing":
        return loss == "squares" and widths[-1] > 1
    if fault in ("slope of activation", "slope missing"):
        return units[-1] != "identity"
    if fault == "weights transposed":
        return any(a == b for a, b in pairwise(widths[1:]))
    return True


def planted(network, *faults, seed=0):
    """Return f, theta, X, Y and the masks: a loss and a gradient by hand, with the faults."""
    widths, units, kind, rows = NETWORKS[network]
    random = np.random.default_rng(seed)
    if "bias axis" in faults:
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
    if "mask" in faults:
        masks = [(random.random((rows, width)) < 0.6) / 0.6 for width in widths[1:-1]]
    last, decay, memory = len(widths) - 1, 0.1, {"sum": {}, "a": None}

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
        if "another loss" in faults:
            dy = np.sign(a - Y) / (rows * outputs)
            if kind == "classes":
                dy = 2 * (a - Y) / (rows * outputs)
        if "decay in loss" in faults:
            loss = loss + 0.5 * decay * sum((p[f"W{k}"] ** 2).sum() for k in layers)
        is_stale = "stale" in faults and memory["a"] is not None
        inputs, memory["a"] = memory["a"] if is_stale else activations, activations
        slope = SLOPES[units[-1]]
        delta = dy * slope(zs[last])
        if "slope of activation" in faults:
            delta = dy * slope(activations[last])
        if "slope missing" in faults:
            delta = dy
        g = {}
        for k in reversed(layers):
            g[f"W{k}"] = inputs[k - 1].T @ delta
            g[f"b{k}"] = delta.sum(axis=0)
            if "bias mean" in faults:
                g[f"b{k}"] = delta.mean(axis=0)
            if "bias sum" in faults:
                g[f"b{k}"] = delta.sum(axis=0) * rows
            if "bias axis" in faults and k == 1:
                g[f"b{k}"] = delta.sum(axis=1)
            if "bias grown" in faults:
                g[f"b{k}"] = delta
            if "decay in gradient" in faults:
                g[f"W{k}"] = g[f"W{k}"] + decay * p[f"W{k}"]
            if "gradient transposed" in faults:
                g[f"W{k}"] = g[f"W{k}"].T
            if k == 1:
                break
            W = p[f"W{k}"]
            square = W.shape[0] == W.shape[1]
            da = delta @ (W if "weights transposed" in faults and square else W.T)
            if masks and "mask" not in faults:
                da = da * masks[k - 2]
            slope = SLOPES[units[k - 2]]
            delta = da * slope(zs[k - 1])
            if "slope of activation" in faults:
                delta = da * slope(activations[k - 1])
            if "slope missing hidden" in faults:
                delta = da
        factors = {"1/n missing": rows, "1/n twice": 1 / rows, "1/outputs missing": outputs,
                   "twice": 2, "half": 0.5, "sign": -1}  # fmt: skip
        factor = np.prod([factors.get(fault, 1) for fault in faults])
        g = {name: block * factor for name, block in g.items()}
        if "accumulated" in faults:
            for name, block in g.items():
                memory["sum"][name] = memory["sum"].get(name, 0) + block
            g = {name: block.copy() for name, block in memory["sum"].items()}
        return loss, g

    return f, theta, X, Y, masks


COLUMN_KINDS = {
    (): [],
    ("1/n missing",): ["1/n missing"],
    ("sign",): ["sign"],
    ("bias mean",): ["bias: mean for sum"],
    ("bias sum",): ["bias: sum for mean"],
    ("bias over all",): ["bias: over all"],
    ("bias grown",): ["grown by broadcasting"],
    ("slope of activation",): ["slope of the activation"],
    ("slope missing",): ["slope missing"],
    ("weights transposed",): ["weights transposed"],
    ("gradient transposed",): ["transposed"],
    ("squares",): ["another loss: squared_error"],
    ("decay missing",): ["decay missing in the gradient"],
    ("decay twice",): ["decay of another strength"],
    ("decay missing", "slope missing"): ["decay missing in the gradient", "slope missing"],
    ("bias mean", "slope of activation"): ["bias: mean for sum", "slope of the activation"],
    ("weights transposed", "sign"): ["sign", "weights transposed"],
}
"""The faults planted by ``columns`` and the kinds by which they should be named."""


def columns(*faults, seed=0, flat_biases=False, decay=0.05):
    """Return f, theta, X, Y with rows as columns, W (out, in), b (out, 1) and a penalty.

    This is the other convention of textbooks: z = W a + b, and sums over axis 1.
    """
    random, m, widths = np.random.default_rng(seed), 9, (3, 4, 4, 1)
    data, labels = random.normal(size=(3, m)), (random.random((1, m)) < 0.5) * 1.0
    theta = {}
    for k, (inputs, units) in enumerate(pairwise(widths), 1):
        theta[f"W{k}"] = random.normal(size=(units, inputs))
        theta[f"b{k}"] = random.normal(size=units if flat_biases else (units, 1))

    def f(p):
        bs = {k: p[f"b{k}"].reshape(-1, 1) for k in (1, 2, 3)}
        z1 = p["W1"] @ data + bs[1]
        a1 = np.tanh(z1)
        z2 = p["W2"] @ a1 + bs[2]
        a2 = sigmoid(z2)
        a3 = sigmoid(p["W3"] @ a2 + bs[3])
        cost = -(labels * np.log(a3) + (1 - labels) * np.log(1 - a3)).sum() / m
        cost = cost + 0.5 * decay * sum((p[f"W{k}"] ** 2).sum() for k in (1, 2, 3))
        slopes = SLOPES["sigmoid"](a2 if "slope of activation" in faults else z2)
        deltas = {3: (a3 - labels) * (a3 * (1 - a3) if "squares" in faults else 1)}
        deltas[2] = (p["W3"].T @ deltas[3]) * (1 if "slope missing" in faults else slopes)
        back = p["W2"] if "weights transposed" in faults else p["W2"].T
        deltas[1] = (back @ deltas[2]) * SLOPES["tanh"](z1)
        g, before = {}, {1: data, 2: a1, 3: a2}
        for k, delta in deltas.items():
            dW = delta @ before[k].T / m * (m if "1/n missing" in faults else 1)
            db = delta.sum(axis=1, keepdims=True) / m * (m if "1/n missing" in faults else 1)
            db = db / m if "bias mean" in faults else db * m if "bias sum" in faults else db
            if "bias over all" in faults and k == 1:
                db = np.sum(delta) / m
            if "bias grown" in faults:
                db = delta / m
            sign = -1 if "sign" in faults else 1
            strength = 0 if "decay missing" in faults else 2 if "decay twice" in faults else 1
            g[f"W{k}"] = sign * dW + strength * decay * p[f"W{k}"]
            if "gradient transposed" in faults:
                g[f"W{k}"] = g[f"W{k}"].T
            g[f"b{k}"] = sign * db
            if flat_biases and np.size(db) == np.size(p[f"b{k}"]):
                g[f"b{k}"] = np.reshape(g[f"b{k}"], p[f"b{k}"].shape)
        return cost, g

    return f, theta, data.T, labels.T
