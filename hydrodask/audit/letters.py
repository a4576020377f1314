"""Dead letters: read them, and say why one would fail again.

A letter has the original key and bytes, and headers that say why and from where. When it is published again, a mark
follows on the same topic, in the same transaction: a record without bytes whose header `retried` names the letter.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hydrodask import clock
from hydrodask.audit.log import BrokerLog
from hydrodask.blobs import Blobs
from hydrodask.channels import SENSORS
from hydrodask.decode import Decoder
from hydrodask.kafka import Message
from hydrodask.nodes.judging import decoder_of
from hydrodask.records import LabelRecord, Messages, PartitionId, WindowRecord
from hydrodask.settings import Settings

RETRIED = "retried"
"""Header of a mark: partition and offset of the letter that was published again."""

RETRY_OF = "retry-of"
"""Header of a record that was published again: partition and offset of its letter."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic.

    `partition` and `at` say where it is, `source` and `offset` where the original was. `mark` is set when it is no
    letter but says that the letter at (partition, offset) was published again.
    """

    partition: int
    at: int
    time_us: int
    source: PartitionId
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None
    truncated_from: int | None = None
    mark: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """How commands name it."""
        return f"{self.partition}-{self.at}"


def letters(log: BrokerLog, source: PartitionId, start: int, end: int) -> Iterator[Letter]:
    """Yield what is on a partition of the dead-letter topic, marks too."""
    for batch in log.read(source, start, end):
        for message in batch:
            yield letter_of(message)


def letter_of(message: Message) -> Letter:
    """Return a message as a letter; what its headers do not say is empty."""
    headers = message.headers() or []
    found = {name: _text(value) for name, value in (headers.items() if isinstance(headers, dict) else headers)}
    truncated = found.get("truncated-from-bytes", "")
    return Letter(
        int(message.partition() or 0),
        int(message.offset() or 0),
        message.timestamp()[1] * 1000,
        (found.get("topic", ""), _number(found.get("partition", "0"))),
        _number(found.get("offset", "-1")),
        found.get("reason", ""),
        message.key(),
        message.value(),
        int(truncated) if truncated.isdigit() else None,
        place_of(found[RETRIED]) if RETRIED in found else None,
    )


def place_of(text: str) -> tuple[int, int] | None:
    """Return partition and offset of `0-17`; None when it is something else.

    >>> place_of("0-17"), place_of("17")
    ((0, 17), None)
    """
    partition, dash, offset = text.partition("-")
    return (int(partition), int(offset)) if dash and partition.isdigit() and offset.isdigit() else None


def why_again(letter: Letter, settings: Settings) -> str | None:
    """Return why a letter would certainly fail again, None when it might not."""
    if letter.truncated_from is not None:
        return f"it holds only the beginning of {letter.truncated_from} bytes"
    if letter.value is None:
        return "it has no bytes: a record like that says that another was deleted"
    name = letter.source[0].removeprefix(settings.topics.prefix)
    if letter.source[0] != settings.topic(name):
        return f"its topic {letter.source[0]!r} is none of this platform"
    if name in SENSORS:
        return _why_no_sample(letter, name, settings)
    structs: dict[str, type[LabelRecord | WindowRecord]] = {"labels": LabelRecord, "analytics": WindowRecord}
    if name not in structs:
        return f"no flow reads its topic {letter.source[0]!r}"
    try:
        decoder_of(structs[name], settings)(letter.value, letter.key)
    except ValueError as error:
        return str(error)
    return None


def _why_no_sample(letter: Letter, sensor: str, settings: Settings) -> str | None:
    """Return the decoder's reason, were the record published now."""
    now_ms = np.array([clock.now_us() // 1000], np.int64)
    messages = Messages(*letter.source, Blobs.of([letter.value]), Blobs.of([letter.key]), np.zeros(1, np.int64), now_ms)
    _, rejects = Decoder.of(settings, sensor).decode(messages)
    return rejects[0].reason if rejects else None


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value or ""


def _number(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else -1
