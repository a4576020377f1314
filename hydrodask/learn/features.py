"""Features of load cycles: the one function that trainer and scorer share.

Takes `Cycles`, gives columns by name. A feature keeps its place in the cycle, because a mean over the cycle can't see
the valve; a `shape` is the curve within its own cycle (mean 0, deviation 1), because raw levels follow the oil's
temperature. Every feature is a function of its own cycle alone, to the last bit, however many cycles are computed
together.

    SENSOR.mean.SS       mean of second SS                        SENSOR.average     mean of the 60 means
    SENSOR.low.SS, high  smallest and largest value in second SS  SENSOR.deviation   their sample standard deviation
    SENSOR.second.SS     mean of second SS as it was measured, NaN where it was not
    SENSOR.centred.SS    mean of second SS − average
    SENSOR.shape.SS      that, divided by the curve's own deviation

A second without samples is interpolated between its neighbours while at least 45 are there; else the sensor is missing,
and all of its features are NaN. That is for training and drift: no verdict follows from it. A model is asked of a cycle
only when every second that its features need was `measured`, with `MEASURED_MIN` of its samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hydrodask.channels import SENSORS
from hydrodask.records import Float64, Int64

VERSION = 1
"""Changes when the same cycle would give other numbers; a model of another version is not used."""

SEGMENTS = 60
SEGMENTS_MIN = 45
MEASURED_MIN = 0.8
"""Share of its samples that a second needs: the mean of fewer is that of a part of it."""

_FLAT = 1e-9
MEAN, LOW, HIGH = 0, 1, 2
SECOND = "second"
"""The one kind of feature for which no gap is filled."""


@dataclass(slots=True)
class Cycles:
    """Load cycles, one a row; `curves` has shape (n, 17 sensors, mean/low/high, 60 s), NaN where nothing is known.

    `rig`, `cycle` and `start_us` have shape (n,) and say which cycle it is.
    """

    rig: NDArray[np.object_]
    cycle: Int64
    start_us: Int64
    curves: Float64
    _seconds: Float64 | None = field(default=None, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.cycle)

    def take(self, which: slice) -> "Cycles":
        """Return some of the cycles."""
        return Cycles(self.rig[which], self.cycle[which], self.start_us[which], self.curves[which])

    def seconds(self) -> Float64:
        """Return the second means, (n, 1020), NaN where nothing was measured; kept, for all models ask for them."""
        if self._seconds is None:
            self._seconds = np.ascontiguousarray(self.curves[:, :, MEAN]).reshape(len(self), -1)
        return self._seconds

    def missing(self) -> NDArray[np.bool_]:
        """Return shape (n, 17): which sensors have too few seconds to be used."""
        known = np.isfinite(self.curves[:, :, MEAN]).sum(axis=2)
        return np.asarray(known < SEGMENTS_MIN)


def columns(kind: str, sensors: Sequence[str], start: int = 0, end: int = SEGMENTS) -> tuple[str, ...]:
    """Return names of features of one kind, seconds `start` to `end` of each sensor.

    >>> columns("mean", ["PS1", "PS2"], 7, 9)
    ('PS1.mean.07', 'PS1.mean.08', 'PS2.mean.07', 'PS2.mean.08')
    """
    return tuple(f"{sensor}.{kind}.{second:02d}" for sensor in sensors for second in range(start, end))


CLASSIC: tuple[str, ...] = tuple(f"{s}.{kind}" for s in SENSORS for kind in ("average", "deviation"))
"""The 34 features of the older platform: mean and standard deviation of each sensor."""


def sensors_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the sensors that features come from, in the archive's order."""
    used = {name.partition(".")[0] for name in names}
    return tuple(sensor for sensor in SENSORS if sensor in used)


def compute(cycles: Cycles, names: Sequence[str]) -> Float64:
    """Return the features `names` of each cycle, shape (n, len(names)); those of a missing sensor are NaN."""
    made = np.full((len(cycles), len(names)), np.nan)
    if len(cycles) == 1:  # a stream's: what is done costs nothing beside how often NumPy is called
        for kind, rows, seconds, places in _plan_of_one(tuple(names)):
            curves = cycles.curves[0]
            made[0, places] = _KINDS[kind](curves if kind == SECOND else _filled(curves))[rows, seconds]
        return made
    for sensor, kind, seconds, places in _plan(tuple(names)):
        curves = cycles.curves[:, sensor]
        made[:, places] = _KINDS[kind](curves if kind == SECOND else _filled(curves))[:, seconds]
    return made


@lru_cache(maxsize=64)
def _plan_of_one(names: tuple[str, ...]) -> tuple[tuple[str, Int64, Int64, Int64], ...]:
    """Return, for each kind among `names`: it, of which sensors, which seconds, and where they go."""
    plan = _plan(names)
    found = []
    for wanted in dict.fromkeys(kind for _, kind, _, _ in plan):
        parts = [(np.full(len(places), s), seconds, places) for s, kind, seconds, places in plan if kind == wanted]
        sensors, seconds, places = (np.concatenate(part) for part in zip(*parts, strict=True))
        found.append((wanted, sensors, seconds, places))
    return tuple(found)


@lru_cache(maxsize=64)
def _plan(names: tuple[str, ...]) -> tuple[tuple[int, str, Int64, Int64], ...]:
    """Return, for each sensor and kind among `names`: its number, the kind, which seconds, and where they go."""
    wanted: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for place, name in enumerate(names):
        sensor, kind, *second = name.split(".")
        wanted.setdefault((SENSORS.index(sensor), kind), []).append((int(second[0]) if second else 0, place))
    return tuple(
        (sensor, kind, np.array([s for s, _ in pairs]), np.array([p for _, p in pairs]))
        for (sensor, kind), pairs in wanted.items()
    )


def without_thin(curves: Float64, counts: Float64, rate_hz: float) -> Float64:
    """Return curves of shape (3, 60) with NaN in seconds that have less than `MEASURED_MIN` of their samples."""
    return np.where(counts < MEASURED_MIN * rate_hz, np.nan, curves)


@lru_cache(maxsize=64)
def _needs(names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return shape (17, 60): which seconds go into features; of a whole curve all do."""
    needed = np.zeros((len(SENSORS), SEGMENTS), np.bool_)
    for sensor, kind, seconds, _ in _plan(names):
        needed[sensor, seconds if kind in _OF_A_SECOND else slice(None)] = True
    return needed


def measured(cycles: Cycles, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return shape (n,): whether every second that the features need was measured."""
    there = np.isfinite(cycles.curves[:, :, MEAN])
    return np.asarray((there | ~_needs(tuple(names))).all(axis=(1, 2)))


def gaps(cycles: Cycles, names: Sequence[str]) -> list[str]:
    """Return what the first cycle lacks for the features: `PS2 second 9`, or `CE` when nothing of it is there."""
    there = np.isfinite(cycles.curves[0, :, MEAN])
    found = []
    for number, lacking in enumerate(_needs(tuple(names)) & ~there):
        seconds = [SENSORS[number]] if lacking.any() and not there[number].any() else np.flatnonzero(lacking).tolist()
        found += [s if isinstance(s, str) else f"{SENSORS[number]} second {s}" for s in seconds]
    return found


def _filled(curves: Float64) -> Float64:
    """Return one sensor's curves, shape (n, 3, 60), contiguous, with gaps of the means interpolated."""
    curves = np.ascontiguousarray(curves)
    known = np.isfinite(curves[:, MEAN])
    counts = known.sum(axis=1)
    if counts.min(initial=SEGMENTS) == SEGMENTS:
        return curves
    curves = curves.copy()
    curves[counts < SEGMENTS_MIN] = np.nan
    seconds = np.arange(SEGMENTS)
    for row in np.flatnonzero((counts >= SEGMENTS_MIN) & (counts < SEGMENTS)):
        for statistic in curves[row]:
            there = np.isfinite(statistic)
            if there.any():
                statistic[:] = np.interp(seconds, seconds[there], statistic[there])
    return curves


def _mean(curves: Float64) -> Float64:
    return curves[:, MEAN]


def _low(curves: Float64) -> Float64:
    return curves[:, LOW]


def _high(curves: Float64) -> Float64:
    return curves[:, HIGH]


def _average(curves: Float64) -> Float64:
    return np.asarray(np.ascontiguousarray(curves[:, MEAN]).mean(axis=1, keepdims=True))


def _centred(curves: Float64) -> Float64:
    return np.ascontiguousarray(curves[:, MEAN]) - _average(curves)


def _deviation(curves: Float64) -> Float64:
    squares = (_centred(curves) ** 2).sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(squares / (SEGMENTS - 1)))


def _shape(curves: Float64) -> Float64:
    centred = _centred(curves)
    deviation = np.sqrt((centred**2).sum(axis=1, keepdims=True) / SEGMENTS)
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=~(deviation <= _FLAT)))


_OF_A_SECOND = (SECOND, "mean", "low", "high")

_KINDS = {
    SECOND: _mean,
    "mean": _mean,
    "low": _low,
    "high": _high,
    "average": _average,
    "centred": _centred,
    "deviation": _deviation,
    "shape": _shape,
}

CYCLE_KINDS = ("average", "deviation")
"""Kinds of which a sensor has one a cycle."""

SECOND_KINDS = tuple(kind for kind in _KINDS if kind not in CYCLE_KINDS)
"""Kinds of which it has one a second."""


def batches(cycles: Cycles, size: int) -> Iterator[Cycles]:
    """Give the cycles in batches of at most `size`."""
    for start in range(0, len(cycles), size):
        yield cycles.take(slice(start, start + size))
