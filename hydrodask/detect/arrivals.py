"""What the detector takes: window rows with their places and the broker's time, and records that only tell the time."""

from collections.abc import Sequence
from typing import NamedTuple

from hydrodask.records import Messages, RefusedRecord, WindowRecord

SETTLED = b"settled"
"""Key of a record without a value that says: everything that there was before it has been read."""

DEAF, HEARING = b"deaf", b"hearing"
"""Keys of such records that say: not all sensors' partitions are read from here on, or all of them are again."""

_HEARING: dict[bytes | None, bool] = {DEAF: False, HEARING: True}


Row = WindowRecord | RefusedRecord
"""What the topic holds."""


class Arrival(NamedTuple):
    """One record of the topic of window rows; `row` is None for one that only says that it is `stamp_ms` now.

    `hearing`: whether all that rigs send is read from here on; None: as before.
    """

    offset: int
    stamp_ms: int
    row: Row | None
    settled: bool = False
    hearing: bool | None = None


def arrivals(messages: Messages, rows: Sequence[tuple[int, Row]]) -> list[Arrival]:
    """Return the decoded rows of a batch, and between them the records without a value, in offset order."""
    stamps = dict(zip(messages.offsets.tolist(), messages.timestamps_ms.tolist(), strict=True))
    found = [Arrival(offset, stamps[offset], row) for offset, row in rows]
    if not messages.values.present.all():
        times = [place for place, there in enumerate(messages.values.present.tolist()) if not there]
        offsets = [int(messages.offsets[place]) for place in times]
        found += [
            Arrival(offset, stamps[offset], None, key == SETTLED, _HEARING.get(key))
            for key, offset in zip([messages.keys[place] for place in times], offsets, strict=True)
        ]
        found.sort()
    return found
