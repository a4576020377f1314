"""Live values beside a run: the newest rows of the topic of windows, without a group."""

import threading

from hydrodask import clock
from hydrodask.background import Aside
from hydrodask.channels import CHANNELS
from hydrodask.clock import US_PER_S, parse_iso
from hydrodask.console.live import FULL, Live, Point
from hydrodask.decode.windowrows import decode_row
from hydrodask.errors import HydrodaskError, sentence
from hydrodask.kafka import Consumer, KafkaException, TopicPartition, consumer
from hydrodask.records import WindowRecord
from hydrodask.settings import Settings

BACK_S = 360
"""How far back reading begins: files are up to `lake.roll_age` old."""

BATCH_MAX = 2_000
WAIT_S = 0.5
AGAIN_S = 10.0
TIMEOUT_S = 10.0
_OPEN = b'"final":false'


class FromTopic:
    """Takes live values from `hydraulic-analytics` until it is closed: final windows, and those that are open yet.

    A broker that does not answer is asked again each `AGAIN_S`; the page says so meanwhile.
    """

    def __init__(self, live: Live, settings: Settings) -> None:
        self._live, self._settings = live, settings
        self._topic = settings.topic("analytics")
        live.source = f"topic {self._topic}"
        self._stop = threading.Event()
        self.thread = Aside("live values of the page", self._run, self._stop)
        self.thread.start()

    def close(self) -> None:
        """Stop. May be called twice."""
        self._stop.set()
        self.thread.join(TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except (HydrodaskError, KafkaException) as error:
                self._live.stopped = f"no live values: {sentence(error)}"
                self._stop.wait(AGAIN_S)

    def _follow(self) -> None:
        reader = consumer(self._settings.kafka)
        try:
            reader.assign(self._beginnings(reader))
            self._live.stopped = ""
            while not self._stop.is_set():
                found = reader.consume(BATCH_MAX, WAIT_S)
                rows, newest_ms = [], dict[str, int]()
                for message in found:
                    if message.error() is None and (value := message.value()):
                        points, at_ms = self._points(bytes(value)), message.timestamp()[1]
                        newest_ms |= {rig: max(at_ms, newest_ms.get(rig, 0)) for rig, _, _ in points}
                        rows += points
                if rows:
                    now_s = clock.now_us() / US_PER_S
                    old_s = {rig: max(0.0, now_s - at_ms / 1e3) for rig, at_ms in newest_ms.items()}
                    self._live.take(rows, behind_s=min(old_s.values()), old_s=old_s)
        finally:
            reader.close()

    def _beginnings(self, reader: Consumer) -> list[TopicPartition]:
        """Return where to begin in each partition: six minutes ago, by the broker's clock."""
        known = reader.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic].partitions
        since_ms = clock.now_us() // 1000 - BACK_S * 1000
        asked = [TopicPartition(self._topic, number, since_ms) for number in known]
        return list(reader.offsets_for_times(asked, timeout=TIMEOUT_S))

    def _points(self, value: bytes) -> list[tuple[str, str, Point]]:
        """Return the point of a row, if it is one: of an open window only if nearly all of it is there."""
        try:
            row = decode_row(value)
        except ValueError:
            return []
        if not isinstance(row, WindowRecord) or row.sensor not in CHANNELS:
            return []
        rate_hz = row.sampling_rate_hz or CHANNELS[row.sensor].rate_hz
        share = row.sample_count / (rate_hz * self._settings.window.length)
        if share < (FULL if _OPEN not in value else 0.9):
            return []
        return [(row.rig, row.sensor, (parse_iso(row.window_end), row.avg_value, row.min_value, row.max_value))]
