"""What is wrong with a population: each fault is planted, found and named."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.diagnosis import diagnose

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, :1] - X[:, 1:2]


def trained(activation, epochs=60, **options):
    network = sb.Network(3, [sb.Dense(8, activation), sb.Dense(1)])
    options = {"optimizer": sb.Adam(0.02), "schedule": sb.cosine(), **options}
    return sb.train(
        network, X, Y, loss=sb.squared_error, epochs=epochs, seeds=range(3), engine="numpy",
        **options,
    )  # fmt: skip


def kinds(population, T=Y):
    return [finding.kind for finding in diagnose(population, X, T)]


@pytest.mark.parametrize("activation", [sb.relu, sb.tanh, sb.sigmoid, sb.mish, sb.identity])
def test_nothing_is_found_where_nothing_is_wrong(activation):
    assert kinds(trained(activation, epochs=300)) == []


def test_units_that_never_fire_are_dead():
    population = trained(sb.relu, epochs=300)
    population.recipe.network.views(population.theta)[0].b[...] = -50
    (finding,) = diagnose(population, X, Y)
    assert finding.kind == "dead units"
    assert "100% of the units of hidden layer 1 are dead" in finding.message
    assert "leaky_relu" in finding.message
    population.recipe.network.views(population.theta)[0].b[0, 0, :4] = 1
    assert kinds(population) == ["dead units"]  # most of them still are


@pytest.mark.parametrize("activation", [sb.tanh, sb.sigmoid])
def test_units_on_the_flat_are_saturated(activation):
    population = trained(activation, epochs=300)
    population.recipe.network.views(population.theta)[0].b[...] = 40
    (finding,) = diagnose(population, X, Y)
    assert finding.kind == "saturated units"
    assert "lower the learning rate, scale the inputs" in finding.message


def test_a_target_of_other_size_is_unscaled():
    population = trained(sb.tanh, epochs=300)
    for T in (Y + 1000, Y * 1000, Y * 1e-5):
        assert kinds(population, T) == ["unscaled target"]
    assert kinds(population, Y * 3 + 1) == []


def test_a_loss_on_its_way_is_still_falling():
    population = trained(sb.tanh, optimizer=sb.Adam(1e-4), schedule=sb.constant)
    (finding,) = diagnose(population, X, Y)
    assert finding.kind == "still falling"
    assert "still falling after 60 epochs" in finding.message


def test_members_that_diverged_are_counted():
    with pytest.warns(sb.DivergenceWarning):
        population = trained(sb.tanh, optimizer=sb.SGD([0.01, 0.01, 1e30]), epochs=300)
    findings = diagnose(population, X, Y)
    assert findings[0].kind == "diverged"
    assert findings[0].message.startswith("1 of 3 members diverged")


def test_a_loss_that_rose_again_is_not_still_falling():
    population = trained(sb.tanh, epochs=300)
    curve = np.linspace(1, 0.2, 300)
    population.history.train_loss[...] = curve
    assert kinds(population) == ["still falling"]
    population.history.train_loss[:, 230:] = 2
    assert kinds(population) == []
