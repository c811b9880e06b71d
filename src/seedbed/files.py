"""Model files: safetensors with a JSON header. They hold data only, no code.

The header's metadata:

    format   "seedbed"
    version  the format's version; newer files are refused
    model    JSON: the recipe, with formulas by name and options; the table's encoding, if any; the
             versions that wrote the file
    sha256   of version, model and tensors, to detect damage

Names are looked up in the tables of ``formulas``; nothing in a file is imported or run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from os import PathLike
from typing import Any

import numpy as np

from seedbed import layers, tensor_files
from seedbed.arrays import Array, checked_path
from seedbed.engines.state import STATUS_NAMES
from seedbed.errors import FileError, SeedbedError
from seedbed.formulas import activations, initializers, losses, optimizers, schedules
from seedbed.formulas.named import Named, by_name_of, from_spec, is_own, to_spec
from seedbed.layers.base import Layer
from seedbed.network import Network
from seedbed.population import History, Population
from seedbed.recipe import Recipe
from seedbed.tensor_files import digest_of, first_line
from seedbed.writing import write_atomically

VERSION = 1

OPTIONAL_TENSORS = ("history.val_loss", "history.ensemble_val_loss")
TENSORS = {
    "theta", "seeds", "status", "epochs", "best_epoch", "loss", "history.epochs",
    "history.train_loss", *OPTIONAL_TENSORS,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Saved:
    """What a model file holds.

    population
    table    the table's encoding, the estimator that was fitted on it, and its scores, as JSON
             values; None for a population alone
    written  the versions that wrote the file, by package
    digest   the SHA-256 of the content, as hexadecimal digits
    """

    population: Population
    table: dict[str, Any] | None
    written: dict[str, str]
    digest: str


def save(
    path: str | PathLike[str], population: Population, table: Mapping[str, Any] | None = None
) -> None:
    """Write a population, and its table if any, to one file.

    The write is atomic: a temporary file is written, synced and renamed.

    Raises: FileError if the file cannot be written, or if a formula is not one of Seedbed's;
    MissingDependencyError without safetensors.
    """
    write_atomically(path, to_bytes(population, table))


def to_bytes(population: Population, table: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of the file that ``save`` writes."""
    tensors = {
        "theta": population.theta,
        "seeds": population.seeds,
        "status": np.array([np.flatnonzero(s == STATUS_NAMES)[0] for s in population.status], "u1"),
        "epochs": population.epochs,
        "best_epoch": population.best_epoch,
        "loss": population.loss,
        "history.epochs": population.history.epochs,
        "history.train_loss": population.history.train_loss,
    }
    if population.history.val_loss is not None:
        tensors["history.val_loss"] = population.history.val_loss
    if population.history.ensemble_val_loss is not None:
        tensors["history.ensemble_val_loss"] = population.history.ensemble_val_loss
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    classes = [] if population.classes is None else population.classes.tolist()
    if not all(isinstance(each, str | int | float) for each in classes):
        raise FileError(
            f"a model file cannot hold classes such as {classes[0]!r}: train on texts or numbers"
        )
    description = {
        "recipe": recipe_to_dict(population.recipe),
        "classes": classes or None,
        "table": table,
        "written": _versions(population),
    }
    try:
        model = json.dumps(description, allow_nan=False)
    except ValueError:
        raise FileError(
            "a model file cannot hold a non-finite setting: give a finite number"
        ) from None
    metadata = {
        "format": "seedbed",
        "version": str(VERSION),
        "model": model,
        "sha256": digest_of(f"seedbed {VERSION}\n{model}", tensors),
    }
    return tensor_files.to_bytes(tensors, metadata)


def _versions(population: Population) -> dict[str, str]:
    """Return the versions of Seedbed and of the packages that its engine uses."""
    names = ["seedbed", "numpy", *(["numba"] if population.recipe.engine == "compiled" else [])]
    return {name: sys.modules[name].__version__ for name in names if name in sys.modules}


def read(path: str | PathLike[str]) -> Saved:
    """Read a model file.

    Raises: FileError if the file is missing, truncated, edited, of a newer version, or not a model
    file; MissingDependencyError without safetensors.
    """
    path = checked_path(path)
    metadata, tensors = tensor_files.read(
        path, "a model file", "give a file that seedbed train or save wrote, or write it again"
    )
    if metadata.get("format") != "seedbed":
        raise FileError(
            f"{path} is a safetensors file, but Seedbed did not write it: give a file that seedbed "
            "train or save wrote"
        )
    if not tensors.keys() <= TENSORS:
        raise FileError(
            f"{path} does not describe a model (it holds other tensors): write it again"
        )
    version = metadata.get("version", "")
    if version.isdecimal() and len(version) < 9 and int(version) > VERSION:
        raise FileError(
            f"{path} has format {version} and this Seedbed reads up to {VERSION}: upgrade Seedbed"
        )
    text = f"seedbed {VERSION}\n{metadata.get('model', '')}"
    if version != str(VERSION) or metadata.get("sha256") != digest_of(text, tensors):
        raise FileError(
            f"{path} was changed or damaged, and does not match its checksum: write it again"
        )
    try:
        model = json.loads(metadata["model"])
        population = _population(recipe_from_dict(model["recipe"]), tensors)
        population = replace(population, classes=_classes(model.get("classes"), population))
        table, written = model.get("table"), model.get("written", {})
        if not isinstance(table, dict | None) or not isinstance(written, dict):
            raise TypeError("the table is not an object")
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        MemoryError,
        SeedbedError,
    ) as error:
        raise FileError(
            f"{path} does not describe a model ({first_line(error)}): write it again"
        ) from None
    written = {str(name): str(version) for name, version in written.items()}
    return Saved(population, table, written, metadata["sha256"])


def _population(recipe: Recipe, tensors: Mapping[str, Array]) -> Population:
    """Return the population of a recipe and a file's tensors.

    Raises: KeyError, ValueError, IndexError or SeedbedError for invalid tensors.
    """
    members, recorded = len(tensors["theta"]), len(tensors["history.epochs"])
    integer, real = np.dtype(np.int64), np.dtype(recipe.dtype)
    for name, shape, dtype in (
        ("theta", (members, recipe.network.size), real),
        ("seeds", (members,), integer),
        ("status", (members,), np.dtype(np.uint8)),
        ("epochs", (members,), integer),
        ("best_epoch", (members,), integer),
        ("loss", (members,), real),
        ("history.epochs", (recorded,), integer),
        ("history.train_loss", (members, recorded), real),
        ("history.val_loss", (members, recorded), real),
        ("history.ensemble_val_loss", (recorded,), np.dtype(np.float64)),
    ):
        tensor = tensors.get(name) if name in OPTIONAL_TENSORS else tensors[name]
        if tensor is not None and (tensor.shape != shape or tensor.dtype != dtype):
            raise ValueError(f"{name} is {tensor.dtype} {tensor.shape}, not {dtype} {shape}")
    recipe.hyperparameters(members, real)
    negative = any((tensors[name] < 0).any() for name in ("seeds", "epochs", "best_epoch"))
    if not members or not np.isfinite(tensors["theta"]).all() or negative:
        raise ValueError("theta, seeds or epochs contain impossible values")
    return Population(
        recipe=recipe,
        theta=tensors["theta"],
        seeds=tensors["seeds"],
        status=STATUS_NAMES[tensors["status"]],
        epochs=tensors["epochs"],
        best_epoch=tensors["best_epoch"],
        loss=tensors["loss"],
        history=History(
            tensors["history.epochs"],
            tensors["history.train_loss"],
            *(tensors.get(name) for name in OPTIONAL_TENSORS),
        ),
    )


def _classes(saved: Any, population: Population) -> Array | None:
    """Return the classes that a file holds.

    Raises: TypeError or ValueError for classes that do not fit the population.
    """
    if saved is None:
        return None
    loss, classes = population.recipe.loss, np.array(saved)
    count = 2 if loss.targets == "probability" else population.network.outputs
    if classes.shape != (count,) or (classes[1:] <= classes[:-1]).any():
        raise ValueError("the classes do not fit the outputs")
    return classes


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as strings, numbers, lists and dicts; inverse of ``recipe_from_dict``.

    Raises: FileError if a formula, layer or optimizer is not one of Seedbed's.
    """
    network = recipe.network
    optimizer = recipe.optimizer
    return {
        **{field.name: getattr(recipe, field.name) for field in fields(recipe)},
        "network": {
            "inputs": network.inputs,
            "layers": [_layer_to_dict(layer) for layer in network.layers],
        },
        "loss": formula_to_dict(recipe.loss),
        "optimizer": {"name": _kind(optimizer, optimizers.BY_NAME), **asdict(optimizer)},
        "schedule": formula_to_dict(recipe.schedule),
    }


def recipe_from_dict(description: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a dict from ``recipe_to_dict``.

    Raises: KeyError, TypeError, ValueError or SeedbedError for any other dict.
    """
    optimizer = dict(description["optimizer"])
    kind = optimizers.BY_NAME[optimizer.pop("name")]
    values = {
        **description,
        "network": Network(
            description["network"]["inputs"],
            [_layer_from_dict(layer) for layer in description["network"]["layers"]],
        ),
        "loss": from_spec(description["loss"], losses.BY_NAME),
        "optimizer": kind(**optimizer),
        "schedule": from_spec(description["schedule"], schedules.BY_NAME),
    }
    return Recipe(**values)


def _layer_to_dict(layer: Layer) -> dict[str, Any]:
    """Return a layer's kind and settings, formulas by their names."""
    kind = _kind(layer, layers.BY_NAME)
    settings = {
        name: formula_to_dict(value) if isinstance(value, Named) else value
        for name, value in vars(layer).items()
    }
    return {"kind": kind, **settings}


def _layer_from_dict(description: Mapping[str, Any]) -> Layer:
    """Return the layer of a dict from ``_layer_to_dict``."""
    settings = dict(description)
    kind = layers.BY_NAME[settings.pop("kind")]
    for name, value in settings.items():
        if isinstance(value, dict):
            formulas = activations if name == "activation" else initializers
            settings[name] = from_spec(value, formulas.BY_NAME)
    return kind(**settings)


def formula_to_dict(formula: Named) -> dict[str, Any]:
    """Return the formula's name and options.

    Raises: FileError if it is not one of Seedbed's.
    """
    if not is_own(formula, by_name_of(formula)):
        raise _no_code(formula.name)
    return to_spec(formula)


def _kind(unit: Any, by_name: Mapping[str, Any]) -> str:
    """Return the name of a layer's or an optimizer's class.

    Raises: FileError if it is not one of Seedbed's.
    """
    kind = type(unit)
    if by_name.get(kind.__name__) is not kind:
        raise _no_code(kind.__name__)
    return kind.__name__


def _no_code(name: str) -> FileError:
    return FileError(
        f"{name!r} is not one of Seedbed's own, and a model file holds no code: keep the code in "
        "your program, and save the population's theta"
    )
