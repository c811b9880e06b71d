"""What is said of paired differences: held to enumeration, to promises, to planted faults."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.comparing import statistics, verdict

RNG = np.random.default_rng(11)


def enumerated_p(d):
    """Return P(|Σ ε r| >= |Σ sign(d) r|) by trying all signs."""
    ranks = np.abs(statistics.signed_ranks(d))
    signs = np.array(list(itertools.product([-1, 1], repeat=len(d))))
    observed = abs(statistics.signed_ranks(d).sum())
    return (np.abs(signs @ ranks) >= observed - 1e-9).mean()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_p_is_that_of_all_signs_tried_ties_and_zeros_too(d):
    d = np.array(d, float)
    assert statistics.signed_rank_p(d) == pytest.approx(enumerated_p(d), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.floats(-5, 5), st.sampled_from([math.inf, -math.inf])), min_size=1))
def test_swapping_the_arms_mirrors_and_the_order_of_seeds_changes_nothing(d):
    d = np.array(d)
    p, low, high = statistics.signed_rank_p(d), *statistics.gain_interval(d, 0.05)
    shuffled = RNG.permutation(d)
    assert statistics.signed_rank_p(-d) == statistics.signed_rank_p(shuffled) == p
    assert statistics.gain_interval(-d, 0.05) == (-high, -low)
    assert statistics.gain_interval(shuffled, 0.05) == (low, high)
    assert statistics.typical_gain(-d) == -statistics.typical_gain(d)
    assert statistics.evidence(-d) == pytest.approx(statistics.evidence(shuffled))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(4, 40),
    st.floats(-1.5, 1.5),
    st.integers(0, 10**6),
    st.sampled_from([0.01, 0.05, 0.1]),
)
def test_the_interval_holds_0_where_the_test_does_not_reject_and_only_there(n, shift, seed, alpha):
    d = np.random.default_rng(seed).normal(shift, 1, n)
    low, high = statistics.gain_interval(d, alpha)
    assert (low <= 0 <= high) == (statistics.signed_rank_p(d) > alpha)
    assert low <= statistics.typical_gain(d) <= high


def test_typical_gain_by_hand():
    # pairwise averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6
    assert statistics.typical_gain(np.array([1.0, 2.0, 6.0])) == 2.75
    assert statistics.typical_gain(np.array([-math.inf, math.inf])) == 0.0
    assert statistics.typical_gain(np.array([math.inf, math.inf, 0.0])) == math.inf


def test_the_share_interval_by_hand():
    # no win in n: the upper bound is 1 - (α/2)^(1/n)
    low, high = statistics.share_interval(0, 0, 10, 0.05)
    assert low == 0.0
    assert high == pytest.approx(1 - 0.025**0.1, abs=1e-12)
    # ties widen it at both ends
    wide, narrow = (statistics.share_interval(a, b, 20, 0.05) for a, b in ((8, 14), (11, 11)))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_least_number_of_pairs():
    assert statistics.fewest_pairs(0.05) == 6
    assert statistics.fewest_pairs(0.05, 10) == 9
    assert statistics.signed_rank_p(np.arange(1.0, 6.0)) > 0.05  # 5 pairs cannot do it
    assert statistics.signed_rank_p(np.arange(1.0, 7.0)) == 2 / 64


def test_planned_pairs_by_hand():
    d = np.array([3.0, 1.0, 2.0, -1.5])
    averages = [(a + b) / 2 for i, a in enumerate(d) for b in d[i:]]
    share = np.mean([(a > 0) + 0.5 * (a == 0) for a in averages])
    expected = (1.959963985 + 0.841621234) ** 2 / (3 * (share - 0.5) ** 2)
    assert statistics.pairs_needed(d, 0.05) == math.ceil(expected)
    assert statistics.pairs_needed(np.array([1.0, -1.0]), 0.05) is None


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_budget_is_spent_by_the_last_look():
    assert statistics.spent(0.05, 1.0) == pytest.approx(0.05)
    assert statistics.spent(0.05, 8 / 64) == pytest.approx(0.05 * math.log(1 + (math.e - 1) / 8))


# ---------------------------------------------------------------- how often it is wrong


NOISES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: -rng.exponential(size=shape),
    "collapsing": lambda rng, shape: np.where(
        rng.random(shape) < 0.1, np.nan, rng.normal(size=shape)
    ),
    "tied": lambda rng, shape: np.round(2 * rng.normal(size=shape)),
}


def better(found):
    return [pair for pair in found.pairs if pair.better is not None]


def false_claims(noise, n, design, trials, methods=2, seed=0):
    """Return in what share of trials equal methods were told apart, looked at whenever allowed."""
    rng, wrong = np.random.default_rng(seed), 0
    looks = {"fixed": [n], "adaptive": [k for k in (8, 16, 32, 64) if k <= n]}
    looks["anytime"] = list(range(1, n + 1))
    for _ in range(trials):
        scores = NOISES[noise](rng, (methods, n))
        for look in looks[design]:
            given = {str(i): row[:look] for i, row in enumerate(scores)}
            if better(sb.judge(given, higher_is_better=True, design=design)):
                wrong += 1
                break
    return wrong / trials


# three standard errors above 5 %
def bound(trials, level=0.05):
    return level + 3 * math.sqrt(level * (1 - level) / trials)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n", [6, 10, 32])
def test_equal_methods_are_seldom_told_apart(noise, n):
    assert false_claims(noise, n, "fixed", 800) <= bound(800)


@pytest.mark.parametrize("noise", NOISES)
def test_nor_when_the_user_stops_at_the_worst_moment(noise):
    assert false_claims(noise, 64, "adaptive", 250) <= bound(250)
    assert false_claims(noise, 40, "anytime", 60) <= bound(60)


def test_nor_any_of_ten():
    assert false_claims("normal", 20, "fixed", 60, methods=10) <= bound(60)


def test_real_differences_are_found():
    rng, found = np.random.default_rng(5), {"normal": 0, "collapsing": 0}
    for noise, least in (("normal", 0.9), ("collapsing", 0.7)):
        # a is better with a chance of ¾; where a tenth of both collapse, among the others of 0.81
        shift = {"normal": 0.674, "collapsing": 0.873}[noise] * math.sqrt(2)
        for _ in range(200):
            a, b = NOISES[noise](rng, (2, 29))
            a = a + shift
            pair = sb.judge({"a": a, "b": b}, higher_is_better=True)["a", "b"]
            found[noise] += pair.better == "a"
        assert found[noise] / 200 >= least - 0.06


def test_looks_stop_early_where_they_can():
    rng, n, crossed = np.random.default_rng(6), [], []
    for _ in range(150):
        looks = statistics.look_at(rng.normal(0.674, 1, 64), 0.05)
        n.append(looks[-1].n)
        crossed.append(looks[-1].crossed)
    assert np.mean(crossed) >= 0.95
    assert np.mean(n) <= 32


def test_both_intervals_cover():
    rng, covered = np.random.default_rng(7), np.zeros(2)
    for _ in range(400):
        d = rng.normal(0.3, 1, 20)
        low, high = statistics.gain_interval(d, 0.05)
        wins = int((d > 0).sum())
        share = statistics.share_interval(wins, wins, 20, 0.05)
        covered += [low <= 0.3 <= high, share[0] <= 0.6179 <= share[1]]
    assert (covered / 400 >= 0.94 - 0.025).all()


def test_the_intervals_of_looks_cover_where_they_stopped():
    rng, covered = np.random.default_rng(8), 0
    for _ in range(150):
        d = rng.normal(0.5, 1, 64)
        n = statistics.look_at(d, 0.05)[-1].n
        found = sb.judge({"a": d[:n], "b": np.zeros(n)}, higher_is_better=True, design="adaptive")
        covered += found.pairs[0].low <= 0.5 <= found.pairs[0].high
    assert covered / 150 >= 0.9


# ---------------------------------------------------------------- planted faults


def test_an_inverted_bonferroni_is_caught(monkeypatch):
    monkeypatch.setattr(statistics, "holm", lambda p: [each / len(p) for each in p])
    assert false_claims("normal", 20, "fixed", 60, methods=10) > bound(60)


def test_the_verdict_of_the_best_seed_is_caught(monkeypatch):
    def by_best(d):
        return 0.0 if d.max() != -d.min() else 1.0

    monkeypatch.setattr(statistics, "signed_rank_p", by_best)
    assert false_claims("normal", 10, "fixed", 200) > bound(200)


def test_a_test_looked_at_after_every_seed_is_caught(monkeypatch):
    monkeypatch.setattr(
        verdict, "_tested", lambda d, rules: (statistics.signed_rank_p(d), rules.alpha)
    )
    assert false_claims("normal", 40, "anytime", 60) > bound(60)


def collapsing_method():
    """Return scores of a method that is a little better where it does not fail, and fails often."""
    rng = np.random.default_rng(9)
    b = rng.normal(size=30)
    a = b + rng.uniform(0.01, 0.1, 30)
    a[rng.permutation(30)[:14]] = np.nan
    return {"a": a, "b": b}


def test_failures_count_and_dropping_them_is_caught(monkeypatch):
    pair = sb.judge(collapsing_method(), higher_is_better=True)["a", "b"]
    assert pair.better != "a"
    assert pair.failed == (14, 0)
    assert (pair.wins, pair.losses) == (16, 14)

    def dropping(a, b, higher_is_better):
        return np.nan_to_num(a - b, nan=0.0)

    monkeypatch.setattr(verdict, "gains", dropping)
    assert sb.judge(collapsing_method(), higher_is_better=True)["a", "b"].better == "a"


def test_pairs_are_used_and_unpaired_arms_are_caught(monkeypatch):
    rng = np.random.default_rng(10)
    hard = rng.normal(0, 5, 30)  # some seeds draw harder splits, for both
    scores = {"a": hard + 0.5 + 0.3 * rng.normal(size=30), "b": hard + 0.3 * rng.normal(size=30)}
    assert sb.judge(scores, higher_is_better=True)["a", "b"].better == "a"
    whole = verdict.gains
    monkeypatch.setattr(verdict, "gains", lambda a, b, higher: whole(a, np.roll(b, 7), higher))
    assert sb.judge(scores, higher_is_better=True)["a", "b"].better is None


# ---------------------------------------------------------------- verdicts and their words


def judged(a, b, **rules):
    found = sb.judge({"a": a, "b": b}, higher_is_better=True, **rules)
    return found.pairs[0], found.sentences[0]


def test_each_verdict_and_its_words():
    rng = np.random.default_rng(12)
    b = rng.normal(size=30)
    pair, said = judged(b + rng.uniform(0.5, 1, 30), b)
    assert pair.verdict is sb.Verdict.BETTER
    assert said.startswith("a is better than b: won 30 of 30 paired runs; typical gain 0.7")
    assert "95 % CI" in said
    assert said.endswith("adjusted p = 1.9e-09")

    d = np.r_[np.full(19, 1.0), np.full(11, -0.1)]
    pair, said = judged(b, b + d)
    assert pair.verdict is sb.Verdict.SLIGHTLY_BETTER
    assert pair.better == "b"
    assert said.startswith("b is better than a, but only slightly: won 19 of 30 paired runs")

    pair, said = judged(b + 0.01 * rng.normal(size=30), b, delta=0.5)
    assert pair.verdict is sb.Verdict.TOO_CLOSE
    assert said.startswith("a and b are too close to matter: within ±0.5")

    pair, said = judged(rng.normal(size=30), b)
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert re_needed(said) == pair.needed > 0

    pair, said = judged(b[:5] + 1, b[:5])
    assert pair.verdict is sb.Verdict.CANNOT_JUDGE
    assert pair.needed == 1
    assert "cannot be judged: fewer than 6 pairs (5; at least 1 more)" in said

    pair, said = judged(np.ones(30), np.ones(30))
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert "all 30 paired runs are ties" in said


def re_needed(said):
    return int(said.split("about ")[1].split(" more")[0].replace(",", ""))


def test_no_difference_is_never_said():
    words = " ".join(each.value for each in sb.Verdict)
    assert "no difference" not in words
    assert "equal" not in words


def test_lower_is_better_turns_the_gain():
    a, b = np.arange(10.0), np.arange(10.0) + 1
    found = sb.judge({"a": a, "b": b}, higher_is_better=False)
    assert found["a", "b"].better == "a"
    assert found["a", "b"].typical == 1.0


def test_a_baseline_makes_fewer_comparisons():
    scores = {name: RNG.normal(size=12) for name in "abcd"}
    assert sb.judge(scores, higher_is_better=True).rules.comparisons == 6
    against = sb.judge(scores, higher_is_better=True, baseline="b")
    assert against.rules.comparisons == 3
    assert [(pair.a, pair.b) for pair in against.pairs] == [("a", "b"), ("c", "b"), ("d", "b")]


def test_what_came_after_the_look_that_decided_counts_no_more():
    d = np.r_[np.arange(1, 9.0) * 0.01, -np.arange(1, 57.0)]
    pair, _ = judged(d, np.zeros(64), design="adaptive")
    assert (pair.better, pair.n, pair.wins) == ("a", 8, 8)


def test_two_that_fail_are_not_close():
    nan = np.full(10, np.nan)
    pair, said = judged(nan, nan, delta=0.01)
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert "both failed in all 10 paired runs" in said
    b = RNG.normal(size=30)
    a = b + 0.001
    assert judged(a, b, delta=0.5)[0].verdict is sb.Verdict.TOO_CLOSE
    a[:2] = b[:2] = np.nan
    assert judged(a, b, delta=0.5)[0].verdict is not sb.Verdict.TOO_CLOSE


def test_rounding_unties_no_ties():
    rng = np.random.default_rng(767)
    for _ in range(50):
        a, b = rng.integers(50, 90, (2, 16)).astype(float)
        one, other = (judged(a / by, b / by)[0] for by in (1.0, 90.0))
        assert (one.p, one.wins, one.ties) == (other.p, other.wins, other.ties)
        assert other.low == pytest.approx(one.low / 90, abs=1e-15)


def test_the_next_look_is_what_is_needed():
    rng = np.random.default_rng(1)
    pair, _ = judged(rng.normal(0.3, 1, 8), np.zeros(8), design="adaptive")
    assert pair.verdict is sb.Verdict.CANNOT_TELL
    assert pair.needed >= 8
    few, _ = judged(np.ones(7), np.zeros(7), design="anytime")
    assert (few.verdict, few.needed) == (sb.Verdict.CANNOT_JUDGE, 1)
    some = np.where(np.arange(30) % 3 > 0, 1.0, -1.0)  # 20 of 30
    pair, _ = judged(some, np.zeros(30), design="anytime")
    total = 30 + pair.needed
    log_e = statistics._log_evidence(round(total * 2 / 3), total - round(total * 2 / 3), 0.5)
    assert math.log(20) <= log_e <= math.log(20) + 1


def test_small_levels_need_no_flips():
    """With many pairs each look's share is held by the exact test: quick, and never too bold."""
    d = np.arange(1.0, 65.0)
    looks = statistics.look_at(d, 1e-7)
    assert [look.n for look in looks] == [8, 16, 32]
    assert looks[-1].crossed
    rng, crossed = np.random.default_rng(2), 0
    for _ in range(3000):
        crossed += statistics.look_at(rng.normal(size=64), 0.0099)[-1].crossed
    assert crossed / 3000 <= bound(3000, 0.0099)
    scores = {str(i): RNG.normal(size=16) for i in range(30)}
    assert len(sb.judge(scores, higher_is_better=True, design="adaptive").pairs) == 435


def test_each_look_leaves_the_next_what_is_left(monkeypatch):
    """Looks that each spend all that may be spent by then, as if it were the first, are caught."""
    trials = 400
    rng = np.random.default_rng(3)
    drawn = [rng.normal(size=64) for _ in range(trials)]

    def crossed():
        statistics._looks.cache_clear()
        return sum(statistics.look_at(d, 0.05)[-1].crossed for d in drawn) / trials

    assert crossed() <= bound(trials)
    whole = statistics._critical

    def bold(sums, allowed):
        return whole(sums, round(0.05 * 10_000))

    monkeypatch.setattr(statistics, "_critical", bold)
    assert crossed() > bound(trials)
    statistics._looks.cache_clear()


def test_equivalence_is_adjusted_for_pairs_and_held_to_its_level():
    """The interval that must lie within ± delta: 1 - 2 α / m."""
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
        found = sb.judge(scores, higher_is_better=True, delta=delta)
        assert (found["a", "b"].verdict is sb.Verdict.TOO_CLOSE) == together


def test_the_intervals_of_looks_are_wider_than_those_of_one():
    d = np.random.default_rng(5).normal(0.1, 1, 64)
    found = sb.judge({"a": d, "b": np.zeros(64)}, higher_is_better=True, design="adaptive").pairs[0]
    low, high = statistics.gain_interval(d[: found.n], 0.05)
    assert found.low < low < high < found.high


def test_swapping_the_methods_mirrors_the_verdict():
    scores = {"a": RNG.normal(0.4, 1, 25), "b": RNG.normal(size=25)}
    for design in ("fixed", "anytime"):
        one = sb.judge(scores, higher_is_better=True, design=design)["a", "b"]
        turned = dict(reversed(scores.items()))
        other = sb.judge(turned, higher_is_better=True, design=design)["a", "b"]
        assert (one.wins, one.losses, one.p, one.better) == (
            other.losses,
            other.wins,
            other.p,
            other.better,
        )
        assert (one.low, one.high, one.typical) == (-other.high, -other.low, -other.typical)
        assert one.share_low == pytest.approx(1 - other.share_high)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"a": [1.0, 2.0]}, "there is 1 method"),
        ({}, "there are no methods"),
        ({"a": [1.0, 2.0], "b": [1.0]}, "same seeds, one each: a has 2, b has 1"),
        ({"a": [1.0, math.inf], "b": [1.0, 2.0]}, "mark a failed run with NaN"),
        ({"a": ["x"], "b": [1.0]}, "must be numbers, one for each seed"),
        ({"a": [], "b": []}, "must be numbers, one for each seed"),
        ({"a": [[1.0]], "b": [1.0]}, "must be numbers, one for each seed"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(scores, said):
    with pytest.raises(sb.SeedbedError, match=said):
        sb.judge(scores, higher_is_better=True)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"alpha": 0}, "invalid alpha: 0"),
        ({"alpha": 1.5}, "invalid alpha"),
        ({"delta": -1}, "invalid delta"),
        ({"baseline": "c"}, "baseline 'c' is none of the methods: a, b"),
        ({"design": "often"}, "design must be 'fixed', 'adaptive' or 'anytime'"),
        ({"seeds": range(3)}, "2 scores a method and 3 seeds"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(rules, said):
    with pytest.raises(sb.SeedbedError, match=said):
        sb.judge({"a": [1.0, 2.0], "b": [1.0, 3.0]}, higher_is_better=True, **rules)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_scores_something_sensible_is_said(data):
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
    assert str(found)
    assert found.to_json()
