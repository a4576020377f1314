"""Read assigned partitions: one long-lived consumer, manual assignment, whole batches.

Offsets that leave this module are ours: the broker's plus `base`, which is 0 on a real broker. An embedded broker
forgets everything when it stops, and counts from 0 again; the base keeps offsets growing over such restarts.
"""

import logging
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter

import numpy as np

from hydrodask.errors import RetryableError
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
from hydrodask.records import Messages
from hydrodask.settings.model import Kafka

log = logging.getLogger(__name__)

Source = tuple[str, int]
"""A topic and one of its partitions."""

_EMITTED = "emitted="
_REFUSED = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


class Reader:
    """Reads the partitions that it is told to, each from an offset that it is told.

    `ends` maps a source to the end of its log as last seen. `lost` holds sources whose position the log does not
    have any more; they have to be assigned anew.
    """

    def __init__(self, kafka: Kafka, *, base: int = 0) -> None:
        self.consumer: Consumer = consumer(kafka)
        self.ends: dict[Source, int] = {}
        self.positions: dict[Source, int] = {}
        self.lost: set[Source] = set()
        self._kafka = kafka
        self._base = base

    def committed(self, source: Source) -> tuple[int | None, int | None]:
        """Return what `mark` made of the group's committed offset; None twice when there is none.

        Raises UnreachableError, or RetryableError while it is being decided.
        """
        try:
            found = self.consumer.committed([TopicPartition(*source)], self._kafka.timeout)[0]
        except KafkaException as error:
            raise_from(error, f"read the committed offset of {source[0]}-{source[1]}")
        if found.error is not None:
            raise translate(found.error, f"read the committed offset of {source[0]}-{source[1]}")
        if found.offset == OFFSET_INVALID:
            return None, None
        said = (found.metadata or "").removeprefix(_EMITTED)  # an offset that somebody else has set says nothing
        return found.offset + self._base, int(said) + self._base if said.isdigit() else None

    def mark(self, source: Source, position: int, emitted: int) -> TopicPartition:
        """Return what to commit for `source`: the broker's offset, and up to where open windows were published."""
        return TopicPartition(*source, position - self._base, f"{_EMITTED}{emitted - self._base}")

    def bounds(self, source: Source) -> tuple[int, int]:
        """Return the first offset that the log still has, and its end."""
        try:
            low, high = self.consumer.get_watermark_offsets(TopicPartition(*source), self._kafka.timeout)
        except KafkaException as error:
            raise_from(error, f"read the bounds of {source[0]}-{source[1]}")
        return low + self._base, high + self._base

    def assign(self, source: Source, offset: int) -> None:
        """Read `source` from `offset` on."""
        topic, partition = source
        self.lost.discard(source)
        try:
            if source in self.positions:
                self.consumer.incremental_unassign([TopicPartition(topic, partition)])
            self.consumer.incremental_assign([TopicPartition(topic, partition, max(0, offset - self._base))])
        except KafkaException as error:
            raise_from(error, f"assign {topic}-{partition} at {offset}")
        self.positions[source] = offset

    def unassign(self, source: Source) -> None:
        """Stop reading `source`."""
        if self.positions.pop(source, None) is not None:
            self.consumer.incremental_unassign([TopicPartition(*source)])
        self.ends.pop(source, None)

    def poll(self, rows_max: int, timeout_s: float) -> list[Messages]:
        """Return runs of messages per partition: until `rows_max` are there or `timeout_s` has passed.

        Transaction markers and compacted records leave gaps; the position moves over them at the end of the log.
        """
        try:
            found = self.consumer.consume(rows_max, timeout_s)
        except KafkaException as error:
            raise_from(error, "poll")
        if not found:
            return []
        errors = list(map(Message.error, found))
        if any(errors):
            found = self._handle(found, errors)
        return list(self._split(found))

    def note_ends(self) -> None:
        """Bring `ends` up to date from the last fetches; asks no broker."""
        for source in self.positions:
            _low, high = self.consumer.get_watermark_offsets(TopicPartition(*source), cached=True)
            if high >= 0:
                self.ends[source] = max(self.ends.get(source, 0), high + self._base)

    def close(self) -> None:
        """Let go of the connection."""
        self.consumer.close()

    def _handle(self, found: list[Message], errors: list[KafkaError | None]) -> list[Message]:
        """Return the messages that are no events; take note of ends and lost positions."""
        for message, error in zip(found, errors, strict=True):
            if error is None:
                continue
            source = _source(message)
            if error.code() == KafkaError._PARTITION_EOF:
                end = int(message.offset() or 0) + self._base
                self.ends[source] = end
                if source in self.positions:
                    self.positions[source] = max(self.positions[source], end)
            elif error.code() in _REFUSED:
                self.lost.add(source)
            elif not error.retriable() and error.code() != KafkaError._TRANSPORT:
                raise RetryableError(f"could not read {source[0]}-{source[1]}: {error.str()}")
            else:
                log.warning("reading %s-%s: %s", *source, error.str())
        return [m for m, error in zip(found, errors, strict=True) if error is None]

    def _split(self, found: list[Message]) -> Iterable[Messages]:
        """Yield one run a partition, in the order of their first messages.

        A quiet topic's messages come a few at a time and mixed with others'; a run costs more than a message.
        """
        runs: dict[Source, list[Message]] = {}
        start = 0
        for _, group in groupby(zip(map(Message.topic, found), map(Message.partition, found), strict=True)):
            end = start + sum(1 for _ in group)
            runs.setdefault(_source(found[start]), []).extend(found[start:end])
            start = end
        return (self._run(*source, run) for source, run in runs.items())

    def _run(self, topic: str, partition: int, run: list[Message]) -> Messages:
        offsets = np.fromiter(map(Message.offset, run), np.int64, len(run)) + self._base
        source = (topic, partition)
        self.positions[source] = max(self.positions.get(source, 0), int(offsets[-1]) + 1)
        stamps = np.fromiter(map(itemgetter(1), map(Message.timestamp, run)), np.int64, len(run))
        return Messages(topic, partition, list(map(Message.value, run)), _Keys(run), offsets, stamps)


def _source(message: Message) -> Source:
    return str(message.topic()), int(message.partition() or 0)


class _Keys:
    """The keys of a run, asked for one at a time: only a reject needs one."""

    def __init__(self, run: list[Message]) -> None:
        self._run = run

    def __len__(self) -> int:
        return len(self._run)

    def __getitem__(self, place: int) -> bytes | None:
        return self._run[place].key()
