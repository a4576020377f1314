"""What a group has committed, and which of it is ours.

Offsets are committed for two groups in one transaction. GROUP is there for people and lag exporters: whoever has a tool
can set it. GROUP.marks is what hydrodask goes on from, and only where its own mark stands beside the offset.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hydrodask.background import in_background
from hydrodask.errors import RetryableError
from hydrodask.ingest import mark
from hydrodask.ingest.mark import Mark
from hydrodask.kafka import (
    OFFSET_INVALID,
    Consumer,
    KafkaException,
    TopicPartition,
    consumer,
    raise_from,
    translate,
)
from hydrodask.settings.model import Kafka

log = logging.getLogger(__name__)

Source = tuple[str, int]
Settle = Callable[[list[TopicPartition], Sequence[Consumer]], None]

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

    @property
    def groups(self) -> tuple[Consumer, Consumer]:
        """The clients of both groups."""
        return self.shown, self.marks

    def of(self, source: Source, settle: Settle) -> tuple[Commit | None, Commit | None]:
        """Return our own commit, and the one that GROUP shows; None where there is none.

        An offset that stays undecided is settled once, by `settle`. Raises UnreachableError, or RetryableError while
        it is being decided.
        """
        try:
            return self._both(source, min(UNDECIDED_S_MAX, self._kafka.timeout))
        except RetryableError as error:
            log.warning("%s; settling it", error)
            settle([TopicPartition(*source, 0)], self.groups)
        return self._both(source, self._kafka.timeout)

    def close(self) -> None:
        """Let go of the connections. Does not wait."""
        in_background(self.shown.close, self.marks.close)

    def _both(self, source: Source, limit_s: float) -> tuple[Commit | None, Commit | None]:
        shown = self._one(self.shown, self._kafka.group, source, limit_s)
        marked = self._one(self.marks, marks_group(self._kafka.group), source, limit_s)
        if shown is not None and shown.mark is not None and shown.mark.log is None:
            return shown, shown  # a version before marks has worked since, and left those as they were
        for found in (marked, shown):  # without marks what is shown is ours if it says so: of a version before marks
            if found is not None and found.mark is not None:
                return found, shown
        return None, shown

    def _one(self, client: Consumer, group: str, source: Source, limit_s: float) -> Commit | None:
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
