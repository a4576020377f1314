"""The novelty gate: whether a load cycle is like anything trained on, and which sensors say that it is not.

Forty principal components of the second means of all sensors hold what rigs do; what is left over is compared with
what was left over of cycles whose combination of faults had been held out. A sensor is novel when its rest is larger
than there, over the whole cycle or in one second. Seconds that were not measured are left out of the fit.

A drift within the cycle is a shape that rigs have, too, and leaves no rest. So each sensor is also held against what
all *others* make one expect of it, by the same components: its level over the cycle, and its slope.
NumPy alone; no state.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hydrodask.channels import CYCLE_S, SENSORS
from hydrodask.learn.score.gaussian import CELLS, patterns
from hydrodask.records import Bool, Float64

APART_MAX = 4
"""Sensors that are left out one after the other to see which are novel; when the rest still is, all of them are."""

SLOPE_MIN = 30
"""Seconds of a sensor that must have been measured, to say how it drifts."""

KNOWN_MAX = 32
"""Patterns of what was measured whose matrices are kept: a quarter of a megabyte each."""

_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Gate:
    """Principal components and what they leave over; `mean`, `scale` and `noise` have shape (1020,), `axes` (1020, k).

    `rms_max` and `peak_max`, shape (17,), are what a sensor's rest may be over the cycle and in one second, in units
    of `noise`; `alone_max`, shape (17, 2), how far level and slope may be from what other sensors make one expect.
    """

    mean: Float64
    scale: Float64
    axes: Float64
    spread: Float64
    noise: Float64
    rms_max: Float64
    peak_max: Float64
    alone_max: Float64 = field(default_factory=lambda: np.full((len(SENSORS), 2), np.inf))
    _tellings: dict[bytes, Float64] = field(init=False, repr=False, compare=False, default_factory=dict)
    """By which cells were measured: what gives how far each sensor is from what others make one expect, (1020, 34)."""

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """Return what it consists of, by name."""
        return {f"{prefix}{one.name}": getattr(self, one.name) for one in fields(self) if one.init}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], prefix: str) -> "Gate":
        """Return what `arrays` gave; older ones have no `alone_max`. Raises KeyError when something else is missing."""
        there = {one.name: arrays.get(f"{prefix}{one.name}") for one in fields(cls) if one.init}
        if lost := [name for name, value in there.items() if value is None and name != "alone_max"]:
            raise KeyError(f"{prefix}{lost[0]}")
        return cls(**{name: value for name, value in there.items() if value is not None})

    def rest(self, seconds: Float64) -> Float64:
        """Return shape (n, 1020): what components do not explain, in units of `scale`; 0 where nothing was measured."""
        made = np.zeros((len(seconds), CELLS))
        units = (seconds - self.mean) / self.scale
        for rows, there in patterns(np.isfinite(units)):
            if there.all():
                made[rows] = units[rows] - units[rows] @ self.axes @ self.axes.T
                continue
            axes, given = self.axes[there], units[np.ix_(rows, there)]
            inner = axes.T @ axes + _RIDGE * np.diag(1.0 / self.spread)
            scores = np.asarray(np.linalg.solve(inner, axes.T @ given.T).T, np.float64)
            made[np.ix_(rows, np.flatnonzero(there))] = given - scores @ axes.T
        return made

    def excess(self, rest: Float64) -> Float64:
        """Return shape (n, 17): how large each sensor's rest is; more than 1 is novel."""
        units = np.abs(rest / self.noise).reshape(len(rest), len(SENSORS), CYCLE_S)
        rms = np.sqrt((units**2).mean(axis=2))
        return np.asarray(np.maximum(rms / self.rms_max, units.max(axis=2) / self.peak_max))

    def alone(self, seconds: Float64) -> Float64:
        """Return shape (n, 17, 2): how far level and slope of each sensor are from what all others make one expect.

        In units of how well they tell it; 0 for a sensor of which too little was measured.
        """
        made = np.zeros((len(seconds), 2 * len(SENSORS)))
        for rows, there in patterns(np.isfinite(seconds)):
            made[rows] = (np.where(there, seconds[rows] - self.mean, 0.0) / self.scale) @ self._telling(there)
        return np.abs(made).reshape(-1, len(SENSORS), 2)

    def _telling(self, there: Bool) -> Float64:
        """Return what gives level and slope less what others tell of them; the same sensor may be gone for long."""
        key = np.packbits(there).tobytes()
        found = self._tellings.get(key)
        if found is None:
            if len(self._tellings) >= KNOWN_MAX:
                self._tellings.clear()
            found = self._tellings[key] = self._told(there)
        return found

    def _told(self, there: Bool) -> Float64:
        """Return what `_tellings` keeps, made of these cells.

        The scores of a cycle by all sensors but one are those by all, less that one's own part: a matrix of 40 × 40 for
        each sensor, and no regression anew.
        """
        axes = np.where(there[:, None], self.axes, 0.0).reshape(len(SENSORS), CYCLE_S, -1)
        weights = _weights(there)  # (17, 60, 2)
        own = np.swapaxes(axes, 1, 2) @ axes
        without = np.linalg.inv(own.sum(axis=0) - own + _RIDGE * np.diag(1.0 / self.spread))
        by_scores = np.swapaxes(axes, 1, 2) @ weights  # (17, k, 2): what scores say of level and slope
        told = without @ by_scores
        vague = (by_scores * told).sum(axis=1) + (weights**2).sum(axis=1)
        made = -(self.axes @ np.swapaxes(told, 0, 1).reshape(self.axes.shape[1], -1)).reshape(CELLS, len(SENSORS), 2)
        for number in range(len(SENSORS)):
            made[number * CYCLE_S : (number + 1) * CYCLE_S, number] = weights[number]
        made /= np.sqrt(np.where(vague > 0.0, vague, 1.0))
        return np.asarray(np.where(there[:, None], made.reshape(CELLS, -1), 0.0))

    def _strange(self, rest: Float64, seconds: Float64) -> tuple[Float64, Float64]:
        """Return how novel each sensor is, shape (n, 17), more than 1 is: by its rest, and beside all others."""
        return self.excess(rest), (self.alone(seconds) / self.alone_max).max(axis=2)

    def strangeness(self, seconds: Float64, sensor: int) -> float:
        """Return how novel one sensor of a cycle is, shape (1020,), beside what else was measured: more than 1 is."""
        by_rest, beside = self._strange(self.rest(seconds[None]), seconds[None])
        return float(max(by_rest[0, sensor], beside[0, sensor]))

    def novel(self, seconds: Float64) -> Bool:
        """Return shape (n, 17): which sensors of each cycle are like nothing trained on.

        One sensor that is far off spoils the fit for all others: the worst is left out and the rest is looked at again.
        """
        found = np.zeros((len(seconds), len(SENSORS)), np.bool_)
        rest = self.rest(seconds)
        by_rest, beside = self._strange(rest, seconds)
        for row in np.flatnonzero((np.maximum(by_rest, beside) > 1.0).any(axis=1)):
            found[row] = self._apart(seconds[row].copy(), rest[row], by_rest[row], beside[row])
        return found

    def _apart(self, seconds: Float64, rest: Float64, by_rest: Float64, beside: Float64) -> Bool:
        """Return which sensors of one cycle are novel: by how much they vary, not by how quiet they usually are."""
        found = np.zeros(len(SENSORS), np.bool_)
        for _ in range(APART_MAX):
            loudest = (rest.reshape(len(SENSORS), CYCLE_S) ** 2).sum(axis=1) if (by_rest > 1.0).any() else beside
            found[loudest.argmax()] = True
            seconds[np.repeat(found, CYCLE_S)] = np.nan
            rest = self.rest(seconds[None])[0]
            by_rest, beside = (part[0] for part in self._strange(rest[None], seconds[None]))
            if not (np.maximum(by_rest, beside) > 1.0).any():
                return found
        return np.ones(len(SENSORS), np.bool_)

    def worst(self, seconds: Float64, sensor: int) -> tuple[int, float]:
        """Return the second in which a sensor is furthest off, and by how much in its own unit."""
        seconds = seconds.copy()
        here = slice(sensor * CYCLE_S, (sensor + 1) * CYCLE_S)
        seen = seconds[here].copy()
        seconds[here] = np.nan
        off = seen - self.told(seconds)[here]
        second = int(np.nanargmax(np.abs(off) / self.noise[here] / self.scale[here]))
        return second, float(off[second])

    def told(self, seconds: Float64) -> Float64:
        """Return shape (1020,): what the other cells of a cycle make one expect."""
        there = np.isfinite(seconds)
        axes = self.axes[there]
        given = (seconds[there] - self.mean[there]) / self.scale[there]
        scores = np.linalg.solve(axes.T @ axes + _RIDGE * np.diag(1.0 / self.spread), axes.T @ given)
        return np.asarray(self.mean + self.scale * (self.axes @ scores))


def _weights(there: Bool) -> Float64:
    """Return shape (17, 60, 2): what gives the mean and the slope of the measured seconds of each sensor.

    Two sums of as much noise each; nothing for a sensor of which less than `SLOPE_MIN` seconds were measured.
    """
    seen = there.reshape(len(SENSORS), CYCLE_S).astype(np.float64)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1.0)
    seen = np.where(count >= SLOPE_MIN, seen, 0.0)
    ramp = (np.arange(CYCLE_S) - (seen * np.arange(CYCLE_S)).sum(axis=1, keepdims=True) / count) * seen
    size = np.sqrt((ramp**2).sum(axis=1, keepdims=True))
    return np.stack([seen / count, ramp / np.maximum(size, 1.0) / np.sqrt(count)], axis=2)
