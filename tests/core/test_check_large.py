"""check_gradient() of large networks: few calls, and nothing wrong outside the sample is missed."""

import numpy as np
import pytest

import seedbed as sb

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(8, 100)), RANDOM.normal(size=(8, 6))
THETA = {
    "W1": RANDOM.normal(size=(100, 50)) / 10,
    "b1": RANDOM.normal(size=50),
    "W2": RANDOM.normal(size=(50, 6)) / 7,
    "b2": RANDOM.normal(size=6),
}


def network(wrong=None, relu=False, real=False):
    """Return f of a 100-50-6 network, whose dW1 is 1 % too large at one place, and its calls."""
    calls = []

    def f(p):
        calls.append(1)
        z = X @ p["W1"] + p["b1"]
        a = np.maximum(z, 0) if relu else np.tanh(z)
        error = a @ p["W2"] + p["b2"] - Y
        d = 2 * error / Y.size
        dz = d @ p["W2"].T * ((z > 0) if relu else 1 - a**2)
        g = {"W1": X.T @ dz, "b1": dz.sum(axis=0), "W2": a.T @ d, "b2": d.sum(axis=0)}
        if wrong is not None:
            g["W1"][wrong] *= 1.01
        loss = (error**2).mean()
        return (float(loss.real) if real else loss), {k: v.real for k, v in g.items()}

    return f, calls


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("real", [False, True])
def test_a_large_network_is_checked_in_few_calls(relu, real):
    f, calls = network(relu=relu, real=real)
    assert sb.check_gradient(f, THETA, X, Y).agrees
    assert len(calls) < (5000 if real else 1700)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("place", [(3, 7), (50, 0), (99, 49)])
def test_one_wrong_number_outside_the_sample_is_found(place, real):
    f, calls = network(place, real=real)
    block = sb.check_gradient(f, THETA, X, Y, max_parameters=100).blocks[0]
    assert (block.verdict, block.index) == ("wrong", place)
    assert block.checked < 50
    assert len(calls) < 1000


@pytest.mark.parametrize(
    ("wrong", "kinds"),
    [("", []), ("repeated", ["embedding: repeated rows"]), ("row", ["embedding: wrong row"])],
)
def test_a_large_table_is_computed_whole_if_some_rows_are_right(wrong, kinds):
    words, scores = RANDOM.integers(0, 300, 60), RANDOM.normal(size=60)

    def f(p):
        vectors = p["E"][words]
        d = (2 * (vectors @ p["w"] - scores) / 60)[:, None] * p["w"]
        dE = np.zeros_like(p["E"])
        if wrong == "repeated":
            dE[words] += d
        else:
            np.add.at(dE, words + (wrong == "row"), d)
        dw = vectors.T @ (2 * (vectors @ p["w"] - scores) / 60)
        return ((vectors @ p["w"] - scores) ** 2).mean(), {"E": dE, "w": dw}

    theta = {"E": RANDOM.normal(size=(301, 6)), "w": RANDOM.normal(size=6)}
    report = sb.check_gradient(f, theta, words[:, None], scores)
    assert [mistake.kind for mistake in report.mistakes] == kinds


@pytest.mark.parametrize("share", [1e-4, 1e-3, 1e-2])
def test_a_complex_step_that_loses_a_small_part_of_the_loss_raises_no_alarm(share):
    w = np.linspace(-1, 1, 8) + 0.05

    def f(w):  # abs() of a complex number is real
        return (w**2).sum() + share * np.abs(w).sum(), 2 * w + share * np.sign(w)

    assert sb.check_gradient(f, w).agrees
