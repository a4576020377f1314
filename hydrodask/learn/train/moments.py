"""What is learned of all cycles, however many: one reading of the lake on the workers, of which sums come back.

A Gaussian committee needs of its cycles how many there are of each combination of labels, their mean, and the second
moments of all together: ten megabytes, of a thousand cycles or of a million. From these follow the centres and the
covariance of every view, and the novelty gate. What a cycle weighs in them follows from how many had oil of its
temperature, so that is read before: one sensor of 17. Choices inside of folds, temperatures and limits are made on a
sample, `LESSON_MAX` cycles, evenly of every combination: how well a combination is told that was never seen depends on
how many combinations there are, not on how often each was repeated. Parts are added in the order of the cycles: equal
lakes give equal bits, whatever worker read what.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrodask.learn import drift
from hydrodask.learn.compute import in_turn
from hydrodask.learn.data.catalogue import Catalogue
from hydrodask.learn.data.dataset import lean
from hydrodask.learn.features import MEAN, compute
from hydrodask.learn.score.committee import seconds_of
from hydrodask.learn.score.gaussian import CELLS
from hydrodask.learn.train import weighing
from hydrodask.learn.train.gaussians import Cloud, gate_of
from hydrodask.records import Float64, Int64

LESSON_MAX = 10_000
"""Cycles on which choices are made and figures are measured: all, if there are no more. 80 MB of second means."""

TASK = 10_000
"""Cycles that one task reads, `CHUNK` at a time."""

CHUNK = 2_000
"""Cycles in memory at a time: 16 MB of second means."""

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 by the golden ratio: products with it, modulo 2^64, look drawn."""

Labels = tuple[float, ...]


@dataclass(slots=True)
class Moments:
    """Sums over cycles without gaps: by labels how many, their weight and sum (1020,), and of all the second moments.

    All but the first are weighted; sums are about `shift`, a typical cycle, so that no digits are lost.
    """

    shift: Float64
    square: Float64 = field(default_factory=lambda: np.zeros((CELLS, CELLS)))
    counts: dict[Labels, int] = field(default_factory=dict)
    masses: dict[Labels, float] = field(default_factory=dict)
    sums: dict[Labels, Float64] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def take(self, seconds: Float64, labels: Float64, weights: Float64) -> "Moments":
        """Add cycles, shape (n, 1020); those that lack a second are left out."""
        there = np.isfinite(seconds).all(axis=1)
        given, rows, weights = seconds[there] - self.shift, labels[there], weights[there]
        self.square += (given.T * weights) @ given
        kinds, which = np.unique(rows, axis=0, return_inverse=True)
        for number, kind in enumerate(map(tuple, kinds.tolist())):
            of_it = which.ravel() == number
            self._add(kind, int(of_it.sum()), float(weights[of_it].sum()), weights[of_it] @ given[of_it])
        return self

    def add(self, other: "Moments") -> None:
        """Add what other cycles gave, about the same shift."""
        self.square += other.square
        for kind, count in other.counts.items():
            self._add(kind, count, other.masses[kind], other.sums[kind])

    def cloud(self, cells: Int64, key: Callable[[Float64], Int64]) -> Cloud:
        """Return how cycles lie in some cells; `key` gives the number of the centre of each row of labels."""
        labels, sums = np.array(list(self.sums)), np.stack(list(self.sums.values()))[:, cells]
        masses = np.array(list(self.masses.values()), np.float64)
        mass = masses.sum()
        mean = sums.sum(axis=0) / mass
        keys, which = np.unique(key(labels), return_inverse=True)
        each = np.bincount(which, masses)
        centres = np.stack([sums[which == number].sum(axis=0) for number in range(len(keys))]) / each[:, None] - mean
        total = self.square[np.ix_(cells, cells)] / mass - np.outer(mean, mean)
        return Cloud(self.shift[cells] + mean, total, keys, each / mass, centres)

    def gate(self) -> Any:
        """Return the novelty gate of these cycles; its noise and limits are not set yet."""
        every = self.cloud(np.arange(CELLS), lambda labels: np.zeros(len(labels), np.int64))
        return gate_of(len(self), every.mean, every.total)

    def _add(self, kind: Labels, count: int, mass: float, total: Float64) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        self.masses[kind] = self.masses.get(kind, 0.0) + mass
        self.sums[kind] = self.sums[kind] + total if kind in self.sums else total


@dataclass(slots=True)
class Read:
    """What one reading of many cycles gave.

    `seconds` (m, 1020) and `watched` (m, 34) are of the sampled ones; `lowest` and `highest` span the watched features
    of all, which weigh `weights` (n,). `digest` is one of all second means.
    """

    moments: Moments
    seconds: Float64
    watched: Float64
    lowest: Float64
    highest: Float64
    weights: Float64
    digest: str


def sample(cycles: Catalogue, most: int = LESSON_MAX) -> Int64:
    """Return the rows of at most `most` cycles, in order, evenly of every combination of labels: always the same.

    When cycles come most of the sample stays, so that a training can compare its models with those of before.
    """
    if len(cycles) <= most:
        return np.arange(len(cycles))
    kinds = np.unique(np.nan_to_num(cycles.labels, nan=-1.0), axis=0, return_inverse=True)[1].ravel()
    drawn = np.argsort(_lots(cycles), kind="stable")
    drawn = drawn[np.argsort(kinds[drawn], kind="stable")]
    sizes = np.bincount(kinds)
    rank = np.arange(len(drawn)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(drawn[np.argsort(rank, kind="stable")[:most]])


def _lots(cycles: Catalogue) -> NDArray[np.uint64]:
    """Return a number for each cycle as if by chance, by its start and number alone."""
    found = cycles.start_us.astype(np.uint64) + cycles.cycle.astype(np.uint64) * _ODD
    for _ in range(2):
        found = (found ^ (found >> np.uint64(31))) * _ODD
    return np.asarray(found ^ (found >> np.uint64(31)), np.uint64)


def read(client: Any, cycles: Catalogue, rows: Int64, say: Callable[[str], None]) -> Read:
    """Read all cycles once on the cluster, and the oil's temperature before.

    Second means come back of the sampled `rows` alone.
    """
    starts = range(0, len(cycles), TASK)
    some = [lean(cycles.take(slice(start, start + TASK))) for start in starts]
    among = sum(in_turn(client, [(_oil, (part,)) for part in some]))
    shift = np.nan_to_num(np.nanmean(seconds_of(cycles.take(slice(0, 200)).read(statistics=(MEAN,))), axis=0))
    tasks = []
    for start, part in zip(starts, some, strict=True):
        here = rows[(rows >= start) & (rows < start + TASK)] - start
        tasks.append((_part, (part, here, shift, among)))
    made, parts = Moments(shift), []
    for number, (moments, *rest) in enumerate(in_turn(client, tasks), 1):
        made.add(moments)
        parts.append(rest)
        say(f"{min(number * TASK, len(cycles)):,} of {len(cycles):,} cycles read")
    seconds, watched, lows, highs, weights, digests = zip(*parts, strict=True)
    digest = hashlib.sha256("".join(digests).encode()).hexdigest()
    lowest, highest = np.nanmin(lows, axis=0), np.nanmax(highs, axis=0)
    one, other, weighed = (np.concatenate(some) for some in (seconds, watched, weights))
    return Read(made, one, other, lowest, highest, weighed, digest)


def _oil(cycles: Catalogue) -> Int64:
    """Return how many of some cycles had oil of each temperature. One task before a reading."""
    found = np.zeros(0)
    for start in range(0, len(cycles), CHUNK):
        read_here = cycles.take(slice(start, start + CHUNK)).read(sensors=(weighing.OIL,), statistics=(MEAN,))
        found = np.concatenate([found, weighing.oil_of(seconds_of(read_here))])
    return weighing.crowd(found)


def _part(
    cycles: Catalogue, rows: Int64, shift: Float64, among: Int64
) -> tuple[Moments, Float64, Float64, Float64, Float64, Float64, str]:
    """Read some cycles, and give what comes back of them. One task of a reading."""
    made, digest = Moments(shift), hashlib.sha256()
    seconds: list[Float64] = []
    watched: list[Float64] = []
    weighed: list[Float64] = []
    spans: list[tuple[Float64, Float64]] = []
    for start in range(0, len(cycles), CHUNK):
        some = cycles.take(slice(start, start + CHUNK))
        found = some.read(statistics=(MEAN,))
        means, features = seconds_of(found), compute(found, drift.COLUMNS)
        here = rows[(rows >= start) & (rows < start + CHUNK)] - start
        seconds.append(means[here])
        watched.append(features[here])
        spans.append(_span(features))
        digest.update(means.tobytes())
        weighed.append(weighing.weights(weighing.oil_of(means), among) * np.isfinite(means).all(axis=1))
        made.take(means, some.labels, weighed[-1])
    lowest, highest = np.nanmin([low for low, _ in spans], axis=0), np.nanmax([high for _, high in spans], axis=0)
    one, other, weights = (np.concatenate(some) for some in (seconds, watched, weighed))
    return made, one, other, lowest, highest, weights, digest.hexdigest()


def _span(features: Float64) -> tuple[Float64, Float64]:
    """Return the smallest and the largest value of each feature; infinities that lose where all are missing."""
    there = np.isfinite(features)
    return np.where(there, features, np.inf).min(axis=0), np.where(there, features, -np.inf).max(axis=0)


__all__: Sequence[str] = ["LESSON_MAX", "Moments", "Read", "read", "sample"]
