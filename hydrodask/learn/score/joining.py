"""The sensors of a cycle come together: from profiles one by one to cycles that can be scored.

A cycle is done when all 17 sensors are there, when a later one of its rig is, or when a third one begins; then it goes
out with what there is. Profiles of a cycle that went out already are missed, and counted. State is a function of the
records below `next_offset`.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.clock import parse_iso
from hydrodask.keys import Attendance
from hydrodask.learn.features import MEASURED_MIN, SEGMENTS, Cycles, without_thin
from hydrodask.records import CycleRecord, Float64

SAME_CYCLE_US = 30_000_000
"""Sensors of one cycle may begin so far apart: clocks and first samples differ."""

OPEN_MAX = 2
"""Cycles of one rig that wait for sensors."""

_NEVER = -(2**62)
_NUMBER = {sensor: number for number, sensor in enumerate(SENSORS)}


@dataclass(slots=True)
class Waiting:
    """A cycle whose sensors are coming in; `curves` has shape (17, 3, 60), NaN where nothing has come yet."""

    cycle: int
    start_us: int
    here: set[int] = field(default_factory=set)
    curves: Float64 = field(default_factory=lambda: np.full((len(SENSORS), 3, SEGMENTS), np.nan))

    @property
    def whole(self) -> bool:
        """Whether all sensors are there."""
        return len(self.here) == len(SENSORS)


@dataclass(slots=True)
class Joined:
    """A cycle that is to be scored, and which sensors it misses."""

    rig: str
    cycle: int
    start_us: int
    missing: tuple[str, ...]
    curves: Float64

    def as_cycles(self) -> Cycles:
        """Return it as a batch of one."""
        names = np.array([self.rig], object)
        return Cycles(names, np.array([self.cycle]), np.array([self.start_us]), self.curves[None])


class CycleJoiner:
    """Joins the profiles of each rig's cycles, record by record."""

    def __init__(self, silence_us: int = 0) -> None:
        self.next_offset = 0
        self.missed = 0
        self._attendance = Attendance(silence_us)
        self._open: dict[str, list[Waiting]] = {}
        self._closed_us: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._closed_us | self._open)

    def add(self, record: CycleRecord, offset: int) -> list[Joined]:
        """Take one profile and return the cycles that are done, oldest first. Raises ValueError for a bad profile."""
        if offset < self.next_offset:
            return []
        self.next_offset = offset + 1
        curves, start_us = curves_of(record), parse_iso(record.cycle_start)
        gone = self._leave(self._attendance.hear(record.rig, start_us))
        if start_us < self._closed_us.get(record.rig, _NEVER) + SAME_CYCLE_US:
            self.missed += 1
            return gone
        here = self._place(record, start_us)
        number = _NUMBER[record.sensor]
        here.curves[number] = curves
        here.here.add(number)
        return gone + self._done(record.rig, here)

    def snapshot(self) -> dict[str, Any]:
        """Return the state after `next_offset`: equal records give equal bytes."""
        waiting = {
            rig: [[w.cycle, w.start_us, sorted(w.here), w.curves[sorted(w.here)].copy()] for w in cycles]
            for rig, cycles in self._open.items()
            if cycles
        }
        return {
            "next_offset": self.next_offset,
            "missed": self.missed,
            "closed": dict(self._closed_us),
            "waiting": waiting,
            "attendance": self._attendance.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.next_offset, self.missed = state["next_offset"], state["missed"]
        self._closed_us, self._open = dict(state["closed"]), {}
        for rig, cycles in state["waiting"].items():
            for cycle, start_us, here, curves in cycles:
                waiting = Waiting(cycle, start_us, set(here))
                waiting.curves[here] = curves
                self._open.setdefault(rig, []).append(waiting)

        if "attendance" in state:
            self._attendance.restore(state["attendance"])
        else:
            self._attendance.seed(dict.fromkeys([*self._closed_us, *self._open]))

    def _leave(self, rigs: list[str]) -> list[Joined]:
        """Forget rigs of which nothing came for long; return their cycles that waited."""
        done = []
        for rig in rigs:
            self._closed_us.pop(rig, None)
            done += [_joined(rig, waiting) for waiting in self._open.pop(rig, [])]
        return done

    def _place(self, record: CycleRecord, start_us: int) -> Waiting:
        """Return the cycle that a profile belongs to, a new one if there is none."""
        cycles = self._open.get(record.rig)
        if cycles is None:
            cycles = self._open[record.rig] = []
        for waiting in cycles:
            if waiting.cycle == record.cycle and abs(waiting.start_us - start_us) < SAME_CYCLE_US:
                return waiting
        cycles.append(Waiting(record.cycle, start_us))
        cycles.sort(key=lambda waiting: (waiting.start_us, waiting.cycle))
        return next(w for w in cycles if w.cycle == record.cycle and w.start_us == start_us)

    def _done(self, rig: str, newest: Waiting) -> list[Joined]:
        cycles = self._open[rig]
        if not newest.whole and len(cycles) <= OPEN_MAX:
            return []
        count = cycles.index(newest) + 1 if newest.whole else max(0, len(cycles) - OPEN_MAX)
        done, self._open[rig] = cycles[:count], cycles[count:]
        for waiting in done:
            self._closed_us[rig] = max(waiting.start_us, self._closed_us.get(rig, _NEVER))
        return [_joined(rig, waiting) for waiting in done]


def curves_of(record: CycleRecord) -> Float64:
    """Return shape (3, 60): means, smallest and largest values, NaN in thin seconds. Raises ValueError if it is bad."""
    if record.sensor not in _NUMBER:
        raise ValueError(f"sensor {record.sensor[:40]!r} is unknown")
    lists = (record.mean, record.min, record.max)
    if not len(record.mean) == len(record.min) == len(record.max) == len(record.n) == SEGMENTS:
        raise ValueError(f"a profile has {len(record.mean)} segments; want {SEGMENTS}")
    rate_hz = record.sampling_rate_hz
    if rate_hz is None or not 0 < rate_hz < inf:
        rate_hz = CHANNELS[record.sensor].rate_hz
    curves = np.array(lists, np.float64)
    if min(record.n) >= MEASURED_MIN * rate_hz:  # no second is thin: the usual, and half of the time
        return curves
    return without_thin(curves, np.array(record.n, np.float64), rate_hz)


def _joined(rig: str, waiting: Waiting) -> Joined:
    missing = tuple(s for number, s in enumerate(SENSORS) if number not in waiting.here)
    return Joined(rig, waiting.cycle, waiting.start_us, missing, waiting.curves)
