"""The order of a commit, which is what decides about loss: graphs, documents, then records and offsets together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from hydrodask.failpoints import failpoint
from hydrodask.records import Change, Outgoing
from hydrodask.worker.failures import Failures
from hydrodask.worker.partition import Partition, Pending


class Destinations(Protocol):
    """Whose outputs have a place to go to."""

    def open_to(self, partition: Partition) -> bool:
        """Say whether a partition did not wait for its topics at the last commit."""

    def ready(self, pending: Mapping[Partition, Pending]) -> Mapping[Partition, Pending]:
        """Return those that can be committed now."""


def commit(
    partitions: Sequence[Partition],
    failures: Failures,
    *,
    outlets: Destinations,
    now_s: float,
    emit_every_s: float,
    write: Callable[[Sequence[Change]], None],
    publish: Callable[[Sequence[Outgoing], Mapping[Partition, Pending]], None],
    deaf: bool = False,
) -> None:
    """Bring out what waits in `partitions`: nothing is noted as committed before all of it is out.

    `write` (`Host._write`) stores documents, which may be ahead of the offsets: they have revisions. `publish`
    (`Host._publish`) commits records and the marks of these partitions, all or nothing. Either may raise
    RetryableError; the same commit is then tried again, with what came since. `deaf` is what the order says.
    """
    for partition in filter(outlets.open_to, partitions):
        partition.ctx.deaf = deaf
        with failures.of(partition.ctx, partition):
            partition.tick(now_s, every_s=emit_every_s)
    ready = outlets.ready({partition: partition.prepare() for partition in partitions})
    changes = [change for pending in ready.values() for change in pending.changes]
    failpoint("commit.begun")
    write(changes)
    moved = {partition: pending for partition, pending in ready.items() if pending.moved}
    records = [record for pending in ready.values() for record in pending.records]
    if moved or records:
        publish(records, moved)
    for partition, pending in ready.items():
        partition.done(pending)
    failpoint("commit.noted")
