"""Read partitions of topics from one offset to another, read committed, and what a group has committed."""

import logging
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from hydrodask import clock
from hydrodask.blobs import Blobs
from hydrodask.errors import RetryableError
from hydrodask.ingest.commits import Commit, Commits
from hydrodask.ingest.identity import Identities
from hydrodask.ingest.mark import parse
from hydrodask.kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
    consumer,
    raise_from,
    translate,
)
from hydrodask.protocol.incarnation import Incarnation, same
from hydrodask.records import Messages, PartitionId
from hydrodask.settings.model import Kafka

BATCH = 10_000
POLL_S = 0.05
"""A batch is given on when it is full, or after this time."""

_UNHEARD = logging.getLogger(f"{__name__}.client")
_UNHEARD.addFilter(lambda _record: False)

STUCK_S = 75.0
"""A transaction that nobody ends blocks readers until the broker aborts it, after a minute as a rule."""


class BrokerLog:
    """The topics of a broker. For one thread. Raises UnreachableError when the broker does not answer."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._stuck_s = max(STUCK_S, kafka.timeout)
        self._reader = quiet(kafka)
        # Asked where a log ends, a read-committed client names the last stable offset, which an open transaction holds.
        self._asker = quiet(kafka, **{"isolation.level": "read_uncommitted"})
        self._commits = Commits(kafka, connect=quiet)
        self.identities = Identities(kafka)
        self._logs: dict[PartitionId, Incarnation] = {}

    def know(self, source: PartitionId, one: Incarnation) -> None:
        """Take note of which log is read: from now on offsets of `source` are ours, the broker's plus its base."""
        self._logs[source] = one

    def sources(self, topics: Iterable[str]) -> list[PartitionId]:
        """Return the partitions of those topics that there are."""
        try:
            # Asked of the client that reads: one that knows where topics are begins to read a second earlier.
            known = self._reader.list_topics(timeout=self._kafka.timeout).topics
        except KafkaException as error:
            raise_from(error, f"list the topics of {self._kafka.bootstrap}")
        return [
            (name, partition)
            for name in topics
            if name in known and known[name].error is None
            for partition in sorted(known[name].partitions)
        ]

    def bounds(self, source: PartitionId) -> tuple[int, int]:
        """Return the first offset that the log still has, and its end."""
        try:
            low, high = self._asker.get_watermark_offsets(TopicPartition(*source), self._kafka.timeout)
        except KafkaException as error:
            raise_from(error, f"read the bounds of {source[0]}-{source[1]}")
        base = self.base(source)
        return low + base, high + base

    def committed(self, sources: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """Return the offsets that hydrodask has committed in the logs that there are now."""
        return self.counted(self.commits(sources))

    def counted(self, commits: Mapping[PartitionId, Commit]) -> dict[PartitionId, int]:
        """Return commits as we count, those of other logs left out."""
        found = {}
        for source, one in commits.items():
            mark, log = one.mark, self._logs.get(source)
            if mark is None:
                continue
            if log is None or (
                not log.base if mark.log is None else (same(mark.log, log.log) and mark.base == log.base)
            ):
                found[source] = one.offset + (log.base if log else mark.base)
        return found

    def commits(self, sources: Iterable[PartitionId]) -> dict[PartitionId, Commit]:
        """Return the commits of ours, without those that there are not.

        A run that was killed between sending its offsets and committing them leaves them open: the broker gives none of
        that slot's until it has aborted the transaction, so this waits as long as that may take.
        """
        wanted = [TopicPartition(*source) for source in sources]
        found: dict[PartitionId, Commit] = {}
        for client in self._commits.groups if wanted else ():  # marks last: they count
            try:
                answers = client.committed(wanted, self._stuck_s)
            except KafkaException as error:
                raise_from(error, f"read the committed offsets of group {self._kafka.group}")
            for one in answers:
                if one.error is not None:
                    raise translate(one.error, f"read the committed offset of {one.topic}-{one.partition}")
                if one.offset != OFFSET_INVALID and (mark := parse(one.metadata)) is not None:
                    found[one.topic, one.partition] = Commit(one.offset, mark)
        return found

    def read(self, source: PartitionId, start: int, end: int) -> Iterator[list[Message]]:
        """Yield the messages from `start` to `end`, committed ones only, in batches, as the broker counts.

        Raises RetryableError when the log loses records meanwhile, or an open transaction hides the rest.
        """
        start, end = (max(0, offset - self.base(source)) for offset in (start, end))
        if start >= end:
            return
        self._reader.assign([TopicPartition(*source, start)])
        position, moved_s = start, clock.monotonic_s()
        while position < end:
            found = self._consume(source)
            reached = [int(m.offset() or 0) + (m.error() is None) for m in found]
            if reached and max(reached) > position:
                position, moved_s = max(reached), clock.monotonic_s()
            elif clock.monotonic_s() - moved_s > self._stuck_s:
                raise RetryableError(
                    f"could not read {source[0]}-{source[1]} from {position} to {end}: nothing came for "
                    f"{self._stuck_s:.0f} s; is a transaction open that nobody ends?"
                )
            batch = [m for m in found if m.error() is None and int(m.offset() or 0) < end]
            if batch:
                yield batch
        self._reader.unassign()

    def messages(self, source: PartitionId, start: int, end: int) -> Iterator[Messages]:
        """Yield what `read` yields, as the graphs take it."""
        for batch in self.read(source, start, end):
            messages = as_messages(source, batch)
            messages.offsets += self.base(source)
            yield messages

    def close(self) -> None:
        """Let go of the connections."""
        self._reader.close()
        self._asker.close()
        self._commits.close()

    def base(self, source: PartitionId) -> int:
        """Return where the offsets of the log that there is now begin."""
        return self._logs[source].base if source in self._logs else 0

    def _consume(self, source: PartitionId) -> list[Message]:
        """Return messages and ends of partitions."""
        try:
            found = self._reader.consume(BATCH, POLL_S)
        except KafkaException as error:
            raise_from(error, f"read {source[0]}-{source[1]}")
        kept = []
        for message in found:
            problem = message.error()
            if problem is None or problem.code() == KafkaError._PARTITION_EOF:
                kept.append(message)
            elif not problem.retriable() and problem.code() != KafkaError._TRANSPORT:
                raise translate(problem, f"read {source[0]}-{source[1]}")
        return kept


def quiet(kafka: Kafka, **overrides: object) -> Consumer:
    """Return a consumer whose client keeps what is wrong and logs nothing: a command's own sentence says it, once."""
    return consumer(kafka, logger=_UNHEARD, **overrides)


def as_messages(source: PartitionId, batch: list[Message]) -> Messages:
    """Return messages of one partition as columns."""
    return Messages(
        *source,
        Blobs.of([m.value() for m in batch]),
        Blobs.of([m.key() for m in batch]),
        np.array([m.offset() for m in batch], np.int64),
        np.array([m.timestamp()[1] for m in batch], np.int64),
    )
