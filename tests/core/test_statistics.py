"""Statistics and verdicts: checked by enumeration, simulation and planted faults."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.comparing import evidence, sequential, statistics, verdict

pytestmark = pytest.mark.filterwarnings("ignore:the differences of")  # planted in order
RNG = np.random.default_rng(11)


def enumerated_p(d):
    """Return P(|Σ ε r| >= |Σ sign(d) r|) by enumerating the signs."""
    ranks = np.abs(statistics.signed_ranks(d))
    signs = np.array(list(itertools.product([-1, 1], repeat=len(d))))
    observed = abs(statistics.signed_ranks(d).sum())
    return (np.abs(signs @ ranks) >= observed - 1e-9).mean()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_p_equals_enumeration_with_ties_and_zeros(d):
    d = np.array(d, float)
    assert statistics.signed_rank_p(d) == pytest.approx(enumerated_p(d), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(-5, 5), st.sampled_from([math.inf, -math.inf])), min_size=1))
def test_statistics_are_antisymmetric_and_ignore_seed_order(d):
    d = np.array(d)
    p, low, high = statistics.signed_rank_p(d), *statistics.gain_interval(d, 0.05)
    shuffled = RNG.permutation(d)
    assert statistics.signed_rank_p(-d) == statistics.signed_rank_p(shuffled) == p
    assert statistics.gain_interval(-d, 0.05) == (-high, -low)
    assert statistics.gain_interval(shuffled, 0.05) == (low, high)
    assert statistics.typical_gain(-d) == -statistics.typical_gain(d)
    assert evidence.e_value(-d) == pytest.approx(evidence.e_value(d))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(4, 40),
    st.floats(-1.5, 1.5),
    st.integers(0, 10**6),
    st.sampled_from([0.01, 0.05, 0.1]),
)
def test_interval_contains_0_iff_the_test_does_not_reject(n, shift, seed, alpha):
    d = np.random.default_rng(seed).normal(shift, 1, n)
    low, high = statistics.gain_interval(d, alpha)
    assert (low <= 0 <= high) == (statistics.signed_rank_p(d) > alpha)
    assert low <= statistics.typical_gain(d) <= high


def test_typical_gain_by_hand():
    # pairwise averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6
    assert statistics.typical_gain(np.array([1.0, 2.0, 6.0])) == 2.75
    assert statistics.typical_gain(np.array([-math.inf, math.inf])) == 0.0
    assert statistics.typical_gain(np.array([math.inf, math.inf, 0.0])) == math.inf


def test_share_interval_by_hand():
    # no win in n: the upper bound is 1 - (α/2)^(1/n)
    low, high = statistics.share_interval(0, 0, 10, 0.05)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025**0.1, abs=1e-12)
    # ties widen it on both sides
    wide, narrow = (statistics.share_interval(a, b, 20, 0.05) for a, b in ((8, 14), (11, 11)))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_min_pairs():
    assert statistics.min_pairs(0.05) == 6
    assert statistics.min_pairs(0.05 / 10) == 9
    assert statistics.signed_rank_p(np.arange(1.0, 6.0)) > 0.05  # 5 pairs are too few
    assert statistics.signed_rank_p(np.arange(1.0, 7.0)) == 2 / 64


def test_pairs_needed_by_hand():
    d = np.array([3.0, 1.0, 2.0, -1.5])
    averages = [(a + b) / 2 for i, a in enumerate(d) for b in d[i:]]
    share = np.mean([(a > 0) + 0.5 * (a == 0) for a in averages])
    expected = (1.959963985 + 0.841621234) ** 2 / (3 * (share - 0.5) ** 2)
    need = statistics.pairs_needed(d, 0.05)
    assert need.pairs == math.ceil(expected)
    # for each i, the share of j with d_i + d_j > 0: 1, 3/4, 1, 1/2
    error = 1.28 * 2 * np.std([1, 0.75, 1, 0.5]) / 2
    leans = share - 0.5 - error, min(0.5, share - 0.5 + error)
    far, near = ((2.80158 / lean) ** 2 / 3 for lean in leans)
    assert (need.low, need.high) == (math.ceil(near), pytest.approx(far, rel=1e-3, abs=1))
    assert statistics.pairs_needed(np.array([1.0, -1.0]), 0.05) is None
    assert statistics.pairs_needed(np.array([1.0, -1.0, 0.5, -0.4]), 0.05).high is None


def test_alpha_is_spent_by_the_looks_and_some_is_kept_for_later_ones():
    spent = [sequential.alpha_spent(n) for n in (*sequential.LOOKS, *sequential.LATER_LOOKS)]
    assert spent[0] == pytest.approx(0.85 * math.log(1 + (math.e - 1) / 8))
    assert spent[3:] == pytest.approx([0.85, 0.925, 0.9625, 0.98125, 0.990625])
    assert spent == sorted(spent)


@pytest.mark.parametrize("n", [129, 200, 400])
def test_p_of_many_pairs_is_close_to_the_exact_one(n, monkeypatch):
    rng, many, few = np.random.default_rng(n), [], []
    for shift in (0.0, 0.1, 0.2, 0.4):
        d = rng.normal(shift, 1, n)
        gap = rng.exponential(1, n) - rng.exponential(1 + shift, n)
        tied = np.round(4 * rng.normal(shift, 1, 2 * n))
        votes = rng.choice([-2.0, -1.0, 1.0, 2.0, 3.0], n + 180)
        many += [d, gap]
        few += [
            tied[tied != 0][: n + 180],
            np.where(rng.random(n) < shift, abs(votes[:n]), votes[:n]),
        ]
    for group, most in ((many, 0.01), (few, 0.15)):
        close = [statistics.signed_rank_p(d) for d in group]
        with monkeypatch.context() as patch:
            patch.setattr(statistics, "EXACT_PAIRS", 10**6)
            exact = [statistics.signed_rank_p(d) for d in group]
        np.testing.assert_allclose(close, exact, rtol=most)
        assert min(exact) < 1e-3


def test_typical_gains_and_intervals_of_many_pairs():
    """They are searched by bisection, to the ends that the list of averages has."""
    rng = np.random.default_rng(1)
    for d in (rng.normal(0.1, 1, 60), np.round(4 * rng.normal(0.2, 1, 60)) / 50):
        for failed in (0, 3):
            d[:failed] = -math.inf
            found = statistics.typical_gain(d), *statistics.gain_interval(d, 0.05)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(statistics, "LISTED_PAIRS", 10)
                bisected = statistics.typical_gain(d), *statistics.gain_interval(d, 0.05)
            np.testing.assert_allclose(bisected, found, atol=1e-8)
    for sign in (1, -1):
        d = sign * np.r_[np.full(280, math.inf), rng.normal(size=100)]
        assert statistics.typical_gain(d) == sign * math.inf


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-3, 4), min_size=4, max_size=40),
    st.sampled_from([statistics.signed_rank_p, evidence.p_value]),
    st.sampled_from([0.01, 0.05, 0.1]),
)
def test_tied_intervals_contain_0_iff_the_test_does_not_reject(d, test, alpha):
    d = np.array(d, float) / 50
    low, high = statistics.gain_interval(d, alpha, test)
    assert (low <= 0 <= high) == (test(d) > alpha)
    assert low <= high


def test_e_values_by_hand():
    # ranks among those so far: 1/1, 2/2, then 1/3: the bets are on the signs +, +, -
    x, w = np.polynomial.legendre.leggauss(20)
    expected = w @ ((1 + x) * (1 + x) * (1 - x / 3)) / 2
    assert evidence.e_value(np.array([2.0, 3.0, -1.0])) == pytest.approx(expected)
    assert evidence.e_value(np.array([0.0, 0.0])) == 1.0
    # growing gains, all of one sign: those of the sign test, 2^n / (n + 1)
    assert evidence.e_value(np.arange(1.0, 9.0)) == pytest.approx(2**8 / 9)


def test_all_designs_have_one_estimand():
    """Where big gains are rare and small losses usual, no two of them name opposite winners."""
    rng, seen = np.random.default_rng(2), set()
    for _ in range(30):
        d = np.where(rng.random(64) < 0.45, rng.uniform(1, 2, 64), -rng.uniform(0.1, 1, 64))
        leads = {
            sb.judge({"a": d, "b": 0 * d}, higher_is_better=True, design=design).pairs[0].leads
            for design in ("fixed", "adaptive", "anytime")
        }
        seen |= leads
        assert not {"a", "b"} <= leads
    assert "a" in seen


# ---------------------------------------------------------------- error rates and power


NOISES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: -rng.exponential(size=shape),
    "collapsing": lambda rng, shape: np.where(
        rng.random(shape) < 0.1, np.nan, rng.normal(size=shape)
    ),
    "tied": lambda rng, shape: np.round(2 * rng.normal(size=shape)),
}


def false_claims(noise, n, design, trials, methods=2, seed=0):
    """Return the share of trials in which any look finds a difference between equal methods."""
    rng, wrong = np.random.default_rng(seed), 0
    looks = range(8, n + 1, 8) if design == "anytime" else [n]  # the adaptive design looks itself
    for _ in range(trials):
        scores = NOISES[noise](rng, (methods, n))
        for look in looks:
            given = {str(i): row[:look] for i, row in enumerate(scores)}
            found = sb.judge(given, higher_is_better=True, design=design)
            if any(pair.better is not None for pair in found.pairs):
                wrong += 1
                break
    return wrong / trials


def bound(trials, level=0.05):
    """Return the level plus three standard errors."""
    return level + 3 * math.sqrt(level * (1 - level) / trials)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n", [6, 10, 32])
def test_false_positive_rate_with_fixed_seeds(noise, n):
    assert false_claims(noise, n, "fixed", 500) <= bound(500)


@pytest.mark.parametrize("noise", NOISES)
def test_false_positive_rate_with_repeated_looks(noise):
    assert false_claims(noise, 64, "adaptive", 150) <= bound(150)
    assert false_claims(noise, 40, "anytime", 40) <= bound(40)


def test_false_positive_rate_with_ten_methods():
    assert false_claims("normal", 20, "fixed", 60, methods=10) <= bound(60)


def test_power():
    rng, found = np.random.default_rng(5), {"normal": 0, "collapsing": 0}
    for noise, least in (("normal", 0.9), ("collapsing", 0.7)):
        # P(a better) is ¾; with a tenth of both collapsing, it is 0.81 among the other runs
        shift = {"normal": 0.674, "collapsing": 0.873}[noise] * math.sqrt(2)
        for _ in range(200):
            a, b = NOISES[noise](rng, (2, 29))
            a = a + shift
            pair = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")["a", "b"]
            found[noise] += pair.leads == "a"
        assert found[noise] / 200 >= least - 0.06


def test_looks_stop_early():
    rng, n, crossed = np.random.default_rng(6), [], []
    for _ in range(150):
        looks = sequential.sequential_test(rng.normal(0.674, 1, 64), 0.05)
        n.append(looks[-1].n)
        crossed.append(looks[-1].crossed)
    assert np.mean(crossed) >= 0.95
    assert np.mean(n) <= 32


def test_intervals_cover():
    rng, covered = np.random.default_rng(7), np.zeros(2)
    for _ in range(400):
        d = rng.normal(0.3, 1, 20)
        low, high = statistics.gain_interval(d, 0.05)
        wins = int((d > 0).sum())
        share = statistics.share_interval(wins, wins, 20, 0.05)
        covered += [low <= 0.3 <= high, share[0] <= 0.6179 <= share[1]]
    assert (covered / 400 >= 0.94 - 0.025).all()


def test_intervals_cover_after_early_stopping():
    rng, covered = np.random.default_rng(8), 0
    for _ in range(150):
        d = rng.normal(0.5, 1, 64)
        n = sequential.sequential_test(d, 0.05)[-1].n
        found = sb.judge({"a": d[:n], "b": np.zeros(n)}, higher_is_better=True, design="adaptive")
        covered += found.pairs[0].low <= 0.5 <= found.pairs[0].high
    assert covered / 150 >= 0.9


# ---------------------------------------------------------------- planted faults


def test_pairs_that_each_take_the_whole_alpha_are_caught(monkeypatch):
    whole = verdict.Rules
    monkeypatch.setattr(
        "seedbed.comparing.judge.Rules", lambda alpha, m, *rest: whole(alpha, 1, *rest)
    )
    assert false_claims("normal", 20, "fixed", 60, methods=10) > bound(60)


def test_best_seed_test_is_caught(monkeypatch):
    def best_seed_p(d):
        return 0.0 if d.max() != -d.min() else 1.0

    monkeypatch.setattr(statistics, "signed_rank_p", best_seed_p)
    assert false_claims("normal", 10, "fixed", 200) > bound(200)


def test_fixed_test_after_every_seed_is_caught(monkeypatch):
    monkeypatch.setattr(evidence, "p_value", statistics.signed_rank_p)
    assert false_claims("normal", 80, "anytime", 100) > bound(100)


def collapsing_method():
    """Return scores of a method that is slightly better but often fails, and of a sound one."""
    rng = np.random.default_rng(9)
    b = rng.normal(size=30)
    a = b + rng.uniform(0.01, 0.1, 30)
    a[rng.permutation(30)[:14]] = np.nan
    return {"a": a, "b": b}


def test_dropping_failures_is_caught(monkeypatch):
    pair = sb.judge(collapsing_method(), higher_is_better=True, design="fixed")["a", "b"]
    assert pair.leads != "a"
    assert pair.failed == pair.collapsed == (14, 0)
    assert (pair.wins, pair.losses) == (16, 14)

    def dropping(a, b, higher_is_better):
        return np.nan_to_num(a - b, nan=0.0)

    monkeypatch.setattr(verdict, "gains", dropping)
    assert (
        sb.judge(collapsing_method(), higher_is_better=True, design="fixed")["a", "b"].leads == "a"
    )


def test_unpaired_scores_are_caught(monkeypatch):
    rng = np.random.default_rng(10)
    hard = rng.normal(0, 5, 30)  # some seeds have harder splits for both methods
    scores = {"a": hard + 0.5 + 0.3 * rng.normal(size=30), "b": hard + 0.3 * rng.normal(size=30)}
    assert sb.judge(scores, higher_is_better=True, design="fixed")["a", "b"].better == "a"
    whole = verdict.gains
    monkeypatch.setattr(verdict, "gains", lambda a, b, higher: whole(a, np.roll(b, 7), higher))
    assert sb.judge(scores, higher_is_better=True, design="fixed")["a", "b"].better is None


# ---------------------------------------------------------------- verdicts and sentences


def judged(a, b, **rules):
    given = {"design": "fixed"} | rules
    found = sb.judge({"a": a, "b": b}, higher_is_better=True, **given)
    return found.pairs[0], found.sentences[0]


def test_each_verdict_and_its_sentence():
    rng = np.random.default_rng(12)
    b = rng.normal(size=30)
    pair, sentence = judged(b + rng.uniform(0.5, 1, 30), b)
    assert pair.verdict is sb.Verdict.BETTER
    assert sentence == (
        f"On the given scores, the typical gain of a over b is {pair.typical:.3g} (95 % CI "
        f"{pair.low:.3g} to {pair.high:.3g}), the mean gain {pair.mean:.3g}: better; won 30 of 30 "
        "paired runs; none collapsed; adjusted p = 1.9e-09"
    )

    d = np.r_[np.full(19, 1.0), np.full(11, -0.1)]
    pair, sentence = judged(b, b + d)
    assert pair.verdict is sb.Verdict.SLIGHTLY_BETTER
    assert pair.better == pair.leads == "b"
    assert "typical gain of b over a is 0.45" in sentence
    assert ": better, perhaps only slightly; won 19 of 30 paired runs" in sentence

    pair, sentence = judged(b + 0.01 * rng.normal(size=30), b, delta=0.5)
    assert pair.verdict is sb.Verdict.TOO_CLOSE
    assert "(90 % CI " in sentence
    assert ": too close to matter, within ±0.5; won " in sentence

    pair, sentence = judged(rng.normal(size=30), b)
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert stated_need(sentence) == pair.needed > 0
    low, high = pair.needed_range
    assert low <= pair.needed
    assert f"if the true gain is what was seen, about {pair.needed:,} more paired runs" in sentence
    assert f"({low:,} to {'any number' if high is None else f'{high:,}'})" in sentence

    pair, sentence = judged(b[:5] + 1, b[:5])
    assert pair.verdict is sb.Verdict.CANNOT_JUDGE
    assert pair.needed == 1
    assert "cannot be judged: 5 pairs; at least 6 needed" in sentence

    pair, sentence = judged(np.ones(30), np.ones(30))
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert "all 30 are ties" in sentence


def stated_need(sentence):
    return int(sentence.split("about ")[1].split(" more")[0].replace(",", ""))


def test_a_method_that_is_usually_better_and_worse_on_average():
    rng = np.random.default_rng(3)
    b = rng.normal(0.9, 0.01, 30)
    a = b + rng.uniform(0.005, 0.01, 30)
    a[[3, 14, 20]] = 0.1
    pair, sentence = judged(a, b)
    assert (pair.verdict, pair.better, pair.leads) == (sb.Verdict.MIXED, None, "a")
    assert pair.collapsed == (3, 0)
    assert pair.mean < 0 < pair.low
    assert (
        ": usually better, but worse on average: a collapsed in 3 and b in 0 of 30; won 27 of 30"
    ) in sentence
    assert judged(b, a)[1] == sentence.replace("a ", "x ").replace("b ", "a ").replace("x ", "b ")
    a[[3, 14, 20]] = np.nan
    pair, sentence = judged(a, b)
    assert (pair.verdict, pair.failed) == (sb.Verdict.MIXED, (3, 0))
    assert "a collapsed in 3 (3 failed) and b in 0 of 30" in sentence
    assert ": usually better, but it collapses more often: " in sentence
    a[[14, 20]] = b[[14, 20]] + 0.008
    assert judged(a, b)[0].verdict == "better"  # 1 failure to 0 is no more than chance
    a[:] = b + 0.012
    a[3] = b[3] - 0.3
    pair, sentence = judged(a, b)
    assert (pair.verdict, pair.collapsed) == ("better", (1, 0))
    assert "better; won 29 of 30 paired runs; a collapsed in 1 and b in 0 of 30" in sentence
    # small losses, large gains
    d = np.where(np.arange(100) % 20 < 9, 1.0, -0.1) + 0.01 * rng.normal(size=100)
    pair, sentence = judged(d, 0 * d)
    assert (pair.verdict, pair.leads, pair.wins) == (sb.Verdict.MIXED, "a", 45)
    assert ": better on average, but wins less often; won 45 of 100" in sentence


def test_runs_collapse_that_are_far_below_the_others():
    def count(a, b):
        return judged(np.array(a), np.array(b))[0].collapsed

    usual = RNG.normal(0.9, 0.01, 20)
    assert count(usual, usual + 0.001) == (0, 0)
    assert sum(sum(count(*RNG.normal(size=(2, 8)))) for _ in range(200)) < 8  # of 3,200
    assert count(np.r_[usual[:14], [0.1] * 6], usual) == (6, 0)
    assert count(np.r_[usual[:18], np.nan, 0.5], np.r_[usual[:19], np.nan]) == (2, 1)
    # scores on few rows: most are equal
    assert count([1.0] * 6 + [0.98] * 4, [1.0] * 9 + [0.96]) == (0, 0)
    assert count([1.0] * 6 + [0.98] * 3 + [0.5], [1.0] * 8 + [0.98, 0.83]) == (1, 1)
    assert count([1.0] * 10, [1.0] * 10) == (0, 0)


def test_mostly_tied_runs():
    a = np.r_[np.full(12, 0.02), np.zeros(52)]
    pair, sentence = judged(a, np.zeros(64))
    assert (pair.verdict, pair.better) == (sb.Verdict.SLIGHTLY_BETTER, "a")
    assert 0 < pair.low <= pair.high
    assert "(95 % CI 0 to 0, 0 excluded), the mean gain 0.00375" in sentence


def test_a_gain_found_early_is_said_to_look_large():
    early, sentence = judged(np.arange(1.0, 9.0), np.zeros(8), design="adaptive")
    assert early.n == 8
    assert "found at an early look, where gains look larger than they are" in sentence
    late = np.r_[np.zeros(40), np.arange(1.0, 25.0)]
    pair, sentence = judged(late, np.zeros(64), design="adaptive")
    assert (pair.n, pair.better) == (64, "a")
    assert "early" not in sentence


def test_closeness_to_delta_is_planned_for():
    rng = np.random.default_rng(5)
    pair, sentence = judged(rng.normal(0, 1, 20), np.zeros(20), delta=0.5)
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert f"about {pair.needed} more paired runs would show it within ±0.5" in sentence
    half = (pair.high - pair.low) / 2
    expected = 20 * (half / (0.5 - abs(pair.typical))) ** 2
    assert 20 + pair.needed == math.ceil(expected)


def test_dependent_runs_are_warned_of():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    rules = {"higher_is_better": True, "design": "fixed"}
    with pytest.warns(sb.SeedbedWarning, match="each of 30 runs is listed 2 times"):
        sb.judge({"a": np.tile(a, 2), "b": np.tile(b, 2)}, **rules)
    walk = np.zeros(40)
    for step in range(1, 40):
        walk[step] = 0.95 * walk[step - 1] + rng.normal()
    with pytest.warns(sb.SeedbedWarning, match=r"of b and a follow one another .correlation 0"):
        sb.judge({"b": walk, "a": np.zeros(40)}, **rules)
    with pytest.warns(sb.SeedbedWarning, match="sorted scores are not pairs"):
        sb.judge({"a": np.sort(a), "b": np.sort(b) ** 3}, **rules)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(200):
            sb.judge(dict(zip("ab", rng.normal(size=(2, 20)), strict=True)), **rules)
            sb.judge(dict(zip("ab", np.round(2 * rng.normal(size=(2, 12))), strict=True)), **rules)


def test_judge_needs_a_design():
    with pytest.raises(sb.SettingError, match="judge needs design=: 'fixed' if the number of seed"):
        sb.judge({"a": [1.0, 2.0], "b": [1.0, 3.0]}, higher_is_better=True)


def test_no_verdict_claims_equality():
    words = " ".join(each.value for each in sb.Verdict)
    assert "no difference" not in words
    assert "equal" not in words


def test_lower_is_better_flips_the_gain():
    a, b = np.arange(10.0), np.arange(10.0) + 1
    found = sb.judge({"a": a, "b": b}, higher_is_better=False, design="fixed")
    assert found["a", "b"].better == "a"
    assert found["a", "b"].typical == 1.0


def test_baseline_reduces_comparisons():
    scores = {name: RNG.normal(size=12) for name in "abcd"}
    assert sb.judge(scores, higher_is_better=True, design="fixed").rules.comparisons == 6
    against = sb.judge(scores, higher_is_better=True, design="fixed", baseline="b")
    assert against.rules.comparisons == 3
    assert [(pair.a, pair.b) for pair in against.pairs] == [("a", "b"), ("c", "b"), ("d", "b")]


def test_runs_after_the_deciding_look_are_ignored():
    d = np.r_[np.arange(1, 9.0) * 0.01, -np.arange(1, 57.0)]
    pair, _ = judged(d, np.zeros(64), design="adaptive")
    assert (pair.better, pair.n, pair.wins) == ("a", 8, 8)


def test_an_adaptive_verdict_is_that_of_its_deciding_look():
    rng, deciding = np.random.default_rng(13), set()
    for shift in np.linspace(0.3, 1.5, 20):
        d = rng.normal(shift, 1, 64)
        whole, _ = judged(d, np.zeros(64), design="adaptive")
        each = {n: judged(d[:n], np.zeros(n), design="adaptive")[0] for n in sequential.LOOKS}
        first = next((n for n, pair in each.items() if pair.better), 64)
        for name in ("n", "better", "leads", "p", "low", "high", "share_low", "share_high"):
            assert getattr(whole, name) == getattr(each[first], name)
        deciding.add(first)
    assert deciding == {8, 16, 32, 64}


def test_failed_pairs_are_not_too_close():
    nan = np.full(10, np.nan)
    pair, sentence = judged(nan, nan, delta=0.01)
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert "both failed in all 10" in sentence
    b = RNG.normal(size=30)
    a = b + 0.001
    assert judged(a, b, delta=0.5)[0].verdict is sb.Verdict.TOO_CLOSE
    a[:2] = b[:2] = np.nan
    assert judged(a, b, delta=0.5)[0].verdict is not sb.Verdict.TOO_CLOSE


def test_rounding_keeps_ties():
    rng = np.random.default_rng(767)
    for _ in range(50):
        a, b = rng.integers(50, 90, (2, 16)).astype(float)
        one, other = (judged(a / by, b / by)[0] for by in (1.0, 90.0))
        assert (one.p, one.wins, one.ties) == (other.p, other.wins, other.ties)
        assert other.low == pytest.approx(one.low / 90, abs=1e-15)


def test_needed_runs_reach_the_next_look():
    rng = np.random.default_rng(1)
    pair, _ = judged(rng.normal(0.3, 1, 8), np.zeros(8), design="adaptive")
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert pair.needed >= 8
    few, _ = judged(np.ones(7), np.zeros(7), design="anytime")
    assert (few.verdict, few.needed) == (sb.Verdict.CANNOT_JUDGE, 1)
    two_thirds = np.where(np.arange(30) % 3 > 0, 1.0, -1.0)  # 20 of 30
    pair, _ = judged(two_thirds, np.zeros(30), design="anytime")
    logs = evidence.log_e_values(np.tile(two_thirds, 10))
    assert 30 + pair.needed == int(np.argmax(logs >= math.log(20))) + 1
    slight = np.where(
        (np.arange(41) % 2 < 1) | (np.arange(41) > 34), 1.0, -1.0
    )  # beyond the pairs that are followed
    pair, _ = judged(slight, np.zeros(41), design="anytime")  # by extrapolation
    logs = evidence.log_e_values(np.tile(slight, 200))
    assert 41 + pair.needed == pytest.approx(int(np.argmax(logs >= math.log(20))) + 1, rel=0.3)


def test_small_levels_use_the_exact_test():
    """It is fast with many pairs, and keeps its level."""
    d = np.arange(1.0, 65.0)
    looks = sequential.sequential_test(d, 1e-7)
    assert [look.n for look in looks] == [8, 16, 32]
    assert looks[-1].crossed
    rng, crossed = np.random.default_rng(2), 0
    for _ in range(3000):
        crossed += sequential.sequential_test(rng.normal(size=64), 0.00099)[-1].crossed
    assert crossed / 3000 <= bound(3000, 0.00099)
    scores = {str(i): RNG.normal(size=16) for i in range(30)}
    assert len(sb.judge(scores, higher_is_better=True, design="adaptive").pairs) == 435


def test_looks_share_one_alpha(monkeypatch):
    """Looks that each spend the whole alpha are caught."""
    trials = 400
    rng = np.random.default_rng(3)
    drawn = [rng.normal(size=64) for _ in range(trials)]

    def crossed():
        sequential._looks.cache_clear()
        return sum(sequential.sequential_test(d, 0.05)[-1].crossed for d in drawn) / trials

    assert crossed() <= bound(trials)
    whole = sequential._critical

    def spend_all(sums, allowed):
        return whole(sums, round(0.05 * 10_000))

    monkeypatch.setattr(sequential, "_critical", spend_all)
    assert crossed() > bound(trials)
    sequential._looks.cache_clear()


def test_equivalence_is_adjusted_for_pairs():
    """The interval of level 1 - 2 α / m must lie within ± delta."""
    rng = np.random.default_rng(4)
    d = rng.normal(0, 1, 40)
    scores = {"a": d, "b": np.zeros(40), **{str(i): rng.normal(9, 1, 40) + i for i in range(4)}}
    low, high = statistics.gain_interval(d, 2 * 0.05)
    wide_low, wide_high = statistics.gain_interval(d, 2 * 0.05 / 15)
    one, all_ = max(-low, high), max(-wide_low, wide_high)
    assert one < all_
    for delta, alone in ((one * 1.001, True), (one * 0.999, False)):
        assert (judged(d, np.zeros(40), delta=delta)[0].verdict is sb.Verdict.TOO_CLOSE) == alone
    for delta, together in ((all_ * 1.001, True), (all_ * 0.999, False)):
        found = sb.judge(scores, higher_is_better=True, design="fixed", delta=delta)
        assert (found["a", "b"].verdict is sb.Verdict.TOO_CLOSE) == together


def test_sequential_intervals_are_wider():
    d = np.random.default_rng(5).normal(0.1, 1, 64)
    found = sb.judge({"a": d, "b": np.zeros(64)}, higher_is_better=True, design="adaptive").pairs[0]
    low, high = statistics.gain_interval(d[: found.n], 0.05)
    assert found.low < low < high < found.high


def test_intervals_are_for_all_pairs_together():
    """And each contains 0 exactly if its verdict rejects."""
    scores = {name: RNG.normal(0.4 * number, 1, 20) for number, name in enumerate("abcd")}
    for design in ("fixed", "adaptive", "anytime"):
        found = sb.judge(scores, higher_is_better=True, design=design)
        for pair in found.pairs:
            assert pair.confidence == pytest.approx(1 - 0.05 / 6)
            assert (pair.low <= 0 <= pair.high) == (pair.leads is None)
            alone = judged(scores[pair.a], scores[pair.b], design=design)[0]
            assert alone.n < pair.n or pair.high - pair.low >= alone.high - alone.low


def test_verdicts_are_antisymmetric():
    scores = {"a": RNG.normal(0.4, 1, 25), "b": RNG.normal(size=25)}
    for design in ("fixed", "anytime"):
        one = sb.judge(scores, higher_is_better=True, design=design)["a", "b"]
        swapped = dict(reversed(scores.items()))
        other = sb.judge(swapped, higher_is_better=True, design=design)["a", "b"]
        assert (one.wins, one.losses, one.better) == (other.losses, other.wins, other.better)
        assert one.p == pytest.approx(other.p)
        assert (one.low, one.high, one.typical) == (-other.high, -other.low, -other.typical)
        assert one.share_low == pytest.approx(1 - other.share_high)
        assert one.swapped.low == other.low
        assert one.swapped.senses == other.senses


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a": [1.0, 2.0]}, "at least two methods, not 1"),
        ({}, "at least two methods, not 0"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "on the same seeds: a has 2, b has 1"),
        ({"a": [1.0, -math.inf], "b": [1.0, 2.0]}, "a contain -inf: mark a failed run with NaN"),
        ({"a": ["x"], "b": [1.0]}, "must be numbers, one per seed"),
        ({"a": [], "b": []}, "must be numbers, one per seed"),
        ({"a": [[1.0]], "b": [1.0]}, "must be numbers, one per seed"),
    ],
)
def test_invalid_scores_are_refused(scores, message):
    with pytest.raises(sb.SeedbedError, match=message):
        sb.judge(scores, higher_is_better=True, design="fixed")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"alpha": 0}, "invalid alpha: 0"),
        ({"alpha": 1.5}, "invalid alpha"),
        ({"delta": -1}, "invalid delta"),
        ({"baseline": "c"}, "baseline 'c' is not one of the methods: a, b"),
        ({"design": "often"}, "design must be 'fixed', 'adaptive' or 'anytime'"),
        ({"seeds": range(3)}, "each method has 2 scores, and there are 3 seeds"),
    ],
)
def test_invalid_rules_are_refused(rules, message):
    given = {"design": "fixed"} | rules
    with pytest.raises(sb.SeedbedError, match=message):
        sb.judge({"a": [1.0, 2.0], "b": [1.0, 3.0]}, higher_is_better=True, **given)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_scores_give_consistent_verdicts(data):
    n = data.draw(st.integers(1, 70))
    value = st.one_of(st.floats(-1e6, 1e6), st.just(math.nan), st.integers(-2, 2).map(float))
    row = st.lists(value, min_size=n, max_size=n)
    scores = {name: np.array(data.draw(row)) for name in "abc"}
    design = data.draw(st.sampled_from(["fixed", "adaptive", "anytime"]))
    delta = data.draw(st.sampled_from([None, 0.5]))
    found = sb.judge(scores, higher_is_better=data.draw(st.booleans()), design=design, delta=delta)
    assert len(found.pairs) == len(found.sentences) == 3
    for pair in found.pairs:
        assert 0 <= pair.p <= pair.p_adjusted <= 1
        assert pair.low <= pair.typical <= pair.high
        assert 0 <= pair.share_low <= pair.share <= pair.share_high <= 1
        assert (pair.better is not None) == (
            pair.verdict in (sb.Verdict.BETTER, sb.Verdict.SLIGHTLY_BETTER)
        )
        assert (pair.leads is not None) == (
            pair.better is not None or pair.verdict is sb.Verdict.MIXED
        )
        if pair.verdict not in (sb.Verdict.TOO_CLOSE, sb.Verdict.CANNOT_JUDGE):
            assert (pair.low <= 0 <= pair.high) == (pair.leads is None)
    assert str(found)
    assert found.to_json()


def test_one_huge_score_erases_no_other_gain():
    rng = np.random.default_rng(0)
    a = rng.normal(0.9, 0.01, 30)
    b = a - rng.uniform(0.01, 0.02, 30)
    usual = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")["a", "b"]
    a[7], b[7] = 1e13, 1e13 - 1
    found = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")["a", "b"]
    assert (found.wins, found.ties) == (29, 1)  # 1e13 and 1e13 - 1 differ by rounding
    assert found.verdict == usual.verdict == "better"
    assert found.typical == pytest.approx(usual.typical, rel=0.1)
    for size in (1e13, 1e300):
        a[7], b[7] = size, 0.0
        found = sb.judge({"a": a, "b": b}, higher_is_better=True, design="fixed")["a", "b"]
        assert (found.wins, found.ties) == (30, 0)
        assert found.verdict == "better"


def test_a_seed_on_which_both_failed_erases_no_gain():
    a, b = np.array([0.91, 0.92, 0.93, 0.95]), np.array([0.90, 0.91, 0.92, 0.90])
    expected = verdict.gains(a, b, True)
    assert (expected[:3] > 0).all()
    for place in range(5):
        found = verdict.gains(np.insert(a, place, np.nan), np.insert(b, place, np.nan), True)
        np.testing.assert_array_equal(np.delete(found, place), expected)
        assert found[place] == 0
    best = verdict.gains(np.insert(a, 1, math.inf), np.insert(b, 1, math.inf), True)
    np.testing.assert_array_equal(np.delete(best, 1), expected)


def test_a_run_that_still_beats_the_other_method_has_not_collapsed():
    rng = np.random.default_rng(6)
    a, b = 0.95 + 0.001 * rng.normal(size=30), 0.8 + 0.001 * rng.normal(size=30)
    a[:5] = 0.9
    pair, sentence = judged(a, b)
    assert (pair.verdict, pair.collapsed) == ("better", (0, 0))
    assert "won 30 of 30" in sentence
    assert judged(np.r_[[math.inf] * 8, 3.0], np.arange(1.0, 10))[0].collapsed == (0, 0)


def test_two_methods_that_always_fail_have_no_interval():
    pair, sentence = judged(np.full(9, np.nan), np.full(9, np.nan))
    assert (pair.low, pair.high) == (-math.inf, math.inf)
    assert "(95 % CI unbounded), no run finished for both" in sentence


def test_many_pairs_take_no_time():
    rng = np.random.default_rng(0)
    pair, _ = judged(rng.normal(0.1, 1, 20_000), np.zeros(20_000))
    assert pair.better == "a"
    assert pair.low < 0.1 < pair.high


def test_equal_gains_at_different_scales_stay_ties():
    a = np.array([0.9, 0.8, 10.3, 100.2, 1e4 + 0.1, 0.3])
    b = np.array([0.8, 0.7, 10.2, 100.1, 1e4, 0.4])
    d = verdict.gains(a, b, True)
    assert len(set(np.abs(d).tolist())) == 1
    assert (np.sign(d) == [1, 1, 1, 1, 1, -1]).all()
