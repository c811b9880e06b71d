"""scikit-learn estimators: an ensemble of networks, trained as one population, on a table as it is.

    from seedbed.estimators import NetworkClassifier, NetworkRegressor

They take what scikit-learn's own take, and data frames: numbers, texts, categories and booleans,
with values missing. Inputs and quantities are scaled inside (``seedbed.tables.encoding``).
"""

from __future__ import annotations

from os import PathLike

from seedbed.errors import FileError, MissingDependencyError

try:
    import narwhals  # noqa: F401  # what reads data frames
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        {"sklearn": "scikit-learn"}.get(str(error.name), str(error.name)), "sklearn"
    ) from None

from seedbed import files
from seedbed.estimators.classifier import NetworkClassifier
from seedbed.estimators.regressor import NetworkRegressor
from seedbed.estimators.words import from_word
from seedbed.tables.encoding import checked_encoding

__all__ = ["NetworkClassifier", "NetworkRegressor", "load"]


def load(path: str | PathLike[str]) -> NetworkClassifier | NetworkRegressor:
    """Read an estimator that its ``save`` wrote. Parameters that are objects come back as None.

    Raises: FileError if the file is none of an estimator's, or is broken.
    """
    population, words = files.read(path)
    if words is None or "estimator" not in words:
        raise FileError(
            f"{path} holds a model and no estimator: seedbed.load reads the population in it"
        )
    kinds = {kind.__name__: kind for kind in (NetworkClassifier, NetworkRegressor)}
    try:
        given = words["estimator"]
        estimator = kinds[given["name"]](
            **{name: from_word(word) for name, word in given["parameters"].items()}
        )
        estimator._restore(population, checked_encoding(words, population, path), given)
    except (
        KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        raise FileError(f"the estimator in {path} is broken ({error}): fit it again") from None
    return estimator
