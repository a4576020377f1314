"""Put the records of a feed in the order in which they are to be sent.

Takes a Feed, gives one Due a second of event time. Loses nothing: a record that is to be sent later
waits for its second, and what is left when the feed ends comes last.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from operator import itemgetter

import numpy as np

from hydrodask.clock import US_PER_S
from hydrodask.errors import FatalError
from hydrodask.ingest.chunk import Chunk
from hydrodask.ingest.encode import Payload, encode, encode_label
from hydrodask.ingest.feed import Feed
from hydrodask.records import Int64, LabelRecord

WAITING_MAX = 5_000_000
"""Records that a feed may hold back for later; more means that its faults delay without end."""

Item = tuple[str, Payload, str]
"""Topic, value, key."""


@dataclass(slots=True)
class Due:
    """Records in the order of `send_us`, shape (n,); those of equal time keep the feed's order."""

    send_us: Int64
    items: list[Item]

    def __len__(self) -> int:
        return len(self.items)


def schedule(
    feed: Feed,
    *,
    topic: Callable[[str], str],
    key: str,
    phase_us: Callable[[str, str], int] | None = None,
) -> Iterator[Due]:
    """Yield what to send in each second of the feed, then what is left.

    `topic` gives a sensor's topic (and that of `labels`), `key` is the message key of records that
    name no rig, and `phase_us` says how much later than planned a sensor of a rig is sent.
    """
    waiting = Due(np.zeros(0, np.int64), [])
    for second in count() if feed.seconds is None else range(feed.seconds):
        parts = [waiting]
        start_us = feed.start_us + second * US_PER_S
        parts += [_of_label(label, start_us, topic, key) for label in feed.labels(second)]
        parts += [_of_chunk(chunk, topic, key, phase_us) for chunk in feed.chunk(second)]
        now, waiting = _split(_in_order(parts), start_us + US_PER_S)
        yield now
    yield waiting


def _of_label(label: LabelRecord, send_us: int, topic: Callable[[str], str], key: str) -> Due:
    item = (topic("labels"), encode_label(label), label.rig or key)
    return Due(np.array([send_us], np.int64), [item])


def _of_chunk(
    chunk: Chunk,
    topic: Callable[[str], str],
    key: str,
    phase_us: Callable[[str, str], int] | None,
) -> Due:
    name, rig = topic(chunk.sensor), chunk.rig or key
    shift_us = phase_us(chunk.sensor, rig) if phase_us else 0
    return Due(chunk.send_us + shift_us, [(name, payload, rig) for payload in encode(chunk)])


def _in_order(parts: list[Due]) -> Due:
    send_us = np.concatenate([part.send_us for part in parts])
    items = [item for part in parts for item in part.items]
    if len(items) < 2:
        return Due(send_us, items)
    order = np.argsort(send_us, kind="stable")
    return Due(send_us[order], list(itemgetter(*order.tolist())(items)))


def _split(due: Due, end_us: int) -> tuple[Due, Due]:
    at = int(np.searchsorted(due.send_us, end_us))
    if len(due) - at > WAITING_MAX:
        raise FatalError(
            f"the feed holds back {len(due) - at:,} records for later; at most {WAITING_MAX:,} fit:"
            " shorten the delays in the fault file"
        )
    return Due(due.send_us[:at], due.items[:at]), Due(due.send_us[at:], due.items[at:])
