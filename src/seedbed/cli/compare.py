"""``seedbed compare``: compares settings of a network on a table, from the same seeds."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError, Namespace
from itertools import product
from pathlib import Path
from typing import Any

from seedbed import plots
from seedbed.cli import INTERRUPTED
from seedbed.cli.options import (
    RECIPE,
    add_columns,
    add_recipe,
    integer,
    marks_of,
    metric,
    number,
    recipe_of,
    share,
)
from seedbed.cli.show import check_distinct, check_picture, print_json, print_table, save_picture
from seedbed.comparing.comparison import Comparison
from seedbed.comparing.encoded import EncodedTable, encode_table
from seedbed.comparing.equal_time import equal_time
from seedbed.comparing.fingerprint import data_digest
from seedbed.comparing.plan import Plan
from seedbed.errors import SettingError
from seedbed.metrics import BY_NAME
from seedbed.tables.encoding import Encoding
from seedbed.tables.reading import read
from seedbed.testing import trained
from seedbed.writing import check_writable, interrupted_path

_MAX_SETTINGS = 1000


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="tell a better setting from a luckier seed",
        description="Train a network on a table with several settings, all from the same seeds, "
        "and judge which is better. Each seed draws its own test rows; columns are encoded "
        "over all rows. By default the comparison tests after 8, 16, 32 and 64 seeds and stops "
        "when all verdicts are final.",
    )
    add = parser.add_argument
    add(
        "file",
        metavar="FILE",
        help="a table: CSV, Parquet, .xlsx, .json or file.db::table; - is stdin",
    )
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    add(
        "--vary",
        action="append",
        required=True,
        type=varied,
        metavar="NAME=A,B",
        help="an option below and its values, such as lr=0.001,0.01 or hidden=32,64x64; several "
        "--vary give all combinations",
    )
    add(
        "--baseline", metavar="NAME", help="judge the others against this setting, such as lr=0.001"
    )
    add(
        "--metric",
        type=metric,
        metavar="NAME",
        help=f"one of {', '.join(BY_NAME)} (accuracy, or rmse for numbers)",
    )
    alpha = number(0, 0.5, open_low=True)
    add(
        "--alpha",
        type=alpha,
        default=0.05,
        metavar="A",
        help="maximum chance of any false verdict (0.05)",
    )
    add(
        "--delta",
        type=number(0, open_low=True),
        metavar="D",
        help="gains within ±D do not matter, in the metric's units (0.01: one point of accuracy)",
    )
    count = "number of seeds; or adaptive, or anytime: a test after every 8 seeds (adaptive)"
    add("--seeds", type=seeds, default="adaptive", metavar="N", help=count)
    add("--seed", type=integer(0, 2**62), default=0, metavar="S", help="the first seed (0)")
    add_columns(parser)
    add_recipe(parser)
    add("--test", type=share, default=0.25, metavar="SHARE", help="share of test rows (0.25)")
    add(
        "--assert-not-worse", metavar="NAME", dest="candidate",
        help="train until it is clear whether this setting, such as lr=0.001, is worse than the "
        "other (or the --baseline) by the --margin: exit status 0 if not, 1 if it is, 2 if the "
        "runs do not tell",
    )  # fmt: skip
    margin = "the loss that does not matter, in the metric's units (0.01: one point of accuracy)"
    add("--margin", type=number(0), metavar="M", help=margin)
    add(
        "--max-seeds", type=integer(1, 10**6), metavar="N",
        help="go on with open pairs up to N seeds: 128, 256, 512 or 1024 for adaptive, any number "
        "for anytime; no false verdict becomes more likely",
    )  # fmt: skip
    add(
        "--equal-time", action="store_true",
        help="give each setting the epochs that take the time of the slowest",
    )  # fmt: skip
    add(
        "--plan", type=Path, metavar="FILE",
        help="write the plan down before the first score; a file that holds it already is kept",
    )  # fmt: skip
    add(
        "--checkpoint", type=Path, metavar="FILE",
        help="keep finished runs; after a crash, the same command resumes from them",
    )  # fmt: skip
    add("--out", type=Path, metavar="FILE", help="save the comparison, with all scores, as JSON")
    add("--plot", type=Path, metavar="FILE", help="draw the scores and gains (.png, .svg or .pdf)")
    add("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def varied(text: str) -> tuple[str, list[tuple[str, Any]]]:
    """Read an option's name and its values: lr=0.001,0.01."""
    name, sign, values = text.partition("=")
    name = name.strip().lstrip("-").replace("-", "_")
    if not sign or name not in RECIPE:
        known = ", ".join(RECIPE).replace("_", "-")
        raise ArgumentTypeError(f"expected one of {known} and its values, such as lr=0.001,0.01, "
                                f"not {text!r}")  # fmt: skip
    given = [value.strip() for value in values.split(",")]
    if len(set(given)) < len(given):
        raise ArgumentTypeError(f"{text!r} repeats a value")
    return name, [(value, RECIPE[name].read(value)) for value in given]


def seeds(text: str) -> str | int:
    """Read a number of seeds, or a design's name."""
    if text in ("adaptive", "anytime"):
        return text
    if not text.lstrip("+-").isdecimal():
        raise ArgumentTypeError(f"expected a whole number, adaptive or anytime, not {text!r}")
    return integer(1, 10**6)(text)


def run(options: Namespace) -> int:
    """Compare, print the verdicts and draw the picture; return the exit status."""
    check_distinct(options, "out", "checkpoint", "plan", "plot")
    if options.plot is not None:
        check_picture(options.plot)
    if options.out is not None:
        check_writable(options.out)
    table = encode_table(
        read(options.file, marks_of(options)), options.target, options.task, options.drop
    )
    methods = _methods(options, table.encoding, len(table.rows))
    chosen: Any = options.seeds
    if isinstance(chosen, int):
        chosen = range(options.seed, options.seed + chosen)
    if (options.candidate is None) != (options.margin is None):
        raise SettingError("--assert-not-worse and --margin belong together: give both, or none")
    if options.equal_time:
        if options.checkpoint is not None:
            raise SettingError(
                "--equal-time measures the epochs in each run, and a --checkpoint needs the same "
                "epochs every time: leave one of them out"
            )
        methods = equal_time(methods, table, None, test=options.test)
    if options.candidate is not None:
        _check_alone(options)
        return _assert_not_worse(options, methods, table, chosen)
    planned = Plan(
        methods, options.metric, options.baseline, options.alpha, options.delta, chosen,
        test=options.test, first_seed=options.seed, data=data_digest(table, None),
    )  # fmt: skip
    found = _compared(options, planned, table)
    out, plot = options.out, options.plot
    if found.interrupted:  # what is there stays
        out, plot = (path and interrupted_path(path) for path in (out, plot))
    if out is not None:
        found.save(out)
    if plot is not None:
        save_picture(plots.comparison(found), plot)
    if options.json:
        print_json(found.to_dict())
    else:
        if options.equal_time:
            epochs = ", ".join(f"{name} {recipe.epochs:,}" for name, recipe in methods.items())
            print(f"  epochs that take the same time: {epochs}")
        for note in found.notes:
            print("  " + " ".join(note.split()))
        print_table(*found.table())
        print("\n" + "\n".join([*found.lines, *found.new_data_lines(), "", found.footer()]))
        if out is not None:
            print(f"\nwritten to {out}")
    return INTERRUPTED if found.interrupted else 0


def _check_alone(options: Namespace) -> None:
    """Refuse options that have no meaning beside --assert-not-worse.

    Raises: SettingError.
    """
    if options.delta is not None:
        raise SettingError("--assert-not-worse has a --margin: leave --delta out")
    for name in ("max_seeds", "plan", "checkpoint", "out"):
        if getattr(options, name) is not None:
            raise SettingError(
                f"--assert-not-worse trains until it is clear: leave --{name.replace('_', '-')} out"
            )


def _compared(options: Namespace, planned: Plan, table: EncodedTable) -> Comparison:
    """Write the plan down if that is asked for, and run it up to the most seeds."""
    if options.plan is not None:
        planned.save(options.plan)
    course = planned.begin(table, None, checkpoint=options.checkpoint)
    planned_seeds, most = course.looks[-1], options.max_seeds or course.looks[-1]
    if most < planned_seeds:
        raise SettingError(f"--max-seeds {most} is less than the {planned_seeds} of the plan")
    if most > planned_seeds:
        course.later_looks(most, planned_seeds)  # refused before the first run
    printed: set[str] = set()

    def print_final(so_far: Comparison) -> None:
        for pair, sentence in zip(so_far.pairs, so_far.sentences, strict=True):
            if pair.verdict.is_final and sentence not in printed and sys.stderr.isatty():
                print(f"\r{pair.n} seeds: {sentence}", file=sys.stderr)
                printed.add(sentence)

    found = course.run(course.looks, [print_final])
    is_open = len(course.decided) < len(course.pairs)
    if most > planned_seeds and is_open and not found.interrupted:
        found = found.extend(most, callbacks=[print_final])
    return found


def _assert_not_worse(
    options: Namespace, methods: dict[str, Any], table: EncodedTable, seeds: Any
) -> int:
    """Train the candidate and the baseline, print what was found, and return the exit status."""
    others = [name for name in methods if name != options.candidate]
    baseline = options.baseline or (others[0] if len(others) == 1 else None)
    if options.candidate not in methods or baseline not in others:
        wrong = options.candidate if options.candidate not in methods else options.baseline
        raise SettingError(
            f"--assert-not-worse needs two of the settings {', '.join(methods)}: "
            + (f"{wrong} is none of them" if wrong else "name the other one with --baseline")
        )
    planned = Plan(
        {name: methods[name] for name in (options.candidate, baseline)}, options.metric, baseline,
        options.alpha, seeds=seeds, test=options.test, first_seed=options.seed,
    )  # fmt: skip
    result = trained(planned, table, None, options.candidate, options.margin)
    if options.plot is not None:
        save_picture(plots.comparison(result.comparison), options.plot)
    if options.json:
        found = {"status": result.status, "low": result.low, "high": result.high}
        print_json(found | {"needed": result.needed, "sentence": result.sentence})
    else:
        print(result.sentence)
    return {"fine": 0, "worse": 1, "can't tell": 2}[result.status]


def _methods(options: Namespace, encoding: Encoding, rows: int) -> dict[str, Any]:
    names = [name for name, _ in options.vary]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"--vary {name} is given twice: give all its values at once")
    methods = {}
    for values in product(*(values for _, values in options.vary)):
        chosen = {name: value for name, (_, value) in zip(names, values, strict=True)}
        label = " ".join(
            f"{name.replace('_', '-')}={text}"
            for name, (text, _) in zip(names, values, strict=True)
        )
        methods[label] = recipe_of(vars(options) | chosen, encoding, rows)
    if len(methods) < 2:
        raise SettingError(
            "--vary gives one setting: give at least two values, such as lr=0.001,0.01"
        )
    if len(methods) > _MAX_SETTINGS:
        raise SettingError(f"{len(methods):,} settings are too many: give up to {_MAX_SETTINGS:,}")
    return methods
