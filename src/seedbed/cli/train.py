"""``seedbed train``: trains an ensemble on a table and prints its scores."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import files, logs, plots, writing
from seedbed.checkpoints import Checkpoint
from seedbed.cli.options import add_columns, add_recipe, integer, metric, number, share
from seedbed.cli.rows import ScanRows, TableRows, rows_of
from seedbed.cli.scores import Scores, metrics_of, score
from seedbed.cli.show import (
    check_distinct,
    check_picture,
    exit_status,
    print_json,
    print_table,
    save_picture,
)
from seedbed.errors import FileError, SettingError
from seedbed.metrics import BY_NAME, Metric
from seedbed.population import Population
from seedbed.tables.encoding import Encoding
from seedbed.tables.recipe import BINS, EFFORTS

PARAMETERS = {
    "hidden": "hidden_layer_sizes",
    "activation": "activation",
    "optimizer": "optimizer",
    "lr": "learning_rate_init",
    "weight_decay": "weight_decay",
    "dropout": "dropout",
    "codes": "codes",
    "effort": "effort",
    "max_time": "max_time",
    "batch_size": "batch_size",
    "epochs": "max_iter",
    "patience": "n_iter_no_change",
}
"""The estimators' parameters that the options set."""


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train on a table",
        description="Train several members on a table, and print each member's scores on held-out "
        "rows, their spread, the ensemble's scores and a baseline's. Numbers are scaled and binned "
        "robustly, categories one-hot encoded or embedded, missing values marked. The model is a "
        "NetworkClassifier or NetworkRegressor of seedbed.estimators; sb.load reads its file.",
    )
    add = parser.add_argument
    add(
        "file",
        metavar="FILE",
        help="a table: CSV, Parquet (or a folder of it), .xlsx, .json or file.db::table; - is "
        "stdin",
    )
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    add_columns(parser)
    add("--members", type=integer(1, 10**6), default=8, metavar="N", help="number of networks (8)")
    add(
        "--seed",
        type=integer(0, 2**32 - 1),
        default=0,
        metavar="S",
        help="draws the members' seeds and the test rows; an estimator's random_state (0)",
    )
    add_recipe(parser)
    add(
        "--codes",
        choices=list(BINS),
        help="how networks take numbers (the held-out rows choose)",
    )
    add(
        "--effort",
        choices=list(EFFORTS),
        default="default",
        help="how many recipes to try, and how long (default)",
    )
    add(
        "--max-time",
        type=number(0, open_low=True),
        metavar="SECONDS",
        help="try fewer recipes, for fewer epochs, if all take longer",
    )
    add(
        "--metric",
        type=metric,
        metavar="NAME",
        help=f"the first score shown, one of {', '.join(BY_NAME)} (accuracy, or R² for numbers)",
    )
    add(
        "--class-weight",
        choices=["balanced"],
        help="weigh each class's rows by the inverse of its frequency",
    )
    add("--keep-outliers", action="store_true", help="train on outliers of the target as they are")
    add(
        "--from-disk",
        action="store_true",
        help="keep the encoded rows of a Parquet file on disk, as is done if they don't fit into "
        "memory",
    )
    add("--test", type=share, default=0.2, metavar="SHARE", help="share of test rows (0.2)")
    add(
        "--checkpoint", type=Path, metavar="FILE",
        help="keep the training in a file, once a minute; seedbed resume FILE resumes it",
    )  # fmt: skip
    add(
        "--log", type=Path, metavar="FILE",
        help="log each member's losses by epoch to a table (.csv, .parquet)",
    )  # fmt: skip
    add("--out", type=Path, metavar="MODEL", help="write a model file, such as model.safetensors")
    add("--force", action="store_true", help="replace the files of --out and --log")
    add("--plot", type=Path, metavar="FILE", help="draw losses and scores (.png, .svg, .pdf)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Train, print the scores, write the model file; return the exit status."""
    from seedbed.estimators import NetworkClassifier, NetworkRegressor

    check_distinct(options, "out", "checkpoint", "log", "plot")
    if options.out is not None:
        _check_out(options.out, options.force)
        writing.check_writable(writing.interrupted_path(options.out))
    if options.plot is not None:
        check_picture(options.plot)
    rows = rows_of(options)
    target = rows.target
    metrics = metrics_of(target, options.metric)
    given: dict[str, Any] = {
        parameter: getattr(options, name)
        for name, parameter in PARAMETERS.items()
        if getattr(options, name) is not None
    }
    given |= {"members": options.members, "random_state": options.seed, "verbose": None}
    if target.classes:
        given["class_weight"] = options.class_weight
    elif options.class_weight is not None:
        raise SettingError("--class-weight is for classes, and the target is numbers: leave it out")
    if target.classes and options.keep_outliers:
        raise SettingError(
            "--keep-outliers is for numbers, and the target is classes: leave it out"
        )
    if not target.classes:
        given["clip_outliers"] = not options.keep_outliers
    estimator = (NetworkClassifier if target.classes else NetworkRegressor)(**given)
    kept = None
    if options.checkpoint is not None:
        if options.max_time is not None:
            raise SettingError(
                "--max-time decides by the clock what is tried, and a --checkpoint needs the same "
                "recipes every time: leave one of them out"
            )
        if options.file == "-":
            raise SettingError(
                "a training on standard input cannot be resumed: save it to a file, or leave "
                "--checkpoint out"
            )
        words = [word for word in options.arguments if word != "--force"]
        added = {"command": words, "folder": str(Path.cwd())}
        kept = Checkpoint(options.checkpoint, added=added)
    callbacks = []
    if options.log is not None:
        resumes = options.checkpoint is not None and options.checkpoint.exists()
        callbacks.append(logs.Table(options.log, replace=options.force, resume=resumes))
    rows.fit(estimator, options.drop, kept, callbacks)
    try:
        summary, scores, held_out = _scored(options, estimator, rows, metrics)
    except BaseException:  # what was trained is not lost
        if options.out is not None:
            out = writing.interrupted_path(options.out)
            estimator.save(out)
            print(f"\nseedbed train: the members, without scores, are in {out}", file=sys.stderr)
        raise
    population, encoding = estimator.population_, estimator.encoding_
    out, plot = options.out, options.plot
    status = exit_status(population)
    if status:  # what is there stays
        out, plot = (path and writing.interrupted_path(path) for path in (out, plot))
        summary["out"] = out and str(out)
    if out is not None:
        estimator.save(out)
    if plot is not None:
        save_picture(_picture(population, scores[0]), plot)
    if options.json:
        print_json(summary)
    else:
        _print(options, encoding, summary, scores, held_out)
        if out is not None:
            print(f"\nwritten to {out}")
    if out is None and not options.json:
        print("\nThe model was not saved: give --out model.safetensors", file=sys.stderr)
    if status and out is not None:
        print(
            f"seedbed train: interrupted; the members as trained so far are in {out}",
            file=sys.stderr,
        )
    if status and kept is not None and kept.is_written:
        print(f"seedbed resume {options.checkpoint} resumes it", file=sys.stderr)
    return status


def _scored(
    options: Namespace, estimator: Any, rows: TableRows | ScanRows, metrics: list[Metric]
) -> tuple[dict[str, Any], list[Scores], str]:
    """Return what is printed of a trained estimator, its scores on the test rows, and which rows
    are held out.
    """
    population, encoding = estimator.population_, estimator.encoding_
    of = rows.scored(estimator)
    notes = of.notes
    if of.unknown:
        notes.append(f"{encoding.target.name}: {of.unknown:,} rows without a value are left out")
    scores = score(population, encoding.target, metrics, of.X, of.Y, of.Y_train)
    estimator.test_scores_ = {"rows": len(of.X), **{
        each.key: None if np.isnan(each.ensemble) else each.ensemble for each in scores
    }}  # fmt: skip
    summary: dict[str, Any] = {
        "task": encoding.target.task,
        "rows": {"train": of.train, "test": len(of.X)},
        "from_disk": estimator.from_disk_ is not None,
        "inputs": encoding.width,
        "network": str(population.network),
        "engine": population.recipe.engine,
        "tried": [
            {
                "name": trial.name,
                "epochs": trial.epochs,
                "held_out_loss": trial.held_out_loss,
                "chosen": trial.chosen,
            }
            for trial in estimator.recipes_
        ],
        "notes": notes,
        "score": scores[0].key,
        "members": [
            {
                "seed": seed,
                "status": status,
                "epochs": epochs,
                "score": scores[0].members[member],
                "scores": {each.key: each.members[member] for each in scores},
            }
            for member, (seed, status, epochs) in enumerate(
                zip(population.seeds, population.status, population.best_epoch, strict=True)
            )
        ],
        "ensemble": scores[0].ensemble,
        "baseline": scores[0].baseline,
        "scores": {
            each.key: {"ensemble": each.ensemble, "baseline": each.baseline} for each in scores
        },
        "out": None if options.out is None else str(options.out),
    }
    return summary, scores, of.held_out


def _check_out(path: Path, force: bool) -> None:
    """Refuse, before training, a path that cannot be written, or would replace something.

    Raises: FileError; MissingDependencyError without safetensors.
    """
    writing.check_writable(path)
    if not path.is_file():
        return
    try:
        files.read(path)
    except FileError:
        raise FileError(
            f"{path} exists and is not a valid model file: give --out another name"
        ) from None
    if not force:
        raise FileError(f"{path} exists: give another name, or --force")


def _picture(population: Population, scores: Scores) -> Any:
    """Return the figure: the members' losses by epoch, and their scores."""
    page = plots.figure(12.0, 4.2)
    left, right = page.subplots(1, 2)
    plots.losses(population, left)
    scale, unit = (100.0, ", %") if scores.metric.percent else (1.0, "")
    marks = {"ensemble": scores.ensemble * scale, "baseline": scores.baseline * scale}
    if np.isfinite(scores.members).any():
        label = f"{scores.metric.name}{unit} on held-out rows"
        plots.scores(scores.members * scale, right, label=label, marks=marks)
    else:
        right.set_axis_off()
    return page


def _print(
    options: Namespace, encoding: Encoding, summary: Any, scores: list[Scores], held_out: str
) -> None:
    inferred = "" if options.task else " (inferred; --task sets it)"
    print(f"{options.file}: {summary['task']} of {encoding.target.name}{inferred}")
    print(
        f"{summary['rows']['train']:,} rows to train on, of which {held_out}; "
        f"{summary['rows']['test']:,} rows to score on"
    )
    print(
        f"{summary['inputs']} inputs from {len(encoding.columns)} columns; network "
        f"{summary['network']}; engine {summary['engine']}"
    )
    tried = [each for each in summary["tried"] if each["epochs"]]
    if len(tried) > 1:
        best = min(each["held_out_loss"] for each in tried)
        keeps = tried[0]["chosen"] and tried[0]["held_out_loss"] > best
        taken = " (taken: no other is better by a standard error)" if keeps else " (taken)"
        losses = "; ".join(
            f"{each['name']} {each['held_out_loss']:.4g}{taken if each['chosen'] else ''}"
            for each in tried
        )
        print(f"recipes tried, with their loss on held-out rows: {losses}")
    for note in summary["notes"]:
        print("  " + " ".join(note.split()))
    print()
    names = [each.metric.name for each in scores]
    print_table(
        ["seed", "status", "epochs kept", *names],
        [
            [str(each["seed"]), each["status"], str(each["epochs"])]
            + [by.shown(by.members[member]) for by in scores]
            for member, each in enumerate(summary["members"])
        ],
    )
    print()
    rows = [["ensemble", *(by.shown(by.ensemble) for by in scores)]]
    fitted = [by.members[~np.isnan(by.members)] for by in scores]
    for name, of in (("members' mean", np.mean), ("members' sd", lambda each: each.std(ddof=1))):
        least = 1 if of is np.mean else 2
        rows.append(
            [
                name,
                *(
                    by.shown(float(of(each)) if len(each) >= least else np.nan)
                    for by, each in zip(scores, fitted, strict=True)
                ),
            ]
        )
    baseline = "the classes' shares" if encoding.target.classes else "the mean"
    rows.append([f"baseline ({baseline})", *(by.shown(by.baseline) for by in scores)])
    print_table(["", *names], rows)
    undefined = [by.metric.name for by in scores if np.isnan(by.ensemble)]
    if undefined:
        print(f"\n{', '.join(undefined)} is undefined: the rows to score on have one value")
