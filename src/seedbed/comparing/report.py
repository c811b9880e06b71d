"""A comparison as text for people: tables, lines, Markdown, LaTeX, and a methods paragraph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seedbed.arrays import Array
from seedbed.comparing.sequential import LATER_LOOKS, LOOKS
from seedbed.comparing.verdict import Pair, Verdict
from seedbed.comparing.wording import ends, format_p
from seedbed.metrics import Metric

if TYPE_CHECKING:
    from seedbed.comparing.comparison import Comparison

_NAMED = 4
"""Up to this many methods are named in a list."""
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "∞": r"$\infty$", "±": r"$\pm$", "’": "'",
})  # fmt: skip


def table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the methods' table: its headers and its rows of strings."""
    metric = found.metric
    headers = [
        "method",
        "seeds" if found.sets is None else "data sets",
        metric.name,
        "quartiles",
        "failed",
    ]
    timed = any(method.seconds is not None for method in found.methods.values())
    rows = []
    for method in found.methods.values():
        low, middle, high = _quartiles(method.scores, metric)
        row = [
            method.name + (" (baseline)" if method.name == found.baseline else ""),
            str(len(method.scores)),
            middle,
            f"{low} to {high}",
            f"{method.failed} of {len(method.scores)}",
        ]
        if timed:
            row.append("-" if method.seconds is None else _format_seconds(method.seconds))
        rows.append(row)
    return headers + (["time per seed"] if timed else []), rows


def text(found: Comparison) -> str:
    """Return the tables, the sentences and the footer."""
    headers, rows = table(found)
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if number else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *others]).rstrip()

    ruled = "  ".join("─" * width for width in widths)
    shown = [line(headers), ruled, *map(line, rows), "", *found.lines]
    return "\n".join([*shown, *new_data_lines(found), "", footer(found)])


def new_data_lines(found: Comparison) -> list[str]:
    """Return a line for each pair on its mean gain on new data, if it can be told."""
    if not found.resamples:
        return []
    lines = []
    for pair in found.pairs if len(found.pairs) <= len(found.methods) else ():
        low, high = found.on_new_data(pair.a, pair.b)
        if math.isfinite(low):
            lines.append(
                f"On new data like this, the mean gain of {pair.a} over {pair.b} is between "
                f"{found.metric.format_gain(low)} and {found.metric.format_gain(high)}"
                f"{found.metric.gain_unit} ({100 * (1 - found.rules.level):.3g} % CI)"
            )
    return lines


def footer(found: Comparison) -> str:
    """Return the rules and the scope of the verdicts in one line."""
    rules = found.rules
    better = "higher" if found.metric.higher_is_better else "lower"
    unit = "seeds" if found.sets is None else "data sets"
    design = {
        "fixed": f"number of {unit} fixed beforehand",
        "adaptive": f"looks at {', '.join(map(str, LOOKS))} seeds",
        "anytime": "valid at any time",
    }[rules.design]
    pairs = "1 pair"
    if rules.comparisons > 1:
        pairs = f"{rules.comparisons} pairs, intervals for all together"
    before = "interrupted; " if found.interrupted else ""
    if found.written is not None:
        path, date, digest = found.written
        before += f"planned in {path} on {date[:10]}, {digest}; "
    elif found.rows is not None:
        before += "not planned beforehand; "
    if found.tries > 1:
        before += f"comparison {found.tries} of these methods on these rows; "
    return (
        f"({before}{found.metric.name}, {better} is better; medians and quartiles of {unit}; "
        f"{found.scope}; alpha {rules.alpha:g} over {pairs}: the chance of a verdict if gains "
        f"and losses are equally likely; {design})"
    )


def best_set(found: Comparison) -> tuple[str, list[str]]:
    """Return the leading method, and those that are not told apart from it, in order.

    The leader is the one that leads most others, less those that lead it; of equal ones, the one
    with the best median.
    """
    names = ranked(found)
    leader = names[0]
    beaten = {_trailing(pair) for pair in found.pairs if pair.leads == leader}
    return leader, [name for name in names[1:] if name not in beaten]


def tied_sets(found: Comparison) -> list[list[str]]:
    """Return the largest sets of methods, neighbours in order, of which no two are told apart.

    Sets of one are left out. Every pair must have been judged: with a baseline, there are none.
    """
    names = ranked(found)
    apart = {frozenset((pair.a, pair.b)) for pair in found.pairs if pair.leads is not None}
    judged = {frozenset((pair.a, pair.b)) for pair in found.pairs}
    sets: list[list[str]] = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and all(
            frozenset((names[end], other)) in judged - apart for other in names[start:end]
        ):
            end += 1
        if end - start > 1 and (not sets or sets[-1][-1] != names[end - 1]):
            sets.append(names[start:end])
    return sets


def method_lines(found: Comparison) -> list[str]:
    """Return a line for each method, after one on the best: whom it is told apart from."""
    leader, others = best_set(found)
    first = f"Best: {leader}"
    if others:
        first += f"; not told apart from it: {_listed(others, len(others))}"
    lines = [first]
    for name in ranked(found):
        groups: dict[str, list[str]] = {}
        for pair in found.pairs:
            if name in (pair.a, pair.b):
                other = pair.b if name == pair.a else pair.a
                groups.setdefault(_relation(pair, name), []).append(other)
        parts = [f"{words} {_listed(groups[words])}" for words in sorted(groups)]
        lines.append(f"{name}: {'; '.join(parts)}")
    return lines


def markdown(found: Comparison) -> str:
    """Return the tables of methods and pairs as Markdown."""
    tables = (table(found), _pair_table(found))
    parts = []
    for headers, rows in tables:
        lines = [headers, ["---"] * len(headers), *rows]
        parts.append(
            "\n".join(
                "| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in lines
            )
        )
    return "\n\n".join(parts) + "\n"


def latex(found: Comparison) -> str:
    """Return the tables of methods and pairs as LaTeX's tabular, for the package booktabs."""
    parts = []
    for headers, rows in (table(found), _pair_table(found)):
        body = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in rows]
        head = " & ".join(cell.translate(_LATEX) for cell in headers) + r" \\"
        parts += [
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}", r"\toprule", head, r"\midrule",
            *body, r"\bottomrule", r"\end{tabular}", "",
        ]  # fmt: skip
    return "\n".join(parts)


def paragraph(found: Comparison) -> str:
    """Return what a paper says about how the comparison was made."""
    rules = found.rules
    seeds = found.seeds
    better = "higher" if found.metric.higher_is_better else "lower"
    first = f"We compared {len(found.methods)} methods by {found.metric.name} ({better} is better)"
    if found.sets is not None:
        first += (
            f" on {len(found.sets)} data sets, each of which counts once, with its runs' typical "
            "gain in the logarithm of the error."
        )
    elif found.rows is None:
        first += f", each with {len(seeds)} scores, which were given, paired by their seeds."
    else:
        first += (
            f", each with at most {len(seeds)} runs (seeds {_ranges(seeds)}); the same seed gave "
            "every method the same initial weights where shapes allowed, and the same train and "
            "test rows."
        )
    sentences = [first]
    if found.rows is not None:
        kind = {
            "on this data set": "drawn for each seed",
            "on this split": "the same for all seeds",
        }.get(found.scope.partition(",")[0], "apart from those that chose the methods")
        sentences.append(
            f"Each run was trained on {found.rows[0]:,} rows and tested on {found.rows[1]:,} "
            f"others, {kind}."
        )
    test = (
        "two-sided signed-rank test of paired differences (Wilcoxon 1945; zeros after Pratt 1959)"
    )
    if rules.design == "anytime":
        design = (
            "an anytime-valid test of paired differences, a mixture of bets on signed ranks "
            "(Robbins 1970; Ville 1939)"
        )
    elif rules.design == "adaptive":
        looks = [look for look in (*LOOKS, *LATER_LOOKS) if look <= max(LOOKS[-1], len(seeds))]
        design = (
            f"the {test}, with looks after {_listed(list(map(str, looks)), 9)} seeds whose levels "
            "add up to alpha (Lan and DeMets 1983)"
        )
    else:
        unit = "seeds" if found.sets is None else "data sets"
        design = f"the {test}, on a number of {unit} fixed beforehand"
    pairs = "1 pair" if rules.comparisons == 1 else f"{rules.comparisons} pairs (Bonferroni)"
    sentences.append(
        f"Pairs were judged by {design}, at a familywise alpha of {rules.alpha:g} over {pairs}."
    )
    if rules.delta is not None:
        sentences.append(
            f"Gains within ±{found.metric.format_gain(rules.delta)}{found.metric.gain_unit} were "
            "held not to matter, by two one-sided tests."
        )
    sentences.append(
        "Gains are medians of pairwise means (Hodges and Lehmann 1963) with intervals of "
        f"{100 * (1 - rules.level):.4g} % confidence by inversion of the same test, which holds if "
        "the differences are symmetric about the gain."
    )
    failed = sum(method.failed for method in found.methods.values())
    total = sum(len(method.scores) for method in found.methods.values())
    if found.sets is None:
        sentences.append(f"Of {total:,} runs {failed:,} failed; a failed run scores worst.")
    if found.written is not None:
        _, date, digest = found.written
        sentences.append(f"The plan was written down before the first score ({date}, {digest}).")
    elif found.rows is not None:
        sentences.append("The comparison was not planned beforehand.")
    if found.tries > 1:
        sentences.append(f"It was comparison {found.tries} of these methods on these rows.")
    versions = found.versions
    sentences.append(
        f"Software: Seedbed {versions['seedbed']}, NumPy {versions['numpy']}, Python "
        f"{versions['python']}."
    )
    return " ".join(sentences)


def _pair_table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the pairs' table: its headers and its rows of strings."""
    metric = found.metric
    unit = f",{metric.gain_unit}" if metric.gain_unit else ""
    headers = [
        "pair", f"typical gain{unit}", "interval", f"mean gain{unit}", "won", "tied", "of",
        "adjusted p", "verdict",
    ]  # fmt: skip
    rows = []
    for each in found.pairs:
        pair = each.swapped if each.leads == each.b else each
        rows.append([
            f"{pair.a} over {pair.b}",
            metric.format_gain(pair.typical),
            " to ".join(ends(pair.low, pair.high, metric)),
            "-" if math.isnan(pair.mean) else metric.format_gain(pair.mean),
            str(pair.wins), str(pair.ties), str(pair.n), format_p(pair.p_adjusted),
            pair.verdict.value,
        ])  # fmt: skip
    return headers, rows


def ranked(found: Comparison) -> list[str]:
    """Return the methods by how many they lead, less how many lead them, then by the median."""
    lead = dict.fromkeys(found.methods, 0)
    for pair in found.pairs:
        if pair.leads is not None:
            lead[pair.leads] += 1
            lead[_trailing(pair)] -= 1
    worst = -math.inf if found.metric.higher_is_better else math.inf
    sign = -1 if found.metric.higher_is_better else 1

    def median(name: str) -> float:
        scores = found.methods[name].scores
        return sign * float(np.sort(np.where(np.isnan(scores), worst, scores))[len(scores) // 2])

    return sorted(found.methods, key=lambda name: (-lead[name], median(name)))


def _relation(pair: Pair, name: str) -> str:
    """Return how a method stands to the other of its pair; the words sort in order of interest."""
    if pair.leads is None:
        words = {
            Verdict.TOO_CLOSE: "too close to",
            Verdict.CANNOT_JUDGE: "too few runs against",
            Verdict.NOT_TESTED: "not tested against",
        }
        return words.get(pair.verdict, "not told apart from")
    if pair.better is None:
        return f"in one sense {'better' if pair.leads == name else 'worse'} than"
    return "better than" if pair.better == name else "worse than"


def _trailing(pair: Pair) -> str:
    return pair.b if pair.leads == pair.a else pair.a


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    """Return names as a list in a sentence."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _ranges(seeds: Sequence[int] | np.ndarray) -> str:
    """Return whole numbers as ranges: 0 to 15, or a list."""
    ordered = sorted(int(seed) for seed in seeds)
    if len(ordered) > 1 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]} to {ordered[-1]}"
    return _listed([str(seed) for seed in ordered], 12)


def _quartiles(scores: Array, metric: Metric) -> tuple[str, str, str]:
    """Return the quartiles as strings; a failed run counts as worst."""
    worst = -math.inf if metric.higher_is_better else math.inf
    filled = np.sort(np.where(np.isnan(scores), worst, scores))
    shown = []
    for q in (0.25, 0.5, 0.75):
        position = q * (len(filled) - 1)
        low, high = filled[math.floor(position)], filled[math.ceil(position)]
        if np.isfinite([low, high]).all():
            value = low + (high - low) * (position % 1)
        else:
            value = worst if worst in (low, high) else -worst
        shown.append("failed" if value == worst else metric.format(float(value)))
    return shown[0], shown[1], shown[2]


def _format_seconds(seconds: float) -> str:
    if seconds >= 1.0:
        return f"{seconds:.3g} s"
    return f"{seconds / 1e-3:.3g} ms" if seconds >= 1e-3 else f"{seconds / 1e-6:.3g} µs"
