"""The peers of accuracy.py, each with its defaults, on one thread.

Every method gets the table in the form usual for it. Seedbed and HistGradientBoosting get the frame
itself, with categories as pandas' ``category`` and missing
numbers as NaN. CatBoost gets categories by ``cat_features``, where a missing one is a category of
its own. pytabkit's RealMLP and TabM get the frame with missing numbers imputed by the median and
indicators added, because they refuse NaN. scikit-learn's networks get standardised numbers (and
targets) and one-hot categories, imputed likewise.
"""

import logging
import os

os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from catboost import CatBoostClassifier, CatBoostRegressor
from pytabkit import (
    RealMLP_TD_Classifier,
    RealMLP_TD_Regressor,
    RealMLP_TD_S_Classifier,
    RealMLP_TD_S_Regressor,
    TabM_D_Classifier,
    TabM_D_Regressor,
)
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

torch.set_num_threads(1)
for noisy in ("lightning", "lightning.pytorch", "pytorch_lightning"):
    logging.getLogger(noisy).setLevel(logging.ERROR)


class CatBoost:
    """CatBoost with categories as ``cat_features``; a missing one is a category of its own."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        """Fit the model."""
        texts = list(X.select_dtypes("category"))
        self.model.set_params(cat_features=texts).fit(self._native(X), y)
        self.classes_ = self.model.classes_
        return self

    def predict(self, X):
        """Return the predicted targets."""
        return self.model.predict(self._native(X))

    def predict_proba(self, X):
        """Return the probabilities of the classes."""
        return self.model.predict_proba(self._native(X))

    @staticmethod
    def _native(X):
        texts = X.select_dtypes("category").astype(object)
        return X.assign(**texts.where(texts.notna(), "missing").astype(str))


def scaled(network):
    """Return scikit-learn's network behind the usual preprocessing."""
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    select = make_column_selector
    columns = ColumnTransformer(
        [
            ("numbers", numbers, select(dtype_exclude="category")),
            ("texts", texts, select(dtype_include="category")),
        ]
    )
    return make_pipeline(columns, network)


def scaled_target(network):
    return TransformedTargetRegressor(scaled(network), transformer=StandardScaler())


def filled(network):
    """Return pytabkit's network behind imputation: it takes categories, but no missing numbers."""
    missing = SimpleImputer(strategy="median", add_indicator=True)
    numbers = make_column_selector(dtype_exclude="category")
    columns = ColumnTransformer([("numbers", missing, numbers)], remainder="passthrough")
    return make_pipeline(columns.set_output(transform="pandas"), network)


class EarlyStoppedMLP(MLPClassifier):
    """scikit-learn's network without classes of one row, on which its hold-out fails."""

    def fit(self, X, y):
        """Fit the rows of classes that have two rows or more."""
        kept = (y.groupby(y).transform("size") > 1).to_numpy()
        return super().fit(X[kept], y[kept])


def peers(task, seed):
    """Return an unfitted estimator for each peer."""
    boosted = {"random_seed": seed, "thread_count": 1, "allow_writing_files": False, "verbose": 0}
    torched = {"random_state": seed, "n_threads": 1, "device": "cpu"}
    if task == "regression":
        return {
            "CatBoost": CatBoost(CatBoostRegressor(**boosted)),
            "RealMLP-TD": filled(RealMLP_TD_Regressor(**torched)),
            "TabM-D": filled(TabM_D_Regressor(**torched)),
            "RealMLP-TD-S": filled(RealMLP_TD_S_Regressor(**torched)),
            "HistGradientBoosting": HistGradientBoostingRegressor(random_state=seed),
            "scikit-learn MLP": scaled_target(MLPRegressor(random_state=seed)),
            "scikit-learn MLP, early stopping": scaled_target(
                MLPRegressor(random_state=seed, early_stopping=True)
            ),
        }
    return {
        "CatBoost": CatBoost(CatBoostClassifier(**boosted)),
        "RealMLP-TD": filled(RealMLP_TD_Classifier(**torched)),
        "TabM-D": filled(TabM_D_Classifier(**torched)),
        "RealMLP-TD-S": filled(RealMLP_TD_S_Classifier(**torched)),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=seed),
        "scikit-learn MLP": scaled(MLPClassifier(random_state=seed)),
        "scikit-learn MLP, early stopping": scaled(
            EarlyStoppedMLP(random_state=seed, early_stopping=True)
        ),
    }
