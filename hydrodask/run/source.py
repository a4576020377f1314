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
from hydrodask.settings import Settings

log = logging.getLogger(__name__)


class SourceThread:
    """Runs the publisher of `settings.source`, if there is one.

    On the embedded broker it waits while a partition holds too much that a restart would need.
    """

    def __init__(self, settings: Settings, overview: Callable[[], Overview]) -> None:
        self.feed: Feed | None = open_feed(settings, clock.now_us())
        self.summary: Summary | None = None
        self.error: HydrodaskError | None = None
        self.done = threading.Event()
        self.covered_s = 0
        self._publisher: Publisher | None = None
        self._settings = settings
        self._overview = overview
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
            # Opened again, since the cluster took its time to start: a live rig's clock says now.
            self.feed = open_feed(self._settings, clock.now_us())
            self._thread.start()

    def stop(self, *, deliver: bool = True) -> None:
        """Stop publishing; what is queued is delivered, and waited for, unless there is nobody to deliver it to."""
        self._stop.set()
        if deliver and self._thread.ident is not None:
            self._thread.join(self._settings.kafka.timeout)
            if self._thread.is_alive():
                log.warning("the source did not end within kafka.timeout; what it had queued may not be published")

    def _run(self) -> None:
        assert self.feed is not None  # noqa: S101  (start() checked it)
        try:
            publisher = self._publisher = Publisher(
                producer_for(self._settings.kafka),
                self._settings.topic,
                speed=parse_speed(self._settings.source.speed),
                key=self._settings.rig.default_id,
                timeout_s=self._settings.kafka.timeout,
                on_progress=self._note,
                hold=self._hold if self._settings.kafka.embedded else None,
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
