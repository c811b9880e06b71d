"""Draw docs/static/spread.svg from the README's first two examples:  python docs/picture.py"""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

from seedbed import plots

ROOT = Path(__file__).parents[1]


def readme_examples():
    """Run the first two Python blocks of the README and return their variables."""
    names = {}
    for block in (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1:3]:
        exec(block.split("```")[0], names)
    return names


def main():
    names = readme_examples()
    population, found = names["population"], names["found"]
    history = population.history
    some = slice(None, None, 20)  # enough epochs for a smooth curve, in a small file
    losses = history.train_loss[:, some]
    thinned = replace(history, epochs=history.epochs[some], train_loss=losses)
    page = plots.figure(10, 3.6)
    left, right = page.subplots(1, 2)
    plots.losses(replace(population, history=thinned), left, members=[0, 1])
    left.set_title(f"One method, {len(population):,} seeds: median, quartiles, range", fontsize=10)
    scores = {name: 100 * method.scores for name, method in found.methods.items()}
    plots.scores(scores, right, label="accuracy on held-out rows, %")
    pair = found.pairs[0]
    title = f"Two methods, {pair.n} seeds each: {pair.a} wins {pair.wins} of {pair.n} pairs"
    right.set_title(title, fontsize=10)
    mpl.rcParams["svg.hashsalt"] = "seedbed"  # the same bytes in every run
    page.savefig(ROOT / "docs" / "static" / "spread.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
