"""``seedbed train``: trains an ensemble on a table and prints its scores."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, plots, training
from seedbed.arrays import Array
from seedbed.cli.options import add_columns, add_recipe, integer, recipe_of, share
from seedbed.cli.show import (
    check_picture,
    exit_status,
    percent,
    print_json,
    print_table,
    save_picture,
)
from seedbed.errors import FileError
from seedbed.population import Population
from seedbed.tables.encoding import Encoding, fit
from seedbed.tables.reading import read
from seedbed.tables.targets import find_target, split_rows


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train on a CSV or Parquet file",
        description="Train several members on a table, and print each member's score on held-out "
        "rows, their spread, the ensemble's score and a baseline's. Numbers are scaled and binned "
        "robustly, categories one-hot encoded, missing values marked.",
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="a CSV file with a header, or a Parquet file; - is stdin")
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    add_columns(parser)
    add("--members", type=integer(1, 10**6), default=8, metavar="N", help="number of networks (8)")
    add(
        "--seed",
        type=integer(0, 2**62),
        default=0,
        metavar="S",
        help="the members' seeds are S, S+1, …; S also draws the held-out rows (0)",
    )
    add_recipe(parser)
    add("--test", type=share, default=0.2, metavar="SHARE", help="share of test rows (0.2)")
    add("--out", type=Path, metavar="MODEL", help="write a model file, such as model.safetensors")
    add("--plot", type=Path, metavar="FILE", help="draw losses and scores (.png, .svg, .pdf)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Train, print the scores, write the model file; return the exit status."""
    if options.out is not None:
        _check_out(options.out)
    if options.plot is not None:
        check_picture(options.plot)
    table = read(options.file)
    target, known = find_target(table, options.target, options.task)
    classes = target.encode(table)[known] if target.classes else None
    train, test = split_rows(known, options.test, options.seed, classes)
    encoding, notes = fit(table, train, target, options.drop)
    X, more = encoding.inputs(table, unseen="missing")
    notes += more
    Y = encoding.target.encode(table)
    if encoding.target.task == "regression":
        outliers = encoding.target.outlier_count(encoding.target.in_target_units(Y[train, None]))
        if outliers:
            notes.append(f"{target.name}: {outliers} outlier{'' if outliers == 1 else 's'} clipped")
    if len(known) < len(table):
        notes.append(
            f"{target.name}: {len(table) - len(known):,} rows without a value are left out"
        )
    recipe = recipe_of(vars(options), encoding, len(train))
    seeds = range(options.seed, options.seed + options.members)
    targets = encoding.target.clip_outliers(Y[train])
    population = training.train(recipe, X[train], targets, seeds=seeds)
    scores = score(population, encoding, X[test], Y[test], Y[train])
    summary = {
        "task": encoding.target.task,
        "rows": {"train": len(train), "test": len(test)},
        "inputs": encoding.width,
        "network": str(recipe.network),
        "engine": population.recipe.engine,
        "notes": notes,
        "score": scores.name,
        "members": [
            {"seed": seed, "status": status, "epochs": epochs, "score": value}
            for seed, status, epochs, value in zip(
                population.seeds,
                population.status,
                population.best_epoch,
                scores.members,
                strict=True,
            )
        ],
        "ensemble": scores.ensemble,
        "baseline": scores.baseline,
        "out": None if options.out is None else str(options.out),
    }
    if not options.json:
        _print(options, encoding, summary, scores)
    if options.out is not None:
        files.save(options.out, population, encoding.to_dict())
    if options.plot is not None:
        save_picture(_picture(population, scores), options.plot)
    if options.json:
        print_json(summary)
    elif options.out is None:
        print("\nThe model was not saved: give --out model.safetensors", file=sys.stderr)
    else:
        print(f"\nwritten to {options.out}")
    return exit_status(population)


def _check_out(path: Path) -> None:
    """Refuse, before training, a path that cannot be written or is not a model file.

    Raises: FileError; MissingDependencyError without safetensors.
    """
    files.check_writable(path)
    if path.is_file():
        try:
            files.read(path)
        except FileError:
            raise FileError(
                f"{path} exists and is not a valid model file: give --out another name"
            ) from None


@dataclass(frozen=True)
class Scores:
    """Scores on rows that no member was trained on; higher is better.

    name      "accuracy", or "R²": 1 - Σ(t - y)² / Σ(t - t̄)², t̄ the mean of the scored rows
    members   (P,), NaN where diverged
    ensemble  the score of the members' mean prediction
    baseline  the score of the training rows' most frequent class, or their mean
    """

    name: str
    members: Array
    ensemble: float
    baseline: float


def score(
    population: Population, encoding: Encoding, X: Array, Y: Array, trained_on: Array
) -> Scores:
    """Score predictions of X, (N, I), against Y, (N,), and the baseline of ``trained_on``."""
    each, together = population.predict(X), population.predict_mean(X)
    if encoding.target.classes:
        correct = np.where(population.diverged[:, None], np.nan, each.argmax(axis=2) == Y)
        most_frequent = np.bincount(trained_on.astype(np.int64)).argmax()
        return Scores(
            "accuracy",
            correct.mean(axis=1),
            float((together.argmax(axis=1) == Y).mean()),
            float((most_frequent == Y).mean()),
        )
    total = ((Y - Y.mean()) ** 2).sum() if Y.min() < Y.max() else np.nan

    def r2(y: Array) -> Array:
        return np.asarray(1 - ((y - Y) ** 2).sum(axis=-1) / total)

    return Scores(
        "R²", r2(each[:, :, 0]), float(r2(together[:, 0])), float(r2(np.array([trained_on.mean()])))
    )


def _picture(population: Population, scores: Scores) -> Any:
    """Return the figure: the members' losses by epoch, and their scores."""
    page = plots.figure(12.0, 4.2)
    left, right = page.subplots(1, 2)
    plots.losses(population, left)
    scale, unit = (100.0, ", %") if scores.name == "accuracy" else (1.0, "")
    marks = {"ensemble": scores.ensemble * scale, "baseline": scores.baseline * scale}
    if np.isfinite(scores.members).any():
        label = f"{scores.name}{unit} on held-out rows"
        plots.scores(scores.members * scale, right, label=label, marks=marks)
    else:
        right.set_axis_off()
    return page


def _print(options: Namespace, encoding: Encoding, summary: Any, scores: Scores) -> None:
    inferred = "" if options.task else " (inferred; --task sets it)"
    print(f"{options.file}: {summary['task']} of {encoding.target.name}{inferred}")
    print(
        f"{summary['rows']['train']:,} rows to train on, of which each member holds out a fifth "
        f"for early stopping; {summary['rows']['test']:,} rows to score on"
    )
    print(
        f"{summary['inputs']} inputs from {len(encoding.columns)} columns; network "
        f"{summary['network']}; engine {summary['engine']}"
    )
    for note in summary["notes"]:
        print("  " + " ".join(note.split()))

    def shown(value: float) -> str:
        if np.isnan(value):
            return "-"
        return percent(value) if encoding.target.classes else f"{value:.4f}"

    print()
    print_table(
        ["seed", "status", "epochs kept", scores.name],
        [
            [str(each["seed"]), each["status"], str(each["epochs"]), shown(each["score"])]
            for each in summary["members"]
        ],
    )
    fitted = scores.members[~np.isnan(scores.members)]
    spread = f", standard deviation {shown(fitted.std(ddof=1))}" if len(fitted) > 1 else ""
    if len(fitted):
        print(
            f"\nmembers    {shown(fitted.mean())} on average{spread}, "
            f"from {shown(fitted.min())} to {shown(fitted.max())}"
        )
    else:
        print("\nmembers    -  (R² is undefined: the rows to score on have one value)")
    baseline = "the most frequent class" if encoding.target.classes else "the mean"
    print(f"ensemble   {shown(scores.ensemble)}")
    print(f"baseline   {shown(scores.baseline)} ({baseline})")
