"""The embedded broker as other processes see it."""

import subprocess
import sys

from hydrodask import kafka
from hydrodask.ingest.embedded import EmbeddedBroker
from hydrodask.ingest.topics import TopicSpec
from hydrodask.settings.model import Kafka

OTHER = """
import sys
from hydrodask import kafka
from hydrodask.settings.model import Kafka

settings = Kafka(bootstrap=sys.argv[1], embedded=False)
producer = kafka.producer(settings)
for number in range(100):
    producer.produce("numbers", str(number), "rig-1", 0)
assert producer.flush(20) == 0
consumer = kafka.consumer(settings)
consumer.assign([kafka.TopicPartition("numbers", 0, kafka.OFFSET_BEGINNING)])
seen = []
while len(seen) < 100:
    seen += [m.value() for m in consumer.consume(100, timeout=20) if not m.error()]
consumer.close()
sys.stdout.write(b" ".join(seen).decode())
"""


def test_another_process_produces_and_consumes() -> None:
    """What another process wrote, it reads back in order, and so do we."""
    with EmbeddedBroker([TopicSpec("numbers", 1, 1)]) as broker:
        done = subprocess.run(
            [sys.executable, "-c", OTHER, broker.bootstrap],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert done.stdout.split() == [str(number) for number in range(100)]


def test_topics_have_the_wanted_partitions() -> None:
    """Not the four that the mock cluster gives to a topic that it makes itself."""
    with EmbeddedBroker([TopicSpec("one", 1, 1), TopicSpec("three", 3, 1)]) as broker:
        admin = kafka.admin(Kafka(bootstrap=broker.bootstrap, embedded=False))
        topics = admin.list_topics(timeout=20).topics

    assert {name: len(topic.partitions) for name, topic in topics.items()} == {"one": 1, "three": 3}


def test_two_brokers_share_nothing() -> None:
    """Each has an address and topics of its own."""
    with EmbeddedBroker() as first, EmbeddedBroker() as second:
        assert first.bootstrap != second.bootstrap


def test_close_may_be_called_again() -> None:
    """The second call does nothing."""
    broker = EmbeddedBroker()
    broker.close()

    broker.close()
