"""scikit-learn estimators: ensembles of networks, trained as one population on a raw table.

    from seedbed.estimators import NetworkClassifier, NetworkRegressor

They take arrays and data frames of numbers, texts, categories and booleans, with missing values.
They scale inputs and quantities themselves (``seedbed.tables.encoding``).
"""

from __future__ import annotations

from os import PathLike

from seedbed.errors import FileError, MissingDependencyError

try:
    import narwhals  # noqa: F401  # reads data frames
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        {"sklearn": "scikit-learn"}.get(str(error.name), str(error.name)), "sklearn"
    ) from None

from seedbed import files
from seedbed.estimators.classifier import NetworkClassifier
from seedbed.estimators.regressor import NetworkRegressor
from seedbed.estimators.serialise import from_json
from seedbed.tables.encoding import checked_encoding

__all__ = ["NetworkClassifier", "NetworkRegressor", "load"]


def load(path: str | PathLike[str]) -> NetworkClassifier | NetworkRegressor:
    """Read an estimator from a file that ``save`` wrote; parameters that are objects become None.

    Raises: FileError if the file holds no estimator or is broken.
    """
    population, saved = files.read(path)
    if saved is None or "estimator" not in saved:
        raise FileError(f"{path} holds a model and no estimator: use seedbed.load")
    kinds = {kind.__name__: kind for kind in (NetworkClassifier, NetworkRegressor)}
    try:
        given = saved["estimator"]
        estimator = kinds[given["name"]](
            **{name: from_json(value) for name, value in given["parameters"].items()}
        )
        estimator._restore(population, checked_encoding(saved, population, path), given)
    except (
        KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        raise FileError(f"the estimator in {path} is broken ({error}): fit it again") from None
    return estimator
