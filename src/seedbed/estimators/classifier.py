"""The scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from seedbed import reproducible
from seedbed.arrays import Array, as_array, is_missing_value, one_line
from seedbed.errors import DataError, SettingError
from seedbed.estimators.batches import BatchEstimator
from seedbed.estimators.data import Role
from seedbed.formulas import losses
from seedbed.formulas.losses import Loss
from seedbed.formulas.named import as_formula
from seedbed.tables import values
from seedbed.tables.model import TableModel
from seedbed.tables.targets import ClassType, Target, Task

_CLASS_TYPES: dict[str, ClassType] = {
    "i": "integer", "u": "integer", "f": "float", "b": "boolean", "M": "date"
}  # fmt: skip
"""The type of classes by their dtype's kind; other dtypes are texts."""


class NetworkClassifier(ClassifierMixin, BatchEstimator):
    """An ensemble of networks that predicts one of several classes, or several labels per row.

    members              P, the number of networks, trained together from different seeds
    hidden_layer_sizes   units of each hidden layer; "auto" is (128, 128)
    activation           of the hidden layers: a name, an ``sb.Activation``, or one for each layer
    loss                 a name or an ``sb.Loss``; "auto" is cross-entropy
    optimizer            a name such as "adamw" or "sgd", or a class such as ``sb.RMSprop``; SGD has
                         Nesterov momentum 0.9
    learning_rate_init   its initial rate; the schedule is ``sb.coslog4``, four cycles; "auto" is
                         0.008, 0.006 or 0.003, by the effort
    weight_decay         decoupled weight decay; "auto" is 0.01, and 0.3 with dropout
    dropout              share of hidden activations set to 0 in training; "auto": see effort
    codes                how networks take numbers: "bins" (up to 8), "fine bins" (up to 24) or
                         "periodic" (through ``sb.Periodic``); "auto": see effort
    batch_size           rows per step; "auto" is an eighth of the rows, at least 16 and at most
                         128 (256 for 50,000 rows or more)
    effort               "fast" trains one recipe for 60 epochs (bins, no dropout); "default" tries
                         four for 100 (the three codes, and bins with dropout 0.3); "high" tries
                         nine for 250 (the three codes with dropout 0, 0.1 and 0.3)
    max_time             about how many seconds fit may take: if all recipes take longer, fewer are
                         tried, for fewer epochs. Reading the table and one epoch of one recipe are
                         the least. The result then depends on the machine's speed. None sets no
                         limit
    max_iter             epochs; None is the effort's, and fewer for more than 10,000 rows, down to
                         20
    early_stopping       whether members hold out rows and keep the parameters of the epoch with the
                         ensemble's lowest loss on them
    validation_fraction  share of rows that a member holds out; members hold out different rows;
                         from disk, a share of 50,000 rows
    n_iter_no_change     patience: epochs without a better ensemble; None is 45 % of max_iter
    class_weight         None, "balanced", or a dict of weights by class
    warm_start           whether fit continues from the current members
    random_state         an integer or a RandomState that the members' seeds are drawn from; None
                         is NumPy's global one, as in scikit-learn
    n_jobs               training threads; None is all cores. Results do not depend on it
    engine               "auto", "compiled" (Numba) or "numpy"
    verbose              whether to show a progress line; None shows it for long work in a terminal

    What is "auto" in codes and dropout is chosen by the loss on the held-out rows: recipes
    train side by side, the worst end early, and the first keeps its place unless another is
    better by a standard error. Without held-out rows, and in ``partial_fit``, the first is taken.

    Fitted: classes_, population_ (the ``sb.Population``), encoding_ (table to inputs),
    n_features_in_, feature_names_in_, n_iter_, best_iteration_, loss_curve_, validation_curve_
    (the ensemble's loss on held-out rows, or None), n_outputs_, n_layers_, recipes_ (what was
    tried: name, recipe, epochs, held_out_loss, chosen), notes_ (on columns left
    out and outliers), from_disk_ (of a training from disk: rows, held_out, shards and counts of
    missing values; else None), test_scores_ (of ``seedbed train``, or None).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> NetworkClassifier(max_iter=20, random_state=0).fit(X, y).predict(X[:3])
    array([0, 0, 0])
    """

    _task: Task = "classification"

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "mish",
        *,
        members: int = 8,
        loss: Any = "auto",
        optimizer: Any = "adamw",
        learning_rate_init: float | Literal["auto"] = "auto",
        weight_decay: float | Literal["auto"] = "auto",
        dropout: float | Literal["auto"] = "auto",
        codes: Literal["auto", "bins", "fine bins", "periodic"] = "auto",
        batch_size: int | Literal["auto"] = "auto",
        effort: Literal["fast", "default", "high"] = "default",
        max_time: float | None = None,
        max_iter: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int | None = None,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        engine: Literal["auto", "compiled", "numpy"] = "auto",
        verbose: bool | None = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            members=members,
            loss=loss,
            optimizer=optimizer,
            learning_rate_init=learning_rate_init,
            weight_decay=weight_decay,
            dropout=dropout,
            codes=codes,
            batch_size=batch_size,
            effort=effort,
            max_time=max_time,
            max_iter=max_iter,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            random_state=random_state,
            n_jobs=n_jobs,
            engine=engine,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch on X (N, I), y (N,) or (N, O); keeps the optimizer's state.

        The first call needs all ``classes`` (not for labels), and fits the encoding on its rows.
        Later calls extend it by new categories and by columns that did not vary before, without
        changing any earlier row's prediction. A network with periodic codes, or with columns that
        ``fit`` embedded, is not extended: new categories count as missing. No rows are held out,
        and ``max_time`` does not apply.
        """
        if classes is None and not hasattr(self, "population_") and np.ndim(y) == 1:
            raise DataError(
                "partial_fit's first call needs classes: list all of them, such as classes=[0, 1]"
            )
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise SettingError(
                "class_weight='balanced' needs the rows of every class at once: give the weights "
                "as a dict to partial_fit"
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """Return each row's most probable class, (N,), or its labels, (N, O) 0 or 1."""
        p = self._mean_prediction(X)
        if self.encoding_.target.labels:
            return (p > 0.5).astype(np.int64)
        return np.asarray(self.classes_[p.argmax(axis=1)])

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Return the members' mean probability of each class, (N, K), or label, (N, O).

        With ``return_std``, return a pair: the mean and the standard deviation across the members.
        """
        p = self._mean_prediction(X).astype(np.float64)
        if not self.encoding_.target.labels:
            p /= reproducible.total(p, keepdims=True)
        return (p, reproducible.std(self._member_predictions(X), 0)) if return_std else p

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy on X (N, I) and y (N,), or a table whose column y is the target."""
        if isinstance(y, str):
            return self._named_score(X, y, sample_weight, accuracy_score)
        return float(super().score(X, y, sample_weight))

    def _loss(self) -> Loss:
        labels = self.encoding_.target.labels
        default = losses.binary_cross_entropy if labels else losses.cross_entropy
        is_auto = isinstance(self.loss, str) and self.loss == "auto"
        given = default if is_auto else self.loss
        loss = as_formula("loss", given, Loss)
        if loss.targets != default.targets:
            raise SettingError(
                f"loss {loss.name!r} is for {loss.targets}s: a classifier needs "
                f"{default.name!r}, or loss='auto'"
            )
        return loss

    def _checked_targets(self, y: Any) -> Array:
        y = _present_classes(y)
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0)
        try:
            check_classification_targets(y)
            kind = type_of_target(y, input_name="y")
        except TypeError:  # values without an order
            kinds = sorted({type(value).__name__ for value in y.ravel().tolist()})
            raise DataError(
                f"y holds values of several kinds ({', '.join(kinds)}): give one kind, and leave "
                "out rows whose class is missing"
            ) from None
        if kind == "multilabel-indicator":
            return np.asarray(y)
        if kind == "multiclass-multioutput":
            raise DataError(
                "y has several columns of classes: fit one classifier per column "
                "(sklearn.multioutput.MultiOutputClassifier), or give labels of 0 and 1"
            )
        return np.asarray(column_or_1d(y, warn=True))

    def _define_target(self, y: Array, names: list[str], classes: Any) -> None:
        if y.ndim > 1:
            names = names or [f"y{number}" for number in range(y.shape[1])]
            self.classes_ = np.arange(y.shape[1])
            self._target = Target(tuple(names), labels=True)
            return
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if self.classes_.dtype.kind == "f" and not np.isfinite(self.classes_).all():
            raise DataError(f"classes holds {self.classes_[-1]}: each must be finite")
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds one class ({self.classes_.tolist()[0]!r}): a classifier needs rows of at "
                "least two classes"
            )
        kind = _CLASS_TYPES.get(self.classes_.dtype.kind, "text")
        if kind == "date":
            dates: Any = self.classes_
            texts = tuple(np.datetime_as_string(dates).tolist())
        else:
            texts = tuple(values.as_text(value) for value in self.classes_.tolist())
        self._target = Target((names[0] if names else "y",), texts, kind)

    def _check_target(self, y: Array, role: Role, classes: Any) -> None:
        if (y.ndim > 1) != self._target.labels or (y.ndim > 1 and y.shape[1] != len(self.classes_)):
            raise DataError(
                f"y has shape {y.shape}, and the first y was of "
                f"{len(self.classes_)} {'labels' if self._target.labels else 'classes'}: give the "
                "same kind, or fit again"
            )
        if y.ndim > 1 and not np.isin(y, (0, 1)).all():
            raise DataError(
                f"y holds {one_line(y[~np.isin(y, (0, 1))].tolist()[0])}: labels must be 0 or 1"
            )
        if (
            role == "partial_fit"
            and classes is not None
            and set(np.unique(classes)) != set(self.classes_)
        ):
            raise DataError(
                f"classes is {one_line(classes)}, and the first call gave "
                f"{one_line(self.classes_.tolist())}: give the same, or leave them out"
            )

    def _encoded(self, y: Array) -> Array:
        if y.ndim > 1:
            return y.astype(np.float64)
        code = np.clip(np.searchsorted(self.classes_, y), 0, len(self.classes_) - 1)
        unknown = self.classes_[code] != y
        if unknown.any():
            raise DataError(
                f"y holds {one_line(y[unknown].tolist()[0])}, which is not one of the classes "
                f"{one_line(self.classes_.tolist())} of the first fit: mend it, or fit again"
            )
        return np.asarray(code)

    def _with_class_weights(self, t: Array, w: Array | None, refit: bool) -> Array | None:
        if self.class_weight is None:
            return w
        if t.ndim > 1:
            raise SettingError("class_weight is for classes, and y holds labels: leave it out")
        if refit:
            self._class_weights = self._fit_class_weights(t, w)
        weights = self._class_weights[t]
        return weights if w is None else weights * w

    def _fit_class_weights(self, t: Array, w: Array | None) -> Array:
        if isinstance(self.class_weight, Mapping):
            given = dict(self.class_weight)
            weights = compute_class_weight(given, classes=self.classes_, y=self.classes_[t])
            if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.any()):
                raise SettingError(
                    f"class_weight holds {one_line(weights.tolist())}: weights must be at least "
                    "0, and not all 0"
                )
            return np.asarray(weights)
        if not isinstance(self.class_weight, str) or self.class_weight != "balanced":
            raise SettingError(
                "class_weight must be None, 'balanced' or a dict of weights by class, not "
                f"{one_line(self.class_weight)}"
            )
        total = np.bincount(t, w, minlength=len(self.classes_))
        return np.asarray(reproducible.total(total) / (len(total) * np.maximum(total, 1e-300)))

    def _restore(self, model: TableModel, saved: dict[str, Any]) -> None:
        target = model.encoding.target
        if target.task != "classification":
            raise ValueError("the file's target is not classes")
        if target.labels:
            self.classes_ = np.arange(len(target.names))
        else:
            self.classes_ = target.labels_of(np.arange(len(target.classes)))
            if not (np.unique(self.classes_) == self.classes_).all():
                raise ValueError("the classes are not sorted")
        super()._restore(model, saved)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _present_classes(y: Any) -> Any:
    """Return y if it holds classes of a kind that a file can keep, and none is missing.

    Raises: DataError.
    """
    values = y if isinstance(y, np.ndarray) else as_array(y, "y", DataError)
    if values.dtype == object and values.ndim == 1:
        listed = values.tolist()
        missing = [row for row, value in enumerate(listed) if is_missing_value(value)]
        if missing:
            raise DataError(
                f"y has {len(missing)} missing value{'' if len(missing) == 1 else 's'}, the first "
                f"in row {missing[0]}: leave out the rows whose class is missing"
            )
        kinds = {type(value) for value in listed}
        if kinds in ({bool}, {int}):
            return np.array(listed)
        if str in kinds and len(kinds) > 1:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"y holds values of several kinds ({names}): give one kind")
        for value in listed:
            if not isinstance(value, str | bytes | bool | int | float | np.generic):
                raise DataError(
                    f"y holds {one_line(value)}: classes must be numbers, booleans, texts or "
                    "datetime64 without a time zone"
                )
    if values.dtype.kind == "S" or any(isinstance(v, bytes) for v in values.ravel()[:1]):
        raise DataError("y holds bytes: decode them to texts, such as with y.astype(str)")
    if values.dtype.kind == "m":
        raise DataError("y holds durations: turn them into numbers or texts")
    if values.dtype.kind in "iub" and values.ndim == 1:
        return values  # scikit-learn makes pandas' nullable types floats
    return y
