"""Model files: safetensors with a JSON header, which hold numbers and words and no code.

The header's metadata:

    format   "seedbed"
    version  the number of this format; a file of a later one is refused
    model    JSON: the recipe, each formula by its name and numbers, and a table's encoding if any
    sha256   of all the rest, so that a damaged or edited file is told from a sound one

Names are looked up in the visible tables of ``formulas``; nothing in a file is imported or run.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.arrays import Array
from seedbed.engines.work import Status
from seedbed.errors import FileError, MissingDependencyError, SeedbedError
from seedbed.formulas import activations, initializers, losses, optimizers, schedules
from seedbed.network import Dense, Network
from seedbed.population import History, Population
from seedbed.recipe import Recipe

VERSION = 1

_STATUSES = np.array([status.name.lower() for status in Status])


def save(
    path: str | PathLike[str], population: Population, table: Mapping[str, Any] | None = None
) -> None:
    """Write a population, and what turns a table into its inputs, to one file.

    The file appears whole or not at all: it is written beside its place, synced and renamed.

    Raises: FileError if it cannot be written, or if a formula is not one of Seedbed's own;
    MissingDependencyError without safetensors.
    """
    write_whole(path, to_bytes(population, table))


def to_bytes(population: Population, table: Mapping[str, Any] | None = None) -> bytes:
    """Return the content of the file that ``save`` writes."""
    numpy_files = _safetensors().numpy
    tensors = {
        "theta": population.theta,
        "seeds": population.seeds,
        "status": np.array([np.flatnonzero(s == _STATUSES)[0] for s in population.status], "u1"),
        "epochs": population.epochs,
        "best_epoch": population.best_epoch,
        "loss": population.loss,
        "history.epochs": population.history.epochs,
        "history.train_loss": population.history.train_loss,
    }
    if population.history.val_loss is not None:
        tensors["history.val_loss"] = population.history.val_loss
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    model = json.dumps({"recipe": describe(population.recipe), "table": table})
    metadata = {
        "format": "seedbed",
        "version": str(VERSION),
        "model": model,
        "sha256": _digest(model, tensors),
    }
    content: bytes = numpy_files.save(tensors, metadata=metadata)
    return content


def load(path: str | PathLike[str]) -> tuple[Population, dict[str, Any] | None]:
    """Read a population, and the table's encoding that ``save`` was given, if any.

    Raises: FileError if the file is not there, cut short, edited, of a newer version, or no model
    file; MissingDependencyError without safetensors.
    """
    safetensors = _safetensors()
    path = Path(path)
    if not path.is_file():
        raise FileError(f"there is no file {path}: give the path of a model file")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileError(
            f"{path} is not a model file, or was cut short ({_first_line(error)}): write it again"
        ) from None
    if metadata.get("format") != "seedbed":
        raise FileError(f"{path} is a safetensors file, but not one that Seedbed wrote")
    version = metadata.get("version", "")
    if version.isdecimal() and int(version) > VERSION:
        raise FileError(
            f"{path} is of format {version} and this Seedbed reads up to {VERSION}: upgrade it"
        )
    if version != str(VERSION) or metadata.get("sha256") != _digest(
        metadata.get("model", ""), tensors
    ):
        raise FileError(
            f"{path} was changed or damaged after it was written: its content does not match its "
            "checksum; write it again"
        )
    try:
        model = json.loads(metadata["model"])
        population = _population(understand(model["recipe"]), tensors)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, SeedbedError) as error:
        raise FileError(
            f"{path} does not describe a model ({_first_line(error)}): write it again"
        ) from None
    return population, model.get("table")


def _population(recipe: Recipe, tensors: Mapping[str, Array]) -> Population:
    theta = tensors["theta"]
    recipe.network.views(theta)
    recipe.numbers(len(theta), theta.dtype)
    history = History(
        tensors["history.epochs"], tensors["history.train_loss"], tensors.get("history.val_loss")
    )
    a_member = ("seeds", "status", "epochs", "best_epoch", "loss", "history.train_loss")
    for name in a_member:
        if len(tensors[name]) != len(theta):
            raise ValueError(f"{name} has {len(tensors[name])} rows, theta {len(theta)}")
    return Population(
        recipe=recipe,
        theta=theta,
        seeds=tensors["seeds"],
        status=_STATUSES[tensors["status"]],
        epochs=tensors["epochs"],
        best_epoch=tensors["best_epoch"],
        loss=tensors["loss"],
        history=history,
    )


def describe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as words, numbers, lists and dicts: what ``understand`` reads.

    Raises: FileError if a formula is not one of Seedbed's own.
    """
    network = recipe.network
    optimizer = recipe.optimizer
    plain = {field.name: getattr(recipe, field.name) for field in fields(recipe)}
    return {
        **plain,
        "network": {
            "inputs": network.inputs,
            "layers": [
                {
                    "units": layer.units,
                    "activation": _named(layer.activation, activations.BY_NAME),
                    "init": _named(layer.init, initializers.BY_NAME),
                    "bias_init": _named(layer.bias_init, initializers.BY_NAME),
                }
                for layer in network.layers
            ],
        },
        "loss": {**_named(recipe.loss, losses.BY_NAME), "smoothing": recipe.loss.smoothing},
        "optimizer": {"name": type(optimizer).__name__, **asdict(optimizer)},
        "schedule": _named(recipe.schedule, schedules.BY_NAME),
    }


def understand(description: Mapping[str, Any]) -> Recipe:
    """Return the recipe that ``describe`` described.

    Raises: KeyError, TypeError, ValueError or SeedbedError for anything else.
    """
    layers = [
        Dense(
            layer["units"],
            _called(layer["activation"], activations.BY_NAME),
            _called(layer["init"], initializers.BY_NAME),
            _called(layer["bias_init"], initializers.BY_NAME),
        )
        for layer in description["network"]["layers"]
    ]
    loss = dict(description["loss"])
    smoothing = loss.pop("smoothing")
    loss = _called(loss, losses.BY_NAME)
    optimizer = dict(description["optimizer"])
    kind = optimizers.BY_NAME[optimizer.pop("name")]
    given = {
        **description,
        "network": Network(description["network"]["inputs"], layers),
        "loss": loss.smoothed(smoothing) if smoothing else loss,
        "optimizer": kind(**optimizer),
        "schedule": _called(description["schedule"], schedules.BY_NAME),
    }
    return Recipe(**given)


def _named(unit: Any, by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return the unit's name and numbers."""
    words = {"name": unit.name, **dict(getattr(unit, "options", ()))}
    if unit.name not in by_name or _code(_called(words, by_name)) is not _code(unit):
        raise FileError(
            f"{unit.name!r} is not one of Seedbed's own formulas, and a model file holds no code: "
            "keep the formula in your program, and population.theta in a file"
        )
    return words


def _called(words: Mapping[str, Any], by_name: Mapping[str, Any]) -> Any:
    """Return the unit of that name, made with those numbers."""
    unit = by_name[words["name"]]
    options = {key: value for key, value in words.items() if key != "name"}
    return unit if hasattr(unit, "name") else unit(**options)


def _code(unit: Any) -> Any:
    """Return the formula's code, which all units that one factory makes share."""
    return next(
        getattr(unit, field.name).__code__
        for field in fields(unit)
        if hasattr(getattr(unit, field.name), "__code__")
    )


def write_whole(path: str | PathLike[str], content: bytes) -> None:
    """Write a file so that it appears whole or not at all, and what was there stays until then.

    Raises: FileError if it cannot be written.
    """
    path = Path(path).resolve()
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None


def _digest(model: str, tensors: Mapping[str, Array]) -> str:
    sha = hashlib.sha256(model.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        sha.update(np.ascontiguousarray(tensor).data)
    return sha.hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ModuleNotFoundError:
        raise MissingDependencyError("safetensors", "files") from None
    return safetensors
