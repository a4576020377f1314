"""What the detector without labels is worth on the UCI archive, learned from healthy cycles alone.

`python -m benchmarks.evaluation unlabelled --uci DIR` prints it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.detect.usual.judgement import judge
from hydrodask.detect.usual.reference import CycleReference
from hydrodask.detect.usual.telling import At
from hydrodask.detect.usual.watch import CycleWatch
from hydrodask.learn.features import Cycles
from hydrodask.learn.score.committee import seconds_of
from hydrodask.records import Bool, Float64, Int64, Upsert
from hydrodask.settings.model import Usual
from hydrodask.store.profiles import LABELS

FAULTS = {"valve": (73, 80, 90), "pump": (1, 2), "accumulator": (90, 100, 115)}
RIGHT = {"valve": {"PS1", "PS2", "EPS1"}, "pump": {"FS1", "EPS1", "PS1"}}

OF_COOLING = {"CE", "CP", "TS3", "TS4", "FS2", "PS5", "PS6", "VS1"}
"""What tells of the cooler: its virtual sensors, and those of its circuit."""

ONE_COOLING = 210
"""The first cycles of the archive, all at 3 % of cooling."""

COLD = 42
"""The first cycles, a cold start like no other in the archive: learned from, and not judged."""

QUIET = ((0, 209), (732, 931), (1464, 1663))
"""Cycles, by their numbers, in which no component changes."""


def unlabelled(cycles: Cycles, labels: Int64) -> dict[str, Any]:
    """Learn from healthy cycles alone, but for one episode of them at a time, which is judged beside the faults."""
    means = seconds_of(cycles).reshape(len(cycles), len(SENSORS), -1)
    healthy = np.flatnonzero(_alone(labels))
    faults = {f"{n} {s}": np.flatnonzero(_alone(labels, n, s)) for n, states in FAULTS.items() for s in states}
    found = judged(means, healthy, _episodes(healthy, cycles.cycle), faults)
    usual, named = found.usual, {kind: found.named(kind) for kind in RIGHT}
    rows = {
        name: {"auroc": auroc(usual, some), "recall": float((np.array(some) > Usual().enter).mean())}
        for name, some in found.unusual.items()
    }
    warmer = np.flatnonzero((labels[:, LABELS.index("cooler")] != 3) & _sound(labels))
    above, named["cooler"] = another_cooling(means[:ONE_COOLING], means[warmer])
    stretches = [means[(cycles.cycle >= a) & (cycles.cycle <= b)] for a, b in QUIET]
    counted = sum(max(len(some) - (Usual().learn or 0), 0) for some in stretches)
    return {
        "healthy": len(usual), "largest": max(usual), "threshold": Usual().enter, "faults": rows, "cooler_above": above,
        "right_sensor": named,
        "healthy_above": int((np.array(usual) > Usual().enter).sum()), "quiet_cycles": counted,
        "quiet_incidents": sum(map(_incidents, stretches)), "days": counted / 1440,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores of healthy cycles that were not learned, of cycles by their fault, and which sensor was named first."""

    usual: list[float]
    unusual: dict[str, list[float]]
    tops: Counter[tuple[str, str]]

    def named(self, kind: str) -> float:
        """Return in which share of the cycles with a fault of this kind the first sensor is a right one."""
        every = {sensor: count for (of, sensor), count in self.tops.items() if of == kind}
        return sum(count for sensor, count in every.items() if sensor in RIGHT[kind]) / sum(every.values())


def judged(means: Float64, healthy: Int64, episodes: Iterable[Int64], faults: Mapping[str, Int64]) -> Judged:
    """Learn from the healthy cycles but for one episode at a time, and judge that one and those with faults.

    `means` has shape (n, 17, 60); `faults` are cycles by kind and state: `valve 73`.
    """
    made = Judged([], {name: [] for name in faults}, Counter())
    for episode in episodes:
        reference = learned(means[np.setdiff1d(healthy, episode)])
        made.usual.extend(judge(reference, one).score for one in means[episode])
        for name, where in faults.items():
            found = [judge(reference, one) for one in means[where]]
            made.unusual[name] += [one.score for one in found]
            made.tops.update((name.split()[0], one.contributions[0].sensor) for one in found)
    return made


def another_cooling(known: Float64, other: Float64) -> tuple[float, float]:
    """Learn cycles of one level of the cooler; return the shares of others above the threshold, and rightly told."""
    reference = learned(known)
    found = [judge(reference, one) for one in other]
    right = [one.contributions[0].sensor in OF_COOLING for one in found]
    return float(np.mean([one.score > Usual().enter for one in found])), float(np.mean(right))


def _sound(labels: Int64) -> Bool:
    """Return which cycles have a sound valve and pump, whatever their cooler and accumulator."""
    return np.asarray((labels[:, LABELS.index("valve")] == 100) & (labels[:, LABELS.index("pump")] == 0))


def _alone(labels: Int64, fault: str = "", state: int = 0) -> Bool:
    """Return which cycles have this fault and no other, whatever their cooler."""
    wanted = {"valve": 100, "pump": 0, "accumulator": 130} | ({fault: state} if fault else {})
    return np.asarray(np.all([labels[:, LABELS.index(name)] == value for name, value in wanted.items()], axis=0))


def _episodes(healthy: Int64, numbers: Int64) -> list[Int64]:
    """Return the healthy cycles that were run one after the other; the first run, of hours, in four."""
    runs = np.split(healthy, np.flatnonzero(np.diff(numbers[healthy]) > 1) + 1)
    short = [run for run in runs[1:] if len(run) < COLD]
    return [
        *np.array_split(runs[0][COLD:], 4), *(run for run in runs[1:] if len(run) >= COLD),
        *(np.concatenate(short[at : at + 2]) for at in range(0, len(short), 2)),
    ]  # fmt: skip


def learned(means: Iterable[Float64]) -> CycleReference:
    """Return a reference that has these cycles."""
    reference = CycleReference()
    for one in means:
        found = judge(reference, one)
        if found.whole:
            reference.learn(found.features, found.oil)
    return reference


def _incidents(means: Float64) -> int:
    """Return how many incidents a rig's cycles open, one a minute, its first ones learned."""
    watch = CycleWatch(Usual())
    changes = [c for n, one in enumerate(means) for c in watch.take(At("rig-1", n, n * 60_000_000, n), one)]
    return len({c.id for c in changes if isinstance(c, Upsert) and c.collection == "incidents"})


def auroc(usual: list[float], unusual: list[float]) -> float:
    """Return how likely an unusual cycle scores above a usual one."""
    order = np.sort(usual)
    below = np.searchsorted(order, unusual, "left") + np.searchsorted(order, unusual, "right")
    return float(below.mean() / 2 / len(usual))
