"""A fake Kafka: logs with ids, transactions, group offsets and retention, with clients that behave as librdkafka's do.

A transaction's records are in the log at once, and readers that want committed ones stop before the first that is
undecided. Initialising a transactional id bumps its epoch and aborts what was open: who has an older epoch is fenced.
`fenced` and `transactional` take these two promises away, so that a test can show that something notices.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.errors import RetryableError, UnreachableError
from hydrodask.ingest.fetcher import Event
from hydrodask.kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from hydrodask.records import Messages
from hydrodask.settings.model import Kafka
from hydrodask.store.topics import partition_of
from tests.simulation.world import START_S, World

BROKEN = 0.005
"""How often a partition can't be read, once, while the others can. The client goes on behind what it can't read."""

LATE = 0.5
"""How often a client says once more, and later, that a partition can't be read from where it was."""

T = TypeVar("T")
Source = tuple[str, int]


@dataclass(eq=False, slots=True)
class Transaction:
    """What one transaction has touched, and what became of it: open, committed or aborted."""

    state: str = "open"
    logs: list["Log"] = field(default_factory=list)
    offsets: dict[tuple[str, Source], tuple[int, str]] = field(default_factory=dict)
    """By group and source."""


@dataclass(slots=True)
class Entry:
    """One offset of a log: a record, or the marker at which a transaction ended."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, Any]] = field(default_factory=list)
    stamp_ms: int = 0
    transaction: Transaction | None = None
    marker: bool = False

    @property
    def visible(self) -> bool:
        """Whether read-committed readers see it; what is undecided they do not come to."""
        return not self.marker and (self.transaction is None or self.transaction.state == "committed")


class Log:
    """A partition. Offsets below `low` are gone."""

    def __init__(self, number: int = 0) -> None:
        self.entries: list[Entry] = []
        self.low = 0
        self.number = number
        """Which of the logs of its name this is; with that the topic's id."""
        self._stable = 0

    @property
    def stable(self) -> int:
        """Return the offset of the first record that is undecided, or the end."""
        while self._stable < len(self.entries):
            transaction = self.entries[self._stable].transaction
            if transaction is not None and transaction.state == "open":
                break
            self._stable += 1
        return self._stable

    def committed(self) -> list[tuple[int, Entry]]:
        """Return all records that read-committed readers see, with their offsets."""
        return [(i, e) for i, e in enumerate(self.entries[: self.stable]) if e.visible]


@dataclass(slots=True)
class _Id:
    epoch: int = 0
    open: Transaction | None = None


class FakeBroker:
    """The cluster's side: everything here happens at once, and is what is true."""

    def __init__(self, world: World, *, fenced: bool = True, transactional: bool = True) -> None:
        self.world = world
        self.fenced, self.transactional = fenced, transactional
        self.cluster = "cluster"
        self.epochs = False
        """Whether leaders have changed before topics are made anew."""
        self.logs: dict[Source, Log] = {}
        self.offsets: dict[tuple[str, Source], tuple[int, str]] = {}
        """By group and source."""
        self.ended: dict[Source, list[Log]] = {}
        """The earlier logs of a name."""
        self.broken = BROKEN
        self.fetchers: list[FakeFetcher] = []
        self.clients: list[FakeClient] = []
        self._ids: dict[str, _Id] = {}

    def consumer(self, kafka: Kafka, **_overrides: object) -> Any:
        """Return a read-committed consumer with manual assignment, as `hydrodask.kafka.consumer` does."""
        return FakeConsumer(self, kafka.group)

    def identities(self, _kafka: Kafka) -> Any:
        """Return what asks for ids, as `hydrodask.ingest.identity.Identities` does."""
        return FakeIdentities(self)

    def fetcher(self, _kafka: Kafka) -> Any:
        """Return a fetcher, as `hydrodask.ingest.reader.fetcher` does."""
        return FakeFetcher(self)

    def producer(self, _kafka: Kafka, **overrides: object) -> Any:
        """Return a transactional producer, as `hydrodask.kafka.producer` does."""
        return FakeProducer(self, str(overrides["transactional.id"]))

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic have so many partitions."""
        for partition in range(partitions):
            if (topic, partition) not in self.logs:
                self.logs[topic, partition] = Log(len(self.ended.get((topic, 0), [])))

    def delete(self, topic: str) -> None:
        """Delete a topic, and what groups have committed for it; undecided records of it end with it."""
        for source in [source for source in self.logs if source[0] == topic]:
            self.ended.setdefault(source, []).append(self.logs.pop(source))
        for key in [key for key in self.offsets if key[1][0] == topic]:
            del self.offsets[key]

    def ids(self) -> dict[str, str]:
        """Return the identity of each topic."""
        return {topic: f"{self.cluster}/{topic}@{self.cluster}.{log.number}" for (topic, _), log in self.logs.items()}

    def commit_foreign(self, group: str) -> None:
        """Commit offsets as a tool would, anywhere in the logs."""
        for source, log in self.logs.items():
            self.offsets[group, source] = (self.world.random.randint(0, len(log.entries)), "")

    def append(self, source: Source, entry: Entry) -> None:
        """Append a record from outside."""
        self.logs[source].entries.append(entry)

    def retain(self, source: Source, low: int) -> None:
        """Forget what is below `low`."""
        log = self.logs[source]
        log.low = max(log.low, min(low, log.stable))

    def expire(self) -> None:
        """Abort what is open, as `transaction.timeout.ms` would."""
        for one in self._ids.values():
            if one.open is not None:
                one.epoch += 1
                self._end(one, "aborted")

    def init(self, name: str) -> int:
        one = self._ids.setdefault(name, _Id())
        one.epoch += 1 if self.fenced else 0
        self._end(one, "aborted")
        return one.epoch

    def take_over(self, name: str, epoch: int, one: Transaction | None) -> None:
        """Know a transactional id, with its epoch and what it has begun."""
        self._ids[name] = _Id(epoch, one)

    def write(self, name: str, epoch: int, records: list[tuple[Source, Entry]]) -> None:
        """Append records of an open transaction."""
        one = self._mine(name, epoch)
        for source, entry in records:
            log = self.logs[source]
            if self.transactional:
                entry.transaction = one.open = one.open or Transaction()
                if log not in one.open.logs:
                    one.open.logs.append(log)
            log.entries.append(entry)

    def add_offsets(self, name: str, epoch: int, group: str, held: Mapping[Source, tuple[int, str]]) -> None:
        """Let an open transaction hold group offsets."""
        one = self._mine(name, epoch)
        if any(source not in self.logs for source in held):
            raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic", txn_requires_abort=True))
        offsets = {(group, source): said for source, said in held.items()}
        if not self.transactional:
            self.offsets |= offsets
            return
        one.open = one.open or Transaction()
        one.open.offsets |= offsets

    def end(self, name: str, epoch: int, state: str) -> None:
        """Commit or abort what is open; once more, it changes nothing."""
        self._end(self._mine(name, epoch), state)

    def pending(self, group: str, source: Source) -> bool:
        """Say whether an open transaction holds an offset of `source`."""
        return any(one.open is not None and (group, source) in one.open.offsets for one in self._ids.values())

    def is_open(self, name: str) -> bool:
        """Say whether a transaction of this id is open."""
        return self._ids[name].open is not None

    def _mine(self, name: str, epoch: int) -> _Id:
        one = self._ids[name]
        if epoch != one.epoch and self.fenced:
            raise KafkaException(KafkaError(KafkaError._FENCED, f"{name} has a newer epoch", fatal=True))
        return one

    def _end(self, one: _Id, state: str) -> None:
        done, one.open = one.open, None
        if done is None:
            return
        done.state = state
        if state == "committed":
            self.offsets |= {key: said for key, said in done.offsets.items() if key[1] in self.logs}
        for log in done.logs:
            log.entries.append(Entry(None, transaction=done, marker=True))


class FakeClient:
    """What consumers and producers share: each call takes its time, and may be refused."""

    def __init__(self, broker: FakeBroker) -> None:
        self._broker = broker
        self.closed = False
        broker.clients.append(self)

    def _call(self, name: str, effect: Callable[[], T]) -> T:
        return self._broker.world.call(name, effect)


class FakeIdentities(FakeClient):
    """Asks for the ids of topics: each log of a name has another."""

    def of(self, topics: Iterable[str]) -> dict[str, str]:
        def asked() -> dict[str, str]:
            ids = self._broker.ids()
            return {topic: ids[topic] for topic in sorted(set(topics)) if topic in ids}

        try:
            return self._call("kafka.describe", asked)
        except KafkaException as error:
            raise UnreachableError(f"could not ask for ids: {error}", backoff_s=0.2) from error


class FakeConsumer(FakeClient):
    """A consumer that asks about offsets, as `hydrodask.ingest.reader`, `commits` and `discover` use it."""

    def __init__(self, broker: FakeBroker, group: str) -> None:
        super().__init__(broker)
        self._group = group

    def list_topics(self, timeout: float) -> Any:
        def listed() -> dict[str, Any]:
            found: dict[str, Any] = {}
            for topic, partition in self._broker.logs:
                found.setdefault(topic, SimpleNamespace(error=None, partitions=[])).partitions.append(partition)
            return found

        return SimpleNamespace(topics=self._call("kafka.list_topics", listed))

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return self._call("kafka.committed", lambda: [self._committed(p) for p in partitions])

    def _committed(self, asked: TopicPartition) -> TopicPartition:
        source = asked.topic, asked.partition
        if self._broker.pending(self._group, source):
            raise KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT, retriable=True))
        offset, metadata = self._broker.offsets.get((self._group, source), (OFFSET_INVALID, ""))
        return TopicPartition(*source, offset, metadata)

    def get_watermark_offsets(self, asked: TopicPartition, timeout: float) -> tuple[int, int]:
        def bounds() -> tuple[int, int]:
            log = self._broker.logs.get((asked.topic, asked.partition))
            if log is None:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic", retriable=True))
            return log.low, log.stable

        return self._call("kafka.bounds", bounds)

    def consumer_group_metadata(self) -> object:
        return self._group

    def close(self) -> None:
        self.closed = True


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """A record as confluent-kafka gives it; without an entry the end of a partition."""

    of_topic: str
    of_partition: int
    at: int
    entry: Entry | None

    def topic(self) -> str:
        return self.of_topic

    def partition(self) -> int:
        return self.of_partition

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self.entry is None else None

    def value(self) -> bytes | None:
        return self.entry.value if self.entry else None

    def key(self) -> bytes | None:
        return self.entry.key if self.entry else None

    def headers(self) -> list[tuple[str, Any]]:
        return self.entry.headers if self.entry else []

    def timestamp(self) -> tuple[int, int]:
        return 1, self.entry.stamp_ms if self.entry else 0


@dataclass(slots=True)
class _Reading:
    position: int
    announced: int = -1
    high: int = -1


class FakeFetcher(FakeClient):
    """A fetcher as `hydrodask.ingest.fetcher` has it: read committed, whole batches, ends and lost positions."""

    def __init__(self, broker: FakeBroker) -> None:
        super().__init__(broker)
        self._reading: dict[Source, _Reading] = {}
        self._late: list[Event] = []
        self._first: dict[str, int] = {}
        broker.fetchers.append(self)

    def assign(self, source: Source, offset: int) -> None:
        def begin() -> None:
            assert source not in self._reading, "assigned twice"
            self._reading[source] = _Reading(offset)

        self._change("kafka.assign", begin)

    def unassign(self, source: Source) -> None:
        self._change("kafka.unassign", lambda: self._reading.pop(source))

    def _change(self, name: str, effect: Callable[[], object]) -> None:
        try:
            self._call(name, effect)
        except KafkaException as error:
            raise RetryableError(f"could not change what is read: {error}", backoff_s=0.2) from error

    def end(self, source: Source) -> int:
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

    def poll(self, rows_max: int, timeout_s: float) -> tuple[list[Messages], list[Event]]:
        """Return runs and events; blocks until there are so many records, or until the timeout."""
        world = self._broker.world
        end_s = world.monotonic_s() + timeout_s
        if self._there() < rows_max:
            world.sleep_s(timeout_s)
        runs: list[Messages] = []
        events: list[Event] = []

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
                    events.append(Event(source, KafkaError._BAD_MSG, reading.position, "could not decompress"))
                    reading.position = min(reading.position + 3, self._broker.logs[source].stable)

        try:
            self._call("kafka.consume", fetch)
        except KafkaException as error:  # a consumer hides it, and tries on
            world.sleep_s(end_s - world.monotonic_s())
            return [], [Event(("", 0), error.args[0].code(), 0, str(error))]
        return runs, events

    def _repeat(self, events: list[Event]) -> None:
        """Say late what a source said, whoever reads it by now: librdkafka does not tell these by assignments."""
        random = self._broker.world.random
        for event in list(self._late):
            if random.random() < LATE:
                self._late.remove(event)
                events.append(event)

    def _there(self) -> int:
        there = [(self._broker.logs.get(source), reading) for source, reading in self._reading.items()]
        return sum(max(0, log.stable - reading.position) for log, reading in there if log is not None)

    def _stuck(self, source: Source, log: Log) -> bool:
        """Say whether this client has read an earlier log of the name, with a higher leader epoch: it reads nothing."""
        first = self._first.setdefault(source[0], log.number)
        return self._broker.epochs and first != log.number

    def _fetch(self, source: Source, room: int, events: list[Event]) -> list[tuple[int, Entry]]:
        reading, log = self._reading[source], self._broker.logs.get(source)
        if log is None or self._stuck(source, log):
            return []  # without a word
        if not log.low <= reading.position <= len(log.entries):
            events.append(Event(source, KafkaError._AUTO_OFFSET_RESET, reading.position, "out of range"))
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
            events.append(Event(source, KafkaError._PARTITION_EOF, log.stable, "the end"))
        return found


def _messages(source: Source, entries: list[tuple[int, Entry]]) -> Messages:
    """Return records as the fetcher gives them."""
    return Messages(
        *source,
        Blobs.of([entry.value for _, entry in entries]),
        Blobs.of([entry.key for _, entry in entries]),
        np.array([offset for offset, _ in entries], np.int64),
        np.array([entry.stamp_ms for _, entry in entries], np.int64),
    )


class FakeProducer(FakeClient):
    """A transactional producer as `hydrodask.store.topics` uses it, with librdkafka's states.

    A commit whose answer does not come may have happened. Aborting it then is fatal, as it is for librdkafka when the
    broker has committed; and a commit that could not even be begun can't be aborted, only tried again.
    """

    def __init__(self, broker: FakeBroker, name: str) -> None:
        super().__init__(broker)
        self._name = name
        self._epoch = -1
        self._state = "new"
        self._waiting: list[tuple[Source, Entry]] = []

    def init_transactions(self, timeout: float) -> None:
        self._epoch = self._call("kafka.init_transactions", lambda: self._broker.init(self._name))
        self._state = "ready"

    def begin_transaction(self) -> None:
        self._want("ready")
        self._state = "in transaction"

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int = -1,
        headers: list[tuple[str, Any]] | None = None,
    ) -> None:
        count = sum(1 for name, _ in self._broker.logs if name == topic)
        partition = partition_of(key or b"", count) if partition < 0 else partition
        stamp_ms = round((START_S + self._broker.world.loop.now_s) * 1000)
        self._waiting.append(((topic, partition), Entry(value, key, headers or [], stamp_ms)))
        if len(self._waiting) % 16 == 0:
            self._flush()

    def send_offsets_to_transaction(self, offsets: list[TopicPartition], metadata: object, timeout: float) -> None:
        self._want("in transaction")
        held = {(p.topic, p.partition): (p.offset, p.metadata or "") for p in offsets}
        group = str(metadata)
        self._call("kafka.send_offsets", lambda: self._broker.add_offsets(self._name, self._epoch, group, held))

    def commit_transaction(self, timeout: float) -> None:
        self._want("in transaction", "committing")
        self._state = "committing"
        self._flush()
        try:
            self._call("kafka.commit", lambda: self._broker.end(self._name, self._epoch, "committed"))
        except KafkaException as error:
            if error.args[0].fatal():
                raise
            self._state = "to be aborted"
            cause = KafkaError(KafkaError._TIMED_OUT, "the commit's answer did not come", txn_requires_abort=True)
            raise KafkaException(cause) from error
        self._state = "ready"

    def abort_transaction(self, timeout: float) -> None:
        self._want("in transaction", "to be aborted", "aborting")
        late = self._state == "to be aborted" and not self._broker.is_open(self._name)
        self._state = "aborting"
        self._waiting.clear()
        self._call("kafka.abort", lambda: self._broker.end(self._name, self._epoch, "aborted"))
        if late:
            raise KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "it is not open any more", fatal=True))
        self._state = "ready"

    def purge(self) -> None:
        self._waiting.clear()
        self.closed = True

    def poll(self, timeout: float) -> int:
        return 0

    def _flush(self) -> None:
        def append() -> None:
            self._broker.write(self._name, self._epoch, self._waiting)
            self._waiting = []

        if self._waiting:
            self._call("kafka.append", append)

    def _want(self, *states: str) -> None:
        if self._state not in states:
            raise KafkaException(KafkaError(KafkaError._STATE, f"a transaction is {self._state}"))
