"""A hand that writes classes: a stack of layers with a loss object, and lists of weights."""

from itertools import pairwise

import numpy as np

MISTAKES = {
    "update before passing back": ["update in the call"],
    "update after the pass": ["update in the call"],
    "relu masks by dout": ["mask of dA"],
    "relu caches shared": ["slope of another layer"],
    "relu without backward": ["slope missing"],
    "softmax forgotten": ["softmax Jacobian missing"],
    "softmax twice": ["softmax Jacobian twice"],
    "batch not divided": ["1/n missing"],
    "bias mean": ["bias: mean for sum"],
    "never zeroed": ["accumulated"],
    "W for W.T": ["weights transposed"],
    "first batch cached": ["stale"],
    "labels changed": ["data changed"],
    "inputs centred in place": ["data changed"],
    "y - p": ["sign"],
    "decay only in the loss": ["decay missing in the gradient"],
    "lists reversed": ["blocks in another order"],
    "tanh of tanh": ["slope of the activation"],
    "sigmoid's slope": ["slope of another activation"],
    "no weights on the way": ["weights missing"],
    "dA passed on": ["slope not passed back"],
    "divided by the inputs": ["averaged over another axis"],
    "bias over axis 1": ["bias: wrong axis"],
    "input of the wrong layer": ["inputs of another layer"],
    "scalar bias": ["bias: over all"],
}
OF_LISTS = list(MISTAKES)[list(MISTAKES).index("lists reversed") :]


class Linear:
    def __init__(self, rng, n_in, n_out, bug):
        self.W = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
        self.b = 0.3 * rng.normal(size=(1, n_out))
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
        self.bug, self.x = bug, None

    def forward(self, x):
        if self.bug != "first batch cached" or self.x is None:
            self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        dW, db = self.x.T @ dout, dout.sum(axis=0, keepdims=True)
        if self.bug == "bias mean":
            db = dout.mean(axis=0, keepdims=True)
        if self.bug == "never zeroed":
            self.dW += dW
            self.db += db
        else:
            self.dW, self.db = dW, db
        if self.bug == "update before passing back":
            self.W -= 0.5 * self.dW
            self.b -= 0.5 * self.db
        if self.bug == "W for W.T" and self.W.shape[0] == self.W.shape[1]:
            return dout @ self.W
        return dout @ self.W.T


class Relu:
    shared = None

    def __init__(self, bug):
        self.bug = bug

    def forward(self, x):
        self.x = Relu.shared = x
        return np.maximum(0, x)

    def backward(self, dout):
        if self.bug == "relu masks by dout":
            return dout * (dout > 0)
        if self.bug == "relu caches shared":
            return dout * (Relu.shared > 0)
        if self.bug == "relu without backward":
            return dout
        return dout * (self.x > 0)


class SoftmaxLoss:
    def __init__(self, bug):
        self.bug = bug

    def forward(self, scores, y):
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        self.p, self.y = e / e.sum(axis=1, keepdims=True), y
        return -np.sum(y * np.log(self.p)) / len(y)

    def backward(self):
        p, y = self.p, self.y
        d = p - y
        if self.bug == "softmax forgotten":
            d = -y / p
        if self.bug == "softmax twice":
            d = p * (d - np.sum(d * p, axis=1, keepdims=True))
        if self.bug == "y - p":
            d = -d
        if self.bug == "labels changed":
            y -= p
            d = -y
        return d if self.bug == "batch not divided" else d / len(y)


class Classifier:
    def __init__(self, rng, sizes, bug):
        self.bug, self.reg = bug, 0.01
        self.layers = []
        for n_in, n_out in pairwise(sizes[:-1]):
            self.layers += [Linear(rng, n_in, n_out, bug), Relu(bug)]
        self.layers.append(Linear(rng, sizes[-2], sizes[-1], bug))
        self.loss_layer = SoftmaxLoss(bug)

    def forward(self, x):
        if self.bug == "inputs centred in place":
            x -= x.mean(axis=0)
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def loss(self, x, y):
        data = self.loss_layer.forward(self.forward(x), y)
        return data + 0.5 * self.reg * sum(np.sum(each.W**2) for each in self.layers[::2])

    def backward(self):
        dout = self.loss_layer.backward()
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        for layer in self.layers[::2]:
            if self.bug != "decay only in the loss":
                layer.dW += (self.reg * layer.W) if self.bug != "never zeroed" else 0
            if self.bug == "update after the pass":
                layer.W -= 0.1 * layer.dW
                layer.b -= 0.1 * layer.db


class Regressor:
    def __init__(self, rng, sizes, bug):
        self.sizes, self.bug = sizes, bug
        self.weights = [rng.standard_normal((m, n)) for m, n in pairwise(sizes)]
        self.biases = [rng.standard_normal(n) for n in sizes[1:]]

    def forward(self, x):
        self.zs, self.activations = [], [x]
        for w, b in zip(self.weights, self.biases, strict=True):
            self.zs.append(self.activations[-1] @ w + b)
            last = len(self.zs) == len(self.weights)
            self.activations.append(self.zs[-1] if last else np.tanh(self.zs[-1]))
        return self.activations[-1]

    def compute_loss(self, y_hat, y):
        return 0.5 * np.sum((y_hat - y) ** 2) / len(y)

    def backward(self, x, y):
        n = self.sizes[0] if self.bug == "divided by the inputs" else len(x)
        delta = (self.activations[-1] - y) / n
        before = delta
        d_weights, d_biases = [], []
        for k in reversed(range(len(self.weights))):
            entering = self.activations[k]
            if self.bug == "input of the wrong layer" and k == 2:
                entering = self.activations[1]
            d_weights.insert(0, entering.T @ delta)
            d_biases.insert(0, delta.sum(axis=1 if self.bug == "bias over axis 1" else 0))
            if self.bug == "scalar bias":
                d_biases[0] = delta.sum()
            if k == 0:
                break
            before_here = delta @ self.weights[k].T
            if self.bug == "no weights on the way" and k == 1:
                before_here = delta
            if self.bug == "dA passed on" and k == 1:
                before_here = before @ self.weights[k].T
            a = self.activations[k]
            slope = 1 - a**2
            if self.bug == "tanh of tanh":
                slope = 1 - np.tanh(a) ** 2
            if self.bug == "sigmoid's slope":
                slope = a * (1 - a)
            before, delta = before_here, before_here * slope
        if self.bug == "lists reversed":
            d_weights.reverse()
            d_biases.reverse()
        return d_weights, d_biases


def arguments(bug="", seed=0):
    """Return what check_gradient is called with: a network, X and Y."""
    rng = np.random.default_rng(seed)
    n, inputs, outputs = (int(rng.integers(low, low + 5)) for low in (7, 2, 2))
    hidden = int(rng.integers(4, 7))
    sizes = [inputs, hidden, hidden, outputs]
    x = rng.normal(size=(n, inputs)) + 0.5
    lists = bug in OF_LISTS or (not bug and seed % 2)
    if bug == "divided by the inputs" and n == inputs:
        x = x[:-1]
    if lists:
        return Regressor(rng, sizes, bug), x, rng.normal(size=(len(x), outputs))
    y = np.eye(outputs)[rng.integers(0, outputs, n)]
    return Classifier(rng, sizes, bug), x, y
