"""Decode labels, by the rules of samples: the present layout, and that of the older platform (`label_cooler`, …).

Takes the bytes of a record, gives a LabelRecord with its rig and its time as ISO 8601 in UTC.
"""

from typing import Any

import msgspec

from hydrodask import clock
from hydrodask.decode.decoder import EARLIEST_US, LATEST_US, TIME_REASON
from hydrodask.decode.general import check_rig, inspect, reason_of, rig_of
from hydrodask.decode.manner import Manner
from hydrodask.records import Int64Field, LabelRecord

OLDER = "label_"
"""What the older platform's names of the states begin with."""


class _Place(msgspec.Struct, kw_only=True):
    """Which cycle it is: whole numbers also as `1.0`, the time as ISO 8601 or as seconds since 1970."""

    rig: str | None = None
    cycle: Int64Field | float
    timestamp: str | float


class _Row(_Place, kw_only=True):
    """A label in the present layout."""

    cooler: float
    valve: float
    pump: float
    accumulator: float
    stable: Int64Field | float


class _OlderRow(_Place, rename=lambda name: OLDER + name, kw_only=True):
    """A label in the older platform's."""

    cooler: float
    valve: float
    pump: float
    accumulator: float
    stable: Int64Field | float


class _Layout(msgspec.Struct):
    """What tells the older layout: a field of that name, and not the text somewhere in the record."""

    label_cooler: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_layout = msgspec.json.Decoder(_Layout).decode
_decode = msgspec.json.Decoder(_Row).decode
_decode_older = msgspec.json.Decoder(_OlderRow).decode


def decode_label(value: bytes, key: bytes | None, manner: Manner) -> LabelRecord:
    """Return the label in a record; its `key` names the rig where samples' do. Raises ValueError with the reason.

    >>> from hydrodask.settings import Settings
    >>> text = b'{"cycle": 1, "label_cooler": 3, "label_valve": 100, "label_pump": 0, "label_accumulator": 130, '
    >>> text += b'"label_stable": 0.0, "timestamp": 1767225660.0}'
    >>> label = decode_label(text, None, Manner.of(Settings()))
    >>> label.rig, label.timestamp, label.cooler, label.stable
    ('rig-1', '2026-01-01T00:01:00Z', 3.0, 0)
    """
    try:
        inspect(value, manner.record_bytes_max)
        older = _layout(value).label_cooler is not msgspec.UNSET
        row = _decode_older(value) if older else _decode(value)
    except (ValueError, RecursionError) as error:
        raise ValueError(reason_of(error) if isinstance(error, ValueError) else "nested too deeply") from error
    check_rig(row.rig, manner.rig_bytes_max)
    return LabelRecord(
        _by_key(key, manner) if row.rig is None else row.rig,
        _whole("cycle", row.cycle),
        clock.iso(_time_us(row.timestamp)),
        row.cooler,
        row.valve,
        row.pump,
        row.accumulator,
        _whole("stable", row.stable),
    )


def _by_key(key: bytes | None, manner: Manner) -> str:
    """Return the rig of a label that names none, as samples have it."""
    if not key or not manner.from_key:
        return manner.default_rig
    rig = rig_of(key, manner.rig_bytes_max)
    if rig is None:
        raise ValueError(f"the key is no rig's name: {key!r:.60}")
    return rig


def _whole(name: str, number: Any) -> int:
    """Return a whole number that may be written with a fraction of zero."""
    if isinstance(number, int):
        return number
    if number != number // 1 or abs(number) >= 2**53:  # what a float can't hold exactly is another number
        raise ValueError(f"mistyped field: Expected `int`, got {number:g} - at `$.{name}`")
    return int(number)


def _time_us(stamp: str | float) -> int:
    """Return µs since the epoch; a number is seconds since 1970."""
    try:
        time_us = clock.parse_iso(stamp) if isinstance(stamp, str) else round(stamp * clock.US_PER_S)
    except (ValueError, OverflowError):
        raise ValueError(f"timestamp {str(stamp)[:40]!r} is not ISO 8601") from None
    if not EARLIEST_US <= time_us < LATEST_US:
        raise ValueError(TIME_REASON)
    return time_us
