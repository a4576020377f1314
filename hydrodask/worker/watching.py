"""Watch whether the logs that are read are still those that their topics' names stand for, and say so in marks.

A consumer notices nothing when a topic is deleted and made anew: it reads the new records as if they followed the old
ones, or, where the old log had a leader epoch above 0, reads nothing at all. So the ids are asked for after each poll
that brought records (ids are never given again: the same one before and after a poll proves its records), whenever a
broker has refused something, and by the clock.
"""

from collections.abc import Iterable, Mapping

from hydrodask import clock
from hydrodask.ingest import mark
from hydrodask.ingest.identity import Ids, OneStart
from hydrodask.ingest.mark import Mark
from hydrodask.ingest.reader import Reader
from hydrodask.kafka import TopicPartition
from hydrodask.protocol.incarnation import same
from hydrodask.protocol.order import Order
from hydrodask.records import Messages, PartitionId
from hydrodask.settings.model import Kafka
from hydrodask.worker.partition import Partition, Pending
from hydrodask.worker.surroundings import Surroundings

BATCHES = 4
"""Most full batches that are polled before the ids are asked for: an answer costs as much CPU as some 400 records."""

LARGE = 10_000
"""Records of a batch from which on there are several: smaller ones are a wish for small steps, with a commit each."""


class LogWatch:
    """Asks for the ids of what one host reads."""

    def __init__(self, kafka: Kafka, identities: Ids) -> None:
        self._kafka, self._identities = kafka, identities
        self._asked_s = clock.monotonic_s()
        self._read: dict[str, str] = {}
        """The log of each topic that the client which reads has read."""

    @property
    def due(self) -> bool:
        """Whether it is time to ask, though nobody has a reason to."""
        return clock.monotonic_s() - self._asked_s >= self._kafka.discover_every

    def ended(self, partitions: Mapping[PartitionId, Partition], among: Iterable[PartitionId]) -> list[PartitionId]:
        """Return which of `among`, if it is hosted, has another log by now or none. Raises UnreachableError."""
        hosted = [source for source in among if source in partitions]
        if self._kafka.embedded or not hosted:
            return []  # it ends with its driver
        found = self._identities.of(topic for topic, _ in hosted)
        if len(hosted) == len(partitions):
            self._asked_s = clock.monotonic_s()
        return [source for source in hosted if not same(found.get(source[0], ""), partitions[source].ctx.log)]

    def suits(self, topic: str, log: str) -> bool:
        """Say whether the client that reads can read this log: not if it has read another one of that name."""
        return self._read.setdefault(topic, log) == log

    def renewed(self, partitions: Iterable[Partition]) -> None:
        """Take note that there is a new client, which reads these."""
        self._read = {partition.ctx.topic: partition.ctx.log for partition in partitions}


def polled(reader: Reader, rows_max: int, timeout_s: float) -> list[Messages]:
    """Return what a poll brings; of a backlog, which is there at once, several batches."""
    found = reader.poll(rows_max, timeout_s)
    for batch in range(1, BATCHES if rows_max >= LARGE else 1):
        if sum(map(len, found)) < batch * rows_max:
            break
        found += reader.poll(rows_max, 0.0)
    return found


def ids_of(order: Order, surroundings: Surroundings) -> Ids:
    """Return who says for a host which log a name stands for."""
    kafka = order.settings.kafka
    return OneStart(order.run_id) if kafka.embedded else surroundings.identities(kafka)


def commit_of(partition: Partition, pending: Pending, order: Order) -> TopicPartition:
    """Return what to commit for a partition: the broker's offset, and our mark."""
    ctx, (position, emitted) = partition.ctx, pending.mark
    said = Mark(ctx.log, ctx.base, emitted, order.run, order.generation, partition.snapshot_offset)
    return TopicPartition(*ctx.source, position - ctx.base, mark.write(said))
