"""One graph on one partition: opening it at the right place, feeding it, and what it reports."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from streamz import Stream

from hydrodask import clock
from hydrodask.errors import IntegrityError
from hydrodask.records import Messages, Outgoing
from hydrodask.reports import PartitionReport
from hydrodask.store.files import Files
from hydrodask.store.output import FileOutput
from hydrodask.stream import snapshot
from hydrodask.stream.context import Context
from hydrodask.stream.incarnation import Seam
from hydrodask.stream.refeed import cross, refeed

Found = tuple[int, dict[str, Any], list[str]]
Build = Callable[[Stream, Context], None]


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
        self._source = Stream()
        build(self._source, ctx)

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
        for opened in self.ctx.openers:
            self.notes += opened(self._snapshots, unseen)
        if state:
            offset = self._restore(offset, state)
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
        reached = self._refeed(low, committed) if kept else self.snapshot_offset
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

    def commit(self) -> None:
        """Take note that `mark` is committed, and what waited is out."""
        self.ctx.outbox.clear()
        self.ctx.changes.clear()
        self.committed, self.marked = self.mark[0], self.mark

    @property
    def durable(self) -> int:
        """Return the offset from which a restart could go on without the log before it."""
        raw = [f.position for f in self.ctx.files.values() if not f.keep and f.waiting]
        return min([self.snapshot_offset, *raw])

    @property
    def pending(self) -> int:
        """Return how many records and documents wait for the commit."""
        return len(self.ctx.outbox) + len(self.ctx.changes)

    def process(self, messages: Messages) -> None:
        """Run messages through the graph; those below `committed` quietly."""
        places = np.searchsorted(messages.offsets, (self.position, self.emitted, self.committed)).tolist()
        emitted, committed = max(places[:2]), max(places)
        for start, end in ((places[0], emitted), (emitted, committed), (committed, None)):
            part = messages.take(slice(start, end))
            if len(part):
                self.ctx.quiet = end is not None
                self._source.emit(part)
                self.position = int(part.offsets[-1]) + 1
                self._count(part)
                self.newest_ms = max(int(part.timestamps_ms.max()), self.newest_ms or 0)
                if end == emitted:
                    self._run_tickers()  # what changed so far in the replay has been published before
        self.ctx.quiet = self.position < self.committed

    def advance(self, position: int) -> None:
        """Move over a gap in the log: transaction markers, compacted records."""
        self.position = max(self.position, position)
        self.ctx.quiet = self.position < self.committed

    def lose(self, low: int) -> None:
        """Go on at `low`, where the log begins now; folders that read it again too, or it would be lost once more."""
        self.ctx.totals["lost"] += low - self.position
        self.owed = True
        self.committed, self.emitted = max(self.committed, low), max(self.emitted, low)
        for output in self.ctx.files.values():
            output.pass_over(low)
        self.advance(low)

    def tick(self, now_s: float, *, every_s: float) -> None:
        """Let nodes send what they send at intervals; not in a replay, whose changes are not all to be sent."""
        if now_s - self._ticked_at_s >= every_s * 0.9 and not self.ctx.quiet:
            self._ticked_at_s = now_s
            self._run_tickers()
            self.emitted = max(self.emitted, self.position)

    def settle(self) -> None:
        """Let nodes decide what waits for more: everything that there was has been read, of all partitions."""
        for settle in self.ctx.settlers:
            settle()

    def _run_tickers(self) -> None:
        for tick in self.ctx.tickers:
            tick(self.position)

    def roll(self, now_s: float, *, rows_max: int, age_s_max: float) -> None:
        """Write the files that are due. Raises RetryableError when the lake refuses."""
        due = [f for f in self.ctx.files.values() if f.due(now_s, rows_max=rows_max, age_s_max=age_s_max)]
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

    def due(self, now_s: float, *, every_s: float, behind_max: int) -> bool:
        """Say whether it is time for a snapshot: where raw/ has to come first, with its files and no file more."""
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
        state = {
            "flow": self.ctx.flow,
            "log": f"{self.ctx.log} {self.ctx.base}" if self.ctx.log else "",
            "ended": ended,
            "outbox": [(one.topic, one.key, one.value, one.headers, one.partition) for one in self.ctx.outbox],
            "consumed": self.consumed,
            "totals": dict(self.ctx.totals),
            "reasons": dict(self.ctx.reasons.counts),
            "nodes": {name: node.snapshot() for name, node in self.ctx.states.items()},
            "files": {name: output.snapshot(self.position) for name, output in self.ctx.files.items()},
        }
        self.owed = True
        with self.ctx.timed("snapshot"):
            self.snapshot_bytes = self._save(self.position, state)
        self.owed, self.snapshot_offset, self.snapshot_at_s = False, self.position, now_s

    def report(self, end: int) -> PartitionReport:
        """Return what people may want to know.

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
        for inspect in ctx.inspectors:
            inspect(report)
        return report

    def _refeed(self, low: int, committed: int | None) -> int:
        """Take from raw/ what lies between the snapshot and the log; return the offset that state has come to."""
        raw = [f.position for f in self.ctx.files.values() if not f.keep]
        end = min([low, *raw])
        if end <= self.snapshot_offset:
            return self.snapshot_offset
        below = self.snapshot_offset if committed is None else self.committed
        self.consumed += refeed(self.ctx, self.snapshot_offset, end, quiet_below=below, forget=self._run_tickers)
        return end

    def _count(self, messages: Messages) -> None:
        """Count the records, tombstones left out, that are not part of the restored totals."""
        self.consumed += messages.values[int(np.searchsorted(messages.offsets, self.ctx.counted)) :].full

    def _restore(self, offset: int, state: dict[str, object]) -> int:
        """Restore nodes and outputs; a snapshot that does not fit is not used, and that is said."""
        try:
            nodes: dict[str, Any] = state["nodes"]  # type: ignore[assignment]
            for name, node in self.ctx.states.items():
                older = None if name in nodes else getattr(node, "of_before", None)
                node.restore(older(nodes) if older else nodes[name])
            for name, output in self.ctx.files.items():
                output.restore(state["files"][name])  # type: ignore[index]
            self.ctx.totals.update(state["totals"])  # type: ignore[call-overload]
            self.ctx.reasons.restore(state.get("reasons", {}))  # type: ignore[arg-type]  # older ones have none
            self.consumed = state["consumed"]  # type: ignore[assignment]
        except (ValueError, KeyError, TypeError, IntegrityError) as error:
            source = f"{self.ctx.topic}-{self.ctx.partition}"
            raise IntegrityError(
                f"the snapshot of {source} at {offset} does not fit this configuration ({error}); put the "
                f"configuration back, or remove {self._snapshots.url}/{snapshot.folder_of(self.ctx.source)} to "
                "rebuild state from the log"
            ) from error
        return offset
