"""Checkpoints: trainings in a file, which the same call resumes, to the same bits.

A file is safetensors, as a model file is, and holds data only. It has the arrays of each run's
state; random draws have no state, as they are functions of the seed, the use and the place. Its
metadata:

    format       "seedbed checkpoint"
    version      the format's version
    description  JSON: hashes of each run's recipe, data and seeds; the race's decisions so far; the
                 epochs; what the caller adds, such as a command
    sha256       of all that, to detect damage
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from seedbed import tensor_files, writing
from seedbed.arrays import Array, checked_number, checked_path
from seedbed.engines.batches import Data, Rows
from seedbed.errors import FileError, SeedbedWarning, SettingError
from seedbed.fingerprints import bytes_of, digest, recipe_to_plain
from seedbed.member_rows import GivenRows, SplitRows
from seedbed.progress import Progress
from seedbed.runs import Run
from seedbed.tensor_files import digest_of

FORMAT, VERSION = "seedbed checkpoint", 1
EVERY = 60.0
"""Seconds between checkpoints."""
MOST_SHARE = 0.01
"""The largest share of the time that writing may take."""


class Checkpoint:
    """Keeps runs in a file, every so many seconds.

    It is a callback of the training. Where the file cannot be written, it warns once, and training
    goes on.

    path   the file
    every  the seconds between two checkpoints; more where writing takes over 1 % of the time
    added  what the file is to hold beside the runs, as JSON takes it

    Raises: FileError if the file cannot be written; SettingError for the seconds.
    """

    def __init__(
        self, path: str | PathLike[str], every: float = EVERY,
        added: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.path, self.added = checked_path(path, "checkpoint"), dict(added or {})
        self.every = checked_number("checkpoint_every", every, 0.0)
        if writing.kind_of(self.path) == "other":
            raise FileError(f"{path} is no file that a checkpoint can be kept in: give another")
        writing.check_writable(path)
        tensor_files.check_installed()
        self.runs: Sequence[Run] = ()
        self.decided: list[list[int]] = []
        self.last, self.seconds = time.monotonic(), 0.0
        self.warned = self.is_written = False

    def follow(self, runs: Sequence[Run], decided: list[list[int]]) -> None:
        """Keep these runs from now on; those that the file holds resume from it.

        decided  a race's decisions, see ``race``; those of the file are put in

        Raises: SettingError if the file holds other runs; FileError if it is damaged.
        """
        self.runs, self.decided = runs, decided
        self.own = [_described(run) for run in runs]
        for run in runs:
            run.completes = True
        if self.path.exists():
            self._restore(*read(self.path))

    def _restore(self, description: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        try:
            differing = _differing(description["runs"], self.own)
            if differing:
                raise SettingError(
                    f"{self.path} is the checkpoint of another training (it differs in "
                    f"{', '.join(differing)}): repeat the call that began it, or give another name"
                )
            for number, run in enumerate(self.runs):
                own = {
                    name.partition(".")[2]: tensor
                    for name, tensor in tensors.items()
                    if name.partition(".")[0] == str(number)
                }
                _restore(run, own, description["epochs"][number], description["ended"][number])
            self.decided[:] = [[int(each) for each in alive] for alive in description["decided"]]
        except SettingError:
            raise
        except (KeyError, ValueError, TypeError, IndexError, AttributeError):
            raise FileError(f"{self.path} is a damaged checkpoint: give another name") from None

    def __call__(self, progress: Progress) -> None:
        """Write the runs if it is time: where that takes long, less often, for 1 % of the time."""
        wait = max(self.every, self.seconds / MOST_SHARE) if self.every else 0.0
        if time.monotonic() - self.last >= wait:
            self.save()

    def save(self) -> None:
        """Write the runs; warn once if that fails."""
        began = time.monotonic()
        description = {
            "runs": self.own,
            "epochs": [run.passes for run in self.runs],
            "ended": [run.ended and not run.goes_on for run in self.runs],
            "decided": self.decided,
            "added": self.added,
        }
        tensors = {
            f"{number}.{name}": tensor
            for number, run in enumerate(self.runs)
            for name, tensor in _tensors(run).items()
        }
        try:
            writing.write_atomically(self.path, _to_bytes(description, tensors))
            self.is_written = True
        except FileError as error:
            if not self.warned:
                self.warned = True
                warnings.warn(
                    f"no checkpoint was written ({error}); training goes on",
                    SeedbedWarning,
                    stacklevel=2,
                )
        self.last = time.monotonic()
        self.seconds = self.last - began


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return a checkpoint's description and tensors.

    Raises: FileError if the file cannot be read, or is no checkpoint.
    """
    metadata, tensors = tensor_files.read(path, "a checkpoint", "give the name of one")
    if metadata.get("format") != FORMAT:
        raise FileError(f"{path} exists and is no checkpoint of Seedbed: give another name")
    if metadata.get("version") != str(VERSION):
        raise FileError(
            f"{path} has format {metadata.get('version')} and this Seedbed reads {VERSION}: give "
            "another name"
        )
    text = metadata.get("description", "")
    if metadata.get("sha256") != digest_of(f"{FORMAT} {VERSION}\n{text}", tensors):
        raise FileError(f"{path} is a damaged checkpoint: give another name")
    return json.loads(text), tensors


def _to_bytes(description: Mapping[str, Any], tensors: Mapping[str, Array]) -> bytes:
    text = json.dumps(description, allow_nan=False)
    metadata = {"format": FORMAT, "version": str(VERSION), "description": text}
    arrays = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata["sha256"] = digest_of(f"{FORMAT} {VERSION}\n{text}", arrays)
    return tensor_files.to_bytes(arrays, metadata)


# ---------------------------------------------------------------- one run


def _described(run: Run) -> dict[str, str]:
    """Return hashes of what a run's result depends on."""
    plan, sha = run.plan, hashlib.sha256()
    if plan.shards is not None:
        sha.update(plan.shards.digest().encode())
    for data in (plan.train if plan.shards is None else None, plan.validation):
        for array in _arrays_of(data):
            sha.update(f"{array.dtype.str} {array.shape}\n".encode())
            sha.update(bytes_of(array))
        sha.update(b"\n")
    start = hashlib.sha256(bytes_of(run.state.theta)).hexdigest()[:16]
    return {
        "recipe": digest([recipe_to_plain(run.recipe), plan.record_every]),
        "data": sha.hexdigest()[:16],
        "seeds": digest([plan.seeds.tolist(), start]),
        "engine": run.engine.name,
    }


def _differing(theirs: Sequence[Mapping[str, str]], ours: Sequence[Mapping[str, str]]) -> list[str]:
    """Return in what the descriptions of runs differ."""
    if len(theirs) != len(ours):
        return ["the number of recipes"]
    pairs = list(zip(theirs, ours, strict=True))
    return sorted({name for one, other in pairs for name in other if one.get(name) != other[name]})


def _arrays_of(data: Data | None) -> list[Array]:
    if data is None:
        return []
    return [data.x, data.t, *([] if data.w is None else [data.w]), *_rows_of(data.rows)]


def _rows_of(rows: Rows | None) -> list[Array]:
    """Return the arrays that say which rows the members see."""
    if isinstance(rows, GivenRows):
        return list(rows.rows)
    if isinstance(rows, SplitRows):
        return [rows.split.packed, *_rows_of(rows.given)]
    return [] if rows is None else [rows.of(np.array([m])) for m in range(len(rows.count))]


_OF_STATE = ("theta", "before", "status", "epochs_run", "best", "best_loss", "best_epoch",
             "train_loss", "val_loss")  # fmt: skip
_OF_ENSEMBLE = ("val_loss", "best_losses")


def _tensors(run: Run) -> dict[str, Array]:
    """Return the arrays of a run that training changes."""
    state, ensemble = run.snapshot or (run.state, run.ensemble)
    found = {name: getattr(state, name) for name in _OF_STATE}
    found |= {f"slot {n}": slot for n, slot in enumerate(state.optimizer_state)}
    if ensemble is not None:
        found |= {f"ensemble {name}": getattr(ensemble, name) for name in _OF_ENSEMBLE}
        found["ensemble best"] = np.array([ensemble.best_loss, ensemble.best_epoch], np.float64)
    return {name: array for name, array in found.items() if array is not None}


def _restore(run: Run, tensors: Mapping[str, Array], passes: int, ended: bool) -> None:
    """Set a run to the state that ``_tensors`` returned.

    Raises: KeyError or ValueError for tensors of another run.
    """
    own = _tensors(run)
    if own.keys() != tensors.keys():
        raise KeyError
    for name, array in own.items():
        if (array.shape, array.dtype) != (tensors[name].shape, tensors[name].dtype):
            raise ValueError
    for name, array in own.items():
        array[...] = tensors[name]
    if run.ensemble is not None:
        loss, best_epoch = tensors["ensemble best"].tolist()
        run.ensemble.best_loss, run.ensemble.best_epoch = loss, int(best_epoch)
    run.passes = int(passes)
    run.first_epoch = run.epoch
    run.ended = bool(ended) or run.passes == run.plan.passes or not run.state.running.size
