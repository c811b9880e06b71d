"""Write torch.json: losses, gradients and optimizer steps as PyTorch computes them in float64.

Needs PyTorch, and NumPy for the inputs; not Seedbed, so that the two sides share no code. The
inputs stand in the file beside what came out, so the tests need neither PyTorch nor this script.

    python tests/core/golden/make_golden.py
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

INPUTS, HIDDEN, ROWS, MEMBERS, STEPS = 3, 5, 7, 3, 20

ACTIVATIONS = [
    ("identity", {}, lambda z: z),
    ("sigmoid", {}, torch.sigmoid),
    ("tanh", {}, torch.tanh),
    ("relu", {}, functional.relu),
    ("leaky_relu", {"slope": 0.1}, lambda z: functional.leaky_relu(z, 0.1)),
    ("elu", {"alpha": 1.0}, lambda z: functional.elu(z, 1.0)),
    ("elu", {"alpha": 0.7}, lambda z: functional.elu(z, 0.7)),
    ("selu", {}, functional.selu),
    ("gelu", {}, lambda z: functional.gelu(z, approximate="tanh")),
    ("silu", {}, functional.silu),
    ("mish", {}, functional.mish),
    ("softplus", {}, functional.softplus),
    ("softsign", {}, functional.softsign),
]


def quantile(y, t, q=0.3):
    return torch.max(q * (t - y), (1 - q) * (y - t)).mean()


def poisson(y, t):
    return functional.poisson_nll_loss(y, t, log_input=True, full=False)


def smoothed_binary(y, t, epsilon=0.2):
    t = (1 - epsilon) * t + epsilon / 2
    return functional.binary_cross_entropy_with_logits(y, t)


def smoothed_classes(y, t):
    return functional.cross_entropy(y, t, label_smoothing=0.1)


def huber(y, t):
    return functional.huber_loss(y, t, delta=0.8)


# name, options, smoothing, targets, what PyTorch computes
LOSSES = [
    ("squared_error", {}, 0, "number", functional.mse_loss),
    ("absolute_error", {}, 0, "number", functional.l1_loss),
    ("huber", {"delta": 0.8}, 0, "number", huber),
    ("quantile", {"q": 0.3}, 0, "number", quantile),
    ("poisson", {}, 0, "count", poisson),
    ("binary_cross_entropy", {}, 0, "label", functional.binary_cross_entropy_with_logits),
    ("binary_cross_entropy", {}, 0.2, "label", smoothed_binary),
    ("cross_entropy", {}, 0, "class", functional.cross_entropy),
    ("cross_entropy", {}, 0.1, "class", smoothed_classes),
    ("cross_entropy", {}, 0, "distribution", functional.cross_entropy),
    ("cross_entropy", {}, 0.1, "distribution", smoothed_classes),
]


def make_inputs():
    rng = np.random.default_rng(20)

    def starts(members, outputs, scale):
        size = (INPUTS + 1) * HIDDEN + (HIDDEN + 1) * outputs
        return scale * rng.standard_normal((members, size))

    theta = {str(outputs): starts(MEMBERS, outputs, 1.0) for outputs in (1, 3)}
    for rows in theta.values():
        # the last member's hidden pre-activations are exactly 0, where several functions have kinks
        rows[-1, : (INPUTS + 1) * HIDDEN] = 0
    targets = {}
    for outputs in (1, 3):
        shape = (ROWS, outputs)
        targets[f"number{outputs}"] = rng.standard_normal(shape)
        targets[f"count{outputs}"] = rng.poisson(2.0, shape)
        targets[f"label{outputs}"] = rng.permutation(np.arange(ROWS * outputs) % 2).reshape(shape)
    targets["class3"] = rng.permutation(np.arange(ROWS) % 3)
    targets["distribution3"] = rng.dirichlet(np.ones(3), ROWS)
    targets["training"] = rng.standard_normal((ROWS, 2))
    sample_weight = rng.uniform(0.2, 3.0, ROWS)
    sample_weight[2] = 0
    return {
        "X": rng.standard_normal((ROWS, INPUTS)),
        "sample_weight": sample_weight,
        "theta": theta,
        "start": starts(1, 2, 0.7)[0],
        "targets": targets,
    }


GIVEN = make_inputs()
X = torch.tensor(GIVEN["X"])


def target(name):
    t = torch.tensor(GIVEN["targets"][name])
    return t if name.startswith("class") else t.double()


def parameters(theta, outputs):
    """W1, b1, W2, b2 as leaves of their own: W (I, O) in row order, then b."""
    shapes = [(INPUTS, HIDDEN), (HIDDEN,), (HIDDEN, outputs), (outputs,)]
    pieces = torch.tensor(theta).split([math.prod(shape) for shape in shapes])
    return [
        piece.reshape(shape).clone().requires_grad_()
        for piece, shape in zip(pieces, shapes, strict=True)
    ]


def flat(tensors):
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def network(layers, activation):
    W1, b1, W2, b2 = layers
    z = X @ W1 + b1
    # torch takes softplus(z) = z above 20, which is a difference of 2e-9
    assert z.max() < 20
    assert z.min() < 0 < z.max() or not z.any()
    return activation(z) @ W2 + b2


def gradient_case(
    kind, name, outputs, *, hidden, loss, targets, smoothing=0, objective, **arguments
):
    """The objective and its gradient, for each member on its own."""
    activation, activation_options, activate = hidden
    t = target(f"{targets}{outputs}")
    values, gradients = [], []
    for theta in GIVEN["theta"][str(outputs)]:
        layers = parameters(theta, outputs)
        value = objective(network(layers, activate), t, layers)
        value.backward()
        values.append(value.item())
        gradients.append(flat([layer.grad for layer in layers]))
    return {
        "kind": kind,
        "name": f"{name} {outputs}",
        "outputs": outputs,
        "hidden": {"name": activation, "options": activation_options},
        "loss": {"name": loss[0], "options": loss[1]},
        "smoothing": smoothing,
        "targets": f"{targets}{outputs}",
        "arguments": arguments,
        "value": values,
        "gradient": torch.stack(gradients).numpy(),
    }


def gradient_cases():
    tanh = ACTIVATIONS[2]
    for hidden in ACTIVATIONS:
        for outputs in (1, 3):
            yield gradient_case(
                "activation",
                label(*hidden[:2]),
                outputs,
                hidden=hidden,
                loss=("squared_error", {}),
                targets="number",
                objective=lambda y, t, layers: functional.mse_loss(y, t),
            )
    for loss, options, smoothing, targets, f in LOSSES:
        if loss == "squared_error":
            continue  # tanh's case among the activations is this one
        for outputs in (1, 3):
            if f"{targets}{outputs}" not in GIVEN["targets"]:
                continue  # one class is no choice
            name = label(loss, options) + (f" smoothed {smoothing}" if smoothing else "")
            yield gradient_case(
                "loss",
                f"{name} {targets}",
                outputs,
                hidden=tanh,
                loss=(loss, options),
                smoothing=smoothing,
                targets=targets,
                objective=lambda y, t, layers, f=f: f(y, t),
            )
    w = torch.tensor(GIVEN["sample_weight"])

    def weighted_squares(y, t, layers):
        return (w * functional.mse_loss(y, t, reduction="none").mean(1)).sum() / w.sum()

    def weighted_entropy(y, t, layers):
        return (w * functional.cross_entropy(y, t, reduction="none")).sum() / w.sum()

    def penalized(y, t, layers, l1=0.01, l2=0.1):
        weights = torch.cat([layers[0].reshape(-1), layers[2].reshape(-1)])
        return functional.mse_loss(y, t) + l1 * weights.abs().sum() + 0.5 * l2 * (weights**2).sum()

    for kind, loss, targets, objective, arguments in (
        ("weighted", "squared_error", "number", weighted_squares, {}),
        ("weighted", "cross_entropy", "class", weighted_entropy, {}),
        ("penalized", "squared_error", "number", penalized, {"l1": 0.01, "l2": 0.1}),
    ):
        yield gradient_case(
            kind,
            f"{kind} {loss}",
            3,
            hidden=tanh,
            loss=(loss, {}),
            targets=targets,
            objective=objective,
            **arguments,
        )


def cosine(t, warmup=0.25):
    if t < warmup:
        return t / warmup
    return 0.5 * (1 + math.cos(math.pi * (t - warmup) / (1 - warmup)))


def training_case(name, optimizer, options, make, *, factor=None, clip_norm=None, **arguments):
    """``STEPS`` full-batch steps: the loss before each of them, and theta after the last."""
    layers = parameters(GIVEN["start"], 2)
    # decay in its own group: Seedbed's acts on weights, not on biases
    stepper = make([{"params": layers[::2]}, {"params": layers[1::2], "weight_decay": 0}])
    t, losses, clipped = target("training"), [], []
    for step in range(STEPS):
        stepper.zero_grad()
        loss = functional.mse_loss(network(layers, torch.tanh), t)
        loss.backward()
        losses.append(loss.item())
        if factor is not None:
            for group in stepper.param_groups:
                group["lr"] = options["lr"] * factor(step / STEPS)
        if clip_norm is not None:
            # torch's own clip_grad_norm_ adds 1e-6 to the norm
            norm = flat([layer.grad for layer in layers]).norm()
            clipped.append(bool(norm > clip_norm))
            for layer in layers:
                layer.grad *= min(1.0, clip_norm / norm)
        stepper.step()
    assert clip_norm is None or len(set(clipped)) == 2  # some steps are clipped and some not
    if clip_norm is not None:
        arguments["clip_norm"] = clip_norm
    return {
        "kind": "training",
        "name": name,
        "optimizer": {"name": optimizer, "options": options},
        **arguments,
        "train_loss": losses,
        "theta": flat(layers).numpy(),
    }


def training_cases():
    optim = torch.optim
    yield training_case("SGD", "SGD", {"lr": 0.1}, lambda p: optim.SGD(p, 0.1))
    yield training_case(
        "SGD momentum",
        "SGD",
        {"lr": 0.05, "momentum": 0.9},
        lambda p: optim.SGD(p, 0.05, momentum=0.9),
    )
    yield training_case(
        "SGD Nesterov",
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        lambda p: optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    )
    yield training_case(
        "RMSprop",
        "RMSprop",
        {"lr": 0.01, "rho": 0.99, "epsilon": 1e-8},
        lambda p: optim.RMSprop(p, 0.01, alpha=0.99, eps=1e-8),
    )
    yield training_case("Adam", "Adam", {"lr": 0.02}, lambda p: optim.Adam(p, 0.02))
    yield training_case(
        "AdamW",
        "AdamW",
        {"lr": 0.02, "weight_decay": 0.05},
        lambda p: optim.AdamW(p, 0.02, weight_decay=0.05),
    )
    yield training_case("Rprop", "Rprop", {"lr": 0.01}, lambda p: optim.Rprop(p, 0.01))
    yield training_case(
        "Adam clipped", "Adam", {"lr": 0.02}, lambda p: optim.Adam(p, 0.02), clip_norm=1.5
    )
    yield training_case(
        "SGD cosine",
        "SGD",
        {"lr": 0.2},
        lambda p: optim.SGD(p, 0.2),
        factor=cosine,
        schedule={"name": "cosine", "options": {"warmup": 0.25}},
    )


def label(name, options):
    return name + "".join(f" {value}" for value in options.values())


def main():
    def dump(value):  # json writes floats as repr does, so they come back as they were
        return json.dumps(value, default=lambda array: array.tolist(), allow_nan=False)

    cases = [*gradient_cases(), *training_cases()]
    lines = ",\n".join(dump(case) for case in cases)
    text = (
        f'{{"torch": {dump(torch.__version__)},\n"inputs": {dump(GIVEN)},\n'
        f'"cases": [\n{lines}\n]}}\n'
    )
    Path(__file__).with_name("torch.json").write_text(text)


if __name__ == "__main__":
    main()
