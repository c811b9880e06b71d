"""A member has the same bits alone and with other members, in random trainings."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed import runs
from seedbed.engines import numpy_engine

SIZES = (1, 2, 17, 256)
CASES = 60

OPTIMIZERS = (
    lambda lr: sb.SGD(lr),
    lambda lr: sb.SGD(lr, momentum=0.9, nesterov=True),
    lambda lr: sb.RMSprop(lr),
    lambda lr: sb.Adam(lr),
    lambda lr: sb.AdamW(lr, weight_decay=0.1),
    lambda lr: sb.Rprop(lr),
)
ACTIVATIONS = (sb.tanh, sb.sigmoid, sb.relu, sb.gelu, sb.mish, sb.elu(0.5), sb.softplus)
LOSSES = (sb.squared_error, sb.huber(0.5), sb.binary_cross_entropy, sb.cross_entropy.smoothed(0.1))


@st.composite
def methods(draw, size):
    """Draw a training: what members share and what differs between them."""
    classes = draw(st.integers(2, 3))
    loss = draw(st.sampled_from(LOSSES))
    n = draw(st.integers(3, 23))
    optimizer = draw(st.integers(0, len(OPTIMIZERS) - 1))
    return {
        "network": sb.Network(
            draw(st.integers(1, 5)),
            [
                *(
                    sb.Dense(draw(st.integers(1, 9)), draw(st.sampled_from(ACTIVATIONS)))
                    for _ in range(draw(st.integers(0, 2)))
                ),
                sb.Dense(classes),
            ],
        ),
        "loss": loss,
        "optimizer": optimizer,
        "rows": n,
        "epochs": draw(st.integers(1, 5)),
        "batch_size": draw(st.sampled_from([None, 1, 3, 8])),
        "dropout": draw(st.sampled_from([0.0, 0.4])),
        "clip_norm": draw(st.sampled_from([None, 0.1])),
        "l1": draw(st.sampled_from([0.0, 0.01])),
        "l2": draw(st.sampled_from([0.0, 0.1])),
        "validation": draw(st.sampled_from([None, 0.4])),
        "own_rows": draw(st.booleans()),
        "weights": draw(st.booleans()),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "size": size,
        "member": draw(st.integers(0, 10**6)),
        "order": draw(st.randoms(use_true_random=False)),
        "diverging": draw(st.booleans()),
        "own_rates": draw(st.booleans()),
        "block_bytes": draw(
            st.sampled_from([1, 20_000, 2**21] if size < 256 else [100_000, 2**21])
        ),
        "callback_seconds": draw(st.sampled_from([1e-9, 10.0])),
    }


def train(method, members):
    """Train members given as (seed, learning rate), in this order."""
    rng = np.random.default_rng(0)
    n, network = method["rows"], method["network"]
    X = rng.normal(size=(n, network.inputs))
    Y = np.eye(network.outputs)[np.arange(n) % network.outputs]
    seeds = [seed for seed, _ in members]
    rates = [rate for _, rate in members]
    rows = None
    if method["own_rows"]:  # subsets by seed, of two lengths
        rows = [np.sort(np.random.default_rng(s).permutation(n)[: n - s % 2]) for s in seeds]
    return sb.train(
        network,
        X,
        Y,
        loss=method["loss"],
        optimizer=OPTIMIZERS[method["optimizer"]](rates if len(set(rates)) > 1 else rates[0]),
        seeds=seeds,
        rows=rows,
        sample_weight=1.0 + np.arange(n) if method["weights"] else None,
        **{
            name: method[name]
            for name in (
                "epochs",
                "batch_size",
                "dropout",
                "clip_norm",
                "l1",
                "l2",
                "validation",
                "dtype",
            )
        },
        patience=2 if method["validation"] else None,
        schedule=sb.constant if method["optimizer"] == 5 else sb.cosine(0.2),
    )


def assert_equal(alone, member):
    for name in ("theta", "loss", "status", "epochs", "best_epoch"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(member, name), err_msg=name)
    np.testing.assert_array_equal(alone.history.train_loss, member.history.train_loss)
    if alone.history.val_loss is not None:
        np.testing.assert_array_equal(alone.history.val_loss, member.history.val_loss)


def check_members(size):
    """Compare members alone and in populations of a size; return the number of comparisons."""
    count = itertools.count()

    @seed(size)
    @settings(
        max_examples=CASES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(methods(size))
    def check(method):
        next(count)
        members = [(number, 0.01) for number in range(method["size"])]
        if method["own_rates"]:
            members = [(number, 0.01 * (1 + number % 3)) for number, _ in members]
        if method["diverging"]:  # members with odd seeds diverge
            members = [(s, 1e30 if s % 2 else rate) for s, rate in members]
        method["order"].shuffle(members)
        index = method["member"] % len(members)
        with (
            pytest.MonkeyPatch.context() as patch,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", sb.DivergenceWarning)
            alone = train(method, [members[index]])
            patch.setattr(numpy_engine, "BLOCK_BYTES", method["block_bytes"])
            patch.setattr(runs, "CALLBACK_SECONDS", method["callback_seconds"])
            population = train(method, members)
        assert_equal(alone, population[index])

    check()
    return next(count)


@pytest.mark.kernels
@pytest.mark.parametrize("size", SIZES)
def test_member_has_the_same_bits_alone_and_with_others(size):
    assert check_members(size) >= CASES


def test_comparison_detects_a_rule_that_mixes_members(monkeypatch):
    method = {
        "network": sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(2)]),
        "loss": sb.squared_error,
        "optimizer": 0,
        "rows": 5,
        "epochs": 2,
        "batch_size": None,
        "dropout": 0.0,
        "clip_norm": None,
        "l1": 0.0,
        "l2": 0.0,
        "validation": None,
        "own_rows": False,
        "weights": False,
        "dtype": "float64",
    }
    members = [(seed, 0.01) for seed in range(17)]
    assert_equal(train(method, members[:1]), train(method, members)[0])
    sound = sb.SGD.rule

    def mixing(w, g, k, lr):
        return (w - lr * g + 1e-16 * g.mean(axis=0),)

    monkeypatch.setattr(sb.SGD, "rule", property(lambda self: mixing))
    with pytest.raises(AssertionError):
        assert_equal(train(method, members[:1]), train(method, members)[0])
    monkeypatch.setattr(sb.SGD, "rule", sound)


def test_diverging_member_does_not_change_the_others():
    X, Y = sb.xor.data()
    network = sb.Network(3, [sb.Dense(4, sb.relu), sb.Dense(1)])
    seeds = list(range(9))
    rates = [0.05] * 8 + [1e20]
    with pytest.warns(sb.DivergenceWarning, match="1 of 9 members diverged"):
        population = sb.train(
            network, X, Y, loss=sb.squared_error, optimizer=sb.SGD(rates), epochs=50, seeds=seeds
        )
    assert population.status.tolist() == ["finished"] * 8 + ["diverged"]
    alone = sb.train(
        network, X, Y, loss=sb.squared_error, optimizer=sb.SGD(0.05), epochs=50, seeds=seeds[:8]
    )
    np.testing.assert_array_equal(alone.theta, population.theta[:8])
