"""ONNX models: from features to probabilities. The only importer of ONNX Runtime."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnxruntime

from hydrodask.channels import SENSORS
from hydrodask.errors import FatalError, sentence
from hydrodask.learn.drift import COLUMNS as WATCHED
from hydrodask.learn.drift import Day, ReferenceDistribution
from hydrodask.learn.features import SEGMENTS, VERSION, Cycles, compute
from hydrodask.learn.score.asking import short
from hydrodask.records import Bool, Float64, Int64

OWN = "own"
"""The kind of models that were not trained here."""

SUM_MARGIN = 1e-3
"""How far from 1 the sum of probabilities may be: models compute in single precision."""

BELOW_MARGIN = 1e-6
"""How far below 0 a probability may be: the second of two may be computed as 1 less the first."""


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
            raise FatalError(f"could not load {name} version {version}: {sentence(error)}") from error
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise FatalError(f"could not load {name} version {version}: {sentence(error)}") from error
        if features_version != VERSION:
            raise FatalError(
                f"could not load {name} version {version}: it was trained on features of version {features_version}, "
                f"here they are of version {VERSION}; train again"
            )
        return cls(
            name, version, json.loads(found["kind"]), np.array(classes, np.int64), tuple(columns),
            tuple(json.loads(found["sensors"])), json.loads(found["missing_allowed"]), found, session,
        )  # fmt: skip

    @classmethod
    def tried(cls, onnx: bytes, *, name: str, version: int) -> "Model":
        """Return the model in `onnx`, which can score. Raises FatalError: that must not come up while cycles wait."""
        try:
            model = cls.load(onnx, name=name, version=version)
            model.check()
        except FatalError:
            raise
        except Exception as error:  # ONNX Runtime's own errors have no common base
            raise FatalError(
                f"could not use {name} version {version}: in a trial {short(error)}; train again, or promote another "
                "version"
            ) from error
        return model

    def check(self) -> None:
        """Try it once. Raises whatever is wrong with its input, its output, its columns or its reference."""
        for count in (1, 3):
            self.probabilities(np.zeros((count, len(self.columns))))
        none = np.zeros(1, np.int64)
        nowhere = Cycles(np.array([""], object), none, none, np.zeros((1, len(SENSORS), 3, SEGMENTS)))
        compute(nowhere, self.columns)
        if self.reference is not None:
            day = Day()
            day.add("", compute(nowhere, WATCHED), self.reference)
            day.measures(self.reference)

    @cached_property
    def reference(self) -> ReferenceDistribution | None:
        """How the features of its training data were distributed; None when one's own model does not say."""
        if self.kind == OWN and "reference" not in self.metadata:
            return None
        return ReferenceDistribution.from_json(json.loads(self.metadata["reference"]))

    def probabilities(self, features: Float64) -> Float64:
        """Return shape (n, classes). Raises ValueError when that is not what comes out, or no probabilities."""
        said = np.asarray(self.session.run(["probabilities"], {"features": features})[0], np.float64)
        if said.shape != (len(features), len(self.classes)):
            raise ValueError(f"its output has shape {said.shape}, want {(len(features), len(self.classes))}")
        if (said < -BELOW_MARGIN).any():
            raise ValueError("some of its probabilities are negative")
        if not (np.isfinite(said).all() and (np.abs(said.sum(axis=1) - 1.0) < SUM_MARGIN).all()):
            raise ValueError("its probabilities are not finite or do not add up to 1")
        return said

    def classify(self, features: Float64) -> Int64:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes[self.probabilities(features).argmax(axis=1)])

    def because(self, _cycles: Cycles, _label: int, _odds: Float64 | None = None) -> list[str]:
        """Return nothing: what speaks for a verdict of a forest is no sum."""
        return []

    def severity(self, _cycles: Cycles) -> None:
        """Return nothing: between its classes a forest knows no way."""
        return

    def usable(self, features: Float64) -> Bool:
        """Return which rows it can say something about: all features there, or any if it allows missing ones."""
        there = np.isfinite(features)
        return np.asarray(there.any(axis=1) if self.missing_allowed else there.all(axis=1))
