"""Trainings with known digests, to check that this machine computes the same bits as others.

Each case trains the compiled engine on synthetic data. ``verified.json`` holds the SHA-256 of each
case's parameters, losses and predictions, which is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np

import seedbed as sb
from seedbed.arrays import Array


def known() -> dict[str, str]:
    """Return the committed digest of each case."""
    text = files("seedbed").joinpath("verified.json").read_text(encoding="utf-8")
    digests: dict[str, str] = json.loads(text)
    return digests


def digest(name: str) -> str:
    """Run the case and return its digest."""
    hasher = hashlib.sha256()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # planned divergence, short trainings
        for part in CASES[name]():
            if isinstance(part, str):
                hasher.update(part.encode())
            else:
                array = np.ascontiguousarray(part)
                hasher.update(f"{array.dtype.name} {array.shape}".encode())
                hasher.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return hasher.hexdigest()


Parts = Iterator[Array | str]


def _numbers(rows: int, columns: int, shift: int = 0) -> Array:
    """Return multiples of 1/32 from -3 to 3, (rows, columns), exact in every dtype."""
    row, column = np.ogrid[:rows, :columns]
    return ((row * 37 + column * 101 + row * column * 7 + shift) % 193 - 96) / 32


def _parts(population: sb.Population) -> Parts:
    new = _numbers(37, population.network.inputs, 5)
    history = population.history
    yield population.theta
    yield population.loss
    yield " ".join(population.status)
    yield population.best_epoch
    yield history.train_loss
    if history.val_loss is not None:
        yield history.val_loss
    if history.ensemble_val_loss is not None:
        yield history.ensemble_val_loss
    yield population.outputs(new)
    yield population.predict(new)
    yield population.predict(new[:1])
    if not population.diverged.all():
        yield population.predict_mean(new)


def _trained(
    widths: tuple[int, ...], activations: Any, loss: sb.Loss, count: int, **options: Any
) -> Parts:
    """Train a network of ``widths`` on ``count`` synthetic rows."""
    init = options.pop("init", None)
    hidden = len(widths) - 2
    activations = activations if isinstance(activations, tuple) else (activations,) * hidden
    layers = [
        *(
            sb.Dense(width, f) if init is None else sb.Dense(width, f, init, init)
            for width, f in zip(widths[1:-1], activations, strict=True)
        ),
        sb.Dense(widths[-1]),
    ]
    x = _numbers(count, widths[0])
    t: Array = _numbers(count, widths[-1], 3)
    if loss.targets == "classes":
        t = np.arange(count) * 7 % 11 % widths[-1]
    elif loss.targets in ("count", "probability"):
        t = np.floor(np.abs(t)) if loss.targets == "count" else (t > 0) * 1.0
    network = sb.Network(widths[0], layers)
    population = sb.train(network, x, t, loss=loss, engine="compiled", progress=False, **options)
    yield from _parts(population)


def _layers() -> Parts:
    """Train every kind of layer, with category numbers in columns 1 and 3."""
    x = _numbers(40, 5)
    x[:, [1, 3]] = np.abs(np.floor(x[:, [1, 3]]))  # 0, 1, 2 or 3
    layers = [
        sb.Embedding([1, 3], [4, 4], [2, 5]),
        sb.Periodic(3, 5, scale=1.0, phases=True, columns=[2, 0, 5]),
        sb.Periodic(2, 9, columns=[0, 4]),
        sb.Dense(6, sb.tanh),
        sb.Dense(2),
    ]
    for members in (1, 18):
        population = sb.train(
            sb.Network(5, layers), x, _numbers(40, 2, 3), loss=sb.squared_error, epochs=12,
            optimizer=sb.AdamW(0.01), batch_size=16, dropout=0.1, seeds=range(members),
            engine="compiled", progress=False,
        )  # fmt: skip
        yield population.theta
        yield population.history.train_loss
        yield population.predict(x)
        yield population.predict(x[:1])


def _scaled_inputs() -> Parts:
    """Train layers that scale their inputs, members alone and in lanes, in both precisions."""
    x, t = _numbers(40, 5), _numbers(40, 2, 3)
    layers = [
        sb.Dense(19, sb.mish, input_scale=6.0),
        sb.Dense(5, sb.tanh, input_scale=0.5),
        sb.Dense(2, input_scale=1.0),
    ]
    cases: list[tuple[int, dict[str, Any]]] = [
        (1, {"dtype": "float32"}), (18, {"dtype": "float32"}), (11, {"dtype": "float64"})
    ]  # fmt: skip
    for members, settings in cases:
        population = sb.train(
            sb.Network(5, layers), x, t, loss=sb.squared_error, epochs=12, batch_size=16,
            optimizer=sb.AdamW(0.01), clip_norm=0.5, l2=0.01, seeds=range(members),
            engine="compiled", progress=False, **settings,
        )  # fmt: skip
        yield from _parts(population)


def _xor() -> Parts:
    X, Y = sb.xor.data()
    recipe = sb.xor.recipe(300)
    yield from _parts(
        sb.train(sb.Recipe(**{**vars(recipe), "engine": "compiled"}), X, Y, seeds=range(20))
    )


def _extreme_weights() -> Parts:
    """Train from weights so large that outputs overflow, and so small that they are subnormal."""
    network = sb.Network(2, [sb.Dense(3), sb.Dense(2)])
    for size in (2e38, 1e-39):
        start = np.zeros((1, network.size))
        for W in [view.W for view in network.views(start)]:
            W[:] = np.resize(np.array([1, -1, 0.5]) * size, W.shape)
        population = sb.train(
            network, np.zeros((4, 2)), np.zeros((4, 2)), loss=sb.squared_error, epochs=2,
            start=np.concatenate([start, -start]), seeds=range(2), optimizer=sb.Adam(1e-40),
            engine="compiled", progress=False,
        )  # fmt: skip
        yield from _parts(population)


def _estimator(name: str, kind: str) -> Callable[[], Parts]:
    def parts() -> Parts:
        from seedbed import estimators
        from seedbed.tables.saved import to_dict

        X: Array = _numbers(160, 5)
        y = X[:, 0] * X[:, 1] + np.abs(X[:, 2])
        row, column = np.ogrid[:160, :5]
        if kind == "missing":
            X = np.where((row * 5 + column) % 9 == 0, np.nan, X)
        elif kind == "mixed":
            words = np.array(["red", "green", "blue"], dtype=object)
            y = y + np.arange(160) % 3
            X = np.column_stack([X.astype(object), words[np.arange(160) % 3]])
        elif kind == "zeros":  # of both signs; some rows differ only in them
            X = np.round(X / 3) * np.where((row + column) % 2, 1, -1)
        train, new, weights = X[:120], X[120:], 1 + np.arange(120) % 3 / 4
        given: dict[str, Any] = {
            "members": 4,
            "max_iter": 12,
            "random_state": 0,
            "engine": "compiled",
        }
        if name == "NetworkRegressor":
            model = estimators.NetworkRegressor((24,), **given).fit(train, y[:120], weights)
            predict: Any = model.predict
        else:
            classes = np.digitize(y[:120], [0.0, 1.5])
            if kind == "zeros":
                given |= {"class_weight": "balanced", "warm_start": True}
            model = estimators.NetworkClassifier((24,), **given).fit(train, classes, weights)
            predict = model.predict_proba
            if kind == "zeros":
                yield predict(new)
                model.fit(train, classes)
        yield predict(new)
        yield from predict(new, return_std=True)
        if kind == "missing":  # new rows without missing values too
            yield predict(np.nan_to_num(new))
        yield json.dumps(to_dict(model.encoding_), sort_keys=True)
        yield model.population_.theta
        yield np.array(model.validation_curve_)

    return parts


def _case(*given: Any, **options: Any) -> Callable[[], Parts]:
    return lambda: _trained(*given, **options)


_FOLDS = [np.arange(member, 40, 4) for member in range(4)]

CASES: dict[str, Callable[[], Parts]] = {
    "XOR, 20 seeds, float64": _xor,
    "8-16-1, 40 members": _case(
        (8, 16, 1), sb.relu, sb.squared_error, 32, seeds=range(40), epochs=60
    ),
    "30-64-64-2, mini-batches, dropout": _case(
        (30, 64, 64, 2), sb.relu, sb.cross_entropy, 70, seeds=range(19), epochs=6, batch_size=16,
        optimizer=sb.AdamW(0.003), dropout=0.15, schedule=sb.coslog4, validation=0.25, patience=4,
    ),
    "70-410-66-1, one member": _case(
        (70, 410, 66, 1), sb.tanh, sb.squared_error, 65, epochs=3,
        optimizer=sb.SGD(0.001, momentum=0.9),
    ),
    "784-128-10, one member": _case((784, 128, 10), sb.relu, sb.cross_entropy, 64, epochs=3),
    "one row, one member, float64": _case(
        (3, 5, 2), sb.gelu, sb.huber(0.5), 1, epochs=40, clip_norm=0.1, dtype="float64"
    ),
    "elu, selu, leaky_relu": _case(
        (4, 7, 5, 3, 2), (sb.elu(), sb.selu, sb.leaky_relu()), sb.absolute_error, 23,
        seeds=range(5), epochs=30, schedule=sb.one_cycle(),
    ),
    "mish, silu, softsign, float64": _case(
        (4, 7, 5, 3, 2), (sb.mish, sb.silu, sb.softsign), sb.quantile(0.3), 23, seeds=range(5),
        epochs=30, schedule=sb.cosine(0.1, 0.01), dtype="float64",
    ),
    "softplus, sigmoid": _case(
        (4, 9, 6, 3), (sb.softplus, sb.sigmoid), sb.binary_cross_entropy.smoothed(0.1), 23,
        seeds=range(18), epochs=30, optimizer=sb.RMSprop(0.01), schedule=sb.step_decay(),
    ),
    "counts, Rprop": _case(
        (4, 9, 1), sb.tanh, sb.poisson, 23, seeds=range(17), epochs=30, optimizer=sb.Rprop(0.01)
    ),
    "orthogonal weights": _case(
        (9, 17, 8, 2), sb.tanh, sb.squared_error, 31, seeds=range(3), epochs=20, init=sb.orthogonal
    ),
    "normal weights, penalties, per-member learning rates": _case(
        (9, 17, 3), sb.tanh, sb.cross_entropy, 31, seeds=range(3), epochs=20, l1=0.001, l2=0.01,
        init=sb.standard_normal, optimizer=sb.SGD([0.1, 0.01, 0.3], momentum=0.9, nesterov=True),
    ),
    "per-member rows, row weights": _case(
        (5, 11, 3), sb.tanh, sb.cross_entropy, 40, seeds=range(4), epochs=20, batch_size=8,
        rows=[np.arange(member, 40) for member in range(4)],
        sample_weight=1 + np.arange(40) % 7 / 3,
    ),
    "early stopping by the ensemble": _case(
        (5, 11, 3), sb.mish, sb.cross_entropy, 40, seeds=range(4), epochs=30, batch_size=8,
        held_out=_FOLDS, monitor="ensemble", patience=5,
    ),
    "members that diverge": _case(
        (5, 11, 1), sb.relu, sb.squared_error, 40, seeds=range(20), epochs=30,
        optimizer=sb.SGD([0.01 if member % 3 else 1e6 for member in range(20)]),
    ),
    "extreme weights": _extreme_weights,
    "embedding and periodic layers": _layers,
    "scaled inputs": _scaled_inputs,
    "estimator, numbers": _estimator("NetworkClassifier", "numbers"),
    "estimator, numbers and categories": _estimator("NetworkRegressor", "mixed"),
    "estimator, missing values": _estimator("NetworkClassifier", "missing"),
    "estimator, signed zeros, class weights": _estimator("NetworkClassifier", "zeros"),
}  # fmt: skip
"""The trainings, by the name that ``seedbed verify`` prints."""
