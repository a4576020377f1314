"""Trained models as ONNX: data that a scorer can load without running anybody's code.

Linear models are written here, in double precision and a dozen operations, so that they say exactly what the native
model says; XGBoost's trees too, whose order in a forest the usual converter mistakes for rounds of boosting. Forests
of scikit-learn go through skl2onnx, which rounds thresholds the way that scikit-learn compares.
Every model takes `features` (n, k), float64, and gives `probabilities` (n, classes).
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from hydrodask.learn.boosted import BoostedForest, Trees
from hydrodask.records import Float64

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8


def export(model: Any, count: int, metadata: Mapping[str, str]) -> bytes:
    """Return `model`, which takes `count` features, as ONNX with `metadata` inside. Raises what a converter raises."""
    if isinstance(model, BoostedForest):
        made = _trees(model.trees(), count)
    elif hasattr(model, "steps"):
        made = _linear(model, count)
    else:
        made = _forest(model, count)
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _linear(model: Any, count: int) -> onnx.ModelProto:
    """Return scaler and linear classifier: softmax((x − mean) / scale · coefficients + intercepts)."""
    scale, last = (step for _, step in model.steps)
    weights, bias = last.coef_, last.intercept_
    if len(weights) == 1:  # two classes have one decision; a softmax of (0, d) is the logistic function of d
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.concatenate([[0.0], bias])
    nodes = [
        helper.make_node("Sub", ["features", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["decisions"]),
        helper.make_node("Softmax", ["decisions"], ["probabilities"], axis=1),
    ]
    constants = {"mean": scale.mean_, "scale": scale.scale_, "weights": weights.T, "bias": bias}
    return _model(nodes, constants, count, len(bias), TensorProto.DOUBLE)


def _forest(model: Any, count: int) -> onnx.ModelProto:
    """Return a forest of scikit-learn; the label, which a scorer takes from the probabilities, is left out."""
    made = to_onnx(
        model,
        initial_types=[("single", FloatTensorType([None, count]))],
        options={id(model): {"zipmap": False}},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    graph = made.graph
    graph.node.insert(0, helper.make_node("Cast", ["features"], ["single"], to=TensorProto.FLOAT))
    graph.input[0].CopyFrom(helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, count]))
    del graph.output[0]
    return made


def _trees(trees: Trees, count: int) -> onnx.ModelProto:
    """Return boosted trees: the sum of the leaves for each class, then softmax. Missing features take their branch."""
    attributes: dict[str, Any] = trees.columns
    nodes = [
        helper.make_node("Cast", ["features"], ["single"], to=TensorProto.FLOAT),
        helper.make_node(
            "TreeEnsembleRegressor",
            ["single"],
            ["decisions"],
            domain="ai.onnx.ml",
            n_targets=trees.classes,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=trees.base,
            **attributes,
        ),
        helper.make_node("Softmax", ["decisions"], ["probabilities"], axis=1),
    ]
    return _model(nodes, {}, count, trees.classes, TensorProto.FLOAT)


def _model(nodes: list[Any], constants: Mapping[str, Float64], count: int, classes: int, kind: int) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "hydrodask",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, count])],
        [helper.make_tensor_value_info("probabilities", kind, [None, classes])],
        [numpy_helper.from_array(np.ascontiguousarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)


def describe(**values: object) -> dict[str, str]:
    """Return values as an ONNX model's metadata: JSON by key."""
    return {f"hydrodask.{key}": json.dumps(value) for key, value in values.items()}
