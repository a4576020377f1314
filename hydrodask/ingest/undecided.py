"""Find partitions of topics of ours whose newest records are in a transaction that nothing has ended."""

from collections.abc import Callable, Iterable

from hydrodask.ingest.discover import partitions_of
from hydrodask.kafka import Consumer, KafkaException, TopicPartition, consumer, raise_from
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka

_ALL = {"isolation.level": "read_uncommitted"}


def undecided(kafka: Kafka, topics: Iterable[str], *, connect: Callable[..., Consumer] = consumer) -> list[PartitionId]:
    """Return the partitions in which readers of committed records do not come to the end.

    That is so while a transaction is open, for some milliseconds. Who asks when he has none open himself gets what was
    left undecided, and what others are at. Raises UnreachableError.
    """
    readers = connect(kafka), connect(kafka, **_ALL)
    try:
        sources = partitions_of(readers[0], kafka, topics)
        return [source for source in sources if len({_end(one, source, kafka.timeout) for one in readers}) > 1]
    except KafkaException as error:
        raise_from(error, "look for records that no transaction has decided")
    finally:
        for one in readers:
            one.close()


def _end(client: Consumer, source: PartitionId, timeout_s: float) -> int:
    """Return where a reader's log ends: for one of committed records before the first that is undecided."""
    return int(client.get_watermark_offsets(TopicPartition(*source), timeout_s)[1])
