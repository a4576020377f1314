"""A log of raw records, as a worker reads it."""

from collections.abc import Sequence

import numpy as np

from hydrodask.blobs import Blobs
from hydrodask.records import Messages


def messages_of(
    values: Sequence[bytes | None], *, topic: str = "hydraulic-PS1", first: int = 0, stamp_ms: int = 1_767_229_200_000
) -> Messages:
    """Return values as messages at offsets `first`, `first` + 1, …, all with one broker timestamp.

    >>> len(messages_of([b"{}", None], first=7)), messages_of([b"{}", None], first=7).offsets.tolist()
    (2, [7, 8])
    """
    count = len(values)
    offsets = np.arange(first, first + count, dtype=np.int64)
    return Messages(topic, 0, Blobs.of(values), Blobs.of([b"key"] * count), offsets, np.full(count, stamp_ms, np.int64))
