"""compare(): trains methods from the same seeds until their verdicts are final."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from seedbed.comparing.comparison import Comparison
from seedbed.comparing.methods import AnyMethod
from seedbed.comparing.plan import Plan
from seedbed.comparing.rows import SplitKind
from seedbed.metrics import Metric
from seedbed.tables.targets import Task


def compare(
    methods: Mapping[str, AnyMethod],
    X: Any,
    Y: Any,
    *,
    metric: Metric | str | None = None,
    baseline: str | None = None,
    alpha: float = 0.05,
    delta: float | None = None,
    seeds: Literal["adaptive", "anytime"] | Sequence[int] | Any = "adaptive",
    split: SplitKind | tuple[Any, Any] = "resampled",
    test: float = 0.25,
    task: Task | None = None,
    first_seed: int = 0,
    progress: bool | None = None,
    callbacks: Sequence[Callable[[Comparison], object]] = (),
    threads: int | None = None,
    checkpoint: str | PathLike[str] | None = None,
    executor: Any = None,
) -> Comparison:
    """Train every method from the same seeds, and judge which is better.

    methods     by name, each a recipe with one value for each hyperparameter; an estimator with fit
                and predict; or a function of X_train, Y_train, X_test and the seed that returns
                predictions: numbers (n,) or (n, O), classes (n,), or probabilities (n, K) in the
                order of the sorted classes
    X           all rows: an array, or a data frame with numbers, texts and missing values
    Y           the targets: (N,) numbers or classes, (N, O); or the name of a frame's column
    metric      the metric of the scores, or its name, such as "auc"; None is accuracy for classes
                and labels, else RMSE
    baseline    the method to compare the others with; None judges all pairs
    alpha       the maximum chance of any false verdict among all pairs, see ``Rules``
    delta       gains within ± delta, in the metric's units, do not matter; choose it before you
                see a score
    seeds       "adaptive" tests after 8, 16, 32 and 64 seeds, and continues only with open pairs;
                "anytime" tests after every 8 seeds, up to 256, and may be stopped at any time; a
                sequence such as range(30) is tested once, at the end. The first two may be extended
                with ``Comparison.extend``
    split       "resampled": each seed draws its own test rows, so the verdict holds for this data
                set; "fixed": all seeds share the test rows; or (train rows, test rows)
    test        the share of the rows to draw for testing, stratified by class
    task        "classification" or "regression"; None is what the methods are for, else inferred
                from Y: texts and up to 20 distinct whole numbers are classes
    first_seed  the first seed of "adaptive" and "anytime"
    progress    whether to show a progress line; None shows it on long work in a terminal
    callbacks   called after every look with the comparison so far; a true result stops it
    threads     as for ``train``
    checkpoint  a file to keep finished runs in, such as "runs.jsonl": after a crash, the same call
                resumes from it and gives the same comparison
    executor    what runs blocks of seeds in other processes or on other machines: anything with an
                ordered map, such as a ProcessPoolExecutor, a joblib.Parallel, a Dask Client or
                Ray's Pool; no result depends on it

    The same seed gives the same initial weights (if the shapes match), row order, hold-out and
    split, so runs are compared in pairs. The rows are those of ``splits``. Recipes that
    differ only in numbers are trained as one population. An estimator is cloned for each seed, and
    each ``random_state`` in it is set to the seed.

    Estimators and functions get the table's rows as they are. Recipes get a frame's columns
    encoded, as ``seedbed compare`` does: numbers scaled and binned, categories one-hot. The
    encoding and a quantity's scale come from all rows, test rows included, because the number of
    inputs must not depend on the seed; of the target, it sees only the scale. Scores are in the
    target's units. A frame of numbers alone, one for each of the networks' inputs, is not encoded.

    A diverged run, one that predicts NaN, and one that the metric scores NaN or infinitely bad
    count as failed: they score worst, and are never dropped.

    Ctrl-C returns the verdicts on the runs so far. Fixed seeds are then judged by the anytime
    test, which is weaker, because the planned test needs all seeds.

    Raises: SettingError, ShapeError or DataError; MethodError if a method raises, or its
    predictions cannot be scored; FileError if the checkpoint cannot be read or written.
    >>> import dataclasses, seedbed as sb
    >>> X, Y = sb.xor.data()
    >>> recipe = sb.xor.recipe(400)
    >>> slow = dataclasses.replace(recipe, optimizer=sb.SGD(lr=0.01))
    >>> rows = ([0, 1, 2], [3])
    >>> found = sb.compare({"fast": recipe, "slow": slow}, X, Y, seeds=range(8), split=rows)
    >>> found["fast", "slow"].n
    8
    """
    planned = Plan(methods, metric, baseline, alpha, delta, seeds, split, test, task, first_seed)
    return planned.run(
        X, Y, progress=progress, callbacks=callbacks, threads=threads,
        checkpoint=checkpoint, executor=executor,
    )  # fmt: skip
