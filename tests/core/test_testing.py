"""assert_not_worse(): did a model get worse?"""

import math

import numpy as np
import pytest

import seedbed as sb
from seedbed import testing
from seedbed.testing import UndecidedError, assert_not_worse

RNG = np.random.default_rng(3)
OLD = RNG.normal(0.9, 0.01, 30)
RULES = {"margin": 0.01, "higher_is_better": True}


def changed(gain, noise=0.004, n=30):
    return OLD[:n] + gain + noise * np.random.default_rng(4).normal(size=n)


def test_a_candidate_within_the_margin_is_fine():
    found = assert_not_worse(changed(-0.002), OLD, **RULES)
    assert found.status == "fine"
    assert -0.01 < found.low < found.high
    assert found.sentence.startswith(
        "candidate is not worse than baseline by 0.01 or more: typical"
    )
    assert f"surely at least {found.low:.3g}, in 30 paired runs; none collapsed" in found.sentence
    flipped = assert_not_worse(-changed(-0.002), -OLD, margin=0.01, higher_is_better=False)
    assert flipped.low == pytest.approx(found.low)


def test_a_worse_candidate_fails():
    with pytest.raises(
        AssertionError, match=r"candidate is worse than baseline by more than 0.01: t"
    ):
        assert_not_worse(changed(-0.02), OLD, **RULES)
    collapsed = changed(0.005)
    collapsed[:6] = 0.1
    with pytest.raises(
        AssertionError, match=r"worse .* in how often it collapses: .* in 6 and base"
    ):
        assert_not_worse(collapsed, OLD, **RULES)
    collapsed[:6] = np.nan
    with pytest.raises(AssertionError, match="in how often it collapses"):
        assert_not_worse(collapsed, OLD, **RULES)


def test_too_few_runs_do_not_tell():
    with pytest.raises(
        UndecidedError, match=r"can't tell whether .* by 0.01: .* more would tell"
    ) as e:
        assert_not_worse(changed(-0.008, n=8), OLD[:8], **RULES)
    assert not isinstance(e.value, sb.SeedbedError)
    with pytest.raises(UndecidedError, match=r"can't tell .*-∞ to ∞"):
        assert_not_worse([0.9, 0.8], [0.9, 0.8], **RULES)


def test_seeds_on_which_both_failed_show_nothing():
    nan = np.full(12, np.nan)
    with pytest.raises(UndecidedError, match="-∞ to ∞"):
        assert_not_worse(nan, nan, **RULES)
    a, b = np.r_[OLD[:12] + 0.001, np.full(40, np.nan)], np.r_[OLD[:12], np.full(40, np.nan)]
    with pytest.raises(UndecidedError):
        assert_not_worse(a, b, **RULES)


def test_a_candidate_that_wins_every_run_is_fine():
    a, b = 0.95 + 0.001 * RNG.normal(size=30), 0.8 + 0.001 * RNG.normal(size=30)
    a[:5] = 0.9
    assert assert_not_worse(a, b, **RULES).status == "fine"


@pytest.mark.parametrize("design", ["fixed", "adaptive", "anytime"])
def test_equal_methods_that_collapse_are_rarely_called_worse(design):
    """In a fifth of their runs, at any of the design's looks: half of alpha is for collapses."""
    rng, worse, trials = np.random.default_rng(1), 0, 2000
    looks = {"fixed": [64], "adaptive": [8, 16, 32, 64], "anytime": range(8, 257, 8)}[design]
    for _ in range(trials):
        fell = np.cumsum(rng.random((2, 256)) < 0.2, axis=1)
        pairs = [tuple(fell[:, n - 1].tolist()) for n in looks]
        worse += any(testing._falls_more_often(pair, design, 0.025) for pair in pairs)
    assert worse / trials <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / trials)
    assert testing._falls_more_often((12, 1), design, 0.025)


def test_error_rates_at_the_margin():
    """A candidate worse by exactly the margin passes, and fails, in at most 5 % each."""
    rng, passed, failed, trials = np.random.default_rng(0), 0, 0, 400
    for _ in range(trials):
        d = rng.normal(-1, 1, 20)
        try:
            assert_not_worse(d, np.zeros(20), margin=1.0, higher_is_better=True)
            passed += 1
        except UndecidedError:
            pass
        except AssertionError:
            failed += 1
    most = 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert passed / trials <= most
    assert failed / trials <= most


def least(X_train, Y_train, X_test, seed):
    return X_test @ np.linalg.lstsq(X_train, Y_train, rcond=None)[0]


def noisy(X_train, Y_train, X_test, seed):
    noise = np.random.default_rng(seed).normal(size=len(X_test))
    return least(X_train, Y_train, X_test, seed) + 0.3 * noise


X = RNG.normal(size=(80, 3))
Y = X @ [1.0, -2.0, 0.5] + RNG.normal(size=80)


def test_methods_are_trained_until_the_runs_tell():
    found = assert_not_worse(least, noisy, X, Y, margin=0.1)
    assert found.status == "fine"
    assert len(found.comparison.seeds) == 8
    with pytest.raises(AssertionError, match=r"is worse than baseline by more than 0.1: typical"):
        assert_not_worse(lambda *given: noisy(*given) + 3, least, X, Y, margin=0.1)
    with pytest.raises(UndecidedError, match="in 64 paired runs"):
        assert_not_worse(noisy, least, X, Y, margin=0.037)
    fixed = assert_not_worse(least, noisy, X, Y, margin=0.1, seeds=range(12), metric="mae")
    assert len(fixed.comparison.seeds) == 12
    assert fixed.comparison.metric.name == "MAE"


def test_bad_arguments():
    with pytest.raises(sb.SettingError, match="scores need higher_is_better"):
        assert_not_worse(OLD, OLD, margin=0.1)
    with pytest.raises(sb.SettingError, match="invalid margin: -1"):
        assert_not_worse(OLD, OLD, margin=-1, higher_is_better=True)
    with pytest.raises(sb.SettingError, match="invalid margin: -1"):
        assert_not_worse(least, noisy, X, Y, margin=-1)
    with pytest.raises(
        sb.SettingError, match="has no setting split for scores: the settings are des"
    ):
        assert_not_worse(OLD, OLD, **RULES, split="fixed")
    with pytest.raises(sb.SettingError, match="has no setting baseline_ for methods"):
        assert_not_worse(least, noisy, X, Y, margin=1, baseline_="x")
    with pytest.raises(sb.SettingError, match="margin 30 is half the range of accuracy or more"):
        assert_not_worse(
            lambda X, Y, Z, seed: Y[: len(Z)], lambda X, Y, Z, seed: Y[-len(Z) :], X,
            (Y > 0).astype(int), margin=30, task="classification",
        )  # fmt: skip
    with pytest.raises(sb.DataError, match="on the same seeds: candidate has 30, baseline has 29"):
        assert_not_worse(OLD, OLD[1:], **RULES)
