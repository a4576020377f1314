"""Champions as ONNX models: from cycles to states and probabilities. The only importer of ONNX Runtime."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime

from hydrodask.errors import FatalError
from hydrodask.learn.drift import Reference
from hydrodask.learn.features import VERSION, Cycles, compute
from hydrodask.records import Bool, Float64, Int64


@dataclass
class Model:
    """One version of one target's model. What it needs to know is in the ONNX file itself."""

    name: str
    version: int
    kind: str
    classes: Int64
    columns: tuple[str, ...]
    sensors: tuple[str, ...]
    missing_allowed: bool
    metadata: Mapping[str, str]
    session: Any

    @classmethod
    def load(cls, onnx: bytes, *, name: str, version: int) -> "Model":
        """Return the model in `onnx`. Raises FatalError when it is none of ours or computes features another way."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
            found = {
                key.removeprefix("hydrodask."): value
                for key, value in session.get_modelmeta().custom_metadata_map.items()
            }
            features_version, classes, columns = (
                json.loads(found[key]) for key in ("features_version", "classes", "columns")
            )
        except (KeyError, ValueError, RuntimeError) as error:
            raise FatalError(f"could not load {name} version {version}: {error}") from error
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise FatalError(f"could not load {name} version {version}: {error}") from error
        if features_version != VERSION:
            raise FatalError(
                f"could not load {name} version {version}: it was trained on features of version {features_version}, "
                f"here they are of version {VERSION}; train again"
            )
        return cls(
            name, version, json.loads(found["kind"]), np.array(classes, np.int64), tuple(columns),
            tuple(json.loads(found["sensors"])), json.loads(found["missing_allowed"]), found, session,
        )  # fmt: skip

    @cached_property
    def reference(self) -> Reference:
        """How the features of its training data were distributed."""
        return Reference.from_json(json.loads(self.metadata["reference"]))

    def probabilities(self, features: Float64) -> Float64:
        """Return shape (n, classes)."""
        return np.asarray(self.session.run(["probabilities"], {"features": features})[0], np.float64)

    def classify(self, features: Float64) -> Int64:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes[self.probabilities(features).argmax(axis=1)])

    def usable(self, features: Float64) -> Bool:
        """Return which rows it can say something about: all features there, or any if it allows missing ones."""
        there = np.isfinite(features)
        return np.asarray(there.any(axis=1) if self.missing_allowed else there.all(axis=1))


@dataclass(slots=True)
class Said:
    """What one model said of some cycles; `label` is meaningless and `probability` NaN where not `usable`."""

    model: Model
    usable: Bool
    label: Int64
    probability: Float64


def score(models: Mapping[str, Model], cycles: Cycles) -> dict[str, Said]:
    """Return what each model says of each cycle; `probability` has shape (n, classes)."""
    said = {}
    for target, model in models.items():
        features = compute(cycles, model.columns)
        usable = model.usable(features)
        chances = np.full((len(cycles), len(model.classes)), np.nan)
        if usable.any():
            chances[usable] = model.probabilities(features[usable])
        label = model.classes[np.where(usable[:, None], chances, 0.0).argmax(axis=1)]
        said[target] = Said(model, usable, label, chances)
    return said
