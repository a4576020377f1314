"""Drift: how differently features are distributed now from when the models were trained.

Two things are measured a feature and day. The population stability index, over ten bins that held equal shares of the
training data and one beyond each end: the sum of (share now − share then) · ln(share now / share then), where each bin
counts as if it held half a cycle more, or an empty one would say infinity. And how many cycles are beyond what the
training data held at all. The first is large by nature where a day knows one state of a rig and the training data knew
all of them, so it is the second that suggests training again: there a model extrapolates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hydrodask.learn.features import CLASSIC
from hydrodask.records import Float64, Int64

BINS = 12
"""Ten, and one beyond each end."""
COLUMNS = CLASSIC
"""The features that are watched: the mean and the deviation of each sensor."""


@dataclass(frozen=True, slots=True)
class ReferenceDistribution:
    """How the features of the training data were distributed: edges (features, 11) and counts (features, 12)."""

    edges: Float64
    counts: Int64

    @classmethod
    def of(cls, features: Float64) -> "ReferenceDistribution":
        """Return the distribution of features, shape (n, features)."""
        edges = np.nanquantile(features, np.linspace(0.0, 1.0, BINS - 1), axis=0).T
        edges[:, 0] = np.nextafter(edges[:, 0], -np.inf)  # the smallest value itself is not beyond
        return cls(np.ascontiguousarray(edges), counts(features, edges))

    def widened(self, lowest: Float64, highest: Float64, features: Float64) -> "ReferenceDistribution":
        """Return the distribution when these features are a sample, and all lie between these."""
        edges = self.edges.copy()
        edges[:, 0] = np.minimum(edges[:, 0], np.nextafter(lowest, -np.inf))
        edges[:, -1] = np.maximum(edges[:, -1], highest)
        return ReferenceDistribution(edges, counts(features, edges))

    def as_json(self) -> dict[str, list[list[float]]]:
        """Return plain values."""
        return {"edges": self.edges.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, values: Mapping[str, Sequence[Sequence[float]]]) -> "ReferenceDistribution":
        """Return what `as_json` gave."""
        return cls(np.array(values["edges"], np.float64), np.array(values["counts"], np.int64))


def counts(features: Float64, edges: Float64) -> Int64:
    """Return how many cycles are in each bin, shape (features, bins); missing values are in none."""
    found = np.zeros((len(edges), BINS), np.int64)
    if len(features) == 1:  # a stream's: one cycle at a time
        known = np.flatnonzero(np.isfinite(features[0]))
        found[known, (edges[known] < features[0, known, None]).sum(axis=1)] = 1
        return found
    for number, (row, values) in enumerate(zip(edges, features.T, strict=True)):
        places = np.searchsorted(row, values[np.isfinite(values)])
        found[number] = np.bincount(places, minlength=BINS)
    return found


def stability(now: Int64, then: Int64) -> Float64:
    """Return the population stability index of each feature.

    >>> same = np.full((1, 12), 50)
    >>> float(stability(same, same)[0])
    0.0
    """
    shares = [(c + 0.5) / (c.sum(axis=1, keepdims=True) + 0.5 * BINS) for c in (now, then)]
    return np.asarray(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum(axis=1))


@dataclass(slots=True)
class Day:
    """The cycles of one day so far: how many, and in which bins."""

    date: str = ""
    cycles: int = 0
    counts: Int64 = field(default_factory=lambda: np.zeros((len(COLUMNS), BINS), np.int64))

    def add(self, date: str, features: Float64, reference: ReferenceDistribution) -> None:
        """Take cycles in; the first of a new day begins anew, and cycles of earlier days are left out."""
        if date < self.date:
            return
        if date > self.date:
            self.date, self.cycles, self.counts = date, 0, np.zeros_like(self.counts)
        self.cycles += len(features)
        self.counts = self.counts + counts(features, reference.edges)

    def measures(self, reference: ReferenceDistribution) -> list["Drift"]:
        """Return what is known of each feature, those furthest beyond the training data first."""
        index = stability(self.counts, reference.counts)
        outside = (self.counts[:, 0] + self.counts[:, -1]) / np.maximum(self.counts.sum(axis=1), 1)
        found = [Drift(COLUMNS[i], float(index[i]), float(outside[i])) for i in range(len(COLUMNS))]
        return sorted(found, key=lambda one: (-one.outside, -one.index))


@dataclass(frozen=True, slots=True)
class Drift:
    """One feature on one day: its population stability index, and the share of cycles beyond the training data."""

    feature: str
    index: float
    outside: float
