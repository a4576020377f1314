"""Incidents of whole rigs: one is open as long as any of the rig's sensors is a reason for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hydrodask.detect import standing
from hydrodask.detect.standing import Body
from hydrodask.records import Change
from hydrodask.reports import STANDING, WHOLE_RIG


@dataclass(slots=True)
class Open:
    """The open incident of a rig, and the sensors that it is about."""

    incident: Body
    sensors: dict[str, None] = field(default_factory=dict)


class OfRigs:
    """The open incidents of one rule, by rig. Not safe for threads."""

    RULE: ClassVar[str]

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.incidents = 0
        self._rigs: dict[str, Open] = {}

    def leave(self, name: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; return what ends its incident."""
        rig = self._rigs.pop(name, None)
        return [] if rig is None else [standing.forgotten(rig.incident, revision)]

    def severities(self, rig: str, sensor: str) -> list[str]:
        """Return the severity of our incident if a sensor has part in it."""
        found = self._rigs.get(rig)
        return [STANDING[self.RULE]] if found is not None and sensor in found.sensors else []

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of our open incidents."""
        return [(rig, WHOLE_RIG, self.RULE) for rig in self._rigs]

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records give equal bytes."""
        rigs = [[name, rig.incident, list(rig.sensors)] for name, rig in sorted(self._rigs.items())]
        return {"incidents": self.incidents, "rigs": rigs}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.incidents = state["incidents"]
        self._rigs = {name: Open(body, dict.fromkeys(sensors)) for name, body, sensors in state["rigs"]}

    def _well(self, name: str, sensor: str, at_us: int, revision: int) -> list[Change]:
        """Take note that a sensor is no reason any more: the last of them ends its rig's incident."""
        rig = self._rigs.get(name)
        if rig is None:
            return []
        rig.sensors.pop(sensor, None)
        if rig.sensors:
            return []
        del self._rigs[name]
        return [standing.resolved(rig.incident, at_us, rig.incident["worst"], revision)]
