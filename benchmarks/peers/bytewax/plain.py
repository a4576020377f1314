"""Windows as Bytewax's documentation writes them: an operator a step, a record at a time."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import bytewax.operators as op
import msgspec
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing as win

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SLIDE = timedelta(seconds=10)


class Reading(msgspec.Struct, gc=False):
    """What windows need of a record: the parser skips the rest."""

    sensor: str
    value: float
    timestamp: datetime


READ = msgspec.json.Decoder(Reading).decode

CLOCK = win.EventClock(
    ts_getter=lambda reading: reading.timestamp.replace(tzinfo=UTC),
    wait_for_system_duration=timedelta(seconds=10),
    # By default the watermark also goes on by the time that the engine needs: what it reads late would be lost.
    now_getter=lambda: EPOCH,
    to_system_utc=lambda _: None,
)
WINDOWER = win.SlidingWindower(length=timedelta(seconds=60), offset=SLIDE, align_to=EPOCH)


@dataclass(slots=True)
class Summary:
    """What a window knows of its values: Welford's mean and sum of squares, so that it keeps all digits."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    high: float = -math.inf
    low: float = math.inf


def with_reading(summary: Summary, reading: Reading) -> Summary:
    """Return the summary with one value more."""
    value = reading.value
    away = value - summary.mean
    summary.count += 1
    summary.mean += away / summary.count
    summary.squares += away * (value - summary.mean)
    summary.high = max(summary.high, value)
    summary.low = min(summary.low, value)
    return summary


def merged(_one: Summary, _other: Summary) -> Summary:
    """Sliding windows never merge."""
    raise NotImplementedError


def read(message: KafkaSourceMessage[Any, Any]) -> tuple[str, Reading]:
    """Return a record by its sensor."""
    reading = READ(message.value)
    return reading.sensor, reading


def row(closed: tuple[str, tuple[int, Summary]]) -> KafkaSinkMessage[Any, Any]:
    """Return a closed window as it is published."""
    sensor, (number, summary) = closed
    fields = {
        "sensor": sensor,
        "window_start": (EPOCH + number * SLIDE).isoformat(),
        "avg_value": summary.mean,
        "max_value": summary.high,
        "min_value": summary.low,
        "stddev_value": math.sqrt(summary.squares / (summary.count - 1)) if summary.count > 1 else None,
        "range_value": summary.high - summary.low,
        "sample_count": summary.count,
    }
    return KafkaSinkMessage(sensor.encode(), json.dumps(fields).encode())


def flow(order: SimpleNamespace) -> Dataflow:
    """Return the flow from the topics to the windows' topic."""
    made = Dataflow("plain")
    brokers, topics = [order.bootstrap], list(order.inputs.values())
    found = kop.input("records", made, brokers=brokers, topics=topics)  # the client reads committed records by default
    op.raises("errors", found.errs)
    readings = op.map("read", found.oks, read)
    # The summary is the same in any order, and then nothing has to wait until its time has come.
    closed = win.fold_window("windows", readings, CLOCK, WINDOWER, Summary, with_reading, merged, ordered=False)
    kop.output("analytics", op.map("row", closed.down, row), brokers=brokers, topic=order.output)
    return made
