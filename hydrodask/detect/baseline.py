"""Robust baselines: what one statistic of one sensor of one rig usually is.

The first `warm_up` full windows give median and MAD. From then on centre and scale are
exponentially weighted, with each window's influence clipped, so the state is O(1) and an outlier
can't drag it along. A slow drift is followed: when the centre lags behind it the scale grows with
the lag, so the z-score of a steady drift settles at 0.8.
"""

from array import array
from math import copysign
from statistics import median
from typing import Any

ALPHA = 0.02
"""Weight of a new window: a memory of 50 windows, 8 minutes at a slide of 10 s."""

CLIP = 3.0
"""Largest deviation that a window may teach, in scales."""

FLOOR_BEFORE = 0.01
"""Smallest scale, as a share of the sensor's range, of criteria that were stored before it was a setting.

In the UCI archive a statistic wanders by 0.0003..0.013 of the range (median over runs of one fault combination, stable
cycles; 0.05 at the 95th percentile), and between two healthy episodes by up to 0.066 (PS5). With 0.01 the real sequence
brings 69 incidents a day while no component changes, nearly all of them jumps of hot oil to the relief valve's
pressure; with 0.05, which is `detect.baseline.floor`, one. Losing 80 % of the cooling moves CE by 0.62 of the range:
twelve floors. What is finer than that is for `detect.usual`, which knows the load cycle and the oil's temperature."""

RELEARN = 360
"""Abnormal windows in a row after which this is the new normal: an hour at a slide of 10 s."""

_MAD = 1.4826  # median absolute deviation → standard deviation of a normal distribution
_MEAN_DEVIATION = 1.2533  # mean absolute deviation → the same


class Baseline:
    """One baseline; `centre` and `scale` are its idea of normal, `floor` the smallest scale.

    Notes
    -----
    The caller freezes it while abnormal: it calls `learn` with normal values only, and `endure` for
    the others.

    >>> baseline = Baseline(floor=0.1)
    >>> for value in (1.0, 1.2, 0.8, 1.1, 0.9):
    ...     baseline.learn(value, warm_up=5)
    >>> baseline.warm, round(baseline.z(3.0), 1)
    (True, 13.5)
    """

    __slots__ = ("abnormal", "centre", "floor", "scale", "values")

    def __init__(self, *, floor: float) -> None:
        self.floor = floor
        self.values: array[float] | None = array("d")
        self.centre = 0.0
        self.scale = floor
        self.abnormal = 0

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self.values is None

    def z(self, value: float) -> float:
        """Return how many scales `value` is from the centre."""
        return (value - self.centre) / self.scale

    def learn(self, value: float, *, warm_up: int) -> None:
        """Take one normal value in."""
        self.abnormal = 0
        if self.values is None:
            deviation = value - self.centre
            if abs(deviation) > CLIP * self.scale:
                deviation = copysign(CLIP * self.scale, deviation)
            self.centre += ALPHA * deviation
            self.scale += ALPHA * (_MEAN_DEVIATION * abs(deviation) - self.scale)
            self.scale = max(self.scale, self.floor)
            return
        self.values.append(value)
        if len(self.values) >= warm_up:
            self.centre = median(self.values)
            mad = median([abs(v - self.centre) for v in self.values])
            self.scale = max(_MAD * mad, self.floor)
            self.values = None

    def endure(self) -> bool:
        """Count one abnormal window; return True once that is normal now and is learned anew."""
        self.abnormal += 1
        if self.abnormal < RELEARN:
            return False
        self.abnormal = 0
        self.values = array("d")
        return True

    def snapshot(self) -> list[Any]:
        """Return the state as plain values."""
        values = None if self.values is None else self.values.tolist()
        return [values, self.centre, self.scale, self.abnormal]

    def restore(self, state: list[Any]) -> None:
        """Take the state of a snapshot."""
        values, self.centre, self.scale, self.abnormal = state
        self.values = None if values is None else array("d", values)
