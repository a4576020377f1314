"""A run at this moment, as its driver would see it: all well, or with a fault in each corner that pages look into."""

import math
from dataclasses import replace

from hydrodask import clock
from hydrodask.channels import CHANNELS
from hydrodask.observe.example import NOW_US, example_overview
from hydrodask.reports import Component, CycleReport, Overview, PartitionReport, Reading

RIGS = 3
SINCE_S = 1_760_000_000
"""When the counters were zero."""


def live(*, trouble: bool, now_us: int | None = None) -> Overview:
    """Return the overview of now; its counters go up with the time."""
    now = clock.now_us() if now_us is None else now_us
    overview = example_overview(RIGS, trouble=trouble)
    overview.started_us = now - 3_600_000_000
    seconds = now // 1_000_000 - SINCE_S
    for part in overview.partitions.values():
        _move(part, now, seconds, trouble=trouble)
    overview.steps = 10 * seconds
    overview.latency_counts = [0, 10 * seconds, 60 * seconds, 20 * seconds, *[0] * 11]
    if trouble:
        overview.latency_counts[11] = 10 * seconds
        overview.commit_age_s = 90.0
        overview.workers = {}
    overview.stage_s = {"poll": 0.1 * seconds, "decode": 0.02 * seconds, "windows": 0.01 * seconds}
    overview.progress = None
    return overview


def _move(part: PartitionReport, now_us: int, seconds: int, *, trouble: bool) -> None:
    """Let a partition of the example be that of now."""
    ahead_us = now_us - NOW_US
    for name in ("watermark_us", "newest_ms", "unread_ms"):
        value = getattr(part, name)
        if value is not None:
            setattr(part, name, value + (ahead_us if name.endswith("_us") else ahead_us // 1000))
    part.readings = [_waving(one, now_us) for one in part.readings]
    part.totals = {name: count * seconds for name, count in part.totals.items()}
    part.totals |= {"late": 0, "dead": 0, "lost": 0} if not trouble else {"late": seconds, "dead": seconds, "lost": 7}
    for counts in part.per_rig.values():
        counts["consumed"] = 5 * seconds
        counts["newest_ms"] = now_us // 1000 - (200_000 if trouble else 1_000)
    rigs = sorted({rig for rig, _ in part.health})
    if rigs:
        _judge(part, rigs, trouble=trouble)


def _waving(one: Reading, now_us: int) -> Reading:
    """Return a reading that goes up and down by a seventh of its span, as load does."""
    by = one.span / 7 * math.sin(now_us / 9e6)
    return replace(one, avg=one.avg + by, high=one.high + by, low=one.low + by)


def _judge(part: PartitionReport, rigs: list[str], *, trouble: bool) -> None:
    """Say what detection and models find."""
    state = {"cooler": 100, "valve": 100, "pump": 0, "accumulator": 130, "stable": 0}
    broken = {"cooler": 3, "pump": 2} if trouble else {}
    for rig in rigs:
        mine = state | (broken if rig == rigs[0] else {})
        sure = 0.4 if mine != state else 0.97
        if rig != rigs[-1]:  # which no model has judged yet
            part.components |= {(rig, name): Component(value, sure, 7, "") for name, value in mine.items()}
        part.usual[rig] = CycleReport("usual", 12.0 if trouble else 1.2, 4.5, 80 if trouble else 3)
    part.drift = {f"{name}_mean": (0.4, 0.5) if trouble else (0.02, 0.01) for name in CHANNELS}
    part.health |= {(rig, name): 100.0 for rig in rigs for name in (*state, "cycle")}
    if trouble:
        part.health[rigs[0], "cooler"] = 80.0
        part.alarms += [(rigs[0], "cooler", "component_state")]
        part.alarms += [(rigs[1], "*", "rig_silent")]
        part.silent = [(rigs[1], "*")]
    else:
        part.health = dict.fromkeys(part.health, 100.0)
        part.alarms, part.anomalies = [], {}
