"""Training against a plain loop: one member, step by step, in two-dimensional arrays."""

import itertools
import math

import numpy as np
import pytest

import seedbed as sb
from seedbed import streams

RNG = np.random.default_rng(5)
N = 23
X = RNG.normal(size=(N, 3))
CLASSES = RNG.integers(0, 3, size=N)
WEIGHTS = RNG.uniform(0.1, 3, size=N)
WEIGHTS[::5] = 0
WIDTHS = (3, 5, 4, 3)
NETWORK = sb.Network(3, [sb.Dense(5, sb.tanh), sb.Dense(4, sb.tanh), sb.Dense(3)])


def stream(seed, use, *place):
    return streams.keys(np.array([seed]), use, *place)


def reference(seed, rows, *, lr, epochs, batch_size, dropout, l1, l2, decay, clip, smoothing,
              warmup, held_out, patience, weights):  # fmt: skip
    """Train one member with AdamW and cross-entropy; return theta, losses and epochs."""
    w = np.ones(N) if weights is None else weights
    T = (1 - smoothing) * np.eye(3)[CLASSES] + smoothing / 3
    theta = NETWORK.init(seed)[0]
    shapes = list(itertools.pairwise(WIDTHS))

    def parts(vector):
        found, start = [], 0
        for i, o in shapes:
            found.append((vector[start : start + i * o].reshape(i, o), start + i * o))
            start += i * o + o
        return [(W, vector[end : end + W.shape[1]]) for W, end in found]

    def cross_entropy(y, t):
        p = np.exp(y - y.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return -(t * np.log(p)).sum(axis=1), p - t

    def evaluate(which):
        a = X[which]
        for number, (W, b) in enumerate(parts(theta)):
            z = a @ W + b
            a = np.tanh(z) if number < 2 else z
        losses = cross_entropy(a, T[which])[0]
        return (w[which] * losses).sum() / w[which].sum()

    n = len(rows)
    steps = -(-n // batch_size)
    m, v, k = np.zeros_like(theta), np.zeros_like(theta), 0
    train_losses, val_losses, best = [], [], (math.inf, theta.copy(), 0)
    for epoch in range(epochs):
        order = rows[streams.order(stream(seed, "order", epoch), n)[0]] if steps > 1 else rows
        epoch_loss = 0.0
        for start in range(0, n, batch_size):
            chosen = order[start : start + batch_size]
            share = w[chosen] / w[rows].mean() / len(chosen)
            a, passes = X[chosen], []
            for number, (W, b) in enumerate(parts(theta)):
                inputs, z = a, a @ W + b
                a, mask = z, 1.0
                if number < 2:
                    a = np.tanh(z)
                    if dropout:
                        first, units = start * W.shape[1], W.shape[1]
                        u = streams.uniform(
                            stream(seed, "dropout", epoch, number), len(chosen) * units, first
                        )
                        mask = (u.reshape(len(chosen), units) >= dropout) / (1 - dropout)
                passes.append((inputs, a, mask))
                a = a * mask
            losses, dz = cross_entropy(a, T[chosen])
            epoch_loss += (share * losses).sum() * len(chosen) / n
            dz = dz * share[:, None]
            gradient = np.zeros_like(theta)
            for number in (2, 1, 0):
                inputs, a, mask = passes[number]
                if number < 2:
                    dz = dz * mask * (1 - a**2)
                W, b = parts(theta)[number]
                dW, db = parts(gradient)[number]
                dW += inputs.T @ dz + l1 * np.sign(W) + l2 * W
                db += dz.sum(axis=0)
                dz = dz @ W.T
            if clip is not None:
                gradient *= min(1.0, clip / np.linalg.norm(gradient))
            t = k / (epochs * steps)
            u = (t - warmup) / (1 - warmup)
            rate = lr * (t / warmup if t < warmup else 0.5 * (1 + math.cos(math.pi * u)))
            for W, _ in parts(theta):
                W *= 1 - rate * decay
            k += 1
            m = 0.9 * m + 0.1 * gradient
            v = 0.999 * v + 0.001 * gradient**2
            theta -= rate * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        train_losses.append(epoch_loss)
        if len(held_out):
            val_losses.append(evaluate(held_out))
            if val_losses[-1] < best[0]:
                best = (val_losses[-1], theta.copy(), epoch + 1)
            if epoch + 1 - best[2] >= patience:
                break
    ran = len(train_losses)
    if len(held_out):
        theta = best[1]
    return theta, train_losses, val_losses, ran, best[2] if len(held_out) else ran, evaluate(rows)


def split(seed, rows, share):
    """Return a member's training and held-out rows, by the documented draw."""
    if share is None:
        return rows, rows[:0]
    distinct = np.unique(rows)
    order = streams.order(stream(seed, "split"), len(distinct))[0]
    out = distinct[order[: round(share * len(distinct))]]
    return rows[~np.isin(rows, out)], rows[np.isin(rows, out)]


BOOTSTRAP = [np.sort(np.random.default_rng(s).integers(0, N, N)) for s in (3, 8)]


@pytest.mark.parametrize("rows", [None, [range(2, 20), range(0, 18)], BOOTSTRAP])
@pytest.mark.parametrize("share", [None, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.35])
@pytest.mark.parametrize("batch_size", [4, 7, 100])
def test_training_equals_the_plain_loop(rows, share, weighted, dropout, batch_size):
    seeds, rates = [3, 8], [0.01, 0.05]
    weights = WEIGHTS if weighted else None
    population = sb.train(
        NETWORK,
        X,
        CLASSES,
        loss=sb.cross_entropy.smoothed(0.1),
        optimizer=sb.AdamW(lr=rates, weight_decay=(0.3, 0.0)),
        epochs=9,
        seeds=seeds,
        batch_size=batch_size,
        schedule=sb.cosine(warmup=0.25),
        l1=(0.0, 1e-3),
        l2=1e-2,
        dropout=dropout,
        clip_norm=(0.5, 1e9),
        validation=share,
        patience=None if share is None else 3,
        rows=rows,
        sample_weight=weights,
        dtype="float64",
    )
    for member, seed in enumerate(seeds):
        own_rows = np.arange(N) if rows is None else np.array(rows[member])
        kept, held_out = split(seed, own_rows, share)
        theta, train_losses, val_losses, ran, best, final = reference(
            seed,
            kept,
            lr=rates[member],
            epochs=9,
            batch_size=batch_size,
            dropout=dropout,
            l1=(0.0, 1e-3)[member],
            l2=1e-2,
            decay=(0.3, 0.0)[member],
            clip=(0.5, 1e9)[member],
            smoothing=0.1,
            warmup=0.25,
            held_out=held_out,
            patience=3,
            weights=weights,
        )
        assert population.epochs[member] == ran
        assert population.best_epoch[member] == best
        np.testing.assert_allclose(population.theta[member], theta, rtol=1e-8, atol=1e-11)
        np.testing.assert_allclose(
            population.history.train_loss[member, :ran], train_losses, rtol=1e-9
        )
        if share is not None:
            np.testing.assert_allclose(
                population.history.val_loss[member, :ran], val_losses, rtol=1e-9
            )
        np.testing.assert_allclose(population.loss[member], final, rtol=1e-9)


def test_masks_differ_between_epochs_layers_and_positions():
    key = [
        streams.uniform(stream(1, "dropout", epoch, layer), 12, start)[0].tolist()
        for epoch in (0, 1)
        for layer in (0, 1)
        for start in (0, 12)
    ]
    assert len({tuple(row) for row in key}) == 8


def test_draws_of_a_wide_layer_do_not_repeat():
    wide = sb.Network(300, [sb.Dense(300)])
    theta = wide.init(0)[0, :90_000]
    assert len(np.unique(theta)) == 90_000
    assert abs(np.corrcoef(theta[:32768], theta[32768:65536])[0, 1]) < 0.03


def test_label_smoothing_applies_to_validation_data():
    loss = sb.cross_entropy.smoothed(0.3)
    recipe = sb.Recipe(network=NETWORK, loss=loss, epochs=2, dtype="float64")
    population = sb.train(recipe, X, CLASSES, validation=(X, CLASSES))
    value, _ = sb.value_and_grad(recipe, population.theta, X, CLASSES)
    np.testing.assert_allclose(population.history.val_loss[:, -1], value, rtol=1e-12)


def test_evaluation_in_chunks_covers_all_rows(monkeypatch):
    monkeypatch.setattr("seedbed.engines.numpy_engine.evaluation_rows", lambda network: 5)
    recipe = sb.Recipe(network=NETWORK, loss=sb.cross_entropy, epochs=2, dtype="float64")
    population = sb.train(
        recipe, X, CLASSES, validation=(X, CLASSES, WEIGHTS), sample_weight=WEIGHTS
    )
    value, _ = sb.value_and_grad(recipe, population.theta, X, CLASSES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(population.loss, value, rtol=1e-12)
    np.testing.assert_allclose(population.history.val_loss[:, -1], value, rtol=1e-12)


def test_ties_in_the_validation_loss_go_to_the_first_epoch():
    network = sb.Network(3, [sb.Dense(3)])
    population = sb.train(
        network,
        X,
        CLASSES,
        loss=sb.cross_entropy,
        optimizer=sb.SGD(0.0),
        epochs=9,
        validation=0.3,
        patience=4,
    )
    assert population.best_epoch.tolist() == [1]
    assert population.epochs.tolist() == [5]


def test_a_validation_loss_that_is_not_finite_counts_as_divergence():
    far = np.full((2, 3), 1e30)
    with pytest.warns(sb.DivergenceWarning):
        population = sb.train(
            sb.Network(3, [sb.Dense(1)]),
            X,
            X[:, 0],
            loss=sb.squared_error,
            epochs=3,
            validation=(far, [0.0, 0.0]),
            patience=2,
        )
    assert population.status.tolist() == ["diverged"]
    np.testing.assert_array_equal(population.theta, population.network.init(0, "float32"))
    assert population.epochs.tolist() == population.best_epoch.tolist() == [0]


def test_a_member_that_diverges_after_its_best_epoch_stays_diverged():
    network = sb.Network(3, [sb.Dense(1)])
    with pytest.warns(sb.DivergenceWarning):
        population = sb.train(
            network,
            X,
            X[:, 0],
            loss=sb.squared_error,
            optimizer=sb.SGD(1e6),
            epochs=60,
            validation=0.3,
            patience=60,
            dtype="float64",
        )
    assert population.status.tolist() == ["diverged"]
    assert population.best_epoch.tolist() == population.epochs.tolist()
    assert population.epochs[0] > 5


def test_a_validation_share_leaves_rows_on_both_sides():
    population = sb.train(
        sb.Network(3, [sb.Dense(1)]),
        X[:3],
        X[:3, 0],
        loss=sb.squared_error,
        epochs=1,
        validation=0.99,
        seeds=range(5),
    )
    assert np.isfinite(population.history.train_loss).all()
    tiny = sb.train(
        sb.Network(3, [sb.Dense(1)]),
        X[:3],
        X[:3, 0],
        loss=sb.squared_error,
        epochs=1,
        validation=0.01,
    )
    assert np.isfinite(tiny.history.val_loss).all()


def test_ctrl_c_is_checked_before_every_step(monkeypatch):
    """Ctrl-C stops within an epoch: the members return to its start."""
    asked = []

    class Pressed:
        def is_set(self):
            asked.append(1)
            return len(asked) > 40

    def train(epochs):
        recipe = sb.Recipe(
            network=NETWORK, loss=sb.cross_entropy, epochs=epochs, batch_size=2, dtype="float64"
        )
        return sb.train(recipe, X, CLASSES, seeds=range(2))

    with monkeypatch.context() as patch:
        patch.setattr("seedbed.training.interruptible", lambda: ContextOf(Pressed()))
        with pytest.warns(sb.InterruptWarning):
            population = train(50)
    ran = int(population.epochs[0])
    assert 0 < ran < 4  # twelve steps an epoch
    whole = train(ran)
    np.testing.assert_array_equal(population.theta, whole.theta)


def test_an_interrupted_training_returns_to_its_last_finite_loss(monkeypatch):
    """Ctrl-C in any epoch leaves the member with its last theta of finite loss."""
    given = {"loss": sb.squared_error, "optimizer": sb.SGD(1e-12), "epochs": 9, "batch_size": 1}
    network = sb.Network(1, [sb.Dense(1)])

    def train(checks):
        asked = []

        class Pressed:
            def is_set(self):
                asked.append(1)
                return len(asked) > checks

        with monkeypatch.context() as patch:
            patch.setattr("seedbed.training.interruptible", lambda: ContextOf(Pressed()))
            with pytest.warns(sb.SeedbedWarning):
                return sb.train(network, [[1e10], [2e10]], [0.0, 0.0], **given)

    for checks in range(1, 30):
        population = train(checks)
        value, _ = sb.value_and_grad(
            population.recipe, population.theta, [[1e10], [2e10]], [0.0, 0.0]
        )
        assert np.isfinite(value).all()


class ContextOf:
    def __init__(self, value):
        self.value = value

    def __enter__(self):
        return self.value

    def __exit__(self, *_):
        return None
