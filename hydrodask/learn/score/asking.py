"""Ask models of cycles: committees in plain NumPy, ONNX models through ONNX Runtime, once there is one of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hydrodask.errors import FatalError, HydrodaskError
from hydrodask.learn.features import Cycles, compute, gaps, measured
from hydrodask.learn.score.committee import Committee, Judged
from hydrodask.records import Bool, Float64, Int64

if TYPE_CHECKING:
    from hydrodask.learn.score.inference import Model

GAPS_SHOWN = 5
"""Seconds that were not measured and are named."""

_ZIP = b"PK"


@dataclass(slots=True)
class ModelVerdicts:
    """What one model said of some cycles; `label` is meaningless where a cycle is not `usable`, and `why` says why.

    `probability` has shape (n, classes), as it is; NaN where a model could not say anything. `error` says why it could
    not say anything at all.
    """

    model: "Committee | Model"
    usable: Bool
    label: Int64
    probability: Float64
    why: list[str]
    novel: Bool
    """Which of them were measured, and are like nothing trained on."""
    error: str = ""
    odds: Float64 | None = None
    """What a committee says why by, (n, classes)."""


def tried(data: bytes, *, name: str, version: int) -> "Committee | Model":
    """Return the stored model `data`, which can score. Raises FatalError: that must not come up while cycles wait."""
    if not data.startswith(_ZIP):
        from hydrodask.learn.score.inference import Model  # noqa: PLC0415 - most champions need no ONNX Runtime

        return Model.tried(data, name=name, version=version)
    try:
        model = Committee.load(data, name=name, version=version)
        model.check()
    except HydrodaskError:
        raise
    except Exception as error:  # arrays that do not fit each other raise anything
        raise FatalError(
            f"could not use {name} version {version}: in a trial {short(error)}; train again, or promote another "
            "version"
        ) from error
    return model


def score(models: "Mapping[str, Committee | Model]", cycles: Cycles) -> dict[str, ModelVerdicts]:
    """Return what each model says of each cycle.

    A committee leaves out what was not measured. Of an ONNX model no verdict follows when a second that it needs was
    not measured, whatever it would make of it.
    """
    looks: dict[str, Bool] = {}
    return {target: _said(model, cycles, looks) for target, model in models.items()}


def _said(model: "Committee | Model", cycles: Cycles, looks: dict[str, Bool]) -> ModelVerdicts:
    try:
        said = model.judge(cycles, looks) if isinstance(model, Committee) else _of_onnx(model, cycles)
    except Exception as error:  # ONNX Runtime's own errors have no common base
        nothing, none = np.zeros(len(cycles), np.bool_), np.full((len(cycles), len(model.classes)), np.nan)
        who = f"{model.name} version {model.version}"
        text = f"{who} can't score: {short(error)}; train again, or promote another version"
        label = np.full(len(cycles), model.classes[0])
        return ModelVerdicts(model, nothing, label, none, [text] * len(cycles), nothing, text)
    label = model.classes[np.where(np.isfinite(said.chances), said.chances, 0.0).argmax(axis=1)]
    return ModelVerdicts(model, said.known, label, said.chances, said.why, said.novel, odds=said.odds)


def _of_onnx(model: "Model", cycles: Cycles) -> Judged:
    chances = np.full((len(cycles), len(model.classes)), np.nan)
    features = compute(cycles, model.columns)
    usable = model.usable(features) & measured(cycles, model.columns)
    if usable.any():
        chances[usable] = model.probabilities(features[usable])
    why = [""] * len(cycles)
    for row in np.flatnonzero(~usable):
        lacking = gaps(cycles.take(slice(row, row + 1)), model.columns)
        more = f" and {len(lacking) - GAPS_SHOWN} more" if len(lacking) > GAPS_SHOWN else ""
        why[row] = f"not measured: {', '.join(lacking[:GAPS_SHOWN])}{more}"
    return Judged(usable, chances, why, np.zeros(len(cycles), np.bool_))


def short(error: Exception) -> str:
    """Return what an error says, in a line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
