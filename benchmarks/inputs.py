"""What the engines consume: the ten recorded cycles over and over, in order or disordered, and the same as Parquet.

Topics and their copy are made once and kept in the benchmark's folder; a second run finds them.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks import reference
from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.feed import Feed, open_feed
from hydrodask.ingest.publisher import Publisher, producer_for
from hydrodask.ingest.recording import Recording
from hydrodask.ingest.topics import create
from hydrodask.kafka import Consumer, KafkaException, TopicPartition, consumer
from hydrodask.records import LabelRecord
from hydrodask.services.service import Say
from hydrodask.settings import Settings, load

RECORDING = Path(__file__).resolve().parents[2] / "shared" / "data" / "recording"
START_US = 1_767_225_600_000_000
PER_S = 728
CYCLES = 10
DISORDER_US = 8_000_000
BATCH = 10_000
WAIT_S = 0.5
READ_S_MAX = 600.0
LEADER_WAITS_S = (0.2, 0.4, 0.8, 1.6, 3.2)


@dataclass(frozen=True, slots=True)
class Limited:
    """A feed's first seconds, each record sent up to `disorder_us` later than its event time says."""

    feed: Feed
    seconds: int
    disorder_us: int = 0

    @property
    def start_us(self) -> int:
        """Event time of second 0."""
        return self.feed.start_us

    def chunk(self, second: int) -> Sequence[Chunk]:
        """Return the samples of a second; the same second is always disordered in the same way."""
        chunks = self.feed.chunk(second)
        if self.disorder_us:
            rng = np.random.default_rng(second)
            for chunk in chunks:
                chunk.send_us = chunk.time_us + rng.integers(0, self.disorder_us, len(chunk))
        return chunks

    def labels(self, second: int) -> Sequence[LabelRecord]:
        """Return the labels of a second."""
        return self.feed.labels(second)


@dataclass(frozen=True)
class Input:
    """17 filled topics, and `folder` with what an independent engine has computed from the same records."""

    name: str
    prefix: str
    records: int
    folder: Path

    @property
    def topics(self) -> dict[str, str]:
        """Topics by sensor."""
        return {sensor: self.prefix + sensor for sensor in SENSORS}

    @cached_property
    def windows(self) -> reference.WindowRows:
        """The final windows."""
        return reference.windows(self.folder)


def source_name() -> str:
    """Return what the records are."""
    return "the ten recorded cycles, repeated" if RECORDING.exists() else "a simulated rig"


def prepare(bootstrap: str, folder: Path, records: int, say: Say, *, disorder: bool = False) -> Input:
    """Fill topics with at least `records`, whole seconds, and compute the reference, unless both are there already."""
    seconds = -(-records // PER_S)
    kind = "disordered" if disorder else "ordered"
    prefix = f"bench-{kind}-{seconds}-"
    made = Input(kind, prefix, seconds * PER_S, folder / f"{kind}-{seconds}")
    settings, _ = load(sets=["kafka.embedded=false", f"kafka.bootstrap={bootstrap}", f"topics.prefix={prefix}"])
    create(settings)
    there = sum(end for _, end in _bounds(settings).values())
    if there not in (0, made.records):
        raise SystemExit(f"the topics {prefix}* hold {there} records, not {made.records}: delete them and try again")
    if not there:
        say(f"publishing {made.records:,} records, {kind}")
        feed = Limited(endless(seconds), seconds, DISORDER_US if disorder else 0)
        Publisher(producer_for(settings.kafka), settings.topic, speed=None).run(feed)
    if not (made.folder / reference.DONE).exists():
        say(f"computing the reference of {made.records:,} records")
        made.folder.mkdir(parents=True, exist_ok=True)
        for sensor in SENSORS:
            reference.take_over(made.folder, sensor, _dump(settings, sensor, made.folder / f"{sensor}.ndjson"))
        reference.compute(made.folder)
    return made


def endless(seconds: int) -> Feed:
    """Return a feed of at least so many seconds, in order: what `source_name` says."""
    if RECORDING.exists():
        return Recording(RECORDING, start_us=START_US, repeat=-(-seconds // (60 * CYCLES)), rig=None)
    settings, _ = load(sets=["source.start='2026-01-01T00:00:00'", "source.faults=null", "source.speed=max"])
    made = open_feed(settings, START_US)
    assert made is not None
    return made


def _bounds(settings: Settings) -> dict[str, tuple[int, int]]:
    client = consumer(settings.kafka)
    try:
        return {s: _bounds_of(client, settings.topic(s)) for s in SENSORS}
    finally:
        client.close()


def _bounds_of(client: Consumer, topic: str) -> tuple[int, int]:
    """Return the first and the next offset; a broker that has just started over old data has no leader for a moment."""
    for wait_s in LEADER_WAITS_S:
        try:
            return client.get_watermark_offsets(TopicPartition(topic, 0), 10)
        except KafkaException:
            clock.sleep_s(wait_s)
    return client.get_watermark_offsets(TopicPartition(topic, 0), 10)


def _dump(settings: Settings, sensor: str, path: Path) -> Path:
    """Write the values of a topic as lines: the reference reads what the engines read, by none of our code."""
    low, high = _bounds(settings)[sensor]
    client = consumer(settings.kafka)
    client.assign([TopicPartition(settings.topic(sensor), 0, low)])
    left = high - low
    end_s = clock.monotonic_s() + READ_S_MAX
    with path.open("wb") as file:
        while left:
            values = [m.value() or b"" for m in client.consume(min(left, BATCH), WAIT_S) if m.error() is None]
            if not values and clock.monotonic_s() > end_s:
                raise SystemExit(f"could not read {settings.topic(sensor)}: {left} records are missing")
            file.write(b"".join(value + b"\n" for value in values))
            left -= len(values)
    client.close()
    return path


def shuffled(names: Sequence[str], seed: int) -> list[str]:
    """Return names in an order of the round's own: whoever comes first may find the machine otherwise than the last."""
    return random.Random(json.dumps([*names, seed])).sample(list(names), len(names))  # noqa: S311 - no secret
