"""Up to when there are records of rigs that are to be simulated: what the ends of their topics say.

Takes a broker, gives event times by rig. Reads the last records of each partition and commits nothing. Loses what can't
be parsed as a record of our own producers: it says nothing of our rigs.
"""

import json
from collections.abc import Iterable

from hydrodask import clock, kafka
from hydrodask.channels import SENSORS
from hydrodask.ingest.discover import partitions_of
from hydrodask.records import PartitionId
from hydrodask.settings import Settings

TAIL_RECORDS = 200
"""How many records of each partition are read: two seconds of one rig's fastest sensor."""

LIMIT_S = 5.0
"""How long that may take."""


def newest_in_topics(settings: Settings, rigs: Iterable[str]) -> dict[str, int]:
    """Return the largest event time of those of these rigs that the sensors' topics end with, µs since the epoch.

    Raises HydrodaskError when they can't be read: a user that publishes need not have the right to.
    """
    known, found = frozenset(rigs), dict[str, int]()
    quick = settings.kafka.model_copy(update={"timeout": min(LIMIT_S, settings.kafka.timeout)})
    client = kafka.consumer(quick, **{"isolation.level": "read_uncommitted"})
    try:
        kafka.connect(client, quick)
        sources = partitions_of(client, quick, map(settings.topic, SENSORS))
        for value in _tails(client, sources, quick.timeout):
            rig, at_us = _said(value, settings.rig.default_id)
            if rig in known:
                found[rig] = max(at_us, found.get(rig, at_us))
    except kafka.KafkaException as error:
        kafka.raise_from(error, "read where the sensors' topics end")
    finally:
        client.close()
    return found


def _tails(client: kafka.Consumer, sources: list[PartitionId], timeout_s: float) -> Iterable[bytes]:
    """Yield the values of the last records of each partition; of what takes too long the rest is left out."""
    ends: dict[PartitionId, int] = {}
    starts: list[kafka.TopicPartition] = []
    for source in sources:
        low, high = client.get_watermark_offsets(kafka.TopicPartition(*source), timeout_s)
        if high > low:
            ends[source] = high
            starts.append(kafka.TopicPartition(*source, max(low, high - TAIL_RECORDS)))
    client.assign(starts)
    limit_s = clock.monotonic_s() + LIMIT_S
    while ends and clock.monotonic_s() < limit_s:
        for message in client.consume(TAIL_RECORDS * len(starts), 0.1):
            source = (message.topic() or "", message.partition() or 0)
            if (error := message.error()) is None:
                yield message.value() or b""
            elif error.code() != kafka.KafkaError._PARTITION_EOF:
                raise kafka.KafkaException(error)
            if error is not None or (message.offset() or 0) + 1 >= ends.get(source, 0):
                ends.pop(source, None)


def _said(value: bytes, default_rig: str) -> tuple[str, int]:
    """Return the rig and the event time of a record; no rig for what is none of ours.

    >>> _said(b'{"rig": "a", "timestamp": "1970-01-01T00:00:01.5"}', "rig-1"), _said(b"nothing", "rig-1")
    (('a', 1500000), ('', 0))
    """
    try:
        record = json.loads(value)
        return str(record.get("rig") or default_rig), clock.parse_iso(record["timestamp"])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return "", 0
