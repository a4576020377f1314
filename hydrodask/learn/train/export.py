"""Trained models as ONNX: data that a scorer can load without running anybody's code.

Linear models are written here, in double precision and a dozen operations, so that they say exactly what the native
model says; XGBoost's trees too, whose order in a forest the usual converter mistakes for rounds of boosting. Forests
of scikit-learn go through skl2onnx, which rounds thresholds the way that scikit-learn compares.
Every model takes `features` (n, k), float64, and gives `probabilities` (n, classes).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType

from hydrodask.learn.train.boosted import BoostedForest, Trees
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says of itself: how many features it takes, how many states it gives, None if not; metadata."""

    width: int | None
    states: int | None
    metadata: Mapping[str, str]

    def said(self, key: str) -> list[Any]:
        """Return a list of its metadata. Raises ValueError when it is none."""
        found = json.loads(self.metadata.get(f"hydrodask.{key}", "[]"))
        if not isinstance(found, list):
            raise ValueError(f"its metadata hydrodask.{key} is {found!r}, want a list")  # noqa: TRY004 - of a file
        return found


def opened(data: bytes) -> Facts:
    """Return what an ONNX file of somebody's says of itself. Raises ValueError when it is none, or can't be a model."""
    graph = _parsed(data).graph
    given, said = _input(graph), _output(graph)
    wide, many = ([d.dim_value or None for d in v.type.tensor_type.shape.dim][-1:] or [None] for v in (given, said))
    return Facts(wide[0], many[0], {p.key: p.value for p in _parsed(data).metadata_props})


def adopted(data: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return somebody's file as we store models: `features` (float64) in, `probabilities` out, `metadata` inside."""
    made = _parsed(data)
    graph = made.graph
    given, said = _input(graph), _output(graph)
    inner = f"{given.name}.given"
    _rename(graph, given.name, inner)
    graph.node.insert(0, helper.make_node("Cast", ["features"], [inner], to=given.type.tensor_type.elem_type))
    kind, name = said.type.tensor_type.elem_type, said.name
    if name != "probabilities":
        graph.node.append(helper.make_node("Identity", [name], ["probabilities"]))
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, None]))
    graph.output.append(helper.make_tensor_value_info("probabilities", kind, [None, None]))
    del made.metadata_props[:]
    for key, value in metadata.items():
        made.metadata_props.add(key=key, value=value)
    return bytes(made.SerializeToString())


def _rename(graph: Any, name: str, other: str) -> None:
    """Let all who read a value read another one: branches and bodies of loops see the values around them."""
    for node in graph.node:
        node.input[:] = [other if one == name else one for one in node.input]
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs):
                _rename(inside, name, other)


def _parsed(data: bytes) -> onnx.ModelProto:
    try:
        made = onnx.load_from_string(data)
        onnx.checker.check_model(made)
    except Exception as error:  # what reads protocol buffers has errors of its own
        raise ValueError(f"it is no ONNX model: {' '.join(str(error).split())[:200]}") from error
    return made


def _input(graph: Any) -> Any:
    """Return the one input; constants may be among them, too."""
    constants = {one.name for one in graph.initializer}
    found = [one for one in graph.input if one.name not in constants]
    numbers = (TensorProto.FLOAT, TensorProto.DOUBLE)
    if len(found) != 1 or found[0].type.tensor_type.elem_type not in numbers or _rank(found[0]) != 2:
        names = ", ".join(one.name for one in found) or "nothing"
        raise ValueError(f"it takes {names}; want one tensor of floats, one cycle a row, one feature a column")
    return found[0]


def _output(graph: Any) -> Any:
    """Return the output with probabilities: the one of that name, or the only one that can be it."""
    floats = [o for o in graph.output if o.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.DOUBLE)]
    named = [o for o in floats if o.name == "probabilities"] or [o for o in floats if _rank(o) in (0, 2)]
    if len(named) != 1:
        names = ", ".join(o.name for o in graph.output)
        raise ValueError(
            f"it gives {names}; want one tensor of probabilities, one cycle a row, one state a column (of skl2onnx: "
            "options={id(model): {'zipmap': False}})"
        )
    return named[0]


def _rank(value: Any) -> int:
    return len(value.type.tensor_type.shape.dim)
