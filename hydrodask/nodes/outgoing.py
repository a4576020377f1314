"""How rows become the JSON records of our topics."""

import math
from collections.abc import Iterator
from functools import lru_cache

import msgspec
import numpy as np

from hydrodask import clock
from hydrodask.kafka import MESSAGE_BYTES_MAX
from hydrodask.records import CycleRecord, Outgoing, Profiles, RefusedRecord, Reject, WindowRecord, Windows
from hydrodask.rigs import RIGS
from hydrodask.settings import Settings

_encode = msgspec.json.Encoder().encode
_iso = lru_cache(maxsize=4096)(clock.iso)

_DEAD_LETTER_BYTES_MAX = MESSAGE_BYTES_MAX - 65_536
"""Room for key and headers."""


def window_rows(windows: Windows, length_us: int, partition: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) of each row, as `records.WindowRecord`."""
    spans = windows.high - windows.low
    columns = (
        windows.rig, windows.start_us, windows.mean, windows.high, windows.low, windows.stddev, spans,
        windows.count, windows.final, windows.revision, windows.rate_hz,
    )  # fmt: skip
    for rig, start, mean, high, low, stddev, span, count, final, revision, rate in zip(
        *(c.tolist() for c in columns), strict=True
    ):
        name = RIGS.name(rig)
        record = WindowRecord(
            name, windows.sensor, _iso(start), _iso(start + length_us), mean, high, low,
            None if math.isnan(stddev) else stddev, span, count, final, revision, rate, partition,
        )  # fmt: skip
        yield name.encode(), _encode(record)


def refused_row(row: RefusedRecord) -> tuple[bytes, bytes]:
    """Return (key, value) of what is said of a rig's samples."""
    return row.rig.encode(), _encode(row)


def cycle_rows(profiles: Profiles) -> Iterator[tuple[bytes, bytes]]:
    """Yield (key, value) of each profile, as `records.CycleRecord`."""
    for i in range(len(profiles)):
        name = RIGS.name(int(profiles.rig[i]))
        mean, m2, low, high = (_nullable(c[i]) for c in (profiles.mean, profiles.m2, profiles.low, profiles.high))
        record = CycleRecord(
            name,
            profiles.sensor,
            int(profiles.cycle[i]),
            clock.iso(int(profiles.start_us[i])),
            bool(profiles.complete[i]),
            int(profiles.revision[i]),
            profiles.count[i].tolist(),
            mean,
            m2,
            low,
            high,
            float(profiles.rate_hz[i]),
        )
        yield name.encode(), _encode(record)


def older(value: bytes) -> bytes:
    """Return a row of ours as it was before the sampling rate was part of it.

    >>> older(b'{"rig":"a","revision":1,"sampling_rate_hz":10.0}')
    b'{"rig":"a","revision":1}'
    """
    return value[: value.rindex(b',"sampling_rate_hz":')] + b"}"


def dead_letter(settings: Settings, reject: Reject) -> Outgoing:
    """Return the record for the dead letters: the original key and bytes, and headers that say why and from where."""
    value = reject.value
    headers: list[tuple[str, str | bytes | None]] = [
        ("reason", reject.reason.encode()[:1000]),
        ("topic", reject.topic.encode()),
        ("partition", b"%d" % reject.partition),
        ("offset", b"%d" % reject.offset),
    ]
    if value is not None and len(value) > _DEAD_LETTER_BYTES_MAX:
        headers.append(("truncated-from-bytes", b"%d" % len(value)))
        value = value[:_DEAD_LETTER_BYTES_MAX]
    return Outgoing(settings.topic("dead-letter"), reject.key, value, headers)


def _nullable(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(v) else v for v in values.tolist()]
