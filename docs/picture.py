"""Draw docs/static/spread.svg from the README's first two examples:  python docs/picture.py"""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

from seedbed import plots
from seedbed.plots import page, styling

ROOT = Path(__file__).parents[1]


def readme_examples():
    """Run the first two Python blocks of the README and return their variables."""
    names = {}
    for block in (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1:3]:
        exec(block.split("```")[0], names)
    return names


def draw_losses(axes, population):
    """Draw the losses of all seeds, and those of seeds 0 and 1 as lines."""
    history = population.history
    thin = slice(None, None, 20)  # enough epochs for a smooth curve, in a small file
    history = replace(history, epochs=history.epochs[thin], train_loss=history.train_loss[:, thin])
    plots.losses(replace(population, history=history), axes, members=[0, 1])
    for text, place in (("half of\nthe seeds", (1100, 0.04)), ("all seeds", (2600, 0.05))):
        axes.annotate(text, place, fontsize=9)
    solved = (population.loss < 0.01).mean()
    title = f"One network, {len(population):,} seeds: {solved:.1%} solve XOR"
    axes.set_title(title, pad=20)


def draw_pairs(axes, found):
    """Draw the scores of two methods, joined by a line for each seed."""
    pair = found.pairs[0]
    names, colours = (pair.a, pair.b), styling.LIGHT.colours
    for a, b in zip(*(100 * found.methods[name].scores for name in names), strict=True):
        color, style = (colours[0], "o-") if a > b else (colours[1], "s--")
        axes.plot([0, 1], [b, a], style, color=color, lw=1.2, ms=4, alpha=0.8)
    axes.set_xticks([0, 1], names[::-1])
    axes.set_xlim(-0.3, 1.3)
    axes.set_ylabel("accuracy on held-out rows, %")
    title = f"Two methods, {pair.n} seeds: {pair.a} is better in {pair.wins} of {pair.n} pairs"
    page.entitle(axes, title, "one line for each seed")


def main():
    names = readme_examples()
    figure = plots.figure(10, 3.6)
    left, right = figure.subplots(1, 2)
    with styling.styled_context():
        draw_losses(left, names["population"])
        draw_pairs(right, names["found"])
    mpl.rcParams["svg.hashsalt"] = "seedbed"  # the same bytes in every run
    figure.savefig(ROOT / "docs" / "static" / "spread.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
