"""A committee of Gaussian views, and the gate before it: a model as plain arrays, that knows what it does not know.

The log odds of its views are averaged and made probabilities by one temperature. A cycle is unknown when what tells the
classes apart was not measured, when a sensor that the model looks at is like nothing trained on, or when the cycle is
far from every state that a view knows. NumPy alone: neither ONNX Runtime nor scikit-learn, and nobody's code is run.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.errors import FatalError, sentence
from hydrodask.learn.drift import ReferenceDistribution
from hydrodask.learn.features import MEAN, VERSION, Cycles, columns
from hydrodask.learn.score import saying
from hydrodask.learn.score.gaussian import View
from hydrodask.learn.score.novelty import Gate
from hydrodask.learn.score.severity import Severity, Way, severity
from hydrodask.learn.targets import TARGETS
from hydrodask.records import Bool, Float64, Int64

INFORMATION_MIN = 0.1
"""Share of the distance between the closest two classes that must be left for a verdict when seconds are missing."""

SECONDS = columns("second", SENSORS)
"""The names of all cells, in their order."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model makes of some cycles: which are known, probabilities (n, classes) as they are, why one is unknown.

    `novel` ones were measured, and are like nothing trained on.
    """

    known: Bool
    chances: Float64
    why: list[str]
    novel: Bool
    odds: Float64 | None = None
    """The mean log odds of a committee's views (n, classes)."""


@dataclass
class Committee:
    """One version of one target's model. `temperature` multiplies the views' mean log odds."""

    name: str
    version: int
    kind: str
    target: str
    classes: Int64
    temperature: float
    views: tuple[View, ...]
    gate: Gate
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, data: bytes, *, name: str, version: int) -> "Committee":
        """Return the model in `data`. Raises FatalError when it is none of ours or computes features another way."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            about = json.loads(arrays["about"].tobytes())
            views = tuple(View.of(arrays, f"view{number}.") for number in range(about["views"]))
            made = cls(
                name, version, about["kind"], about["target"], np.array(about["classes"], np.int64),
                float(about["temperature"]), views, Gate.of(arrays, "gate."), about,
            )  # fmt: skip
        except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
            raise FatalError(
                f"could not load {name} version {version}: {sentence(error)}; train again, or promote another version"
            ) from error
        if about.get("features_version") != VERSION:
            raise FatalError(
                f"could not load {name} version {version}: it was trained on features of version "
                f"{about.get('features_version')}, here they are of version {VERSION}; train again"
            )
        return made

    def dump(self) -> bytes:
        """Return it as the bytes that `load` takes: arrays, and what it is as JSON; equal models give equal bytes."""
        about = dict(self.metadata) | {
            "kind": self.kind, "target": self.target, "classes": self.classes.tolist(),
            "temperature": self.temperature, "views": len(self.views), "features_version": VERSION,
        }  # fmt: skip
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)} | self.gate.arrays("gate.")
        for number, view in enumerate(self.views):
            arrays |= view.arrays(f"view{number}.")
        out = io.BytesIO()
        np.savez(out, **arrays)
        return out.getvalue()

    def check(self) -> None:
        """Try it once. Raises whatever is wrong with its arrays or its reference."""
        none = np.zeros(2, np.int64)
        curves = np.zeros((2, len(SENSORS), 3, CYCLE_S))
        curves[1, 0] = np.nan
        self.judge(Cycles(np.array(["", ""], object), none, none, curves))
        _ = self.reference

    @cached_property
    def cells(self) -> Int64:
        """Every cell that a view looks at."""
        return np.unique(np.concatenate([view.cells for view in self.views]))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of its cells."""
        return tuple(SECONDS[cell] for cell in self.cells)

    @cached_property
    def places(self) -> dict[str, int]:
        """The sensors that it looks at, and their numbers."""
        return {SENSORS[number]: number for number in np.unique(self.cells // CYCLE_S).tolist()}

    @cached_property
    def numbers(self) -> Int64:
        """The numbers of the sensors that it looks at, in their order."""
        return np.array(list(self.places.values()), np.int64)

    @cached_property
    def places_of_classes(self) -> dict[int, int]:
        """Which of `classes` each class is."""
        return {label: place for place, label in enumerate(self.classes.tolist())}

    @cached_property
    def limits(self) -> Float64:
        """How far a cycle may be from every state that a view knows, by view."""
        return np.array([float(view.limit) for view in self.views])

    @cached_property
    def way(self) -> Way:
        """What severities of all cycles share."""
        return Way.of(self.views, self.classes)

    @cached_property
    def expected(self) -> list[Float64]:
        """What each class shows, shape (1020,), in the units of the sensors; NaN where no view looks."""
        return [saying.expected(self.views, owner) for owner in range(len(self.classes))]

    @property
    def sensors(self) -> tuple[str, ...]:
        """The sensors that it looks at."""
        return tuple(self.places)

    @cached_property
    def reference(self) -> ReferenceDistribution:
        """How the features of its training data were distributed."""
        return ReferenceDistribution.from_json(self.metadata["reference"])

    @cached_property
    def gate_digest(self) -> str:
        """What tells its gate from others: models of one training share theirs, and its answer."""
        return hashlib.sha256(b"".join(a.tobytes() for a in self.gate.arrays("").values())).hexdigest()

    def odds(self, seconds: Float64) -> tuple[Float64, Float64, Float64]:
        """Return the views' mean log odds (n, classes), their distances (n, views), and information (n,)."""
        odds, distance, information = zip(*self._views(seconds), strict=True)
        told = np.array(information)
        speaks = np.maximum(np.add.reduce(told > 0.0, axis=0, dtype=np.int64), 1)[:, None]  # one without a cell is mute
        return reduce(np.add, odds) / speaks, np.array(distance).T, np.maximum.reduce(told, axis=0)

    def _views(self, seconds: Float64) -> list[tuple[Float64, Float64, Float64]]:
        return [view.opinions(seconds) for view in self.views]

    def judge(self, cycles: Cycles, looks: dict[str, Bool] | None = None) -> Judged:
        """Return what the committee makes of each cycle.

        `looks` keeps what gates have said of these cycles: models of one training share theirs.
        """
        seconds = cycles.seconds()
        looks = {} if looks is None else looks
        if self.gate_digest not in looks:
            looks[self.gate_digest] = self.gate.novel(seconds)
        novel = looks[self.gate_digest]
        odds, distance, information = self.odds(seconds)
        chances = probabilities(odds * self.temperature)
        ours: Bool = np.asarray(np.logical_or.reduce(novel[:, self.numbers], axis=1))
        blind: Bool = np.asarray(information < INFORMATION_MIN)
        far: Bool = np.asarray(np.logical_or.reduce(distance > self.limits, axis=1))
        unknown = blind | ours | far
        why = [""] * len(seconds)
        for row in unknown.nonzero()[0].tolist():
            if blind[row]:
                why[row] = saying.missing(seconds[row], self.cells)
            elif ours[row]:
                why[row] = saying.novel(self.gate, seconds[row], novel[row])
            else:
                why[row] = saying.far(self.views, seconds[row], self.target)
        return Judged(~unknown, chances, why, ~blind & unknown, odds)

    def severity(self, cycles: Cycles) -> Severity | None:
        """Return how far the first of the cycles has gone between the states; None: they have no order, or nothing."""
        if not TARGETS[self.target].ordered or len(self.classes) < 2:
            return None
        return severity(self.views, self.temperature, self.way, _first(cycles))

    def because(self, cycles: Cycles, label: int, odds: Float64 | None = None) -> list[str]:
        """Return the three strongest contributions to the verdict `label` on the first of the cycles.

        `odds` are what `judge` gave with it, if that is at hand.
        """
        first = _first(cycles)
        return saying.contributions(self, first, label, self.odds(first)[0][0] if odds is None else odds)


def seconds_of(cycles: Cycles) -> Float64:
    """Return the second means of cycles, shape (n, 1020), NaN where nothing was measured."""
    return np.ascontiguousarray(cycles.curves[:, :, MEAN]).reshape(len(cycles), -1)


def _first(cycles: Cycles) -> Float64:
    """Return the second means of the first cycle, (1, 1020): those that were judged, if it is the only one."""
    return cycles.seconds() if len(cycles) == 1 else cycles.seconds()[:1]


def probabilities(odds: Float64) -> Float64:
    """Return the softmax of each row."""
    raised = np.exp(odds - np.maximum.reduce(odds, axis=1, keepdims=True))
    return np.asarray(raised / np.add.reduce(raised, axis=1, keepdims=True))
