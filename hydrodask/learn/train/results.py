"""What a training gives: a trained model with its figures, and what people are told of it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from hydrodask import clock
from hydrodask.errors import FatalError
from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.data.labelling import Origin
from hydrodask.learn.score.committee import Committee
from hydrodask.learn.targets import Target
from hydrodask.learn.train.validation import GROUPED, RANDOM, ValidationScores, splits_of
from hydrodask.records import Bool, Float64, Int64


@dataclass(slots=True)
class Data:
    """What models were trained on: a fingerprint of features and labels, and what people want to know."""

    fingerprint: str
    cycles: int
    rigs: list[str]
    first: str
    last: str
    combinations: int
    source: str = ""
    chosen_on: int = 0
    """On how many of the cycles choices were made and figures measured."""

    @classmethod
    def of(cls, cycles: Catalogue, content: bytes, chosen_on: int) -> "Data":
        """Return what is known of the cycles; `content` stands for what was measured in them."""
        digest = hashlib.sha256()
        for part in (cycles.cycle, cycles.start_us, cycles.labels):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(content)
        return cls(
            digest.hexdigest()[:16],
            len(cycles),
            sorted(set(cycles.rig.tolist())),
            clock.iso(int(cycles.start_us.min())),
            clock.iso(int(cycles.start_us.max())),
            len(np.unique(cycles.labels[:, :4], axis=0)),
            str(cycles.url),
            chosen_on,
        )


@dataclass(slots=True)
class Unseen:
    """What was said of the test cycles of a split by models that had not seen them, fold after fold.

    `rows` say which cycles, `sizes` how many each fold has. Models that may say unknown say which they `known`, and
    give `chances` (n, classes).
    """

    rows: Int64
    sizes: list[int]
    truth: Int64
    said: Int64
    known: Bool | None = None
    chances: Float64 | None = None


def predictions(cycles: Catalogue, unseen: Mapping[str, Unseen], classes: Sequence[int]) -> dict[str, list[object]]:
    """Return the out-of-fold predictions of all splits as columns, one row a cycle and split."""
    found: dict[str, list[object]] = {}
    for split, one in unseen.items():
        columns: dict[str, Any] = {
            "split": np.full(len(one.rows), split, object),
            "fold": np.repeat(np.arange(len(one.sizes)), one.sizes),
            "rig": cycles.rig[one.rows],
            "cycle": cycles.cycle[one.rows],
            "start_us": cycles.start_us[one.rows],
            "truth": one.truth,
            "said": one.said,
            "answered": np.ones(len(one.rows), np.bool_) if one.known is None else one.known,
        }
        if one.chances is not None:
            columns |= {f"p_{c}": one.chances[:, place] for place, c in enumerate(classes)}
        for name, values in columns.items():
            found.setdefault(name, []).extend(values.tolist())
    return found


@dataclass(slots=True)
class TrainedModel:
    """One trained and judged model.

    `figures` by split. `importances` say how much macro-F1 is lost on unseen combinations when the features of one
    sensor and kind are shuffled, of a committee when the sensor is lost. `disagreements` counts the cycles on which
    what is `stored` says another class than `model`.
    """

    target: Target
    kind: str
    says: str
    model: Any
    columns: tuple[str, ...]
    figures: dict[str, ValidationScores]
    data: Data
    stored: bytes
    disagreements: int
    importances: dict[str, float]
    parameters: Mapping[str, object]
    seconds: float
    code: str
    predictions: Mapping[str, list[object]] = field(default_factory=dict)
    """Of cycles that were not trained on, see `predictions`."""
    run_id: str = ""
    notes: list[str] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    """Where its labels are from, and what their cycles weigh."""

    @property
    def plain(self) -> bool:
        """Whether it is stored as plain arrays, and not as ONNX."""
        return isinstance(self.model, Committee)

    @property
    def grouped(self) -> float:
        """Macro-F1 on unseen combinations of faults: what a champion is defended with."""
        return self.figures[GROUPED].macro_f1

    def metrics(self) -> dict[str, float]:
        """Return every figure by name."""
        found = {}
        for split, figures in self.figures.items():
            found[f"{split}.macro_f1"] = figures.macro_f1
            found[f"{split}.accuracy"] = figures.accuracy
            if figures.mean_error is not None:
                found[f"{split}.mean_absolute_error"] = figures.mean_error
            if figures.spread is not None:
                found[f"{split}.spread"] = figures.spread
            found |= {f"{split}.recall_{name}": value for name, value in figures.recall.items()}
            if figures.sure is not None:
                sure = asdict(figures.sure).items()
                found |= {f"{split}.{name}": value for name, value in sure if value is not None}
        return found | {"fit_seconds": self.seconds, "onnx_disagreements": float(self.disagreements)}


def check_registrable(result: TrainedModel) -> None:
    """Raise FatalError unless the model was judged on the honest splits of its target, and ONNX says what it says."""
    missing = [split for split in splits_of(result.target) if split not in (*result.figures, RANDOM)]
    if missing:
        raise FatalError(
            f"could not register {result.kind} for {result.target.name}: it was not judged on {', '.join(missing)}; "
            "figures of a random split alone say nothing, because neighbours in time leak"
        )
    if result.disagreements:
        raise FatalError(
            f"could not register {result.kind} for {result.target.name}: what is stored of it gives another class "
            f"than the native model on {result.disagreements} cycles"
        )
