"""Train a scikit-learn ensemble on a raw table; print probabilities and their spread.

pip install '.[sklearn,fast]' pandas
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from seedbed.estimators import NetworkClassifier

X, y = load_wine(return_X_y=True, as_frame=True)
y = y.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"})
X["strength"] = pd.cut(X["alcohol"], 3, labels=["light", "medium", "strong"])  # a category
X.loc[::10, "hue"] = np.nan  # missing numbers

X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
network = NetworkClassifier(random_state=0).fit(X_train, y_train)
print(network.population_)
print(f"{network.score(X_test, y_test):.1%} of {len(y_test)} new wines classified correctly")

mean, spread = network.predict_proba(X_test, return_std=True)
least = spread.max(axis=1).argmax()
print(f"the members agree least on row {X_test.index[least]}, a {y_test.iloc[least]}:")
for name, p, s in zip(network.classes_, mean[least], spread[least], strict=True):
    print(f"  {name:10} {p:6.1%} ± {s:.1%}")
