"""Networks: layers, and the layout of parameters in theta."""

import numpy as np
import pytest

import seedbed as sb

NETWORK = sb.Network(3, [sb.Dense(4, sb.tanh), sb.Dense(2)])


def test_theta_has_each_layers_weights_then_biases():
    assert NETWORK.size == 3 * 4 + 4 + 4 * 2 + 2
    assert NETWORK.widths == (3, 4, 2)
    theta = np.arange(2 * 26.0).reshape(2, 26)
    (W1, b1), (W2, b2) = NETWORK.views(theta)
    np.testing.assert_array_equal(W1[1], 26 + np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(b1[0], [[12, 13, 14, 15]])
    np.testing.assert_array_equal(W2[0], 16 + np.arange(8).reshape(4, 2))
    np.testing.assert_array_equal(b2[1], [[50, 51]])
    W1[0, 0, 0] = -1
    assert theta[0, 0] == -1  # views, not copies
    assert NETWORK.is_weight.sum() == 20
    assert not NETWORK.is_weight[[12, 15, 24, 25]].any()


def test_views_refuse_theta_of_another_size():
    with pytest.raises(sb.ShapeError, match=r"theta has shape \(2, 25\).*needs \(members, 26\)"):
        NETWORK.views(np.zeros((2, 25)))


def test_initial_weights_depend_only_on_seed_and_layer():
    theta = NETWORK.init(np.array([5, 6, 7]))
    np.testing.assert_array_equal(NETWORK.init(np.array([6])), theta[1:2])
    other = sb.Network(3, [sb.Dense(4, sb.tanh), sb.Dense(9)])
    np.testing.assert_array_equal(other.init(np.array([6]))[0, :16], theta[1, :16])
    assert len(np.unique(theta[:, NETWORK.is_weight])) == 3 * 20
    assert not theta[:, ~NETWORK.is_weight].any()
    np.testing.assert_array_equal(NETWORK.init(np.array([6]), np.float32)[0], theta[1].astype("f4"))


def test_initial_weights_do_not_depend_on_the_number_of_members():
    wide = sb.Network(60, [sb.Dense(60, sb.relu), sb.Dense(1)])
    many = wide.init(np.arange(100))
    np.testing.assert_array_equal(wide.init(np.array([99]))[0], many[99])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sb.Network(0, [sb.Dense(1)]), "inputs must be a whole number of at least 1"),
        (lambda: sb.Network(2.5, [sb.Dense(1)]), "not 2.5"),
        (lambda: sb.Network(2, []), "at least one"),
        (lambda: sb.Network(2, [3]), "list of layers such as sb.Dense"),
        (lambda: sb.Network(2, sb.relu), "list of layers such as sb.Dense"),
        (lambda: sb.Dense(-1), "a layer's units must be a whole number"),
        (lambda: sb.Dense(True), "a layer's units must be a whole number"),
        (lambda: sb.Dense(3, "rleu"), "activation must be one of elu, .*did you mean 'relu'"),
        (lambda: sb.Dense(3, "softmax"), "cross_entropy applies the softmax"),
        (lambda: sb.Dense(3, 5), r"or an object like sb.elu\(\), not 5"),
        (lambda: sb.Dense(3, sb.leaky_relu), "call it first: leaky_relu"),
        (lambda: sb.Dense(3, "relu", "glorot_normal"), "init must be one of glorot, he"),
        (lambda: sb.Dense(3, "relu", "he", None), "bias_init must be one of"),
    ],
)
def test_invalid_networks_are_refused(make, message):
    with pytest.raises(sb.SettingError, match=message):
        make()


def test_layers_may_be_one_layer():
    assert sb.Network(2, sb.Dense(1)).layers == (sb.Dense(1),)
    assert str(sb.Network(2, sb.Dense(1))) == "2-1 (identity)"
