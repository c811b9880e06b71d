"""save() and load(): one file for a population or a fitted estimator."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from seedbed import files
from seedbed.arrays import one_line
from seedbed.errors import SettingError
from seedbed.population import Population

if TYPE_CHECKING:
    from typing import TypeAlias

    from seedbed.estimators import NetworkClassifier, NetworkRegressor

    Model: TypeAlias = Population | NetworkClassifier | NetworkRegressor


def save(path: str | PathLike[str], model: Model) -> None:
    """Write a population or a fitted estimator to one file, which holds no code.

    The write is atomic: the file is either the old one or complete.

    Raises: FileError if the file cannot be written, or if a formula is not one of Seedbed's;
    MissingDependencyError without safetensors.
    """
    if isinstance(model, Population):
        files.save(path, model)
    elif hasattr(type(model), "table_model_"):
        model.save(path)
    else:
        raise SettingError(
            f"expected a Population or a fitted estimator of seedbed.estimators, not "
            f"{one_line(model)}"
        )


def load(path: str | PathLike[str]) -> Model:
    """Read what ``save``, an estimator's ``save`` or ``seedbed train`` wrote.

    Returns a Population, or the estimator that was saved; its parameters that were objects, such
    as a RandomState, are None.

    Raises: FileError if the file is missing, truncated, edited, of a newer version, or not a model
    file; MissingDependencyError without safetensors, or without scikit-learn for an estimator.
    """
    saved = files.read(path)
    if saved.table is None:
        return saved.population
    from seedbed import estimators  # scikit-learn takes a second to import

    return estimators.of_saved(saved, path)
