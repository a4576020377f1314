"""When to publish what: absolute deadlines, so that drift does not add up. Time is an argument."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from hydrodask.channels import SENSORS
from hydrodask.clock import US_PER_S
from hydrodask.records import Float64, Int64

TICK_S = 0.05
"""Records due within a tick go together: 20 wake-ups a second cost little, 100 would not."""

STAGGER_US = 50_000
"""Sensors of a rig start this far apart, so that 17 of them don't publish in the same instant."""


@dataclass(slots=True)
class Pace:
    """Deadlines of a feed whose event time `start_us` is due at `origin_s` on the monotonic clock.

    `speed` is event seconds a second, None for no limit. Whatever the speed, nothing is due before
    the system clock has reached its event time (`now_us` at `origin_s`): a feed that has caught up
    goes on at real time, because records from the future would be dead letters.

    >>> pace = Pace(speed=60.0, start_us=0, now_us=10**12, origin_s=100.0)
    >>> pace.deadlines_s(np.array([0, 60_000_000])).tolist()
    [100.0, 101.0]
    """

    speed: float | None
    start_us: int
    now_us: int
    origin_s: float

    def deadlines_s(self, send_us: Int64) -> Float64:
        """Return when each record is due, on the monotonic clock."""
        present_s = self.origin_s + (send_us - self.now_us) / US_PER_S
        if self.speed is None:
            return np.asarray(present_s)
        return np.maximum(self.origin_s + (send_us - self.start_us) / (US_PER_S * self.speed), present_s)

    def ticks(self, send_us: Int64, *, records_max: int) -> Iterator[tuple[float, slice]]:
        """Return (when, which) for runs of up to `records_max` records; `send_us` is in order.

        A record is published at the first tick at or after its deadline, never before it.
        """
        numbers = np.ceil((self.deadlines_s(send_us) - self.origin_s) / TICK_S)
        # What is overdue from the start on is one run, not one a tick of the past.
        numbers = np.maximum(numbers, 0.0)
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for first, end in pairwise(edges):
            for at in range(first, end, records_max):
                yield (
                    self.origin_s + float(numbers[at]) * TICK_S,
                    slice(at, min(end, at + records_max)),
                )


def phase_us(sensor: str, rig: str) -> int:
    """Return how long after its event time a sensor's records are sent: under 1 s, always the same.

    >>> phase_us("PS2", "rig-1") - phase_us("PS1", "rig-1")
    50000
    """
    place = SENSORS.index(sensor) if sensor in SENSORS else len(SENSORS)
    return (place * STAGGER_US + crc32(rig.encode()) % 1_000 * 1_000) % US_PER_S


def rate_error(planned_s: float, actual_s: float) -> float | None:
    """Return by which share the mean rate missed the planned one, None when nothing was planned.

    >>> rate_error(60.0, 60.03)
    -0.0005
    """
    if planned_s <= 0 or actual_s <= 0:
        return None
    return round(planned_s / actual_s - 1, 6)
