"""train(): steps by hand, data splits, early stopping, divergence, callbacks, Ctrl-C, errors."""

import os
import re
import signal
import sys
import threading

import numpy as np
import pytest

import seedbed as sb
from seedbed import runs
from seedbed.engines import numpy_engine

NETWORK = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
Y = X[:, :1] * X[:, 1:] + 0.1 * RNG.normal(size=(20, 1))
LINEAR = sb.Network(1, [sb.Dense(1)])
LINEARS = sb.Network(2, [sb.Dense(3), sb.Dense(1)])


def train(**given):
    """Train on X and Y, with defaults for these tests."""
    defaults = {"loss": sb.squared_error, "epochs": 5, "seeds": range(3), "dtype": "float64"}
    defaults["engine"] = "numpy"
    return sb.train(given.pop("network", NETWORK), X, Y, **{**defaults, **given})


def test_full_batch_descent_equals_value_and_grad():
    recipe = sb.Recipe(
        network=NETWORK,
        loss=sb.squared_error,
        optimizer=sb.SGD(0.1),
        l1=0.01,
        l2=0.1,
        epochs=7,
        dtype="float64",
    )
    theta, losses = NETWORK.init(np.arange(3)), []
    for _ in range(7):
        value, g = sb.value_and_grad(recipe, theta, X, Y)
        W = theta[:, NETWORK.is_weight]
        losses.append(value - 0.01 * np.abs(W).sum(1) - 0.05 * (W**2).sum(1))
        theta = theta - 0.1 * g
    population = sb.train(recipe, X, Y, seeds=range(3))
    np.testing.assert_allclose(population.theta, theta, rtol=1e-13)
    np.testing.assert_allclose(population.history.train_loss, np.transpose(losses), rtol=1e-12)
    plain = sb.Recipe(network=NETWORK, loss=sb.squared_error)
    np.testing.assert_allclose(
        population.loss, sb.value_and_grad(plain, theta, X, Y)[0], rtol=1e-12
    )


def test_mini_batches_use_every_row_once_per_epoch_in_the_seeds_order():
    # with w = 1, b = 0 and a tiny rate, the mean loss is the mean of the rows used
    x = 2.0 ** np.arange(7)[:, None]
    network = sb.Network(1, [sb.Dense(1)])
    start = np.array([1.0, 0.0])
    for seed in (1, 2):
        population = sb.train(
            network,
            x,
            np.zeros((7, 1)),
            loss=sb.absolute_error,
            optimizer=sb.SGD(1e-12),
            epochs=1,
            batch_size=3,
            start=start,
            seeds=seed,
            dtype="float64",
        )
        # batches of 3, 3 and 1 rows: three steps of the bias, each by the rate
        np.testing.assert_allclose(population.theta[0, 1], -3e-12)
        np.testing.assert_allclose(population.history.train_loss[0, 0], x.mean(), rtol=1e-9)
    one = train(batch_size=4, epochs=1, seeds=0).theta
    other = train(batch_size=4, epochs=1, seeds=1, start=NETWORK.init(np.array([0]))).theta
    assert not np.array_equal(one, other)  # the same start, another order


def test_results_do_not_depend_on_epochs_per_engine_call(monkeypatch):
    one_call = train(batch_size=4, dropout=0.3, epochs=6)
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e-9)
    np.testing.assert_array_equal(train(batch_size=4, dropout=0.3, epochs=6).theta, one_call.theta)


def test_results_do_not_depend_on_blocks_of_members(monkeypatch):
    one_block = train(batch_size=4, validation=0.3, patience=3, epochs=30, seeds=range(20))
    monkeypatch.setattr(numpy_engine, "BLOCK_BYTES", 1)
    many_blocks = train(batch_size=4, validation=0.3, patience=3, epochs=30, seeds=range(20))
    np.testing.assert_array_equal(many_blocks.theta, one_block.theta)
    assert len(set(one_block.epochs)) > 1


def test_schedule_scales_the_learning_rate_of_each_step():
    drops = train(optimizer=sb.SGD(0.1), schedule=sb.step_decay(at=[0.5], factor=0.1), epochs=4)
    first = train(optimizer=sb.SGD(0.1), epochs=2)
    rest = train(optimizer=sb.SGD(0.01), epochs=2, start=first.theta)
    np.testing.assert_allclose(drops.theta, rest.theta, rtol=1e-14)


def test_members_have_their_own_hyperparameters():
    rates, decays = [0.1, 0.01, 0.3], (0.0, 0.5, 0.1)
    population = train(optimizer=sb.SGD(rates), l2=decays, dropout=[0.0, 0.2, 0.4])
    assert population.settings.keys() == {"lr", "l2", "dropout"}
    for member, rate in enumerate(rates):
        alone = train(
            optimizer=sb.SGD(rate), l2=decays[member], dropout=[0.0, 0.2, 0.4][member], seeds=member
        )
        np.testing.assert_array_equal(population.theta[member], alone.theta[0])
        assert population[member].recipe == alone.recipe


def test_dropout_does_not_change_initial_weights_or_predictions():
    with_it, without = train(dropout=0.5, epochs=0), train(epochs=0)
    np.testing.assert_array_equal(with_it.theta, without.theta)
    np.testing.assert_array_equal(with_it.predict(X), without.predict(X))
    assert not np.array_equal(train(dropout=0.5).theta, train().theta)


def test_clipping_limits_each_members_step():
    start = NETWORK.init(np.arange(2)) * [[1.0], [30.0]]
    moved = train(optimizer=sb.SGD(1.0), clip_norm=0.01, epochs=1, start=start, seeds=[0, 1]).theta
    np.testing.assert_allclose(np.linalg.norm(moved - start, axis=1), 0.01, rtol=1e-9)
    loose = train(optimizer=sb.SGD(1.0), clip_norm=1e9, epochs=1, start=start, seeds=[0, 1]).theta
    free = train(optimizer=sb.SGD(1.0), epochs=1, start=start, seeds=[0, 1]).theta
    np.testing.assert_array_equal(loose, free)


def test_rows_of_weight_0_are_ignored():
    weight = np.r_[np.ones(10), np.zeros(10)]
    weighted = train(sample_weight=weight)
    fewer = sb.train(
        NETWORK, X[:10], Y[:10], loss=sb.squared_error, epochs=5, seeds=range(3), dtype="float64"
    )
    np.testing.assert_allclose(weighted.theta, fewer.theta, rtol=1e-10)
    np.testing.assert_allclose(weighted.loss, fewer.loss, rtol=1e-10)
    batches = train(sample_weight=weight, batch_size=3)  # some batches have zero weight
    assert np.isfinite(batches.theta).all()


def test_members_train_on_their_own_rows():
    rows = [range(10), range(5, 20), [3, 3, 4]]
    population = train(rows=rows, seeds=[7, 7, 7])  # equal seeds, different rows
    for member, member_rows in enumerate(rows):
        alone = sb.train(
            NETWORK,
            X[list(member_rows)],
            Y[list(member_rows)],
            loss=sb.squared_error,
            epochs=5,
            seeds=7,
            dtype="float64",
        )
        np.testing.assert_array_equal(population.theta[member], alone.theta[0])
        np.testing.assert_array_equal(population.loss[member], alone.loss[0])
    masks = np.zeros((3, 20), dtype=bool)
    masks[0, :10], masks[1, 5:], masks[2, [3, 4]] = True, True, True
    np.testing.assert_array_equal(
        train(rows=masks, seeds=[7, 7, 7]).theta[:2], population.theta[:2]
    )


def test_validation_loss_is_computed_after_each_epoch():
    population = train(validation=(X[:6], Y[:6], np.arange(1.0, 7)), epochs=3)
    assert population.history.val_loss.shape == (3, 3)
    value, _ = sb.value_and_grad(
        population.recipe, population.theta, X[:6], Y[:6], sample_weight=np.arange(1.0, 7)
    )
    np.testing.assert_allclose(population.history.val_loss[:, -1], value, rtol=1e-12)
    np.testing.assert_array_equal(population.theta, train(epochs=3).theta)  # no effect on training


def test_each_seed_holds_out_its_own_share():
    # w = 1, b = 0 and a rate of 0: the losses are means of x, and their sums identify the rows
    x = 2.0 ** np.arange(20)[:, None]
    population = sb.train(
        LINEAR,
        x,
        np.zeros(20),
        loss=sb.absolute_error,
        optimizer=sb.SGD(0.0),
        start=[1.0, 0.0],
        seeds=range(40),
        validation=0.25,
        epochs=1,
        dtype="float64",
    )
    trained = population.history.train_loss[:, 0] * 15
    held_out = population.history.val_loss[:, 0] * 5
    np.testing.assert_allclose(trained + held_out, x.sum())
    sets = {round(total) for total in held_out}
    assert len(sets) > 35
    assert all(rows.bit_count() == 5 for rows in sets)


def test_copies_of_a_row_stay_on_one_side_of_the_split():
    # of two rows with 10 copies each, all copies of one are held out
    x, t = np.repeat([[0.0], [1.0]], 10, axis=0), np.repeat([[0.0], [5.0]], 10, axis=0)
    rows = np.tile(np.arange(0, 20, 10).repeat(6), (30, 1))
    population = sb.train(
        LINEAR, x, t, loss=sb.squared_error, seeds=range(30), rows=rows, validation=0.5, epochs=0
    )
    w, b = population.theta.T
    one_row = (np.isclose(population.loss, b**2)) | np.isclose(population.loss, (w + b - 5) ** 2)
    assert one_row.all()


def test_patience_stops_a_member_and_restores_its_best_epoch():
    # members overfit few rows, so the validation loss rises again
    given = {"validation": (X[10:], Y[10:]), "rows": [range(4)] * 5, "seeds": range(5)}
    network = sb.Network(2, [sb.Dense(30, sb.tanh), sb.Dense(1)])
    common = {"network": network, "optimizer": sb.Adam(0.05), **given}
    population = train(**common, epochs=300, patience=10)
    stopped = population.status == "stopped"
    assert stopped.any()
    for member in range(5):
        val_loss = population.history.val_loss[member]
        ran, best = population.epochs[member], population.best_epoch[member]
        assert np.isnan(val_loss[ran:]).all()
        assert best == np.nanargmin(val_loss) + 1
        assert ran == (best + 10 if stopped[member] else 300)
    until = train(**common, epochs=300)
    np.testing.assert_array_equal(
        until.history.val_loss[:, :11], population.history.val_loss[:, :11]
    )
    shorter = train(
        **{**common, "rows": [range(4)], "seeds": 0}, epochs=int(population.best_epoch[0])
    )
    np.testing.assert_array_equal(shorter.theta[0], population.theta[0])


def test_diverged_member_is_frozen_marked_and_reported():
    given = {"optimizer": sb.SGD([0.01, 1e9, 0.01]), "epochs": 40}
    with pytest.warns(sb.DivergenceWarning, match=r"1 of 3 members diverged \(seeds 1; the first"):
        population = train(network=sb.Network(2, [sb.Dense(3), sb.Dense(1)]), **given)
    assert population.status.tolist() == ["finished", "diverged", "finished"]
    assert population.diverged.tolist() == [False, True, False]
    ran = int(population.epochs[1])
    assert 0 < ran < 40
    assert np.isfinite(population.theta).all()
    # the loss at theta is finite, that after the next epoch is not
    assert np.isfinite(population.history.train_loss[1, : ran + 1]).all()
    assert np.isnan(population.history.train_loss[1, ran + 1 :]).all()
    assert np.isnan(population.loss[1])
    assert np.isnan(population.predict(X)[1]).all()
    np.testing.assert_allclose(
        population.predict_mean(X), population.predict(X)[[0, 2]].mean(axis=0), rtol=1e-12
    )
    # frozen at the last parameters with a finite loss
    network = population.network
    before = train(network=network, optimizer=sb.SGD(1e9), epochs=ran, seeds=1)
    np.testing.assert_array_equal(before.theta[0], population.theta[1])
    assert before.status.tolist() == ["finished"]
    with pytest.warns(sb.DivergenceWarning):  # after one more epoch the final loss is not finite
        after = train(network=network, optimizer=sb.SGD(1e9), epochs=ran + 1, seeds=1)
    assert after.status.tolist() == ["diverged"]
    np.testing.assert_array_equal(after.theta, before.theta)
    assert after.epochs.tolist() == [ran]


def test_start_with_a_non_finite_loss_has_diverged():
    with pytest.warns(sb.DivergenceWarning, match="after 0 epochs"):
        population = train(start=np.full(NETWORK.size, 1e200), network=LINEARS, epochs=0)
    assert (population.status == "diverged").all()
    assert np.isnan(population.loss).all()


def test_predict_mean_fails_if_all_members_diverged():
    with pytest.warns(sb.DivergenceWarning):
        population = train(network=sb.Network(2, sb.Dense(1)), optimizer=sb.SGD(1e200), epochs=9)
    with pytest.raises(sb.DataError, match="all 3 members diverged"):
        population.predict_mean(X)


def test_start_gives_the_initial_parameters():
    start = RNG.normal(size=(3, NETWORK.size))
    copy = start.copy()
    np.testing.assert_array_equal(train(start=start, epochs=0).theta, start)
    train(start=start, epochs=5)
    np.testing.assert_array_equal(start, copy)  # not changed by training
    shared = train(start=start[0], epochs=0)
    np.testing.assert_array_equal(shared.theta, start[[0, 0, 0]])
    resumed = train(start=train(epochs=3, optimizer=sb.SGD(0.1)).theta, optimizer=sb.SGD(0.1))
    np.testing.assert_array_equal(resumed.theta, train(optimizer=sb.SGD(0.1), epochs=8).theta)


def test_record_every():
    all_epochs, every_4th = train(epochs=10), train(epochs=10, record_every=4)
    np.testing.assert_array_equal(every_4th.history.epochs, [0, 4, 8])
    losses = all_epochs.history.train_loss[:, ::4]
    np.testing.assert_array_equal(every_4th.history.train_loss, losses)
    np.testing.assert_array_equal(every_4th.theta, all_epochs.theta)


def test_global_random_state_is_neither_read_nor_written():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first = train(batch_size=4, dropout=0.2).theta
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(4)
    np.testing.assert_array_equal(train(batch_size=4, dropout=0.2).theta, first)


def test_arguments_are_not_changed():
    x, t, w = X.copy(), Y.copy(), np.ones(20)
    sb.train(NETWORK, x, t, loss=sb.squared_error, epochs=3, sample_weight=w, dtype="float64")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(t, Y)
    assert (w == 1).all()


def test_callback_may_return_a_numpy_bool():
    with pytest.warns(sb.InterruptWarning):
        population = train(epochs=10**6, callbacks=[lambda p: (p.train_loss > 0).all()])
    assert (population.epochs < 10**6).all()


def test_callback_receives_copies():
    def overwrite(progress):
        progress.train_loss[:] = -1

    assert (train(callbacks=[overwrite]).history.train_loss > 0).all()


def test_populations_and_lists_are_accepted_for_arrays():
    first = train(epochs=2)
    np.testing.assert_array_equal(train(start=first, epochs=0).theta, first.theta)
    recipe = sb.Recipe(network=NETWORK, loss=sb.squared_error, epochs=2)
    listed = sb.train(recipe, X.tolist(), Y.tolist(), validation=[X.tolist(), Y.tolist()])
    np.testing.assert_array_equal(listed.theta, sb.train(recipe, X, Y, validation=(X, Y)).theta)
    split = sb.train(recipe, X, Y, validation=0.2)
    assert split.recipe.validation == 0.2


def test_clipping_works_where_squares_overflow():
    network = sb.Network(1, [sb.Dense(1)])
    population = sb.train(
        network,
        [[1e20]],
        [0.0],
        loss=sb.absolute_error,
        optimizer=sb.SGD(0.25),
        clip_norm=1.0,
        epochs=1,
        start=[1.0, 0.0],
    )
    np.testing.assert_allclose(population.theta, [[0.75, 0.0]], atol=1e-12)


@pytest.mark.parametrize("scale", [1e38, 1e-40])
def test_only_ratios_of_row_weights_matter(scale):
    weight = 1.0 + np.arange(20) % 3
    given = {"dtype": "float32", "batch_size": 7}
    plain = train(sample_weight=weight, **given)
    scaled = train(sample_weight=weight * scale, **given)
    np.testing.assert_allclose(scaled.theta, plain.theta, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scaled.loss, plain.loss, rtol=1e-4)


def test_bounds_between_hyperparameters_are_checked_per_member():
    rprop = sb.Rprop(smallest=[1e-6, 1.0, 1.0], largest=[0.5, 50.0, 50.0])
    assert len(train(optimizer=rprop)) == 3
    with pytest.raises(sb.SettingError, match="smallest step size"):
        sb.Rprop(smallest=[1e-6, 1.0], largest=[0.5, 0.5])
    assert len(train(optimizer=sb.SGD(0.99999999), dtype="float32")) == 3


def test_row_weights_in_mini_batches_equal_those_in_a_full_batch():
    """With a small rate, the mini-batch steps of an epoch sum to the step of a full batch."""
    weight = np.r_[np.full(4, 50.0), np.ones(16)]
    start = NETWORK.init([1])
    common = {"sample_weight": weight, "start": start, "seeds": 1, "epochs": 1}
    full_step = train(**common, optimizer=sb.SGD(2e-7)).theta - start
    for batch_size in (1, 2, 5):
        steps = 20 // batch_size
        optimizer = sb.SGD(2e-7 / steps)
        total_step = train(**common, optimizer=optimizer, batch_size=batch_size).theta - start
        np.testing.assert_allclose(total_step, full_step, rtol=1e-4, atol=1e-13)


def test_callbacks_receive_progress_and_can_end_training(monkeypatch):
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e-9)
    received = []

    def callback(progress):
        received.append(progress)
        return progress.epoch >= 4

    with pytest.warns(sb.InterruptWarning, match="stopped after 4 of 50 epochs"):
        population = train(epochs=50, callbacks=[callback], validation=0.3)
    assert [p.epoch for p in received] == [1, 2, 3, 4]
    assert received[-1].epochs == 50
    assert received[-1].running == 3
    np.testing.assert_array_equal(received[-1].train_loss, population.history.train_loss[:, 3])
    np.testing.assert_array_equal(received[-1].val_loss, population.history.val_loss[:, 3])
    assert (population.status == "interrupted").all()
    assert (population.epochs == 4).all()


def test_ctrl_c_returns_the_members_as_trained_so_far():
    def press(progress):
        if progress.epoch >= 2 and not pressed:
            pressed.append(progress.epoch)
            os.kill(os.getpid(), signal.SIGINT)

    pressed, before = [], signal.getsignal(signal.SIGINT)
    with pytest.warns(sb.InterruptWarning, match="members are returned as trained so far"):
        population = train(epochs=10**7, callbacks=[press], record_every=10**6)
    assert (population.status == "interrupted").all()
    assert (population.epochs >= pressed[0]).all()
    assert (population.epochs < 10**7).all()
    assert signal.getsignal(signal.SIGINT) is before
    shorter = train(epochs=int(population.epochs[0]), optimizer=sb.Adam())
    np.testing.assert_array_equal(shorter.theta[0], population.theta[0])


def test_second_ctrl_c_raises_keyboard_interrupt():
    def press_twice(progress):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(epochs=10**7, callbacks=[press_twice], record_every=10**6)


def test_training_works_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(train()))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(results[0].theta, train().theta)


def test_progress_line_is_shown_and_erased(capsys, monkeypatch):
    train(epochs=3, progress=True)
    shown = capsys.readouterr().err
    assert re.search(r"100%  epoch 3 of 3, 0 s left, loss [\d.]+ \(median\), 3 of 3 run", shown)
    assert shown.endswith("\r")
    train(epochs=3)  # not a terminal
    train(epochs=3, progress=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    train(epochs=3)  # a terminal, but short training
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("seedbed.progress._DELAY_SECONDS", 0.0)
    train(epochs=3, validation=0.3)
    assert "validation loss" in capsys.readouterr().err


def test_float32_is_the_default_and_agrees_with_float64():
    single, double = (train(dtype=dtype, epochs=20) for dtype in ("float32", "float64"))
    assert single.theta.dtype == single.loss.dtype == single.predict(X).dtype == np.float32
    assert single.history.train_loss.dtype == np.float32
    np.testing.assert_allclose(single.theta, double.theta, atol=1e-5)
    assert sb.train(NETWORK, X, Y, loss=sb.squared_error, epochs=1).theta.dtype == np.float32


def test_class_numbers_equal_one_hot_rows():
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(3)])
    classes = np.arange(20) % 3
    given = {"loss": sb.cross_entropy, "epochs": 3}
    one = sb.train(network, X, classes, **given)
    np.testing.assert_array_equal(
        one.theta, sb.train(network, X, np.eye(3)[classes], **given).theta
    )
    np.testing.assert_array_equal(one.theta, sb.train(network, X, classes[:, None], **given).theta)
    np.testing.assert_allclose(one.predict(X).sum(axis=2), 1, rtol=1e-6)


NAN = X.copy()
NAN[3, 1] = np.nan
CLASSES = sb.Network(2, [sb.Dense(3)])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"X": X[:, :1]}, sb.ShapeError, r"X has shape \(20, 1\); the network has 2 inputs"),
        ({"X": X[0]}, sb.ShapeError, r"give X\[None, :\]"),
        ({"X": X[:0]}, sb.DataError, "X is empty"),
        ({"X": NAN}, sb.DataError, "X holds nan in row 3, column 1"),
        ({"X": X * 1e300, "dtype": "float32"}, sb.DataError, "float32's range"),
        ({"X": X.astype(str)}, sb.DataError, "it needs numbers"),
        ({"X": X + 1j}, sb.DataError, "it needs numbers"),
        ({"Y": Y[:5]}, sb.ShapeError, "Y has shape .*X has 20 rows"),
        ({"Y": np.c_[Y, Y]}, sb.ShapeError, "the network has 1 outputs"),
        ({"Y": Y * np.inf}, sb.DataError, "Y holds"),
        ({"Y": ["a"] * 20}, sb.DataError, "squared_error needs numbers: for classes, use cross"),
        ({"loss": sb.poisson, "Y": Y - 9}, sb.DataError, "counts of at least 0"),
        ({"loss": sb.binary_cross_entropy, "Y": Y + 9}, sb.DataError, "targets from 0 to 1"),
        ({"loss": sb.binary_cross_entropy, "Y": Y * 0}, sb.DataError, "rows of both classes"),
        ({"loss": sb.cross_entropy, "Y": [0] * 20}, sb.SettingError, "an output for each class"),
        ({"network": CLASSES, "loss": sb.cross_entropy, "Y": [1] * 20}, sb.DataError, "of class 1"),
        ({"network": CLASSES, "loss": sb.cross_entropy, "Y": [3] * 20}, sb.DataError, "class 3"),
        ({"network": CLASSES, "loss": sb.cross_entropy, "Y": [-1] * 20}, sb.DataError, "class -1"),
        ({"network": CLASSES, "loss": sb.cross_entropy, "Y": [0.5] * 20}, sb.DataError, "whole"),
        (
            {"network": CLASSES, "loss": sb.cross_entropy, "Y": np.full((20, 3), 0.5)},
            sb.DataError,
            "row 0 of Y sums to 1.5",
        ),
        (
            {
                "network": sb.Network(2, [sb.Dense(1, sb.sigmoid)]),
                "loss": sb.binary_cross_entropy,
                "Y": np.arange(20) % 2,
            },
            sb.SettingError,
            "takes logits and squashes them itself",
        ),
        ({"seeds": -1}, sb.SettingError, "seed -1: a seed must be a whole number from 0"),
        ({"seeds": [0, 3, 3]}, sb.SettingError, "seed 3 is given 2 times with equal settings"),
        ({"seeds": []}, sb.SettingError, "seeds must be"),
        ({"seeds": [0.5]}, sb.SettingError, "seeds must be"),
        ({"seeds": "12"}, sb.SettingError, "seeds must be"),
        ({"seeds": True}, sb.SettingError, "seeds must be"),
        ({"seeds": [2**63]}, sb.SettingError, r"from 0 to 2\*\*63 - 1"),
        ({"optimizer": sb.SGD([0.1, 0.2])}, sb.SettingError, "lr has 2 values .* 3 seeds"),
        ({"optimizer": sb.Adam}, sb.SettingError, "call it first: Adam"),
        ({"loss": sb.huber}, sb.SettingError, "call it first: huber"),
        ({"loss": "msle"}, sb.SettingError, "loss must be one of absolute_error, .* 'msle'; did y"),
        ({"loss": "quantile"}, sb.SettingError, r"needs a number: give such as sb.quantile\(0.5\)"),
        ({"loss": None}, sb.SettingError, "or an object like sb.absolute_error, not None"),
        ({"schedule": 0.1}, sb.SettingError, r"an object like sb.constant, not 0.1"),
        ({"epochs": -1}, sb.SettingError, "epochs must be a whole number of at least 0"),
        ({"epochs": 1.5}, sb.SettingError, "epochs must be"),
        ({"batch_size": 0}, sb.SettingError, "batch_size must be"),
        ({"dropout": 1.0}, sb.SettingError, "invalid dropout: 1.0"),
        ({"l1": -1}, sb.SettingError, "invalid l1: -1.0"),
        ({"l2": np.nan}, sb.SettingError, "invalid l2: nan"),
        ({"clip_norm": 0}, sb.SettingError, "invalid clip_norm: 0.0"),
        ({"validation": 1.5}, sb.SettingError, "invalid validation: 1.5"),
        ({"validation": (X,)}, sb.SettingError, r"validation must be a share, \(X, Y\)"),
        ({"validation": (X[:, :1], Y)}, sb.ShapeError, "validation X has shape"),
        ({"patience": 3}, sb.SettingError, "patience needs the validation loss"),
        ({"patience": 0, "validation": 0.2}, sb.SettingError, "patience must be"),
        ({"engine": "gpu"}, sb.SettingError, "engine must be one of"),
        ({"dtype": "float16"}, sb.SettingError, "dtype must be one of"),
        ({"record_every": 0}, sb.SettingError, "record_every must be"),
        (
            {"optimizer": sb.Rprop(), "schedule": sb.cosine()},
            sb.SettingError,
            "a schedule has no effect",
        ),
        ({"sample_weight": np.ones(3)}, sb.ShapeError, "sample_weight has shape"),
        ({"sample_weight": -np.ones(20)}, sb.DataError, "weights must be at least 0"),
        ({"sample_weight": np.zeros(20)}, sb.DataError, "one of them greater"),
        (
            {"sample_weight": np.r_[np.zeros(10), np.ones(10)], "rows": [range(9)] * 3},
            sb.DataError,
            "all 9 training rows of member 0 have the weight 0",
        ),
        ({"rows": [[0, 1]]}, sb.ShapeError, "rows holds 1 sequences and there are 3 seeds"),
        ({"rows": [[0], [1], [20]]}, sb.DataError, r"rows\[2\] names row 20"),
        ({"rows": [[0], [1], []]}, sb.DataError, r"rows\[2\]"),
        ({"rows": [[0], [1], [0.5]]}, sb.DataError, r"rows\[2\]"),
        ({"rows": [[1], [1], [1]], "validation": 0.5}, sb.DataError, "1 row cannot be split"),
        ({"start": np.zeros((3, 4))}, sb.ShapeError, "start has shape"),
        ({"start": np.full(NETWORK.size, np.nan)}, sb.DataError, "start holds numbers"),
        ({"start": ["a"] * NETWORK.size}, sb.DataError, "it needs numbers, or a Population"),
        ({"start": 1j * np.ones(NETWORK.size)}, sb.DataError, "it needs numbers"),
        ({"start": [[1], [1, 2]]}, sb.DataError, "start must be numbers in a regular array"),
        ({"X": [[1, 2], [3]]}, sb.DataError, "X must be numbers in a regular array"),
        ({"X": np.ma.masked_less(X, 0)}, sb.DataError, "X has masked values"),
        ({"Y": Y[:, :, None]}, sb.ShapeError, r"so it needs \(20, 1\) or \(20,\)"),
        ({"seeds": [[1, 2], [3]]}, sb.SettingError, "seeds must be numbers in a regular array"),
        ({"seeds": 2**64}, sb.SettingError, r"seed 18446744073709551616: a seed must be"),
        ({"seeds": [-1, 2**64]}, sb.SettingError, r"seed -1: a seed must be"),
        ({"seeds": [[1, 2, 3]] * 3}, sb.SettingError, "seeds must be"),
        ({"rows": 5}, sb.ShapeError, "rows is 5: give a sequence of row numbers for each"),
        ({"rows": [[0, 1], [0, 1], [2]], "seeds": [4, 4, 4]}, sb.SettingError, "seed 4 is given 2"),
        (
            {"seeds": [1, 1, 2, 2, 2], "optimizer": sb.SGD([0.1, 0.2, 0.1, 0.1, 0.1])},
            sb.SettingError,
            "seed 2 is given 3 times",
        ),
        ({"optimizer": sb.SGD(0.1, momentum=[0.1, 0.2])}, sb.SettingError, "momentum has 2"),
        ({"optimizer": sb.Optimizer(0.1)}, sb.SettingError, r"an object like sb.Adam\(\), not Opt"),
        ({"callbacks": print}, sb.SettingError, "callbacks must be a list of functions"),
        ({"callbacks": [None]}, sb.SettingError, "callbacks must be a list of functions"),
        ({"validation": True}, sb.SettingError, "validation must be one number, not True"),
        ({"engine": np.array(["numpy"])}, sb.SettingError, "engine must be one of"),
        ({"epochs": 10**13}, sb.SettingError, "keep fewer losses with record_every"),
        ({"optimizer": sb.SGD(1e39), "dtype": "float32"}, sb.SettingError, "lr 1e.39 is inf in"),
        (
            {"dropout": 1 - 1e-12, "dtype": "float32"},
            sb.SettingError,
            "dropout 0.999999999999 is 1 in float32",
        ),
        (
            {"optimizer": sb.Adam(epsilon=1e-60), "dtype": "float32"},
            sb.SettingError,
            "epsilon 1e-60 is 0 in float32",
        ),
    ],
)
def test_invalid_arguments_are_refused_in_one_line(given, error, message):
    x, t = given.pop("X", X), given.pop("Y", Y)
    defaults = {"loss": sb.squared_error, "epochs": 2, "seeds": range(3), "dtype": "float64"}
    network = given.pop("network", NETWORK)
    with pytest.raises(error, match=message) as raised:
        sb.train(network, x, t, **{**defaults, **given})
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, sb.SeedbedError)


def test_validation_as_a_share_and_as_data_is_refused():
    recipe = sb.Recipe(network=NETWORK, loss=sb.squared_error, validation=0.2)
    with pytest.raises(sb.SettingError, match="validation is given twice"):
        sb.train(recipe, X, Y, validation=(X, Y))


def test_patience_with_0_epochs_returns_the_start():
    start = train(epochs=3).theta
    population = train(start=start, epochs=0, patience=3, validation=0.2)
    np.testing.assert_array_equal(population.theta, start)


def test_target_probabilities_are_normalised():
    """The derivative softmax(y) - t is correct only if t sums to 1."""
    network = sb.Network(2, [sb.Dense(3)])
    t = np.full((20, 3), 1 / 3)
    recipe = sb.Recipe(network=network, loss=sb.cross_entropy)
    theta = network.init([0, 1])
    for found, exact in zip(
        sb.value_and_grad(recipe, theta, X, t * 1.00009),
        sb.value_and_grad(recipe, theta, X, t),
        strict=True,
    ):
        np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-15)


def test_rprops_first_step_is_the_members_learning_rate():
    rates = [0.1, 0.02, 0.3]
    start = NETWORK.init(np.arange(3))
    moved = train(optimizer=sb.Rprop(rates), epochs=1, start=start).theta - start
    np.testing.assert_allclose(np.abs(moved).max(axis=1), rates)
