"""Who is not judged: a sensor of whose samples too few come, for long. An incident until enough do.

A mean needs `detect.coverage_min` of its window's samples, and a sensor that never has them breaks no rule, whatever it
measures. What counts is final windows in a row, so a replay finds the same, and neither the first windows of a stream
nor the last ones are many enough.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.detect import standing
from hydrodask.detect.criteria import Criteria
from hydrodask.detect.standing import Body, Key
from hydrodask.records import Change, WindowRecord
from hydrodask.reports import STANDING

UNJUDGED = "unjudged_samples"

ENDS = 3
"""Windows of so many lengths have to be thin at least: a rig that stops and goes on leaves those of two."""

HOLE_US = 600 * US_PER_S
"""Windows before and after a hole this long are not in a row."""


@dataclass(slots=True)
class Low:
    """Thin windows in a row: how many, the starts of the first and the newest, and the incident, once there is one."""

    count: int
    first_us: int
    last_us: int
    incident: Body | None = None


class CoverageWatch:
    """What one partition of window rows says about who is not judged. Not safe for threads."""

    def __init__(self, criteria: Criteria) -> None:
        self.incidents = 0
        self._low: dict[Key, Low] = {}
        self._judge_by(criteria)

    def adopt(self, criteria: Criteria, revision: int) -> list[Change]:
        """Go over to other criteria; when these say nothing of it, all that was said is over."""
        self._judge_by(criteria)
        if self._windows:
            return []
        bodies = [low.incident for low in self._low.values() if low.incident is not None]
        self._low = {}
        return [standing.dropped(body, revision) for body in bodies]

    def take(self, row: WindowRecord, coverage: float | None, revision: int) -> list[Change]:
        """Take a row in of which so much is there; None: it is not final, known already, or not the whole window."""
        key = (row.rig, row.sensor)
        if not self._windows or coverage is None or (coverage >= self._enough and key not in self._low):
            return []
        start_us = parse_iso(row.window_start)
        if coverage >= self._enough:
            body = self._low.pop(key).incident
            return (
                [] if body is None else [standing.resolved(body, start_us + self._length_us, body["worst"], revision)]
            )
        low = self._low.get(key)
        if low is None or (low.incident is None and start_us - low.last_us > self._hole_us):
            low = self._low[key] = Low(0, start_us, start_us)
        low.count, low.last_us = low.count + 1, start_us
        if low.incident is not None:
            low.incident["worst"] = min(coverage, low.incident["worst"])
        elif low.count >= self._windows:
            low.incident = self._body(key, low, coverage)
            self.incidents += 1
            return [standing.opened(low.incident, revision)]
        return []

    def leave(self, name: str, revision: int) -> list[Change]:
        """Forget a rig of which nothing came for long; return what ends its incidents."""
        gone = [self._low.pop(key) for key in [key for key in self._low if key[0] == name]]
        return [standing.forgotten(low.incident, revision) for low in gone if low.incident is not None]

    def severities(self, rig: str, sensor: str) -> list[str]:
        """Return the severity of our incident of a sensor, if there is one."""
        low = self._low.get((rig, sensor))
        return [STANDING[UNJUDGED]] if low is not None and low.incident is not None else []

    def alarms(self) -> list[tuple[str, str, str]]:
        """Return (rig, sensor, rule) of our open incidents."""
        return [(*key, UNJUDGED) for key, low in self._low.items() if low.incident is not None]

    def snapshot(self) -> dict[str, Any]:
        """Return the state as plain values; equal records give equal bytes."""
        low = [[*key, one.count, one.first_us, one.last_us, one.incident] for key, one in sorted(self._low.items())]
        return {"incidents": self.incidents, "low": low}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.incidents = state["incidents"]
        self._low = {(rig, sensor): Low(*low) for rig, sensor, *low in state["low"]}

    def _judge_by(self, criteria: Criteria) -> None:
        after_s = criteria.unjudged_after_s
        long_s = None if after_s is None else max(after_s, ENDS * criteria.window_s)
        self._windows = 0 if long_s is None else math.ceil(long_s / criteria.slide_s)
        self._length_us = round(criteria.window_s * US_PER_S)
        self._hole_us = max(HOLE_US, self._length_us)
        self._enough, self._digest = criteria.coverage_min, criteria.digest

    def _body(self, key: Key, low: Low, coverage: float) -> Body:
        text = (
            f"{key[1]} is not judged: {coverage:.0%} of its samples come, at the rate that they name, and a mean needs "
            f"{self._enough:.0%} (detect.coverage_min): look at what loses them, or at sampling_rate_hz"
        )
        body = standing.body_of(
            key, UNJUDGED, statistic="coverage", since_us=low.first_us, opened_us=low.last_us + self._length_us,
            limit=self._enough, text=text, digest=self._digest,
        )  # fmt: skip
        return body | {"worst": coverage, "windows": low.count}
