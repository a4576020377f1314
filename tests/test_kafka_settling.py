"""A broker that leaves in the middle of a commit: what it has called committed, and marked nowhere, is taken back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hydrodask.ingest.commits import Commits
from hydrodask.ingest.undecided import undecided
from hydrodask.kafka import KafkaError, NewTopic, TopicPartition, admin, consumer
from hydrodask.protocol.settling import Settling
from hydrodask.records import Outgoing
from hydrodask.services import KafkaService
from hydrodask.services.ports import free_port
from hydrodask.settings import Settings, load
from hydrodask.store.transactions import Transactions
from tests.conftest import kill, quiet, running
from tests.delivery import until

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PREFIX = "leaving-"
TOPIC = f"{PREFIX}analytics"
WAIT_S = 60.0
GONE_S = 120.0
"""A broker is missed after nine seconds; where it was the active controller, too, another takes half a minute more."""


@pytest.fixture
def three(tmp_path: Path) -> Iterator[KafkaService]:
    """Run three brokers, one of which is to be killed."""
    service = KafkaService(tmp_path / "three", port=free_port(9), nodes=3, heap="256m", with_parent=True)
    service.install(quiet)
    yield from running(service)


class Interrupted(Transactions):
    """Something happens between what is sent and the commit."""

    between: Callable[[], object] = staticmethod(lambda: None)

    def _finish(self) -> None:
        self._producer.flush(WAIT_S)
        self.between()
        super()._finish()


def java_hash(text: str) -> int:
    """Return what Kafka finds coordinators by."""
    value = 0
    for letter in text:
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


def leaders(settings: Settings, topic: str) -> list[int]:
    """Return the leader of each partition, -1 where there is none."""
    found = admin(settings.kafka).list_topics(topic, timeout=WAIT_S).topics[topic].partitions
    return [found[number].leader for number in sorted(found)]


def committed_rows(settings: Settings, partition: int) -> list[bytes | None]:
    """Return what readers of committed records get of a partition."""
    client = consumer(settings.kafka)
    client.assign([TopicPartition(TOPIC, partition, 0)])
    found: list[bytes | None] = []

    def read() -> bool:
        """Read on; say whether that was all that is committed."""
        message = client.poll(1.0)
        if message is None:
            return False
        error = message.error()
        if error is None:
            found.append(message.value())
        return error is not None and error.code() == KafkaError._PARTITION_EOF

    try:
        until(read, "the end is read")
        return found
    finally:
        client.close()


@pytest.mark.timeout(1800)
def test_what_a_broker_has_called_committed_and_marked_nowhere(three: KafkaService, tmp_path: Path) -> None:
    """Kafka 4.4.0 forgets a partition that has no leader when it ends a transaction (KAFKA-20734); we do not."""
    settings, _origins = load(sets=[f"data_dir={tmp_path / 'data'}", *three.sets(), f"topics.prefix={PREFIX}"])
    settings = settings.model_copy(update={"kafka": three.first_login()})
    # A partition of one copy can be without a leader.
    topic = NewTopic(TOPIC, num_partitions=3, replica_assignment=[[1], [2], [3]])
    broker = admin(settings.kafka)
    broker.create_topics([topic])[TOPIC].result(WAIT_S)
    commits = Commits(settings.kafka)
    slot = Interrupted(settings.kafka, 0)

    def rows(text: str) -> list[Outgoing]:
        return [Outgoing(TOPIC, b"rig-1", text.encode(), partition=number) for number in range(3)]

    offset = TopicPartition(TOPIC, 0, 1)
    slot.commit(rows("first"), [offset], *commits.groups)  # from here on the coordinators' topics are there, too
    known = leaders(settings, "__transaction_state")
    victim = min({1, 2, 3} - {known[java_hash(f"{settings.kafka.group}-0") % len(known)]})

    def leave() -> None:
        kill(three, three.servers()[victim - 1].name)
        until(lambda: leaders(settings, TOPIC)[victim - 1] == -1, "the others know that it is gone", seconds=GONE_S)

    slot.between = leave
    slot.commit(rows("second"), [offset], *commits.groups)
    slot.close()
    three.start(quiet)
    until(lambda: leaders(settings, TOPIC)[victim - 1] == victim, "it leads again", seconds=GONE_S)
    left = [(TOPIC, victim - 1)]
    assert undecided(settings.kafka, [TOPIC]) == left, "the end of the transaction came to it: Kafka has mended this?"

    again = Transactions(settings.kafka, 0)
    assert undecided(settings.kafka, [TOPIC]) == left, "initialising the id decides nothing"
    Settling(settings, again, consumer).after(commits.groups, lost=True)

    # The coordinator answers before the partitions' leaders have its marks.
    until(lambda: undecided(settings.kafka, [TOPIC]) == [], "what was left is decided", seconds=GONE_S)
    assert committed_rows(settings, victim - 1) == [b"first"]
    again.commit(rows("third"), [offset], *commits.groups)
    until(lambda: committed_rows(settings, victim - 1) == [b"first", b"third"], "what came then", seconds=GONE_S)
    again.close()
    commits.close()
