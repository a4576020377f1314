"""Publish a feed into Kafka, paced by absolute deadlines.

Takes a Feed, gives records on the sensor topics and `labels`. Loses nothing silently: a record that
the broker does not accept is counted with its reason. Waits, rather than running ahead, while too
much is undelivered or unconsumed.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import itemgetter

from hydrodask import clock, kafka
from hydrodask.errors import UnreachableError
from hydrodask.ingest.feed import Feed
from hydrodask.ingest.pacing import Pace, phase_us, rate_error
from hydrodask.ingest.schedule import Due, Item, schedule
from hydrodask.settings.model import Kafka

UNDELIVERED_MAX = 100_000
"""Records in the client's queue: at a rig's 728/s a broker may be away for two minutes."""

RUN_RECORDS_MAX = 1_000
"""Records between two looks at the stop event, `hold` and the delivery reports."""

HOLD_S = 0.02
"""Time between two looks at `hold`."""

REASONS_MAX = 20
"""Different reasons of failure that are kept apart."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was published: records delivered and refused, seconds taken, and how exact the pace was.

    `rate_error` is the share by which the mean rate missed the planned one, None at speed max.
    `held_s` is the time spent waiting for consumers, which the pace does not count.
    """

    published: int
    failed: int
    seconds: float
    rate_error: float | None
    held_s: float
    reasons: dict[str, int]

    def as_dict(self) -> dict[str, object]:
        """Return the fields by name."""
        return asdict(self)

    def __str__(self) -> str:
        rate = self.published / self.seconds if self.seconds else 0.0
        text = f"published {self.published:,} records in {self.seconds:.1f} s ({rate:,.0f}/s)"
        if self.rate_error is not None:
            text += f", mean rate off by {100 * self.rate_error:+.3f} %"
        if self.held_s >= 0.1:
            text += f", waited {self.held_s:.1f} s for consumers"
        if self.failed:
            text += f", {self.failed:,} not delivered: {self.reason_text}"
        return text

    @property
    def reason_text(self) -> str:
        """Return why records were not delivered, in words."""
        return "; ".join(f"{n:,} times {reason}" for reason, n in self.reasons.items())


class Publisher:
    """Publishes one feed, once. `run` blocks: call it from the main thread or one of its own.

    `topic` gives a topic's full name for a sensor and `labels` (`Settings.topic`), `key` is the
    message key of records that name no rig. `hold` is asked before each run of records, from the
    publishing thread, and pauses while it says True. `on_progress` gets the records handed over and
    the seconds of the feed that they cover. `stop` ends the run.
    """

    def __init__(
        self,
        producer: kafka.Producer,
        topic: Callable[[str], str],
        *,
        speed: float | None,
        key: str = "rig-1",
        timeout_s: float = 30.0,
        on_progress: Callable[[int, int], None] | None = None,
        hold: Callable[[], bool] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Records handed to the client, by topic; other threads may read it."""
        self._producer = producer
        self._topic = topic
        self._speed = speed
        self._key = key
        self._timeout_s = timeout_s
        self._on_progress = on_progress
        self._hold = hold
        self._stop = stop or threading.Event()
        self._reasons: Counter[str] = Counter()
        self._held_s = 0.0
        self._until_s: float | None = None
        self._end_s = float("inf")
        self._sent_s = 0.0
        self._planned_s = 0.0

    def run(self, feed: Feed, until_s: float | None = None) -> Summary:
        """Publish `feed` until its end, `until_s` seconds from its first record on, or `stop`; then deliver what waits.

        Raises UnreachableError when the broker takes nothing for the timeout; the records of the
        queue are then lost.
        """
        start_s = self._sent_s = clock.monotonic_s()
        self._until_s = until_s
        pace = Pace(self._speed, feed.start_us, clock.now_us(), start_s)
        phases = None if self._speed is None else phase_us
        due_by_second = schedule(feed, topic=self._topic, key=self._key, phase_us=phases)
        for second, due in enumerate(due_by_second, start=1):
            if not self._publish(due, pace):
                break
            if self._on_progress:
                self._on_progress(self.counts.total(), min(second, feed.seconds or second))
        self._deliver()
        return self._summary(clock.monotonic_s() - start_s, start_s)

    def _publish(self, due: Due, pace: Pace) -> bool:
        """Send `due` as it falls due; False when the run is over."""
        for when_s, which in pace.ticks(due.send_us, records_max=RUN_RECORDS_MAX):
            if not self._wait(when_s):
                return False
            self._send(due.items[which])
            self._planned_s = when_s
        return not self._stop.is_set()

    def _wait(self, when_s: float) -> bool:
        """Wait until `when_s` and while consumers are behind; False when the run is over."""
        while self._hold and self._hold() and not self._over():
            held_from_s = clock.monotonic_s()
            self._stop.wait(HOLD_S)
            self._producer.poll(0)
            self._held_s += clock.monotonic_s() - held_from_s
        wait_s = min(when_s + self._held_s, self._end_s) - clock.monotonic_s()
        if wait_s > 0:
            self._stop.wait(wait_s)
        return not self._over()

    def _over(self) -> bool:
        return self._stop.is_set() or clock.monotonic_s() >= self._end_s

    def _send(self, items: list[Item]) -> None:
        if self._until_s is not None and not self.counts:
            self._end_s = clock.monotonic_s() + self._until_s
        self._make_room(UNDELIVERED_MAX)
        produce, failed = self._producer.produce, self._failed
        for topic, payload, key in items:
            try:
                produce(topic, payload, key, -1, failed)
            except (BufferError, kafka.KafkaException):
                self._send_again(topic, payload, key)
        self._producer.poll(0)
        self.counts.update(map(itemgetter(0), items))
        self._sent_s = clock.monotonic_s()

    def _send_again(self, topic: str, payload: str | bytes, key: str) -> None:
        """Send one record that the client did not take: queue full, or the record is no good."""
        self._make_room(0)
        try:
            self._producer.produce(topic, payload, key, -1, self._failed)
        except kafka.KafkaException as error:
            self._failed(error.args[0], None)

    def _make_room(self, undelivered_max: int) -> None:
        """Wait until at most so many are undelivered; UnreachableError when none gets away."""
        fewest, since_s = len(self._producer), clock.monotonic_s()
        while (undelivered := len(self._producer)) > undelivered_max:
            self._producer.poll(0.02)
            if undelivered < fewest:
                fewest, since_s = undelivered, clock.monotonic_s()
            elif clock.monotonic_s() - since_s > self._timeout_s:
                raise UnreachableError(
                    f"could not deliver {undelivered:,} records within {self._timeout_s:g} s:"
                    f" {_cause()}; is the broker running?"
                )

    def _deliver(self) -> None:
        self._make_room(0)
        self._producer.poll(0)

    def _failed(self, error: kafka.KafkaError | None, _message: object) -> None:
        if error is None:
            return
        reason = f"{error.str()} ({error.name()})"
        known = reason in self._reasons or len(self._reasons) < REASONS_MAX
        self._reasons[reason if known else "other reasons"] += 1

    def _summary(self, seconds: float, start_s: float) -> Summary:
        failed = self._reasons.total()
        error = None
        if self._speed is not None:
            error = rate_error(self._planned_s - start_s, self._sent_s - start_s - self._held_s)
        return Summary(
            published=self.counts.total() - failed,
            failed=failed,
            seconds=seconds,
            rate_error=error,
            held_s=self._held_s,
            reasons=dict(self._reasons),
        )


def producer_for(settings: Kafka) -> kafka.Producer:
    """Return a connected producer that reports only failures. Raises what `kafka.connect` does.

    A delivery report costs about 1 µs a record, and only the failed ones say something.
    """
    producer = kafka.producer(settings, **{"delivery.report.only.error": True})
    kafka.connect(producer, settings)
    return producer


def _cause() -> str:
    return kafka.last_error[0] if kafka.last_error else "it does not answer"
