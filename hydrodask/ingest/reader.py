"""Read assigned partitions: one long-lived consumer, manual assignment, whole batches.

Offsets that leave this module are ours: the broker's plus `base`, which is 0 on a real broker. An embedded broker
forgets everything when it stops, and counts from 0 again; the base keeps offsets growing over such restarts.
"""

import logging
from collections.abc import Callable

from hydrodask.background import in_background
from hydrodask.errors import HydrodaskError, RetryableError
from hydrodask.ingest.fetcher import Event, Fetcher, Source
from hydrodask.kafka import (
    OFFSET_INVALID,
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
from hydrodask.records import Messages
from hydrodask.settings.model import Kafka

__all__ = ["Reader", "Source"]

log = logging.getLogger(__name__)

UNDECIDED_S_MAX = 5.0
"""How long a committed offset may stay undecided before it is settled, s."""

_EMITTED = "emitted="
_REFUSED = (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


def fetcher(kafka: Kafka) -> Fetcher:
    """Return what fetches the records of a reader."""
    return Fetcher(fetch_settings(kafka), remember, logging.getLogger("hydrodask.kafka"))


class Reader:
    """Reads the partitions that it is told to, each from an offset that it is told.

    Two clients: `consumer` asks for offsets and stands for the group in transactions, the fetcher fetches. `ends` maps
    a source to the end of its log as last seen. `lost` holds sources whose position the log does not have any more;
    they have to be assigned anew.
    """

    def __init__(
        self,
        kafka: Kafka,
        *,
        base: int = 0,
        connect: Callable[..., Consumer] = consumer,
        fetch: Callable[[Kafka], Fetcher] = fetcher,
    ) -> None:
        self.consumer: Consumer = connect(kafka)
        self.ends: dict[Source, int] = {}
        self.positions: dict[Source, int] = {}
        self.lost: set[Source] = set()
        self._trouble: HydrodaskError | None = None
        self._fetcher = fetch(kafka)
        self._kafka = kafka
        self._base = base

    def committed(
        self, source: Source, settle: Callable[[list[TopicPartition], Consumer], None]
    ) -> tuple[int | None, int | None]:
        """Return what `mark` made of the group's committed offset; None twice when there is none.

        An offset that stays undecided is settled once, by `settle`. Raises UnreachableError, or RetryableError while
        it is being decided.
        """
        try:
            return self._committed(source, min(UNDECIDED_S_MAX, self._kafka.timeout))
        except RetryableError as error:
            log.warning("%s; settling it", error)
            settle([TopicPartition(*source, 0)], self.consumer)
        return self._committed(source, self._kafka.timeout)

    def mark(self, source: Source, position: int, emitted: int) -> TopicPartition:
        """Return what to commit for `source`: the broker's offset, and up to where open windows were published."""
        return TopicPartition(*source, position - self._base, f"{_EMITTED}{emitted - self._base}")

    def bounds(self, source: Source) -> tuple[int, int]:
        """Return the first offset that the log still has, and its end."""
        try:
            low, high = self._watermarks(source)
        except KafkaException as error:
            raise_from(error, f"read the bounds of {source[0]}-{source[1]}")
        return low + self._base, high + self._base

    def assign(self, source: Source, offset: int) -> None:
        """Read `source` from `offset` on."""
        self.lost.discard(source)
        if source in self.positions:
            self._fetcher.unassign(source)
        self._fetcher.assign(source, max(0, offset - self._base))
        self.positions[source] = offset

    def unassign(self, source: Source) -> None:
        """Stop reading `source`."""
        if self.positions.pop(source, None) is not None:
            self._fetcher.unassign(source)
        self.ends.pop(source, None)

    def poll(self, rows_max: int, timeout_s: float) -> list[Messages]:
        """Return runs of messages per partition: until `rows_max` are there or `timeout_s` has passed.

        Transaction markers and compacted records leave gaps; the position moves over them at the end of the log.
        Raises RetryableError or FatalError for what a partition could not be read for at the last call: what came
        together with that was returned first, or it would be lost to a caller who goes on.
        """
        if self._trouble is not None:
            trouble, self._trouble = self._trouble, None
            raise trouble
        runs, events = self._fetcher.poll(rows_max, timeout_s)
        runs = [run for run in runs if (run.topic, run.partition) in self.positions]  # fetched before it was unassigned
        for run in runs:
            run.offsets += self._base
            self.positions[run.topic, run.partition] = int(run.offsets[-1]) + 1
        for event in events:
            self._heed(event)
        return runs

    def note_ends(self) -> None:
        """Bring `ends` up to date from the last fetches; asks no broker."""
        for source in self.positions:
            high = self._fetcher.end(source)
            if high >= 0:
                self.ends[source] = max(self.ends.get(source, 0), high + self._base)

    def close(self) -> None:
        """Let go of the connections. Does not wait."""
        in_background(self._fetcher.close, self.consumer.close)

    def _committed(self, source: Source, limit_s: float) -> tuple[int | None, int | None]:
        try:
            found = self.consumer.committed([TopicPartition(*source)], limit_s)[0]
        except KafkaException as error:
            raise_from(error, f"read the committed offset of {source[0]}-{source[1]}")
        if found.error is not None:
            raise translate(found.error, f"read the committed offset of {source[0]}-{source[1]}")
        if found.offset == OFFSET_INVALID:
            return None, None
        said = (found.metadata or "").removeprefix(_EMITTED)  # an offset that somebody else has set says nothing
        return found.offset + self._base, int(said) + self._base if said.isdigit() else None

    def _watermarks(self, source: Source) -> tuple[int, int]:
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

    def _heed(self, event: Event) -> None:
        """Take note of an end, of a lost position, or of what a partition can't be read for."""
        source = event.source
        if event.code == KafkaError._PARTITION_EOF:
            end = event.offset + self._base
            self.ends[source] = end
            if source in self.positions:
                self.positions[source] = max(self.positions[source], end)
        elif event.code in _REFUSED:
            self.lost.add(source)
        elif event.code != KafkaError._TRANSPORT:
            self._trouble = translate(KafkaError(event.code, event.text), f"read {source[0]}-{source[1]}")
        else:
            log.warning("reading %s-%s: %s", *source, event.text)
