"""Publish output records and source offsets in one Kafka transaction, and fence those who must not any more."""

import contextlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NoReturn

from hydrodask import clock
from hydrodask.background import in_background, in_time
from hydrodask.errors import FencedError, HydrodaskError, RetryableError, StartOverError, sentence
from hydrodask.failpoints import failpoint
from hydrodask.kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
    producer,
    raise_from,
    remember,
    translate,
)
from hydrodask.records import Outgoing, PartitionId
from hydrodask.settings.model import Kafka

_FULL_QUEUE_WAITS_MAX = 300
_COMMIT_ATTEMPTS_MAX = 2

CALL_S_MAX = 10.0
"""Limit of each call of a commit; all of them together have `kafka.timeout`, of which a step has time for one."""

LAST_SHARE = 0.1
"""Share of that time which a call gets when the ones before it have used it up: the abort, above all."""

OFFSETS_S_MAX = 5.0
"""Limit for sending offsets. Less than the others: a client that has lost the group's coordinator never sends them."""


def transactional_id(kafka: Kafka, slot: int | str) -> str:
    """Return the id of a slot: whoever initialises it last is the only one who can commit."""
    return f"{kafka.group}-{slot}"


def partition_of(key: bytes, count: int) -> int:
    """Return the partition that librdkafka chooses for a key of a topic with so many, as long as it has no more.

    >>> partition_of(b"rig-1", 1), partition_of(b"rig-2", 3)
    (0, 2)
    """
    return zlib.crc32(key) % count


class Transactions:
    """The transactional producer of one slot. A commit is all or nothing and may be repeated after a RetryableError.

    Raises FencedError when another owner has initialised the slot, and StartOverError when it can't be said whether
    the commit went through. That is not only lost time: a client that has seen a cluster without its coordinator, as
    while a single broker starts again, was found never to get over it.
    """

    def __init__(
        self,
        kafka: Kafka,
        slot: int | str,
        *,
        connect: Callable[..., Producer] = producer,
        spread: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """`spread` says over how many of its partitions the keys of a topic go; others leave that to the client."""
        self._spread = spread
        self._timeout_s = kafka.timeout
        self._end_s = 0.0
        """When the commit that is being made has to be done."""
        self._id = transactional_id(kafka, slot)
        self._severed = False
        options = {"transactional.id": self._id, "error_cb": self._hear}
        self._held: list[Producer] = [connect(kafka, **options)]
        try:
            self._initialise(kafka)
        except BaseException:
            self.close()
            raise

    def commit(self, outgoing: Sequence[Outgoing], offsets: Sequence[TopicPartition], *groups: Consumer) -> None:
        """Publish `outgoing` and commit `offsets` for the group of each of these clients, together. Blocks."""
        self._end_s = clock.monotonic_s() + self._timeout_s
        what = f"commit {len(outgoing)} records and {len(offsets)} offsets as {self._id}"
        try:
            self._stay(what)
            self._producer.begin_transaction()
            failpoint("transaction.begun")
            self._produce(outgoing)
            failpoint("transaction.produced")
            if offsets:
                self._send_offsets(list(offsets), groups, what)
                failpoint("transaction.offsets_sent")
            self._stay(what)
            self._finish()
            failpoint("transaction.committed")
        except (KafkaException, BufferError) as error:
            if isinstance(error, KafkaException) and error.args[0].code() == KafkaError._UNKNOWN_PARTITION:
                self._spread = {}  # the topic was made anew with fewer: the next try leaves it to the client
            self._give_up(error, what)

    def settle(
        self, offsets: Sequence[TopicPartition], groups: Sequence[Consumer], sources: Sequence[PartitionId] = ()
    ) -> None:
        """Abort what an earlier owner of the slot left undecided about `offsets`, and in partitions of outputs.

        The end of a transaction of the id decides all that is undecided where it comes to, see `protocol.settling`.
        """
        self._end_s = clock.monotonic_s() + self._timeout_s
        what = f"settle {len(offsets)} offsets and {len(sources)} partitions as {self._id}"
        try:
            self._producer.begin_transaction()
            self._produce([Outgoing(name, None, None, partition=place) for name, place in sources])
            if sources:
                self._producer.flush(self._left_s())  # what is not sent yet an abort takes back
            if offsets:
                self._send_offsets(list(offsets), groups, what)
            self._producer.abort_transaction(self._left_s())
        except (KafkaException, BufferError) as error:
            self._give_up(error, what)

    @property
    def severed(self) -> bool:
        """Whether the connection to every broker was lost since this began: what was committed last may be undone."""
        if self._held and not self._severed:
            with contextlib.suppress(KafkaException):
                self._producer.poll(0)  # errors are heard of in a poll
        return self._severed

    def close(self) -> None:
        """Let go of the producer, whose transaction the next owner aborts. Never raises or waits; may be repeated."""
        if self._held:
            in_background(partial(_end, self._held))

    def _left_s(self) -> float:
        """Return the limit of the next call."""
        return min(CALL_S_MAX, max(self._end_s - clock.monotonic_s(), LAST_SHARE * self._timeout_s))

    def _initialise(self, kafka: Kafka) -> None:
        try:
            self._producer.init_transactions(kafka.timeout)
            self._producer.poll(0)
        except KafkaException as error:
            raise_from(error, f"initialise transactional id {self._id} on {kafka.bootstrap}")
        self._severed = False  # whoever was not there before is now

    def _hear(self, error: KafkaError) -> None:
        remember(error.code(), error.str())
        self._severed = self._severed or error.code() == KafkaError._ALL_BROKERS_DOWN

    def _stay(self, what: str) -> None:
        """Raise StartOverError when no broker was there for a while: nothing goes on top of what may be undecided."""
        self._producer.poll(0)
        if self._severed:
            raise StartOverError(f"could not {what}: the connection to every broker was lost", backoff_s=0.1)

    @property
    def _producer(self) -> Producer:
        return self._held[0]

    def _produce(self, outgoing: Sequence[Outgoing]) -> None:
        """Hand records to the client. A record that can't be delivered fails the transaction, not a callback."""
        produce = self._producer.produce
        for record in outgoing:
            partition = self._partition(record)
            for _ in range(_FULL_QUEUE_WAITS_MAX):
                try:
                    produce(record.topic, record.value, record.key, partition, headers=record.headers or None)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            else:
                raise BufferError("the producer's queue stayed full")

    def _partition(self, record: Outgoing) -> int:
        """Return where a record goes; -1: the client decides."""
        count = self._spread.get(record.topic)
        if record.partition >= 0 or count is None or not record.key:
            return record.partition
        return partition_of(record.key, count)

    def _send_offsets(self, offsets: list[TopicPartition], groups: Sequence[Consumer], what: str) -> None:
        """Add offsets of each group to the transaction. Raises StartOverError when there is no answer.

        librdkafka (2.16) does not keep the limit that it is given. With a broker missing in the metadata for a while,
        as when a single one starts again, it may wait for ever for the group's coordinator (its issues 5456 and 5511).
        """
        limit_s = min(OFFSETS_S_MAX, self._left_s())

        def send() -> None:
            for group in groups:
                self._producer.send_offsets_to_transaction(offsets, group.consumer_group_metadata(), limit_s)

        try:
            in_time(send, limit_s)
        except TimeoutError as error:
            raise StartOverError(f"could not {what}: offsets were not sent within {limit_s:.3g} s") from error

    def _finish(self) -> None:
        """Commit; after a time-out the outcome is open, and only another try of the same commit is allowed."""
        for attempt in range(_COMMIT_ATTEMPTS_MAX):
            try:
                self._producer.commit_transaction(self._left_s())
            except KafkaException as error:
                if not error.args[0].retriable() or attempt + 1 == _COMMIT_ATTEMPTS_MAX:
                    raise
            else:
                return

    def _give_up(self, error: KafkaException | BufferError, what: str) -> NoReturn:
        """Abort, so that the same commit can be tried again, and raise ours: fenced, fatal, retryable or start over."""
        ours: HydrodaskError = RetryableError(f"could not {what}: {sentence(error)}")
        if isinstance(error, KafkaException):
            ours = _lasting(error, what)
            if not isinstance(ours, RetryableError) or isinstance(ours, StartOverError):
                raise ours from error
        try:
            self._producer.abort_transaction(self._left_s())
        except KafkaException as aborting:
            lasting = _lasting(aborting, f"abort after: {ours}")
            raise StartOverError(str(lasting)) if isinstance(lasting, RetryableError) else lasting from aborting
        raise ours from error


def _lasting(error: KafkaException, what: str) -> HydrodaskError:
    """Return ours; what is fatal to a client, and not to the slot, a new client may do."""
    found = translate(error.args[0], what)
    hopeless = isinstance(found, FencedError) or not error.args[0].fatal()
    return found if hopeless else StartOverError(str(found))


def _end(held: list[Producer]) -> None:
    """Let go of a producer in this thread: its last reference, taken out of `held`, ends with this call."""
    client = held.pop()
    client.purge()
    # A producer that was fenced says so again at each poll; the error that ended the slot must not be hidden by it.
    with contextlib.suppress(KafkaException):
        client.poll(0)
