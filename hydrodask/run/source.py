"""Publish the source of a run from a thread of the driver."""

import logging
import threading
from collections.abc import Callable

from hydrodask import clock
from hydrodask.channels import SENSORS
from hydrodask.errors import FatalError, HydrodaskError, kind_and_sentence
from hydrodask.ingest.feed import Feed, open_feed, parse_speed
from hydrodask.ingest.publisher import Publisher, Summary, producer_for
from hydrodask.reports import Overview
from hydrodask.run.resuming import resumed
from hydrodask.settings import Settings

log = logging.getLogger(__name__)

OPENED_S = 10.0
"""How long partitions are waited for that say what is known of the rigs: what can't be opened must not hold up all."""


class SourceThread:
    """Runs the publisher of `settings.source`, if there is one.

    On the embedded broker it waits while a partition holds too much that a restart would need.
    """

    def __init__(
        self, settings: Settings, overview: Callable[[], Overview], note: Callable[[str], object] = log.info
    ) -> None:
        """`note` tells people where event time begins, if they could take it for something else."""
        self.feed: Feed | None = open_feed(settings, clock.now_us())
        self.summary: Summary | None = None
        self.error: HydrodaskError | None = None
        self.done = threading.Event()
        self.covered_s = 0
        self._publisher: Publisher | None = None
        self._settings = settings
        self._overview, self._note_to_people = overview, note
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def progress(self) -> float | None:
        """Share of a finite source that was published, 0..1."""
        if self.feed is None or not self.feed.seconds:
            return None
        return min(1.0, self.covered_s / self.feed.seconds)

    @property
    def began(self) -> bool:
        """Whether the first record has been published, or none will be."""
        return self.done.is_set() or (self._publisher is not None and self._publisher.counts.total() > 0)

    @property
    def published(self) -> dict[str, int]:
        """Records that were handed to the client, by topic."""
        return {} if self._publisher is None else dict(self._publisher.counts)

    def start(self) -> None:
        """Begin to publish; does nothing when called again."""
        if self.feed is None:
            self.done.set()
        elif self._thread.ident is None:
            self._thread.start()

    def stop(self, *, deliver: bool = True) -> None:
        """Stop publishing; what is queued is delivered, and waited for, unless there is nobody to deliver it to."""
        self._stop.set()
        if deliver and self._thread.ident is not None:
            self._thread.join(self._settings.kafka.timeout)
            if self._thread.is_alive():
                log.warning("the source did not end within kafka.timeout; what it had queued may not be published")

    def _await_opening(self) -> None:
        """Wait until partitions of each sensor have said what they know, if there are workers that may."""
        wanted, limit_s = set(map(self._settings.topic, SENSORS)), clock.monotonic_s() + OPENED_S
        while (seen := self._overview()).steps and clock.monotonic_s() < limit_s and not self._stop.is_set():
            if wanted <= {topic for topic, _ in seen.partitions}:
                return
            self._stop.wait(OPENED_S / 100)

    def _newest(self) -> dict[str, int]:
        """Return the newest event time of each rig, as far as partitions know it."""
        newest: dict[str, int] = {}
        for part in self._overview().partitions.values():
            for rig, at_us in part.newest_us.items():
                newest[rig] = max(at_us, newest.get(rig, at_us))
        return newest

    def _run(self) -> None:
        assert self.feed is not None  # noqa: S101  (start() checked it)
        try:
            embedded = self._settings.kafka.embedded
            self._await_opening()
            # Opened again, since the cluster took its time to start: a live rig's clock says now.
            self.feed, said = resumed(self.feed, self._settings, clock.now_us(), self._newest(), topics=not embedded)
            if said:
                self._note_to_people(said)
            publisher = self._publisher = Publisher(
                producer_for(self._settings.kafka),
                self._settings.topic,
                speed=parse_speed(self._settings.source.speed),
                key=self._settings.rig.default_id,
                timeout_s=self._settings.kafka.timeout,
                on_progress=self._note,
                hold=self._hold if embedded else None,
                stop=self._stop,
            )
            self.summary = publisher.run(self.feed)
        except HydrodaskError as error:
            self.error = error
        except Exception as error:  # a source that ends without one has published everything
            what = f"could not publish the source {self._settings.source.kind!r}"
            self.error = FatalError(f"{what}: {kind_and_sentence(error)}")
        finally:
            self.done.set()

    def _note(self, _records: int, covered_s: int) -> None:
        self.covered_s = covered_s

    def _hold(self) -> bool:
        """Say whether the embedded broker holds too much: what it drops, nobody gets back."""
        durable: dict[str, int] = {}
        for (topic, _), part in self._overview().partitions.items():
            durable[topic] = durable.get(topic, 0) + max(0, part.durable - part.base)
        most = self._settings.source.unconsumed_max
        counts = self._publisher.counts if self._publisher else {}
        return any(counts.get(topic, 0) - durable.get(topic, 0) > most for topic in map(self._settings.topic, SENSORS))
