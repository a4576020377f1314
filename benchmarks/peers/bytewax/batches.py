"""A source that gives a topic's records in batches, as bytes; and what makes columns of them."""

from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from benchmarks.peers.bytewax.panes import Readings

CONSUMER = {
    # Bytewax keeps the offsets; librdkafka wants a group all the same.
    "group.id": "unused",
    "enable.auto.commit": False,
    "isolation.level": "read_committed",
    "fetch.wait.max.ms": 10,
    "queued.min.messages": 50_000,
}
REST = timedelta(milliseconds=10)
"""How long a topic without records is left alone: asking each time would take turns from those that have some."""


class Values(NamedTuple):
    """Some records of a topic as they are there; `offset` is that of the first, `then` that after the last."""

    offset: int
    then: int
    payloads: list[bytes]


class Reading(msgspec.Struct, gc=False):
    """What windows need of a record: the parser skips the rest."""

    value: float
    timestamp: str


class Record(Reading, gc=False):
    """What the lake needs besides."""

    cycle: int
    sample_idx: int


READINGS = msgspec.json.Decoder(list[Reading]).decode
RECORDS = msgspec.json.Decoder(list[Record]).decode


def readings(values: Values) -> Readings:
    """Parse what windows need of the records."""
    found = READINGS(b"[" + b",".join(values.payloads) + b"]")
    return Readings(values.offset, values.then, _times_us(found), _column(found, "value", np.float64))


def records(values: Values) -> Readings:
    """Parse all of the records."""
    found = RECORDS(b"[" + b",".join(values.payloads) + b"]")
    numbers = (_column(found, name, np.int64) for name in ("cycle", "sample_idx"))
    return Readings(values.offset, values.then, _times_us(found), _column(found, "value", np.float64), *numbers)


def _column(rows: list[Any], name: str, kind: type) -> Any:
    return np.fromiter(map(attrgetter(name), rows), kind, len(rows))


def _times_us(rows: list[Any]) -> Any:
    return np.array([row.timestamp for row in rows], "datetime64[us]").view(np.int64)


class Topics(FixedPartitionedSource[tuple[str, Values], int]):
    """The first partitions of some topics, by sensor: its name is that of the part."""

    def __init__(self, bootstrap: str, inputs: dict[str, str], records_max: int) -> None:
        self._bootstrap = bootstrap
        self._inputs = inputs
        self._records_max = records_max

    def list_parts(self) -> list[str]:
        """Return the sensors."""
        return list(self._inputs)

    def build_part(self, _step_id: str, for_part: str, resume_state: int | None) -> "Topic":
        """Read on where the recovery store says."""
        consumer = Consumer({**CONSUMER, "bootstrap.servers": self._bootstrap})
        offset = OFFSET_BEGINNING if resume_state is None else resume_state
        consumer.assign([TopicPartition(self._inputs[for_part], 0, offset)])
        return Topic(for_part, consumer, resume_state, self._records_max)


class Topic(StatefulSourcePartition[tuple[str, Values], int | None]):
    """Reads a topic in batches of at most `records_max`."""

    def __init__(self, sensor: str, consumer: Consumer, offset: int | None, records_max: int) -> None:
        self._sensor = sensor
        self._consumer = consumer
        self._offset = offset
        self._records_max = records_max
        self._awake: datetime | None = None

    def next_batch(self) -> list[tuple[str, Values]]:
        """Return what the client has fetched."""
        messages = self._consumer.consume(self._records_max, 0)
        self._awake = None if messages else datetime.now(UTC) + REST
        if not messages:
            return []
        payloads = []
        for message in messages:
            if message.error() is not None:
                raise KafkaException(message.error())
            payloads.append(message.value() or b"")
        first, last = messages[0].offset() or 0, messages[-1].offset() or 0
        self._offset = last + 1
        return [(self._sensor, Values(first, self._offset, payloads))]

    def next_awake(self) -> datetime | None:
        """Return when to ask again."""
        return self._awake

    def snapshot(self) -> int | None:
        """Return the offset of what comes next."""
        return self._offset

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
