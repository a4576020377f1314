"""A model of one's own: an ONNX file becomes one that scores, and is registered; or a sentence says what it lacks.

It takes features by name, as `hydrodask.learn.features` computes them from profiles, and gives a probability for each
state. What a file says of itself, in its metadata, counts: `hydrodask.columns` and `hydrodask.classes`, JSON lists;
else the columns are those that are named, or those of our own models of the target, and the states are the target's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.errors import FatalError, UsageError, sentence
from hydrodask.learn import drift
from hydrodask.learn.data.catalogue import Catalogue, catalogue
from hydrodask.learn.features import (
    CYCLE_KINDS,
    SECOND_KINDS,
    SEGMENTS,
    VERSION,
    Cycles,
    columns,
    compute,
    sensors_of,
)
from hydrodask.learn.registry import Version
from hydrodask.learn.score.asking import score
from hydrodask.learn.score.committee import SECONDS
from hydrodask.learn.score.inference import OWN, Model
from hydrodask.learn.targets import Target
from hydrodask.learn.train import export
from hydrodask.learn.train.moments import sample
from hydrodask.learn.train.recorder import Recorder
from hydrodask.learn.train.validation import macro_f1
from hydrodask.settings import Settings

TRIED_ON = 2_000
"""Cycles of the lake on which a model is tried, and by which it is known what is usual: at most."""

ASKED = 16
"""Cycles of which a model is asked together, again, and one by one."""

SAME = 1e-4
"""How far apart probabilities of one cycle may be: sums of single precision depend on how many rows there are."""


@dataclass(frozen=True, slots=True)
class Added:
    """What came of it: the version, on how many cycles it was tried, and macro-F1 on those that have labels."""

    version: Version
    cycles: int
    macro_f1: float | None


def add(settings: Settings, path: Path, target: Target, names: Sequence[str] = ()) -> Added:
    """Register an ONNX file as a version of a target's model. Raises UsageError that says why it can't score."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"could not read {path}: {sentence(error)}") from error
    cycles = catalogue(settings.lake_url)
    cycles = cycles.take(sample(cycles, TRIED_ON)) if len(cycles) else cycles
    found = cycles.read() if len(cycles) else None
    watched = None if found is None else compute(found, drift.COLUMNS)
    try:
        about = _about(export.opened(data), target, names)
        if watched is not None and np.isfinite(watched).all(axis=1).any():
            about["reference"] = drift.ReferenceDistribution.of(watched).as_json()
        stored = export.adopted(data, export.describe(**about))
        model = Model.tried(stored, name=path.name, version=0)
        _check_steady(model, found)
        said = None if found is None else score({target.name: model}, found)[target.name]
    except (ValueError, FatalError) as error:
        raise UsageError(f"could not add {path} for {target.name}: {error}") from error
    if said is not None and said.error:
        raise UsageError(f"could not add {path} for {target.name}: {said.error}")
    known = None if said is None else said.usable & cycles.labelled
    right = None
    if said is not None and known is not None and known.any():
        right = macro_f1(cycles.take(np.flatnonzero(known)).target(target.name), said.label[known])
    version = Recorder(settings).register_own(target, path.name, stored, _figures(cycles, right))
    return Added(version, len(cycles), right)


def _figures(cycles: Catalogue, right: float | None) -> dict[str, float]:
    """Return what is known of it: not how it does on what it has not seen, for nobody here trained it."""
    return {"cycles": float(len(cycles))} | ({} if right is None else {"here.macro_f1": right})


def _about(facts: export.Facts, target: Target, names: Sequence[str]) -> dict[str, Any]:
    """Return the metadata that a scorer needs. Raises ValueError when columns or states do not fit the file."""
    chosen = tuple(names or facts.said("columns") or _usual(facts.width, target))
    classes = facts.said("classes") or list(target.classes)
    if not all(type(c) is int for c in classes) or classes != sorted(set(classes)):
        raise ValueError(f"its metadata hydrodask.classes is {classes}; want whole numbers in rising order, each once")
    if facts.width is not None and len(chosen) != facts.width:
        raise ValueError(f"it takes {facts.width} features, and {len(chosen)} are named")
    if strange := [c for c in classes if c not in target.classes]:
        raise ValueError(f"state {strange[0]} is none of {target.name}; they are {', '.join(map(str, target.classes))}")
    if facts.states is not None and facts.states != len(classes):
        raise ValueError(
            f"it gives {facts.states} probabilities, and {target.name} has {len(classes)} states: {classes}"
        )
    for name in chosen:
        _check(name)
    return {
        "target": target.name, "kind": OWN, "classes": classes, "columns": chosen, "sensors": sensors_of(chosen),
        "missing_allowed": False, "features_version": VERSION, "data": "",
    }  # fmt: skip


def _usual(width: int | None, target: Target) -> Sequence[str]:
    """Return the columns that a file without names most likely takes: by their number."""
    for known in (target.columns, SECONDS):
        if len(known) == width:
            return known
    raise ValueError(
        f"it takes {width or 'an unknown number of'} features, and nobody says which: name them with --columns, or in "
        "its metadata as hydrodask.columns (docs/learning.md, A model of your own)"
    )


def _check(name: object) -> None:
    """Raise ValueError unless a name is that of a feature."""
    sensor, _, rest = name.partition(".") if isinstance(name, str) else ("", "", "")
    kind, dot, second = rest.partition(".")
    of_cycle = kind in CYCLE_KINDS and not dot
    of_second = kind in SECOND_KINDS and second.isascii() and second.isdigit() and int(second) < SEGMENTS
    if sensor not in SENSORS or not (of_cycle or of_second):
        raise ValueError(f"{name!r} is no feature; they are called {_EXAMPLE}, PS2.average, …")


def _check_steady(model: Model, found: Cycles | None) -> None:
    """Raise ValueError unless a model says of a cycle the same whenever it is asked, whatever it is asked of beside it.

    A stream asks of one cycle at a time, a batch of many, and a replay asks again.
    """
    rng = np.random.default_rng(0)
    span = [(CHANNELS[s].low, CHANNELS[s].high) for s in SENSORS]
    curves = np.stack([low + (high - low) * rng.random((ASKED, 3, SEGMENTS)) for low, high in span], axis=1)
    none = np.zeros(ASKED, np.int64)
    features = compute(Cycles(np.full(ASKED, "", object), none, none, curves), model.columns)
    if found is not None:
        here = compute(found, model.columns)
        here = here[np.isfinite(here).all(axis=1)][:ASKED]
        features = here if len(here) > 1 else features
    together = model.probabilities(features)
    if (model.probabilities(features) != together).any():
        raise ValueError("asked twice of the same cycles it says two things: something in it is drawn by chance")
    alone = np.concatenate([model.probabilities(features[row : row + 1]) for row in range(len(features))])
    off = np.abs(alone - together).max(axis=1)
    if (off > SAME).any():
        row = int(off.argmax())
        raise ValueError(
            f"what it says of a cycle depends on the cycles beside it: alone {np.round(alone[row], 3).tolist()}, "
            f"among {len(features)} {np.round(together[row], 3).tolist()}"
        )


_EXAMPLE = columns("mean", ("PS2",), 9, 10)[0]
