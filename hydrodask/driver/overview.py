"""Sum the workers' reports into one overview for metrics, status and views."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hydrodask import clock
from hydrodask.records import PartitionId
from hydrodask.redaction import redacted
from hydrodask.reports import ChannelReport, FlowReport, Overview, PartitionReport, StepReport

_RATE_S = 5.0
"""The rate is that of the last so many seconds."""

_NOTES_MAX = 20
_STALLED_S = 30.0
"""A position that does not move for so long while there is something to read is stalled."""

DEAF_S = 10.0
"""A sensors' partition that nobody has read for so long keeps its rigs from being heard."""

_LOOK_S = 1.0


class StatusTracker:
    """Holds what the coordinator knows; `overview` is a copy that nobody changes, so that other threads need no lock.

    Written by one thread. The copy of many partitions is made when somebody looks, not with each report.
    """

    def __init__(self, run_id: str, started_us: int) -> None:
        self.run_id = run_id
        self._known = Overview(run_id, started_us)
        """All but the partitions; replaced whole."""
        self._partitions: dict[PartitionId, PartitionReport] = {}
        self._version = 0
        self._copy = (0, self._known)
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_records = 0
        self._moved: dict[PartitionId, tuple[int, float]] = {}
        self._went_s: dict[PartitionId, float] = {}
        """When each partition was last seen to go on."""
        self._deaf = (float("-inf"), False)

    @property
    def overview(self) -> Overview:
        """Everything that is known by now."""
        version = self._version
        if self._copy[0] != version:
            self._copy = (version, replace(self._known, partitions=self._partitions.copy()))
        return self._copy[1]

    def take(self, report: StepReport, now_s: float) -> None:
        """Add one step's report."""
        old = self._known
        stage_s = dict(old.stage_s)
        for stage, seconds in report.stage_s.items():
            stage_s[stage] = stage_s.get(stage, 0.0) + seconds
        for part in report.partitions:
            self._watch(part, now_s)
            self._partitions[part.topic, part.partition] = part
            if part.state not in ("waiting", "stalled"):
                self._went_s[part.topic, part.partition] = now_s
        self._know(
            records_per_s=self._rate(report.records, now_s),
            steps=old.steps + 1,
            stage_s=stage_s,
            commit_age_s=report.commit_age_s,
            latency_counts=[a + b for a, b in zip(old.latency_counts, report.latency_counts, strict=True)],
            latency_sum_s=old.latency_sum_s + report.latency_sum_s,
            notes=[*old.notes, *(f"{clock.iso(clock.now_us())[11:19]} {redacted(n)}" for n in report.notes)][
                -_NOTES_MAX:
            ],
        )

    def deaf(self, sources: Mapping[PartitionId, str], now_s: float) -> bool:
        """Say whether some of the sensors' partitions have not been read lately: they wait, stall, or nobody has them.

        Looked at once a second, for a step must not cost what all partitions cost.
        """
        if now_s - self._deaf[0] >= _LOOK_S:
            sensors = [source for source, flow in sources.items() if flow == "monitor"]
            deaf = [now_s - self._went_s.setdefault(source, now_s) > DEAF_S for source in sensors]
            self._deaf = (now_s, any(deaf))
        return self._deaf[1]

    def refresh(self, workers: dict[str, int], state: str) -> None:
        """Take note of who is there."""
        if workers != self._known.workers or state != self._known.state:
            self._know(workers=workers, state=state)

    def progress(self, share: float | None) -> None:
        """Take note of how much of a finite source was published."""
        if share != self._known.progress:
            self._know(progress=share)

    def guests(self, flows: tuple[FlowReport, ...]) -> None:
        """Take note of how flows from outside are doing."""
        if flows != self._known.flows:
            self._know(flows=flows)

    def channels(self, channels: tuple[ChannelReport, ...]) -> None:
        """Take note of how people are told."""
        if channels != self._known.channels:
            self._know(channels=channels)

    def note(self, text: str) -> None:
        """Add a note, unless it says what the one before says: what is tried again fails again."""
        notes, text = self._known.notes, redacted(text)
        if notes and notes[-1].partition(" ")[2] == text:
            return
        self._know(notes=[*notes, f"{clock.iso(clock.now_us())[11:19]} {text}"][-_NOTES_MAX:])

    def _know(self, **changes: Any) -> None:
        self._known = replace(self._known, **changes)
        self._version += 1

    def _rate(self, records: int, now_s: float) -> float:
        self._recent.append((now_s, records))
        self._recent_records += records
        while self._recent[0][0] < now_s - _RATE_S:
            self._recent_records -= self._recent.popleft()[1]
        began_s, first = self._recent[0]  # what came before it began is not of these seconds
        return (self._recent_records - first) / max(now_s - began_s, 1.0)

    def _watch(self, part: PartitionReport, now_s: float) -> None:
        """Mark a partition that stands still although there is something to read."""
        key = (part.topic, part.partition)
        position, since_s = self._moved.get(key, (-1, now_s))
        if part.position != position or not part.lag:
            self._moved[key] = (part.position, now_s)
        elif part.state in ("running", "catching up") and now_s - since_s > _STALLED_S:
            part.state = "stalled"
            part.advice = f"no record read for {now_s - since_s:.0f} s; look at the worker's log and the broker"
