"""Drift of what the lake holds: each feature, day by day, against what the champions were trained on."""

from dataclasses import dataclass

import numpy as np

from hydrodask.clock import iso, parse_iso
from hydrodask.errors import UsageError
from hydrodask.learn import drift
from hydrodask.learn.compute import training_cluster
from hydrodask.learn.data import dataset
from hydrodask.learn.data.catalogue import catalogue
from hydrodask.learn.score.batch import champions
from hydrodask.learn.train.recorder import Recorder
from hydrodask.settings import Settings

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class DriftOfDay:
    """One day: how many cycles it has, its features, those furthest beyond the training data first."""

    date: str
    cycles: int
    features: list[drift.Drift]

    def suggests_training(self, outside_max: float) -> bool:
        """Say whether models extrapolate so often that they should be trained again."""
        return bool(self.features) and self.features[0].outside > outside_max


def drift_of_lake(settings: Settings, *, since_us: int | None = None) -> list[DriftOfDay]:
    """Return the drift of each day with `learn.drift_cycles` cycles or more, and record it as a table in MLflow.

    Raises UsageError when there is no champion to compare with, or no such day.
    """
    recorder = Recorder(settings)
    known = [m.reference for m in champions(recorder.registry).values() if m.reference is not None]
    if not known:
        raise UsageError("no champion says what it was trained on, so there is no drift from it; `hydrodask train`")
    reference = known[0]
    cycles = catalogue(settings.lake_url)
    cycles = cycles.take(cycles.start_us >= (since_us or np.iinfo(np.int64).min))
    with training_cluster(settings):
        features = dataset.gathered(dataset.features(cycles, drift.COLUMNS))
    days = []
    for day in np.unique(cycles.start_us // DAY_US):
        here = cycles.start_us // DAY_US == day
        if here.sum() >= settings.learn.drift_cycles:
            found = drift.Day()
            found.add(iso(int(day) * DAY_US)[:10], features[here], reference)
            days.append(DriftOfDay(found.date, found.cycles, found.measures(reference)))
    if not days:
        raise UsageError(
            f"no day in {settings.lake_url} has {settings.learn.drift_cycles} cycles (learn.drift_cycles): there is "
            "nothing to compare yet"
        )
    recorder.log_table("drift", _columns(days))
    return days


def _columns(days: list[DriftOfDay]) -> dict[str, list[object]]:
    rows = [(day, one) for day in days for one in day.features]
    return {
        "date": [day.date for day, _ in rows],
        "cycles": [day.cycles for day, _ in rows],
        "feature": [one.feature for _, one in rows],
        "population_stability_index": [round(one.index, 4) for _, one in rows],
        "outside_share": [round(one.outside, 4) for _, one in rows],
    }


def since(text: str | None) -> int | None:
    """Return ISO 8601 as microseconds. Raises UsageError."""
    try:
        return None if text is None else parse_iso(text)
    except ValueError as error:
        raise UsageError(f"--since has value {text!r}; want ISO 8601, for example 2026-01-31") from error
