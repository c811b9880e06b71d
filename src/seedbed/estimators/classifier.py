"""The classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from seedbed import reproducible
from seedbed.arrays import Array, one_line
from seedbed.errors import DataError, SettingError
from seedbed.estimators.network import NetworkEstimator, Use
from seedbed.estimators.words import unit
from seedbed.formulas import losses
from seedbed.formulas.losses import Loss
from seedbed.population import Population
from seedbed.tables import sources
from seedbed.tables.encoding import Encoding
from seedbed.tables.targets import Kind, Target

_KINDS: dict[str, Kind] = {"i": "integer", "u": "integer", "f": "float", "b": "boolean"}
"""What classes are, by the kind of their dtype; others are texts."""


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """An ensemble of networks that classifies: several classes, or several labels a row.

    members              P, networks in the ensemble, trained together from different seeds
    hidden_layer_sizes   units of the hidden layers; "auto" is (128,), and (128, 128) from 10,000
                         rows on
    activation           of the hidden layers: a name, a ``sb.Activation``, or one for each layer
    loss                 "auto" is cross-entropy; a name, or a ``sb.Loss``
    learning_rate_init   of AdamW, whose rate falls in four cycles (``sb.coslog4``)
    weight_decay         of the weights, decoupled
    dropout              share of the hidden activations set to 0 in training
    batch_size           rows a step; "auto" takes an eighth of the rows, between 16 and 128, or 256
                         from 50,000 rows on
    max_iter             epochs; None is 60, and fewer for more than 30,000 rows, down to 20
    early_stopping       whether each member holds out rows, and training ends with the epoch in
                         which the members together predict held-out rows best
    validation_fraction  the share that a member holds out; the members take turns, so that every
                         row is trained on by some
    n_iter_no_change     epochs without a better ensemble after which training stops; None is 45 %
                         of max_iter
    class_weight         None, "balanced", or weights by class
    warm_start           whether fit goes on from the members as they are
    random_state         None, a whole number or a RandomState: decides the members' seeds
    n_jobs               threads to train with; None takes all cores. No number depends on it
    engine               "auto", "compiled" (Numba) or "numpy"
    verbose              whether to show a progress line

    Fitted: classes_, population_ (the ``sb.Population`` behind it), encoding_ (how a table becomes
    inputs), n_features_in_, feature_names_in_, n_iter_, best_iteration_, loss_curve_,
    validation_curve_ (the ensemble's loss on held-out rows; None where none was held out),
    n_outputs_, n_layers_.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> NetworkClassifier(max_iter=20, random_state=0).fit(X, y).predict(X[:3])
    array([0, 0, 0])
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "mish",
        *,
        members: int = 8,
        loss: Any = "auto",
        learning_rate_init: float = 0.003,
        weight_decay: float = 0.01,
        dropout: float = 0.15,
        batch_size: int | Literal["auto"] = "auto",
        max_iter: int | None = None,
        early_stopping: bool = True,
        validation_fraction: float = 0.25,
        n_iter_no_change: int | None = None,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        n_jobs: int | None = None,
        engine: Literal["auto", "compiled", "numpy"] = "auto",
        verbose: bool = False,
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            activation,
            members=members,
            loss=loss,
            learning_rate_init=learning_rate_init,
            weight_decay=weight_decay,
            dropout=dropout,
            batch_size=batch_size,
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
        """Train for one more epoch on X, y; the optimizer goes on from where it stood.

        The first call names all ``classes`` (but of labels), and fits the table's encoding on its
        rows. Nothing is held out.
        """
        if classes is None and not hasattr(self, "population_") and np.ndim(y) == 1:
            raise DataError(
                "partial_fit's first call needs classes, all that there will be: give such as "
                "classes=[0, 1]"
            )
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            raise SettingError(
                "class_weight='balanced' needs the rows of every class at once: give the weights "
                "as a dict to partial_fit"
            )
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """Return the likeliest class of each row, (N,), or which labels it has, (N, O) 0 or 1."""
        p = self._together(X)
        if self.encoding_.target.labels:
            return (p > 0.5).astype(np.int64)
        return np.asarray(self.classes_[p.argmax(axis=1)])

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Return each class's probability, (N, K), or each label's, (N, O): the members' mean.

        With ``return_std``, a pair: that, and the standard deviation across the members.
        """
        if not return_std:
            p = self._together(X).astype(np.float64)
            return p if self.encoding_.target.labels else p / reproducible.total(p, keepdims=True)
        each = self._each(self._inputs(X))
        return reproducible.mean(each, 0), reproducible.deviation(each, 0)

    def _together(self, X: Any) -> Array:
        x = self._inputs(X)
        return self.population_.predict_mean(x)

    def _loss(self) -> Loss:
        labels = self.encoding_.target.labels
        usual = losses.binary_cross_entropy if labels else losses.cross_entropy
        loss: Loss = usual if self.loss == "auto" else unit("loss", self.loss, losses.BY_NAME)
        if loss.targets != usual.targets:
            raise SettingError(
                f"loss {loss.name!r} is for {loss.targets}s: a classifier needs "
                f"{usual.name!r}, or loss='auto'"
            )
        return loss

    def _checked_targets(self, y: Any) -> Array:
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y", ensure_min_samples=0)
        try:
            check_classification_targets(y)
            kind = type_of_target(y, input_name="y")
        except TypeError:  # they have no order
            kinds = sorted({type(value).__name__ for value in y.ravel().tolist()})
            raise DataError(
                f"y holds values of several kinds ({', '.join(kinds)}): give one kind, and leave "
                "out rows whose class is missing"
            ) from None
        if kind == "multilabel-indicator":
            return np.asarray(y)
        if kind == "multiclass-multioutput":
            raise DataError(
                "y has several columns of classes: fit one classifier a column "
                "(sklearn.multioutput.MultiOutputClassifier), or give labels of 0 and 1"
            )
        return np.asarray(column_or_1d(y, warn=True))

    def _set_out(self, y: Array, names: list[str], classes: Any) -> None:
        if y.ndim > 1:
            names = names or [f"y{number}" for number in range(y.shape[1])]
            self.classes_ = np.arange(y.shape[1])
            self._target = Target(tuple(names), labels=True)
            return
        self.classes_ = np.unique(y if classes is None else np.asarray(classes))
        if self.classes_.dtype.kind == "f" and not np.isfinite(self.classes_).all():
            raise DataError(f"classes holds {self.classes_[-1]}: each must be a value of its own")
        if len(self.classes_) < 2:
            raise DataError(
                f"y holds one class ({self.classes_.tolist()[0]!r}): a classifier needs rows of at "
                "least two classes"
            )
        kind = _KINDS.get(self.classes_.dtype.kind, "text")
        texts = tuple(sources.as_text(value) for value in self.classes_.tolist())
        self._target = Target((names[0] if names else "y",), texts, kind)

    def _check_use(self, y: Array, use: Use, classes: Any) -> None:
        if (y.ndim > 1) != self._target.labels or (y.ndim > 1 and y.shape[1] != len(self.classes_)):
            raise DataError(
                f"y has shape {y.shape}, and the first y was of "
                f"{len(self.classes_)} {'labels' if self._target.labels else 'classes'}: give the "
                "same kind, or fit anew"
            )
        if y.ndim > 1 and not np.isin(y, (0, 1)).all():
            raise DataError(
                f"y holds {one_line(y[~np.isin(y, (0, 1))].tolist()[0])}: a label is there (1) or "
                "not (0)"
            )
        if use == "part" and classes is not None and set(np.unique(classes)) != set(self.classes_):
            raise DataError(
                f"classes is {one_line(classes)}, and the first call gave "
                f"{one_line(self.classes_.tolist())}: they stay the same"
            )

    def _encoded(self, y: Array) -> Array:
        if y.ndim > 1:
            return y.astype(np.float64)
        code = np.clip(np.searchsorted(self.classes_, y), 0, len(self.classes_) - 1)
        strange = self.classes_[code] != y
        if strange.any():
            raise DataError(
                f"y holds {one_line(y[strange].tolist()[0])}, which is none of the classes trained "
                f"on, {one_line(self.classes_.tolist())}: mend it, or fit anew"
            )
        return np.asarray(code)

    def _weighed(self, t: Array, w: Array | None, anew: bool) -> Array | None:
        """Return the row weights times the classes', which the rows trained on decide."""
        if self.class_weight is None:
            return w
        if t.ndim > 1:
            raise SettingError("class_weight is for classes, and y holds labels: leave it out")
        if anew:
            self._class_weights = self._weights_of_classes(t, w)
        each = self._class_weights[t]
        return each if w is None else each * w

    def _weights_of_classes(self, t: Array, w: Array | None) -> Array:
        if isinstance(self.class_weight, Mapping):
            each = compute_class_weight(
                dict(self.class_weight), classes=self.classes_, y=self.classes_[t]
            )
            if not (np.isfinite(each).all() and each.min() >= 0 and each.any()):
                raise SettingError(
                    f"class_weight holds {one_line(each.tolist())}: weights are numbers of at "
                    "least 0, and one of them is greater"
                )
            return np.asarray(each)
        if not isinstance(self.class_weight, str) or self.class_weight != "balanced":
            raise SettingError(
                "class_weight must be None, 'balanced' or a dict of weights by class, not "
                f"{one_line(self.class_weight)}"
            )
        total = np.bincount(t, w, minlength=len(self.classes_))
        return np.asarray(reproducible.total(total) / (len(total) * np.maximum(total, 1e-300)))

    def _restore(self, population: Population, encoding: Encoding, words: dict[str, Any]) -> None:
        target = encoding.target
        if target.task != "classification":
            raise ValueError("the file's target is no class")
        if target.labels:
            self.classes_ = np.arange(len(target.names))
        else:
            read: dict[str, Callable[[str], Any]] = {
                "integer": int, "float": float, "boolean": "true".__eq__, "text": str
            }  # fmt: skip
            self.classes_ = np.array([read[target.kind](text) for text in target.classes])
            if not (np.unique(self.classes_) == self.classes_).all():
                raise ValueError("the classes are not in order")
        super()._restore(population, encoding, words)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
