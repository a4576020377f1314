"""The kinds of models that are tried for each target. Takes a target, gives something with `fit`, `predict_proba`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from hydrodask.channels import SENSORS
from hydrodask.learn.features import CLASSIC, columns
from hydrodask.learn.targets import Target
from hydrodask.records import Float64, Int64

SEED = 42
CLASSIC_TREES = 20
TREES = 60


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model. `build` makes an untrained one; `classic` ones see the 34 features of the older platform.

    `distributed` ones are trained by all workers together on Dask collections; a `committee` chooses what it looks at
    inside of each fold, while the features of all others were chosen with an eye on the folds. `search` says what a
    randomised search varies: a parameter's name and its values.
    """

    name: str
    says: str
    build: Callable[[Target], Any]
    classic: bool = False
    distributed: bool = False
    committee: bool = False
    joblib: bool = False
    search: dict[str, list[float]] = field(default_factory=dict)

    def columns(self, target: Target) -> tuple[str, ...]:
        """Return the features that this kind sees of a target."""
        if self.committee:
            return columns("second", SENSORS)
        return CLASSIC if self.classic else target.columns


def _logistic(_target: Target) -> Pipeline:
    return Pipeline([("scale", StandardScaler()), ("model", LogisticRegression(C=1.0, max_iter=500, tol=1e-3))])


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "classic-forest", "random forest of 20 trees on 34 means and deviations, as the older platform did it",
            lambda _: RandomForestClassifier(CLASSIC_TREES, random_state=SEED), classic=True,
        ),
        Kind(
            "classic-tree", "decision tree on 34 means and deviations, as the older platform did it",
            lambda _: DecisionTreeClassifier(random_state=SEED), classic=True,
        ),
        Kind(
            "forest", "random forest of 60 trees, through joblib on Dask",
            lambda _: RandomForestClassifier(TREES, random_state=SEED), joblib=True,
        ),
        Kind(
            "extra-trees", "extremely randomised trees, 60 of them, through joblib on Dask",
            lambda _: ExtraTreesClassifier(TREES, random_state=SEED), joblib=True,
        ),
        Kind("boosted-forest", "XGBoost's random forest on Dask", lambda _: None, distributed=True),
        Kind(
            "logistic", "logistic regression", _logistic,
            search={"model__C": [float(c) for c in np.logspace(-3, 2, 16)]},
        ),
        Kind(
            "gaussian", "committee of Gaussian views of second means, chosen and calibrated inside the folds",
            lambda _: None, committee=True,
        ),
    )
}  # fmt: skip
"""Every kind by name, simplest last: of two that are equally good the later one is preferred."""


def usable(features: Float64) -> Any:
    """Return which rows have all of their features."""
    return np.isfinite(features).all(axis=1)


def fit_predict(model: Any, features: Float64, labels: Int64, fold: tuple[Int64, Int64]) -> tuple[Any, Int64]:
    """Return `model`, trained on the first rows of a fold, and what it says of the others."""
    train, test = fold
    fitted = model.fit(features[train], labels[train])
    return fitted, np.asarray(fitted.predict(features[test]))
