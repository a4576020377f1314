"""What moves from workers to people: a report a step, and the coordinator's overview of all of them.

Totals are part of a partition's state, so they are exact over restarts; timings are those of one step.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

LATENCY_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the end-to-end latency histogram: record published → output committed."""


WHOLE_RIG = "*"
"""Stands for the sensor in what is said of a whole rig."""

UNUSUAL_CYCLES = "unusual_cycles"
"""The rule of incidents of load cycles that are unlike a rig's own."""

STANDING = {
    "sensor_silent": "warning",
    "rig_silent": "critical",
    "unusable_samples": "critical",
    "two_partitions": "critical",
    "unjudged_samples": "warning",
    UNUSUAL_CYCLES: "warning",
}
"""Incidents that no window makes, and how bad each is. No rule of a file has one of these names."""


@dataclass(slots=True)
class Reading:
    """The window up to the newest sample of one sensor of one rig, for gauges and views: open, and not yet full."""

    rig: str
    sensor: str
    avg: float
    high: float
    low: float
    stddev: float
    count: int
    end_us: int

    @property
    def span(self) -> float:
        """Largest less smallest value."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Band:
    """What a statistic of one rig's sensor usually was when a window was judged: the baseline before it has learned.

    What is further than `enter` × `scale` from `centre` is unusual. `revision` is the offset of the window's row.
    """

    rig: str
    sensor: str
    statistic: str
    start_us: int
    centre: float
    scale: float
    enter: float
    revision: int


@dataclass(frozen=True, slots=True)
class Scored:
    """What was said of one component of a rig in one cycle, or of the cycle as a whole (`cycle`): a row of `scores/`.

    `verdict` is `nominal`, `fault` or `unknown` (of `stable` also `unstable`), of a whole cycle `learning`, `usual`,
    `unusual` or `unknown`; `severity` that of the incident that was open about it then, nothing without one. `revision`
    is the offset of the profile that completed the cycle.
    """

    rig: str
    component: str
    cycle: int
    start_us: int
    verdict: str
    severity: str
    revision: int
    state: int | None = None
    settled: int | None = None
    unit: str = ""
    probability: float | None = None
    score: float | None = None
    threshold: float | None = None
    attention: int | None = None
    why: str | None = None
    model: str | None = None
    version: int | None = None


@dataclass(slots=True)
class Component:
    """What a model said last of one component of one rig; `end` is the end of the cycle, ISO 8601.

    `severity` with its interval in the component's unit, if its states have an order; in how many hours it is worse, if
    it gets worse; `attention` 0..100.
    """

    state: int
    probability: float
    version: int
    end: str
    severity: tuple[float, float, float] | None = None
    worse_in_hours: float | None = None
    attention: int = 0


@dataclass(slots=True)
class CycleReport:
    """What was said last of one rig's load cycle as a whole: `score` (NaN: could not be judged), `attention` 0..100."""

    state: str
    score: float
    threshold: float
    attention: int


@dataclass(slots=True)
class PartitionReport:
    """One hosted partition after a step.

    `state` is `running`, `catching up`, `warning` (it goes on), `stalled` or `waiting` (a store refuses; it is being
    retried); `advice` says what to do when it is none of the first two. `position` is the next offset to read,
    `committed` the committed one, `durable` the one from which a restart could go on without the log before it, `end`
    the log's end. `totals` has the keys consumed, kept, late, dead, windows, cycles, anomalies, incidents, files,
    file_bytes, lost (those that apply). `watermark_us` is the smallest watermark of its keys.
    """

    flow: str
    topic: str
    partition: int
    state: str = "running"
    advice: str = ""
    position: int = 0
    committed: int = 0
    durable: int = 0
    end: int = 0
    log: str = ""
    base: int = 0
    logs: int = 1
    watermark_us: int | None = None
    newest_us: dict[str, int] = field(default_factory=dict)
    """Largest event time by rig, of as many rigs as `readings`."""
    newest_ms: int | None = None
    unread_ms: int | None = None
    """Since when the oldest record that is not read can have been there, if one is: see `Partition.report`."""
    keys: int = 0
    state_bytes: int = 0
    totals: dict[str, int] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    health: dict[tuple[str, str], float] = field(default_factory=dict)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)
    silent: list[tuple[str, str]] = field(default_factory=list)
    """(rig, sensor) of who sends nothing any more; `records.WHOLE_RIG` for all of a rig."""
    limits: dict[tuple[str, ...], float] = field(default_factory=dict)
    """Where a window is abnormal, by sensor, rule, statistic and severity."""
    bands: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest mean that is usual, by rig and sensor, of at most `observe.rigs_max` rigs."""
    labels: dict[str, dict[str, float]] = field(default_factory=dict)
    components: dict[tuple[str, str], Component] = field(default_factory=dict)
    """By rig and component."""
    unknown: list[tuple[str, str]] = field(default_factory=list)
    """Rig and component of which nothing is known."""
    usual: dict[str, CycleReport] = field(default_factory=dict)
    """By rig."""
    drift: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By feature: population stability index, and share of the day's cycles beyond the training data."""
    per_rig: dict[str, dict[str, int]] = field(default_factory=dict)
    """Those of `totals` that are known by rig (consumed, anomalies), of at most `observe.rigs_max` rigs."""
    anomalies: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """How often each (rig, sensor, type) was an anomaly, of the rigs in `per_rig`."""

    reasons: dict[str, int] = field(default_factory=dict)
    """How many dead letters there were by reason, each with the numbers of the first of its kind."""

    @property
    def lag(self) -> int:
        """Records between the position and the end of the log."""
        return max(0, self.end - self.position)


@dataclass(slots=True)
class StepReport:
    """One step of one worker: what it hosts, how long each stage took (s), how late its outputs were.

    `latency_counts[i]` counts records whose outputs were committed within `LATENCY_BUCKETS_S[i]` of the broker's
    timestamp (the last entry: later than all), in this step alone; `latency_sum_s` is their sum.
    `alarms` in a partition's report are (rig, sensor, type) that are active now.
    """

    worker: str
    slot: int
    generation: int
    seconds: float = 0.0
    stage_s: dict[str, float] = field(default_factory=dict)
    records: int = 0
    commit_age_s: float = 0.0
    waiting: str = ""
    """What refuses, if something does; the step then did not commit."""
    partitions: list[PartitionReport] = field(default_factory=list)
    latency_counts: list[int] = field(default_factory=list)
    latency_sum_s: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FlowReport:
    """How a flow from outside is doing: `state` as a run's, or `stalled` with what it failed at as `advice`."""

    name: str
    state: str
    advice: str = ""
    partitions: int = 0
    lag: int = 0
    totals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """How people are told through one channel: messages that wait, since when (s), and what became of those before.

    `trouble` is what keeps them from arriving now; counts are those of this run.
    """

    name: str
    kind: str
    waiting: int = 0
    oldest_s: float = 0.0
    delivered: int = 0
    failures: int = 0
    given_up: int = 0
    trouble: str = ""

    def but(self, **changes: Any) -> "ChannelReport":
        """Return the same with changes."""
        return replace(self, **changes)


@dataclass(slots=True)
class Overview:
    """Everything the coordinator knows, for metrics, `status` and the live view; replaced whole after each report."""

    run_id: str
    started_us: int
    state: str = "starting"
    workers: dict[str, int] = field(default_factory=dict)
    """Worker address → slot."""
    partitions: dict[tuple[str, int], PartitionReport] = field(default_factory=dict)
    records_per_s: float = 0.0
    steps: int = 0
    stage_s: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each stage since the start, all workers."""
    commit_age_s: float = 0.0
    latency_counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BUCKETS_S) + 1))
    latency_sum_s: float = 0.0
    notes: list[str] = field(default_factory=list)
    """The newest notes, at most 20."""
    progress: float | None = None
    """Share of a finite source that was published, 0..1."""
    flows: tuple[FlowReport, ...] = ()
    """Flows from outside; nothing of theirs is in the figures above."""
    channels: tuple[ChannelReport, ...] = ()
    """Ways in which people are told."""

    def total(self, name: str) -> int:
        """Return the sum of one total over all partitions."""
        return sum(p.totals.get(name, 0) for p in self.partitions.values())

    @property
    def records(self) -> int:
        """The sensors' records that were read; what flows read of each other comes on top in `total("consumed")`."""
        return sum(p.totals.get("consumed", 0) for p in self.partitions.values() if p.flow == "monitor")


@dataclass(slots=True)
class Pulse:
    """When the driver last did something, on the monotonic clock; None: not yet, or not any more.

    Written by the driver's thread, read by those that serve probes.
    """

    loop_s: float | None = None
    """Its event loop turned."""
    look_s: float | None = None
    """The coordinator looked at its workers."""
    step_s: float | None = None
    """A worker had finished a step, and committed."""


def kind_of(reason: str) -> str:
    """Return what reasons of dead letters have in common that differ in numbers and quoted text only.

    >>> kind_of("timestamp is 61.5 s ahead of the broker's") == kind_of("timestamp is -7 s ahead of the broker's")
    True
    """
    return re.sub(r"'[^']*'|[-+.\d]+", "#", reason)[:100]
