"""A fitted estimator in a notebook: scikit-learn's diagram, and the population below it."""

from __future__ import annotations

from typing import Any


class FitSummary:
    """Adds the population to scikit-learn's HTML; a base class before BaseEstimator.

    IPython asks for ``_repr_mimebundle_``, other programs for ``_repr_html_``.
    """

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += self._fit_html()
        return bundle

    @property
    def _repr_html_(self) -> Any:
        diagram = super()._repr_html_  # type: ignore[misc]  # AttributeError for display="text"
        return lambda: diagram() + self._fit_html()

    def _fit_html(self) -> str:
        population = getattr(self, "population_", None)
        return "" if population is None else str(population._repr_html_())
