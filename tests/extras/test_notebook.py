"""Estimators and table models in notebooks."""

import numpy as np
import pytest
import sklearn
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from seedbed.estimators import NetworkClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
CLASSES = np.where(X[:, 0] > 0, "up", "down")


@pytest.fixture(scope="module")
def fitted():
    return NetworkClassifier(members=3, engine="numpy", random_state=0).fit(X, CLASSES)


def test_a_fit_is_shown_below_scikit_learns_diagram(fitted):
    bundle = fitted._repr_mimebundle_()
    shown = fitted.population_._repr_html_()
    assert "Population of 3" in shown
    assert bundle["text/html"].endswith(shown)
    assert "sk-estimator" in bundle["text/html"].removesuffix(shown)
    assert bundle["text/plain"] == repr(fitted)
    assert fitted._repr_html_().endswith(shown)


def test_an_estimator_without_a_fit_or_diagram_is_scikit_learns(fitted):
    fresh = NetworkClassifier()
    for page in (fresh._repr_mimebundle_()["text/html"], fresh._repr_html_()):
        assert "sk-estimator" in page
        assert "Population" not in page
    with sklearn.config_context(display="text"):
        assert set(fitted._repr_mimebundle_()) == {"text/plain"}
        assert not hasattr(fitted, "_repr_html_")
    assert "sk-estimator" in estimator_html_repr(make_pipeline(StandardScaler(), fitted))


def test_a_table_model(fitted):
    model = fitted.table_model_
    assert repr(model).startswith("<TableModel of ")
    assert "3 columns" in repr(model)
    assert len(repr(model)) < 200
    assert f"Model of {fitted.encoding_.target.name}" in model._repr_html_()
    assert model._repr_html_().count("<style>") == 1
