"""Callbacks: when they are called, what they see, and that they change nothing."""

import numpy as np
import pytest

import seedbed as sb
from seedbed import runs

X, Y = sb.xor.data()
RECIPE = sb.Recipe(
    network=sb.Network(3, [sb.Dense(4, "tanh"), sb.Dense(1)]), loss="mse",
    optimizer=sb.SGD(0.1), epochs=25, engine="numpy",
)  # fmt: skip
MANY_X, MANY_Y = np.tile(X, (6, 1)), np.tile(Y, (6, 1))


def epochs_seen(every, recipe=RECIPE, x=X, t=Y, **given):
    seen = []
    callback = sb.every(every, lambda progress: seen.append(progress.epoch))
    population = sb.train(recipe, x, t, seeds=range(3), callbacks=[callback], **given)
    return seen, population


@pytest.mark.parametrize("record_every", [1, 4, 25])
@pytest.mark.parametrize(
    ("every", "expected"),
    [(1, [*range(1, 26)]), (10, [10, 20, 25]), (5, [5, 10, 15, 20, 25]), (40, [25])],
)
def test_every_calls_after_multiples_and_after_the_last_epoch(every, expected, record_every):
    seen, population = epochs_seen(every, record_every=record_every)
    assert seen == expected
    np.testing.assert_array_equal(population.theta, sb.train(RECIPE, X, Y, seeds=range(3)).theta)


@pytest.mark.parametrize("monitor", ["members", "ensemble"])
def test_the_last_epoch_is_that_of_an_early_stop(monitor):
    recipe = sb.Recipe(
        network=RECIPE.network, loss="mse", optimizer=sb.SGD(0.0), epochs=500, patience=7,
        monitor=monitor, engine="numpy",
    )  # fmt: skip
    seen, population = epochs_seen(5, recipe, MANY_X, MANY_Y, validation=0.3)
    last = int(population.epochs.max())
    assert 5 < last < 20
    assert seen == [*range(5, last, 5), last]


def test_theta_is_that_of_the_epoch():
    thetas = {}

    def keep(progress):
        thetas[progress.epoch] = progress.theta
        assert progress.theta is progress.theta
        progress.theta[:] = np.nan  # a copy
        thetas[progress.epoch] = np.isnan(progress.theta).all()

    sb.train(RECIPE, X, Y, seeds=range(3), callbacks=[sb.every(10, keep)])
    assert thetas == {10: True, 20: True, 25: True}
    frames = []
    keep = sb.every(10, lambda progress: frames.append(progress.theta))
    sb.train(RECIPE, X, Y, seeds=range(3), callbacks=[keep])
    for epochs, theta in zip((10, 20, 25), frames, strict=True):
        np.testing.assert_array_equal(
            theta, sb.train(RECIPE, X, Y, seeds=range(3), epochs=epochs).theta
        )


def test_theta_is_copied_only_where_it_is_read_and_not_read_too_late():
    kept = []
    population = sb.train(RECIPE, X, Y, seeds=range(3), callbacks=[sb.every(25, kept.append)])
    with pytest.raises(sb.SettingError, match=r"theta of epoch 25 is gone.*inside the callback"):
        _ = kept[0].theta
    assert not any(
        np.shares_memory(value, population.theta)
        for value in vars(kept[0]).values()
        if isinstance(value, np.ndarray)
    )


def test_a_true_result_ends_the_training_and_the_others_see_the_last_epoch():
    seen = []
    stop = sb.every(6, lambda progress: progress.epoch == 12)
    with pytest.warns(sb.InterruptWarning, match="stopped after 12 of 25 epochs"):
        sb.train(
            RECIPE, X, Y, seeds=range(3),
            callbacks=[stop, sb.every(5, lambda progress: seen.append(progress.epoch))],
        )  # fmt: skip
    assert seen == [5, 10, 12]


def test_callbacks_by_the_clock_are_not_called_at_every_epoch_of_others(monkeypatch):
    monkeypatch.setattr(runs, "CALLBACK_SECONDS", 1e9)
    often, rarely = [], []
    sb.train(
        RECIPE, X, Y, epochs=2000, seeds=range(3),
        callbacks=[sb.every(1, often.append), rarely.append],
    )  # fmt: skip
    assert [progress.epoch for progress in often] == [*range(1, 2001)]
    assert [progress.epoch for progress in rarely] == [1, 2000]


def test_a_training_that_diverges_at_once_ends_with_a_callback(capsys):
    recipe = sb.Recipe(
        network=RECIPE.network, loss="mse", optimizer=sb.SGD(1e30), epochs=9, engine="numpy"
    )
    with pytest.warns(sb.DivergenceWarning):
        seen, population = epochs_seen(4, recipe, progress=True)
    assert seen == [int(population.epochs.max())]
    assert population.diverged.all()


@pytest.mark.parametrize(
    ("epochs", "function", "message"),
    [(0, print, "every's epochs must be a whole number"), (3, None, "every needs a function")],
)
def test_invalid_periods_are_refused(epochs, function, message):
    with pytest.raises(sb.SettingError, match=message):
        sb.every(epochs, function)
