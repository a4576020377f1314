"""Whether a rig gets worse: the slope of its scores over cycles, when they will matter, and what to look at first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hydrodask.records import Float64, Int64

RECENT = 120
"""Judged cycles that a trend is made of: two hours."""

RECENT_MIN = 40
AHEAD_H_MAX = 168.0
"""Further ahead, a week, a straight line says nothing."""

_SURE = 4.0
_MAD = 1.4826  # median absolute deviation → standard deviation of a normal distribution
_US_PER_H = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Trend:
    """How a score changes: by `per_hour`, 0 when that could be chance; at the threshold `in_hours`, None: not soon."""

    per_hour: float = 0.0
    in_hours: float | None = None


def trend_of(recent: Sequence[Sequence[float]], threshold: float) -> Trend:
    """Return the trend of (time in µs, score): the median of the slopes between all pairs, which no odd cycle moves.

    >>> trend_of([[60e6 * cycle, 1.0 + cycle / 60] for cycle in range(60)], 4.0)
    Trend(per_hour=1.0, in_hours=2.016667)
    """
    if len(recent) < RECENT_MIN:
        return Trend()
    level = recent[-1][1]
    if all(one[1] == level for one in recent):
        return Trend()
    points = np.asarray(recent, np.float64)
    hours, scores = (points[:, 0] - points[-1, 0]) / _US_PER_H, points[:, 1]
    first, second, apart = _pairs(hours.tobytes())
    if not len(first):
        return Trend()
    slope = _median((scores[second] - scores[first]) / apart)
    left = scores - slope * hours
    now = _median(left)
    noise = _MAD * _median(np.abs(left - now))
    if abs(slope) * -hours[0] <= _SURE * noise + 1e-9:
        return Trend()
    in_hours = (threshold - now) / slope if slope > 0 and now < threshold else None
    soon = in_hours is not None and in_hours <= AHEAD_H_MAX
    return Trend(round(slope, 6), round(in_hours, 6) if soon and in_hours is not None else None)


@lru_cache(maxsize=8)
def _pairs(hours: bytes) -> tuple[Int64, Int64, Float64]:
    """Return all pairs of points at these times, the earlier one first, and what lies between; none if disordered.

    A rig's components share their cycles, and cycles mostly come at equal distances.
    """
    times = np.frombuffer(hours, np.float64)
    first, second = np.triu_indices(len(times), 1)
    apart = times[second] - times[first]
    return (first, second, apart) if apart.min() > 0 else (first[:0], second[:0], apart[:0])


def _median(values: Float64) -> float:
    """Return what `np.median` does of finite values, in a third of its time."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1].tolist()
    return float(low + high) / 2.0


def attention_of(score: float, threshold: float, trend: Trend, *, open_: bool, unknown: bool) -> int:
    """Return how much a rig deserves a look, 0..100: those with an open incident come first, the further off the more.

    60 to 80 with an open incident (80: four times the threshold and more), below that up to 40; 20 more when it gets
    worse and that matters within a week, or does already; at least 30 while its cycles can't be judged.

    >>> attention_of(9.0, 4.5, Trend(per_hour=0.4), open_=True, unknown=False)
    90
    """
    ratio = score / threshold if math.isfinite(score) else 0.0
    worth = 40.0 * min(ratio, 1.0)
    if open_:
        worth = 60.0 + 10.0 * min(math.log2(max(ratio, 1.0)), 2.0)
    if trend.per_hour > 0 and (open_ or trend.in_hours is not None):
        worth += 20.0
    return round(max(worth, 30.0 if unknown else 0.0))
