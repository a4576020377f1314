"""A worker's step: make the hosted partitions equal the order, poll, run the graphs, commit, report."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack

from hydrodask import clock
from hydrodask.errors import RetryableError, StartOverError
from hydrodask.failpoints import failpoint
from hydrodask.nodes.context import Context
from hydrodask.protocol.order import Order
from hydrodask.protocol.ownership import Claim, Ownership
from hydrodask.protocol.settling import Settling
from hydrodask.records import Change, Messages, Outgoing, PartitionId
from hydrodask.reports import LATENCY_BUCKETS_S, StepReport
from hydrodask.store.documents import Documents
from hydrodask.store.lake import Lake
from hydrodask.store.output import FIRST_S
from hydrodask.store.transactions import Transactions
from hydrodask.worker.commit import commit
from hydrodask.worker.failures import Failures
from hydrodask.worker.latency import Latencies
from hydrodask.worker.opening import Opening
from hydrodask.worker.outlets import Outlets
from hydrodask.worker.partition import Partition, Pending
from hydrodask.worker.places import Places, end
from hydrodask.worker.surroundings import REAL, Surroundings
from hydrodask.worker.warm import warm_up
from hydrodask.worker.watching import LogWatch, commit_of, ids_of, polled

log = logging.getLogger(__name__)

PENDING_MAX = 200_000
"""Outputs that may wait for a commit before a step stops polling."""


class Host:
    """Everything that a slot holds on a worker, for one generation of it."""

    def __init__(self, order: Order, *, surroundings: Surroundings = REAL, failures: Failures | None = None) -> None:
        """`failures` is what graphs failed at before this host. When this raises, nothing is held any more."""
        self.run_id, self.generation, self.settings = order.run_id, order.generation, order.settings
        self.partitions: dict[PartitionId, Partition] = {}
        self._order, self._surroundings = order, surroundings
        self._failures = failures or Failures(order.settings.step.patience)
        warm_up()
        self._snapshots = surroundings.files(order.settings.snapshots_url)
        self._claim = Claim(Ownership(self._snapshots, order.settings.kafka.group), order.run, order.generation)
        self._documents: Documents | None = None
        self._committed_at_s = clock.monotonic_s()
        self._latencies = Latencies()
        identities = ids_of(order, surroundings)
        self._outlets = Outlets(order.settings.kafka, lambda _kafka: identities, order.settings.step.patience)
        self._unproven: list[Messages] = []
        with ExitStack() as held:
            self._transactions = self._own(order, held)
            self._reader = surroundings.reader(order.settings.kafka)
            held.callback(self._reader.close)
            self._watch = LogWatch(order.settings.kafka, identities)
            settle = Settling(order.settings, self._transactions, surroundings.consumer)
            settle.after(self._reader.commits.groups, lost=self._failures.severed)
            self._failures.severed = False
            opening = Opening(order.settings, surroundings.files, self._reader, identities, settle)
            self._places = Places(opening, self._watch)
            self._lake = Lake.of(order.settings, connect=surroundings.files)
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
        self._claim.use(order.slot)
        transactions = self._surroundings.transactions(order.settings, order.slot, self._snapshots)
        held.callback(transactions.close)
        failpoint("open.initialised")
        self._claim.check()
        return transactions

    def _reconcile(self) -> None:
        """Make what is hosted equal the order: close first, so that nothing is committed twice."""
        gone = [source for source in self.partitions if source not in self._order.sources]
        adrift = not all(map(self._reader.reads, self.partitions))
        if gone or adrift or self._failures.refusal.since_s is not None or self._watch.due:
            self._look(list(self.partitions))
        if gone:
            self._commit(emit_every_s=0.0)
            for source in filter(self.partitions.__contains__, gone):
                failpoint("close.committed")
                self._save(self.partitions[source])
                self._leave(source)
                failpoint("close.done")
        started_s = clock.monotonic_s()
        for source in self._order.sources:
            if source not in self.partitions:
                self._open(source)
                if clock.monotonic_s() - started_s > self.settings.step.time_max / 2:
                    break  # the next step opens the rest: one that takes too long is given up, with all that it opened
        for source, partition in self.partitions.items():
            if not self._reader.reads(source):
                self._places.reposition(partition)
                self._report.notes += partition.take_notes()
        self._remember()

    def _look(self, sources: Iterable[PartitionId]) -> None:
        """Let go of partitions whose log has ended; what waits for a commit is in its last snapshot then."""
        ended = self._watch.ended(self.partitions, sources)
        if ended:
            self._claim.check()  # who was given up must not have the last word on a log
        for partition in map(self.partitions.__getitem__, ended):
            failpoint("end.begun")
            self._write(partition.ctx.changes)
            with self._failures.of(partition.ctx, partition, stores=True):
                end(partition)
            failpoint("end.stored")
            self._leave(partition.ctx.source)
            self._report.notes.append(f"{partition.name}: its topic was deleted, or made anew")

    def _leave(self, source: PartitionId) -> None:
        """Host a partition no more."""
        self._reader.unassign(source)
        self._unproven = [m for m in self._unproven if (m.topic, m.partition) != source]
        del self.partitions[source]

    def _open(self, source: PartitionId) -> None:
        flow = self._order.sources[source]
        ctx = Context(self.settings, flow, *source, self._lake)
        with self._failures.of(ctx, stores=True):
            partition = Partition(ctx, self._order.builds[flow], self._snapshots)
            latest = self.settings.kafka.start == "latest" and source not in self._order.newcomers
            if self._places.open(partition, self.partitions.values(), latest=latest):
                self.partitions[source] = partition
                failpoint("open.assigned")
        self._report.notes += partition.take_notes()

    def _remember(self) -> None:
        """Store snapshots that are owed: once files went on behind a loss, a crash would hide it."""
        if owed := [partition for partition in self.partitions.values() if partition.owed]:
            self._commit(emit_every_s=0.0)
        for partition in (one for one in owed if one.settled):
            self._save(partition, store=partition.pin)

    def _work(self, deadline_s: float) -> None:
        """Poll and run graphs until the deadline, committing when due."""
        rows_max = self.settings.step.rows_max
        while True:
            # A commit that falls due in the middle of a poll is not kept waiting for the step's end.
            due_s = self._committed_at_s + self.settings.step.commit_every
            left_s = max(0.0, min(deadline_s, max(due_s, clock.monotonic_s())) - clock.monotonic_s())
            if sum(p.waiting for p in self.partitions.values()) > PENDING_MAX:
                self._commit()
                self._outlets.insist()
            started_s = clock.monotonic_s()
            batches = self._poll(rows_max, left_s)
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

    def _poll(self, rows_max: int, timeout_s: float) -> list[Messages]:
        """Return what has come of logs that are still there. What can't be proven now is kept until it can."""
        self._unproven = self._unproven or polled(self._reader, rows_max, timeout_s)
        self._look({(messages.topic, messages.partition) for messages in self._unproven})
        batches, self._unproven = self._unproven, []
        return batches

    def _take(self, messages: Messages) -> None:
        """Run one batch through its graph."""
        partition = self.partitions.get((messages.topic, messages.partition))
        if partition is None:
            return  # fetched before it was unassigned
        with self._failures.of(partition.ctx, partition, end=int(messages.offsets[-1]) + 1):
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
            with self._failures.of(partition.ctx, partition, stores=True):
                partition.roll(now_s, rows_max=rows_max, age_s_max=lake.roll_age, first_s_max=FIRST_S)
        if not due:
            return False
        self._commit()
        for partition in self.partitions.values():
            if partition.stale(now_s, every_s=step.snapshot_every, behind_max=rows_max):
                self._save(partition)
        self._get_through()
        return True

    def _save(self, partition: Partition, *, ended: bool = False, store: Callable[..., None] | None = None) -> None:
        self._reader.commits.prove()  # what was published is not published again from here on
        with self._failures.of(partition.ctx, partition, stores=True):
            (store or partition.save)(clock.monotonic_s(), ended=ended)

    def _get_through(self) -> None:
        """Take note that all stores have taken what was due: whoever refuses from now on does so for the first time."""
        if not self._reader.troubled and not any(partition.owed for partition in self.partitions.values()):
            self._failures.refusal.end()

    def _commit(self, *, emit_every_s: float | None = None) -> None:
        """Publish what waits; every partition of this worker together."""
        now_s = clock.monotonic_s()
        every_s = self.settings.window.emit_every if emit_every_s is None else emit_every_s
        commit([*self.partitions.values()], self._failures, outlets=self._outlets, now_s=now_s, emit_every_s=every_s,
               write=self._write, publish=self._publish, deaf=self._order.deaf)  # fmt: skip
        self._committed_at_s = clock.monotonic_s()
        self._report.stage_s["commit"] = self._report.stage_s.get("commit", 0.0) + self._committed_at_s - now_s
        self._latencies.count(self._report)

    def _write(self, changes: Sequence[Change]) -> None:
        if changes:
            if self._documents is None:
                self._documents = self._surroundings.documents(self.settings)
                self._held.callback(self._documents.close)
            self._documents.write(changes)
            failpoint("commit.documents_written")

    def _publish(self, outgoing: Sequence[Outgoing], moved: Mapping[Partition, Pending]) -> None:
        if self.settings.kafka.embedded:
            self._claim.check()  # that broker fences nobody
        offsets = [commit_of(partition, pending, self._order) for partition, pending in moved.items()]
        self._transactions.commit(outgoing, offsets, *self._reader.commits.groups)
        self._reader.commits.note(offsets)

    def _flush(self) -> None:
        """Commit, open windows too, write every file and snapshot every state."""
        for partition in self.partitions.values() if self._order.mode == "flush" else ():
            partition.settle()
        self._commit(emit_every_s=0.0)
        for partition in self.partitions.values():
            with self._failures.of(partition.ctx, partition, stores=True):
                partition.roll(clock.monotonic_s(), rows_max=1, age_s_max=0.0)
            self._save(partition, ended=self._order.mode == "stop")
        self._outlets.insist()

    def _wait(self, error: RetryableError) -> None:
        """Take note that a broker or store refuses; give up once patience is over, this host or those after it."""
        self._failures.severed |= self._transactions.severed
        self._failures.refusal.check(error, self.settings.step.patience)
        if isinstance(error, StartOverError):
            raise error
        self._report.waiting = str(error)
        log.warning("waiting: %s", error)
        clock.sleep_s(min(error.backoff_s, 5.0))

    def _finish(self, started_s: float) -> StepReport:
        """Return the report of this step."""
        report = self._report
        for source, partition in self.partitions.items():
            part = partition.report(self._reader.end(source), report)
            if waits := report.waiting or self._outlets.advice(source):
                part.state, part.advice = "waiting", waits
            elif part.lag > self.settings.step.rows_max:
                part.state = "catching up"
            report.partitions.append(part)
        report.notes += self._outlets.take_notes()
        report.commit_age_s = clock.monotonic_s() - self._committed_at_s
        report.seconds = clock.monotonic_s() - started_s
        return report

    def _new_report(self) -> StepReport:
        order = self._order
        return StepReport(order.worker, order.slot, order.generation, latency_counts=[0] * (len(LATENCY_BUCKETS_S) + 1))
