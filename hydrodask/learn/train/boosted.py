"""XGBoost's random forest, trained by all workers of a Dask cluster together: the only importer of xgboost.

For profiles larger than memory: each worker keeps its chunks as quantised features, one byte a value. Workers talk to
each other while they train, so one that leaves would leave the others waiting: the set of workers is watched, and there
is a limit, and both end in an error that says so.
"""

import json
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from xgboost import dask as xgboost_dask

from hydrodask import clock
from hydrodask.errors import FatalError, RetryableError
from hydrodask.learn.compute import workers_of
from hydrodask.records import Float64, Int64

TREES = 40
BINS = 64
"""Bins of a feature: the cost is nodes times features times bins."""
PARAMETERS: dict[str, object] = {
    "objective": "multi:softprob",
    "tree_method": "hist",
    "learning_rate": 1.0,
    "max_depth": 7,
    "max_bin": BINS,
    "subsample": 0.8,
    "colsample_bynode": 0.15,
    "num_parallel_tree": TREES,
    "reg_lambda": 1e-5,
    "seed": 42,
    "nthread": 1,
    "verbosity": 0,
}
_LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Trees:
    """Trees as the attributes of ONNX's TreeEnsembleRegressor. `base` is added to each class's sum."""

    classes: int
    base: list[float]
    columns: dict[str, list[Any]]


class BoostedForest:
    """A trained forest; class i of the booster is `classes[i]`."""

    def __init__(self, booster: xgboost.Booster, classes: tuple[int, ...]) -> None:
        self.booster = booster
        self.classes = np.array(classes)

    def predict_proba(self, features: Float64) -> Float64:
        """Return shape (n, classes)."""
        return np.asarray(self.booster.inplace_predict(features.astype(np.float32)).reshape(len(features), -1))

    def predict(self, features: Float64) -> Int64:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes[self.predict_proba(features).argmax(axis=1)])

    def importances(self, count: int) -> Float64:
        """Return the gain of each feature, as shares."""
        gains = self.booster.get_score(importance_type="total_gain")
        shares = np.array([float(gains.get(f"f{i}", 0.0)) for i in range(count)])
        return np.asarray(shares / max(shares.sum(), 1e-12))

    def trees(self) -> Trees:
        """Return the trees for ONNX."""
        learner = json.loads(bytes(self.booster.save_raw("json")))["learner"]
        model = learner["gradient_booster"]["model"]
        base = json.loads(str(learner["learner_model_param"]["base_score"]))
        count = len(self.classes)
        columns: dict[str, list[Any]] = {name: [] for name in _NODES + _LEAVES}
        for number, (tree, group) in enumerate(zip(model["trees"], model["tree_info"], strict=True)):
            _add(columns, number, tree, group)
        flat = base if isinstance(base, list) else [base]
        return Trees(count, [float(b) for b in (flat if len(flat) == count else flat * count)], columns)


_NODES = [
    "nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_values", "nodes_modes", "nodes_truenodeids",
    "nodes_falsenodeids", "nodes_missing_value_tracks_true", "nodes_hitrates",
]  # fmt: skip
_LEAVES = ["target_treeids", "target_nodeids", "target_ids", "target_weights"]


def _add(columns: dict[str, list[Any]], number: int, tree: dict[str, list[Any]], group: int) -> None:
    """Append one tree; a node without children is a leaf, and its condition is its weight."""
    for node, left in enumerate(tree["left_children"]):
        leaf = left < 0
        value = float(tree["split_conditions"][node])
        columns["nodes_treeids"].append(number)
        columns["nodes_nodeids"].append(node)
        columns["nodes_featureids"].append(0 if leaf else int(tree["split_indices"][node]))
        columns["nodes_values"].append(0.0 if leaf else value)
        columns["nodes_modes"].append("LEAF" if leaf else "BRANCH_LT")
        columns["nodes_truenodeids"].append(0 if leaf else left)
        columns["nodes_falsenodeids"].append(0 if leaf else tree["right_children"][node])
        columns["nodes_missing_value_tracks_true"].append(0 if leaf else int(tree["default_left"][node]))
        columns["nodes_hitrates"].append(1.0)
        if leaf:
            for name, item in zip(_LEAVES, (number, node, int(group), value), strict=True):
                columns[name].append(item)


def train(client: Any, features: Any, labels: Any, classes: tuple[int, ...], *, limit_s: float) -> BoostedForest:
    """Train on Dask arrays, `labels` as numbers of classes from 0.

    Raises RetryableError when a worker left or joined meanwhile, and FatalError when it took longer than `limit_s`.
    """
    parameters = PARAMETERS | {"num_class": len(classes)}

    def work() -> Any:
        matrix = xgboost_dask.DaskQuantileDMatrix(client, features, labels, max_bin=BINS)
        return xgboost_dask.train(client, parameters, matrix, num_boost_round=1)["booster"]

    return BoostedForest(_guarded(client, work, limit_s), classes)


def train_here(features: Float64, labels: Int64, classes: tuple[int, ...], *, threads: int = 1) -> BoostedForest:
    """Train in this process: the same forest for one fold of a validation, which fits into memory."""
    matrix = xgboost.QuantileDMatrix(features.astype(np.float32), np.searchsorted(classes, labels), max_bin=BINS)
    parameters = PARAMETERS | {"num_class": len(classes), "nthread": threads}
    return BoostedForest(xgboost.train(parameters, matrix, num_boost_round=1), classes)


def _guarded(client: Any, work: Any, limit_s: float) -> Any:
    """Run `work` while the workers stay the same, at most `limit_s` seconds."""
    result: dict[str, Any] = {}

    def run() -> None:
        try:
            result["value"] = work()
        except BaseException as error:
            result["error"] = error

    before, started_s = workers_of(client), clock.monotonic_s()
    thread = threading.Thread(target=run, name="xgboost", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_LOOK_EVERY_S)
        if thread.is_alive() and workers_of(client) != before:
            raise RetryableError(_CHANGED.format(before=len(before), after=len(workers_of(client))))
        if thread.is_alive() and clock.monotonic_s() - started_s > limit_s:
            raise FatalError(f"XGBoost took longer than {limit_s:.0f} s (learn.boosted_max); the fit was abandoned")
    if "error" in result:
        if workers_of(client) != before:
            raise RetryableError(_CHANGED.format(before=len(before), after=len(workers_of(client)))) from result[
                "error"
            ]
        raise FatalError(f"could not train XGBoost on Dask: {result['error']}") from result["error"]
    return result["value"]


_CHANGED = (
    "the workers changed while XGBoost trained ({before} before, {after} now), and they need each other: train again "
    "on a cluster whose workers stay, never on one that scales itself"
)


class LocalBoosted:
    """The forest as a model of a validation: `fit` and `predict` in this process."""

    def __init__(self, classes: tuple[int, ...]) -> None:
        self.classes = classes
        self._forest: BoostedForest | None = None

    def fit(self, features: Float64, labels: Int64) -> "LocalBoosted":
        """Train."""
        self._forest = train_here(features, labels, self.classes)
        return self

    def predict(self, features: Float64) -> Int64:
        """Return the likeliest class of each row."""
        if self._forest is None:
            raise FatalError("this model is not trained")
        return self._forest.predict(features)
