"""Callbacks that log a training: a table of all members, or bands in an experiment tracker.

A table has a row for each member and recorded epoch. A tracker gets the members as one run: the
median, the quartiles and the range of their losses, the share that diverged, and the ensemble's
loss.
"""

from __future__ import annotations

import csv
import importlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from seedbed import writing
from seedbed.arrays import Array, checked_path
from seedbed.errors import FileError, MissingDependencyError, SettingError, reason
from seedbed.progress import Progress

PARQUET = (".parquet", ".pq")
FLUSH_SECONDS = 5.0
"""Seconds between two writes of a Parquet file, which is written as a whole."""


@dataclass
class _Part:
    """What was written of a recipe.

    ended  (P,) whether the row that says how a member ended was written
    epoch  the epochs that were written
    """

    ended: Array
    epoch: int = 0


class Table:
    """Logs each member's losses to a CSV or Parquet file, as training goes on.

    path     a name that ends in .csv, .parquet or .pq
    replace  replace a file that is there
    resume   continue a file that is there, beside a checkpoint of the training: rows of epochs that
             are trained again are written once

    Columns: recipe, if an estimator tries several; member, seed, the settings in which members
    differ, epoch (from 1), train_loss, val_loss, and the status: "running", and in a last row
    without losses how the member ended. A CSV file grows row by row and is synced
    at each write; a Parquet file is replaced as a whole every few seconds.

    Raises: SettingError for another ending; FileError if the file is there, or cannot be written;
    MissingDependencyError without polars for Parquet.
    """

    def __init__(
        self, path: str | PathLike[str], *, replace: bool = False, resume: bool = False
    ) -> None:
        self.path = checked_path(path)
        suffix = self.path.suffix.lower()
        if suffix != ".csv" and suffix not in PARQUET:
            raise SettingError(f"a log's name ends in .csv, .parquet or .pq, not {str(path)!r}")
        self.is_csv = suffix == ".csv"
        if not self.is_csv:
            _imported("polars", "cli")
        if self.path.exists() and not (replace or resume):
            raise FileError(
                f"{path} exists: give another name, replace=True, or resume=True beside a "
                "checkpoint"
            )
        writing.check_writable(self.path)
        self.resumes = resume and self.path.exists()
        self.header: list[str] = []
        self.rows: list[list[Any]] = []  # of an earlier run, and all of a Parquet file
        self.parts: dict[str, _Part] = {}
        self.last: _Part | None = None
        self.written = -np.inf

    def __call__(self, progress: Progress) -> None:
        """Write the rows of the epochs since the last call.

        Raises: FileError.
        """
        if not self.header:
            self._begin(progress)
        if progress.recipe not in self.parts:
            self._begin_recipe(progress)
        part = self.parts[progress.recipe]
        rows = list(self._new_rows(progress, part))
        if self.is_csv:
            self._append(rows)
            return
        others = part is not self.last
        if others:
            self._write_parquet()  # the other recipe may have ended
        self.rows, self.last = [*self.rows, *rows], part
        if time.monotonic() - self.written > FLUSH_SECONDS:
            self._write_parquet()

    def close(self, progress: Progress) -> None:
        """Write what is left when training has ended."""
        self(progress)
        if not self.is_csv:
            self._write_parquet()

    def _begin(self, progress: Progress) -> None:
        """Set the header, and read the rows of an earlier run."""
        names = [*(["recipe"] if progress.recipe else []), "member", "seed", *progress.settings]
        self.header = [*names, "epoch", "train_loss", "val_loss", "status"]
        if not self.resumes:
            return
        try:
            if self.is_csv:
                with self.path.open(encoding="utf-8", newline="") as file:
                    header, *rows = csv.reader(file)
            else:
                frame = _imported("polars", "cli").read_parquet(self.path)
                header, rows = list(frame.columns), [list(row) for row in frame.rows()]
            if header != self.header:
                raise ValueError("its columns are others")
        except Exception as error:
            self.header = []
            raise FileError(
                f"{self.path} is no log of this training ({error}): give another name"
            ) from None
        self.rows = [row for row in rows if len(row) == len(header)]  # the last may be cut short

    def _begin_recipe(self, progress: Progress) -> None:
        """Drop a recipe's rows of an earlier run: the history has them all."""
        self.rows = [row for row in self.rows if progress.recipe and row[0] != progress.recipe]
        self.parts[progress.recipe] = _Part(np.zeros(len(progress.seeds), np.bool_))
        if self.is_csv:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
            writing.write_atomically(self.path, text.getvalue().encode())

    def _new_rows(self, progress: Progress, part: _Part) -> Iterator[list[Any]]:
        """Yield the rows that have not been written, by epoch and member."""
        history, status, run = progress.history, progress.status, progress.epochs_run
        settings = [values.tolist() for values in progress.settings.values()]
        seeds, name = progress.seeds.tolist(), [progress.recipe] if progress.recipe else []

        def row(member: int, epoch: int, losses: Sequence[float], word: str) -> list[Any]:
            given = [None if np.isnan(loss) else float(loss) for loss in losses]
            own = [member, seeds[member], *(each[member] for each in settings)]
            return [*name, *own, epoch, *given, word]

        val_loss = history.val_loss
        if val_loss is None:
            val_loss = np.full_like(history.train_loss, np.nan)
        for place in np.flatnonzero(history.epochs >= part.epoch):
            epoch = int(history.epochs[place]) + 1
            known = np.isfinite(history.train_loss[:, place])
            for member in np.flatnonzero(known).tolist():
                losses = history.train_loss[member, place], val_loss[member, place]
                yield row(member, epoch, losses, "running")
        for member in np.flatnonzero(~part.ended & (status != "running")).tolist():
            part.ended[member] = True
            yield row(member, int(run[member]), (np.nan, np.nan), str(status[member]))
        part.epoch = progress.epoch

    def _append(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise FileError(f"cannot write {self.path}: {reason(error)}") from None

    def _write_parquet(self) -> None:
        polars = _imported("polars", "cli")
        content = io.BytesIO()
        numbers = {"train_loss": polars.Float64, "val_loss": polars.Float64}
        polars.DataFrame(
            self.rows, schema=self.header, schema_overrides=numbers, orient="row",
            infer_schema_length=None,
        ).write_parquet(content)  # fmt: skip
        writing.write_atomically(self.path, content.getvalue())
        self.written = time.monotonic()


class _Bands:
    """Logs the bands of the losses of each recorded epoch, as one run."""

    def __init__(self) -> None:
        self.epochs: dict[str, int] = {}

    def __call__(self, progress: Progress) -> None:
        """Log the epochs since the last call."""
        history, recipe = progress.history, progress.recipe
        begin = self.epochs.setdefault(recipe, progress.first_epoch)
        for place in np.flatnonzero(history.epochs >= begin).tolist():
            values = bands(progress, place)
            prefix = f"{recipe}/" if recipe else ""
            self.log(
                int(history.epochs[place]) + 1,
                {prefix + name: value for name, value in values.items()},
            )
        self.epochs[recipe] = progress.epoch

    def close(self, progress: Progress) -> None:
        """Log what is left when training has ended."""
        self(progress)

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Log one epoch's values by name."""
        raise NotImplementedError


def bands(progress: Progress, place: int) -> dict[str, float]:
    """Return the bands of the recorded epoch at a place: the median, quartiles, minimum and maximum
    of the members' losses, the share that diverged, and the ensemble's validation loss.
    """
    history, found = progress.history, dict[str, float]()
    for name, losses in (("train_loss", history.train_loss), ("val_loss", history.val_loss)):
        if losses is None:
            continue
        known = losses[:, place][np.isfinite(losses[:, place])]
        if known.size:
            low, first, middle, third, high = np.quantile(known, [0, 0.25, 0.5, 0.75, 1]).tolist()
            found |= {
                f"{name}/median": middle, f"{name}/quartile_1": first, f"{name}/quartile_3": third,
                f"{name}/min": low, f"{name}/max": high,
            }  # fmt: skip
    epoch = int(history.epochs[place]) + 1
    diverged = (progress.status == "diverged") & (progress.epochs_run < epoch)
    found["diverged"] = float(diverged.mean())
    ensemble = history.ensemble_val_loss
    if ensemble is not None and np.isfinite(ensemble[place]):
        found["ensemble_val_loss"] = float(ensemble[place])
    return found


class MLflow(_Bands):
    """Logs bands to the active run of MLflow, or to ``run_id``.

    Raises: MissingDependencyError without mlflow.
    """

    def __init__(self, run_id: str | None = None) -> None:
        super().__init__()
        self.mlflow, self.run_id = _imported("mlflow", "mlflow"), run_id

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Log one epoch's values by name."""
        self.mlflow.log_metrics(values, step=epoch, run_id=self.run_id)


class TensorBoard(_Bands):
    """Logs bands to event files in a folder, which TensorBoard reads.

    Raises: MissingDependencyError without tensorboard.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        super().__init__()
        _imported("tensorboard", "tensorboard")
        writer = importlib.import_module("tensorboard.summary.writer.event_file_writer")
        self.events = importlib.import_module("tensorboard.compat.proto.event_pb2")
        self.summaries = importlib.import_module("tensorboard.compat.proto.summary_pb2")
        self.writer = writer.EventFileWriter(str(folder))

    def __call__(self, progress: Progress) -> None:
        """Log the epochs since the last call."""
        super().__call__(progress)
        self.writer.flush()

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Log one epoch's values by name."""
        parts = [
            self.summaries.Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
        ]
        summary = self.summaries.Summary(value=parts)
        event = self.events.Event(wall_time=time.time(), step=epoch, summary=summary)
        self.writer.add_event(event)


class WandB(_Bands):
    """Logs bands to a run of Weights & Biases: the given one, or the active one.

    Raises: MissingDependencyError without wandb; SettingError if there is no run.
    """

    def __init__(self, run: Any = None) -> None:
        super().__init__()
        wandb = _imported("wandb", "wandb")
        self.run = wandb.run if run is None else run
        if self.run is None:
            raise SettingError("there is no run: call wandb.init() first, or give run=")

    def log(self, epoch: int, values: dict[str, float]) -> None:
        """Log one epoch's values by name."""
        self.run.log(values, step=epoch, commit=True)


def _imported(package: str, extra: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError:
        raise MissingDependencyError(package, extra) from None
