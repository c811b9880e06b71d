"""scikit-learn estimators: ensembles of networks, trained as one population on a raw table.

    from seedbed.estimators import NetworkClassifier, NetworkRegressor

They take arrays and data frames of numbers, texts, categories and booleans, with missing values.
They scale inputs and quantities themselves (``seedbed.tables.encoding``).
"""

from __future__ import annotations

from seedbed.errors import FileError, MissingDependencyError
from seedbed.files import Saved
from seedbed.tables import model

try:
    import narwhals  # noqa: F401  # reads data frames
    import sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        {"sklearn": "scikit-learn"}.get(str(error.name), str(error.name)), "sklearn"
    ) from None

from seedbed.estimators.classifier import NetworkClassifier
from seedbed.estimators.regressor import NetworkRegressor
from seedbed.estimators.serialise import from_json

__all__ = ["NetworkClassifier", "NetworkRegressor"]


def of_saved(saved: Saved, path: object) -> NetworkClassifier | NetworkRegressor:
    """Return the estimator that a file holds; parameters that are objects become None.

    Raises: FileError if the file holds no estimator or is broken.
    """
    found = model.of_saved(saved, path)
    kinds = {kind.__name__: kind for kind in (NetworkClassifier, NetworkRegressor)}
    try:
        assert saved.table is not None
        given = saved.table["estimator"]
        estimator = kinds[given["name"]](
            **{name: from_json(value) for name, value in given["parameters"].items()}
        )
        estimator._restore(found, saved.table)
    except (
        KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError
    ) as error:  # fmt: skip
        raise FileError(f"the estimator in {path} is broken ({error}): fit it again") from None
    return estimator
