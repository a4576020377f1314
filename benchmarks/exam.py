"""Committees that never saw a fifth of the combinations of faults, and what they make of gaps and broken input there.

`python -m benchmarks.evaluation broken --uci DIR` prints it: the largest share of a target's verdicts that are wrong
with a probability of 95 %, of each kind.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from hydrodask.channels import SENSORS
from hydrodask.learn import drift
from hydrodask.learn.features import Cycles, compute
from hydrodask.learn.score import asking
from hydrodask.learn.score.committee import Committee
from hydrodask.learn.score.gaussian import CELLS
from hydrodask.learn.train import gaussians, nested, weighing
from hydrodask.learn.train.plans import candidates
from hydrodask.learn.train.validation import folds
from hydrodask.records import Float64, Int64
from hydrodask.store.profiles import LABELS

SURE = 0.95
HELD = 23
"""Combinations of faults that an exam holds back, none of them of one of the three long runs."""

SOME = ("PS1", "PS2", "EPS1", "FS1", "TS1", "CE", "SE")
"""Sensors that are broken one by one: those that the models look at most."""

Change = Callable[[Float64], Float64]


@dataclass
class Exam:
    """Committees, and cycles of combinations of faults that they never saw; `labels` has shape (n, 5)."""

    models: dict[str, Committee]
    seconds: Float64
    labels: Int64
    lesson: nested.Lesson

    def cycles(self, seconds: Float64) -> Cycles:
        """Return second means as cycles."""
        return as_cycles(seconds)

    def wrong(self, seconds: Float64, labels: Int64 | None = None) -> dict[str, float]:
        """Return for each target the share of cycles of which something wrong is said with a probability of 95 %."""
        labels = self.labels if labels is None else labels
        said = asking.score(self.models, self.cycles(seconds))
        return {
            name: float((one.usable & (one.label != labels[:, n]) & (one.probability.max(axis=1) >= SURE)).mean())
            for n, (name, one) in enumerate(said.items())
        }


def second_means(archive: Path) -> tuple[Float64, Int64]:
    """Return the archive's cycles in order: means of seconds (n, 1020), and labels (n, 5)."""
    means, labels = [], pq.read_table(archive / "profile.parquet").sort_by("cycle")
    for name in SENSORS:
        path = archive / f"{name}.parquet"
        table = pq.read_table(path if path.exists() else archive / f"{name}_1hz_mean.parquet").sort_by("cycle")
        samples = table["samples"].combine_chunks().flatten().to_numpy()
        means.append(samples.reshape(len(labels), 60, -1).mean(axis=2))
    known = np.stack([labels[name].to_numpy() for name in LABELS], axis=1).astype(np.int64)
    return np.concatenate(means, axis=1), known


def as_cycles(seconds: Float64) -> Cycles:
    """Return second means as cycles of one rig."""
    count = len(seconds)
    curves = np.full((count, len(SENSORS), 3, 60), np.nan)
    curves[:, :, 0] = seconds.reshape(count, len(SENSORS), 60)
    return Cycles(np.full(count, "rig", object), np.arange(count), np.zeros(count, np.int64), curves)


def examined(archive: Path) -> Exam:
    """Train the preferred plans on four in five combinations, as `hydrodask train` does after its choice."""
    seconds, labels = second_means(archive)
    groups = np.unique(labels[:, :4], axis=0, return_inverse=True)[1].ravel()
    small = np.flatnonzero(np.bincount(groups) <= 60)
    held = np.isin(groups, np.random.default_rng(11).permutation(small)[:HELD])
    levels, some = labels[~held, :4].astype(np.float64), seconds[~held]
    parts = folds("grouped", labels[~held, 1], levels)
    rests, alone = np.zeros(some.shape), np.zeros((len(some), len(SENSORS), 2))
    for fold in parts:
        rests[fold[1]], alone[fold[1]] = nested.gate_rests(some, fold)
    gate = gaussians.limited(gaussians.gate(some, weighing.weights_of(some)), rests, alone)
    reference = drift.ReferenceDistribution.of(compute(as_cycles(some), drift.COLUMNS))
    models = {}
    for place, name in enumerate(LABELS):
        classes, numbers = np.unique(labels[~held, place], return_inverse=True)
        lesson, plan = nested.Lesson(some, numbers, levels), candidates(name)[0]
        parts = folds("grouped", labels[~held, place], levels)
        heard = [nested.one_fold([plan], lesson, fold) for fold in parts]
        factor = nested.temperature_of(heard, [numbers[test] for _, test in parts])
        views = nested.limited(nested.views_of(plan, lesson), nested.limits_of(heard, len(plan)))
        known = {"reference": reference.as_json()}
        models[name] = Committee(f"hydrodask-{name}", 1, "gaussian", name, classes, factor, views, gate, known)
    return Exam(models, seconds[held], labels[held], nested.Lesson(some, labels[~held, 3], levels))


def gaps(step: int = 1) -> Iterator[tuple[str, Int64]]:
    """Give kinds of gaps and the cells that are lost: every `step`th second of all sensors, a sensor, and so on."""
    for second in sorted({*range(0, 60, step), 9}):
        yield "a lost second", np.arange(second, CELLS, 60)
    for number in range(len(SENSORS)):
        yield "a lost sensor", np.arange(60 * number, 60 * number + 60)
    yield "seconds 7-11 of PS2", 60 * SENSORS.index("PS2") + np.arange(7, 12)
    yield "half a cycle", np.flatnonzero(np.arange(CELLS) % 60 < 30)
    yield "PS1 to PS3", np.arange(0, 3 * 60)


def broken() -> Iterator[tuple[str, str, Change]]:
    """Give kinds of broken input: a name, of which sensors, and what it does to cycles, shape (n, 17, 60)."""
    kinds: dict[str, Change] = {
        "stuck": lambda v: np.repeat(v[:, 20:21], 60, axis=1),
        "dead": np.zeros_like,
        "noise": _noise,
        "spikes": _spikes,
        "late by half a second": lambda v: (v + np.roll(v, 1, axis=1)) / 2,
        "gain +2 %": lambda v: 1.02 * v,
        "gain −2 %": lambda v: 0.98 * v,
        "offset": lambda v: v + 0.02 * v.max(),
        "backwards": lambda v: v[:, ::-1],
        "drift +5 %": lambda v: v * np.linspace(1.0, 1.05, 60),
        "drift −5 %": lambda v: v * np.linspace(1.0, 0.95, 60),
    }
    for sensor in SOME:
        for name, change in kinds.items():
            yield name, sensor, _one(sensor, change)
    for sensor in ("PS1", "PS3"):
        yield "in psi", sensor, _one(sensor, lambda v: 14.5038 * v)
    for sensor in ("TS1", "TS4"):
        yield "in °F", sensor, _one(sensor, lambda v: 1.8 * v + 32)
    for pair in (("PS1", "PS2"), ("TS1", "TS2"), ("FS1", "FS2"), ("CE", "CP")):
        yield f"{' and '.join(pair)} swapped", "", _swapped(*pair)
    yield "standstill", "", lambda cycles: np.repeat(cycles[:, :, :1], 60, axis=2)
    yield "another load cycle", "", lambda cycles: np.roll(cycles, 15, axis=2)
    yield "all late by half a second", "", lambda cycles: (cycles + np.roll(cycles, 1, axis=2)) / 2


def with_gap(exam: Exam, cells: Int64) -> dict[str, float]:
    """Return the share of each target's verdicts that are wrong and sure when these cells are lost."""
    seconds = exam.seconds.copy()
    seconds[:, cells] = np.nan
    return exam.wrong(seconds)


def with_broken(exam: Exam, change: Change, every: int = 1) -> dict[str, float]:
    """Return the same when the input of every so many cycles is broken."""
    cycles = exam.seconds[::every].reshape(-1, len(SENSORS), 60)
    return exam.wrong(change(cycles).reshape(len(cycles), CELLS), exam.labels[::every])


def table(archive: Path) -> dict[str, Any]:
    """Return how many clean cycles are unknown, and for gaps and broken input the share of wrong and sure verdicts.

    Of gaps the largest of any target; of broken input the mean over sensors and targets, and the largest.
    """
    exam = examined(archive)
    said = asking.score(exam.models, exam.cycles(exam.seconds))
    known = np.stack([one.usable for one in said.values()])
    lost: dict[str, float] = {}
    for kind, cells in gaps():
        lost[kind] = max(lost.get(kind, 0.0), *with_gap(exam, cells).values())
    shares: dict[str, list[float]] = {}
    for kind, _, change in broken():
        shares.setdefault(kind, []).extend(with_broken(exam, change).values())
    return {
        "cycles": len(exam.seconds), "unknown_to_any": float(1 - known.all(axis=0).mean()),
        "unknown_to_one": float((~known).mean(axis=1).max()), "clean": max(exam.wrong(exam.seconds).values()),
        "gaps": lost,
        "broken": {kind: {"mean": float(np.mean(some)), "largest": max(some)} for kind, some in shares.items()},
    }  # fmt: skip


def _one(sensor: str, change: Change) -> Change:
    def changed(cycles: Float64) -> Float64:
        cycles = cycles.copy()
        cycles[:, SENSORS.index(sensor)] = change(cycles[:, SENSORS.index(sensor)])
        return cycles

    return changed


def _swapped(one: str, other: str) -> Change:
    order = list(range(len(SENSORS)))
    a, b = SENSORS.index(one), SENSORS.index(other)
    order[a], order[b] = b, a
    return lambda cycles: cycles[:, order]


def _noise(values: Float64) -> Float64:
    spread = 3 * np.abs(np.diff(values, axis=-1)).mean(axis=-1, keepdims=True)
    return np.asarray(values + spread * np.random.default_rng(3).normal(size=values.shape))


def _spikes(values: Float64) -> Float64:
    hit = np.random.default_rng(4).random(values.shape) < 0.3
    return np.where(hit, values + 0.03 * values.max(), values)
