"""What the detector without labels is worth on the UCI archive, learned from healthy cycles alone.

`python -m benchmarks.evaluation unlabelled --uci DIR` prints it.
"""

from collections import Counter
from typing import Any

import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.detect.usual.judgement import judge
from hydrodask.detect.usual.reference import Reference
from hydrodask.detect.usual.telling import At
from hydrodask.detect.usual.watch import Watch
from hydrodask.learn.features import Cycles
from hydrodask.learn.score.committee import seconds_of
from hydrodask.records import Bool, Float64, Int64, Upsert
from hydrodask.settings.model import Usual
from hydrodask.store.profiles import LABELS

FAULTS = {"valve": (73, 80, 90), "pump": (1, 2), "accumulator": (90, 100, 115)}
RIGHT = {"valve": {"PS1", "PS2", "EPS1"}, "pump": {"FS1", "EPS1", "PS1"}}

COLD = 42
"""The first cycles, a cold start like no other in the archive: learned from, and not judged."""

QUIET = ((0, 209), (732, 931), (1464, 1663))
"""Cycles, by their numbers, in which no component changes."""


def unlabelled(cycles: Cycles, labels: Int64) -> dict[str, Any]:
    """Learn from healthy cycles alone, but for one episode of them at a time, which is judged beside the faults."""
    means = seconds_of(cycles).reshape(len(cycles), len(SENSORS), -1)
    healthy = np.flatnonzero(_alone(labels))
    faults = {f"{n} {s}": np.flatnonzero(_alone(labels, n, s)) for n, states in FAULTS.items() for s in states}
    usual: list[float] = []
    scores: dict[str, list[float]] = {name: [] for name in faults}
    tops = Counter[tuple[str, bool]]()
    for episode in _episodes(healthy, cycles.cycle):
        reference = _learned(means[np.setdiff1d(healthy, episode)])
        usual += [judge(reference, one).score for one in means[episode]]
        for name, where in faults.items():
            found = [judge(reference, one) for one in means[where]]
            scores[name] += [one.score for one in found]
            kind = name.split()[0]
            tops.update((kind, one.contributions[0].sensor in RIGHT.get(kind, set())) for one in found)
    named = {kind: tops[kind, True] / (tops[kind, True] + tops[kind, False]) for kind in RIGHT}
    rows = {
        name: {"auroc": _auroc(usual, some), "recall": float((np.array(some) > Usual().enter).mean())}
        for name, some in scores.items()
    }
    stretches = [means[(cycles.cycle >= a) & (cycles.cycle <= b)] for a, b in QUIET]
    counted = sum(max(len(some) - (Usual().learn or 0), 0) for some in stretches)
    return {
        "healthy": len(usual), "largest": max(usual), "threshold": Usual().enter, "faults": rows, "right_sensor": named,
        "healthy_above": int((np.array(usual) > Usual().enter).sum()), "quiet_cycles": counted,
        "quiet_incidents": sum(map(_incidents, stretches)), "days": counted / 1440,
    }  # fmt: skip


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


def _learned(means: Float64) -> Reference:
    reference = Reference()
    for one in means:
        found = judge(reference, one)
        if found.whole:
            reference.learn(found.features, found.oil)
    return reference


def _incidents(means: Float64) -> int:
    """Return how many incidents a rig's cycles open, one a minute, its first ones learned."""
    watch = Watch(Usual())
    changes = [c for n, one in enumerate(means) for c in watch.take(At("rig-1", n, n * 60_000_000, n), one)]
    return len({c.id for c in changes if isinstance(c, Upsert) and c.collection == "incidents"})


def _auroc(usual: list[float], unusual: list[float]) -> float:
    order = np.sort(usual)
    below = np.searchsorted(order, unusual, "left") + np.searchsorted(order, unusual, "right")
    return float(below.mean() / 2 / len(usual))
