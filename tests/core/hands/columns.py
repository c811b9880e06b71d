"""A hand that writes examples as columns: X (n_x, m), W (n, n_prev), b (n, 1), caches in a dict."""

import numpy as np

MISTAKES = {
    "m from the wrong axis": ["averaged over another axis"],
    "m from A_prev's wrong axis": ["averaged over another axis"],
    "m forgotten": ["1/n missing"],
    "m twice": ["1/n twice"],
    "cost not divided": ["1/n twice"],
    "db over axis 0": ["bias: wrong axis"],
    "db without keepdims": ["keepdims lost"],
    "db without axis": ["bias: over all"],
    "db is dZ": ["grown by broadcasting"],
    "db by mean and m": ["bias: mean for sum"],
    "mask of dA": ["mask of dA"],
    "mask of the next Z": ["slope of another layer"],
    "dZ is dA": ["slope missing"],
    "output slope forgotten": ["slope missing"],
    "output slope twice": ["another loss: squared_error"],
    "softmax forgotten": ["softmax Jacobian missing"],
    "softmax twice": ["softmax Jacobian twice"],
    "W for W.T": ["weights transposed"],
    "dZ above for dA": ["weights missing"],
    "tanh's slope": ["slope of another activation"],
    "dW transposed": ["transposed"],
    "dW from A": ["inputs of another layer"],
    "dW from Z": ["inputs before the activation"],
    "penalty without m": ["decay of another strength"],
    "penalty forgotten": ["decay missing in the gradient"],
    "theta updated": ["update in the call"],
    "X scaled in place": ["data changed"],
    "Y - A": ["sign"],
    "db forgot m": ["bias: sum for mean"],
}
_SOFTMAX = ("softmax forgotten", "softmax twice")
_PENALTY = ("penalty without m", "penalty forgotten")


def sigmoid(Z):
    return 1.0 / (1.0 + np.exp(-Z))


def forward(X, p, L, softmax):
    cache = {"A0": X}
    A = X
    for l in range(1, L):
        cache[f"Z{l}"] = np.dot(p[f"W{l}"], A) + p[f"b{l}"]
        A = cache[f"A{l}"] = np.maximum(cache[f"Z{l}"], 0)
    Z = cache[f"Z{L}"] = np.dot(p[f"W{L}"], A) + p[f"b{L}"]
    if softmax:
        T = np.exp(Z - np.max(Z, axis=0, keepdims=True))
        cache[f"A{L}"] = T / np.sum(T, axis=0, keepdims=True)
    else:
        cache[f"A{L}"] = sigmoid(Z)
    return cache


def cost(AL, Y, p, L, lambd, m, softmax):
    logs = Y * np.log(AL)
    if not softmax:
        logs = logs + (1 - Y) * np.log(1 - AL)
    J = -np.sum(logs) / m
    return J + lambd / (2 * m) * sum(np.sum(np.square(p[f"W{l}"])) for l in range(1, L + 1))


def backward(p, cache, Y, L, lambd, softmax, bug):
    grads = {}
    m = Y.shape[0 if bug == "m from the wrong axis" else 1]
    AL = cache[f"A{L}"]
    if softmax:
        dZ = AL - Y
        if bug == "softmax forgotten":
            dZ = -Y / AL
        if bug == "softmax twice":
            dZ = AL * (dZ - np.sum(AL * dZ, axis=0, keepdims=True))
    else:
        dAL = -(np.divide(Y, AL) - np.divide(1 - Y, 1 - AL))
        dZ = dAL * AL * (1 - AL)
        if bug == "output slope forgotten":
            dZ = dAL
        if bug == "output slope twice":
            dZ = (AL - Y) * AL * (1 - AL)
    if bug == "Y - A":
        dZ = Y - AL
    for l in range(L, 0, -1):
        A_prev = cache[f"A{l - 1}"]
        scale = m
        if bug == "m from A_prev's wrong axis":
            scale = A_prev.shape[0]
        if bug == "m forgotten":
            scale = 1
        if bug == "m twice":
            scale = m * m
        entering = A_prev
        if bug == "dW from A" and l == 2:
            entering = cache["A2"]
        if bug == "dW from Z" and l == 2:
            entering = cache["Z1"]
        dW = np.dot(dZ, entering.T) / scale
        db = np.sum(dZ, axis=1, keepdims=True) / scale
        if bug == "db over axis 0":
            db = np.sum(dZ, axis=0, keepdims=True) / scale
        if bug == "db without keepdims":
            db = np.sum(dZ, axis=1) / scale
        if bug == "db without axis":
            db = np.sum(dZ) / scale
        if bug == "db is dZ":
            db = dZ / scale
        if bug == "db by mean and m":
            db = np.mean(dZ, axis=1, keepdims=True) / scale
        if bug == "db forgot m":
            db = np.sum(dZ, axis=1, keepdims=True)
        if bug != "penalty forgotten":
            dW = dW + (lambd if bug == "penalty without m" else lambd / m) * p[f"W{l}"]
        grads[f"dW{l}"] = dW.T if bug == "dW transposed" else dW
        grads[f"db{l}"] = db
        if l == 1:
            break
        dA = np.dot(p[f"W{l}"].T, dZ)
        if bug == "W for W.T" and l == 2:
            dA = np.dot(p["W2"], dZ)
        if bug == "dZ above for dA" and l == 2:
            dA = dZ
        Z = cache[f"Z{l - 1}"]
        if bug == "mask of the next Z" and l == 2:
            Z = cache["Z2"]
        dZ = np.array(dA)
        dZ[Z <= 0] = 0
        if bug == "mask of dA":
            dZ = np.array(dA)
            dZ[dA <= 0] = 0
        if bug == "dZ is dA":
            dZ = dA
        if bug == "tanh's slope":
            dZ = dA * (1 - np.power(cache[f"A{l - 1}"], 2))
    return grads


def arguments(bug="", seed=0):
    """Return what check_gradient is called with: f, parameters, X (n_x, m) and Y (n_y, m)."""
    np_random = np.random.RandomState(seed)
    m, n_x, n_h = 8 + np_random.randint(12), 2 + np_random.randint(4), 4 + np_random.randint(3)
    softmax = bug in _SOFTMAX or (not bug and seed % 2 == 1)
    n_y = 3 if softmax else 1 + np_random.randint(2)
    if bug == "m from the wrong axis":
        n_y = 2
    lambd = 0.7 if bug in _PENALTY or (not bug and seed % 3 == 0) else 0.0
    dims = [n_x, n_h, n_h, n_y]
    L = len(dims) - 1
    X = np_random.randn(n_x, m)
    if softmax:
        Y = np.eye(n_y)[np_random.randint(0, n_y, m)].T
    else:
        Y = (np_random.rand(n_y, m) > 0.5) * 1.0
    p = {}
    for l in range(1, L + 1):
        p[f"W{l}"] = np_random.randn(dims[l], dims[l - 1]) * np.sqrt(2.0 / dims[l - 1])
        p[f"b{l}"] = np_random.randn(dims[l], 1) * 0.2

    def model(p):
        if bug == "X scaled in place":
            X[:] = X / 1.5
        cache = forward(X, p, L, softmax)
        J = cost(cache[f"A{L}"], Y, p, L, lambd, 1 if bug == "cost not divided" else m, softmax)
        grads = backward(p, cache, Y, L, lambd, softmax, bug)
        if bug == "theta updated":
            for key in p:
                p[key] = p[key] - 0.01 * grads["d" + key]
        return J, {key: grads["d" + key] for key in p}

    return model, p, X, Y
