"""Fetch records with confluent-kafka's own `consume`: what takes the fetcher's place where it does not fit.

The same contract and the same columns, at a Python object and half a dozen calls a record.
"""

from collections.abc import Callable

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.errors import RetryableError
from hydrodask.ingest.fetcher import PartitionEvent
from hydrodask.kafka import Consumer, KafkaException, Message, TopicPartition
from hydrodask.records import Messages, PartitionId


class PlainFetcher:
    """A `Fetcher` by documented calls alone. Not safe for threads."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def assign(self, source: PartitionId, offset: int) -> None:
        """Read `source`, which is not read yet, from `offset` on. Raises RetryableError."""
        self._change(self._consumer.incremental_assign, source, offset)

    def unassign(self, source: PartitionId) -> None:
        """Stop reading `source`; records of it that were fetched already are dropped. Raises RetryableError."""
        self._change(self._consumer.incremental_unassign, source, 0)

    def poll(self, rows_max: int, timeout_s: float) -> tuple[list[Messages], list[PartitionEvent]]:
        """Return one run of records a partition, in offset order, once there are `rows_max` or after `timeout_s`."""
        found: dict[PartitionId, list[Message]] = {}
        events: list[PartitionEvent] = []
        for message in self._consumer.consume(rows_max, timeout_s):
            source = (message.topic() or "", message.partition() or 0)
            if (error := message.error()) is None:
                found.setdefault(source, []).append(message)
            else:
                events.append(PartitionEvent(source, error.code(), message.offset() or 0, error.str()))
        return [_run(source, messages) for source, messages in found.items()], events

    def end(self, source: PartitionId) -> int:
        """Return the end of the log as of the last fetch, or -1; asks no broker."""
        try:
            known = self._consumer.get_watermark_offsets(TopicPartition(*source), cached=True)
        except KafkaException:
            return -1
        return max(-1, known[1]) if known else -1

    def close(self) -> None:
        """Let go of connections. May be called again."""
        self._consumer.close()

    def _change(self, call: Callable[[list[TopicPartition]], None], source: PartitionId, offset: int) -> None:
        try:
            call([TopicPartition(*source, offset)])
        except KafkaException as error:
            text = f"could not change what is read of {source[0]}-{source[1]} (to {offset}): {error.args[0].str()}"
            raise RetryableError(text) from error


def _run(source: PartitionId, messages: list[Message]) -> Messages:
    """Return records as columns."""
    return Messages(
        *source,
        Blobs.of([message.value() for message in messages]),
        Blobs.of([message.key() for message in messages]),
        np.array([message.offset() for message in messages], np.int64),
        np.array([message.timestamp()[1] for message in messages], np.int64),
    )
