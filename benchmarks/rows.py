"""Window rows as a read-committed reader sees them: what a benchmark waits for, and when it came."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from benchmarks.reference import Key, WindowRows
from hydrodask import clock
from hydrodask.kafka import TopicPartition, consumer
from hydrodask.settings.model import Kafka

NAN = float("nan")
ROWS_MAX = 1_000
WAIT_S = 0.01


class Row(msgspec.Struct):
    """What every engine writes for a window."""

    sensor: str
    window_start: str | int | float
    avg_value: float | None
    max_value: float
    min_value: float
    range_value: float
    sample_count: int
    stddev_value: float | None = None
    final: bool = True

    @property
    def key(self) -> Key:
        """Sensor, and start in ms."""
        start = self.window_start
        if isinstance(start, str):
            parsed = datetime.fromisoformat(start)
            start = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000
        return self.sensor, round(start)


@dataclass(frozen=True, slots=True)
class Seen:
    """A row and when it could be read, µs of the system's clock."""

    key: Key
    count: int
    at_us: int


class Rows:
    """Reads a topic of one partition from its beginning, in a thread, until closed.

    With `wanted` it knows how many final windows have their full count; without it only keeps `seen`.
    """

    def __init__(self, bootstrap: str, topic: str, wanted: WindowRows | None = None) -> None:
        self.last: WindowRows = {}
        self.seen: list[Seen] = []
        self.first_s: float | None = None
        self.complete_s: float | None = None
        """When the last missing window came."""
        self.repeated = 0
        """Final rows of a window that had one already."""
        self.problem: BaseException | None = None
        self._times_s: list[float] = []
        self._wanted = wanted or {}
        self._missing = set(self._wanted)
        self._final: set[Key] = set()
        self._decode = msgspec.json.Decoder(Row).decode
        quick = {"fetch.wait.max.ms": 10, "fetch.min.bytes": 1, "group.id": "bench-listener"}
        self._consumer = consumer(Kafka(embedded=False, bootstrap=bootstrap), **quick)
        self._consumer.assign([TopicPartition(topic, 0, 0)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def done(self) -> int:
        """How many of the wanted windows have their full count."""
        return len(self._wanted) - len(self._missing)

    def wait_for_first(self, limit_s: float) -> float | None:
        """Wait for the first row, at most `limit_s`; return when it came."""
        end_s = clock.monotonic_s() + limit_s
        while self.first_s is None and clock.monotonic_s() < end_s:
            clock.sleep_s(WAIT_S)
        return self.first_s

    def next_after(self, moment_s: float) -> float | None:
        """Return when the first row after a moment came."""
        return next((t for t in self._times_s if t > moment_s), None)

    def close(self) -> None:
        """Stop reading. Raises what the reader's thread died of."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()
        if self.problem is not None:
            raise self.problem

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                found = self._consumer.consume(ROWS_MAX, WAIT_S)
                now_s, now_us = clock.monotonic_s(), clock.now_us()
                for message in found:
                    if message.error() is None and message.value() is not None:
                        self._take(self._decode(message.value() or b""), now_s, now_us)
        except BaseException as error:
            self.problem = error

    def _take(self, row: Row, now_s: float, now_us: int) -> None:
        key = row.key
        self.first_s = self.first_s or now_s
        if not self._times_s or now_s > self._times_s[-1]:
            self._times_s.append(now_s)
        mean, deviation = (NAN if x is None else x for x in (row.avg_value, row.stddev_value))
        figures = (row.sample_count, mean, row.max_value, row.min_value, deviation, row.range_value)
        self.last[key] = figures
        if not self._wanted:
            self.seen.append(Seen(key, row.sample_count, now_us))
        elif key in self._missing and row.sample_count == self._wanted[key][0]:
            self._missing.remove(key)
            if not self._missing:
                self.complete_s = now_s
        if row.final and key in self._wanted:
            self.repeated += key in self._final
            self._final.add(key)
