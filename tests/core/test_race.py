"""Recipes that train side by side on the same held-out rows."""

import io
import math
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seedbed as sb
from seedbed.choosing import Entry, train_best
from seedbed.errors import InterruptWarning
from seedbed.race import MIN_RACE_EPOCHS, advantage, epochs_in_time, race_cost

RANDOM = np.random.default_rng(0)
X = RANDOM.uniform(-1, 1, (240, 2)).astype(np.float32)
Y = np.sin(6 * X[:, :1]) + 0.05 * RANDOM.normal(size=(240, 1))
HELD_OUT = [range(member, 240, 4) for member in range(4)]


def recipe(width=16, lr=0.02, **settings):
    network = sb.Network(2, [sb.Dense(width, "tanh"), sb.Dense(1)])
    settings = {"epochs": 30, "batch_size": 24, "patience": 30, "engine": "numpy"} | settings
    return sb.Recipe(
        network=network, loss=sb.squared_error, optimizer=sb.Adam(lr), schedule="coslog4",
        monitor="ensemble", **settings,
    )  # fmt: skip


def run(recipes, T=Y, validations=None, **settings):
    entries = [
        lambda name=name, each=each, number=number: Entry(
            name, each, X, None if validations is None else validations[number]
        )
        for number, (name, each) in enumerate(recipes.items())
    ]
    given = {"seeds": range(4), "held_out": HELD_OUT, "progress": False}
    return train_best(entries, T, **given | settings)


SLOW, GOOD, LINEAR = recipe(lr=1e-5), recipe(), recipe(width=1)


def test_the_best_recipe_trains_to_the_end_and_the_others_stop_early():
    population, trials = run({"slow": SLOW, "linear": LINEAR, "good": GOOD})
    assert [(trial.name, trial.epochs, trial.chosen) for trial in trials] == [
        ("slow", 4, False), ("linear", 6, False), ("good", 30, True)
    ]  # fmt: skip
    alone = sb.train(GOOD, X, Y, seeds=range(4), held_out=HELD_OUT, progress=False)
    np.testing.assert_array_equal(population.theta, alone.theta)
    assert population.recipe == alone.recipe
    losses = [trial.held_out_loss for trial in trials]
    assert losses[2] < losses[1] < losses[0]
    assert losses[2] == alone.history.ensemble_val_loss.min()


def test_several_recipes_may_be_trained_to_the_end():
    recipes = {"linear": LINEAR, "slow": SLOW, "good": GOOD}
    for stages in (((7 / 15, 2), (1, 1)), ((1, 1),)):
        _, trials = run(recipes, stages=stages)
        epochs = {trial.name: trial.epochs for trial in trials}
        assert epochs == {"linear": 30, "slow": 14 if len(stages) > 1 else 30, "good": 30}
        assert [trial.name for trial in trials if trial.chosen] == ["good"]
    assert race_cost([1, 2, 3], ((7 / 15, 2), (1, 1))) == pytest.approx(6 * 7 / 15 + 5 * 8 / 15)


def test_equal_recipes_leave_the_default():
    for first in "abcd":
        _, trials = run({first: GOOD} | dict.fromkeys("abcd", GOOD))
        assert [trial.name for trial in trials if trial.chosen] == [first]


@pytest.mark.parametrize(("gain", "leads"), [(0.01, False), (0.1, False), (0.3, True), (-1, False)])
def test_a_gain_within_one_standard_error_is_none(gain, leads):
    """64 held-out rows whose losses differ by the gain and noise: an error of 0.2."""
    noise = np.resize([1.6, -1.6], 64)
    losses = RANDOM.normal(size=64) + 5
    first, other = (
        SimpleNamespace(ensemble=SimpleNamespace(best_losses=each, w=np.ones(64)))
        for each in (losses, losses - gain + noise)
    )
    assert (advantage(other, first) > 0) == leads
    assert advantage(other, first) == pytest.approx(gain - 0.2)
    assert advantage(first, first) == 0


def test_a_diverging_recipe_loses_even_as_the_default():
    broken = recipe(lr=1e30)
    for recipes in ({"broken": broken, "good": GOOD}, {"good": GOOD, "broken": broken}):
        population, trials = run(recipes)
        assert [trial.name for trial in trials if trial.chosen] == ["good"]
        assert not population.diverged.any()


def test_the_held_out_loss_is_weighted():
    """Half of the rows can be learnt; the other half are noise, which nobody predicts."""
    noise = X[:, 0] > 0
    T = np.where(noise[:, None], RANDOM.normal(size=Y.shape), Y)
    learnt, unknown = (
        run({"slow": SLOW, "good": GOOD}, T, sample_weight=np.where(weighty, 1.0, 1e-6))[1][1]
        for weighty in (~noise, noise)
    )
    assert learnt.chosen
    assert learnt.held_out_loss < 0.3 * unknown.held_out_loss


def test_validation_data_and_callbacks_of_each_recipe():
    seen = []
    data = (X[:60], Y[:60])
    _, trials = run(
        {"slow": SLOW, "good": GOOD}, validations=[data, data], held_out=None,
        callbacks=[sb.every(1, lambda progress: seen.append(progress.epoch))],
    )  # fmt: skip
    assert trials[1].chosen
    assert seen == [*range(1, 7), *range(1, 7), *range(7, 31)]


@pytest.mark.parametrize("stop_at", [2, 20])
def test_a_callback_ends_the_recipe_that_it_is_called_for(stop_at):
    callback = sb.every(1, lambda progress: progress.epoch == stop_at)
    with pytest.warns(InterruptWarning, match=f"stopped after {stop_at} of 30 epochs"):
        population, trials = run({"slow": SLOW, "good": GOOD}, callbacks=[callback])
    assert max(trial.epochs for trial in trials) == stop_at
    assert population.epochs.max() <= stop_at


def test_the_cost_of_a_race_is_that_of_its_stages():
    # 2/15 of the epochs of all four, 1/15 of the two dearest, 4/5 of the dearest
    assert race_cost([1, 1, 1, 1]) == pytest.approx(4 * 2 / 15 + 2 / 15 + 4 / 5)
    assert race_cost([1, 2, 3, 4]) == pytest.approx(10 * 2 / 15 + 7 / 15 + 4 * 4 / 5)
    assert race_cost([3]) == pytest.approx(3)
    assert race_cost([3, 1]) == pytest.approx(4 / 5 + 3 * 4 / 5)


COSTS = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=6)


@given(costs=COSTS, epochs=st.integers(1, 300), seconds=st.floats(-1, 1e5))
def test_the_epochs_fit_into_the_time(costs, epochs, seconds):
    tried, planned = epochs_in_time(costs, epochs, seconds)
    assert tried[0] == 0  # the default
    assert 1 <= planned <= epochs
    cost = race_cost([costs[number] for number in tried])
    assert planned == 1 or planned * cost <= seconds * (1 + 1e-9)
    if len(tried) > 1:
        assert planned >= min(epochs, MIN_RACE_EPOCHS)
    left_out = [costs[number] for number in range(len(costs)) if number not in tried]
    assert max([0, *(costs[number] for number in tried[1:])]) <= min([*left_out, math.inf])
    if seconds > race_cost(costs) * epochs * (1 + 1e-9):
        assert (tried, planned) == (list(range(len(costs))), epochs)


LONG = {name: recipe(width=64, lr=0.02, epochs=4000, patience=4000) for name in "abc"}


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_a_deadline_ends_the_training(seconds):
    began, calls = time.perf_counter(), []
    population, trials = run(
        LONG, deadline=began + seconds, callbacks=[sb.every(10**6, calls.append)]
    )
    assert time.perf_counter() - began < 3 * seconds  # one epoch more on a busy machine
    assert [trial.name for trial in trials] == list("abc")[: len(trials)]
    (chosen,) = (trial for trial in trials if trial.chosen)
    assert 1 <= chosen.epochs < 4000
    assert math.isfinite(chosen.held_out_loss)
    assert population.recipe.epochs < 4000  # the schedule ends in time
    assert population.recipe.patience == population.recipe.epochs
    assert set(population.status) <= {"finished", "stopped"}
    assert calls
    assert calls[-1].epoch == chosen.epochs


def test_a_deadline_in_the_past_leaves_one_epoch_of_the_default():
    made = []
    entries = [lambda name=name: made.append(name) or Entry(name, LONG[name], X) for name in LONG]
    population, trials = train_best(
        entries, Y, seeds=range(4), held_out=HELD_OUT, progress=False,
        deadline=time.perf_counter() - 1,
    )  # fmt: skip
    assert made == ["a"]  # the others take time even to prepare
    assert [(trial.epochs, trial.chosen) for trial in trials] == [(1, True)]
    assert (population.epochs == 1).all()


def test_a_run_whose_time_is_over_between_two_stages_is_stopped():
    """Whichever leads, and without a warning: a callback takes the time that is left."""
    recipes = {"slow": recipe(lr=1e-5, epochs=45), "good": recipe(epochs=45), "linear": LINEAR}
    deadline = time.perf_counter() + 2

    def idle(progress):
        if progress.epoch == 9:  # the end of the second stage
            time.sleep(max(0.0, deadline + 0.1 - time.perf_counter()))

    population, trials = run(recipes, deadline=deadline, callbacks=[sb.every(1, idle)])
    (chosen,) = (trial for trial in trials if trial.chosen)
    assert chosen.epochs == 9
    assert set(population.status) == {"stopped"}


def test_a_deadline_without_validation():
    network = sb.Network(2, [sb.Dense(64, "tanh"), sb.Dense(1)])
    alone = sb.Recipe(
        network=network, loss=sb.squared_error, epochs=10**6, engine="numpy", batch_size=24
    )
    began = time.perf_counter()
    population, (trial,) = train_best(
        [lambda: Entry("alone", alone, X)], Y, seeds=range(4), progress=False, deadline=began + 1
    )
    assert time.perf_counter() - began < 3
    assert trial.epochs == population.epochs.max() < 10**6
    assert math.isnan(trial.held_out_loss)


def test_a_late_deadline_changes_nothing():
    recipes = {"slow": SLOW, "good": GOOD}
    population, trials = run(recipes, deadline=time.perf_counter() + 1e6)
    unlimited, expected = run(recipes)
    np.testing.assert_array_equal(population.theta, unlimited.theta)
    assert trials == expected


def test_the_progress_line_says_what_is_tried_and_the_best_so_far(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    long = {"epochs": 1000, "patience": 1000}
    run({"slow": recipe(lr=1e-5, **long), "good": recipe(**long)}, progress=True)
    lines = sys.stderr.getvalue().split("\r")
    assert any(line.startswith("slow (1 of 2), epoch ") for line in lines)
    assert any(
        line.startswith("good (2 of 2), epoch ") and "best held-out loss 0." in line
        and "(good)" in line for line in lines
    )  # fmt: skip
