"""Plant faults in trainings and count how many diagnose names: prints and writes diagnosis.md.

    pip install -e '.[all]' && python benchmarks/diagnosis.py

Eight members train on each of three scikit-learn tables with a sound recipe, then with one planted
fault and everything else unchanged. Each case runs ten times from different seeds. Then made
tables, of noise and of what can be learned, show when members are called no better than a constant.
"""

import datetime
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from machine import described
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

import seedbed as sb
from seedbed.estimators import NetworkClassifier, NetworkRegressor

PAGE = Path(__file__).with_name("diagnosis.md")
DRAWS, MEMBERS, ROWS = 10, 8, 500

TABLES = {
    "breast cancer": (load_breast_cancer, sb.cross_entropy, 2),
    "digits": (load_digits, sb.cross_entropy, 10),
    "diabetes": (lambda **to: load_diabetes(scaled=False, **to), sb.squared_error, 1),
}


def table(name, draw):
    """Return rows of a table: inputs raw and standardised, targets in the loss's form."""
    loader, loss, outputs = TABLES[name]
    raw, y = loader(return_X_y=True)
    rows = np.random.default_rng(draw).permutation(len(raw))[:ROWS]
    raw, y = raw[rows], y[rows]
    X = (raw - raw.mean(axis=0)) / np.maximum(raw.std(axis=0), 1e-9)
    if outputs == 1:
        y = (y - y.mean()) / y.std()
    return raw, X, y, loss, outputs


def recipe(inputs, outputs, loss, *, layers=(32,), activation=sb.relu, lr=0.003, init=None, **more):
    """Return the recipe: 60 epochs of Adam with a rate that falls to 0."""
    hidden = [sb.Dense(units, activation, init) for units in layers]
    network = sb.Network(inputs, [*hidden, sb.Dense(outputs)])
    options = {"optimizer": sb.Adam(lr), "schedule": sb.cosine(), "batch_size": 32, "epochs": 60}
    return sb.Recipe(network=network, loss=loss, engine="numpy", **{**options, **more})


def trained(X, y, seeds, made, start=None):
    """Train, without warnings about diverged members."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sb.DivergenceWarning)
        return sb.train(made, X, y, seeds=seeds, start=start)


def begun(made, seeds, change):
    """Return the seeds' initial parameters, with the first layer changed."""
    theta = made.network.init(seeds, np.float32)
    change(*made.network.views(theta)[0])
    return theta


def zeroed(W, b):
    """Make the first two members' hidden layers unable to learn."""
    W[:2], b[:2] = 0, -1


def planted(fault, name, draw):
    """Return a population with a fault, and its training data."""
    raw, X, y, loss, outputs = table(name, draw)
    seeds = range(MEMBERS * draw, MEMBERS * (draw + 1))
    shape = X.shape[1], outputs, loss
    made, start = recipe(*shape), None
    if fault == "none: plain descent":
        made = recipe(*shape, optimizer=sb.SGD(0.05, momentum=0.9))
    elif fault == "none: tanh, 120 epochs, patience":
        made = recipe(*shape, activation=sb.tanh, epochs=120, patience=15, validation=0.2)
    elif fault == "none: dropout, two layers":
        made = recipe(*shape, layers=(32, 32), activation=sb.mish, dropout=0.2)
    elif fault == "none: all rows at once":
        made = recipe(*shape, lr=0.02, batch_size=None, epochs=200)
    elif fault == "none: weights of rows":
        made = recipe(*shape)
        weights = np.random.default_rng(draw).uniform(0.1, 3, len(X))
        population = sb.train(made, X, y, seeds=seeds, sample_weight=weights)
        return population, X, y
    elif fault == "inputs as they are in the table":
        X = raw
    elif fault == "target in thousands":
        y = 1000 * y
    elif fault == "rate 300 times as high":
        made = recipe(*shape, lr=0.9, schedule=sb.constant)
    elif fault == "rate 300 times as low":
        made = recipe(*shape, lr=1e-5, schedule=sb.constant)
    elif fault == "plain descent at rate 10,000":
        made = replace(made, optimizer=sb.SGD(1e4))
    elif fault == "twelve layers of sigmoid":
        made = recipe(*shape, layers=(16,) * 12, activation=sb.sigmoid)
    elif fault == "eight layers drawn from N(0, 1)":
        made = recipe(*shape, layers=(32,) * 8, init=sb.standard_normal)
    elif fault == "biases of -50 to begin with":
        start = begun(made, seeds, lambda W, b: b.__isub__(50))
    elif fault == "tanh with weights 100 times as large":
        made = recipe(*shape, activation=sb.tanh)
        start = begun(made, seeds, lambda W, b: W.__imul__(100))
    elif fault == "two members without hidden weights":
        start = begun(made, seeds, zeroed)
    return trained(X, y, seeds, made, start), X, y


SOUND = [
    "none", "none: plain descent", "none: tanh, 120 epochs, patience", "none: dropout, two layers",
    "none: all rows at once", "none: weights of rows",
]  # fmt: skip
FAULTS = {
    "inputs as they are in the table": "unscaled inputs",
    "target in thousands": "unscaled target",
    "rate 300 times as high": "rate too high",
    "rate 300 times as low": "still falling",
    "plain descent at rate 10,000": "diverged",
    "twelve layers of sigmoid": "vanishing gradients",
    "eight layers drawn from N(0, 1)": "exploding gradients",
    "biases of -50 to begin with": "dead units",
    "tanh with weights 100 times as large": "saturated units",
    "two members without hidden weights": "stuck members",
}


RARE = (0.02, 0.07, 0.2)
SIGNALS = {"noise": 0.0, "weak": 0.5, "clear": 3.0}
RECIPES = ("no hold-out", "patience", "estimator")


def generated(signal, share, draw, rows):
    """Return rows and fresh rows of a made table; ``share`` of them are positive, None: numbers."""
    random = np.random.default_rng([draw, rows])
    X = random.normal(size=(2 * rows, 8))
    y = signal * (X[:, 0] + np.tanh(2 * X[:, 1]) * X[:, 2])
    y += random.normal(size=2 * rows) if share is None else random.logistic(size=2 * rows)
    y = (y - y.mean()) / y.std() if share is None else (y > np.quantile(y, 1 - share)).astype(int)
    return (X[:rows], y[:rows]), (X[rows:], y[rows:])


def fitted_to(how, X, y, draw):
    """Return a population or an estimator trained on generated rows."""
    classes = y.dtype.kind == "i"
    if how == "estimator":
        kind = NetworkClassifier if classes else NetworkRegressor
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return kind(random_state=draw, engine="compiled").fit(X, y)
    loss, outputs = (sb.cross_entropy, 2) if classes else (sb.squared_error, 1)
    more = {"validation": 0.2, "patience": 10} if how == "patience" else {}
    made = replace(recipe(X.shape[1], outputs, loss, **more), engine="compiled")
    return trained(X, y, range(MEMBERS * draw, MEMBERS * (draw + 1)), made)


def constants():
    """Return the page's lines on members no better than a constant."""
    lines = []
    for name, signal in SIGNALS.items():
        for share in (*RARE, None):
            for rows in (300, 1500):
                cells = []
                for how in RECIPES:
                    counts = np.zeros((2, 2), int)
                    for draw in range(DRAWS):
                        own, fresh = generated(signal, share, draw, rows)
                        model = fitted_to(how, *own, draw)
                        for side, data in enumerate((own, fresh)):
                            found = {each.kind for each in sb.diagnose(model, *data)}
                            counts[0, side] += "no better than constant" in found
                            counts[1, side] += "commonest class only" in found
                    cells += [f"{counts[0, side]} · {counts[1, side]}" for side in range(2)]
                target = "numbers" if share is None else f"{share:.0%} positive"
                lines.append(f"| {name} | {target} | {rows:,} | {' | '.join(cells)} |")
                print(lines[-1], flush=True)
    heads = [f"{how}, {side} rows" for how in RECIPES for side in ("its", "fresh")]
    return [
        "## No better than a constant", "",
        f"{DRAWS} made tables each, 8 inputs. A cell shows how often diagnose found 'no better "
        "than constant' · 'commonest class only'. On its own rows a model is judged by those that "
        "members held out; without a hold-out by rows that it may have memorised.", "",
        f"| signal | target | rows | {' | '.join(heads)} |",
        f"|---|---|---|{'---|' * len(heads)}", *lines, "",
    ]  # fmt: skip


def main():
    """Plant, diagnose, count; print the page and write it."""
    lines, named, tried, alarms = [], 0, 0, []
    for fault, kind in {**dict.fromkeys(SOUND), **FAULTS}.items():
        cells, others = [], {}
        for name in TABLES:
            if kind == "unscaled target" and TABLES[name][2] > 1:
                cells.append("")
                continue
            right, losses = 0, []
            for draw in range(DRAWS):
                population, X, y = planted(fault, name, draw)
                findings = sb.diagnose(population, X, y)
                found = [each.kind for each in findings]
                losses.append(population.loss)
                right += kind in found if kind else not found
                if kind == "stuck members" and kind in found:  # and the right ones
                    (named_,) = [each.members for each in findings if each.kind == kind]
                    right -= named_ != (0, 1)
                for other in set(found) - {kind}:
                    others[other] = others.get(other, 0) + 1
                if kind:
                    tried += 1
                else:
                    alarms += found
            named += right if kind else 0
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # where all diverged
                cells.append(f"{right} · {np.nanmedian(losses):.2g}")
        too = ", ".join(f"{other} {count}" for other, count in sorted(others.items()))
        lines.append(f"| {fault} | {kind or 'nothing'} | {' | '.join(cells)} | {too} |")
        print(lines[-1], flush=True)
    page = "\n".join([
        "# Faults that diagnose finds", "",
        f"`python benchmarks/diagnosis.py`, {datetime.date.today()}: "
        f"{described('numpy', 'scikit-learn')}.", "",
        f"{MEMBERS} members, {DRAWS} draws of seeds and rows for each table. A cell shows how "
        "often diagnose named the fault · the members' median training loss.", "",
        f"| planted | expected finding | {' | '.join(TABLES)} | other findings |",
        f"|---|---|{'---|' * len(TABLES)}---|", *lines, "",
        f"Named: {named} of {tried}. Findings without a planted fault: {len(alarms)} in "
        f"{DRAWS * len(TABLES) * len(SOUND)} trainings. The faults that were not named leave no "
        "sign at the end of training: the loss is as low as without them, or (sigmoids on "
        "diabetes) gradients have recovered, and diagnose reports other problems.", "",
        *constants(),
    ])  # fmt: skip
    PAGE.write_text(page, encoding="utf-8")
    print("\n" + page)


if __name__ == "__main__":
    main()
