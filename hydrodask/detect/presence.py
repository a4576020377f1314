"""Where a rig and its sensors are in event time, and who of them is behind the others.

How far a sensor is, is known to a window's slide: the start of the newest window that holds samples of it. Topics are
not read at the same pace, so a sensor may be ahead of the others by hours. What it jumps over is a *hole* of the rig as
far as is known; when another sensor turns out to have been there all the time, it was only this one's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hydrodask.detect.standing import Body

NEVER = -(1 << 62)

RHYTHM = 3
"""A sensor that sends rarely is behind after so many of its own pauses."""


@dataclass(slots=True)
class Sensor:
    """`reach_us`: event time of its newest samples; `step_us`: how far the last ones brought it.

    `gap` is what it jumped over last, (from, to), as long as it may have been the rig's.
    """

    reach_us: int
    step_us: int
    heard_ms: int
    gap: list[int] | None = None
    incident: Body | None = None

    def limit_us(self, usual_us: int) -> int:
        """Return how far it may be behind."""
        return max(usual_us, RHYTHM * self.step_us)


@dataclass(slots=True)
class RigPresence:
    """`begin_us`..`reach_us` is its present run; the hole before it began at `hole_us`, the run then at `before_us`."""

    reach_us: int = NEVER
    begin_us: int = NEVER
    hole_us: int = NEVER
    before_us: int = NEVER
    heard_ms: int = 0
    stamp_ms: int = 0
    sensors: dict[str, Sensor] = field(default_factory=dict)
    incident: Body | None = None

    def behind(self, sensor: Sensor, limit_us: int) -> bool:
        """Say whether the rig has gone on for too long without a sensor."""
        return self.reach_us - max(sensor.reach_us, self.begin_us) > sensor.limit_us(limit_us)

    def advance(self, sensor: Sensor, here_us: int, limit_us: int) -> bool:
        """Bring a sensor to `here_us`; say whether the rig was there while it was not, for longer than the limit."""
        since_us, limit_us = sensor.reach_us, sensor.limit_us(limit_us)
        silent = min(self.reach_us, here_us) - max(since_us, self.begin_us) > limit_us
        if here_us - since_us > limit_us:
            sensor.gap = None if silent else [since_us, here_us]
        sensor.step_us, sensor.reach_us = here_us - since_us, here_us
        return silent

    def move(self, here_us: int, limit_us: int) -> list[str]:
        """Take note that a sensor is at `here_us`; return those whose gap turns out to have been theirs alone."""
        if here_us > self.reach_us + limit_us:
            self.before_us, self.hole_us, self.begin_us = self.begin_us, self.reach_us, here_us
        self.reach_us = max(here_us, self.reach_us)
        if not self.hole_us < here_us <= self.hole_us + limit_us:
            return []
        self.hole_us = here_us
        if self.begin_us - here_us > limit_us:
            return []
        end_us, self.begin_us, self.hole_us = self.begin_us, self.before_us, NEVER
        gaps = ((name, sensor.gap) for name, sensor in self.sensors.items() if sensor.gap is not None)
        return [name for name, (first, last) in gaps if first + limit_us < end_us <= last]

    def snapshot(self) -> list[Any]:
        """Return the state as plain values."""
        sensors = [[name, s.reach_us, s.step_us, s.heard_ms, s.gap, s.incident] for name, s in self.sensors.items()]
        run = [self.reach_us, self.begin_us, self.hole_us, self.before_us]
        return [*run, self.heard_ms, self.stamp_ms, sensors, self.incident]


def restored(state: Iterable[Any]) -> RigPresence:
    """Return a rig with the state of a snapshot."""
    reach_us, begin_us, hole_us, before_us, heard_ms, stamp_ms, sensors, incident = state
    known = {name: Sensor(*values) for name, *values in sensors}
    return RigPresence(reach_us, begin_us, hole_us, before_us, heard_ms, stamp_ms, known, incident)
