"""The client of a fake Kafka that fetches records, as `hydrodask.ingest.fetcher` does."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.errors import RetryableError
from hydrodask.ingest.fetcher import PartitionEvent
from hydrodask.kafka import KafkaError, KafkaException
from hydrodask.records import Messages, PartitionId
from hydrodask.testing.simulation.fakelogs import Entry, FakeClient, FakeLogs, FakePartition

LATE = 0.5
"""How often a client says once more, and later, that a partition can't be read from where it was."""


@dataclass(slots=True)
class _Reading:
    position: int
    announced: int = -1
    high: int = -1


class FakeFetcher(FakeClient):
    """A fetcher as `hydrodask.ingest.fetcher` has it: read committed, whole batches, ends and lost positions."""

    def __init__(self, broker: FakeLogs) -> None:
        super().__init__(broker)
        self._reading: dict[PartitionId, _Reading] = {}
        self._late: list[PartitionEvent] = []
        self._first: dict[str, int] = {}

    def assign(self, source: PartitionId, offset: int) -> None:
        def begin() -> None:
            assert source not in self._reading, "assigned twice"
            self._reading[source] = _Reading(offset)

        self._change("kafka.assign", begin)

    def unassign(self, source: PartitionId) -> None:
        self._change("kafka.unassign", lambda: self._reading.pop(source))

    def _change(self, name: str, effect: Callable[[], object]) -> None:
        try:
            self._call(name, effect)
        except KafkaException as error:
            raise RetryableError(f"could not change what is read: {error}", backoff_s=0.2) from error

    def end(self, source: PartitionId) -> int:
        return self._reading[source].high

    def close(self) -> None:
        self._reading.clear()
        self.closed = True

    def redeliver(self, count: int) -> None:
        """Go back: what was delivered last comes once more."""
        for source, reading in self._reading.items():
            if source in self._broker.logs:
                # Never on: whose position the log has lost is told so.
                back = max(self._broker.logs[source].low, reading.position - count)
                reading.position = min(reading.position, back)

    def poll(self, rows_max: int, timeout_s: float) -> tuple[list[Messages], list[PartitionEvent]]:
        """Return runs and events; blocks until there are so many records, or until the timeout."""
        world = self._broker.world
        end_s = world.monotonic_s() + timeout_s
        if self._there() < rows_max:
            world.sleep_s(timeout_s)
        runs: list[Messages] = []
        events: list[PartitionEvent] = []

        def fetch() -> None:
            room = rows_max
            self._repeat(events)
            for source in world.random.sample(list(self._reading), len(self._reading)):
                entries = self._fetch(source, room, events)
                room -= len(entries)
                if entries:
                    runs.append(_messages(source, entries))
                if world.random.random() < self._broker.broken and source in self._broker.logs:
                    reading = self._reading[source]
                    events.append(PartitionEvent(source, KafkaError._BAD_MSG, reading.position, "could not decompress"))
                    reading.position = min(reading.position + 3, self._broker.logs[source].stable)

        try:
            self._call("kafka.consume", fetch)
        except KafkaException as error:  # a consumer hides it, and tries on
            world.sleep_s(end_s - world.monotonic_s())
            return [], [PartitionEvent(("", 0), error.args[0].code(), 0, str(error))]
        return runs, events

    def _repeat(self, events: list[PartitionEvent]) -> None:
        """Say late what a source said, whoever reads it by now: librdkafka does not tell these by assignments."""
        random = self._broker.world.random
        for event in list(self._late):
            if random.random() < LATE:
                self._late.remove(event)
                events.append(event)

    def _there(self) -> int:
        there = [(self._broker.logs.get(source), reading) for source, reading in self._reading.items()]
        return sum(max(0, log.stable - reading.position) for log, reading in there if log is not None)

    def _stuck(self, source: PartitionId, log: FakePartition) -> bool:
        """Say whether this client has read an earlier log of the name, with a higher leader epoch: it reads nothing."""
        first = self._first.setdefault(source[0], log.number)
        return self._broker.epochs and first != log.number

    def _fetch(self, source: PartitionId, room: int, events: list[PartitionEvent]) -> list[tuple[int, Entry]]:
        reading, log = self._reading[source], self._broker.logs.get(source)
        if log is None or self._stuck(source, log):
            return []  # without a word
        if not log.low <= reading.position <= len(log.entries):
            events.append(PartitionEvent(source, KafkaError._AUTO_OFFSET_RESET, reading.position, "out of range"))
            if self._broker.world.random.random() < LATE:
                self._late.append(events[-1])
            return []
        reading.high = log.stable
        found: list[tuple[int, Entry]] = []
        while reading.position < log.stable and len(found) < room:
            if (entry := log.entries[reading.position]).visible:
                found.append((reading.position, entry))
            reading.position += 1
        if reading.position == log.stable != reading.announced:
            reading.announced = log.stable
            events.append(PartitionEvent(source, KafkaError._PARTITION_EOF, log.stable, "the end"))
        return found


def _messages(source: PartitionId, entries: list[tuple[int, Entry]]) -> Messages:
    """Return records as the fetcher gives them."""
    return Messages(
        *source,
        Blobs.of([entry.value for _, entry in entries]),
        Blobs.of([entry.key for _, entry in entries]),
        np.array([offset for offset, _ in entries], np.int64),
        np.array([entry.stamp_ms for _, entry in entries], np.int64),
    )
