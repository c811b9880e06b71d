"""The compiled engine takes the same steps as NumPy's, with the same numbers up to rounding."""

import copy
import itertools
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed import planning, runs
from seedbed.engines import compiled as compiled_engine
from seedbed.engines import select
from seedbed.engines.compiled import kinds as compiled_kinds
from seedbed.engines.compiled import layout, prediction
from seedbed.engines.compiled import training as compiled_training
from seedbed.engines.state import State, Status, Stop

pytestmark = pytest.mark.usefixtures("compiled_float64")

ACTIVATIONS = [
    sb.elu(),
    sb.elu(0.5),
    sb.gelu,
    sb.identity,
    sb.leaky_relu(0.1),
    sb.mish,
    sb.relu,
    sb.selu,
    sb.sigmoid,
    sb.silu,
    sb.softplus,
    sb.softsign,
    sb.tanh,
]
LOSSES = [
    sb.absolute_error,
    sb.binary_cross_entropy,
    sb.cross_entropy,
    sb.huber(0.5),
    sb.poisson,
    sb.quantile(0.3),
    sb.squared_error,
]
OPTIMIZERS = [
    sb.SGD(0.01),
    sb.SGD(0.01, momentum=0.9),
    sb.SGD(0.01, momentum=0.9, nesterov=True),
    sb.RMSprop(0.01),
    sb.Adam(0.01),
    sb.AdamW(0.01, weight_decay=0.1),
    sb.Rprop(0.01),
]
RNG = np.random.default_rng(7)
N = 23
X = RNG.normal(size=(N, 5))
TABLE = np.column_stack([X[:, :4], np.arange(N) % 4])  # with a category in column 4
TARGETS = {
    "number": RNG.normal(size=(N, 3)),
    "count": RNG.poisson(2.0, size=(N, 3)).astype(float),
    "probability": RNG.integers(0, 2, size=(N, 3)).astype(float),
    "classes": RNG.integers(0, 3, size=N),
}
WEIGHTS = RNG.uniform(0.1, 2.0, size=N)
MEMBERS = 3
ROWS = [RNG.integers(0, N, size=n) for n in (17, 19, 17)]
LAYERS = {
    "embedding": [sb.Embedding([4], [4], 3)],
    "periodic": [sb.Periodic(3, 5)],
    "phases": [sb.Periodic(2, 9, scale=1.0, phases=True, columns=[2, 0])],
    "mixed": [sb.Embedding([4], [4], 2), sb.Periodic(2, 3, columns=[1, 5])],
    "scaled": [sb.Dense(19, sb.tanh, input_scale=6.0)],
    "scaled behind another": [sb.Periodic(2, 3), sb.Dense(5, sb.mish, input_scale=0.5)],
    "behind a dense layer": [sb.Dense(4, sb.tanh), sb.Periodic(3, 4, phases=True, columns=[3, 0])],
}
EXTRAS = [
    {},
    {"batch_size": 5},
    {"dropout": 0.2},
    {"dropout": 0.3, "batch_size": 11, "sample_weight": WEIGHTS},
    {"rows": ROWS},
    {"rows": ROWS, "batch_size": 7, "sample_weight": WEIGHTS},
    {"l1": 0.01, "l2": 0.1, "clip_norm": 0.5},
    {"clip_norm": [0.1, 1.0, 10.0], "schedule": sb.cosine(0.1), "batch_size": 9},
]


def network(activation, widths=(5, 6, 4, 3)):
    return sb.Network(
        widths[0], [*(sb.Dense(u, activation) for u in widths[1:-1]), sb.Dense(widths[-1])]
    )


def epochs_of_10_steps(extra):
    """Return the epochs that make 10 steps, at least 2."""
    rows = 17 if "rows" in extra else N
    return -(-10 // -(-rows // extra.get("batch_size", rows)))


def difference(a, b):
    """Return the largest relative difference of a member's theta."""
    return (np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max()


COMBINATIONS = list(itertools.product(ACTIVATIONS, LOSSES, OPTIMIZERS))


def test_every_combination_is_compared():
    assert len(COMBINATIONS) == 13 * 7 * 7 == 637
    names = {unit.name for unit in ACTIVATIONS}
    assert names == set(sb.formulas.activations.BY_NAME)
    assert {loss.name for loss in LOSSES} == set(sb.formulas.losses.BY_NAME)
    assert {type(o).__name__ for o in OPTIMIZERS} == set(sb.formulas.optimizers.BY_NAME)
    assert len({repr(e) for e in EXTRAS}) == 8


@pytest.mark.kernels
@pytest.mark.parametrize(
    "optimizer", OPTIMIZERS, ids=lambda o: f"{type(o).__name__}{o.hyperparameters}"
)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda unit: unit.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_training_matches_numpy(loss, optimizer, dtype, tolerance):
    """10 steps with every activation, and one of the other options in turn."""
    for number, activation in enumerate(ACTIVATIONS):
        place = number + LOSSES.index(loss) + OPTIMIZERS.index(optimizer)
        extra = dict(EXTRAS[place % len(EXTRAS)])
        if isinstance(optimizer, sb.Rprop):
            extra.pop("schedule", None)
            # Rprop uses signs alone: slopes of equal size, as an absolute error has, may cancel up
            # to rounding, which would then decide the sign
            extra["sample_weight"] = WEIGHTS
        method = {
            "loss": loss,
            "optimizer": optimizer,
            "epochs": epochs_of_10_steps(extra),
            "seeds": range(MEMBERS),
            "dtype": dtype,
            **extra,
        }
        targets = TARGETS[loss.targets]
        both = [
            sb.train(network(activation), X, targets, engine=engine, **method)
            for engine in ("numpy", "compiled")
        ]
        np.testing.assert_array_equal(both[0].status, "finished")
        assert difference(both[1].theta, both[0].theta) <= tolerance, (activation, extra)
        for name in ("loss", "history"):
            a, b = (getattr(p, name) for p in both)
            if name == "history":
                a, b = a.train_loss, b.train_loss
            np.testing.assert_allclose(b, a, rtol=20 * tolerance, atol=20 * tolerance)


@pytest.mark.kernels
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_every_layer_matches_numpy(name, dtype, tolerance):
    layers = sb.Network(5, [*LAYERS[name], sb.Dense(6, sb.tanh), sb.Dense(3)])
    for extra in EXTRAS:
        a, b = (
            sb.train(
                layers, TABLE, TARGETS["number"], loss=sb.squared_error, seeds=range(MEMBERS),
                epochs=epochs_of_10_steps(extra), dtype=dtype, engine=engine,
                optimizer=sb.AdamW(0.01, weight_decay=0.1), **extra,
            )
            for engine in ("numpy", "compiled")
        )  # fmt: skip
        assert difference(b.theta, a.theta) <= tolerance, extra
        np.testing.assert_allclose(b.loss, a.loss, rtol=tolerance)
        whole = b.predict(TABLE)
        np.testing.assert_allclose(whole, a.predict(TABLE), rtol=0, atol=20 * tolerance)
        for row in range(0, N, 5):  # one row, by SmallBatchPredictor
            np.testing.assert_array_equal(b.predict(TABLE[row : row + 1])[:, 0], whole[:, row])


def test_every_kind_of_layer_is_compiled():
    kinds = set(sb.layers.BY_NAME.values())
    assert {type(layer) for layers in LAYERS.values() for layer in layers} == kinds
    assert set(compiled_engine.LAYERS) == {sb.Dense, *compiled_kinds.MODULES} == kinds


@pytest.mark.parametrize("name", LAYERS)
def test_layers_have_the_same_bits_in_pieces_of_rows(name, monkeypatch):
    layers = sb.Network(5, [*LAYERS[name], sb.Dense(3)])
    found = []
    for rows in (N, 7):
        monkeypatch.setattr(compiled_training, "piece_rows", lambda *_, rows=rows: rows)
        plan, theta = plan_of(20, x=TABLE, network=layers)
        state, final = carried_out(plan, theta)
        found.append((state.theta, final))
    for whole, pieces in zip(*found, strict=True):
        np.testing.assert_array_equal(whole, pieces)


def plan_of(members, *, x=X, seeds=None, rows=None, weights=None, held=None, **method):
    recipe = sb.Recipe(**{"loss": sb.squared_error, "epochs": 6, "dtype": "float32", **method})
    targets = TARGETS[recipe.loss.targets]
    seeds = range(members) if seeds is None else seeds
    plan = planning.make_plan(recipe, x, targets, seeds, held, weights, rows, 1)
    return plan, recipe.network.init(plan.seeds, recipe.dtype)


def carried_out(plan, theta, threads=1, min_shared=None, group_lanes=None, spans=(6,)):
    """Return the state after all epochs, a span of them in each call, and the final losses."""
    state, epoch = State.at_start(plan, theta.copy()), 0
    engine = compiled_training.Training(
        plan, threads, min_shared=min_shared, group_lanes=group_lanes
    )
    for span in itertools.cycle(spans):
        stop = min(epoch + span, plan.epochs)
        engine.run(state, range(epoch, stop), Stop())
        epoch = stop
        if epoch == plan.epochs:
            runs.end(plan, state)
            return state, engine.losses(state.theta, np.arange(len(theta)))
    raise AssertionError


FIELDS = ("theta", "status", "epochs_run", "best_loss", "best_epoch", "train_loss")


@pytest.mark.kernels
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_member_is_the_same_alone_or_in_company(data):
    """Bit for bit, for any other members, order, threads and layout."""
    draw = data.draw
    members = draw(st.sampled_from([2, 3, 5, 16, 17, 33]))
    loss = draw(st.sampled_from(LOSSES))
    activation = draw(st.sampled_from([sb.relu, sb.tanh, sb.sigmoid, sb.identity]))
    widths = (5, *draw(st.lists(st.integers(1, 20), max_size=4)), 3)
    first = LAYERS[draw(st.sampled_from([*LAYERS]))] if draw(st.booleans()) else []
    optimizer = draw(st.sampled_from(OPTIMIZERS))
    seeds = draw(st.permutations(range(members)))
    extra = {}
    if draw(st.booleans()):
        extra["batch_size"] = draw(st.integers(3, N))
    if draw(st.booleans()):
        extra["dropout"] = 0.25
    if draw(st.booleans()):
        extra["clip_norm"] = 0.5
    if draw(st.booleans()):
        extra["l2"] = 0.01
    if not isinstance(optimizer, sb.Rprop):
        extra["schedule"] = draw(
            st.sampled_from([sb.constant, sb.cosine(0.2), sb.one_cycle(), sb.step_decay()])
        )
    rows = weights = None
    if draw(st.booleans()):
        fewer = draw(st.sampled_from([0, 1, 9]))
        rows = [np.random.default_rng(s).permutation(N)[: 17 - s % 2 * fewer] for s in seeds]
    if draw(st.booleans()):
        weights = WEIGHTS
    if draw(st.booleans()):
        extra["validation"] = 0.25
        if draw(st.booleans()):
            extra["patience"] = 2
    dtype = draw(st.sampled_from(["float32", "float64"]))
    rates = np.full(members, float(optimizer.lr))
    diverging = draw(st.integers(0, members)) if isinstance(optimizer, sb.SGD) else members
    if diverging < members:
        rates[diverging] = 1e30
        optimizer = type(optimizer)(
            tuple(rates), momentum=optimizer.momentum, nesterov=optimizer.nesterov
        )
    layers = sb.Network(5, [*first, *network(activation, widths).layers])
    method = {"network": layers, "loss": loss, "dtype": dtype, **extra}
    plan, theta = plan_of(
        members, x=TABLE, seeds=seeds, rows=rows, weights=weights, optimizer=optimizer, **method
    )
    W = layout.lanes_per_vector(dtype)
    state, final = carried_out(
        plan,
        theta,
        threads=draw(st.sampled_from([1, 2])),
        min_shared=draw(st.sampled_from([0, None, W + 1])),
        group_lanes=draw(st.sampled_from([None, W, 2 * W, 3 * W])),
        spans=draw(st.sampled_from([(6,), (1,), (2, 1), (4, 3)])),
    )
    member = draw(st.integers(0, members - 1))
    own = optimizer
    if diverging < members:
        own = type(optimizer)(
            rates[member], momentum=optimizer.momentum, nesterov=optimizer.nesterov
        )
    plan, theta = plan_of(
        1,
        x=TABLE,
        seeds=[seeds[member]],
        rows=None if rows is None else [rows[member]],
        weights=weights,
        optimizer=own,
        **method,
    )
    alone, alone_final = carried_out(plan, theta, min_shared=draw(st.sampled_from([0, W + 1])))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(alone, name)[0], getattr(state, name)[member], name)
    for name in ("best", "val_loss"):
        if getattr(alone, name) is not None:
            np.testing.assert_array_equal(getattr(alone, name)[0], getattr(state, name)[member])
    if alone.status[0] == Status.FINISHED:  # after an early end these are no result
        for one, all_ in zip(
            [alone.before, *alone.optimizer_state],
            [state.before, *state.optimizer_state],
            strict=True,
        ):
            np.testing.assert_array_equal(one[0], all_[member])
    np.testing.assert_array_equal(alone_final[0], final[member])


def test_a_small_network_s_group_is_several_vectors_wide():
    small, large = network(sb.relu, (3, 4, 1)), network(sb.relu, (30, 64, 1))
    W = layout.lanes_per_vector("float32")
    assert layout.lanes_per_group(small, "float32", 4) == 4 * W
    assert layout.lanes_per_group(small, "float32", 4000) == W
    assert layout.lanes_per_group(large, "float32", 4) == W


@pytest.mark.parametrize("min_shared", [0, 17], ids=["lanes", "alone"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_divergence_is_found_when_numpy_finds_it(dtype, min_shared, monkeypatch):
    monkeypatch.setattr(compiled_training, "min_for_lanes", lambda *_: min_shared)
    rates = [0.01, 1e3, 0.02, 1e10, 1e30, 0.0, 1e5]
    given = {
        "loss": sb.squared_error,
        "optimizer": sb.SGD(rates),
        "epochs": 40,
        "seeds": range(7),
        "dtype": dtype,
        "batch_size": 10,
    }
    for extra in ({}, {"validation": 0.3}, {"validation": 0.3, "patience": 3}):
        with pytest.warns(sb.DivergenceWarning):
            a, b = (
                sb.train(network(sb.relu), X, TARGETS["number"], engine=e, **given, **extra)
                for e in ("numpy", "compiled")
            )
        assert 2 <= a.diverged.sum() < 7
        np.testing.assert_array_equal(a.status, b.status)
        np.testing.assert_array_equal(a.epochs, b.epochs)
        np.testing.assert_array_equal(a.best_epoch, b.best_epoch)
        sound = ~a.diverged
        assert difference(b.theta[sound], a.theta[sound]) < (1e-4 if dtype == "float32" else 1e-9)
        assert np.isfinite(b.theta).all()
        np.testing.assert_array_equal(np.isnan(a.loss), np.isnan(b.loss))
        np.testing.assert_array_equal(
            np.isnan(a.history.train_loss), np.isnan(b.history.train_loss)
        )


def test_patience_restores_the_same_epoch():
    given = {
        "loss": sb.cross_entropy,
        "optimizer": sb.Adam(0.005),
        "epochs": 60,
        "seeds": range(20),
        "validation": 0.3,
        "patience": 4,
        "dtype": "float64",
        "batch_size": 8,
    }
    a, b = (
        sb.train(network(sb.tanh), X, TARGETS["classes"], engine=e, **given)
        for e in ("numpy", "compiled")
    )
    assert {"stopped"} <= set(a.status)
    assert len(set(a.best_epoch)) > 3
    np.testing.assert_array_equal(a.best_epoch, b.best_epoch)
    np.testing.assert_array_equal(a.epochs, b.epochs)
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(b.history.val_loss, a.history.val_loss, rtol=1e-8)


def test_start_record_every_and_validation_data():
    net = network(sb.tanh)
    given = {
        "loss": sb.huber(0.5),
        "epochs": 11,
        "seeds": range(18),
        "record_every": 4,
        "start": net.init(range(100, 118)),
        "validation": (X[:9], TARGETS["number"][:9], WEIGHTS[:9]),
        "dtype": "float64",
    }
    a, b = (sb.train(net, X, TARGETS["number"], engine=e, **given) for e in ("numpy", "compiled"))
    assert b.history.train_loss.shape == (18, 3)
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b.history.train_loss, a.history.train_loss, rtol=1e-9)
    np.testing.assert_allclose(b.history.val_loss, a.history.val_loss, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("min_shared", [0, 17], ids=["lanes", "alone"])
def test_subnormal_numbers_become_0_in_kernels_alone(dtype, min_shared):
    """The moments of a dead unit shrink; arithmetic on subnormal numbers would be slow."""
    dead = sb.Activation("dead", lambda z: 0.0 * z, lambda z, a: 0.0 * z)
    tiny = np.finfo(dtype).tiny
    method = {"optimizer": sb.Adam(0.01, beta1=0.6, beta2=0.6), "epochs": 60, "dtype": dtype}
    plan, theta = plan_of(20, network=network(dead), **method)
    state = State.at_start(plan, theta)
    for slot in state.optimizer_state:
        slot[:] = 9 * tiny
    compiled_training.Training(plan, 1, min_shared=min_shared).run(state, range(60), Stop())
    for slot in state.optimizer_state:
        assert (slot == 0).sum() > slot.size / 2
        assert ((slot == 0) | (np.abs(slot) >= tiny)).all()
    population = sb.train(
        plan.network, X, TARGETS["number"], loss=sb.huber(), epochs=2, engine="compiled"
    )
    population.predict(X[:1])
    assert np.array(tiny, dtype) / 2 > 0  # outside of kernels they stay


@pytest.mark.kernels
@pytest.mark.parametrize("rows", [63, 64, 65, 130])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_wide_layers_match_numpy(rows, dtype):
    """Products of 64 rows and more are packed."""
    rng = np.random.default_rng(rows)
    x = rng.normal(size=(rows, 70))
    given = {"loss": sb.squared_error, "optimizer": sb.SGD(0.001), "epochs": 3, "dtype": dtype}
    a, b = (
        sb.train(network(sb.tanh, (70, 410, 66, 1)), x, x[:, :1], engine=e, **given)
        for e in ("numpy", "compiled")
    )
    assert difference(b.theta, a.theta) < (1e-6 if dtype == "float32" else 1e-13)


def test_wide_layers_are_the_same_alone_and_in_company():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(65, 70))
    given = {"loss": sb.squared_error, "epochs": 2, "engine": "compiled"}
    net = network(sb.tanh, (70, 410, 66, 1))
    alone = sb.train(net, x, x[:, :1], seeds=[0], rows=[range(64)], **given)
    company = sb.train(net, x, x[:, :1], seeds=[0, 1], rows=[range(64), range(65)], **given)
    np.testing.assert_array_equal(alone.theta[0], company.theta[0])


@pytest.mark.parametrize("made", [np.asfortranarray, lambda s: np.broadcast_to(s[0], s.shape)])
def test_a_start_in_any_order_is_trained(made):
    net = network(sb.tanh)
    start = made(net.init(range(5), "float64"))
    given = {"loss": sb.squared_error, "epochs": 9, "seeds": range(5), "dtype": "float64"}
    a, b = (
        sb.train(net, X, TARGETS["number"], start=start, engine=e, **given)
        for e in ("numpy", "compiled")
    )
    assert (b.theta != start).any(axis=1).all()
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)


def test_gradients_whose_norm_overflows_are_clipped():
    given = {
        "loss": sb.squared_error,
        "optimizer": sb.SGD(0.1),
        "epochs": 3,
        "seeds": range(3),
        "clip_norm": 1.0,
    }
    far = TARGETS["number"] * 1e18  # float32 does not hold the gradient's squares
    a, b = (
        sb.train(network(sb.identity), X * 1e3, far, engine=e, **given)
        for e in ("numpy", "compiled")
    )
    assert difference(b.theta, a.theta) < 1e-5


@pytest.mark.kernels
def test_no_number_depends_on_the_pieces_of_a_batch(monkeypatch):
    """Pieces of 16 rows, and one piece."""
    given = {"network": network(sb.tanh), "optimizer": sb.Adam(), "dropout": 0.1, "clip_norm": 1.0}
    plan, theta = plan_of(20, weights=WEIGHTS, **given)
    whole, final = carried_out(plan, theta)
    monkeypatch.setattr(compiled_training, "piece_rows", lambda *_: 16)
    pieces, final_of_pieces = carried_out(plan, theta)
    np.testing.assert_array_equal(whole.theta, pieces.theta)
    np.testing.assert_array_equal(whole.train_loss, pieces.train_loss)
    np.testing.assert_array_equal(final, final_of_pieces)


@pytest.mark.kernels
@pytest.mark.parametrize("shape", [(1, 1), (40, 7), (3, 200)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs_match_numpy(shape, dtype, monkeypatch):
    members, rows = shape
    net, x = network(sb.silu), np.resize(X, (rows, 5)).astype(dtype)
    theta = net.init(range(members), dtype)
    monkeypatch.setattr(prediction, "piece_rows", lambda *_: 48)
    result = np.empty((members, rows, 3), dtype)
    loss = sb.cross_entropy
    outputs = prediction.Outputs(net, loss, np.dtype(dtype))
    outputs(theta, x, "outputs", result, threads=2)
    by_numpy = select.NUMPY.outputs(net, loss, theta, x, "outputs")
    np.testing.assert_allclose(result, by_numpy, rtol=1e-5, atol=1e-6)
    small = prediction.SmallBatchPredictor(net, loss, theta[:1])
    np.testing.assert_array_equal(small(x[:16], "outputs"), result[:1, :16])
    normalised = np.empty_like(result)
    outputs(theta, x, "normalised", normalised, threads=1)
    np.testing.assert_array_equal(small(x[:16], "normalised"), normalised[:1, :16])
    p = select.COMPILED.outputs(net, loss, theta, x, "predictions")
    np.testing.assert_array_equal(small(x[:16], "predictions"), p[:1, :16])
    np.testing.assert_allclose(p, loss.predict(normalised), rtol=1e-6)
    np.testing.assert_allclose(normalised, loss.normalised(result), rtol=1e-5, atol=1e-6)


def test_predictions_follow_theta_and_mark_the_diverged():
    population = sb.train(
        network(sb.tanh), X, TARGETS["classes"], loss=sb.cross_entropy, epochs=2, engine="compiled"
    )
    for rows in (X[:1], X):
        p = population.predict(rows)
        np.testing.assert_allclose(p.sum(axis=2), 1, rtol=1e-5)
        np.testing.assert_allclose(
            p, np.exp(sb.cross_entropy.normalised(population.outputs(rows))), rtol=1e-5
        )
    population.theta[:] = 0
    np.testing.assert_allclose(population.predict(X[:1]), 1 / 3, rtol=1e-6)
    with pytest.warns(sb.DivergenceWarning):
        lost = sb.train(
            network(sb.identity),
            X,
            TARGETS["number"],
            loss=sb.squared_error,
            optimizer=sb.SGD(1e20),
            engine="compiled",
        )
    assert np.isnan(lost.predict(X[:1])).all()


def test_nan_has_the_same_bits_everywhere():
    """Processors differ in the sign of the NaN of inf - inf."""
    net = sb.Network(2, [sb.Dense(3), sb.Dense(2)])
    start = np.zeros((1, net.size))
    for W, _ in net.views(start):
        W[:] = np.resize([2e38, -2e38, 1e38], W.shape)
    population = sb.train(
        net, np.zeros((4, 2)), np.zeros((4, 2)), loss=sb.squared_error, epochs=0, start=start,
        engine="compiled",
    )  # fmt: skip
    assert population.status == ["finished"]
    x = np.array([[1, 1], [2, 3]])
    for y in (population.outputs(x), population.predict(x), population.predict(x[:1])):
        lost = y[np.isnan(y)]
        assert lost.size
        assert (lost.view(np.uint32) == np.float32(np.nan).view(np.uint32)).all()


def test_a_loss_whose_module_has_changed_is_compiled_again():
    """Formulas are known by their digest, not by the function's identity."""
    module = {"scale": 2.0}
    exec("def predict(y):\n    return scale * y", module)
    scaled = replace(sb.squared_error, name="scaled", predict=module["predict"], surrogate=True)
    for scale in (2.0, 5.0):
        module["scale"] = scale
        evaluate = select.COMPILED.elementwise(scaled.predict)
        np.testing.assert_array_equal(evaluate(np.ones(3, "float32")), np.full(3, scale))


def test_copies_predict_from_their_own_theta():
    population = sb.train(
        network(sb.tanh), X, TARGETS["number"], loss=sb.huber(), epochs=2, engine="compiled"
    )
    before = population.predict(X[:1])
    for copied in (copy.copy(population), copy.deepcopy(population), population[0]):
        np.testing.assert_array_equal(copied.predict(X[:1]), before)
    copied = copy.deepcopy(population)
    copied.theta[:] = 0
    assert (copied.predict(X[:1]) != before).any()
    np.testing.assert_array_equal(population.predict(X[:1]), before)


def test_pickled_populations_predict_in_another_process():
    population = sb.train(
        network(sb.tanh), X, TARGETS["classes"], loss=sb.cross_entropy, epochs=2, engine="compiled"
    )
    expected = population.predict(np.ones((1, 5)))
    script = """if True:
        import pickle, sys
        print(pickle.load(sys.stdin.buffer).predict([[1] * 5]).tolist())
    """
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(population),
        capture_output=True,
        check=True,
    )
    np.testing.assert_array_equal(np.float32(json.loads(elsewhere.stdout)), expected)


def test_read_only_arrays_are_accepted():
    x, y = X.astype("float32"), TARGETS["number"].astype("float32")
    x.flags.writeable = y.flags.writeable = False
    given = {"loss": sb.squared_error, "epochs": 2, "engine": "compiled"}
    a = sb.train(network(sb.relu), x, y, **given)
    b = sb.train(network(sb.relu), x.copy(), y.copy(), **given)
    np.testing.assert_array_equal(a.theta, b.theta)
    np.testing.assert_array_equal(a.predict(x[:1]), b.predict(x.copy()[:1]))


# ---------------------------------------------------------------- user-defined formulas


def _swish3(z):
    return z / (1 + np.exp(-3 * z))


def _swish3_d(z, a):
    s = 1 / (1 + np.exp(-3 * z))
    return s + 3 * a * (1 - s)


def test_a_user_defined_formula_is_compiled():
    mine = sb.Activation("swish3", _swish3, _swish3_d)
    given = {"loss": sb.squared_error, "epochs": 20, "dtype": "float64", "seeds": range(3)}
    a, b = (
        sb.train(network(mine), X, TARGETS["number"], engine=e, **given)
        for e in ("numpy", "compiled")
    )
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("library", ["Python", "NumPy"])
def test_constants_and_absolute_values(library):
    if library == "Python":
        f, df = (lambda z: abs(z) * math.pi), (lambda z, a: math.pi * np.sign(z))
    else:
        f, df = (lambda z: np.abs(z) * np.pi), (lambda z, a: np.pi * np.sign(z))
    given = {"loss": sb.squared_error, "optimizer": sb.SGD(1e-3), "epochs": 3, "dtype": "float64"}
    a, b = (
        sb.train(network(sb.Activation("v", f, df)), X, TARGETS["number"], engine=e, **given)
        for e in ("numpy", "compiled")
    )
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)


def _endless(z):
    return _endless(z)


def test_a_formula_that_calls_itself_is_refused():
    unit = sb.Activation("endless", _endless, lambda z, a: z, surrogate=True)
    with pytest.raises(sb.FormulaError, match="_endless calls itself"):
        sb.train(network(unit), X, TARGETS["number"], loss=sb.squared_error, engine="compiled")


def test_two_formulas_of_one_name_are_two():
    given = {"loss": sb.squared_error, "epochs": 5, "engine": "compiled", "dtype": "float64"}
    slopes = [
        sb.train(network(sb.leaky_relu(slope)), X, TARGETS["number"], **given).theta
        for slope in (0.1, 0.2)
    ]
    assert (slopes[0] != slopes[1]).any()
    doubled = sb.Activation("relu", lambda z: 2 * np.maximum(z, 0), lambda z, a: 2.0 * (z > 0))
    a, b = (
        sb.train(network(unit), X, TARGETS["number"], **given).theta for unit in (doubled, sb.relu)
    )
    assert (a != b).any()


def test_a_formula_that_cannot_be_compiled_is_named_and_auto_takes_numpy(monkeypatch):
    sine = sb.Activation("sine", lambda z: np.sin(z), lambda z, a: np.cos(z))
    given = {"loss": sb.squared_error, "epochs": 2}
    with pytest.raises(sb.FormulaError, match=r"cannot compile the activation sine.*numpy"):
        sb.train(network(sine), X, TARGETS["number"], engine="compiled", **given)
    monkeypatch.setattr(compiled_engine, "START_UP_SECONDS", 0.0)
    by_auto = sb.train(network(sine), X, TARGETS["number"], **given)
    by_numpy = sb.train(network(sine), X, TARGETS["number"], engine="numpy", **given)
    assert by_auto.recipe.engine == "numpy"
    np.testing.assert_array_equal(by_auto.theta, by_numpy.theta)
    np.testing.assert_array_equal(by_auto.predict(X[:1]), by_numpy.predict(X[:1]))
    np.testing.assert_array_equal(by_auto.predict(X), by_numpy.predict(X))


def _squares(exponent):
    def f(z):
        return z**exponent

    def df(z, a):
        return exponent * z ** (exponent - 1)

    return sb.Activation("squares", f, df)


@pytest.mark.parametrize("exponent", [2, 3, 2.0])
def test_powers_of_negative_numbers(exponent):
    given = {"loss": sb.squared_error, "epochs": 3, "dtype": "float64", "optimizer": sb.SGD(1e-4)}
    a, b = (
        sb.train(
            network(_squares(exponent), (5, 4, 3)), 0.3 * X, TARGETS["number"], engine=e, **given
        )
        for e in ("numpy", "compiled")
    )
    np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)


SLOPE = 1.0


def _sloped(z):
    return SLOPE * z


def _sloped_d(z, a):
    return SLOPE * np.ones_like(z)


def test_a_formula_s_module_may_change(monkeypatch):
    unit = sb.Activation("sloped", _sloped, _sloped_d)
    given = {"loss": sb.squared_error, "epochs": 2, "dtype": "float64"}
    for slope in (1.0, 2.0, 1.0):
        monkeypatch.setitem(globals(), "SLOPE", slope)
        a, b = (
            sb.train(network(unit), X, TARGETS["number"], engine=e, **given)
            for e in ("numpy", "compiled")
        )
        np.testing.assert_allclose(b.theta, a.theta, rtol=1e-9, atol=1e-12)


def values(f, *engines):
    """Return f of a few numbers by each engine."""
    unit = sb.Activation("mine", f, lambda z, a: np.ones_like(z), surrogate=True)
    net = sb.Network(1, [sb.Dense(1, unit)])
    x = np.array([[-2.0], [-0.5], [1 / 3], [0.9], [3.0]])
    theta = np.array([[1.0, 0.0]])
    return [
        select.ENGINES[e].outputs(net, sb.squared_error, theta, x, "outputs")[0, :, 0]
        for e in engines
    ]


def _single(z):
    return 1.0 * z


def _tenfold(z):
    return 10.0 * z


def _three(p, q, r):
    return lambda z: p(z) + 2 * q(z) + 3 * r(z)


def _named_ab(z, a, b):
    return a - b * z


def _named_ba(z, b, a):
    return b - a * z


def _calling(g):
    return lambda z: g(z, a=1.0, b=2.0)


def _whole(n):
    return lambda z: z * n**-1


FORMULAS = {
    "callees in one order": _three(_single, _tenfold, _single),
    "callees in another order": _three(_single, _single, _tenfold),
    "names in one order": _calling(_named_ab),
    "names in the other order": _calling(_named_ba),
    "a whole number's power": _whole(4),
    "a large whole number": lambda z: z * 2**70,
    "a larger power": lambda z, ten=10: z * ten**20,
    "either of two conditions": lambda z: z * ((z > -1) + (z < 1)),
    "both conditions": lambda z: z * ((z > -1) * (z < 1)),
    "conditions with & and |": lambda z: z * ((z > -1) & (z < 1)) + z * ((z < -1) | (z > 2)),
    "conditions as numbers": lambda z: 1 + 2 * (z > 0) - (z > 0.5),
    "powers": lambda z: z**2 + z**3 - z**4 + z**0 + z**5,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_have_the_same_values_in_both_engines(name):
    a, b = values(FORMULAS[name], "numpy", "compiled")
    np.testing.assert_allclose(b, a, rtol=1e-12)


def _raising(z):
    if len(FORMULAS) > 3:
        raise ValueError
    return z


def _importing(z):
    import numpy as n

    return n.tanh(z)


REFUSED = {
    "raises errors": _raising,
    "imports": _importing,
    "keyword-only": lambda z, *, k=1.0: z * k,
    "uses np.clip": lambda z: np.clip(z, 0, 1),
    "no number": lambda z, g=X: z * g[0],
    "compile": lambda z: (z > 0) - (z < 0),
    "compile the": lambda z: z if z > 0 else 0 * z,
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_formula_with_another_meaning_once_compiled_is_refused(why):
    with pytest.raises(sb.FormulaError, match=why):
        values(REFUSED[why], "compiled")


def test_a_value_that_a_digest_does_not_cover_is_refused():
    table = np.arange(3.0)
    unit = sb.Activation("table", lambda z: z * table[0], lambda z, a: z, surrogate=True)
    with pytest.raises(sb.FormulaError, match="uses table, which is no number"):
        sb.train(network(unit), X, TARGETS["number"], loss=sb.squared_error, engine="compiled")


def test_predictions_are_the_same_alone_and_in_company():
    for loss in LOSSES:
        population = sb.train(
            network(sb.tanh),
            X,
            TARGETS[loss.targets],
            loss=loss,
            epochs=2,
            seeds=range(20),
            engine="compiled",
        )
        assert population.recipe.engine == "compiled"
        whole = population.predict(X)
        for rows in (1, 16, 17):
            np.testing.assert_array_equal(population[3].predict(X[:rows])[0], whole[3, :rows])


def test_corrupt_files_are_compiled_again(tmp_path):
    subprocess.run(
        [sys.executable, "-c", CORRUPT],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        check=True,
    )


CORRUPT = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np, seedbed as sb
from seedbed.engines.compiled import cache, prediction

def predict():
    return prediction.Formula(sb.poisson.predict)(np.arange(5, dtype="float32")).tolist()

def child():
    with ProcessPoolExecutor(1, get_context("fork")) as pool:  # it has no code in memory yet
        return pool.submit(predict).result()

before = child()
for fault in ("a byte changed", "cut short"):
    for kind in ("*.nbc", "*.nbi"):
        paths = list(cache.directory().glob(kind))
        assert len(paths) == 2
        for path in paths:
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 255
            path.write_bytes(content[:100] if fault == "cut short" else content)
        assert child() == before, (fault, kind)
"""


# ---------------------------------------------------------------- the choice of engine


EXPECTED_ENGINES = (
    (1, 100, select.NUMPY), (1000, 20_000, select.COMPILED), (1, 50_000, select.COMPILED)
)  # fmt: skip


def test_auto_depends_on_the_work_alone(monkeypatch):
    for members, epochs, expected in EXPECTED_ENGINES:
        plan, _ = plan_of(members, network=network(sb.relu), epochs=epochs)
        engine, _ = select.prepare("auto", plan, None, quiet=True)
        assert engine is expected
    monkeypatch.setitem(sys.modules, "numba", None)
    assert select.prepare("auto", plan, None, quiet=True)[0] is select.NUMPY
    with pytest.raises(sb.MissingDependencyError, match=r"pip install 'seedbed\[fast\]'"):
        select.prepare("compiled", plan, None, quiet=True)


def test_threads_must_be_a_count():
    for wrong in (0, -1, 1.5, "2"):
        with pytest.raises(sb.SettingError, match="threads must be a whole number of at least 1"):
            sb.train(network(sb.relu), X, TARGETS["number"], loss=sb.squared_error, threads=wrong)


# ---------------------------------------------------------------- Ctrl-C, and other processes


def press_ctrl_c(seconds):
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_ctrl_c_interrupts_within_an_epoch():
    """An epoch takes more than a second; the members go back to its start."""
    x = np.tile(X, (1_500, 1)).astype("float32")
    y = np.tile(TARGETS["number"], (1_500, 1)).astype("float32")
    net = network(sb.tanh, (5, 128, 128, 3))
    given = {"loss": sb.squared_error, "batch_size": 1, "engine": "compiled", "seeds": range(2)}
    first = sb.train(net, x, y, epochs=1, **given)
    began = time.perf_counter()
    pressed = sb.every(1, lambda progress: press_ctrl_c(0.2))
    with pytest.warns(sb.InterruptWarning):
        population = sb.train(net, x, y, epochs=60, callbacks=[pressed], **given)
    assert (population.status == "interrupted").all()
    assert (population.epochs == 1).all()
    np.testing.assert_array_equal(population.theta, first.theta)
    # in the first epoch there is nothing to keep
    press_ctrl_c(0.2)
    with pytest.raises(KeyboardInterrupt):
        sb.train(net, x, y, epochs=60, **given)
    assert time.perf_counter() - began < 30


def test_callbacks_by_epoch_see_each_epoch_and_change_no_bit():
    X, Y = sb.xor.data()
    frames = []
    recipe = sb.xor.recipe(epochs=20)
    keep = sb.every(8, lambda progress: frames.append((progress.epoch, progress.theta)))
    given = {"seeds": range(5), "engine": "compiled"}
    population = sb.train(recipe, X, Y, callbacks=[keep], record_every=6, **given)
    assert [epoch for epoch, _ in frames] == [8, 16, 20]
    for epoch, theta in frames:
        np.testing.assert_array_equal(theta, sb.train(recipe, X, Y, epochs=epoch, **given).theta)
    np.testing.assert_array_equal(population.theta, frames[-1][1])


@pytest.mark.kernels
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 1e-3)])
@pytest.mark.parametrize("width", [3, 33, 64, 70])
def test_scaled_inputs_of_few_rows_have_the_bits_of_many(width, dtype, tolerance):
    network = sb.Network(
        5,
        [
            sb.Dense(width, sb.mish, input_scale=6.0),
            sb.Dense(width + 1, sb.tanh, input_scale=2.0),
            sb.Dense(2, input_scale=0.5),
        ],
    )
    for batch in (1, 2, 3):
        population, alone, other = (
            sb.train(
                network, X, X[:, :2], loss=sb.squared_error, optimizer=sb.AdamW(0.004), epochs=2,
                batch_size=batch, seeds=seeds, dtype=dtype, engine=engine,
            )
            for seeds, engine in ((range(18), "compiled"), ([2], "compiled"), ([2], "numpy"))
        )  # fmt: skip
        np.testing.assert_array_equal(population.theta[2], alone.theta[0])
        assert difference(alone.theta, other.theta) <= tolerance
        rows = [alone.predict(X[row : row + 1])[:, 0] for row in range(N)]
        np.testing.assert_array_equal(np.stack(rows, 1), alone.predict(X))
