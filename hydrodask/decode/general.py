"""The general decoder: any JSON record that means a sample, one at a time, with a reason for each that does not."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from hydrodask import clock
from hydrodask.channels import CHANNELS
from hydrodask.records import Float64, Int64, SensorRecord

DEPTH_MAX = 256
"""Deepest nesting that is decoded. Ours, because the interpreter's own limit depends on who calls."""

_decode = msgspec.json.Decoder(SensorRecord).decode


@dataclass(slots=True)
class Decoded:
    """What became of some records: `where` (n,) are the places of the good ones, the columns belong to them.

    `reasons` holds the others: place → reason.
    """

    where: Int64
    cycle: Int64
    sample_idx: Int64
    value: Float64
    time_us: Int64
    rate_hz: Float64
    rig: list[str | None]
    reasons: dict[int, str]


def decode(values: Sequence[bytes], *, sensor: str, bytes_max: int, rig_bytes_max: int) -> Decoded:
    """Decode `values` one at a time for the topic of `sensor`; never raises for what is in them.

    So one poison record costs one record, whatever it does to the text around it.
    """
    records: list[SensorRecord] = []
    times_us: list[int] = []
    where: list[int] = []
    reasons: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            inspect(value, bytes_max)
            record = _decode(value)
            check(record, sensor, rig_bytes_max)
            time_us = _time_us(record.timestamp)
        except ValueError as error:  # msgspec's errors are ValueErrors, and so are ours
            reasons[place] = reason_of(error)
        else:
            records.append(record)
            times_us.append(time_us)
            where.append(place)
    return Decoded(
        where=np.array(where, np.int64),
        cycle=np.array([r.cycle for r in records], np.int64),
        sample_idx=np.array([r.sample_idx for r in records], np.int64),
        value=np.array([r.value for r in records], np.float64),
        time_us=np.array(times_us, np.int64),
        rate_hz=np.array([r.sampling_rate_hz for r in records], np.float64),
        rig=[r.rig for r in records],
        reasons=reasons,
    )


def inspect(value: bytes, bytes_max: int) -> None:
    """Raise ValueError with the reason when `value` should not even be decoded."""
    if len(value) > bytes_max:
        raise ValueError(f"too large: {len(value)} bytes, at most {bytes_max} are taken")
    value.decode()
    if len(value) > DEPTH_MAX and depth(value) > DEPTH_MAX:
        raise ValueError(f"nested deeper than {DEPTH_MAX}")


def depth(value: bytes) -> int:
    """Return the deepest nesting of brackets outside strings.

    >>> depth(b'{"a": [[]], "b": "[[[["}')
    3
    """
    level = deepest = 0
    inside = escaped = False
    for byte in value:
        if inside:
            inside = escaped or byte != 34
            escaped = byte == 92 and not escaped
        elif byte == 34:
            inside = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def check(record: SensorRecord, sensor: str, rig_bytes_max: int) -> None:
    """Raise ValueError, with the reason as its text, when a well-formed record makes no sense on this topic."""
    if record.sensor not in CHANNELS:
        raise ValueError(f"unknown sensor {record.sensor[:40]!r}")
    if record.sensor != sensor:
        raise ValueError(f"sensor {record.sensor} is not the topic's ({sensor})")
    if not record.sampling_rate_hz > 0:
        raise ValueError(f"sampling_rate_hz is {record.sampling_rate_hz}; want more than 0")
    check_rig(record.rig, rig_bytes_max)


def check_rig(rig: str | None, rig_bytes_max: int) -> None:
    """Raise ValueError, with the reason as its text, when a record's rig is no name."""
    if rig is None:
        return
    if not rig or not rig.isprintable():
        raise ValueError("rig is empty or has unprintable characters")
    if len(rig.encode()) > rig_bytes_max:
        raise ValueError(f"rig is longer than {rig_bytes_max} bytes")


def rig_of(key: bytes | None, bytes_max: int) -> str | None:
    """Return the rig that a record's key names; None when it can't be one.

    >>> rig_of(b"rig-1", 128), rig_of(bytes(8), 128), rig_of(None, 128)
    ('rig-1', None, None)
    """
    if not key or len(key) > bytes_max:
        return None
    try:
        name = key.decode()
    except UnicodeDecodeError:
        return None
    return name if name.isprintable() else None


def reason_of(error: ValueError) -> str:
    """Return the reason that goes with a reject."""
    text = str(error)
    if isinstance(error, msgspec.ValidationError):
        if "Number out of range" in text:
            return f"value not finite: {text}"
        return f"missing field: {text}" if "missing required" in text else f"mistyped field: {text}"
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        return f"not JSON: {text}"
    return text


def _time_us(text: str) -> int:
    """Return µs since the epoch of an ISO 8601 timestamp."""
    try:
        return clock.parse_iso(text)
    except (ValueError, OverflowError):
        raise ValueError(f"timestamp {text[:40]!r} is not ISO 8601") from None
