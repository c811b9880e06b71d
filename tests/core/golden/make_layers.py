"""Write layers.json: losses and gradients of embeddings and periodic codes, by PyTorch in float64.

Needs PyTorch, and NumPy for the inputs; not Seedbed. See make_golden.py.

    python tests/core/golden/make_layers.py
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

ROWS, HIDDEN, OUTPUTS, FREQUENCIES, UNITS = 9, 4, 2, 3, 2


def taken(theta, *shapes):
    """Return arrays of these shapes from the vector theta, and what is left of it."""
    arrays = []
    for shape in shapes:
        count = math.prod(shape)
        arrays.append(theta[:count].reshape(shape))
        theta = theta[count:]
    return arrays, theta


def embedding(x, theta):
    """Columns 1 (3 categories, 2 units) and 3 (5 categories, 1 unit) of four."""
    (first, second), theta = taken(theta, (3, 2), (5, 1))
    vectors = [
        functional.embedding(x[:, 1].long(), first), functional.embedding(x[:, 3].long(), second)
    ]  # fmt: skip
    return torch.cat([x[:, [0, 2]], *vectors], dim=1), theta


def periodic(x, theta, columns, others):
    """PLR: Gorishniy, Rubachev, Babenko 2022, equation 8."""
    count = len(columns)
    shapes = (count, FREQUENCIES), (count, 2 * FREQUENCIES, UNITS), (count, UNITS)
    (c, W, b), theta = taken(theta, *shapes)
    v = 2 * math.pi * c * x[:, columns, None]
    h = torch.cat([torch.sin(v), torch.cos(v)], dim=2)
    code = functional.relu(torch.stack([h[:, f] @ W[f] + b[f] for f in range(count)], dim=1))
    return torch.cat([x[:, others], code.flatten(1)], dim=1), theta


def phases(x, theta, columns, others):
    """PBLD: Holzmüller, Grinsztajn, Steinwart 2024, section 3."""
    count = len(columns)
    shapes = (count, FREQUENCIES), (count, FREQUENCIES), (count, FREQUENCIES, UNITS), (count, UNITS)
    (c, p, W, b), theta = taken(theta, *shapes)
    h = torch.cos(2 * math.pi * c * x[:, columns, None] + p)
    code = torch.stack([h[:, f] @ W[f] + b[f] for f in range(count)], dim=1)
    return torch.cat([x[:, others], x[:, columns], code.flatten(1)], dim=1), theta


def all_periodic(x, theta):
    return periodic(x, theta, [0, 1, 2, 3], [])


def some_phases(x, theta):
    return phases(x, theta, [2, 0], [1, 3])


def mixed(x, theta):
    """An embedding, and then codes of the two numeric columns, which it has put first."""
    x, theta = embedding(x, theta)
    return periodic(x, theta, [0, 1], [2, 3, 4])


def scaled(x, theta):
    """A dense layer of 3 units with a scale of each input: RealMLP's, with a factor of 6."""
    (W, b, u), theta = taken(theta, (4, 3), (1, 3), (1, 4))
    return torch.tanh((x * (1 + 6 * u)) @ W + b), theta


CASES = {each.__name__: each for each in (embedding, all_periodic, some_phases, mixed, scaled)}


def main():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 4))
    X[:, 1], X[:, 3] = rng.integers(0, 3, ROWS), rng.integers(0, 5, ROWS)
    Y = rng.normal(size=(ROWS, OUTPUTS))
    found = {}
    for name, layer in CASES.items():
        drawn = torch.from_numpy(rng.normal(size=300)).requires_grad_()
        a, rest = layer(torch.from_numpy(X), drawn)
        (W1, b1, W2, b2), rest = taken(
            rest, (a.shape[1], HIDDEN), (1, HIDDEN), (HIDDEN, OUTPUTS), (1, OUTPUTS)
        )
        y = torch.tanh(a @ W1 + b1) @ W2 + b2
        value = functional.mse_loss(y, torch.from_numpy(Y))
        value.backward()
        size = len(drawn) - len(rest)
        found[name] = {
            "theta": drawn.detach().numpy()[:size].tolist(),
            "value": value.item(),
            "gradient": drawn.grad.numpy()[:size].tolist(),
        }
    content = {"torch": torch.__version__, "X": X.tolist(), "Y": Y.tolist(), "cases": found}
    path = Path(__file__).with_name("layers.json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
