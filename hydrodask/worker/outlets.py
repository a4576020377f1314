"""The topics that outputs go to: whoever has outputs for one that is not there waits for it, and nobody else does.

A producer notices nothing when a topic is deleted and made anew, and while there is none its whole transaction fails,
and with it everybody's offsets. So the ids are asked for before each transaction, and partitions with outputs for a
topic that is gone are left out of it: they read on, write their files, and publish everything once it is back.
"""

import logging
from collections.abc import Callable, Mapping

from hydrodask import clock
from hydrodask.errors import FatalError, RetryableError
from hydrodask.ingest.identity import Ids
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka
from hydrodask.worker.partition import Partition, Pending

log = logging.getLogger(__name__)


class Outlets:
    """Knows, for one host, which topics of ours there are."""

    def __init__(self, kafka: Kafka, identities: Callable[[Kafka], Ids], patience_s: float) -> None:
        self.notes: list[str] = []
        self._identities = None if kafka.embedded else identities(kafka)
        self._patience_s = patience_s
        self._known: dict[str, str] = {}
        self._gone_s: dict[str, float] = {}
        self._held: dict[PartitionId, str] = {}

    def ready(self, pending: Mapping[Partition, Pending]) -> dict[Partition, Pending]:
        """Return the partitions that can be committed: all that have no outputs, or only for topics that there are.

        Raises UnreachableError when the broker does not answer, FatalError once a topic has been gone for too long.
        """
        wanted = {partition: {record.topic for record in one.records} for partition, one in pending.items()}
        self._look({topic for topics in wanted.values() for topic in topics})
        self._held = {}
        for partition, topics in wanted.items():
            if gone := sorted(topics & self._gone_s.keys()):
                count = len(pending[partition].records)
                self._held[partition.ctx.source] = f"{_said(gone[0])}; {count:,} records wait for it"
        return {partition: one for partition, one in pending.items() if partition.ctx.source not in self._held}

    def advice(self, source: PartitionId) -> str:
        """Return what a partition waits for, and what to do; nothing if it does not."""
        return self._held.get(source, "")

    def open_to(self, partition: Partition) -> bool:
        """Say whether a partition does not wait: who does need not say how its open windows change meanwhile."""
        return partition.ctx.source not in self._held

    def insist(self) -> None:
        """Raise RetryableError while a partition waits: for who can't go on without it."""
        if self._held:
            raise RetryableError(next(iter(self._held.values())))

    def take_notes(self) -> list[str]:
        """Return what people should know, once."""
        notes, self.notes = self.notes, []
        return notes

    def _look(self, topics: set[str]) -> None:
        """Find out which of these topics, and of those that were gone, are there, and which are others than before."""
        topics |= self._gone_s.keys()
        if self._identities is None or not topics:
            return
        found, now_s = self._identities.of(topics), clock.monotonic_s()
        for topic in sorted(topics):
            if topic not in found:
                self._miss(topic, now_s)
                continue
            if self._gone_s.pop(topic, None) is not None:
                self._note(f"topic {topic} is back")
            if self._known.get(topic, found[topic]) != found[topic]:
                self._note(
                    f"topic {topic} was made anew, without what was published before; "
                    "`hydrodask backfill --topics --write` puts it back"
                )
            self._known[topic] = found[topic]

    def _miss(self, topic: str, now_s: float) -> None:
        if topic not in self._gone_s:
            self._gone_s[topic] = now_s
            self._note(_said(topic))
        elif now_s - self._gone_s[topic] > self._patience_s:
            raise FatalError(f"gave up after {now_s - self._gone_s[topic]:.0f} s (step.patience): {_said(topic)}")

    def _note(self, text: str) -> None:
        self.notes.append(text)
        log.warning("%s", text)


def _said(topic: str) -> str:
    return f"topic {topic} is gone; `hydrodask topics create` makes it anew, and what is for it is published then"
