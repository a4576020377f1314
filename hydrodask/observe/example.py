"""A made-up platform to look at: for tests of views, for pictures in the documentation.

`python -m hydrodask.observe.example 80 24 view.svg` draws the live view of it.
"""

import sys
from collections.abc import Mapping
from math import sin
from pathlib import Path
from typing import Any

from rich.console import Console

from hydrodask.channels import CHANNELS, SENSORS
from hydrodask.observe.figures import Figures
from hydrodask.observe.news import DocumentWatch
from hydrodask.observe.screen import TREND_WIDTH, Scene, picture
from hydrodask.observe.terminal import Frame
from hydrodask.reports import Overview, PartitionReport, Reading

NOW_US = 1_767_225_900_000_000
"""The moment of the example: 2026-01-01T00:05:00Z."""

LINKS = {
    "page": "http://127.0.0.1:8787/hydro",
    "dashboard": "http://127.0.0.1:8787/status",
    "metrics": "http://127.0.0.1:9464/metrics",
}
PLACES = {"lake": "hydrodask-data/lake", "documents": "sqlite:///hydrodask-data/documents.sqlite"}


def example_overview(rigs: int = 1, *, trouble: bool = False, progress: float | None = None) -> Overview:
    """Return an overview of five minutes of `rigs` rigs; the first one's cooler fails."""
    names = [f"rig-{number + 1}" for number in range(rigs)]
    parts = [_monitor(sensor, names) for sensor in SENSORS]
    parts += [_alert(names), _labels(names)]
    if trouble:
        parts[0].state, parts[0].advice = (
            "stalled",
            "no record read for 40 s; look at the worker's log",
        )
        parts[1].state, parts[1].advice = "waiting", "the lake refuses: No space left on device"
        parts[0].end += 5_000
    return Overview(
        "7f3a90c2d1e4",
        NOW_US - 300_000_000,
        "running",
        {"tcp://127.0.0.1:40001": 0},
        {(part.topic, part.partition): part for part in parts},
        records_per_s=728.0 * rigs,
        steps=600,
        stage_s={"poll": 250.0, "decode": 1.25, "windows": 0.5},
        commit_age_s=0.4,
        latency_counts=[0, 10, 60, 20, 8, 2, *[0] * 9],
        latency_sum_s=25.0,
        notes=["00:04:10 found 21 partitions"],
        progress=progress,
    )


def _monitor(sensor: str, rigs: list[str]) -> PartitionReport:
    channel = CHANNELS[sensor]
    count = channel.rate_hz * 300 * len(rigs)
    part = PartitionReport("monitor", f"hydraulic-{sensor}", 0, keys=len(rigs))
    part.position = part.committed = part.durable = part.end = count
    part.watermark_us, part.newest_ms = NOW_US - 10_400_000, NOW_US // 1000 - 50
    part.unread_ms = part.newest_ms
    part.totals = {
        "consumed": count, "kept": count - 3, "late": 3 * (sensor == "PS2"), "windows": 25,
        "dead": 3 * (sensor != "PS2"), "cycles": 4, "files": 1, "file_bytes": 20_000,
    }  # fmt: skip
    middle = (channel.low + channel.high) / 2
    part.readings = [
        Reading(rig, sensor, middle, channel.high, channel.low, 1.5, 60 * channel.rate_hz, NOW_US) for rig in rigs
    ]
    return part


def _alert(rigs: list[str]) -> PartitionReport:
    part = PartitionReport("alert", "hydraulic-analytics", 0)
    part.position = part.committed = part.end = 5_000
    part.totals = {"consumed": 5_000, "kept": 5_000, "anomalies": 7, "incidents": 2}
    part.per_rig = {rig: {"consumed": 5_000 * (rig == rigs[0]), "anomalies": 7 * (rig == rigs[0])} for rig in rigs}
    for counts in part.per_rig.values():
        counts["newest_ms"] = NOW_US // 1000
    part.anomalies = {(rigs[0], "CE", "cooler_degraded"): 4, (rigs[0], "CE", "cooler_failing"): 3}
    part.health = {(rig, sensor): 100.0 for rig in rigs for sensor in SENSORS}
    part.health[rigs[0], "CE"] = 70.0
    part.health[rigs[0], "TS1"] = 90.0
    part.alarms = [(rigs[0], "CE", "cooler_degraded"), (rigs[0], "CE", "cooler_failing")]
    part.limits = {
        ("CE", "cooler_degraded", "avg", "warning"): 37.0,
        ("CE", "cooler_failing", "avg", "critical"): 23.5,
        ("TS1", "oil_warm", "avg", "warning"): 40.0,
        ("TS1", "oil_hot", "avg", "critical"): 50.0,
        ("PS1", "overpressure", "max", "critical"): 200.0,
    }
    part.bands = {(rig, sensor): (CHANNELS[sensor].low, CHANNELS[sensor].high) for rig in rigs for sensor in SENSORS}
    return part


def _labels(rigs: list[str]) -> PartitionReport:
    part = PartitionReport("labels", "hydraulic-labels", 0)
    label = {"cooler": 3.0, "valve": 100.0, "pump": 0.0, "accumulator": 130.0, "stable": 0.0}
    part.labels = {rig: dict(label) for rig in rigs}
    part.totals = {"consumed": 5, "kept": 5}
    return part


def incident(rule: str, *, resolved: bool = False, **more: object) -> dict[str, Any]:
    """Return an incident of CE on rig-1 as it is stored."""
    start = str(more.get("opened_at", "2026-01-01T00:02:30Z"))
    return {
        "_id": f"rig-1/CE/{rule}/{start}",
        "revision": 1,
        "rig": "rig-1",
        "sensor": "CE",
        "rule": rule,
        "severity": "critical",
        "status": "resolved" if resolved else "open",
        "opened_at": start,
        "resolved_at": "2026-01-01T00:04:00Z" if resolved else None,
        "provisional": False,
        "message": "cooling efficiency 21.3 %, below 23.5 %: the cooler is failing",
        **more,
    }


class ExampleDocuments:
    """A document store in a dictionary, as far as views need one; tests change `collections`."""

    def __init__(self) -> None:
        anomaly = incident("cooler_failing") | {"window_start": "2026-01-01T00:01:30Z"}
        self.collections: dict[str, list[dict[str, Any]]] = {
            "incidents": [incident("cooler_failing"), incident("cooler_degraded", resolved=True)],
            "anomalies": [anomaly],
            "status": [],
        }

    def find(
        self,
        collection: str,
        where: Mapping[str, object],
        *,
        limit: int,
        newest_first: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return documents as a store does."""
        found = [
            one for one in self.collections[collection] if all(one.get(name) == value for name, value in where.items())
        ]
        found.sort(key=lambda one: str(one["_id"]))
        if newest_first is not None:
            found.sort(key=lambda one: one[newest_first], reverse=True)
        return found[:limit]


def example_scene(rigs: int = 1, *, trouble: bool = False, progress: float | None = None) -> Scene:
    """Return what the live view would show."""
    watch = DocumentWatch(ExampleDocuments())
    watch.poll()
    overview = example_overview(rigs, trouble=trouble, progress=progress)
    trends = {("rig-1", sensor): [sin(i / 4) for i in range(TREND_WIDTH)] for sensor in SENSORS}
    return Scene(Figures(overview), watch, NOW_US, LINKS, PLACES, trends)


def draw(width: int, height: int, file: Path, **scene: Any) -> None:
    """Write the live view of the example as an SVG."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=width, height=height, file=nowhere)
        console.print(Frame(picture(example_scene(**scene), width, height)), end="")
    file.write_text(console.export_svg(title="hydrodask run"), encoding="utf-8")


if __name__ == "__main__":
    draw(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
