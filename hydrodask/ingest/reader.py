"""Read assigned partitions: one long-lived consumer, manual assignment, whole batches.

Offsets that leave this module are ours: the broker's plus the `base` of the log that a source is read from. A topic
that is made anew counts from 0 again, and so does an embedded broker; the base keeps offsets growing, see
`protocol.incarnation`.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hydrodask.background import in_background
from hydrodask.errors import HydrodaskError
from hydrodask.ingest.commits import Commits
from hydrodask.ingest.fetcher import Fetcher, PartitionEvent
from hydrodask.ingest.plain import PlainFetcher
from hydrodask.ingest.selfcheck import unfit
from hydrodask.kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
    consumer,
    fetch_settings,
    raise_from,
    remember,
    translate,
)
from hydrodask.logs import spot
from hydrodask.records import Messages, PartitionId
from hydrodask.settings.model import Kafka

log = logging.getLogger(__name__)

_REFUSED = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)
_NO_HOLE = (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, *_REFUSED)


AnyFetcher = Fetcher | PlainFetcher


def fetcher(kafka: Kafka) -> AnyFetcher:
    """Return what fetches the records of a reader: in columns, or one by one where librdkafka is not as it is known."""
    if why := unfit():
        log.warning("%s: records are fetched one by one, which costs more than all that follows", why)
        return PlainFetcher(consumer(kafka))
    return Fetcher(fetch_settings(kafka), remember, logging.getLogger("hydrodask.kafka"))


@dataclass(slots=True)
class SourceState:
    """All that is known of one source that is read. `end` is its log's end as last seen."""

    position: int
    base: int
    end: int = 0
    adrift: bool = False
    """Its position is not in the log any more, or was passed over with an error: it has to be assigned anew."""
    leaving: bool = False
    """It is to be read no more, and may still be fetched: what comes of it is dropped."""
    trouble: HydrodaskError | None = None
    """What it can't be read for, until something came of it again."""


class Reader:
    """Reads the partitions that it is told to, each from an offset that it is told.

    Two clients: `consumer` asks for offsets and stands for the group in transactions, the fetcher fetches. Who uses
    this makes sure, again and again, that what it hosts is read (`reads`): assigning may fail half way.
    """

    def __init__(
        self,
        kafka: Kafka,
        *,
        connect: Callable[..., Consumer] = consumer,
        fetch: Callable[[Kafka], AnyFetcher] = fetcher,
    ) -> None:
        self.commits = Commits(kafka, connect=connect)
        self.consumer: Consumer = self.commits.shown
        self._readings: dict[PartitionId, SourceState] = {}
        self._trouble: HydrodaskError | None = None
        self._fetch = fetch
        try:
            self._fetcher = fetch(kafka)
        except BaseException:
            self.commits.close()
            raise
        self._kafka = kafka

    def bounds(self, source: PartitionId) -> tuple[int, int]:
        """Return the first offset that the log still has, and its end, as the broker counts."""
        try:
            return self._watermarks(source)
        except KafkaException as error:
            raise_from(error, f"read the bounds of {source[0]}-{source[1]}")

    def assign(self, source: PartitionId, offset: int, base: int = 0) -> None:
        """Read `source` from `offset` on, the broker's plus `base`. Raises RetryableError: then `reads` says no."""
        before = self._readings.get(source)
        self.unassign(source)
        self._fetcher.assign(source, max(0, offset - base))
        self._readings[source] = SourceState(offset, base, trouble=before.trouble if before else None)

    def renew(self) -> None:
        """Begin anew with another client, which reads nothing yet.

        One that has read a topic which was made anew reads nothing of the new one, without an error, if the old one had
        a leader epoch above 0; assigning it anew is not enough.
        """
        old, self._fetcher = self._fetcher, self._fetch(self._kafka)
        in_background(old.close)
        self._readings.clear()

    def unassign(self, source: PartitionId) -> None:
        """Stop reading `source`. Raises RetryableError, and then nothing of it is returned any more all the same."""
        if source in self._readings:
            self._readings[source].leaving = True
            self._fetcher.unassign(source)
            del self._readings[source]

    def reads(self, source: PartitionId) -> bool:
        """Say whether `source` is read; if it should be, and is not, it has to be assigned anew."""
        reading = self._readings.get(source)
        return reading is not None and not reading.leaving and not reading.adrift

    @property
    def troubled(self) -> bool:
        """Whether there is something of which nothing has come since it could not be read."""
        return any(reading.trouble is not None for reading in self._readings.values())

    def poll(self, rows_max: int, timeout_s: float) -> list[Messages]:
        """Return runs of messages per partition: until `rows_max` are there or `timeout_s` has passed.

        Transaction markers and compacted records leave gaps; the position moves over them at the end of the log.
        """
        runs, events = self._fetcher.poll(rows_max, timeout_s)
        runs = [run for run in runs if self.reads((run.topic, run.partition))]  # fetched before it was unassigned
        # The client passes over what it can't read: what follows that is read again, from there.
        errors = {e.source: e.offset for e in reversed(events) if e.code not in _NO_HOLE}
        for at, run in enumerate(runs):
            if (run.topic, run.partition) in errors:
                runs[at] = run.take(slice(0, int(np.searchsorted(run.offsets, errors[run.topic, run.partition]))))
        runs = [run for run in runs if len(run)]
        for run in runs:
            run.offsets += self._readings[run.topic, run.partition].base
            self._reach((run.topic, run.partition), int(run.offsets[-1]) + 1)
        for event in events:
            self._handle(event)
        return runs

    def check(self) -> None:
        """Raise RetryableError or FatalError for what something could not be read for at the last poll.

        Not in `poll`: records of others came together with it.
        """
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            raise trouble

    def position(self, source: PartitionId) -> int:
        """Return up to where the log of `source` has been read, 0 when it is not."""
        reading = self._held(source)
        return reading.position if reading else 0

    def end(self, source: PartitionId) -> int:
        """Return the end of the log of `source` as of the last fetch; asks no broker."""
        reading = self._held(source)
        if reading is None:
            return 0
        high = self._fetcher.end(source)
        if high >= 0:
            reading.end = max(reading.end, high + reading.base)
        return reading.end

    def close(self) -> None:
        """Let go of the connections. Does not wait."""
        in_background(self._fetcher.close)
        self.commits.close()

    def _watermarks(self, source: PartitionId) -> tuple[int, int]:
        """Return the broker's bounds of `source`, which may be newer than what the client knows of its topic.

        A client looks for partitions that were added every five minutes only.
        """
        partition = TopicPartition(*source)
        try:
            return self.consumer.get_watermark_offsets(partition, self._kafka.timeout)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
        self.consumer.list_topics(source[0], self._kafka.timeout)
        return self.consumer.get_watermark_offsets(partition, self._kafka.timeout)

    def _held(self, source: PartitionId) -> SourceState | None:
        reading = self._readings.get(source)
        return None if reading is None or reading.leaving else reading

    def _reach(self, source: PartitionId, position: int) -> None:
        reading = self._readings[source]
        if not reading.adrift:  # or it would move over what is to be read again
            reading.position, reading.trouble = max(reading.position, position), None

    def _handle(self, event: PartitionEvent) -> None:
        """Take note of an end, of a lost position, or of what can't be read; what is not read any more has no say."""
        source = event.source
        reading = self._held(source)
        if event.code == KafkaError._TRANSPORT:
            log.warning("reading %s-%s: %s", *source, event.text, extra=spot(source, code=event.code))
        elif reading is None and source[0]:
            log.debug("what %s-%s says comes too late: %s", *source, event.text, extra=spot(source))
        elif event.code == KafkaError._PARTITION_EOF and reading is not None:
            self._reach(source, event.offset + reading.base)
        else:
            self._fail(event, reading)

    def _fail(self, event: PartitionEvent, reading: SourceState | None) -> None:
        """Take note that something, or everything if it has no name, could not be read."""
        if reading is not None:
            reading.adrift = True
        if event.code not in _REFUSED:
            what = f"read {event.source[0]}-{event.source[1]}" if reading else "read"
            trouble = translate(KafkaError(event.code, event.text), what)
            self._trouble = trouble
            if reading is not None:
                reading.trouble = trouble
