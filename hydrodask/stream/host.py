"""A worker's step: make the hosted partitions equal the order, poll, run the graphs, commit, report."""

import logging
from contextlib import ExitStack

from hydrodask import clock
from hydrodask.errors import FatalError, RetryableError, StartOverError
from hydrodask.failpoints import failpoint
from hydrodask.ingest.reader import Source
from hydrodask.records import Messages
from hydrodask.reports import LATENCY_BUCKETS_S, StepReport
from hydrodask.store.documents import Documents
from hydrodask.store.lake import Lake
from hydrodask.store.topics import Transactions
from hydrodask.stream.context import Context
from hydrodask.stream.failures import Failures
from hydrodask.stream.latency import Latencies
from hydrodask.stream.order import Order
from hydrodask.stream.outlets import Outlets
from hydrodask.stream.ownership import Ownership
from hydrodask.stream.partition import Partition
from hydrodask.stream.surroundings import REAL, Surroundings
from hydrodask.stream.warm import warm_up

log = logging.getLogger(__name__)

PENDING_MAX = 200_000
"""Outputs that may wait for a commit before a step stops polling."""


class Host:
    """Everything that a slot holds on a worker, for one generation of it."""

    def __init__(self, order: Order, *, surroundings: Surroundings = REAL, failures: Failures | None = None) -> None:
        """`failures` is what graphs failed at before this host. When this raises, nothing is held any more."""
        self.run_id, self.generation = order.run_id, order.generation
        self.settings = order.settings
        self.partitions: dict[Source, Partition] = {}
        self._order = order
        self._failures = failures or Failures(order.settings.step.patience)
        warm_up()
        self._surroundings = surroundings
        self._snapshots = surroundings.files(order.settings.snapshots_url)
        self._documents: Documents | None = None
        self._committed_at_s = clock.monotonic_s()
        self._refused_since_s: float | None = None
        self._latencies = Latencies()
        self._outlets = Outlets(order.settings.kafka, surroundings.identities, order.settings.step.patience)
        self._report = self._new_report()
        with ExitStack() as held:
            self._transactions = self._own(order, held)
            self._reader = surroundings.reader(order.settings.kafka, base=order.base)
            held.callback(self._reader.close)
            self._lake = Lake(order.settings.lake_url, connect=surroundings.files)
            self._held = held.pop_all()

    def step(self, order: Order) -> StepReport:
        """Do one step and return its report. Raises FatalError, IntegrityError and StartOverError: all end the host."""
        started_s = clock.monotonic_s()
        self._order, self.settings, self._report = order, order.settings, self._new_report()
        try:
            self._reconcile()
            if order.mode != "greet":
                self._work(started_s + self.settings.step.trigger)
            if order.mode in {"flush", "stop"}:
                self._flush()
                self._get_through()
        except StartOverError:
            raise
        except RetryableError as error:
            self._wait(error)
        report = self._finish(started_s)
        if order.mode == "stop" and not report.waiting:
            self.close()
        return report

    def close(self) -> None:
        """Let go of everything without committing."""
        self.partitions.clear()
        self._held.close()

    def _own(self, order: Order, held: ExitStack) -> Transactions:
        """Initialise the slot. Raises FencedError when it is not, or no more, this generation's to initialise."""
        ownership = Ownership(self._snapshots, order.settings.kafka.group)
        if order.run:
            ownership.use(order.slot)
        transactions = self._surroundings.transactions(order.settings, order.slot, self._snapshots)
        held.callback(transactions.close)
        failpoint("open.initialised")
        if order.run:
            ownership.check(order.run, order.generation)
        return transactions

    def _reconcile(self) -> None:
        """Make what is hosted equal the order: close first, so that nothing is committed twice."""
        gone = [source for source in self.partitions if source not in self._order.sources]
        if gone:
            self._commit(emit_every_s=0.0)
            for source in gone:
                failpoint("close.committed")
                self._save(self.partitions[source])
                self._reader.unassign(source)
                del self.partitions[source]
                failpoint("close.done")
        started_s = clock.monotonic_s()
        for source in self._order.sources:
            if source not in self.partitions:
                self._open(source)
                if clock.monotonic_s() - started_s > self.settings.step.time_max / 2:
                    break  # the next step opens the rest: one that takes too long is given up, with all that it opened
        for source in self.partitions:
            if not self._reader.reads(source):
                self._reposition(source)

    def _open(self, source: Source) -> None:
        started_s = clock.monotonic_s()
        failpoint("open.begun")
        flow = self._order.sources[source]
        low, high = self._reader.bounds(source)
        embedded = self.settings.kafka.embedded
        committed, emitted = (None, None) if embedded else self._reader.committed(source, self._transactions.settle)
        latest = not embedded and self.settings.kafka.start == "latest" and source not in self._order.newcomers
        ctx = Context(self.settings, flow, *source, self._lake)
        partition = Partition(ctx, self._order.builds[flow], self._snapshots)
        first = self._order.base if embedded else low
        position = partition.open(committed, first, emitted, begin=high if latest else None, high=high)
        failpoint("open.restored")
        pinned = committed is None and partition.fresh
        if self._order.base <= position < low:
            self._lose(partition, position, low)
            pinned = committed is None or low <= committed  # or another crash would forget what is lost
        self._check_end(source, partition.position, high)
        if pinned:
            partition.pin(started_s)
            failpoint("open.pinned")
        self._reader.assign(source, partition.position)
        self.partitions[source] = partition
        failpoint("open.assigned")
        self._report.notes += [f"{source[0]}-{source[1]}: {note}" for note in partition.notes]

    def _reposition(self, source: Source) -> None:
        """Read a partition that is hosted and not read: on from its position, or from where the log begins now."""
        partition = self.partitions[source]
        low, high = self._reader.bounds(source)
        self._check_end(source, partition.position, high)
        if partition.position < low:
            self._lose(partition, partition.position, low)
        self._reader.assign(source, partition.position)

    def _lose(self, partition: Partition, position: int, low: int) -> None:
        """Say, count and survive (or not) that the log has lost records."""
        name = f"{partition.ctx.topic}-{partition.ctx.partition}"
        what = f"{name}: offsets {position} to {low} are gone from the log (retention), {low - position} records lost"
        if self.settings.kafka.on_data_loss == "fail":
            raise FatalError(f"{what}; kafka.on_data_loss is fail")
        partition.lose(low)
        self._report.notes.append(what)
        log.error("%s", what)

    def _check_end(self, source: Source, position: int, high: int) -> None:
        if position > max(high, self._order.base) and not self.settings.kafka.embedded:
            raise FatalError(
                f"position {position} of {source[0]}-{source[1]} is past the log's end {high}: was the topic deleted "
                "and made anew? use another kafka.group and data_dir, or bring the topic back"
            )

    def _work(self, deadline_s: float) -> None:
        """Poll and run graphs until the deadline, committing when due."""
        rows_max = self.settings.step.rows_max
        while True:
            # A commit that falls due in the middle of a poll is not kept waiting for the step's end.
            due_s = self._committed_at_s + self.settings.step.commit_every
            left_s = max(0.0, min(deadline_s, max(due_s, clock.monotonic_s())) - clock.monotonic_s())
            if sum(p.pending for p in self.partitions.values()) > PENDING_MAX:
                self._commit()
                self._outlets.insist()
            started_s = clock.monotonic_s()
            batches = self._reader.poll(rows_max, left_s)
            self._report.stage_s["poll"] = self._report.stage_s.get("poll", 0.0) + clock.monotonic_s() - started_s
            for messages in batches:
                self._take(messages)
            for source, partition in self.partitions.items():
                partition.advance(self._reader.position(source))
            committed = self._tend()
            self._reader.check()
            # What is left of a step after its commit would cost a live stream a second round of small batches.
            idle = sum(map(len, batches)) < rows_max
            if clock.monotonic_s() >= deadline_s - (self.settings.step.trigger / 2 if committed and idle else 0.0):
                return

    def _take(self, messages: Messages) -> None:
        """Run one batch through its graph."""
        partition = self.partitions.get((messages.topic, messages.partition))
        if partition is None:
            return  # fetched before it was unassigned
        with self._failures.of(partition, end=int(messages.offsets[-1]) + 1):
            partition.process(messages)
        if partition.ctx.flow != "monitor":
            return  # rates and latencies are those of the sensors' records
        self._report.records += len(messages)
        if not partition.ctx.quiet:
            self._latencies.note(messages.timestamps_ms)

    def _tend(self) -> bool:
        """Write files that are due, commit when due, snapshot when due; say whether there was a commit."""
        now_s = clock.monotonic_s()
        step, lake, embedded = self.settings.step, self.settings.lake, self.settings.kafka.embedded
        rows_max = min(lake.roll_rows, self.settings.source.unconsumed_max // 4) if embedded else lake.roll_rows
        due = now_s >= self._committed_at_s + step.commit_every
        if not due and embedded:
            return False  # a file goes with the commit and the snapshot that it comes before, see `Partition.due`
        for partition in self.partitions.values():
            with self._failures.of(partition, stores=True):
                partition.roll(now_s, rows_max=rows_max, age_s_max=lake.roll_age)
        if not due:
            return False
        self._commit()
        for partition in self.partitions.values():
            if partition.due(now_s, every_s=step.snapshot_every, behind_max=rows_max):
                self._save(partition)
        self._get_through()
        return True

    def _save(self, partition: Partition) -> None:
        with self._failures.of(partition, stores=True):
            partition.save(clock.monotonic_s())

    def _get_through(self) -> None:
        """Take note that all stores have taken what was due: whoever refuses from now on does so for the first time."""
        if not self._reader.troubled:
            self._refused_since_s = None

    def _commit(self, *, emit_every_s: float | None = None) -> None:
        """Publish what waits: documents, then records and offsets in one transaction."""
        now_s = clock.monotonic_s()
        every_s = self.settings.window.emit_every if emit_every_s is None else emit_every_s
        for partition in filter(self._outlets.open_to, self.partitions.values()):
            with self._failures.of(partition):
                partition.tick(now_s, every_s=every_s)
        ready = self._outlets.ready(self.partitions.values())
        changes = [c for p in ready for c in p.ctx.changes]
        failpoint("commit.begun")
        if changes:
            if self._documents is None:
                self._documents = self._surroundings.documents(self.settings)
                self._held.callback(self._documents.close)
            self._documents.write(changes)
            failpoint("commit.documents_written")
        offsets = [self._reader.mark(p.ctx.source, *p.mark) for p in ready if p.mark != p.marked]
        outgoing = [record for p in ready for record in p.ctx.outbox]
        if offsets or outgoing:
            self._transactions.commit(outgoing, offsets, self._reader.consumer)
        for partition in ready:
            partition.commit()
        failpoint("commit.noted")
        self._committed_at_s = clock.monotonic_s()
        self._report.stage_s["commit"] = self._report.stage_s.get("commit", 0.0) + self._committed_at_s - now_s
        self._latencies.count(self._report)

    def _flush(self) -> None:
        """Commit, open windows too, write every file and snapshot every state."""
        for partition in self.partitions.values() if self._order.mode == "flush" else ():
            partition.settle()
        self._commit(emit_every_s=0.0)
        for partition in self.partitions.values():
            with self._failures.of(partition, stores=True):
                partition.roll(clock.monotonic_s(), rows_max=1, age_s_max=0.0)
            self._save(partition)
        self._outlets.insist()

    def _wait(self, error: RetryableError) -> None:
        """Take note that a broker or store refuses; give up once patience is over."""
        now_s = clock.monotonic_s()
        self._refused_since_s = self._refused_since_s or now_s
        waited_s = now_s - self._refused_since_s
        if waited_s > self.settings.step.patience:
            raise FatalError(f"gave up after {waited_s:.0f} s (step.patience): {error}") from error
        self._report.waiting = str(error)
        log.warning("waiting: %s", error)
        clock.sleep_s(min(error.backoff_s, 5.0))

    def _finish(self, started_s: float) -> StepReport:
        """Return the report of this step."""
        report = self._report
        for source, partition in self.partitions.items():
            part = partition.report(self._reader.end(source))
            if waits := report.waiting or self._outlets.advice(source):
                part.state, part.advice = "waiting", waits
            elif part.lag > self.settings.step.rows_max:
                part.state = "catching up"
            report.partitions.append(part)
            partition.ctx.hand_over(report)
        report.notes += self._outlets.take_notes()
        report.commit_age_s = clock.monotonic_s() - self._committed_at_s
        report.seconds = clock.monotonic_s() - started_s
        return report

    def _new_report(self) -> StepReport:
        order = self._order
        return StepReport(order.worker, order.slot, order.generation, latency_counts=[0] * (len(LATENCY_BUCKETS_S) + 1))
