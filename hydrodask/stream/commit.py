"""The order of a commit, which is what decides about loss: graphs, documents, then records and offsets together."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hydrodask.failpoints import failpoint
from hydrodask.records import Change, Outgoing
from hydrodask.stream.failures import Failures
from hydrodask.stream.partition import Partition


class Outlets(Protocol):
    """Whose outputs have a place to go to."""

    def open_to(self, partition: Partition) -> bool:
        """Say whether a partition did not wait for its topics at the last commit."""

    def ready(self, partitions: Sequence[Partition]) -> Sequence[Partition]:
        """Return those that can be committed now."""


def commit(
    partitions: Sequence[Partition],
    failures: Failures,
    *,
    outlets: Outlets,
    now_s: float,
    emit_every_s: float,
    write: Callable[[Sequence[Change]], None],
    publish: Callable[[Sequence[Outgoing], Sequence[Partition]], None],
) -> None:
    """Bring out what waits in `partitions`: nothing is noted as committed before all of it is out.

    `write` stores documents, which may be ahead of the offsets: they have revisions. `publish` commits records and the
    marks of these partitions, all or nothing. Either may raise RetryableError; the same commit is then tried again,
    with what came since.
    """
    for partition in filter(outlets.open_to, partitions):
        with failures.of(partition.ctx, partition):
            partition.tick(now_s, every_s=emit_every_s)
    ready = outlets.ready(partitions)
    changes = [change for partition in ready for change in partition.ctx.changes]
    failpoint("commit.begun")
    write(changes)
    moved = [partition for partition in ready if partition.mark != partition.marked]
    outgoing = [record for partition in ready for record in partition.ctx.outbox]
    if moved or outgoing:
        publish(outgoing, moved)
    for partition in ready:
        partition.commit()
    failpoint("commit.noted")
