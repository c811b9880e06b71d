"""Comparisons as text: a line a method, Markdown, LaTeX, and the methods paragraph."""

import re

import numpy as np
import pytest

import seedbed as sb

pytestmark = pytest.mark.filterwarnings("ignore:the differences of")  # planted in order
RNG = np.random.default_rng(8)
LEVELS = {"a": 0.95, "b": 0.949, "c": 0.93, "d": 0.93, "e": 0.7}
LUCK = 0.01 * RNG.normal(size=24)
SCORES = {name: level + LUCK + 0.004 * RNG.normal(size=24) for name, level in LEVELS.items()}


def judged(scores=SCORES, **rules):
    return sb.judge(scores, higher_is_better=True, design="fixed", name="R²", **rules)


def test_many_methods_have_a_line_each():
    found = judged()
    assert found.lines[0] == "Best: a; not told apart from it: b"
    assert found.best == ["a", "b"]
    assert len(found.lines) == 1 + len(SCORES)
    assert "a: better than c, d and e; not told apart from b" in found.lines
    assert found.lines[-1] == "e: worse than a, b, c and d"
    shown = str(found)
    assert all(line in shown for line in found.lines)
    assert found.sentences[0] not in shown
    few = judged({name: SCORES[name] for name in "abe"})
    assert few.lines == few.sentences
    many = judged({str(k): RNG.normal(size=24) for k in range(10)})
    assert len(many.lines) == 11
    assert "not told apart from" in many.lines[3]
    assert " and 5 more" in many.lines[3]


def test_a_line_says_in_which_sense():
    b = RNG.normal(0.9, 0.01, 30)
    a = b + 0.01
    a[:3] = 0.1
    close = b + 1e-5 * RNG.normal(size=30)
    found = judged({"a": a, "b": b, "c": close, "d": close + 0.3}, delta=0.001)
    line = next(line for line in found.lines if line.startswith("a: "))
    assert line == "a: in one sense better than b and c; worse than d"
    line = next(line for line in found.lines if line.startswith("b: "))
    assert line == "b: in one sense worse than a; too close to c; worse than d"


def test_markdown_and_latex_hold_the_tables():
    found = judged({"a|1": SCORES["a"], "lr_0.1 & 50%": SCORES["e"]})
    pair = found.pairs[0]
    headers, row = (
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in found.to_markdown().splitlines()[-3::2]
    )
    assert row == [
        r"a\|1 over lr_0.1 & 50%", f"{pair.typical:.3g}", f"{pair.low:.3g} to {pair.high:.3g}",
        f"{pair.mean:.3g}", "24", "0", "24", f"{pair.p_adjusted:.2g}", "better",
    ]  # fmt: skip
    assert headers[0] == "pair"
    text = found.to_latex()
    assert r"lr\_0.1 \& 50\%" in text
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    for line in text.splitlines():
        if line.endswith(r"\\"):
            assert line.replace(r"\&", "").count("&") == (
                8 if "over" in line or "pair" in line else 4
            )


@pytest.mark.parametrize("design", ["fixed", "adaptive", "anytime"])
def test_each_number_in_the_paragraph_is_the_results(design):
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(80, 2)), rng.normal(size=80)

    def guess(X_train, Y_train, X_test, seed):
        return np.full(len(X_test), Y_train.mean())

    def noisy(X_train, Y_train, X_test, seed):
        p = guess(X_train, Y_train, X_test, seed)
        return p * np.nan if seed % 5 == 0 else p + 5

    seeds = range(10, 22) if design == "fixed" else design
    found = sb.compare(
        {"guess": guess, "noisy": noisy, "third": lambda X, Y, Z, seed: Z[:, 0]}, X, Y,
        seeds=seeds, alpha=0.04, delta=0.25, test=0.3,
    )  # fmt: skip
    text = found.paragraph()
    n, failed = len(found.seeds), found.methods["noisy"].failed
    total = sum(len(method.scores) for method in found.methods.values())
    looks = {"adaptive": ["8", "16", "32", "64"]}.get(design, [])
    first = 10 if design == "fixed" else 0
    year = {
        "fixed": ["1945", "1959"],
        "adaptive": ["1945", "1959", "1983"],
        "anytime": ["1970", "1939"],
    }
    expected = [
        "3", n, first, first + n - 1, *found.rows, *year[design], *looks, "0.04", "3", "0.25",
        "1963", f"{100 * (1 - 0.04 / 3):.4g}", total, failed,
    ]  # fmt: skip
    body = text.partition(" Software:")[0]
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?", body)
    assert sorted(number.rstrip(",").replace(",", "") for number in numbers) == sorted(
        map(str, expected)
    )
    assert failed > 0
    assert f"Seedbed {sb.__version__}, NumPy {np.__version__}" in text
    assert "not planned beforehand" in text
    assert "others, drawn for each seed" in text


def test_the_paragraph_quotes_the_plan(tmp_path):
    rng = np.random.default_rng(3)
    X, Y = rng.normal(size=(80, 2)), rng.normal(size=80)
    methods = {"a": lambda X, Y, Z, seed: Z[:, 0], "b": lambda X, Y, Z, seed: Z[:, 1]}
    planned = sb.plan(methods, seeds=[1, 2, 3, 5, 8, 13, 21], split=(range(50), range(50, 80)))
    planned.save(tmp_path / "plan.json")
    text = planned.run(X, Y).paragraph()
    assert f"written down before the first score ({planned.written.date}, {planned.digest})" in text
    assert "(seeds 1, 2, 3, 5, 8, 13 and 21)" in text
    assert "trained on 50 rows and tested on 30 others, the same for all seeds" in text


def test_what_is_not_known_of_given_scores_is_not_said():
    text = judged().paragraph()
    assert "each with 24 scores, which were given, paired by their seeds" in text
    assert "initial weights" not in text
    found = judged(baseline="a")
    with pytest.raises(sb.SettingError, match="the best method needs verdicts on all pairs"):
        _ = found.best


def test_text_seeds_are_saved(tmp_path):
    found = judged(seeds=[f"table {number}" for number in range(24)])
    found.save(tmp_path / "found.json")
    loaded = sb.Comparison.load(tmp_path / "found.json")
    assert loaded.to_json() == found.to_json()
    with pytest.raises(sb.DataError, match="seeds must be whole numbers or texts"):
        judged(seeds=np.arange(24) + 0.5)
    with pytest.raises(sb.DataError, match="must be numbers"):
        judged({"a": [10**400, 1], "b": [1, 2]})
