"""What the nodes of one graph share: settings, where outputs wait for the commit, and who has state."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from hydrodask import clock
from hydrodask.records import Change, Outgoing, Samples
from hydrodask.reports import PartitionReport, StepReport
from hydrodask.settings import Settings
from hydrodask.store.files import Files
from hydrodask.store.lake import Lake
from hydrodask.store.output import FileOutput
from hydrodask.stream.reasons import Reasons
from hydrodask.window import Tally


class Stateful(Protocol):
    """State that is a function of the partition's records below `next_offset`, whatever their batches were."""

    next_offset: int

    def snapshot(self) -> dict[str, Any]:
        """Return the state: numbers, strings, bytes, lists, dicts, arrays. Equal records give equal bytes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a snapshot. Raises ValueError or KeyError when it does not fit."""


@dataclass(slots=True)
class Context:
    """One graph's surroundings. `quiet` is set while records are replayed whose outputs are committed already."""

    settings: Settings
    flow: str
    topic: str
    partition: int
    lake: Lake
    log: str = ""
    """The identity of the log that is read, see `ingest.identity`."""
    base: int = 0
    """Our offset of that log's first record."""
    logs: int = 1
    """How many logs the topic's name has stood for."""
    quiet: bool = False
    counted: int = 0
    """Records below this offset are in `totals` already: the offset of the snapshot that was restored."""
    tally: Tally = field(default_factory=lambda: Tally(""))
    """Who of the rigs sends what; a sensor's graph has its own."""
    outbox: list[Outgoing] = field(default_factory=list)
    """Records for the next transaction."""
    changes: list[Change] = field(default_factory=list)
    """Documents to write before the next transaction."""
    nodes: list[object] = field(default_factory=list)
    states: dict[str, Stateful] = field(default_factory=dict)
    files: dict[str, FileOutput] = field(default_factory=dict)
    tickers: list[Callable[[int], None]] = field(default_factory=list)
    """Called with the position before a commit, at most every `window.emit_every`."""
    openers: list[Callable[[Files, int], list[str]]] = field(default_factory=list)
    """Called before any state is restored, with where snapshots are and an offset: nobody has taken a record from there
    on. Each returns notes for people."""
    refeed: list[Callable[[Samples], object]] = field(default_factory=list)
    """Take samples that raw/ has, as if they had been decoded just now."""
    settlers: list[Callable[[], None]] = field(default_factory=list)
    """Called once everything that there was has been read, before a commit: what waits for more can be decided."""
    crossings: list[Callable[[int, bool], None]] = field(default_factory=list)
    """Called where another log of the topic begins, with its base: state begins anew. What is open is final if the
    second argument says that all there was of the log before has been seen, and dropped otherwise."""
    inspectors: list[Callable[[PartitionReport], None]] = field(default_factory=list)
    """Add what they know to a report."""
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Counts that are part of the state."""
    reasons: Reasons = field(default_factory=Reasons)
    """Why records are dead letters; part of the state."""
    unsettled: bool = False
    """Whether raw rows that wait can't be had from the log again: rigs were refused or have gone since."""
    notes: list[str] = field(default_factory=list)
    """What people should know of this partition, for the next report."""
    stage_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @property
    def source(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def sensor(self) -> str:
        """The sensor whose topic this is."""
        return self.topic.removeprefix(self.settings.topics.prefix)

    def hand_over(self, report: StepReport) -> None:
        """Add how long stages took, and notes, to a step's report; each is said once."""
        for stage, seconds in self.stage_s.items():
            report.stage_s[stage] = report.stage_s.get(stage, 0.0) + seconds
        report.notes += [f"{self.topic}-{self.partition}: {note}" for note in self.notes]
        self.stage_s.clear()
        self.notes.clear()

    def now_s(self) -> float:
        """Return seconds on the clock that files are aged by."""
        return clock.monotonic_s()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a stage; what it sends downstream must be outside."""
        started = clock.monotonic_s()
        try:
            yield
        finally:
            self.stage_s[stage] += clock.monotonic_s() - started
