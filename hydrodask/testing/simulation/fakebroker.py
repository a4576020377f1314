"""A fake Kafka with clients that behave as librdkafka's do: what the engine sees of a broker."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from hydrodask.errors import UnreachableError
from hydrodask.kafka import OFFSET_INVALID, KafkaError, KafkaException, TopicPartition
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka
from hydrodask.store.transactions import partition_of
from hydrodask.testing.simulation.fakefetcher import FakeFetcher
from hydrodask.testing.simulation.fakelogs import Entry, FakeClient, FakeLogs
from hydrodask.testing.simulation.world import START_S, World


class FakeBroker(FakeLogs):
    """A cluster of which the engine gets clients."""

    def __init__(self, world: World, *, fenced: bool = True, transactional: bool = True) -> None:
        super().__init__(world, fenced=fenced, transactional=transactional)
        self.fetchers: list[FakeFetcher] = []

    def consumer(self, kafka: Kafka, **overrides: object) -> Any:
        """Return a read-committed consumer with manual assignment, as `hydrodask.kafka.consumer` does."""
        return FakeConsumer(self, kafka.group, every=overrides.get("isolation.level") == "read_uncommitted")

    def identities(self, _kafka: Kafka) -> Any:
        """Return what asks for ids, as `hydrodask.ingest.identity.Identities` does."""
        return FakeIdentities(self)

    def fetcher(self, _kafka: Kafka) -> Any:
        """Return a fetcher, as `hydrodask.ingest.reader.fetcher` does."""
        one = FakeFetcher(self)
        self.fetchers.append(one)
        return one

    def producer(self, _kafka: Kafka, **overrides: object) -> Any:
        """Return a transactional producer, as `hydrodask.kafka.producer` does."""
        return FakeProducer(self, str(overrides["transactional.id"]), overrides.get("error_cb"))


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

    def __init__(self, broker: FakeLogs, group: str, *, every: bool = False) -> None:
        """`every`: it reads what no transaction has decided, too."""
        super().__init__(broker)
        self._group, self._every = group, every

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
            return log.low, len(log.entries) if self._every else log.stable

        return self._call("kafka.bounds", bounds)

    def consumer_group_metadata(self) -> object:
        return self._group

    def close(self) -> None:
        self.closed = True


class FakeProducer(FakeClient):
    """A transactional producer as `hydrodask.store.transactions` uses it, with librdkafka's states.

    A commit whose answer does not come may have happened. Aborting it then is fatal, as it is for librdkafka when the
    broker has committed; and a commit that could not even be begun can't be aborted, only tried again.
    """

    def __init__(self, broker: FakeLogs, name: str, hear: Any = None) -> None:
        """`hear` is told that every broker was gone, in a poll."""
        super().__init__(broker)
        self._name, self._hear, self._gone = name, hear, broker.gone
        self._epoch = -1
        self._state = "new"
        self._waiting: list[tuple[PartitionId, Entry]] = []

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
        if self._broker.gone > self._gone and self._hear is not None:
            self._gone = self._broker.gone
            self._hear(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
        return 0

    def flush(self, timeout: float) -> int:
        self._flush()
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
