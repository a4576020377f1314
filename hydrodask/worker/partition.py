"""One graph on one partition: opening it at the right place, feeding it, and what it reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from hydrodask import clock
from hydrodask.nodes.context import Context
from hydrodask.nodes.graph import Inlet
from hydrodask.protocol import snapshot
from hydrodask.protocol.incarnation import Seam
from hydrodask.protocol.order import Build
from hydrodask.records import Change, Messages, Outgoing
from hydrodask.reports import PartitionReport, StepReport
from hydrodask.store.files import Files
from hydrodask.store.output import FileOutput
from hydrodask.worker.refeed import cross, reach, refeed
from hydrodask.worker.state import restore, state_of

Found = tuple[int, dict[str, Any], list[str]]


@dataclass(frozen=True, slots=True)
class Pending:
    """What a commit brings out of a partition, and the mark that it notes; `moved`: it is another one than before."""

    records: Sequence[Outgoing]
    changes: Sequence[Change]
    mark: tuple[int, int]
    moved: bool


class Partition:
    """A graph instance and its state. `position` is the next offset to take, `committed` the committed one.

    Records between the two are replayed quietly: they bring state and files up to date and publish nothing. `emitted`
    is the offset up to which changes of open windows have been published; it is committed with the offset, so that
    after a crash exactly those from there on are published yet.
    """

    def __init__(self, ctx: Context, build: Build, snapshots: Files) -> None:
        self.ctx = ctx
        self.position = self.committed = self.emitted = 0
        self.marked = (0, 0)
        self.snapshot_at_s = ctx.now_s()
        self.fresh, self.crossed, self.holds = True, False, False
        self.owed = False  # whether a snapshot has to be stored: it was refused, or a loss is to be remembered
        self.notes: list[str] = []
        self.state, self.advice = "running", ""
        self.newest_ms: int | None = None
        self.caught_up_ms: int | None = None
        self.consumed = self.snapshot_bytes = self.snapshot_offset = 0
        self._forgetful = ctx.settings.kafka.embedded
        self._snapshots = snapshots
        self._save = partial(snapshot.save, snapshots, ctx.source, keyring=ctx.lake.keyring)
        self._ticked_at_s = float("-inf")
        self._inlet = Inlet[Messages](ctx)
        build(self._inlet, ctx)

    def open(
        self,
        committed: int | None,
        low: int,
        emitted: int | None = None,
        *,
        begin: int | None = None,
        high: int | None = None,
        found: Found | None = None,
        floor: int = 0,
        seams: Sequence[Seam] = (),
        published: bool = True,
    ) -> int:
        """Restore the newest usable snapshot at or below `committed`, or `found`, and return the offset to read from.

        With `committed` None the newest snapshot is the committed position. Without either reading begins at `begin`,
        or at `low`, where the log does. `emitted` None: as far as `committed`. A snapshot of an earlier log is brought
        over the `seams` to the one that is read, of which there is nothing below `floor`. What waits in a snapshot for
        its commit is dropped if it is `published`. `high` is where the log ends.
        """
        offset, state, self.notes = found or snapshot.newest(self._snapshots, self.ctx.source, at_most=committed)
        self.fresh = not state
        # Who has been here before may have taken any record that there is, whatever it has committed.
        unseen = low if self.fresh and committed is None else max(committed or 0, offset, high or 0)
        for node in self.ctx.nodes:
            self.notes += node.open(self._snapshots, unseen)
        if state:
            self.consumed = restore(self.ctx, offset, state, str(self._snapshots.url))
        elif committed is None and begin is not None:
            low = max(begin, low)
        for output in self.ctx.files.values():
            output.open(max(offset, low))
            output.log = f"{self.ctx.log} {self.ctx.base}" if self.ctx.log else ""
            self.notes += [f"ignored unfinished file {path}" for path in output.unfinished()]
        self.committed = max(offset, low if committed is None else committed)
        self.emitted = self.committed if emitted is None else min(emitted, self.committed)
        self.snapshot_offset = self.ctx.counted = offset if state else low
        if not published:
            self.ctx.outbox += [Outgoing(*record) for record in state.get("outbox", [])]
        self.holds = bool(self.ctx.outbox)
        kept = state and all(seam.keeps for seam in seams)
        whole = bool(state.get("ended"))
        reached = self._refeed(low, committed, over=bool(seams), whole=whole) if kept else self.snapshot_offset
        if seams:
            reached = self.snapshot_offset = cross(self.ctx, seams, self.snapshot_offset, quiet=committed is not None)
        self.crossed = bool(seams)
        for output in self.ctx.files.values():
            output.pass_over(floor)
        self.position = min([reached, *(f.position for f in self.ctx.files.values() if not f.keep)])
        self.marked = (-1, -1) if self.crossed or self.holds else self.mark
        self.ctx.quiet = self.position < self.committed
        if state.get("ended") and not seams:  # it is not the last word any more
            self._save(offset, state | {"ended": False})
        return self.position

    @property
    def name(self) -> str:
        """Topic and partition."""
        return f"{self.ctx.topic}-{self.ctx.partition}"

    def take_notes(self) -> list[str]:
        """Return what people should know, once."""
        notes, self.notes = [f"{self.name}: {note}" for note in self.notes], []
        return notes

    @property
    def mark(self) -> tuple[int, int]:
        """Return what a commit notes: the position, and up to where open windows have been published."""
        return max(self.position, self.committed), self.emitted

    def prepare(self) -> Pending:
        """Return what the next commit brings out; none of it is let go before `done`."""
        return Pending([*self.ctx.outbox], [*self.ctx.changes], self.mark, moved=not self.settled)

    def done(self, pending: Pending) -> None:
        """Take note that what was handed out is out, and its mark committed; what came since waits for the next."""
        del self.ctx.outbox[: len(pending.records)]
        del self.ctx.changes[: len(pending.changes)]
        self.committed, self.marked = pending.mark[0], pending.mark

    @property
    def settled(self) -> bool:
        """Whether all that was taken is committed."""
        return self.marked == self.mark

    @property
    def durable(self) -> int:
        """Return the offset from which a restart could go on without the log before it."""
        raw = [f.position for f in self.ctx.files.values() if not f.keep and f.waiting]
        return min([self.snapshot_offset, *raw])

    @property
    def waiting(self) -> int:
        """Return how many records and documents wait for the commit."""
        return len(self.ctx.outbox) + len(self.ctx.changes)

    def process(self, messages: Messages) -> None:
        """Run messages through the graph: in one piece, unless a replay ends in them, or gets past the snapshot."""
        borders = (self.position, self.ctx.counted, self.emitted, self.committed)
        start, known, emitted, committed = np.searchsorted(messages.offsets, borders).tolist()
        for end in sorted({known, emitted, committed, len(messages)}):
            if start < end:
                self.ctx.known, self.ctx.quiet = end <= known, end <= committed
                self._run(messages.take(slice(start, end)))
                if end == emitted:
                    self._tick()  # what changed so far in the replay has been published before
                start = end
        self.ctx.known, self.ctx.quiet = False, self.position < self.committed

    def _run(self, messages: Messages) -> None:
        self._inlet.emit(messages)
        self.position = int(messages.offsets[-1]) + 1
        self._count(messages)
        self.newest_ms = max(int(messages.timestamps_ms.max()), self.newest_ms or 0)

    def advance(self, position: int) -> None:
        """Move over a gap in the log: transaction markers, compacted records."""
        self.position = max(self.position, position)
        self.ctx.quiet = self.position < self.committed

    def lose(self, low: int) -> None:
        """Go on at `low`, where the log begins now; folders that read it again too, or it would be lost once more."""
        self.ctx.totals["lost"] += low - self.position
        self.owed = True
        self.committed = max(self.committed, low)
        self.emitted = max(self.emitted, low) if self.emitted >= self.position else self.emitted  # windows may wait
        for output in self.ctx.files.values():
            output.pass_over(low)
        self.advance(low)

    def tick(self, now_s: float, *, every_s: float) -> None:
        """Let nodes send what they send at intervals; not in a replay, whose changes are not all to be sent."""
        if now_s - self._ticked_at_s >= every_s * 0.9 and not self.ctx.quiet:
            self._ticked_at_s = now_s
            self._tick()
            self.emitted = max(self.emitted, self.position)

    def settle(self) -> None:
        """Let nodes decide what waits for more: everything that there was has been read, of all partitions."""
        for node in self.ctx.nodes:
            node.settle()

    def _tick(self) -> None:
        for step in self.ctx.ticking:
            step.tick(self.position)

    def roll(self, now_s: float, **limits: Any) -> None:
        """Write the files that are due by the `limits` of `FileOutput.due`. Raises RetryableError."""
        due = [f for f in self.ctx.files.values() if f.due(now_s, **limits)]
        self._write([*self._first(), *due] if due else due)

    def _first(self) -> list[FileOutput]:
        """Return what has to be in files before anything that follows from it, a snapshot included.

        That is raw/, where the log goes with its broker: nothing else would give its rows back. And where rigs were
        refused or have gone since: a restart could not let in its rows as they were let in.
        """
        needed = self._forgetful or self.ctx.unsettled
        return [f for f in self.ctx.files.values() if f.waiting and not f.keep] if needed else []

    def _write(self, outputs: list[FileOutput]) -> None:
        for output in dict.fromkeys(outputs):
            with self.ctx.timed("archive"):
                output.roll(self.position)

    def stale(self, now_s: float, *, every_s: float, behind_max: int) -> bool:
        """Say whether it is time for a snapshot: where raw/ has to come first, with its files and no file more."""
        if self.holds:
            return True  # the newest has outputs that are out by now
        if self._forgetful and self.position - self.snapshot_offset >= behind_max:
            return True  # what is not in one holds the publisher back
        raw = [f.first for f in self.ctx.files.values() if not f.keep] if self._forgetful else []
        return max(raw) > self.snapshot_offset if raw else now_s - self.snapshot_at_s >= every_s

    def save(self, now_s: float, *, ended: bool = False) -> None:
        """Store a snapshot if state, commit and published changes are at one place, and a new one.

        Which open windows have changed since they were published is no part of the state.
        """
        new = self.position != self.snapshot_offset or self.holds or ended
        if self.position == self.committed == self.emitted and new:
            self._write(self._first())
            self.ctx.unsettled = False
            self.pin(now_s, ended=ended)

    def pin(self, now_s: float, *, ended: bool = False) -> None:
        """Store a snapshot of the state here and now: also the empty one that remembers where a fresh group began.

        What waits for a commit is in it. `ended`: nothing has been committed beyond it, nor will be by us.
        """
        self.holds = bool(self.ctx.outbox)
        state = state_of(self.ctx, self.position, self.consumed, ended=ended)
        self.owed = True
        with self.ctx.timed("snapshot"):
            self.snapshot_bytes = self._save(self.position, state)
        self.owed, self.snapshot_offset, self.snapshot_at_s = False, self.position, now_s

    def report(self, end: int, step: StepReport | None = None) -> PartitionReport:
        """Return what people may want to know; add how long stages took since the last time, and notes, to a `step`'s.

        The oldest record that is not read came after the newest one that is, and after the last time that all was.
        Of a topic with a record a minute the second says it, of one that is read from far behind the first.
        """
        ctx = self.ctx
        if self.position >= end:
            self.caught_up_ms = clock.now_us() // 1000
        report = PartitionReport(
            ctx.flow, ctx.topic, ctx.partition, self.state, self.advice, self.position, self.committed, self.durable,
            max(end, self.position), newest_ms=self.newest_ms, log=ctx.log, base=ctx.base,
            logs=ctx.logs,
        )  # fmt: skip
        report.unread_ms = max(filter(None, (self.newest_ms, self.caught_up_ms)), default=None)
        report.totals = dict(ctx.totals)
        report.reasons = dict(ctx.reasons.counts)
        report.totals["consumed"] = self.consumed
        report.totals["files"] = sum(f.files for f in ctx.files.values())
        report.totals["file_bytes"] = sum(f.file_bytes for f in ctx.files.values())
        for node in ctx.nodes:
            node.inspect(report)
        if step is not None:
            self.ctx.hand_over(step)
        return report

    def _refeed(self, low: int, committed: int | None, *, over: bool, whole: bool) -> int:
        """Take from raw/ what lies between the snapshot and the log (`over`: one after raw/'s); return up to where.

        `whole`: the run before ended in order.
        """
        end = reach(self.ctx, self.snapshot_offset, low, over=over, whole=whole)
        if end <= self.snapshot_offset:
            return self.snapshot_offset
        out = (self.snapshot_offset,) * 2 if committed is None else (self.emitted, self.committed)
        self.consumed += refeed(self.ctx, self.snapshot_offset, end, *out, forget=self._tick)
        return end

    def _count(self, messages: Messages) -> None:
        """Count the records, tombstones left out, that are not part of the restored totals."""
        self.consumed += messages.values[int(np.searchsorted(messages.offsets, self.ctx.counted)) :].full
