"""Find the partitions that there are, and where their logs end."""

from collections.abc import Callable, Iterable, Mapping

from hydrodask.kafka import Consumer, KafkaException, TopicPartition, consumer, raise_from
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka


def partitions_of(client: Consumer, kafka: Kafka, topics: Iterable[str]) -> list[PartitionId]:
    """Return every partition of those of these topics that there are. Raises UnreachableError."""
    try:
        known = client.list_topics(timeout=kafka.timeout).topics
    except KafkaException as error:
        raise_from(error, f"list the topics of {kafka.bootstrap}")
    there = (name for name in topics if name in known and known[name].error is None)
    return [(name, partition) for name in there for partition in known[name].partitions]


class Discovery:
    """Asks the broker about topics with a client of its own. Safe to use from one thread at a time."""

    def __init__(
        self,
        kafka: Kafka,
        flows: Mapping[str, str],
        *,
        connect: Callable[..., Consumer] = consumer,
    ) -> None:
        """`flows` maps a topic's full name to the name of its flow."""
        self._kafka = kafka
        self._flows = flows
        self.names: frozenset[str] = frozenset()
        """Every topic that the broker had when it was asked last."""
        self._client: Consumer = connect(kafka, **{"queued.min.messages": 1})

    def sources(self) -> dict[PartitionId, str]:
        """Return every partition of the flows' topics. Raises UnreachableError."""
        try:
            topics = self._client.list_topics(timeout=self._kafka.timeout).topics
        except KafkaException as error:
            raise_from(error, f"list the topics of {self._kafka.bootstrap}")
        self.names = frozenset(topics)
        return {
            (name, partition): flow
            for name, flow in self._flows.items()
            if name in topics and topics[name].error is None
            for partition in topics[name].partitions
        }

    def ends(self, sources: Iterable[PartitionId]) -> dict[PartitionId, int]:
        """Return the end of each log: the offset that the broker gives the next record."""
        ends = {}
        for topic, partition in sources:
            try:
                _low, high = self._client.get_watermark_offsets(TopicPartition(topic, partition), self._kafka.timeout)
            except KafkaException as error:
                raise_from(error, f"read the end of {topic}-{partition}")
            ends[topic, partition] = high
        return ends

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()
