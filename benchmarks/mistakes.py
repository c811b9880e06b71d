"""Count the mistakes that check_gradient names, and false alarms: prints and writes mistakes.md.

    pip install -e '.[all]' && python benchmarks/mistakes.py

Hand-written backward passes (tests/core/planted.py) of three networks get planted mistakes, with 10
draws of parameters and data each; so do three more hands (tests/core/hands), which write classes
and lists, examples as columns, and einsum. Their mistakes and the right names were written down
before the check was run on them. Correct gradients are 500 networks of random shapes and data, with
every activation and every loss in turn, and 500 draws of the three hands.
"""

import datetime
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from machine import described

import seedbed as sb
from seedbed.formulas import activations, losses

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "core"))
from hands import HANDS
from planted import COLUMN_KINDS, KINDS, NETWORKS, PAIRS, can_be_planted, columns, planted

PAGE = Path(__file__).with_name("mistakes.md")
DRAWS, RIGHT = 10, 500


def suite(planned):
    """Yield a line for each planted mistake or pair: how often found, and named."""
    found_in_all = named_in_all = tried = 0
    for faults in planned:
        cells = []
        for network in NETWORKS:
            if not all(can_be_planted(network, fault) for fault in faults):
                cells.append("")
                continue
            found = named = 0
            for seed in range(DRAWS):
                f, theta, X, Y, masks = planted(network, *faults, seed=seed)
                report = sb.check_gradient(f, theta, X, Y, masks=masks)
                found += not report.agrees
                named += sorted(
                    KINDS["another loss"] if each.kind.startswith("another loss") else each.kind
                    for each in report.mistakes
                ) == sorted(KINDS[fault] for fault in faults)
            cells.append(f"{found}, {named}")
            found_in_all, named_in_all = found_in_all + found, named_in_all + named
            tried += DRAWS
        yield f"| {' and '.join(faults)} | {' | '.join(cells)} |"
    yield (
        f"\nFound: {found_in_all} of {tried} ({found_in_all / tried:.1%}); given only the right "
        f"names: {named_in_all} ({named_in_all / tried:.1%})."
    )


def table(planned):
    """Return the table of planted mistakes."""
    heads = [f"| planted | {' | '.join(NETWORKS)} |", "|---" * (len(NETWORKS) + 1) + "|"]
    return "\n".join([*heads, *suite(planned)])


def another_hand():
    """Return the table of networks with examples as columns."""
    lines, named, tried = ["| planted | b (o, 1) | b (o,) |", "|---|---|---|"], 0, 0
    for faults, kinds in COLUMN_KINDS.items():
        cells = []
        for flat in (False, True):
            right = 0
            for seed in range(DRAWS):
                f, theta, X, Y = columns(*faults, seed=seed, flat_biases=flat)
                found = sb.check_gradient(f, theta, X, Y).mistakes
                right += sorted(mistake.kind for mistake in found) == kinds
            cells.append(f"{right}")
            named, tried = named + right, tried + DRAWS
        lines.append(f"| {' and '.join(faults) or 'nothing'} | {' | '.join(cells)} |")
    return "\n".join([*lines, f"\nGiven only the right names: {named} of {tried}."])


def named(mistakes):
    """Return the mistakes' kinds, without another loss's or activation's name."""
    general = ("another loss", "slope of another activation")
    kinds = (mistake.kind for mistake in mistakes)
    return sorted(next((g for g in general if kind.startswith(g)), kind) for kind in kinds)


def hand_table(hand):
    """Return the table of a hand's planted mistakes, and its totals."""
    lines = ["| planted | should be named | found | named | otherwise named |", "|---" * 5 + "|"]
    found = right = tried = 0
    for mistake, kinds in HANDS[hand].MISTAKES.items():
        others, found_here, right_here = Counter(), 0, 0
        expected = ["another loss" if each.startswith("another loss") else each for each in kinds]
        for seed in range(DRAWS):
            report = sb.check_gradient(*HANDS[hand].arguments(mistake, seed))
            given = named(report.mistakes)
            found_here += report.verdict == "wrong"
            right_here += given == sorted(expected)
            if given != sorted(expected):
                others[" and ".join(given)] += 1
        said = "; ".join(f"{kind} ({count})" for kind, count in others.items())
        lines.append(
            f"| {mistake} | {' and '.join(kinds)} | {found_here} | {right_here} | {said} |"
        )
        found, right, tried = found + found_here, right + right_here, tried + DRAWS
    return "\n".join(
        [
            *lines,
            f"\nFound: {found} of {tried} ({found / tried:.1%}); given only the right name: "
            f"{right} ({right / tried:.1%}).",
        ]
    )


def hands_alarms():
    """Return how many of the hands' correct gradients are called wrong, and inconclusive."""
    verdicts = Counter(
        sb.check_gradient(*hand.arguments("", number)).verdict
        for hand in HANDS.values()
        for number in range(RIGHT // len(HANDS) + 1)
    )
    return verdicts["wrong"], verdicts["inconclusive"], verdicts.total()


def alarms():
    """Return how many correct gradients are called wrong, and inconclusive."""
    units = [u if isinstance(u, sb.Activation) else u() for u in activations.BY_NAME.values()]
    kinds = [
        u if isinstance(u, sb.Loss) else u(0.3) if name == "quantile" else u()
        for name, u in losses.BY_NAME.items()
    ]
    random, verdicts = np.random.default_rng(0), Counter()
    for number in range(RIGHT):
        loss, unit = kinds[number % len(kinds)], units[number // len(kinds) % len(units)]
        rows, inputs, outputs = (int(random.integers(1, most)) for most in (10, 7, 5))
        outputs = max(2, outputs) if loss.targets == "classes" else outputs
        hidden = [sb.Dense(int(random.integers(1, 8)), unit) for _ in range(random.integers(0, 4))]
        network = sb.Network(inputs, [*hidden, sb.Dense(outputs)])
        X = 3 * random.normal(size=(rows, inputs))
        Y = {
            "number": random.normal(size=(rows, outputs)),
            "count": random.poisson(3, (rows, outputs)),
            "probability": random.integers(0, 2, (rows, outputs)),
            "classes": random.integers(0, outputs, rows),
        }[loss.targets]
        recipe = sb.Recipe(network=network, loss=loss, l2=float(random.choice([0, 0.1])))
        theta = network.init(number, np.float64)[0]

        def by_differences(given, recipe=recipe, X=X, Y=Y):
            value, gradient = sb.value_and_grad(recipe, given[None], X, Y)
            return float(value[0].real), gradient[0].real  # no complex step

        if number % 2:
            verdicts[sb.check_gradient(recipe, theta, X, Y).verdict] += 1
        else:
            verdicts[sb.check_gradient(by_differences, theta).verdict] += 1
    return verdicts["wrong"], verdicts["inconclusive"]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    began = time.perf_counter()
    tutorial = sb.check_gradient(
        sb.xor.published_gradient, sb.xor.published_start(), *sb.xor.data()
    )
    took = time.perf_counter() - began
    wrong, inconclusive = alarms()
    hands_wrong, hands_inconclusive, hands_tried = hands_alarms()
    page = [
        "# Mistakes that check_gradient names",
        f"{datetime.date.today()}; {described('numpy')}",
        __doc__.split("\n\n", 2)[2].strip().replace("\n", " "),
        "## Planted mistakes",
        f"Of {DRAWS} draws each: how many were found, and how many were given only the right name.",
        table([(fault,) for fault in KINDS]),
        "## Two at once",
        table(PAIRS),
        "## Examples as columns",
        f"A 3-4-4-1 network with cross-entropy and a penalty, z = W a + b, {DRAWS} draws each.",
        another_hand(),
        "## Three more hands",
        f"{DRAWS} draws of shapes, parameters and data for each mistake: in how many it was found, "
        "and given only the right name.",
        *(each for hand in HANDS for each in (f"### {hand.capitalize()}", hand_table(hand))),
        "## False alarms",
        f"{wrong} of {RIGHT} correct gradients are called wrong, {inconclusive} inconclusive (half "
        "are checked by complex steps, half by central differences). Of the three hands', "
        f"{hands_wrong} of {hands_tried} are called wrong, {hands_inconclusive} inconclusive.",
        "## The tutorial as published",
        f"Found in {1000 * took:.0f} ms:\n\n"
        + "\n".join(f"- {mistake}" for mistake in tutorial.mistakes),
    ]
    PAGE.write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
