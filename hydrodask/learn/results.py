"""What a training gives: a trained model with its figures, and what people are told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydrodask.errors import FatalError
from hydrodask.learn.targets import Target
from hydrodask.learn.validation import GROUPED, Figures, splits_of


@dataclass(slots=True)
class Data:
    """What models were trained on: a fingerprint of features and labels, and what people want to know."""

    fingerprint: str
    cycles: int
    rigs: list[str]
    first: str
    last: str
    combinations: int


@dataclass(slots=True)
class Result:
    """One trained and judged model.

    `figures` by split. `importances` say how much macro-F1 is lost on unseen combinations when the features of one
    sensor and kind are shuffled. `disagreements` counts the cycles on which ONNX says another class than `model`.
    """

    target: Target
    kind: str
    says: str
    model: Any
    columns: tuple[str, ...]
    figures: dict[str, Figures]
    data: Data
    onnx: bytes
    disagreements: int
    importances: dict[str, float]
    parameters: Mapping[str, object]
    seconds: float
    code: str
    run_id: str = ""
    notes: list[str] = field(default_factory=list)

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
        return found | {"fit_seconds": self.seconds, "onnx_disagreements": float(self.disagreements)}


def check_registrable(result: Result) -> None:
    """Raise FatalError unless the model was judged on every split of its target, and ONNX says what it says."""
    missing = [split for split in splits_of(result.target) if split not in result.figures]
    if missing:
        raise FatalError(
            f"could not register {result.kind} for {result.target.name}: it was not judged on {', '.join(missing)}; "
            "figures of a random split alone say nothing, because neighbours in time leak"
        )
    if result.disagreements:
        raise FatalError(
            f"could not register {result.kind} for {result.target.name}: its ONNX form gives another class than the "
            f"native model on {result.disagreements} cycles"
        )
