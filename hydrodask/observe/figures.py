"""Figures that every view needs, computed from one overview. Pure: no clock, no I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hydrodask.channels import SENSORS
from hydrodask.health import BEST
from hydrodask.observe.wording import natural
from hydrodask.reports import (
    LATENCY_BUCKETS_S,
    STANDING,
    WHOLE_RIG,
    Component,
    CycleReport,
    Overview,
    PartitionReport,
    Reading,
    kind_of,
)

FINE = ("running", "catching up")
"""States of a partition that need nobody."""

STATES = (*FINE, "warning", "stalled", "waiting")
"""Every state of a partition."""

REASONS_SHOWN = 3
"""Reasons of dead letters that are shown."""

ANALYSED = "alert"
"""The flow that reads window rows; what it has consumed are the analytics messages."""


@dataclass(frozen=True)
class Figures:
    """One overview, looked at from all sides. Made once for each overview, used by each view.

    `rigs_max` limits the rigs that are told apart; the first ones in natural order are.
    """

    overview: Overview
    prefix: str = "hydraulic-"
    rigs_max: int = 20

    @cached_property
    def parts(self) -> list[PartitionReport]:
        """Partitions in order of topic and number."""
        return [self.overview.partitions[key] for key in sorted(self.overview.partitions)]

    @cached_property
    def rigs(self) -> list[str]:
        """Names of the rigs that are told apart."""
        return self._names[: self.rigs_max]

    @property
    def rigs_hidden(self) -> int:
        """How many more rigs there are."""
        keys: dict[str, int] = {}
        for part in self.parts:
            keys[part.topic] = keys.get(part.topic, 0) + part.keys
        return max(len(self._names), max(keys.values(), default=0)) - len(self.rigs)

    @cached_property
    def silent(self) -> set[tuple[str, str]]:
        """(rig, sensor) of who sends nothing any more; `WHOLE_RIG` for all of a rig."""
        return {key for part in self.parts for key in part.silent}

    def gone(self, rig: str, sensor: str) -> bool:
        """Whether nothing is known of a sensor any more: it is silent, or its rig is."""
        return (rig, WHOLE_RIG) in self.silent or (rig, sensor) in self.silent

    @cached_property
    def readings(self) -> dict[tuple[str, str], Reading]:
        """Newest reading of each rig and sensor that still sends."""
        newest: dict[tuple[str, str], Reading] = {}
        for part in self.parts:
            for reading in part.readings:
                key = (reading.rig, reading.sensor)
                if self.gone(*key):
                    continue
                if key not in newest or newest[key].end_us <= reading.end_us:
                    newest[key] = reading
        return newest

    @cached_property
    def health(self) -> dict[tuple[str, str], float]:
        """Health of each rig and part of it, 0..100: sensors, components by name, and `cycle` for its load cycles."""
        return {key: value for part in self.parts for key, value in part.health.items()}

    @cached_property
    def alarms(self) -> set[tuple[str, str, str]]:
        """What is broken now: (rig, sensor, type). Of who is silent only that is known."""
        every = {alarm for part in self.parts for alarm in part.alarms}
        here = {alarm for alarm in every if alarm[2] in STANDING or not self.gone(*alarm[:2])}
        return {alarm for alarm in here if alarm[2] == "rig_silent" or (alarm[0], WHOLE_RIG) not in self.silent}

    @cached_property
    def anomalies(self) -> dict[tuple[str, str, str], int]:
        """How often each (rig, sensor, type) was an anomaly."""
        return {key: count for part in self.parts for key, count in part.anomalies.items()}

    @cached_property
    def refused(self) -> dict[str, dict[str, int]]:
        """Samples of each rig that were late, dead, missing or in no cycle profile, and seconds that profiles lack.

        Those rigs come first of whom most were late or dead, then those whose profiles lack most.
        """
        counts: dict[str, dict[str, int]] = {}
        for part in self.parts:
            for rig, totals in part.per_rig.items():
                mine = counts.setdefault(rig, dict.fromkeys(("late", "dead", "missing", "unprofiled", "short"), 0))
                for name in mine:
                    mine[name] += totals.get(name, 0)
        return dict(sorted(counts.items(), key=_worst_first))

    @cached_property
    def labels(self) -> dict[str, dict[str, float]]:
        """Newest component labels of each rig."""
        return {rig: label for part in self.parts for rig, label in part.labels.items()}

    @cached_property
    def components(self) -> dict[str, dict[str, Component]]:
        """What the models said last of each rig's components."""
        said: dict[str, dict[str, Component]] = {}
        for part in self.parts:
            for (rig, name), one in part.components.items():
                said.setdefault(rig, {})[name] = one
        return said

    @cached_property
    def usual(self) -> dict[str, CycleReport]:
        """What was said last of each rig's load cycle, those first that deserve a look."""
        said = {rig: one for part in self.parts for rig, one in part.usual.items()}
        return dict(sorted(said.items(), key=lambda one: (-one[1].attention, natural(one[0]))))

    @cached_property
    def late(self) -> dict[str, int]:
        """Late samples of each sensor, all rigs."""
        counts = dict.fromkeys(SENSORS, 0)
        for part in self.parts:
            sensor = part.topic.removeprefix(self.prefix)
            if sensor in counts:
                counts[sensor] += part.totals.get("late", 0)
        return counts

    @cached_property
    def reasons(self) -> list[tuple[str, int]]:
        """The commonest reasons of dead letters, and how many there were of each."""
        counts: dict[str, tuple[str, int]] = {}
        for part in self.parts:
            for reason, count in part.reasons.items():
                first, before = counts.get(kind_of(reason), (reason, 0))
                counts[kind_of(reason)] = (first, before + count)
        return sorted(counts.values(), key=lambda pair: -pair[1])[:REASONS_SHOWN]

    @property
    def lag(self) -> int:
        """Records that wait to be read."""
        return sum(part.lag for part in self.parts)

    def lag_s(self, now_us: int) -> float:
        """Return how far the slowest partition is behind, in seconds of the broker's clock."""
        return max((part_lag_s(part, now_us) for part in self.parts), default=0.0)

    @property
    def delay_s(self) -> float | None:
        """How far the slowest watermark is behind its newest record, seconds; None without one."""
        delays = [delay for part in self.parts if (delay := part_delay_s(part)) is not None]
        return max(delays, default=None)

    @property
    def troubled(self) -> list[PartitionReport]:
        """Partitions that somebody should look at."""
        return [part for part in self.parts if part.state not in FINE]

    def rig_health(self, rig: str) -> float:
        """Return the health of a rig: that of its worst part, be it a sensor, a component or its load cycle."""
        return self._worst.get(rig, BEST)

    @cached_property
    def _worst(self) -> dict[str, float]:
        ordered = sorted(self.health.items(), key=lambda one: -one[1])
        return {rig: value for (rig, _), value in ordered}

    def by_rig(self, name: str, flow: str = ANALYSED) -> dict[str, int]:
        """Return one total of a flow for each rig that is told apart."""
        counts = dict.fromkeys(self.rigs, 0)
        for part in self.parts:
            for rig, totals in part.per_rig.items() if part.flow == flow else ():
                if rig in counts:
                    counts[rig] += totals.get(name, 0)
        return counts

    @cached_property
    def _names(self) -> list[str]:
        names = {rig for rig, _ in self.readings} | {rig for rig, _ in self.health}
        names |= set(self.labels) | {rig for part in self.parts for rig in part.per_rig}
        names |= set(self.components)
        return sorted(names, key=natural)


def _worst_first(one: tuple[str, dict[str, int]]) -> tuple[Any, ...]:
    rig, counts = one
    return -counts["late"] - counts["dead"], -counts["unprofiled"] - counts["short"], natural(rig)


def part_lag_s(part: PartitionReport, now_us: int) -> float:
    """Return how old the oldest record that is not read can be; 0 when there is none."""
    if not part.lag or part.unread_ms is None:
        return 0.0
    return max(0.0, now_us / 1e6 - part.unread_ms / 1e3)


def part_delay_s(part: PartitionReport) -> float | None:
    """Return how far the watermark is behind the broker's time of the newest record, seconds."""
    if part.watermark_us is None or part.newest_ms is None:
        return None
    return part.newest_ms / 1e3 - part.watermark_us / 1e6


def latency_s(counts: Sequence[int], share: float) -> float | None:
    """Return the upper bound of the bucket that holds the quantile `share`; None without records.

    >>> latency_s([0, 98, 2] + [0] * 12, 0.5), latency_s([0] * 15, 0.5)
    (0.1, None)
    """
    wanted, seen = share * sum(counts), 0
    for bound, count in zip((*LATENCY_BUCKETS_S, float("inf")), counts, strict=True):
        seen += count
        if seen and seen >= wanted:
            return bound
    return None


@dataclass
class Newest:
    """Makes `Figures` of the newest overview, and only when there is a new one.

    The overview is replaced whole, so being the same object means that nothing has changed.
    """

    overview: Callable[[], Overview]
    prefix: str
    rigs_max: int
    _last: list[Figures] = field(default_factory=list)

    def __call__(self) -> Figures:
        """Return the figures."""
        now = self.overview()
        if not self._last or self._last[0].overview is not now:
            self._last[:] = [Figures(now, self.prefix, self.rigs_max)]
        return self._last[0]


def sum_by(parts: Iterable[PartitionReport], name: str, key: Callable[[PartitionReport], str]) -> dict[str, int]:
    """Return one total summed by what `key` says."""
    sums: dict[str, int] = {}
    for part in parts:
        if name in part.totals:
            sums[key(part)] = sums.get(key(part), 0) + part.totals[name]
    return sums
