"""Whose samples can't be used: a rig of which most come late or are dead letters, one incident for all its sensors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect import standing
from hydrodask.detect.arrivals import Arrival
from hydrodask.detect.standing import Body
from hydrodask.records import Change, RefusedRecord
from hydrodask.reports import STANDING, WHOLE_RIG

UNUSABLE = "unusable_samples"
LIMIT = 0.5
"""Share of a minute's samples."""

_MINUTE_US = 60 * US_PER_S


@dataclass(slots=True)
class _Rig:
    """The open incident of a rig, and the sensors that it is about."""

    incident: Body
    sensors: dict[str, None] = field(default_factory=dict)


class Refusals:
    """What one partition of window rows says about whose samples are refused. Not safe for threads."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.incidents = 0
        self._rigs: dict[str, _Rig] = {}

    def take(self, one: Arrival) -> list[Change]:
        """Take a record in; only those that say that samples were refused, or no more, change something."""
        row = one.row
        if not isinstance(row, RefusedRecord):
            return []
        rig = self._rigs.get(row.rig)
        if row.over_half:
            return self._refused(row, rig, one.offset)
        if rig is None or row.sensor not in rig.sensors:
            return []
        del rig.sensors[row.sensor]
        if rig.sensors:
            return []
        del self._rigs[row.rig]
        at_us = parse_iso(row.window_start)
        return [standing.resolved(rig.incident, at_us, rig.incident["worst"], one.offset)]

    def leave(self, name: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; return what ends its incident."""
        rig = self._rigs.pop(name, None)
        return [] if rig is None else [standing.forgotten(rig.incident, revision)]

    def sensors(self) -> list[tuple[str, str]]:
        """Return (rig, sensor) of those whose samples are refused; of some there may be no window at all."""
        return [(name, sensor) for name, rig in self._rigs.items() for sensor in rig.sensors]

    def severities(self, rig: str, sensor: str) -> list[str]:
        """Return the severity of our incident if a sensor has part in it."""
        found = self._rigs.get(rig)
        return [STANDING[UNUSABLE]] if found is not None and sensor in found.sensors else []

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of our open incidents."""
        return [(rig, WHOLE_RIG, UNUSABLE) for rig in self._rigs]

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records give equal bytes."""
        rigs = [[name, rig.incident, list(rig.sensors)] for name, rig in sorted(self._rigs.items())]
        return {"incidents": self.incidents, "rigs": rigs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.incidents = state["incidents"]
        self._rigs = {name: _Rig(body, dict.fromkeys(sensors)) for name, body, sensors in state["rigs"]}

    def _refused(self, row: RefusedRecord, rig: _Rig | None, revision: int) -> list[Change]:
        share = (row.late + row.dead) / (row.kept + row.late + row.dead)
        text = (
            f"{share:.0%} of the samples of {row.sensor} in a minute could not be used ({row.late:,} late, "
            f"{row.dead:,} dead letters): look at the rig's clock, and why the dead letters are"
        )
        if rig is None:
            body = self._body(row, text)
            rig = self._rigs[row.rig] = _Rig(body)
            self.incidents += 1
        elif share <= rig.incident["worst"]:
            rig.sensors[row.sensor] = None
            return []
        rig.sensors[row.sensor] = None
        rig.incident |= {"worst": share, "message": text}
        return [standing.opened(rig.incident, revision)]

    def _body(self, row: RefusedRecord, text: str) -> Body:
        since_us = parse_iso(row.window_start)
        return standing.body_of(
            (row.rig, WHOLE_RIG), UNUSABLE, statistic="refused", since_us=since_us, opened_us=since_us + _MINUTE_US,
            limit=LIMIT, text=text, digest=self.digest,
        )  # fmt: skip
