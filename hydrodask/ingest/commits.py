"""What a group has committed, and which of it is ours.

Offsets are committed for two groups in one transaction. GROUP is there for people and lag exporters: whoever has a tool
can set it. GROUP.marks is what hydrodask goes on from, and only where its own mark stands beside the offset.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydrodask.background import in_background
from hydrodask.errors import RetryableError, StartOverError
from hydrodask.ingest import mark
from hydrodask.ingest.discover import partitions_of
from hydrodask.ingest.mark import Mark
from hydrodask.kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
    consumer,
    raise_from,
    translate,
)
from hydrodask.logs import spot
from hydrodask.records import PartitionId
from hydrodask.settings.model import Kafka

log = logging.getLogger(__name__)

Settle = Callable[[Sequence[TopicPartition], Sequence[Consumer]], None]

UNDECIDED_S_MAX = 5.0
"""How long a committed offset may stay undecided before it is settled, s."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A committed offset, as the broker counts, and our mark if it has one."""

    offset: int
    mark: Mark | None


def marks_group(group: str) -> str:
    """Return the name of the group that marks are committed for."""
    return f"{group}.marks"


class Commits:
    """Asks for the commits of both groups. `groups` stand for them in transactions."""

    def __init__(self, kafka: Kafka, *, connect: Callable[..., Consumer] = consumer) -> None:
        self._kafka = kafka
        self.shown: Consumer = connect(kafka)
        self.marks: Consumer = connect(kafka.model_copy(update={"group": marks_group(kafka.group)}))
        self._newest: TopicPartition | None = None
        """One of the offsets of the newest commit, until that was seen decided."""

    @property
    def groups(self) -> tuple[Consumer, Consumer]:
        """The clients of both groups."""
        return self.shown, self.marks

    def of(self, source: PartitionId, settle: Settle) -> tuple[Commit | None, Commit | None]:
        """Return our own commit, and the one that GROUP shows; None where there is none.

        An offset that stays undecided is settled once, by `settle`. Raises UnreachableError, or RetryableError while
        it is being decided.
        """
        try:
            return self._both(source, min(UNDECIDED_S_MAX, self._kafka.timeout))
        except RetryableError as error:
            log.warning("%s; settling it", error, extra=spot(source))
            settle([TopicPartition(*source, 0)], self.groups)
        return self._both(source, self._kafka.timeout)

    def undecided(self, topics: Sequence[str]) -> list[TopicPartition]:
        """Return the partitions of these topics of which either group has an offset that stays undecided.

        What is being decided is waited for, up to UNDECIDED_S_MAX. Raises UnreachableError.
        """
        limit_s = min(UNDECIDED_S_MAX, self._kafka.timeout)
        asked = [TopicPartition(*source) for source in partitions_of(self.shown, self._kafka, topics)]
        for client in self.groups if asked else ():
            try:
                client.committed(asked, limit_s)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
                    raise_from(error, "read what was committed")
                return asked
        return []

    def note(self, offsets: Sequence[TopicPartition]) -> None:
        """Take note of what a transaction has committed, as its answer says. An embedded broker goes with its run."""
        if offsets and not self._kafka.embedded:
            self._newest = offsets[0]

    def prove(self) -> None:
        """Make sure that the newest commit is decided, once. Raises StartOverError if it is not, or was aborted.

        A broker that goes away may call a commit done that it has told no partition of, see `protocol.settling`.
        """
        if self._newest is None:
            return
        topic, place, offset = self._newest.topic, self._newest.partition, self._newest.offset
        limit_s = min(UNDECIDED_S_MAX, self._kafka.timeout)
        try:
            _shown, marked = [client.committed([TopicPartition(topic, place)], limit_s)[0] for client in self.groups]
        except KafkaException as error:
            raise StartOverError(f"the commit of {topic}-{place} at {offset} stays undecided") from error
        if marked.error is not None or marked.offset != offset:
            raise StartOverError(f"the commit of {topic}-{place} at {offset} was undone: it is {marked.offset}")
        self._newest = None

    def close(self) -> None:
        """Let go of the connections. Does not wait."""
        in_background(self.shown.close, self.marks.close)

    def _both(self, source: PartitionId, limit_s: float) -> tuple[Commit | None, Commit | None]:
        shown = self._one(self.shown, self._kafka.group, source, limit_s)
        marked = self._one(self.marks, marks_group(self._kafka.group), source, limit_s)
        if shown is not None and shown.mark is not None and shown.mark.log is None:
            return shown, shown  # a version before marks has worked since, and left those as they were
        for found in (marked, shown):  # without marks what is shown is ours if it says so: of a version before marks
            if found is not None and found.mark is not None:
                return found, shown
        return None, shown

    def _one(self, client: Consumer, group: str, source: PartitionId, limit_s: float) -> Commit | None:
        what = f"read what group {group!r} has committed for {source[0]}-{source[1]}"
        try:
            found = client.committed([TopicPartition(*source)], limit_s)[0]
        except KafkaException as error:
            raise_from(error, what)
        if found.error is not None:
            raise translate(found.error, what)
        if found.offset == OFFSET_INVALID:
            return None
        return Commit(found.offset, mark.parse(found.metadata))
