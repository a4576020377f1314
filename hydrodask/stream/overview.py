"""Sum the workers' reports into one overview for metrics, status and views."""

from collections import deque
from dataclasses import replace

from hydrodask import clock
from hydrodask.reports import Overview, PartitionReport, StepReport

_RATE_S = 5.0
"""The rate is that of the last so many seconds."""

_NOTES_MAX = 20
_STALLED_S = 30.0
"""A position that does not move for so long while there is something to read is stalled."""


class Board:
    """Holds the newest overview; each change makes a new one, so that readers in other threads need no lock."""

    def __init__(self, run_id: str, started_us: int) -> None:
        self.overview = Overview(run_id, started_us)
        self._recent: deque[tuple[float, int]] = deque()
        self._moved: dict[tuple[str, int], tuple[int, float]] = {}

    def take(self, report: StepReport, now_s: float) -> None:
        """Add one step's report."""
        old = self.overview
        stage_s = dict(old.stage_s)
        for stage, seconds in report.stage_s.items():
            stage_s[stage] = stage_s.get(stage, 0.0) + seconds
        partitions = dict(old.partitions)
        for part in report.partitions:
            self._watch(part, now_s)
            partitions[part.topic, part.partition] = part
        self.overview = replace(
            old,
            partitions=partitions,
            records_per_s=self._rate(report.records, now_s),
            steps=old.steps + 1,
            stage_s=stage_s,
            commit_age_s=report.commit_age_s,
            latency_counts=[a + b for a, b in zip(old.latency_counts, report.latency_counts, strict=True)],
            latency_sum_s=old.latency_sum_s + report.latency_sum_s,
            notes=(old.notes + [f"{clock.iso(clock.now_us())[11:19]} {n}" for n in report.notes])[-_NOTES_MAX:],
        )

    def refresh(self, workers: dict[str, int], state: str) -> None:
        """Take note of who is there."""
        if workers != self.overview.workers or state != self.overview.state:
            self.overview = replace(self.overview, workers=workers, state=state)

    def progress(self, share: float | None) -> None:
        """Take note of how much of a finite source was published."""
        if share != self.overview.progress:
            self.overview = replace(self.overview, progress=share)

    def note(self, text: str) -> None:
        """Add a note, unless it says what the one before says: what is tried again fails again."""
        if self.overview.notes and self.overview.notes[-1].endswith(f" {text}"):
            return
        text = f"{clock.iso(clock.now_us())[11:19]} {text}"
        self.overview = replace(self.overview, notes=[*self.overview.notes, text][-_NOTES_MAX:])

    def _rate(self, records: int, now_s: float) -> float:
        self._recent.append((now_s, records))
        while self._recent[0][0] < now_s - _RATE_S:
            self._recent.popleft()
        began_s, first = self._recent[0]  # what came before it began is not of these seconds
        return (sum(n for _, n in self._recent) - first) / max(now_s - began_s, 1.0)

    def _watch(self, part: PartitionReport, now_s: float) -> None:
        """Mark a partition that stands still although there is something to read."""
        key = (part.topic, part.partition)
        position, since_s = self._moved.get(key, (-1, now_s))
        if part.position != position or not part.lag:
            self._moved[key] = (part.position, now_s)
        elif part.state in ("running", "catching up") and now_s - since_s > _STALLED_S:
            part.state = "stalled"
            part.advice = f"no record read for {now_s - since_s:.0f} s; look at the worker's log and the broker"
