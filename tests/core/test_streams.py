"""A seed's streams: uniform, normal, independent of each other, and functions of their position."""

import numpy as np
import pytest

from seedbed import streams

SEEDS = np.arange(2000)


@pytest.mark.parametrize("purpose", ["init", "order", "dropout", "split"])
def test_uniform_draws_are_uniform(purpose):
    u = streams.uniform(streams.keys(SEEDS, purpose, 3), 500)
    assert 0 < u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    expected = u.size / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 99 + 6 * np.sqrt(2 * 99)


def test_normal_draws_have_normal_moments():
    n = streams.normal(streams.keys(SEEDS, "init", 0), 501)
    assert n.shape == (2000, 501)
    bound = 6 / np.sqrt(n.size)
    assert abs(n.mean()) < bound
    assert abs(n.var() - 1) < bound * np.sqrt(2)
    assert abs((n**3).mean()) < bound * np.sqrt(15)
    assert abs((n**4).mean() - 3) < bound * np.sqrt(96)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_neighbours_are_independent():
    u = streams.uniform(streams.keys(SEEDS, "init", 0), 500)
    bound = 5 / np.sqrt(u.size)
    assert abs(correlation(u[:-1], u[1:])) < bound  # neighbouring seeds
    assert abs(correlation(u[:, :-1], u[:, 1:])) < bound  # neighbouring draws
    for purpose, position in (("init", (1,)), ("order", (0,)), ("init", (0, 0))):
        other = streams.uniform(streams.keys(SEEDS, purpose, *position), 500)
        assert abs(correlation(u, other)) < bound


def test_a_draw_depends_only_on_its_number():
    key = streams.keys(SEEDS[:3], "dropout", 7, 1)
    whole = streams.bits(key, 100)
    np.testing.assert_array_equal(whole[:, 40:60], streams.bits(key, 20, start=40))
    np.testing.assert_array_equal(whole[1:2], streams.bits(key[1:2], 100))


def test_draws_are_the_same_on_every_machine():
    key = streams.keys(np.array([0, 1, 2**63 - 1]), "init", 0, 0)
    assert key.tolist() == KEYS
    assert streams.bits(key[:1], 2).tolist() == [BITS]


KEYS = [15437689834127776411, 1850827794872419439, 6281962569107652055]
BITS = [17923878002939005364, 8465317754953695920]


@pytest.mark.parametrize("count", [1, 2, 3, 64, 65, 1000])
def test_orders_are_permutations(count):
    order = streams.order(streams.keys(SEEDS[:50], "order", 0), count)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(np.arange(count), (50, 1)))


def test_orders_are_uniform():
    orders = streams.order(streams.keys(np.arange(24000), "order", 1), 4)
    _, counts = np.unique(orders @ np.array([64, 16, 4, 1]), return_counts=True)
    assert len(counts) == 24
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 23 + 6 * np.sqrt(2 * 23)


def test_masks_keep_the_expected_activation():
    rate = np.array([[0.0], [0.3], [0.9]])
    key = streams.keys(SEEDS[:3], "dropout", 0, 0)
    mask = streams.keep_mask(key, 100_000, 0, rate, np.float64)
    np.testing.assert_allclose((mask == 0).mean(axis=1), rate[:, 0], atol=0.006)
    np.testing.assert_allclose(mask.mean(axis=1), 1, atol=0.05)
    assert set(mask[1]) == {0.0, 1 / 0.7}
