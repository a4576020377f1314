"""Who has stopped: a sensor whose rig goes on, and a whole rig. Each is an incident until it comes back.

A *sensor* is silent once the other sensors of its rig are `after` further in event time, and none of its rows has come
for a while. A *rig* is silent once none of its rows has come for `after`. Both hear of time only from the records of
the partition, so a replay finds the same.

Time that passes is that of the broker's timestamps, each step of it cut to `PAUSE_MS`: what a pause of the platform
itself lasted is nobody's silence. Nor does time pass while records in the partition say that not all that rigs send is
read: a store that refuses what some worker reads is no silence of the rigs that it reads for. Somebody has to make time
pass when no rig sends anything: `pending` says so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, iso, parse_iso
from hydrodask.detect import standing
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.criteria import Criteria
from hydrodask.detect.presence import RigPresence, Sensor, restored
from hydrodask.detect.standing import Body, Key
from hydrodask.records import Change, WindowRecord
from hydrodask.reports import STANDING, WHOLE_RIG

SENSOR_SILENT = "sensor_silent"
RIG_SILENT = "rig_silent"

PAUSE_MS = 25_000
"""Most that one record can make time pass, ms."""

QUIET_MS = 30_000
"""No row of a sensor has come for so long, or a quarter of the setting: it is not only read later than the others."""

LOOK_MS = 1_000
"""How often it is looked whether an overdue sensor has been quiet for long enough, ms."""


class Silence:
    """What one partition of window rows says about who has stopped.

    Notes
    -----
    Not safe for threads.
    """

    def __init__(self, criteria: Criteria) -> None:
        self.incidents = 0
        self.deaf = False
        """Whether not all that rigs send is read, as far as the partition has been told."""
        self._now_ms = 0
        self._newest_ms = -1
        self._looked_ms = 0
        self._rigs: dict[str, RigPresence] = {}
        """Those that are there, in the order in which they were heard last."""
        self._gone: dict[str, RigPresence] = {}
        self._overdue: dict[Key, None] = {}
        self._judge_by(criteria)

    def adopt(self, criteria: Criteria, revision: int) -> list[Change]:
        """Go over to other criteria; when these say nothing of silence, all that was said is over."""
        self._judge_by(criteria)
        if self._after_us is not None:
            return []
        changes = [standing.dropped(body, revision) for _, body in self._open()]
        self._rigs, self._gone, self._overdue = {}, {}, {}
        return changes

    @property
    def pending(self) -> bool:
        """Whether time alone could still change something."""
        return self._after_us is not None and bool(self._rigs)

    @property
    def overdue(self) -> bool:
        """Whether a sensor is behind its rig that may only not have been read yet."""
        return bool(self._overdue)

    def away(self, rig: str) -> bool:
        """Say whether a rig is not there: silent, forgotten, or not known yet."""
        return self._after_us is not None and rig not in self._rigs

    def take(self, one: Arrival) -> list[Change]:
        """Take a record in: a window row, final or not, or only the time."""
        if self._after_us is None or one.stamp_ms < 0:
            return []
        if self._newest_ms >= 0 and not self.deaf:
            self._now_ms += min(max(0, one.stamp_ms - self._newest_ms), PAUSE_MS)
        self._newest_ms = max(self._newest_ms, one.stamp_ms)
        self.deaf = self.deaf if one.hearing is None else not one.hearing
        changes: list[Change] = []
        if one.row is not None and one.row.sensor in CHANNELS:
            rig, changes = self._touch(one.row.rig, one.stamp_ms, one.offset)
            if isinstance(one.row, WindowRecord):  # the other kind says that the rig is there, and no more
                changes += self._heard(one.row, rig, one.offset)
        return changes + self._look(one.offset, settled=one.settled)

    def leave(self, name: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; return what ends its incidents."""
        rig = self._rigs.pop(name, None) or self._gone.pop(name, None) or RigPresence()
        bodies = [rig.incident, *(sensor.incident for sensor in rig.sensors.values())]
        return [standing.forgotten(body, revision) for body in bodies if body is not None]

    def silent(self) -> list[tuple[str, str]]:
        """Return (rig, sensor) of who is silent, in order; `WHOLE_RIG` for all of a rig."""
        return sorted(key for key, _ in self._open())

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of our open incidents."""
        return [(*key, str(body["rule"])) for key, body in self._open()]

    def severities(self, rig: str, sensor: str) -> list[str]:
        """Return the severity of each incident of ours that a sensor has part in."""
        if rig in self._gone:
            return [STANDING[RIG_SILENT]]
        found = self._rigs[rig].sensors.get(sensor) if rig in self._rigs else None
        return [STANDING[SENSOR_SILENT]] if found is not None and found.incident is not None else []

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records give equal bytes."""
        deaf = {"deaf": True} if self.deaf else {}
        return deaf | {
            "incidents": self.incidents,
            "now": [self._now_ms, self._newest_ms, self._looked_ms],
            "rigs": [[name, *rig.snapshot()] for name, rig in self._rigs.items()],
            "gone": [[name, *rig.snapshot()] for name, rig in self._gone.items()],
            "overdue": [list(key) for key in self._overdue],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.incidents, self.deaf = state["incidents"], state.get("deaf", False)
        self._now_ms, self._newest_ms, self._looked_ms = state["now"]
        self._rigs = {name: restored(rig) for name, *rig in state["rigs"]}
        self._gone = {name: restored(rig) for name, *rig in state["gone"]}
        self._overdue = dict.fromkeys((str(rig), str(sensor)) for rig, sensor in state["overdue"])

    def _judge_by(self, criteria: Criteria) -> None:
        after_s = criteria.silent_after_s
        self._after_us = None if after_s is None else round(after_s * US_PER_S)
        self._slide_us = round(criteria.slide_s * US_PER_S)
        # The first window that a sample makes is this much older than the sample.
        self._ahead_us = round(criteria.window_s * US_PER_S) - self._slide_us
        self._limit_us = (self._after_us or 0) + self._slide_us
        self._quiet_ms = min(QUIET_MS, (self._after_us or 0) // 4000)
        self._digest = criteria.digest

    def _heard(self, row: WindowRecord, rig: RigPresence, revision: int) -> list[Change]:
        """Bring a sensor, and with it its rig, to where a row shows it to be."""
        key, start_us = (row.rig, row.sensor), parse_iso(row.window_start)
        found, changes = rig.sensors.get(row.sensor), list[Change]()
        if found is None:
            here_us = start_us + self._ahead_us
            rig.sensors[row.sensor] = Sensor(here_us, self._slide_us, self._now_ms)
            return self._reach(key, rig, here_us, revision)
        found.heard_ms = self._now_ms
        if start_us > found.reach_us:
            jump = start_us > found.reach_us + self._slide_us
            here_us = start_us + self._ahead_us if jump else start_us
            changes += self._advance(key, rig, found, here_us, revision)
            changes += self._reach(key, rig, here_us, revision)
        return changes

    def _touch(self, name: str, stamp_ms: int, revision: int) -> tuple[RigPresence, list[Change]]:
        """Return a rig that was heard now; an incident that says that it is not ends."""
        one = self._rigs.pop(name, None) or self._gone.pop(name, None) or RigPresence()
        self._rigs[name] = one
        silent_ms, one.heard_ms, one.stamp_ms = one.stamp_ms, self._now_ms, max(stamp_ms, one.stamp_ms)
        if one.incident is None:
            return one, []
        body, one.incident = one.incident, None
        return one, [standing.resolved(body, stamp_ms * 1000, (stamp_ms - silent_ms) / 1e3, revision)]

    def _advance(self, key: Key, rig: RigPresence, sensor: Sensor, here_us: int, revision: int) -> list[Change]:
        """Bring a sensor to `here_us`: what was silence ends, or is said now if nobody has seen it while it lasted."""
        body, since_us = sensor.incident, sensor.reach_us
        gap = here_us - since_us > sensor.limit_us(self._limit_us)
        silent = rig.advance(sensor, here_us, self._limit_us)
        self._overdue.pop(key, None)
        sensor.incident = None
        if body is not None and not gap:
            return [standing.withdrawn(body, revision)]  # it was there, and only read late
        if body is None and not silent:
            return []
        sensor.gap = None
        return [
            standing.resolved(
                body or self._sensor_body(key, since_us), here_us, standing.seconds(here_us - since_us), revision
            )
        ]

    def _reach(self, key: Key, rig: RigPresence, here_us: int, revision: int) -> list[Change]:
        """Bring a rig to where one of its sensors is, and see who has stayed behind, or was away alone."""
        ahead, begin_us = here_us > rig.reach_us, rig.begin_us
        changes: list[Change] = []
        for name in rig.move(here_us, self._limit_us):
            first_us, last_us = rig.sensors[name].gap or (0, 0)
            rig.sensors[name].gap = None
            past = self._sensor_body((key[0], name), first_us)
            changes.append(standing.resolved(past, last_us, standing.seconds(last_us - first_us), revision))
        for sensor in rig.sensors if ahead or rig.begin_us < begin_us else key[1:]:
            if rig.sensors[sensor].incident is None and rig.behind(rig.sensors[sensor], self._limit_us):
                self._overdue[key[0], sensor] = None
        return changes

    def _look(self, revision: int, *, settled: bool = False) -> list[Change]:
        """Open what is due by now."""
        if not settled and self._now_ms - self._looked_ms < LOOK_MS:
            return []
        self._looked_ms = self._now_ms
        changes: list[Change] = []
        for key in list(self._overdue):
            changes += self._look_at(key, revision, settled=settled)
        after_ms = (self._after_us or 0) // 1000
        for name, rig in list(_heard_before(self._rigs, self._now_ms - after_ms)):
            del self._rigs[name]
            self._gone[name] = rig
            rig.incident = self._rig_body(name, rig)
            changes.append(standing.opened(rig.incident, revision))
            self.incidents += 1
        return changes

    def _look_at(self, key: Key, revision: int, *, settled: bool) -> list[Change]:
        """Open the incident of an overdue sensor, unless it is only not read yet."""
        rig = self._rigs.get(key[0])
        sensor = None if rig is None else rig.sensors.get(key[1])
        if rig is None or sensor is None or sensor.incident is not None or not rig.behind(sensor, self._limit_us):
            del self._overdue[key]
            return []
        if not settled and self._now_ms - sensor.heard_ms < self._quiet_ms:
            return []
        del self._overdue[key]
        sensor.incident = self._sensor_body(key, sensor.reach_us)
        self.incidents += 1
        return [standing.opened(sensor.incident, revision)]

    def _sensor_body(self, key: Key, since_us: int) -> Body:
        text = f"{key[1]} has sent nothing since {iso(since_us + self._slide_us)}, and its rig goes on"
        return self._body(key, SENSOR_SILENT, since_us, text)

    def _rig_body(self, name: str, rig: RigPresence) -> Body:
        at_us = rig.stamp_ms * 1000
        text = f"the rig has sent nothing that can be used since {iso(at_us)} (the broker's time)"
        return self._body((name, WHOLE_RIG), RIG_SILENT, at_us, text)

    def _body(self, key: Key, rule: str, since_us: int, text: str) -> Body:
        after_us = self._after_us or 0
        return standing.body_of(
            key, rule, statistic="silence", since_us=since_us, opened_us=since_us + after_us,
            limit=standing.seconds(after_us), text=text, digest=self._digest,
        )  # fmt: skip

    def _open(self) -> Iterator[tuple[Key, Body]]:
        for name, rig in (*self._rigs.items(), *self._gone.items()):
            if rig.incident is not None:
                yield (name, WHOLE_RIG), rig.incident
            for sensor, one in rig.sensors.items():
                if one.incident is not None:
                    yield (name, sensor), one.incident


def _heard_before(rigs: Mapping[str, RigPresence], limit_ms: int) -> Iterator[tuple[str, RigPresence]]:
    """Yield the rigs that were heard before `limit_ms`; those that were heard last come first in `rigs`."""
    for name, rig in rigs.items():
        if rig.heard_ms >= limit_ms:
            return
        yield name, rig
